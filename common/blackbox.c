#include "common/blackbox.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    CHECKSUM_SIZE = 8,
    ABOUT_SIZE = 128, /* of the head, with its checksum */
    MARK_SIZE = 40 + BLACKBOX_DAEMONS_MAX * (BLACKBOX_DAEMON_MAX + 8),
    MARK_AT = 1024, /* and again at twice that */
    RECORD_HEAD_SIZE = 48,
    RECORD_MAGIC = 0x01784202, /* "\x02Bx\x01" */
};

static const char head_magic[8] = {'d', 'u', 'e', 't', 'b', 'o', 'x', '\n'};

/* ------------------------------------------------------------------- numbers */

static void put(unsigned char *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *from, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

static uint64_t checksum(const unsigned char *bytes, size_t size)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES];
    unsigned char hash[crypto_shorthash_BYTES];

    crypto_shorthash(hash, bytes, size, key);
    const uint64_t value = get(hash, sizeof hash);
    return value ? value : 1;
}

static bool is_whole(const unsigned char *block, size_t size)
{
    return get(block, CHECKSUM_SIZE) == checksum(block + CHECKSUM_SIZE, size - CHECKSUM_SIZE);
}

/* One store, before or after which all other stores to this block are: a reader of what a dead writer left
 * sees no checksum over half of a block. */
static void store_checksum(unsigned char *block, uint64_t value, memory_order order)
{
    unsigned char bytes[CHECKSUM_SIZE];
    uint64_t word;

    put(bytes, value, sizeof bytes);
    memcpy(&word, bytes, sizeof word);
    atomic_store_explicit((_Atomic uint64_t *)(void *)block, word, order);
}

