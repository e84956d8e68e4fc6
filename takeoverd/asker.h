/* asker: asks routers and neighbours from the active addresses until they have answered (confirm.h).
 *
 * It listens on the passive node, too: who asks for an active address there will want to know when it moves.
 */
#pragma once
#include "common/loop.h"
#include "takeoverd/adapters.h"
#include "takeoverd/confirm.h"

struct asker;

struct asker_handlers {
    void (*on_news)(void *userdata); /* a tally has changed */
    /* Another host uses an active address of this node's (RFC 5227, section 2.4). */
    void (*on_conflict)(void *userdata, int channel, const struct net_address *address,
                        const struct mac *mac);
    void *userdata;
};

/* `config`, `plan` and `adapters` are kept by reference. 0 or a negative errno; the caller frees, after the
 * loop. */
int asker_open(struct loop *loop, const struct config *config, const struct plan *plan,
               const struct adapters *adapters, const struct asker_handlers *handlers, struct asker **asker);
void asker_free(struct asker *asker);

/* The plan is another one by now, with these adapters and this configuration: what was under way ends, and
 * neighbours are learned anew. 0 or a negative errno: then it may not hear all. */
int asker_configure(struct asker *asker, const struct config *config, const struct adapters *adapters);

/* Nobody is asked from `end_ns` (CLOCK_BOOTTIME) on, when the lease is over. A later end lets it go on. At
 * first nobody may be asked. */
void asker_until(struct asker *asker, int64_t end_ns);

/* The active addresses of `channels` (a bit each) were just announced: asks on. */
void asker_begin(struct asker *asker, unsigned channels);
void asker_end(struct asker *asker);

/* What became of it, for a router of the channel by its place in the configuration, or for all neighbours
 * (-1). */
struct confirm_tally asker_count(const struct asker *asker, int channel, int router);
