/* search: does anybody answer for the active addresses on a channel (L6, R3, R4)?
 *
 * While this node does not hold them, it asks for one after the other (neighbour.h). An answer from the peer
 * (a MAC address that its sealed heartbeats named, or anybody's while none was ever learned) means
 * *answered*. Two requests in a row without one, the second given SEARCH_PATIENCE_NS, mean *silent*. An
 * answer from a third one is a *conflict*: it is told, but does not stand for the peer's, so `unanswered` and
 * `silent_since_ns` count on beside it.
 *
 * Whoever uses an active address answers, also unasked. */
#pragma once
#include "common/net.h"
#include "proto/topics.h"

#define SEARCH_PATIENCE_NS (5 * NS_PER_MS)

struct search {
    enum search_state state;
    bool quick;
    int unanswered;
    int since_conflict; /* requests since a third one answered */
    int64_t asked_ns, answered_ns, conflict_ns;
    int64_t silent_since_ns; /* 0 while answered or idle */
    int64_t open_ns;         /* a request that has not had its time yet; 0 = there is none */
    int64_t unanswered_ns;   /* the latest one that had it, and was not answered; 0 = none since an answer */
    int64_t second_ns;       /* when the second unanswered request in a row was sent; 0 = not yet */
    int64_t next_ns, broadcast_ns;
    struct mac answers_mac;
    size_t next_address; /* rotates */
};

void search_begin(struct search *search, int64_t now_ns);
void search_end(struct search *search);

/* This node did not listen up to now: count anew. */
void search_restart(struct search *search, int64_t now_ns);

/* A request goes out now; the next one in `interval_ns`. */
void search_asked(struct search *search, int64_t interval_ns, int64_t now_ns);

/* An answer from the peer, or from a third one. True if the state changed. */
bool search_answered(struct search *search, const struct mac *mac, bool by_peer, int64_t received_ns);

/* Brings `state` and `unanswered_ns` up to date with the time. True if the state changed. */
bool search_judge(struct search *search, int64_t now_ns);

/* When search_judge() may change it by itself; 0 = not. */
int64_t search_verdict_ns(const struct search *search);

void search_fill(const struct search *search, struct search_message *message);
