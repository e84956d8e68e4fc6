/* A changed configuration on a working node. What is wanted becomes another plan, with adapters of its own;
 * what hangs on the plan is told. The kernel keeps what both plans want, untouched.
 *
 * First the gate of the new plan takes the place of the old one, in one transaction; then what is new goes up
 * under it, and is announced; last what is not wanted any more goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/config_compare.h"
#include "takeoverd/holder_inside.h"

bool holder_check(void *userdata, const struct config *next, char *text, size_t size)
{
    const struct holder *h = userdata;

    (void)next;
    if (h->quiet || h->claim_waits || h->waiting || h->underway) {
        snprintf(text, size, "the role is just changing; try again in a moment");
        return false;
    }
    return true;
}

/* -------------------------------------------------------------- what is gone */

/* The plan has this address on that adapter, active or passive. */
static bool names_address(const struct plan *plan, int link, const struct net_address *address)
{
    for (size_t i = 0; i < plan->channel_count; i++)
        if (plan->links[i] == link && plan_find(plan, (int)i, address))
            return true;
    return false;
}

static bool names_route(const struct plan *plan, int link, const struct plan_route *route)
{
    for (size_t i = 0; i < plan->route_count; i++)
        if (plan->links[plan->routes[i].channel] == link && plan->routes[i].table == route->table &&
            plan->routes[i].to.prefix == route->to.prefix &&
            net_address_equal(&plan->routes[i].to, &route->to) &&
            net_address_equal(&plan->routes[i].via, &route->via))
            return true;
    return false;
}

static bool same_network(const struct net_address *a, const struct net_address *b)
{
    return a->prefix == b->prefix && net_address_equal(a, b);
}

static bool names_rule(const struct plan *plan, const struct plan_rule *rule)
{
    for (size_t i = 0; i < plan->rule_count; i++)
        if (plan->rules[i].table == rule->table && plan->rules[i].priority == rule->priority &&
            same_network(&plan->rules[i].from, &rule->from) && same_network(&plan->rules[i].to, &rule->to))
            return true;
    return false;
}

/* False: not all of it could be done. */
static bool apply(struct holder_kernel *old, size_t count, const char *what)
{
    struct adapters_failure failure;

    if (count == 0 || adapters_apply(old->adapters, &old->plan, old->operations, count, &failure) == 0)
        return true;
    log_warning("cannot remove %s that the configuration does not have any more: %s", what,
                strerror(-failure.error));
    return false;
}

_Static_assert((int)CONFIG_RULES_MAX <= (int)HOLDER_SLICE, "they go in one slice");
_Static_assert((int)CONFIG_ROUTES_MAX <= (int)HOLDER_SLICE, "they go in one slice");

/* A rule goes before the routes that it points to. */
static size_t drop_rules(struct holder_kernel *old, const struct plan *now)
{
    size_t count = 0;

    for (size_t i = 0; i < old->plan.rule_count; i++)
        if (old->plan.rules[i].held && !names_rule(now, &old->plan.rules[i]))
            old->operations[count++] = (struct plan_operation){.verb = PLAN_DELETE_RULE, .index = i};
    apply(old, count, "a rule");
    return count;
}

/* Before the new ones go up: two routes to one destination would stand in each other's way. */
static size_t drop_routes(struct holder_kernel *old, const struct plan *now)
{
    size_t count = 0;

    for (size_t i = 0; i < old->plan.route_count; i++) {
        const struct plan_route *route = &old->plan.routes[i];
        const int link = old->plan.links[route->channel];
        if (route->held && link != 0 && !names_route(now, link, route))
            old->operations[count++] = (struct plan_operation){.verb = PLAN_DELETE_ROUTE, .index = i};
    }
    apply(old, count, "a route");
    return count;
}

/* Secondaries before their primary, or the kernel moves the routes of all. */
static size_t find_gone(struct holder_kernel *old, const struct plan *now)
{
    size_t count = 0;

    for (int secondary = 1; secondary >= 0; secondary--)
        for (size_t i = 0; i < old->plan.address_count && count < HOLDER_SLICE; i++) {
            const struct plan_address *address = &old->plan.addresses[i];
            const int link = old->plan.links[address->channel];
            if (!address->active || !plan_holds(address) || address->secondary != (bool)secondary ||
                link == 0 || names_address(now, link, &address->address))
                continue;
            old->operations[count++] =
                (struct plan_operation){.verb = PLAN_DELETE_ADDRESS,
                                        .length = address->routed ? PLAN_ROUTED : address->address.prefix,
                                        .index = i};
        }
    return count;
}

