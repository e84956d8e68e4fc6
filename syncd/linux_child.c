#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"
#include "syncd/child.h"

enum { LINE_MAX_BYTES = 160, READS_MAX = 16 };

struct child {
    struct loop *loop;
    struct loop_source *exit_source, *output_source, *timer;
    pid_t pid;
    int process, output;
    bool timed_out;
    int64_t timeout_ns;
    char name[64], line[LINE_MAX_BYTES], last[LINE_MAX_BYTES];
    size_t line_size;
    struct log_limit limit;
    child_handler *handler;
    void *userdata;
};

static void child_free(struct child *c)
{
    loop_remove(c->exit_source);
    loop_remove(c->output_source);
    loop_remove(c->timer);
    if (c->process >= 0)
        close(c->process);
    if (c->output >= 0)
        close(c->output);
    free(c);
}

static void end_line(struct child *c)
{
    c->line[c->line_size] = '\0';
    if (c->line_size > 0) {
        text_copy(c->last, sizeof c->last, c->line);
        if (log_allowed(&c->limit, 20))
            log_info("%s: %s", c->name, c->line);
    }
    c->line_size = 0;
}

/* What it prints may be anything: what is no plain text becomes '?'. */
static void take_output(struct child *c, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        if (byte == '\n')
            end_line(c);
        else if (c->line_size < sizeof c->line - 1)
            c->line[c->line_size++] = byte < ' ' || byte > '~' ? '?' : (char)byte;
    }
}

static bool read_output(struct child *c)
{
    char bytes[1024];

    for (int i = 0; i < READS_MAX; i++) {
        const ssize_t size = read(c->output, bytes, sizeof bytes);
        if (size == 0)
            return false;
        if (size < 0)
            return errno == EAGAIN || errno == EINTR;
        take_output(c, bytes, (size_t)size);
    }
    return true;
}

static void on_output(void *userdata, int fd, unsigned events)
{
    struct child *c = userdata;

    (void)fd;
    (void)events;
    if (!read_output(c)) {
        loop_remove(c->output_source);
        c->output_source = NULL;
    }
}

static void on_exit_of_child(void *userdata, int fd, unsigned events)
{
    struct child *c = userdata;
    siginfo_t info = {0};
    char text[LINE_MAX_BYTES + 96];

    (void)fd;
    (void)events;
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return;
    kill(-c->pid, SIGKILL); /* whatever it left in its group */
    read_output(c);
    end_line(c);
    const bool well = !c->timed_out && info.si_code == CLD_EXITED && info.si_status == 0;
    if (c->timed_out)
        snprintf(text, sizeof text, "%s took longer than %.1f s and was killed", c->name,
                 (double)c->timeout_ns / 1e9);
    else if (info.si_code == CLD_EXITED)
        snprintf(text, sizeof text, "%s ended with status %d", c->name, info.si_status);
    else
        snprintf(text, sizeof text, "%s was killed by signal %d", c->name, info.si_status);
    if (!well && c->last[0] != '\0')
        snprintf(text + strlen(text), sizeof text - strlen(text), ": %s", c->last);
    child_handler *const handler = c->handler;
    void *const handler_data = c->userdata;
    child_free(c);
    handler(handler_data, well, text);
}

static void on_timeout(void *userdata, int64_t now_ns)
{
    struct child *c = userdata;

    (void)now_ns;
    c->timed_out = true;
    kill(-c->pid, SIGKILL);
}

static char **join_environment(const char *const *added)
{
    size_t own = 0, more = 0;

    while (environ[own])
        own++;
    while (added && added[more])
        more++;
    char **all = calloc(own + more + 1, sizeof *all);
    for (size_t i = 0; all && i < own; i++)
        all[i] = environ[i];
    for (size_t i = 0; all && i < more; i++)
        all[own + i] = (char *)added[i];
    return all;
}

static int spawn(struct child *c, const struct config_strings *command, char **environment,
                 const char *directory, const char *input, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input ? input : "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    if (directory)
        posix_spawn_file_actions_addchdir_np(&actions, directory);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    const int r =
        posix_spawnp(&c->pid, command->items[0], &actions, &attributes, command->items, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return -r;
}

static int watch(struct child *c, int64_t timeout_ns)
{
    c->process = sys_process_open(c->pid);
    if (c->process < 0)
        return c->process;
    int r = loop_add_fd(c->loop, c->process, EPOLLIN, on_exit_of_child, c, &c->exit_source);
    if (r == 0)
        r = loop_add_fd(c->loop, c->output, EPOLLIN, on_output, c, &c->output_source);
    if (r == 0)
        r = loop_add_timer(c->loop, on_timeout, c, &c->timer);
    if (r == 0)
        loop_set_timer(c->timer, clock_now_ns() + timeout_ns);
    return r;
}

int child_start(struct loop *loop, const struct config_strings *command, const char *const *environment,
                const char *directory, const char *input, int64_t timeout_ns, child_handler *handler,
                void *userdata, struct child **child)
{
    struct child *c = calloc(1, sizeof *c);
    AUTO_FREE char **all = join_environment(environment);
    const char *slash = strrchr(command->items[0], '/');
    int ends[2];

    if (!c || !all) {
        free(c);
        return -ENOMEM;
    }
    *c = (struct child){.loop = loop,
                        .process = -1,
                        .output = -1,
                        .timeout_ns = timeout_ns,
                        .handler = handler,
                        .userdata = userdata};
    text_copy(c->name, sizeof c->name, slash ? slash + 1 : command->items[0]);
    if (pipe2(ends, O_CLOEXEC) < 0) {
        child_free(c);
        return -errno;
    }
    c->output = ends[0];
    fcntl(c->output, F_SETFL, O_NONBLOCK);
    int r = spawn(c, command, all, directory, input, ends[1]);
    close(ends[1]);
    if (r == 0 && (r = watch(c, timeout_ns)) < 0) {
        kill(-c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
    }
    if (r < 0) {
        child_free(c);
        return r;
    }
    *child = c;
    return 0;
}

void child_kill(struct child *child)
{
    if (!child)
        return;
    kill(-child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    child_free(child);
}
