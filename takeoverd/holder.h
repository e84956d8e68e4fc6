/* holder: what takeoverd does when: it obeys arbiterd's `role`, keeps the lease, repairs, and tells on the
 * bus.
 *
 * The rights come from `role` alone: active addresses are wanted while the latest one says active and its
 * lease has not run out; a timer ends that without anybody's help. At the start nothing is wanted but what is
 * passive, unless the lease of the run before still stands (lease.h).
 *
 * Whatever happens then (a role, the end of the lease, a retry, somebody's change of the kernel, SIGTERM)
 * ends in the same step, settle(): catch up with the kernel, do what the plan says is missing, announce,
 * tell. `address` says `holding` or `released` only after the kernel did all of it. */
#pragma once
#include "common/daemon.h"

struct holder;

/* Goes passive, or keeps what the lease of the run before allows, before anything else; then listens. 0 or a
 * negative errno (logged). The caller frees, after the loop; also what an error leaves behind. */
int holder_open(struct daemon *daemon, struct holder **holder);
void holder_free(struct holder *holder);
