/* upkeep: what follows from the arbiter's state by itself, before and after the rows of decide.c are asked:
 * whom this node prefers, since when nobody serves, how the lease and the hold stand, what ought to be on the
 * disk. No phase changes here. */
#pragma once
#include "arbiterd/decide.h"

/* Brings preference, vacancy, offer, network, trouble, release and hold up to date. */
void upkeep_all(struct arbiter *a);

/* Before anything new is taken in: an own lease may have ended (R12). */
void upkeep_notice_lapse(struct arbiter *a);

/* After the rows: the lease follows the latest report of heartbeatd's. */
void upkeep_lease(struct arbiter *a);

/* Asks for a write, if the disk has not what it ought to have and no write is under way (R11, R15). */
void upkeep_save(struct arbiter *a, struct arbiter_effects *effects);
