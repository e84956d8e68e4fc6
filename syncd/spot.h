/* spot: tells that somebody has written to an SQLite database: to its file, its WAL or its rollback journal.
 *
 * Directories are watched (inotify), as the files come and go: the one in the path, and the one where the
 * file lies, if the path is a symlink. While there is no such directory, it is looked for once a second.
 * Reading a database makes an empty WAL, which is no change. */
#pragma once
#include "common/loop.h"

struct spot;

typedef void spot_changed(void *userdata);

/* Of `database`, kept by reference. Nothing is watched before spot_watch(). 0 or a negative errno. */
int spot_new(struct loop *loop, const char *database, spot_changed *changed, void *userdata,
             struct spot **spot);
void spot_free(struct spot *spot);
void spot_watch(struct spot *spot); /* may be repeated: looks again which directories there are */
void spot_stop(struct spot *spot);
void spot_look(struct spot *spot); /* tells now what has happened so far */
