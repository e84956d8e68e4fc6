/* The content of a file. A small one travels whole. Of a big one the blocks that the peer does not have: it
 * is hashed first, then the blocks that differ are read once more and sent; a new one that has been quiet for
 * a while is read only once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "syncd/source_inside.h"

enum {
    SEND_BYTES = 1 << 17,
    FRESH_BYTES = 1 << 23, /* it takes longer to read so much twice than to wait for the clock's next tick */
};

static const int64_t fresh_for_ns = 20 * NS_PER_MS; /* more than a tick */

static const int64_t quiet_for_ns = 2 * NS_PER_S;

/* The generation is of no use any more: half a file has been yielded, and the file has changed. */
enum { HALF_A_FILE = -ESTALE };

/* The second look at the file is the one that counts. */
static void take_sight(struct source *s)
{
    const struct sight *sight = &s->build.content.sight;
    struct found *f = &s->found;

    f->sight = *sight;
    f->entry.mode = f->meta.mode = source_mode(s, sight);
    f->entry.mtime_ns = f->meta.mtime_ns = sight->mtime_ns;
    f->entry.size = sight->size;
    f->entry.stat = sight->stat;
    f->entry.racy = s->build.content.fresh;
}

/* ------------------------------------------------------------------------ small */

static int small(struct source *s, struct sync_bytes path, unsigned flags)
{
    struct build *b = &s->build;
    const tree_node node = tree_find(s->tree, path);
    struct tree_entry known;

    int r = content_take(&b->content, s->hasher, s->small, sizeof s->small);
    if (r < 0)
        return r;
    take_sight(s);
    s->found.entry.content = content_hash(&b->content, s->hasher);
    b->read += (size_t)b->content.sight.size;
    if (node)
        tree_get(s->tree, node, &known);
    if (node && !(flags & DIRTY_FORCE) && known.size == s->found.entry.size &&
        hash_equal(&known.content, &s->found.entry.content))
        return entry_meta(s, path, node);
    r = entry_put(s, path, (struct sync_bytes){s->small, (size_t)b->content.sight.size});
    if (r == 0)
        links_said_again(s, path);
    return r;
}

/* -------------------------------------------------------------------------- big */

static struct peer_blocks *told_blocks(struct source *s, struct sync_bytes path)
{
    struct peer_blocks *blocks = s->peer_blocks;

    while (blocks && !path_equal((struct sync_bytes){blocks->path, blocks->size}, path))
        blocks = blocks->next;
    return blocks;
}

/* What the peer has, block by block, if that is known and of the same size. */
static void take_base(struct source *s, struct sync_bytes path, unsigned flags)
{
    struct build *b = &s->build;
    const struct peer_blocks *told = told_blocks(s, path);
    const tree_node node = tree_find(s->tree, path);
    const struct sync_hash *blocks = NULL;
    uint32_t block = 0;
    size_t count = 0;

    if (told) {
        blocks = told->hashes, block = told->block, count = told->count;
    } else if (node && !(flags & DIRTY_FORCE)) {
        blocks = tree_blocks(s->tree, node, &block, &count);
    }
    free(b->base);
    b->base = NULL;
    b->base_count = 0;
    if (!blocks || block != b->content.block || count == 0 ||
        (b->base = malloc((count + 1) * sizeof *blocks)) == NULL)
        return;
    memcpy(b->base, blocks, count * sizeof *blocks);
    b->base_count = count;
    b->base_hash = hash_content(s->hasher, b->base, count);
    if (told)
        source_drop_blocks(s, path);
}

static bool is_quiet(const struct sight *sight)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t now_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
    return now_ns - sight->mtime_ns > quiet_for_ns && now_ns - sight->stat.ctime_ns > quiet_for_ns;
}

/* All of it must be read to be sent, but for its holes. */
static bool has_holes(const struct content *content)
{
    const off_t hole = lseek(content->fd, 0, SEEK_HOLE);

    return hole >= 0 && (uint64_t)hole < content->sight.size;
}

static int big(struct source *s, struct sync_bytes path, unsigned flags)
{
    struct build *b = &s->build;

    take_base(s, path, flags);
    b->reading = true;
    b->opened = false;
    b->forced = flags & DIRTY_FORCE;
    b->hashed =
        !b->quiet && !b->base && !b->content.fresh && is_quiet(&b->content.sight) && !has_holes(&b->content);
    b->once = b->hashed;
    b->at = b->part = 0;
    b->hole_size = 0;
    b->fresh_until_ns =
        b->content.fresh && b->content.sight.size >= FRESH_BYTES ? clock_now_ns() + fresh_for_ns : 0;
    return 1;
}

