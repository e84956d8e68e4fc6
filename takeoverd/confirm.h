/* confirm: whether those who matter know where the active addresses are now.
 *
 * A gratuitous ARP is a shout into the dark: it can be lost, and some do not listen to it. A question is
 * answered. So the new owner asks each router, and each neighbour that lately asked for an active address,
 * by an ARP request (RFC 826) or a Neighbor Solicitation (RFC 4861) *from* the active address. Whoever is
 * asked takes the new hardware address over before it answers; and its answer comes back to the new owner
 * only if it did. It is asked again until it has answered, ever more seldom, and then counted as not
 * confirmed.
 *
 * Pure: no clock, no I/O. Times are CLOCK_BOOTTIME in nanoseconds. */
#pragma once
#include "common/config.h"
#include "takeoverd/plan.h"

enum {
    CONFIRM_NEIGHBOURS_MAX = 256, /* a channel; the latest */
    CONFIRM_TRIES_MAX = 12,       /* within about 20 seconds */
};

/* Somebody who asked for an active address. */
struct confirm_neighbour {
    struct net_address address;
    struct mac mac;
    size_t wanted; /* the active address, in plan.addresses */
    int channel;
    int64_t seen_ns;
};

struct confirm_question {
    size_t address; /* the active address, in plan.addresses */
    struct net_address to;
    struct mac mac; /* zero: not known, all are asked */
    int router;     /* of the channel's, in the configuration; -1: a neighbour */
    int tries;
    int64_t next_ns; /* when it is to be asked (again); 0: not any more */
    bool confirmed;
    int64_t took_ns; /* until it was, from the beginning */
};

struct confirm {
    struct mac peer[PLAN_CHANNELS_MAX];   /* by channel; zero: not known */
    struct confirm_neighbour *neighbours; /* CONFIRM_NEIGHBOURS_MAX for each channel */
    size_t channel_count;
    struct confirm_question *questions; /* grouped by address */
    size_t count, *first;               /* of each address, and one behind the last */
    int64_t began_ns;
};

/* What became of the questions to one router, or to all neighbours of a channel (router = -1). */
struct confirm_tally {
    size_t asked, confirmed;
    int64_t took_ns; /* from the beginning to the last answer */
    bool done;       /* nothing is asked any more */
};

/* 0 or -ENOMEM. The caller frees, also what an error leaves. */
int confirm_init(struct confirm *confirm, const struct plan *plan);
void confirm_free(struct confirm *confirm);

/* A neighbour asked for an active address: it will be asked when this node takes that address. The peer,
 * which searches for them, is none: it is known by its passive addresses, and from then on by its hardware
 * address (it may ask from a link-local one, too). */
void confirm_see(struct confirm *confirm, const struct plan *plan, const struct config *config, int channel,
                 const struct net_address *from, const struct mac *mac, const struct net_address *wanted,
                 int64_t now_ns);

/* This node holds the active addresses of `channels` (a bit each) from now on: everybody is to be asked.
 * What was asked before for other channels goes on. 0 or -ENOMEM. */
int confirm_begin(struct confirm *confirm, const struct plan *plan, const struct config *config,
                  unsigned channels, int64_t now_ns);
void confirm_end(struct confirm *confirm);

/* Fills `due` with at most `max` questions to ask now, notes them as asked, and returns how many. */
size_t confirm_due(struct confirm *confirm, int64_t now_ns, const struct confirm_question *due[], size_t max);

/* When the next one is due; 0: none is left. */
int64_t confirm_next_ns(const struct confirm *confirm);

/* `from` answered to the active address `to` on a channel. True if that was the answer to a question. */
bool confirm_heard(struct confirm *confirm, const struct plan *plan, int channel,
                   const struct net_address *from, const struct net_address *to, int64_t now_ns);

struct confirm_tally confirm_count(const struct confirm *confirm, const struct plan *plan, int channel,
                                   int router);
