/* report: the addresses of each channel, on the bus as `address/CHANNEL`, whenever something about them
 * changed. */
#pragma once
#include "common/bus.h"
#include "common/config.h"
#include "takeoverd/announcer.h"
#include "takeoverd/asker.h"

struct report;

/* All of these are kept by reference. 0 or a negative errno; the caller frees. */
int report_open(const struct config *config, const struct plan *plan, const struct announcer *announcer,
                const struct asker *asker, struct bus *bus, struct report **report);
void report_free(struct report *report);

/* Publishes the channels that are not as last told; `active`: the active addresses are wanted. */
void report_tell(struct report *report, bool active, const char *cause);
