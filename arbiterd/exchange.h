/* exchange: the two arbiterds tell each other their records of changes of role, so that `duet why` shows both
 * sides of one, and so that a node's records survive the node. Pure: no clock, no I/O.
 *
 * What travels is a piece (struct piece_message), as JSON, by heartbeatd's record datagrams, which may be
 * lost. Each piece says what its sender has of the other's: the latest record that is whole, and how much of
 * the next. The other one sends what is missing, step by step, oldest record first, and the same again when
 * no answer comes. Where both have everything, nothing is sent.
 *
 * Clocks are not compared: a piece tells how long ago the change was. Of the several that make up a record,
 * the one that was the fastest tells the time best. */
#pragma once
#include "common/base.h"
#include "proto/topics.h"

struct exchange {
    const char *node; /* this one */

    /* of the peer, by its latest piece */
    bool heard; /* there was one, in this run */
    bool hears; /* it had one of this node's */
    int64_t given, giving, giving_steps;

    /* what comes from it */
    int64_t taken;
    struct change_message
        coming; /* `number` 0: none; steps' times are from the decision, beside EXCHANGE_BIAS */

    bool owed;                 /* an answer */
    int64_t sent_ns;           /* 0 = never */
    struct piece_message sent; /* without its steps' text: to know what is news */
};

#define EXCHANGE_BIAS (INT64_C(1) << 50)

/* `node` is kept by reference; `taken` is the number of the peer's latest record on disk, 0 = none. */
void exchange_open(struct exchange *exchange, const char *node, int64_t taken);

/* Whether a piece is to be sent now. `next` is this node's record after `given`, or NULL; the same again
 * after `retry_ns`. To be asked while the peer is heard and takes records, once a heartbeat interval. */
bool exchange_due(const struct exchange *exchange, const struct change_message *next, int64_t now_ns,
                  int64_t retry_ns);

/* Fills `piece` with at most `steps_max` steps. `newest` is the number of this node's latest record that is
 * whole; `age_ns` is how long ago `next` was. */
void exchange_compose(const struct exchange *exchange, const struct change_message *next, int64_t newest,
                      int64_t age_ns, size_t steps_max, struct piece_message *piece);

/* It was given to heartbeatd. */
void exchange_sent(struct exchange *exchange, const struct piece_message *piece, int64_t now_ns);

/* A piece of the peer's came in. True: `whole` is a record that is complete now, with the times of this
 * node's CLOCK_BOOTTIME, which may be before its beginning (negative): `at` and `boot` are the caller's to
 * fill in. */
bool exchange_take(struct exchange *exchange, const struct piece_message *piece, int64_t received_ns,
                   struct change_message *whole);
