/* exclude: which entries of a set stay on this node, by the rules of gitignore(5): a pattern without a slash
 * (but at its end) is for names at any depth, one with a slash for the path below the root; "*" and "?" stop
 * at slashes, "**" between slashes does not; a slash at the end is for directories alone; "!" takes back what
 * an earlier pattern excluded (the last one that fits counts), but nothing below an excluded directory. A "\"
 * takes its meaning from what follows. There are no comments: a "#" is a "#". Names are bytes. Pure.
 */
#pragma once
#include "proto/sync.h"

/* `path` is below the root, without its number; NUL-ended. */
bool exclude_match(const char *const *patterns, size_t count, const char *path, bool directory);
