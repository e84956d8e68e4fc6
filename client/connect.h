/* connect: brings the connections of the profiles up and down, by the commands that the configuration made of
 * each kind, one after the other, never blocking.
 *
 * Upwards: `up` to its end, then `run` in the foreground, then it counts as up. Its routes come later, when
 * the core says so (carry). Downwards: routes, `run` gets SIGTERM, `down`; then it is down, whether or not
 * all of that went well. One that fails on its way up is cleaned up in the same way before it is told as
 * down. */
#pragma once
#include "client/config.h"
#include "common/loop.h"

struct connections;

struct connect_handlers {
    void (*link)(void *userdata, int profile, enum roam_link link); /* up or down */
    void (*carried)(void *userdata, int profile, bool good);
    void *userdata;
};

/* `config` is kept by reference. 0 or a negative errno; the caller frees with connections_free()
 * when the loop is gone; what still runs then is killed. */
int connections_new(struct loop *loop, const struct client_config *config,
                    const struct connect_handlers *handlers, struct connections **connections);
void connections_free(struct connections *connections);

/* No handler is called from within these; `up` is only for one that is down. */
void connections_up(struct connections *connections, int profile);
void connections_down(struct connections *connections, int profile);
void connections_carry(struct connections *connections, int profile);

/* Asks NetworkManager or systemd whether an established connection is still there, and tells it as down if it
 * is not. Called whenever a test of it fails: it asks at most once a second. */
void connections_look(struct connections *connections, int profile);

/* A connection that an earlier run of this daemon left up. */
void connections_adopt(struct connections *connections, int profile);

/* Why the latest try failed; empty if it did not. */
const char *connections_text(const struct connections *connections, int profile);
