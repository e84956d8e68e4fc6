#include "common/config_compare.h"

#include <stdio.h>
#include <string.h>

/* ---- things */

bool config_strings_equal(const struct config_strings *a, const struct config_strings *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool same_address(const struct net_address *a, const struct net_address *b)
{
    return a->prefix == b->prefix && (a->family == 0 ? b->family == 0 : net_address_equal(a, b));
}

bool config_addresses_equal(const struct config_addresses *a, const struct config_addresses *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_address(&a->items[i], &b->items[i]))
            return false;
    return true;
}

bool config_heartbeat_equal(const struct config_channel *a, const struct config_channel *b)
{
    return a->heartbeat_udp == b->heartbeat_udp && same_address(&a->udp_own, &b->udp_own) &&
           same_address(&a->udp_peer, &b->udp_peer);
}

bool config_channel_equal(const struct config_channel *a, const struct config_channel *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->device, b->device) == 0 && a->mode == b->mode &&
           a->search == b->search && config_heartbeat_equal(a, b) &&
           a->check_only_idle == b->check_only_idle && a->local_routes == b->local_routes &&
           config_addresses_equal(&a->active, &b->active) &&
           config_addresses_equal(&a->passive, &b->passive) &&
           config_addresses_equal(&a->peer_passive, &b->peer_passive) &&
           config_addresses_equal(&a->routers, &b->routers);
}

bool config_route_equal(const struct config_route *a, const struct config_route *b)
{
    return strcmp(a->name, b->name) == 0 && same_address(&a->to, &b->to) && same_address(&a->via, &b->via) &&
           a->channel == b->channel && a->table == b->table;
}

bool config_rule_equal(const struct config_rule *a, const struct config_rule *b)
{
    return strcmp(a->name, b->name) == 0 && same_address(&a->from, &b->from) &&
           same_address(&a->to, &b->to) && a->table == b->table && a->priority == b->priority;
}

bool config_hook_equal(const struct config_hook *a, const struct config_hook *b)
{
    return strcmp(a->name, b->name) == 0 && a->event == b->event && a->timeout == b->timeout &&
           strcmp(a->user, b->user) == 0 && strcmp(a->group, b->group) == 0 &&
           config_strings_equal(&a->command, &b->command);
}

bool config_sync_equal(const struct config_sync *a, const struct config_sync *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->sqlite, b->sqlite) == 0 &&
           a->privileged == b->privileged && a->max_delay == b->max_delay && a->keep == b->keep &&
           config_strings_equal(&a->paths, &b->paths) && config_strings_equal(&a->exclude, &b->exclude) &&
           config_strings_equal(&a->validate, &b->validate) && config_strings_equal(&a->apply, &b->apply) &&
           config_strings_equal(&a->dump, &b->dump) && config_strings_equal(&a->restore, &b->restore);
}

bool config_service_same_program(const struct config_service *a, const struct config_service *b)
{
    return config_strings_equal(&a->command, &b->command) && config_strings_equal(&a->start, &b->start) &&
           config_strings_equal(&a->stop, &b->stop) && strcmp(a->unit, b->unit) == 0 &&
           strcmp(a->process, b->process) == 0 && strcmp(a->pidfile, b->pidfile) == 0 &&
           strcmp(a->user, b->user) == 0 && strcmp(a->group, b->group) == 0;
}

bool config_service_equal(const struct config_service *a, const struct config_service *b)
{
    return strcmp(a->name, b->name) == 0 && config_service_same_program(a, b) &&
           config_strings_equal(&a->check, &b->check) && config_strings_equal(&a->after, &b->after) &&
           a->when == b->when && a->on_failure == b->on_failure && a->exclusive == b->exclusive &&
           a->check_interval == b->check_interval && a->check_timeout == b->check_timeout &&
           a->check_failures == b->check_failures && a->start_timeout == b->start_timeout &&
           a->start_retries == b->start_retries && a->retry_interval == b->retry_interval &&
           a->stop_timeout == b->stop_timeout;
}

/* ---- all of a kind */

bool config_channels_equal(const struct config *a, const struct config *b)
{
    if (a->channel_count != b->channel_count)
        return false;
    for (size_t i = 0; i < a->channel_count; i++)
        if (!config_channel_equal(&a->channels[i], &b->channels[i]))
            return false;
    return true;
}

bool config_routes_equal(const struct config *a, const struct config *b)
{
    if (a->route_count != b->route_count)
        return false;
    for (size_t i = 0; i < a->route_count; i++)
        if (!config_route_equal(&a->routes[i], &b->routes[i]))
            return false;
    return true;
}

bool config_rules_equal(const struct config *a, const struct config *b)
{
    if (a->rule_count != b->rule_count)
        return false;
    for (size_t i = 0; i < a->rule_count; i++)
        if (!config_rule_equal(&a->rules[i], &b->rules[i]))
            return false;
    return true;
}

