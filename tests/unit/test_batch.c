/* Compression where it pays, and the digest over a generation. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "syncd/batch.h"

static uint8_t raw[SYNC_RAW_MAX], packed[SYNC_RAW_MAX], back[SYNC_RAW_MAX];
static struct packer *packer;

static int begin(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i / 100);
    return packer_new(&packer);
}

static int end(void **state)
{
    (void)state;
    packer_free(packer);
    return 0;
}

static void test_what_compresses_comes_back(void **state)
{
    (void)state;
    const size_t size = packer_compress(packer, raw, sizeof raw, packed);
    assert_true(size > 0 && size < sizeof raw / 10);
    assert_int_equal(packer_expand(packer, packed, size, back, sizeof back), 0);
    assert_memory_equal(back, raw, sizeof raw);
}

static void test_what_does_not_is_left_alone_and_not_tried_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)random();
    assert_int_equal(packer_compress(packer, raw, sizeof raw, packed), 0);
    memset(raw, 0, sizeof raw);
    assert_int_equal(packer_compress(packer, raw, sizeof raw, packed), 0); /* passed over */
    assert_true(packer_compress(packer, raw, sizeof raw, packed) > 0);
}

static void test_the_size_is_as_told_or_nothing(void **state)
{
    (void)state;
    const size_t size = packer_compress(packer, raw, 1000, packed);
    assert_true(size > 0);
    assert_int_equal(packer_expand(packer, packed, size, back, 999), -EBADMSG);
    assert_int_equal(packer_expand(packer, packed, size, back, 1001), -EBADMSG);
    assert_int_equal(packer_expand(packer, packed, size - 1, back, 1000), -EBADMSG);
    assert_int_equal(packer_expand(packer, packed, size, back, (size_t)SYNC_RAW_MAX + 1), -EBADMSG);
    assert_int_equal(packer_expand(packer, raw, 100, back, 1000), -EBADMSG);
}

static void test_a_bomb_fills_no_more_than_it_said(void **state)
{
    (void)state;
    memset(raw, 0, sizeof raw);
    const size_t size = packer_compress(packer, raw, sizeof raw, packed);
    assert_true(size > 0);
    memset(back, 7, sizeof back);
    assert_int_equal(packer_expand(packer, packed, size, back, 4096), -EBADMSG);
    assert_int_equal(back[4096], 7);
}

static void test_the_digest_is_of_the_bytes_and_their_order(void **state)
{
    struct digest *digest;
    uint8_t one[SYNC_DIGEST_BYTES], other[SYNC_DIGEST_BYTES];

    (void)state;
    assert_int_equal(digest_new(&digest), 0);
    digest_add(digest, (const uint8_t *)"ab", 2);
    digest_add(digest, (const uint8_t *)"c", 1);
    digest_end(digest, one);
    digest_begin(digest);
    digest_add(digest, (const uint8_t *)"abc", 3);
    digest_end(digest, other);
    assert_memory_equal(one, other, sizeof one);
    digest_begin(digest);
    digest_add(digest, (const uint8_t *)"acb", 3);
    digest_end(digest, other);
    assert_memory_not_equal(one, other, sizeof one);
    digest_free(digest);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_what_compresses_comes_back),
        WITH(test_what_does_not_is_left_alone_and_not_tried_at_once),
        WITH(test_the_size_is_as_told_or_nothing),
        WITH(test_a_bomb_fills_no_more_than_it_said),
        WITH(test_the_digest_is_of_the_bytes_and_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
