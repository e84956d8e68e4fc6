/* What lies inside a message: operations, entries, extended attributes, and the paths in all of them. */
#include <errno.h>

#include "proto/sync_wire.h"

enum { OPEN_PATCH = 1 };
static const char own_prefix[] = ".duet~";

/* -------------------------------------------------------------------- paths */

static bool name_clean(const uint8_t *name, size_t size)
{
    const size_t own = sizeof own_prefix - 1;

    if (size == 0 || size > SYNC_NAME_MAX || memchr(name, '\0', size))
        return false;
    if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')))
        return false;
    return size < own || memcmp(name, own_prefix, own) != 0;
}

static bool root_clean(const uint8_t *root, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (root[i] < '0' || root[i] > '9')
            return false;
    return size >= 1 && size <= SYNC_ROOT_DIGITS && (size == 1 || root[0] != '0');
}

bool sync_path_clean(struct sync_bytes path)
{
    if (path.size == 0 || path.size > SYNC_PATH_MAX)
        return false;
    for (size_t start = 0; start <= path.size;) {
        const uint8_t *part = path.at + start;
        const uint8_t *slash = start < path.size ? memchr(part, '/', path.size - start) : NULL;
        const size_t size = slash ? (size_t)(slash - part) : path.size - start;
        if (start == 0 ? !root_clean(part, size) : !name_clean(part, size))
            return false;
        start += size + 1;
    }
    return true;
}

uint32_t sync_path_root(struct sync_bytes path)
{
    uint32_t root = 0;

    for (size_t i = 0; i < path.size && i < SYNC_ROOT_DIGITS && path.at[i] != '/'; i++)
        root = root * 10 + (uint32_t)(path.at[i] - '0');
    return root;
}

