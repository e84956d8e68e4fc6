#include "syncd/linux_beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base.h"
#include "syncd/paths.h"

enum { KEPT = 8 };

struct root {
    char parent[PATH_MAX], name[SYNC_NAME_MAX + 1];
    int directory; /* the parent; negative: not open */
};

struct kept {
    int directory; /* negative: free */
    size_t size;
    uint8_t path[SYNC_PATH_MAX];
};

struct beneath {
    size_t count, next;
    struct kept laid;
    struct kept kept[KEPT];
    struct root roots[];
};

static int take_root(struct root *root, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (path[0] != '/' || slash[1] == '\0' || strlen(path) >= PATH_MAX || strlen(slash + 1) > SYNC_NAME_MAX)
        return -EINVAL;
    text_copy(root->name, sizeof root->name, slash + 1);
    text_copy(root->parent, sizeof root->parent, path);
    root->parent[MAX(slash - path, 1)] = '\0';
    root->directory = -1;
    return strcmp(root->name, ".") == 0 || strcmp(root->name, "..") == 0 ? -EINVAL : 0;
}

int beneath_new(const char *const *roots, size_t count, struct beneath **beneath)
{
    struct beneath *b = calloc(1, sizeof *b + count * sizeof *b->roots);
    int r = b ? 0 : -ENOMEM;

    for (size_t i = 0; i < KEPT && r == 0; i++)
        b->kept[i].directory = -1;
    if (b)
        b->laid.directory = -1;
    for (size_t i = 0; i < count && r == 0; i++) {
        r = take_root(&b->roots[i], roots[i]);
        b->count += r == 0;
    }
    if (r < 0) {
        free(b);
        return r;
    }
    *beneath = b;
    return 0;
}

void beneath_forget(struct beneath *beneath)
{
    for (size_t i = 0; i < KEPT; i++) {
        if (beneath->kept[i].directory >= 0)
            close(beneath->kept[i].directory);
        beneath->kept[i].directory = -1;
    }
    for (size_t i = 0; i < beneath->count; i++) {
        if (beneath->roots[i].directory >= 0)
            close(beneath->roots[i].directory);
        beneath->roots[i].directory = -1;
    }
}

void beneath_lay(struct beneath *beneath, struct sync_bytes path, int directory)
{
    struct kept *laid = &beneath->laid;

    beneath_forget(beneath);
    if (laid->directory >= 0)
        close(laid->directory);
    laid->directory = directory;
    laid->size = path.size;
    if (path.size > 0)
        memcpy(laid->path, path.at, path.size);
}

void beneath_free(struct beneath *beneath)
{
    if (beneath)
        beneath_lay(beneath, (struct sync_bytes){0}, -1);
    free(beneath);
}

static int open_beneath(int directory, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    do
        fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? -errno : (int)fd;
}

static struct root *root_of(struct beneath *beneath, struct sync_bytes path, size_t *after)
{
    size_t number = 0, at = 0;

    if (!sync_path_clean(path))
        return NULL;
    for (; at < path.size && path.at[at] != '/'; at++)
        number = number * 10 + (size_t)(path.at[at] - '0');
    *after = at;
    return number < beneath->count ? &beneath->roots[number] : NULL;
}

static int open_parent(struct root *root)
{
    if (root->directory < 0)
        root->directory = open(root->parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root->directory < 0 ? -errno : root->directory;
}

/* The path from the root's parent directory on. */
static int relative(const struct root *root, struct sync_bytes path, size_t after, char text[PATH_MAX])
{
    const int length = snprintf(text, PATH_MAX, "%s%.*s", root->name, (int)(path.size - after),
                                (const char *)path.at + after);

    return length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static bool is_laid(const struct beneath *beneath, struct sync_bytes path)
{
    const struct kept *laid = &beneath->laid;

    return laid->directory >= 0 && path_below(path, (struct sync_bytes){laid->path, laid->size});
}

static int open_anew(struct beneath *beneath, struct root *root, struct sync_bytes path, size_t after)
{
    char text[PATH_MAX];

    if (is_laid(beneath, path)) {
        const size_t cut = beneath->laid.size + 1;
        snprintf(text, sizeof text, "%.*s", (int)(path.size - cut), (const char *)path.at + cut);
        return open_beneath(beneath->laid.directory, text, O_PATH | O_DIRECTORY);
    }
    const int parent = open_parent(root);
    const int r = parent < 0 ? parent : relative(root, path, after, text);
    return r < 0 ? r : open_beneath(parent, text, O_PATH | O_DIRECTORY);
}

static int open_directory(struct beneath *beneath, struct root *root, struct sync_bytes path, size_t after)
{
    if (is_laid(beneath, path) && path.size == beneath->laid.size)
        return beneath->laid.directory;
    for (size_t i = 0; i < KEPT; i++) {
        const struct kept *kept = &beneath->kept[i];
        if (kept->directory >= 0 && kept->size == path.size && memcmp(kept->path, path.at, path.size) == 0)
            return kept->directory;
    }
    const int fd = open_anew(beneath, root, path, after);
    if (fd < 0)
        return fd;
    struct kept *kept = &beneath->kept[beneath->next++ % KEPT];
    if (kept->directory >= 0)
        close(kept->directory);
    kept->directory = fd;
    kept->size = path.size;
    memcpy(kept->path, path.at, path.size);
    return fd;
}

int beneath_find(struct beneath *beneath, struct sync_bytes path, struct place *place)
{
    size_t after;
    struct root *root = root_of(beneath, path, &after);
    const uint8_t *slash = root ? memrchr(path.at, '/', path.size) : NULL;

    if (!root)
        return -EBADMSG;
    if (!slash) {
        text_copy(place->name, sizeof place->name, root->name);
        place->directory = open_parent(root);
    } else {
        const struct sync_bytes above = {path.at, (size_t)(slash - path.at)};
        const size_t size = path.size - above.size - 1;
        memcpy(place->name, slash + 1, size);
        place->name[size] = '\0';
        place->directory = open_directory(beneath, root, above, after);
    }
    return MIN(place->directory, 0);
}

int beneath_open(struct beneath *beneath, struct sync_bytes path, int flags)
{
    struct place place;
    const int r = beneath_find(beneath, path, &place);

    return r < 0 ? r : open_beneath(place.directory, place.name, flags);
}

static int64_t nanoseconds(struct statx_timestamp time)
{
    return time.tv_sec * NS_PER_S + time.tv_nsec;
}

int look_at(int directory, const char *name, struct look *look)
{
    struct statx now;

    if (statx(directory, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &now) <
        0)
        return -errno;
    *look = (struct look){
        .mode = now.stx_mode,
        .links = now.stx_nlink,
        .size = now.stx_size,
        .mtime_ns = nanoseconds(now.stx_mtime),
        .stat = {.inode = now.stx_ino,
                 .device = now.stx_dev_major << 20 ^ now.stx_dev_minor,
                 .ctime_ns = nanoseconds(now.stx_ctime),
                 .birth_ns = now.stx_mask & STATX_BTIME ? nanoseconds(now.stx_btime) : 0},
    };
    return 0;
}

int mount_of(int directory, const char *name, uint64_t *mount)
{
    struct statx now;

    if (statx(directory, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &now) < 0)
        return -errno;
    if (!(now.stx_mask & STATX_MNT_ID))
        return -ENOTSUP;
    *mount = now.stx_mnt_id;
    return 0;
}
