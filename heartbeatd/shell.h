/* shell: the sockets, keys and timers around the detector. Each thing that happens is handed to the detector,
 * and then the outbox is emptied: heartbeats first, requests, topics, lines of the log.
 *
 * Before time is judged, all sockets are drained, so that what came in time counts even if this process did
 * not run. What is taken at once is bounded: a flood costs only itself. */
#pragma once
#include "common/daemon.h"
#include "common/log.h"
#include "common/saver.h"
#include "common/seal.h"
#include "heartbeatd/detector.h"
#include "heartbeatd/links.h"
#include "heartbeatd/sessions.h"

/* Records of the peer's taken in at once; those beyond are lost, and the arbiters send again. */
enum { SHELL_RECORDS_MAX = 16 };

/* A socket that is listened to. fd -1: closed. */
struct ear {
    struct shell *shell;
    size_t index; /* path or channel */
    int fd;
    int64_t empty_ns; /* when it was last seen empty */
    struct loop_source *source;
};

/* A channel's sockets; -1: there is none. */
struct shell_sockets {
    unsigned device_index; /* 0: the device is absent */
    int path, arp, discovery, idle;
    struct mac idle_macs[CONFIG_ROUTERS_MAX];
};

struct shell {
    struct daemon *daemon;
    struct detector detector;
    struct outbox outbox;
    struct seal_ring ring;
    struct sessions sessions;
    char sessions_path[PATH_MAX];
    struct saver *saver; /* made when first needed */
    struct links *links;
    struct net_address *sorted[CONFIG_CHANNELS_MAX]; /* each channel's active addresses */
    struct ear paths[PATHS_MAX], arps[CONFIG_CHANNELS_MAX], discoveries[CONFIG_CHANNELS_MAX];
    int idles[CONFIG_CHANNELS_MAX];             /* check-only-idle: all that comes from routers; -1: closed */
    unsigned device_index[CONFIG_CHANNELS_MAX]; /* 0: the device is absent */
    bool reserved_carrier;
    char reserved_device[LINK_NAME_MAX];
    struct loop_source *timer;
    int64_t timer_ns, line_retry_ns[PATHS_MAX]; /* of paths by UDP; 0: they were never refused */
    struct mac idle_macs[CONFIG_CHANNELS_MAX][CONFIG_ROUTERS_MAX]; /* as the filters of `idles` have them */
    struct peer_record_message records[SHELL_RECORDS_MAX];         /* to be published */
    size_t record_count;
    int64_t record_due_ns; /* the next one is taken then */
    struct log_limit path_log, stall_log, send_log, parse_log, record_log;
};

/* Opens everything; says in the log what cannot be had. 0 or a negative errno; shell_close() follows either
 * way. */
int shell_open(struct shell *shell, struct daemon *daemon);

/* Wipes the keys, and waits for the disk. Call after the loop has ended. */
void shell_close(struct shell *shell);

/* shell_reload.c: a changed configuration. */
bool shell_check(void *userdata, const struct config *next, char *text, size_t size);
int shell_reload(void *userdata, const struct config *before, char *text, size_t size);

/* What shell.c and its parts share. */
const char *shell_alike_channels(const struct config *config, const char **other);
/* Goes on with the sockets that a channel had before the configuration was changed, and opens what else it
 * needs by now. */
void shell_keep_channel(struct shell *shell, size_t channel, const struct shell_sockets *sockets);
/* Each channel's active addresses in the order of channel_compare(). 0 or -ENOMEM; either way the caller
 * frees them, or gives them to shell_use_sorted(), which frees those before. */
int shell_sort(const struct config *config, struct net_address *sorted[static CONFIG_CHANNELS_MAX]);
void shell_use_sorted(struct shell *shell, struct net_address *const sorted[static CONFIG_CHANNELS_MAX]);
void shell_finish(struct shell *shell); /* after anything happened */
void shell_apply(struct shell *shell);  /* empties the outbox (publish.c) */
void shell_send(struct shell *shell);   /* heartbeats and requests of the outbox (wire.c) */
void shell_send_record(struct shell *shell, const char *text); /* to the peer, if there is a way (wire.c) */
void shell_read_path(struct ear *ear, int budget);             /* takes datagrams in (wire.c) */
void shell_read_neighbours(struct ear *ear, int budget);
void shell_read_idle(struct shell *shell, size_t channel);
bool shell_is_udp(const struct shell *shell, size_t path);