static bool bytes_equal(struct sync_bytes a, struct sync_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

/* Neither is a root, and `to` is not `from` nor below it. */
static bool move_clean(struct sync_bytes from, struct sync_bytes to)
{
    if (!bytes_have(from, '/') || !bytes_have(to, '/') || bytes_equal(from, to))
        return false;
    return to.size < from.size || memcmp(to.at, from.at, from.size) != 0 || to.at[from.size] != '/';
}

/* ------------------------------------------------------ extended attributes */

static int compare(struct sync_bytes a, struct sync_bytes b)
{
    const int r = memcmp(a.at, b.at, a.size < b.size ? a.size : b.size);

    return r != 0 ? r : (a.size > b.size) - (a.size < b.size);
}

static bool read_xattr(struct sync_reader *r, struct sync_bytes *name, struct sync_bytes *value)
{
    *name = read_text(r, 2, SYNC_NAME_MAX);
    *value = read_text(r, 4, SYNC_XATTRS_MAX);
    read_check(r, name->size > 0 && !bytes_have(*name, '\0'));
    return !r->bad;
}

/* The order is seen by looking at the one behind, so that no state is needed between two calls. */
int sync_xattr_next(struct sync_bytes *xattrs, struct sync_bytes *name, struct sync_bytes *value)
{
    struct sync_reader r = reader_of(*xattrs);
    struct sync_bytes next;

    if (xattrs->size == 0)
        return 0;
    if (!read_xattr(&r, name, value))
        return -EBADMSG;
    const struct sync_bytes rest = {.at = r.at, .size = (size_t)(r.end - r.at)};
    if (rest.size > 0) {
        next = read_text(&r, 2, SYNC_NAME_MAX);
        if (r.bad || compare(*name, next) >= 0)
            return -EBADMSG;
    }
    *xattrs = rest;
    return 1;
}

int sync_xattr_pack(struct sync_bytes name, struct sync_bytes value, uint8_t *bytes, size_t room,
                    size_t *used)
{
    struct sync_writer w = {.bytes = bytes, .used = *used, .room = room};

    if (name.size == 0 || name.size > SYNC_NAME_MAX || bytes_have(name, '\0') || value.size > SYNC_XATTRS_MAX)
        return -EINVAL;
    write_text(&w, name, 2);
    write_text(&w, value, 4);
    if (w.full)
        return -ENOBUFS;
    *used = w.used;
    return 0;
}

static bool xattrs_clean(struct sync_bytes xattrs)
{
    struct sync_bytes name, value;
    int r;

    do
        r = sync_xattr_next(&xattrs, &name, &value);
    while (r > 0);
    return r == 0;
}

/* --------------------------------------------------------------------- meta */

static void write_meta(struct sync_writer *w, const struct sync_meta *meta)
{
    write_number(w, meta->type, 1);
    write_number(w, meta->mode, 2);
    write_number(w, (uint64_t)meta->mtime_ns, 8);
    write_number(w, meta->uid, 4);
    write_number(w, meta->gid, 4);
    write_text(w, meta->owner, 1);
    write_text(w, meta->group, 1);
    write_text(w, meta->xattrs, 4);
}

/* A name with '#' in front would look like a number where owners are compared. */
static struct sync_bytes read_owner(struct sync_reader *r)
{
    const struct sync_bytes owner = read_text(r, 1, SYNC_OWNER_MAX);

    read_check(r, !bytes_have(owner, '\0') && (owner.size == 0 || owner.at[0] != '#'));
    return owner;
}

static void read_meta(struct sync_reader *r, struct sync_meta *meta)
{
    meta->type = (enum sync_type)read_enum(r, SYNC_HARDLINK);
    meta->mode = (uint16_t)read_number(r, 2);
    meta->mtime_ns = (int64_t)read_number(r, 8);
    meta->uid = (uint32_t)read_number(r, 4);
    meta->gid = (uint32_t)read_number(r, 4);
    meta->owner = read_owner(r);
    meta->group = read_owner(r);
    meta->xattrs = read_text(r, 4, SYNC_XATTRS_MAX);
    read_check(r, meta->mode <= 07777 && xattrs_clean(meta->xattrs));
}

/* --------------------------------------------------------------- operations */

static void write_open(struct sync_writer *w, const struct sync_op *op)
{
    write_text(w, op->path, 2);
    write_meta(w, &op->meta);
    write_number(w, op->size, 8);
    write_number(w, op->block, 4);
    write_number(w, op->patch ? OPEN_PATCH : 0, 1);
    if (op->patch)
        write_hash(w, &op->hash);
}

static void write_op(struct sync_writer *w, const struct sync_op *op)
{
    write_number(w, op->kind, 1);
    switch (op->kind) {
    case SYNC_OP_PUT:
        write_text(w, op->path, 2), write_meta(w, &op->meta);
        write_hash(w, &op->hash), write_text(w, op->content, 4);
        break;
    case SYNC_OP_META:
        write_text(w, op->path, 2), write_meta(w, &op->meta), write_hash(w, &op->hash);
        break;
    case SYNC_OP_OPEN:
        write_open(w, op);
        break;
    case SYNC_OP_BLOCK:
        write_number(w, op->offset, 8), write_text(w, op->content, 4);
        break;
    case SYNC_OP_HOLE:
        write_number(w, op->offset, 8), write_number(w, op->size, 8);
        break;
    case SYNC_OP_CLOSE:
        write_hash(w, &op->hash);
        break;
    case SYNC_OP_MOVE:
        write_text(w, op->path, 2), write_text(w, op->content, 2);
        break;
    case SYNC_OP_DELETE:
        write_text(w, op->path, 2);
        break;
    }
}

static bool put_clean(const struct sync_op *op)
{
    switch (op->meta.type) {
    case SYNC_FILE:
        return op->content.size <= SYNC_INLINE_MAX;
    case SYNC_DIRECTORY:
        return op->content.size == 0;
    case SYNC_SYMLINK:
        return op->content.size > 0 && op->content.size <= SYNC_TARGET_MAX && !bytes_have(op->content, '\0');
    case SYNC_HARDLINK:
        return sync_path_clean(op->content) && !bytes_equal(op->content, op->path);
    }
    return false;
}

static void read_put(struct sync_reader *r, struct sync_op *op)
{
    op->path = read_path(r);
    read_meta(r, &op->meta);
    op->hash = read_hash(r);
    op->content = read_text(r, 4, SYNC_INLINE_MAX);
    read_check(r, put_clean(op));
}

static void read_open(struct sync_reader *r, struct sync_op *op)
{
    op->path = read_path(r);
    read_meta(r, &op->meta);
    op->size = read_number(r, 8);
    op->block = (uint32_t)read_number(r, 4);
    op->patch = read_flags(r, OPEN_PATCH) & OPEN_PATCH;
    if (op->patch)
        op->hash = read_hash(r);
    read_check(r, op->meta.type == SYNC_FILE && op->size <= SYNC_SIZE_MAX && block_clean(op->block));
    read_check(r, op->size <= (uint64_t)op->block * SYNC_BLOCKS_MAX);
}

/* `offset` and what is there: not empty, within the largest file. */
static void read_range(struct sync_reader *r, struct sync_op *op)
{
    op->offset = read_number(r, 8);
    if (op->kind == SYNC_OP_HOLE)
        op->size = read_number(r, 8);
    else
        op->content = read_text(r, 4, SYNC_RAW_MAX);
    const uint64_t length = op->kind == SYNC_OP_HOLE ? op->size : op->content.size;
    read_check(r, length > 0 && length <= SYNC_SIZE_MAX && op->offset <= SYNC_SIZE_MAX - length);
}

static void read_op(struct sync_reader *r, struct sync_op *op)
{
    *op = (struct sync_op){.kind = (enum sync_op_kind)read_enum(r, SYNC_OP_DELETE)};
    switch (op->kind) {
    case SYNC_OP_PUT:
        read_put(r, op);
        break;
    case SYNC_OP_META:
        op->path = read_path(r);
        read_meta(r, &op->meta);
        op->hash = read_hash(r);
        break;
    case SYNC_OP_OPEN:
        read_open(r, op);
        break;
    case SYNC_OP_BLOCK:
    case SYNC_OP_HOLE:
        read_range(r, op);
        break;
    case SYNC_OP_CLOSE:
        op->hash = read_hash(r);
        break;
    case SYNC_OP_MOVE:
        op->path = read_path(r);
        op->content = read_path(r);
        read_check(r, !r->bad && move_clean(op->path, op->content));
        break;
    case SYNC_OP_DELETE:
        op->path = read_path(r);
        break;
    }
}

size_t sync_op_size(const struct sync_op *op)
{
    struct sync_writer w = {.bytes = NULL};

    write_op(&w, op);
    return w.used;
}

int sync_op_next(struct sync_bytes *batch, struct sync_op *op)
{
    struct sync_reader r = reader_of(*batch);

    if (batch->size == 0)
        return 0;
    read_op(&r, op);
    if (r.bad || r.at - batch->at > SYNC_RAW_MAX)
        return -EBADMSG;
    *batch = (struct sync_bytes){.at = r.at, .size = (size_t)(r.end - r.at)};
    return 1;
}

/* What was written is read again: what goes out is what the other side accepts, by one set of rules. */
int sync_op_pack(const struct sync_op *op, uint8_t *bytes, size_t room, size_t *used)
{
    struct sync_writer counted = {.bytes = NULL}, w = {.bytes = bytes, .used = *used, .room = room};
    struct sync_op again;

    write_op(&counted, op);
    if (counted.full || counted.used > SYNC_RAW_MAX)
        return -EINVAL;
    if (counted.used > room - *used)
        return -ENOBUFS;
    write_op(&w, op);
    struct sync_bytes written = {.at = bytes + *used, .size = w.used - *used};
    if (sync_op_next(&written, &again) != 1 || written.size > 0)
        return -EINVAL;
    *used = w.used;
    return 0;
}

/* ------------------------------------------------------------------ entries */

int sync_entry_next(struct sync_bytes *list, struct sync_bytes *path, struct sync_hash *hash)
{
    struct sync_reader r = reader_of(*list);

    if (list->size == 0)
        return 0;
    *path = read_path(&r);
    *hash = read_hash(&r);
    if (r.bad)
        return -EBADMSG;
    *list = (struct sync_bytes){.at = r.at, .size = (size_t)(r.end - r.at)};
    return 1;
}

int sync_entry_pack(struct sync_bytes path, const struct sync_hash *hash, uint8_t *bytes, size_t room,
                    size_t *used)
{
    struct sync_writer w = {.bytes = bytes, .used = *used, .room = room};

    if (!sync_path_clean(path))
        return -EINVAL;
    write_text(&w, path, 2);
    write_hash(&w, hash);
    if (w.full)
        return -ENOBUFS;
    *used = w.used;
    return 0;
}

/* ------------------------------------------------------------------- blocks */

uint32_t sync_block_size(uint64_t size, uint32_t block)
{
    while (block < SYNC_BLOCK_MAX && size > (uint64_t)block * SYNC_BLOCKS_MAX)
        block *= 2;
    return block;
}