int file_look(struct source *s, struct sync_bytes path, int directory, const char *name, unsigned flags)
{
    struct build *b = &s->build;
    int r = content_open(&b->content, directory, name, s->options.block);

    if (r < 0)
        return r;
    if (b->content.sight.size > SYNC_INLINE_MAX)
        return big(s, path, flags);
    r = small(s, path, flags);
    content_close(&b->content);
    return r;
}

void file_drop(struct source *s)
{
    content_close(&s->build.content);
    s->build.reading = false;
}

/* The whole file is hashed, to see whether and where it has changed. 1: more; 0: done. */
static int hash_some(struct source *s)
{
    struct build *b = &s->build;
    struct content_piece piece;
    const int r = content_next(&b->content, s->hasher, &piece);

    b->read += (size_t)(piece.hole ? piece.size / 64 : piece.size);
    if (r == 0)
        b->hashed = true;
    return r;
}

static bool is_changed(const struct build *b, size_t block)
{
    return !b->base || block >= b->base_count || !hash_equal(&b->base[block], &b->content.hashes[block]);
}

static int open_file(struct source *s, struct sync_bytes path)
{
    struct build *b = &s->build;
    struct sync_op op = {.kind = SYNC_OP_OPEN,
                         .path = path,
                         .meta = s->found.meta,
                         .patch = b->base != NULL,
                         .size = b->content.sight.size,
                         .block = b->content.block};

    const size_t before = b->used ? *b->used : 0;

    if (op.patch)
        op.hash = b->base_hash;
    const int r = build_emit(s, &op);
    if (r < 0)
        return r;
    b->opened = true;
    b->opened_in = b->call;
    b->opened_at = before;
    return 0;
}

