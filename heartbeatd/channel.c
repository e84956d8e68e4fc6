#include "heartbeatd/channel.h"

#include <stdlib.h>
#include <string.h>

#include "common/config_compare.h"

static const int64_t request_cost_ns = NS_PER_S / 100; /* 100 requests a second … */
static const int64_t request_burst_ns = NS_PER_S / 4;  /* … of which 25 may come at once */
static const int64_t broadcast_every_ns = NS_PER_S;
static const int64_t count_every_ns = NS_PER_S / 5;

void channel_init(struct channel *channel, const struct config_channel *config, size_t index, int64_t now_ns)
{
    *channel = (struct channel){.config = config, .index = index, .fault_ns = now_ns};
    channel->id = heartbeat_hash(config->name);
    channel->searchable = config->search && config->active.count > 0;
    for (size_t i = 0; i < config->routers.count && channel->router_count < CONFIG_ROUTERS_MAX; i++)
        channel->routers[channel->router_count++].address = config->routers.items[i];
}

static const struct router *find_router(const struct channel *channel, const struct net_address *address)
{
    for (size_t i = 0; i < channel->router_count; i++)
        if (net_address_equal(&channel->routers[i].address, address))
            return &channel->routers[i];
    return NULL;
}

/* True if one of them was known before, and answered then. */
static bool take_over_routers(struct channel *channel, const struct channel *before, int64_t now_ns)
{
    bool answering = false;

    for (size_t i = 0; i < channel->router_count; i++) {
        struct router *router = &channel->routers[i];
        const struct router *known = find_router(before, &router->address);
        if (known)
            *router = *known;
        else if (channel->carrier)
            router_start(router, now_ns);
        answering = answering || router->answering;
    }
    return answering;
}

void channel_take_over(struct channel *channel, const struct channel *before, int64_t now_ns)
{
    const struct channel fresh = *channel;

    *channel = *before;
    channel->config = fresh.config;
    channel->sorted = fresh.sorted;
    channel->index = fresh.index;
    channel->searchable = fresh.searchable;
    channel->router_count = fresh.router_count;
    for (size_t i = 0; i < CONFIG_ROUTERS_MAX; i++)
        channel->routers[i] = fresh.routers[i];
    const bool answering = take_over_routers(channel, before, now_ns);
    if (channel->router_count > 0 && !answering && before->usable) {
        channel->usable = channel->proven = false; /* by other evidence than before: not looked at yet */
        channel->fault_ns = 0;
    }
    if (!channel->searchable)
        search_end(&channel->search);
    else if (!config_addresses_equal(&fresh.config->active, &before->config->active))
        search_restart(&channel->search, now_ns);
    channel->search.next_address = 0;
}

static uint32_t bit(const struct channel *channel)
{
    return UINT32_C(1) << channel->index;
}

/* ------------------------------------------------------------------- usable */

/* What last proved the channel since the carrier came; 0 = nothing yet. */
static int64_t proof_ns(const struct channel *channel, int64_t now_ns)
{
    int64_t proof = 0;

    if (channel->router_count == 0)
        return channel->frame_ns >= channel->changed_ns && channel->frame_ns > 0 ? now_ns : 0;
    for (size_t i = 0; i < channel->router_count; i++)
        if (channel->routers[i].answering)
            proof = MAX(proof, channel->routers[i].answered_ns);
    return proof >= channel->changed_ns ? proof : 0;
}

/* The channel was good until the last of its routers fell silent. */
static int64_t first_sign_ns(const struct channel *channel, int64_t now_ns)
{
    int64_t sign = 0;

    if (!channel->carrier)
        return channel->changed_ns;
    for (size_t i = 0; i < channel->router_count; i++)
        sign = MAX(sign, channel->routers[i].first_miss_ns);
    return sign ? sign : now_ns;
}

/* That a channel is not usable yet, after a start, is no fault before it was looked at: no carrier, or every
 * router was asked quickly and is silent. A channel without routers merely waits for its first frame. */
static bool is_looked_at(const struct channel *channel)
{
    if (!channel->carrier)
        return channel->changed_ns > 0;
    for (size_t i = 0; i < channel->router_count; i++)
        if (channel->routers[i].missed < ROUTER_QUICK_PROBES)
            return false;
    return channel->router_count > 0;
}

