/* The thread that adds lines, its order, and its end. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/scribe.h"

static char directory[32], path[64];

static int fresh(void **state)
{
    (void)state;
    log_open("test", "test");
    strcpy(directory, "/tmp/duet-scribe-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/lines", directory);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void add(struct scribe *scribe, int number)
{
    char line[16];

    snprintf(line, sizeof line, "line %d", number);
    scribe_add(scribe, path, strdup(line));
}

static void assert_lines(int from, int count)
{
    char line[16], expected[16];
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    for (int i = from; i < from + count; i++) {
        snprintf(expected, sizeof expected, "line %d\n", i);
        assert_non_null(fgets(line, sizeof line, file));
        assert_string_equal(line, expected);
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

static void test_all_is_written_in_order_before_the_end(void **state)
{
    struct scribe *scribe;

    (void)state;
    for (int run = 0; run < 2; run++) { /* behind what is there */
        assert_int_equal(scribe_open(&scribe), 0);
        for (int i = 0; i < 20; i++)
            add(scribe, run * 20 + i);
        scribe_close(scribe);
    }
    assert_lines(0, 40);
}

/* A FIFO that nobody reads takes as long to open as a disk that hangs. */
static void test_a_disk_that_hangs_holds_up_nobody(void **state)
{
    struct scribe *scribe;
    int64_t begun_ns = clock_now_ns();

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(scribe_open(&scribe), 0);
    alarm(20);
    for (int i = 0; i < 100; i++) /* more than there is room for */
        add(scribe, i);
    assert_in_range(clock_now_ns() - begun_ns, 0, 5 * NS_PER_S);
    begun_ns = clock_now_ns();
    scribe_close(scribe);
    assert_in_range(clock_now_ns() - begun_ns, NS_PER_S, 10 * NS_PER_S);
    alarm(0);
}

static void test_it_goes_on_after_what_cannot_be_written(void **state)
{
    struct scribe *scribe;

    (void)state;
    assert_int_equal(scribe_open(&scribe), 0);
    scribe_add(scribe, "/proc/nothing/like/this", strdup("lost"));
    add(scribe, 0);
    scribe_close(scribe);
    assert_lines(0, 1);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fresh, clean)
    const struct CMUnitTest tests[] = {
        TEST(test_all_is_written_in_order_before_the_end),
        TEST(test_a_disk_that_hangs_holds_up_nobody),
        TEST(test_it_goes_on_after_what_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
