/* bus: how the daemons of a node talk (DESIGN §2, "The bus").
 *
 * Each daemon binds one XPUB socket and publishes on it the whole current state of its topics; who wants to
 * know subscribes directly. The bus keeps the latest message of every topic (retained) and sends it again
 * when somebody subscribes, and once a second, so that a late, restarted or lossy subscriber is right soon.
 * Every sending has a new sequence number. Commands come in on a ROUTER socket and are answered once.
 *
 * Most messages of the lease chain only renew what was said (message_is_renewal()). They go out on another
 * topic, BUS_RENEWAL before its name, to those who ask for them; each BUS_CALM one of them goes to all. A
 * change goes to all at once. Both are in one queue, so that nobody meets an older state after a newer one.
 *
 * Bounded: queues hold at most BUS_QUEUE messages; what a full one refuses is sent again within a second.
 * Messages that do not fit their description are dropped, counted (`daemon/NAME`), and logged with a limit.
 */
#pragma once
#include "common/loop.h"
#include "proto/topics.h"

enum { BUS_QUEUE = 1000, BUS_RETAINED_MAX = 512 };
enum { BUS_RENEWAL = '~' };

/* Who asks for no renewals has the last one that is so old at most. Of the tenure of services
 * (superviserd/tenure.h), which ends a second after the last lease that is known, it is a small part. */
#define BUS_CALM (250 * NS_PER_MS)

struct bus;

struct bus_message {
    const struct message_type *type;
    const char *name; /* of area/NAME, else NULL */
    const struct envelope *envelope;
    const void *body;      /* the struct of `type` */
    char cause[CAUSE_MAX]; /* DAEMON:SEQ of this message, ready to be passed to bus_publish() */
};

/* Called for each message. `message` and all in it lives for the call only. */
typedef void bus_handler(void *userdata, const struct bus_message *message);

/* Called for each command; fills the reply (zeroed; ok = false) of a `struct reply_message`, or returns a
 * body of another type through `type` and `body`, which must live until the next command. */
struct bus_answer {
    struct reply_message reply;
    const struct message_type *type; /* NULL: `reply` is the answer */
    const void *body;
};
typedef void bus_command_handler(void *userdata, const struct command_message *command,
                                 struct bus_answer *answer);

/* Opens the daemon's own publisher and command socket below `run_dir`, making the directories. `daemon` and
 * `node` are kept by reference. 0 or a negative errno; the caller frees with bus_free(). */
int bus_open(struct loop *loop, const char *run_dir, const char *node, const char *daemon, struct bus **bus);

/* A bus that only listens: for tools. */
int bus_open_listener(struct loop *loop, const char *run_dir, const char *node, struct bus **bus);

void bus_free(struct bus *bus);

/* Publishes `body`, the struct of `type`, as the current state of its topic, and keeps a copy (but of a live
 * topic). `name` is the NAME of area/NAME, else NULL; `cause` is a bus_message's cause, or NULL. 0 or a
 * negative errno. */
int bus_publish(struct bus *bus, const struct message_type *type, const char *name, const void *body,
                const char *cause);

/* Forgets the retained message of a topic that is no more. */
void bus_retire(struct bus *bus, const struct message_type *type, const char *name);

/* Hears `type` from its owner (`daemon` for types that everybody sends): changes, and a renewal now and then.
 * One handler a type and daemon. */
int bus_subscribe(struct bus *bus, const struct message_type *type, const char *daemon, bus_handler *handler,
                  void *userdata);

/* Hears each renewal, too, of a type that is subscribed to. */
int bus_hear_renewals(struct bus *bus, const struct message_type *type);

/* Hears everything that `daemon` publishes as it came, with all renewals or without. One handler a bus. */
typedef void bus_raw_handler(void *userdata, const char *topic, const char *json, size_t size);
int bus_subscribe_raw(struct bus *bus, const char *daemon, bool renewals, bus_raw_handler *handler,
                      void *userdata);

void bus_on_command(struct bus *bus, bus_command_handler *handler, void *userdata);

/* The command `reload`, which every daemon takes in the same way (reload.h), goes there instead. */
void bus_on_reload(struct bus *bus, bus_command_handler *handler, void *userdata);

/* "DAEMON:SEQ" of the last message published; empty before the first. */
void bus_last_cause(const struct bus *bus, char cause[static CAUSE_MAX]);

/* Keeps `daemon/NAME` (pid, lateness, drops) published each second from now on. */
int bus_start_pulse(struct bus *bus);

/* Tells in the pulse, at once, that this daemon was told to stop. */
void bus_tell_stopping(struct bus *bus);

/* Sends one command to `daemon` and waits at most `timeout_ns` for the answer, of `type`. Blocks: for the
 * command line and tests. 0; -ETIMEDOUT (no such daemon runs, or it hangs); -EBADMSG; or another negative
 * errno. */
int bus_request(const char *run_dir, const char *daemon, const struct command_message *command,
                int64_t timeout_ns, const struct message_type *type, void *body);
