/* census: a neighbour that wants to know since when many addresses are answered for.
 *
 *     census --device inside --first 10.77.0.1 --count 1000 --mac 02:00:00:00:0b:02 [--rate 16000]
 *
 * It asks the adapter with that MAC address, by ARP, for `count` addresses from `first` on, again and again,
 * `rate` requests a second, until that has answered. (Nobody else hears the questions, which have no sender
 * protocol address: RFC 5227's probes leave no trace.) To ask for all of very many takes long, so it asks for
 * SAMPLE of them first, evenly spread, the first and the last one among them; and once these are answered
 * for, for all the others. Then, or at SIGTERM, it prints one JSON line: how many, when the first and the
 * last of the sample answered first, and when the last of all did. The times of the sample are too late by
 * SAMPLE / rate at most (4 ms), and never too early. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tools.h"

enum { BURST = 16, SAMPLE = 64 };

struct arp_frame {
    uint8_t to[6], from[6];
    uint16_t ether_type;
    uint16_t hardware, protocol;
    uint8_t hardware_size, protocol_size;
    uint16_t operation;
    uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

struct census {
    int fd, index;
    uint8_t own[6], asked[6];
    uint32_t first; /* host byte order */
    size_t count, answered, cursor;
    int64_t *answered_ns; /* by address; 0: not yet */
    size_t step, left_of_sample;
    int64_t first_ns, last_ns, all_ns;
};

static bool in_sample(const struct census *c, size_t which)
{
    return which % c->step == 0 || which == c->count - 1;
}

static bool next_unanswered(struct census *c, size_t *which)
{
    for (size_t i = 0; i < c->count; i++) {
        const size_t at = (c->cursor + i) % c->count;
        if (c->answered_ns[at] != 0 || (c->left_of_sample > 0 && !in_sample(c, at)))
            continue;
        c->cursor = at + 1;
        *which = at;
        return true;
    }
    return false;
}

static void write_question(const struct census *c, size_t which, struct arp_frame *frame)
{
    const uint32_t target = htonl(c->first + (uint32_t)which);

    *frame = (struct arp_frame){.ether_type = htons(ETH_P_ARP),
                                .hardware = htons(ARPHRD_ETHER),
                                .protocol = htons(ETH_P_IP),
                                .hardware_size = 6,
                                .protocol_size = 4,
                                .operation = htons(ARPOP_REQUEST)};
    memcpy(frame->to, c->asked, 6);
    memcpy(frame->from, c->own, 6);
    memcpy(frame->sender_mac, c->own, 6);
    memcpy(frame->target_ip, &target, 4);
}

static void ask(struct census *c)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = c->index};
    struct arp_frame frames[BURST];
    struct iovec parts[BURST];
    struct mmsghdr messages[BURST];
    const size_t left = c->count - c->answered;
    unsigned n = 0;
    size_t which;

    for (; n < BURST && n < left && next_unanswered(c, &which); n++) {
        write_question(c, which, &frames[n]);
        parts[n] = (struct iovec){&frames[n], sizeof frames[n]};
        messages[n].msg_hdr =
            (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[n], .msg_iovlen = 1};
    }
    sendmmsg(c->fd, messages, n, MSG_DONTWAIT);
}

static void note(struct census *c, size_t which, int64_t at_ns)
{
    c->answered_ns[which] = c->all_ns = at_ns;
    c->answered++;
    if (!in_sample(c, which))
        return;
    c->left_of_sample--;
    c->last_ns = at_ns;
    c->first_ns = c->first_ns == 0 ? at_ns : c->first_ns;
}

static void receive_all(struct census *c)
{
    struct arp_frame frame;
    struct tool_packet packet;
    uint32_t sender;
    long size;

    while ((size = tool_receive(c->fd, &frame, sizeof frame, &packet)) >= 0) {
        if (size < (long)sizeof frame || packet.type == PACKET_OUTGOING ||
            frame.operation != htons(ARPOP_REPLY) || memcmp(frame.to, c->own, 6) != 0 ||
            memcmp(frame.sender_mac, c->asked, 6) != 0)
            continue;
        memcpy(&sender, frame.sender_ip, 4);
        const size_t which = ntohl(sender) - c->first;
        if (which >= c->count || c->answered_ns[which] != 0)
            continue;
        note(c, which, packet.at_ns);
    }
}

static void run(struct census *c, int64_t every_ns)
{
    int64_t next_ns = tool_now_ns();

    while (!tool_stopped && c->answered < c->count) {
        const int64_t now_ns = tool_now_ns();
        if (now_ns >= next_ns) {
            ask(c);
            next_ns = now_ns + every_ns;
        }
        receive_all(c);
        tool_wait(c->fd, next_ns);
    }
    receive_all(c);
    printf(
        "{\"event\": \"census\", \"count\": %zu, \"answered\": %zu, \"first_ns\": %lld, \"last_ns\": %lld}\n",
        c->count, c->answered, (long long)c->first_ns, (long long)c->last_ns);
    fflush(stdout);
}

static bool read_mac(const char *text, uint8_t mac[6])
{
    unsigned bytes[6];

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4],
               &bytes[5]) != 6)
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)bytes[i];
    return true;
}

int main(int argc, char **argv)
{
    const char *const names[] = {"device", "first", "count", "mac", "rate"};
    const char *texts[] = {NULL, NULL, "1", NULL, "16000"};
    static struct census census;
    struct in_addr first;

    tool_options(argc, argv, "census --device D --first A --count N --mac M [--rate N]", 5, names, texts);
    if (!texts[0] || !texts[1] || inet_pton(AF_INET, texts[1], &first) != 1 || !texts[3] ||
        !read_mac(texts[3], census.asked)) {
        fprintf(stderr, "census: wants --device, --first with an IPv4 address, and --mac\n");
        return 2;
    }
    census.first = ntohl(first.s_addr);
    census.count = (size_t)tool_number("count", texts[2]);
    census.answered_ns = calloc(census.count, sizeof *census.answered_ns);
    if (!census.answered_ns)
        tool_fail("cannot remember", "so many addresses");
    census.step = (census.count + SAMPLE - 2) / (SAMPLE - 1);
    for (size_t i = 0; i < census.count; i++)
        census.left_of_sample += in_sample(&census, i);
    tool_catch_signals();
    census.fd = tool_open_packet(texts[0], SOCK_RAW, ETH_P_ARP, NULL, census.own, &census.index);
    tool_enter_realtime();
    tool_ready();
    run(&census, INT64_C(1000000000) * BURST / tool_number("rate", texts[4]));
    free(census.answered_ns);
    return 0;
}
