#include "heartbeatd/shell.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "heartbeatd/line.h"
#include "heartbeatd/packet.h"

enum { BUDGET = 64, BUDGET_AFTER_STALL = 4096 }; /* datagrams taken from a socket at once */

static const int64_t line_retry_ns = NS_PER_S;
static const char key_context[SEAL_CONTEXT_BYTES] = "duet-hb";

static void drain(struct shell *shell, int budget)
{
    for (size_t i = 0; i < shell->detector.path_count; i++)
        shell_read_path(&shell->paths[i], budget);
    for (size_t i = 0; i < shell->daemon->config->channel_count; i++) {
        shell_read_neighbours(&shell->arps[i], budget);
        shell_read_neighbours(&shell->discoveries[i], budget);
        shell_read_idle(shell, i);
    }
}

/* After a stall something else than the timer may wake this loop first. Whatever is published then must
 * already tell that nobody listened (R5), or old news would pass for a silence up to now. */
static void own_up_to_a_stall(struct shell *shell)
{
    if (!detector_is_stalled(&shell->detector, clock_now_ns()))
        return;
    drain(shell, BUDGET_AFTER_STALL);
    detector_tick(&shell->detector, clock_now_ns(), &shell->outbox);
}

void shell_finish(struct shell *shell)
{
    own_up_to_a_stall(shell);
    shell_apply(shell);
    const int64_t now_ns = clock_now_ns();
    const int64_t wake_ns = detector_wake_ns(&shell->detector, now_ns);
    if (wake_ns != shell->timer_ns) {
        shell->timer_ns = wake_ns;
        loop_set_timer(shell->timer, wake_ns);
    }
}

/* ------------------------------------------------------------------ sockets */

static void on_path(void *userdata, int fd, unsigned events)
{
    struct ear *ear = userdata;

    (void)fd;
    (void)events;
    shell_read_path(ear, BUDGET);
    shell_finish(ear->shell);
}

static void on_neighbours(void *userdata, int fd, unsigned events)
{
    struct ear *ear = userdata;

    (void)fd;
    (void)events;
    shell_read_neighbours(ear, BUDGET);
    shell_finish(ear->shell);
}

static void close_ear(struct ear *ear)
{
    loop_remove(ear->source);
    ear->source = NULL;
    if (ear->fd >= 0)
        close(ear->fd);
    ear->fd = -1;
}

/* Takes `fd` over. */
static int open_ear(struct ear *ear, int fd, loop_fd_handler *handler)
{
    ear->fd = fd;
    ear->empty_ns = clock_now_ns();
    const int r = loop_add_fd(ear->shell->daemon->loop, fd, EPOLLIN, handler, ear, &ear->source);
    if (r < 0)
        close_ear(ear);
    return r;
}

bool shell_is_udp(const struct shell *shell, size_t path)
{
    return path == PATH_RESERVED || shell->daemon->config->channels[path - PATH_CHANNEL].heartbeat_udp;
}

static int open_udp(struct shell *shell, size_t path)
{
    const struct config *config = shell->daemon->config;
    const struct config_channel *channel =
        path == PATH_RESERVED ? NULL : &config->channels[path - PATH_CHANNEL];
    int fd;

    int r = channel ? line_open(&channel->udp_own, &channel->udp_peer, HEARTBEAT_PORT, channel->device, &fd)
                    : line_open(&config->nodes[config->self].reserved,
                                &config->nodes[1 - config->self].reserved, HEARTBEAT_PORT, NULL, &fd);
    return r == 0 ? open_ear(&shell->paths[path], fd, on_path) : r;
}

/* Opens a path by UDP if it is not open; what the system refuses is tried again each second. */
static void open_line(struct shell *shell, size_t path, int64_t now_ns)
{
    int64_t *const retry_ns = &shell->line_retry_ns[path];
    const char *name = detector_path_name(&shell->detector, path);

    if (!shell->detector.paths[path].configured || shell->paths[path].fd >= 0 || now_ns < *retry_ns ||
        (path != PATH_RESERVED && shell->device_index[path - PATH_CHANNEL] == 0))
        return;
    const int r = open_udp(shell, path);
    if (r == 0) {
        if (*retry_ns)
            log_notice("the path %s is open", name);
        return;
    }
    if (*retry_ns == 0)
        log_warning("cannot use the path %s yet: %s; trying again each second; has this node its %s, and a "
                    "route to the peer's?",
                    name, strerror(-r), path == PATH_RESERVED ? "reserved-address" : "passive-address");
    *retry_ns = now_ns + line_retry_ns;
}

static void open_lines(struct shell *shell, int64_t now_ns)
{
    for (size_t i = 0; i < shell->detector.path_count; i++)
        if (shell_is_udp(shell, i))
            open_line(shell, i, now_ns);
}

