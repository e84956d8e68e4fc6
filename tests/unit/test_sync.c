/* What the messages of syncd refuse, kind by kind (tests/unit/test_sync_vectors.c has what they accept). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base.h"
#include "proto/sync.h"

static uint8_t packed[SYNC_MESSAGE_MAX];

/* ------------------------------------------------------------------- header */

static struct sync_bytes bytes(const char *string)
{
    return (struct sync_bytes){.at = (const uint8_t *)string, .size = strlen(string)};
}

static void test_headers(void **state)
{
    const struct sync_message now = {.header = {.kind = SYNC_NOW, .set = 3, .session = 7}};
    struct sync_message m;
    const struct {
        size_t at;
        uint8_t value;
        int result;
    } cases[] = {
        {0, 'd', -EBADMSG}, {3, 'Z', -EBADMSG},                     /* magic */
        {4, 0, -EBADMSG},   {4, 2, -EBADMSG},                       /* version outside min … max */
        {5, 0, 0},          {5, 2, -EBADMSG},                       /* min */
        {6, 9, 0},          {6, 0, -EBADMSG},                       /* max */
        {7, 0, -EBADMSG},   {7, 16, -EBADMSG},  {7, 255, -EBADMSG}, /* kind */
        {8, 1, -EBADMSG},   {9, 63, 0},         {9, 64, -EBADMSG},  /* set */
        {10, 1, -EBADMSG},  {11, 1, -EBADMSG},                      /* reserved */
        {23, 1, -EBADMSG},  {20, 1, -EBADMSG},                      /* size */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(sync_pack(&now, packed), SYNC_HEADER_BYTES);
        packed[cases[i].at] = cases[i].value;
        assert_int_equal(sync_parse(packed, SYNC_HEADER_BYTES, &m), cases[i].result);
    }
}

/* The peer was upgraded: its header tells so, whatever its messages are. */
static void test_another_version_is_told(void **state)
{
    const struct sync_message now = {.header = {.kind = SYNC_NOW, .set = 3, .session = 7}};
    struct sync_message m;

    (void)state;
    assert_int_equal(sync_pack(&now, packed), SYNC_HEADER_BYTES);
    packed[4] = 3, packed[5] = 2, packed[6] = 4, packed[7] = 200, packed[10] = 1, packed[23] = 5;
    assert_int_equal(sync_parse(packed, SYNC_HEADER_BYTES + 5, &m), -ENOTSUP);
    assert_int_equal(m.header.version, 3);
    assert_int_equal(m.header.version_min, 2);
    assert_int_equal(m.header.version_max, 4);
    assert_int_equal(m.header.kind, 200);
    assert_int_equal(m.header.set, 3);
    assert_int_equal(m.header.session, 7);
    assert_int_equal(sync_parse(packed, SYNC_HEADER_BYTES + 4, &m), -EBADMSG);
}

static void test_sessions_combine(void **state)
{
    (void)state;
    assert_int_equal(sync_session(0xf0, 0x0f), 0xff);
    assert_int_equal(sync_session(3, 5), sync_session(5, 3));
    assert_int_not_equal(sync_session(3, 5), sync_session(3, 4));
}

/* ------------------------------------------------- values that are refused */

static uint8_t zeros[SYNC_MESSAGE_MAX];
static const struct sync_generation some = {.epoch = 17, .counter = 4};

/* A right message of each kind; the tests below spoil one thing. */
static struct sync_message right(enum sync_kind kind)
{
    struct sync_message m = {.header = {.kind = kind, .session = 7}};

    switch (kind) {
    case SYNC_HELLO:
        m.header.session = 0;
        m.hello.session = 9, m.hello.node = bytes("alpha");
        break;
    case SYNC_SET:
        m.set.name = bytes("web");
        break;
    case SYNC_ASK:
        m.ask.what = SYNC_ASK_BUCKET;
        break;
    case SYNC_HASHES:
        m.hashes.root = true;
        m.hashes.hashes = (struct sync_bytes){zeros, SYNC_FANOUT * SYNC_HASH_BYTES};
        break;
    case SYNC_BLOCKS:
        m.blocks.path = bytes("0/a"), m.blocks.block = SYNC_BLOCK;
        break;
    case SYNC_BEGIN:
        m.begin.generation = some;
        break;
    case SYNC_BATCH:
        m.batch.raw_size = 5, m.batch.operations = (struct sync_bytes){zeros, 5};
        break;
    case SYNC_COMMIT:
        m.commit.generation = some;
        break;
    case SYNC_ACK:
        m.ack.generation = some, m.ack.fate = SYNC_APPLIED;
        break;
    case SYNC_RESTORE:
        m.restore = some;
        break;
    default:
        break;
    }
    return m;
}

