#include "syncd/content.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base.h"

enum { TRIES = 3 };

void content_init(struct content *content)
{
    *content = (struct content){.fd = -1};
}

void content_close(struct content *content)
{
    if (content->fd >= 0)
        close(content->fd);
    content->fd = -1;
    free(content->hashes);
    free(content->before);
    content->hashes = content->before = NULL;
}

void content_clear(struct content *content)
{
    content_close(content);
    free(content->buffer);
    content->buffer = NULL;
    content->buffer_size = 0;
}

static int reserve(struct content *content, size_t size)
{
    if (size <= content->buffer_size)
        return 0;
    uint8_t *buffer = realloc(content->buffer, size);
    if (!buffer)
        return -ENOMEM;
    content->buffer = buffer;
    content->buffer_size = size;
    return 0;
}

void content_back(struct content *content, size_t block)
{
    content->next = block;
    content->data_from = content->data_to = 0;
}

void content_restart(struct content *content)
{
    free(content->before);
    content->before = NULL;
    content_back(content, 0);
}

/* Looks, and makes room for what the size asks for. */
static int prepare(struct content *content, uint32_t block)
{
    int r = sight_between(content->fd, &content->sight, &content->fresh);

    if (r < 0)
        return r;
    const uint64_t size = content->sight.size;
    if (size > SYNC_SIZE_MAX)
        return -EFBIG;
    content->block = sync_block_size(size, block);
    content->count = size == 0 ? 0 : (size_t)((size - 1) / content->block + 1);
    struct sync_hash *hashes = realloc(content->hashes, MAX(content->count, 1) * sizeof *hashes);
    if (!hashes)
        return -ENOMEM;
    content->hashes = hashes;
    content_restart(content);
    return reserve(content, MAX(CONTENT_BUFFER, content->block));
}

int content_open(struct content *content, int directory, const char *name, uint32_t block)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

    content_close(content);
    content->fd = openat(directory, name, flags | O_NOATIME);
    if (content->fd < 0 && errno == EPERM)
        content->fd = openat(directory, name, flags);
    if (content->fd < 0)
        return -errno;
    int r = prepare(content, block);
    if (r == 0 && !S_ISREG(content->sight.mode))
        r = CONTENT_CHANGED;
    if (r < 0)
        content_close(content);
    return r;
}

int content_refresh(struct content *content)
{
    const uint64_t size = content->sight.size;
    const int r = prepare(content, content->block);

    return r == 0 && content->sight.size != size ? CONTENT_CHANGED : r;
}

