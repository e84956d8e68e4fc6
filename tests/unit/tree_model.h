/* tree_model: what a tree must say, kept in the simplest way: a list of entries with their paths. */
#pragma once
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "syncd/tree.h"

enum { MODEL_MAX = 600, MODEL_PATH_MAX = 100 };

struct model_entry {
    char path[MODEL_PATH_MAX];
    struct tree_entry entry;
    uint8_t mark;
    int32_t watch;
    size_t block_count; /* hashes of zeros, but for their first byte: the number */
};

struct model {
    struct hasher *hasher;
    struct tree *tree; /* what is tried */
    struct model_entry entries[MODEL_MAX];
    size_t count;
    uint64_t random;
};

static inline uint64_t model_random(struct model *m, uint64_t below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (m->random >> 11) % below;
}

static inline struct sync_bytes bytes_of(const char *text)
{
    return (struct sync_bytes){(const uint8_t *)text, strlen(text)};
}

static inline void model_begin(struct model *m, uint64_t seed)
{
    static const uint8_t key[32] = "the key of the pair, 32 bytes ..";

    m->count = 0;
    m->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    assert_int_equal(hasher_new(key, &m->hasher), 0);
    assert_int_equal(tree_new(m->hasher, &m->tree), 0);
}

static inline void model_end(struct model *m)
{
    tree_free(m->tree);
    hasher_free(m->hasher);
}

static inline struct model_entry *model_find(struct model *m, const char *path)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->entries[i].path, path) == 0)
            return &m->entries[i];
    return NULL;
}