/* Packing writes what it is given and lets the parser judge it: so these are the parser's refusals, too. */
#define REFUSED(kind, change) REFUSED_BY(kind, change, -EINVAL)
#define REFUSED_BY(kind, change, error)                                                                      \
    do {                                                                                                     \
        struct sync_message m = right(kind);                                                                 \
        assert_true(sync_pack(&m, packed) > 0);                                                              \
        change;                                                                                              \
        assert_int_equal(sync_pack(&m, packed), error);                                                      \
    } while (0)
#define ACCEPTED(kind, change)                                                                               \
    do {                                                                                                     \
        struct sync_message m = right(kind);                                                                 \
        change;                                                                                              \
        assert_true(sync_pack(&m, packed) > 0);                                                              \
    } while (0)

static const struct sync_generation none = {0, 0}, beyond = {1, SYNC_NUMBER_MAX + 1},
                                    epoch_beyond = {SYNC_NUMBER_MAX + 1, 1};

static void test_hello_refused(void **state)
{
    (void)state;
    REFUSED(SYNC_HELLO, m.header.session = 1);
    REFUSED(SYNC_HELLO, m.header.set = 1);
    REFUSED(SYNC_HELLO, m.hello.session = 0);
    REFUSED(SYNC_HELLO, m.hello.epoch = SYNC_NUMBER_MAX + 1);
    REFUSED(SYNC_HELLO, m.hello.sets = SYNC_SETS_MAX + 1);
    ACCEPTED(SYNC_HELLO, m.hello.sets = SYNC_SETS_MAX);
    REFUSED(SYNC_HELLO, m.hello.node = bytes(""));
    REFUSED(SYNC_HELLO, m.hello.node = bytes("al pha"));
    REFUSED(SYNC_HELLO, m.hello.node = bytes("alph\303\244"));
    REFUSED(SYNC_HELLO, m.hello.node = bytes("a/b"));
    REFUSED(SYNC_HELLO, m.hello.node = bytes("a-name-of-thirty-two-letters-in-it"));
}

/* Exactly the letters that the configuration allows. */
static void test_letters_of_names(void **state)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    (void)state;
    for (unsigned letter = 0; letter <= 255; letter++) {
        const uint8_t name[] = {'n', (uint8_t)letter};
        struct sync_message m = right(SYNC_SET);
        m.set.name = (struct sync_bytes){name, sizeof name};
        const bool right_one = letter != 0 && strchr(allowed, (int)letter);
        assert_int_equal(sync_pack(&m, packed) > 0, right_one);
    }
}

/* More generations than packing would tell of. */
static void test_a_log_that_is_too_long(void **state)
{
    const struct sync_log_entry entry = {.generation = some};
    struct sync_message m = right(SYNC_SET);

    (void)state;
    long size = sync_pack(&m, packed);
    for (unsigned count = 1; count <= SYNC_LOG_MAX + 1; count++) {
        sync_log_put(packed + size, &entry);
        size += SYNC_LOG_BYTES;
        const size_t body = (size_t)size - SYNC_HEADER_BYTES;
        packed[22] = (uint8_t)(body >> 8), packed[23] = (uint8_t)body;
        packed[SYNC_HEADER_BYTES + 69] = (uint8_t)count;
        assert_int_equal(sync_parse(packed, (size_t)size, &m), count <= SYNC_LOG_MAX ? 0 : -EBADMSG);
    }
}

