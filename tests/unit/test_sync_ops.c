/* What lies inside the messages of syncd: paths, operations, entries, extended attributes; what of them is
 * refused, and that nothing is written beyond its room. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base.h"
#include "proto/sync.h"

static uint8_t zeros[1 << 17], packed[SYNC_RAW_MAX + 1], blob[SYNC_RAW_MAX + 1];

static struct sync_bytes bytes(const char *string)
{
    return (struct sync_bytes){.at = (const uint8_t *)string, .size = strlen(string)};
}

/* -------------------------------------------------------------------- paths */

static void test_clean_paths(void **state)
{
    static const char *const clean[] = {"0",        "9",    "10",        "9999",     "0/a",     "0/...",
                                        "0/..a",    "0/.a", "0/.duet",   "0/duet~",  "0/a/b/c", "0/a.duet~x",
                                        "0/\xff\n", "0/ ",  "0/.duet/~", "0/.Duet~", "12/0"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(clean); i++)
        assert_true(sync_path_clean(bytes(clean[i])));
}

/* What lies behind a path in a message may be digits, too. */
static void test_root_of_a_path(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        uint32_t root;
    } paths[] = {{"0", 1, 0},  {"17/a", 4, 17},  {"9999", 4, 9999}, {"0", 1, 0},
                 {"08", 1, 0}, {"123/4", 2, 12}, {"1/2", 3, 1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
        assert_int_equal(sync_path_root((struct sync_bytes){(const uint8_t *)paths[i].text, paths[i].size}),
                         paths[i].root);
}

static void test_paths_that_are_not_clean(void **state)
{
    static const char *const wrong[] = {"",
                                        "/",
                                        "a",
                                        "-1",
                                        "+1",
                                        " 0",
                                        "00",
                                        "01",
                                        "10000",
                                        "0x1",
                                        "0/",
                                        "0//a",
                                        "/0/a",
                                        "0/.",
                                        "0/..",
                                        "0/a/..",
                                        "0/../a",
                                        "0/./a",
                                        "0/a/",
                                        "0/a//b",
                                        "0a/b",
                                        "0/.duet~",
                                        "0/.duet~stage",
                                        "0/a/.duet~x/b",
                                        "..",
                                        "../0",
                                        "0\\a"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        assert_false(sync_path_clean(bytes(wrong[i])));
    assert_false(sync_path_clean((struct sync_bytes){NULL, 0}));
    assert_false(sync_path_clean((struct sync_bytes){(const uint8_t *)"0/a\0b", 5}));
    assert_false(sync_path_clean((struct sync_bytes){(const uint8_t *)"0\0", 2}));
}

static void test_path_lengths(void **state)
{
    uint8_t path[SYNC_PATH_MAX + 1];

    (void)state;
    memset(path, 'n', sizeof path);
    path[0] = '0', path[1] = '/';
    assert_true(sync_path_clean((struct sync_bytes){path, 2 + SYNC_NAME_MAX}));
    assert_false(sync_path_clean((struct sync_bytes){path, 2 + SYNC_NAME_MAX + 1}));
    for (size_t i = 1; i < sizeof path; i += 128)
        path[i] = '/';
    path[SYNC_PATH_MAX - 1] = path[SYNC_PATH_MAX] = 'n';
    assert_true(sync_path_clean((struct sync_bytes){path, SYNC_PATH_MAX}));
    assert_false(sync_path_clean((struct sync_bytes){path, SYNC_PATH_MAX + 1}));
}

/* --------------------------------------------------------------- operations */

static const struct sync_meta plain = {.type = SYNC_FILE, .mode = 0644};

static struct sync_op put_of(enum sync_type type, const char *content)
{
    struct sync_op op = {.kind = SYNC_OP_PUT, .path = bytes("0/a"), .meta = plain, .content = bytes(content)};

    op.meta.type = type;
    return op;
}

static struct sync_op right(enum sync_op_kind kind)
{
    struct sync_op op = {.kind = kind};

    if (kind != SYNC_OP_BLOCK && kind != SYNC_OP_HOLE && kind != SYNC_OP_CLOSE)
        op.path = bytes("0/a");
    if (kind == SYNC_OP_PUT || kind == SYNC_OP_META || kind == SYNC_OP_OPEN)
        op.meta = plain;
    if (kind == SYNC_OP_BLOCK)
        op.content = bytes("x");
    if (kind == SYNC_OP_MOVE)
        op.content = bytes("0/b");
    if (kind == SYNC_OP_OPEN)
        op.block = SYNC_BLOCK;
    if (kind == SYNC_OP_HOLE)
        op.size = 1;
    return op;
}

static int pack(const struct sync_op *op)
{
    size_t used = 0;
    const int r = sync_op_pack(op, packed, sizeof packed, &used);

    assert_int_equal(used, r == 0 ? sync_op_size(op) : 0);
    return r;
}

#define REFUSED(kind, change)                                                                                \
    do {                                                                                                     \
        struct sync_op op = right(kind);                                                                     \
        assert_int_equal(pack(&op), 0);                                                                      \
        change;                                                                                              \
        assert_int_equal(pack(&op), -EINVAL);                                                                \
    } while (0)
#define ACCEPTED(kind, change)                                                                               \
    do {                                                                                                     \
        struct sync_op op = right(kind);                                                                     \
        change;                                                                                              \
        assert_int_equal(pack(&op), 0);                                                                      \
    } while (0)

static void test_every_operation_comes_back(void **state)
{
    const struct sync_hash hash = {{1, 2, 3}}, no_hash = {{0}};

    (void)state;
    for (enum sync_op_kind kind = SYNC_OP_PUT; kind <= SYNC_OP_DELETE; kind++) {
        struct sync_op op = right(kind), again;
        op.hash = hash;
        assert_int_equal(pack(&op), 0);
        struct sync_bytes batch = {packed, sync_op_size(&op)};
        assert_int_equal(sync_op_next(&batch, &again), 1);
        assert_int_equal(batch.size, 0);
        assert_int_equal(sync_op_next(&batch, &again), 0);
        assert_int_equal(again.kind, kind);
        assert_int_equal(again.path.size, op.path.size);
        assert_int_equal(again.meta.mode, op.meta.mode);
        const bool hashed = kind == SYNC_OP_PUT || kind == SYNC_OP_META || kind == SYNC_OP_CLOSE;
        assert_memory_equal(&again.hash, hashed ? &hash : &no_hash, sizeof hash);
    }
}

static void test_kinds_and_types(void **state)
{
    struct sync_op parsed;

    (void)state;
    for (unsigned kind = 0; kind <= 255; kind++) {
        memset(packed, 0, 64);
        packed[0] = (uint8_t)kind;
        struct sync_bytes batch = {packed, 64};
        const int r = sync_op_next(&batch, &parsed);
        assert_int_equal(r, kind == SYNC_OP_CLOSE ? 1 : -EBADMSG);
        assert_int_equal(batch.size, kind == SYNC_OP_CLOSE ? 64 - 17 : 64); /* untouched by a refusal */
    }
    REFUSED(SYNC_OP_META, op.meta.type = (enum sync_type)0);
    REFUSED(SYNC_OP_META, op.meta.type = (enum sync_type)(SYNC_HARDLINK + 1));
    REFUSED(SYNC_OP_CLOSE, op.kind = (enum sync_op_kind)0);
    REFUSED(SYNC_OP_CLOSE, op.kind = (enum sync_op_kind)(SYNC_OP_DELETE + 1));
}

static void test_paths_of_operations(void **state)
{
    static const enum sync_op_kind kinds[] = {SYNC_OP_PUT, SYNC_OP_META, SYNC_OP_OPEN, SYNC_OP_MOVE,
                                              SYNC_OP_DELETE};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        REFUSED(kinds[i], op.path = bytes(""));
        REFUSED(kinds[i], op.path = bytes("0/../../etc/passwd"));
        REFUSED(kinds[i], op.path = ((struct sync_bytes){zeros, 65536}));
    }
    ACCEPTED(SYNC_OP_DELETE, op.path = bytes("0"));
}

static void test_moves(void **state)
{
    (void)state;
    ACCEPTED(SYNC_OP_MOVE, op.content = bytes("1/a"));
    ACCEPTED(SYNC_OP_MOVE, op.content = bytes("0/ab"));
    ACCEPTED(SYNC_OP_MOVE, op.content = bytes("0/a.b"));
    REFUSED(SYNC_OP_MOVE, op.content = bytes("0/a"));
    REFUSED(SYNC_OP_MOVE, op.content = bytes("0/a/b"));
    REFUSED(SYNC_OP_MOVE, op.content = bytes("1"));
    REFUSED(SYNC_OP_MOVE, op.content = bytes("0/../a"));
    REFUSED(SYNC_OP_MOVE, op.content = bytes("0/.duet~x"));
    REFUSED(SYNC_OP_MOVE, op.path = bytes("0"));
}

static void test_meta(void **state)
{
    (void)state;
    ACCEPTED(SYNC_OP_META, op.meta.mode = 07777);
    REFUSED(SYNC_OP_META, op.meta.mode = 010000);
    ACCEPTED(SYNC_OP_META, op.meta.owner = bytes("a-user-of-the-longest-name-of-all"));
    REFUSED(SYNC_OP_META, op.meta.owner = bytes("a-user-with-a-name-that-is-longer-"));
    REFUSED(SYNC_OP_META, op.meta.owner = bytes("#12"));
    REFUSED(SYNC_OP_META, op.meta.group = bytes("#"));
    ACCEPTED(SYNC_OP_META, op.meta.group = bytes("a#"));
    REFUSED(SYNC_OP_META, op.meta.group = ((struct sync_bytes){(const uint8_t *)"a\0b", 3}));
    REFUSED(SYNC_OP_META, op.meta.owner = ((struct sync_bytes){zeros, 256}));
}

static void test_contents_of_puts(void **state)
{
    struct sync_op op = put_of(SYNC_FILE, "");

    (void)state;
    assert_int_equal(pack(&op), 0);
    op.content = (struct sync_bytes){zeros, SYNC_INLINE_MAX};
    assert_int_equal(pack(&op), 0);
    op.content.size++;
    assert_int_equal(pack(&op), -EINVAL);
    const struct {
        enum sync_type type;
        const char *content;
        int result;
    } cases[] = {
        {SYNC_DIRECTORY, "", 0},       {SYNC_DIRECTORY, "x", -EINVAL},  {SYNC_SYMLINK, "../..", 0},
        {SYNC_SYMLINK, "", -EINVAL},   {SYNC_HARDLINK, "0/b", 0},       {SYNC_HARDLINK, "", -EINVAL},
        {SYNC_HARDLINK, "b", -EINVAL}, {SYNC_HARDLINK, "0/a", -EINVAL}, {SYNC_HARDLINK, "0/../b", -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        op = put_of(cases[i].type, cases[i].content);
        assert_int_equal(pack(&op), cases[i].result);
    }
    op = put_of(SYNC_SYMLINK, "x");
    op.content = (struct sync_bytes){(const uint8_t *)"a\0b", 3};
    assert_int_equal(pack(&op), -EINVAL);
    memset(blob, 'x', sizeof blob);
    op.content = (struct sync_bytes){blob, SYNC_TARGET_MAX};
    assert_int_equal(pack(&op), 0);
    op.content.size++;
    assert_int_equal(pack(&op), -EINVAL);
}

static void test_files_in_pieces(void **state)
{
    (void)state;
    REFUSED(SYNC_OP_OPEN, op.meta.type = SYNC_DIRECTORY);
    REFUSED(SYNC_OP_OPEN, op.block = 0);
    REFUSED(SYNC_OP_OPEN, op.block = SYNC_BLOCK_SMALL / 2);
    REFUSED(SYNC_OP_OPEN, op.block = SYNC_BLOCK * 3);
    REFUSED(SYNC_OP_OPEN, op.block = 1u << 31);
    ACCEPTED(SYNC_OP_OPEN, op.size = (uint64_t)SYNC_BLOCK * SYNC_BLOCKS_MAX);
    REFUSED(SYNC_OP_OPEN, op.size = (uint64_t)SYNC_BLOCK * SYNC_BLOCKS_MAX + 1);
    ACCEPTED(SYNC_OP_OPEN, (op.size = SYNC_SIZE_MAX, op.block = SYNC_BLOCK_MAX));
    REFUSED(SYNC_OP_OPEN, (op.size = SYNC_SIZE_MAX + 1, op.block = SYNC_BLOCK_MAX));
    REFUSED(SYNC_OP_BLOCK, op.content.size = 0);
    ACCEPTED(SYNC_OP_BLOCK, op.offset = SYNC_SIZE_MAX - 1);
    REFUSED(SYNC_OP_BLOCK, op.offset = SYNC_SIZE_MAX);
    REFUSED(SYNC_OP_BLOCK, op.offset = UINT64_MAX);
    ACCEPTED(SYNC_OP_BLOCK, op.content = ((struct sync_bytes){blob, SYNC_RAW_MAX - 13}));
    REFUSED(SYNC_OP_BLOCK, op.content = ((struct sync_bytes){blob, SYNC_RAW_MAX - 12}));
    REFUSED(SYNC_OP_HOLE, op.size = 0);
    ACCEPTED(SYNC_OP_HOLE, op.size = SYNC_SIZE_MAX);
    REFUSED(SYNC_OP_HOLE, op.size = SYNC_SIZE_MAX + 1);
    REFUSED(SYNC_OP_HOLE, (op.size = 2, op.offset = SYNC_SIZE_MAX - 1));
    REFUSED(SYNC_OP_HOLE, (op.size = UINT64_MAX, op.offset = 2));
}

static void test_flags_of_open(void **state)
{
    struct sync_op op = right(SYNC_OP_OPEN), again;

    (void)state;
    assert_int_equal(pack(&op), 0);
    const size_t size = sync_op_size(&op);
    for (unsigned flags = 1; flags <= 255; flags++) {
        memset(packed + size, 0, SYNC_HASH_BYTES);
        packed[size - 1] = (uint8_t)flags;
        struct sync_bytes batch = {packed, size + SYNC_HASH_BYTES};
        assert_int_equal(sync_op_next(&batch, &again), flags == 1 ? 1 : -EBADMSG);
    }
    op.patch = true;
    assert_int_equal(sync_op_size(&op), size + SYNC_HASH_BYTES);
}

/* An operation longer than a batch may be is refused in what was read, too (a journal is longer). */
static void test_operations_longer_than_a_batch(void **state)
{
    struct sync_op op = right(SYNC_OP_BLOCK);

    (void)state;
    op.content = (struct sync_bytes){blob, SYNC_RAW_MAX - 13};
    assert_int_equal(pack(&op), 0);
    struct sync_bytes batch = {packed, SYNC_RAW_MAX + 1};
    assert_int_equal(sync_op_next(&batch, &op), 1);
    batch = (struct sync_bytes){packed, SYNC_RAW_MAX + 1};
    packed[12]++;
    assert_int_equal(sync_op_next(&batch, &op), -EBADMSG);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    for (enum sync_op_kind kind = SYNC_OP_PUT; kind <= SYNC_OP_DELETE; kind++) {
        struct sync_op op = right(kind), again;
        op.patch = true;
        assert_int_equal(pack(&op), 0);
        const size_t size = sync_op_size(&op);
        for (size_t cut = 1; cut < size; cut++) {
            uint8_t *exact = malloc(cut); /* so that a sanitizer sees each byte too many */
            memcpy(exact, packed, cut);
            struct sync_bytes batch = {exact, cut};
            assert_int_equal(sync_op_next(&batch, &again), -EBADMSG);
            free(exact);
        }
    }
}

static void test_no_room(void **state)
{
    (void)state;
    for (enum sync_op_kind kind = SYNC_OP_PUT; kind <= SYNC_OP_DELETE; kind++) {
        const struct sync_op op = right(kind);
        const size_t size = sync_op_size(&op);
        for (size_t room = 3; room < size + 3; room++) {
            uint8_t *exact = calloc(1, room);
            size_t used = 3;
            assert_int_equal(sync_op_pack(&op, exact, room, &used), -ENOBUFS);
            assert_int_equal(used, 3);
            for (size_t i = 0; i < room; i++)
                assert_int_equal(exact[i], 0);
            free(exact);
        }
        size_t used = 3;
        assert_int_equal(sync_op_pack(&op, packed, size + 3, &used), 0);
        assert_int_equal(used, size + 3);
    }
}

/* Whoever sends the batch off and tries again with an empty one must not do so for ever. */
static void test_what_never_fits_is_not_for_lack_of_room(void **state)
{
    struct sync_op op = right(SYNC_OP_BLOCK);
    size_t used = 0;

    (void)state;
    op.content = (struct sync_bytes){blob, SYNC_RAW_MAX - 12};
    assert_int_equal(sync_op_pack(&op, packed, 100, &used), -EINVAL);
    op = right(SYNC_OP_DELETE);
    op.path = (struct sync_bytes){blob, 65536};
    assert_int_equal(sync_op_pack(&op, packed, 100, &used), -EINVAL);
    assert_int_equal(used, 0);
}

/* ------------------------------------------------------ extended attributes */

static struct sync_bytes xattrs_of(const char *const *names, size_t count)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++)
        assert_int_equal(sync_xattr_pack(bytes(names[i]), bytes("value"), blob, sizeof blob, &used), 0);
    return (struct sync_bytes){blob, used};
}

