#include "syncd/linux_inotify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { BUFFER_BYTES = 65536 };

struct inotify {
    int fd;
    _Alignas(struct inotify_event) char buffer[BUFFER_BYTES];
};

int inotify_open(struct inotify **inotify)
{
    struct inotify *made = malloc(sizeof *made);

    if (!made)
        return -ENOMEM;
    made->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (made->fd < 0) {
        free(made);
        return -errno;
    }
    *inotify = made;
    return 0;
}

void inotify_close(struct inotify *inotify)
{
    if (!inotify)
        return;
    close(inotify->fd);
    free(inotify);
}

int inotify_fd(const struct inotify *inotify)
{
    return inotify->fd;
}

/* By the descriptor, so that the directory watched is the one that is listed, whatever its path shows by
 * then. */
int inotify_add(struct inotify *inotify, int fd)
{
    const uint32_t mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |
                          IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK;
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int watch = inotify_add_watch(inotify->fd, path, mask);
    return watch < 0 ? -errno : watch;
}

void inotify_drop(struct inotify *inotify, int watch)
{
    inotify_rm_watch(inotify->fd, watch);
}

static enum inotify_what what_of(uint32_t mask)
{
    static const struct {
        uint32_t mask;
        enum inotify_what what;
    } table[] = {
        {IN_Q_OVERFLOW, INOTIFY_OVERFLOW},   {IN_IGNORED, INOTIFY_GONE},
        {IN_CREATE, INOTIFY_CREATED},        {IN_DELETE, INOTIFY_DELETED},
        {IN_MOVED_FROM, INOTIFY_MOVED_FROM}, {IN_MOVED_TO, INOTIFY_MOVED_TO},
        {IN_MODIFY, INOTIFY_MODIFIED},       {IN_CLOSE_WRITE, INOTIFY_CLOSED},
        {IN_ATTRIB, INOTIFY_ATTRIB},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
        if (mask & table[i].mask)
            return table[i].what;
    return (enum inotify_what)0;
}

int inotify_read(struct inotify *inotify, inotify_handler *handler, void *userdata)
{
    const ssize_t size = read(inotify->fd, inotify->buffer, sizeof inotify->buffer);

    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *event = (const void *)(inotify->buffer + at);
        const struct inotify_event_seen seen = {
            .watch = event->wd,
            .what = what_of(event->mask),
            .directory = event->mask & IN_ISDIR,
            .cookie = event->cookie,
            .name = event->len > 0 ? event->name : NULL,
        };
        at += (ssize_t)(sizeof *event + event->len);
        if (seen.what != 0)
            handler(userdata, &seen);
    }
    return size > 0;
}
