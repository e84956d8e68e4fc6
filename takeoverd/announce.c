#include "takeoverd/announce.h"

#include <errno.h>
#include <string.h>

#include "common/nd.h"

enum {
    ETHERNET_SIZE = 14,
    ETHERTYPE_ARP_ = 0x0806,
    ETHERTYPE_IPV6_ = 0x86DD,
    ARP_SIZE = 28,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
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

size_t announce_build(const struct net_address *address, const struct mac *mac,
                      struct announce_frame frames[static ANNOUNCE_FRAMES_MAX])
{
    if (address->family == AF_INET6) {
        nd_pack_announcement(address, mac, frames[0].bytes);
        frames[0].size = ND_FRAME_BYTES;
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
        nd_pack_solicitation(own, mac, neighbour, neighbour_mac, frame->bytes);
        frame->size = ND_FRAME_BYTES;
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
    heard->kind = operation == ARP_REQUEST ? ANNOUNCE_QUESTION : ANNOUNCE_ANSWER;
    memcpy(heard->mac.bytes, arp + 8, 6);
    heard->from = host4(arp + 14);
    heard->to = host4(arp + 24);
    return 0;
}

static int parse_discovery(const uint8_t *frame, size_t size, struct announce_heard *heard)
{
    struct nd nd;

    if (nd_parse(frame, size, &nd) < 0)
        return -EBADMSG;
    heard->kind = nd.kind == ND_SOLICITATION ? ANNOUNCE_QUESTION
                  : nd.solicited             ? ANNOUNCE_ANSWER
                                             : ANNOUNCE_CLAIM;
    heard->from = nd.kind == ND_SOLICITATION ? nd.from : nd.target;
    heard->to = nd.kind == ND_SOLICITATION ? nd.target : nd.to;
    return 0;
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
        r = parse_discovery(frame, size, heard);
    if (r < 0)
        return r;
    if (net_address_equal(&heard->from, &heard->to))
        heard->kind = ANNOUNCE_CLAIM;
    return mac_is_zero(&heard->mac) || (heard->mac.bytes[0] & 1) || is_nobody(&heard->from) ? -EBADMSG : 0;
}
