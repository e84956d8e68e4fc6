/* status_json: the model as the JSON of `duet status --json`, whose fields scripts rely on (DESIGN §6).
 *
 * What is not known, because the daemon that knows it does not answer, is null or false, never left out. */
#pragma once
#include "common/model.h"

/* The JSON text, on one line unless `pretty`; the caller frees it. NULL when memory is out. */
char *status_json(const struct model *model, const char *cluster, int64_t now_ns, bool pretty);
