/* nd: Neighbor Discovery frames for IPv6 over Ethernet (RFC 4861, RFC 2464), as bytes: solicitations and
 * advertisements.
 *
 * Pure: no clock, no I/O, no allocation. */
#pragma once
#include "common/net.h"

enum { ND_FRAME_BYTES = 86 }; /* Ethernet, IPv6, the message, one link-layer address option */

enum nd_kind { ND_SOLICITATION, ND_ADVERTISEMENT };

struct nd {
    enum nd_kind kind;
    struct mac mac;                      /* who sent the frame */
    struct net_address from, to, target; /* of the IPv6 header; whom it is about */
    bool solicited;                      /* an advertisement that answers */
};

/* `from` at `mac` asks for `target`, by the solicited-node address of the target (RFC 4291, section 2.7.1),
 * in a frame to `to` alone, or to all who listen to that address if `to` is zero. With the option source
 * link-layer address, so that the asked one knows the asker. */
void nd_pack_solicitation(const struct net_address *from, const struct mac *mac,
                          const struct net_address *target, const struct mac *to,
                          uint8_t frame[static ND_FRAME_BYTES]);

/* `mac` announces that `address` is there, to all nodes: unsolicited, with the flags router and override, and
 * the option target link-layer address (section 7.2.6). */
void nd_pack_announcement(const struct net_address *address, const struct mac *mac,
                          uint8_t frame[static ND_FRAME_BYTES]);

/* The link-local address that belongs to a MAC address (RFC 4291, appendix A). */
void nd_link_local(const struct mac *mac, struct net_address *address);

/* Reads an Ethernet frame. 0, or -EBADMSG: neither of the two, cut off, forwarded (section 7.1), or from a
 * MAC address that nobody can have (zero, or a group). The checksum is not looked at. */
int nd_parse(const uint8_t *frame, size_t size, struct nd *nd);
