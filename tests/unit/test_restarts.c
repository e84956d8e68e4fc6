/* How often in a row this node was restarted, and how long it waits before once more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "superviserd/restarts.h"

static const int64_t start_s = 1700000000;

static void test_each_pause_is_twice_as_long(void **unused)
{
    static const int64_t pauses_s[] = {0, 60, 120, 240, 480, 960, 1920, 3600, 3600};
    struct restarts restarts = {0};
    int64_t now_s = start_s;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LENGTH(pauses_s); i++) {
        assert_int_equal(restarts_row(&restarts, "a", now_s), i);
        assert_int_equal(restarts_wait_ns(&restarts, "a", now_s), pauses_s[i] * NS_PER_S);
        now_s += pauses_s[i];
        assert_int_equal(restarts_wait_ns(&restarts, "a", now_s), 0);
        restarts_count(&restarts, "a", now_s);
    }
}

static void test_another_cause_or_calm_begins_anew(void **unused)
{
    struct restarts restarts = {.cause = "a", .row = 7, .last_s = start_s};

    (void)unused;
    assert_int_equal(restarts_wait_ns(&restarts, "b", start_s), 0);
    assert_int_equal(restarts_row(&restarts, "a", start_s + 7199), 7);
    assert_int_equal(restarts_row(&restarts, "a", start_s + 7200), 0);
    restarts_count(&restarts, "b", start_s);
    assert_int_equal(restarts.row, 1);
    assert_string_equal(restarts.cause, "b");
}

static void test_a_clock_that_was_set_back_shortens_nothing(void **unused)
{
    const struct restarts restarts = {.cause = "a", .row = 1, .last_s = start_s};

    (void)unused;
    assert_int_equal(restarts_wait_ns(&restarts, "a", start_s - 100000), 60 * NS_PER_S);
}

static void test_text(void **unused)
{
    static const char *const bad[] = {"",
                                      "row 1\nlast 2\n",
                                      "row 0\nlast 2\ncause a\n",
                                      "row -1\nlast 2\ncause a\n",
                                      "row 1\nlast -2\ncause a\n",
                                      "row 1\nlast 2\ncause a",
                                      "row 1\nlast 2\ncause a\nmore\n",
                                      "row x\nlast 2\ncause a\n"};
    struct restarts restarts = {.row = 3, .last_s = start_s}, again;
    char text[STATEFILE_MAX];

    (void)unused;
    memset(restarts.cause, 'c', sizeof restarts.cause - 1);
    restarts_print(&restarts, text);
    assert_int_equal(restarts_parse(text, &again), 0);
    assert_string_equal(again.cause, restarts.cause);
    assert_int_equal(again.row, 3);
    assert_int_equal(again.last_s, start_s);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_int_equal(restarts_parse(bad[i], &again), -EBADMSG);
        assert_int_equal(again.row, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_pause_is_twice_as_long),
        cmocka_unit_test(test_another_cause_or_calm_begins_anew),
        cmocka_unit_test(test_a_clock_that_was_set_back_shortens_nothing),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
