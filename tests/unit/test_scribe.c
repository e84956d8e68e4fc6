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
    for (int i = 0; i < 200; i++) /* more than there is room for */
        add(scribe, i);
    assert_in_range(clock_now_ns() - begun_ns, 0, 5 * NS_PER_S);
    begun_ns = clock_now_ns();
    scribe_close(scribe);
    assert_in_range(clock_now_ns() - begun_ns, NS_PER_S, 10 * NS_PER_S);
    alarm(0);
}

/* As many as arbiterd takes of the peer's records at once, on a disk that needs long for the first. */
static void test_a_hundred_at_once_find_room(void **state)
{
    struct scribe *scribe;
    char line[16], expected[16];

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(scribe_open(&scribe), 0);
    for (int i = 0; i < 100; i++)
        add(scribe, i);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    alarm(20);
    for (int i = 0; i < 100; i++) {
        snprintf(expected, sizeof expected, "line %d\n", i);
        assert_non_null(fgets(line, sizeof line, file));
        assert_string_equal(line, expected);
    }
    alarm(0);
    scribe_close(scribe);
    fclose(file);
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

static void test_a_torn_line_does_not_swallow_the_next(void **state)
{
    struct scribe *scribe;
    char line[32];
    FILE *file = fopen(path, "w");

    (void)state;
    assert_non_null(file);
    fputs("the beginning of ano", file);
    fclose(file);
    assert_int_equal(scribe_open(&scribe), 0);
    add(scribe, 0);
    add(scribe, 1);
    scribe_close(scribe);
    file = fopen(path, "r");
    assert_string_equal(fgets(line, sizeof line, file), "the beginning of ano\n");
    assert_string_equal(fgets(line, sizeof line, file), "line 0\n");
    assert_string_equal(fgets(line, sizeof line, file), "line 1\n");
    fclose(file);
}

static void test_a_file_stays_bounded_and_keeps_the_latest(void **state)
{
    enum { LINE_BYTES = 100000, LINES = 400 };
    struct scribe *scribe;
    struct stat status;
    char first[16] = "", last[16] = "";
    static char line[LINE_BYTES + 2];

    (void)state;
    for (int i = 0; i < LINES; i++) {
        char *text = malloc(LINE_BYTES + 1);
        memset(text, 'x', LINE_BYTES);
        text[LINE_BYTES] = '\0';
        text[snprintf(text, LINE_BYTES, "%06d", i)] = ' ';
        if (i % 40 == 0)
            assert_int_equal(scribe_open(&scribe), 0);
        scribe_add(scribe, path, text);
        if (i % 40 == 39)
            scribe_close(scribe);
    }
    assert_int_equal(stat(path, &status), 0);
    assert_in_range(status.st_size, SCRIBE_FILE_MAX / 4, SCRIBE_FILE_MAX + LINE_BYTES + 1);
    FILE *file = fopen(path, "r");
    while (fgets(line, sizeof line, file)) {
        assert_int_equal(strlen(line), LINE_BYTES + 1); /* whole ones */
        if (!first[0])
            snprintf(first, sizeof first, "%.6s", line);
        snprintf(last, sizeof last, "%.6s", line);
    }
    fclose(file);
    assert_string_equal(last, "000399");
    assert_true(atoi(first) > 200);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fresh, clean)
    const struct CMUnitTest tests[] = {
        TEST(test_all_is_written_in_order_before_the_end),
        TEST(test_a_disk_that_hangs_holds_up_nobody),
        TEST(test_a_hundred_at_once_find_room),
        TEST(test_it_goes_on_after_what_cannot_be_written),
        TEST(test_a_torn_line_does_not_swallow_the_next),
        TEST(test_a_file_stays_bounded_and_keeps_the_latest),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
