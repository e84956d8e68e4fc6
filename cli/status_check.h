/* status_check: the model as one line for Nagios, Icinga and their like: a verdict, why, and performance data
 * (`duet status --check`). Pure. */
#pragma once
#include "common/model.h"

enum { STATUS_CHECK_MAX = 2048 };

/* Fills `line`, without a newline; one that would be longer is cut, in what stands before the performance data. */
void status_check(const struct model *model, int64_t now_ns, char line[static STATUS_CHECK_MAX]);
