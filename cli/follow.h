/* follow: keeps a model of the pair up to date from the bus, for commands that look once, wait, or watch. */
#pragma once
#include "common/model.h"
#include "common/bus.h"
#include "common/daemon.h"

/* Called for each message, after it was taken into the model: for what is there only for a moment. */
typedef void follow_handler(void *userdata, const struct message_type *type, const struct envelope *envelope,
                            const void *body);

struct follow {
    struct loop *loop;
    struct bus *bus;
    struct model model;
    follow_handler *handler; /* NULL: none */
    void *userdata;
    size_t news;                   /* messages so far that were more than a renewal */
    char cluster[CONFIG_NAME_MAX]; /* of the configuration; empty if that cannot be read */
    struct config_timers timers;   /* of it, else the defaults that the waits below need */
};

/* Connects to all daemons below options->run_dir. 0 or a negative errno; follow_close() either way. `follow`
 * must stay where it is. */
int follow_open(struct follow *follow, const struct options *options);
void follow_close(struct follow *follow);

/* Handles messages until `is_met` or `timeout_ns` has passed; tells whether it was met. */
typedef bool follow_condition(const struct follow *follow, void *userdata);
bool follow_until(struct follow *follow, follow_condition *is_met, void *userdata, int64_t timeout_ns);

/* Waits until the retained state of all daemons is in; those that are silent do not hold it up for longer
 * than 600 ms, or 1 s if nobody says anything. False if no daemon answers. */
bool follow_collect(struct follow *follow);

/* The latest state, NULL while unknown. */
const struct role_message *follow_role(const struct follow *follow);
const struct peer_message *follow_peer(const struct follow *follow);
