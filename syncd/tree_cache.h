/* tree_cache: a tree as bytes, for the file that spares reading all contents again after a start. This
 * machine's numbers, as they are: the file goes nowhere.
 *
 *   file  = head chunk*            head:  magic, version, order of bytes, a hash that shows the key
 *   chunk = hash number size records      keyed hash of all that follows in the chunk; numbered from 0
 *
 * Records, each behind its kind: first how many entries will come; then the looks, numbered from 1 as they
 * come; then the entries, directories before what is in them, with their depth below the set (from 1); behind
 * a file's, the hashes of its blocks, in as many pieces as it takes; at the end what must have come of it. No
 * record lies in two chunks, so neither side ever holds more than one. */
#pragma once
#include "syncd/tree_inside.h"

enum {
    CACHE_VERSION = 1,
    CACHE_ORDER = 0x01020304,
    CACHE_CHUNK_MAX = 1 << 18,
    CACHE_PIECE_MAX = 1 << 13, /* hashes in one record of blocks */
    CACHE_DEPTH_MAX = SYNC_PATH_MAX / 2,
};
#define CACHE_MAGIC "duettree"

enum cache_kind { CACHE_BEGIN = 1, CACHE_LOOK, CACHE_ENTRY, CACHE_BLOCKS, CACHE_END };

struct cache_head {
    char magic[8];
    uint32_t version, order;
    struct sync_hash proof;
};

struct cache_chunk {
    struct sync_hash hash;
    uint32_t number, size; /* of the records */
};

struct cache_begin {
    uint64_t entries;
};

struct cache_look { /* then the owner, and the group */
    struct sync_hash xattrs;
    uint32_t uid, gid, owner_size, group_size;
};

struct cache_entry { /* then the name */
    int64_t mtime_ns, ctime_ns, birth_ns;
    uint64_t size, inode;
    struct sync_hash content;
    uint32_t look, device;
    uint16_t mode, depth, kind, name_size;
};

struct cache_blocks { /* then `count` hashes */
    uint32_t block, total, first, count;
};

struct cache_end {
    uint64_t entries;
    struct sync_hash root;
};

/* ---- tree_print.c */
typedef int cache_sink(void *userdata, const void *bytes, size_t size); /* 0 or a negative errno */
/* 0, -ENOMEM, or what `sink` said. */
int cache_write(const struct tree *tree, cache_sink *sink, void *userdata);
struct cache_head cache_head(const struct hasher *hasher);
/* Of the chunk with these records behind it. */
struct sync_hash cache_hash(const struct hasher *hasher, const struct cache_chunk *chunk);

/* ---- tree_parse.c */
struct cache_reader;
/* Empties the tree. `size`: of the file, to judge by whether it can have as many entries as it says. 0 or
 * -ENOMEM. */
int cache_reader_new(struct tree *tree, uint64_t size, struct cache_reader **reader);
void cache_reader_free(struct cache_reader *reader);
/* 0, -ESTALE, -EUCLEAN. */
int cache_read_head(const struct tree *tree, const struct cache_head *head);
/* The number of bytes of records behind `chunk`, or -EUCLEAN. */
long cache_chunk_size(const struct cache_chunk *chunk);
/* A chunk with its records behind it. 0, -EUCLEAN, -ENOMEM, -EOVERFLOW. */
int cache_read_chunk(struct cache_reader *reader, const struct cache_chunk *chunk);
/* That was the file. 0 or -EUCLEAN. */
int cache_read_end(const struct cache_reader *reader);
