#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base.h"
#include "syncd/walk.h"

enum { SEARCH_MAX = 1 << 16 }; /* bytes of waiting directories that are searched for one */

void walk_init(struct walk *walk)
{
    walk->stack = (struct paths){0};
    walk->fd = -1;
}

static void close_listing(struct walk *walk)
{
    if (walk->fd >= 0)
        close(walk->fd);
    walk->fd = -1;
}

void walk_clear(struct walk *walk)
{
    close_listing(walk);
    paths_clear(&walk->stack);
}

int walk_push(struct walk *walk, struct sync_bytes directory, unsigned flags)
{
    return paths_add(&walk->stack, directory, flags);
}

bool walk_listing(const struct walk *walk)
{
    return walk->fd >= 0;
}

bool walk_busy(const struct walk *walk)
{
    return walk_listing(walk) || walk->stack.read < walk->stack.used;
}

struct sync_bytes walk_directory(const struct walk *walk)
{
    return (struct sync_bytes){.at = walk->path, .size = walk->size};
}

int walk_open(struct walk *walk, struct places *places)
{
    struct sync_bytes path;
    const char *name;
    int directory;

    if (!paths_next(&walk->stack, &path, &walk->flags))
        return 0;
    memcpy(walk->path, path.at, path.size);
    walk->size = path.size;
    walk->at = walk->filled = 0;
    const int r = places_find(places, path, &directory, &name);
    if (r < 0)
        return r;
    walk->fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return walk->fd < 0 ? -errno : 1;
}

static int fill(struct walk *walk)
{
    const ssize_t size = getdents64(walk->fd, walk->entries, sizeof walk->entries);
    const int error = errno;

    walk->at = 0;
    walk->filled = size > 0 ? (size_t)size : 0;
    if (size > 0)
        return 1;
    close_listing(walk);
    return size < 0 ? -error : 0;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

int walk_next(struct walk *walk, struct sync_bytes *path, const char **name)
{
    for (;;) {
        if (walk->at == walk->filled) {
            const int r = fill(walk);
            if (r <= 0)
                return r;
        }
        const struct dirent64 *entry = (const void *)(walk->entries + walk->at);
        walk->at += entry->d_reclen;
        if (is_dots(entry->d_name))
            continue;
        const size_t length = strlen(entry->d_name);
        if (length > SYNC_NAME_MAX)
            continue;
        walk->path[walk->size] = '/';
        memcpy(walk->path + walk->size + 1, entry->d_name, length + 1);
        *path = (struct sync_bytes){.at = walk->path, .size = walk->size + 1 + length};
        *name = entry->d_name;
        return 1;
    }
}

bool walk_touches(const struct walk *walk, struct sync_bytes path)
{
    struct paths stack = walk->stack;
    struct sync_bytes waiting;
    unsigned flags;

    if (walk_listing(walk) && path_below(walk_directory(walk), path))
        return true;
    while (paths_next(&stack, &waiting, &flags))
        if (path_below(waiting, path))
            return true;
    return false;
}

bool walk_will_open(const struct walk *walk, struct sync_bytes path)
{
    struct paths stack = walk->stack;
    struct sync_bytes waiting;
    unsigned flags;

    if (stack.used - stack.read > SEARCH_MAX)
        return false;
    while (paths_next(&stack, &waiting, &flags))
        if (path_below(path, waiting))
            return true;
    return false;
}
