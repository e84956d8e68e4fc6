/* How often in a row this node was restarted, and how long it waits before once more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "superviserd/restarts.h"

#define SECONDS(n) ((int64_t)(n)*NS_PER_S)

static struct restarts_now in(const char *boot, int64_t at_s)
{
    return (struct restarts_now){boot, SECONDS(at_s)};
}

static int64_t wait_s(const struct restarts *restarts, const char *boot, int64_t at_s)
{
    const struct restarts_now now = in(boot, at_s);

    return restarts_wait_ns(restarts, &now) / NS_PER_S;
}

static int64_t row(const struct restarts *restarts, const char *boot, int64_t at_s)
{
    const struct restarts_now now = in(boot, at_s);

    return restarts_row(restarts, &now);
}

static void count(struct restarts *restarts, const char *cause, const char *boot, int64_t at_s)
{
    const struct restarts_now now = in(boot, at_s);

    restarts_count(restarts, cause, &now);
}

static void test_each_pause_is_twice_as_long(void **unused)
{
    static const int64_t pauses_s[] = {0, 60, 120, 240, 480, 960, 1920, 3600, 3600};
    struct restarts restarts = {0};
    char boot[RESTARTS_BOOT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LENGTH(pauses_s); i++) {
        snprintf(boot, sizeof boot, "boot-%zu", i);
        assert_int_equal(row(&restarts, boot, 20), i);
        assert_int_equal(wait_s(&restarts, boot, 0), pauses_s[i]);
        assert_int_equal(wait_s(&restarts, boot, pauses_s[i]), 0);
        count(&restarts, "a", boot, pauses_s[i]);
    }
}

/* One fault that asks for a restart after the other does not make either of them better. */
static void test_causes_that_take_turns_wait_as_one(void **unused)
{
    struct restarts restarts = {0};

    (void)unused;
    count(&restarts, "a", "1", 100);
    assert_int_equal(wait_s(&restarts, "2", 20), 40);
    count(&restarts, "b", "2", 60);
    assert_int_equal(row(&restarts, "3", 20), 2);
    assert_int_equal(wait_s(&restarts, "3", 20), 100);
    count(&restarts, "a", "3", 120);
    assert_int_equal(wait_s(&restarts, "4", 20), 220);
    assert_string_equal(restarts.cause, "a");
}

/* What the boot before had lived does not count, nor how long the machine was off. */
static void test_time_is_that_of_this_boot(void **unused)
{
    struct restarts restarts = {0};

    (void)unused;
    count(&restarts, "a", "1", 500000);
    assert_int_equal(wait_s(&restarts, "1", 500010), 50); /* the restart did not come about */
    assert_int_equal(wait_s(&restarts, "1", 500060), 0);
    assert_int_equal(wait_s(&restarts, "1", 499000), 60); /* of no clock that there is */
    assert_int_equal(wait_s(&restarts, "2", 10), 50);
    assert_int_equal(wait_s(&restarts, "2", 60), 0);
}

static int64_t calm_s(const struct restarts *restarts, const char *boot, int64_t at_s)
{
    const struct restarts_now now = in(boot, at_s);

    return restarts_calm_ns(restarts, &now) / NS_PER_S;
}

static void test_calm_begins_anew(void **unused)
{
    struct restarts restarts = {.cause = "a", .row = 7, .boot = "1", .at_s = 1000};

    (void)unused;
    assert_int_equal(calm_s(&restarts, "2", 7199), 1);
    assert_int_equal(row(&restarts, "2", 7199), 7);
    assert_int_equal(calm_s(&restarts, "2", 7200), 0);
    assert_int_equal(row(&restarts, "2", 7200), 0);
    assert_int_equal(row(&restarts, "1", 8199), 7);
    assert_int_equal(row(&restarts, "1", 8200), 0);
    count(&restarts, "b", "2", 7200);
    assert_int_equal(restarts.row, 1);
    assert_int_equal(calm_s(&(struct restarts){0}, "2", 5), 0);
}

static void test_text(void **unused)
{
    static const char *const bad[] = {"",
                                      "row 1\nlast 2\ncause a\n",
                                      "row 1\nboot b\nat 2\n",
                                      "row -1\nboot b\nat 2\ncause a\n",
                                      "row 1\nboot b\nat -2\ncause a\n",
                                      "row 1\nboot b\nat 2\ncause a",
                                      "row 1\nboot b\nat 2\ncause a\nmore\n",
                                      "row x\nboot b\nat 2\ncause a\n"};
    struct restarts restarts = {.row = 3, .at_s = 1700000000}, again;
    char text[STATEFILE_MAX];

    (void)unused;
    memset(restarts.cause, 'c', sizeof restarts.cause - 1);
    memset(restarts.boot, 'b', sizeof restarts.boot - 1);
    restarts_print(&restarts, text);
    assert_true(strlen(text) < STATEFILE_PLACE - 100);
    assert_int_equal(restarts_parse(text, &again), 0);
    assert_string_equal(again.cause, restarts.cause);
    assert_string_equal(again.boot, restarts.boot);
    assert_int_equal(again.row, 3);
    assert_int_equal(again.at_s, 1700000000);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_int_equal(restarts_parse(bad[i], &again), -EBADMSG);
        assert_int_equal(again.row, 0);
    }
}

/* A place is kept for it before there is anything to count. */
static void test_text_of_none(void **unused)
{
    struct restarts none = {0};
    char text[STATEFILE_MAX];

    (void)unused;
    restarts_print(&none, text);
    assert_int_equal(restarts_parse(text, &none), 0);
    assert_int_equal(none.row, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_pause_is_twice_as_long),
        cmocka_unit_test(test_causes_that_take_turns_wait_as_one),
        cmocka_unit_test(test_time_is_that_of_this_boot),
        cmocka_unit_test(test_calm_begins_anew),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_of_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
