/* past: what superviserd's black box knows of the end of an earlier boot. */
#pragma once
#include "common/base.h"

/* Whether superviserd records this boot, so that the one before is closed. What the kernel left of that is
 * taken over just then. */
bool past_is_closed(const char *directory, const char *boot_id);

/* In a few words: until when it was recorded, the last thing that was seen, and whether the kernel left
 * something. `directory`: superviserd's state directory. Empty if no box of that boot can be read. */
void past_describe(const char *directory, const char *boot_id, char *text, size_t size);
