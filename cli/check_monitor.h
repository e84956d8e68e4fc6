/* check_monitor: what `duet check-config` says of the monitor's keys. Warnings only: a mistake there keeps nobody
 * from serving, and only monitord needs them. */
#pragma once
#include "common/config.h"

/* How many warnings were printed to stderr. */
int check_monitor(const struct config *config);
