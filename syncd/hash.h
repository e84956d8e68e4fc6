/* hash: fast keyed hashes for local looking (XXH3, 128 bits, with a secret that is derived from the cluster
 * key, so that nobody can make two contents that look the same without knowing it). Equal on both nodes and
 * on every byte order. */
#pragma once
#include "proto/sync.h"

struct hasher; /* the secret; one a process */

/* `key`: 32 bytes, derived from the cluster key for this purpose. 0 or -ENOMEM; freed (and wiped) by
 * hasher_free(). */
int hasher_new(const uint8_t key[32], struct hasher **hasher);
void hasher_free(struct hasher *hasher);

struct sync_hash hash_bytes(const struct hasher *hasher, const void *bytes, size_t size);

/* The hash of a content: of a content of one block its own hash, of a longer one the hash of its block
 * hashes. A content of no bytes is one empty block. */
struct sync_hash hash_content(const struct hasher *hasher, const struct sync_hash *blocks, size_t count);

/* The hash of an entry: its path, type, mode, mtime, owner and group (the name, or "#number" where there is
 * none), extended attributes, size and content. What means nothing does not count: of a directory its size
 * and content, of a symlink its mode and size, of a hard link all but path and content (the rest is the
 * file's that it names). */
struct hash_entry {
    struct sync_bytes path;
    enum sync_type type;
    uint16_t mode;
    int64_t mtime_ns;
    const char *owner, *group;
    struct sync_hash xattrs, content;
    uint64_t size;
};
struct sync_hash hash_entry(const struct hasher *hasher, const struct hash_entry *entry);

bool hash_equal(const struct sync_hash *a, const struct sync_hash *b);
