#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

enum { WRITE_OUT = 8 << 20 }; /* the disk is busy while the rest of a file comes */

int buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->room - buffer->used >= more)
        return 0;
    const size_t room = MAX(buffer->room * 2, buffer->used + more);
    uint8_t *bytes = realloc(buffer->bytes, room);
    if (!bytes)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->room = room;
    return 0;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

static bool is_database_root_only(const struct replica *r, struct sync_bytes path)
{
    return !r->options.database || path_parent(path).size == 0;
}

/* ------------------------------------------------------------- what it is made from */

static bool is_made_here(const struct replica *r, struct sync_bytes path)
{
    struct paths made = r->made;
    struct sync_bytes one;
    unsigned flags;

    for (made.read = 0; paths_next(&made, &one, &flags);)
        if (path_equal(one, path))
            return true;
    return false;
}

/* Where this path was before the renames of this generation. */
static struct sync_bytes path_before(const struct replica *r, struct sync_bytes path, uint8_t *out)
{
    uint8_t whole[2 * SYNC_PATH_MAX];

    memcpy(out, path.at, path.size);
    path.at = out;
    for (const struct move *move = r->moves; move; move = move->next) {
        const struct sync_bytes to = {move->bytes + move->from_size, move->to_size};
        if (!path_below(path, to))
            continue;
        memcpy(whole, move->bytes, move->from_size);
        memcpy(whole + move->from_size, out + to.size, path.size - to.size);
        path.size = move->from_size + path.size - to.size;
        if (path.size > SYNC_PATH_MAX)
            return (struct sync_bytes){out, 0};
        memcpy(out, whole, path.size);
    }
    return path;
}

/* META and a patch: what they change must be what the sender thought. */
static int check_base(struct replica *r, const struct sync_op *op)
{
    uint8_t path[SYNC_PATH_MAX];
    struct tree_entry entry;

    const tree_node node = tree_find(r->options.tree, path_before(r, op->path, path));
    if (node)
        tree_get(r->options.tree, node, &entry);
    if (node && (entry.type == SYNC_DIRECTORY || hash_equal(&entry.content, &op->hash)))
        return 0;
    if (is_made_here(r, op->path))
        return 0;
    return replica_fail(r, -ESTALE, "%.*s is not what the sender thought", (int)op->path.size,
                        (const char *)op->path.at);
}

static int check_content(struct replica *r, const struct sync_op *op)
{
    struct sync_hash blocks[SYNC_INLINE_MAX / SYNC_BLOCK_SMALL + 1];
    struct sync_hash hash = {0};
    size_t count = 0;

    if (op->meta.type == SYNC_DIRECTORY)
        return 0;
    const uint32_t block =
        op->meta.type == SYNC_FILE ? sync_block_size(op->content.size, r->options.block) : SYNC_PATH_MAX;
    for (size_t at = 0; at < op->content.size && count < ARRAY_LENGTH(blocks); at += block)
        blocks[count++] =
            hash_bytes(r->options.hasher, op->content.at + at, MIN((size_t)block, op->content.size - at));
    hash = op->meta.type == SYNC_FILE ? hash_content(r->options.hasher, blocks, count)
                                      : hash_bytes(r->options.hasher, op->content.at, op->content.size);
    if (hash_equal(&hash, &op->hash))
        return 0;
    return replica_fail(r, -EBADMSG, "the content of %.*s does not have its hash", (int)op->path.size,
                        (const char *)op->path.at);
}

/* --------------------------------------------------------------------- big new files */

static void incoming_drop(struct replica *r)
{
    struct incoming *in = &r->incoming;

    if (in->fd >= 0)
        close(in->fd);
    free(in->staged);
    *in = (struct incoming){.fd = -1};
}

