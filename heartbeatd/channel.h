/* channel: one network adapter on which the pair serves, and whether it works.
 *
 * A channel is *usable* while its device exists, has carrier, and one of its routers answers; where no router
 * is configured, once any frame came in since the carrier did. So after the start, and after each loss of the
 * carrier, it must be proven anew. `evidence_ns` is the last proof, `fault_ns` the first sign of what makes
 * it unusable.
 *
 * Requests are few: search and router test together send at most 100 packets a second and channel. */
#pragma once
#include "common/config.h"
#include "heartbeatd/outbox.h"
#include "heartbeatd/router.h"
#include "heartbeatd/search.h"

struct channel {
    const struct config_channel *config;
    const struct net_address *sorted; /* its active addresses, by channel_compare(); NULL: as configured */
    size_t index;
    uint32_t id;     /* heartbeat_hash() of its name */
    bool proven;     /* it was usable once */
    bool searchable; /* the search is on, and there are addresses to ask for */

    bool present, carrier, usable;
    struct mac mac;
    int64_t changed_ns; /* carrier came or went */
    int64_t frame_ns;   /* last frame that came in */
    int64_t evidence_ns, fault_ns;
    uint64_t frames;   /* the adapter's count when carrier came */
    int64_t count_ns;  /* when to ask for that count next */
    int64_t budget_ns; /* virtual time up to which requests are used up */

    size_t router_count;
    struct router routers[CONFIG_ROUTERS_MAX];
    struct search search;
};

/* What the system tells of a channel's device. */
struct link_event {
    bool present, carrier;
    struct mac mac;
    uint64_t frames; /* received since the device was made */
};

/* Whom and how to ask now. */
struct channel_pace {
    struct router_pace router;
    int64_t search_calm_ns, search_quick_ns;
    bool search;      /* this node does not hold the active addresses */
    bool serves;      /* this node holds them, confirmed: it may ask from them */
    bool quick;       /* the search quickens */
    int64_t slack_ns; /* what is due within this is done now, so that calm work shares its wakeups */
    struct mac peer;  /* the peer's on this channel; zero while unknown */
};

void channel_init(struct channel *channel, const struct config_channel *config, size_t index, int64_t now_ns);

/* The order of `sorted`, for qsort(): with thousands of addresses each frame would be compared with all. */
int channel_compare(const void *a, const void *b);

/* The configuration was changed: `channel`, just initialised by the new one (`sorted`, too, is the caller's
 * to give anew), goes on with what `before`, of the same name and device, knew. A new router is asked at
 * once. */
void channel_take_over(struct channel *channel, const struct channel *before, int64_t now_ns);

void channel_link(struct channel *channel, const struct link_event *event, int64_t now_ns,
                  struct outbox *out);

/* Some frame came in: enough for a channel without routers. */
void channel_frame(struct channel *channel, int64_t received_ns);

/* A neighbour spoke. True if it is fresh evidence: a router answered. */
bool channel_neighbour(struct channel *channel, const struct channel_pace *pace,
                       const struct neighbour *neighbour, int64_t received_ns, int64_t now_ns,
                       struct outbox *out);

/* check-only-idle: any frame from the adapter from which a router answered last. True if it is fresh evidence
 * that the channel works. */
bool channel_router_frame(struct channel *channel, const struct channel_pace *pace, const struct mac *from,
                          int64_t received_ns, int64_t now_ns, struct outbox *out);

/* Signs of trouble elsewhere: asks the routers at once. */
void channel_hint(struct channel *channel, const struct channel_pace *pace, int64_t now_ns);

/* This node did not listen up to now. */
void channel_restart(struct channel *channel, int64_t now_ns);

/* Does what is due: requests, verdicts. */
void channel_step(struct channel *channel, const struct channel_pace *pace, int64_t now_ns,
                  struct outbox *out);

/* When the next quick thing is due; INT64_MAX: all is calm and can wait for the next tick. */
int64_t channel_wake_ns(const struct channel *channel, const struct channel_pace *pace, int64_t now_ns);

void channel_fill(const struct channel *channel, struct link_message *message);
