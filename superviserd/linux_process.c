#include "superviserd/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/sys.h"
#include "superviserd/output.h"

/* What the child tells through a pipe that exec closes: nothing is a success. */
enum step { STEP_USER = 1, STEP_SETUP, STEP_EXEC };
struct report {
    int step, error;
};

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2) /* Linux 6.9 */
#endif

struct process {
    struct loop *loop;
    struct process_handlers handlers;
    bool abandoned, detached;
    bool adopted; /* not this daemon's child: its status goes to another one */
    bool alone;   /* it leads no group of duet's */
    bool leaves;  /* what it leaves behind stays */
    pid_t pid;
    struct memory_process found;                                      /* if adopted */
    int pidfd, report_fd, output_fd;                                  /* -1: closed */
    struct loop_source *pidfd_source, *report_source, *output_source; /* output: NULL while it pauses */
    struct loop_source *output_timer;                                 /* the end of a pause */
    struct report report;
    struct output output;
    struct output_ration ration;
    int64_t started_ns;
    char program[96];
};

/* ------------------------------------------------------------ in the child */

_Noreturn static void give_up(int fd, enum step step)
{
    const struct report report = {step, errno};

    if (write(fd, &report, sizeof report) < 0)
        _exit(126); /* nobody listens */
    _exit(127);
}

