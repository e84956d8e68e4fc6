#include "syncd/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"

struct record {
    uint32_t flags, size;
};

int paths_add(struct paths *paths, struct sync_bytes path, unsigned flags)
{
    const struct record record = {.flags = flags, .size = (uint32_t)path.size};
    size_t needed = paths->used + sizeof record + path.size;

    if (needed > paths->room && paths->read > paths->used / 2) {
        memmove(paths->bytes, paths->bytes + paths->read, paths->used - paths->read);
        paths->used -= paths->read;
        needed -= paths->read;
        paths->read = 0;
    }
    if (needed > paths->room) {
        const size_t room = MAX(needed * 2, 4096);
        uint8_t *bytes = realloc(paths->bytes, room);
        if (!bytes)
            return -ENOMEM;
        paths->bytes = bytes;
        paths->room = room;
    }
    memcpy(paths->bytes + paths->used, &record, sizeof record);
    if (path.size > 0)
        memcpy(paths->bytes + paths->used + sizeof record, path.at, path.size);
    paths->used = needed;
    return 0;
}

bool paths_next(struct paths *paths, struct sync_bytes *path, unsigned *flags)
{
    struct record record;

    if (paths->read == paths->used) {
        paths->read = paths->used = 0;
        return false;
    }
    memcpy(&record, paths->bytes + paths->read, sizeof record);
    *path = (struct sync_bytes){.at = paths->bytes + paths->read + sizeof record, .size = record.size};
    *flags = record.flags;
    paths->read += sizeof record + record.size;
    return true;
}

void paths_clear(struct paths *paths)
{
    free(paths->bytes);
    *paths = (struct paths){0};
}

struct sync_bytes path_parent(struct sync_bytes path)
{
    const uint8_t *slash = path.size > 0 ? memrchr(path.at, '/', path.size) : NULL;

    return (struct sync_bytes){.at = path.at, .size = slash ? (size_t)(slash - path.at) : 0};
}

bool path_below(struct sync_bytes path, struct sync_bytes directory)
{
    if (path.size < directory.size || memcmp(path.at, directory.at, directory.size) != 0)
        return false;
    return path.size == directory.size || path.at[directory.size] == '/';
}

bool path_equal(struct sync_bytes a, struct sync_bytes b)
{
    return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

int path_compare(struct sync_bytes a, struct sync_bytes b)
{
    const int r = memcmp(a.at, b.at, MIN(a.size, b.size));

    return r != 0 ? r : (a.size > b.size) - (a.size < b.size);
}

/* FNV-1a, mixed once more so that its low bits may be used. */
uint64_t path_hash(struct sync_bytes path, uint64_t seed)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;

    for (size_t i = 0; i < path.size; i++)
        hash = (hash ^ path.at[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}
