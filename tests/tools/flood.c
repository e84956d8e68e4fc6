/* flood: an attacker on the wire, who has heard real heartbeats and sends what a node must not believe.
 *
 *     flood --listen PORT-DEVICE --send DEVICE --kind KIND --ether 0x88b5|udp [--rate 10000] [--seconds 10]
 *           [--save FILE] [--load FILE]
 *
 * It first listens on PORT-DEVICE (a port of the lab's switch) until it has heard FRAMES heartbeats, or loads
 * those that an earlier run saved (how a recording of a pair with another key gets in), then sends variations
 * of them on DEVICE (the bridge) at the given rate. Kinds: replay (unchanged), truncate, garbage (random
 * bytes behind the real header of the network), flip (one bit), foreign (the datagram's first bytes changed),
 * mixed (all of them in turn).
 *
 * Checksums are mended, so that the kernel hands everything over. Prints a JSON line at the end. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/udp.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tools.h"

enum { FRAMES = 64, FRAME_MAX = 2048, LISTEN_S = 10 };
enum kind { REPLAY, TRUNCATE, GARBAGE, FLIP, FOREIGN, KINDS, MIXED = KINDS };

static const char *const kind_names[] = {"replay", "truncate", "garbage", "flip", "foreign", "mixed"};

struct frame {
    uint32_t size;
    uint8_t bytes[FRAME_MAX];
};

struct flood {
    struct frame frames[FRAMES];
    size_t count;
    size_t header; /* bytes before the datagram itself */
    bool udp;
    uint16_t ether_type;
    uint64_t random;
};

static uint32_t random_number(struct flood *flood)
{
    flood->random ^= flood->random << 13;
    flood->random ^= flood->random >> 7;
    flood->random ^= flood->random << 17;
    return (uint32_t)(flood->random >> 16);
}

static bool is_heartbeat(const struct flood *flood, const uint8_t *bytes, long size)
{
    if (size <= (long)flood->header || (bytes[12] << 8 | bytes[13]) != flood->ether_type)
        return false;
    return !flood->udp || (bytes[ETH_HLEN] == 0x45 && bytes[ETH_HLEN + 9] == IPPROTO_UDP);
}

/* All protocols are listened to: a port of a bridge shows a single one to nobody. */
static void listen_for_frames(struct flood *flood, const char *device)
{
    const int fd = tool_open_packet(device, SOCK_RAW, ETH_P_ALL, NULL, NULL, NULL);
    const int64_t end_ns = tool_now_ns() + LISTEN_S * INT64_C(1000000000);
    struct tool_packet packet;

    while (flood->count < FRAMES && tool_now_ns() < end_ns && !tool_stopped) {
        struct frame *frame = &flood->frames[flood->count];
        const long size = tool_receive(fd, frame->bytes, sizeof frame->bytes, &packet);
        if (size < 0)
            tool_wait(fd, end_ns);
        else if (is_heartbeat(flood, frame->bytes, size)) {
            frame->size = (uint32_t)size;
            flood->count++;
        }
    }
}

