/* thread: one that waits for the disk in a loop's stead (saver.h, scribe.h). */
#pragma once
#include <pthread.h>
#include <stdbool.h>

/* With a small stack, since memory is locked. 0 or a negative errno. */
int thread_start(pthread_t *thread, void *(*run)(void *userdata), void *userdata);

/* Waits for its end, but for no longer than two seconds: a disk that hangs must not hold up the end of a
 * daemon. False: it has not ended, and is left to the end of the process. */
bool thread_end(pthread_t thread);
