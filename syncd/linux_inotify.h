/* inotify: the kernel tells what happens in directories that are watched. */
#pragma once
#include "common/base.h"

struct inotify;

enum inotify_what {
    INOTIFY_CREATED = 1,
    INOTIFY_DELETED,
    INOTIFY_MOVED_FROM,
    INOTIFY_MOVED_TO,
    INOTIFY_MODIFIED,
    INOTIFY_CLOSED,   /* by one who could write */
    INOTIFY_ATTRIB,   /* mode, owner, times, extended attributes, number of links */
    INOTIFY_OVERFLOW, /* something was lost */
    INOTIFY_GONE,     /* the watch is no more */
};

struct inotify_event_seen {
    int watch;
    enum inotify_what what;
    bool directory;
    uint32_t cookie;
    const char *name; /* NULL: the directory itself */
};

typedef void inotify_handler(void *userdata, const struct inotify_event_seen *event);

int inotify_open(struct inotify **inotify); /* 0 or a negative errno */
void inotify_close(struct inotify *inotify);
int inotify_fd(const struct inotify *inotify);
/* Watches the open directory `fd`. Its watch (the same one if it was watched already); -ENOSPC: there are too
 * many; or another negative errno. */
int inotify_add(struct inotify *inotify, int fd);
void inotify_drop(struct inotify *inotify, int watch);
/* Reads once, and hands out what there was. 1; 0: nothing; or a negative errno. */
int inotify_read(struct inotify *inotify, inotify_handler *handler, void *userdata);
