/* listen: hears ARP and neighbour discovery on all adapters. Implemented in linux_listen.c. */
#pragma once
#include "takeoverd/announce.h"
#include "takeoverd/plan.h"

/* A socket that reads frames of one family (AF_INET: ARP; AF_INET6: Neighbor Solicitations and
 * Advertisements), where it can be told beforehand only those about active addresses of the plan. -errno on
 * error; the caller closes it. */
int listen_open(int family, const struct plan *plan);

/* The plan is another one by now: only frames about its active addresses from here on. 0 or -errno. */
int listen_filter(int fd, int family, const struct plan *plan);

/* The next frame: its adapter, as the kernel numbers it, and what it says. 1; 0: there is none now; -EBADMSG:
 * one that says nothing. Frames that this machine sends are not heard. */
int listen_next(int fd, int *link, struct announce_heard *heard);
