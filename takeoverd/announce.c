#include "takeoverd/announce.h"

#include <errno.h>
#include <string.h>

enum {
    ETHERNET_SIZE = 14,
    ETHERTYPE_ARP_ = 0x0806,
    ETHERTYPE_IPV6_ = 0x86DD,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    ARP_SIZE = 28,
    IPV6_SIZE = 40,
    HOP_LIMIT = 255, /* of neighbour discovery: nobody has forwarded it (RFC 4861, section 7.1) */
    ICMPV6_NEIGHBOR_SOLICITATION = 135,
    ICMPV6_NEIGHBOR_ADVERTISEMENT = 136,
    OPTION_SOURCE = 1,
    OPTION_TARGET = 2,
    NA_SOLICITED = 0x40,
    NA_ROUTER_OVERRIDE = 0xA0,
    NA_SIZE = 24 + 8, /* with one option */
};

/* Writes bytes one after the other. */
static void put(struct announce_frame *frame, const void *bytes, size_t size)
{
    memcpy(frame->bytes + frame->size, bytes, size);
    frame->size += size;
}

static void put16(struct announce_frame *frame, unsigned value)
{
    put(frame, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put_ethernet(struct announce_frame *frame, const uint8_t to[6], const struct mac *from,
                         unsigned type)
{
    frame->size = 0;
    put(frame, to, 6);
    put(frame, from->bytes, 6);
    put16(frame, type);
}

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void put_arp(struct announce_frame *frame, unsigned operation, const struct mac *mac,
                    const struct net_address *sender, const struct mac *target_mac,
                    const struct net_address *target)
{
    put16(frame, 1); /* Ethernet */
    put16(frame, 0x0800);
    put(frame, (uint8_t[]){6, 4}, 2);
    put16(frame, operation);
    put(frame, mac->bytes, 6);
    put(frame, &sender->v4, 4);
    put(frame, target_mac->bytes, 6);
    put(frame, &target->v4, 4);
}

static void build_arp(const struct net_address *address, const struct mac *mac, unsigned operation,
                      struct announce_frame *frame)
{
    const struct mac target = operation == ARP_REPLY ? *mac : (struct mac){0};

    put_ethernet(frame, everybody, mac, ETHERTYPE_ARP_);
    put_arp(frame, operation, mac, address, &target, address);
}

/* The Internet checksum (RFC 1071) over the pseudo-header of RFC 8200, section 8.1, and the message. */
static unsigned checksum_icmpv6(const uint8_t addresses[32], const uint8_t *message, size_t size)
{
    uint32_t sum = (uint32_t)size + IPPROTO_ICMPV6;

    for (size_t i = 0; i < 32; i += 2)
        sum += (uint32_t)(addresses[i] << 8 | addresses[i + 1]);
    for (size_t i = 0; i < size; i += 2)
        sum += (uint32_t)(message[i] << 8 | message[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

/* A message of neighbour discovery with one option; `to` and `to_mac` are where it goes. */
static void put_discovery(struct announce_frame *frame, const struct net_address *from, const struct mac *mac,
                          const uint8_t to[16], const uint8_t to_mac[6], const uint8_t head[8],
                          const struct net_address *target, uint8_t option)
{
    put_ethernet(frame, to_mac, mac, ETHERTYPE_IPV6_);
    put(frame, (uint8_t[]){0x60, 0, 0, 0}, 4);
    put16(frame, NA_SIZE);
    put(frame, (uint8_t[]){IPPROTO_ICMPV6, HOP_LIMIT}, 2);
    put(frame, &from->v6, 16);
    put(frame, to, 16);
    uint8_t *const message = frame->bytes + frame->size;
    put(frame, head, 8);
    put(frame, &target->v6, 16);
    put(frame, (uint8_t[]){option, 1}, 2); /* of 8 bytes */
    put(frame, mac->bytes, 6);
    const unsigned sum = checksum_icmpv6(frame->bytes + ETHERNET_SIZE + 8, message, NA_SIZE);
    message[2] = (uint8_t)(sum >> 8);
    message[3] = (uint8_t)sum;
}

static void build_advertisement(const struct net_address *address, const struct mac *mac,
                                struct announce_frame *frame)
{
    static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
    static const uint8_t head[8] = {ICMPV6_NEIGHBOR_ADVERTISEMENT, [4] = NA_ROUTER_OVERRIDE};

    put_discovery(frame, address, mac, all_nodes, all_nodes_mac, head, address, OPTION_TARGET);
}

/* To the solicited-node address (RFC 4291, section 2.7.1), or to the one whose MAC address is known. */
static void build_solicitation(const struct net_address *own, const struct mac *mac,
                               const struct net_address *neighbour, const struct mac *neighbour_mac,
                               struct announce_frame *frame)
{
    static const uint8_t head[8] = {ICMPV6_NEIGHBOR_SOLICITATION};
    const uint8_t *const last = neighbour->v6.s6_addr + 13;
    uint8_t to[16] = {0xff, 0x02, [11] = 1, [12] = 0xff}, to_mac[6] = {0x33, 0x33, 0xff};

    memcpy(to + 13, last, 3);
    memcpy(to_mac + 3, last, 3);
    if (!mac_is_zero(neighbour_mac)) {
        memcpy(to, &neighbour->v6, 16);
        memcpy(to_mac, neighbour_mac->bytes, 6);
    }
    put_discovery(frame, own, mac, to, to_mac, head, neighbour, OPTION_SOURCE);
}

size_t announce_build(const struct net_address *address, const struct mac *mac,
                      struct announce_frame frames[static ANNOUNCE_FRAMES_MAX])
{
    if (address->family == AF_INET6) {
        build_advertisement(address, mac, &frames[0]);
        return 1;
    }
    if (address->family != AF_INET)
        return 0;
    build_arp(address, mac, ARP_REQUEST, &frames[0]);
    build_arp(address, mac, ARP_REPLY, &frames[1]);
    return 2;
}

void announce_ask(const struct net_address *own, const struct mac *mac, const struct net_address *neighbour,
                  const struct mac *neighbour_mac, struct announce_frame *frame)
{
    static const struct mac nobody;

    frame->size = 0;
    if (own->family == AF_INET6) {
        build_solicitation(own, mac, neighbour, neighbour_mac, frame);
        return;
    }
    put_ethernet(frame, mac_is_zero(neighbour_mac) ? everybody : neighbour_mac->bytes, mac, ETHERTYPE_ARP_);
    put_arp(frame, ARP_REQUEST, mac, own, &nobody, neighbour);
}

/* ------------------------------------------------------------------ parsing */

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static struct net_address host4(const uint8_t *at)
{
    struct net_address address = {.family = AF_INET, .prefix = 32};

    memcpy(&address.v4, at, 4);
    return address;
}

static struct net_address host6(const uint8_t *at)
{
    struct net_address address = {.family = AF_INET6, .prefix = 128};

    memcpy(&address.v6, at, 16);
    return address;
}

static bool is_nobody(const struct net_address *address)
{
    static const struct in6_addr none;

    return memcmp(&address->v6, &none, address->family == AF_INET ? 4 : 16) == 0;
}

static int parse_arp(const uint8_t *arp, size_t size, struct announce_heard *heard)
{
    if (size < ARP_SIZE || get16(arp) != 1 || get16(arp + 2) != 0x0800 || arp[4] != 6 || arp[5] != 4)
        return -EBADMSG;
    const unsigned operation = get16(arp + 6);
    if (operation != ARP_REQUEST && operation != ARP_REPLY)
        return -EBADMSG;
    heard->question = operation == ARP_REQUEST;
    memcpy(heard->mac.bytes, arp + 8, 6);
    heard->from = host4(arp + 14);
    heard->to = host4(arp + 24);
    return 0;
}

static int parse_discovery(const uint8_t *ip, size_t size, struct announce_heard *heard)
{
    if (size < IPV6_SIZE + 24 || ip[0] >> 4 != 6 || ip[6] != IPPROTO_ICMPV6 || ip[7] != HOP_LIMIT ||
        get16(ip + 4) < 24 || get16(ip + 4) > size - IPV6_SIZE || ip[IPV6_SIZE + 1] != 0)
        return -EBADMSG;
    const uint8_t *const message = ip + IPV6_SIZE;
    const struct net_address target = host6(message + 8);
    heard->question = message[0] == ICMPV6_NEIGHBOR_SOLICITATION;
    heard->from = heard->question ? host6(ip + 8) : target;
    heard->to = heard->question ? target : host6(ip + 24);
    const bool answer = message[0] == ICMPV6_NEIGHBOR_ADVERTISEMENT && (message[4] & NA_SOLICITED);
    return heard->question || answer ? 0 : -EBADMSG;
}

int announce_parse(const uint8_t *frame, size_t size, struct announce_heard *heard)
{
    int r = -EBADMSG;

    *heard = (struct announce_heard){0};
    if (size < ETHERNET_SIZE)
        return r;
    memcpy(heard->mac.bytes, frame + 6, 6);
    if (get16(frame + 12) == ETHERTYPE_ARP_)
        r = parse_arp(frame + ETHERNET_SIZE, size - ETHERNET_SIZE, heard);
    else if (get16(frame + 12) == ETHERTYPE_IPV6_)
        r = parse_discovery(frame + ETHERNET_SIZE, size - ETHERNET_SIZE, heard);
    if (r < 0)
        return r;
    const bool real = !mac_is_zero(&heard->mac) && !(heard->mac.bytes[0] & 1) && !is_nobody(&heard->from);
    return real && !net_address_equal(&heard->from, &heard->to) ? 0 : -EBADMSG;
}
