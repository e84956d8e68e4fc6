/* The content of a file that may be written to while it is read. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base.h"
#include "syncd/content.h"

enum { BIG = 3 * CONTENT_BUFFER + 5000 };

static struct content content;
static struct hasher *hasher;
static char path[64];
static uint8_t bytes[BIG], room[SYNC_INLINE_MAX];

static void put(size_t size, uint8_t with)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    memset(bytes, with, size);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static void change(off_t at)
{
    const int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, "x", 1, at), 1);
    close(fd);
}

static int begin(void **state)
{
    static const uint8_t key[32] = "a key of 32 bytes for this test";

    (void)state;
    snprintf(path, sizeof path, "/tmp/duet-content-%d", getpid());
    content_init(&content);
    return hasher_new(key, &hasher);
}

static int end(void **state)
{
    (void)state;
    content_clear(&content);
    hasher_free(hasher);
    unlink(path);
    return 0;
}

/* As if the file system's clock had stood still: its times tell nothing. */
static void forget_change(void)
{
    bool fresh;

    assert_int_equal(sight_between(content.fd, &content.sight, &fresh), 0);
    content.fresh = true;
}

static int read_on(void)
{
    struct content_piece piece;
    int r;

    do
        r = content_next(&content, hasher, &piece);
    while (r > 0 && piece.count > 0 && content.next < content.count);
    return r;
}

static int read_to_the_end(void)
{
    struct content_piece piece;
    int r;

    do
        r = content_next(&content, hasher, &piece);
    while (r > 0);
    return r;
}

static void test_a_change_is_seen_by_its_times(void **state)
{
    (void)state;
    put(BIG, 1);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), 0);
    assert_int_equal(read_on(), 1);
    usleep(20000);
    change(0);
    assert_int_equal(read_to_the_end(), CONTENT_CHANGED);
}

static void test_a_change_without_times_is_seen_by_reading_twice(void **state)
{
    (void)state;
    put(BIG, 1);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), 0);
    content.fresh = true;
    assert_int_equal(read_on(), 1);
    change(BIG / 2);
    forget_change();
    assert_int_equal(read_to_the_end(), CONTENT_CHANGED);
    content_restart(&content);
    forget_change();
    assert_int_equal(read_to_the_end(), 0);
}

static void test_the_hash_is_that_of_the_blocks(void **state)
{
    struct sync_hash blocks[BIG / SYNC_BLOCK + 1];
    size_t count = 0;

    (void)state;
    put(BIG, 7);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), 0);
    assert_int_equal(read_to_the_end(), 0);
    for (size_t at = 0; at < BIG; at += SYNC_BLOCK)
        blocks[count++] = hash_bytes(hasher, bytes + at, MIN(SYNC_BLOCK, BIG - at));
    const struct sync_hash expected = hash_content(hasher, blocks, count), got = content_hash(&content, hasher);
    assert_memory_equal(&got, &expected, sizeof got);
}

static void test_a_hole_has_the_hash_of_zeros(void **state)
{
    struct sync_hash blocks[BIG / SYNC_BLOCK + 1];
    size_t count = 0;
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    (void)state;
    memset(bytes, 0, sizeof bytes);
    bytes[CONTENT_BUFFER + 77] = 9;
    assert_int_equal(ftruncate(fd, BIG), 0);
    assert_int_equal(pwrite(fd, &bytes[CONTENT_BUFFER + 77], 1, CONTENT_BUFFER + 77), 1);
    close(fd);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), 0);
    content.fresh = true; /* twice, holes too */
    assert_int_equal(read_to_the_end(), 0);
    for (size_t at = 0; at < BIG; at += SYNC_BLOCK)
        blocks[count++] = hash_bytes(hasher, bytes + at, MIN(SYNC_BLOCK, BIG - at));
    const struct sync_hash expected = hash_content(hasher, blocks, count), got = content_hash(&content, hasher);
    assert_memory_equal(&got, &expected, sizeof got);
}

static void test_small_ones_at_once(void **state)
{
    (void)state;
    put(0, 0);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), 0);
    assert_int_equal(content_take(&content, hasher, room, sizeof room), 0);
    put(SYNC_INLINE_MAX, 5);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), 0);
    assert_int_equal(content_take(&content, hasher, room, sizeof room), 0);
    assert_memory_equal(room, bytes, sizeof room);
    /* One that has grown meanwhile is none of them. */
    content_close(&content);
    put(1000, 5);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), 0);
    put(SYNC_INLINE_MAX + 1, 5);
    assert_int_equal(content_take(&content, hasher, room, sizeof room), CONTENT_CHANGED);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    assert_int_equal(content_open(&content, AT_FDCWD, "/tmp", SYNC_BLOCK), CONTENT_CHANGED);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), -ENOENT);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(content_open(&content, AT_FDCWD, path, SYNC_BLOCK), -ELOOP);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_a_change_is_seen_by_its_times),
        WITH(test_a_change_without_times_is_seen_by_reading_twice),
        WITH(test_the_hash_is_that_of_the_blocks),
        WITH(test_a_hole_has_the_hash_of_zeros),
        WITH(test_small_ones_at_once),
        WITH(test_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
