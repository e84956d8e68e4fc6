#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config.h"

static void test_parses_each_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {{"0s", 0},
                 {"7us", 7 * NS_PER_US},
                 {"50ms", 50 * NS_PER_MS},
                 {"3s", 3 * NS_PER_S},
                 {"2m", 120 * NS_PER_S},
                 {"1h", 3600 * NS_PER_S},
                 {"10000h", 10000 * 3600 * NS_PER_S},
                 {"0050ms", 50 * NS_PER_MS}};
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(duration_parse(cases[i].text, &ns), 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void test_refuses_everything_else(void **state)
{
    static const char *const cases[] = {"",
                                        "50",
                                        "ms",
                                        "-1s",
                                        "+1s",
                                        "1.5s",
                                        " 1s",
                                        "1s ",
                                        "1 s",
                                        "1S",
                                        "1sec",
                                        "1mss",
                                        "0x10s",
                                        "10001h",
                                        "1d",
                                        "1s\n",
                                        "99999999999999999999s",
                                        "9223372036854775807us"};
    int64_t ns = 42;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(duration_parse(cases[i], &ns), -EINVAL);
        assert_int_equal(ns, 42);
    }
}

static void test_prints_the_largest_exact_unit(void **state)
{
    static const char *const cases[] = {"0s", "7us", "50ms", "1100ms", "3s", "90s", "2m", "25h"};
    char text[DURATION_TEXT_MAX];
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(duration_parse(cases[i], &ns), 0);
        duration_print(ns, text);
        assert_string_equal(text, cases[i]);
    }
    duration_print(1500, text);
    assert_string_equal(text, "1500ns");
    duration_print(-2 * NS_PER_S, text);
    assert_string_equal(text, "-2s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_each_unit),
        cmocka_unit_test(test_refuses_everything_else),
        cmocka_unit_test(test_prints_the_largest_exact_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
