/* adapters: the kernel's side of the plan: what it has, what it is told to do, what others do to it.
 *
 * All operations of a role change go to the kernel in one send (or a few, beyond a thousand); it works
 * through them before the send returns, each by itself, so a failed one stops no other, and only failures are
 * answered. A second connection hears of every change of addresses, routes and devices, so that the plan's
 * inventory stays right without asking: catching up means to read what was queued. When the kernel had to
 * drop some of it, the whole is read anew.
 *
 * Routes carry a number of duet's own as their origin ("proto 222" in `ip route`): only those are seen and
 * deleted, and an equal one of somebody else's stays. Implemented in linux_rtnl.c. */
#pragma once
#include "common/config.h"
#include "takeoverd/plan.h"

enum { ADAPTER_NAME_MAX = 16 };

struct adapter {
    char device[ADAPTER_NAME_MAX];
    int link;       /* as the kernel numbers it; 0: there is no such device */
    bool up;        /* up, with carrier */
    struct mac mac; /* zero: it has none */
};

/* The first operation that failed. */
struct adapters_failure {
    struct plan_operation operation;
    int error; /* negative errno; 0: nothing failed */
};

struct adapters;

/* For the devices of these channels, in the plan's order. Active addresses get a lifetime of `lifetime_s`
 * seconds. Without `events` nothing is heard of changes. 0 or a negative errno; the caller frees. */
int adapters_open(const struct config_channel *channels, size_t count, uint32_t lifetime_s, bool events,
                  struct adapters **adapters);
void adapters_free(struct adapters *adapters);

/* Readable when something changed. */
int adapters_fd(const struct adapters *adapters);

const struct adapter *adapters_get(const struct adapters *adapters, size_t channel);

/* Reads all anew from the kernel into the inventory. 0 or a negative errno; the inventory is then not to be
 * relied on. */
int adapters_refresh(struct adapters *adapters, struct plan *plan);

/* Brings the inventory up to date by what was queued. 0 or a negative errno, as above. Adds to `risen` a bit
 * for each channel whose adapter appeared, vanished, came up, or got another MAC address. */
int adapters_catch_up(struct adapters *adapters, struct plan *plan, unsigned *risen);

/* Has the kernel do the operations, in order, and notes those done in the inventory. That there is already
 * what is to be added, and no longer what is to be deleted, is no failure. 0, or the error of the first one
 * that failed, told in `failure`; the others are done nevertheless. After an error adapters_refresh() tells
 * what came of it. */
int adapters_apply(struct adapters *adapters, struct plan *plan, const struct plan_operation *operations,
                   size_t count, struct adapters_failure *failure);
