/* words: how takeoverd's log names addresses and routes. Pure. */
#pragma once
#include "common/config.h"
#include "takeoverd/plan.h"

/* "address 192.0.2.1/24 on eth0 (channel outside)", "route default on …" */
void words_operation(const struct config *config, const struct plan *plan,
                     const struct plan_operation *operation, char *text, size_t size);

/* "2 addresses on outside, 1 on inside"; `counts` by channel. */
void words_counts(const struct config *config, const size_t counts[], char *text, size_t size);
