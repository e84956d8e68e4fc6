/* What waits for a sink, on the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "trapd/backlog.h"

static char directory[64], path[96];
static uint32_t found[64];
static size_t found_count;

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/duet-backlog-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/backlog", directory);
    return 0;
}

static int remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static struct backlog *open_it(int expected)
{
    char error[BACKLOG_ERROR_MAX];
    struct backlog *backlog = NULL;

    assert_int_equal(backlog_open(path, &backlog, error), expected);
    return backlog;
}

static void note(void *userdata, const struct event *event)
{
    (void)userdata;
    found[found_count++] = event->number;
}

static void assert_waits(struct backlog *backlog, const char *sink, size_t count, const uint32_t *numbers)
{
    found_count = 0;
    assert_int_equal(backlog_load(backlog, sink, note, NULL), 0);
    assert_int_equal(found_count, count);
    assert_memory_equal(found, numbers, count * sizeof *numbers);
}

static void test_it_survives_a_kill(void **state)
{
    (void)state;
    const pid_t pid = fork();
    if (pid == 0) {
        struct backlog *backlog = open_it(0);
        for (uint32_t i = 1; i <= 5; i++) {
            const struct event event = {.kind = MIB_TRAP_PEER_LOST, .number = i};
            backlog_put(backlog, "one", &event);
            backlog_put(backlog, "other", &event);
            backlog_set_number(backlog, i);
        }
        backlog_remove(backlog, "one", 2);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    struct backlog *backlog = open_it(0);
    assert_int_equal(backlog_number(backlog), 5);
    assert_waits(backlog, "one", 4, (const uint32_t[]){1, 3, 4, 5});
    assert_waits(backlog, "other", 5, (const uint32_t[]){1, 2, 3, 4, 5});
    const char *const kept[] = {"other"};
    assert_int_equal(backlog_keep(backlog, kept, 1), 0);
    assert_waits(backlog, "one", 0, NULL);
    assert_waits(backlog, "other", 5, (const uint32_t[]){1, 2, 3, 4, 5});
    backlog_close(backlog);
}

static void test_a_damaged_one_is_kept_aside(void **state)
{
    char other[128];
    struct stat st;

    (void)state;
    FILE *file = fopen(path, "w");
    fputs("this is no database, and long enough to be read as one that is not\n", file);
    fclose(file);
    struct backlog *backlog = open_it(1);
    const struct event event = {.kind = MIB_TRAP_PEER_LOST, .number = 1};
    assert_int_equal(backlog_put(backlog, "one", &event), 0);
    assert_waits(backlog, "one", 1, (const uint32_t[]){1});
    backlog_close(backlog);
    snprintf(other, sizeof other, "%s.damaged", path);
    assert_int_equal(stat(other, &st), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_survives_a_kill, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_a_damaged_one_is_kept_aside, make_directory, remove_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
