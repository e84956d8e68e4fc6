/* content: the content of a file, read in steps so that what comes out is one that the file had.
 *
 * It is read between two looks that must agree. If the first one came so short after the file's last change
 * that a further one might leave the same times, it is read twice, and both must be equal: each byte was then
 * the same before and after the moment between the two, at which nobody was writing. */
#pragma once
#include <errno.h>

#include "syncd/hash.h"
#include "syncd/place.h"

enum {
    CONTENT_CHANGED = -EAGAIN, /* it changes while it is read */
    CONTENT_BUFFER = 1 << 18,
};

/* What lies behind the position that was reached: whole blocks, or a hole. */
struct content_piece {
    size_t first, count; /* blocks */
    bool hole;
    const uint8_t *bytes; /* of these blocks; NULL of a hole */
    uint64_t size;
};

struct content {
    int fd; /* -1: none is open */
    struct sight sight;
    bool fresh; /* to be read twice */
    uint32_t block;
    size_t count, next;          /* blocks; the one that comes next */
    struct sync_hash *hashes;    /* count of them */
    struct sync_hash *before;    /* the second time: what they were the first time; else NULL */
    uint64_t data_from, data_to; /* the region of data that is known at the position */
    uint8_t *buffer;
    size_t buffer_size;
    bool zeros_known; /* the hash of a block of zeros */
    uint32_t zeros_block;
    struct sync_hash zeros;
};

void content_init(struct content *content);
void content_clear(struct content *content);

/* Opens a file (something of another kind: CONTENT_CHANGED) and looks at it. `block`: the smallest
 * block size. 0 or a negative errno. */
int content_open(struct content *content, int directory, const char *name, uint32_t block);
/* Looks again, from the beginning: it may be fresh no more. 0; CONTENT_CHANGED (its size); or another error.
 */
int content_refresh(struct content *content);
void content_close(struct content *content);

/* A small file: all of it at once into `bytes` (of `room`), hashes included. 0, CONTENT_CHANGED, or a
 * negative errno. */
int content_take(struct content *content, const struct hasher *hasher, uint8_t *bytes, size_t room);

/* Reads and hashes the next piece (at most about a buffer). 1; 0: that was all of it, and it was consistent;
 * CONTENT_CHANGED; or a negative errno. Pieces of the second reading have count 0. */
int content_next(struct content *content, const struct hasher *hasher, struct content_piece *piece);
/* The next piece begins with this block again. */
void content_back(struct content *content, size_t block);
/* From the beginning. */
void content_restart(struct content *content);
struct sync_hash content_hash(const struct content *content, const struct hasher *hasher);
