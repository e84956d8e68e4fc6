/* disk: what has to reach the disk before the machine is restarted, without the loop waiting for it.
 *
 * A thread writes a state file (if one is given) and then all file systems (sync(2)). It may take for ever,
 * on a disk that hangs: whoever asked sets a limit of his own and goes on. So an answer may come when nobody
 * waits for it any more: jobs are numbered. Implemented in linux_disk.c. */
#pragma once
#include "common/loop.h"

struct disk;

/* Job `done`, and each one that was asked for before it, needs not be waited for any more. */
typedef void disk_handler(void *userdata, int64_t done);

/* 0 or a negative errno. Lives as long as the process. */
int disk_open(struct loop *loop, disk_handler *handler, void *userdata, struct disk **disk);

/* Writes `text` to `path` in place (NULL: nothing), then everything; `handler` is called in the loop when
 * that is done, well or not. One job at a time: what is asked while one is under way is done after it.
 * Returns the number of the job (> 0), or a negative errno if there is no thread to be had. */
int64_t disk_sync(struct disk *disk, const char *path, const char *text);

/* The same without everything: that file only. A text that is older than what is written already is not. */
int64_t disk_write(struct disk *disk, const char *path, const char *text);

/* Whether the text of job `number`, or a later one, is on the disk: 0, -EINPROGRESS, or why it could not be
 * written. */
int disk_result(struct disk *disk, int64_t number);