/* While the clerk goes by the plan before, it may renew, and so put back, what is removed here. */
bool holder_leave(struct holder *h)
{
    if (clerk_is_behind(h->clerk))
        return false;
    const size_t count = find_gone(&h->leaving, &h->plan);
    h->left += count;
    if (apply(&h->leaving, count, "an active address") && count == HOLDER_SLICE)
        return false;
    holder_close_kernel(&h->leaving);
    h->leaving = (struct holder_kernel){0};
    return true;
}

/* ----------------------------------------------------------------- exchange */

static size_t count_active(const struct plan *plan)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->address_count; i++)
        count += plan->addresses[i].active;
    return count;
}

static void retire(struct holder *h, const struct config *before)
{
    const struct config *now = h->daemon->config;

    for (size_t i = 0; i < before->channel_count; i++) {
        bool kept = false;
        for (size_t k = 0; k < now->channel_count; k++)
            kept = kept || strcmp(before->channels[i].name, now->channels[k].name) == 0;
        if (!kept)
            bus_retire(h->daemon->bus, &address_channel_type, before->channels[i].name);
    }
}

/* `next` takes the place of what the holder has, which is handed out in it. */
static void exchange(struct holder *h, struct holder_kernel *next)
{
    const struct holder_kernel old = {h->plan, h->operations, h->operations_max, h->adapters,
                                      h->adapters_source};

    h->plan = next->plan;
    h->operations = next->operations;
    h->operations_max = next->operations_max;
    h->adapters = next->adapters;
    h->adapters_source = next->source;
    *next = old;
}

static int open_next(struct holder *h, struct holder_kernel *next, struct report **report)
{
    struct daemon *d = h->daemon;
    int r = holder_open_kernel(d->config, next);

    if (r == 0)
        r = report_open(d->config, &h->plan, h->announcer, h->asker, d->bus, report);
    if (r == 0)
        r = loop_add_fd(d->loop, adapters_fd(next->adapters), EPOLLIN, holder_on_events, h, &next->source);
    if (r == 0)
        r = clerk_configure(h->clerk, d->config); /* the last thing that can fail */
    if (r < 0)
        report_free(*report);
    return r;
}

/* What hangs on the plan follows it; the gate first. */
static void follow(struct holder *h, struct report *report)
{
    const struct config *now = h->daemon->config;

    gate_configure(h->gate, now, h->adapters);
    announcer_configure(h->announcer, h->adapters);
    lifetime_configure(h->lifetime, now);
    const int r = asker_configure(h->asker, now, h->adapters);
    if (r < 0)
        log_warning("cannot listen to all who ask for the active addresses: %s", strerror(-r));
    report_free(h->report);
    h->report = report;
}

static void tell_result(const struct holder *h, size_t before, size_t routes, char *text, size_t size)
{
    if (!h->underway && h->active && h->state.state != HOLD_STATE_HOLDING)
        snprintf(text, size, "not all addresses and routes could be put up: %.160s", h->state.error);
    else
        snprintf(text, size, "active addresses: %zu (before: %zu)%s; removed: %zu addresses, %zu routes%s",
                 count_active(&h->plan), before, h->active && !h->underway ? ", all up" : "", h->left, routes,
                 h->underway ? "; the rest follows" : "");
}

/* Other adapters, addresses, routes, or another lease. */
static int rebuild(struct holder *h, const struct config *before, char *text, size_t size)
{
    struct holder_kernel other = {0};
    struct report *report = NULL;
    int r = open_next(h, &other, &report);

    if (r < 0) {
        snprintf(text, size, "cannot read the kernel's addresses and routes: %s", strerror(-r));
        holder_close_kernel(&other);
        return r;
    }
    exchange(h, &other);
    loop_remove(other.source); /* what is told of it is not asked any more */
    other.source = NULL;
    h->leaving = other;
    h->left = 0;
    const size_t addresses = count_active(&other.plan);
    follow(h, report);
    h->risen = h->untold = 0; /* of the plan before; the new adapters have all risen: all is announced anew */
    size_t routes = drop_rules(&h->leaving, &h->plan);
    routes += drop_routes(&h->leaving, &h->plan);
    holder_settle(h, "the configuration was changed"); /* and what is gone goes */
    retire(h, before);
    tell_result(h, addresses, routes, text, size);
    return 0;
}

int holder_reload(void *userdata, const struct config *before, char *text, size_t size)
{
    struct holder *h = userdata;
    const struct config *now = h->daemon->config;
    const int64_t prepared = h->prepare.prepared;

    prepare_init(&h->prepare, config_hooks_ns(now, HOOK_EVENT_BEFORE_ACTIVE), now->timers.claim_time);
    h->prepare.prepared = prepared;
    if (!config_channels_equal(before, now) || !config_routes_equal(before, now) ||
        !config_rules_equal(before, now) || before->timers.address_lease != now->timers.address_lease)
        return rebuild(h, before, text, size);
    snprintf(text, size, "addresses and routes are as they were");
    return holder_hear_hooks(h);
}
