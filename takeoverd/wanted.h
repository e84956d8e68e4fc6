/* wanted: the configuration as a plan, with nothing yet known of the kernel. */
#pragma once
#include "common/config.h"
#include "takeoverd/plan.h"

/* Fills `plan` for this node. 0 or -ENOMEM; the caller calls wanted_free() either way. */
int wanted_plan(const struct config *config, struct plan *plan);
void wanted_free(struct plan *plan);
