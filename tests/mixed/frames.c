/* Real frames from one machine to another: `frames make SEED` prints them, one a line, and `frames take SEED`
 * reads them, on a machine of another byte order or word size (tests/mixed/run pipes one into the other, both
 * ways).
 *
 * What is in a frame follows from the seed alone. So the taker makes each frame, too: it must be the same to
 * the last byte, it must open and parse, and what was parsed must be what was meant, and pack to the same
 * frame again. Heartbeats and records are sealed datagrams, sync messages as on their TCP connection, topics
 * the JSON of the bus. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/seal.h"
#include "proto/codec.h"
#include "proto/heartbeat.h"
#include "proto/sync.h"
#include "proto/topics.h"

enum { ROUNDS = 200, FRAME_MAX = 1 << 19 };

static uint64_t seed;
static long line_number;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "frames: line %ld: %s\n", line_number, what);
    exit(1);
}

static void demand(bool holds, const char *what)
{
    if (!holds)
        fail(what);
}

/* ------------------------------------------------------------- what is meant */

static uint64_t any(void) /* splitmix64 */
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t limit) /* of at most 2^32 */
{
    return (uint32_t)(any() % limit);
}

/* Of every size, up to the largest that heartbeats, sync and the bus carry. */
static int64_t number(void)
{
    const unsigned shift = 11 + below(53);

    return (int64_t)(any() >> shift);
}

static void bytes(void *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)at)[i] = (uint8_t)any();
}

static size_t letters(char *text, size_t room)
{
    const size_t length = below(room);

    for (size_t i = 0; i < length; i++)
        text[i] = (char)(' ' + below(95));
    text[length] = '\0';
    return length;
}

/* ------------------------------------------------------------------- frames */

struct frame {
    size_t size;
    uint8_t bytes[FRAME_MAX];
};

static const struct seal_place place = {"gate", "outside", SEAL_FIRST_TO_SECOND};
static struct seal_ring ring;

static struct heartbeat meant_heartbeat(void)
{
    struct heartbeat h = {0};

    h.role = (enum role)below(ROLE_COUNT), h.phase = (enum phase)below(PHASE_COUNT);
    h.offer = (enum offer)below(OFFER_COUNT), h.prefers = (enum prefers)below(PREFERS_COUNT);
    h.whole = below(2), h.held = below(2), h.unfit = below(2), h.released = below(2);
    h.silent = below(2), h.suspicious = below(2), h.takes_silent = below(2), h.takes_records = below(2);
    h.epoch = number(), h.next_epoch = number(), h.arbiter_age_us = number(), h.lease_us = number();
    h.phase_age_us = number(), h.change = number(), h.considered = number(), h.hold_version = number();
    h.hold_left_ms = number(), h.data_epoch = number(), h.data_generation = number();
    h.services_failed = below(UINT16_MAX), h.late_us = below(UINT32_MAX);
    h.config_hash = any(), h.path_count = (uint64_t)number(), h.stamp = any();
    h.echo.session.start = (uint64_t)number();
    bytes(h.echo.session.random, sizeof h.echo.session.random);
    h.echo.sequence = (uint64_t)number(), h.echo.path_sequence = (uint64_t)number();
    h.echo.stamp = any(), h.echo.held_us = number();
    h.channel_count = below(HEARTBEAT_CHANNELS_MAX + 1);
    for (size_t i = 0; i < h.channel_count; i++) {
        h.channels[i].id = (uint32_t)any(), h.channels[i].usable = below(2);
        h.channels[i].evidence_age_us = number();
        bytes(h.channels[i].mac, 6);
    }
    return h;
}

static void seal_body(struct heartbeat_header *header, const uint8_t *body, size_t length,
                      struct frame *frame)
{
    header->sealed_bytes = (uint16_t)(length + SEAL_TAG_BYTES);
    heartbeat_pack_header(header, frame->bytes);
    frame->size = HEARTBEAT_HEADER_BYTES + seal_message(&ring, &place, frame->bytes + HEARTBEAT_NONCE_AT,
                                                        frame->bytes, HEARTBEAT_HEADER_BYTES, body, length,
                                                        frame->bytes + HEARTBEAT_HEADER_BYTES);
}

static void seal_heartbeat(struct heartbeat_header *header, const struct heartbeat *h, struct frame *frame)
{
    uint8_t body[HEARTBEAT_BODY_MAX];

    seal_body(header, body, heartbeat_pack_body(h, body), frame);
}

