/* limiter: not too many notifications of a kind. A kind may have LIMIT_BURST at once and then one every
 * LIMIT_EVERY_NS. What is over that is held back: the latest of them goes out when one may again, with how
 * many there were. Pure. */
#pragma once
#include "common/clock.h"
#include "trapd/event.h"

enum { LIMIT_BURST = 10 };
static const int64_t LIMIT_EVERY_NS = 6 * NS_PER_S;

struct limiter {
    struct {
        int64_t full_at_ns; /* when it may have a burst again */
        uint32_t held;      /* since the last one that went out, with the waiting one */
        bool waits;
        struct event waiting; /* the latest that was held back */
    } kinds[MIB_NOTIFICATIONS];
};

/* True: `event` may go out, and says how many were held back before it. False: it waits. */
bool limiter_take(struct limiter *limiter, struct event *event, int64_t now_ns);
/* One that waited and may go out now. False: there is none. */
bool limiter_next(struct limiter *limiter, struct event *event, int64_t now_ns);
/* When limiter_next() may have one; 0: nothing waits. */
int64_t limiter_due_ns(const struct limiter *limiter);
