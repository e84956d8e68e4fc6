/* What has changed, and when it is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base.h"
#include "syncd/dirty.h"

enum { QUIET = 100, MOST = 1000 };

static struct dirty *dirty;

static struct sync_bytes at(const char *path)
{
    return (struct sync_bytes){(const uint8_t *)path, strlen(path)};
}

static int begin(void **state)
{
    (void)state;
    return dirty_new(QUIET, MOST, &dirty);
}

static int end(void **state)
{
    (void)state;
    dirty_free(dirty);
    return 0;
}

static void mark(const char *path, enum dirty_when when, int64_t now)
{
    assert_int_equal(dirty_mark(dirty, at(path), DIRTY_CONTENT, when, now), 0);
}

/* Takes, and compares with the paths told, in order. */
static void take(int64_t now, bool urgent, const char *const expected[])
{
    struct dirty_entry **taken;
    const long count = dirty_take(dirty, now, urgent, &taken);
    long i;

    for (i = 0; i < count; i++) {
        assert_non_null(expected[i]);
        assert_int_equal(taken[i]->size, strlen(expected[i]));
        assert_memory_equal(taken[i]->path, expected[i], taken[i]->size);
        free(taken[i]);
    }
    assert_null(expected[i]);
    free(taken);
}
#define TAKES(now, urgent, ...) take(now, urgent, (const char *const[]){__VA_ARGS__, NULL})
#define TAKES_NONE(now, urgent) take(now, urgent, (const char *const[]){NULL})

static void test_closed_is_due_at_once(void **state)
{
    (void)state;
    assert_int_equal(dirty_due_ns(dirty, false), 0);
    mark("0/b", DIRTY_NOW, 50);
    assert_int_equal(dirty_due_ns(dirty, false), 50);
    TAKES_NONE(49, false);
    TAKES(50, false, "0/b");
    assert_int_equal(dirty_count(dirty), 0);
    assert_int_equal(dirty_oldest_ns(dirty), 0);
}

static void test_written_is_due_when_quiet_or_after_all(void **state)
{
    (void)state;
    mark("0/a", DIRTY_QUIET, 10);
    assert_int_equal(dirty_due_ns(dirty, false), 110);
    mark("0/a", DIRTY_QUIET, 60);
    assert_int_equal(dirty_due_ns(dirty, false), 160);
    for (int64_t now = 100; now < 1500; now += 50)
        mark("0/a", DIRTY_QUIET, now);
    assert_int_equal(dirty_due_ns(dirty, false), 10 + MOST);
    TAKES_NONE(10 + MOST - 1, false);
    TAKES(10 + MOST, false, "0/a");
}

static void test_closed_after_written_is_due_and_stays_so(void **state)
{
    (void)state;
    mark("0/a", DIRTY_QUIET, 10);
    mark("0/a", DIRTY_NOW, 20);
    assert_int_equal(dirty_due_ns(dirty, false), 20);
    mark("0/a", DIRTY_QUIET, 30);
    assert_int_equal(dirty_due_ns(dirty, false), 20);
    TAKES(30, false, "0/a");
}

static void test_attributes_do_not_hurry_what_is_written(void **state)
{
    (void)state;
    mark("0/a", DIRTY_QUIET, 10);
    mark("0/a", DIRTY_SOFT, 20);
    assert_int_equal(dirty_due_ns(dirty, false), 110);
    mark("0/b", DIRTY_SOFT, 30);
    assert_int_equal(dirty_due_ns(dirty, false), 30);
    TAKES(30, false, "0/b");
    TAKES(1000, true, "0/a");
}

static void test_urgent_takes_all_but_what_is_held(void **state)
{
    (void)state;
    assert_int_equal(dirty_retry(dirty, at("0/held"), DIRTY_CONTENT, 3, 5, 500), 0);
    assert_int_equal(dirty_due_ns(dirty, true), 500);
    mark("0/a", DIRTY_QUIET, 10);
    assert_true(dirty_due_ns(dirty, true) <= 10);
    assert_int_equal(dirty_oldest_ns(dirty), 5);
    TAKES(20, true, "0/a");
    TAKES_NONE(499, true);
    /* What happens to it makes it what any other is. */
    mark("0/held", DIRTY_QUIET, 25);
    assert_int_equal(dirty_due_ns(dirty, false), 5 + MOST < 25 + QUIET ? 5 + MOST : 25 + QUIET);
    mark("0/held", DIRTY_NOW, 30);
    assert_int_equal(dirty_due_ns(dirty, false), 30);
    assert_int_equal(dirty_find(dirty, at("0/held"))->tries, 3);
    TAKES(30, false, "0/held");
}

