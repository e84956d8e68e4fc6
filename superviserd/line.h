/* line: a message in one line of text, where every byte counts. Pure. */
#pragma once
#include "common/base.h"

/* "role role=active phase=active epoch=3 rule=R2-vacancy reason=nobody serves …": the topic and its fields,
 * but no measures, no lists, and nothing that is empty, false or 0 (but `active` and `state`); cut where
 * `size` ends. */
void line_print(const char *topic, const char *json, size_t json_size, char *line, size_t size);
