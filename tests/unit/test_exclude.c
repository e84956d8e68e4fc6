/* What patterns exclude: the cases of gitignore(5), and those in which its programs had bugs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "syncd/exclude.h"

struct row {
    const char *pattern, *path; /* a path with a slash at its end is a directory */
    bool excluded;
};

static bool excluded(const char *const *patterns, size_t count, const char *path)
{
    char copy[SYNC_PATH_MAX + 1];
    size_t size = strlen(path);
    const bool directory = size > 0 && path[size - 1] == '/';

    snprintf(copy, sizeof copy, "%s", path);
    copy[size - directory] = '\0';
    return exclude_match(patterns, count, copy, directory);
}

static void assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (excluded(&rows[i].pattern, 1, rows[i].path) != rows[i].excluded)
            fail_msg("\"%s\" %s \"%s\"", rows[i].pattern,
                     rows[i].excluded ? "must exclude" : "must not exclude", rows[i].path);
}

#define ROWS(...)                                                                                            \
    do {                                                                                                     \
        const struct row rows[] = {__VA_ARGS__};                                                             \
        assert_rows(rows, sizeof rows / sizeof *rows);                                                       \
    } while (0)

static void test_names_at_any_depth(void **state)
{
    (void)state;
    ROWS({"*.o", "a.o", true}, {"*.o", "x/y/a.o", true}, {"*.o", "a.c", false}, {"*.o", "a.o.c", false},
         {"*.o", ".o", true}, {"core", "core", true}, {"core", "x/core", true}, {"core", "score", false},
         {"core", "core2", false}, {"?", "a", true}, {"?", "ab", false}, {"?", "x/b", true},
         {"[a-c]x", "bx", true}, {"[a-c]x", "dx", false}, {"[!a-c]x", "dx", true}, {"[!a-c]x", "bx", false},
         {"*", ".hidden", true}, {"*", "a/b", true}, {"lost+found", "lost+found/", true});
}

static void test_below_the_root(void **state)
{
    (void)state;
    ROWS({"/a", "a", true}, {"/a", "x/a", false}, {"a/b", "a/b", true}, {"a/b", "x/a/b", false},
         {"/a/b", "a/b", true}, {"a/*", "a/b", true}, {"a/*", "a", false}, {"a/*.c", "a/x/b.c", false},
         {"/*.c", "b.c", true}, {"/*.c", "a/b.c", false}, {"a*b", "a/b", false}, {"a?b", "a/b", false},
         {"a[/]b", "a/b", false}, {"a/b", "a/bc", false}, {"a/b", "a", false}, {"/a/*/c", "a/b/c", true},
         {"/a/*/c", "a/c", false}, {"/a/*/c", "a/b/b/c", false});
}

static void test_directories_alone(void **state)
{
    (void)state;
    ROWS({"tmp/", "tmp/", true}, {"tmp/", "tmp", false}, {"tmp/", "x/tmp/", true}, {"tmp/", "tmp/a", true},
         {"tmp/", "x/tmp/a/b", true}, {"/tmp/", "x/tmp/", false}, {"a/tmp/", "a/tmp/", true},
         {"a/tmp/", "x/a/tmp/", false}, {"a/tmp/", "a/tmp", false}, {"*/", "a", false}, {"*/", "a/", true},
         {"*/", "a/b", true});
}

static void test_any_number_of_directories(void **state)
{
    (void)state;
    ROWS({"**/a", "a", true}, {"**/a", "x/y/a", true}, {"**/a", "ba", false}, {"**/a/b", "x/a/b", true},
         {"**/a/b", "a/b", true}, {"**/a/b", "a/x/b", false}, {"a/**", "a/b", true}, {"a/**", "a/b/c", true},
         {"a/**", "a", false}, {"a/**", "a/", false}, {"a/**", "x/a/b", false}, {"a/**/b", "a/b", true},
         {"a/**/b", "a/x/b", true}, {"a/**/b", "a/x/y/b", true}, {"a/**/b", "a/x/y/c", false},
         {"a/**/b", "ab", false}, {"**", "a", true}, {"**/", "a", false}, {"**/", "a/", true},
         {"/**", "a/b", true}, {"a/**/", "a/x", false}, {"a/**/", "a/x/", true},
         {"**/a/**/b/**/c", "x/a/b/b/y/c", true}, {"**/a/**/b/**/c", "x/b/a/c", false},
         {"a/**/**/b", "a/b", true}, {"a**b", "axxb", true}, {"a**/b", "a/x/b", false},
         {"a**/b", "axx/b", true}, {"**/x/**/y", "x/a/x/b/y", true});
}

