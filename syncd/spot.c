#include "syncd/spot.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

enum { PLACES = 2, BUFFER = 16384 };

/* A directory, and the name that the database has in it. */
struct place {
    int watch; /* -1: none */
    char name[NAME_MAX + 1];
};

struct spot {
    struct loop *loop;
    const char *database;
    spot_changed *changed;
    void *userdata;
    int fd;
    bool active, blind; /* blind: it is there, and cannot be watched */
    struct loop_source *source, *timer;
    struct place places[PLACES];
};

static const uint32_t looked_for = IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                   IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

/* ----------------------------------------------------------------- events */

/* A name is the database's own, or its own and a suffix. */
static bool is_change(const struct place *place, const struct inotify_event *event)
{
    const size_t length = strlen(place->name);

    if (event->len == 0 || strncmp(event->name, place->name, length) != 0)
        return false;
    const char *suffix = event->name + length;
    if (suffix[0] == '\0')
        return true;
    /* The end of a rollback journal is the end of a transaction. */
    if (strcmp(suffix, "-journal") == 0)
        return (event->mask & IN_CREATE) == 0;
    return strcmp(suffix, "-wal") == 0 && (event->mask & (IN_MODIFY | IN_MOVED_TO)) != 0;
}

static bool take_event(struct spot *spot, const struct inotify_event *event)
{
    bool changed = (event->mask & IN_Q_OVERFLOW) != 0;

    for (size_t i = 0; i < PLACES; i++) {
        struct place *place = &spot->places[i];
        if (place->watch < 0 || place->watch != event->wd)
            continue;
        if (event->mask & IN_MOVE_SELF)
            inotify_rm_watch(spot->fd, place->watch); /* IN_IGNORED follows */
        if (event->mask & IN_IGNORED) {
            place->watch = -1;
            loop_set_timer(spot->timer, 0);
            changed = true;
        }
        changed |= is_change(place, event);
    }
    return changed;
}

void spot_look(struct spot *spot)
{
    _Alignas(struct inotify_event) char bytes[BUFFER];
    bool changed = false;
    ssize_t size;

    while ((size = read(spot->fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *event = (const void *)(bytes + at);
            at += (ssize_t)sizeof *event + event->len;
            changed |= take_event(spot, event);
        }
        if (size < (ssize_t)(sizeof bytes / 2))
            break; /* nearly all; the rest is another turn's */
    }
    if (changed && spot->active)
        spot->changed(spot->userdata);
}

static void on_event(void *userdata, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    spot_look(userdata);
}

/* --------------------------------------------------------------- watching */

/* False: the directory is not there. */
static bool watch_place(struct spot *spot, struct place *place, const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (!slash || strlen(slash + 1) > NAME_MAX)
        return false;
    text_copy(directory, MIN(sizeof directory, (size_t)(slash - path) + 1), path);
    text_copy(place->name, sizeof place->name, slash + 1);
    place->watch = inotify_add_watch(spot->fd, slash == path ? "/" : directory, looked_for);
    if (place->watch < 0 && errno != ENOENT) {
        if (!spot->blind)
            log_warning("%s cannot be watched: %s; it is copied every second instead%s", directory,
                        strerror(errno), errno == ENOSPC ? "; raise fs.inotify.max_user_watches" : "");
        spot->blind = true;
    }
    return place->watch >= 0;
}

void spot_watch(struct spot *spot)
{
    char real[PATH_MAX];

    spot->active = true;
    const bool there = watch_place(spot, &spot->places[0], spot->database);
    spot->blind = spot->blind && !there;
    if (realpath(spot->database, real) && strcmp(real, spot->database) != 0)
        watch_place(spot, &spot->places[1], real);
    else
        spot->places[1].watch = -1;
    if (!there)
        loop_set_timer(spot->timer, clock_now_ns() + NS_PER_S);
}

static void on_timer(void *userdata, int64_t now_ns)
{
    struct spot *spot = userdata;

    (void)now_ns;
    if (!spot->active)
        return;
    const bool was_blind = spot->blind;
    spot_watch(spot);
    if (spot->places[0].watch >= 0 || was_blind || spot->blind)
        spot->changed(spot->userdata);
}

void spot_stop(struct spot *spot)
{
    spot->active = false;
    loop_stop_timer(spot->timer);
    for (size_t i = 0; i < PLACES; i++) {
        if (spot->places[i].watch >= 0)
            inotify_rm_watch(spot->fd, spot->places[i].watch);
        spot->places[i].watch = -1;
    }
}

int spot_new(struct loop *loop, const char *database, spot_changed *changed, void *userdata,
             struct spot **spot)
{
    struct spot *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    *made =
        (struct spot){.loop = loop, .database = database, .changed = changed, .userdata = userdata, .fd = -1};
    for (size_t i = 0; i < PLACES; i++)
        made->places[i].watch = -1;
    made->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int r = made->fd < 0 ? -errno : 0;
    if (r == 0)
        r = loop_add_fd(loop, made->fd, EPOLLIN, on_event, made, &made->source);
    if (r == 0)
        r = loop_add_timer(loop, on_timer, made, &made->timer);
    if (r < 0) {
        spot_free(made);
        return r;
    }
    *spot = made;
    return 0;
}

void spot_free(struct spot *spot)
{
    if (!spot)
        return;
    loop_remove(spot->source);
    loop_remove(spot->timer);
    if (spot->fd >= 0)
        close(spot->fd);
    free(spot);
}
