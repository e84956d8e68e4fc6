/* packets: sends announcement frames on an adapter. Implemented in linux_packet.c. */
#pragma once
#include "takeoverd/announce.h"

enum { PACKETS_BURST_MAX = 1024 };

/* A socket that sends only; -errno on error. The caller closes it. */
int packets_open(void);

/* Sends `count` (at most PACKETS_BURST_MAX) frames on adapter `link` in one system call, without waiting.
 * Returns how many the kernel took: fewer when its queue is full. Negative errno if it took none for another
 * reason. */
int packets_send(int fd, int link, const struct announce_frame *frames, size_t count);