static void test_set_refused(void **state)
{
    uint8_t log[(SYNC_LOG_MAX + 1) * SYNC_LOG_BYTES];
    const struct sync_log_entry entry = {.generation = some}, no_entry = {.generation = {0, 0}};

    (void)state;
    for (size_t i = 0; i <= SYNC_LOG_MAX; i++)
        sync_log_put(log + i * SYNC_LOG_BYTES, &entry);
    const struct sync_bytes all = {log, SYNC_LOG_MAX * SYNC_LOG_BYTES};
    REFUSED(SYNC_SET, m.header.set = SYNC_SETS_MAX);
    REFUSED(SYNC_SET, m.set.name = bytes(""));
    REFUSED(SYNC_SET, m.set.generation = beyond);
    REFUSED(SYNC_SET, m.set.generation = epoch_beyond);
    REFUSED(SYNC_SET, m.set.entries = SYNC_NUMBER_MAX + 1);
    REFUSED(SYNC_SET, m.set.bytes = UINT64_MAX);
    ACCEPTED(SYNC_SET, (m.set.log = all, m.set.log_count = SYNC_LOG_MAX));
    REFUSED(SYNC_SET, (m.set.log = all, m.set.log_count = SYNC_LOG_MAX - 1));
    REFUSED(SYNC_SET, m.set.log = all);
    REFUSED_BY(SYNC_SET,
               (m.set.log = (struct sync_bytes){log, sizeof log}, m.set.log_count = SYNC_LOG_MAX + 1),
               -EMSGSIZE);
    REFUSED_BY(SYNC_SET, (m.set.log = all, m.set.log_count = SYNC_LOG_MAX + 256), -EMSGSIZE);
    sync_log_put(log + 5 * SYNC_LOG_BYTES, &no_entry);
    REFUSED(SYNC_SET, (m.set.log = all, m.set.log_count = SYNC_LOG_MAX));
    assert_int_equal(sync_log_at(all, 4).generation.epoch, 17);
    assert_int_equal(sync_log_at(all, SYNC_LOG_MAX).generation.epoch, 0); /* behind its end */
}

static void test_ask_and_hashes_refused(void **state)
{
    (void)state;
    REFUSED(SYNC_ASK, m.ask.what = (enum sync_ask)0);
    REFUSED(SYNC_ASK, m.ask.what = (enum sync_ask)5);
    REFUSED(SYNC_ASK, m.ask.index = SYNC_BUCKETS);
    ACCEPTED(SYNC_ASK, m.ask.index = SYNC_BUCKETS - 1);
    REFUSED(SYNC_ASK, m.ask.path = bytes("0"));
    REFUSED(SYNC_ASK, (m.ask.what = SYNC_ASK_GROUP, m.ask.index = SYNC_FANOUT));
    REFUSED(SYNC_ASK, (m.ask.what = SYNC_ASK_ROOT, m.ask.index = 1));
    ACCEPTED(SYNC_ASK, (m.ask.what = SYNC_ASK_BLOCKS, m.ask.path = bytes("0/a")));
    REFUSED(SYNC_ASK, (m.ask.what = SYNC_ASK_BLOCKS, m.ask.path = bytes("0/a"), m.ask.index = 1));
    REFUSED(SYNC_ASK, m.ask.what = SYNC_ASK_BLOCKS);
    REFUSED(SYNC_ASK, (m.ask.what = SYNC_ASK_BLOCKS, m.ask.path = bytes("0/../a")));
    REFUSED_BY(SYNC_ASK, (m.ask.what = SYNC_ASK_BLOCKS, m.ask.path = (struct sync_bytes){zeros, 65536}),
               -EMSGSIZE);
    REFUSED(SYNC_HASHES, m.hashes.group = 1);
    ACCEPTED(SYNC_HASHES, (m.hashes.root = false, m.hashes.group = SYNC_FANOUT - 1));
    REFUSED(SYNC_HASHES, (m.hashes.root = false, m.hashes.group = SYNC_FANOUT));
    REFUSED(SYNC_HASHES, m.hashes.hashes.size--);
    REFUSED(SYNC_HASHES, m.hashes.hashes.size++);
}

