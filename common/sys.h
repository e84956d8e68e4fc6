/* sys: what a daemon asks of the operating system for itself. Implemented in linux_sys.c. */
#pragma once
#include "common/base.h"

/* Real-time priority (SCHED_RR), memory locked as it is touched, and no OOM killing, where allowed: a gateway
 * that swaps must not look dead. Call before any thread is started, since threads inherit it. Returns 0, or
 * the first negative errno with what could not be had in `missing` (a constant string); the daemon goes on
 * either way. */
int sys_enter_realtime(bool behind, const char **missing);

/* Takes all of that back, in a child before it becomes somebody else's program. */
void sys_leave_realtime(void);

/* The jobs that need the kernel's special permission. */
enum sys_privilege {
    SYS_NETWORK_CONFIGURE = 1, /* addresses, routes */
    SYS_NETWORK_RAW = 2,       /* packet sockets */
    SYS_EVERYTHING = 256,      /* all that was given: for a daemon that runs other people's programs */
    SYS_PATIENT = 512, /* no privilege, but the lack of one: ordinary scheduling and memory, for a daemon
                          that moves much data and that no takeover waits for */
    SYS_BEHIND = 1024, /* nor this: real-time scheduling, but the lease chain goes first */
};

/* Gives up every capability but those of `privileges` (a set of enum sys_privilege), for good, children
 * included. With SYS_EVERYTHING nothing is given up, and children may still gain privileges (no
 * NO_NEW_PRIVS). 0 or a negative errno. */
int sys_drop_privileges(unsigned privileges);

/* The random id that the kernel made at boot, as text of 36 bytes and NUL. 0 or a negative errno. */
enum { SYS_BOOT_ID_MAX = 37 };
int sys_boot_id(char id[static SYS_BOOT_ID_MAX]);

/* Ends this process when its parent does, by `signal`. 0 or a negative errno. */
int sys_die_with_parent(int signal);

/* A descriptor that becomes readable when the process ends; -errno on error. The caller closes it. */
int sys_process_open(int pid);

/* True if this node is the whole machine: it runs in the network namespace of the machine's first process,
 * and that is not a container's. Only then may it restart the machine, open its watchdog, or take what its
 * firmware kept; a node in a namespace of its own has these in common with others. False if in doubt. */
bool sys_is_whole_machine(void);

/* Restarts the machine at once: no process is told, nothing is written. Returns only if it could not be, with
 * a negative errno. */
int sys_restart(void);
