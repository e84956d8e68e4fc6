/* router: the test whether a neighbour still answers (L9, L10, R6).
 *
 * It is asked at a calm pace. Each request that was not answered by the time of the next one is a miss. After
 * `retries` misses, or at once on a hint from elsewhere, it is asked quickly; when QUICK_PROBES of those are
 * missed as well, it is silent. One answer is enough to make it answer again. Whatever it says to neighbours
 * (neighbour.h) is an answer. */
#pragma once
#include "common/net.h"
#include "proto/topics.h"

enum { ROUTER_QUICK_PROBES = 20 };

struct router_pace {
    int64_t calm_ns, quick_ns;
    int retries;
    bool quick; /* fresh evidence is wanted */
};

struct router {
    struct net_address address;
    bool answering;
    bool outstanding; /* the last request is not answered yet */
    bool hinted;      /* asked quickly until it answers or is silent */
    int missed;
    struct mac mac;
    int64_t answered_ns, first_miss_ns, asked_ns;
    int64_t next_ns;        /* of the next request */
    int64_t quick_until_ns; /* the first second after the start and of a silence */
};

/* The channel can carry requests (again): ask at once. */
void router_start(struct router *router, int64_t now_ns);

/* The channel cannot carry requests: it answers no more, and what is outstanding proves nothing. */
void router_stop(struct router *router);

/* A sign of trouble: ask quickly from now on. */
void router_hint(struct router *router, const struct router_pace *pace, int64_t now_ns);

bool router_is_quick(const struct router *router, const struct router_pace *pace, int64_t now_ns);

/* check-only-idle: it was heard within the present interval, so that a request would tell nothing more; the
 * next one is put off. */
bool router_is_talking(struct router *router, const struct router_pace *pace, int64_t now_ns);

/* A request is due: counts the miss of the one before. True if what others know of it (answering, missing)
 * changed. */
bool router_ask(struct router *router, const struct router_pace *pace, int64_t now_ns);

/* It answered. True if what others know of it changed. */
bool router_answered(struct router *router, const struct router_pace *pace, const struct mac *mac,
                     int64_t received_ns, int64_t now_ns);

void router_fill(const struct router *router, const char *channel, struct router_message *message);
