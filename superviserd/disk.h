/* disk: what has to reach the disk before the machine is restarted, without the loop waiting for it.
 *
 * A thread writes a state file (if one is given) and then all file systems (sync(2)). It may take for ever,
 * on a disk that hangs: whoever asked sets a limit of his own and goes on. Implemented in linux_disk.c. */
#pragma once
#include "common/loop.h"

struct disk;

typedef void disk_handler(void *userdata);

/* 0 or a negative errno. Lives as long as the process. */
int disk_open(struct loop *loop, disk_handler *handler, void *userdata, struct disk **disk);

/* Writes `text` to `path` (NULL: nothing), then everything; `handler` is called in the loop when that is
 * done. One job at a time: what is asked while one is under way is done after it. 0, or a negative errno if
 * there is no thread to be had. */
int disk_sync(struct disk *disk, const char *path, const char *text);
