#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/tree_cache.h"

struct cache_reader {
    struct tree *tree;
    uint64_t size;   /* of the file */
    uint32_t number; /* of the next chunk */
    bool begun, ended;

    uint32_t *looks; /* by their numbers in the file; of each one a reference */
    uint32_t look_count, look_room;

    /* The latest entry, and those above it. */
    unsigned depth;
    tree_node nodes[CACHE_DEPTH_MAX + 1];
    uint16_t sizes[CACHE_DEPTH_MAX + 1]; /* of their paths */
    uint8_t path[SYNC_PATH_MAX];

    struct sync_hash *blocks; /* of the latest entry, as far as they have come */
    uint32_t block_count, block_room;
    uint32_t block_total; /* 0: none are awaited */
};

int cache_reader_new(struct tree *tree, uint64_t size, struct cache_reader **reader)
{
    struct cache_reader *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    tree_clear(tree);
    r->tree = tree;
    r->size = size;
    r->nodes[0] = TREE_TOP;
    *reader = r;
    return 0;
}

void cache_reader_free(struct cache_reader *reader)
{
    if (!reader)
        return;
    free(reader->looks);
    free(reader->blocks);
    free(reader);
}

/* Takes so many bytes from the front of `rest`; NULL: it has fewer. */
static const uint8_t *take(struct sync_bytes *rest, size_t size)
{
    const uint8_t *at = rest->at;

    if (size > rest->size)
        return NULL;
    rest->at += size;
    rest->size -= size;
    return at;
}

static bool take_record(struct sync_bytes *rest, void *record, size_t size)
{
    const uint8_t *at = take(rest, size);

    if (at)
        memcpy(record, at, size);
    return at != NULL;
}

static bool take_text(struct sync_bytes *rest, size_t size, char text[UINT8_MAX + 1])
{
    const uint8_t *at = size <= UINT8_MAX ? take(rest, size) : NULL;

    if (!at || memchr(at, '\0', size))
        return false;
    memcpy(text, at, size);
    text[size] = '\0';
    return true;
}

/* Room for all at once: growing takes longer than the rest of reading. */
static int read_begin(struct cache_reader *r, struct sync_bytes *rest)
{
    struct cache_begin record;

    if (!take_record(rest, &record, sizeof record) || record.entries > r->size / sizeof(struct cache_entry))
        return -EUCLEAN;
    r->begun = true;
    return tree_nodes_reserve(r->tree, record.entries);
}

static int read_look(struct cache_reader *r, struct sync_bytes *rest)
{
    char owner[UINT8_MAX + 1], group[UINT8_MAX + 1];
    struct cache_look record;

    if (!take_record(rest, &record, sizeof record) || !take_text(rest, record.owner_size, owner) ||
        !take_text(rest, record.group_size, group))
        return -EUCLEAN;
    const struct tree_entry entry = {
        .uid = record.uid, .gid = record.gid, .owner = owner, .group = group, .xattrs = record.xattrs};
    int error = tree_grow(&r->looks, &r->look_room, (uint64_t)r->look_count + 1, sizeof *r->looks);
    if (error == 0)
        error = tree_looks_take(r->tree, &entry, &r->looks[r->look_count]);
    r->look_count += error == 0;
    return error;
}

/* Puts the name behind the path of what is above it. */
static bool read_path(struct cache_reader *r, const struct cache_entry *record, const uint8_t *name)
{
    size_t size = r->sizes[record->depth - 1];

    if (size + 1 + record->name_size > SYNC_PATH_MAX)
        return false;
    if (size > 0)
        r->path[size++] = '/';
    memcpy(r->path + size, name, record->name_size);
    r->sizes[record->depth] = (uint16_t)(size + record->name_size);
    return !memchr(name, '/', record->name_size) &&
           sync_path_clean((struct sync_bytes){r->path, r->sizes[record->depth]});
}

static bool entry_clean(const struct cache_reader *r, const struct cache_entry *record)
{
    const unsigned type = record->kind & NODE_TYPE;

    if (record->depth < 1 || record->depth > r->depth + 1 || record->depth > CACHE_DEPTH_MAX)
        return false;
    if (node_type(&r->tree->nodes[r->nodes[record->depth - 1]]) != SYNC_DIRECTORY)
        return false;
    return type >= SYNC_FILE && type <= SYNC_HARDLINK && (record->kind & ~(NODE_TYPE | NODE_RACY)) == 0 &&
           record->mode <= 07777 && record->look >= 1 && record->look <= r->look_count;
}

static int read_entry(struct cache_reader *r, struct sync_bytes *rest)
{
    struct cache_entry record;
    struct sync_bytes name = {0};

    if (!take_record(rest, &record, sizeof record) || !entry_clean(r, &record))
        return -EUCLEAN;
    name = (struct sync_bytes){take(rest, record.name_size), record.name_size};
    const tree_node parent = r->nodes[record.depth - 1];
    if (!name.at || !read_path(r, &record, name.at) || tree_child(r->tree, parent, name) != 0)
        return -EUCLEAN;
    const struct look *look = &r->tree->looks[r->looks[record.look - 1]];
    const struct tree_entry entry = {
        .type = record.kind & NODE_TYPE,
        .mode = record.mode,
        .mtime_ns = record.mtime_ns,
        .uid = look->uid,
        .gid = look->gid,
        .owner = r->tree->texts[look->owner].text,
        .group = r->tree->texts[look->group].text,
        .size = record.size,
        .content = record.content,
        .xattrs = look->xattrs,
        .racy = record.kind & NODE_RACY,
        .stat = {record.inode, record.device, record.ctime_ns, record.birth_ns},
    };
    r->depth = record.depth;
    return tree_add(r->tree, parent, (struct sync_bytes){r->path, r->sizes[record.depth]}, name, &entry,
                    &r->nodes[record.depth]);
}

