#include "takeoverd/announce.h"

#include <string.h>

enum {
    ETHERNET_SIZE = 14,
    ETHERTYPE_ARP_ = 0x0806,
    ETHERTYPE_IPV6_ = 0x86DD,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    ICMPV6_NEIGHBOR_ADVERTISEMENT = 136,
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

static void build_arp(const struct net_address *address, const struct mac *mac, unsigned operation,
                      struct announce_frame *frame)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const struct mac target = operation == ARP_REPLY ? *mac : (struct mac){0};

    put_ethernet(frame, everybody, mac, ETHERTYPE_ARP_);
    put16(frame, 1); /* Ethernet */
    put16(frame, 0x0800);
    put(frame, (uint8_t[]){6, 4}, 2);
    put16(frame, operation);
    put(frame, mac->bytes, 6);
    put(frame, &address->v4, 4);
    put(frame, target.bytes, 6);
    put(frame, &address->v4, 4);
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

static void build_advertisement(const struct net_address *address, const struct mac *mac,
                                struct announce_frame *frame)
{
    static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};

    put_ethernet(frame, all_nodes_mac, mac, ETHERTYPE_IPV6_);
    put(frame, (uint8_t[]){0x60, 0, 0, 0}, 4);
    put16(frame, NA_SIZE);
    put(frame, (uint8_t[]){IPPROTO_ICMPV6, 255}, 2);
    put(frame, &address->v6, 16);
    put(frame, all_nodes, 16);
    uint8_t *const message = frame->bytes + frame->size;
    put(frame, (uint8_t[]){ICMPV6_NEIGHBOR_ADVERTISEMENT, 0, 0, 0}, 4);
    put(frame, (uint8_t[]){NA_ROUTER_OVERRIDE, 0, 0, 0}, 4);
    put(frame, &address->v6, 16);
    put(frame, (uint8_t[]){2, 1}, 2); /* target link-layer address, of 8 bytes */
    put(frame, mac->bytes, 6);
    const unsigned sum = checksum_icmpv6(frame->bytes + ETHERNET_SIZE + 8, message, NA_SIZE);
    message[2] = (uint8_t)(sum >> 8);
    message[3] = (uint8_t)sum;
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
