#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "takeoverd/packets.h"

int packets_open(void)
{
    /* Protocol 0: nothing is received. */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int size = 4 * 1024 * 1024;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    return fd;
}

int packets_send(int fd, int link, const struct announce_frame *frames, size_t count)
{
    static struct mmsghdr messages[PACKETS_BURST_MAX];
    static struct iovec parts[PACKETS_BURST_MAX];
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = link};

    count = MIN(count, PACKETS_BURST_MAX);
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)frames[i].bytes, .iov_len = frames[i].size};
        messages[i].msg_hdr =
            (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int sent = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
    return sent;
}