static void mend_checksums(uint8_t *bytes, uint32_t size)
{
    struct iphdr ip;
    const uint16_t udp_size = htons((uint16_t)(size - ETH_HLEN - sizeof ip));
    uint32_t sum = 0;

    memcpy(&ip, bytes + ETH_HLEN, sizeof ip);
    ip.tot_len = htons((uint16_t)(size - ETH_HLEN));
    ip.check = 0;
    memcpy(bytes + ETH_HLEN, &ip, sizeof ip);
    for (size_t i = 0; i < sizeof ip; i += 2)
        sum += (uint32_t)(bytes[ETH_HLEN + i] << 8 | bytes[ETH_HLEN + i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    ip.check = htons((uint16_t)~sum);
    memcpy(bytes + ETH_HLEN, &ip, sizeof ip);
    memcpy(bytes + ETH_HLEN + sizeof ip + 4, &udp_size, 2);
    memset(bytes + ETH_HLEN + sizeof ip + 6, 0, 2); /* UDP without a checksum */
}

static void vary(struct flood *flood, enum kind kind, struct frame *frame)
{
    const uint32_t payload = frame->size - (uint32_t)flood->header;
    uint8_t *datagram = frame->bytes + flood->header;

    switch (kind) {
    case TRUNCATE:
        frame->size = (uint32_t)flood->header + random_number(flood) % payload;
        break;
    case GARBAGE:
        for (uint32_t i = 0; i < payload; i++)
            datagram[i] = (uint8_t)random_number(flood);
        break;
    case FLIP:
        datagram[random_number(flood) % payload] ^= (uint8_t)(1U << random_number(flood) % 8);
        break;
    case FOREIGN:
        for (uint32_t i = 0; i < payload && i < 16; i++)
            datagram[i] ^= (uint8_t)random_number(flood);
        break;
    case REPLAY:
    case KINDS:
        break;
    }
    if (flood->udp)
        mend_checksums(frame->bytes, frame->size);
}

static int64_t send_all(struct flood *flood, const char *device, enum kind kind, int64_t rate,
                        int64_t seconds)
{
    const int fd = tool_open_packet(device, SOCK_RAW, 0, NULL, NULL, NULL);
    const int64_t start_ns = tool_now_ns(), end_ns = start_ns + seconds * 1000000000;
    int64_t sent = 0, now;

    while ((now = tool_now_ns()) < end_ns && !tool_stopped) {
        const int64_t due = (now - start_ns) * rate / 1000000000;
        for (int burst = 0; sent < due && burst < 256; sent++, burst++) {
            struct frame frame = flood->frames[random_number(flood) % flood->count];
            vary(flood, kind == MIXED ? (enum kind)(sent % KINDS) : kind, &frame);
            send(fd, frame.bytes, frame.size, MSG_DONTWAIT);
        }
        tool_wait(-1, now + 1000000);
    }
    return sent;
}

static void save(const struct flood *flood, const char *file)
{
    FILE *out = fopen(file, "wb");

    if (!out || fwrite(flood->frames, sizeof *flood->frames, flood->count, out) != flood->count ||
        fclose(out) != 0)
        tool_fail("cannot write", file);
}

static void load(struct flood *flood, const char *file)
{
    FILE *in = fopen(file, "rb");

    if (!in)
        tool_fail("cannot read", file);
    flood->count = fread(flood->frames, sizeof *flood->frames, FRAMES, in);
    fclose(in);
}

static enum kind kind_of(const char *text)
{
    for (size_t i = 0; i < sizeof kind_names / sizeof *kind_names; i++)
        if (strcmp(kind_names[i], text) == 0)
            return (enum kind)i;
    fprintf(stderr, "flood: --kind is one of replay, truncate, garbage, flip, foreign, mixed, not %s\n",
            text);
    exit(2);
}

int main(int argc, char **argv)
{
    const char *const names[] = {"listen", "send", "kind", "ether", "rate", "seconds", "save", "load"};
    const char *texts[] = {NULL, NULL, "mixed", "0x88b5", "10000", "10", NULL, NULL};
    static struct flood flood = {.random = 88172645463325252};
    int64_t sent = 0;

    tool_options(argc, argv, "flood --listen D --send D --kind K --ether 0x88b5|udp [--rate N] [--seconds N]",
                 8, names, texts);
    const enum kind kind = kind_of(texts[2]);
    flood.udp = strcmp(texts[3], "udp") == 0;
    flood.ether_type = flood.udp ? ETH_P_IP : (uint16_t)strtol(texts[3], NULL, 16);
    flood.header = flood.udp ? ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) : ETH_HLEN;
    tool_catch_signals();
    tool_ready();
    if (texts[7])
        load(&flood, texts[7]);
    else if (texts[0])
        listen_for_frames(&flood, texts[0]);
    if (flood.count == 0) {
        fprintf(stderr, "flood: heard no heartbeat to vary\n");
        return EXIT_FAILURE;
    }
    if (texts[6])
        save(&flood, texts[6]);
    if (texts[1])
        sent =
            send_all(&flood, texts[1], kind, tool_number("rate", texts[4]), tool_number("seconds", texts[5]));
    printf("{\"heard\": %zu, \"sent\": %lld}\n", flood.count, (long long)sent);
    return 0;
}
