/* decide: who is active. The heart of duet (DESIGN §3), and its only pure function that matters:
 *
 *     (state, event with its time) -> state, effects
 *
 * No clock, no I/O, no allocation: the daemon, the unit tests, the simulator and the fuzzers run this same
 * code.
 *
 * A step takes one observation in and then walks the table of rows (decide.c) until none applies. A row names
 * the phases in which it is asked, a condition, and the phase that follows; its name stands in the log, in
 * `role`, and in `duet why`. Rows are asked in the order of the table: what takes a node out of service
 * stands above what brings it in.
 *
 * Silence is measured by the listener: heartbeatd says when it last looked (`observed_ns`, the time of its
 * report), and only silence up to that moment counts. So an arbiter that was held up, or whose listener was,
 * sees old reports and not a silent peer.
 *
 * Two nodes that hear each other and see no one serving agree before one claims: each shows whom it prefers,
 * and which change of the other's it has considered. A node claims only when the other has considered its
 * claim to be preferred, and still stood back. */
#pragma once
#include "common/base.h"
#include "proto/topics.h"

enum { ARBITER_CHANNELS_MAX = 16 };

/* Durations in nanoseconds. */
struct arbiter_settings {
    bool first_named; /* odd epochs */
    bool sorts_first; /* the name wins the last tie */
    bool reboot_on_network_fault;
    int64_t services_guarded; /* those whose failure counts */
    bool exclusive;           /* there are services that may not run on both nodes at once */
    int64_t exclusive_stop;   /* the longest stop-timeout of those */
    bool watchdog_required;   /* without an armed one this node is unfit */
    int64_t sync_sets;        /* 0: there is no data to be whole */
    bool witness;             /* a third party is asked while the nodes do not hear each other (right.h) */
    bool fence;               /* a command can end the peer before a claim in the dark */
    bool routers;             /* some channel has a router whose silence tells of isolation (R8) */
    size_t channel_count;
    char channels[ARBITER_CHANNELS_MAX][32]; /* names, in the order of the configuration */
    bool searched[ARBITER_CHANNELS_MAX];     /* the search can ask there */
    bool routed[ARBITER_CHANNELS_MAX];       /* a router is configured there */
    int64_t evidence_wait;                   /* what a few quick probes of a router take */
    int64_t heartbeat_interval, takeover_after, address_lease, isolation_after, router_interval, search_time,
        claim_time, handover_time, settle_time, stale_start_wait, linger;
};

/* What must survive a power cut. */
struct arbiter_durable {
    int64_t epoch;      /* highest epoch known to have been claimed, by whomever */
    int64_t next_epoch; /* reserved for this node's next claim: perhaps already used */
    bool was_active;    /* this node was active when it was last heard of */
    bool held;
    int64_t hold_version;
    int64_t hold_left_ns; /* of a limited hold, when written; 0 = unlimited */
    bool data_whole;      /* as syncd last told: counts until it tells again */
    int64_t data_epoch;
};

enum arbiter_event_kind {
    EVENT_TIME,     /* nothing but time has passed */
    EVENT_START,    /* durable: what the disk had */
    EVENT_SAVED,    /* durable: what is on the disk now */
    EVENT_PEER,     /* peer */
    EVENT_LINK,     /* channel, link */
    EVENT_SEARCH,   /* channel, search */
    EVENT_ADDRESS,  /* address */
    EVENT_SERVICES, /* services_failed, services_unheard, services_reboot, exclusive_up */
    EVENT_WATCHDOG, /* watchdog_armed */
    EVENT_DATA,     /* data, data_lagging */
    EVENT_WITNESS,  /* witness */
    EVENT_FENCE,    /* fence */
    EVENT_SWITCH,   /* force: even if the peer is not fit */
    EVENT_HOLD,     /* hold_until_ns */
    EVENT_RESUME,
    EVENT_CLEAR,
    EVENT_CLAIM,
    EVENT_STOP,
};

struct arbiter_event {
    enum arbiter_event_kind kind;
    int64_t now_ns;
    int64_t sent_ns; /* when the report was sent, for the ones that come over the bus */
    size_t channel;
    bool force;
    bool lost;      /* EVENT_START: a state file was there once and cannot be read */
    int64_t change; /* EVENT_START: where to begin numbering changes; higher than ever before */
    int64_t hold_until_ns;
    int64_t services_failed;
    int64_t services_unheard; /* of which superviserd has told nothing yet */
    bool services_reboot;     /* at least one of them asks for a reboot */
    bool exclusive_up;        /* an exclusive one is not known to be at rest */
    bool watchdog_armed;
    bool data_lagging; /* the passive node's data has been behind for longer than usual */
    union {
        const struct arbiter_durable *durable;
        const struct peer_message *peer;
        const struct link_message *link;
        const struct search_message *search;
        const struct address_message *address;
        const struct data_message *data;
        const struct witness_message *witness;
        const struct fence_message *fence;
    };
};

