/* gate: lets the kernel answer for the active addresses only while the lease stands.
 *
 * Elsewhere an address outlives the process that put it up. Here a table of nftables (gate_text.h) drops
 * answers from the active addresses and traffic to them, unless it was told within the lease that they are
 * held. Nothing has to run for that: a process that is stopped, killed or hangs does not tell, and its node
 * falls silent. Renewing costs one frame on the loopback device, which comes back when the kernel has obeyed
 * it (gate_proof.h). Where none comes back within half a lease, the gate is not to be relied on:
 *
 * - a node that serves does without (the table is removed; gate_error() tells), rather than fall silent;
 * - one that shall not answer never removes it: its state is then brought about by a transaction;
 * - a gate that is shut stays as it is.
 *
 * Implemented in linux_gate.c, by libnftables. */
#pragma once
#include "common/config.h"
#include "takeoverd/adapters.h"
#include "takeoverd/gate_text.h"

struct gate;

/* Makes the table, open until `lease_end_ns`, or shut if that is 0. `plan` and `adapters` are kept by
 * reference. 0, also if the kernel does not let the table be made (gate_error() tells), or a negative errno.
 * The caller frees. */
int gate_open(const struct config *config, const struct plan *plan, const struct adapters *adapters,
              int64_t lease_end_ns, struct gate **gate);

/* With `remove` the table goes, too. Without it stays: addresses that could not be taken away stay mute. */
void gate_free(struct gate *gate, bool remove);

/* The plan is another one by now, with these adapters and this configuration: builds the table for it, in the
 * place of the one before, as open or shut as that was. NULL is ignored. */
void gate_configure(struct gate *gate, const struct config *config, const struct adapters *adapters);

/* The functions below do nothing for a gate that is NULL (lease-gate = off). */

/* The gate is `state` from now on, until `lease_end_ns` (CLOCK_BOOTTIME) at the latest. As a rule it is
 * proved when this returns; else gate_hear() or gate_work() tell later. */
void gate_set(struct gate *gate, enum gate_state state, int64_t lease_end_ns);

/* Readable when the kernel has obeyed late; -1 for NULL. */
int gate_echo_fd(const struct gate *gate);
void gate_hear(struct gate *gate);

/* Gives up a gate that does not answer. To be called at gate_next_ns(); 0: there is nothing to be done. Both
 * CLOCK_BOOTTIME. */
int64_t gate_next_ns(const struct gate *gate);
void gate_work(struct gate *gate, int64_t now_ns);

/* The kernel answers for no active address, and takes traffic for them: known, not believed. */
bool gate_is_silent(const struct gate *gate);

/* Nothing is in the way of answers while the lease is renewed: the gate is known to be open, or there is
 * none. */
bool gate_is_open(const struct gate *gate);

/* … and it has not shut by itself since. */
bool gate_lets_out(const struct gate *gate);

/* Readable when somebody changed the kernel's tables; -1 for NULL. */
int gate_fd(const struct gate *gate);

/* Reads what was changed. True if something of the table was, by somebody else: build it anew. */
bool gate_was_changed(struct gate *gate);

/* Makes the table anew, without a moment in which it is shut or missing. */
void gate_build(struct gate *gate);

/* An adapter is another one than when the table was made. */
bool gate_is_stale(const struct gate *gate);

/* What is wrong with it; empty: nothing. */
const char *gate_error(const struct gate *gate);
