/* packet: whole Ethernet frames of one EtherType on one device, past addresses, routes and firewall rules.
 *
 * What this host sends itself is not heard. A socket stays bound to its device when that goes down and up,
 * and is dead when the device is removed: close it then. Needs SYS_NETWORK_RAW. */
#pragma once
#include "common/net.h"

enum { PACKET_HEADER_BYTES = 14, PACKET_ARP = 0x0806, PACKET_IPV6 = 0x86DD };

/* Opens a socket for frames of `ethertype` on the device with this index; with `group`, also for those to
 * that group address. 0 and a descriptor that the caller closes, or a negative errno. */
int packet_open(unsigned index, uint16_t ethertype, const uint8_t *group, int *fd);

/* On a socket for ARP: lets the kernel pass only packets whose sender address is one of `senders`, so that a
 * busy network's ARP does not wake this process. With too many of them, all packets pass. 0 or a negative
 * errno. */
int packet_filter_senders(int fd, const struct in_addr *senders, size_t count);

/* On a socket for IPv6: passes Neighbor Solicitations and Advertisements only. 0 or a negative errno. */
int packet_filter_discovery(int fd);

/* A socket for all frames of the device, of which only a few are kept until they are read, and none comes in
 * before packet_filter_sources() has named whose. 0 and a descriptor that the caller closes, or a negative
 * errno. */
int packet_open_sources(unsigned index, int *fd);

/* Passes frames from these adapters, at most 8; zero addresses are none. 0 or a negative errno. */
int packet_filter_sources(int fd, const struct mac *macs, size_t count);

/* Sends a whole frame. 0 or a negative errno. */
int packet_send(int fd, const uint8_t *frame, size_t size);
