/* announce: the frames that tell a network where an address lives now.
 *
 * IPv4: a gratuitous ARP request (the "ARP announcement" of RFC 5227, section 2.3) and, for those who listen
 * to answers only, a gratuitous ARP reply (RFC 5944, section 4.6). Both are broadcast and name the address as
 * sender and as target; RFC 826 has every receiver that knows the address take over the new MAC address.
 * IPv6: an unsolicited Neighbor Advertisement to all nodes, with the flags router and override and the option
 * target link-layer address (RFC 4861, section 7.2.6).
 *
 * A question asks one neighbour from an active address, so that its answer shows that it knows where that
 * is: an ARP request, or a Neighbor Solicitation with the option source link-layer address (RFC 4861,
 * section 7.2.2).
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

/* `own`, which lives at `mac`, asks for `neighbour`: there alone if `neighbour_mac` is not zero, else all.
 * Both addresses are of one family. */
void announce_ask(const struct net_address *own, const struct mac *mac, const struct net_address *neighbour,
                  const struct mac *neighbour_mac, struct announce_frame *frame);

/* What a frame says about neighbours. A claim says that `from` is there, to nobody in particular: an
 * announcement. */
enum announce_kind { ANNOUNCE_QUESTION, ANNOUNCE_ANSWER, ANNOUNCE_CLAIM };

struct announce_heard {
    enum announce_kind kind;
    struct net_address from; /* with the prefix of a host */
    struct mac mac;          /* of `from` */
    struct net_address to;
};

/* Reads an Ethernet frame: ARP for IPv4, a Neighbor Solicitation or Advertisement. 0, or -EBADMSG: none of
 * these, cut off, or from nobody's address. */
int announce_parse(const uint8_t *frame, size_t size, struct announce_heard *heard);
