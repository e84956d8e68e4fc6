/* A changed configuration on a working node: what is in both goes on, with its sockets; what is new is opened
 * as at the start; what is gone is closed, and its topics are told no more. */
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The kernel takes ten milliseconds and more to close a packet socket, and a heartbeat would be late by them:
 * that is done beside. */
struct closing {
    size_t count;
    int fds[4 * CONFIG_CHANNELS_MAX];
};

static void *close_all(void *userdata)
{
    struct closing *closing = userdata;

    for (size_t i = 0; i < closing->count; i++)
        close(closing->fds[i]);
    free(closing);
    return NULL;
}

static void close_beside(struct closing *closing)
{
    pthread_t thread;

    if (closing->count == 0 || pthread_create(&thread, NULL, close_all, closing) != 0)
        close_all(closing);
    else
        pthread_detach(thread);
}

static int take_out(struct ear *ear)
{
    const int fd = ear->fd;

    loop_remove(ear->source);
    ear->fd = -1;
    ear->source = NULL;
    return fd;
}

static void take_all_out(struct shell *shell, struct shell_sockets sockets[static CONFIG_CHANNELS_MAX])
{
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++) {
        sockets[i].path = take_out(&shell->paths[PATH_CHANNEL + i]);
        sockets[i].arp = take_out(&shell->arps[i]);
        sockets[i].discovery = take_out(&shell->discoveries[i]);
        sockets[i].idle = shell->idles[i];
        memcpy(sockets[i].idle_macs, shell->idle_macs[i], sizeof sockets[i].idle_macs);
        sockets[i].device_index = shell->device_index[i];
        shell->idles[i] = -1;
        shell->device_index[i] = 0;
        shell->line_retry_ns[PATH_CHANNEL + i] = 0;
    }
}

static void drop(int *fd, struct closing *closing)
{
    if (*fd >= 0)
        closing->fds[closing->count++] = *fd;
    *fd = -1;
}

/* What the channel does not need any more, or needs in another way. */
static void drop_changed(struct shell_sockets *sockets, const struct config_channel *before,
                         const struct config_channel *now, struct closing *closing)
{
    if (!config_heartbeat_equal(before, now))
        drop(&sockets->path, closing);
    if (!now->check_only_idle)
        drop(&sockets->idle, closing);
}

static int place_before(const struct config *before, const struct config_channel *channel)
{
    for (size_t i = 0; i < before->channel_count; i++)
        if (strcmp(before->channels[i].name, channel->name) == 0 &&
            strcmp(before->channels[i].device, channel->device) == 0)
            return (int)i;
    return -1;
}

/* A new channel: its device tells of itself, and is opened then. */
static void call_device(struct shell *shell, const struct config_channel *channel)
{
    const unsigned index = if_nametoindex(channel->device);

    if (index != 0)
        links_ask(shell->links, index);
}

static void exchange_sockets(struct shell *shell, const struct config *before, struct closing *closing)
{
    const struct config *now = shell->daemon->config;
    bool kept[CONFIG_CHANNELS_MAX] = {0};
    struct shell_sockets sockets[CONFIG_CHANNELS_MAX];

    take_all_out(shell, sockets);
    for (size_t i = 0; i < now->channel_count; i++) {
        const int from = place_before(before, &now->channels[i]);
        if (from < 0) {
            call_device(shell, &now->channels[i]);
            continue;
        }
        kept[from] = true;
        drop_changed(&sockets[from], &before->channels[from], &now->channels[i], closing);
        shell_keep_channel(shell, i, &sockets[from]);
    }
    for (size_t i = 0; i < before->channel_count; i++)
        if (!kept[i]) {
            drop(&sockets[i].path, closing);
            drop(&sockets[i].arp, closing);
            drop(&sockets[i].discovery, closing);
            drop(&sockets[i].idle, closing);
        }
}

/* Both or none: `sorted` is freed again. */
static struct closing *take_memory(const struct config *now,
                                   struct net_address *sorted[static CONFIG_CHANNELS_MAX])
{
    struct closing *closing = calloc(1, sizeof *closing);

    if (shell_sort(now, sorted) == 0 && closing)
        return closing;
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++)
        free(sorted[i]);
    free(closing);
    return NULL;
}

int shell_reload(void *userdata, const struct config *before, char *text, size_t size)
{
    struct shell *shell = userdata;
    const struct config *now = shell->daemon->config;
    struct net_address *sorted[CONFIG_CHANNELS_MAX];
    struct closing *closing = take_memory(now, sorted);

    if (!closing) {
        snprintf(text, size, "out of memory");
        return -ENOMEM;
    }
    retire(shell, before);
    detector_configure(&shell->detector, now, clock_now_ns());
    shell_use_sorted(shell, sorted);
    exchange_sockets(shell, before, closing);
    close_beside(closing);
    detector_tick(&shell->detector, clock_now_ns(), &shell->outbox);
    shell_finish(shell);
    if (!config_channels_equal(before, now))
        snprintf(text, size, "listens on %zu channel%s", now->channel_count,
                 now->channel_count == 1 ? "" : "s");
    else
        snprintf(text, size, "%s",
                 config_timers_equal(before, now) ? "shows it to the peer" : "keeps the new times");
    return 0;
}