static void test_a_retry_does_not_hold_what_is_dirty_anyway(void **state)
{
    (void)state;
    mark("0/a", DIRTY_NOW, 30);
    assert_int_equal(dirty_retry(dirty, at("0/a"), DIRTY_READ, 1, 5, 500), 0);
    assert_int_equal(dirty_due_ns(dirty, false), 30);
    assert_int_equal(dirty_oldest_ns(dirty), 5);
    assert_int_equal(dirty_find(dirty, at("0/a"))->flags, DIRTY_CONTENT | DIRTY_READ);
}

static void test_directories_come_before_what_is_in_them(void **state)
{
    (void)state;
    mark("0/d/x", DIRTY_NOW, 1);
    mark("0/d", DIRTY_NOW, 2);
    mark("0/a", DIRTY_NOW, 3);
    mark("0", DIRTY_NOW, 4);
    TAKES(4, false, "0", "0/a", "0/d", "0/d/x");
}

static void test_a_renamed_directory_takes_all_along(void **state)
{
    (void)state;
    mark("0/d", DIRTY_NOW, 1);
    mark("0/d/x", DIRTY_QUIET, 2);
    mark("0/dx", DIRTY_NOW, 3); /* which is not below */
    mark("0/e/x", DIRTY_NOW, 4);
    dirty_weigh(dirty, dirty_find(dirty, at("0/d")), 7, 70);
    assert_int_equal(dirty_rename(dirty, at("0/d"), at("0/e")), 0);
    assert_null(dirty_find(dirty, at("0/d")));
    assert_null(dirty_find(dirty, at("0/d/x")));
    assert_int_equal(dirty_find(dirty, at("0/e"))->files, 7);
    assert_int_equal(dirty_files(dirty), 3 + 7);
    assert_int_equal(dirty_bytes(dirty), 70);
    TAKES(4, false, "0/dx", "0/e", "0/e/x");
    assert_int_equal(dirty_bytes(dirty), 0);
}

/* Against a simple list, by seed. */
static void test_many_in_any_order(void **state)
{
    enum { NAMES = 300 };
    static int64_t due[NAMES];
    int64_t now = 1;

    (void)state;
    srandom(7);
    for (int step = 0; step < 20000; step++) {
        const long name = random() % NAMES;
        char path[16];
        snprintf(path, sizeof path, "0/%ld", name);
        now += random() % 3;
        if (random() % 50 == 0) {
            struct dirty_entry **taken;
            const long count = dirty_take(dirty, now, false, &taken);
            long expected = 0;
            for (int i = 0; i < NAMES; i++) {
                expected += due[i] > 0 && due[i] <= now;
                due[i] = due[i] <= now ? 0 : due[i];
            }
            assert_int_equal(count, expected);
            for (long i = 0; i < count; i++)
                free(taken[i]);
            free(taken);
        } else if (random() % 2) {
            mark(path, DIRTY_NOW, now);
            due[name] = due[name] > 0 ? MIN(due[name], now) : now;
        } else if (due[name] == 0) {
            mark(path, DIRTY_QUIET, now);
            due[name] = now + QUIET;
        }
        int64_t first = 0;
        for (int i = 0; i < NAMES; i++)
            if (due[i] > 0 && (first == 0 || due[i] < first))
                first = due[i];
        assert_int_equal(dirty_due_ns(dirty, false), first);
    }
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_closed_is_due_at_once),
        WITH(test_written_is_due_when_quiet_or_after_all),
        WITH(test_closed_after_written_is_due_and_stays_so),
        WITH(test_attributes_do_not_hurry_what_is_written),
        WITH(test_urgent_takes_all_but_what_is_held),
        WITH(test_a_retry_does_not_hold_what_is_dirty_anyway),
        WITH(test_directories_come_before_what_is_in_them),
        WITH(test_a_renamed_directory_takes_all_along),
        WITH(test_many_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
