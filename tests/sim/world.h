/* world: what the simulator's models share: the two nodes, the network between them, the dice, the queue of
 * events. One process, one world at a time, all of it drawn from a seed (sim.c). */
#pragma once
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arbiterd/decide.h"
#include "arbiterd/judge.h"

enum { CHANNELS = 2, PATHS = CHANNELS + 1, EVENTS_MAX = 8192 };
enum process { HEARTBEATD, ARBITERD, TAKEOVERD, PROCESSES };

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
    FAULT,
    HEAL,
    OPERATOR_RESUMES,
    RESTART, /* a process comes up (again) */
};

struct heartbeat {
    int64_t session, echo;
    struct role_message role;
    int64_t arbiter_age, lease_left, phase_age;
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
        };
        int64_t services_failed;
        bool watchdog_armed;
        bool force;
    } bus;
    struct role_message role;
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
    int64_t frozen_until; /* the whole machine */
    bool alive[PROCESSES];
    int64_t paused_until[PROCESSES], incarnation[PROCESSES];
    int64_t bus_last[PROCESSES]; /* when the last message on its way to it arrives */

    /* the kernel */
    bool plane;
    int64_t plane_epoch, plane_since;
    bool carrier[CHANNELS], router[CHANNELS], claim_broken, claim_partial;
    int64_t router_from[CHANNELS]; /* it answers from then on, after a boot */

    /* heartbeatd */
    int64_t session, started, last_tick, counting_since, phase_seen;
    struct role_message role;
    int64_t role_at;
    struct address_message address;
    struct heartbeat peer;
    int64_t heard, linked, backed, phase_since;
    bool ever_heard;
    struct link_message links[CHANNELS];
    int64_t router_asked, silent_from[CHANNELS];
    struct search_message searches[CHANNELS];
    int64_t asked[CHANNELS];

    /* takeoverd */
    struct role_message order;
    struct address_message state;
    int64_t lease_record; /* in the run directory: survives the process, not a reboot */
    bool said_released;

    /* arbiterd */
    struct arbiter arbiter;
    struct role_message shown;
    int64_t services_failed;

    /* the disk */
    struct arbiter_durable disk, disk_before;
    bool disk_lost;
    int64_t last_claim;
};

extern struct world {
    const struct arbiter_settings *set; /* the times of the profile */
    int64_t now, order;
    uint64_t random;
    uint64_t seed;
    struct event heap[EVENTS_MAX];
    size_t count;
    struct node nodes[2];
    bool path_up[2][PATHS]; /* from this node */
    int loss_percent;
    bool arp_up[CHANNELS];
    bool healed;
    int64_t unserved, judged_at, plane_lost;
    bool in_the_dark;  /* an address went while no heartbeat passed, and none has passed since */
    bool unsteered[2]; /* what its kernel has is neither steered nor seen */
    bool search_off;   /* `search = off` on every channel */
    int64_t partition_end, freeze_end, trouble_end, stall_end, blind_end, quiet_since, heal_at, last_change;
    int64_t claims[1024];
    size_t claim_count;
    bool ended_badly, verbose;
    int64_t events, changes;
} w;

/* ---- world.c: the dice, telling, the queue of events */
uint64_t roll(void);
int64_t between(int64_t least, int64_t most);
bool chance(int percent);

/* A line of the story, if it is wanted. */
PRINTF_LIKE(1, 2) void tell(const char *format, ...);

/* The first one ends the seed. */
PRINTF_LIKE(1, 2) void violation(const char *format, ...);

/* The queue owns the payload from here on; who pops it frees it. */
void push(struct event event);
struct event pop(void);
union payload *payload_new(void);

/* For this incarnation of a process, `delay` from now. */
void schedule(int node, enum process process, enum what what, int64_t delay, union payload *payload);

/* What goes over the bus arrives late, but in order. */
void send_on_bus(int node, enum process process, enum what what, union payload *payload);

/* ---- network.c: what passes between the nodes */
bool answers(int n);       /* to ARP, for the active addresses */
bool partitioned(void);    /* in some direction nothing passes on any path, and the search is not answered */
bool heartbeats_cut(void); /* in some direction */
bool arp_cut(void);
void change_network(int kind, int n, int c, bool up);

/* ---- the models */
void set_plane(int n, bool up, int64_t epoch);
void publish_address(int n);
void takeover_obey(int n);
void on_lease_end(int n);
void start_takeoverd(int n);

void send_heartbeats(int n);
void on_heartbeat(int n, const struct heartbeat *h, int64_t stamp);
void on_tick(int n);
void start_heartbeatd(int n);

void to_arbiter(int n, union payload *p);
void show_role_again(int n, enum process to);
void step(int n, struct arbiter_event *event);
void start_arbiterd(int n);
void on_bus(int n, union payload *p);
void on_saved(int n, union payload *p);

/* ---- faults.c */
void start_process(int n, enum process process);
void kill_process(int n, enum process process, int64_t back_after);
void power_off(int n);
void send_order(int n, enum arbiter_event_kind kind, bool force);
void inject(void); /* one fault, by the dice */
void heal(void);   /* all of them end */

/* ---- verdict.c */
void judge(void); /* after each event */
void note_claim(int n, int64_t epoch);
void settle_and_judge(int64_t settled_at); /* at the end */
