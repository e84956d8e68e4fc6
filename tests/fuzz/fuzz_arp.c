/* Any bytes as an Ethernet frame with ARP in it, and what a channel makes of it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "heartbeatd/detector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "cluster \"gate\" {}\n"
                           "node \"alpha\" { reserved-address = \"10.91.9.1\" }\n"
                           "node \"beta\" { reserved-address = \"10.91.9.2\" }\n"
                           "channel \"outside\" { device = \"eth0\" active-address = {\"203.0.113.10/24\"}\n"
                           "    router = {\"203.0.113.1\"} }\n";

static struct config *config;
static struct detector detector;
static struct outbox out;
static int64_t now_ns = NS_PER_S;

static void start(void)
{
    const struct heartbeat_session own = {.start = 5};
    const struct link_event up = {true, true, {{2, 0, 0, 0, 0, 1}}, 0};

    if (config)
        return;
    if (config_read_text("f", text, "alpha", stderr, &config) < 0)
        abort();
    detector_init(&detector, config, &own, &(struct heartbeat_session){0}, now_ns);
    detector_link(&detector, 0, &up, now_ns, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arp arp;
    uint8_t frame[ARP_FRAME_BYTES];

    start();
    if (arp_parse(data, size, &arp) < 0)
        return 0;
    assert(size >= ARP_FRAME_BYTES && !mac_is_zero(&arp.sender_mac) && !(arp.sender_mac.bytes[0] & 1));
    const struct arp_request request = {arp.sender_mac, mac_broadcast, arp.sender, arp.target};
    arp_pack(&request, frame);
    assert(memcmp(frame + 12, data + 12, 8) == 0 && memcmp(frame + 22, data + 22, 10) == 0);
    now_ns += NS_PER_MS;
    detector_arp(&detector, 0, &arp, now_ns, now_ns, &out);
    detector_tick(&detector, now_ns, &out);
    outbox_empty(&out);
    return 0;
}
