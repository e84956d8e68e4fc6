/* line: UDP between an address of each node, and nobody else's: the reserved line, and channels whose nodes
 * are not on one segment. */
#pragma once
#include "common/net.h"

/* A socket bound to the own address, which need not exist yet, and connected to the peer's, both at `port`;
 * it sends and hears by `device` alone, whatever the routes say (NULL: by any). 0
 * and a descriptor that the caller closes; or a negative errno: -ENETUNREACH and the like mean that the
 * system has not configured the line yet, so try again. */
int line_open(const struct net_address *own, const struct net_address *peer, uint16_t port,
              const char *device, int *fd);

/* 0 or a negative errno. What the peer's host refused earlier (ECONNREFUSED: nobody listens there) is not
 * this datagram's error, so it is sent all the same; `*refused` tells. */
int line_send(int fd, const uint8_t *datagram, size_t size, bool *refused);