/* Raw system calls: the C library's own would ask threads to follow that this child does not have. */
static bool change_user(const struct process_user *user)
{
    if ((user->change_user || user->change_group) &&
        syscall(SYS_setgroups, (size_t)user->group_count, user->groups) < 0)
        return false;
    if (user->change_group && syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0)
        return false;
    return !user->change_user || syscall(SYS_setresuid, user->uid, user->uid, user->uid) == 0;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL); /* refused for SIGKILL and SIGSTOP, which have no other */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool set_descriptors(int output)
{
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return false;
    if (output >= 0 && (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0))
        return false;
    return close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

struct child {
    const struct process_request *request;
    const char *path;
    pid_t parent;
    int report, output, gate; /* gate: -1, or to be waited at for the word whether it is kept */
};

static const char gate_keep = 'k', gate_die = 'd';

/* Waits until it is noted. Nobody there any more: nobody would ever know of it. */
static bool is_kept(const struct child *child)
{
    char word;

    if (child->gate < 0)
        return false;
    if (read(child->gate, &word, 1) != 1)
        _exit(126);
    return word == gate_keep;
}

_Noreturn static void become_program(const struct child *child)
{
    const struct process_request *request = child->request;
    const bool outlives = is_kept(child) || request->detached;

    sys_leave_realtime();
    if (setsid() < 0 || !set_descriptors(child->output))
        give_up(child->report, STEP_SETUP);
    reset_signals();
    if (request->user && !change_user(request->user))
        give_up(child->report, STEP_USER);
    /* After the change of user, which would undo it. The parent may have gone just before. */
    if (!outlives && (sys_die_with_parent(SIGKILL) < 0 || getppid() != child->parent))
        give_up(child->report, STEP_SETUP);
    execve(child->path, request->command, request->environment);
    give_up(child->report, STEP_EXEC);
}

/* --------------------------------------------------------- starting (parent) */

/* Looks `name` up in PATH. What is not found is left as it is, for execve() to name the error. */
static void find_program(const char *name, char path[static PATH_MAX])
{
    const char *directory = getenv("PATH");

    text_copy(path, PATH_MAX, name);
    if (strchr(name, '/'))
        return;
    if (!directory || !*directory)
        directory = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (size_t length; *directory; directory += length + (directory[length] == ':')) {
        char candidate[PATH_MAX];
        length = strcspn(directory, ":");
        const int n = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, directory, name);
        if (length > 0 && n < (int)sizeof candidate && access(candidate, X_OK) == 0) {
            text_copy(path, PATH_MAX, candidate);
            return;
        }
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void drop_source(struct loop_source **source)
{
    loop_remove(*source);
    *source = NULL;
}

static void process_free(struct process *process)
{
    drop_source(&process->pidfd_source);
    drop_source(&process->report_source);
    drop_source(&process->output_source);
    drop_source(&process->output_timer);
    close_fd(&process->pidfd);
    close_fd(&process->report_fd);
    close_fd(&process->output_fd);
    free(process);
}

/* Nothing may be left behind that nobody watches. */
static int take_back(struct process *process, int error)
{
    if (process->pid > 0) {
        kill(process->pid, SIGKILL);
        waitpid(process->pid, NULL, 0);
    }
    process_free(process);
    return error;
}

static void on_report(void *userdata, int fd, unsigned events);
static void on_output(void *userdata, int fd, unsigned events);
static void on_end(void *userdata, int fd, unsigned events);

/* The reports first: of what comes in one turn, they happened first. */
static int watch(struct process *process)
{
    int r = 0;

    if (process->pidfd < 0)
        process->pidfd = sys_process_open(process->pid);
    if (process->pidfd < 0)
        return process->pidfd;
    if (process->report_fd >= 0)
        r = loop_add_fd(process->loop, process->report_fd, EPOLLIN, on_report, process,
                        &process->report_source);
    if (r == 0 && process->output_fd >= 0)
        r = loop_add_fd(process->loop, process->output_fd, EPOLLIN, on_output, process,
                        &process->output_source);
    if (r == 0)
        r = loop_add_fd(process->loop, process->pidfd, EPOLLIN, on_end, process, &process->pidfd_source);
    return r;
}

struct child_ends {
    int report, output, gate; /* -1: none */
    int gate_key;             /* the parent's end of the gate */
};

static void close_ends(struct child_ends *ends)
{
    close_fd(&ends->report);
    close_fd(&ends->output);
    close_fd(&ends->gate);
    close_fd(&ends->gate_key);
}

static int open_pipe(int *own, int *childs)
{
    int pair[2];

    if (pipe2(pair, O_CLOEXEC) < 0)
        return -errno;
    *own = pair[0];
    *childs = pair[1];
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* A FIFO that is open in both directions has a reader as long as the program runs. */
static int open_fifo(const char *path, const struct process_user *user, int *own, int *childs)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    if (mkfifo(path, 0600) < 0)
        return -errno;
    *childs = open(path, O_RDWR | O_CLOEXEC);
    *own = *childs < 0 ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*own < 0)
        return -errno;
    /* So that it may open /dev/stdout; without, it just cannot. */
    if (user && user->change_user && fchown(*childs, user->uid, user->gid) < 0)
        return 0;
    return 0;
}

static int open_gate(struct child_ends *ends)
{
    int pair[2];

    if (pipe2(pair, O_CLOEXEC) < 0)
        return -errno;
    ends->gate = pair[0];
    ends->gate_key = pair[1];
    return 0;
}

static int open_ends(struct process *process, const struct process_request *request, struct child_ends *ends)
{
    int r = open_pipe(&process->report_fd, &ends->report);

    if (r == 0 && request->keep)
        r = open_fifo(request->keep->output, request->user, &process->output_fd, &ends->output);
    else if (r == 0 && !request->detached)
        r = open_pipe(&process->output_fd, &ends->output);
    if (r == 0 && request->keep)
        r = open_gate(ends);
    return r;
}

static int fork_child(struct process *process, const struct process_request *request,
                      const struct child_ends *ends)
{
    char path[PATH_MAX];
    const struct child child = {request, path, getpid(), ends->report, ends->output, ends->gate};

    find_program(request->command[0], path);
    process->started_ns = clock_now_ns();
    process->pid = fork();
    if (process->pid == 0) {
        if (ends->gate_key >= 0)
            close(ends->gate_key); /* else the gate would never be seen closed */
        become_program(&child);
    }
    return process->pid < 0 ? -errno : 0;
}

/* Lets the child through. */
static int open_the_gate(const struct process *process, const struct process_keep *keep, int key)
{
    struct memory_process self;
    const int r = memory_look(process->pid, &self);
    const bool kept = r == 0 && keep->note(keep->userdata, &self) == 0;

    return write(key, kept ? &gate_keep : &gate_die, 1) == 1 ? 0 : -errno;
}

static struct process *new_process(struct loop *loop, const struct process_handlers *handlers)
{
    struct process *made = calloc(1, sizeof *made);

    if (!made)
        return NULL;
    made->loop = loop;
    made->handlers = *handlers;
    made->pid = made->pidfd = made->report_fd = made->output_fd = -1;
    return made;
}

int process_start(struct loop *loop, const struct process_request *request,
                  const struct process_handlers *handlers, struct process **process)
{
    struct child_ends ends = {-1, -1, -1, -1};
    struct process *made = new_process(loop, handlers);

    if (!made)
        return -ENOMEM;
    made->detached = request->detached;
    made->leaves = request->detached || (request->keep && request->keep->leaves);
    text_copy(made->program, sizeof made->program, request->command[0]);
    int r = open_ends(made, request, &ends);
    if (r == 0)
        r = fork_child(made, request, &ends);
    if (r == 0)
        r = watch(made);
    if (r == 0 && request->keep)
        r = open_the_gate(made, request->keep, ends.gate_key);
    close_ends(&ends);
    if (r < 0)
        return take_back(made, r);
    *process = made;
    return 0;
}

int process_adopt(struct loop *loop, const struct memory_process *found, const char *output, bool alone,
                  bool leaves, const struct process_handlers *handlers, struct process **process)
{
    struct process *made = new_process(loop, handlers);

    if (!made)
        return -ENOMEM;
    made->adopted = true;
    made->alone = alone;
    made->leaves = leaves;
    made->started_ns = clock_now_ns();
    made->output_fd = output ? open(output, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW) : -1;
    made->pidfd = memory_open(found);
    int r = made->pidfd < 0 ? made->pidfd : watch(made);
    if (r < 0) {
        process_free(made);
        return r;
    }
    made->found = *found;
    made->pid = found->pid;
    *process = made;
    return 0;
}

/* ------------------------------------------------------- what happens to it */

static void failure_words(const struct process *process, char text[static PROCESS_TEXT_MAX])
{
    const char *reason = strerror(process->report.error);

    if (process->report.step == STEP_EXEC)
        snprintf(text, PROCESS_TEXT_MAX, "cannot start %s: %s", process->program, reason);
    else if (process->report.step == STEP_USER)
        snprintf(text, PROCESS_TEXT_MAX, "cannot start %s: taking its user and group: %s", process->program,
                 reason);
    else
        snprintf(text, PROCESS_TEXT_MAX, "cannot start %s: preparing its process: %s", process->program,
                 reason);
}

static void end_words(const struct process *process, const siginfo_t *info, struct process_end *end)
{
    const int64_t ran_ns = clock_now_ns() - process->started_ns;
    const bool by_itself = info->si_code == CLD_EXITED;

    if (process->adopted) {
        *end = (struct process_end){.text = "ended; its status is not known, since it was adopted"};
        return;
    }
    if (info->si_code == 0) {
        *end =
            (struct process_end){.text = "ended; its status is not known, since it was asked for elsewhere"};
        return;
    }
    end->well = by_itself && info->si_status == 0;
    snprintf(end->text, sizeof end->text, "%s %d after %" PRId64 ".%" PRId64 " s",
             by_itself ? "ended with status" : "killed by signal", info->si_status, ran_ns / NS_PER_S,
             ran_ns % NS_PER_S / (NS_PER_S / 10));
}

/* Kills what is left of the group while the first process, not yet reaped, keeps the group's number from
 * being given to another one; then reaps it. False if it has not ended. Without a child of that number there
 * is nothing to wait for any more: `info` stays empty. */
static bool reap(struct process *process, siginfo_t *info)
{
    if (waitid(P_PID, (id_t)process->pid, info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return errno == ECHILD;
    if (info->si_pid == 0)
        return false;
    if (!process->leaves)
        kill(-process->pid, SIGKILL);
    return waitid(P_PID, (id_t)process->pid, info, WEXITED | WNOHANG) == 0;
}

static void hand_over_line(void *userdata, const char *line)
{
    const struct process *process = userdata;

    if (!process->abandoned)
        process->handlers.output(process->handlers.userdata, line);
}

/* Bytes read; 0 when nothing more can come; or a negative errno. */
static ssize_t read_output(struct process *process)
{
    char bytes[8192];
    const ssize_t n = read(process->output_fd, bytes, sizeof bytes);

    if (n > 0)
        output_feed(&process->output, bytes, (size_t)n, hand_over_line, process);
    return n < 0 ? -errno : n;
}

static void end_output(struct process *process)
{
    drop_source(&process->output_source);
    drop_source(&process->output_timer);
    close_fd(&process->output_fd);
    output_end(&process->output, hand_over_line, process);
}

static void on_output_timer(void *userdata, int64_t now_ns)
{
    struct process *process = userdata;

    (void)now_ns;
    if (loop_add_fd(process->loop, process->output_fd, EPOLLIN, on_output, process, &process->output_source) <
        0)
        end_output(process);
}

/* It printed its ration. Without memory for a timer it is read on. */
static void pause_output(struct process *process, int64_t until_ns)
{
    if (!process->output_timer &&
        loop_add_timer(process->loop, on_output_timer, process, &process->output_timer) < 0)
        return;
    drop_source(&process->output_source);
    loop_set_timer(process->output_timer, until_ns);
}

static void on_output(void *userdata, int fd, unsigned events)
{
    struct process *process = userdata;

    (void)fd;
    (void)events;
    const ssize_t r = read_output(process);
    const int64_t pause_ns = output_pause(&process->ration, (size_t)MAX(r, 0), clock_now_ns());
    if (r == 0 || (r < 0 && r != -EAGAIN && r != -EINTR))
        end_output(process);
    else if (pause_ns != 0)
        pause_output(process, pause_ns);
}

/* What was printed last is worth most. Bounded by what a pipe holds. */
static void drain_output(struct process *process)
{
    if (process->output_fd < 0)
        return;
    for (int i = 0; i < 8 && read_output(process) > 0; i++)
        ;
    end_output(process);
}

/* Notes what the child reported, and tells of a start that worked. One that failed is told when the child is
 * reaped. */
static void on_report(void *userdata, int fd, unsigned events)
{
    struct process *process = userdata;
    const ssize_t n = read(fd, &process->report, sizeof process->report);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    drop_source(&process->report_source);
    if (n == 0 && !process->abandoned)
        process->handlers.started(process->handlers.userdata, process->pid);
}

static void tell_end(const struct process *process, const siginfo_t *info)
{
    const struct process_handlers *handlers = &process->handlers;
    char text[PROCESS_TEXT_MAX];
    struct process_end end;

    if (process->abandoned)
        return;
    if (process->report.step != 0) {
        failure_words(process, text);
        handlers->failed(handlers->userdata, text);
    } else {
        end_words(process, info, &end);
        handlers->ended(handlers->userdata, &end);
    }
}

static void on_end(void *userdata, int fd, unsigned events)
{
    struct process *process = userdata;
    siginfo_t info = {0};

    (void)fd;
    (void)events;
    if (process->report_source)
        on_report(process, process->report_fd, 0);
    if (!process->adopted && !reap(process, &info))
        return;
    if (process->adopted && !process->leaves)
        memory_kill_rest(process->pid);
    drain_output(process);
    tell_end(process, &info);
    process_free(process);
}

int process_pid(const struct process *process)
{
    return process->pid;
}

bool process_is_adopted(const struct process *process)
{
    return process->adopted;
}

/* ---------------------------------------------------------------- ending it */

static bool has_ended(const struct process *process)
{
    struct pollfd pidfd = {.fd = process->pidfd, .events = POLLIN};

    return poll(&pidfd, 1, 0) > 0;
}

/* By the descriptor where the kernel can, since the number of an adopted process may be another one's as soon
 * as it has ended. A child keeps its number until it is reaped; one that was not yet scheduled leads no
 * group. */
static void signal_group(const struct process *process, int number)
{
    if (syscall(SYS_pidfd_send_signal, process->pidfd, number, NULL, PIDFD_SIGNAL_PROCESS_GROUP) == 0 ||
        (process->adopted && has_ended(process)))
        return;
    if (kill(-process->pid, number) < 0 && errno == ESRCH && !process->adopted)
        kill(process->pid, number);
}

void process_terminate(const struct process *process)
{
    if (process->alone) {
        syscall(SYS_pidfd_send_signal, process->pidfd, SIGTERM, NULL, 0);
        syscall(SYS_pidfd_send_signal, process->pidfd, SIGCONT, NULL, 0);
        return;
    }
    signal_group(process, SIGTERM);
    signal_group(process, SIGCONT);
}

void process_kill(const struct process *process)
{
    if (process->adopted)
        memory_kill_family(&process->found);
    else
        signal_group(process, SIGKILL);
}

void process_abandon(struct process *process)
{
    process->abandoned = true;
    process_kill(process);
}

/* -------------------------------------------------------------------- users */

static int find_user(const char *name, struct process_user *found)
{
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (!entry)
        return errno ? -errno : -ENOENT;
    found->change_user = found->change_group = true;
    found->uid = entry->pw_uid;
    found->gid = entry->pw_gid;
    return 0;
}

static int find_group(const char *name, struct process_user *found)
{
    errno = 0;
    const struct group *entry = getgrnam(name);
    if (!entry)
        return errno ? -errno : -ENOENT;
    found->change_group = true;
    found->gid = entry->gr_gid;
    return 0;
}

int process_user_find(const char *user, const char *group, struct process_user *found, const char **unknown)
{
    *found = (struct process_user){0};
    *unknown = user;
    int r = *user ? find_user(user, found) : 0;
    if (r < 0)
        return r;
    *unknown = group;
    r = *group ? find_group(group, found) : 0;
    if (r < 0 || !*user)
        return r;
    found->group_count = PROCESS_GROUPS_MAX;
    if (getgrouplist(user, found->gid, found->groups, &found->group_count) < 0) {
        *unknown = user;
        return -E2BIG; /* in more groups than there is room for */
    }
    return 0;
}
