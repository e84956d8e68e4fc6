/* arpwatch: an outsider who asks again and again who has an address, and notes who answers.
 *
 *     arpwatch --device inside --address 192.0.2.10 [--every-us 3000] [--realtime yes]
 *
 * Each request is a broadcast with a sender hardware address of its own (one of TAGS) and no sender protocol
 * address (RFC 5227's probe), so that an answer names its request for certain, however late it comes, and
 * nobody who is asked remembers the asker. A request answered from two hardware addresses is a moment of dual
 * active.
 *
 * Prints one JSON line at each change of the answering one (`mac` null: nobody answered three requests in a
 * row), and a summary at SIGTERM, and at SIGUSR1, after which it counts anew. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "tests/tools/tools.h"

enum { TAGS = 64, ANSWERS_MAX = 4, SILENT_AFTER = 3 };

struct arp_frame {
    uint8_t to[6], from[6];
    uint16_t ether_type;
    uint16_t hardware, protocol;
    uint8_t hardware_size, protocol_size;
    uint16_t operation;
    uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

struct request {
    int64_t sent_ns;
    int answers; /* of different ones */
    uint8_t macs[ANSWERS_MAX][6];
};

struct watch {
    int fd, index;
    struct in_addr address;
    uint8_t own[6];
    uint64_t next; /* request number; its tag is next % TAGS */
    struct request requests[TAGS];
    bool owned;
    uint8_t owner[6];
    int unanswered;
    int64_t asked, answered, dual, changes;
    int64_t answered_ns, silence_start_ns, silence_ns; /* last answer; longest silence */
    int64_t dual_since_ns, dual_first_ns, dual_ns;     /* running stretch; first ever; longest */
};

static void print_owner(const struct watch *watch, int64_t at_ns)
{
    char mac[TOOL_MAC_TEXT];

    tool_mac_print(watch->owner, mac);
    if (watch->owned)
        printf("{\"event\": \"owner\", \"at_ns\": %lld, \"mac\": \"%s\"}\n", (long long)at_ns, mac);
    else
        printf("{\"event\": \"owner\", \"at_ns\": %lld, \"mac\": null}\n", (long long)at_ns);
    fflush(stdout);
}

static void set_owner(struct watch *watch, const uint8_t *mac, int64_t at_ns)
{
    if (mac ? watch->owned && memcmp(watch->owner, mac, 6) == 0 : !watch->owned)
        return;
    watch->owned = mac != NULL;
    if (mac)
        memcpy(watch->owner, mac, 6);
    watch->changes++;
    print_owner(watch, at_ns);
}

static void tag_of(const struct watch *watch, uint64_t number, uint8_t mac[6])
{
    memcpy(mac, watch->own, 6);
    mac[0] = 0x06; /* locally administered, and not the adapter's own */
    mac[1] = (uint8_t)(number % TAGS);
}

/* The verdict on the request whose tag is used again next: by then every answer has come. */
static void close_request(struct watch *watch, const struct request *request)
{
    if (request->sent_ns == 0)
        return;
    if (request->answers < 2) {
        watch->dual_since_ns = 0;
        return;
    }
    watch->dual++;
    if (!watch->dual_since_ns)
        watch->dual_since_ns = request->sent_ns;
    if (!watch->dual_first_ns)
        watch->dual_first_ns = request->sent_ns;
    if (request->sent_ns - watch->dual_since_ns >= watch->dual_ns)
        watch->dual_ns = request->sent_ns - watch->dual_since_ns;
}

static void ask(struct watch *watch)
{
    const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = watch->index};
    struct arp_frame frame = {.to = {255, 255, 255, 255, 255, 255},
                              .ether_type = htons(ETH_P_ARP),
                              .hardware = htons(ARPHRD_ETHER),
                              .protocol = htons(ETH_P_IP),
                              .hardware_size = 6,
                              .protocol_size = 4,
                              .operation = htons(ARPOP_REQUEST)};
    struct request *request = &watch->requests[watch->next % TAGS];

    close_request(watch, request);
    *request = (struct request){.sent_ns = tool_now_ns()};
    tag_of(watch, watch->next++, frame.from);
    memcpy(frame.sender_mac, frame.from, 6);
    memcpy(frame.target_ip, &watch->address, 4);
    watch->asked++;
    if (++watch->unanswered > SILENT_AFTER)
        set_owner(watch, NULL, watch->answered_ns);
    sendto(watch->fd, &frame, sizeof frame, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof to);
}

