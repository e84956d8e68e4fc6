/* A changed configuration on a working node: what is in both goes on, with its sockets; what is new is opened
 * as at the start; what is gone is closed, and its topics are told no more. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/config_compare.h"
#include "heartbeatd/shell.h"

bool shell_check(void *userdata, const struct config *next, char *text, size_t size)
{
    const char *other, *name = shell_alike_channels(next, &other);

    (void)userdata;
    if (name)
        snprintf(text, size, "the channels %s and %s cannot be told apart in heartbeats: rename one of them",
                 name, other);
    return !name;
}

/* ------------------------------------------------------------------ topics */

static const struct config_channel *find_channel(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return &config->channels[i];
    return NULL;
}

static bool is_router(const struct config *config, const struct net_address *address)
{
    for (size_t i = 0; i < config->channel_count; i++)
        for (size_t k = 0; k < config->channels[i].routers.count; k++)
            if (net_address_equal(&config->channels[i].routers.items[k], address))
                return true;
    return false;
}

static void retire(struct shell *shell, const struct config *before)
{
    const struct config *now = shell->daemon->config;
    struct bus *bus = shell->daemon->bus;
    char address[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < before->channel_count; i++) {
        const struct config_channel *channel = &before->channels[i];
        for (size_t k = 0; k < channel->routers.count; k++) {
            net_address_print(&channel->routers.items[k], false, address);
            if (!is_router(now, &channel->routers.items[k]))
                bus_retire(bus, &router_type, address);
        }
        if (find_channel(now, channel->name))
            continue;
        bus_retire(bus, &link_type, channel->name);
        bus_retire(bus, &path_type, channel->name);
        bus_retire(bus, &search_type, channel->name);
    }
}

/* ----------------------------------------------------------------- sockets */

/* The sockets of channel `i` hear what they are to hear by the new configuration, too. */
static bool keeps_sockets(const struct config *before, const struct config *now, size_t i)
{
    if (i >= before->channel_count || i >= now->channel_count)
        return false;
    const struct config_channel *a = &before->channels[i], *b = &now->channels[i];
    return strcmp(a->name, b->name) == 0 && strcmp(a->device, b->device) == 0 &&
           config_addresses_equal(&a->active, &b->active) && config_addresses_equal(&a->routers, &b->routers);
}

/* The device's number, if it was known under the configuration before; else it is asked for. */
static void open_anew(struct shell *shell, size_t i, unsigned known)
{
    const char *device = shell->daemon->config->channels[i].device;

    if (known == 0) {
        const unsigned index = if_nametoindex(device);
        if (index != 0)
            links_ask(shell->links, index);
        return;
    }
    const int r = shell_open_channel(shell, i, known);
    if (r < 0)
        log_error("cannot open packet sockets on %s: %s", device, strerror(-r));
    shell->device_index[i] = known;
}

static unsigned index_before(const struct config *before, const unsigned indices[static CONFIG_CHANNELS_MAX],
                             const struct config_channel *channel)
{
    for (size_t i = 0; i < before->channel_count; i++)
        if (strcmp(before->channels[i].name, channel->name) == 0 &&
            strcmp(before->channels[i].device, channel->device) == 0)
            return indices[i];
    return 0;
}

static void exchange_sockets(struct shell *shell, const struct config *before)
{
    const struct config *now = shell->daemon->config;
    unsigned indices[CONFIG_CHANNELS_MAX];

    memcpy(indices, shell->device_index, sizeof indices);
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++)
        if (!keeps_sockets(before, now, i))
            shell_close_channel(shell, i);
    for (size_t i = 0; i < now->channel_count; i++)
        if (!keeps_sockets(before, now, i))
            open_anew(shell, i, index_before(before, indices, &now->channels[i]));
}

int shell_reload(void *userdata, const struct config *before, char *text, size_t size)
{
    struct shell *shell = userdata;
    const struct config *now = shell->daemon->config;

    retire(shell, before);
    detector_configure(&shell->detector, now, clock_now_ns());
    exchange_sockets(shell, before);
    detector_tick(&shell->detector, clock_now_ns(), &shell->outbox);
    shell_finish(shell);
    if (!config_channels_equal(before, now))
        snprintf(text, size, "listens on %zu channel%s", now->channel_count,
                 now->channel_count == 1 ? "" : "s");
    else
        snprintf(text, size, "%s", config_timers_equal(before, now) ? "shows it to the peer" : "keeps the new times");
    return 0;
}
