/* watch: what the bus says, turned into what happened. Messages carry states; an event is a difference
 * between two of them. What was last told is kept over a restart of this daemon (watch_print()), so that
 * nothing is told twice or missed. Pure: the time comes from the caller. */
#pragma once
#include "proto/topics.h"
#include "trapd/event.h"

enum {
    WATCH_SERVICES_MAX = 64,
    WATCH_CHANNELS_MAX = 16,
    WATCH_SETS_MAX = 64,
    WATCH_DAEMONS_MAX = 8,
    WATCH_EVENTS_MAX = 80
};

struct watched_service {
    char name[32];
    int64_t pid, restarts; /* the start that was told of */
    enum service_state state;
};

struct watched_channel {
    char name[32];
    bool faulty;
};

struct watched_set {
    char name[32];
    bool told, known; /* that it is behind; how it is now */
    enum sync_state state;
    int64_t behind_files, behind_bytes;
};

struct watched_daemon {
    char name[32];
    int64_t pid, heard_ns;
    bool failed, stopping;
};

struct watch {
    /* The role. */
    bool role_known;
    enum role role;
    int64_t epoch;
    char peer[32], reason[128];
    bool ready, ready_told, not_ready_told;
    char not_ready[256];
    int64_t not_ready_since_ns;
    bool peer_lost, dual_active, sync_behind;
    struct watched_service services[WATCH_SERVICES_MAX];
    struct watched_channel channels[WATCH_CHANNELS_MAX];
    struct watched_set sets[WATCH_SETS_MAX];
    struct watched_daemon daemons[WATCH_DAEMONS_MAX];
    size_t service_count, channel_count, set_count, daemon_count;
    char reboot_reason[128]; /* the restart of the node that is under way; empty: none is */

    /* What happened, to be taken by the caller; more than fits is not told, and counted. */
    struct event events[WATCH_EVENTS_MAX];
    size_t event_count, lost;
};

void watch_role(struct watch *watch, const struct role_message *role, int64_t at_ns);
void watch_service(struct watch *watch, const char *name, const struct service_message *service,
                   int64_t at_ns);
void watch_link(struct watch *watch, const char *name, const struct link_message *link, int64_t at_ns);
void watch_alarm(struct watch *watch, const char *name, const struct alarm_message *alarm, int64_t at_ns);
void watch_set(struct watch *watch, const char *name, const struct data_set_message *set, int64_t at_ns);
void watch_daemon(struct watch *watch, const char *name, const struct daemon_message *daemon, int64_t at_ns);
void watch_reboot(struct watch *watch, const struct reboot_message *reboot);
/* Twice a second: what is noticed by its absence. */
void watch_tick(struct watch *watch, int64_t now_ns);
/* The machine has started since: `text` says how the time before ended. */
void watch_restarted(struct watch *watch, const char *text, int64_t at_ns);

/* The events since the last call; their number. Valid until the next message. */
size_t watch_take(struct watch *watch, const struct event **events);

/* What must outlive this process, as lines of text (for a state file), and back: 0, or -EBADMSG (the watch is
 * then as new). */
enum { WATCH_TEXT_MAX = 3900 };
void watch_print(const struct watch *watch, char text[static WATCH_TEXT_MAX]);
int watch_parse(struct watch *watch, const char *text);
