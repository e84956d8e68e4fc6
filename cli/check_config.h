/* check_config: `duet check-config`: the same reading that every daemon does, and then the budget: for each
 * kind of fault the longest time to its detection and the longest outage, as a sum of terms that stand in the
 * file. It starts and changes nothing. */
#pragma once

/* Checks `file` for `node` (NULL: for none in particular). What is wrong goes to stderr, line by line; the
 * timers and the budget to stdout. The exit code: 0, or 1 if the file is refused or cannot be read. */
int check_config(const char *file, const char *node);
