/* scribe: a thread that adds lines to files, each on the disk before the next, so that the loop never waits
 * for one. (A text that replaces a whole file is saver.h's.) */
#pragma once

enum { SCRIBE_FILE_MAX = 8 << 20 }; /* bytes: a file that grows beyond loses its older half */

struct scribe;

/* Starts the thread. 0 or a negative errno. */
int scribe_open(struct scribe **scribe);

/* Soon; never blocks. `line`, without its end, was allocated by malloc() and is the scribe's from now on;
 * `path` is kept by reference. What finds no room, because the disk takes nothing, is logged and lost. */
void scribe_add(struct scribe *scribe, const char *path, char *line);

/* After what was added is written, but for no longer than two seconds: a disk that hangs must not hold up the
 * end of the daemon (logged; the thread is then left to the end of the process). NULL is ignored. */
void scribe_close(struct scribe *scribe);
