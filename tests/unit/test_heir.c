/* The one that goes on with a restart when superviserd is gone: a real process; only the kernel is not asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/statefile.h"
#include "superviserd/heir.h"

static struct {
    char dir[64], note[80], restarted[80];
} w;

int __wrap_sys_restart(void);
int __wrap_sys_restart(void)
{
    AUTO_CLOSE int fd = open(w.restarted, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return -1;
}

static int begin(void **state)
{
    (void)state;
    snprintf(w.dir, sizeof w.dir, "/tmp/heir-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    snprintf(w.note, sizeof w.note, "%s/note", w.dir);
    snprintf(w.restarted, sizeof w.restarted, "%s/restarted", w.dir);
    return heir_note(w.note, "boot\n");
}

static int end(void **state)
{
    (void)state;
    unlink(w.note);
    unlink(w.restarted);
    return rmdir(w.dir);
}

static void sleep_ms(int ms)
{
    usleep((useconds_t)ms * 1000);
}

static bool restarts_within(int ms)
{
    for (; ms > 0 && access(w.restarted, F_OK) < 0; ms -= 20)
        sleep_ms(20);
    return access(w.restarted, F_OK) == 0;
}

/* superviserd: begins a restart, and then ends or (`lives_ms`) does not. Its heir must not be its child. */
static pid_t superviserd(int64_t until_ns, int lives_ms)
{
    const pid_t pid = fork();
    int status;

    if (pid == 0) {
        const int r = heir_start(w.note, until_ns);
        sleep_ms(lives_ms);
        _exit(r != 0 || waitpid(-1, NULL, WNOHANG) != -1);
    }
    if (lives_ms == 0) {
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    return pid;
}

static void test_restarts_when_the_time_is_over(void **unused)
{
    (void)unused;
    superviserd(clock_now_ns() + 500 * NS_PER_MS, 0);
    assert_false(restarts_within(300));
    assert_true(restarts_within(3000));
}

/* systemd removes the run directory of a unit that was stopped. */
static void test_a_note_that_is_gone_means_nothing(void **unused)
{
    (void)unused;
    superviserd(clock_now_ns() + 300 * NS_PER_MS, 0);
    unlink(w.note);
    assert_true(restarts_within(3000));
}

static void test_a_restart_that_was_taken_back_is_none(void **unused)
{
    (void)unused;
    superviserd(clock_now_ns() + 300 * NS_PER_MS, 0);
    assert_int_equal(heir_void_note(w.note), 0);
    assert_int_equal(access(w.note, F_OK), -1);
    assert_int_equal(heir_void_note(w.note), 0);
    assert_false(restarts_within(1000));
}

static void test_a_new_grace_has_a_new_heir(void **unused)
{
    (void)unused;
    superviserd(clock_now_ns() + 300 * NS_PER_MS, 0);
    assert_int_equal(heir_note(w.note, "boot\n"), 0);
    superviserd(clock_now_ns() + 1500 * NS_PER_MS, 0);
    assert_false(restarts_within(1000));
    assert_true(restarts_within(3000));
}

static void test_superviserd_goes_first(void **unused)
{
    (void)unused;
    const pid_t pid = superviserd(clock_now_ns() + 100 * NS_PER_MS, 1000000);
    assert_false(restarts_within(1500));
    assert_int_equal(heir_void_note(w.note), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Whoever waits for the other end of what superviserd had open, such as the next user of its watchdog, does
 * not wait for the heir. */
static void test_holds_nothing(void **unused)
{
    int ends[2];
    char byte;

    (void)unused;
    assert_int_equal(pipe(ends), 0);
    superviserd(clock_now_ns() + 5 * NS_PER_S, 0);
    close(ends[1]);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    assert_int_equal(heir_void_note(w.note), 0);
}

static void test_without_a_note_there_is_none(void **unused)
{
    (void)unused;
    unlink(w.note);
    assert_true(heir_start(w.note, 0) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_restarts_when_the_time_is_over, begin, end),
        cmocka_unit_test_setup_teardown(test_a_note_that_is_gone_means_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_a_restart_that_was_taken_back_is_none, begin, end),
        cmocka_unit_test_setup_teardown(test_a_new_grace_has_a_new_heir, begin, end),
        cmocka_unit_test_setup_teardown(test_superviserd_goes_first, begin, end),
        cmocka_unit_test_setup_teardown(test_holds_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_without_a_note_there_is_none, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
