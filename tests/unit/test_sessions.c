/* Session counters on disk: they only grow, whatever becomes of the file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/saver.h"
#include "common/statefile.h"
#include "heartbeatd/sessions.h"

static char directory[] = "/tmp/duet-sessions-XXXXXX", path[64];

static int setup(void **state)
{
    (void)state;
    log_open("test", "test");
    unlink(path);
    return 0;
}

static void test_each_run_counts_on(void **state)
{
    struct sessions first, second;

    (void)state;
    sessions_begin(path, &first);
    assert_true(first.own.start >= (uint64_t)time(NULL) - 2); /* nothing on disk: the clock */
    assert_int_equal(first.peer.start, 0);
    sessions_begin(path, &second);
    assert_int_equal(second.own.start, first.own.start + 1);
    assert_memory_not_equal(second.own.random, first.own.random, 8);
    sessions_renew(path, &second, second.own.start + 100);
    assert_int_equal(second.own.start, first.own.start + 102);
    sessions_begin(path, &first);
    assert_int_equal(first.own.start, second.own.start + 1);
}

static void test_the_peer_is_kept(void **state)
{
    struct sessions sessions, again;
    struct saver *saver = NULL;
    char text[SESSIONS_TEXT_MAX];

    (void)state;
    sessions_begin(path, &sessions);
    sessions.peer = (struct heartbeat_session){.start = 77, .random = {1, 2, 3, 0xff}};
    assert_int_equal(saver_open(path, sessions_unsaved, &saver), 0);
    sessions_print(&sessions, text);
    saver_put(saver, text);
    sessions.peer.start = 78;
    sessions_print(&sessions, text);
    saver_put(saver, text);
    saver_close(saver); /* waits until it is written */
    sessions_begin(path, &again);
    assert_true(heartbeat_session_equal(&again.peer, &sessions.peer));
    assert_int_equal(again.own.start, sessions.own.start + 1);
}

static void test_a_damaged_file_falls_back_on_the_clock(void **state)
{
    struct sessions sessions;
    FILE *file = fopen(path, "we");

    (void)state;
    fputs("own 5\npeer 1 0102030405060708\nblake2b 00\n", file);
    fclose(file);
    sessions_begin(path, &sessions);
    assert_true(sessions.own.start >= (uint64_t)time(NULL) - 2);
    assert_int_equal(sessions.peer.start, 0);
    sessions_begin(path, &sessions); /* and it is whole again */
    char text[STATEFILE_MAX];
    assert_int_equal(statefile_read(path, text), 0);
}

static void test_texts_that_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "own 5\n",
        "own 5\npeer 6\n",
        "own x\npeer 1 0102030405060708\n",
        "own 5\npeer 1 01020304\n",
        "own 99999999999999999\npeer 1 0102030405060708\n",
    };
    struct sessions sessions;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        assert_int_equal(sessions_parse(wrong[i], &sessions), -EBADMSG);
}

static void test_without_a_disk_the_clock_helps(void **state)
{
    struct sessions sessions;

    (void)state;
    sessions_begin("/nonexistent/sessions", &sessions);
    assert_true(sessions.own.start >= (uint64_t)time(NULL) - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_run_counts_on, setup),
        cmocka_unit_test_setup(test_the_peer_is_kept, setup),
        cmocka_unit_test_setup(test_a_damaged_file_falls_back_on_the_clock, setup),
        cmocka_unit_test_setup(test_texts_that_are_refused, setup),
        cmocka_unit_test_setup(test_without_a_disk_the_clock_helps, setup),
    };

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof path, "%s/sessions", directory);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(directory);
    return failed;
}
