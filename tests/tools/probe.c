/* probe: a client that asks an address for a sign of life very often, and tells afterwards what it missed.
 *
 *     probe --device inside --to 192.0.2.10 [--every-us 200] [--realtime yes]
 *
 * It sends ICMP echo requests through the kernel as any program does, so that the client's own routes and
 * neighbour cache take part, and reads the replies with a packet socket, which tells who sent them. SIGUSR1
 * prints the result so far (one JSON line), SIGTERM the last one. A gap is the time from one reply to the
 * next; the longest ones are kept. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/tools/tools.h"

enum { GAPS = 16, OWNERS = 64, GRACE_MS = 200 };

struct gap {
    int64_t start_ns, length_ns;
};

struct owner {
    int64_t at_ns;
    uint8_t mac[6];
};

struct probe {
    int send_fd, receive_fd;
    struct in_addr to;
    uint16_t id;
    int64_t every_ns, started_ns, last_ns;
    uint64_t next; /* sequence number; goes on after a snapshot */
    int64_t sent, received, refused, doubled;
    uint8_t seen[65536 / 8]; /* by sequence number: answered */
    struct gap gaps[GAPS];
    struct owner owners[OWNERS];
    size_t owner_count;
};

static uint16_t checksum(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)(at[i] << 8 | at[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void send_one(struct probe *probe)
{
    const uint16_t sequence = (uint16_t)probe->next++;
    struct icmphdr request = {.type = ICMP_ECHO, .un.echo = {htons(probe->id), htons(sequence)}};
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = probe->to};

    request.checksum = checksum(&request, sizeof request);
    probe->sent++;
    probe->seen[sequence / 8] &= (uint8_t) ~(1U << sequence % 8);
    if (sendto(probe->send_fd, &request, sizeof request, MSG_DONTWAIT, (const struct sockaddr *)&to,
               sizeof to) < 0)
        probe->refused++;
}

static void keep_gap(struct probe *probe, int64_t start_ns, int64_t length_ns)
{
    size_t smallest = 0;

    for (size_t i = 1; i < GAPS; i++)
        if (probe->gaps[i].length_ns < probe->gaps[smallest].length_ns)
            smallest = i;
    if (length_ns > probe->gaps[smallest].length_ns)
        probe->gaps[smallest] = (struct gap){start_ns, length_ns};
}

static void keep_owner(struct probe *probe, const struct tool_packet *packet)
{
    const size_t last = probe->owner_count - 1;

    if (probe->owner_count > 0 && memcmp(probe->owners[last].mac, packet->mac, 6) == 0)
        return;
    if (probe->owner_count == OWNERS)
        return;
    probe->owners[probe->owner_count].at_ns = packet->at_ns;
    memcpy(probe->owners[probe->owner_count++].mac, packet->mac, 6);
}

/* An echo reply to this process, from its address: the sequence number, or -1. */
static int sequence_of(const struct probe *probe, const uint8_t *bytes, long size)
{
    const size_t header = (size_t)(bytes[0] & 15) * 4;
    struct icmphdr reply;
    struct iphdr ip;

    if (size < (long)(sizeof ip + sizeof reply) || size < (long)(header + sizeof reply))
        return -1;
    memcpy(&ip, bytes, sizeof ip);
    memcpy(&reply, bytes + header, sizeof reply);
    if (ip.protocol != IPPROTO_ICMP || ip.saddr != probe->to.s_addr || reply.type != ICMP_ECHOREPLY ||
        reply.un.echo.id != htons(probe->id))
        return -1;
    return ntohs(reply.un.echo.sequence);
}

static void receive_all(struct probe *probe)
{
    uint8_t bytes[256];
    struct tool_packet packet;
    long size;

    while ((size = tool_receive(probe->receive_fd, bytes, sizeof bytes, &packet)) >= 0) {
        const int sequence = packet.type == PACKET_OUTGOING ? -1 : sequence_of(probe, bytes, size);
        if (sequence < 0)
            continue;
        if (probe->seen[sequence / 8] & 1U << sequence % 8) {
            probe->doubled++;
            continue;
        }
        probe->seen[sequence / 8] |= (uint8_t)(1U << sequence % 8);
        probe->received++;
        if (probe->last_ns)
            keep_gap(probe, probe->last_ns, packet.at_ns - probe->last_ns);
        probe->last_ns = packet.at_ns;
        keep_owner(probe, &packet);
    }
}

static int by_length(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;

    return (x->length_ns < y->length_ns) - (x->length_ns > y->length_ns);
}

/* `open_ms` is the silence that has not ended: no reply since then. */
static void print(struct probe *probe, int64_t now)
{
    struct gap gaps[GAPS];
    const int64_t open_ns =
        now - (probe->last_ns ? probe->last_ns : probe->started_ns); /* since the last reply */
    const char *comma = "";
    char mac[TOOL_MAC_TEXT];

    memcpy(gaps, probe->gaps, sizeof gaps);
    qsort(gaps, GAPS, sizeof *gaps, by_length);
    printf("{\"sent\": %lld, \"received\": %lld, \"lost\": %lld, \"refused\": %lld, \"doubled\": %lld, ",
           (long long)probe->sent, (long long)probe->received, (long long)(probe->sent - probe->received),
           (long long)probe->refused, (long long)probe->doubled);
    printf("\"started_ns\": %lld, \"last_ns\": %lld, \"open_ms\": %.3f, \"gaps\": [",
           (long long)probe->started_ns, (long long)probe->last_ns, (double)open_ns / 1e6);
    for (size_t i = 0; i < GAPS && gaps[i].length_ns > 0; i++, comma = ", ")
        printf("%s{\"start_ns\": %lld, \"ms\": %.3f}", comma, (long long)gaps[i].start_ns,
               (double)gaps[i].length_ns / 1e6);
    printf("], \"owners\": [");
    comma = "";
    for (size_t i = 0; i < probe->owner_count; i++, comma = ", ") {
        tool_mac_print(probe->owners[i].mac, mac);
        printf("%s{\"at_ns\": %lld, \"mac\": \"%s\"}", comma, (long long)probe->owners[i].at_ns, mac);
    }
    printf("]}\n");
    fflush(stdout);
}

/* Asked for in the middle of a measurement: what was seen until now, and a fresh start. */
static void print_and_restart(struct probe *probe)
{
    print(probe, tool_now_ns());
    memset(probe->gaps, 0, sizeof probe->gaps);
    probe->owner_count = 0;
    probe->received = probe->sent = probe->refused = probe->doubled = 0;
    tool_asked = false;
}

/* Until SIGTERM, and then for the last answers; returns when the last request was due. */
static int64_t run(struct probe *probe)
{
    int64_t next_ns = probe->started_ns = tool_now_ns();

    while (!tool_stopped) {
        const int64_t now = tool_now_ns();
        if (tool_asked)
            print_and_restart(probe);
        if (now >= next_ns) {
            send_one(probe);
            next_ns =
                now - next_ns > 100 * probe->every_ns ? now + probe->every_ns : next_ns + probe->every_ns;
        }
        receive_all(probe);
        tool_wait(probe->receive_fd, next_ns);
    }
    const int64_t stopped_ns = tool_now_ns(), end_ns = stopped_ns + GRACE_MS * INT64_C(1000000);
    while (tool_now_ns() < end_ns && probe->received < probe->sent) {
        receive_all(probe);
        tool_wait(probe->receive_fd, end_ns);
    }
    return stopped_ns;
}

static void open_sockets(struct probe *probe, const char *device)
{
    /* Of IP packets, as a SOCK_DGRAM packet socket shows them: ICMP only. */
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, 256), BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog filter = {sizeof code / sizeof *code, code};
    const struct icmp_filter nothing = {UINT32_MAX};

    probe->send_fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (probe->send_fd < 0 || setsockopt(probe->send_fd, SOL_RAW, ICMP_FILTER, &nothing, sizeof nothing) < 0)
        tool_fail("cannot open", "a raw socket");
    probe->receive_fd = tool_open_packet(device, SOCK_DGRAM, ETH_P_IP, &filter, NULL, NULL);
}

int main(int argc, char **argv)
{
    const char *const names[] = {"device", "to", "every-us", "realtime"};
    const char *texts[] = {NULL, NULL, "200", NULL};
    static struct probe probe;

    tool_options(argc, argv, "probe --device D --to ADDRESS [--every-us N] [--realtime yes]", 4, names,
                 texts);
    if (!texts[0] || !texts[1] || inet_pton(AF_INET, texts[1], &probe.to) != 1) {
        fprintf(stderr, "probe: wants --device and --to with an IPv4 address\n");
        return 2;
    }
    probe.id = (uint16_t)getpid();
    probe.every_ns = tool_number("every-us", texts[2]) * 1000;
    tool_catch_signals();
    open_sockets(&probe, texts[0]);
    if (texts[3])
        tool_enter_realtime();
    tool_ready();
    print(&probe, run(&probe));
    return 0;
}
