/* right: what a witness adds to the rows of decide.c: questions about who may serve while the nodes do not
 * hear each other, and what to ask the witness.
 *
 * Each claim and each renewal needs a right, and a right has an end. It comes from the peer, or from the
 * witness:
 *
 * - The peer has said that it heard a heartbeat which this node sent at some moment (`acked_ns`). It claims
 *   nothing before it was silent for takeover-after, and then asks the witness first, which makes it wait for
 *   isolation-after. So the right to serve lasts until isolation-after after that moment.
 * - The witness has written this node into its record, at a question that was sent at some moment. A peer
 * that wants to claim must see that record unchanged for isolation-after (and an eighth, for the clocks). So
 * the right lasts until isolation-after after that moment.
 *
 * The lease never outlasts the right. Where the nodes hear each other, nothing is asked, but for one case: a
 * node whose patience is out, since the peer serves not, agrees to nothing and does not claim. It takes back
 * its own consent (it prefers nobody) and asks the witness, as if it did not hear the peer. */
#pragma once
#include "arbiterd/decide.h"

/* When the right to serve ends; INT64_MAX where no witness is configured. */
int64_t right_ends(const struct arbiter *a);

/* It is over. */
bool right_over(const struct arbiter *a);

/* The record names the peer under a higher epoch: somebody else was let in. */
bool witness_denies(const struct arbiter *a);

/* A claim may begin, as far as others have to do with it: the peer has been heard for `wait` (what it says
 * then is enough, and silence of before that counts no more); or the witness has granted it, or the peer is
 * fenced. */
bool third_party_agrees(const struct arbiter *a, int64_t wait);

/* The witness has written the next claim of this node into its record, and not too long ago. A grant that is
 * not used is never used later: its epoch counts as claimed. */
bool witness_granted(const struct arbiter *a);

/* A claim may begin, and it is the fence alone that answers for it. */
bool fence_vouches(const struct arbiter *a);

/* It does not answer, or witnessd does not. */
bool witness_lost(const struct arbiter *a);

/* Before the rows are asked. */
void right_upkeep(struct arbiter *a);

/* After each step: what is asked from now on. */
void right_ask(struct arbiter *a);

/* What the witness said: its record may know a higher epoch than this node. */
void right_take_witness(struct arbiter *a, const struct witness_message *message);

void right_take_fence(struct arbiter *a, const struct fence_message *message);
