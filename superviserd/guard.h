/* guard: what to do about one guarded service, decided without a clock, without I/O and without memory of its
 * own.
 *
 * The shell tells what happened (an event, with its time), and guard_step() answers what is to be done
 * (effects, as data). Every cell of state × event is written out in a table in guard.c.
 *
 *     stopped     not wanted, nothing runs
 *     starting    a process was made, and has not become the service's program yet
 *     running     it is the service's program
 *     waiting     it ended, or could not be started; the next try comes after retry-interval
 *     restarting  it is held to be down (its check failed); told to end, so that it can be started anew
 *     stopping    not wanted any more; told to end
 *     failed      it stayed down; nothing runs
 *
 * A restart comes at once the first time, after retry-interval the second time, and after twice as long each
 * further time (at most SERVICE_BACKOFF_MAX_NS, unless retry-interval itself is longer). After start-retries
 * restarts without a success between them the service has failed.
 *
 * A start is a success when the service ran for GUARD_STEADY_NS and, if it has a check, the check passed in
 * this run and did not fail since. Only then is the count of restarts forgotten: a service that answers for
 * two seconds and dies again is one that stays down.
 *
 * A failure sticks. The service stays published as failed, also through changes of role and while it is tried
 * again (which happens when it is wanted anew), until a start is a success or an operator says that the fault
 * is mended. A fault that shows only while this node is active must not look cured because the node is
 * passive (DESIGN R7). It is restored after a restart of this daemon or of the machine (failures.h).
 *
 * A service may run already, started by a superviserd before this one or by somebody else: it is adopted
 * (GUARD_ADOPTED), not doubled. Until it is known whether the role wants it, it is left alone, and not
 * started again should it end. One that failed is looked for now and then, as long as it is wanted. */
#pragma once
#include "common/config.h"
#include "proto/topics.h"

#define GUARD_STEADY_NS (10 * NS_PER_S)

enum guard_state {
    GUARD_STOPPED,
    GUARD_STARTING,
    GUARD_RUNNING,
    GUARD_WAITING,
    GUARD_RESTARTING,
    GUARD_STOPPING,
    GUARD_FAILED,
    GUARD_STATE_COUNT
};

enum guard_event_kind {
    GUARD_WANTED,       /* the role wants it to run; may be told again and again */
    GUARD_UNWANTED,     /* the role does not */
    GUARD_STARTED,      /* the process `pid` is now the service's program (running: is so from now on) */
    GUARD_ADOPTED,      /* the process `pid` was found to be it, without a start from here */
    GUARD_START_FAILED, /* it could not be started; `text` says why; nothing is left of it */
    GUARD_ENDED,        /* it ended; `text` says how; nothing is left of it */
    GUARD_CHECK_OK,
    GUARD_CHECK_FAILED, /* `text` says how */
    GUARD_TIMER,        /* the time that was asked for has come; one too early or too many does no harm */
    GUARD_CLEAR,        /* the operator says that the fault is mended */
    GUARD_EVENT_COUNT
};

extern const char *const guard_state_names[GUARD_STATE_COUNT];
extern const char *const guard_event_names[GUARD_EVENT_COUNT];

struct guard_settings {
    int64_t check_interval_ns, check_timeout_ns; /* check_interval_ns 0: it has no check */
    int64_t retry_interval_ns, stop_timeout_ns;
    int64_t start_timeout_ns; /* starting for longer: killed, and so not started; 0: whoever starts it sees to
                                 it */
    int check_failures;       /* failed checks in a row that count as down; at least 1 */
    int start_retries;        /* restarts without a success before it has failed; 0: none is tried */
    int64_t look_interval_ns; /* how often one that failed is looked for; 0: never */
};

struct guard_event {
    enum guard_event_kind kind;
    int64_t at_ns;
    int64_t pid;      /* GUARD_STARTED, GUARD_ADOPTED */
    const char *text; /* GUARD_START_FAILED, GUARD_ENDED, GUARD_CHECK_FAILED; ASCII, for people */
};

/* What others see of it: the fields of the topic `service/NAME`. */
struct guard_view {
    enum service_state state;
    int64_t pid;
    int64_t restarts;
    int64_t since_ns;
    int64_t first_sign_ns;
    char text[192];
};

struct guard {
    struct guard_settings settings;
    enum guard_state state;
    bool wanted;              /* false in a state that runs: adopted, and the role has not been heard yet */
    bool sticky;              /* it has failed, and no success came since */
    bool killed;              /* starting: it took too long; stopping, restarting: TERM was not enough */
    bool steady;              /* running: for GUARD_STEADY_NS */
    bool check_passed;        /* running: in this run */
    int failed_checks;        /* running: in a row */
    int retries;              /* restarts since the last success */
    int64_t steady_ns;        /* running: when that will be; 0 = it is, or does not run */
    int64_t next_check_ns;    /* running: when the next check is due; 0 = none, or one runs */
    int64_t check_started_ns; /* running: the check that runs now; 0 = none does */
    int64_t deadline_ns;      /* waiting: next try; failed: next look; starting, stopping, restarting: end of
                                 patience */
    struct guard_view view;
};

enum guard_signal { GUARD_NO_SIGNAL, GUARD_TERM, GUARD_KILL };

/* To be carried out in this order. */
struct guard_effects {
    bool kill_check; /* the check that runs, with all that it started; its end is of no interest any more */
    enum guard_signal signal; /* to all processes of the service */
    bool spawn;               /* start it; GUARD_STARTED, or GUARD_START_FAILED, or GUARD_ENDED will follow */
    bool look;                /* whether somebody else started it: GUARD_ADOPTED may follow */
    bool run_check;   /* GUARD_CHECK_OK or GUARD_CHECK_FAILED will follow, unless kill_check comes first */
    bool publish;     /* `view` changed */
    int64_t timer_ns; /* when GUARD_TIMER is due: replaces what was asked for before; 0 = not at all */
};

/* Stopped and not wanted, at `now_ns`. */
void guard_init(struct guard *guard, const struct guard_settings *settings, int64_t now_ns);

/* It had failed, as is known from an earlier run. Before the first step. */
void guard_restore_failure(struct guard *guard, const char *text, int64_t now_ns);

/* One event; fills `effects`. */
void guard_step(struct guard *guard, const struct guard_event *event, struct guard_effects *effects);

/* Nothing of it runs and nothing will, unless it is wanted again. */
bool guard_at_rest(const struct guard *guard);