/* Why a node gave the role away, or is not fit to be offered it. */
enum trouble {
    TROUBLE_NONE,
    TROUBLE_NETWORK,
    TROUBLE_SERVICE,
    TROUBLE_CLAIM,
    TROUBLE_LEASE,
    TROUBLE_ADDRESSES,
};

enum order { ORDER_NONE, ORDER_SWITCH, ORDER_STOP, ORDER_CLAIM };

enum arbiter_alarm {
    ALARM_STATE_LOST = 1 << 0,
    ALARM_PEER_LOST = 1 << 1,
    ALARM_PEER_MUTE = 1 << 2,
    ALARM_DUAL_ACTIVE = 1 << 3,
    ALARM_ADDRESS_CONFLICT = 1 << 4,
    ALARM_NETWORK_FAULT = 1 << 5,
    ALARM_SERVICE_FAILED = 1 << 6,
    ALARM_UNFIT = 1 << 7,
    ALARM_LEASE_UNCONFIRMED = 1 << 8,
    ALARM_OFFER_NOT_TAKEN = 1 << 9,
    ALARM_NOT_RELEASED = 1 << 10,
    ALARM_NOBODY_ACTIVE = 1 << 11,
    ALARM_CONFIG_DIFFERS = 1 << 12,    /* raised by the shell */
    ALARM_REBOOT_FAILED = 1 << 13,     /* raised by the shell */
    ALARM_REBOOT_DELAYED = 1 << 14,    /* raised by the shell */
    ALARM_WATCHDOG_ABSENT = 1 << 15,   /* raised by the shell */
    ALARM_WATCHDOG_STARVING = 1 << 16, /* raised by the shell */
    ALARM_HOOK_FAILED = 1 << 17,       /* raised by the shell */
    ALARM_DATA_NOT_WHOLE = 1 << 18,
    ALARM_DATA_STALE = 1 << 19,
    ALARM_SYNC_BEHIND = 1 << 20,   /* raised by the shell */
    ALARM_SYNC_TROUBLE = 1 << 21,  /* raised by the shell */
    ALARM_SYNC_CONFLICT = 1 << 22, /* raised by the shell */
    ALARM_GATE_LOST = 1 << 23,     /* raised by the shell */
    ALARM_WITNESS_LOST = 1 << 24,
    ALARM_FENCE_FAILED = 1 << 25,
    ALARM_COUNT = 26,
};

struct arbiter {
    struct arbiter_settings set;
    int64_t now;

    /* what was observed */
    int64_t started;
    struct peer_message peer;
    int64_t observed;     /* when heartbeatd last looked; 0 = not heard of it yet */
    int64_t woke;         /* when this arbiter last found that it had stood still; 0 = never */
    int64_t peer_changed; /* when this node last considered a change of its numbered state */
    struct link_message links[ARBITER_CHANNELS_MAX];
    struct search_message searches[ARBITER_CHANNELS_MAX];
    struct address_message address;
    int64_t address_heard; /* when takeoverd last spoke; 0 = not yet */
    int64_t services_failed, services_unheard;
    bool services_reboot, exclusive_up;
    bool watchdog_heard, watchdog_armed; /* by superviserd */
    bool data_heard, data_whole;         /* by syncd; whole and epoch are durable, and count before */
    bool data_current, data_connected, data_lagging;
    int64_t data_looked, data_behind_since; /* syncd has looked for changes; the oldest that waits, 0: none */
    int64_t data_epoch, data_generation;
    struct witness_message witness;
    struct fence_message fence;
    int64_t witness_heard;    /* when witnessd last spoke; 0 = not yet */
    int64_t peer_ahead_since; /* since when the peer has more usable channels, because of a fault here; 0 = it
                                 has not */
    int64_t vacant_since; /* since when this node could do something about a vacancy; 0 = there is none, or it
                             cannot */
    int64_t unserved_since; /* since when nobody serves, as far as is known; 0 = somebody does */

    /* what is durable, and what is being made so */
    struct arbiter_durable disk, saving;
    bool loaded, save_pending, state_lost;
    int64_t spent_epoch; /* the highest of this node's own epochs that was, or may have been, used */
    bool hold_wanted;    /* takes effect, with its version, once it is durable */
    int64_t hold_version_wanted, hold_until_wanted;

