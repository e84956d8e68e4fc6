/* arp: Address Resolution Protocol frames for IPv4 over Ethernet (RFC 826), as bytes.
 *
 * Requests ask who has an address; with sender 0.0.0.0 they are probes (RFC 5227), which leave no trace in
 * the caches of those who hear them. Of what comes in, everything tells who uses the sender address. */
#pragma once
#include "common/net.h"

enum { ARP_FRAME_BYTES = 42 };

struct arp {
    struct mac sender_mac;
    struct in_addr sender, target; /* sender 0.0.0.0: a probe, which tells nothing */
};

struct arp_request {
    struct mac from, to; /* to: all ones for a broadcast */
    struct in_addr sender, target;
};

extern const struct mac mac_broadcast;

void arp_pack(const struct arp_request *request, uint8_t frame[static ARP_FRAME_BYTES]);

/* Reads an Ethernet frame of at least ARP_FRAME_BYTES. 0, or -EBADMSG: not ARP for IPv4 over Ethernet, cut
 * off, or from a MAC address that nobody can have (zero, or a group). */
int arp_parse(const uint8_t *frame, size_t size, struct arp *arp);