static int walk(struct sync_bytes xattrs)
{
    struct sync_bytes name, value;
    int r;

    while ((r = sync_xattr_next(&xattrs, &name, &value)) > 0)
        assert_int_equal(value.size, 5);
    return r;
}

static void test_xattrs_ascend(void **state)
{
    static const char *const right_order[] = {"a", "a.b", "ab", "b", "b\x7f", "b\x80"};
    static const char *const wrong[][2] = {{"b", "a"}, {"a", "a"}, {"ab", "a"}, {"b\x80", "b\x7f"}};

    (void)state;
    assert_int_equal(walk(xattrs_of(right_order, ARRAY_LENGTH(right_order))), 0);
    ACCEPTED(SYNC_OP_META, op.meta.xattrs = xattrs_of(right_order, 6));
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(walk(xattrs_of(wrong[i], 2)), -EBADMSG);
        REFUSED(SYNC_OP_META, op.meta.xattrs = xattrs_of(wrong[i], 2));
    }
}

static void test_xattrs_refused(void **state)
{
    static const char *const names[] = {"user.a", "user.b"};
    const struct sync_bytes two = xattrs_of(names, 2);
    size_t used = 0;

    (void)state;
    for (size_t cut = 1; cut < two.size; cut++)
        assert_int_equal(walk((struct sync_bytes){two.at, cut}), cut == two.size / 2 ? 0 : -EBADMSG);
    REFUSED(SYNC_OP_META, op.meta.xattrs = ((struct sync_bytes){two.at, two.size - 1}));
    blob[4] = '\0';
    assert_int_equal(walk(two), -EBADMSG);
    memset(blob, 0, 16); /* a name of no bytes */
    assert_int_equal(walk((struct sync_bytes){blob, 6}), -EBADMSG);
    memset(blob, 'n', 512);
    const struct sync_bytes longest = {blob, SYNC_NAME_MAX}, longer = {blob, SYNC_NAME_MAX + 1};
    assert_int_equal(sync_xattr_pack(longest, bytes(""), packed, sizeof packed, &used), 0);
    assert_int_equal(used, 2 + SYNC_NAME_MAX + 4);
    assert_int_equal(sync_xattr_pack(longer, bytes(""), packed, sizeof packed, &used), -EINVAL);
    assert_int_equal(sync_xattr_pack(bytes(""), bytes(""), packed, sizeof packed, &used), -EINVAL);
    assert_int_equal(sync_xattr_pack((struct sync_bytes){zeros, 1}, bytes(""), packed, sizeof packed, &used),
                     -EINVAL);
    assert_int_equal(sync_xattr_pack(bytes("a"), (struct sync_bytes){zeros, SYNC_XATTRS_MAX + 1}, packed,
                                     sizeof packed, &used),
                     -EINVAL);
    assert_int_equal(sync_xattr_pack(bytes("a"), bytes("b"), packed, used + 7, &used), -ENOBUFS);
    assert_int_equal(used, 2 + SYNC_NAME_MAX + 4);
}