static void same_heartbeat(const struct heartbeat *a, const struct heartbeat *b)
{
    demand(a->role == b->role && a->phase == b->phase && a->takes_silent == b->takes_silent &&
               a->takes_records == b->takes_records && a->epoch == b->epoch && a->lease_us == b->lease_us &&
               a->change == b->change && a->data_generation == b->data_generation &&
               a->services_failed == b->services_failed && a->late_us == b->late_us &&
               a->config_hash == b->config_hash && a->stamp == b->stamp &&
               heartbeat_session_equal(&a->echo.session, &b->echo.session) &&
               a->echo.sequence == b->echo.sequence && a->echo.held_us == b->echo.held_us &&
               a->channel_count == b->channel_count,
           "the heartbeat says something else");
    for (size_t i = 0; i < a->channel_count; i++)
        demand(a->channels[i].id == b->channels[i].id &&
                   memcmp(a->channels[i].mac, b->channels[i].mac, 6) == 0 &&
                   a->channels[i].evidence_age_us == b->channels[i].evidence_age_us,
               "a channel of the heartbeat is another");
}

static struct heartbeat_header meant_header(enum datagram_kind kind)
{
    struct heartbeat_header header = {.kind = kind,
                                      .cluster = heartbeat_hash("gate"),
                                      .version = HEARTBEAT_VERSION,
                                      .version_min = 1,
                                      .version_max = HEARTBEAT_VERSION,
                                      .key_id = ring.keys[0].id,
                                      .sequence = (uint64_t)number() + 1};

    header.session.start = (uint64_t)number() + 1;
    bytes(header.session.random, sizeof header.session.random);
    return header;
}

/* Opens what came, of this kind, into `body`; returns the body's length. */
static size_t open_frame(const struct frame *got, struct heartbeat_header *header, uint8_t *body)
{
    const enum datagram_kind kind = header->kind;

    demand(heartbeat_parse_header(got->bytes, got->size, header) == 0, "no heartbeat's header");
    demand(header->kind == kind && header->sealed_bytes <= heartbeat_body_max(kind) + SEAL_TAG_BYTES,
           "it is of another kind");
    demand(seal_open(&ring, header->key_id, &place, got->bytes + HEARTBEAT_NONCE_AT, got->bytes,
                     HEARTBEAT_HEADER_BYTES, got->bytes + HEARTBEAT_HEADER_BYTES, header->sealed_bytes,
                     body) == 0,
           "the heartbeat does not open");
    return header->sealed_bytes - (size_t)SEAL_TAG_BYTES;
}

/* Fills `frame` with what is meant; `got`, unless NULL, is what came. */
static void heartbeat_frame(struct frame *frame, const struct frame *got)
{
    struct heartbeat_header header = meant_header(DATAGRAM_HEARTBEAT);
    static struct frame again;
    uint8_t body[HEARTBEAT_BODY_MAX];
    struct heartbeat parsed;

    const struct heartbeat meant = meant_heartbeat();
    seal_heartbeat(&header, &meant, frame);
    if (!got)
        return;
    const size_t length = open_frame(got, &header, body);
    demand(heartbeat_parse_body(header.version, body, length, &parsed) == 0, "the heartbeat does not parse");
    same_heartbeat(&meant, &parsed);
    seal_heartbeat(&header, &parsed, &again);
    demand(again.size == got->size && memcmp(again.bytes, got->bytes, again.size) == 0,
           "the heartbeat packs to something else");
}

static void record_frame(struct frame *frame, const struct frame *got)
{
    struct heartbeat_header header = meant_header(DATAGRAM_RECORD);
    char meant[HEARTBEAT_RECORD_MAX + 1] = "{", parsed[HEARTBEAT_RECORD_MAX + 1];
    uint8_t body[HEARTBEAT_RECORD_MAX];

    letters(meant + 1, sizeof meant - 1);
    seal_body(&header, body, heartbeat_pack_record(meant, body), frame);
    if (!got)
        return;
    const size_t length = open_frame(got, &header, body);
    demand(heartbeat_parse_record(header.version, body, length, parsed) == 0, "the record does not parse");
    demand(strcmp(meant, parsed) == 0, "the record says something else");
}

static struct sync_generation generation(void)
{
    const uint64_t epoch = (uint64_t)number() + 1, counter = (uint64_t)number(); /* 0.0 is none */

    return (struct sync_generation){epoch, counter};
}

/* A file, its blocks and its end, as a batch carries them. */
static struct sync_bytes operations(void)
{
    static uint8_t batch[1 << 16], content[4096];
    static const uint8_t path[] = "0/etc/gate", owner[] = "daemon";
    struct sync_op op = {.kind = SYNC_OP_OPEN, .path = {path, sizeof path - 1}, .block = SYNC_BLOCK_SMALL};
    size_t used = 0;

