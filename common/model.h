/* model: what is known of the pair at this moment, collected from the bus.
 *
 * Keeps the latest message of every topic and when it came. Every topic is sent again each second (DESIGN
 * §2), so a state that was not heard for MODEL_STALE_NS is not known any more: its daemon is gone or hangs.
 * Nothing here reads a clock or does I/O: `duet status` and the tables of trapd render it, the unit tests
 * feed it by hand. */
#pragma once
#include "common/base.h"
#include "common/config.h"
#include "proto/topics.h"

enum { MODEL_DAEMONS = 8, MODEL_TOPICS_MAX = 1024, MODEL_NAME_MAX = 64 };
#define MODEL_STALE_NS (INT64_C(2500) * NS_PER_MS)

/* The daemons of a node, NULL at the end. */
extern const char *const model_daemons[MODEL_DAEMONS + 1];
enum { MODEL_SYNCD = 4, MODEL_TRAPD, MODEL_MONITORD, MODEL_WITNESSD };

struct model_topic {
    const struct message_type *type;
    char name[MODEL_NAME_MAX]; /* NAME of area/NAME, else empty */
    int64_t heard_ns;          /* 0: expected, not yet heard */
    void *body;                /* the struct of `type` */
};

struct model {
    char node[CONFIG_NAME_MAX]; /* as the messages say; empty before the first */
    struct model_topic topics[MODEL_TOPICS_MAX];
    size_t topic_count;
    int64_t heard_ns[MODEL_DAEMONS]; /* last message of each */
    bool has_sync;                   /* the configuration has a sync set: there is a syncd */
    bool has_snmp;                   /* it has an snmp section: there is a trapd */
    bool has_witness;                /* … a witness section: there is a witnessd */
    bool has_monitor;                /* it has a monitor section: there is a monitord */
    size_t refused;                  /* topics beyond MODEL_TOPICS_MAX */
};

/* Frees what a zeroed and used model holds. */
void model_clear(struct model *model);

/* Fixes the order of channels, services, hooks and sets: those of the configuration, in its order; and which
 * daemons there should be. */
void model_expect(struct model *model, const struct config *config);

/* Takes one message in. True if it is news (changes.h) rather than a renewal. */
bool model_take(struct model *model, const struct message_type *type, const char *name,
                const struct envelope *envelope, const void *body, int64_t now_ns);

/* The struct of `type` for `name` (NULL where the topic is not named), if heard within MODEL_STALE_NS; else
 * NULL. */
const void *model_get(const struct model *model, const struct message_type *type, const char *name,
                      int64_t now_ns);

/* The next topic of `type` from `*at` on, which starts at 0; NULL after the last. With `stale` also those
 * that are expected or grew old, else only what model_get() would give. */
const struct model_topic *model_next(const struct model *model, const struct message_type *type, bool stale,
                                     int64_t now_ns, size_t *at);

/* Whether this daemon should run at all. */
bool model_wants(const struct model *model, size_t daemon);

/* Whether any message of the daemon came within MODEL_STALE_NS. */
bool model_runs(const struct model *model, size_t daemon, int64_t now_ns);

/* What the peer would do if it had to serve, as far as its heartbeats tell. */
bool model_peer_ready(const struct peer_message *peer);

/* The exit codes of `duet status`. */
enum health {
    HEALTH_GOOD = 0,     /* one node is active, the other one could take over, no alarm */
    HEALTH_DEGRADED = 1, /* one node is active, but */
    HEALTH_DOWN = 2,     /* nobody is active, as far as is known */
    HEALTH_UNKNOWN = 3,  /* no daemon answers */
};
enum health model_health(const struct model *model, int64_t now_ns);
