#include "tests/tools/tools.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVE_BUFFER = 4 << 20 };

volatile bool tool_stopped, tool_asked;

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t tool_now_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}

void tool_fail(const char *text, const char *what)
{
    fprintf(stderr, "%s %s: %s\n", text, what, strerror(errno));
    exit(EXIT_FAILURE);
}

static bool take(const char *option, const char *value, size_t count, const char *const names[],
                 const char *texts[])
{
    for (size_t i = 0; i < count; i++)
        if (value && strncmp(option, "--", 2) == 0 && strcmp(option + 2, names[i]) == 0) {
            texts[i] = value;
            return true;
        }
    return false;
}

void tool_options(int argc, char **argv, const char *usage, size_t count, const char *const names[],
                  const char *texts[])
{
    for (int i = 1; i < argc; i += 2)
        if (!take(argv[i], argv[i + 1], count, names, texts)) {
            fprintf(stderr, "%s: unknown option or missing value: %s\nusage: %s\n", argv[0], argv[i], usage);
            exit(2);
        }
}

int64_t tool_number(const char *name, const char *text)
{
    char *end;
    const long long number = strtoll(text, &end, 10);

    if (*text == '\0' || *end != '\0' || number <= 0) {
        fprintf(stderr, "--%s wants a number above zero, not %s\n", name, text);
        exit(2);
    }
    return number;
}

static void on_signal(int signal)
{
    if (signal == SIGUSR1)
        tool_asked = true;
    else
        tool_stopped = true;
}

void tool_catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

void tool_ready(void)
{
    puts("{\"event\": \"ready\"}");
    fflush(stdout);
}

void tool_enter_realtime(void)
{
    const struct sched_param param = {.sched_priority = 20};

    if (sched_setscheduler(0, SCHED_RR, &param) < 0)
        fprintf(stderr, "going on without real-time priority: %s\n", strerror(errno));
}

static void read_mac(int fd, const char *device, uint8_t mac[6])
{
    struct ifreq request = {0};

    strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        tool_fail("cannot read the MAC address of", device);
    memcpy(mac, request.ifr_hwaddr.sa_data, 6);
}

int tool_open_packet(const char *device, int type, uint16_t ether_type, const struct sock_fprog *filter,
                     uint8_t mac[6], int *index)
{
    const int on = 1, buffer = RECEIVE_BUFFER;
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_protocol = htons(ether_type),
                                        .sll_ifindex = (int)if_nametoindex(device)};
    const int fd = socket(AF_PACKET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || address.sll_ifindex == 0)
        tool_fail("cannot open the device", device);
    if (filter && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof *filter) < 0)
        tool_fail("cannot filter on", device);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        tool_fail("cannot listen on", device);
    if (mac)
        read_mac(fd, device, mac);
    if (index)
        *index = address.sll_ifindex;
    return fd;
}

/* The kernel stamps with the wall clock: turned into CLOCK_BOOTTIME by the offset of this moment. */
static int64_t stamp_of(struct msghdr *message)
{
    const int64_t offset = clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_REALTIME);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + offset;
        }
    return tool_now_ns();
}

long tool_receive(int fd, void *bytes, size_t size, struct tool_packet *packet)
{
    struct sockaddr_ll from = {0};
    struct iovec part = {bytes, size};
    _Alignas(struct cmsghdr) char control[128];
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);

    if (got < 0)
        return -1;
    packet->at_ns = stamp_of(&message);
    packet->type = from.sll_pkttype;
    memcpy(packet->mac, from.sll_addr, 6);
    return got;
}

void tool_wait(int fd, int64_t until_ns)
{
    struct pollfd wait = {fd, POLLIN, 0};
    const int64_t left_ns = until_ns - tool_now_ns();
    const struct timespec left = {(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)};

    if (left_ns > 0)
        ppoll(&wait, 1, &left, NULL);
}

void tool_mac_print(const uint8_t mac[6], char text[static TOOL_MAC_TEXT])
{
    snprintf(text, TOOL_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
             mac[5]);
}