static int filter_arp(const struct config_channel *channel, int fd)
{
    const struct config_addresses *const lists[] = {&channel->active, &channel->routers};
    const size_t most = channel->active.count + channel->routers.count;
    size_t count = 0;

    AUTO_FREE struct in_addr *senders = calloc(most + 1, sizeof *senders);
    if (!senders)
        return -ENOMEM;
    for (size_t l = 0; l < ARRAY_LENGTH(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            if (lists[l]->items[i].family == AF_INET)
                senders[count++] = lists[l]->items[i].v4;
    return packet_filter_senders(fd, senders, count);
}

static bool uses_ipv6(const struct config_channel *channel)
{
    const struct config_addresses *const lists[] = {&channel->active, &channel->routers};

    for (size_t l = 0; l < ARRAY_LENGTH(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            if (lists[l]->items[i].family == AF_INET6)
                return true;
    return false;
}

static int open_discovery(struct shell *shell, size_t i, unsigned index)
{
    int fd;

    int r = packet_open(index, PACKET_IPV6, NULL, &fd);
    if (r < 0)
        return r;
    r = packet_filter_discovery(fd);
    if (r == 0)
        return open_ear(&shell->discoveries[i], fd, on_neighbours);
    close(fd); /* without the filter all IPv6 traffic would come in */
    return r;
}

static int open_heartbeats(struct shell *shell, size_t i, unsigned index)
{
    int fd;

    if (shell_is_udp(shell, PATH_CHANNEL + i))
        return 0; /* open_line() does */
    int r = packet_open(index, HEARTBEAT_ETHERTYPE, heartbeat_group, &fd);
    return r == 0 ? open_ear(&shell->paths[PATH_CHANNEL + i], fd, on_path) : r;
}

static void open_idle(struct shell *shell, size_t i, unsigned index)
{
    const char *device = shell->daemon->config->channels[i].device;

    if (!shell->daemon->config->channels[i].check_only_idle)
        return;
    memset(shell->idle_macs[i], 0, sizeof shell->idle_macs[i]);
    const int r = packet_open_sources(index, &shell->idles[i]);
    if (r < 0)
        log_warning("cannot listen to all that routers send on %s: %s; asking them instead", device,
                    strerror(-r));
}

static int open_channel(struct shell *shell, size_t i, unsigned index)
{
    int fd;

    int r = open_heartbeats(shell, i, index);
    if (r == 0)
        r = packet_open(index, PACKET_ARP, NULL, &fd);
    if (r < 0)
        return r;
    open_idle(shell, i, index);
    r = filter_arp(&shell->daemon->config->channels[i], fd);
    if (r < 0)
        log_warning("cannot filter ARP on %s: %s; going on without",
                    shell->daemon->config->channels[i].device, strerror(-r));
    r = open_ear(&shell->arps[i], fd, on_neighbours);
    return r < 0 || !uses_ipv6(&shell->daemon->config->channels[i]) ? r : open_discovery(shell, i, index);
}

static void close_channel(struct shell *shell, size_t i)
{
    close_ear(&shell->paths[PATH_CHANNEL + i]);
    close_ear(&shell->arps[i]);
    close_ear(&shell->discoveries[i]);
    if (shell->idles[i] >= 0)
        close(shell->idles[i]);
    shell->idles[i] = -1;
    shell->device_index[i] = 0;
}

static void keep(struct ear *ear, int fd, loop_fd_handler *handler, const char *device)
{
    const int r = fd < 0 ? 0 : open_ear(ear, fd, handler);

    if (r < 0)
        log_error("cannot go on listening on %s: %s", device, strerror(-r));
}

/* What a channel did not need before. */
static int open_more(struct shell *shell, size_t i, const struct shell_sockets *sockets)
{
    const unsigned index = sockets->device_index;
    int r = 0;

    if (sockets->idle < 0)
        open_idle(shell, i, index);
    if (sockets->path < 0)
        r = open_heartbeats(shell, i, index);
    if (r == 0 && sockets->discovery < 0 && uses_ipv6(&shell->daemon->config->channels[i]))
        r = open_discovery(shell, i, index);
    return r;
}

void shell_keep_channel(struct shell *shell, size_t i, const struct shell_sockets *sockets)
{
    const struct config_channel *channel = &shell->daemon->config->channels[i];
    int r = sockets->arp < 0 ? 0 : filter_arp(channel, sockets->arp);

    keep(&shell->paths[PATH_CHANNEL + i], sockets->path, on_path, channel->device);
    keep(&shell->arps[i], sockets->arp, on_neighbours, channel->device);
    keep(&shell->discoveries[i], sockets->discovery, on_neighbours, channel->device);
    shell->idles[i] = sockets->idle;
    memcpy(shell->idle_macs[i], sockets->idle_macs, sizeof shell->idle_macs[i]);
    shell->device_index[i] = sockets->device_index;
    if (r == 0 && sockets->device_index != 0)
        r = open_more(shell, i, sockets);
    if (r < 0)
        log_warning("cannot listen to what was added on %s: %s", channel->device, strerror(-r));
}

/* ------------------------------------------------------------------ devices */

static void take_link(struct shell *shell, size_t i, const struct links_event *event)
{
    const char *device = shell->daemon->config->channels[i].device;
    const bool present = event->present && strcmp(device, event->device) == 0;

    if (present && shell->device_index[i] != event->index) {
        close_channel(shell, i);
        const int r = open_channel(shell, i, event->index);
        if (r < 0)
            log_error("cannot open packet sockets on %s: %s; heartbeatd needs CAP_NET_RAW", device,
                      strerror(-r));
        shell->device_index[i] = event->index;
    } else if (!present && shell->device_index[i] == event->index) {
        close_channel(shell, i); /* removed, or it has another name now */
    } else if (!present) {
        return; /* some other device */
    }
    const struct link_event link = {present, event->carrier, event->mac, event->frames};
    detector_link(&shell->detector, i, present ? &link : &(struct link_event){0}, clock_now_ns(),
                  &shell->outbox);
}

/* The reserved line's device is not in the configuration: it is the one that has the reserved address. */
static void take_reserved_link(struct shell *shell, const struct links_event *event)
{
    const struct config *config = shell->daemon->config;
    const bool carrier = event->present && event->carrier;

    if (!shell->detector.paths[PATH_RESERVED].configured)
        return;
    if (strcmp(shell->reserved_device, event->device) != 0) {
        char device[LINK_NAME_MAX];
        if (links_device_of(&config->nodes[config->self].reserved, device) < 0 ||
            strcmp(device, event->device) != 0)
            return;
        text_copy(shell->reserved_device, sizeof shell->reserved_device, device);
    } else if (carrier != shell->reserved_carrier) {
        log_notice("the reserved line's %s has %s", event->device, carrier ? "carrier" : "no carrier");
        detector_reserved_carrier(&shell->detector, clock_now_ns());
        shell->outbox.publish_paths |= UINT32_C(1) << PATH_RESERVED;
    }
    shell->reserved_carrier = carrier;
}

static void on_link(void *userdata, const struct links_event *event)
{
    struct shell *shell = userdata;

    for (size_t i = 0; i < shell->daemon->config->channel_count; i++)
        take_link(shell, i, event);
    take_reserved_link(shell, event);
}

static void on_links(void *userdata, int fd, unsigned events)
{
    struct shell *shell = userdata;

    (void)fd;
    (void)events;
    links_read(shell->links);
    shell_finish(shell);
}

/* --------------------------------------------------------------------- time */

static void on_time(void *userdata, int64_t now_ns)
{
    struct shell *shell = userdata;
    const bool late = now_ns - shell->detector.tick_ns > shell->daemon->config->timers.heartbeat_interval;

    shell->timer_ns = 0;
    open_lines(shell, now_ns);
    drain(shell, late ? BUDGET_AFTER_STALL : BUDGET);
    detector_tick(&shell->detector, clock_now_ns(), &shell->outbox);
    shell_finish(shell);
}

/* ---------------------------------------------------------------------- bus */

static void on_role(void *userdata, const struct bus_message *message)
{
    struct shell *shell = userdata;

    detector_role(&shell->detector, message->body, message->envelope->mono_ns, clock_now_ns(),
                  &shell->outbox);
    shell_finish(shell);
}

static void on_address(void *userdata, const struct bus_message *message)
{
    struct shell *shell = userdata;

    if (message->name)
        return; /* of one channel */
    detector_address(&shell->detector, message->body, &shell->outbox);
    shell_finish(shell);
}

static void on_record(void *userdata, const struct bus_message *message)
{
    struct shell *shell = userdata;
    const struct record_message *record = message->body;

    shell_send_record(shell, record->text);
    shell_finish(shell);
}

/* ----------------------------------------------------------------- lifetime */

static int add_key(struct shell *shell, const char *file)
{
    unsigned char key[CONFIG_KEY_BYTES];

    int r = config_read_key(file, key);
    if (r < 0) {
        log_error(
            "cannot use the key file %s: %s; it must be a regular file of 32 bytes that only root can read "
            "(duet keygen makes one)",
            file, strerror(-r));
        return r;
    }
    r = seal_ring_add(&shell->ring, key_context, key);
    sodium_memzero(key, sizeof key);
    return r;
}

static int open_keys(struct shell *shell)
{
    const struct config *config = shell->daemon->config;

    int r = seal_ring_open(&shell->ring);
    if (r == 0)
        r = add_key(shell, config->key_file);
    if (r == 0 && config->old_key_file[0])
        r = add_key(shell, config->old_key_file);
    return r;
}

/* Channels go by four bytes of their name's hash on the wire. The first one that cannot be told from another;
 * NULL: all can. */
const char *shell_alike_channels(const struct config *config, const char **other)
{
    for (size_t i = 0; i < config->channel_count; i++)
        for (size_t k = 0; k < i; k++)
            if (heartbeat_hash(config->channels[i].name) == heartbeat_hash(config->channels[k].name)) {
                *other = config->channels[k].name;
                return config->channels[i].name;
            }
    return NULL;
}

static int check_names(const struct config *config)
{
    const char *other, *name = shell_alike_channels(config, &other);

    if (!name)
        return 0;
    log_error("the channels %s and %s cannot be told apart in heartbeats: rename one of them", name, other);
    return -EINVAL;
}

static int open_bus(struct shell *shell)
{
    struct bus *bus = shell->daemon->bus;

    int r = bus_subscribe(bus, &role_type, "arbiterd", on_role, shell);
    if (r == 0)
        r = bus_subscribe(bus, &address_type, "takeoverd", on_address, shell);
    if (r == 0)
        r = bus_subscribe(bus, &record_type, "arbiterd", on_record, shell);
    if (r == 0)
        r = bus_hear_renewals(bus, &role_type);
    if (r == 0)
        r = bus_hear_renewals(bus, &address_type);
    if (r < 0)
        log_error("cannot subscribe to role, address and record: %s", strerror(-r));
    return r;
}

int shell_sort(const struct config *config, struct net_address *sorted[static CONFIG_CHANNELS_MAX])
{
    memset(sorted, 0, CONFIG_CHANNELS_MAX * sizeof *sorted);
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_addresses *active = &config->channels[i].active;
        sorted[i] = calloc(active->count + 1, sizeof *active->items);
        if (!sorted[i])
            return -ENOMEM;
        if (active->count > 0)
            memcpy(sorted[i], active->items, active->count * sizeof *active->items);
        qsort(sorted[i], active->count, sizeof *active->items, channel_compare);
    }
    return 0;
}

void shell_use_sorted(struct shell *shell, struct net_address *const sorted[static CONFIG_CHANNELS_MAX])
{
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++) {
        free(shell->sorted[i]);
        shell->sorted[i] = sorted[i];
        shell->detector.channels[i].sorted = sorted[i];
    }
}

static int open_links(struct shell *shell)
{
    int r = links_open(on_link, shell, &shell->links);
    if (r == 0)
        r = loop_add_fd(shell->daemon->loop, links_fd(shell->links), EPOLLIN, on_links, shell, NULL);
    if (r < 0) {
        log_error("cannot listen to the network devices by netlink: %s", strerror(-r));
        return r;
    }
    links_read(shell->links);
    return 0;
}

static void init_ears(struct shell *shell)
{
    for (size_t i = 0; i < PATHS_MAX; i++)
        shell->paths[i] = (struct ear){.shell = shell, .index = i, .fd = -1};
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++)
        shell->idles[i] = -1;
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++)
        shell->arps[i] = shell->discoveries[i] = (struct ear){.shell = shell, .index = i, .fd = -1};
}

