/* lifetime: active addresses that the kernel removes by itself when nobody renews them.
 *
 * The backstop behind the gate (gate.h), for a node on which the gate is missing: an active address is put up
 * with a lifetime (IFA_CACHEINFO, "valid_lft" in `ip address`), which is renewed long before its end as long
 * as the addresses are wanted. The kernel counts whole seconds: 30 beside the gate; with lease-gate = off the
 * lifetime is the lease itself, rounded down. */
#pragma once
#include "common/config.h"
#include "common/loop.h"
#include "takeoverd/clerk.h"

struct lifetime;

/* The lifetime of active addresses under this configuration. */
uint32_t lifetime_seconds(const struct config *config);

/* `plan` and `clerk`, who does it, are kept by reference. 0 or a negative errno; the caller frees, after the
 * loop. */
int lifetime_open(struct loop *loop, const struct config *config, const struct plan *plan,
                  struct clerk *clerk, struct lifetime **lifetime);
void lifetime_free(struct lifetime *lifetime);

/* The plan is another one by now, with this configuration. */
void lifetime_configure(struct lifetime *lifetime, const struct config *config);

/* Renews what the kernel has, now and again, from now on; or leaves all to its end. */
void lifetime_start(struct lifetime *lifetime);
void lifetime_stop(struct lifetime *lifetime);

/* The clerk did it; a negative errno is logged. */
void lifetime_renewed(struct lifetime *lifetime, int error);