static void test_the_most_xattrs(void **state)
{
    size_t used = 0;

    (void)state;
    assert_int_equal(sync_xattr_pack(bytes("user.a"), (struct sync_bytes){zeros, SYNC_XATTRS_MAX - 12}, blob,
                                     sizeof blob, &used),
                     0);
    assert_int_equal(used, SYNC_XATTRS_MAX);
    ACCEPTED(SYNC_OP_META, op.meta.xattrs = ((struct sync_bytes){blob, used}));
    used = 0;
    assert_int_equal(sync_xattr_pack(bytes("user.a"), (struct sync_bytes){zeros, SYNC_XATTRS_MAX - 11}, blob,
                                     sizeof blob, &used),
                     0);
    REFUSED(SYNC_OP_META, op.meta.xattrs = ((struct sync_bytes){blob, used}));
}

/* ------------------------------------------------ entries, order, block sizes */

static void test_entries(void **state)
{
    const struct sync_hash hash = {{7}};
    struct sync_bytes path;
    struct sync_hash seen;
    size_t used = 0;

    (void)state;
    assert_int_equal(sync_entry_pack(bytes("0/.."), &hash, packed, 64, &used), -EINVAL);
    assert_int_equal(sync_entry_pack(bytes("0/a"), &hash, packed, 20, &used), -ENOBUFS);
    assert_int_equal(used, 0);
    assert_int_equal(sync_entry_pack(bytes("0/a"), &hash, packed, 21, &used), 0);
    assert_int_equal(used, 21);
    struct sync_bytes list = {packed, used};
    assert_int_equal(sync_entry_next(&list, &path, &seen), 1);
    assert_int_equal(path.size, 3);
    assert_memory_equal(&seen, &hash, sizeof hash);
    assert_int_equal(sync_entry_next(&list, &path, &seen), 0);
    for (size_t cut = 1; cut < used; cut++) {
        list = (struct sync_bytes){packed, cut};
        assert_int_equal(sync_entry_next(&list, &path, &seen), -EBADMSG);
        assert_int_equal(list.size, cut);
    }
}

