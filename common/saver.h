/* saver: a thread that puts a small text on the disk, so that the loop never waits for one.
 *
 * The text goes to one state file (statefile.h); what is put while another one is being written replaces what
 * waits: the latest counts. A failure is logged, with what it means. */
#pragma once
#include "common/statefile.h"

struct saver;

/* Starts the thread for `path`; `consequence` is kept by reference, and says in the log what a failure means
 * and what to do ("…; free the disk, or mend it"). 0 or a negative errno. */
int saver_open(const char *path, const char *consequence, struct saver **saver);

/* Soon; never blocks. At most what statefile_write() takes. */
void saver_put(struct saver *saver, const char *text);

/* After what was put last is written, but for no longer than two seconds: a disk that hangs must not hold up
 * the end of the daemon (logged; both are then left to the end of the process). NULL is ignored. */
void saver_close(struct saver *saver);
