/* detector: all that heartbeatd knows, without a clock, a socket or a key. The shell tells it what happened
 * and when, and then does what the outbox says.
 *
 * Time passes by ticks: one a heartbeat interval while all is calm, each with a heartbeat on every path and a
 * `peer` on the bus. Searches and router tests join the ticks as far as they are due. On a sign of trouble
 * (no heartbeat for one and a half intervals, the reserved line's carrier, or a suspicion of either arbiter)
 * the detector is *quick* for at most two seconds: it ticks five times as fast, and the tests run at their
 * quick pace, so that certainty comes soon.
 *
 * A tick that comes much too late is this node's own stall (R5): what lay in the sockets has been taken in by
 * then, with the kernel's receive times, and silence is counted anew from there (`counting_since_ns`).
 *
 * Paths are numbered: PATH_RESERVED, and PATH_CHANNEL + i for the configuration's channel i. */
#pragma once
#include "heartbeatd/channel.h"
#include "heartbeatd/own.h"
#include "heartbeatd/path.h"
#include "heartbeatd/peer.h"

enum { PATH_RESERVED = 0, PATH_CHANNEL = 1, PATHS_MAX = PATH_CHANNEL + CONFIG_CHANNELS_MAX };

struct detector {
    const struct config *config;
    uint64_t config_hash;
    struct own own;
    struct peer peer;
    size_t path_count;
    struct path paths[PATHS_MAX];
    struct channel channels[CONFIG_CHANNELS_MAX];

    int64_t counting_since_ns;
    int64_t tick_ns,
        slow_ns; /* when due: the next tick with its heartbeats, and the publishing of counters */
    bool quick, alive;
    bool doubting;   /* the present silence has quickened us already */
    int64_t lost_ns; /* when a channel of this node lost its carrier, while arbiterd may not have said so yet;
                        0 = it did not */
    bool mute;       /* the active addresses answered lately, though no lease stands behind the peer (R4) */
    int64_t quick_since_ns, quick_until_ns;
    int64_t answered_session_ns,
        evidence_told_ns; /* when heartbeats were last sent at once for these reasons */
    int64_t renewed_ns;   /* when a new session of this node was last asked for */
    int64_t late_since_ns, late_ns, late_before_ns; /* longest delay in this and the previous few seconds */
    struct peer told;                               /* as it was last published */
};

enum refusal { REFUSED_UNOPENED, REFUSED_FOREIGN };

/* `config` must outlive the detector, and its `self` be known. `own` is this run's session, `peer` the
 * highest of the peer's that is on disk (start 0: none). */
void detector_init(struct detector *detector, const struct config *config,
                   const struct heartbeat_session *own, const struct heartbeat_session *peer, int64_t now_ns);

/* The configuration was changed while this node works. Channels and routers that are in both go on as they
 * were. `config` must outlive the detector. */
void detector_configure(struct detector *detector, const struct config *config, int64_t now_ns);

/* A datagram that opened. */
void detector_heartbeat(struct detector *detector, size_t path, const struct heartbeat_header *header,
                        const struct heartbeat *heartbeat, int64_t received_ns, int64_t now_ns,
                        struct outbox *out);

/* A datagram that did not. */
void detector_refused(struct detector *detector, size_t path, enum refusal why);

void detector_neighbour(struct detector *detector, size_t channel, const struct neighbour *neighbour,
                        int64_t received_ns, int64_t now_ns, struct outbox *out);
/* check-only-idle: any frame from the adapter of a router. */
void detector_router_frame(struct detector *detector, size_t channel, const struct mac *from,
                           int64_t received_ns, int64_t now_ns, struct outbox *out);
void detector_link(struct detector *detector, size_t channel, const struct link_event *event, int64_t now_ns,
                   struct outbox *out);
void detector_reserved_carrier(struct detector *detector, int64_t now_ns);

/* From the bus; `sent_ns` is when it was sent. */
void detector_role(struct detector *detector, const struct role_message *role, int64_t sent_ns,
                   int64_t now_ns, struct outbox *out);
void detector_address(struct detector *detector, const struct address_message *address, struct outbox *out);

/* The tick is so late that nothing heard, or not heard, counts as a silence (R5): before anything is
 * published, the sockets must be drained and detector_tick() be called. */
bool detector_is_stalled(const struct detector *detector, int64_t now_ns);

/* Time has come; the sockets have been drained. May be called at any time. */
void detector_tick(struct detector *detector, int64_t now_ns, struct outbox *out);

/* When detector_tick() is to be called next. */
int64_t detector_wake_ns(const struct detector *detector, int64_t now_ns);

/* The next heartbeat on this path; `header` lacks the key's id and the length. */
void detector_compose(struct detector *detector, size_t path, int64_t now_ns, struct heartbeat_header *header,
                      struct heartbeat *heartbeat);
void detector_sent(struct detector *detector, size_t path, bool taken_by_kernel);

/* After outbox.renew_session_after. */
void detector_set_session(struct detector *detector, const struct heartbeat_session *session);

const char *detector_path_name(const struct detector *detector, size_t path);

/* What is published. detector_fill_peer() remembers what it told. */
void detector_fill_peer(struct detector *detector, int64_t now_ns, struct peer_message *message);
void detector_fill_path(const struct detector *detector, size_t path, int64_t now_ns,
                        struct path_message *message);
