#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "heartbeatd/receive.h"

enum { RECEIVE_BUFFER = 1 << 20, PRIORITY = 6 };

int receive_prepare(int fd)
{
    const int on = 1, buffer = RECEIVE_BUFFER, priority = PRIORITY;

    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority);
    return 0;
}

static int64_t stamp_of(struct msghdr *message, int64_t now_ns)
{
    struct timespec stamp;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
            return stamp.tv_sec * NS_PER_S + stamp.tv_nsec - clock_wall_offset_ns();
        }
    return now_ns;
}

ssize_t receive_stamped(int fd, void *buffer, size_t size, int64_t empty_ns, int64_t *received_ns)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec)) + 64];
        struct cmsghdr aligned;
    } control;
    struct iovec part = {buffer, size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    const int64_t now_ns = clock_now_ns();
    const int64_t stamp_ns = stamp_of(&message, now_ns);
    *received_ns = MIN(MAX(stamp_ns, empty_ns), now_ns);
    return n;
}
