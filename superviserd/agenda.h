/* agenda: which hook runs when, decided without a clock, without I/O and without memory of its own.
 *
 * The shell tells what happened (an event, with its time), and agenda_step() answers what is to be done
 * (effects, as data). What a new role means is a table in agenda.c: how far this node is × what the role
 * shows.
 *
 *     unknown   nothing was done yet in this boot, and no role was heard
 *     passive   the addresses are gone, as far as hooks are concerned
 *     claimed   the role is claimed; the before-active hooks are due
 *     active    the addresses are up; the active hooks are due
 *     leaving   the role is given up, the addresses are not yet known to be gone; if it was for a fault of
 *               this node, the fault hooks are due; the passive ones when the addresses are gone
 *
 * A change of role is a claim (before-active, then active) or the giving up (fault, then passive). Its hooks
 * run one after the other, in the order of the configuration. When the role changes again, those not yet
 * started are dropped; the one that runs has its own time still, and holds up nobody: the hooks of the new
 * change start beside it. Should it be its turn again meanwhile, the older run is ended first.
 *
 * A hook that does not end in time is killed, has failed, and the next one is started at once, without
 * waiting for its death: what hangs in the kernel cannot be killed.
 *
 * `past` is what the next run of this daemon must know. A hook counts as done when it came to its end, well
 * or not: so one that was cut off by the end of this daemon runs once more (it did half of its work), one
 * that came to its end does not, and none is left out. */
#pragma once
#include "common/base.h"
#include "proto/topics.h"

enum { AGENDA_HOOKS_MAX = 64, AGENDA_PAST_MAX = 512 };

enum agenda_stage {
    AGENDA_UNKNOWN,
    AGENDA_PASSIVE,
    AGENDA_CLAIMED,
    AGENDA_ACTIVE,
    AGENDA_LEAVING,
    AGENDA_STAGE_COUNT
};

/* The part that a hook has in the latest change of role. */
enum agenda_part { PART_NONE, PART_WAITING, PART_RUNNING, PART_DONE, PART_FAILED };

struct agenda_hook {
    enum hook_event event; /* set by the caller, as is the timeout */
    int64_t timeout_ns;
    enum agenda_part part;
    bool runs;                        /* perhaps for an earlier change */
    int64_t deadline_ns;              /* runs: end of patience */
    struct hook_command_message view; /* the topic `hook/NAME` */
};

struct agenda {
    size_t count;
    struct agenda_hook hooks[AGENDA_HOOKS_MAX]; /* in the order of the configuration */
    enum agenda_stage stage;
    int64_t epoch;            /* of the latest claim, or what it was raised to */
    int64_t since_ns;         /* of the phase in which that claim was last seen to serve */
    bool heard;               /* a role was, in this run */
    struct hook_message view; /* the topic `hook` */
};

enum agenda_event_kind {
    AGENDA_ROLE,  /* `role` */
    AGENDA_ENDED, /* the process of `hook` ended, or could not be started: `well`, `text` */
    AGENDA_TIME,  /* the time that was asked for has come; one too early or too many does no harm */
    AGENDA_CLEAR, /* the operator says that what failed is mended */
};

struct agenda_event {
    enum agenda_event_kind kind;
    int64_t at_ns;
    const struct role_message *role;
    size_t hook;
    bool well;
    const char *text; /* for people */
};

/* Sets have the bit 1 << i for the hook i. To be carried out in this order. */
struct agenda_effects {
    uint64_t abandon; /* kill these: their end is of no interest any more */
    int start;        /* start this one; AGENDA_ENDED will follow, unless it is abandoned; -1: none */
    bool publish;     /* `view` changed */
    uint64_t publish_hooks, dropped; /* the views of these changed; these will not be run */
    bool keep;                       /* what agenda_print_past() says changed */
    int64_t timer_ns; /* when AGENDA_TIME is due: replaces what was asked for before; 0 = never */
};

/* Nothing known; `count`, and event and timeout of each hook, are the caller's. */
void agenda_init(struct agenda *agenda);

/* One event; fills `effects`. */
void agenda_step(struct agenda *agenda, const struct agenda_event *event, struct agenda_effects *effects);

/* Nothing runs, and nothing will unless the role changes. */
bool agenda_at_rest(const struct agenda *agenda);

/* What the next run must know, as one line; `boot` and `config` say for how long it is true. */
void agenda_print_past(const struct agenda *agenda, const char *boot, const char *config,
                       char text[static AGENDA_PAST_MAX]);

/* Takes that up, before the first event. Of another configuration only the role counts: what was still due
 * then is not known any more. 0; -ESTALE: it is of another boot; -EBADMSG: it is not such a line, or damaged.
 * On error the agenda is as it was. */
int agenda_take_past(struct agenda *agenda, const char *boot, const char *config, const char *text);