    op.meta = (struct sync_meta){.type = SYNC_FILE, .owner = {owner, 6}, .group = {owner, 6}};
    op.meta.mode = (uint16_t)below(07777), op.meta.mtime_ns = (int64_t)any();
    op.meta.uid = below(UINT32_MAX), op.meta.gid = below(UINT32_MAX);
    op.size = sizeof content;
    demand(sync_op_pack(&op, batch, sizeof batch, &used) == 0, "an OPEN does not pack");
    bytes(content, sizeof content);
    op = (struct sync_op){.kind = SYNC_OP_BLOCK, .content = {content, sizeof content}};
    demand(sync_op_pack(&op, batch, sizeof batch, &used) == 0, "a BLOCK does not pack");
    op = (struct sync_op){.kind = SYNC_OP_CLOSE};
    bytes(op.hash.bytes, sizeof op.hash.bytes);
    demand(sync_op_pack(&op, batch, sizeof batch, &used) == 0, "a CLOSE does not pack");
    return (struct sync_bytes){batch, used};
}

static struct sync_message meant_sync(void)
{
    static const enum sync_kind kinds[] = {SYNC_SET,    SYNC_BEGIN,  SYNC_BATCH, SYNC_COMMIT,  SYNC_ACK,
                                           SYNC_CREDIT, SYNC_VERIFY, SYNC_LAG,   SYNC_RESTORE, SYNC_KEY};
    static const uint8_t name[] = "web";
    static uint8_t key[SYNC_KEY_BYTES];
    struct sync_message m = {.header.kind = kinds[below(sizeof kinds / sizeof kinds[0])]};

    m.header.set = (uint16_t)below(SYNC_SETS_MAX), m.header.session = any() | 1;
    switch (m.header.kind) {
    case SYNC_SET:
        m.set.name = (struct sync_bytes){name, sizeof name - 1};
        bytes(&m.set.roots, sizeof m.set.roots), bytes(&m.set.tree, sizeof m.set.tree);
        m.set.generation = generation(), m.set.entries = (uint64_t)number(), m.set.bytes = (uint64_t)number();
        break;
    case SYNC_BEGIN:
        m.begin.generation = generation(), m.begin.base = generation();
        m.begin.files = (uint64_t)number(), m.begin.bytes = (uint64_t)number();
        break;
    case SYNC_BATCH:
        m.batch.operations = operations(), m.batch.raw_size = (uint32_t)m.batch.operations.size;
        break;
    case SYNC_COMMIT:
        m.commit.generation = generation(), m.commit.whole = below(2);
        bytes(m.commit.digest, sizeof m.commit.digest), bytes(&m.commit.tree, sizeof m.commit.tree);
        break;
    case SYNC_ACK:
        m.ack.generation = generation(), m.ack.fate = SYNC_APPLIED;
        break;
    case SYNC_CREDIT:
        m.credit = 1 + below(SYNC_RAW_MAX);
        break;
    case SYNC_VERIFY:
        m.verify.files = (uint64_t)number(), m.verify.bytes = (uint64_t)number();
        bytes(m.verify.digest, sizeof m.verify.digest);
        break;
    case SYNC_LAG:
        m.lag.files = (uint64_t)number(), m.lag.bytes = (uint64_t)number(), m.lag.age_us = (uint64_t)number();
        break;
    case SYNC_KEY:
        m.header.set = 0;
        m.key = (struct sync_bytes){key, below(2) * sizeof key};
        bytes(key, sizeof key);
        break;
    default:
        m.restore = generation();
    }
    return m;
}

/* The operations of a batch, each parsed and packed again. */
static void same_operations(struct sync_bytes batch)
{
    static uint8_t again[1 << 16];
    const struct sync_bytes all = batch;
    struct sync_op op;
    size_t used = 0;

    while (sync_op_next(&batch, &op) > 0)
        demand(sync_op_pack(&op, again, sizeof again, &used) == 0, "an operation does not pack again");
    demand(used == all.size && memcmp(again, all.at, used) == 0, "the operations are others");
}

static void sync_frame(struct frame *frame, const struct frame *got)
{
    static uint8_t packed[SYNC_MESSAGE_MAX];
    struct sync_message meant = meant_sync(), parsed;
    const long size = sync_pack(&meant, packed);

    demand(size > 0 && size <= FRAME_MAX, "a sync message does not pack");
    memcpy(frame->bytes, packed, (size_t)size);
    frame->size = (size_t)size;
    if (!got)
        return;
    demand(sync_parse(got->bytes, got->size, &parsed) == 0, "the sync message does not parse");
    demand(parsed.header.kind == meant.header.kind && parsed.header.set == meant.header.set &&
               parsed.header.session == meant.header.session,
           "the sync message's header is another");
    if (parsed.header.kind == SYNC_BATCH)
        same_operations(parsed.batch.operations);
    demand(sync_pack(&parsed, packed) == (long)got->size && memcmp(packed, got->bytes, got->size) == 0,
           "the sync message packs to something else");
}