static void judge_usable(struct channel *channel, int64_t now_ns, struct outbox *out)
{
    const int64_t proof = channel->carrier ? proof_ns(channel, now_ns) : 0;
    const bool usable = proof > 0, new_fault = !usable && channel->fault_ns == 0;

    channel->evidence_ns = MAX(channel->evidence_ns, proof);
    if (usable)
        channel->fault_ns = 0;
    else if (new_fault && (channel->usable || is_looked_at(channel)))
        channel->fault_ns = first_sign_ns(channel, now_ns);
    if (usable == channel->usable && !(new_fault && channel->fault_ns > 0))
        return;
    channel->usable = usable;
    channel->proven = channel->proven || usable;
    out->publish_links |= bit(channel);
    outbox_note(out, NOTE_USABLE, channel->index, 0);
}

/* --------------------------------------------------------------------- link */

static void carrier_came(struct channel *channel, const struct link_event *event, int64_t now_ns)
{
    channel->frames = event->frames;
    channel->count_ns = now_ns;
    if (!channel->proven)
        channel->fault_ns = 0; /* a device that came up after this daemon did: not looked at yet */
    for (size_t i = 0; i < channel->router_count; i++)
        router_start(&channel->routers[i], now_ns);
}

static void carrier_went(struct channel *channel, struct outbox *out)
{
    for (size_t i = 0; i < channel->router_count; i++) {
        router_stop(&channel->routers[i]);
        out->publish_routers[channel->index] |= UINT32_C(1) << i;
    }
}

void channel_link(struct channel *channel, const struct link_event *event, int64_t now_ns, struct outbox *out)
{
    const bool carrier = event->present && event->carrier;
    const bool changed = channel->present != event->present || channel->carrier != carrier;

    if (changed || !mac_equal(&channel->mac, &event->mac))
        out->publish_links |= bit(channel);
    channel->mac = event->mac;
    channel->present = event->present;
    if (channel->carrier != carrier || channel->changed_ns == 0)
        channel->changed_ns = now_ns;
    if (channel->carrier != carrier) {
        channel->carrier = carrier;
        if (carrier)
            carrier_came(channel, event, now_ns);
        else
            carrier_went(channel, out);
    } else if (carrier && event->frames > channel->frames) {
        channel_frame(channel, now_ns);
    }
    if (changed)
        outbox_note(out, NOTE_LINK, channel->index, 0);
    judge_usable(channel, now_ns, out);
}

void channel_frame(struct channel *channel, int64_t received_ns)
{
    channel->frame_ns = MAX(channel->frame_ns, received_ns);
}

/* ----------------------------------------------------------------- requests */

static bool afford(struct channel *channel, int64_t now_ns)
{
    if (channel->budget_ns > now_ns + request_burst_ns)
        return false;
    channel->budget_ns = MAX(channel->budget_ns, now_ns) + request_cost_ns;
    return true;
}

/* The address of `own` in the network of `target`, else its first one of that family; else 0.0.0.0, or the
 * link-local address of this adapter, to which an answer finds the way whether the kernel has it or not. */
static struct net_address sender_for(const struct channel *channel, const struct config_addresses *own,
                                     const struct net_address *target)
{
    struct net_address sender = {.family = target->family};
    bool found = false;

    if (target->family == AF_INET6)
        nd_link_local(&channel->mac, &sender);
    for (size_t i = 0; i < own->count; i++) {
        const struct net_address *address = &own->items[i];
        if (address->family != target->family)
            continue;
        if (net_address_contains(address, target))
            return *address;
        if (!found)
            sender = *address;
        found = true;
    }
    return sender;
}

static void ask(struct channel *channel, const struct config_addresses *own, const struct net_address *target,
                const struct mac *to, struct outbox *out)
{
    const struct neighbour_request request = {
        .from = channel->mac, .to = *to, .sender = sender_for(channel, own, target), .target = *target};

    outbox_ask(out, channel->index, &request);
}

static void step_router(struct channel *channel, size_t i, const struct channel_pace *pace, int64_t now_ns,
                        struct outbox *out)
{
    struct router *router = &channel->routers[i];
    const bool answering = router->answering;

    if (router_is_quick(router, &pace->router, now_ns) ? now_ns < router->next_ns
                                                       : now_ns + pace->slack_ns < router->next_ns)
        return;
    if (channel->config->check_only_idle && router_is_talking(router, &pace->router, now_ns))
        return;
    if (!afford(channel, now_ns)) {
        router->next_ns = now_ns + request_cost_ns;
        return;
    }
    if (router_ask(router, &pace->router, now_ns))
        out->publish_routers[channel->index] |= UINT32_C(1) << i;
    if (answering != router->answering)
        outbox_note(out, NOTE_ROUTER, channel->index, (int64_t)i);
    ask(channel, pace->serves ? &channel->config->active : &channel->config->passive, &router->address,
        &mac_broadcast, out);
}

