/* world: what the simulator's models share: the two nodes, the network between them, the dice, the queue of
 * events. One process, one world at a time, all of it drawn from a seed (sim.c). */
#pragma once
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arbiterd/decide.h"
#include "arbiterd/judge.h"
#include "witnessd/ballot.h"

enum { CHANNELS = 2, PATHS = CHANNELS + 1, EVENTS_MAX = 32768, TOLD_LINES = 40, TOLD_SIZE = 160 };
enum process { HEARTBEATD, ARBITERD, TAKEOVERD, SYNCD, WITNESSD, PROCESSES };

static const int64_t ms = NS_PER_MS;

enum what {
    TICK,       /* heartbeatd's */
    HEARTBEAT,  /* arrives at a node */
    TO_ARBITER, /* a bus message */
    ROLE_TO_TAKEOVERD,
    ROLE_TO_HEARTBEATD,
    ADDRESS_TO_HEARTBEATD,
    SAVED,
    ALARM_CLOCK, /* the arbiter's EVENT_TIME */
    LEASE_END,
    PULSE, /* takeoverd speaks once a second */
    SYNC,  /* syncd looks for changes */
    ROLE_TO_WITNESSD,
    WITNESS_TIMER,
    WITNESS_PULSE, /* witnessd speaks once a second, too */
    WITNESS_ASKED, /* at the witness */
    WITNESS_ANSWERED,
    FAULT,
    HEAL,
    OPERATOR_RESUMES,
    OPERATOR_CLAIMS, /* where no data is whole, nobody else can */
    STOP_ENDS,       /* the daemons of a node that is being stopped end, if it has let go */
    REBOOT,
    POWER_ON,
    THAW,    /* a machine that stood still goes on */
    RESTART, /* a process comes up (again) */
};

struct heartbeat {
    int64_t session, echo, sequence;
    int64_t stamp, echo_stamp; /* its sender's clock; that of the last one heard on this path */
    bool suspicious;
    size_t path;
    struct role_message role;
    bool takes_silent, takes_records; /* its sender's version does */
    int64_t arbiter_age, lease_left, phase_age, hold_left;
    struct channel_fitness channels[CHANNELS];
};

union payload {
    struct heartbeat heartbeat;
    struct {
        enum arbiter_event_kind kind;
        size_t channel;
        int64_t sent;
        union {
            struct peer_message peer;
            struct link_message link;
            struct search_message search;
            struct address_message address;
            struct data_message data;
            struct witness_message witness;
        };
        int64_t services_failed;
        bool watchdog_armed;
        bool force;
        bool services_reboot;
        int64_t hold_until;
    } bus;
    struct {
        struct role_message role;
        int64_t role_sent;
    };
    struct {
        struct ballot_question asked;
        int64_t sent;
    } question;
    struct {
        struct ballot_answer said;
        int64_t sent;
    } answer;
    struct address_message address;
    struct arbiter_durable durable;
    int fault;
};

struct event {
    int64_t at, order;
    enum what what;
    int node;
    enum process process;
    int64_t incarnation; /* of the process that it is for; -1: whichever */
    int64_t stamp;       /* when the kernel received it */
    union payload *payload;
};

struct node {
    bool power;
    bool older;           /* of the version before this one: see version.c */
    bool changes_version; /* when its daemons have ended */
    /* Its own clock: this reading at that moment, and this much too fast since. */
    int64_t clock_reads, clock_at, clock_ppm;
    bool clock_stands;    /* while the machine does */
    int64_t frozen_until; /* the whole machine */
    bool alive[PROCESSES];
    int64_t paused_until[PROCESSES], incarnation[PROCESSES];
    int64_t bus_last[PROCESSES]; /* when the last message on its way to it arrives */

    /* the kernel */
    bool gated;         /* takeoverd keeps a gate: one that was killed leaves what it had */
    bool plane, mute;   /* addresses; the gate takes their traffic, and answers nothing */
    int64_t gate_until; /* the gate shuts then, by the world's clock */
    int64_t plane_epoch;
    bool carrier[CHANNELS], router[CHANNELS], claim_broken, claim_partial;
    int64_t router_from[CHANNELS]; /* it answers from then on, after a boot */