/* Any values for the fields of a message, as its description has them. */
static void fill(const struct record *record, uint8_t *at)
{
    for (const struct field *f = record->fields; f->name; f++) {
        uint8_t *const to = at + f->offset;
        if (f->kind == FIELD_BOOL)
            *(bool *)to = below(2);
        else if (f->kind == FIELD_INT)
            *(int64_t *)(void *)to = number();
        else if (f->kind == FIELD_ENUM)
            *(unsigned *)(void *)to = (unsigned)below(f->size);
        else if (f->kind == FIELD_TEXT)
            letters((char *)to, f->size);
        else {
            const size_t count = below(MIN(f->size, 4) + 1);
            *(size_t *)(void *)(at + f->count_offset) = count;
            for (size_t i = 0; i < count; i++)
                fill(f->record, to + i * f->record->size);
        }
    }
}

static char *topic_text(const struct message_type *type, const struct envelope *envelope, const void *body)
{
    char *text = message_pack(type, envelope, body);

    demand(text && strlen(text) < FRAME_MAX, type->topic);
    return text;
}

static void topic_frame(const struct message_type *type, struct frame *frame, const struct frame *got)
{
    struct envelope envelope = {.node = "alpha", .at = "2026-01-01T00:00:00.000000Z"}, told;
    uint8_t *meant = calloc(1, type->record->size), *parsed = calloc(1, type->record->size);
    char error[CODEC_ERROR_MAX] = "";

    demand(meant && parsed, "no memory");
    snprintf(envelope.from, sizeof envelope.from, "%s", type->owner[0] == '*' ? "arbiterd" : type->owner);
    envelope.seq = 1 + number(), envelope.mono_ns = 1 + number();
    fill(type->record, meant);
    char *text = topic_text(type, &envelope, meant);
    frame->size = strlen(text);
    memcpy(frame->bytes, text, frame->size);
    free(text);
    if (got) {
        demand(message_parse(type, (const char *)got->bytes, got->size, &told, parsed, error) == 0, error);
        demand(told.seq == envelope.seq && told.mono_ns == envelope.mono_ns, "the envelope is another");
        text = topic_text(type, &told, parsed);
        demand(strlen(text) == got->size && memcmp(text, got->bytes, got->size) == 0,
               "the topic packs to something else");
        free(text);
    }
    free(meant);
    free(parsed);
}

/* -------------------------------------------------------------- both ends */

static void print_frame(const struct frame *frame)
{
    for (size_t i = 0; i < frame->size; i++)
        printf("%02x", frame->bytes[i]);
    putchar('\n');
}

static void read_frame(struct frame *frame)
{
    static char line[2 * FRAME_MAX + 2];
    unsigned byte;

    line_number++;
    demand(fgets(line, sizeof line, stdin), "the other machine made no more");
    frame->size = strcspn(line, "\n") / 2;
    for (size_t i = 0; i < frame->size; i++) {
        demand(sscanf(line + 2 * i, "%2x", &byte) == 1, "no frame");
        frame->bytes[i] = (uint8_t)byte;
    }
}

static void any_frame(int round, struct frame *frame, const struct frame *got)
{
    size_t topics = 0;

    while (topic_types[topics])
        topics++;
    if (round % 15 == 0)
        record_frame(frame, got);
    else if (round % 3 == 0)
        heartbeat_frame(frame, got);
    else if (round % 3 == 1)
        sync_frame(frame, got);
    else
        topic_frame(topic_types[(size_t)round / 3 % topics], frame, got);
}

int main(int argc, char **argv)
{
    static struct frame meant, got;
    static const unsigned char key[SEAL_KEY_BYTES] = "a cluster key for tests";
    const bool take = argc == 3 && strcmp(argv[1], "take") == 0;

    if (argc != 3 || (!take && strcmp(argv[1], "make") != 0)) {
        fprintf(stderr, "usage: frames make|take SEED\n");
        return 2;
    }
    seed = strtoull(argv[2], NULL, 10);
    demand(seal_ring_open(&ring) == 0 && seal_ring_add(&ring, "duet-hb", key) == 0, "no keys");
    for (int round = 0; round < ROUNDS; round++) {
        if (take)
            read_frame(&got);
        any_frame(round, &meant, take ? &got : NULL);
        if (!take)
            print_frame(&meant);
        else
            demand(meant.size == got.size && memcmp(meant.bytes, got.bytes, got.size) == 0,
                   "this machine makes another frame of it");
    }
    if (take)
        printf("%d frames taken\n", ROUNDS);
    return 0;
}
