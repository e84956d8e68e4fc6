/* changes: what two states of one topic differ in, for people's eyes.
 *
 * Most messages on the bus are renewals: the same state with newer times and higher counters. Those fields
 * are called quiet (times, durations and tallies by name); a message that differs in nothing else is no news.
 * Pure: works on the structs by their descriptions. */
#pragma once
#include <stdio.h>

#include "common/base.h"
#include "proto/codec.h"

/* True if a field of `after` that is not quiet differs from `before`; always, when `before` is NULL. */
bool changes_any(const struct record *record, const void *before, const void *after);

/* Writes these fields as "name=value name=value"; "name=value (was value)" where there was a value before
 * that differs. Of a list, only the elements that differ. */
void changes_print(FILE *out, const struct record *record, const void *before, const void *after);