    /* heartbeatd */
    int64_t session, began, last_tick, last_said, tick, counting_since, phase_seen;
    struct role_message role;
    int64_t role_at, said, path_sequence[PATHS], path_stamp[PATHS], acked;
    struct address_message address;
    struct heartbeat peer;
    int64_t heard, linked, backed, phase_since;
    bool ever_heard, doubting, quick;
    int64_t mute_since; /* in truth: its heartbeatd is dead or stopped; 0: it runs */
    struct link_message links[CHANNELS];
    int64_t router_asked, silent_from[CHANNELS];
    struct search_message searches[CHANNELS];
    int64_t asked[CHANNELS];

    /* takeoverd */
    struct role_message order;
    int64_t order_sent;
    struct address_message state;
    int64_t lease_record; /* in the run directory: survives the process, not a reboot */
    bool said_released;

    /* arbiterd */
    struct arbiter arbiter;
    struct role_message shown;
    int64_t services_failed;
    bool services_reboot;

    /* witnessd */
    struct ballot ballot;
    int64_t witness_at, witness_timers;

    /* syncd and what it keeps on the disk */
    bool data_whole, data_connected, data_current, ever_served;
    int64_t data_epoch, data_generation, data_behind_since,
        copying; /* steps that the first copy still takes */

    /* the disk */
    struct arbiter_durable disk, disk_before;
    bool disk_lost; /* lost, or older than what was written last: what follows of it is excused */
    bool disk_torn; /* it cannot be read */
    int64_t last_claim, answered_at;
};

/* The times of a profile (common/config_timers.c), and how slow its world is. */
struct profile {
    const char *name;
    int64_t scale; /* of all that happens, against `lan` */
    int64_t search_calm, search_quick, router_calm, router_quick, router_silent;
    int64_t settled; /* after healing: no change of role later than that */
    int64_t bus_late, wire_least, wire_most, path_delay_most;
    struct arbiter_settings set;
};

extern struct world {
    const struct profile *profile;
    const struct arbiter_settings *set; /* the times of the profile, and what the seed asks for */
    struct arbiter_settings settings;
    int64_t now, order;
    uint64_t random;
    uint64_t seed;
    struct event heap[EVENTS_MAX];
    size_t count;
    struct node nodes[2];
    bool path_up[2][PATHS]; /* from this node */
    int loss_percent;
    int64_t path_delay[PATHS];
    bool arp_up[CHANNELS];
    bool heartbeats_cut, arp_cut;
    bool healed;
    int64_t unserved, unanswered, judged_at, plane_lost;
    bool in_the_dark;  /* an address went while no heartbeat passed, and none has passed since */
    bool unsteered[2]; /* what its kernel has is neither steered nor seen */
    bool search_off;   /* `search = off` on every channel */
    bool gate;         /* active addresses are a lease in the kernel, where the version knows one */
    bool mixed;        /* the pair is being upgraded, or was, or will be */
    struct {
        bool reached[2], slow[2];
        struct ballot_record record, backup;
        int64_t revision;
    } witness;
    int64_t unguarded_end; /* without a gate, a takeoverd was not there until then */
    int64_t forced_at;     /* the last claim by hand */
    int64_t partition_end, freeze_end, trouble_end, stall_end, blind_end, quiet_since, heal_at, last_change;
    int64_t claims[1024];
    size_t claim_count;
    bool ended_badly, verbose;
    int64_t events, steps, changes, reboots, budgets, switches;
    bool one_fault;                   /* and nothing else goes wrong */
    char told[TOLD_LINES][TOLD_SIZE]; /* the end of the story */
    size_t told_count;
} w;

/* ---- world.c: the dice, telling, the queue of events */
uint64_t roll(void);
int64_t between(int64_t least, int64_t most);
bool chance(int percent);