/* All of `size` bytes, or the file has become shorter. */
static int read_at(int fd, uint8_t *bytes, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        const ssize_t r = pread(fd, bytes + done, size - done, (off_t)(offset + done));
        if (r == 0)
            return CONTENT_CHANGED;
        if (r < 0 && errno != EINTR)
            return -errno;
        done += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

static int look_again(const struct content *content)
{
    struct sight sight;
    bool fresh;
    const int r = sight_between(content->fd, &sight, &fresh);

    if (r < 0)
        return r;
    return sight_same(&sight, &content->sight) ? 0 : CONTENT_CHANGED;
}

static void hash_blocks(struct content *content, const struct hasher *hasher, const uint8_t *bytes,
                        size_t first, size_t size)
{
    for (size_t at = 0; at < size; at += content->block)
        content->hashes[first++] = hash_bytes(hasher, bytes + at, MIN(content->block, size - at));
}

/* -------------------------------------------------------------------- small */

static int take_once(struct content *content, uint8_t *bytes)
{
    const size_t size = (size_t)content->sight.size;
    int r = read_at(content->fd, bytes, size, 0);

    if (r == 0 && content->fresh) {
        r = look_again(content);
        if (r == 0)
            r = read_at(content->fd, content->buffer, size, 0);
        if (r == 0 && memcmp(bytes, content->buffer, size) != 0)
            r = CONTENT_CHANGED;
    }
    return r < 0 ? r : look_again(content);
}

int content_take(struct content *content, const struct hasher *hasher, uint8_t *bytes, size_t room)
{
    const uint32_t block = content->block;
    int r = CONTENT_CHANGED;

    for (unsigned try = 0; try < TRIES && r == CONTENT_CHANGED; try++) {
        r = try == 0 ? 0 : prepare(content, block);
        if (r == 0 && content->sight.size > room)
            return CONTENT_CHANGED;
        if (r == 0)
            r = take_once(content, bytes);
    }
    if (r == 0)
        hash_blocks(content, hasher, bytes, 0, (size_t)content->sight.size);
    return r;
}

/* ---------------------------------------------------------------------- big */

static uint64_t position(const struct content *content)
{
    return MIN((uint64_t)content->next * content->block, content->sight.size);
}

/* Learns where data lies from the position on. A file system that does not know says that all is data. */
static void find_data(struct content *content)
{
    const uint64_t at = position(content), size = content->sight.size;

    if (at < content->data_to)
        return;
    const off_t from = lseek(content->fd, (off_t)at, SEEK_DATA);
    const off_t to = from < 0 ? -1 : lseek(content->fd, from, SEEK_HOLE);
    if (from < 0 && errno == ENXIO) {
        content->data_from = content->data_to = size;
        return;
    }
    content->data_from = from < 0 ? at : (uint64_t)from;
    content->data_to = to < 0 ? size : (uint64_t)to;
}

/* How many whole blocks from the position on are in a hole; the file's end makes its last block whole. */
static size_t hole_blocks(const struct content *content)
{
    const uint64_t at = position(content), to = MIN(content->data_from, content->sight.size);

    if (to <= at)
        return 0;
    if (to == content->sight.size)
        return content->count - content->next;
    return (size_t)((to - at) / content->block);
}

static struct sync_hash hash_zeros(struct content *content, const struct hasher *hasher, size_t size)
{
    if (size == content->block && content->zeros_known && content->zeros_block == content->block)
        return content->zeros;
    memset(content->buffer, 0, size);
    const struct sync_hash hash = hash_bytes(hasher, content->buffer, size);
    if (size == content->block) {
        content->zeros = hash;
        content->zeros_block = content->block;
        content->zeros_known = true;
    }
    return hash;
}

static void pass_hole(struct content *content, const struct hasher *hasher, struct content_piece *piece)
{
    piece->hole = true;
    piece->size = MIN((uint64_t)piece->count * content->block, content->sight.size - position(content));
    for (size_t i = 0; i < piece->count; i++) {
        const uint64_t at = (uint64_t)(piece->first + i) * content->block;
        content->hashes[piece->first + i] =
            hash_zeros(content, hasher, (size_t)MIN(content->block, content->sight.size - at));
    }
}

static int pass_data(struct content *content, const struct hasher *hasher, struct content_piece *piece)
{
    const uint64_t at = position(content);
    const size_t room = content->buffer_size / content->block;
    const uint64_t data = MAX(MIN(content->data_to, content->sight.size), at + 1) - at;
    const size_t blocks = (size_t)((data - 1) / content->block + 1);

    piece->count = MIN(MIN(room, blocks), content->count - content->next);
    piece->size = MIN((uint64_t)piece->count * content->block, content->sight.size - at);
    const int r = read_at(content->fd, content->buffer, (size_t)piece->size, at);
    if (r < 0)
        return r;
    piece->bytes = content->buffer;
    hash_blocks(content, hasher, content->buffer, content->next, (size_t)piece->size);
    return 0;
}

/* The second reading: the hashes are there, and must come out again. */
static int compare(const struct content *content, const struct content_piece *piece)
{
    const size_t size = piece->count * sizeof *content->hashes;

    return memcmp(content->before + piece->first, content->hashes + piece->first, size) == 0
               ? 0
               : CONTENT_CHANGED;
}

static int begin_again(struct content *content)
{
    struct sync_hash *hashes = malloc(MAX(content->count, 1) * sizeof *hashes);

    if (!hashes)
        return -ENOMEM;
    content->before = content->hashes;
    content->hashes = hashes;
    content_back(content, 0);
    return 1;
}

static int read_piece(struct content *content, const struct hasher *hasher, struct content_piece *piece)
{
    int r = 0;

    find_data(content);
    piece->count = hole_blocks(content);
    if (piece->count > 0)
        pass_hole(content, hasher, piece);
    else
        r = pass_data(content, hasher, piece);
    content->next += r == 0 ? piece->count : 0;
    return r;
}

int content_next(struct content *content, const struct hasher *hasher, struct content_piece *piece)
{
    *piece = (struct content_piece){.first = content->next};
    if (content->next == content->count) {
        const int r = look_again(content);
        return r < 0 || !content->fresh || content->before ? r : begin_again(content);
    }
    int r = read_piece(content, hasher, piece);
    if (r == 0 && content->before) {
        r = compare(content, piece);
        piece->count = 0;
    }
    return r < 0 ? r : 1;
}

struct sync_hash content_hash(const struct content *content, const struct hasher *hasher)
{
    return hash_content(hasher, content->hashes, content->count);
}
