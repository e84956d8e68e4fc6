/* Any bytes as an Ethernet frame with ARP or neighbour discovery in it, and what a channel makes of it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "heartbeatd/detector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "cluster \"gate\" {}\n"
    "node \"alpha\" { reserved-address = \"10.91.9.1\" }\n"
    "node \"beta\" { reserved-address = \"10.91.9.2\" }\n"
    "channel \"outside\" { device = \"eth0\" active-address = {\"203.0.113.10/24\", \"2001:db8::10/64\"}\n"
    "    router = {\"203.0.113.1\", \"2001:db8::1\"} }\n";

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
    struct neighbour neighbour, again;
    uint8_t frame[NEIGHBOUR_FRAME_MAX];

    start();
    if (neighbour_parse(data, size, &neighbour) < 0)
        return 0;
    assert(!mac_is_zero(&neighbour.mac) && !(neighbour.mac.bytes[0] & 1));
    const struct neighbour_request request = {neighbour.mac, mac_broadcast, neighbour.address,
                                              neighbour.address};
    const size_t length = neighbour_pack(&request, frame);
    if (neighbour_parse(frame, length, &again) < 0)
        abort();
    assert(mac_equal(&again.mac, &neighbour.mac) && net_address_equal(&again.address, &neighbour.address));
    now_ns += NS_PER_MS;
    detector_neighbour(&detector, 0, &neighbour, now_ns, now_ns, &out);
    detector_tick(&detector, now_ns, &out);
    outbox_empty(&out);
    return 0;
}
