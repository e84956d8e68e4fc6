/* sync_json: the field `sync` of `duet status --json`, and `duet sync status --json`. */
#pragma once
#include <jansson.h>

#include "common/model.h"

/* A new reference, or NULL without memory. */
json_t *sync_json(const struct model *model, int64_t now_ns);
