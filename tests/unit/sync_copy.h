/* sync_copy: a simple receiver for tests: carries out operations below a directory, root by root, without any
 * of the replica's care. What it makes of a source's generations must be what the source has. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/sync.h"
#include "syncd/tree.h"

struct copy {
    char top[PATH_MAX - 300]; /* root N is TOP/N */
    int file;                 /* open by OPEN */
    struct sync_meta meta;
    char name[PATH_MAX];
    uint8_t owner[80];
    size_t operations[9], bytes;
};

static void copy_path(const struct copy *c, struct sync_bytes path, char *out)
{
    snprintf(out, PATH_MAX, "%s/%.*s", c->top, (int)path.size, (const char *)path.at);
}

static int copy_remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void copy_remove(const char *path)
{
    nftw(path, copy_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void copy_meta(const char *path, const struct sync_meta *meta)
{
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = meta->mtime_ns / 1000000000, .tv_nsec = (long)(meta->mtime_ns % 1000000000)}};

    if (lchown(path, meta->uid, meta->gid) < 0)
        abort();
    if (meta->type != SYNC_SYMLINK && chmod(path, meta->mode) < 0)
        abort();
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0)
        abort();
}

/* The directory's own time is not changed by what happens in it. */
static struct timespec copy_time_of(const char *path)
{
    char directory[PATH_MAX];
    struct stat status;

    snprintf(directory, sizeof directory, "%s", path);
    *strrchr(directory, '/') = '\0';
    return lstat(directory, &status) == 0 ? status.st_mtim : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static void copy_restore_time(const char *path, struct timespec time)
{
    char directory[PATH_MAX];
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time};

    snprintf(directory, sizeof directory, "%s", path);
    *strrchr(directory, '/') = '\0';
    utimensat(AT_FDCWD, directory, times, 0);
}

static int copy_put(struct copy *c, const struct sync_op *op, const char *path)
{
    char target[PATH_MAX];
    struct stat status;
    int fd;

    switch (op->meta.type) {
    case SYNC_DIRECTORY:
        if (lstat(path, &status) == 0 && !S_ISDIR(status.st_mode))
            copy_remove(path);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return -errno;
        break;
    case SYNC_SYMLINK:
        copy_remove(path);
        snprintf(target, sizeof target, "%.*s", (int)op->content.size, (const char *)op->content.at);
        if (symlink(target, path) < 0)
            return -errno;
        break;
    case SYNC_HARDLINK:
        copy_remove(path);
        copy_path(c, op->content, target);
        return link(target, path) < 0 ? -errno : 0;
    case SYNC_FILE:
        copy_remove(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || write(fd, op->content.at, op->content.size) != (ssize_t)op->content.size)
            return -EIO;
        close(fd);
        break;
    }
    copy_meta(path, &op->meta);
    return 0;
}

static int copy_apply(struct copy *c, const struct sync_op *op)
{
    char path[PATH_MAX], other[PATH_MAX];

    c->operations[op->kind]++;
    c->bytes += op->content.size;
    copy_path(c, op->path, path);
    switch (op->kind) {
    case SYNC_OP_PUT:
        return copy_put(c, op, path);
    case SYNC_OP_META:
        if (access(path, F_OK) < 0 && op->meta.type != SYNC_SYMLINK)
            return -errno;
        copy_meta(path, &op->meta);
        return 0;
    case SYNC_OP_OPEN:
        if (!op->patch)
            copy_remove(path);
        c->file = open(path, O_RDWR | (op->patch ? 0 : O_CREAT | O_EXCL), 0600);
        if (c->file < 0 || ftruncate(c->file, (off_t)op->size) < 0)
            return -errno;
        c->meta = op->meta;
        memcpy(c->name, path, sizeof c->name);
        return 0;
    case SYNC_OP_BLOCK:
        return pwrite(c->file, op->content.at, op->content.size, (off_t)op->offset) ==
                       (ssize_t)op->content.size
                   ? 0
                   : -EIO;
    case SYNC_OP_HOLE:
        for (uint64_t i = 0; i < op->size; i += 4096) {
            static const uint8_t zeros[4096];
            const size_t size = op->size - i < 4096 ? (size_t)(op->size - i) : 4096;
            if (pwrite(c->file, zeros, size, (off_t)(op->offset + i)) < 0)
                return -errno;
        }
        return 0;
    case SYNC_OP_CLOSE:
        close(c->file);
        copy_meta(c->name, &c->meta);
        return 0;
    case SYNC_OP_MOVE:
        copy_path(c, op->content, other);
        return renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_NOREPLACE) < 0 ? -errno : 0;
    case SYNC_OP_DELETE:
        copy_remove(path);
        return 0;
    }
    return -EINVAL;
}

__attribute__((unused)) static int copy_batch(struct copy *c, const uint8_t *bytes, size_t size)
{
    struct sync_bytes rest = {bytes, size};
    struct sync_op op;
    char path[PATH_MAX], other[PATH_MAX];
    int r = 0;

    while (r == 0 && sync_op_next(&rest, &op) == 1) {
        const int named = op.kind != SYNC_OP_BLOCK && op.kind != SYNC_OP_HOLE && op.kind != SYNC_OP_CLOSE;
        if (named)
            copy_path(c, op.path, path);
        const struct timespec time = named ? copy_time_of(path) : (struct timespec){.tv_nsec = UTIME_OMIT};
        struct timespec time_there = {.tv_nsec = UTIME_OMIT};
        if (op.kind == SYNC_OP_MOVE) {
            copy_path(c, op.content, other);
            time_there = copy_time_of(other);
        }
        r = copy_apply(c, &op);
        if (r < 0)
            fprintf(stderr, "operation %d on %s: %s\n", op.kind, path, strerror(-r));
        if (named)
            copy_restore_time(path, time);
        if (op.kind == SYNC_OP_MOVE)
            copy_restore_time(other, time_there);
    }
    return r;
}

/* What one tree says and the other one does not. */
__attribute__((unused)) static void show_differences(const struct tree *tree, const struct tree *other,
                                                     const char *who)
{
    uint8_t path[SYNC_PATH_MAX];
    struct tree_entry entry;

    for (unsigned bucket = 0; bucket < SYNC_BUCKETS; bucket++)
        for (tree_node node = 0; (node = tree_in_bucket(tree, bucket, node)) != 0;) {
            const struct sync_bytes bytes = {path, tree_path(tree, node, path)};
            const tree_node there = tree_find(other, bytes);
            const struct sync_hash a = tree_entry_hash(tree, node),
                                   b = there ? tree_entry_hash(other, there) : (struct sync_hash){0};
            if (hash_equal(&a, &b))
                continue;
            tree_get(tree, node, &entry);
            fprintf(stderr, "%s: %.*s type %d mode %o mtime %lld size %llu content %02x%02x owner %s\n", who,
                    (int)bytes.size, (const char *)path, entry.type, entry.mode, (long long)entry.mtime_ns,
                    (unsigned long long)entry.size, entry.content.bytes[0], entry.content.bytes[1],
                    entry.owner);
        }
}
