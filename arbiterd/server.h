/* server: the arbiter's shell. Turns messages, commands and time into events, and effects into messages, log
 * lines, records and a written state. Decides nothing. */
#pragma once
#include "arbiterd/consider.h"
#include "arbiterd/decide.h"
#include "arbiterd/exchange.h"
#include "arbiterd/history.h"
#include "arbiterd/state.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/sys.h"

enum { SERVICES_SEEN_MAX = CONFIG_SERVICES_MAX, ROUTERS_SEEN_MAX = CONFIG_CHANNELS_MAX * CONFIG_ROUTERS_MAX };

/* A row that would apply, but for something; since when. */
struct server_bar {
    struct considered what;
    int64_t since_ns;
    bool noted;
};

struct server {
    struct daemon *daemon;
    struct arbiter arbiter;
    struct history history;
    struct chronicle peers; /* the peer's records */
    struct scribe *scribe;  /* writes both down */
    struct exchange exchange;
    char boot[SYS_BOOT_ID_MAX], peers_path[PATH_MAX];
    struct log_limit piece_log;
    int64_t records_ns; /* the budget of the peer's records: ahead of now by what was taken of it */
    struct server_bar bars[CONSIDERED_MAX];
    size_t bar_count;
    bool was_vouched; /* before the latest step */
    struct state_writer *writer;
    char state_path[PATH_MAX], history_path[PATH_MAX];
    struct loop_source *timer;

    /* what was last published, and why */
    struct role_message shown;
    const char *role_rule, *role_reason; /* of the row that began the last change of role */
    int64_t role_began_ns;               /* when that was */
    unsigned alarms;
    int64_t alarm_since[ALARM_COUNT];
    bool reboot_failed, reboot_delayed, hook_failed, lease_overdue;
    struct watchdog_message watchdog; /* as superviserd last told */
    struct data_message data;         /* as syncd last told */
    int64_t data_heard_ns, data_behind_since_ns;
    bool data_lagging;
    int64_t conflicts_cleared; /* that a person has seen */

    /* what was last seen, to note what changes */
    struct {
        char name[CONFIG_NAME_MAX];
        struct service_message message;
    } services[SERVICES_SEEN_MAX];
    size_t service_count;
    struct {
        char name[64];
        struct router_message message;
    } routers[ROUTERS_SEEN_MAX];
    size_t router_count;
    struct {
        char name[CONFIG_NAME_MAX];
        enum path_state state;
        bool dark;
    } paths[CONFIG_CHANNELS_MAX + 1];
    size_t path_count;
    int64_t heartbeatd_seq, takeoverd_seq; /* of the last message: they begin anew with the daemon */
    int64_t renewal_noted; /* the question of which it was noted that the peer renews its record */
    int64_t peer_anew_ns; /* when the peer's heartbeatd was last heard started anew on a machine that had gone
                             on */
    struct {
        char name[CONFIG_NAME_MAX];
        enum hook_state state;
        int64_t at_ns;
    } hooks[CONFIG_HOOKS_MAX];
    size_t hook_count;
};

/* Loads the state, subscribes, and takes the first step. `server` is zeroed, and not written as a whole: most
 * of its two megabytes are rooms for records that may never be needed. 0 or a negative errno. */
int server_open(struct server *server, struct daemon *daemon);

/* One step of the decision, and all that follows from it. `cause` is what led to it, or NULL. */
void server_step(struct server *server, struct arbiter_event *event, const char *cause);

/* server_bus.c: subscriptions, each message into an event. */
int server_subscribe(struct server *server);

/* The passive node's data is behind for longer than a moment: notices, and tells the core. */
void server_check_lag(struct server *server, int64_t now_ns);

/* Services of which superviserd has told something else than the core knows: tells it. */
void server_count_services(struct server *server, const char *cause);

/* server_records.c: the exchange of records with the peer, and what was considered. */
void server_open_records(struct server *server);
int server_subscribe_records(struct server *server);
void server_tell_records(struct server *server, int64_t now_ns); /* once a heartbeat interval */
void server_answer_peer(struct server *server, const struct command_message *command,
                        struct bus_answer *answer);
void server_note_rejected(struct server *server, const struct arbiter_transition *transition, int64_t now_ns);
void server_note_barred(struct server *server, int64_t now_ns);

/* server_reload.c: a changed configuration. */
void server_fill_settings(const struct config *config, struct arbiter_settings *settings);
bool server_check(void *userdata, const struct config *next, char *text, size_t size);
int server_reload(void *userdata, const struct config *before, char *text, size_t size);

/* server_orders.c: what people command. */
void server_command(void *userdata, const struct command_message *command, struct bus_answer *answer);

/* server_alarms.c: publishes what has begun and what has ended. */
void server_alarms(struct server *server);