    /* the decision */
    enum phase phase;
    int64_t phase_since;
    const char *rule, *reason; /* of the last row that applied */
    int64_t change;            /* numbers the changes of what the peer agrees to: `shown` */
    struct arbiter_shown {
        enum phase phase;
        enum offer offer;
        enum prefers prefers;
        bool asking;           /* to renew a lapsed lease */
        bool quiet;            /* answers are shut, or being shut */
    } shown;                   /* what `change` numbers */
    int64_t release_change;    /* the change with which this node last gave up the addresses */
    bool released;             /* takeoverd confirmed that */
    int64_t unreleased_since;  /* passive, and it has not; 0 = it has */
    int64_t epoch;             /* of this node while it serves; else the highest known */
    int64_t lease;             /* the right to hold the addresses ends then */
    int64_t no_renewal_before; /* while lapsed for want of addresses */
    int64_t renewed;           /* when it last began to run, after a claim or a lapse */
    int64_t
        lapsed; /* the lease ran out at that time, and nothing shows yet that nobody else claimed; 0 = no */
    enum order order; /* an operator's order that is not done yet */
    int64_t ordered;  /* when */
    bool order_force;
    bool stopping; /* never claims again */
    enum offer offer;
    int64_t yielding;          /* offering: since when exclusive services are told to end; 0: they are not */
    int64_t exclusive_at_rest; /* … and since when they have ended; 0: they have not */
    int64_t quiet;             /* since when takeoverd is told to answer nothing; 0: it is not */
    int64_t quiet_change;      /* the change with which that was told */
    bool silent;               /* offering: takeoverd confirmed that */
    int64_t no_offer_before, no_claim_before, no_quiet_before;
    int64_t heard_since; /* since when the peer is heard without a break; 0 = it is not */
    bool vouched;      /* an operator, or the fence, answers for it that nobody else serves: until the peer is
                          heard */
    enum question ask; /* what the witness is asked for */
    int64_t ask_number, ask_epoch, asked_since;
    int64_t fence_number; /* the peer is to be fenced; 0 = it is not */
    int64_t fence_last;
    int64_t fence_failed; /* when that was last tried in vain */
    enum prefers prefers;
    bool held;
    int64_t hold_version, hold_until; /* hold_until 0 = unlimited */

    /* a fault that made this node give up (R10) */
    enum trouble trouble, offering_for;
    bool reboot_wanted;   /* restart this node once the peer serves */
    int64_t trouble_gone; /* since when the cause is no more; 0 = it is there */
    int64_t gave_up;      /* when this node last gave up */
    int gave_up_repeats;  /* within the hour */
    bool reboot;
    bool trouble_sticky; /* it shows only while active: being passive is no cure (R7) */
};

struct arbiter_transition {
    const char *rule, *reason;
    enum phase from, to;
    int64_t epoch;
    int rank;       /* enum rank (judge.h): what told the two nodes apart just before, … */
    bool preferred; /* … and whether it spoke for this one */
};

struct arbiter_effects {
    struct arbiter_transition transitions[8];
    size_t transition_count;
    bool save; /* write `durable`, then tell EVENT_SAVED */
    struct arbiter_durable durable;
};

struct arbiter_row {
    const char *name;
    unsigned phases; /* set of 1 << enum phase */
    bool (*applies)(const struct arbiter *arbiter);
    enum phase to;
    void (*act)(struct arbiter *arbiter); /* before the phase changes; NULL: nothing else to do */
    const char *reason;
};

/* The rows in their order, ended by one without a name. */
extern const struct arbiter_row arbiter_rows[];

void arbiter_init(struct arbiter *arbiter, const struct arbiter_settings *settings);

/* The configuration was changed while this node works: from the next step on it goes by these settings. What
 * was observed, the phase, and every promise stay as they are. */
void arbiter_configure(struct arbiter *arbiter, const struct arbiter_settings *next);

/* One step. `effects` is filled anew. */
void arbiter_step(struct arbiter *arbiter, const struct arbiter_event *event,
                  struct arbiter_effects *effects);

/* The state as it is to be published; false while the arbiter must not speak yet (R1: until it knows what
 * takeoverd holds, a word from it could take addresses away that rightly stand). */
bool arbiter_role(const struct arbiter *arbiter, struct role_message *role);

/* The set of enum arbiter_alarm that is on. */
unsigned arbiter_alarms(const struct arbiter *arbiter);

/* Why an order (EVENT_SWITCH, EVENT_CLAIM, …) would be refused, and what to do; NULL if it would not. */
const char *arbiter_refusal(const struct arbiter *arbiter, enum arbiter_event_kind order, bool force);

/* What `trouble` means, for people. */
const char *trouble_text(enum trouble trouble);

/* The smallest epoch of this node's own kind (odd for the first-named one) above `epoch`. */
int64_t epoch_above(bool first_named, int64_t epoch);
