/* What the files of the holder share (holder.h). */
#pragma once
#include "common/clock.h"
#include "common/log.h"
#include "takeoverd/adapters.h"
#include "takeoverd/announcer.h"
#include "takeoverd/asker.h"
#include "takeoverd/clerk.h"
#include "takeoverd/gate.h"
#include "takeoverd/holder.h"
#include "takeoverd/lease_file.h"
#include "takeoverd/lifetime.h"
#include "takeoverd/prepare.h"
#include "takeoverd/repairs.h"
#include "takeoverd/report.h"

#define HOLDER_AUDIT_NS (10 * NS_PER_S)       /* how often the inventory is held against the kernel itself */
#define HOLDER_AUDIT_AGAIN_NS (5 * NS_PER_MS) /* while the clerk is busy */

enum { HOLDER_SLICE = 256 }; /* operations before the loop has its turn, and with it the lease */

/* A plan, and the kernel's side of it. */
struct holder_kernel {
    struct plan plan;
    struct plan_operation *operations;
    size_t operations_max;
    struct adapters *adapters;
    struct loop_source *source; /* their events */
};

struct holder {
    struct daemon *daemon;
    struct adapters *adapters;
    struct announcer *announcer;
    struct asker *asker;
    struct gate *gate; /* NULL: lease-gate = off */
    struct clerk *clerk;
    struct lifetime *lifetime;
    struct report *report;
    struct plan plan;
    struct plan_operation *operations;
    size_t operations_max; /* that a change can need; there is room for a slice of them */
    struct loop_source *adapters_source;
    struct holder_kernel leaving; /* as the configuration before had it, until it is gone; zero: nothing */
    size_t left;                  /* active addresses of it that were removed */
    bool hears_hooks;
    struct loop_source *lease_timer, *retry_timer, *audit_timer, *claim_timer, *gate_timer, *more_timer;

    bool active;     /* the active addresses are wanted */
    bool quiet;      /* … and shall not be answered for */
    bool waiting;    /* for the first role, while the lease of the run before stands */
    bool lease_late; /* its end was noticed late, and given a last chance */
    bool blind;      /* the kernel did not tell what it has */
    bool underway;   /* the kernel is being brought to what is wanted, slice by slice */
    size_t slices;   /* of the present change */
    struct {
        int64_t began_ns;
        const char *why;
        bool always;
        size_t before[PLAN_CHANNELS_MAX]; /* active addresses held, by channel */
    } settling;                           /* the present change, or the last one */
    int64_t lease_ns;                     /* until when the active addresses may be wanted */
    char cause[CAUSE_MAX];
    unsigned risen;    /* channels whose adapter changed for the better since that was last heeded */
    unsigned untold;   /* channels that are to be announced as soon as what is said gets out */
    char trouble[192]; /* what the last try failed at; empty: nothing */
    struct address_message state; /* as published */

    struct prepare prepare;
    bool claim_waits;          /* for the before-active hooks */
    struct role_message claim; /* claim_waits: as last renewed, and what it came with */
    char claim_cause[CAUSE_MAX];

    struct repairs repairs;
    struct log_limit repair_log;

    struct lease_file file;
};

/* What holder_open.c hangs into the loop and the bus. */
void holder_on_lease_end(void *userdata, int64_t now_ns);
void holder_on_retry(void *userdata, int64_t now_ns);
void holder_on_audit(void *userdata, int64_t now_ns);
void holder_on_clerk(void *userdata, const struct plan *found, int error);
void holder_on_more(void *userdata, int64_t now_ns);
void holder_on_claim_timer(void *userdata, int64_t now_ns);
void holder_on_events(void *userdata, int fd, unsigned events);
void holder_on_gate(void *userdata, int fd, unsigned events);
void holder_on_gate_echo(void *userdata, int fd, unsigned events);
void holder_on_gate_timer(void *userdata, int64_t now_ns);
void holder_on_asker_news(void *userdata);
void holder_on_conflict(void *userdata, int channel, const struct net_address *address,
                        const struct mac *mac);
void holder_on_role(void *userdata, const struct bus_message *message);
void holder_on_hook(void *userdata, const struct bus_message *message);
void holder_on_stop(void *userdata);

/* holder.c */
void holder_settle(struct holder *h, const char *why); /* brings the kernel to what is wanted, and answers */
void holder_proceed(struct holder *h);                 /* … by a slice more, while it is under way */
void holder_tell(struct holder *h);                    /* publishes the state as it is */
void holder_set_gate(struct holder *h);
void holder_heed_gate(struct holder *h); /* what it has shown since is acted upon */

/* holder_obey.c */
void holder_become(struct holder *h, bool active, const char *why);
void holder_begin_term(struct holder *h);

/* holder_open.c: the plan of a configuration with all that the kernel has of it. 0 or a negative errno; the
 * caller closes it, also what an error leaves behind. */
int holder_open_kernel(const struct config *config, struct holder_kernel *kernel);
void holder_close_kernel(struct holder_kernel *kernel);
int holder_hear_hooks(struct holder *h); /* where the configuration has any that addresses wait for */

/* holder_reload.c */
/* Removes a slice of what the configuration before had. True: nothing of it is left. */
bool holder_leave(struct holder *h);
bool holder_check(void *userdata, const struct config *next, char *text, size_t size);
int holder_reload(void *userdata, const struct config *before, char *text, size_t size);
