#include "trapd/limiter.h"

/* A bucket: what was let through fills it, time empties it. */
static bool has_room(const struct limiter *limiter, size_t kind, int64_t now_ns)
{
    return limiter->kinds[kind].full_at_ns <= now_ns + (LIMIT_BURST - 1) * LIMIT_EVERY_NS;
}

static void let_through(struct limiter *limiter, size_t kind, struct event *event, uint32_t held,
                        int64_t now_ns)
{
    const int64_t from = MAX(limiter->kinds[kind].full_at_ns, now_ns);

    limiter->kinds[kind].full_at_ns = from + LIMIT_EVERY_NS;
    limiter->kinds[kind].held = 0;
    limiter->kinds[kind].waits = false;
    event->held_back = held;
}

bool limiter_take(struct limiter *limiter, struct event *event, int64_t now_ns)
{
    const size_t kind = event->kind;

    if (!limiter->kinds[kind].waits && has_room(limiter, kind, now_ns)) {
        let_through(limiter, kind, event, 0, now_ns);
        return true;
    }
    limiter->kinds[kind].held++;
    limiter->kinds[kind].waits = true;
    limiter->kinds[kind].waiting = *event;
    return false;
}

bool limiter_next(struct limiter *limiter, struct event *event, int64_t now_ns)
{
    for (size_t kind = 0; kind < MIB_NOTIFICATIONS; kind++)
        if (limiter->kinds[kind].waits && has_room(limiter, kind, now_ns)) {
            *event = limiter->kinds[kind].waiting;
            let_through(limiter, kind, event, limiter->kinds[kind].held - 1, now_ns);
            return true;
        }
    return false;
}

int64_t limiter_due_ns(const struct limiter *limiter)
{
    int64_t due = 0;

    for (size_t kind = 0; kind < MIB_NOTIFICATIONS; kind++) {
        const int64_t at = limiter->kinds[kind].full_at_ns - (LIMIT_BURST - 1) * LIMIT_EVERY_NS;
        if (limiter->kinds[kind].waits && (due == 0 || at < due))
            due = at;
    }
    return due;
}
