/* wire: sockets for the tests of gateways, which Linux has in a way of its own. Implemented in linux_wire.c.
 */
#pragma once
#include "common/net.h"

/* A socket that has sent an echo request with `nonce`, by `device` only unless empty; readable when something
 * came. The descriptor, or a negative errno. */
int wire_echo(const struct net_address *address, const char *device, uint64_t nonce);

/* 1: the answer is there; 0: not yet; or a negative errno, such as -EHOSTUNREACH. */
int wire_echo_read(int fd, const struct net_address *address, uint64_t nonce);

/* A socket that connects; writable when that is done. The descriptor, or a negative errno. */
int wire_connect(const struct net_address *address, int port, const char *device);

/* 0: connected; or a negative errno, such as -ECONNREFUSED. */
int wire_connected(int fd);
