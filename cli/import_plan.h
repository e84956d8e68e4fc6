/* import_plan: what becomes of a keepalived.conf: the parts of a duet.conf, and what is to be told of the
 * rest.
 *
 *     keepalived      text -> statements
 *     import_convert  statements -> this plan; every statement is used or told of
 *     import_print    the plan -> duet.conf, and the remarks
 *
 * Pure but for memory: no file is read and nothing of the system is asked. */
#pragma once
#include <stdio.h>

#include "cli/keepalived.h"
#include "common/config.h"

enum {
    IMPORT_ADDRESSES_MAX = 256, /* a channel */
    IMPORT_COMMAND_MAX = 1024,
    IMPORT_REMARK_MAX = 400,

};

enum remark_kind {
    REMARK_LEFT_OUT,   /* has no counterpart, or none that can be known */
    REMARK_NOT_NEEDED, /* duet does that by itself, or has no use for it */
    REMARK_NOTE,       /* converted, and means something else than before */
    REMARK_FILL_IN,    /* must be added; line 0 */
};

struct remark {
    int line;
    enum remark_kind kind;
    char text[IMPORT_REMARK_MAX];
};

struct import_channel {
    int line;
    char name[CONFIG_NAME_MAX], device[16];
    size_t address_count, router_count;
    struct net_address addresses[IMPORT_ADDRESSES_MAX], routers[CONFIG_ROUTERS_MAX];
    struct net_address own, peer; /* passive ones; family 0: not known */
};

struct import_route {
    int line;
    char to[ADDRESS_TEXT_MAX];
    struct net_address via;
    int channel;
};

struct import_service {
    int line;
    char name[CONFIG_NAME_MAX], unit[64]; /* unit empty: stands for a script */
    char check[IMPORT_COMMAND_MAX];       /* as it is written: {"a", "b"}; empty: none */
    char user[64], group[64];
    int64_t interval_ns, timeout_ns; /* 0: not given */
    int failures;                    /* 0: not given */
};

struct import_hook {
    int line;
    char name[CONFIG_NAME_MAX];
    enum hook_event event;
    char command[IMPORT_COMMAND_MAX], user[64], group[64];
};

struct import {
    char cluster[CONFIG_NAME_MAX], own[64], peer[64], key_file[PATH_MAX];
    int prefix; /* of addresses that have none; 0: the whole address, as keepalived takes it */
    struct net_address reserved[CONFIG_NODES]; /* own, peer */
    char script_user[64], script_group[64];
    size_t channel_count, route_count, service_count, hook_count, remark_count;
    struct import_channel channels[CONFIG_CHANNELS_MAX];
    struct import_route routes[CONFIG_ROUTES_MAX];
    struct import_service services[CONFIG_SERVICES_MAX];
    struct import_hook hooks[CONFIG_HOOKS_MAX];
    struct remark *remarks;
    bool out_of_memory;
};

/* Notes a remark of `line` (0: of the whole). */
PRINTF_LIKE(4, 5)
void import_tell(struct import *import, enum remark_kind kind, int line, const char *format, ...);

/* The same of a statement and all in its block, led by its own words. */
PRINTF_LIKE(4, 5)
void import_tell_statement(struct import *import, enum remark_kind kind, struct statement *statement,
                           const char *format, ...);

/* Fills the plan from `file`, besides what the caller has set: cluster, own, peer, key_file, prefix, reserved
 * (or family 0), and `routers`: of the channels that have their network. 0 or -ENOMEM; import_free() either
 * way. */
int import_convert(struct keepalived *file, const struct net_address *routers, size_t router_count,
                   struct import *import);
void import_free(struct import *import); /* what it holds */

/* The configuration, led by a comment that names `source`. */
void import_print(const struct import *import, const char *source, FILE *out);
/* The remarks in the order of lines, those to be filled in last. */
void import_print_remarks(struct import *import, const char *source, FILE *out);
