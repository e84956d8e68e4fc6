#include "heartbeatd/router.h"

void router_start(struct router *router, int64_t now_ns)
{
    router->outstanding = false;
    router->next_ns = now_ns;
    router->quick_until_ns = now_ns + NS_PER_S;
}

void router_stop(struct router *router)
{
    router->answering = router->outstanding = router->hinted = false;
    router->missed = 0;
    router->first_miss_ns = router->next_ns = router->quick_until_ns = 0;
}

static int silent_at(const struct router_pace *pace)
{
    return pace->retries + ROUTER_QUICK_PROBES;
}

bool router_is_quick(const struct router *router, const struct router_pace *pace, int64_t now_ns)
{
    return pace->quick || router->hinted || now_ns < router->quick_until_ns ||
           (router->missed >= pace->retries && router->missed < silent_at(pace));
}

static void plan(struct router *router, const struct router_pace *pace, int64_t now_ns)
{
    router->next_ns =
        router->asked_ns + (router_is_quick(router, pace, now_ns) ? pace->quick_ns : pace->calm_ns);
}

void router_hint(struct router *router, const struct router_pace *pace, int64_t now_ns)
{
    router->hinted = router->missed < silent_at(pace);
    router->next_ns = MIN(router->next_ns, MAX(router->asked_ns + pace->quick_ns, now_ns));
}

bool router_is_talking(struct router *router, const struct router_pace *pace, int64_t now_ns)
{
    const int64_t interval_ns = router_is_quick(router, pace, now_ns) ? pace->quick_ns : pace->calm_ns;

    if (!router->answering || router->outstanding || router->answered_ns + interval_ns <= now_ns)
        return false;
    router->next_ns = router->answered_ns + interval_ns;
    return true;
}

static void miss(struct router *router, const struct router_pace *pace, int64_t now_ns)
{
    if (router->missed++ == 0)
        router->first_miss_ns = router->asked_ns;
    if (router->missed < silent_at(pace))
        return;
    router->hinted = false;
    if (router->answering)
        router->quick_until_ns = now_ns + NS_PER_S;
    router->answering = false;
}

bool router_ask(struct router *router, const struct router_pace *pace, int64_t now_ns)
{
    const bool answered = router->answering, missing = router->missed > 0;

    if (router->outstanding)
        miss(router, pace, now_ns);
    router->outstanding = true;
    router->asked_ns = now_ns;
    plan(router, pace, now_ns);
    return answered != router->answering || missing != (router->missed > 0);
}

bool router_answered(struct router *router, const struct router_pace *pace, const struct mac *mac,
                     int64_t received_ns, int64_t now_ns)
{
    const bool changed = !router->answering || router->missed > 0 || !mac_equal(mac, &router->mac);

    router->answering = true;
    router->outstanding = router->hinted = false;
    router->missed = 0;
    router->first_miss_ns = router->quick_until_ns = 0;
    router->answered_ns = MAX(router->answered_ns, received_ns);
    router->mac = *mac;
    if (router->asked_ns)
        plan(router, pace, now_ns);
    return changed;
}

void router_fill(const struct router *router, const char *channel, struct router_message *message)
{
    *message = (struct router_message){
        .answering = router->answering,
        .missed = router->missed,
        .answered_ns = router->answered_ns,
        .first_miss_ns = router->first_miss_ns,
    };
    text_copy(message->channel, sizeof message->channel, channel);
    net_address_print(&router->address, false, message->address);
    if (!mac_is_zero(&router->mac))
        mac_print(&router->mac, message->mac);
}
