#include "superviserd/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/sys.h"
#include "superviserd/procfs.h"

enum { PIDFILE_READ = 64, COMMAND_LINE_READ = 512, FAMILY_ROUNDS = 8 };

/* What a pidfile's time and a start may differ by, since both are rounded. */
static const int64_t pidfile_slack_ns = 2 * NS_PER_S;

struct snapshot {
    struct procfs_stat *items;
    size_t count;
};

/* ----------------------------------------------------------------- looking */

static int read_stat(int pid, struct procfs_stat *stat)
{
    char path[64], text[1024];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0)
        return -ESRCH;
    const int r = procfs_parse_stat(text, (size_t)n, stat);
    return r == 0 && procfs_is_dead(stat) ? -ESRCH : r;
}

int memory_look(int pid, struct memory_process *found)
{
    struct procfs_stat stat;

    const int r = read_stat(pid, &stat);
    if (r < 0)
        return r;
    *found = (struct memory_process){pid, stat.started_ticks};
    return 0;
}

static int add(struct snapshot *snapshot, const struct procfs_stat *stat)
{
    if (snapshot->count % 256 == 0) {
        struct procfs_stat *more = realloc(snapshot->items, (snapshot->count + 256) * sizeof *more);
        if (!more)
            return -ENOMEM;
        snapshot->items = more;
    }
    snapshot->items[snapshot->count++] = *stat;
    return 0;
}

/* All processes; the caller frees `items`. 0 or a negative errno. */
static int take_snapshot(struct snapshot *snapshot)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    struct procfs_stat stat;
    int r = proc ? 0 : -errno;

    *snapshot = (struct snapshot){0};
    while (r == 0 && (entry = readdir(proc)) != NULL)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && read_stat(atoi(entry->d_name), &stat) == 0)
            r = add(snapshot, &stat);
    if (proc)
        closedir(proc);
    return r;
}

static const struct procfs_stat *of_pid(const struct snapshot *snapshot, int pid)
{
    for (size_t i = 0; i < snapshot->count; i++)
        if (snapshot->items[i].pid == pid)
            return &snapshot->items[i];
    return NULL;
}

/* Fills `text`; empty if it cannot be read (it just ended, or is a kernel thread). */
static void read_link(int pid, const char *name, char *text, size_t size)
{
    static const char gone[] = " (deleted)"; /* its program was replaced on disk */
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    const ssize_t n = readlink(path, text, size - 1);
    text[MAX(n, 0)] = '\0';
    char *end = strstr(text, gone);
    if (end && end[strlen(gone)] == '\0')
        *end = '\0';
}

/* A command that this daemon runs for a while, such as a check, which may well be the same program. */
static bool is_own(const struct snapshot *snapshot, const struct procfs_stat *stat)
{
    const struct procfs_stat *leader = of_pid(snapshot, stat->group);

    return stat->pid == getpid() || stat->parent == getpid() || (leader && leader->parent == getpid());
}

static bool is_here(const struct procfs_stat *stat, const char *network)
{
    char theirs[64];

    read_link(stat->pid, "ns/net", theirs, sizeof theirs);
    return strcmp(theirs, network) == 0;
}

static bool is_called(const struct procfs_stat *stat, const char *name)
{
    char program[PATH_MAX], path[64], words[COMMAND_LINE_READ];

    read_link(stat->pid, "exe", program, sizeof program);
    if (program[0] == '\0')
        return false;
    snprintf(path, sizeof path, "/proc/%d/cmdline", stat->pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, words, sizeof words);
    return procfs_is_called(stat, program, words, (size_t)MAX(n, 0), name);
}

/* The folder in /proc bears the effective user, whatever the process keeps from being looked at. */
static bool runs_as(int pid, int64_t uid)
{
    char path[64];
    struct stat process;

    snprintf(path, sizeof path, "/proc/%d", pid);
    return uid == MEMORY_ANYBODY || (stat(path, &process) == 0 && process.st_uid == uid);
}

