#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/sys.h"

static int write_word(const char *path, const char *word)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, word, strlen(word)) < 0 ? -errno : 0;
}

static bool is_permitted(cap_value_t capability)
{
    cap_flag_value_t value = CAP_CLEAR;
    cap_t set = cap_get_proc();

    if (set) {
        cap_get_flag(set, capability, CAP_PERMITTED, &value);
        cap_free(set);
    }
    return value == CAP_SET;
}

/* As it was found, for the programs of others. */
static struct rlimit lockable = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

/* What is mapped later is locked as well only where no limit can turn an allocation down for it. */
static int lock_memory(void)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

    getrlimit(RLIMIT_MEMLOCK, &lockable);
    setrlimit(RLIMIT_MEMLOCK, &limit); /* where allowed */
    getrlimit(RLIMIT_MEMLOCK, &limit);
    const bool unlimited = is_permitted(CAP_IPC_LOCK) || limit.rlim_cur == RLIM_INFINITY;
    return mlockall(MCL_CURRENT | MCL_ONFAULT | (unlimited ? MCL_FUTURE : 0)) < 0 ? -errno : 0;
}

/* For libzmq's threads and our own: what is locked should be little. */
static void small_stacks(void)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

int sys_enter_realtime(bool behind, const char **missing)
{
    const struct sched_param priority = {.sched_priority = behind ? 5 : 10};
    int r = 0;

    small_stacks();
    if (write_word("/proc/self/oom_score_adj", "-1000") < 0 && (r = -errno))
        *missing = "the OOM killer's exemption";
    const int locked = lock_memory();
    if (locked < 0 && (r = locked))
        *missing = "locked memory";
    if (sched_setscheduler(0, SCHED_RR, &priority) < 0 && (r = -errno))
        *missing = "real-time scheduling";
    return r;
}

void sys_leave_realtime(void)
{
    const struct sched_param priority = {.sched_priority = 0};

    sched_setscheduler(0, SCHED_OTHER, &priority);
    munlockall();
    setrlimit(RLIMIT_MEMLOCK, &lockable);
    write_word("/proc/self/oom_score_adj", "0");
}

int sys_drop_privileges(unsigned privileges)
{
    cap_value_t kept[3];
    int count = 0;

    if (privileges & SYS_EVERYTHING)
        return 0;
    if (privileges & SYS_NETWORK_CONFIGURE)
        kept[count++] = CAP_NET_ADMIN;
    if (privileges & SYS_NETWORK_RAW)
        kept[count++] = CAP_NET_RAW;
    if (is_permitted(CAP_IPC_LOCK))
        kept[count++] = CAP_IPC_LOCK; /* without it, memory that is locked could not grow any more */
    for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; cap++) {
        bool keep = false;
        for (int i = 0; i < count; i++)
            keep = keep || kept[i] == cap;
        if (!keep && cap_get_bound(cap) == 1)
            cap_drop_bound(cap); /* not root: there is nothing to drop */
    }
    cap_t set = cap_init();
    int r = set ? 0 : -ENOMEM;
    if (r == 0 && count > 0 &&
        (cap_set_flag(set, CAP_PERMITTED, count, kept, CAP_SET) < 0 ||
         cap_set_flag(set, CAP_EFFECTIVE, count, kept, CAP_SET) < 0))
        r = -errno;
    if (r == 0 && cap_set_proc(set) < 0)
        r = -errno;
    if (set)
        cap_free(set);
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    return r;
}

int sys_boot_id(char id[static SYS_BOOT_ID_MAX])
{
    AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, id, SYS_BOOT_ID_MAX - 1);
    if (n != SYS_BOOT_ID_MAX - 1)
        return n < 0 ? -errno : -EIO;
    id[n] = '\0';
    return 0;
}

int sys_die_with_parent(int signal)
{
    return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0, 0, 0) < 0 ? -errno : 0;
}

int sys_process_open(int pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

/* The kernel numbers the namespaces that it starts with itself, below those that are made later: the one of
 * processes always (PROC_PID_INIT_INO), the one of networks since 6.17. */
static const ino_t first_processes = 0xEFFFFFFC, first_network = 0xEFFFFFF9;

bool sys_is_whole_machine(void)
{
    struct stat processes, network, init;

    if (stat("/proc/self/ns/pid", &processes) < 0 || processes.st_ino != first_processes ||
        stat("/proc/self/ns/net", &network) < 0)
        return false;
    if (network.st_ino == first_network)
        return true;
    return stat("/proc/1/ns/net", &init) == 0 && network.st_ino == init.st_ino;
}

int sys_restart(void)
{
    return reboot(RB_AUTOBOOT) < 0 ? -errno : -EIO;
}