static void test_generations_have_an_order(void **state)
{
    const struct sync_generation order[] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, SYNC_NUMBER_MAX}, {2, 0}};

    (void)state;
    for (size_t a = 0; a < ARRAY_LENGTH(order); a++)
        for (size_t b = 0; b < ARRAY_LENGTH(order); b++) {
            const int r = sync_generation_compare(order[a], order[b]);
            assert_int_equal((r > 0) - (r < 0), (a > b) - (a < b));
        }
}

static void test_block_sizes(void **state)
{
    const uint64_t four_gib = UINT64_C(1) << 32;

    (void)state;
    assert_int_equal(sync_block_size(0, SYNC_BLOCK), SYNC_BLOCK);
    assert_int_equal(sync_block_size(four_gib, SYNC_BLOCK), SYNC_BLOCK);
    assert_int_equal(sync_block_size(four_gib + 1, SYNC_BLOCK), SYNC_BLOCK * 2);
    assert_int_equal(sync_block_size(four_gib, SYNC_BLOCK_SMALL), SYNC_BLOCK);
    assert_int_equal(sync_block_size(SYNC_SIZE_MAX, SYNC_BLOCK), SYNC_BLOCK_MAX);
    assert_int_equal(sync_block_size(UINT64_MAX, SYNC_BLOCK), SYNC_BLOCK_MAX);
    assert_true(SYNC_SIZE_MAX / SYNC_BLOCK_MAX <= SYNC_BLOCKS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_paths),
        cmocka_unit_test(test_root_of_a_path),
        cmocka_unit_test(test_paths_that_are_not_clean),
        cmocka_unit_test(test_path_lengths),
        cmocka_unit_test(test_every_operation_comes_back),
        cmocka_unit_test(test_kinds_and_types),
        cmocka_unit_test(test_paths_of_operations),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_meta),
        cmocka_unit_test(test_contents_of_puts),
        cmocka_unit_test(test_files_in_pieces),
        cmocka_unit_test(test_flags_of_open),
        cmocka_unit_test(test_operations_longer_than_a_batch),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_what_never_fits_is_not_for_lack_of_room),
        cmocka_unit_test(test_xattrs_ascend),
        cmocka_unit_test(test_xattrs_refused),
        cmocka_unit_test(test_the_most_xattrs),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_generations_have_an_order),
        cmocka_unit_test(test_block_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