static int read_blocks(struct cache_reader *r, struct sync_bytes *rest)
{
    struct cache_blocks record;
    const bool more = r->block_total > 0;

    if (!take_record(rest, &record, sizeof record) || record.count < 1 || record.first != r->block_count ||
        record.total > SYNC_BLOCKS_MAX || record.first + (uint64_t)record.count > record.total)
        return -EUCLEAN;
    const uint8_t *hashes = take(rest, record.count * sizeof *r->blocks);
    if (!hashes || (more && record.total != r->block_total) || r->depth == 0 ||
        node_type(&r->tree->nodes[r->nodes[r->depth]]) != SYNC_FILE)
        return -EUCLEAN;
    int error =
        tree_grow(&r->blocks, &r->block_room, (uint64_t)r->block_count + record.count, sizeof *r->blocks);
    if (error < 0)
        return error;
    memcpy(r->blocks + r->block_count, hashes, record.count * sizeof *r->blocks);
    r->block_count += record.count;
    r->block_total = record.total;
    if (r->block_count < r->block_total)
        return 0;
    error = tree_set_blocks(r->tree, r->nodes[r->depth], record.block, r->blocks, r->block_count);
    r->block_count = r->block_total = 0;
    return error;
}

static int read_end(struct cache_reader *r, struct sync_bytes *rest)
{
    const struct sync_hash root = tree_root_hash(r->tree);
    struct cache_end record;

    if (!take_record(rest, &record, sizeof record) || record.entries != tree_entries(r->tree) ||
        !hash_equal(&record.root, &root))
        return -EUCLEAN;
    for (uint32_t i = 0; i < r->look_count; i++)
        tree_looks_drop(r->tree, r->looks[i]);
    r->look_count = 0;
    r->ended = true;
    return 0;
}

static int read_record(struct cache_reader *r, struct sync_bytes *rest)
{
    const uint8_t kind = *take(rest, 1);

    if (r->ended || r->begun == (kind == CACHE_BEGIN) || (r->block_total > 0 && kind != CACHE_BLOCKS))
        return -EUCLEAN;
    switch (kind) {
    case CACHE_BEGIN:
        return read_begin(r, rest);
    case CACHE_LOOK:
        return read_look(r, rest);
    case CACHE_ENTRY:
        return read_entry(r, rest);
    case CACHE_BLOCKS:
        return read_blocks(r, rest);
    case CACHE_END:
        return read_end(r, rest);
    default:
        return -EUCLEAN;
    }
}

int cache_read_head(const struct tree *tree, const struct cache_head *head)
{
    const struct cache_head own = cache_head(tree->hasher);

    if (memcmp(head->magic, own.magic, sizeof own.magic) != 0)
        return -EUCLEAN;
    return memcmp(head, &own, sizeof own) != 0 ? -ESTALE : 0;
}

long cache_chunk_size(const struct cache_chunk *chunk)
{
    return chunk->size < 1 || chunk->size > CACHE_CHUNK_MAX ? -EUCLEAN : (long)chunk->size;
}

int cache_read_chunk(struct cache_reader *reader, const struct cache_chunk *chunk)
{
    struct sync_bytes rest = {(const uint8_t *)(chunk + 1), chunk->size};
    const struct sync_hash hash = cache_hash(reader->tree->hasher, chunk);
    int error = 0;

    if (!hash_equal(&hash, &chunk->hash) || chunk->number != reader->number++)
        return -EUCLEAN;
    while (error == 0 && rest.size > 0)
        error = read_record(reader, &rest);
    return error;
}

int cache_read_end(const struct cache_reader *reader)
{
    return reader->ended ? 0 : -EUCLEAN;
}

static int parse(struct tree *tree, struct cache_reader *reader, struct sync_bytes rest)
{
    struct cache_head head;
    struct cache_chunk *chunk = malloc(sizeof *chunk + CACHE_CHUNK_MAX); /* where it is aligned */

    int r = chunk ? 0 : -ENOMEM;
    if (r == 0)
        r = take_record(&rest, &head, sizeof head) ? cache_read_head(tree, &head) : -EUCLEAN;
    while (r == 0 && rest.size > 0) {
        const long size = take_record(&rest, chunk, sizeof *chunk) ? cache_chunk_size(chunk) : -EUCLEAN;
        r = size >= 0 && take_record(&rest, chunk + 1, (size_t)size) ? 0 : -EUCLEAN;
        if (r == 0)
            r = cache_read_chunk(reader, chunk);
    }
    free(chunk);
    return r < 0 ? r : cache_read_end(reader);
}

int tree_file_parse(struct tree *tree, const uint8_t *bytes, size_t size)
{
    struct cache_reader *reader;
    int r = cache_reader_new(tree, size, &reader);

    if (r < 0)
        return r;
    r = parse(tree, reader, (struct sync_bytes){bytes, size});
    cache_reader_free(reader);
    if (r < 0)
        tree_clear(tree);
    return r;
}
