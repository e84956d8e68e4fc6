/* watchdog_device: the hardware watchdog, as the system offers it. Implemented in linux_watchdog_device.c.
 *
 * To open it is to arm it: from then on it restarts the machine when it is not fed within its timeout. It
 * goes on when this process ends in whatever way but watchdog_device_close() with `disarm`; who opens it
 * again takes it over. One process has it at a time. */
#pragma once
#include "common/base.h"

enum { WATCHDOG_IDENTITY_MAX = 64 };

struct watchdog_facts {
    char identity[WATCHDOG_IDENTITY_MAX]; /* what its driver calls it; printable ASCII */
    int64_t timeout_ns;     /* as the driver confirmed it, which may be another one than asked for */
    int64_t pretimeout_ns;  /* so long before the end the kernel is told; 0 = never */
    bool timeout_confirmed; /* else the driver does not tell, and timeout_ns is what was asked for */
    bool stops_on_close;    /* closing stops it in any case: a killed superviserd leaves it off */
    bool never_stops;       /* nor does a disarm stop it (nowayout) */
};

/* Opens and arms the device at `path` with `timeout_ns`, whole seconds. Returns its descriptor, which the
 * caller closes, or a negative errno: -EBUSY (another process has it), -ENOTTY (that is no watchdog; it was
 * left as it was), -EPERM (this node is not the whole machine), -ENOENT, -ENODEV, … */
int watchdog_device_open(const char *path, int64_t timeout_ns, struct watchdog_facts *facts);

/* 0, or a negative errno: it may be gone. */
int watchdog_device_feed(int fd);

/* Sets its timeout to `timeout_ns` (rounded up to whole seconds), or as near below as it can, and feeds it.
 * Returns what it has then, as far as it tells; else what was asked for if it took that; or a negative errno:
 * it kept the one that it had. */
int64_t watchdog_device_set_timeout(int fd, int64_t timeout_ns);

/* Gives it up; with `disarm` it stops, where it can, else it goes on. 0, or a negative errno if it could not
 * be told to stop. Closed either way. */
int watchdog_device_close(int fd, bool disarm);
