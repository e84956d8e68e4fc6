#include "takeoverd/plan.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- inventory */

static int compare_hosts(const struct net_address *a, const struct net_address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(&a->v4, &b->v4, a->family == AF_INET ? sizeof a->v4 : sizeof a->v6);
}

int plan_compare(const void *a, const void *b)
{
    const struct plan_address *x = a, *y = b;

    if (x->channel != y->channel)
        return x->channel < y->channel ? -1 : 1;
    return compare_hosts(&x->address, &y->address);
}

static bool has_length(const struct plan_address *address, uint8_t length)
{
    return address->lengths[length / 64] >> (length % 64) & 1;
}

static void set_length(struct plan_address *address, uint8_t length, bool there)
{
    const uint64_t bit = UINT64_C(1) << (length % 64);

    if (there)
        address->lengths[length / 64] |= bit;
    else
        address->lengths[length / 64] &= ~bit;
}

static bool held_at_all(const struct plan_address *address)
{
    return address->lengths[0] || address->lengths[1] || address->lengths[2];
}

static uint8_t wanted_length(const struct plan_address *address)
{
    return address->routed ? PLAN_ROUTED : address->address.prefix;
}

bool plan_holds(const struct plan_address *address)
{
    return has_length(address, wanted_length(address));
}

bool plan_wants(const struct plan_address *address, bool active)
{
    return address->active ? active : !(active && address->yields);
}

static int channel_of(const struct plan *plan, int link)
{
    for (size_t i = 0; i < plan->channel_count; i++)
        if (link != 0 && plan->links[i] == link)
            return (int)i;
    return -1;
}

static struct plan_address *find_address(const struct plan *plan, int link, const struct net_address *address)
{
    const struct plan_address key = {.address = *address, .channel = channel_of(plan, link)};

    if (key.channel < 0 || plan->address_count == 0 || address->prefix > 128)
        return NULL;
    return bsearch(&key, plan->addresses, plan->address_count, sizeof key, plan_compare);
}

const struct plan_address *plan_find(const struct plan *plan, int channel, const struct net_address *address)
{
    const struct plan_address key = {.address = *address, .channel = channel};

    if (plan->address_count == 0)
        return NULL;
    return bsearch(&key, plan->addresses, plan->address_count, sizeof key, plan_compare);
}

bool plan_see_address(struct plan *plan, int link, const struct net_address *address, bool secondary)
{
    struct plan_address *found = find_address(plan, link, address);

    if (!found)
        return false;
    found->secondary = secondary;
    if (has_length(found, address->prefix))
        return false;
    set_length(found, address->prefix, true);
    return true;
}

bool plan_lose_address(struct plan *plan, int link, const struct net_address *address)
{
    struct plan_address *found = find_address(plan, link, address);

    if (!found || !has_length(found, address->prefix))
        return false;
    set_length(found, address->prefix, false);
    return true;
}

bool plan_see_local_route(struct plan *plan, int link, const struct net_address *address, bool there)
{
    struct plan_address *found = find_address(plan, link, address);

    if (!found || has_length(found, PLAN_ROUTED) == there)
        return false;
    set_length(found, PLAN_ROUTED, there);
    return true;
}

bool plan_see_rule(struct plan *plan, const struct plan_rule *seen, bool there)
{
    bool changed = false;

    for (size_t i = 0; i < plan->rule_count; i++) {
        struct plan_rule *rule = &plan->rules[i];
        if (rule->held == there || rule->table != seen->table || rule->priority != seen->priority ||
            rule->from.prefix != seen->from.prefix || compare_hosts(&rule->from, &seen->from) != 0 ||
            rule->to.prefix != seen->to.prefix || compare_hosts(&rule->to, &seen->to) != 0)
            continue;
        rule->held = there;
        changed = true;
    }
    return changed;
}

