/* statefile: a small file that is whole or not there, whatever is pulled or killed when.
 *
 * Writing goes to a temporary file, fsync, rename, fsync of the directory: after 0 is returned the text
 * survives a power cut; before that, the old one does. A file ends with a line `blake2b HEX` over the rest,
 * so that a torn or edited one is known as such instead of being believed. */
#pragma once
#include "common/base.h"

enum { STATEFILE_MAX = 4096 };

/* Replaces `path` by `text` (without NUL, at most STATEFILE_MAX - 100 bytes). 0 or a negative errno. */
int statefile_write(const char *path, const char *text);

/* The same without waiting for the disk: whole or not there after the death of any process, but not after a
 * power cut. For the run directory. */
int statefile_write_quick(const char *path, const char *text);

/* Overwrites `path` itself, which takes up STATEFILE_PLACE bytes from the first time on (`text`: at most 100
 * less): a disk that is full by then does not matter, as long as its file system overwrites in place. That is
 * one sector, so a power cut leaves the old one or the new one; if not, what is torn is known as damaged. The
 * text survives a power cut after 0 was returned. 0 or a negative errno. */
enum { STATEFILE_PLACE = 512 };
int statefile_write_in_place(const char *path, const char *text);

/* Fills `text`. 0, -ENOENT, -EUCLEAN (the file is damaged), or another negative errno. */
int statefile_read(const char *path, char text[static STATEFILE_MAX]);

/* mkdir -p with this mode for what it makes. 0 or a negative errno. */
int make_directories(const char *path, unsigned mode);
