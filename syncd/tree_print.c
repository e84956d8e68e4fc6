#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/tree_cache.h"

struct cache_writer {
    const struct tree *tree;
    cache_sink *sink;
    void *userdata;
    struct cache_chunk *chunk; /* with CACHE_CHUNK_MAX bytes behind it */
    int error;
};

struct cache_head cache_head(const struct hasher *hasher)
{
    struct cache_head head = {.version = CACHE_VERSION, .order = CACHE_ORDER};

    memcpy(head.magic, CACHE_MAGIC, sizeof head.magic);
    head.proof = hash_bytes(hasher, CACHE_MAGIC, sizeof CACHE_MAGIC);
    return head;
}

struct sync_hash cache_hash(const struct hasher *hasher, const struct cache_chunk *chunk)
{
    const size_t front = offsetof(struct cache_chunk, number);

    return hash_bytes(hasher, (const uint8_t *)chunk + front, sizeof *chunk - front + chunk->size);
}

static void flush(struct cache_writer *w)
{
    if (w->error != 0 || w->chunk->size == 0)
        return;
    w->chunk->hash = cache_hash(w->tree->hasher, w->chunk);
    w->error = w->sink(w->userdata, w->chunk, sizeof *w->chunk + w->chunk->size);
    w->chunk->number++;
    w->chunk->size = 0;
}

static void append(struct cache_writer *w, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy((uint8_t *)(w->chunk + 1) + w->chunk->size, bytes, size);
    w->chunk->size += (uint32_t)size;
}

/* A record's fixed part; `more` bytes of it will follow. */
static void begin(struct cache_writer *w, enum cache_kind kind, const void *record, size_t size, size_t more)
{
    if (w->chunk->size + 1 + size + more > CACHE_CHUNK_MAX)
        flush(w);
    append(w, &(uint8_t){(uint8_t)kind}, 1);
    append(w, record, size);
}

/* All of them, also those that are free, so that their numbers stay. */
static void write_looks(struct cache_writer *w)
{
    const struct tree *tree = w->tree;

    for (uint32_t i = 1; i < tree->look_count; i++) {
        const struct look *look = &tree->looks[i];
        const char *owner = look->owner != 0 ? tree->texts[look->owner].text : "";
        const char *group = look->group != 0 ? tree->texts[look->group].text : "";
        const struct cache_look record = {look->xattrs, look->uid, look->gid, (uint32_t)strlen(owner),
                                          (uint32_t)strlen(group)};
        begin(w, CACHE_LOOK, &record, sizeof record, record.owner_size + record.group_size);
        append(w, owner, record.owner_size);
        append(w, group, record.group_size);
    }
}

static void write_blocks(struct cache_writer *w, tree_node node)
{
    uint32_t block;
    size_t count;
    const struct sync_hash *hashes = tree_blocks(w->tree, node, &block, &count);

    for (size_t first = 0, piece; hashes && first < count; first += piece) {
        piece = count - first < CACHE_PIECE_MAX ? count - first : CACHE_PIECE_MAX;
        const struct cache_blocks record = {block, (uint32_t)count, (uint32_t)first, (uint32_t)piece};
        begin(w, CACHE_BLOCKS, &record, sizeof record, piece * sizeof *hashes);
        append(w, hashes + first, piece * sizeof *hashes);
    }
}

static void write_entry(struct cache_writer *w, tree_node node, unsigned depth)
{
    const struct node *n = &w->tree->nodes[node];
    const struct sync_bytes name = tree_name(w->tree, node);
    const struct cache_entry record = {
        .mtime_ns = n->mtime_ns,
        .ctime_ns = n->ctime_ns,
        .birth_ns = n->birth_ns,
        .size = n->size,
        .inode = n->inode,
        .content = n->content,
        .look = n->look,
        .device = n->device,
        .mode = n->mode,
        .depth = (uint16_t)depth,
        .kind = n->kind,
        .name_size = (uint16_t)name.size,
    };

    begin(w, CACHE_ENTRY, &record, sizeof record, name.size);
    append(w, name.at, name.size);
    write_blocks(w, node);
}

int cache_write(const struct tree *tree, cache_sink *sink, void *userdata)
{
    struct cache_writer w = {tree, sink, userdata, malloc(sizeof *w.chunk + CACHE_CHUNK_MAX), 0};
    const struct cache_head head = cache_head(tree->hasher);
    const struct cache_begin first = {tree_entries(tree)};
    const struct cache_end end = {tree_entries(tree), tree_root_hash(tree)};
    struct tree_walk walk;

    if (!w.chunk)
        return -ENOMEM;
    *w.chunk = (struct cache_chunk){0};
    w.error = sink(userdata, &head, sizeof head);
    begin(&w, CACHE_BEGIN, &first, sizeof first, 0);
    write_looks(&w);
    tree_walk_begin(&walk, tree, TREE_TOP);
    for (tree_walk_next(&walk); walk.node != 0 && w.error == 0; tree_walk_next(&walk))
        write_entry(&w, walk.node, walk.depth);
    begin(&w, CACHE_END, &end, sizeof end, 0);
    flush(&w);
    free(w.chunk);
    return w.error;
}
