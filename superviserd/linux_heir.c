#include "superviserd/heir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/statefile.h"
#include "common/sys.h"

enum { NOTE_FD = 3 };

static const int64_t poll_ns = 50 * NS_PER_MS;

/* ------------------------------------------------------------------ the note */

int heir_void_note(const char *note)
{
    AUTO_CLOSE int fd = open(note, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return unlink(note) < 0 ? -errno : 0;
}

int heir_note(const char *note, const char *text)
{
    const int r = heir_void_note(note);

    return r < 0 ? r : statefile_write_quick(note, text);
}

/* ------------------------------------------------------------------ the heir
 *
 * From here on only what may be called after a fork of a process with threads. */

static void sleep_until(int64_t when_ns)
{
    const struct timespec when = {(time_t)(when_ns / NS_PER_S), (long)(when_ns % NS_PER_S)};

    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

static void say(const char *path, const char *text)
{
    const int fd = path ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : STDERR_FILENO;

    if (fd >= 0 && write(fd, text, strlen(text)) < 0)
        return; /* there is nobody left to tell that to */
}

/* A unit's cgroup is emptied when the unit is stopped. Where the root's is not to be had, KillMode counts. */
static void leave_cgroup(void)
{
    const int fd = open("/sys/fs/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, "0", 1) < 0)
        say(NULL,
            "<4>superviserd: its heir stays in the cgroup of duet, and ends with it if KillMode says so\n");
    if (fd >= 0)
        close(fd);
}

static bool is_void(void)
{
    struct stat st;

    return fstat(NOTE_FD, &st) < 0 || st.st_size == 0;
}

/* A disk that hangs takes the one who waits for it along: so that is somebody else. */
static void sync_for_a_while(void)
{
    const int64_t until_ns = clock_now_ns() + HEIR_SYNC_NS;
    const pid_t pid = _Fork();

    if (pid == 0) {
        sync();
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0 && clock_now_ns() < until_ns)
        sleep_until(clock_now_ns() + poll_ns);
}

_Noreturn static void be_the_heir(pid_t superviserd, int64_t until_ns)
{
    static const char words[] =
        "<2>superviserd's heir: the shutdown hangs; restarting the machine by the kernel\n";

    leave_cgroup();
    sleep_until(until_ns);
    if (kill(superviserd, 0) == 0) /* it does the same, and knows more to tell */
        sleep_until(until_ns + HEIR_SYNC_NS + NS_PER_S);
    if (is_void())
        _exit(0);
    say(NULL, words);
    say("/dev/kmsg", words);
    sync_for_a_while();
    sys_restart();
    say("/dev/kmsg", "<2>superviserd's heir: the kernel refused to restart the machine\n");
    _exit(1);
}

/* The one between is waited for at once, so that the heir is nobody's child. */
_Noreturn static void beget(int note, pid_t superviserd, int64_t until_ns)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (setsid() < 0 || chdir("/") < 0 || dup2(note, NOTE_FD) < 0 || close_range(NOTE_FD + 1, ~0U, 0) < 0)
        _exit(errno);
    const pid_t pid = _Fork();
    if (pid == 0)
        be_the_heir(superviserd, until_ns);
    _exit(pid < 0 ? errno : 0);
}

int heir_start(const char *note, int64_t until_ns)
{
    const pid_t superviserd = getpid();
    int status = 0;

    AUTO_CLOSE int fd = open(note, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const pid_t between = _Fork();
    if (between < 0)
        return -errno;
    if (between == 0)
        beget(fd, superviserd, until_ns);
    while (waitpid(between, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}
