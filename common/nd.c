#include "common/nd.h"

#include <errno.h>
#include <string.h>

enum {
    ETHERNET_SIZE = 14,
    IPV6_SIZE = 40,
    MESSAGE_SIZE = 24 + 8, /* with one option */
    SOLICITATION = 135,
    ADVERTISEMENT = 136,
    ROUTER_OVERRIDE = 0xA0,
    SOLICITED = 0x40,
    SOURCE_OPTION = 1,
    TARGET_OPTION = 2,
    HOP_LIMIT = 255,
};

/* The Internet checksum (RFC 1071) over the pseudo-header of RFC 8200, section 8.1, and the message. */
static unsigned checksum(const uint8_t addresses[static 32], const uint8_t *message, size_t size)
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

static void pack_ethernet(uint8_t *at, const uint8_t to[static 6], const struct mac *from)
{
    memcpy(at, to, 6);
    memcpy(at + 6, from->bytes, 6);
    at[12] = 0x86;
    at[13] = 0xDD;
}

static void pack_ip(uint8_t *at, const struct net_address *from, const uint8_t to[static 16])
{
    memset(at, 0, IPV6_SIZE);
    at[0] = 0x60;
    at[5] = MESSAGE_SIZE;
    at[6] = IPPROTO_ICMPV6;
    at[7] = HOP_LIMIT;
    memcpy(at + 8, &from->v6, 16);
    memcpy(at + 24, to, 16);
}

/* Behind an IPv6 header that is there already. */
static void pack_message(uint8_t *ip, uint8_t kind, uint8_t flags, const struct net_address *target,
                         uint8_t option, const struct mac *mac)
{
    uint8_t *const at = ip + IPV6_SIZE;

    memset(at, 0, MESSAGE_SIZE);
    at[0] = kind;
    at[4] = flags;
    memcpy(at + 8, &target->v6, 16);
    at[24] = option;
    at[25] = 1; /* times 8 bytes */
    memcpy(at + 26, mac->bytes, 6);
    const unsigned sum = checksum(ip + 8, at, MESSAGE_SIZE);
    at[2] = (uint8_t)(sum >> 8);
    at[3] = (uint8_t)sum;
}

void nd_pack_solicitation(const struct net_address *from, const struct mac *mac,
                          const struct net_address *target, const struct mac *to,
                          uint8_t frame[static ND_FRAME_BYTES])
{
    const uint8_t *const last = target->v6.s6_addr + 13;
    uint8_t ip[16] = {0xff, 0x02, [11] = 1, [12] = 0xff}, ethernet[6] = {0x33, 0x33, 0xff};

    memcpy(ip + 13, last, 3);
    memcpy(ethernet + 3, last, 3);
    pack_ethernet(frame, mac_is_zero(to) ? ethernet : to->bytes, mac);
    pack_ip(frame + ETHERNET_SIZE, from, ip);
    pack_message(frame + ETHERNET_SIZE, SOLICITATION, 0, target, SOURCE_OPTION, mac);
}

void nd_pack_announcement(const struct net_address *address, const struct mac *mac,
                          uint8_t frame[static ND_FRAME_BYTES])
{
    static const uint8_t ethernet[6] = {0x33, 0x33, 0, 0, 0, 1}, ip[16] = {0xff, 0x02, [15] = 1};

    pack_ethernet(frame, ethernet, mac);
    pack_ip(frame + ETHERNET_SIZE, address, ip);
    pack_message(frame + ETHERNET_SIZE, ADVERTISEMENT, ROUTER_OVERRIDE, address, TARGET_OPTION, mac);
}

void nd_link_local(const struct mac *mac, struct net_address *address)
{
    const uint8_t *const m = mac->bytes;
    const uint8_t bytes[16] = {0xfe, 0x80, [8] = m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};

    *address = (struct net_address){.family = AF_INET6, .prefix = 64};
    memcpy(&address->v6, bytes, sizeof bytes);
}

static struct net_address host_at(const uint8_t *at)
{
    struct net_address address = {.family = AF_INET6, .prefix = 128};

    memcpy(&address.v6, at, 16);
    return address;
}

int nd_parse(const uint8_t *frame, size_t size, struct nd *nd)
{
    const uint8_t *const ip = frame + ETHERNET_SIZE, *const message = ip + IPV6_SIZE;

    *nd = (struct nd){0};
    if (size < ETHERNET_SIZE + IPV6_SIZE + 24 || frame[12] != 0x86 || frame[13] != 0xDD || ip[0] >> 4 != 6 ||
        ip[6] != IPPROTO_ICMPV6 || ip[7] != HOP_LIMIT || message[1] != 0)
        return -EBADMSG;
    const size_t length = (size_t)ip[4] << 8 | ip[5];
    if (length < 24 || length > size - ETHERNET_SIZE - IPV6_SIZE ||
        (message[0] != SOLICITATION && message[0] != ADVERTISEMENT))
        return -EBADMSG;
    nd->kind = message[0] == SOLICITATION ? ND_SOLICITATION : ND_ADVERTISEMENT;
    memcpy(nd->mac.bytes, frame + 6, 6);
    nd->from = host_at(ip + 8);
    nd->to = host_at(ip + 24);
    nd->target = host_at(message + 8);
    nd->solicited = nd->kind == ND_ADVERTISEMENT && (message[4] & SOLICITED);
    return mac_is_zero(&nd->mac) || (nd->mac.bytes[0] & 1) ? -EBADMSG : 0;
}