bool config_services_equal(const struct config *a, const struct config *b)
{
    if (a->service_count != b->service_count)
        return false;
    for (size_t i = 0; i < a->service_count; i++)
        if (!config_service_equal(&a->services[i], &b->services[i]))
            return false;
    return true;
}

bool config_hooks_equal(const struct config *a, const struct config *b)
{
    if (a->hook_count != b->hook_count)
        return false;
    for (size_t i = 0; i < a->hook_count; i++)
        if (!config_hook_equal(&a->hooks[i], &b->hooks[i]))
            return false;
    return true;
}

bool config_syncs_equal(const struct config *a, const struct config *b)
{
    if (a->sync_count != b->sync_count)
        return false;
    for (size_t i = 0; i < a->sync_count; i++)
        if (!config_sync_equal(&a->syncs[i], &b->syncs[i]))
            return false;
    return true;
}

bool config_timers_equal(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < CONFIG_TIMERS; i++)
        if (config_timer_ns(&a->timers, &config_timer_table[i]) !=
            config_timer_ns(&b->timers, &config_timer_table[i]))
            return false;
    return a->timers.router_retries == b->timers.router_retries;
}

bool config_snmp_equal(const struct config *a, const struct config *b)
{
    return strcmp(a->snmp_config, b->snmp_config) == 0 && strcmp(a->snmp_agentx, b->snmp_agentx) == 0 &&
           a->snmp_base.count == b->snmp_base.count &&
           memcmp(a->snmp_base.arcs, b->snmp_base.arcs, a->snmp_base.count * sizeof a->snmp_base.arcs[0]) ==
               0;
}

bool config_monitor_equal(const struct config *a, const struct config *b)
{
    return strcmp(a->monitor.listen, b->monitor.listen) == 0 &&
           strcmp(a->monitor.metrics, b->monitor.metrics) == 0 &&
           strcmp(a->monitor.key_file, b->monitor.key_file) == 0 &&
           strcmp(a->monitor.clients, b->monitor.clients) == 0;
}

/* ---- what needs a restart */

static bool refuse(char why[static CONFIG_REFUSAL_MAX], const char *what)
{
    snprintf(
        why, CONFIG_REFUSAL_MAX,
        "%s cannot be changed while duet runs: take it back, or restart duet on one node after the other "
        "(docs: operations)",
        what);
    return false;
}

static bool nodes_same(const struct config *now, const struct config *next)
{
    for (int i = 0; i < CONFIG_NODES; i++)
        if (strcmp(now->nodes[i].name, next->nodes[i].name) != 0 ||
            !same_address(&now->nodes[i].reserved, &next->nodes[i].reserved))
            return false;
    return true;
}

static bool search_everywhere(const struct config *config)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (!config->channels[i].search)
            return false;
    return true;
}

static bool refuse_times(char why[static CONFIG_REFUSAL_MAX], const char *key, int64_t span_ns,
                         const char *fault, const char *other, int64_t other_ns)
{
    char x[DURATION_TEXT_MAX], y[DURATION_TEXT_MAX];

    duration_print(span_ns, x);
    duration_print(other_ns, y);
    snprintf(why, CONFIG_REFUSAL_MAX,
             "%.20s (%.20s on one node) is too %s for %.20s (%.20s on the other) until both are changed: "
             "change it in two steps, with a reload of both nodes after each",
             key, x, fault, other, y);
    return false;
}

/* For a while one node goes by the times before, and the other by the new ones: each alone must be safe
 * beside the other. */
static bool times_meet(const struct config *now, const struct config *next,
                       char why[static CONFIG_REFUSAL_MAX])
{
    const struct config_timers *a = &now->timers, *b = &next->timers;
    const int64_t interval = MAX(a->heartbeat_interval, b->heartbeat_interval),
                  takeover = MIN(a->takeover_after, b->takeover_after),
                  lease_least = MIN(a->address_lease, b->address_lease),
                  lease_most = MAX(a->address_lease, b->address_lease);
    const int64_t isolation = MAX(a->isolation_after, b->isolation_after);
    const bool searched = search_everywhere(now) && search_everywhere(next);

    if (takeover < 2 * interval)
        return refuse_times(why, "takeover-after", takeover, "short", "heartbeat-interval", interval);
    if (lease_least < 2 * interval)
        return refuse_times(why, "address-lease", lease_least, "short", "heartbeat-interval", interval);
    if (takeover <= isolation)
        return refuse_times(why, "takeover-after", takeover, "short", "isolation-after", isolation);
    if (!searched && lease_most > takeover - interval - 3 * NS_PER_MS)
        return refuse_times(why, "address-lease", lease_most, "long", "takeover-after", takeover);
    return true;
}

