/* clerk: a thread for what need not be done at once but may take long.
 *
 * The kernel has one lock for all changes of all adapters, of whatever network namespace. Somebody else may
 * hold it for a tenth of a second and more (a driver that starts its adapter, a container that ends), and who
 * asks for it meanwhile waits within the system call. The leases must not wait with him. So the renewal of
 * lifetimes and the audit, which come again and again, are done here, with a connection to the kernel and an
 * inventory of its own; only what a role change or a repair needs is done by the loop itself. */
#pragma once
#include "common/config.h"
#include "common/loop.h"
#include "takeoverd/adapters.h"

enum { CLERK_SLICE = 128 }; /* operations at once */

struct clerk;

/* Called from the loop, with the first failure (0: none). `found` is what an audit found, also if that
 * failed, until the handler returns; NULL: it was no audit. */
typedef void clerk_handler(void *userdata, const struct plan *found, int error);

/* 0 or a negative errno; the caller frees, after the loop. */
int clerk_open(struct loop *loop, const struct config *config, clerk_handler *handler, void *userdata,
               struct clerk **clerk);
void clerk_free(struct clerk *clerk);

/* The plan is another one by now. What is under way is done by the one before; clerk_is_behind() until then.
 * 0 or a negative errno, and nothing was changed. */
int clerk_configure(struct clerk *clerk, const struct config *config);
bool clerk_is_behind(const struct clerk *clerk);

/* Begins to do at most CLERK_SLICE operations on the adapters of `plan`, or to read all that the kernel has.
 * False: it is not done with what it began before. */
bool clerk_apply(struct clerk *clerk, const struct plan *plan, const struct plan_operation *operations,
                 size_t count);
bool clerk_audit(struct clerk *clerk);
