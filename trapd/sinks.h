/* sinks: where notifications go, each with its queue and its process (child.h). In the order in which things
 * happened; one under way a sink. A trap is done with when it was sent, an inform when it was acknowledged;
 * what cannot be sent or is not acknowledged is tried again, after a pause that grows, and lies in the
 * backlog meanwhile. */
#pragma once
#include "common/loop.h"
#include "trapd/backlog.h"
#include "trapd/child.h"

enum { SINK_WAITING_MAX = 1000, SINK_KEY_MAX = 192 };

struct sink_state {
    int line;
    enum session_kind kind; /* 0: not known yet */
    char address[128];
    uint64_t sent, acknowledged, dropped;
    size_t waiting;
    char text[SESSION_ERROR_MAX]; /* what keeps notifications from it; empty: nothing */
};

struct sinks;

/* `changed` is called when the state of a sink has; `backlog` and `base` are kept by reference. 0 or a
 * negative errno. */
int sinks_new(struct loop *loop, struct backlog *backlog, const struct engine_id *engine_id, uint32_t boots,
              const struct config_oid *base, void (*changed)(void *userdata), void *userdata,
              struct sinks **sinks);
void sinks_free(struct sinks *sinks);
/* From now on these; those that are as before go on. The caller wipes `directives`. 0 or -ENOMEM. */
int sinks_configure(struct sinks *sinks, const struct directives *directives);
void sinks_send(struct sinks *sinks, const struct event *event);
void sinks_hurry(
    struct sinks *sinks); /* the network has changed: what waits for its next attempt is tried now */
size_t sinks_count(const struct sinks *sinks);
const struct sink_state *sinks_state(const struct sinks *sinks, size_t n);
