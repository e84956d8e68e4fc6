/* state: the arbiter's durable state as text, and the thread that puts it on the disk.
 *
 * Writing waits for the disk, and the arbiter must not: it renews the lease every few milliseconds. So a
 * thread of its own writes, and the loop hears when it is done. One job at a time; the arbiter asks for no
 * second before. */
#pragma once
#include "arbiterd/decide.h"
#include "common/loop.h"
#include "common/statefile.h"

/* `text` gets what statefile_write() takes. */
void state_print(const struct arbiter_durable *durable, char text[static STATEFILE_MAX]);

/* 0, or -EUCLEAN if it is not the whole of a state. */
int state_parse(const char *text, struct arbiter_durable *durable);

struct state_writer;

/* `error` is 0, or negative: what kept this job from the disk at the first try. */
typedef void state_written_handler(void *userdata, const struct arbiter_durable *durable, int error);

/* Starts the thread; `path` is kept by reference. The handler runs in the loop after each job that succeeded;
 * one that fails is told once, logged, and tried again each second. 0 or a negative errno. The writer lives
 * as long as the process. */
int state_writer_start(struct loop *loop, const char *path, state_written_handler *handler, void *userdata,
                       struct state_writer **writer);

/* Hands over a job; never blocks. */
void state_write(struct state_writer *writer, const struct arbiter_durable *durable);
