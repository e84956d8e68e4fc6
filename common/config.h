/* config: the one file that describes the pair (DESIGN §5), read with libconfuse and checked as a whole.
 *
 * Every error is one line `FILE:LINE: what is wrong and what would be right`. All of DESIGN §5 is known here,
 * also the parts that only later daemons use, so that one file stays valid as they arrive. Reading has no
 * effect on the system: `duet check-config` and every daemon use the same function. */
#pragma once
#include <limits.h>
#include <stdio.h>

#include "common/net.h"
#include "proto/topics.h"

enum {
    CONFIG_NAME_MAX = 32, /* names of nodes, channels, services …: letters, digits, '-', '_', '.' */
    CONFIG_NODES = 2,
    CONFIG_CHANNELS_MAX = 16,
    CONFIG_ROUTERS_MAX = 8, /* a channel */
    CONFIG_SERVICES_MAX = 64,
    CONFIG_ROUTES_MAX = 256,
    CONFIG_RULES_MAX = 64,
    CONFIG_TABLE_MAIN = 254, /* of routes that name none */
    CONFIG_SYNCS_MAX = 64,
    CONFIG_HOOKS_MAX = 64,
    CONFIG_KEY_BYTES = 32,
};

/* An object identifier. */
enum { CONFIG_OID_MAX = 32 };
struct config_oid {
    size_t count; /* 0: none */
    uint32_t arcs[CONFIG_OID_MAX];
};

enum config_profile { PROFILE_LAN, PROFILE_FAST, PROFILE_WAN };
enum config_fault_action { FAULT_REBOOT, FAULT_DEMOTE, FAULT_IGNORE };
enum config_mode { MODE_EXCHANGE, MODE_OVERLAY };
enum config_when { WHEN_ACTIVE, WHEN_ALWAYS };

/* Every timer of DESIGN §3, in nanoseconds, after profile and overrides. */
struct config_timers {
    int64_t heartbeat_interval, takeover_after, address_lease, isolation_after, search_time;
    int64_t search_interval, search_interval_quick, router_interval, router_interval_quick;
    int64_t claim_time, linger, handover_time, settle_time, stale_start_wait, reboot_grace;
    int router_retries;
};

/* The timers by the names that they have in the file, in the order of DESIGN §3, with the defaults of each
 * profile. */
struct config_timer {
    const char *key;
    size_t offset;              /* in struct config_timers */
    int64_t defaults[3], least; /* ns; defaults by enum config_profile */
};
enum { CONFIG_TIMERS = 15 };
extern const struct config_timer config_timer_table[CONFIG_TIMERS];
int64_t config_timer_ns(const struct config_timers *timers, const struct config_timer *timer);
const char *config_profile_name(enum config_profile profile);

struct config_strings {
    size_t count;
    char **items; /* count strings, and NULL: ready for execv() */
};

struct config_addresses {
    size_t count;
    struct net_address *items;
};

struct config_channel {
    char name[CONFIG_NAME_MAX];
    char device[16]; /* of this node */
    enum config_mode mode;
    bool search;                          /* ask for the active addresses there */
    bool heartbeat_udp;                   /* `heartbeat = udp`: for networks without layer 2 */
    struct net_address udp_own, udp_peer; /* heartbeat_udp: between these passive addresses */
    bool check_only_idle; /* any frame of a router is an answer; it is asked only while there is none */
    bool local_routes;    /* `hold-as = local-routes`: for many active addresses */
    struct config_addresses active;
    struct config_addresses passive, peer_passive; /* this node's; the peer's */
    struct config_addresses routers;
};

struct config_route {
    char name[64]; /* "default" or a network, unless `to` says that */
    struct net_address to, via;
    int channel; /* index */
    int table;
};

/* A rule of policy routing: what comes from here and goes there is routed by a table. */
struct config_rule {
    char name[CONFIG_NAME_MAX];
    struct net_address from, to; /* prefix 0: whatever; both of one family */
    int table, priority;
};

/* The longest pause between two starts of a service, unless its retry-interval is longer. */
#define SERVICE_BACKOFF_MAX_NS (60 * NS_PER_S)

struct config_service {
    char name[CONFIG_NAME_MAX];
    struct config_strings command, check, start, stop;
    char unit[128], process[64], pidfile[PATH_MAX], user[64], group[64];
    enum config_when when;
    enum config_fault_action on_failure;
    int64_t check_interval, check_timeout, start_timeout, retry_interval, stop_timeout; /* ns */
    int check_failures; /* failed checks in a row that count as down */
    int start_retries;
    bool exclusive;
    struct config_strings after;
    int line;
};

/* A command that is run because the role changes (docs/architecture.md, "Hooks"). */
struct config_hook {
    char name[CONFIG_NAME_MAX];
    enum hook_event event;
    struct config_strings command;
    char user[64], group[64];
    int64_t timeout; /* ns; then it is killed, and has failed */
    int line;
};

