#include "proto/heartbeat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/utf8.h"

const uint8_t heartbeat_group[6] = {0x03, 0x64, 0x75, 0x65, 0x74, 0x01};

static const uint32_t magics[] = {
    [DATAGRAM_HEARTBEAT] = 0x44554842 /* "DUHB" */, [DATAGRAM_RECORD] = 0x44555243 /* "DURC" */};

enum {
    FLAG_WHOLE = 1,
    FLAG_HELD = 2,
    FLAG_UNFIT = 4,
    FLAG_RELEASED = 8,
    FLAG_SUSPICIOUS = 16,
    FLAG_SILENT = 32,
    FLAG_TAKES_SILENT = 64,
    FLAG_TAKES_RECORDS = 128
};
enum { CHANNEL_USABLE = 1 };

uint32_t heartbeat_hash(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

/* ------------------------------------------------------ writing and reading */

struct writer {
    uint8_t *at;
};

static void put(struct writer *w, uint64_t value, unsigned bytes)
{
    while (bytes-- > 0)
        *w->at++ = (uint8_t)(value >> (8 * bytes));
}

/* A number as the format has it: 0 … HEARTBEAT_NUMBER_MAX. */
static void put_number(struct writer *w, int64_t value)
{
    put(w,
        value < 0                      ? 0
        : value > HEARTBEAT_NUMBER_MAX ? (uint64_t)HEARTBEAT_NUMBER_MAX
                                       : (uint64_t)value,
        8);
}

static void put_bytes(struct writer *w, const uint8_t *bytes, size_t count)
{
    memcpy(w->at, bytes, count);
    w->at += count;
}

static void put_session(struct writer *w, const struct heartbeat_session *session)
{
    put(w, session->start, 8);
    put_bytes(w, session->random, sizeof session->random);
}

/* The caller has checked the length; `bad` is set by a value out of range. */
struct reader {
    const uint8_t *at;
    bool bad;
};

static uint64_t get(struct reader *r, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *r->at++;
    return value;
}

static int64_t get_number(struct reader *r)
{
    const uint64_t value = get(r, 8);

    r->bad = r->bad || value > (uint64_t)HEARTBEAT_NUMBER_MAX;
    return (int64_t)value;
}

static unsigned get_enum(struct reader *r, unsigned count)
{
    const unsigned value = (unsigned)get(r, 1);

    r->bad = r->bad || value >= count;
    return value;
}

static void get_bytes(struct reader *r, uint8_t *bytes, size_t count)
{
    memcpy(bytes, r->at, count);
    r->at += count;
}

static void get_session(struct reader *r, struct heartbeat_session *session)
{
    session->start = (uint64_t)get_number(r);
    get_bytes(r, session->random, sizeof session->random);
}

/* ------------------------------------------------------------------- header */

void heartbeat_pack_header(const struct heartbeat_header *header,
                           uint8_t bytes[static HEARTBEAT_HEADER_BYTES])
{
    struct writer w = {bytes};

    put(&w, magics[header->kind], 4);
    put(&w, header->cluster, 4);
    put(&w, header->version, 1);
    put(&w, header->version_min, 1);
    put(&w, header->version_max, 1);
    put(&w, header->key_id, 1);
    put(&w, header->sealed_bytes, 2);
    put(&w, 0, 2); /* reserved */
    put_session(&w, &header->session);
    put(&w, header->sequence, 8);
}

static bool get_kind(struct reader *r, enum datagram_kind *kind)
{
    const uint64_t magic = get(r, 4);

    *kind = magic == magics[DATAGRAM_RECORD] ? DATAGRAM_RECORD : DATAGRAM_HEARTBEAT;
    return magic == magics[*kind];
}

int heartbeat_parse_header(const uint8_t *bytes, size_t size, struct heartbeat_header *header)
{
    struct reader r = {.at = bytes};

    if (size < HEARTBEAT_HEADER_BYTES + HEARTBEAT_TAG_BYTES || !get_kind(&r, &header->kind))
        return -EBADMSG;
    header->cluster = (uint32_t)get(&r, 4);
    header->version = (uint8_t)get(&r, 1);
    header->version_min = (uint8_t)get(&r, 1);
    header->version_max = (uint8_t)get(&r, 1);
    header->key_id = (uint8_t)get(&r, 1);
    header->sealed_bytes = (uint16_t)get(&r, 2);
    get(&r, 2); /* reserved: whatever a later version says there */
    get_session(&r, &header->session);
    header->sequence = (uint64_t)get_number(&r);
    if (r.bad || header->session.start == 0 || header->sequence == 0 ||
        header->sealed_bytes < HEARTBEAT_TAG_BYTES || header->sealed_bytes > size - HEARTBEAT_HEADER_BYTES)
        return -EBADMSG;
    return 0;
}

/* --------------------------------------------------------------------- body */

static unsigned flags_of(const struct heartbeat *h)
{
    return (h->whole ? FLAG_WHOLE : 0u) | (h->held ? FLAG_HELD : 0u) | (h->unfit ? FLAG_UNFIT : 0u) |
           (h->released ? FLAG_RELEASED : 0u) | (h->suspicious ? FLAG_SUSPICIOUS : 0u) |
           (h->silent ? FLAG_SILENT : 0u) | (h->takes_silent ? FLAG_TAKES_SILENT : 0u) |
           (h->takes_records ? FLAG_TAKES_RECORDS : 0u);
}

static void put_state(struct writer *w, const struct heartbeat *h)
{
    put(w, h->role, 1);
    put(w, h->phase, 1);
    put(w, h->offer, 1);
    put(w, h->prefers, 1);
    put(w, flags_of(h), 2);
    put_number(w, h->epoch);
    put_number(w, h->next_epoch);
    put_number(w, h->arbiter_age_us);
    put_number(w, h->lease_us);
    put_number(w, h->phase_age_us);
    put_number(w, h->change);
    put_number(w, h->considered);
    put_number(w, h->hold_version);
    put_number(w, h->hold_left_ms);
    put_number(w, h->data_epoch);
    put_number(w, h->data_generation);
    put(w, h->services_failed, 4);
    put(w, h->late_us, 4);
    put(w, h->config_hash, 8);
}

static void put_echo(struct writer *w, const struct heartbeat_echo *echo)
{
    put_session(w, &echo->session);
    put(w, echo->sequence, 8);
    put(w, echo->path_sequence, 8);
    put(w, echo->stamp, 8);
    put_number(w, echo->held_us);
}

size_t heartbeat_pack_body(const struct heartbeat *h, uint8_t bytes[static HEARTBEAT_BODY_MAX])
{
    const size_t count =
        h->channel_count < HEARTBEAT_CHANNELS_MAX ? h->channel_count : HEARTBEAT_CHANNELS_MAX;
    struct writer w = {bytes};

    put_state(&w, h);
    put(&w, h->path_count, 8);
    put(&w, h->stamp, 8);
    put_echo(&w, &h->echo);
    put(&w, count, 1);
    for (size_t i = 0; i < count; i++) {
        put(&w, h->channels[i].id, 4);
        put_bytes(&w, h->channels[i].mac, sizeof h->channels[i].mac);
        put(&w, h->channels[i].usable ? CHANNEL_USABLE : 0, 1);
        put_number(&w, h->channels[i].evidence_age_us);
    }
    return (size_t)(w.at - bytes);
}

static void get_state(struct reader *r, struct heartbeat *h)
{
    h->role = (enum role)get_enum(r, ROLE_COUNT);
    h->phase = (enum phase)get_enum(r, PHASE_COUNT);
    h->offer = (enum offer)get_enum(r, OFFER_COUNT);
    h->prefers = (enum prefers)get_enum(r, PREFERS_COUNT);
    const unsigned flags = (unsigned)get(r, 2);
    h->whole = flags & FLAG_WHOLE;
    h->held = flags & FLAG_HELD;
    h->unfit = flags & FLAG_UNFIT;
    h->released = flags & FLAG_RELEASED;
    h->suspicious = flags & FLAG_SUSPICIOUS;
    h->silent = flags & FLAG_SILENT;
    h->takes_silent = flags & FLAG_TAKES_SILENT;
    h->takes_records = flags & FLAG_TAKES_RECORDS;
    h->epoch = get_number(r);
    h->next_epoch = get_number(r);
    h->arbiter_age_us = get_number(r);
    h->lease_us = get_number(r);
    h->phase_age_us = get_number(r);
    h->change = get_number(r);
    h->considered = get_number(r);
    h->hold_version = get_number(r);
    h->hold_left_ms = get_number(r);
    h->data_epoch = get_number(r);
    h->data_generation = get_number(r);
    h->services_failed = (uint32_t)get(r, 4);
    h->late_us = (uint32_t)get(r, 4);
    h->config_hash = get(r, 8);
}

static void get_echo(struct reader *r, struct heartbeat_echo *echo)
{
    get_session(r, &echo->session);
    echo->sequence = (uint64_t)get_number(r);
    echo->path_sequence = (uint64_t)get_number(r);
    echo->stamp = get(r, 8);
    echo->held_us = get_number(r);
}

static void get_channel(struct reader *r, struct heartbeat_channel *channel)
{
    channel->id = (uint32_t)get(r, 4);
    get_bytes(r, channel->mac, sizeof channel->mac);
    channel->usable = get(r, 1) & CHANNEL_USABLE;
    channel->evidence_age_us = get_number(r);
}

int heartbeat_parse_body(uint8_t version, const uint8_t *bytes, size_t size, struct heartbeat *h)
{
    struct reader r = {.at = bytes};

    if (version != HEARTBEAT_VERSION)
        return -ENOTSUP;
    if (size < HEARTBEAT_FIXED_BYTES)
        return -EBADMSG;
    *h = (struct heartbeat){0};
    get_state(&r, h);
    h->path_count = (uint64_t)get_number(&r);
    h->stamp = get(&r, 8);
    get_echo(&r, &h->echo);
    h->channel_count = (size_t)get(&r, 1);
    if (r.bad || h->channel_count > HEARTBEAT_CHANNELS_MAX ||
        size != HEARTBEAT_FIXED_BYTES + h->channel_count * HEARTBEAT_CHANNEL_BYTES)
        return -EBADMSG;
    for (size_t i = 0; i < h->channel_count; i++)
        get_channel(&r, &h->channels[i]);
    return r.bad ? -EBADMSG : 0;
}

size_t heartbeat_body_max(enum datagram_kind kind)
{
    return kind == DATAGRAM_RECORD ? HEARTBEAT_RECORD_MAX : HEARTBEAT_BODY_MAX;
}

/* ------------------------------------------------------------------- record */

static bool is_record(const uint8_t *text, size_t size)
{
    size_t step;

    if (size == 0 || size > HEARTBEAT_RECORD_MAX)
        return false;
    for (size_t at = 0; at < size; at += step) {
        step = utf8_bytes(text + at, size - at);
        if (step == 0 || text[at] < ' ' || text[at] == 0x7f || (text[at] == 0xc2 && text[at + 1] < 0xa0))
            return false;
    }
    return true;
}

size_t heartbeat_pack_record(const char *text, uint8_t bytes[static HEARTBEAT_RECORD_MAX])
{
    const size_t size = strlen(text);

    if (!is_record((const uint8_t *)text, size))
        return 0;
    memcpy(bytes, text, size);
    return size;
}

int heartbeat_parse_record(uint8_t version, const uint8_t *bytes, size_t size,
                           char text[static HEARTBEAT_RECORD_MAX + 1])
{
    if (version != HEARTBEAT_VERSION)
        return -ENOTSUP;
    if (!is_record(bytes, size))
        return -EBADMSG;
    memcpy(text, bytes, size);
    text[size] = '\0';
    return 0;
}

/* ----------------------------------------------------------------- sessions */

bool heartbeat_session_equal(const struct heartbeat_session *a, const struct heartbeat_session *b)
{
    return a->start == b->start && memcmp(a->random, b->random, sizeof a->random) == 0;
}

void heartbeat_session_print(const struct heartbeat_session *session,
                             char text[static HEARTBEAT_SESSION_TEXT_MAX])
{
    int n = snprintf(text, HEARTBEAT_SESSION_TEXT_MAX, "%016" PRIx64, session->start);

    for (size_t i = 0; i < sizeof session->random; i++)
        n += snprintf(text + n, (size_t)(HEARTBEAT_SESSION_TEXT_MAX - n), "%02x", session->random[i]);
}