static const struct net_address *next_active(struct channel *channel)
{
    const struct config_addresses *active = &channel->config->active;

    return &active->items[channel->search.next_address++ % active->count];
}

static void send_search(struct channel *channel, const struct channel_pace *pace, int64_t now_ns,
                        struct outbox *out)
{
    struct search *search = &channel->search;
    const bool unicast =
        pace->quick && !mac_is_zero(&pace->peer) && now_ns - search->broadcast_ns < broadcast_every_ns;

    if (!unicast)
        search->broadcast_ns = now_ns;
    search_asked(search, pace->quick ? pace->search_quick_ns : pace->search_calm_ns, now_ns);
    ask(channel, &channel->config->passive, next_active(channel), unicast ? &pace->peer : &mac_broadcast,
        out);
}

static void wish_search(struct channel *channel, const struct channel_pace *pace, int64_t now_ns,
                        struct outbox *out)
{
    struct search *search = &channel->search;
    const bool wanted = pace->search && channel->searchable && channel->carrier;

    if (wanted == (search->state != SEARCH_STATE_IDLE) && search->quick == (wanted && pace->quick))
        return;
    if (wanted && search->state == SEARCH_STATE_IDLE)
        search_begin(search, now_ns);
    else if (!wanted)
        search_end(search);
    search->quick = wanted && pace->quick;
    if (search->quick)
        search->next_ns = MIN(search->next_ns, MAX(search->asked_ns + pace->search_quick_ns, now_ns));
    out->publish_searches |= bit(channel);
}

static void step_search(struct channel *channel, const struct channel_pace *pace, int64_t now_ns,
                        struct outbox *out)
{
    struct search *search = &channel->search;

    wish_search(channel, pace, now_ns, out);
    if (search->state == SEARCH_STATE_IDLE)
        return;
    if (search_judge(search, now_ns)) {
        out->publish_searches |= bit(channel);
        outbox_note(out, NOTE_SEARCH, channel->index, 0);
    }
    if (now_ns + (search->quick ? 0 : pace->slack_ns) < search->next_ns)
        return;
    if (!afford(channel, now_ns)) {
        search->next_ns = now_ns + request_cost_ns;
        return;
    }
    send_search(channel, pace, now_ns, out);
    /* That nobody answers is evidence, and is as old as the request that shows it. */
    if (search->state == SEARCH_STATE_SILENT && !search->quick)
        out->publish_searches |= bit(channel);
}

void channel_step(struct channel *channel, const struct channel_pace *pace, int64_t now_ns,
                  struct outbox *out)
{
    if (channel->carrier) {
        for (size_t i = 0; i < channel->router_count; i++)
            step_router(channel, i, pace, now_ns, out);
        const bool unproven = channel->router_count == 0 && channel->frame_ns < channel->changed_ns;
        if (unproven && now_ns >= channel->count_ns) {
            channel->count_ns = now_ns + count_every_ns;
            out->count_frames |= bit(channel);
        }
    }
    step_search(channel, pace, now_ns, out);
    judge_usable(channel, now_ns, out);
}

/* ------------------------------------------------------------------ answers */

int channel_compare(const void *a, const void *b)
{
    const struct net_address *x = a, *y = b;

    if (x->family != y->family)
        return x->family < y->family ? -1 : 1;
    return memcmp(&x->v4, &y->v4, x->family == AF_INET ? sizeof x->v4 : sizeof x->v6);
}

static bool is_active_address(const struct channel *channel, const struct net_address *address)
{
    const struct config_addresses *active = &channel->config->active;

    if (channel->sorted)
        return bsearch(address, channel->sorted, active->count, sizeof *address, channel_compare) != NULL;
    for (size_t i = 0; i < active->count; i++)
        if (net_address_equal(&active->items[i], address))
            return true;
    return false;
}

static void hear_router(struct channel *channel, size_t i, const struct channel_pace *pace,
                        const struct mac *mac, int64_t received_ns, int64_t now_ns, struct outbox *out)
{
    const bool answering = channel->routers[i].answering;

    if (router_answered(&channel->routers[i], &pace->router, mac, received_ns, now_ns))
        out->publish_routers[channel->index] |= UINT32_C(1) << i;
    if (!answering)
        outbox_note(out, NOTE_ROUTER, channel->index, (int64_t)i);
}

