/* plan: what has to be done so that the adapters have what the role wants.
 *
 * A plan is an inventory: every address and route that the configuration names (all active addresses, this
 * node's passive ones), and of each whether the kernel has it. The shell fills that in from a dump and keeps
 * it right by the kernel's events. From the inventory and the role follow the operations still missing: none
 * when all is as it should be. So a claim, a release, the cleaning up after a killed run and the repair of
 * what somebody else removed are all the same question, asked again. What the configuration does not name is
 * never looked at, let alone touched.
 *
 * The order matters. The kernel forgets every route through a device when the device's last IPv4 address
 * goes, so one address is always added before others are deleted: in a claim one active address before the
 * passive ones go, in a release the (one or two) passive addresses before the active ones go.
 *
 * When a primary IPv4 address goes, the kernel moves the routes of all its secondaries, which costs the
 * square of their number. So a claim puts up all but one active address after the passive ones went, and
 * secondaries are deleted before their primary.
 *
 * Routes need the addresses, so they are added behind them, and rules, which point to routes, last. A release
 * deletes the addresses first, since those must be gone soon.
 *
 * Of many IPv4 addresses on one adapter each costs the kernel more than the one before. Routes of the table
 * `local` do not, and the kernel answers ARP for them and takes their traffic all the same. So a channel may
 * have all but one of its addresses in that way (`routed`). The one that is not keeps the network's own
 * route, and with it the kernel keeps theirs.
 *
 * Pure: no clock, no I/O, no allocation. The arrays belong to the caller, as does everything here. */
#pragma once
#include "common/net.h"

enum {
    PLAN_CHANNELS_MAX = 16,
    PLAN_ROUTED = 129, /* stands in for a prefix length: of an address that is a route of the table local */
};

struct plan_address {
    struct net_address address; /* with the prefix length that is wanted */
    int channel;
    bool active;    /* an active address, else a passive one of this node */
    bool yields;    /* passive, and goes while the node is active (mode exchange) */
    bool routed;    /* wanted as a route of the table local, instead of as an address */
    bool secondary; /* the kernel holds it as a secondary of its subnet */
    uint64_t
        lengths[3]; /* a bit for each prefix length under which the kernel has it; PLAN_ROUTED: a route */
};

struct plan_route {
    struct net_address to, via;
    int channel;
    uint32_t table;
    bool held;
};

/* A rule of policy routing. It belongs to no adapter. */
struct plan_rule {
    struct net_address from, to; /* prefix 0: whatever; both of one family */
    uint32_t table, priority;
    bool held;
};

struct plan {
    size_t channel_count, address_count, route_count, rule_count;
    int links[PLAN_CHANNELS_MAX];   /* each channel's adapter, as the kernel numbers it; 0: none */
    struct plan_address *addresses; /* sorted by plan_compare() */
    struct plan_route *routes;
    struct plan_rule *rules;
};

/* PLAN_RENEW_ADDRESS is never asked for by plan_make(): an address keeps what it is, and lives on. */
enum plan_verb {
    PLAN_ADD_ADDRESS,
    PLAN_DELETE_ADDRESS,
    PLAN_ADD_ROUTE,
    PLAN_DELETE_ROUTE,
    PLAN_ADD_RULE,
    PLAN_DELETE_RULE,
    PLAN_RENEW_ADDRESS
};

struct plan_operation {
    enum plan_verb verb;
    uint8_t length; /* addresses: the prefix length to add or delete, or PLAN_ROUTED */
    size_t index;   /* into addresses, routes or rules */
};

/* What the inventory amounts to under a role. */
struct plan_tally {
    size_t wanted, missing; /* addresses, active and passive */
    size_t active_held;     /* active addresses that the kernel has, under whatever prefix length */
    size_t active_missing;  /* active addresses not there as configured */
    size_t routes_missing;  /* and rules */
    int absent;             /* a channel whose device does not exist and that has addresses; -1: none */
};

/* The order of plan.addresses, for qsort(): channel, family, address. */
int plan_compare(const void *a, const void *b);

/* The kernel tells what it has: an address with its prefix length on the adapter `link`, or that it is gone;
 * all of it forgotten, before a dump. True if it is one that the configuration names, and this changed the
 * inventory. */
bool plan_see_address(struct plan *plan, int link, const struct net_address *address, bool secondary);
bool plan_lose_address(struct plan *plan, int link, const struct net_address *address);
bool plan_see_local_route(struct plan *plan, int link, const struct net_address *address, bool there);
bool plan_see_route(struct plan *plan, int link, uint32_t table, const struct net_address *to,
                    const struct net_address *via, bool there);
bool plan_see_rule(struct plan *plan, const struct plan_rule *seen, bool there);
void plan_forget(struct plan *plan);

/* The address of a channel, active or passive, whatever the prefix; NULL: it is none of the configuration's.
 */
const struct plan_address *plan_find(const struct plan *plan, int channel, const struct net_address *address);

/* Channel `channel` has another adapter, or none (0): what was held there is forgotten. */
void plan_set_link(struct plan *plan, int channel, int link);

/* Whether the role wants this address, and whether the kernel has it as configured. */
bool plan_wants(const struct plan_address *address, bool active);
bool plan_holds(const struct plan_address *address);

/* Fills `operations` with what is to be done next, in order, at most `max`, and returns how many. With room
 * for twice the addresses, all routes and rules one call says everything, but for addresses under many wrong
 * prefix lengths at once; after those were done, another call says the rest. */
size_t plan_make(const struct plan *plan, bool active, struct plan_operation *operations, size_t max);

/* The kernel did it. */
void plan_done(struct plan *plan, const struct plan_operation *operation);

/* Whether two inventories of the same wishes say the same of adapters, addresses and routes. */
bool plan_agrees(const struct plan *plan, const struct plan *other);

struct plan_tally plan_count(const struct plan *plan, bool active);