static int incoming_open(struct replica *r, const struct sync_op *op)
{
    struct incoming *in = &r->incoming;
    const size_t count = op->size == 0 ? 0 : (size_t)((op->size - 1) / op->block + 1);
    char name[AREA_NAME_MAX];

    if (in->open)
        return replica_fail(r, -EBADMSG, "a file begins within another one");
    *in = (struct incoming){.open = true,
                            .patch = op->patch,
                            .fd = -1,
                            .op = r->op,
                            .block = op->block,
                            .root = sync_path_root(op->path),
                            .size = op->size,
                            .aligned = true};
    if (op->block != sync_block_size(op->size, r->options.block))
        return replica_fail(r, -EBADMSG, "a block size that no sender uses");
    if (op->patch)
        return check_base(r, op);
    struct area *area = replica_area(r, op->path);
    in->staged = malloc(sizeof *in->staged + count * sizeof in->staged->hashes[0]);
    if (!area || !in->staged)
        return replica_fail(r, area ? -ENOMEM : -EIO, "no place to stage %.*s", (int)op->path.size,
                            (const char *)op->path.at);
    *in->staged = (struct staged){.op = r->op, .block = op->block, .root = in->root, .count = count};
    area_staged(r->current.generation, r->op, name);
    in->fd = openat(area_directory(area), name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (in->fd < 0 || ftruncate(in->fd, (off_t)op->size) < 0)
        return replica_fail(r, -errno, "cannot make a staging file: %s", strerror(errno));
    return 0;
}

static void hash_incoming(struct replica *r, const struct sync_op *op, uint64_t size)
{
    struct incoming *in = &r->incoming;
    static const uint8_t zeros[SYNC_BLOCK];
    const bool whole = op->offset == (uint64_t)in->hashed * in->block &&
                       (size % in->block == 0 || op->offset + size == in->size);

    if (!in->staged || !in->aligned || !whole || (op->kind == SYNC_OP_HOLE && in->block > sizeof zeros)) {
        in->aligned = false;
        return;
    }
    for (uint64_t at = 0; at < size; at += in->block) {
        const size_t part = (size_t)MIN((uint64_t)in->block, size - at);
        in->staged->hashes[in->hashed++] =
            hash_bytes(r->options.hasher, op->kind == SYNC_OP_HOLE ? zeros : op->content.at + at, part);
    }
}

static int incoming_block(struct replica *r, const struct sync_op *op)
{
    struct incoming *in = &r->incoming;
    const uint64_t size = op->kind == SYNC_OP_HOLE ? op->size : op->content.size;

    if (!in->open || op->offset < in->position || op->offset > in->size || size > in->size - op->offset)
        return replica_fail(r, -EBADMSG, "a block outside of its file, or out of order");
    in->position = op->offset + size;
    if (in->patch)
        return 0;
    hash_incoming(r, op, size);
    if (op->kind == SYNC_OP_HOLE)
        return 0; /* it is one already */
    const int w = file_write(in->fd, op->content.at, op->content.size, op->offset);
    if (w < 0)
        return replica_fail(r, w, "cannot write to a staging file: %s", strerror(-w));
    if (in->position - in->written_out >= WRITE_OUT) {
        file_write_out(in->fd, in->written_out, in->position - in->written_out);
        in->written_out = in->position;
    }
    return 0;
}

/* Not all came in whole blocks: from the file itself. */
static int hash_again(struct replica *r)
{
    struct incoming *in = &r->incoming;
    AUTO_FREE uint8_t *bytes = malloc(in->block);

    if (!bytes)
        return replica_fail(r, -ENOMEM, "out of memory");
    for (size_t i = 0; i < in->staged->count; i++) {
        const long size = file_read(in->fd, bytes, in->block, (uint64_t)i * in->block);
        if (size < 0)
            return replica_fail(r, (int)size, "cannot read a staging file");
        in->staged->hashes[i] = hash_bytes(r->options.hasher, bytes, (size_t)size);
    }
    return 0;
}

static int incoming_close(struct replica *r, const struct sync_op *op)
{
    struct incoming *in = &r->incoming;

    if (!in->open)
        return replica_fail(r, -EBADMSG, "the end of a file that was not begun");
    if (!in->patch) {
        const int again = in->aligned && in->hashed == in->staged->count ? 0 : hash_again(r);
        const struct sync_hash hash = hash_content(r->options.hasher, in->staged->hashes, in->staged->count);
        if (again < 0)
            return again;
        if (!hash_equal(&hash, &op->hash))
            return replica_fail(r, -EBADMSG, "a file that came does not have its hash");
        if (fdatasync(in->fd) < 0)
            return replica_fail(r, -errno, "cannot make a staging file durable: %s", strerror(errno));
        in->staged->next = r->staged;
        r->staged = in->staged;
        in->staged = NULL;
    }
    incoming_drop(r);
    return 0;
}

/* ------------------------------------------------------------------------- operations */

static bool has_path(const struct sync_op *op)
{
    return op->kind != SYNC_OP_BLOCK && op->kind != SYNC_OP_HOLE && op->kind != SYNC_OP_CLOSE;
}

static int check_place(struct replica *r, const struct sync_op *op)
{
    if (sync_path_root(op->path) >= r->options.root_count || !is_database_root_only(r, op->path) ||
        (op->kind == SYNC_OP_MOVE && sync_path_root(op->content) >= r->options.root_count))
        return replica_fail(r, -EBADMSG, "%.*s is in no path of this set", (int)op->path.size,
                            (const char *)op->path.at);
    if (r->incoming.open)
        return replica_fail(r, -EBADMSG, "an operation within a file");
    return 0;
}

static int take_move(struct replica *r, const struct sync_op *op)
{
    struct move *move = malloc(sizeof *move + op->path.size + op->content.size);
    struct identity *inodes = realloc(r->inodes, (r->inode_count + 1) * sizeof *inodes);
    uint8_t path[SYNC_PATH_MAX];
    struct place place;
    struct look look;

    if (inodes)
        r->inodes = inodes;
    if (!move || !inodes) {
        free(move);
        return replica_fail(r, -ENOMEM, "out of memory");
    }
    const struct sync_bytes before = path_before(r, op->path, path);
    inodes[r->inode_count] = (struct identity){0};
    if (beneath_find(r->beneath, before, &place) == 0 && look_at(place.directory, place.name, &look) == 0)
        inodes[r->inode_count] = (struct identity){look.stat.inode, look.stat.birth_ns};
    r->inode_count++;
    *move = (struct move){.next = r->moves, .from_size = op->path.size, .to_size = op->content.size};
    memcpy(move->bytes, op->path.at, op->path.size);
    memcpy(move->bytes + op->path.size, op->content.at, op->content.size);
    r->moves = move;
    r->moved = true;
    return 0;
}

static int take(struct replica *r, const struct sync_op *op)
{
    const int misplaced = has_path(op) ? check_place(r, op) : 0;

    if (misplaced < 0)
        return misplaced;
    switch (op->kind) {
    case SYNC_OP_PUT:
        paths_add(&r->made, op->path, 0);
        return check_content(r, op);
    case SYNC_OP_META:
        return check_base(r, op);
    case SYNC_OP_OPEN:
        if (!op->patch) {
            r->moved =
                true; /* once installed its content is nowhere else: as a rename, it cannot be done again */
            paths_add(&r->made, op->path, 0);
        }
        return incoming_open(r, op);
    case SYNC_OP_BLOCK:
    case SYNC_OP_HOLE:
        return incoming_block(r, op);
    case SYNC_OP_CLOSE:
        return incoming_close(r, op);
    case SYNC_OP_MOVE:
        return take_move(r, op);
    case SYNC_OP_DELETE:
        return 0;
    }
    return -EBADMSG;
}

/* What a staging file holds needs not be in the journal as well. */
static bool is_staged_block(const struct replica *r, const struct sync_op *op)
{
    return (op->kind == SYNC_OP_BLOCK || op->kind == SYNC_OP_HOLE) && r->incoming.open && !r->incoming.patch;
}

static int keep(struct replica *r, const struct sync_op *op)
{
    const size_t size = sync_op_size(op);
    int kept = buffer_reserve(&r->kept, size);

    if (kept == 0)
        kept = sync_op_pack(op, r->kept.bytes, r->kept.room, &r->kept.used);
    return kept < 0 ? replica_fail(r, kept, "out of memory") : 0;
}

static int flush(struct replica *r)
{
    struct journal_record record;
    int written = 0;

    if (r->kept.used > 0)
        written = journal_append(r->journal, RECORD_OPERATIONS, r->kept.bytes, r->kept.used, &record);
    if (written == 0 && r->kept.used > 0) {
        r->journal_bytes += r->kept.used;
        written = walker_add(&r->walker, &record);
    }
    r->kept.used = 0;
    return written < 0 ? replica_fail(r, written, "cannot write the journal: %s", strerror(-written)) : 0;
}

int replica_begin(struct replica *r, struct sync_generation generation, bool partial)
{
    if (r->phase != REPLICA_IDLE)
        return replica_fail(r, -EBUSY, "a generation is under way");
    replica_forget(r);
    if (r->journal_bytes > CHECKPOINT_BYTES || r->moved) {
        const int done = replica_checkpoint(r);
        if (done < 0)
            return done;
    }
    r->moved = false;
    r->current = (struct event){.generation = generation, .partial = partial};
    r->mark = journal_mark(r->journal);
    const int begun = replica_log_event(r, RECORD_BEGIN, &r->current, false);
    if (begun < 0)
        return begun;
    r->op = 0;
    r->taken = 0;
    room_begin(r);
    crypto_generichash_init(r->digest, NULL, 0, SYNC_DIGEST_BYTES);
    r->phase = REPLICA_RECEIVING;
    return 0;
}

int replica_batch(struct replica *r, const uint8_t *operations, size_t size)
{
    struct sync_bytes rest = {operations, size};
    struct sync_op op;
    int taken = 0, next;

    if (r->phase != REPLICA_RECEIVING)
        return replica_fail(r, -EBADMSG, "operations without a beginning");
    crypto_generichash_update(r->digest, operations, size);
    while (taken == 0 && (next = sync_op_next(&rest, &op)) != 0) {
        if (next < 0) {
            taken = replica_fail(r, -EBADMSG, "an operation that is not clean");
            break;
        }
        const bool staged = is_staged_block(r, &op);
        if (!fresh_goes_on(r, &op))
            fresh_stop(r);
        taken = take(r, &op);
        if (taken == 0 && has_path(&op) && times_note(r, &op) < 0)
            taken = replica_fail(r, -ENOMEM, "out of memory");
        if (taken == 0)
            room_add(r, &op);
        if (taken == 0 && !staged)
            taken = keep(r, &op);
        if (taken == 0)
            fresh_take(r, &op);
        r->op += op.kind == SYNC_OP_OPEN;
        r->taken++;
    }
    if (taken == 0)
        taken = flush(r);
    if (taken < 0)
        replica_abort(r);
    return taken;
}

/* What came before must not be done again over the renames. */
static int note_moves(struct replica *r)
{
    const int settled = replica_settle(r);
    const size_t size = r->inode_count * sizeof *r->inodes;
    int noted = settled;

    if (noted == 0)
        noted = journal_append(r->journal, RECORD_INODES, r->inodes, size, NULL);
    return noted < 0 ? replica_fail(r, noted, "cannot write the journal: %s", strerror(-noted)) : 0;
}

int replica_commit(struct replica *r, const uint8_t digest[SYNC_DIGEST_BYTES], const struct sync_hash *tree,
                   bool whole)
{
    uint8_t own[SYNC_DIGEST_BYTES];
    int done = 0;

    if (r->phase != REPLICA_RECEIVING)
        return replica_fail(r, -EBADMSG, "an end without a beginning");
    crypto_generichash_final(r->digest, own, sizeof own);
    fresh_stop(r);
    if (r->incoming.open)
        done = replica_fail(r, -EBADMSG, "the generation ends within a file");
    else if (sodium_memcmp(own, digest, sizeof own) != 0)
        done = replica_fail(r, -EILSEQ, "what came does not have its digest");
    r->current.tree = *tree;
    r->current.whole = whole;
    if (done == 0)
        done = room_check(r);
    if (done == 0 && r->moved)
        done = note_moves(r);
    if (done == 0 && (done = times_write(r)) < 0)
        replica_fail(r, done, "cannot write the journal: %s", strerror(-done));
    if (done == 0)
        done = replica_log_event(r, RECORD_COMMIT, &r->current, true);
    if (done < 0) {
        replica_abort(r);
        return done;
    }
    r->public.durable = r->current.generation;
    r->phase = REPLICA_DURABLE;
    return 0;
}
