/* ends: the two ends of the link. One node dials (dial.c), the other answers (answer.c); link.c has one of
 * the two. An end keeps at most one connection *up*, and passes its messages on.
 *
 *     dials                          answers
 *       GREET                →
 *                            ←       NONCE nonce       new for each GREET
 *       CONFIRM nonce        →                         this connection is the one; any other is void
 *       messages             ↔       messages
 *
 * The round trip shows that the connection is alive: what an older one has left behind in a queue, its GREET
 * too, cannot become the one. An end that dials makes a new socket for each attempt, an end that answers
 * tells connections by their names: so no message of an older connection is ever taken, and none goes into
 * it.
 *
 * While two cluster keys are in force, an end that answers binds two ports, one a key; an end that dials goes
 * on to the next key, and the next port, when a handshake has failed. They meet if they have a key in common,
 * whichever is first. */
#pragma once
#include "common/loop.h"
#include "syncd/keys.h"
#include "syncd/link.h"

struct end_setup {
    struct loop *loop;
    void *context; /* of ZeroMQ, the link's own */
    const struct keys *keys;
    int self;
    struct net_address own, peer;
    const struct link_events *events; /* `room` is not called by an end */
    void *userdata;
    uint64_t *refused;
    char *trouble; /* LINK_TROUBLE_MAX: what keeps it from being up */
};

enum { GREET_BYTES = 8, NONCE_BYTES = 16, GREETING_BYTES = GREET_BYTES + NONCE_BYTES };
#define GREET "duetlnk1"
#define NONCE "duetlnk2"
#define CONFIRM "duetlnk3"

struct dial;
int dial_open(const struct end_setup *setup, struct dial **dial); /* `setup` is kept by reference */
void dial_close(struct dial *dial);
void dial_hurry(struct dial *dial);                                  /* as link_hurry() */
int dial_send(struct dial *dial, const uint8_t *bytes, size_t size); /* as link_send() */

struct answer;
int answer_open(const struct end_setup *setup, struct answer **answer);
void answer_close(struct answer *answer);
int answer_send(struct answer *answer, const uint8_t *bytes, size_t size);
