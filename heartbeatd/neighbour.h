/* neighbour: the frames by which one asks for an address on a network, and by which one hears of it: ARP for
 * IPv4 (RFC 826), Neighbor Discovery for IPv6 (RFC 4861), as bytes.
 *
 * ARP requests with sender 0.0.0.0 are probes (RFC 5227), which leave no trace in the caches of those who
 * hear them. Of what comes in, everything tells who uses the sender's address: of ARP any packet, of Neighbor
 * Discovery advertisements for it, and solicitations from it. */
#pragma once
#include "common/nd.h"
#include "common/net.h"

enum { NEIGHBOUR_FRAME_MAX = ND_FRAME_BYTES };

/* Somebody who uses an address. */
struct neighbour {
    struct mac mac;
    struct net_address address; /* 0.0.0.0 or ::, a probe, tells nothing */
};

/* Who has `target`? Both addresses are of one family. */
struct neighbour_request {
    struct mac from, to; /* to: all ones for everybody */
    struct net_address sender, target;
};

extern const struct mac mac_broadcast;

/* Returns the frame's length. */
size_t neighbour_pack(const struct neighbour_request *request, uint8_t frame[static NEIGHBOUR_FRAME_MAX]);

/* Reads an Ethernet frame. 0, or -EBADMSG: neither ARP for IPv4 over Ethernet nor one of the two messages,
 * cut off, or from a MAC address that nobody can have (zero, or a group). */
int neighbour_parse(const uint8_t *frame, size_t size, struct neighbour *neighbour);
