/* gate_proof: what the kernel has shown of the gate (gate.h).
 *
 * That a frame could be sent does not say that the gate heard it: a rule, a filter or a full queue on the
 * loopback device may swallow it. So the rule that updates the elements marks the frame and lets it pass, and
 * it comes back: the echo. A state of the gate is believed when a frame that was sent since it was set has
 * come back, or when a transaction of nftables brought it about.
 *
 * Frames are told apart by when they were sent. All times are CLOCK_BOOTTIME in nanoseconds. Pure. */
#pragma once
#include "common/base.h"

struct gate_proof {
    int64_t changed_ns; /* the state was set: frames from before prove another one */
    int64_t sent_ns;    /* the latest frame */
    int64_t waiting_ns; /* the first frame that no echo followed; 0: none waits */
    int64_t proved_ns;  /* as of when the state is known to stand; 0: not yet */
};

/* Another state is to be proved from now on. */
void gate_proof_begin(struct gate_proof *proof, int64_t now_ns);

/* The kernel took the state in a transaction. */
void gate_proof_set(struct gate_proof *proof, int64_t now_ns);

void gate_proof_sent(struct gate_proof *proof, int64_t now_ns);

/* The frame that was sent then has come back. Returns whether it proves the present state. */
bool gate_proof_heard(struct gate_proof *proof, int64_t sent_ns);

/* When to give up waiting: half a lease after what was proved last, so that the gate still stands as it was.
 * 0: nothing is waited for. */
int64_t gate_proof_until_ns(const struct gate_proof *proof, int64_t lease_ns);