/* A line of the story, if it is wanted. */
PRINTF_LIKE(1, 2) void tell(const char *format, ...);

/* The first one ends the seed. */
PRINTF_LIKE(1, 2) void violation(const char *format, ...);

/* The queue owns the payload from here on; who pops it frees it (payload_free). */
void push(struct event event);
struct event pop(void);
union payload *payload_new(void); /* all zero */
void payload_free(union payload *p);

/* For this incarnation of a process, `delay` from now. */
void schedule(int node, enum process process, enum what what, int64_t delay, union payload *payload);

/* What goes over the bus arrives late, but in order. */
void send_on_bus(int node, enum process process, enum what what, union payload *payload);

/* What the node's own clock says. */
int64_t clock_of(int n);
void clock_set(int n, int64_t reading);

/* As `between`, longer by as much as the profile is slower than `lan`. */
int64_t during(int64_t least, int64_t most);

/* ---- network.c: what passes between the nodes */
bool takes_traffic(int n); /* for the active addresses */
bool answers(int n);       /* to ARP, for the active addresses */
bool carriers(int c);      /* the channel's, on both nodes */
bool partitioned(void);    /* in some direction nothing passes on any path, and the search is not answered */
bool heartbeats_cut(void); /* in some direction */
bool arp_cut(void);
void look_at_network(void); /* after each change of it: these three are asked after each event */
void change_network(int kind, int n, int c, bool up);

/* ---- the models */
void set_plane(int n, bool up, int64_t epoch);
void publish_address(int n);
void takeover_release(int n);
void takeover_obey(int n);
void on_lease_end(int n);
void start_takeoverd(int n);

void send_heartbeats(int n);
void on_heartbeat(int n, const struct heartbeat *h, int64_t stamp);
void on_tick(int n, int64_t tick);
void start_heartbeatd(int n);

void publish_data(int n);
void on_sync(int n);
void start_syncd(int n);

void to_arbiter(int n, union payload *p);
void show_role_again(int n, enum process to);
void step(int n, struct arbiter_event *event);
void start_arbiterd(int n);
void on_bus(int n, union payload *p);
void on_saved(int n, union payload *p);

void witness_hears_role(int n, const struct role_message *role);
void on_witness_asked(int n, int64_t incarnation, const union payload *asked);
void on_witness_answered(int n, const union payload *p);
void on_witness_timer(int n, int64_t timer);
void publish_witness(int n);
void start_witnessd(int n);
void harm_witness(void);
void heal_witness(void);

/* ---- version.c */
void draw_versions(void);
const char *version_names(void);
bool has_gate(int n);

/* What of a heartbeat is not on the wire, and what who hears it does not know. */
void version_sends(int n, struct heartbeat *h);
void version_hears(int n, struct peer_message *peer);

/* A node comes back as the other version, after a clean stop or without. */
void change_version(int n);
void exchange_version(int n); /* its daemons have ended */

/* ---- faults.c */
void start_process(int n, enum process process);
void kill_process(int n, enum process process, int64_t back_after);
void stop_process(int n, enum process process, int64_t duration);
void power_off(int n);
void power_on(int n);
void reboot(int n);
void send_order(int n, enum arbiter_event_kind kind, bool force);
void stop_node(int n); /* cleanly */
void stop_ends(int n, int64_t polls);
void on_thaw(int n);
void operator_claims(void);
void inject(void); /* one fault, by the dice */
void heal(void);   /* all of them end */

/* ---- verdict.c */
void judge(void); /* after each event */
void note_claim(int n, int64_t epoch);
void note_reboot(int n);

/* A node claims under this rule: may it, with its data (R14)? */
void judge_data(int n, const char *rule);
void settle_and_judge(int64_t settled_at); /* at the end */
bool is_healthy(int n);                    /* it has no fault */

/* ---- budget.c */
void judge_budget(void); /* after that: one thing breaks, or the role is switched */

/* ---- sim.c */
bool advance(void); /* the next event; false: there is none */
