#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base.h"
#include "syncd/tree_cache.h"

/* ------------------------------------------------------ saving */

static int write_all(void *userdata, const void *bytes, size_t size)
{
    const int fd = *(const int *)userdata;
    const uint8_t *at = bytes;

    while (size > 0) {
        const ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Durable before it takes the old one's place: after a power cut it is the one or the other. */
int tree_file_save(const struct tree *tree, const char *path)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= PATH_MAX)
        return -ENAMETOOLONG;
    AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = cache_write(tree, write_all, &fd);
    if (r == 0 && fdatasync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(temporary);
    return r;
}

/* ------------------------------------------------------ loading */

/* How many bytes came, fewer only at the end; or a negative errno. */
static ssize_t read_all(int fd, void *bytes, size_t size)
{
    size_t used = 0;

    while (used < size) {
        const ssize_t n = read(fd, (uint8_t *)bytes + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

/* 0: read; -EUCLEAN: there are fewer. */
static int read_whole(int fd, void *bytes, size_t size)
{
    const ssize_t n = read_all(fd, bytes, size);

    return n < 0 ? (int)n : n == (ssize_t)size ? 0 : -EUCLEAN;
}

static int read_chunks(int fd, struct cache_reader *reader, struct cache_chunk *chunk)
{
    int r = 0;

    while (r == 0) {
        const ssize_t n = read_all(fd, chunk, sizeof *chunk);
        if (n == 0)
            return cache_read_end(reader);
        const long size = n == sizeof *chunk ? cache_chunk_size(chunk) : n < 0 ? n : -EUCLEAN;
        r = size < 0 ? (int)size : read_whole(fd, chunk + 1, (size_t)size);
        if (r == 0)
            r = cache_read_chunk(reader, chunk);
    }
    return r;
}

static int load(int fd, struct tree *tree, struct cache_reader *reader)
{
    AUTO_FREE struct cache_chunk *chunk = malloc(sizeof *chunk + CACHE_CHUNK_MAX);
    struct cache_head head;

    if (!chunk)
        return -ENOMEM;
    int r = read_whole(fd, &head, sizeof head);
    if (r == 0)
        r = cache_read_head(tree, &head);
    return r < 0 ? r : read_chunks(fd, reader, chunk);
}

int tree_file_load(struct tree *tree, const char *path)
{
    struct cache_reader *reader;

    tree_clear(tree);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    struct stat st;
    int r = fstat(fd, &st) < 0 ? -errno : cache_reader_new(tree, (uint64_t)st.st_size, &reader);
    if (r < 0)
        return r;
    r = load(fd, tree, reader);
    cache_reader_free(reader);
    if (r < 0)
        tree_clear(tree);
    return r;
}
