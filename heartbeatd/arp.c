#include "heartbeatd/arp.h"

#include <errno.h>
#include <string.h>

const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* EtherType ARP, hardware Ethernet, protocol IPv4, their lengths. */
static const uint8_t prefix[] = {0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00};
enum { PREFIX_AT = 12, OPERATION_AT = 21, REQUEST = 1, REPLY = 2 };
enum { SENDER_MAC_AT = 22, SENDER_AT = 28, TARGET_MAC_AT = 32, TARGET_AT = 38 };

void arp_pack(const struct arp_request *request, uint8_t frame[static ARP_FRAME_BYTES])
{
    memset(frame, 0, ARP_FRAME_BYTES);
    memcpy(frame, request->to.bytes, 6);
    memcpy(frame + 6, request->from.bytes, 6);
    memcpy(frame + PREFIX_AT, prefix, sizeof prefix);
    frame[OPERATION_AT] = REQUEST;
    memcpy(frame + SENDER_MAC_AT, request->from.bytes, 6);
    memcpy(frame + SENDER_AT, &request->sender, 4);
    memcpy(frame + TARGET_AT, &request->target, 4);
}

int arp_parse(const uint8_t *frame, size_t size, struct arp *arp)
{
    if (size < ARP_FRAME_BYTES || memcmp(frame + PREFIX_AT, prefix, sizeof prefix) != 0 ||
        (frame[OPERATION_AT] != REQUEST && frame[OPERATION_AT] != REPLY))
        return -EBADMSG;
    memcpy(arp->sender_mac.bytes, frame + SENDER_MAC_AT, 6);
    memcpy(&arp->sender, frame + SENDER_AT, 4);
    memcpy(&arp->target, frame + TARGET_AT, 4);
    if (mac_is_zero(&arp->sender_mac) || (arp->sender_mac.bytes[0] & 1))
        return -EBADMSG;
    return 0;
}
