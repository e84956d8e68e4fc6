#include "syncd/linux_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/attributes.h"

enum { PIECE = 1 << 20, DEPTH_MAX = SYNC_PATH_MAX / 2 + 1 };

int file_write(int fd, const void *bytes, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = pwrite(fd, (const uint8_t *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

void file_write_out(int fd, uint64_t offset, uint64_t size)
{
    (void)sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

long file_read(int fd, void *bytes, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        const ssize_t n = pread(fd, (uint8_t *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (long)done;
}

int file_zero(int fd, uint64_t offset, uint64_t size)
{
    static const uint8_t zeros[1 << 16];
    int r = 0;

    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0)
        return 0;
    for (uint64_t done = 0; done < size && r == 0; done += MIN(size - done, sizeof zeros))
        r = file_write(fd, zeros, (size_t)MIN(size - done, sizeof zeros), offset + done);
    return r;
}

static int copy_by_hand(int from, int to, uint64_t start, uint64_t end)
{
    AUTO_FREE uint8_t *bytes = malloc(PIECE);
    long n = bytes ? 1 : -ENOMEM;

    while (n > 0 && start < end) {
        n = file_read(from, bytes, (size_t)MIN(end - start, PIECE), start);
        const int r = n > 0 ? file_write(to, bytes, (size_t)n, start) : 0;
        if (r < 0)
            return r;
        start += n > 0 ? (uint64_t)n : 0;
    }
    return n < 0 ? (int)n : 0;
}

static int copy_range(int from, int to, off_t start, off_t end)
{
    off_t at = start, to_at = start;

    while (at < end) {
        const ssize_t n = copy_file_range(from, &at, to, &to_at, (size_t)(end - at), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
            return -errno;
        if (n <= 0)
            return copy_by_hand(from, to, (uint64_t)at, (uint64_t)end);
    }
    return 0;
}

int file_copy(int from, int to)
{
    struct stat now;
    int r = 0;

    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    if (fstat(from, &now) < 0)
        return -errno;
    if (ftruncate(to, now.st_size) < 0)
        return -errno;
    for (off_t at = 0, end; at < now.st_size && r == 0; at = end) {
        const off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* nothing but a hole up to the end */
        at = data < 0 ? at : data;
        end = data < 0 ? now.st_size : lseek(from, at, SEEK_HOLE);
        if (end <= at)
            end = now.st_size;
        r = copy_range(from, to, at, end);
    }
    return r;
}

/* ------------------------------------------------------------------ entries */

static int copy_attributes(int from, int to, const struct stat *was)
{
    AUTO_FREE uint8_t *xattrs = malloc(SYNC_XATTRS_MAX);
    size_t used = 0;
    int r = xattrs ? attributes_read_xattrs(from, xattrs, &used, true) : -ENOMEM;
    const struct attributes attributes = {
        .uid = was->st_uid,
        .gid = was->st_gid,
        .mode = (uint16_t)(was->st_mode & 07777),
        .mtime_ns = was->st_mtim.tv_sec * NS_PER_S + was->st_mtim.tv_nsec,
        .xattrs = {xattrs, used},
    };

    return r < 0 ? r : attributes_put(to, &attributes, false, true);
}

static int copy_file(int from, const char *name, int to, const char *to_name, const struct stat *was)
{
    AUTO_CLOSE int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    AUTO_CLOSE int out = in < 0 ? -1 : openat(to, to_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = out < 0 ? -errno : file_copy(in, out);

    if (r == 0)
        r = copy_attributes(in, out, was);
    return r;
}

static int copy_symlink(int from, const char *name, int to, const char *to_name, const struct stat *was)
{
    char target[PATH_MAX];
    const ssize_t size = readlinkat(from, name, target, sizeof target - 1);
    const struct attributes attributes = {
        .uid = was->st_uid,
        .gid = was->st_gid,
        .mtime_ns = was->st_mtim.tv_sec * NS_PER_S + was->st_mtim.tv_nsec,
    };

    if (size < 0)
        return -errno;
    target[size] = '\0';
    if (symlinkat(target, to, to_name) < 0)
        return -errno;
    return attributes_put_symlink(to, to_name, &attributes);
}

static int copy_at(int from, const char *name, int to, const char *to_name, unsigned depth);

static int copy_children(int in, int out, unsigned depth)
{
    const int again = openat(in, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *children = again < 0 ? NULL : fdopendir(again);
    int r = children ? 0 : -errno;

    for (struct dirent *child; r == 0 && children && (child = readdir(children));)
        if (strcmp(child->d_name, ".") != 0 && strcmp(child->d_name, "..") != 0)
            r = copy_at(in, child->d_name, out, child->d_name, depth + 1);
    if (children)
        closedir(children);
    return r;
}

static int copy_directory(int from, const char *name, int to, const char *to_name, const struct stat *was,
                          unsigned depth)
{
    AUTO_CLOSE int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (in < 0 || mkdirat(to, to_name, 0700) < 0)
        return -errno;
    AUTO_CLOSE int out = openat(to, to_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = out < 0 ? -errno : copy_children(in, out, depth);
    if (r == 0)
        r = copy_attributes(in, out, was);
    return r;
}

static int copy_at(int from, const char *name, int to, const char *to_name, unsigned depth)
{
    struct stat was;

    if (depth > DEPTH_MAX)
        return -ELOOP;
    if (fstatat(from, name, &was, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISREG(was.st_mode))
        return copy_file(from, name, to, to_name, &was);
    if (S_ISLNK(was.st_mode))
        return copy_symlink(from, name, to, to_name, &was);
    return S_ISDIR(was.st_mode) ? copy_directory(from, name, to, to_name, &was, depth) : 0;
}

int entry_copy(int from, const char *name, int to, const char *to_name)
{
    return copy_at(from, name, to, to_name, 0);
}

int entry_link(int from, const char *name, int to, const char *to_name)
{
    if (linkat(from, name, to, to_name, 0) == 0)
        return 0;
    if (errno != EXDEV && errno != EMLINK && errno != EPERM && errno != ENOTSUP)
        return -errno;
    return entry_copy(from, name, to, to_name);
}

int entry_move(int from, const char *name, int to, const char *to_name)
{
    if (renameat(from, name, to, to_name) == 0)
        return 0;
    if (errno != EXDEV)
        return -errno;
    const int r = entry_copy(from, name, to, to_name);
    return r < 0 ? r : entry_erase(from, name);
}

static int erase_at(int directory, const char *name, unsigned depth)
{
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    const int fd =
        depth > DEPTH_MAX ? -1 : openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *children = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;

    if (!children)
        return depth > DEPTH_MAX ? -ELOOP : -errno;
    for (struct dirent *child; r == 0 && (child = readdir(children));)
        if (strcmp(child->d_name, ".") != 0 && strcmp(child->d_name, "..") != 0)
            r = erase_at(fd, child->d_name, depth + 1);
    closedir(children);
    return r < 0 ? r : unlinkat(directory, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int entry_erase(int directory, const char *name)
{
    return erase_at(directory, name, 0);
}
