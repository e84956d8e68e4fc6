#include "takeoverd/listen.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FRAME_MAX = 128,
    ADDRESSES_MAX = 500, /* in a filter; beyond that all ARP is heard */
    FILTER_SIZE = 4 * ADDRESSES_MAX + 3,
    ARP_SENDER_AT = 28,
    ARP_TARGET_AT = 38,
    IPV6_NEXT_AT = 20,
    ICMPV6_TYPE_AT = 54,
};

#define PASS BPF_STMT(BPF_RET | BPF_K, FRAME_MAX)
#define DROP BPF_STMT(BPF_RET | BPF_K, 0)

static int attach(int fd, struct sock_filter *code, size_t count)
{
    const struct sock_fprog program = {.len = (unsigned short)count, .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

/* Passes frames in which an active address stands at an offset. Returns how long the filter is by then; 0:
 * too long. */
static size_t pass_active(struct sock_filter *code, size_t n, const struct plan *plan, unsigned offset)
{
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
    for (size_t i = 0; i < plan->address_count; i++) {
        const struct plan_address *a = &plan->addresses[i];
        if (!a->active || a->address.family != AF_INET)
            continue;
        if (n + 3 > FILTER_SIZE) /* two for the address, one for what follows the last */
            return 0;
        code[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(a->address.v4.s_addr), 0, 1);
        code[n++] = (struct sock_filter)PASS;
    }
    return n;
}

/* Frames about an active address: questions for it, answers to it, and whoever else uses it. */
static int filter_arp(int fd, const struct plan *plan)
{
    static struct sock_filter code[FILTER_SIZE];
    size_t n = pass_active(code, 0, plan, ARP_TARGET_AT);

    n = n > 0 ? pass_active(code, n, plan, ARP_SENDER_AT) : 0;
    if (n == 0)
        return 0;
    code[n++] = (struct sock_filter)DROP;
    return attach(fd, code, n);
}

int listen_filter(int fd, int family, const struct plan *plan)
{
    const int none = 0;

    if (family != AF_INET)
        return 0; /* all of neighbour discovery is heard */
    setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none); /* a longer one may not fit */
    return filter_arp(fd, plan);
}

static int filter_discovery(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IPV6_NEXT_AT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ICMPV6_TYPE_AT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 135, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 1, 0),
        DROP,
        PASS,
    };

    return attach(fd, code, ARRAY_LENGTH(code));
}

int listen_open(int family, const struct plan *plan)
{
    const int protocol = family == AF_INET ? ETH_P_ARP : ETH_P_IPV6, on = 1;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    /* The filter first: nothing gets in before it. */
    const struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol)};
    int r = family == AF_INET ? filter_arp(fd, plan) : filter_discovery(fd);
    if (r == 0 && bind(fd, (const struct sockaddr *)&all, sizeof all) < 0)
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

int listen_next(int fd, int *link, struct announce_heard *heard)
{
    uint8_t frame[FRAME_MAX];
    struct sockaddr_ll from;
    socklen_t from_size = sizeof from;
    ssize_t n;

    do
        n = recvfrom(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return 0; /* also ENETDOWN, told once when an adapter goes */
    *link = from.sll_ifindex;
    return from.sll_pkttype == PACKET_OUTGOING || announce_parse(frame, (size_t)n, heard) < 0 ? -EBADMSG : 1;
}
