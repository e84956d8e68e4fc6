#include "takeoverd/wanted.h"

#include <errno.h>
#include <stdlib.h>

static size_t count_addresses(const struct config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->channel_count; i++)
        count += config->channels[i].active.count + config->channels[i].passive.count;
    return count;
}

static bool has_family(const struct config_addresses *addresses, int family)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (addresses->items[i].family == family)
            return true;
    return false;
}

/* The first IPv4 address of a channel stays one, whatever the others are. (IPv6 answers for addresses only.)
 */
static bool is_routed(const struct config_channel *channel, size_t index)
{
    size_t before = 0;

    for (size_t i = 0; i < index && before == 0; i++)
        before += channel->active.items[i].family == AF_INET;
    return channel->local_routes && before > 0 && channel->active.items[index].family == AF_INET;
}

/* A passive address gives way only to an active one of its family: else the adapter would be left without
 * any. */
static void add_addresses(struct plan *plan, const struct config_channel *channel, int index, bool active)
{
    const struct config_addresses *from = active ? &channel->active : &channel->passive;

    for (size_t i = 0; i < from->count; i++)
        plan->addresses[plan->address_count++] = (struct plan_address){
            .address = from->items[i],
            .channel = index,
            .active = active,
            .routed = active && is_routed(channel, i),
            .yields = !active && channel->mode == MODE_EXCHANGE &&
                      has_family(&channel->active, from->items[i].family),
        };
}

int wanted_plan(const struct config *config, struct plan *plan)
{
    *plan = (struct plan){.channel_count = config->channel_count};
    plan->addresses = calloc(count_addresses(config) + 1, sizeof *plan->addresses);
    plan->routes = calloc(config->route_count + 1, sizeof *plan->routes);
    plan->rules = calloc(config->rule_count + 1, sizeof *plan->rules);
    if (!plan->addresses || !plan->routes || !plan->rules)
        return -ENOMEM;
    for (size_t i = 0; i < config->channel_count; i++) {
        add_addresses(plan, &config->channels[i], (int)i, true);
        add_addresses(plan, &config->channels[i], (int)i, false);
    }
    qsort(plan->addresses, plan->address_count, sizeof *plan->addresses, plan_compare);
    for (size_t i = 0; i < config->route_count; i++)
        plan->routes[plan->route_count++] = (struct plan_route){.to = config->routes[i].to,
                                                                .via = config->routes[i].via,
                                                                .channel = config->routes[i].channel,
                                                                .table = (uint32_t)config->routes[i].table};
    for (size_t i = 0; i < config->rule_count; i++)
        plan->rules[plan->rule_count++] = (struct plan_rule){.from = config->rules[i].from,
                                                             .to = config->rules[i].to,
                                                             .table = (uint32_t)config->rules[i].table,
                                                             .priority = (uint32_t)config->rules[i].priority};
    return 0;
}

void wanted_free(struct plan *plan)
{
    free(plan->addresses);
    free(plan->routes);
    free(plan->rules);
    *plan = (struct plan){0};
}
