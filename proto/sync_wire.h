/* sync_wire: how sync.c and sync_ops.c write and read bytes. A writer that is full, and a reader that is at
 * the end or found a value out of range, notes it and goes on harmlessly, so that only the end is checked.
 * Nobody else includes this. */
#pragma once
#include <string.h>

#include "proto/sync.h"

struct sync_writer {
    uint8_t *bytes; /* NULL: only counts */
    size_t used, room;
    bool full; /* something did not fit, into the room or into the field for its length */
};

static inline void write_raw(struct sync_writer *w, const void *at, size_t size)
{
    if (w->bytes && size > w->room - w->used)
        w->full = true;
    if (w->full)
        return;
    if (w->bytes && size > 0)
        memcpy(w->bytes + w->used, at, size);
    w->used += size;
}

static inline void write_number(struct sync_writer *w, uint64_t value, unsigned bytes)
{
    uint8_t buffer[8];

    for (unsigned i = 0; i < bytes; i++)
        buffer[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    write_raw(w, buffer, bytes);
}

/* With its length, of so many bytes, before it. */
static inline void write_text(struct sync_writer *w, struct sync_bytes text, unsigned length_bytes)
{
    if ((uint64_t)text.size >> (8 * length_bytes) != 0)
        w->full = true;
    write_number(w, text.size, length_bytes);
    write_raw(w, text.at, text.size);
}

static inline void write_hash(struct sync_writer *w, const struct sync_hash *hash)
{
    write_raw(w, hash->bytes, sizeof hash->bytes);
}

struct sync_reader {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct sync_reader reader_of(struct sync_bytes bytes)
{
    static const uint8_t nothing[1]; /* what is empty may lie nowhere; nowhere is not counted from */
    const uint8_t *at = bytes.size > 0 ? bytes.at : nothing;

    return (struct sync_reader){.at = at, .end = at + bytes.size};
}

static inline void read_check(struct sync_reader *r, bool right)
{
    r->bad = r->bad || !right;
}

static inline struct sync_bytes read_raw(struct sync_reader *r, size_t size)
{
    const struct sync_bytes bytes = {.at = r->at, .size = size};

    read_check(r, size <= (size_t)(r->end - r->at));
    if (r->bad)
        return (struct sync_bytes){.at = r->end};
    r->at += size;
    return bytes;
}

static inline struct sync_bytes read_rest(struct sync_reader *r)
{
    return read_raw(r, (size_t)(r->end - r->at));
}

static inline uint64_t read_number(struct sync_reader *r, unsigned bytes)
{
    const struct sync_bytes raw = read_raw(r, bytes);
    uint64_t value = 0;

    for (size_t i = 0; i < raw.size; i++)
        value = value << 8 | raw.at[i];
    return value;
}

/* 0 … SYNC_NUMBER_MAX. */
static inline uint64_t read_count(struct sync_reader *r)
{
    const uint64_t value = read_number(r, 8);

    read_check(r, value <= SYNC_NUMBER_MAX);
    return value;
}

static inline unsigned read_enum(struct sync_reader *r, unsigned last)
{
    const unsigned value = (unsigned)read_number(r, 1);

    read_check(r, value >= 1 && value <= last);
    return value;
}

/* A flag that this version does not know may change what the rest means: refused. */
static inline unsigned read_flags(struct sync_reader *r, unsigned known)
{
    const unsigned flags = (unsigned)read_number(r, 1);

    read_check(r, (flags & ~known) == 0);
    return flags;
}

static inline struct sync_bytes read_text(struct sync_reader *r, unsigned length_bytes, size_t most)
{
    const size_t size = (size_t)read_number(r, length_bytes);

    read_check(r, size <= most);
    return read_raw(r, size);
}

static inline struct sync_hash read_hash(struct sync_reader *r)
{
    const struct sync_bytes raw = read_raw(r, SYNC_HASH_BYTES);
    struct sync_hash hash = {{0}};

    if (raw.size == sizeof hash.bytes)
        memcpy(hash.bytes, raw.at, sizeof hash.bytes);
    return hash;
}

static inline struct sync_bytes read_path(struct sync_reader *r)
{
    const struct sync_bytes path = read_text(r, 2, SYNC_PATH_MAX);

    read_check(r, sync_path_clean(path));
    return path;
}

static inline bool bytes_have(struct sync_bytes bytes, char byte)
{
    return bytes.size > 0 && memchr(bytes.at, byte, bytes.size);
}

/* A power of two within the limits. */
static inline bool block_clean(uint32_t block)
{
    return block >= SYNC_BLOCK_SMALL && block <= SYNC_BLOCK_MAX && (block & (block - 1)) == 0;
}