/* What a witness grants rests on the times of both nodes. */
static bool deadlines_same(const struct config_timers *a, const struct config_timers *b)
{
    return a->heartbeat_interval == b->heartbeat_interval && a->takeover_after == b->takeover_after &&
           a->address_lease == b->address_lease && a->isolation_after == b->isolation_after;
}

static bool third_same(const struct config *now, const struct config *next)
{
    return config_strings_equal(&now->witness.endpoints, &next->witness.endpoints) &&
           strcmp(now->witness.key, next->witness.key) == 0 &&
           strcmp(now->witness.ca_file, next->witness.ca_file) == 0 &&
           strcmp(now->witness.user, next->witness.user) == 0 &&
           strcmp(now->witness.password_file, next->witness.password_file) == 0 &&
           config_strings_equal(&now->fence.command, &next->fence.command) &&
           now->fence.timeout == next->fence.timeout;
}

static const struct config_channel *find_channel(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return &config->channels[i];
    return NULL;
}

/* Between the reloads of the two nodes a path that goes another way is none: another one must carry on. */
static bool heartbeats_go_on(const struct config *now, const struct config *next,
                             char why[static CONFIG_REFUSAL_MAX])
{
    const struct config_channel *changed = NULL;

    for (size_t i = 0; i < now->channel_count; i++) {
        const struct config_channel *channel = find_channel(next, now->channels[i].name);
        if (channel && config_heartbeat_equal(&now->channels[i], channel))
            return true;
        changed = channel ? channel : changed;
    }
    if (!changed || now->nodes[0].reserved.family != 0)
        return true;
    snprintf(why, CONFIG_REFUSAL_MAX,
             "heartbeat on channel %s, or the addresses between which it goes, cannot be changed while it is "
             "the only path: add a reserved line, or stop duet on both nodes",
             changed->name);
    return false;
}

static const struct net_address *first_ipv4(const struct config_channel *channel)
{
    for (size_t i = 0; i < channel->active.count; i++)
        if (channel->active.items[i].family == AF_INET)
            return &channel->active.items[i];
    return NULL;
}

/* What the kernel holds as an address is not made a route under those who use it, nor a route an address. */
static bool held_alike(const struct config_channel *a, const struct config_channel *b)
{
    const struct net_address *x = first_ipv4(a), *y = first_ipv4(b);

    if (a->local_routes != b->local_routes)
        return false;
    return !a->local_routes || (x && y ? same_address(x, y) : x == y);
}

static bool all_held_alike(const struct config *now, const struct config *next,
                           char why[static CONFIG_REFUSAL_MAX])
{
    for (size_t i = 0; i < now->channel_count; i++)
        for (size_t k = 0; k < next->channel_count; k++)
            if (strcmp(now->channels[i].device, next->channels[k].device) == 0 &&
                !held_alike(&now->channels[i], &next->channels[k]))
                return refuse(why, "hold-as, or the first IPv4 active-address with hold-as = local-routes,");
    return true;
}

bool config_can_reload(const struct config *now, const struct config *next,
                       char why[static CONFIG_REFUSAL_MAX])
{
    why[0] = '\0';
    if (strcmp(now->cluster, next->cluster) != 0)
        return refuse(why, "the name of the cluster");
    if (!nodes_same(now, next))
        return refuse(why, "a node (its name, its reserved-address, or which one is the first)");
    if (strcmp(now->key_file, next->key_file) != 0 || strcmp(now->old_key_file, next->old_key_file) != 0)
        return refuse(why, "key-file or old-key-file");
    if (now->lease_gate != next->lease_gate)
        return refuse(why, "lease-gate");
    if (strcmp(now->watchdog.device, next->watchdog.device) != 0 ||
        now->watchdog.timeout != next->watchdog.timeout)
        return refuse(why, "the watchdog's device or timeout");
    if (!third_same(now, next))
        return refuse(why, "the witness or the fence");
    if (config_has_witness(now) && !deadlines_same(&now->timers, &next->timers))
        return refuse(why, "heartbeat-interval, takeover-after, address-lease or isolation-after, with a "
                           "witness,");
    return all_held_alike(now, next, why) && heartbeats_go_on(now, next, why) && times_meet(now, next, why);
}

/* ---- the list for people */

struct named {
    const char *kind;
    size_t now_count, next_count;
    const char *(*name)(const struct config *config, size_t i);
    bool (*equal)(const struct config *a, size_t i, const struct config *b, size_t k);
};

static const char *channel_name(const struct config *c, size_t i)
{
    return c->channels[i].name;
}

static bool channel_same(const struct config *a, size_t i, const struct config *b, size_t k)
{
    return config_channel_equal(&a->channels[i], &b->channels[k]);
}

