/* measure: which fields of a topic are renewed all the time while nothing changes. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* True for times, durations, rates and tallies, by their name (topics.toml: a name's suffix is its unit).
 * `name` need not be terminated. */
bool field_is_measure(const char *name, size_t length);
