#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base.h"
#include "syncd/paths.h"
#include "syncd/place.h"

enum { ROOT_DIGITS_MAX = 9 };

struct place_root {
    const char *path; /* the caller's */
    char *above;      /* the directory that it is in */
    const char *name; /* its name there */
};

struct places {
    size_t count;
    int open;         /* the directory opened last, or -1 */
    size_t open_size; /* its path; 0: the one above root open_root */
    size_t open_root;
    char open_path[SYNC_PATH_MAX + 1], path[SYNC_PATH_MAX + 1];
    struct place_root roots[];
};

static int split_root(struct place_root *root, const char *path)
{
    const char *slash = strrchr(path, '/');

    root->path = path;
    root->name = slash ? slash + 1 : path;
    root->above = slash && slash != path ? strndup(path, (size_t)(slash - path)) : strdup(slash ? "/" : ".");
    return root->above ? 0 : -ENOMEM;
}

int places_new(const char *const *roots, size_t count, struct places **places)
{
    struct places *made = calloc(1, sizeof *made + count * sizeof *made->roots);

    if (!made)
        return -ENOMEM;
    made->open = -1;
    for (; made->count < count; made->count++)
        if (split_root(&made->roots[made->count], roots[made->count]) < 0) {
            places_free(made);
            return -ENOMEM;
        }
    *places = made;
    return 0;
}

void places_free(struct places *places)
{
    if (!places)
        return;
    places_release(places);
    for (size_t i = 0; i < places->count; i++)
        free(places->roots[i].above);
    free(places);
}

void places_release(struct places *places)
{
    if (places->open >= 0)
        close(places->open);
    places->open = -1;
}

int places_open_above(const struct places *places, size_t index)
{
    const int fd = open(places->roots[index].above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

const char *places_root_name(const struct places *places, size_t index)
{
    return places->roots[index].name;
}

/* The number of the path's root, and how long it is; -ENOENT: there is none such. */
static long root_of(const struct places *places, struct sync_bytes path, size_t *digits)
{
    size_t number = 0, at = 0;

    for (; at < path.size && path.at[at] != '/' && at < ROOT_DIGITS_MAX; at++)
        number = number * 10 + (size_t)(path.at[at] - '0');
    *digits = at;
    return number < places->count ? (long)number : -ENOENT;
}

static int open_beneath(int root, const char *path)
{
    const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    const long fd = syscall(SYS_openat2, root, path, &how, sizeof how);

    return fd < 0 ? -errno : (int)fd;
}

/* Opens the directory at places->path, `size` long; its root's number takes `digits`. */
static int open_directory(struct places *places, size_t root, size_t digits, size_t size)
{
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;

    const int top = size == 0 ? open(places->roots[root].above, flags)
                              : open(places->roots[root].path, flags | O_NOFOLLOW);
    if (top < 0)
        return -errno;
    if (size <= digits)
        return top;
    const int fd = open_beneath(top, places->path + digits + 1);
    close(top);
    return fd;
}

int places_find(struct places *places, struct sync_bytes path, int *directory, const char **name)
{
    const struct sync_bytes parent = path_parent(path);
    size_t digits;
    const long root = root_of(places, path, &digits);

    if (root < 0 || path.size > SYNC_PATH_MAX)
        return -ENOENT;
    memcpy(places->path, path.at, path.size);
    places->path[path.size] = '\0';
    *name = places->roots[root].name;
    if (parent.size > 0) {
        places->path[parent.size] = '\0';
        *name = places->path + parent.size + 1;
    }
    const bool same = places->open >= 0 && places->open_size == parent.size &&
                      (parent.size == 0 ? places->open_root == (size_t)root
                                        : memcmp(places->open_path, path.at, parent.size) == 0);
    if (!same) {
        places_release(places);
        const int fd = open_directory(places, (size_t)root, digits, parent.size);
        if (fd < 0)
            return fd;
        places->open = fd;
        places->open_size = parent.size;
        places->open_root = (size_t)root;
        memcpy(places->open_path, path.at, parent.size);
    }
    *directory = places->open;
    return 0;
}

void places_print(const struct places *places, struct sync_bytes path, char *text, size_t size)
{
    size_t digits;
    const long root = root_of(places, path, &digits);

    snprintf(text, size, "%s%.*s", root < 0 ? "?" : places->roots[root].path, (int)(path.size - digits),
             (const char *)path.at + digits);
}

/* -------------------------------------------------------------------- sight */

static int64_t ns_of(struct statx_timestamp time)
{
    return time.tv_sec * NS_PER_S + time.tv_nsec;
}

static int look(int fd, const char *name, int flags, struct sight *sight)
{
    struct statx st;

    if (statx(fd, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &st) <
        0)
        return -errno;
    *sight = (struct sight){
        .mode = st.stx_mode,
        .links = st.stx_nlink,
        .uid = st.stx_uid,
        .gid = st.stx_gid,
        .size = st.stx_size,
        .mtime_ns = ns_of(st.stx_mtime),
        .stat =
            {
                .inode = st.stx_ino,
                .device = st.stx_dev_major << 20 ^ st.stx_dev_minor,
                .ctime_ns = ns_of(st.stx_ctime),
                .birth_ns = st.stx_mask & STATX_BTIME ? ns_of(st.stx_btime) : 0,
            },
    };
    return 0;
}

int sight_at(int directory, const char *name, struct sight *sight)
{
    return look(directory, name, 0, sight);
}

int sight_of(int fd, struct sight *sight)
{
    return look(fd, "", AT_EMPTY_PATH, sight);
}

/* Writers hold the inode's lock from before they set its times until all is written, and so does, for a
 * moment, who asks for data's place: after that nobody is in the middle. A change that begins later gets a
 * ctime that is not before the clock as it was read first. */
int sight_between(int fd, struct sight *sight, bool *fresh)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    lseek(fd, 0, SEEK_DATA);
    const int r = sight_of(fd, sight);
    *fresh = r == 0 && sight->stat.ctime_ns >= now.tv_sec * NS_PER_S + now.tv_nsec;
    return r;
}

bool sight_same(const struct sight *a, const struct sight *b)
{
    return a->mode == b->mode && a->links == b->links && a->uid == b->uid && a->gid == b->gid &&
           a->size == b->size && a->mtime_ns == b->mtime_ns && a->stat.inode == b->stat.inode &&
           a->stat.device == b->stat.device && a->stat.ctime_ns == b->stat.ctime_ns &&
           a->stat.birth_ns == b->stat.birth_ns;
}

enum sync_type sight_type(const struct sight *sight)
{
    switch (sight->mode & S_IFMT) {
    case S_IFREG:
        return SYNC_FILE;
    case S_IFDIR:
        return SYNC_DIRECTORY;
    case S_IFLNK:
        return SYNC_SYMLINK;
    default:
        return (enum sync_type)0;
    }
}

/* The mode is not compared: it cannot change without the ctime. */
bool sight_is(const struct sight *sight, const struct tree_entry *entry)
{
    const enum sync_type type = entry->type == SYNC_HARDLINK ? SYNC_FILE : entry->type;

    if (entry->racy || sight_type(sight) != type || sight->stat.inode != entry->stat.inode ||
        sight->stat.device != entry->stat.device || sight->stat.ctime_ns != entry->stat.ctime_ns ||
        sight->stat.birth_ns != entry->stat.birth_ns)
        return false;
    if (entry->type == SYNC_HARDLINK)
        return sight->links > 1;
    return sight->mtime_ns == entry->mtime_ns && (type != SYNC_FILE || sight->size == entry->size);
}

bool place_is_gone(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -ENAMETOOLONG;
}
