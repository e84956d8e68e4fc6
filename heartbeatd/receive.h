/* receive: a datagram and the moment at which the kernel got it. */
#pragma once
#include <sys/types.h>

#include "common/base.h"

/* Asks the kernel to stamp what comes in on the socket, and for a buffer that holds a burst, as far as
 * allowed. */
int receive_prepare(int fd);

/* Takes one datagram, without waiting: its length (what does not fit is cut off), or a negative errno
 * (-EAGAIN: there is none). The kernel stamps by the wall clock, which somebody may set in between: the
 * answer, on CLOCK_BOOTTIME, is never later than now and never before `empty_ns`, when this socket was last
 * seen empty. */
ssize_t receive_stamped(int fd, void *buffer, size_t size, int64_t empty_ns, int64_t *received_ns);