/* Exactly one of `paths`, `sqlite`, and `dump` with `restore` is given. The copy that `dump` makes lies in
 * the state directory of each node. */
struct config_sync {
    char name[CONFIG_NAME_MAX];
    struct config_strings paths, exclude, validate, apply;
    char sqlite[PATH_MAX];
    struct config_strings dump, restore; /* what writes a copy to its output; what reads it from its input */
    bool privileged;                     /* setuid and setgid bits, and security.* attributes, travel, too */
    int64_t max_delay;                   /* of a dump: how often one is made, as nothing tells of changes */
    int keep;
};

struct config {
    char file[PATH_MAX];
    char cluster[CONFIG_NAME_MAX];
    enum config_profile profile;
    char key_file[PATH_MAX], old_key_file[PATH_MAX]; /* old_key_file: empty, or still accepted */
    enum config_fault_action on_network_fault;
    bool lease_gate;
    struct config_strings reboot_command;
    bool reboot_force; /* restart the machine by the kernel, if reboot-command did not within reboot-grace */
    struct config_timers timers;

    struct {
        char name[CONFIG_NAME_MAX];
        struct net_address reserved; /* family 0: no reserved line */
    } nodes[CONFIG_NODES];           /* in the order of the file; the first one has the odd epochs */
    int self;                        /* index into nodes; -1 when checked for no node in particular */

    size_t channel_count, route_count, rule_count, service_count, sync_count, hook_count;
    struct config_channel channels[CONFIG_CHANNELS_MAX];
    struct config_route *routes;
    struct config_rule *rules;
    struct config_service *services;
    struct config_hook *hooks; /* in the order of the file, which is the one in which they run */
    struct config_sync *syncs;

    struct {
        char device[64]; /* empty: none */
        int64_t timeout;
        bool required;
    } watchdog;
    char snmp_config[PATH_MAX];
    char snmp_agentx[128];       /* where snmpd takes subagents, in Net-SNMP's words; empty: no tables */
    struct config_oid snmp_base; /* where DUET-MIB is hung; none: where the MIB itself says */

    struct {
        char listen[128]; /* a ZeroMQ endpoint of TCP; empty: none */
        char metrics[64]; /* ADDRESS:PORT for Prometheus; empty: none */
        char key_file[PATH_MAX], clients[PATH_MAX];
    } monitor;

    /* A third party that is asked while the nodes do not hear each other. */
    struct {
        struct config_strings endpoints; /* URLs of etcd; none: there is no witness */
        char key[128];                   /* of the pair's record there */
        char ca_file[PATH_MAX];          /* empty: what the system trusts */
        char user[64], password_file[PATH_MAX];
    } witness;
    /* What makes sure of the peer's end before a claim in the dark. */
    struct {
        struct config_strings command; /* none: there is no fence */
        int64_t timeout;               /* ns */
    } fence;

    char hash[17]; /* of the file's bytes, in hex: both nodes must show the same */
    int warnings;  /* lines printed that refuse nothing */
};

/* Reads and checks `file` for `node` (NULL: for none in particular; devices and passive addresses are then
 * those of the first node). Prints every error and warning found to `errors`, one a line. 0 and the
 * configuration, which the caller frees; -EINVAL if anything was refused; or another negative errno if the
 * file cannot be read (printed too). */
int config_read(const char *file, const char *node, FILE *errors, struct config **config);

/* The same from text in memory, without the checks of files on disk (permissions, key): for the fuzzer and
 * unit tests. `file` is what error lines call it. */
int config_read_text(const char *file, const char *text, const char *node, FILE *errors,
                     struct config **config);

/* Whether there is anything for monitord to do. */
bool config_has_monitor(const struct config *config);

/* Whether there is anything for witnessd to do. */
bool config_has_witness(const struct config *config);

/* How long the hooks of `event` may take altogether, in ns. */
int64_t config_hooks_ns(const struct config *config, enum hook_event event);

void config_free(struct config *config);

/* Fills `key` from a key file: 32 bytes, a regular file that nobody but its owner can read; or what
 * systemd passed in its place (/etc/duet/cluster.key as $CREDENTIALS_DIRECTORY/etc_duet_cluster.key). 0;
 * -EACCES (others can read it), -EINVAL (not 32 bytes), or another negative errno. The caller wipes it. */
int config_read_key(const char *path, unsigned char key[static CONFIG_KEY_BYTES]);

/* "300ms", "2m": the largest unit that says it exactly. */
enum { DURATION_TEXT_MAX = 32 };
void duration_print(int64_t duration_ns, char text[static DURATION_TEXT_MAX]);
int duration_parse(const char *text, int64_t *duration_ns); /* 0 or -EINVAL; units us, ms, s, m, h */
