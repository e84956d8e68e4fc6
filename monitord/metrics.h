/* metrics: what is known of the pair as text for Prometheus (text format 0.0.4). Pure.
 *
 * Names follow Prometheus' conventions: base units (seconds, bytes, ratios), `_total` for what only grows.
 * What is not known, since the daemon that knows it does not answer, is left out, so that it is absent there
 * as well. Every sample has the labels `cluster` and `node`. A state out of several is one sample for each,
 * of which one is 1. */
#pragma once
#include "common/model.h"

enum { METRICS_TEXT_MAX = 1 << 19 };

/* Fills `text` of `size` bytes, terminated. Its length, or -ENOBUFS if it does not fit. */
int metrics_print(const struct model *model, const char *cluster, int64_t now_ns, char *text, size_t size);