static bool hear_routers(struct channel *channel, const struct channel_pace *pace,
                         const struct neighbour *neighbour, int64_t received_ns, int64_t now_ns,
                         struct outbox *out)
{
    for (size_t i = 0; i < channel->router_count; i++) {
        if (!net_address_equal(&channel->routers[i].address, &neighbour->address))
            continue;
        hear_router(channel, i, pace, &neighbour->mac, received_ns, now_ns, out);
        return true;
    }
    return false;
}

bool channel_router_frame(struct channel *channel, const struct channel_pace *pace, const struct mac *from,
                          int64_t received_ns, int64_t now_ns, struct outbox *out)
{
    bool evidence = false;

    if (!channel->carrier || received_ns < channel->changed_ns)
        return false;
    channel_frame(channel, received_ns);
    for (size_t i = 0; i < channel->router_count; i++)
        if (!mac_is_zero(from) && mac_equal(&channel->routers[i].mac, from)) {
            hear_router(channel, i, pace, from, received_ns, now_ns, out);
            evidence = true;
        }
    judge_usable(channel, now_ns, out);
    return evidence;
}

static void hear_search(struct channel *channel, const struct channel_pace *pace,
                        const struct neighbour *neighbour, int64_t received_ns, struct outbox *out)
{
    struct search *search = &channel->search;
    const bool by_peer = mac_is_zero(&pace->peer) || mac_equal(&pace->peer, &neighbour->mac);
    const bool new_conflict =
        !by_peer && search->state != SEARCH_STATE_IDLE && received_ns - search->conflict_ns > NS_PER_S;

    if (search_answered(search, &neighbour->mac, by_peer, received_ns)) {
        out->publish_searches |= bit(channel);
        outbox_note(out, NOTE_SEARCH, channel->index, 0);
    } else if (new_conflict) {
        out->publish_searches |= bit(channel);
    }
}

bool channel_neighbour(struct channel *channel, const struct channel_pace *pace,
                       const struct neighbour *neighbour, int64_t received_ns, int64_t now_ns,
                       struct outbox *out)
{
    /* What was on its way when the carrier went proves nothing about now. */
    if (mac_equal(&neighbour->mac, &channel->mac) || !channel->carrier || received_ns < channel->changed_ns)
        return false;
    channel_frame(channel, received_ns);
    const bool evidence = hear_routers(channel, pace, neighbour, received_ns, now_ns, out);
    if (is_active_address(channel, &neighbour->address))
        hear_search(channel, pace, neighbour, received_ns, out);
    judge_usable(channel, now_ns, out);
    return evidence;
}

void channel_hint(struct channel *channel, const struct channel_pace *pace, int64_t now_ns)
{
    for (size_t i = 0; i < channel->router_count && channel->carrier; i++)
        router_hint(&channel->routers[i], &pace->router, now_ns);
}

void channel_restart(struct channel *channel, int64_t now_ns)
{
    if (channel->search.state != SEARCH_STATE_IDLE)
        search_restart(&channel->search, now_ns);
}

/* --------------------------------------------------------------------- time */

int64_t channel_wake_ns(const struct channel *channel, const struct channel_pace *pace, int64_t now_ns)
{
    int64_t wake = INT64_MAX;

    if (!channel->carrier)
        return wake;
    for (size_t i = 0; i < channel->router_count; i++)
        if (router_is_quick(&channel->routers[i], &pace->router, now_ns))
            wake = MIN(wake, channel->routers[i].next_ns);
    if (channel->search.state == SEARCH_STATE_IDLE)
        return wake;
    if (channel->search.quick)
        wake = MIN(wake, channel->search.next_ns);
    const int64_t verdict = search_verdict_ns(&channel->search);
    return verdict ? MIN(wake, verdict) : wake;
}

void channel_fill(const struct channel *channel, struct link_message *message)
{
    *message = (struct link_message){
        .present = channel->present,
        .carrier = channel->carrier,
        .usable = channel->usable,
        .evidence_ns = channel->evidence_ns,
        .fault_ns = channel->fault_ns,
        .changed_ns = channel->changed_ns,
    };
    text_copy(message->device, sizeof message->device, channel->config->device);
    if (!mac_is_zero(&channel->mac))
        mac_print(&channel->mac, message->mac);
}