/* A daemon of duet's, of whatever node, or the command: the program lies where this one does. */
static bool is_of_duet(int pid)
{
    static const char *const names[] = {"arbiterd", "heartbeatd", "takeoverd", "superviserd", "duet"};
    char own[PATH_MAX], theirs[PATH_MAX];

    read_link(getpid(), "exe", own, sizeof own);
    read_link(pid, "exe", theirs, sizeof theirs);
    const char *own_file = strrchr(own, '/'), *their_file = strrchr(theirs, '/');
    if (!own_file || !their_file || own_file - own != their_file - theirs ||
        memcmp(own, theirs, (size_t)(own_file - own)) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (strcmp(their_file + 1, names[i]) == 0)
            return true;
    return false;
}

int memory_find(const char *name, int64_t uid, struct memory_process *found)
{
    const struct procfs_stat *first = NULL;
    char network[64];
    struct snapshot snapshot;
    int r = take_snapshot(&snapshot);

    read_link(getpid(), "ns/net", network, sizeof network);
    for (size_t i = 0; i < snapshot.count && r == 0; i++) {
        const struct procfs_stat *stat = &snapshot.items[i];
        const bool earlier = !first || stat->started_ticks < first->started_ticks ||
                             (stat->started_ticks == first->started_ticks && stat->pid < first->pid);
        if (earlier && is_called(stat, name) && is_here(stat, network) && runs_as(stat->pid, uid) &&
            !is_own(&snapshot, stat) && !is_of_duet(stat->pid))
            first = stat;
    }
    if (r == 0 && !first)
        r = -ESRCH;
    if (r == 0)
        *found = (struct memory_process){first->pid, first->started_ticks};
    free(snapshot.items);
    return r;
}

/* ---------------------------------------------------------------- pidfiles */

static int64_t wall_ns_of(const struct timespec *time)
{
    return time->tv_sec * NS_PER_S + time->tv_nsec;
}

static int64_t started_wall_ns(const struct memory_process *process)
{
    const int64_t since_boot_ns = process->started_ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return wall_ns_of(&now) - (clock_now_ns() - since_boot_ns);
}

/* Whoever can write the file could else have any process ended. */
static int check_owner(const struct stat *file, int pid)
{
    char path[64];
    struct stat process;

    if (file->st_mode & (S_IWGRP | S_IWOTH))
        return -EPERM;
    snprintf(path, sizeof path, "/proc/%d", pid);
    if (stat(path, &process) < 0)
        return -ESRCH;
    return file->st_uid == 0 || file->st_uid == process.st_uid ? 0 : -EPERM;
}

int memory_read_pidfile(const char *path, bool old, struct memory_process *found)
{
    char text[PIDFILE_READ];
    struct stat file;
    int pid;

    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0)
        return errno == ELOOP ? -EPERM : -errno;
    if (fstat(fd, &file) < 0)
        return -errno;
    if (!S_ISREG(file.st_mode))
        return -EBADMSG;
    const ssize_t n = read(fd, text, sizeof text);
    if (n < 0)
        return -errno;
    int r = procfs_parse_pidfile(text, (size_t)n, &pid);
    if (r == 0 && (pid == getpid() || pid == getppid() || is_of_duet(pid)))
        r = -EPERM;
    if (r == 0)
        r = memory_look(pid, found);
    if (r == 0)
        r = check_owner(&file, pid);
    if (r == 0 && old && started_wall_ns(found) > wall_ns_of(&file.st_mtim) + pidfile_slack_ns)
        r = -ESRCH;
    return r;
}

/* ------------------------------------------------------------------- ending */

int memory_open(const struct memory_process *process)
{
    struct memory_process now;
    const int fd = sys_process_open(process->pid);

    if (fd < 0)
        return fd;
    /* Asked after the descriptor was had: from here on the number cannot be anybody else's. */
    if (memory_look(process->pid, &now) < 0 || now.started_ticks != process->started_ticks) {
        close(fd);
        return -ESRCH;
    }
    return fd;
}

static void kill_one(const struct procfs_stat *stat)
{
    const struct memory_process process = {stat->pid, stat->started_ticks};
    AUTO_CLOSE int fd = memory_open(&process);

    if (fd >= 0)
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

static bool descends_from(const struct snapshot *snapshot, const struct procfs_stat *stat, int pid)
{
    for (int depth = 0; stat && stat->parent > 1 && depth < 64; depth++) {
        if (stat->parent == pid)
            return true;
        stat = of_pid(snapshot, stat->parent);
    }
    return false;
}

/* Again until nobody is left, since they may go on forking: but not for ever. */
static void kill_relatives(int pid, bool children)
{
    for (int round = 0; round < FAMILY_ROUNDS; round++) {
        struct snapshot snapshot;
        int killed = 0;
        const int r = take_snapshot(&snapshot);
        /* The kernel gives a number to nobody as long as a group or session bears it. */
        const bool over = r < 0 || (!children && of_pid(&snapshot, pid));
        for (size_t i = 0; i < snapshot.count && !over; i++) {
            const struct procfs_stat *stat = &snapshot.items[i];
            const bool led = stat->group == pid || stat->session == pid;
            if (stat->pid == pid || !(led || (children && descends_from(&snapshot, stat, pid))))
                continue;
            kill_one(stat);
            killed++;
        }
        free(snapshot.items);
        if (killed == 0)
            return;
    }
}

void memory_kill_family(const struct memory_process *process)
{
    AUTO_CLOSE int fd = memory_open(process);

    if (fd < 0)
        return;
    kill_relatives(process->pid, true); /* first: once their parent is gone they are nobody's */
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

void memory_kill_rest(int pid)
{
    kill_relatives(pid, false);
}
