/* Any bytes as a datagram, and as an opened body of a heartbeat and of a record: what parses stays in range,
 * packs to the same bytes again, and goes through the detector and onto the bus without a crash. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/seal.h"
#include "heartbeatd/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "cluster \"gate\" {}\n"
    "node \"alpha\" { reserved-address = \"10.91.9.1\" }\n"
    "node \"beta\" { reserved-address = \"10.91.9.2\" }\n"
    "channel \"outside\" { device = \"eth0\" active-address = {\"203.0.113.10/24\"} }\n";

static struct config *config;
static struct detector detector;
static struct outbox out;
static struct seal_ring ring;
static int64_t now_ns = NS_PER_S;

static void start(void)
{
    const uint8_t key[SEAL_KEY_BYTES] = {1};
    const struct heartbeat_session own = {.start = 5};

    if (config)
        return;
    if (config_read_text("f", text, "alpha", stderr, &config) < 0 || seal_ring_open(&ring) < 0 ||
        seal_ring_add(&ring, "duet-hb", key) < 0)
        abort();
    detector_init(&detector, config, &own, &(struct heartbeat_session){0}, now_ns);
}

static void check(const struct heartbeat *heartbeat, const uint8_t *body, size_t size)
{
    uint8_t again[HEARTBEAT_BODY_MAX];

    assert(heartbeat->role < ROLE_COUNT && heartbeat->phase < PHASE_COUNT && heartbeat->offer < OFFER_COUNT);
    assert(heartbeat->prefers < PREFERS_COUNT && heartbeat->channel_count <= HEARTBEAT_CHANNELS_MAX);
    assert(heartbeat->epoch >= 0 && heartbeat->epoch <= HEARTBEAT_NUMBER_MAX);
    assert(heartbeat_pack_body(heartbeat, again) == size);
    /* Flags that this version does not know are not kept. */
    assert(memcmp(again, body, 4) == 0 && memcmp(again + 6, body + 6, HEARTBEAT_FIXED_BYTES - 6) == 0);
}

/* Onto the bus and back. `parsed` has room for what `type` describes. */
static void publish(const struct message_type *type, const void *message, void *parsed)
{
    struct envelope envelope = {
        .node = "alpha", .from = "heartbeatd", .seq = 1, .at = "2026-01-01T00:00:00.000000Z"};
    char error[CODEC_ERROR_MAX];
    char *json = message_pack(type, &envelope, message);

    assert(json && message_parse(type, json, strlen(json), NULL, parsed, error) == 0);
    free(json);
}

static void hear(const struct heartbeat *heartbeat, const uint8_t *body)
{
    const struct heartbeat_header header = {
        .session.start = body[0] % 4 + 1, .sequence = (uint64_t)now_ns, .version_min = 1, .version_max = 1};
    struct peer_message message, parsed;

    now_ns += NS_PER_MS;
    detector_heartbeat(&detector, body[1] % 2, &header, heartbeat, now_ns, now_ns, &out);
    detector_tick(&detector, now_ns, &out);
    outbox_empty(&out);
    detector_fill_peer(&detector, now_ns, &message);
    publish(&peer_type, &message, &parsed);
}

/* The peer may have been heard in that session or not, linked or not. */
static void hear_record(const uint8_t *body, size_t size)
{
    struct heartbeat_header header;
    struct peer_record_message message = {.received_ns = now_ns}, parsed;
    const uint64_t before = detector.peer.record_sequence;
    uint8_t again[HEARTBEAT_RECORD_MAX];

    if (heartbeat_parse_record(HEARTBEAT_VERSION, body, size, message.text) < 0)
        return;
    assert(strlen(message.text) == size && heartbeat_pack_record(message.text, again) == size);
    assert(memcmp(again, body, size) == 0);
    publish(&peer_record_type, &message, &parsed);
    assert(strcmp(parsed.text, message.text) == 0);

    header = (struct heartbeat_header){.kind = DATAGRAM_RECORD,
                                       .session = detector.peer.session,
                                       .sequence = (uint64_t)now_ns - body[0] + 64};
    header.session.start += body[0] % 8 == 0;
    const bool accepted = record_accept(&detector, body[0] % 2, &header);
    assert(detector.peer.record_sequence == (accepted ? header.sequence : before));
    assert(!accepted || (body[0] % 8 != 0 && before > 0 && header.sequence > before));
    assert(record_path(&detector) <= PATHS_MAX);
    record_compose(&detector, &header);
}

static void try_datagram(const uint8_t *data, size_t size)
{
    const struct seal_place place = {"gate", "reserved", SEAL_SECOND_TO_FIRST};
    struct heartbeat_header header;
    uint8_t plain[UINT16_MAX], bytes[HEARTBEAT_HEADER_BYTES];

    if (heartbeat_parse_header(data, size, &header) < 0)
        return;
    assert(header.sealed_bytes + (size_t)HEARTBEAT_HEADER_BYTES <= size);
    assert(seal_open(&ring, header.key_id, &place, data + HEARTBEAT_NONCE_AT, data, HEARTBEAT_HEADER_BYTES,
                     data + HEARTBEAT_HEADER_BYTES, header.sealed_bytes, plain) < 0);
    heartbeat_pack_header(&header, bytes);
    assert(header.kind == (data[2] == 'R' ? DATAGRAM_RECORD : DATAGRAM_HEARTBEAT));
    assert(memcmp(bytes, data, 14) == 0 && memcmp(bytes + 16, data + 16, 24) == 0);
}

/* As if somebody with the key had sent these bytes. */
static void try_body(const uint8_t *data, size_t size)
{
    const struct seal_place place = {"gate", "reserved", SEAL_SECOND_TO_FIRST};
    uint8_t header[HEARTBEAT_HEADER_BYTES] = {0}, sealed[HEARTBEAT_RECORD_MAX + SEAL_TAG_BYTES],
            body[HEARTBEAT_RECORD_MAX];
    struct heartbeat heartbeat;

    if (size > sizeof body)
        return;
    const size_t length =
        seal_message(&ring, &place, header + HEARTBEAT_NONCE_AT, header, sizeof header, data, size, sealed);
    if (seal_open(&ring, ring.keys[0].id, &place, header + HEARTBEAT_NONCE_AT, header, sizeof header, sealed,
                  length, body) < 0)
        abort();
    hear_record(body, size);
    if (heartbeat_parse_body(HEARTBEAT_VERSION, body, size, &heartbeat) < 0)
        return;
    check(&heartbeat, body, size);
    hear(&heartbeat, body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start();
    try_datagram(data, size);
    try_body(data, size);
    return 0;
}