static void test_lists_refused(void **state)
{
    uint8_t list[64];
    size_t used = 0;
    const struct sync_hash entry = {{1}};

    (void)state;
    assert_int_equal(sync_entry_pack(bytes("0/a"), &entry, list, sizeof list, &used), 0);
    assert_int_equal(sync_entry_pack(bytes("0"), &entry, list, sizeof list, &used), 0);
    const struct sync_bytes two = {list, used};
    ACCEPTED(SYNC_ENTRIES, (m.entries.list = two, m.entries.count = 2, m.entries.more = true));
    REFUSED(SYNC_ENTRIES, (m.entries.list = two, m.entries.count = 1));
    REFUSED(SYNC_ENTRIES, (m.entries.list = two, m.entries.count = 3));
    REFUSED(SYNC_ENTRIES, (m.entries.list = two, m.entries.list.size--, m.entries.count = 2));
    REFUSED(SYNC_ENTRIES, m.entries.bucket = SYNC_BUCKETS);
    REFUSED(SYNC_ENTRIES, m.entries.more = true);
    list[3] = '\0'; /* "0/a" */
    REFUSED(SYNC_ENTRIES, (m.entries.list = two, m.entries.count = 2));
    ACCEPTED(SYNC_BLOCKS, m.blocks.first = SYNC_BLOCKS_MAX);
    REFUSED(SYNC_BLOCKS, m.blocks.first = SYNC_BLOCKS_MAX + 1);
    REFUSED(SYNC_BLOCKS,
            (m.blocks.first = SYNC_BLOCKS_MAX, m.blocks.hashes = (struct sync_bytes){zeros, 16}));
    REFUSED(SYNC_BLOCKS, m.blocks.hashes = ((struct sync_bytes){zeros, 17}));
    REFUSED(SYNC_BLOCKS, m.blocks.more = true);
    REFUSED(SYNC_BLOCKS, m.blocks.path = bytes("a"));
    REFUSED(SYNC_BLOCKS, m.blocks.block = 0);
    REFUSED(SYNC_BLOCKS, m.blocks.block = 2048);
    REFUSED(SYNC_BLOCKS, m.blocks.block = SYNC_BLOCK + 1);
    REFUSED(SYNC_BLOCKS, m.blocks.block = 1u << 31);
    REFUSED_BY(SYNC_BLOCKS, m.blocks.hashes = ((struct sync_bytes){zeros, sizeof zeros}), -EMSGSIZE);
}

static void test_generations_refused(void **state)
{
    uint8_t long_text[SYNC_TEXT_MAX + 1];

    (void)state;
    REFUSED(SYNC_BEGIN, m.begin.generation = none);
    REFUSED(SYNC_BEGIN, m.begin.generation = beyond);
    REFUSED(SYNC_BEGIN, m.begin.base = beyond);
    REFUSED(SYNC_BEGIN, m.begin.files = UINT64_MAX);
    REFUSED(SYNC_BEGIN, m.begin.bytes = SYNC_NUMBER_MAX + 1);
    REFUSED(SYNC_COMMIT, m.commit.generation = none);
    REFUSED(SYNC_RESTORE, m.restore = none);
    REFUSED(SYNC_RESTORE, m.restore = epoch_beyond);
    REFUSED(SYNC_ACK, m.ack.generation = none);
    REFUSED(SYNC_ACK, m.ack.fate = (enum sync_fate)0);
    REFUSED(SYNC_ACK, m.ack.fate = (enum sync_fate)(SYNC_FULL + 1));
    memset(long_text, 7, sizeof long_text);
    ACCEPTED(SYNC_ACK, m.ack.text = ((struct sync_bytes){long_text, SYNC_TEXT_MAX}));
    REFUSED(SYNC_ACK, m.ack.text = ((struct sync_bytes){long_text, SYNC_TEXT_MAX + 1}));
    REFUSED(SYNC_ACK, m.ack.text = ((struct sync_bytes){zeros, 1})); /* NUL */
    REFUSED(SYNC_CREDIT, m.credit = SYNC_NUMBER_MAX + 1);
    REFUSED(SYNC_VERIFY, m.verify.files = SYNC_NUMBER_MAX + 1);
    REFUSED(SYNC_VERIFY, m.verify.bytes = SYNC_NUMBER_MAX + 1);
}

