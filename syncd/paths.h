/* paths: a queue of paths with flags, in one piece of memory. Pure. */
#pragma once
#include "proto/sync.h"

struct paths {
    uint8_t *bytes;
    size_t used, room, read;
};

/* 0 or -ENOMEM. */
int paths_add(struct paths *paths, struct sync_bytes path, unsigned flags);
/* Takes the first one, which stays readable until the next paths_add(). False: there is none. */
bool paths_next(struct paths *paths, struct sync_bytes *path, unsigned *flags);
void paths_clear(struct paths *paths);

/* The directory that a path is in; empty for a root. */
struct sync_bytes path_parent(struct sync_bytes path);
/* True for `directory` itself, too. */
bool path_below(struct sync_bytes path, struct sync_bytes directory);
bool path_equal(struct sync_bytes a, struct sync_bytes b);
/* As memcmp(), the shorter one first: a directory before what is in it. */
int path_compare(struct sync_bytes a, struct sync_bytes b);
/* Hash for tables in memory; no adversary gains by collisions beyond his own set. */
uint64_t path_hash(struct sync_bytes path, uint64_t seed);