bool plan_see_route(struct plan *plan, int link, uint32_t table, const struct net_address *to,
                    const struct net_address *via, bool there)
{
    bool changed = false;

    for (size_t i = 0; i < plan->route_count; i++) {
        struct plan_route *route = &plan->routes[i];
        if (plan->links[route->channel] != link || link == 0 || route->held == there ||
            route->table != table || route->to.prefix != to->prefix || compare_hosts(&route->to, to) != 0 ||
            !net_address_equal(&route->via, via))
            continue;
        route->held = there;
        changed = true;
    }
    return changed;
}

void plan_forget(struct plan *plan)
{
    for (size_t i = 0; i < plan->address_count; i++)
        memset(plan->addresses[i].lengths, 0, sizeof plan->addresses[i].lengths);
    for (size_t i = 0; i < plan->route_count; i++)
        plan->routes[i].held = false;
    for (size_t i = 0; i < plan->rule_count; i++)
        plan->rules[i].held = false;
}

void plan_set_link(struct plan *plan, int channel, int link)
{
    if (plan->links[channel] == link)
        return;
    plan->links[channel] = link;
    for (size_t i = 0; i < plan->address_count; i++)
        if (plan->addresses[i].channel == channel)
            memset(plan->addresses[i].lengths, 0, sizeof plan->addresses[i].lengths);
    for (size_t i = 0; i < plan->route_count; i++)
        if (plan->routes[i].channel == channel)
            plan->routes[i].held = false;
}

/* ------------------------------------------------------------ operations */

struct writer {
    const struct plan *plan;
    bool active;
    struct plan_operation *operations;
    size_t count, max;
};

static void emit(struct writer *w, enum plan_verb verb, size_t index, uint8_t length)
{
    if (w->count < w->max)
        w->operations[w->count++] = (struct plan_operation){verb, length, index};
}

static bool has_link(const struct writer *w, int channel)
{
    return w->plan->links[channel] != 0;
}

/* Deletes an address under every prefix length the kernel has it, but `kept`. */
static void emit_deletes_of(struct writer *w, size_t index, int kept)
{
    const struct plan_address *address = &w->plan->addresses[index];

    for (int length = 0; length <= PLAN_ROUTED; length++) {
        if (address->lengths[length / 64] == 0)
            length |= 63; /* nothing in this word */
        else if (length != kept && has_length(address, (uint8_t)length))
            emit(w, PLAN_DELETE_ADDRESS, index, (uint8_t)length);
    }
}

/* Addresses that are wanted, but also there under another prefix length. */
static void emit_strays(struct writer *w, int family)
{
    for (size_t i = 0; i < w->plan->address_count; i++) {
        const struct plan_address *address = &w->plan->addresses[i];
        if (address->address.family == family && plan_wants(address, w->active) &&
            has_link(w, address->channel))
            emit_deletes_of(w, i, wanted_length(address));
    }
}

/* Addresses that the role does not want, secondaries before primaries. */
static void emit_deletes(struct writer *w)
{
    for (int secondary = 1; secondary >= 0; secondary--)
        for (size_t i = 0; i < w->plan->address_count; i++) {
            const struct plan_address *address = &w->plan->addresses[i];
            if (!plan_wants(address, w->active) && address->secondary == (secondary == 1) &&
                has_link(w, address->channel) && held_at_all(address))
                emit_deletes_of(w, i, -1);
        }
}

static bool is_missing(const struct writer *w, const struct plan_address *address)
{
    return plan_wants(address, w->active) && !plan_holds(address) && has_link(w, address->channel);
}

/* One active address for each channel and family that has none, or all but those. Called once for each, with
 * the same inventory, it names every missing active address exactly once. What is a route anchors nothing. */
static void emit_active(struct writer *w, bool anchors)
{
    bool anchored[PLAN_CHANNELS_MAX][2] = {0};

    for (size_t i = 0; i < w->plan->address_count; i++) {
        const struct plan_address *address = &w->plan->addresses[i];
        if (address->active && !address->routed && plan_holds(address))
            anchored[address->channel][address->address.family == AF_INET6] = true;
    }
    for (size_t i = 0; i < w->plan->address_count; i++) {
        const struct plan_address *address = &w->plan->addresses[i];
        if (!address->active || !is_missing(w, address))
            continue;
        bool *const have = &anchored[address->channel][address->address.family == AF_INET6];
        if (address->routed ? !anchors : !*have == anchors)
            emit(w, PLAN_ADD_ADDRESS, i, wanted_length(address));
        *have = *have || !address->routed;
    }
}

