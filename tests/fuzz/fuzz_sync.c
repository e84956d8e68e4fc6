/* Any bytes as a message of syncd, as the body of one, as a batch, a list of entries, extended attributes and
 * a log: what parses is clean, lies within the bytes, and packs to the same bytes again. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t packed[SYNC_MESSAGE_MAX];

static void assert_within(struct sync_bytes inner, const uint8_t *data, size_t size)
{
    assert(inner.size <= size);
    assert(inner.size == 0 || (inner.at >= data && inner.at + inner.size <= data + size));
}

static void try_xattrs(const uint8_t *data, size_t size)
{
    static uint8_t again[SYNC_MESSAGE_MAX];
    struct sync_bytes list = {data, size}, name, value;
    size_t used = 0;
    int r;

    while ((r = sync_xattr_next(&list, &name, &value)) > 0) {
        assert_within(name, data, size), assert_within(value, data, size);
        assert(sync_xattr_pack(name, value, again, sizeof again, &used) == 0);
        assert(used + list.size == size && memcmp(again, data, used) == 0);
    }
    assert(r == (list.size == 0 ? 0 : -EBADMSG));
}

static void check_op(const struct sync_op *op, const uint8_t *data, size_t size)
{
    const bool named = op->kind != SYNC_OP_BLOCK && op->kind != SYNC_OP_HOLE && op->kind != SYNC_OP_CLOSE;
    const bool linked =
        op->kind == SYNC_OP_MOVE || (op->kind == SYNC_OP_PUT && op->meta.type == SYNC_HARDLINK);

    assert(op->kind >= SYNC_OP_PUT && op->kind <= SYNC_OP_DELETE);
    assert(!named || sync_path_clean(op->path));
    assert(!linked || sync_path_clean(op->content));
    assert_within(op->path, data, size), assert_within(op->content, data, size);
    assert_within(op->meta.owner, data, size), assert_within(op->meta.group, data, size);
    assert_within(op->meta.xattrs, data, size);
    assert(op->meta.type <= SYNC_HARDLINK && op->meta.mode <= 07777 && op->size <= SYNC_SIZE_MAX);
    assert(op->offset + op->content.size <= SYNC_SIZE_MAX && op->meta.owner.size <= SYNC_OWNER_MAX);
    try_xattrs(op->meta.xattrs.at, op->meta.xattrs.size);
}

static void try_operations(const uint8_t *data, size_t size)
{
    struct sync_bytes batch = {data, size};
    struct sync_op op;
    int r;

    while ((r = sync_op_next(&batch, &op)) > 0) {
        const size_t at = size - batch.size - sync_op_size(&op);
        size_t used = 0;
        check_op(&op, data, size);
        assert(sync_op_pack(&op, packed, sync_op_size(&op) - 1, &used) == -ENOBUFS);
        assert(sync_op_pack(&op, packed, sizeof packed, &used) == 0 && used == sync_op_size(&op));
        assert(memcmp(packed, data + at, used) == 0);
    }
    assert(r == (batch.size == 0 ? 0 : -EBADMSG));
}

static void try_entries(const uint8_t *data, size_t size)
{
    struct sync_bytes list = {data, size}, path;
    struct sync_hash hash;
    size_t used = 0;
    int r;

    while ((r = sync_entry_next(&list, &path, &hash)) > 0) {
        assert(sync_path_clean(path));
        assert_within(path, data, size);
        assert(sync_entry_pack(path, &hash, packed, sizeof packed, &used) == 0);
        assert(used + list.size == size && memcmp(packed, data, used) == 0);
    }
    assert(r == (list.size == 0 ? 0 : -EBADMSG));
}

static void try_log(const uint8_t *data, size_t size)
{
    const struct sync_bytes log = {data, size};
    uint8_t again[SYNC_LOG_BYTES];

    for (size_t i = 0; i <= size / SYNC_LOG_BYTES; i++) {
        const struct sync_log_entry entry = sync_log_at(log, i);
        if (sync_generation_compare(entry.generation, (struct sync_generation){0, 0}) == 0)
            continue;
        assert(i < size / SYNC_LOG_BYTES);
        sync_log_put(again, &entry);
        assert(memcmp(again, data + i * SYNC_LOG_BYTES, sizeof again) == 0);
    }
}

static void try_message(const uint8_t *data, size_t size)
{
    struct sync_message m;
    const int r = sync_parse(data, size, &m);

    assert(r == 0 || r == -EBADMSG || r == -ENOTSUP);
    if (r < 0)
        return;
    assert(m.header.size + (size_t)SYNC_HEADER_BYTES == size && m.header.set < SYNC_SETS_MAX);
    assert(sync_pack(&m, packed) == (long)size);
    assert(memcmp(packed, data, 5) == 0 && memcmp(packed + 7, data + 7, size - 7) == 0);
    if (m.header.kind == SYNC_SET) {
        assert_within(m.set.log, data, size);
        try_log(m.set.log.at, m.set.log.size);
    }
    if (m.header.kind == SYNC_ENTRIES)
        try_entries(m.entries.list.at, m.entries.list.size);
    if (m.header.kind == SYNC_BATCH && !m.batch.compressed)
        try_operations(m.batch.operations.at, m.batch.operations.size);
}

/* A right header before it, so that most inputs get beyond it. */
static void try_body(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65535)
        return;
    const uint8_t kind = data[0];
    const uint8_t header[SYNC_HEADER_BYTES] = {'D',
                                               'U',
                                               'S',
                                               'Y',
                                               1,
                                               1,
                                               1,
                                               kind,
                                               [12] = kind == SYNC_HELLO ? 0 : 9,
                                               [22] = (uint8_t)((size - 1) >> 8),
                                               [23] = (uint8_t)(size - 1)};
    uint8_t *message = malloc(sizeof header + size - 1);
    memcpy(message, header, sizeof header);
    memcpy(message + sizeof header, data + 1, size - 1);
    try_message(message, sizeof header + size - 1);
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_message(data, size);
    try_body(data, size);
    try_operations(data, size);
    try_entries(data, size);
    try_xattrs(data, size);
    try_log(data, size);
    (void)sync_path_clean((struct sync_bytes){data, size});
    return 0;
}
