/* responder: a service worth guarding: it answers each UDP datagram with the name of its node and its
 * process.
 *
 *     responder --port 7000 [--broken FILE]
 *
 * While FILE is there it cannot be started, and one that runs ends within 20 ms. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/tools/tools.h"

static int open_port(int64_t port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) < 0)
        tool_fail("cannot open", "the port");
    return fd;
}

/* One request; its number comes back in front of the answer, which leaves from the address that was asked
 * (the adapter may have others before it). False: none waits. */
static bool answer_one(int fd, const char *answer)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control = {0};
    char bytes[128];
    struct sockaddr_in from;
    struct iovec part = {bytes, 8};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);

    if (n < 0)
        return false;
    struct cmsghdr *info = CMSG_FIRSTHDR(&message);
    if (info && info->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo asked;
        memcpy(&asked, CMSG_DATA(info), sizeof asked);
        asked = (struct in_pktinfo){.ipi_spec_dst = asked.ipi_addr};
        memcpy(CMSG_DATA(info), &asked, sizeof asked);
    }
    snprintf(bytes + n, sizeof bytes - (size_t)n, "%s", answer);
    part.iov_len = (size_t)n + strlen(answer);
    sendmsg(fd, &message, MSG_DONTWAIT);
    return true;
}

int main(int argc, char **argv)
{
    const char *const names[] = {"port", "broken"};
    const char *texts[] = {"7000", NULL};
    const char *node = getenv("DUET_NODE");
    char answer[96];

    tool_options(argc, argv, "responder [--port N] [--broken FILE]", 2, names, texts);
    if (texts[1] && access(texts[1], F_OK) == 0) {
        fprintf(stderr, "responder: broken on purpose (%s)\n", texts[1]);
        return 1;
    }
    tool_catch_signals();
    const int fd = open_port(tool_number("port", texts[0]));
    snprintf(answer, sizeof answer, "%s %d", node ? node : "-", (int)getpid());
    while (!tool_stopped && !(texts[1] && access(texts[1], F_OK) == 0)) {
        tool_wait(fd, tool_now_ns() + INT64_C(20000000));
        while (answer_one(fd, answer))
            ;
    }
    return tool_stopped ? 0 : 1;
}
