#include "syncd/hash.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    SECRET_BYTES = 192, /* of each purpose: nothing that is hashed for one is equal to anything of another */
    /* An entry without its texts, and all of it. */
    ENTRY_FIXED_BYTES = 1 + 2 + 8 + 8 + 2 * SYNC_HASH_BYTES,
    ENTRY_TEXT_MAX = UINT8_MAX,
    ENTRY_BYTES_MAX = ENTRY_FIXED_BYTES + 2 * (1 + ENTRY_TEXT_MAX) + SYNC_PATH_MAX,
};

_Static_assert(SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 wants a longer secret");

struct hasher {
    uint8_t contents[SECRET_BYTES], lists[SECRET_BYTES], entries[SECRET_BYTES];
};

int hasher_new(const uint8_t key[32], struct hasher **hasher)
{
    struct hasher *h = malloc(sizeof *h);

    if (!h)
        return -ENOMEM;
    _Static_assert(randombytes_SEEDBYTES == 32, "the key is the seed");
    randombytes_buf_deterministic(h, sizeof *h, key);
    *hasher = h;
    return 0;
}

void hasher_free(struct hasher *hasher)
{
    if (hasher)
        sodium_memzero(hasher, sizeof *hasher);
    free(hasher);
}

static struct sync_hash hash_with(const uint8_t secret[SECRET_BYTES], const void *bytes, size_t size)
{
    XXH128_canonical_t canonical;
    struct sync_hash hash;

    _Static_assert(sizeof canonical == sizeof hash, "XXH3 has 128 bits");
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSecret(bytes, size, secret, SECRET_BYTES));
    memcpy(&hash, &canonical, sizeof hash);
    return hash;
}

struct sync_hash hash_bytes(const struct hasher *hasher, const void *bytes, size_t size)
{
    return hash_with(hasher->contents, bytes, size);
}

struct sync_hash hash_content(const struct hasher *hasher, const struct sync_hash *blocks, size_t count)
{
    if (count == 0)
        return hash_bytes(hasher, "", 0);
    return count == 1 ? blocks[0] : hash_with(hasher->lists, blocks, count * sizeof *blocks);
}

static uint8_t *put_number(uint8_t *at, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> 8 * (bytes - 1 - i));
    return at + bytes;
}

static uint8_t *put_hash(uint8_t *at, const struct sync_hash *hash)
{
    memcpy(at, hash, sizeof *hash);
    return at + sizeof *hash;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    const size_t size = text ? strnlen(text, ENTRY_TEXT_MAX) : 0;

    *at++ = (uint8_t)size;
    if (size > 0)
        memcpy(at, text, size);
    return at + size;
}

/* What does not count is zero. */
struct sync_hash hash_entry(const struct hasher *hasher, const struct hash_entry *entry)
{
    static const struct sync_hash nothing;
    uint8_t bytes[ENTRY_BYTES_MAX], *at = bytes;
    const bool itself = entry->type != SYNC_HARDLINK;
    const bool has_mode = entry->type == SYNC_FILE || entry->type == SYNC_DIRECTORY;
    const size_t path_size = entry->path.size < SYNC_PATH_MAX ? entry->path.size : SYNC_PATH_MAX;

    at = put_number(at, entry->type, 1);
    at = put_number(at, has_mode ? entry->mode : 0, 2);
    at = put_number(at, itself ? (uint64_t)entry->mtime_ns : 0, 8);
    at = put_number(at, entry->type == SYNC_FILE ? entry->size : 0, 8);
    at = put_hash(at, entry->type == SYNC_DIRECTORY ? &nothing : &entry->content);
    at = put_hash(at, itself ? &entry->xattrs : &nothing);
    at = put_text(at, itself ? entry->owner : NULL);
    at = put_text(at, itself ? entry->group : NULL);
    if (path_size > 0)
        memcpy(at, entry->path.at, path_size);
    at += path_size;
    return hash_with(hasher->entries, bytes, (size_t)(at - bytes));
}

bool hash_equal(const struct sync_hash *a, const struct sync_hash *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
