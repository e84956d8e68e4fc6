/* announce: the frames that tell a network where an address lives now.
 *
 * IPv4: a gratuitous ARP request (the "ARP announcement" of RFC 5227, section 2.3) and, for those who listen
 * to answers only, a gratuitous ARP reply (RFC 5944, section 4.6). Both are broadcast and name the address as
 * sender and as target; RFC 826 has every receiver that knows the address take over the new MAC address.
 * IPv6: an unsolicited Neighbor Advertisement to all nodes, with the flags router and override and the option
 * target link-layer address (RFC 4861, section 7.2.6).
 *
 * Pure: bytes in, bytes out. */
#pragma once
#include "common/net.h"

enum {
    ANNOUNCE_FRAME_MAX = 86,
    ANNOUNCE_FRAMES_MAX = 2, /* an address */
};

struct announce_frame {
    size_t size;
    uint8_t bytes[ANNOUNCE_FRAME_MAX]; /* from the Ethernet header on */
};

/* The frames by which `mac` claims `address`: fills `frames` and returns how many, 0 for an unknown family.
 */
size_t announce_build(const struct net_address *address, const struct mac *mac,
                      struct announce_frame frames[static ANNOUNCE_FRAMES_MAX]);
