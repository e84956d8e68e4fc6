/* pstore: takes over what the kernel kept over a crash.
 *
 * The firmware's memory for such records is small: what stays in it bars the next one. So each record is
 * copied to `to`, flushed to the disk, and only then removed from `from`; what could not be kept stays where
 * it is, for the next start. How much is kept, and what makes room, is decided in keep.h. Blocks for the
 * disk. */
#pragma once
#include "common/base.h"

/* `number` is that of the boot that the records are from. Returns how many were taken over (0 also where
 * there is no `from`), or the negative errno of the first that could not be. Logs a line for each. */
int pstore_collect(const char *from, const char *to, uint32_t number);
