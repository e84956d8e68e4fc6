/* roam: what to connect by. The pure core of the client: it knows profiles, the answers of their gateways and
 * the time that each event carries, and says what to connect, what to take down, what to remember and whom to
 * tell. It does nothing itself.
 *
 * At any moment there is a current profile, and sometimes a target that a switch is under way to. What should
 * be up follows from these two, and the effects follow from the difference to what is:
 *
 *     no target        current up, all others down
 *     target           target up; current stays up beside it, unless the two cannot (overlap), in which case
 *                      target begins when current is down
 *     target proven    its routes are set (carry), it becomes current and is remembered; the old one goes
 * down target failed    it goes down; current is still there, or is connected again, and carries again
 *
 * A target is proven when it is up and one of the gateways inside it answers, or when it has none. It has
 * failed when its connection did, when its routes could not be set, or when its time is over.
 *
 * The current profile's routes are set in the same way, whenever it comes back.
 *
 * The current profile is bad when its connection was lost or could not be established, when all its gateways
 * are silent, or all those inside it. What happens after `unreachable_for` of that is ruled by `policy`. By
 * itself the client never switches twice within the settle time, which doubles with each such switch in a
 * row; it never goes back to a better one by itself. */
#pragma once
#include "common/base.h"

enum { ROAM_PROFILES_MAX = 16, ROAM_GATEWAYS_MAX = 32, ROAM_SETTLE_DOUBLINGS_MAX = 6 };

enum roam_policy { ROAM_OFF, ROAM_ASK, ROAM_ON };

struct roam_profile_rule {
    uint32_t gateways;       /* bits: those that it is reached by; none: not tested */
    uint32_t inside;         /* bits: those that answer only through it; none: being up is proof enough */
    bool overlaps;           /* can be up beside others that can, too */
    int64_t connect_timeout; /* from the first step to the proof */
};

struct roam_rules {
    size_t profile_count, gateway_count;
    struct roam_profile_rule profiles[ROAM_PROFILES_MAX];
    int order[ROAM_PROFILES_MAX]; /* of profiles, in which another one is looked for */
    size_t order_count;
    int failures; /* tests in a row that make a gateway silent */
    enum roam_policy policy;
    int64_t unreachable_for, settle_time;
};

enum roam_answer { ROAM_UNKNOWN, ROAM_ANSWERS, ROAM_SILENT };

struct roam_gateway {
    enum roam_answer answer;
    int64_t missed, answered_ns, first_miss_ns;
};

enum roam_link { ROAM_LINK_DOWN, ROAM_LINK_STARTING, ROAM_LINK_UP, ROAM_LINK_STOPPING };

struct roam_profile {
    enum roam_link link;
    bool asked;            /* was told to be up */
    bool carries;          /* its routes were set, or are being set */
    bool carried;          /* they were */
    int64_t since_ns;      /* of `link` */
    int64_t retry_ns;      /* not connected again before, nor its routes set */
    int64_t failures;      /* in a row */
    int64_t shunned_until; /* not taken by itself before */
};

enum roam_outcome { ROAM_NO_SWITCH, ROAM_SWITCHING, ROAM_SWITCHED, ROAM_FAILED };
enum roam_cause {
    ROAM_CAUSE_NONE,
    ROAM_CAUSE_CONNECT, /* the connection could not be established, or ended at once */
    ROAM_CAUSE_SILENT,  /* up, but nothing answered through it in time */
    ROAM_CAUSE_TIME,    /* not up in time */
    ROAM_CAUSE_ROUTES,  /* its routes could not be set */
    ROAM_CAUSE_OTHER,   /* somebody wanted another profile meanwhile */
};

struct roam {
    const struct roam_rules *rules;
    struct roam_gateway gateways[ROAM_GATEWAYS_MAX];
    struct roam_profile profiles[ROAM_PROFILES_MAX];
    int current, target;  /* -1: none */
    bool carrying;        /* the target is proven, its routes are being set */
    int64_t since_ns;     /* of current */
    int64_t deadline_ns;  /* of the target, 0: it has not begun */
    int64_t bad_since_ns; /* of current; 0: it is well */
    bool told;            /* of this time of being bad */
    int64_t settled_ns;   /* no switch by itself before */
    int64_t auto_row, auto_ns;
    /* the latest switch */
    int64_t number, asked_ns, up_ns, proven_ns, carries_ns;
    int to;
    bool by_itself;
    enum roam_outcome outcome;
    enum roam_cause cause;
    bool stopping;
};

enum roam_event_kind {
    ROAM_EVENT_START,   /* index: the profile to begin with */
    ROAM_EVENT_USE,     /* index: the profile that a person wants */
    ROAM_EVENT_TESTED,  /* index: gateway; good; began_ns */
    ROAM_EVENT_LINK,    /* index: profile; link */
    ROAM_EVENT_CARRIED, /* index: profile; good: its routes are set */
    ROAM_EVENT_TIME,
    ROAM_EVENT_STOP, /* everything is to go down */
};

struct roam_event {
    enum roam_event_kind kind;
    int index;
    bool good;
    enum roam_link link;
    int64_t now_ns, began_ns;
};

enum roam_news { ROAM_NEWS_NONE, ROAM_NEWS_UNREACHABLE, ROAM_NEWS_SWITCHED, ROAM_NEWS_FAILED };

struct roam_effects {
    uint32_t connect, disconnect; /* profiles */
    int carry;                    /* the profile whose routes are to be set; -1 */
    int remember;                 /* -1: nothing new */
    enum roam_news news;
    int64_t wake_ns; /* send ROAM_EVENT_TIME then; 0: no need */
};

/* `rules` is kept by reference. */
void roam_init(struct roam *roam, const struct roam_rules *rules);

/* Takes one event in. Events of one roam never go back in time. */
void roam_step(struct roam *roam, const struct roam_event *event, struct roam_effects *effects);

/* The gateways that are to be tested now. */
uint32_t roam_tested(const struct roam *roam);

/* Of these, the ones that a switch under way waits for. */
uint32_t roam_awaited(const struct roam *roam);

/* How the gateways outside of a profile are: ROAM_ANSWERS if one answers or there is none. */
enum roam_answer roam_reachable(const struct roam *roam, int profile);

/* The current profile is up, something inside it answers, its routes are set, and nothing is wrong with it.
 */
bool roam_connected(const struct roam *roam);

/* The profile that would be switched to; -1: none. */
int roam_candidate(const struct roam *roam, int64_t now_ns);
