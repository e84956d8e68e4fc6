/* Programs that are started and adopted, and what becomes of them behind this process's back. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "superviserd/process.h"

struct seen {
    int started, ended;
    char text[PROCESS_TEXT_MAX];
};

static void on_started(void *userdata, int pid)
{
    struct seen *seen = userdata;

    seen->started = pid;
}

static void on_failed(void *userdata, const char *text)
{
    (void)userdata;
    fail_msg("%s", text);
}

static void on_ended(void *userdata, const struct process_end *end)
{
    struct seen *seen = userdata;

    seen->ended++;
    memcpy(seen->text, end->text, sizeof seen->text);
}

static void on_output(void *userdata, const char *line)
{
    (void)userdata;
    (void)line;
}

static struct process_handlers handlers_of(struct seen *seen)
{
    return (struct process_handlers){on_started, on_failed, on_ended, on_output, seen};
}

static void turn_until(struct loop *loop, const int *changes)
{
    for (int i = 0; i < 100 && !*changes; i++)
        assert_int_equal(loop_turn(loop, 100 * NS_PER_MS), 0);
    assert_true(*changes);
}

static void test_one_that_somebody_else_reaped_has_ended(void **unused)
{
    char *const words[] = {(char *)"sleep", (char *)"1000", NULL};
    char *const environment[] = {NULL};
    const struct process_request request = {.command = words, .environment = environment};
    struct seen seen = {0};
    const struct process_handlers handlers = handlers_of(&seen);
    struct process *process;
    struct loop *loop;

    (void)unused;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(process_start(loop, &request, &handlers, &process), 0);
    turn_until(loop, &seen.started);
    assert_int_equal(getsid(seen.started), seen.started);
    assert_int_equal(kill(seen.started, SIGKILL), 0);
    assert_int_equal(waitpid(seen.started, NULL, 0), seen.started);
    turn_until(loop, &seen.ended);
    assert_non_null(strstr(seen.text, "status is not known"));
    loop_free(loop);
}

/* Told to end before it could lead a group of its own. */
static void test_one_that_has_just_begun_can_be_ended(void **unused)
{
    char *const words[] = {(char *)"sleep", (char *)"1000", NULL};
    char *const environment[] = {NULL};
    const struct process_request request = {.command = words, .environment = environment};

    (void)unused;
    for (int i = 0; i < 50; i++) {
        struct seen seen = {0};
        const struct process_handlers handlers = handlers_of(&seen);
        struct process *process;
        struct loop *loop;

        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(process_start(loop, &request, &handlers, &process), 0);
        if (i % 2)
            process_terminate(process);
        else
            process_kill(process);
        turn_until(loop, &seen.ended);
        loop_free(loop);
    }
}

/* Leads a session of its own, until it is told to end. */
static int leader(void)
{
    int gate[2];
    char word;

    assert_int_equal(pipe(gate), 0);
    const int pid = fork();
    if (pid == 0) {
        setsid();
        _exit(write(gate[1], "x", 1) != 1 || pause());
    }
    assert_true(pid > 0);
    assert_int_equal(read(gate[0], &word, 1), 1);
    close(gate[0]);
    close(gate[1]);
    return pid;
}

/* The next process gets this number, if nobody else is quicker. */
static int leader_with(int pid)
{
    for (int i = 0; i < 100; i++) {
        FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
        if (!last)
            return -1;
        fprintf(last, "%d", pid - 1);
        if (fclose(last) != 0)
            return -1;
        const int got = leader();
        if (got == pid)
            return got;
        kill(got, SIGKILL);
        waitpid(got, NULL, 0);
    }
    return -1;
}

static void test_no_signal_for_one_that_has_the_number_now(void **unused)
{
    struct seen seen = {0};
    const struct process_handlers handlers = handlers_of(&seen);
    struct memory_process found;
    struct process *process;
    struct loop *loop;
    siginfo_t info = {0};
    const int pid = leader();

    (void)unused;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(memory_look(pid, &found), 0);
    assert_int_equal(process_adopt(loop, &found, NULL, false, false, &handlers, &process), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    usleep(30000); /* a time of start is told in hundredths of a second */
    const int other = leader_with(pid);
    process_terminate(process); /* its end was not heard of yet */
    process_kill(process);
    usleep(50000);
    if (other > 0) {
        assert_int_equal(waitid(P_PID, (id_t)other, &info, WEXITED | WNOHANG | WNOWAIT), 0);
        assert_int_equal(info.si_pid, 0); /* it lives */
    }
    turn_until(loop, &seen.ended);
    if (other > 0) {
        assert_int_equal(kill(other, SIGKILL), 0);
        assert_int_equal(waitpid(other, NULL, 0), other);
    }
    loop_free(loop);
    if (other < 0)
        skip(); /* not root, or a kernel that does not let itself be told the number */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_somebody_else_reaped_has_ended),
        cmocka_unit_test(test_one_that_has_just_begun_can_be_ended),
        cmocka_unit_test(test_no_signal_for_one_that_has_the_number_now),
    };

    log_open("test", "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