static void note_silence(struct watch *watch, int64_t at_ns)
{
    if (watch->answered_ns && at_ns - watch->answered_ns > watch->silence_ns) {
        watch->silence_ns = at_ns - watch->answered_ns;
        watch->silence_start_ns = watch->answered_ns;
    }
    watch->answered_ns = at_ns;
}

static void note_answer(struct watch *watch, struct request *request, const uint8_t mac[6], int64_t at_ns)
{
    for (int i = 0; i < request->answers; i++)
        if (memcmp(request->macs[i], mac, 6) == 0)
            return;
    if (request->answers == ANSWERS_MAX)
        return;
    memcpy(request->macs[request->answers++], mac, 6);
    watch->unanswered = 0;
    watch->answered += request->answers == 1;
    note_silence(watch, at_ns);
    set_owner(watch, mac, at_ns);
}

static void receive_all(struct watch *watch)
{
    struct arp_frame frame;
    struct tool_packet packet;
    uint8_t tag[6];
    long size;

    while ((size = tool_receive(watch->fd, &frame, sizeof frame, &packet)) >= 0) {
        if (size < (long)sizeof frame || packet.type == PACKET_OUTGOING ||
            frame.operation != htons(ARPOP_REPLY) || memcmp(frame.sender_ip, &watch->address, 4) != 0)
            continue;
        tag_of(watch, frame.target_mac[1], tag);
        if (memcmp(tag, frame.target_mac, 6) == 0)
            note_answer(watch, &watch->requests[tag[1]], frame.sender_mac, packet.at_ns);
    }
}

/* Ends the books of all requests under way, so that a summary leaves none out. */
static void close_all(struct watch *watch)
{
    for (uint64_t i = 0; i < TAGS; i++) {
        struct request *request = &watch->requests[(watch->next + i) % TAGS];
        close_request(watch, request);
        *request = (struct request){0};
    }
}

static void print_summary(struct watch *watch)
{
    const int64_t open_ns = watch->answered_ns ? tool_now_ns() - watch->answered_ns : 0;

    close_all(watch);
    printf("{\"event\": \"summary\", \"asked\": %lld, \"answered\": %lld, \"changes\": %lld, \"dual\": %lld, "
           "\"dual_first_ns\": %lld, \"dual_ms\": %.3f, \"silence_start_ns\": %lld, \"silence_ms\": %.3f, "
           "\"open_ms\": %.3f}\n",
           (long long)watch->asked, (long long)watch->answered, (long long)watch->changes,
           (long long)watch->dual, (long long)watch->dual_first_ns, (double)watch->dual_ns / 1e6,
           (long long)watch->silence_start_ns, (double)watch->silence_ns / 1e6, (double)open_ns / 1e6);
    fflush(stdout);
    watch->asked = watch->answered = watch->changes = watch->dual = 0;
    watch->dual_first_ns = watch->dual_ns = watch->dual_since_ns = 0;
    watch->silence_ns = watch->silence_start_ns = 0;
}

static void run(struct watch *watch, int64_t every_ns)
{
    int64_t next_ns = tool_now_ns();

    while (!tool_stopped) {
        const int64_t now = tool_now_ns();
        if (tool_asked) {
            tool_asked = false;
            print_summary(watch);
        }
        if (now >= next_ns) {
            ask(watch);
            next_ns = now + every_ns;
        }
        receive_all(watch);
        tool_wait(watch->fd, next_ns);
    }
    receive_all(watch);
    print_summary(watch);
}

int main(int argc, char **argv)
{
    const char *const names[] = {"device", "address", "every-us", "realtime"};
    const char *texts[] = {NULL, NULL, "3000", NULL};
    static struct watch watch;

    tool_options(argc, argv, "arpwatch --device D --address A [--every-us N] [--realtime yes]", 4, names,
                 texts);
    if (!texts[0] || !texts[1] || inet_pton(AF_INET, texts[1], &watch.address) != 1) {
        fprintf(stderr, "arpwatch: wants --device and --address with an IPv4 address\n");
        return 2;
    }
    tool_catch_signals();
    watch.fd = tool_open_packet(texts[0], SOCK_RAW, ETH_P_ARP, NULL, watch.own, &watch.index);
    if (texts[3])
        tool_enter_realtime();
    tool_ready();
    run(&watch, tool_number("every-us", texts[2]) * 1000);
    return 0;
}