static void open_block(unsigned char *block)
{
    store_checksum(block, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

static void close_block(unsigned char *block, size_t size)
{
    store_checksum(block, checksum(block + CHECKSUM_SIZE, size - CHECKSUM_SIZE), memory_order_release);
}

static size_t padded(size_t size)
{
    return (size + BLACKBOX_ALIGNMENT - 1) / BLACKBOX_ALIGNMENT * BLACKBOX_ALIGNMENT;
}

/* ---------------------------------------------------------------------- head */

void blackbox_format(unsigned char *bytes, const struct blackbox_about *about)
{
    memcpy(bytes + 8, head_magic, sizeof head_magic);
    put(bytes + 16, VERSION, 4);
    put(bytes + 20, about->number, 4);
    put(bytes + 24, (uint64_t)about->begun_ns, 8);
    put(bytes + 32, (uint64_t)about->begun_wall_ns, 8);
    text_copy((char *)bytes + 40, SYS_BOOT_ID_MAX, about->boot_id);
    text_copy((char *)bytes + 80, BLACKBOX_NODE_MAX, about->node);
    close_block(bytes, ABOUT_SIZE);
}

int blackbox_read_about(const void *bytes, size_t size, struct blackbox_about *about)
{
    const unsigned char *head = bytes;

    if (size < BLACKBOX_HEAD_SIZE || memcmp(head + 8, head_magic, sizeof head_magic) != 0 ||
        get(head + 16, 4) != VERSION || !is_whole(head, ABOUT_SIZE))
        return -EUCLEAN;
    *about = (struct blackbox_about){.number = (uint32_t)get(head + 20, 4),
                                     .begun_ns = (int64_t)get(head + 24, 8),
                                     .begun_wall_ns = (int64_t)get(head + 32, 8)};
    memcpy(about->boot_id, head + 40, SYS_BOOT_ID_MAX - 1);
    memcpy(about->node, head + 80, BLACKBOX_NODE_MAX - 1);
    return 0;
}

static uint64_t mark_number(const unsigned char *mark)
{
    return is_whole(mark, MARK_SIZE) ? get(mark + 8, 8) : 0;
}

/* The newer one of the two copies that is whole, else NULL. */
static const unsigned char *newest_mark(const unsigned char *bytes)
{
    const unsigned char *one = bytes + MARK_AT, *other = bytes + 2 * MARK_AT;
    const unsigned char *newer = mark_number(one) > mark_number(other) ? one : other;

    return mark_number(newer) > 0 ? newer : NULL;
}

void blackbox_mark(struct blackbox_writer *writer, const struct blackbox_mark *mark)
{
    unsigned char *to = writer->bytes + (++writer->marks % 2 ? MARK_AT : 2 * MARK_AT);
    const size_t count = MIN(mark->count, BLACKBOX_DAEMONS_MAX);

    open_block(to);
    put(to + 8, writer->marks, 8);
    put(to + 16, (uint64_t)mark->alive_ns, 8);
    put(to + 24, count, 8);
    for (size_t i = 0; i < count; i++) {
        unsigned char *at = to + 40 + i * (BLACKBOX_DAEMON_MAX + 8);
        text_copy((char *)at, BLACKBOX_DAEMON_MAX, mark->daemons[i].daemon);
        put(at + BLACKBOX_DAEMON_MAX, (uint64_t)mark->daemons[i].heard_ns, 8);
    }
    close_block(to, MARK_SIZE);
}

static void read_mark(const unsigned char *bytes, struct blackbox_mark *mark)
{
    const unsigned char *from = newest_mark(bytes);

    if (!from)
        return;
    mark->alive_ns = (int64_t)get(from + 16, 8);
    mark->count = (size_t)MIN(get(from + 24, 8), BLACKBOX_DAEMONS_MAX);
    for (size_t i = 0; i < mark->count; i++) {
        const unsigned char *at = from + 40 + i * (BLACKBOX_DAEMON_MAX + 8);
        memcpy(mark->daemons[i].daemon, at, BLACKBOX_DAEMON_MAX - 1);
        mark->daemons[i].heard_ns = (int64_t)get(at + BLACKBOX_DAEMON_MAX, 8);
    }
}

/* ------------------------------------------------------------------- records */

/* Whether a whole record begins at `offset`, a multiple of the alignment; fills it. */
static bool read_record(const unsigned char *bytes, size_t size, size_t offset,
                        struct blackbox_record *record)
{
    const unsigned char *at = bytes + offset;

    if (size - offset < RECORD_HEAD_SIZE || get(at + 8, 4) != RECORD_MAGIC)
        return false;
    const size_t whole = (size_t)get(at + 12, 4), topic_size = (size_t)get(at + 42, 2);
    if (whole < RECORD_HEAD_SIZE || whole > size - offset || topic_size > BLACKBOX_TOPIC_MAX ||
        whole - RECORD_HEAD_SIZE < topic_size || whole - RECORD_HEAD_SIZE - topic_size > BLACKBOX_BODY_MAX ||
        !is_whole(at, whole))
        return false;
    *record = (struct blackbox_record){
        .kind = (enum blackbox_kind)get(at + 40, 2),
        .number = get(at + 16, 8),
        .at_ns = (int64_t)get(at + 24, 8),
        .wall_ns = (int64_t)get(at + 32, 8),
        .topic = (const char *)at + RECORD_HEAD_SIZE,
        .topic_size = topic_size,
        .body = (const char *)at + RECORD_HEAD_SIZE + topic_size,
        .body_size = whole - RECORD_HEAD_SIZE - topic_size,
    };
    return record->kind >= BLACKBOX_BEGIN && record->kind <= BLACKBOX_RENEWAL && record->number > 0;
}

static size_t record_size(const struct blackbox_record *record)
{
    return padded(RECORD_HEAD_SIZE + record->topic_size + record->body_size);
}

/* The next whole record from `*offset` on, which moves behind it. */
static bool next_record(const unsigned char *bytes, size_t size, size_t *offset,
                        struct blackbox_record *record)
{
    for (; *offset < size; *offset += BLACKBOX_ALIGNMENT)
        if (read_record(bytes, size, *offset, record)) {
            *offset += record_size(record);
            return true;
        }
    return false;
}

static void resume_ring(const unsigned char *bytes, struct blackbox_ring *ring, size_t begin, size_t size)
{
    struct blackbox_record record;

    *ring = (struct blackbox_ring){.begin = begin, .size = size, .at = begin};
    for (size_t offset = begin; next_record(bytes, begin + size, &offset, &record);)
        if (record.number > ring->number) {
            ring->number = record.number;
            ring->at = offset;
        }
}

void blackbox_resume(struct blackbox_writer *writer, unsigned char *bytes)
{
    const unsigned char *mark = newest_mark(bytes);

    *writer = (struct blackbox_writer){.bytes = bytes, .marks = mark ? mark_number(mark) : 0};
    resume_ring(bytes, &writer->changes, BLACKBOX_HEAD_SIZE, BLACKBOX_CHANGES_SIZE);
    resume_ring(bytes, &writer->renewals, BLACKBOX_HEAD_SIZE + BLACKBOX_CHANGES_SIZE, BLACKBOX_RENEWALS_SIZE);
}

static void write_record(unsigned char *to, const struct blackbox_record *record, uint64_t number)
{
    const size_t size = RECORD_HEAD_SIZE + record->topic_size + record->body_size;

    open_block(to);
    put(to + 8, RECORD_MAGIC, 4);
    put(to + 12, size, 4);
    put(to + 16, number, 8);
    put(to + 24, (uint64_t)record->at_ns, 8);
    put(to + 32, (uint64_t)record->wall_ns, 8);
    put(to + 40, record->kind, 2);
    put(to + 42, record->topic_size, 2);
    put(to + 44, 0, 4);
    if (record->topic_size > 0)
        memcpy(to + RECORD_HEAD_SIZE, record->topic, record->topic_size);
    if (record->body_size > 0)
        memcpy(to + RECORD_HEAD_SIZE + record->topic_size, record->body, record->body_size);
    close_block(to, size);
}

static void append(struct blackbox_writer *writer, const struct blackbox_record *record)
{
    const bool renewal = record->kind == BLACKBOX_RENEWAL;
    struct blackbox_ring *ring = renewal ? &writer->renewals : &writer->changes;
    const size_t size = record_size(record), left = ring->begin + ring->size - ring->at;

    if (size > left) { /* what stands there is older than all the rest, and would stay for ever */
        memset(writer->bytes + ring->at, 0, left);
        ring->at = ring->begin;
    }
    write_record(writer->bytes + ring->at, record, ++ring->number);
    ring->at += size;
    writer->written += renewal ? 0 : size;
}

void blackbox_append(struct blackbox_writer *writer, const struct blackbox_record *record)
{
    char text[BLACKBOX_TOPIC_MAX + 64];

    if (record->topic_size <= BLACKBOX_TOPIC_MAX && record->body_size <= BLACKBOX_BODY_MAX) {
        append(writer, record);
        return;
    }
    const int size = snprintf(text, sizeof text, "left out: %zu bytes of %.*s", record->body_size,
                              (int)MIN(record->topic_size, BLACKBOX_TOPIC_MAX), record->topic);
    const struct blackbox_record note = {.kind = BLACKBOX_NOTE,
                                         .at_ns = record->at_ns,
                                         .wall_ns = record->wall_ns,
                                         .body = text,
                                         .body_size = (size_t)size};
    append(writer, &note);
}

/* ------------------------------------------------------------------- reading */

static size_t count_records(const unsigned char *bytes, size_t size)
{
    struct blackbox_record record;
    size_t count = 0;

    for (size_t offset = 0; next_record(bytes, size, &offset, &record);)
        count++;
    return count;
}

static int by_time(const void *one, const void *other)
{
    const struct blackbox_record *a = one, *b = other;

    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if ((a->kind == BLACKBOX_RENEWAL) != (b->kind == BLACKBOX_RENEWAL))
        return a->kind == BLACKBOX_RENEWAL ? 1 : -1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static uint64_t missing_of(const struct blackbox_reading *reading, bool renewals)
{
    uint64_t count = 0, least = UINT64_MAX, most = 0;

    for (size_t i = 0; i < reading->count; i++) {
        const struct blackbox_record *record = &reading->records[i];
        if ((record->kind == BLACKBOX_RENEWAL) != renewals)
            continue;
        count++;
        least = MIN(least, record->number);
        most = MAX(most, record->number);
    }
    return count > 0 && most - least >= count ? most - least + 1 - count : 0;
}

int blackbox_read(const void *bytes, size_t size, struct blackbox_reading *reading)
{
    *reading = (struct blackbox_reading){0};
    reading->has_about = blackbox_read_about(bytes, size, &reading->about) == 0;
    if (size >= BLACKBOX_HEAD_SIZE)
        read_mark(bytes, &reading->mark);
    const size_t count = count_records(bytes, size);
    if (count == 0)
        return reading->has_about ? 0 : -EUCLEAN;
    reading->records = calloc(count, sizeof *reading->records);
    if (!reading->records)
        return -ENOMEM;
    for (size_t offset = 0; next_record(bytes, size, &offset, &reading->records[reading->count]);)
        if (++reading->count == count)
            break;
    qsort(reading->records, reading->count, sizeof *reading->records, by_time);
    reading->missing = missing_of(reading, false) + missing_of(reading, true);
    return 0;
}

void blackbox_forget(struct blackbox_reading *reading)
{
    free(reading->records);
    *reading = (struct blackbox_reading){0};
}
