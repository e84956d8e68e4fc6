/* dirs: which directory each watch is for. A directory that is renamed takes the watches of all that is in it
 * along without touching one of them. Pure but for its memory. */
#pragma once
#include "proto/sync.h"

struct dirs;

int dirs_new(struct dirs **dirs); /* 0 or -ENOMEM */
void dirs_free(struct dirs *dirs);
size_t dirs_count(const struct dirs *dirs); /* watches */

/* `watch` (> 0) is for this directory. One that it had before is forgotten, and so is another directory that
 * had this watch: it is the same one, seen under another name. 0 or -ENOMEM. */
int dirs_set(struct dirs *dirs, struct sync_bytes path, int watch);
/* Length of the directory's path (at most SYNC_PATH_MAX bytes); -ENOENT: no directory has this watch. */
long dirs_path(const struct dirs *dirs, int watch, uint8_t *path);
int dirs_watch(const struct dirs *dirs, struct sync_bytes path); /* 0: none */
/* 0; -ENOENT: `from` is not known; -EEXIST: `to` is (nothing is done); -ENOMEM. */
int dirs_move(struct dirs *dirs, struct sync_bytes from, struct sync_bytes to);
/* Forgets a directory and all in it; tells each watch. */
void dirs_remove(struct dirs *dirs, struct sync_bytes path, void (*forgotten)(void *userdata, int watch),
                 void *userdata);
void dirs_forget(struct dirs *dirs, int watch); /* the kernel has dropped it */
