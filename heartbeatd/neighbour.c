#include "heartbeatd/neighbour.h"

#include <errno.h>
#include <string.h>

const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* EtherType ARP, hardware Ethernet, protocol IPv4, their lengths. */
static const uint8_t prefix[] = {0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00};
enum { PREFIX_AT = 12, OPERATION_AT = 21, REQUEST = 1, REPLY = 2 };
enum { SENDER_MAC_AT = 22, SENDER_AT = 28, TARGET_AT = 38, ARP_FRAME_BYTES = 42 };

static size_t pack_arp(const struct neighbour_request *request, uint8_t *frame)
{
    memset(frame, 0, ARP_FRAME_BYTES);
    memcpy(frame, request->to.bytes, 6);
    memcpy(frame + 6, request->from.bytes, 6);
    memcpy(frame + PREFIX_AT, prefix, sizeof prefix);
    frame[OPERATION_AT] = REQUEST;
    memcpy(frame + SENDER_MAC_AT, request->from.bytes, 6);
    memcpy(frame + SENDER_AT, &request->sender.v4, 4);
    memcpy(frame + TARGET_AT, &request->target.v4, 4);
    return ARP_FRAME_BYTES;
}

size_t neighbour_pack(const struct neighbour_request *request, uint8_t frame[static NEIGHBOUR_FRAME_MAX])
{
    static const struct mac all;

    if (request->target.family == AF_INET)
        return pack_arp(request, frame);
    nd_pack_solicitation(&request->sender, &request->from, &request->target,
                         mac_equal(&request->to, &mac_broadcast) ? &all : &request->to, frame);
    return ND_FRAME_BYTES;
}

static int parse_arp(const uint8_t *frame, struct neighbour *neighbour)
{
    if (memcmp(frame + PREFIX_AT, prefix, sizeof prefix) != 0 ||
        (frame[OPERATION_AT] != REQUEST && frame[OPERATION_AT] != REPLY))
        return -EBADMSG;
    memcpy(neighbour->mac.bytes, frame + SENDER_MAC_AT, 6);
    neighbour->address = (struct net_address){.family = AF_INET, .prefix = 32};
    memcpy(&neighbour->address.v4, frame + SENDER_AT, 4);
    return mac_is_zero(&neighbour->mac) || (neighbour->mac.bytes[0] & 1) ? -EBADMSG : 0;
}

int neighbour_parse(const uint8_t *frame, size_t size, struct neighbour *neighbour)
{
    struct nd nd;

    *neighbour = (struct neighbour){0};
    if (size >= ARP_FRAME_BYTES && frame[PREFIX_AT] == prefix[0])
        return parse_arp(frame, neighbour);
    if (nd_parse(frame, size, &nd) < 0)
        return -EBADMSG;
    neighbour->mac = nd.mac;
    neighbour->address = nd.kind == ND_ADVERTISEMENT ? nd.target : nd.from;
    return 0;
}
