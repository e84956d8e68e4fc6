/* The recorder's thread: notes, the flush before a restart, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/blackbox_files.h"
#include "common/clock.h"
#include "common/log.h"
#include "superviserd/recorder.h"

static struct daemon node = {.name = "superviserd", .node = "alpha"};

static int fresh(void **state)
{
    char template[] = "/tmp/duet-recorder-XXXXXX";

    (void)state;
    log_open("test", "test");
    /* Not the whole machine: whoever runs this keeps the records of his kernel. */
    if (geteuid() == 0 && unshare(CLONE_NEWNET) < 0)
        return -1;
    if (!mkdtemp(template))
        return -1;
    snprintf(node.run_dir, sizeof node.run_dir, "%s/run", template);
    snprintf(node.state_dir, sizeof node.state_dir, "%s/state", template);
    return mkdir(node.state_dir, 0700);
}

static int clean(void **state)
{
    char command[PATH_MAX + 16];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %.*s", (int)(strlen(node.state_dir) - strlen("/state")),
             node.state_dir);
    return system(command);
}

/* The bodies of all records, each with its kind. */
static const char *recorded(void)
{
    static char text[8192];
    char path[PATH_MAX];
    struct blackbox_reading reading;
    unsigned char *bytes;
    size_t size;

    text[0] = '\0';
    snprintf(path, sizeof path, "%s/%s", node.state_dir, BLACKBOX_FILE);
    assert_int_equal(blackbox_load(path, &bytes, &size), 0);
    assert_int_equal(blackbox_read(bytes, size, &reading), 0);
    for (size_t i = 0; i < reading.count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d %.*s\n", (int)reading.records[i].kind,
                 (int)reading.records[i].body_size, reading.records[i].body);
    blackbox_forget(&reading);
    free(bytes);
    return text;
}

static void test_a_flush_has_everything_written_down(void **state)
{
    struct recorder *recorder = NULL;

    (void)state;
    assert_int_equal(recorder_start(&node, &recorder), 0);
    for (int i = 0; i < 20; i++) {
        char note[16];
        snprintf(note, sizeof note, "note %d", i);
        recorder_note(recorder, note);
        assert_int_equal(recorder_flush(recorder, 2 * NS_PER_S), 0);
        assert_non_null(strstr(recorded(), note));
    }
    recorder_note(recorder, "the last one");
    recorder_stop(recorder);
    const char *text = recorded();
    assert_memory_equal(text, "1 superviserd ", 14);
    assert_string_equal(text + strlen(text) - strlen("3 the last one\n2 superviserd ends\n"),
                        "3 the last one\n2 superviserd ends\n");
}

static void test_notes_are_bounded(void **state)
{
    struct recorder *recorder = NULL;
    char note[1000];

    (void)state;
    memset(note, 'x', sizeof note);
    note[sizeof note - 1] = '\0';
    assert_int_equal(recorder_start(&node, &recorder), 0);
    for (int i = 0; i < 100000; i++)
        recorder_note(recorder, note);
    recorder_stop(recorder);
    const char *text = recorded();
    assert_non_null(strstr(text, "3 more notes came than the disk could take\n"));
    assert_null(memmem(text, strlen(text), note, 200));
    assert_non_null(memmem(text, strlen(text), note, 199));
}

static void test_without_a_box(void **state)
{
    struct recorder *recorder = NULL;

    (void)state;
    assert_int_equal(rmdir(node.state_dir), 0);
    assert_int_equal(recorder_start(&node, &recorder), 0);
    recorder_note(recorder, "nobody reads it");
    assert_int_equal(recorder_flush(recorder, 2 * NS_PER_S), -ENODEV);
    recorder_stop(recorder);
    recorder_note(NULL, "");
    assert_int_equal(recorder_flush(NULL, NS_PER_S), -ENODEV);
    recorder_stop(NULL);
    assert_int_equal(mkdir(node.state_dir, 0700), 0);
}

/* The end of the one before takes a moment, where the disk is slow. */
static void test_a_box_that_another_one_writes_is_waited_for(void **state)
{
    struct recorder *recorder = NULL;
    const int64_t begun_ns = clock_now_ns();
    const struct timespec moment = {.tv_nsec = 50 * NS_PER_MS};
    char path[PATH_MAX];
    int end[2];

    (void)state;
    assert_int_equal(recorder_start(&node, &recorder), 0);
    recorder_stop(recorder);
    assert_int_equal(pipe(end), 0);
    const pid_t other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        char word;
        snprintf(path, sizeof path, "%s/%s", node.state_dir, BLACKBOX_FILE);
        _exit(fcntl(open(path, O_RDWR), F_SETLK, &lock) < 0 || write(end[1], "x", 1) != 1 || pause() == 0 ||
              read(end[0], &word, 1) < 0);
    }
    char word;
    assert_int_equal(read(end[0], &word, 1), 1); /* it has the lock */
    assert_int_equal(recorder_start(&node, &recorder), 0);
    nanosleep(&moment, NULL);
    recorder_note(recorder, "too early");
    recorder_flush(recorder, 2 * NS_PER_S);
    assert_int_equal(kill(other, SIGKILL), 0);
    assert_int_equal(waitpid(other, NULL, 0), other);
    while (!strstr(recorded(), "in time") && clock_now_ns() - begun_ns < 20 * NS_PER_S) {
        recorder_note(recorder, "in time");
        recorder_flush(recorder, 2 * NS_PER_S);
        nanosleep(&moment, NULL);
    }
    recorder_stop(recorder);
    assert_non_null(strstr(recorded(), "in time"));
    assert_null(strstr(recorded(), "too early"));
    close(end[0]);
    close(end[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_flush_has_everything_written_down, fresh, clean),
        cmocka_unit_test_setup_teardown(test_notes_are_bounded, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_box_that_another_one_writes_is_waited_for, fresh, clean),
        cmocka_unit_test_setup_teardown(test_without_a_box, fresh, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
