#include "superviserd/pstore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/statefile.h"
#include "superviserd/keep.h"

enum { ENTRIES_MAX = 256 };

struct entry {
    char name[NAME_MAX + 1];
    uint64_t size;
    struct timespec at; /* last changed: pstore's is the time of the crash, where it knows that */
};

struct entries {
    size_t count;
    struct entry items[ENTRIES_MAX];
};

static int by_time(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;

    if (a->at.tv_sec != b->at.tv_sec)
        return a->at.tv_sec < b->at.tv_sec ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int by_name(const void *one, const void *other)
{
    return strcmp(((const struct entry *)one)->name, ((const struct entry *)other)->name);
}

/* The plain files of a directory. 0 or a negative errno. */
static int list(const char *directory, struct entries *entries)
{
    DIR *open_directory = opendir(directory);
    struct stat status;

    entries->count = 0;
    if (!open_directory)
        return -errno;
    for (struct dirent *found; entries->count < ENTRIES_MAX && (found = readdir(open_directory));) {
        if (fstatat(dirfd(open_directory), found->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
            continue;
        struct entry *entry = &entries->items[entries->count++];
        text_copy(entry->name, sizeof entry->name, found->d_name);
        entry->size = (uint64_t)status.st_size;
        entry->at = status.st_mtim;
    }
    closedir(open_directory);
    return 0;
}

static int flush_directory(const char *directory)
{
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Removes what must go, and what an interrupted copy left. */
static int make_room(const char *to, uint64_t size, struct entries *kept)
{
    uint64_t sizes[ENTRIES_MAX];
    char path[PATH_MAX];
    size_t count = 0;
    const int r = list(to, kept);

    if (r < 0)
        return r;
    qsort(kept->items, kept->count, sizeof *kept->items, by_name);
    for (size_t i = 0; i < kept->count; i++)
        if (keep_number(kept->items[i].name) >= 0) {
            sizes[count] = kept->items[i].size;
            kept->items[count++] = kept->items[i];
        }
    const size_t go = keep_room(sizes, count, size);
    for (size_t i = 0; i < go; i++) {
        snprintf(path, sizeof path, "%s/%s", to, kept->items[i].name);
        if (unlink(path) < 0)
            return -errno;
        log_info("removed the old crash record %s, to make room", path);
    }
    return 0;
}

/* Up to KEEP_FILE_SIZE bytes, of a longer file the last ones. */
static ssize_t read_end(const char *path, unsigned char *bytes)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    size_t done = 0;

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (status.st_size > KEEP_FILE_SIZE && lseek(fd, status.st_size - KEEP_FILE_SIZE, SEEK_SET) < 0)
        return -errno;
    while (done < KEEP_FILE_SIZE) {
        const ssize_t n = read(fd, bytes + done, KEEP_FILE_SIZE - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int write_durably(const char *path, const unsigned char *bytes, size_t size, const struct timespec *at)
{
    const struct timespec times[2] = {*at, *at};
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    while (size > 0) {
        const ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        size -= (size_t)n;
    }
    futimens(fd, times);
    return fsync(fd) < 0 ? -errno : 0;
}

static bool is_same(const char *path, const unsigned char *bytes, size_t size)
{
    AUTO_FREE unsigned char *there = malloc(KEEP_FILE_SIZE);

    return there && read_end(path, there) == (ssize_t)size && memcmp(there, bytes, size) == 0;
}

/* The first name that nothing has yet: 0. 1: the same record is there already, from a start that was killed
 * before it could remove it from pstore. */
static int find_name(const char *to, uint32_t number, const char *name, const unsigned char *bytes,
                     size_t size, char path[static PATH_MAX])
{
    char kept[BLACKBOX_NAME_MAX];

    for (unsigned again = 0; again < KEEP_FILES; again++) {
        snprintf(path, PATH_MAX, "%s/%s", to, keep_name(number, name, again, kept));
        if (access(path, F_OK) < 0)
            return 0;
        if (is_same(path, bytes, size))
            return 1;
    }
    return -EEXIST;
}

static int take(const char *from, const char *to, uint32_t number, const struct entry *entry,
                struct entries *kept, unsigned char *bytes)
{
    char source[PATH_MAX], path[PATH_MAX], temporary[PATH_MAX];

    snprintf(source, sizeof source, "%s/%s", from, entry->name);
    snprintf(temporary, sizeof temporary, "%s/new", to);
    const ssize_t size = read_end(source, bytes);
    int r = size < 0 ? (int)size : find_name(to, number, entry->name, bytes, (size_t)size, path);
    if (r == 0 && (r = make_room(to, (uint64_t)size, kept)) == 0)
        r = write_durably(temporary, bytes, (size_t)size, &entry->at);
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r == 0)
        r = flush_directory(to);
    if (r < 0) {
        unlink(temporary);
        log_warning("cannot keep the crash record %s: %s; it stays there", source, strerror(-r));
        return r;
    }
    if (unlink(source) < 0) {
        log_warning("cannot remove the crash record %s, kept as %s: %s", source, path, strerror(errno));
        return 0;
    }
    log_notice("the kernel kept a record of its end: %s, now %s", source, path);
    return 0;
}

int pstore_collect(const char *from, const char *to, uint32_t number)
{
    AUTO_FREE struct entries *found = calloc(2, sizeof *found);
    AUTO_FREE unsigned char *bytes = malloc(KEEP_FILE_SIZE);
    int first = 0, taken = 0;

    if (!found || !bytes)
        return -ENOMEM;
    int r = list(from, found);
    if (r < 0)
        return r == -ENOENT || r == -ENOTDIR ? 0 : r;
    if (found->count > 0 && (r = make_directories(to, 0750)) < 0)
        return r;
    qsort(found->items, found->count, sizeof *found->items, by_time);
    for (size_t i = 0; i < found->count; i++) {
        r = take(from, to, number, &found->items[i], found + 1, bytes);
        taken += r >= 0;
        first = first < 0 ? first : MIN(r, 0);
    }
    return first < 0 ? first : taken;
}
