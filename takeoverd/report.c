#include "takeoverd/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct report {
    const struct config *config;
    const struct plan *plan;
    const struct announcer *announcer;
    const struct asker *asker;
    struct bus *bus;
    struct address_channel_message now;
    struct address_channel_message *told; /* by channel */
};

static void add_address(struct address_channel_message *message, const struct plan_address *address,
                        bool active)
{
    const bool held = plan_holds(address), wanted = plan_wants(address, active);

    message->wanted += wanted;
    message->missing += wanted && !held;
    if (message->addresses_count == ARRAY_LENGTH(message->addresses)) {
        message->more++;
        return;
    }
    struct held_address *shown = &message->addresses[message->addresses_count++];
    net_address_print(&address->address, true, shown->address);
    shown->active = address->active;
    shown->held = held;
}

/* Passive, nobody is asked. */
static void add_routers(const struct report *r, size_t channel, struct address_channel_message *message)
{
    const struct config_addresses *routers = &r->config->channels[channel].routers;

    for (size_t i = 0; i < routers->count && i < ARRAY_LENGTH(message->routers); i++) {
        const struct confirm_tally tally = asker_count(r->asker, (int)channel, (int)i);
        struct told_router *router = &message->routers[message->routers_count++];
        net_address_print(&routers->items[i], false, router->address);
        router->asked = (int64_t)tally.asked;
        router->confirmed = (int64_t)tally.confirmed;
        router->took_us = tally.took_ns / NS_PER_US;
    }
    const struct confirm_tally others = asker_count(r->asker, (int)channel, -1);
    message->neighbours = (int64_t)others.asked;
    message->neighbours_confirmed = (int64_t)others.confirmed;
}

static void fill(struct report *r, size_t channel, bool active)
{
    const struct config_channel *config = &r->config->channels[channel];
    struct address_channel_message *message = &r->now;

    memset(message, 0, sizeof *message); /* padding too: it is compared as bytes */
    text_copy(message->device, sizeof message->device, config->device);
    text_copy(message->mode, sizeof message->mode, config->mode == MODE_EXCHANGE ? "exchange" : "overlay");
    message->announced = announcer_sent(r->announcer, channel);
    add_routers(r, channel, message);
    for (size_t i = 0; i < r->plan->address_count; i++)
        if (r->plan->addresses[i].channel == (int)channel)
            add_address(message, &r->plan->addresses[i], active);
}

void report_tell(struct report *r, bool active, const char *cause)
{
    for (size_t i = 0; i < r->plan->channel_count; i++) {
        fill(r, i, active);
        if (memcmp(&r->told[i], &r->now, sizeof r->now) == 0)
            continue;
        memcpy(&r->told[i], &r->now, sizeof r->now);
        bus_publish(r->bus, &address_channel_type, r->config->channels[i].name, &r->now, cause);
    }
}

int report_open(const struct config *config, const struct plan *plan, const struct announcer *announcer,
                const struct asker *asker, struct bus *bus, struct report **report)
{
    struct report *r = calloc(1, sizeof *r);

    if (!r || !(r->told = calloc(config->channel_count + 1, sizeof *r->told))) {
        free(r);
        return -ENOMEM;
    }
    r->config = config;
    r->plan = plan;
    r->announcer = announcer;
    r->asker = asker;
    r->bus = bus;
    *report = r;
    return 0;
}

void report_free(struct report *r)
{
    if (!r)
        return;
    free(r->told);
    free(r);
}