static void test_signs_that_mean_themselves(void **state)
{
    (void)state;
    ROWS({"\\!a", "!a", true}, {"\\*", "*", true}, {"\\*", "a", false}, {"a\\?", "a?", true},
         {"a\\?", "ab", false}, {"#a#", "#a#", true}, {"\\#a", "#a", true}, {"a b", "a b", true},
         {"a ", "a", false}, {"\xff*", "\xff\xfe", true}, {"?", "\xff", true});
}

static void test_patterns_that_fit_nothing(void **state)
{
    (void)state;
    ROWS({"", "a", false}, {"/", "a", false}, {"//", "a/", false}, {"!", "a", false}, {"!/", "a/", false},
         {"a//b", "a/b", false}, {"a", "", false}, {"*", "", false}, {"**", "", false}, {"!a", "a", false});
}

static void test_the_last_one_counts(void **state)
{
    (void)state;
    const char *const but_one[] = {"*.log", "!keep.log"}, *const again[] = {"*.log", "!keep.log",
                                                                            "/keep.log"};
    const char *const only[] = {"/*", "!/etc", "/etc/*", "!/etc/hosts"};

    assert_true(excluded(but_one, 2, "a.log"));
    assert_false(excluded(but_one, 2, "keep.log"));
    assert_false(excluded(but_one, 2, "x/keep.log"));
    assert_true(excluded(again, 3, "keep.log"));
    assert_false(excluded(again, 3, "x/keep.log"));
    assert_true(excluded(only, 4, "usr/"));
    assert_true(excluded(only, 4, "usr/bin/ls"));
    assert_false(excluded(only, 4, "etc/"));
    assert_false(excluded(only, 4, "etc/hosts"));
    assert_true(excluded(only, 4, "etc/passwd"));
    assert_false(excluded(NULL, 0, "a"));
}

static void test_nothing_comes_back_below_what_is_excluded(void **state)
{
    (void)state;
    const char *const patterns[] = {"cache/", "!keep"}, *const inside[] = {"cache/*", "!cache/keep"};

    assert_true(excluded(patterns, 2, "cache/keep"));
    assert_true(excluded(patterns, 2, "a/cache/b/keep"));
    assert_false(excluded(patterns, 2, "a/keep"));
    assert_false(excluded(inside, 2, "cache/keep"));
    assert_false(excluded(inside, 2, "cache/keep/a"));
    assert_true(excluded(inside, 2, "cache/other/keep"));
}

/* Neither a pattern nor a name makes it slow, or is too long. */
static void test_long_ones(void **state)
{
    (void)state;
    char path[SYNC_PATH_MAX + 1], pattern[2 * SYNC_PATH_MAX + 1];
    const char *const patterns[] = {pattern};

    for (size_t i = 0; i < SYNC_PATH_MAX; i++)
        path[i] = i % 2 ? '/' : 'a';
    path[SYNC_PATH_MAX - 1] = '\0';
    for (size_t i = 0; i < 64; i++)
        memcpy(pattern + 5 * i, "**/a/", 5);
    strcpy(pattern + 320, "b");
    assert_false(excluded(patterns, 1, path));

    memset(path, 'a', SYNC_PATH_MAX); /* a name that cannot be */
    path[SYNC_PATH_MAX] = '\0';
    strcpy(pattern, "*");
    assert_false(excluded(patterns, 1, path));
    memset(path, 'a', SYNC_NAME_MAX);
    path[SYNC_NAME_MAX] = '\0';
    for (size_t i = 0; i < 40; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    strcpy(pattern + 80, "b");
    assert_false(excluded(patterns, 1, path));

    memset(pattern, 'a', sizeof pattern - 1);
    pattern[sizeof pattern - 1] = '\0';
    assert_false(excluded(patterns, 1, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_at_any_depth),
        cmocka_unit_test(test_below_the_root),
        cmocka_unit_test(test_directories_alone),
        cmocka_unit_test(test_any_number_of_directories),
        cmocka_unit_test(test_signs_that_mean_themselves),
        cmocka_unit_test(test_patterns_that_fit_nothing),
        cmocka_unit_test(test_the_last_one_counts),
        cmocka_unit_test(test_nothing_comes_back_below_what_is_excluded),
        cmocka_unit_test(test_long_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
