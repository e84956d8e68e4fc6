/* Which directory a watch is for, through renames. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "syncd/dirs.h"

static struct dirs *dirs;
static int forgotten;

static struct sync_bytes at(const char *path)
{
    return (struct sync_bytes){(const uint8_t *)path, strlen(path)};
}

static void on_forgotten(void *userdata, int watch)
{
    (void)userdata;
    forgotten += watch;
}

static void is_at(int watch, const char *expected)
{
    uint8_t path[SYNC_PATH_MAX];
    const long size = dirs_path(dirs, watch, path);

    if (!expected) {
        assert_int_equal(size, -ENOENT);
        return;
    }
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(path, expected, (size_t)size);
    assert_int_equal(dirs_watch(dirs, at(expected)), watch);
}

static int begin(void **state)
{
    (void)state;
    forgotten = 0;
    return dirs_new(&dirs);
}

static int end(void **state)
{
    (void)state;
    dirs_free(dirs);
    return 0;
}

static void test_a_rename_takes_all_below_along(void **state)
{
    (void)state;
    assert_int_equal(dirs_set(dirs, at("0"), 1), 0);
    assert_int_equal(dirs_set(dirs, at("0/a"), 2), 0);
    assert_int_equal(dirs_set(dirs, at("0/a/b"), 3), 0);
    assert_int_equal(dirs_set(dirs, at("0/a/b/c"), 4), 0);
    assert_int_equal(dirs_move(dirs, at("0/a"), at("0/x")), 0);
    is_at(2, "0/x");
    is_at(4, "0/x/b/c");
    assert_int_equal(dirs_watch(dirs, at("0/a")), 0);
    assert_int_equal(dirs_move(dirs, at("0/x/b"), at("0/b")), 0);
    is_at(3, "0/b");
    is_at(4, "0/b/c");
    assert_int_equal(dirs_move(dirs, at("0/b"), at("0/x")), -EEXIST);
    assert_int_equal(dirs_move(dirs, at("0/nothing"), at("0/y")), -ENOENT);
    assert_int_equal(dirs_count(dirs), 4);
}

static void test_a_watch_is_for_one_directory(void **state)
{
    (void)state;
    assert_int_equal(dirs_set(dirs, at("0/a"), 7), 0);
    assert_int_equal(dirs_set(dirs, at("0/b"), 7), 0);
    is_at(7, "0/b");
    assert_int_equal(dirs_watch(dirs, at("0/a")), 0);
    assert_int_equal(dirs_set(dirs, at("0/b"), 8), 0);
    is_at(7, NULL);
    is_at(8, "0/b");
    dirs_forget(dirs, 8);
    is_at(8, NULL);
    assert_int_equal(dirs_count(dirs), 0);
}

static void test_what_is_removed_is_told(void **state)
{
    (void)state;
    assert_int_equal(dirs_set(dirs, at("0"), 1), 0);
    assert_int_equal(dirs_set(dirs, at("0/a/b"), 10), 0);
    assert_int_equal(dirs_set(dirs, at("0/a/b/c"), 100), 0);
    assert_int_equal(dirs_set(dirs, at("0/ab"), 1000), 0);
    dirs_remove(dirs, at("0/a"), on_forgotten, NULL);
    assert_int_equal(forgotten, 110);
    is_at(1, "0");
    is_at(1000, "0/ab");
    dirs_remove(dirs, at("0/a"), on_forgotten, NULL);
    assert_int_equal(forgotten, 110);
}

static void test_many(void **state)
{
    enum { MANY = 5000 };
    char path[64];

    (void)state;
    for (int i = 1; i <= MANY; i++) {
        snprintf(path, sizeof path, "0/d%d/e%d", i % 70, i);
        assert_int_equal(dirs_set(dirs, at(path), i), 0);
    }
    assert_int_equal(dirs_move(dirs, at("0/d7"), at("0/d8/moved")), 0);
    for (int i = 1; i <= MANY; i++) {
        if (i % 70 == 7)
            snprintf(path, sizeof path, "0/d8/moved/e%d", i);
        else
            snprintf(path, sizeof path, "0/d%d/e%d", i % 70, i);
        is_at(i, path);
    }
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_a_rename_takes_all_below_along),
        WITH(test_a_watch_is_for_one_directory),
        WITH(test_what_is_removed_is_told),
        WITH(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
