#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/sys.h"
#include "superviserd/watchdog_device.h"

/* /dev/watchdog is another name of the first device, which has its attributes. */
enum { MISC_MAJOR = 10, WATCHDOG_MINOR = 130 };

static void copy_identity(const struct watchdog_info *info, char *to, size_t size)
{
    size_t i = 0;

    for (; i < sizeof info->identity && i + 1 < size && info->identity[i]; i++)
        to[i] = info->identity[i] >= ' ' && info->identity[i] < 0x7f ? (char)info->identity[i] : '?';
    to[i] = '\0';
}

/* Whether the driver refuses to be stopped. A kernel that does not tell is taken at its default. */
static bool is_nowayout(int fd)
{
    char path[64], answer = '0';
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode))
        return false;
    if (major(st.st_rdev) == MISC_MAJOR && minor(st.st_rdev) == WATCHDOG_MINOR)
        snprintf(path, sizeof path, "/sys/class/watchdog/watchdog0/nowayout");
    else
        snprintf(path, sizeof path, "/sys/dev/char/%u:%u/nowayout", major(st.st_rdev), minor(st.st_rdev));
    AUTO_CLOSE int file = open(path, O_RDONLY | O_CLOEXEC);
    return file >= 0 && read(file, &answer, 1) == 1 && answer == '1';
}

static void set_timeout(int fd, const struct watchdog_info *info, int64_t wanted_ns,
                        struct watchdog_facts *facts)
{
    int seconds = (int)(wanted_ns / NS_PER_S);

    if (info->options & WDIOF_SETTIMEOUT)
        ioctl(fd, WDIOC_SETTIMEOUT, &seconds); /* what came of it is read back */
    facts->timeout_confirmed = ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0 && seconds > 0;
    facts->timeout_ns = facts->timeout_confirmed ? seconds * NS_PER_S : wanted_ns;
}

/* The last quarter of the timeout is for the kernel to write down what it was doing, where a governor does
 * that. Three quarters are left to be fed in. */
static void set_pretimeout(int fd, const struct watchdog_info *info, struct watchdog_facts *facts)
{
    int seconds = (int)(facts->timeout_ns / NS_PER_S / 4);

    if (!(info->options & WDIOF_PRETIMEOUT) || seconds == 0)
        return;
    if (ioctl(fd, WDIOC_SETPRETIMEOUT, &seconds) == 0 && ioctl(fd, WDIOC_GETPRETIMEOUT, &seconds) == 0)
        facts->pretimeout_ns = seconds * NS_PER_S;
}

/* A device of the kernel's restarts the machine, which a node in a namespace of its own shares with others.
 */
static bool may_open(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 || !S_ISCHR(st.st_mode) || sys_is_whole_machine();
}

int watchdog_device_open(const char *path, int64_t timeout_ns, struct watchdog_facts *facts)
{
    struct watchdog_info info = {0};

    *facts = (struct watchdog_facts){0};
    if (!may_open(path))
        return -EPERM;
    /* The last two are for what is no watchdog: a pipe or a terminal must not hold this daemon up. */
    const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (ioctl(fd, WDIOC_GETSUPPORT, &info) < 0) {
        const int r = -errno;
        close(fd);
        return r;
    }
    copy_identity(&info, facts->identity, sizeof facts->identity);
    set_timeout(fd, &info, timeout_ns, facts);
    set_pretimeout(fd, &info, facts);
    facts->stops_on_close = !(info.options & WDIOF_MAGICCLOSE);
    facts->never_stops = is_nowayout(fd);
    return fd;
}

int watchdog_device_feed(int fd)
{
    int unused = 0;

    return ioctl(fd, WDIOC_KEEPALIVE, &unused) < 0 ? -errno : 0;
}

static int set_seconds(int fd, int64_t seconds)
{
    int value = (int)seconds;

    return ioctl(fd, WDIOC_SETTIMEOUT, &value) < 0 ? -errno : 0;
}

int64_t watchdog_device_set_timeout(int fd, int64_t timeout_ns)
{
    int64_t taken = 0, refused = MIN(MAX((timeout_ns + NS_PER_S - 1) / NS_PER_S, 1), INT_MAX);
    int told = 0;

    int r = set_seconds(fd, refused);
    if (r == 0)
        taken = refused;
    while (r == -EINVAL && refused - taken > 1) { /* more than it can: a driver does not tell its maximum */
        const int64_t between = taken + (refused - taken) / 2;
        if (set_seconds(fd, between) == 0)
            taken = between;
        else
            refused = between;
    }
    const int fed = watchdog_device_feed(fd);
    if (fed < 0 || taken == 0)
        return fed < 0 ? fed : r;
    return (ioctl(fd, WDIOC_GETTIMEOUT, &told) == 0 && told > 0 ? told : taken) * NS_PER_S;
}

int watchdog_device_close(int fd, bool disarm)
{
    const int r = disarm && write(fd, "V", 1) < 0 ? -errno : 0;

    close(fd);
    return r;
}
