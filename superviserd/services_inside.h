/* What the files of the services share (services.h). */
#pragma once
#include "common/log.h"
#include "superviserd/failures.h"
#include "superviserd/runner.h"
#include "superviserd/services.h"
#include "superviserd/tenure.h"

/* While the configuration changes, those before may still be ending beside those that are new. */
enum { SERVICES_SLOTS = 2 * CONFIG_SERVICES_MAX };

struct service {
    struct services *all;
    const struct config_service *config;
    struct guard guard;
    struct command_user user;
    struct runner *runner;
    struct process *check;
    struct loop_source *timer;
    struct log_limit output_log, check_log;
    size_t after[CONFIG_SERVICES_MAX]; /* indices */
    size_t after_count;
    bool leaving;          /* not configured any more, or in another way: ended, and then gone */
    bool gone;             /* what is still told of it is of no interest */
    bool yields;           /* exclusive, or it waits for one that is: it ends before the role is given away */
    char cause[CAUSE_MAX]; /* the message about the role that the present state goes back to; empty: none */
};

struct services {
    struct daemon *daemon;
    size_t count;
    struct service *items[SERVICES_SLOTS];
    struct failures *failures;
    struct command_role role;
    struct tenure tenure;
    bool role_known, stopping;
    bool yielding; /* the role is being given away: exclusive services end */
    bool lapsed;   /* the tenure is over: whatever the role was, it is not this node's any more */
    bool ordering; /* order_all() is at work, and will look at what its own doing leads to */
    struct loop_source *stop_timer, *tenure_timer;
};

/* One more, not yet looked for. 0 or a negative errno. */
int services_add(struct services *services, const struct config_service *config);

/* What is wanted of a service, and how it is judged, by its configuration. */
void services_settle_guard(const struct config_service *config, struct guard_settings *settings);

void services_publish(struct service *service);
void services_order(struct services *services); /* brings what is wanted to the guards */
void services_look(struct service *service);    /* for what runs already, unless something is in the way */

/* services_reload.c: indices of `after`, and who yields; and what is left to do of those that are leaving. */
void services_index(struct services *services);
bool services_is_in_the_way(const struct services *services, const char *name);
void services_let_go(struct services *services);