int shell_open(struct shell *shell, struct daemon *daemon)
{
    const struct config *config = daemon->config;

    *shell = (struct shell){.daemon = daemon};
    init_ears(shell);
    snprintf(shell->sessions_path, sizeof shell->sessions_path, "%s/sessions", daemon->state_dir);
    int r = check_names(config);
    if (r == 0)
        r = open_keys(shell);
    if (r < 0)
        return r;
    sessions_begin(shell->sessions_path, &shell->sessions);
    detector_init(&shell->detector, config, &shell->sessions.own, &shell->sessions.peer, clock_now_ns());
    r = shell_sort(config, shell->sorted);
    for (size_t i = 0; i < CONFIG_CHANNELS_MAX; i++)
        shell->detector.channels[i].sorted = shell->sorted[i];
    if (r == 0)
        r = open_bus(shell);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_time, shell, &shell->timer);
    if (r == 0)
        r = open_links(shell);
    daemon->reload = (struct daemon_reload){shell_check, shell_reload, shell};
    if (r == 0)
        shell_finish(shell);
    return r;
}

void shell_close(struct shell *shell)
{
    saver_close(shell->saver);
    links_free(shell->links);
    for (size_t i = 0; i < ARRAY_LENGTH(shell->sorted); i++)
        free(shell->sorted[i]);
    seal_ring_close(&shell->ring);
}
