/* The ends of processes that others have left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/reaper.h"

/* A child that has ended, and was not asked yet. */
static int zombie(void)
{
    siginfo_t info;
    const int pid = fork();

    if (pid == 0)
        _exit(3);
    assert_true(pid > 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

static void test_strangers_are_collected(void **unused)
{
    (void)unused;
    zombie();
    zombie();
    assert_int_equal(reaper_collect(NULL, 0), 2);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(reaper_collect(NULL, 0), 0);
}

static void test_own_ones_keep_their_status(void **unused)
{
    const int own[] = {0, zombie()};
    int status;

    (void)unused;
    zombie();
    int collected = reaper_collect(own, 2);
    assert_int_equal(waitpid(own[1], &status, WNOHANG), own[1]);
    assert_int_equal(WEXITSTATUS(status), 3);
    collected += reaper_collect(own, 2);
    assert_int_equal(collected, 1);
}

static void test_those_that_run_are_left_alone(void **unused)
{
    int gate[2], status;

    (void)unused;
    assert_int_equal(pipe(gate), 0);
    const int pid = fork();
    if (pid == 0) {
        char word;
        _exit(read(gate[0], &word, 1) == 1 ? 4 : 5);
    }
    assert_int_equal(reaper_collect(NULL, 0), 0);
    assert_int_equal(write(gate[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strangers_are_collected),
        cmocka_unit_test(test_own_ones_keep_their_status),
        cmocka_unit_test(test_those_that_run_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