static void emit_passive(struct writer *w)
{
    for (size_t i = 0; i < w->plan->address_count; i++)
        if (!w->plan->addresses[i].active && is_missing(w, &w->plan->addresses[i]))
            emit(w, PLAN_ADD_ADDRESS, i, w->plan->addresses[i].address.prefix);
}

static void emit_routes(struct writer *w)
{
    for (size_t i = 0; i < w->plan->route_count; i++)
        if (w->plan->routes[i].held != w->active && has_link(w, w->plan->routes[i].channel))
            emit(w, w->active ? PLAN_ADD_ROUTE : PLAN_DELETE_ROUTE, i, 0);
    for (size_t i = 0; i < w->plan->rule_count; i++)
        if (w->plan->rules[i].held != w->active)
            emit(w, w->active ? PLAN_ADD_RULE : PLAN_DELETE_RULE, i, 0);
}

size_t plan_make(const struct plan *plan, bool active, struct plan_operation *operations, size_t max)
{
    struct writer w = {.plan = plan, .active = active, .operations = operations, .max = max};

    emit_strays(&w,
                AF_INET6); /* IPv6 has an address once only: the wrong one is in the way of the right one */
    if (active) {
        emit_active(&w, true);
        emit_deletes(&w);
        emit_active(&w, false);
        emit_passive(&w);
    } else {
        emit_passive(&w);
        emit_deletes(&w);
    }
    emit_strays(&w, AF_INET);
    emit_routes(&w);
    return w.count;
}

void plan_done(struct plan *plan, const struct plan_operation *operation)
{
    switch (operation->verb) {
    case PLAN_ADD_ADDRESS:
    case PLAN_DELETE_ADDRESS:
        set_length(&plan->addresses[operation->index], operation->length,
                   operation->verb == PLAN_ADD_ADDRESS);
        break;
    case PLAN_ADD_ROUTE:
    case PLAN_DELETE_ROUTE:
        plan->routes[operation->index].held = operation->verb == PLAN_ADD_ROUTE;
        break;
    case PLAN_ADD_RULE:
    case PLAN_DELETE_RULE:
        plan->rules[operation->index].held = operation->verb == PLAN_ADD_RULE;
        break;
    case PLAN_RENEW_ADDRESS:
        break;
    }
}

bool plan_agrees(const struct plan *plan, const struct plan *other)
{
    bool same = memcmp(plan->links, other->links, plan->channel_count * sizeof *plan->links) == 0;

    for (size_t i = 0; i < plan->address_count && same; i++)
        same = memcmp(plan->addresses[i].lengths, other->addresses[i].lengths,
                      sizeof plan->addresses[i].lengths) == 0;
    for (size_t i = 0; i < plan->route_count && same; i++)
        same = plan->routes[i].held == other->routes[i].held;
    for (size_t i = 0; i < plan->rule_count && same; i++)
        same = plan->rules[i].held == other->rules[i].held;
    return same;
}

struct plan_tally plan_count(const struct plan *plan, bool active)
{
    struct plan_tally tally = {.absent = -1};

    for (size_t i = 0; i < plan->address_count; i++) {
        const struct plan_address *address = &plan->addresses[i];
        const bool holds = plan_holds(address);
        tally.active_held += address->active && held_at_all(address);
        tally.active_missing += address->active && !holds;
        tally.wanted += plan_wants(address, active);
        tally.missing += plan_wants(address, active) && !holds;
        if (plan->links[address->channel] == 0 && tally.absent < 0)
            tally.absent = address->channel;
    }
    for (size_t i = 0; i < plan->route_count; i++)
        tally.routes_missing += active && !plan->routes[i].held;
    for (size_t i = 0; i < plan->rule_count; i++)
        tally.routes_missing += active && !plan->rules[i].held;
    return tally;
}
