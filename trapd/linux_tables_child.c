#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/sys.h"
#include "trapd/tables_child.h"

#define PAUSE_NS NS_PER_S
#define PAUSE_MAX_NS (60 * NS_PER_S)
#define GOOD_RUN_NS (60 * NS_PER_S) /* after that the pauses begin anew */

struct tables_child {
    struct daemon *daemon;
    char program[PATH_MAX];
    int pid, pid_fd; /* 0, -1: does not run */
    int64_t started_ns, failures;
    struct loop_source *end, *timer;
};

static void on_end(void *userdata, int fd, unsigned events);

/* Beside this program, as all of duet's are. */
static int find_program(char program[static PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", program, PATH_MAX - 1);

    if (length < 0)
        return -errno;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    const size_t room = PATH_MAX - (size_t)(slash + 1 - program);
    if ((size_t)snprintf(slash + 1, room, "trapd-tables") >= room)
        return -ENAMETOOLONG;
    return 0;
}

static void become(struct tables_child *child, int parent)
{
    struct daemon *daemon = child->daemon;
    char *const argv[] = {child->program,
                          (char *)"--config",
                          (char *)daemon->config_file,
                          (char *)"--node",
                          daemon->node,
                          (char *)"--run-dir",
                          daemon->run_dir,
                          NULL};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sys_leave_realtime();
    if (sys_die_with_parent(SIGKILL) == 0 && getppid() == parent)
        execv(child->program, argv);
    _exit(127);
}

static void again(struct tables_child *child, const char *why)
{
    const int64_t now = clock_now_ns();

    if (now - child->started_ns >= GOOD_RUN_NS)
        child->failures = 0;
    const int64_t pause = backoff_ns(PAUSE_NS, ++child->failures, PAUSE_MAX_NS);
    log_warning("trapd-tables %s; it is started again in %lld s", why, (long long)(pause / NS_PER_S));
    loop_set_timer(child->timer, now + pause);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct tables_child *child = userdata;
    const int parent = getpid();

    child->started_ns = now_ns;
    child->pid = fork();
    if (child->pid == 0)
        become(child, parent);
    if (child->pid < 0) {
        child->pid = 0;
        again(child, "cannot be started");
        return;
    }
    child->pid_fd = sys_process_open(child->pid);
    if (child->pid_fd < 0 ||
        loop_add_fd(child->daemon->loop, child->pid_fd, EPOLLIN, on_end, child, &child->end) < 0)
        log_error("trapd-tables cannot be watched: it is not started again when it ends");
}

static void on_end(void *userdata, int fd, unsigned events)
{
    struct tables_child *child = userdata;
    char why[64];
    int status = 0;

    (void)fd, (void)events;
    waitpid(child->pid, &status, 0);
    loop_remove(child->end);
    child->end = NULL;
    close(child->pid_fd);
    child->pid_fd = -1;
    child->pid = 0;
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
    again(child, why);
}

int tables_child_start(struct daemon *daemon, struct tables_child **child)
{
    struct tables_child *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    *made = (struct tables_child){.daemon = daemon, .pid_fd = -1};
    *child = made;
    int r = find_program(made->program);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_timer, made, &made->timer);
    if (r == 0)
        loop_set_timer(made->timer, 1);
    return r;
}

void tables_child_free(struct tables_child *child)
{
    if (!child)
        return;
    loop_remove(child->end);
    loop_remove(child->timer);
    if (child->pid > 0) {
        kill(child->pid, SIGKILL); /* it keeps nothing */
        waitpid(child->pid, NULL, 0);
    }
    if (child->pid_fd >= 0)
        close(child->pid_fd);
    free(child);
}