static int flush_hole(struct source *s)
{
    struct build *b = &s->build;
    const struct sync_op op = {.kind = SYNC_OP_HOLE, .offset = b->hole_at, .size = b->hole_size};
    const int r = b->hole_size > 0 ? build_emit(s, &op) : 0;

    if (r == 0)
        b->hole_size = 0;
    return r;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static int read_run(struct build *b, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        const ssize_t r = pread(b->content.fd, b->content.buffer + done, size - done, (off_t)(offset + done));
        if (r == 0)
            return HALF_A_FILE;
        if (r < 0 && errno != EINTR)
            return -errno;
        done += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

/* Of what was hashed before, the same bytes must come again. */
static int check_run(struct source *s, size_t first, size_t size)
{
    struct build *b = &s->build;
    const uint32_t block = b->content.block;

    for (size_t at = 0; at < size; at += block) {
        const struct sync_hash hash = hash_bytes(s->hasher, b->content.buffer + at, MIN(block, size - at));
        if (b->once)
            b->content.hashes[first + at / block] = hash;
        else if (!hash_equal(&hash, &b->content.hashes[first + at / block]))
            return HALF_A_FILE;
    }
    return 0;
}

/* Zeros join those before them, or begin anew. */
static int send_zeros(struct source *s, uint64_t offset, uint64_t size)
{
    struct build *b = &s->build;
    const int r = b->hole_size > 0 && offset != b->hole_at + b->hole_size ? flush_hole(s) : 0;

    if (r < 0)
        return r;
    b->hole_at = b->hole_size == 0 ? offset : b->hole_at;
    b->hole_size += size;
    return 0;
}

/* A block larger than an operation goes in pieces, and is read again for each. */
static int send_bytes(struct source *s, uint64_t offset, size_t size)
{
    struct build *b = &s->build;
    const size_t piece = MIN(size - b->part, (size_t)SEND_BYTES);
    const struct sync_op op = {
        .kind = SYNC_OP_BLOCK, .offset = offset + b->part, .content = {b->content.buffer + b->part, piece}};
    int r = flush_hole(s);

    if (r == 0)
        r = build_emit(s, &op);
    if (r < 0)
        return r;
    b->part += piece;
    return b->part < size ? 1 : 0;
}

/* A whole block that was found to be in a hole is not read. */
static bool is_hole(const struct build *b, size_t block)
{
    const struct content *c = &b->content;

    return !b->once && c->zeros_known && c->zeros_block == c->block &&
           (uint64_t)(block + 1) * c->block <= c->sight.size && hash_equal(&c->hashes[block], &c->zeros);
}

static bool is_to_send(const struct build *b, size_t block)
{
    return block < b->content.count && (b->once || is_changed(b, block));
}

static int send_hole(struct source *s, size_t first)
{
    struct build *b = &s->build;
    const uint32_t block = b->content.block;
    size_t count = 0;

    while (is_to_send(b, first + count) && is_hole(b, first + count))
        count++;
    const int r = send_zeros(s, (uint64_t)first * block, (uint64_t)count * block);
    if (r < 0)
        return r;
    b->at = first + count;
    return 1;
}

/* The next changed blocks. 1: more; 0: there are none; -ENOBUFS. */
static int send_some(struct source *s)
{
    struct build *b = &s->build;
    const uint32_t block = b->content.block;
    const size_t most = MAX(SEND_BYTES / block, 1u);
    size_t first = b->at, count = 0;

    while (first < b->content.count && !is_to_send(b, first))
        first++;
    if (first == b->content.count)
        return flush_hole(s);
    if (is_hole(b, first))
        return send_hole(s, first);
    while (count < most && is_to_send(b, first + count) && !is_hole(b, first + count))
        count++;
    const uint64_t offset = (uint64_t)first * block;
    const size_t size = (size_t)MIN((uint64_t)count * block, b->content.sight.size - offset);
    int r = read_run(b, size, offset);
    if (r == 0)
        r = check_run(s, first, size);
    if (r < 0)
        return r;
    b->read += size;
    r = b->part == 0 && all_zero(b->content.buffer, size) ? send_zeros(s, offset, size)
                                                          : send_bytes(s, offset, size);
    if (r != 0)
        return r;
    b->part = 0;
    b->at = first + count;
    return 1;
}

static void remember(struct source *s, struct sync_bytes path)
{
    const struct build *b = &s->build;

    entry_settle(s, path, 0);
    const tree_node node = tree_find(s->tree, path);
    if (node)
        tree_set_blocks(s->tree, node, b->content.block, b->content.hashes, b->content.count);
    links_said_again(s, path);
}

static int close_file(struct source *s, struct sync_bytes path)
{
    struct build *b = &s->build;
    struct sight now;
    bool fresh;
    int r = b->once ? sight_between(b->content.fd, &now, &fresh) : 0;

    /* What was hashed before is one content that it had, and what was sent is of that, whatever came after.
     */
    if (b->once && r == 0 && !sight_same(&now, &b->content.sight))
        r = HALF_A_FILE;
    if (r < 0)
        return r;
    const struct sync_op op = {.kind = SYNC_OP_CLOSE, .hash = content_hash(&b->content, s->hasher)};
    r = build_emit(s, &op);
    if (r < 0)
        return r;
    s->found.entry.content = op.hash;
    remember(s, path);
    return 0;
}

/* Hashed: what there is to send. 0: nothing; 1: something. */
static int is_different(struct source *s, struct sync_bytes path)
{
    struct build *b = &s->build;
    const tree_node node = tree_find(s->tree, path);
    struct tree_entry known;

    s->found.entry.content = content_hash(&b->content, s->hasher);
    if (b->quiet || !node || b->forced)
        return 1;
    tree_get(s->tree, node, &known);
    return known.size != s->found.entry.size || !hash_equal(&known.content, &s->found.entry.content);
}

static int same_content(struct source *s, struct sync_bytes path)
{
    const struct build *b = &s->build;
    const tree_node node = tree_find(s->tree, path);
    const int r = entry_meta(s, path, node);

    if (r == 0)
        tree_set_blocks(s->tree, node, b->content.block, b->content.hashes, b->content.count);
    return r;
}

/* What was yielded of a file that has changed is taken back, if it is still in this call's buffer. */
static int finish(struct source *s, int r)
{
    struct build *b = &s->build;

    if (r == 1 || r == -ENOBUFS)
        return r;
    if (r < 0 && b->opened && b->opened_in == b->call) {
        *b->used = b->opened_at;
        r = r == HALF_A_FILE ? CONTENT_CHANGED : r;
    } else if (r < 0 && b->opened) {
        r = HALF_A_FILE;
    }
    file_drop(s);
    return r;
}

/* A patch begins with an empty buffer, so that as much of it as possible can be taken back. */
static bool is_late(const struct build *b)
{
    return !b->once && (*b->used > 0 || b->read > 0);
}

/* One that is written on and on is always fresh. */
static int wait_for_tick(struct build *b)
{
    const int r = content_refresh(&b->content);

    if (r < 0 || !b->content.fresh || clock_now_ns() >= b->fresh_until_ns)
        b->fresh_until_ns = 0;
    return r;
}

int file_step(struct source *s)
{
    struct build *b = &s->build;
    const struct sync_bytes path = build_path(s);
    int r;

    if (b->fresh_until_ns > 0) {
        r = wait_for_tick(b);
        return r == 0 ? 1 : finish(s, r);
    }
    if (!b->hashed) {
        r = hash_some(s);
        return r == 0 ? 1 : finish(s, r);
    }
    if (!b->opened) {
        take_sight(s);
        if (!b->once && !is_different(s, path))
            return finish(s, same_content(s, path));
        if (b->quiet) {
            remember(s, path);
            return finish(s, 0);
        }
        if (is_late(b)) {
            b->looked = SOURCE_STEP_ENTRIES;
            return 1;
        }
        r = open_file(s, path);
        return r == 0 ? 1 : finish(s, r);
    }
    r = send_some(s);
    if (r == 0)
        r = close_file(s, path);
    return finish(s, r);
}
