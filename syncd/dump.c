#include "syncd/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

enum { CHUNK = 32768, STEP_CHUNKS = 32 };

struct dump {
    struct loop *loop;
    const struct config_strings *command;
    const char *to;
    char temporary[PATH_MAX];
    pid_t pid;
    int pidfd;
    int both[2]; /* the last copy and the new one, while they are compared */
    bool late;
    struct loop_source *source, *timer;
    dump_ended *ended;
    void *userdata;
};

/* ------------------------------------------------------------- the command */

/* It begins with the signals of a program that nobody has touched. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    return -posix_spawnattr_setflags(attributes,
                                     POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

static int spawn(struct dump *dump, int output)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;

    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    int r = set_attributes(&attributes);
    if (r == 0)
        r = -posix_spawnp(&dump->pid, dump->command->items[0], &files, &attributes, dump->command->items,
                          environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return r;
}

static int start(struct dump *dump)
{
    unlink(dump->temporary);
    int output AUTO_CLOSE = open(dump->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (output < 0)
        return -errno;
    const int r = spawn(dump, output);
    if (r < 0) {
        dump->pid = 0;
        return r;
    }
    dump->pidfd = pidfd_open(dump->pid, 0);
    return dump->pidfd < 0 ? -errno : 0;
}

/* ------------------------------------------------------------ what it left */

static void close_both(struct dump *dump)
{
    for (int i = 0; i < 2; i++) {
        if (dump->both[i] >= 0)
            close(dump->both[i]);
        dump->both[i] = -1;
    }
}

static void end(struct dump *dump, int r, const char *error)
{
    close_both(dump);
    if (r <= 0)
        unlink(dump->temporary);
    dump->ended(dump->userdata, r, error);
}

static void put_there(struct dump *dump)
{
    char error[DUMP_ERROR_MAX] = "";
    const int r = rename(dump->temporary, dump->to) < 0 ? -errno : 1;

    if (r < 0)
        snprintf(error, sizeof error, "cannot make %.400s: %s", dump->to, strerror(-r));
    end(dump, r, error);
}

/* One step of looking whether the new copy is the last one. 1: so far; 0: to the end; -1: it is not. */
static int compare_some(struct dump *dump)
{
    for (int i = 0; i < STEP_CHUNKS; i++) {
        char bytes[2][CHUNK];
        const ssize_t n = read(dump->both[0], bytes[0], CHUNK), m = read(dump->both[1], bytes[1], CHUNK);
        if (n < 0 || n != m || memcmp(bytes[0], bytes[1], (size_t)n) != 0)
            return -1;
        if (n == 0)
            return 0;
    }
    return 1;
}

static bool may_be_the_same(struct dump *dump)
{
    struct stat st[2];
    const char *const paths[] = {dump->to, dump->temporary};

    for (int i = 0; i < 2; i++) {
        dump->both[i] = open(paths[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (dump->both[i] < 0 || fstat(dump->both[i], &st[i]) < 0)
            return false;
    }
    return st[0].st_size == st[1].st_size;
}

static void look_on(struct dump *dump)
{
    const int r = compare_some(dump);

    if (r > 0)
        loop_set_timer(dump->timer, 0);
    else if (r == 0)
        end(dump, 0, "");
    else
        put_there(dump);
}

static void tell_failure(struct dump *dump, const siginfo_t *exit_of)
{
    const char *name = dump->command->items[0];
    char error[DUMP_ERROR_MAX];

    if (dump->late)
        snprintf(error, sizeof error, "%.400s took too long, and was killed", name);
    else if (exit_of->si_code == CLD_EXITED)
        snprintf(error, sizeof error, "%.400s failed with exit status %d", name, exit_of->si_status);
    else
        snprintf(error, sizeof error, "%.400s was ended by signal %d", name, exit_of->si_status);
    end(dump, dump->late ? -ETIMEDOUT : -EIO, error);
}

static void on_exit_of(void *userdata, int fd, unsigned events)
{
    struct dump *dump = userdata;
    siginfo_t exit_of = {0};

    (void)fd;
    (void)events;
    if (dump->pid == 0 || waitid(P_PID, (id_t)dump->pid, &exit_of, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        exit_of.si_pid == 0)
        return;
    /* What it left running would write on. Its number is ours until it is buried. */
    kill(-dump->pid, SIGKILL);
    waitid(P_PID, (id_t)dump->pid, &exit_of, WEXITED);
    dump->pid = 0;
    loop_remove(dump->source);
    dump->source = NULL;
    loop_stop_timer(dump->timer);
    if (exit_of.si_code != CLD_EXITED || exit_of.si_status != 0)
        tell_failure(dump, &exit_of);
    else if (may_be_the_same(dump))
        look_on(dump);
    else
        put_there(dump);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct dump *dump = userdata;

    (void)now_ns;
    if (dump->pid == 0) {
        look_on(dump);
        return;
    }
    dump->late = true;
    kill(-dump->pid, SIGKILL);
}

/* --------------------------------------------------------------- lifetime */

int dump_start(struct loop *loop, const struct config_strings *command, const char *to, int64_t timeout_ns,
               dump_ended *ended, void *userdata, struct dump **dump)
{
    struct dump *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    *made = (struct dump){.loop = loop,
                          .command = command,
                          .to = to,
                          .pidfd = -1,
                          .both = {-1, -1},
                          .ended = ended,
                          .userdata = userdata};
    int r = (size_t)snprintf(made->temporary, sizeof made->temporary, "%s.new", to) < sizeof made->temporary
                ? start(made)
                : -ENAMETOOLONG;
    if (r == 0)
        r = loop_add_fd(loop, made->pidfd, EPOLLIN, on_exit_of, made, &made->source);
    if (r == 0)
        r = loop_add_timer(loop, on_timer, made, &made->timer);
    if (r < 0) {
        dump_free(made);
        return r;
    }
    loop_set_timer(made->timer, clock_now_ns() + timeout_ns);
    *dump = made;
    return 0;
}

void dump_free(struct dump *dump)
{
    if (!dump)
        return;
    loop_remove(dump->source);
    loop_remove(dump->timer);
    if (dump->pid > 0) { /* its output lies until the next one is begun */
        kill(-dump->pid, SIGKILL);
        waitpid(dump->pid, NULL, 0);
    }
    close_both(dump);
    if (dump->pidfd >= 0)
        close(dump->pidfd);
    free(dump);
}
