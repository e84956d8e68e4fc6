/* lines: what the daemons of `duet run` say, one tidy line at a time.
 *
 * Each daemon has one pipe for as long as `duet run` lives, restarts included. The pipe does not block the
 * daemon: a terminal that was stopped with Ctrl-S, or a reader that hangs, must cost lines and never a lease.
 * Lines that could not be shown are counted, and the count is told. */
#pragma once
#include "common/loop.h"

struct lines;

/* Where all of them are shown: stdout. `node` is kept by reference. The caller frees with lines_free(). */
int lines_new(struct loop *loop, const char *node, struct lines **lines);
void lines_free(struct lines *lines);

/* A pipe for one more daemon's words (at most 8; the name is kept by reference): returns the end to write
 * into, which stays owned by `lines`, or a negative errno. */
int lines_add(struct lines *lines, const char *daemon);

/* Shows what is already in the pipes, before the end. */
void lines_drain(struct lines *lines);

/* A line of duet's own. */
PRINTF_LIKE(2, 3) void lines_say(struct lines *lines, const char *format, ...);
