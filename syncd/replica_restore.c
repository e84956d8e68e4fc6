/* The operations that make a generation of the past out of the present one: the groups of its successors'
 * undo files, from the last to the first. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

enum { GROUP_OBJECT = 2, HEADER_BYTES = 48, PIECE = 1 << 17 };

struct group {
    uint32_t kind, size;
};

/* One undo file, whole, and where its groups begin. */
struct restoring_state {
    struct sync_generation at, until;
    int directory;
    uint8_t *bytes;
    size_t size;
    size_t *groups;
    size_t count; /* that are still to be yielded */
    bool object_open;
    int object;
    struct sync_op opened; /* in `bytes` */
    uint64_t position;
    struct sync_hash *hashes;
    size_t hash_count;
    uint8_t piece[PIECE];
};

void restore_free(struct replica *r)
{
    struct restoring_state *s = r->restoring;

    if (!s)
        return;
    if (s->object_open)
        close(s->object);
    if (s->directory >= 0)
        close(s->directory);
    free(s->bytes);
    free(s->groups);
    free(s->hashes);
    free(s);
    r->restoring = NULL;
}

static int read_undo(struct restoring_state *s)
{
    struct stat status;
    AUTO_CLOSE int fd = openat(s->directory, "undo", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size < HEADER_BYTES)
        return -ENOENT;
    free(s->bytes);
    free(s->groups);
    s->size = (size_t)status.st_size;
    s->bytes = malloc(s->size);
    s->groups = malloc((s->size / sizeof(struct group) + 1) * sizeof *s->groups);
    s->count = 0;
    if (!s->bytes || !s->groups)
        return -ENOMEM;
    if (file_read(fd, s->bytes, s->size, 0) != (long)s->size)
        return -EIO;
    for (size_t at = HEADER_BYTES; at + sizeof(struct group) <= s->size;) {
        struct group group;
        memcpy(&group, s->bytes + at, sizeof group);
        if (group.size > s->size - at - sizeof group)
            return -EUCLEAN;
        s->groups[s->count++] = at;
        at += sizeof group + group.size;
    }
    memcpy(&s->at, s->bytes + sizeof(struct sync_generation), sizeof s->at); /* the one before */
    return 0;
}

/* The undo file that leads back from `generation`. */
static int open_undo(const struct replica *r, struct restoring_state *s, struct sync_generation generation)
{
    char name[PATH_MAX];

    if (s->directory >= 0)
        close(s->directory);
    snprintf(name, sizeof name, "%.3900s/history/%" PRIu64 "-%" PRIu64, r->options.state_dir,
             generation.epoch, generation.counter);
    s->directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->directory < 0 ? -ENOENT : read_undo(s);
}

int replica_restore_begin(struct replica *r, struct sync_generation generation)
{
    struct sync_log_entry log[SYNC_LOG_MAX];
    const size_t known = replica_log(r, log, SYNC_LOG_MAX);
    bool found = false;

    restore_free(r);
    for (size_t i = 1; i < known; i++)
        found = found || sync_generation_compare(log[i].generation, generation) == 0;
    if (!found || r->phase != REPLICA_IDLE)
        return -ENOENT;
    r->restoring = calloc(1, sizeof *r->restoring);
    if (!r->restoring)
        return -ENOMEM;
    r->restoring->directory = -1;
    r->restoring->until = generation;
    return open_undo(r, r->restoring, r->public.generation);
}

static int open_object(struct replica *r, struct restoring_state *s)
{
    char name[24];

    snprintf(name, sizeof name, "%zu", s->count - 1);
    s->object = openat(s->directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (s->object < 0)
        return -errno;
    s->object_open = true;
    s->position = 0;
    s->hash_count = s->opened.size == 0 ? 0 : (size_t)((s->opened.size - 1) / s->opened.block + 1);
    free(s->hashes);
    s->hashes = calloc(s->hash_count + 1, sizeof *s->hashes);
    (void)r;
    return s->hashes ? 0 : -ENOMEM;
}

/* The next piece of the object, in whole blocks. 1: more; 0: it was closed; -ENOBUFS. */
static int object_step(struct replica *r, uint8_t *bytes, size_t room, size_t *used)
{
    struct restoring_state *s = r->restoring;
    const uint32_t block = s->opened.block;

    if (s->position == s->opened.size) {
        const struct sync_op close_op = {.kind = SYNC_OP_CLOSE,
                                         .hash = hash_content(r->options.hasher, s->hashes, s->hash_count)};
        const int done = sync_op_pack(&close_op, bytes, room, used);
        if (done < 0)
            return done;
        close(s->object);
        s->object_open = false;
        return 0;
    }
    const size_t most = MAX((size_t)PIECE / block * block, (size_t)MIN(block, (uint32_t)PIECE));
    const long size = file_read(s->object, s->piece,
                                (size_t)MIN((uint64_t)most, s->opened.size - s->position), s->position);
    if (size <= 0)
        return size < 0 ? (int)size : -EIO;
    const struct sync_op op = {
        .kind = SYNC_OP_BLOCK, .offset = s->position, .content = {s->piece, (size_t)size}};
    const int done = sync_op_pack(&op, bytes, room, used);
    if (done < 0)
        return done;
    for (size_t at = 0; at < (size_t)size; at += block)
        s->hashes[(s->position + at) / block] =
            hash_bytes(r->options.hasher, s->piece + at, MIN((size_t)block, (size_t)size - at));
    s->position += (uint64_t)size;
    return 1;
}

static int group_step(struct replica *r, uint8_t *bytes, size_t room, size_t *used)
{
    struct restoring_state *s = r->restoring;
    struct group group;

    memcpy(&group, s->bytes + s->groups[s->count - 1], sizeof group);
    struct sync_bytes rest = {s->bytes + s->groups[s->count - 1] + sizeof group, group.size};
    if (group.kind == GROUP_OBJECT) {
        if (sync_op_next(&rest, &s->opened) != 1)
            return -EUCLEAN;
        const int packed = sync_op_pack(&s->opened, bytes, room, used);
        return packed < 0 ? packed : open_object(r, s);
    }
    if (room - *used < group.size)
        return -ENOBUFS;
    memcpy(bytes + *used, rest.at, rest.size);
    *used += rest.size;
    s->count--;
    return 0;
}

static int restore_step(struct replica *r, uint8_t *bytes, size_t room, size_t *used)
{
    struct restoring_state *s = r->restoring;

    if (s->object_open) {
        const int done = object_step(r, bytes, room, used);
        if (done == 0)
            s->count--;
        return done < 0 ? done : 1;
    }
    if (s->count > 0) {
        const int done = group_step(r, bytes, room, used);
        return done < 0 ? done : 1;
    }
    if (sync_generation_compare(s->at, s->until) == 0)
        return 0;
    const int opened = open_undo(r, s, s->at);
    return opened < 0 ? opened : 1;
}

int replica_restore_fill(struct replica *r, uint8_t *bytes, size_t room, size_t *used)
{
    int done = 1;

    if (!r->restoring)
        return -ENOENT;
    while (done == 1 && *used < SYNC_BATCH_FULL)
        done = restore_step(r, bytes, room, used);
    if (done == -ENOBUFS && *used > 0)
        return 1;
    if (done <= 0)
        restore_free(r);
    return done;
}
