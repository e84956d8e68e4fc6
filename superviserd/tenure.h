/* tenure: whether the services of the active role may go on, although arbiterd is not heard any more. Pure.
 *
 * `role` says that they are wanted. An arbiterd that hangs or is gone cannot take that back, while the lease
 * ends, takeoverd gives the addresses away and the peer begins to serve: then both would run them. So the
 * tenure is over when the lease ended TENURE_GRACE_NS ago and takeoverd says that it has released the
 * addresses, or has said that the kernel's gate ends them with the lease. Both must be true: without a gate
 * the lease alone is over also when takeoverd hangs with the addresses still up, and outsiders are then
 * served from here; and the other is true also at the beginning of each claim.
 *
 * The last lease that is known may be BUS_CALM older than the last one that there was.
 *
 * The grace is for an arbiterd that was killed and is started again: it takes its role up where that ended.
 * An active role has it from its beginning on. A daemon that has heard no role yet since its start treats
 * what it adopted in the same way, with its start for the end of the lease. Any fresh lease begins a new
 * tenure. */
#pragma once
#include "common/base.h"

#define TENURE_GRACE_NS NS_PER_S

struct tenure {
    bool passive;    /* the latest role is: there is nothing to end */
    bool active;     /* the latest role is (neither: none was heard yet) */
    bool released;   /* the latest word of takeoverd */
    int64_t ends_ns; /* when the lease does */
};

void tenure_init(struct tenure *tenure, int64_t now_ns);

/* `role` was heard: active under a lease until `lease_ns` (0: none yet), or passive. */
void tenure_role(struct tenure *tenure, bool active, int64_t lease_ns, int64_t now_ns);

/* `address` was heard. */
void tenure_address(struct tenure *tenure, bool released);

/* When it is over, unless something is heard before; 0: not by itself. */
int64_t tenure_over_ns(const struct tenure *tenure);

bool tenure_is_over(const struct tenure *tenure, int64_t now_ns);