/* `path` is `top`, or below it. */
static inline bool model_within(const char *path, const char *top)
{
    const size_t size = strlen(top);

    return strncmp(path, top, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

/* What is above `path`; empty: the set. */
static inline void model_above(const char *path, char above[MODEL_PATH_MAX])
{
    snprintf(above, MODEL_PATH_MAX, "%s", path);
    char *slash = strrchr(above, '/');
    if (slash)
        *slash = '\0';
    else
        above[0] = '\0';
}

/* 0, or what the tree must say about a missing or unfit directory. */
static inline int model_check_above(struct model *m, const char *path)
{
    char above[MODEL_PATH_MAX];

    model_above(path, above);
    const struct model_entry *e = model_find(m, above);
    if (above[0] == '\0')
        return 0;
    return !e ? -ENOENT : e->entry.type != SYNC_DIRECTORY ? -ENOTDIR : 0;
}

/* ------------------------------------------------------ what is true of both */

static inline void assert_entry(const struct model *m, tree_node node, const struct model_entry *e)
{
    uint8_t path[SYNC_PATH_MAX];
    struct tree_entry own;
    uint32_t block = 0;
    size_t count = 0;

    const size_t size = tree_path(m->tree, node, path);
    assert_int_equal(size, strlen(e->path));
    assert_memory_equal(path, e->path, size);
    tree_get(m->tree, node, &own);
    assert_int_equal(own.type, e->entry.type);
    assert_int_equal(own.mode, e->entry.mode);
    assert_int_equal(own.mtime_ns, e->entry.mtime_ns);
    assert_int_equal(own.uid, e->entry.uid);
    assert_int_equal(own.gid, e->entry.gid);
    assert_string_equal(own.owner, e->entry.owner);
    assert_string_equal(own.group, e->entry.group);
    assert_int_equal(own.size, e->entry.size);
    assert_true(hash_equal(&own.content, &e->entry.content));
    assert_true(hash_equal(&own.xattrs, &e->entry.xattrs));
    assert_int_equal(own.racy, e->entry.racy);
    assert_int_equal(own.stat.inode, e->entry.stat.inode);
    assert_int_equal(own.stat.device, e->entry.stat.device);
    assert_int_equal(own.stat.ctime_ns, e->entry.stat.ctime_ns);
    assert_int_equal(own.stat.birth_ns, e->entry.stat.birth_ns);
    assert_int_equal(tree_mark(m->tree, node), e->mark);
    assert_int_equal(tree_watch(m->tree, node), e->watch);

    const struct sync_hash *blocks = tree_blocks(m->tree, node, &block, &count);
    assert_int_equal(blocks != NULL, e->block_count > 0);
    assert_int_equal(count, e->block_count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(blocks[i].bytes[0], (uint8_t)i);
}

static inline void hash_add(struct sync_hash *to, const struct sync_hash *hash)
{
    unsigned carry = 0;

    for (size_t i = SYNC_HASH_BYTES; i-- > 0; carry >>= 8) {
        carry += to->bytes[i] + hash->bytes[i];
        to->bytes[i] = (uint8_t)carry;
    }
}

static inline struct sync_hash model_hash(const struct model *m, const struct model_entry *e)
{
    return hash_entry(m->hasher, &(struct hash_entry){.path = bytes_of(e->path),
                                                      .type = e->entry.type,
                                                      .mode = e->entry.mode,
                                                      .mtime_ns = e->entry.mtime_ns,
                                                      .owner = e->entry.owner,
                                                      .group = e->entry.group,
                                                      .xattrs = e->entry.xattrs,
                                                      .content = e->entry.content,
                                                      .size = e->entry.size});
}

/* Every sum, added up anew, and every bucket's list. */
static inline void assert_sums(struct model *m)
{
    static struct sync_hash buckets[SYNC_BUCKETS];
    static size_t counts[SYNC_BUCKETS];
    struct sync_hash root = {0}, groups[SYNC_FANOUT] = {0}, own[SYNC_FANOUT];
    uint64_t bytes = 0;

    memset(buckets, 0, sizeof buckets);
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < m->count; i++) {
        const struct sync_hash hash = model_hash(m, &m->entries[i]);
        const unsigned bucket = tree_bucket_of(m->tree, bytes_of(m->entries[i].path));
        assert_in_range(bucket, 0, SYNC_BUCKETS - 1);
        hash_add(&root, &hash);
        hash_add(&groups[bucket / SYNC_FANOUT], &hash);
        hash_add(&buckets[bucket], &hash);
        counts[bucket]++;
        bytes += m->entries[i].entry.type == SYNC_FILE ? m->entries[i].entry.size : 0;
    }
    const struct sync_hash own_root = tree_root_hash(m->tree);
    assert_memory_equal(&own_root, &root, sizeof root);
    tree_hashes(m->tree, -1, own);
    assert_memory_equal(own, groups, sizeof groups);
    for (unsigned group = 0; group < SYNC_FANOUT; group++) {
        tree_hashes(m->tree, (int)group, own);
        assert_memory_equal(own, buckets + (size_t)group * SYNC_FANOUT, sizeof own);
    }
    for (unsigned bucket = 0; bucket < SYNC_BUCKETS; bucket++) {
        size_t count = 0;
        uint8_t path[SYNC_PATH_MAX];
        for (tree_node i = 0; (i = tree_in_bucket(m->tree, bucket, i)) != 0; count++) {
            const size_t size = tree_path(m->tree, i, path);
            assert_int_equal(tree_bucket_of(m->tree, (struct sync_bytes){path, size}), bucket);
        }
        assert_int_equal(count, counts[bucket]);
    }
    assert_int_equal(tree_entries(m->tree), m->count);
    assert_int_equal(tree_bytes(m->tree), bytes);
}

/* Who shares its inode, and who its directory. */
static inline void assert_links(struct model *m, tree_node node, const struct model_entry *e)
{
    size_t others = 0, own = 0, children = 0, own_children = 0;
    char above[MODEL_PATH_MAX];

    for (size_t i = 0; i < m->count; i++) {
        others += e->entry.stat.inode != 0 && m->entries[i].entry.stat.inode == e->entry.stat.inode &&
                  m->entries[i].entry.stat.device == e->entry.stat.device;
        model_above(m->entries[i].path, above);
        children += strcmp(above, e->path) == 0;
    }
    for (tree_node i = 0; (i = tree_by_inode(m->tree, &e->entry.stat, i)) != 0;)
        own++;
    assert_int_equal(own, others);
    for (tree_node i = tree_first_child(m->tree, node); i != 0;
         i = tree_next_sibling(m->tree, i), own_children++)
        assert_int_equal(tree_parent(m->tree, i), node);
    assert_int_equal(own_children, children);
}

static inline void assert_same(struct model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct model_entry *e = &m->entries[i];
        const tree_node node = tree_find(m->tree, bytes_of(e->path));
        assert_int_not_equal(node, 0);
        assert_entry(m, node, e);
        assert_links(m, node, e);
        const struct sync_hash own = tree_entry_hash(m->tree, node), hash = model_hash(m, e);
        assert_true(hash_equal(&own, &hash));
    }
    assert_sums(m);
}

/* ------------------------------------------------------ what can happen */

static inline struct sync_hash model_any_hash(struct model *m)
{
    struct sync_hash hash = {0};

    hash.bytes[model_random(m, SYNC_HASH_BYTES)] = (uint8_t)model_random(m, 4);
    return hash;
}

/* Few names, so that things happen to the same ones. */
static inline void model_any_path(struct model *m, char path[MODEL_PATH_MAX])
{
    static const char *const names[] = {"a", "b", "c", "longer.txt", "\xff\x01 odd", ".d"};
    const struct model_entry *near = m->count > 0 ? &m->entries[model_random(m, m->count)] : NULL;
    int size = snprintf(path, MODEL_PATH_MAX, "%d", (int)model_random(m, 2));

    if (near && strlen(near->path) < MODEL_PATH_MAX / 2 && model_random(m, 3) > 0) {
        size = snprintf(path, MODEL_PATH_MAX, "%s", near->path);
        snprintf(path + size, MODEL_PATH_MAX - (size_t)size, "/%s", names[model_random(m, 6)]);
        return;
    }
    for (uint64_t depth = model_random(m, 20) == 0 ? 0 : 1 + model_random(m, 4); depth > 0; depth--)
        size += snprintf(path + size, MODEL_PATH_MAX - (size_t)size, "/%s", names[model_random(m, 6)]);
}

static inline struct tree_entry model_any_entry(struct model *m)
{
    static const char *const owners[] = {"root", "mail", "#1000", "", "a-quite-long-name-of-an-owner"};
    const uint64_t dice = model_random(m, 10);

    return (struct tree_entry){
        .type = dice < 5   ? SYNC_DIRECTORY
                : dice < 8 ? SYNC_FILE
                : dice < 9 ? SYNC_SYMLINK
                           : SYNC_HARDLINK,
        .mode = (uint16_t)model_random(m, 010000),
        .mtime_ns = (int64_t)model_random(m, 5) - 2,
        .uid = (uint32_t)model_random(m, 3),
        .gid = (uint32_t)model_random(m, 3),
        .owner = owners[model_random(m, 5)],
        .group = owners[model_random(m, 5)],
        .size = model_random(m, 3) * UINT64_C(0x123456789),
        .content = model_any_hash(m),
        .xattrs = model_any_hash(m),
        .racy = model_random(m, 2) == 0,
        .stat = {model_random(m, 40), (uint32_t)model_random(m, 2), (int64_t)model_random(m, 99),
                 (int64_t)model_random(m, 99)},
    };
}

static inline void model_put_one(struct model *m, const char *path, const struct tree_entry *entry, int *want)
{
    struct model_entry *e = model_find(m, path);

    *want = model_check_above(m, path);
    if (*want == 0 && e && e->entry.type != entry->type)
        *want = -EEXIST;
    if (*want < 0)
        return;
    if (!e) {
        assert_in_range(m->count, 0, MODEL_MAX - 1);
        e = &m->entries[m->count++];
        *e = (struct model_entry){0};
        snprintf(e->path, sizeof e->path, "%s", path);
    } else if (e->entry.size != entry->size || !hash_equal(&e->entry.content, &entry->content)) {
        e->block_count = 0;
    }
    e->entry = *entry;
}

static inline void model_remove_one(struct model *m, const char *path)
{
    char top[MODEL_PATH_MAX];
    size_t kept = 0;

    snprintf(top, sizeof top, "%s", path);
    for (size_t i = 0; i < m->count; i++)
        if (!model_within(m->entries[i].path, top))
            m->entries[kept++] = m->entries[i];
    m->count = kept;
}

/* False: the paths would be longer than the model has room for. */
static inline bool model_move_one(struct model *m, const char *from, const char *to, int *want)
{
    char path[2 * MODEL_PATH_MAX];

    *want = model_check_above(m, to);
    if (*want == 0 && (model_within(to, from) && strcmp(to, from) != 0))
        *want = -EINVAL;
    else if (*want == 0 && model_find(m, to))
        *want = -EEXIST;
    for (int doit = 0; doit < 2 && *want == 0; doit++)
        for (size_t i = 0; i < m->count; i++) {
            if (!model_within(m->entries[i].path, from))
                continue;
            snprintf(path, sizeof path, "%s%s", to, m->entries[i].path + strlen(from));
            if (strlen(path) >= MODEL_PATH_MAX)
                return false;
            if (doit)
                memcpy(m->entries[i].path, path, strlen(path) + 1);
        }
    return true;
}