static void test_batches_refused(void **state)
{
    (void)state;
    REFUSED(SYNC_BATCH, m.batch.raw_size = 4);
    REFUSED(SYNC_BATCH, m.batch.raw_size = 6);
    REFUSED(SYNC_BATCH, (m.batch.raw_size = 0, m.batch.operations.size = 0));
    ACCEPTED(SYNC_BATCH, (m.batch.compressed = true, m.batch.raw_size = SYNC_RAW_MAX));
    REFUSED(SYNC_BATCH, (m.batch.compressed = true, m.batch.raw_size = SYNC_RAW_MAX + 1));
    REFUSED(SYNC_BATCH, (m.batch.compressed = true, m.batch.raw_size = 0));
    REFUSED(SYNC_BATCH, (m.batch.compressed = true, m.batch.operations.size = 0));
    ACCEPTED(SYNC_BATCH, m.batch.operations.size = m.batch.raw_size = SYNC_RAW_MAX);
    REFUSED(SYNC_BATCH, m.batch.operations.size = m.batch.raw_size = SYNC_RAW_MAX + 1);
    REFUSED_BY(SYNC_BATCH, m.batch.operations.size = SYNC_MESSAGE_MAX, -EMSGSIZE);
}

/* Flags that this version does not know; packing cannot make them. */
static void test_unknown_flags_are_refused(void **state)
{
    const struct {
        enum sync_kind kind;
        size_t at; /* in the body */
        uint8_t known;
    } flags[] = {{SYNC_HELLO, 16, 1},  {SYNC_SET, 4 + 16 + 16 + 16 + 16, 1},
                 {SYNC_ENTRIES, 2, 1}, {SYNC_BLOCKS, 29, 1},
                 {SYNC_BEGIN, 32, 3},  {SYNC_BATCH, 0, 1},
                 {SYNC_COMMIT, 64, 1}, {SYNC_VERIFY, 0, 1}};
    struct sync_message parsed;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        const struct sync_message m = right(flags[i].kind);
        const long size = sync_pack(&m, packed);
        assert_true(size > 0);
        uint8_t *flag = packed + SYNC_HEADER_BYTES + flags[i].at;
        assert_int_equal(*flag, 0);
        for (unsigned value = flags[i].known + 1u; value <= 255; value++) {
            *flag = (uint8_t)value;
            assert_int_equal(sync_parse(packed, (size_t)size, &parsed), -EBADMSG);
        }
    }
}

static void test_unknown_kinds_are_not_packed(void **state)
{
    struct sync_message m = {.header = {.kind = (enum sync_kind)0}};

    (void)state;
    assert_int_equal(sync_pack(&m, packed), -EINVAL);
    m.header.kind = (enum sync_kind)(SYNC_KEY + 1);
    assert_int_equal(sync_pack(&m, packed), -EINVAL);
}

static void test_the_longest_message(void **state)
{
    static uint8_t longer[SYNC_MESSAGE_MAX + 1];
    const size_t fixed = SYNC_HEADER_BYTES + 1 + 4;
    struct sync_message m = right(SYNC_BATCH), parsed;

    (void)state;
    m.batch.compressed = true;
    m.batch.operations = (struct sync_bytes){zeros, SYNC_MESSAGE_MAX - fixed};
    assert_int_equal(sync_pack(&m, packed), SYNC_MESSAGE_MAX);
    assert_int_equal(sync_parse(packed, SYNC_MESSAGE_MAX, &parsed), 0);
    memcpy(longer, packed, SYNC_MESSAGE_MAX);
    longer[23]++;
    assert_int_equal(sync_parse(longer, sizeof longer, &parsed), -EBADMSG);
    m.batch.operations.size++;
    assert_int_equal(sync_pack(&m, packed), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_another_version_is_told),
        cmocka_unit_test(test_sessions_combine),
        cmocka_unit_test(test_hello_refused),
        cmocka_unit_test(test_letters_of_names),
        cmocka_unit_test(test_a_log_that_is_too_long),
        cmocka_unit_test(test_set_refused),
        cmocka_unit_test(test_ask_and_hashes_refused),
        cmocka_unit_test(test_lists_refused),
        cmocka_unit_test(test_generations_refused),
        cmocka_unit_test(test_batches_refused),
        cmocka_unit_test(test_unknown_flags_are_refused),
        cmocka_unit_test(test_unknown_kinds_are_not_packed),
        cmocka_unit_test(test_the_longest_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
