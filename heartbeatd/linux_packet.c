#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "heartbeatd/packet.h"
#include "heartbeatd/receive.h"

enum { ARP_SENDER_AT = 28, IPV6_NEXT_AT = 20, ICMPV6_TYPE_AT = 54, FILTER_MAX = BPF_MAXINSNS };

static int join(int fd, unsigned index, const uint8_t *group)
{
    struct packet_mreq wanted = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_MULTICAST, .mr_alen = 6};

    memcpy(wanted.mr_address, group, 6);
    return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof wanted) < 0 ? -errno : 0;
}

static int filter(int fd, struct sock_filter *code, size_t count)
{
    const struct sock_fprog program = {.len = (unsigned short)count, .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

/* Not bound to a protocol at first, so that nothing comes in from other devices before it is set up. */
static int set_up(int fd, unsigned index, uint16_t ethertype, const uint8_t *group)
{
    const int on = 1;
    const struct sockaddr_ll place = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ethertype), .sll_ifindex = (int)index};

    int r = receive_prepare(fd);
    if (r == 0 && setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0)
        r = -errno;
    if (r == 0 && group)
        r = join(fd, index, group);
    if (r == 0 && bind(fd, (const struct sockaddr *)&place, sizeof place) < 0)
        r = -errno;
    return r;
}

int packet_open(unsigned index, uint16_t ethertype, const uint8_t *group, int *fd)
{
    const int made = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (made < 0)
        return -errno;
    int r = set_up(made, index, ethertype, group);
    if (r < 0)
        close(made);
    else
        *fd = made;
    return r;
}

int packet_filter_senders(int fd, const struct in_addr *senders, size_t count)
{
    const size_t length = 2 * count + 2;

    if (length > FILTER_MAX) {
        const int none = 0; /* all ARP then, whatever was asked for before */
        setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
        return 0;
    }
    AUTO_FREE struct sock_filter *code = calloc(length, sizeof *code);
    if (!code)
        return -ENOMEM;
    size_t n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARP_SENDER_AT);
    for (size_t i = 0; i < count; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(senders[i].s_addr), 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    return filter(fd, code, n);
}

int packet_filter_discovery(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IPV6_NEXT_AT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ICMPV6_TYPE_AT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 135, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    return filter(fd, code, ARRAY_LENGTH(code));
}

int packet_open_sources(unsigned index, int *fd)
{
    const struct sockaddr_ll place = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
    const int made = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, little = 1;

    if (made < 0)
        return -errno;
    int r = packet_filter_sources(made, NULL, 0);
    if (r == 0 && (setsockopt(made, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
                   setsockopt(made, SOL_SOCKET, SO_RCVBUF, &little, sizeof little) < 0 ||
                   setsockopt(made, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
                   bind(made, (const struct sockaddr *)&place, sizeof place) < 0))
        r = -errno;
    if (r < 0)
        close(made);
    else
        *fd = made;
    return r;
}

int packet_filter_sources(int fd, const struct mac *macs, size_t count)
{
    enum { SOURCE_AT = 6, MACS = 8 };
    struct sock_filter code[5 * MACS + 1];
    size_t n = 0;

    for (size_t i = 0; i < count && i < MACS; i++) {
        const uint8_t *b = macs[i].bytes;
        if (mac_is_zero(&macs[i]))
            continue;
        const uint32_t front = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SOURCE_AT);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, front, 0, 3);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, SOURCE_AT + 4);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)b[4] << 8 | b[5], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, PACKET_HEADER_BYTES);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    return filter(fd, code, n);
}

int packet_send(int fd, const uint8_t *frame, size_t size)
{
    return send(fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
