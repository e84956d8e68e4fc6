/* The hashes that both nodes must agree on: known answers, and what counts in an entry's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "syncd/hash.h"

static const uint8_t key[32] = "the key of the pair, 32 bytes ..";
static struct hasher *hasher;

static int begin(void **state)
{
    (void)state;
    return hasher_new(key, &hasher);
}

static int end(void **state)
{
    (void)state;
    hasher_free(hasher);
    return 0;
}

static void assert_hash(struct sync_hash hash, const char *hex)
{
    char own[2 * SYNC_HASH_BYTES + 1];

    for (size_t i = 0; i < SYNC_HASH_BYTES; i++)
        snprintf(own + 2 * i, 3, "%02x", hash.bytes[i]);
    assert_string_equal(own, hex);
}

static struct hash_entry usual(void)
{
    return (struct hash_entry){
        .path = {(const uint8_t *)"0/var/log/mail.log", 18},
        .type = SYNC_FILE,
        .mode = 0640,
        .mtime_ns = INT64_C(1764063590123456789),
        .owner = "root",
        .group = "adm",
        .content = hash_bytes(hasher, "abc", 3),
        .size = 3,
    };
}

/* If one of these changes, two nodes of different versions never agree: raise SYNC_VERSION. */
static void test_known_answers(void **state)
{
    (void)state;
    const struct sync_hash two[2] = {hash_bytes(hasher, "a", 1), hash_bytes(hasher, "b", 1)};
    const struct hash_entry entry = usual();
    uint8_t long_one[16384];

    memset(long_one, 'x', sizeof long_one);
    assert_hash(hash_bytes(hasher, "", 0), "f8515d4152ed2e0ccb2d8116d86e4db7");
    assert_hash(hash_bytes(hasher, "abc", 3), "62be992411ae20c154e9394267cae5ef");
    assert_hash(hash_bytes(hasher, long_one, sizeof long_one), "9b266714570f59ae14c7a6415a5c2e1f");
    assert_hash(hash_content(hasher, two, 2), "b948a8968049888e6e5044898ec2f01b");
    assert_hash(hash_entry(hasher, &entry), "c71a439cff63dcd553a0a5b518e6f901");
}

static void test_another_key_is_another_hash(void **state)
{
    (void)state;
    struct hasher *other;
    uint8_t other_key[32];

    memcpy(other_key, key, sizeof key);
    other_key[31] ^= 1;
    assert_int_equal(hasher_new(other_key, &other), 0);
    const struct sync_hash a = hash_bytes(hasher, "abc", 3), b = hash_bytes(other, "abc", 3);
    assert_false(hash_equal(&a, &b));
    hasher_free(other);
    hasher_free(NULL);
}

static void test_contents(void **state)
{
    (void)state;
    const struct sync_hash empty = hash_bytes(hasher, "", 0), block = hash_bytes(hasher, "a", 1);
    const struct sync_hash blocks[2] = {block, empty};
    const struct sync_hash none = hash_content(hasher, NULL, 0), one = hash_content(hasher, blocks, 1);
    const struct sync_hash both = hash_content(hasher, blocks, 2);
    const struct sync_hash lie = hash_bytes(hasher, blocks, sizeof blocks);

    assert_true(hash_equal(&none, &empty));
    assert_true(hash_equal(&one, &block));
    assert_false(hash_equal(&both, &block));
    assert_false(
        hash_equal(&both, &lie)); /* a content that is a list of hashes is no content of those blocks */
}

/* Bits: which of the fields below make a difference. */
enum {
    PATH = 1,
    MODE = 2,
    MTIME = 4,
    OWNER = 8,
    GROUP = 16,
    XATTRS = 32,
    CONTENT = 64,
    SIZE = 128,
    ALL = 255
};

static unsigned what_counts(enum sync_type type)
{
    unsigned counts = 0;

    for (unsigned field = 1; field < ALL; field <<= 1) {
        struct hash_entry entry = usual();
        entry.type = type;
        const struct sync_hash before = hash_entry(hasher, &entry);
        switch (field) {
        case PATH:
            entry.path.size--;
            break;
        case MODE:
            entry.mode ^= 01000;
            break;
        case MTIME:
            entry.mtime_ns++;
            break;
        case OWNER:
            entry.owner = "#0";
            break;
        case GROUP:
            entry.group = "";
            break;
        case XATTRS:
            entry.xattrs.bytes[15]++;
            break;
        case CONTENT:
            entry.content.bytes[0]++;
            break;
        case SIZE:
            entry.size++;
            break;
        }
        const struct sync_hash after = hash_entry(hasher, &entry);
        counts |= hash_equal(&before, &after) ? 0 : field;
    }
    return counts;
}

static void test_what_counts_in_an_entry(void **state)
{
    (void)state;
    assert_int_equal(what_counts(SYNC_FILE), ALL);
    assert_int_equal(what_counts(SYNC_DIRECTORY), ALL & ~(CONTENT | SIZE));
    assert_int_equal(what_counts(SYNC_SYMLINK), ALL & ~(MODE | SIZE));
    assert_int_equal(what_counts(SYNC_HARDLINK), PATH | CONTENT);
}

static void test_types_and_borders_count(void **state)
{
    (void)state;
    struct hash_entry entry = usual();
    const struct sync_hash file = hash_entry(hasher, &entry);
    entry.type = SYNC_SYMLINK;
    const struct sync_hash symlink = hash_entry(hasher, &entry);
    assert_false(hash_equal(&file, &symlink));

    entry.owner = "ab";
    entry.group = "c";
    const struct sync_hash one = hash_entry(hasher, &entry);
    entry.owner = "a";
    entry.group = "bc";
    const struct sync_hash other = hash_entry(hasher, &entry);
    assert_false(hash_equal(&one, &other));
    entry.owner = entry.group = NULL;
    const struct sync_hash nobody = hash_entry(hasher, &entry);
    entry.owner = entry.group = "";
    const struct sync_hash empty = hash_entry(hasher, &entry);
    assert_true(hash_equal(&nobody, &empty));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_another_key_is_another_hash),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_what_counts_in_an_entry),
        cmocka_unit_test(test_types_and_borders_count),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
