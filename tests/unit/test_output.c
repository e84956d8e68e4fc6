/* What a service prints, cut into lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "superviserd/output.h"

struct lines {
    int count;
    char last[OUTPUT_LINE_MAX + 8];
};

static void take(void *userdata, const char *line)
{
    struct lines *lines = userdata;

    lines->count++;
    assert_true(strlen(line) < sizeof lines->last);
    strcpy(lines->last, line);
}

static void test_pieces_become_lines(void **unused)
{
    struct output output = {0};
    struct lines lines = {0};

    (void)unused;
    output_feed(&output, "on", 2, take, &lines);
    assert_int_equal(lines.count, 0);
    output_feed(&output, "e\r\n\ntw", 6, take, &lines);
    assert_int_equal(lines.count, 1);
    assert_string_equal(lines.last, "one");
    output_end(&output, take, &lines);
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.last, "tw");
    output_end(&output, take, &lines);
    assert_int_equal(lines.count, 2);
}

static void test_long_lines_are_cut(void **unused)
{
    struct output output = {0};
    struct lines lines = {0};

    (void)unused;
    for (int i = 0; i < 10 * OUTPUT_LINE_MAX; i++)
        output_feed(&output, "x", 1, take, &lines);
    assert_int_equal(lines.count, 0);
    output_feed(&output, "\nshort\n", 1, take, &lines);
    assert_int_equal(lines.count, 1);
    assert_int_equal(strlen(lines.last), OUTPUT_LINE_MAX + strlen(" (cut)"));
    output_feed(&output, "short\n", 6, take, &lines);
    assert_string_equal(lines.last, "short");
}

static void test_reading_is_rationed(void **unused)
{
    struct output_ration ration = {0};
    const int64_t now_ns = 5 * NS_PER_S;

    (void)unused;
    assert_int_equal(output_pause(&ration, OUTPUT_RATION - 1, now_ns), 0);
    assert_int_equal(output_pause(&ration, 1, now_ns + NS_PER_MS), now_ns + OUTPUT_WINDOW_NS);
    assert_int_equal(output_pause(&ration, OUTPUT_RATION - 1, now_ns + OUTPUT_WINDOW_NS), 0);
    assert_int_equal(output_pause(&ration, OUTPUT_RATION - 1, now_ns + 3 * OUTPUT_WINDOW_NS), 0);
}

static void test_control_characters_are_shown_as_such(void **unused)
{
    struct output output = {0};
    struct lines lines = {0};

    (void)unused;
    output_feed(&output, "a\033[2J\tb\0c\x7f\n", 11, take, &lines);
    assert_string_equal(lines.last, "a?[2J b?c?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_become_lines),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_reading_is_rationed),
        cmocka_unit_test(test_control_characters_are_shown_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
