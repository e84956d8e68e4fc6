/* Any bytes as a tree's file, and any records in one. Chance finds no keyed hash: so for the records they are
 * made right. Whatever was read, the tree is whole; what was read to its end is the same when it was saved
 * and read again; and when all of it is removed, nothing is left in any sum. The first byte says where the
 * second chunk begins. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/tree_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct buffer {
    uint8_t *bytes;
    size_t size;
};

static int append(void *userdata, const void *bytes, size_t size)
{
    struct buffer *buffer = userdata;

    buffer->bytes = realloc(buffer->bytes, buffer->size + size);
    assert(buffer->bytes);
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
    return 0;
}

static int read_chunk(const struct hasher *hasher, struct cache_reader *reader, uint32_t number,
                      const uint8_t *records, size_t size)
{
    struct cache_chunk *chunk = malloc(sizeof *chunk + size);

    assert(chunk);
    chunk->number = number;
    chunk->size = (uint32_t)size;
    if (size > 0)
        memcpy(chunk + 1, records, size);
    chunk->hash = cache_hash(hasher, chunk);
    const int r = cache_read_chunk(reader, chunk);
    free(chunk);
    return r;
}

static void check_tree(const struct tree *tree)
{
    static struct tree_walk walk;
    uint64_t entries = 0, listed = 0;

    tree_walk_begin(&walk, tree, TREE_TOP);
    for (tree_walk_next(&walk); walk.node != 0; tree_walk_next(&walk), entries++) {
        struct tree_entry entry;
        assert(sync_path_clean(tree_walk_path(&walk)));
        assert(tree_find(tree, tree_walk_path(&walk)) == walk.node);
        tree_get(tree, walk.node, &entry);
        tree_node i = 0;
        if (entry.stat.inode != 0) {
            do
                i = tree_by_inode(tree, &entry.stat, i);
            while (i != 0 && i != walk.node);
            assert(i == walk.node);
        }
    }
    for (unsigned bucket = 0; bucket < SYNC_BUCKETS; bucket++)
        for (tree_node i = 0; (i = tree_in_bucket(tree, bucket, i)) != 0;)
            listed++;
    assert(entries == tree_entries(tree) && listed == entries);
}

static void check_again(const struct hasher *hasher, const struct tree *tree)
{
    const struct sync_hash root = tree_root_hash(tree);
    struct buffer saved = {0};
    struct tree *again;

    assert(tree_new(hasher, &again) == 0 && cache_write(tree, append, &saved) == 0);
    assert(tree_file_parse(again, saved.bytes, saved.size) == 0);
    const struct sync_hash own = tree_root_hash(again);
    assert(hash_equal(&own, &root) && tree_entries(again) == tree_entries(tree));
    check_tree(again);
    tree_free(again);
    free(saved.bytes);
}

static void remove_all(struct tree *tree)
{
    const struct sync_hash nothing = {0};

    for (tree_node i; (i = tree_first_child(tree, TREE_TOP)) != 0;)
        tree_remove(tree, i);
    const struct sync_hash root = tree_root_hash(tree);
    assert(hash_equal(&root, &nothing) && tree_entries(tree) == 0 && tree_bytes(tree) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[32] = {1};
    struct cache_reader *reader;
    struct hasher *hasher;
    struct tree *tree;

    assert(hasher_new(key, &hasher) == 0 && tree_new(hasher, &tree) == 0);
    if (tree_file_parse(tree, data, size) < 0)
        assert(tree_entries(tree) == 0);
    if (size > 1 && size <= CACHE_CHUNK_MAX) {
        const size_t first = (size_t)data[0] * 16 % size;
        assert(cache_reader_new(tree, 1 << 20, &reader) == 0);
        int r = read_chunk(hasher, reader, 0, data + 1, first);
        if (r == 0)
            r = read_chunk(hasher, reader, 1, data + 1 + first, size - 1 - first);
        cache_reader_free(reader);
        check_tree(tree);
        if (r == 0)
            check_again(hasher, tree);
        remove_all(tree);
    }
    tree_free(tree);
    hasher_free(hasher);
    return 0;
}