static const char *route_name(const struct config *c, size_t i)
{
    return c->routes[i].name;
}

static bool route_same(const struct config *a, size_t i, const struct config *b, size_t k)
{
    struct config_route x = a->routes[i], y = b->routes[k];

    if (strcmp(a->channels[x.channel].name, b->channels[y.channel].name) != 0)
        return false;
    x.channel = y.channel = 0; /* where they stand in the file */
    return config_route_equal(&x, &y);
}

static const char *rule_name(const struct config *c, size_t i)
{
    return c->rules[i].name;
}

static bool rule_same(const struct config *a, size_t i, const struct config *b, size_t k)
{
    return config_rule_equal(&a->rules[i], &b->rules[k]);
}

static const char *service_name(const struct config *c, size_t i)
{
    return c->services[i].name;
}

static bool service_same(const struct config *a, size_t i, const struct config *b, size_t k)
{
    return config_service_equal(&a->services[i], &b->services[k]);
}

static const char *hook_name(const struct config *c, size_t i)
{
    return c->hooks[i].name;
}

static bool hook_same(const struct config *a, size_t i, const struct config *b, size_t k)
{
    return config_hook_equal(&a->hooks[i], &b->hooks[k]);
}

static const char *sync_name(const struct config *c, size_t i)
{
    return c->syncs[i].name;
}

static bool sync_same(const struct config *a, size_t i, const struct config *b, size_t k)
{
    return config_sync_equal(&a->syncs[i], &b->syncs[k]);
}

static size_t find(const struct named *named, const struct config *config, size_t count, const char *name)
{
    size_t i = 0;

    while (i < count && strcmp(named->name(config, i), name) != 0)
        i++;
    return i;
}

static int list_named(const struct named *named, const struct config *now, const struct config *next,
                      FILE *out)
{
    int count = 0;

    for (size_t i = 0; i < named->now_count; i++)
        if (find(named, next, named->next_count, named->name(now, i)) == named->next_count)
            count += fprintf(out, "%s %s: removed\n", named->kind, named->name(now, i)) > 0;
    for (size_t k = 0; k < named->next_count; k++) {
        const char *name = named->name(next, k);
        const size_t i = find(named, now, named->now_count, name);
        if (i == named->now_count)
            count += fprintf(out, "%s %s: added\n", named->kind, name) > 0;
        else if (!named->equal(now, i, next, k))
            count += fprintf(out, "%s %s: changed\n", named->kind, name) > 0;
    }
    return count;
}

static int list_timers(const struct config *now, const struct config *next, FILE *out)
{
    char x[DURATION_TEXT_MAX], y[DURATION_TEXT_MAX];
    int count = 0;

    for (size_t i = 0; i < CONFIG_TIMERS; i++) {
        const int64_t a = config_timer_ns(&now->timers, &config_timer_table[i]),
                      b = config_timer_ns(&next->timers, &config_timer_table[i]);
        if (a == b)
            continue;
        duration_print(a, x);
        duration_print(b, y);
        count += fprintf(out, "%s: %s instead of %s\n", config_timer_table[i].key, y, x) > 0;
    }
    if (now->timers.router_retries != next->timers.router_retries)
        count += fprintf(out, "router-retries: %d instead of %d\n", next->timers.router_retries,
                         now->timers.router_retries) > 0;
    return count;
}

static bool reboot_equal(const struct config *a, const struct config *b)
{
    return a->on_network_fault == b->on_network_fault && a->reboot_force == b->reboot_force &&
           config_strings_equal(&a->reboot_command, &b->reboot_command);
}

int config_list_changes(const struct config *now, const struct config *next, FILE *out)
{
    const struct named kinds[] = {
        {"channel", now->channel_count, next->channel_count, channel_name, channel_same},
        {"route", now->route_count, next->route_count, route_name, route_same},
        {"rule", now->rule_count, next->rule_count, rule_name, rule_same},
        {"service", now->service_count, next->service_count, service_name, service_same},
        {"hook", now->hook_count, next->hook_count, hook_name, hook_same},
        {"sync", now->sync_count, next->sync_count, sync_name, sync_same},
    };
    int count = list_timers(now, next, out);

    if (!reboot_equal(now, next))
        count += fprintf(out, "on-network-fault, reboot-command or reboot-force: changed\n") > 0;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        count += list_named(&kinds[i], now, next, out);
    if (now->watchdog.required != next->watchdog.required)
        count += fprintf(out, "watchdog: %srequired\n", next->watchdog.required ? "" : "not ") > 0;
    if (!config_snmp_equal(now, next))
        count += fprintf(out, "snmp: changed\n") > 0;
    if (!config_monitor_equal(now, next))
        count += fprintf(out, "monitor: changed\n") > 0;
    return count;
}
