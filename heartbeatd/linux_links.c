#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "heartbeatd/links.h"

enum { READS_MAX = 64, BUFFER_BYTES = 1 << 18 };

static_assert(LINK_NAME_MAX == IFNAMSIZ, "device names");

struct links {
    struct nl_sock *socket;
    links_handler *handler;
    void *userdata;
};

static uint64_t frames_of(struct nlattr *stats)
{
    struct rtnl_link_stats64 counts = {0};

    if (stats)
        memcpy(&counts, nla_data(stats), MIN(sizeof counts, (size_t)nla_len(stats)));
    return counts.rx_packets;
}

static void tell(struct links *links, const struct nlmsghdr *header, const struct ifinfomsg *info,
                 struct nlattr *attributes[])
{
    struct links_event event = {
        .device = nla_get_string(attributes[IFLA_IFNAME]),
        .index = (unsigned)info->ifi_index,
        .present = header->nlmsg_type == RTM_NEWLINK,
        .carrier = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_LOWER_UP),
        .frames = frames_of(attributes[IFLA_STATS64]),
    };
    struct nlattr *mac = attributes[IFLA_ADDRESS];

    if (mac && nla_len(mac) == sizeof event.mac.bytes)
        memcpy(event.mac.bytes, nla_data(mac), sizeof event.mac.bytes);
    links->handler(links->userdata, &event);
}

static int on_message(struct nl_msg *message, void *userdata)
{
    struct nlmsghdr *header = nlmsg_hdr(message);
    struct nlattr *attributes[IFLA_MAX + 1];

    if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK)
        return NL_OK;
    if (nlmsg_parse(header, sizeof(struct ifinfomsg), attributes, IFLA_MAX, NULL) < 0 ||
        !attributes[IFLA_IFNAME])
        return NL_OK;
    const struct ifinfomsg *info = nlmsg_data(header);
    if (info->ifi_family == AF_UNSPEC) /* bridges tell of their ports under a family of their own */
        tell(userdata, header, info, attributes);
    return NL_OK;
}

static void ask_all(struct links *links)
{
    struct ifinfomsg everything = {.ifi_family = AF_UNSPEC};

    nl_send_simple(links->socket, RTM_GETLINK, NLM_F_DUMP, &everything, sizeof everything);
}

static int set_up(struct links *links)
{
    if (nl_connect(links->socket, NETLINK_ROUTE) < 0 || nl_socket_set_nonblocking(links->socket) < 0 ||
        nl_socket_add_membership(links->socket, RTNLGRP_LINK) < 0)
        return -errno;
    nl_socket_set_buffer_size(links->socket, BUFFER_BYTES, 0);
    nl_socket_disable_seq_check(links->socket);
    nl_socket_disable_auto_ack(links->socket);
    nl_socket_modify_cb(links->socket, NL_CB_VALID, NL_CB_CUSTOM, on_message, links);
    ask_all(links);
    return 0;
}

int links_open(links_handler *handler, void *userdata, struct links **links)
{
    struct links *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->handler = handler;
    made->userdata = userdata;
    made->socket = nl_socket_alloc();
    int r = made->socket ? set_up(made) : -ENOMEM;
    if (r < 0) {
        links_free(made);
        return r;
    }
    *links = made;
    return 0;
}

void links_free(struct links *links)
{
    if (!links)
        return;
    if (links->socket)
        nl_socket_free(links->socket);
    free(links);
}

int links_fd(const struct links *links)
{
    return nl_socket_get_fd(links->socket);
}

void links_read(struct links *links)
{
    for (int i = 0; i < READS_MAX; i++) {
        const int r = nl_recvmsgs_default(links->socket);
        if (r == -NLE_AGAIN)
            return;
        if (r == -NLE_NOMEM || r == -NLE_DUMP_INTR)
            ask_all(links); /* the kernel had more to tell than the buffer takes */
    }
}

void links_ask(struct links *links, unsigned index)
{
    struct ifinfomsg device = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index};

    nl_send_simple(links->socket, RTM_GETLINK, 0, &device, sizeof device);
}

static bool has_address(const struct ifaddrs *entry, const struct net_address *address)
{
    struct net_address theirs = {0};

    if (!entry->ifa_addr || entry->ifa_addr->sa_family != address->family)
        return false;
    theirs.family = address->family;
    if (address->family == AF_INET)
        theirs.v4 = ((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr;
    else
        theirs.v6 = ((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr;
    return net_address_equal(&theirs, address);
}

int links_device_of(const struct net_address *address, char device[static LINK_NAME_MAX])
{
    struct ifaddrs *all;

    if (getifaddrs(&all) < 0)
        return -ENODEV;
    int r = -ENODEV;
    for (const struct ifaddrs *entry = all; entry && r < 0; entry = entry->ifa_next)
        if (has_address(entry, address)) {
            text_copy(device, LINK_NAME_MAX, entry->ifa_name);
            r = 0;
        }
    freeifaddrs(all);
    return r;
}
