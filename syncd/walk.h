/* walk: the entries of directories, one directory after the other. A directory is listed behind an own
 * descriptor, so that one that is renamed meanwhile is still listed to its end. */
#pragma once
#include "syncd/paths.h"
#include "syncd/place.h"

struct walk {
    struct paths stack; /* directories to come */
    int fd;             /* of the one that is listed; -1: none */
    unsigned flags;     /* that it was pushed with */
    size_t at, filled, size;
    uint8_t path[SYNC_PATH_MAX + 1 + SYNC_NAME_MAX + 1]; /* of the directory, then of the entry */
    _Alignas(8) uint8_t entries[32768];
};

void walk_init(struct walk *walk);
void walk_clear(struct walk *walk);
int walk_push(struct walk *walk, struct sync_bytes directory, unsigned flags); /* 0 or -ENOMEM */
bool walk_busy(const struct walk *walk);    /* a directory is open, or waits */
bool walk_listing(const struct walk *walk); /* one is open */
struct sync_bytes walk_directory(const struct walk *walk);
/* Opens the next directory. 1; 0: there is none; or a negative errno (walk_directory() says on what). */
int walk_open(struct walk *walk, struct places *places);
/* The next entry of the open directory; its name is NUL-ended and stays until the next call. 1; 0: that was
 * all, and it is closed; or a negative errno, with which it is closed as well. */
int walk_next(struct walk *walk, struct sync_bytes *path, const char **name);
/* True if it is listing `path`, or something below it, or will. */
bool walk_touches(const struct walk *walk, struct sync_bytes path);
/* True if it will still open `path`, or a directory above it. May be false when very many wait: then it is
 * not worth the search. */
bool walk_will_open(const struct walk *walk, struct sync_bytes path);
