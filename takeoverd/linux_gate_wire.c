#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "takeoverd/gate_wire.h"

/* The loopback device is the first of each network namespace, and cannot be deleted. */
static struct sockaddr_ll loopback(void)
{
    return (struct sockaddr_ll){.sll_family = AF_PACKET,
                                .sll_protocol = htons(GATE_ETHERTYPE),
                                .sll_ifindex = (int)if_nametoindex("lo")};
}

/* What the gate's rules have marked, and nothing else. The socket hears of a frame behind the ingress hook.
 */
static int filter_echo(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(SKF_AD_OFF + SKF_AD_MARK)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GATE_ECHO, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, GATE_FRAME_SIZE),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = ARRAY_LENGTH(code), .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int gate_wire_open(void)
{
    const int mark = GATE_MARK;
    const struct sockaddr_ll lo = loopback();
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    int r = filter_echo(fd); /* first: nothing gets in before it */
    if (r == 0 && (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ||
                   bind(fd, (const struct sockaddr *)&lo, sizeof lo) < 0))
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

int gate_wire_send(int fd, enum gate_state state, unsigned rung, int64_t sent_ns)
{
    uint8_t frame[GATE_FRAME_SIZE];

    gate_frame(state, rung, sent_ns, frame);
    for (int i = 0; i < 2; i++) { /* the first may only tell that the device went down, and is up again */
        if (send(fd, frame, sizeof frame, 0) >= 0)
            return 0;
        if (errno != ENETDOWN)
            break;
    }
    return -errno;
}

int64_t gate_wire_hear(int fd)
{
    uint8_t frame[GATE_FRAME_SIZE];

    for (;;) {
        const ssize_t n = recv(fd, frame, sizeof frame, MSG_DONTWAIT);
        if (n == sizeof frame)
            return gate_frame_sent_ns(frame);
        if (n < 0 && errno != EINTR && errno != ENETDOWN) /* told once, when the device goes down */
            return 0;
    }
}
