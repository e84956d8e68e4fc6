#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/task.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"

enum { LINE_MAX_BYTES = 512, READS_MAX = 16 };

struct task {
    struct loop *loop;
    pid_t pid;
    int pidfd, output;
    struct loop_source *pidfd_source, *output_source, *timer;
    bool asked, out_of_time, reason_first;
    int64_t began_ns;
    char program[64];
    const char *name;
    char line[LINE_MAX_BYTES], reason[TASK_TEXT_MAX];
    size_t used;
    task_line_handler *on_line;
    task_end_handler *handler;
    void *userdata;
};

/* ---- what it prints */

static void keep_reason(struct task *task)
{
    static const char warning[] = "Warning:";

    if (!task->reason_first || !task->reason[0] || strncmp(task->reason, warning, strlen(warning)) == 0)
        text_copy(task->reason, sizeof task->reason, task->line);
}

static void end_line(struct task *task)
{
    task->line[task->used] = '\0';
    for (char *at = task->line; *at; at++)
        if (((unsigned char)*at < ' ' && *at != '\t') || (unsigned char)*at >= 0x7f)
            *at = '?';
    if (task->used > 0) {
        keep_reason(task);
        if (task->name)
            log_info("%s: %s: %s", task->name, task->program, task->line);
        if (task->on_line)
            task->on_line(task->userdata, task->line);
    }
    task->used = 0;
}

static void take_bytes(struct task *task, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n' || task->used == sizeof task->line - 1)
            end_line(task);
        if (bytes[i] != '\n')
            task->line[task->used++] = bytes[i];
    }
}

static void read_output(struct task *task)
{
    char bytes[1024];
    ssize_t n = 1;

    for (int i = 0; i < READS_MAX && n > 0; i++) {
        n = read(task->output, bytes, sizeof bytes);
        if (n > 0)
            take_bytes(task, bytes, (size_t)n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        loop_remove(task->output_source);
        task->output_source = NULL;
    }
}

static void on_output(void *userdata, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    read_output(userdata);
}

/* ---- its end */

static void task_free(struct task *task)
{
    loop_remove(task->pidfd_source);
    loop_remove(task->output_source);
    loop_remove(task->timer);
    if (task->pidfd >= 0)
        close(task->pidfd);
    close(task->output);
    free(task);
}

static void describe_end(const struct task *task, int status, struct task_end *end)
{
    char how[48];

    end->good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && !task->out_of_time;
    end->took_ns = clock_now_ns() - task->began_ns;
    if (task->out_of_time)
        text_copy(how, sizeof how, "not done in time");
    else if (WIFEXITED(status))
        snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
    else
        snprintf(how, sizeof how, "killed by signal %d", WTERMSIG(status));
    snprintf(end->text, sizeof end->text, "%.40s: %s%s%.100s", task->program, how,
             task->reason[0] ? ": " : "", task->reason);
}

static void on_end(void *userdata, int fd, unsigned events)
{
    struct task *task = userdata;
    struct task_end end;
    int status = 0;

    (void)fd;
    (void)events;
    if (task->asked || task->out_of_time)
        kill(-task->pid, SIGKILL); /* what is left of its group, which is its own until it is waited for */
    if (waitpid(task->pid, &status, WNOHANG) != task->pid)
        return;
    if (task->output_source)
        read_output(task);
    end_line(task);
    describe_end(task, status, &end);
    task_end_handler *handler = task->handler;
    void *for_handler = task->userdata;
    task_free(task);
    handler(for_handler, &end);
}

static void on_time(void *userdata, int64_t now_ns)
{
    struct task *task = userdata;

    (void)now_ns;
    task->out_of_time = !task->asked;
    kill(-task->pid, SIGKILL);
}

void task_end(struct task *task, int64_t patience_ns)
{
    task->asked = true;
    kill(-task->pid, SIGTERM);
    kill(-task->pid, SIGCONT);
    loop_set_timer(task->timer, clock_now_ns() + patience_ns);
}

void task_abandon(struct task *task)
{
    if (!task)
        return;
    kill(-task->pid, SIGKILL);
    waitpid(task->pid, NULL, 0);
    close(task->pidfd);
    close(task->output);
    free(task);
}

/* ---- its begin */

/* What systemd has for this daemon alone: a program that can be a unit itself (OpenVPN) would take it. */
static void forget_systemd(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",  "WATCHDOG_PID",   "LISTEN_FDS",
                                        "LISTEN_PID",    "LISTEN_FDNAMES", "JOURNAL_STREAM", "INVOCATION_ID"};

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        unsetenv(names[i]);
}

_Noreturn static void become(char *const words[], int output, int failure, pid_t parent)
{
    sigset_t none;
    const int null = open("/dev/null", O_RDONLY);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    forget_systemd();
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 || getppid() != parent)
        _exit(126);
    execvp(words[0], words);
    const int error = errno;
    if (write(failure, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

/* The child's pid, or a negative errno, also of its exec: the end of it that exec closes tells of that. */
static int spawn(char *const words[], int output)
{
    int failure[2], error = 0;
    const pid_t parent = getpid();

    if (pipe2(failure, O_CLOEXEC) < 0)
        return -errno;
    const pid_t pid = fork();
    if (pid == 0)
        become(words, output, failure[1], parent);
    const int fork_error = errno;
    close(failure[1]);
    if (pid < 0)
        error = fork_error;
    else if (read(failure[0], &error, sizeof error) == sizeof error)
        waitpid(pid, NULL, 0);
    else
        error = 0;
    close(failure[0]);
    return error != 0 ? -error : pid;
}

static int watch(struct task *task, int64_t timeout_ns)
{
    int r = loop_add_fd(task->loop, task->pidfd, EPOLLIN, on_end, task, &task->pidfd_source);

    if (r == 0)
        r = loop_add_fd(task->loop, task->output, EPOLLIN, on_output, task, &task->output_source);
    if (r == 0)
        r = loop_add_timer(task->loop, on_time, task, &task->timer);
    if (r == 0 && timeout_ns > 0)
        loop_set_timer(task->timer, task->began_ns + timeout_ns);
    return r;
}

static int launch(struct task *task, char *const words[])
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    const int pid = spawn(words, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return pid;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    task->pid = pid;
    task->output = ends[0];
    task->pidfd = sys_process_open(pid);
    return task->pidfd < 0 ? task->pidfd : 0;
}

int task_start(struct loop *loop, const struct task_request *request, struct task **result)
{
    struct task *task = calloc(1, sizeof *task);

    if (!task)
        return -ENOMEM;
    *task = (struct task){.loop = loop,
                          .pidfd = -1,
                          .output = -1,
                          .began_ns = clock_now_ns(),
                          .name = request->name,
                          .reason_first = request->reason_first,
                          .on_line = request->on_line,
                          .handler = request->on_end,
                          .userdata = request->userdata};
    const char *slash = strrchr(request->words[0], '/');
    text_copy(task->program, sizeof task->program, slash ? slash + 1 : request->words[0]);
    int r = launch(task, request->words);
    if (r == 0)
        r = watch(task, request->timeout_ns);
    if (r == 0) {
        *result = task;
        return 0;
    }
    if (task->pid > 0) {
        kill(-task->pid, SIGKILL);
        waitpid(task->pid, NULL, 0);
        task_free(task);
    } else {
        free(task);
    }
    return r;
}
