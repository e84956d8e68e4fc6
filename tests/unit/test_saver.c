/* The thread that writes, and its end. */
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
#include "common/saver.h"

static char directory[32], path[64], next[64];

static int fresh(void **state)
{
    (void)state;
    log_open("test", "test");
    strcpy(directory, "/tmp/duet-saver-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/state", directory);
    snprintf(next, sizeof next, "%s/state.new", directory);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    unlink(path);
    unlink(next);
    return rmdir(directory);
}

static void test_the_latest_is_written_before_the_end(void **state)
{
    struct saver *saver;
    char text[STATEFILE_MAX];

    (void)state;
    assert_int_equal(saver_open(path, "x", &saver), 0);
    saver_put(saver, "one\n");
    saver_put(saver, "two\n");
    saver_close(saver);
    assert_int_equal(statefile_read(path, text), 0);
    assert_string_equal(text, "two\n");
}

/* A FIFO that nobody reads takes as long to open as a disk that hangs. */
static void test_a_disk_that_hangs_does_not_hold_up_the_end(void **state)
{
    struct saver *saver;
    const int64_t begun_ns = clock_now_ns();

    (void)state;
    assert_int_equal(mkfifo(next, 0600), 0);
    assert_int_equal(saver_open(path, "nothing is known of it afterwards", &saver), 0);
    saver_put(saver, "one\n");
    alarm(20);
    saver_close(saver);
    assert_in_range(clock_now_ns() - begun_ns, NS_PER_S, 10 * NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_latest_is_written_before_the_end, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_disk_that_hangs_does_not_hold_up_the_end, fresh, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
