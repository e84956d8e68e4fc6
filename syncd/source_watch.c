/* What inotify tells becomes marks. Whatever it may have missed (an overflow, too few watches) is found by
 * looking at everything again. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/source_inside.h"

enum { READS_MAX = 256 };

static void on_readable(void *userdata, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    watch_drain(userdata);
}

/* Under this name it is told that not all is watched: it is no path of an entry, so it ends for no entry's
 * sake.
 */
static const struct sync_bytes all_of_it = {.at = (const uint8_t *)"0/", .size = 2};

static const char *why_unwatched(int error)
{
    switch (error) {
    case -ENOSPC:
        return "too few inotify watches: raise fs.inotify.max_user_watches; till then all is looked at";
    case -EMFILE:
        return "too few inotify instances: raise fs.inotify.max_user_instances; till then all is looked at";
    default:
        return strerror(-error);
    }
}

/* From now on everything is looked at, again and again, until all of it can be watched. */
static void give_up_watching(struct source *s, int error)
{
    if (!s->unwatched)
        source_tell_trouble(s, all_of_it, why_unwatched(error));
    s->unwatched = s->scan.unwatched = true;
    loop_set_timer(s->rescan_timer, clock_now_ns() + MAX(s->options.set->max_delay, NS_PER_S));
}

/* The directories that the roots are in: a root may come, go, or be replaced by a rename. */
static void watch_above(struct source *s)
{
    for (size_t i = 0; i < s->options.root_count && i < ARRAY_LENGTH(s->above); i++) {
        const int fd = places_open_above(s->places, i);
        const int watch = fd < 0 ? fd : inotify_add(s->inotify, fd);
        s->above[i] = MAX(watch, 0);
        if (fd >= 0 && watch < 0)
            give_up_watching(s, watch);
        if (fd >= 0)
            close(fd);
    }
}

int watch_start(struct source *s)
{
    int r = inotify_open(&s->inotify);

    if (r == 0)
        r = dirs_new(&s->dirs);
    if (r == 0)
        r = loop_add_fd(s->options.loop, inotify_fd(s->inotify), EPOLLIN, on_readable, s, &s->inotify_source);
    if (r < 0) {
        watch_stop(s);
        give_up_watching(s, r);
        return r;
    }
    watch_above(s);
    return 0;
}

void watch_stop(struct source *s)
{
    loop_remove(s->inotify_source);
    s->inotify_source = NULL;
    inotify_close(s->inotify);
    s->inotify = NULL;
    dirs_free(s->dirs);
    s->dirs = NULL;
    s->leaving.there = false;
    s->unwatched = false;
    memset(s->above, 0, sizeof s->above);
}

void watch_directory(struct source *s, struct sync_bytes path, int fd)
{
    if (!s->inotify)
        return;
    const int watch = inotify_add(s->inotify, fd);
    if (watch < 0)
        give_up_watching(s, watch);
    else if (dirs_set(s->dirs, path, watch) < 0)
        give_up_watching(s, -ENOMEM);
}

void watch_scanned(struct source *s)
{
    if (!s->unwatched || !s->inotify || s->scan.unwatched)
        return;
    s->unwatched = false;
    source_end_trouble(s, all_of_it);
}

/* ---------------------------------------------------------------------- events */

static void drop_watch(void *userdata, int watch)
{
    const struct source *s = userdata;

    inotify_drop(s->inotify, watch);
}

/* A directory was renamed to somewhere else, outside of the set. */
static void it_left(struct source *s)
{
    struct leaving *l = &s->leaving;

    if (l->there && l->directory)
        dirs_remove(s->dirs, (struct sync_bytes){l->path, l->size}, drop_watch, s);
    l->there = false;
}

static void left(struct source *s, struct sync_bytes path, const struct inotify_event_seen *event)
{
    struct leaving *l = &s->leaving;

    it_left(s);
    *l = (struct leaving){
        .there = true, .directory = event->directory, .cookie = event->cookie, .size = path.size};
    memcpy(l->path, path.at, path.size);
    source_mark(s, path, DIRTY_NAME, DIRTY_NOW);
}

static void arrived(struct source *s, struct sync_bytes path, const struct inotify_event_seen *event)
{
    struct leaving *l = &s->leaving;
    const struct sync_bytes from = {l->path, l->size};
    const bool known = l->there && l->cookie == event->cookie;

    if (known) {
        dirty_rename(s->dirty, from, path);
        build_moved(s, from, path);
        source_mark(s, from, DIRTY_NAME, DIRTY_NOW);
    }
    source_mark(s, path, DIRTY_NAME | (known ? 0 : DIRTY_CONTENT), DIRTY_NOW);
    if (!event->directory)
        return;
    /* Something is still there: it was replaced, or exchanged with what came, and who of the two has which
     * watch is not to be told. Both are watched anew. */
    if (dirs_watch(s->dirs, path) != 0) {
        dirs_remove(s->dirs, path, drop_watch, s);
        if (known)
            dirs_remove(s->dirs, from, drop_watch, s);
    }
    if (known && !source_excluded(s, path, true) && dirs_move(s->dirs, from, path) == 0 &&
        !walk_touches(&s->scan.walk, from) && !s->unsure) {
        l->there = false;
        return;
    }
    if (source_excluded(s, path, true))
        return;
    source_mark(s, path, DIRTY_DEEP, DIRTY_NOW); /* of what happened in it not all may have been told */
    scan_directory(s, path);
}

/* A write by a name that goes again, before it is looked at, is told of no other one. */
static void mark_other_names(struct source *s, const struct tree_stat *stat)
{
    uint8_t path[SYNC_PATH_MAX];

    for (tree_node node = 0; (node = tree_by_inode(s->tree, stat, node)) != 0;)
        source_mark(s, (struct sync_bytes){path, tree_path(s->tree, node, path)}, DIRTY_CONTENT, DIRTY_SOFT);
}

/* A name that came into being is complete if it is no file that is being written. */
static enum dirty_when when_created(struct source *s, struct sync_bytes path)
{
    struct sight sight;
    const char *name;
    int directory;

    places_release(s->places);
    if (places_find(s->places, path, &directory, &name) < 0 || sight_at(directory, name, &sight) < 0)
        return DIRTY_NOW;
    if (sight_type(&sight) != SYNC_FILE)
        return DIRTY_NOW;
    if (sight.links > 1)
        mark_other_names(s, &sight.stat);
    return sight.links == 1 ? DIRTY_QUIET : DIRTY_NOW;
}

static void in_directory(struct source *s, struct sync_bytes path, const struct inotify_event_seen *event)
{

    switch (event->what) {
    case INOTIFY_CREATED:
        source_mark(s, path, DIRTY_NAME | DIRTY_CONTENT | (event->directory ? DIRTY_DEEP : 0),
                    event->directory ? DIRTY_NOW : when_created(s, path));
        if (event->directory && !source_excluded(s, path, true))
            scan_directory(s, path);
        break;
    case INOTIFY_DELETED:
        source_mark(s, path, DIRTY_NAME, DIRTY_NOW);
        if (event->directory)
            dirs_remove(s->dirs, path, drop_watch, s);
        break;
    case INOTIFY_MOVED_FROM:
        left(s, path, event);
        break;
    case INOTIFY_MOVED_TO:
        arrived(s, path, event);
        break;
    case INOTIFY_MODIFIED:
        source_mark(s, path, DIRTY_CONTENT, DIRTY_QUIET);
        break;
    case INOTIFY_CLOSED:
        source_mark(s, path, DIRTY_CONTENT | DIRTY_READ, DIRTY_NOW);
        break;
    case INOTIFY_ATTRIB:
        source_mark(s, path, 0, DIRTY_SOFT);
        break;
    case INOTIFY_OVERFLOW:
    case INOTIFY_GONE:
        break;
    }
}

static bool is_own(const char *name)
{
    return strncmp(name, ".duet~", 6) == 0;
}

/* What is excluded changes the time of its directory all the same. Something may have got an excluded name.
 */
static void excluded(struct source *s, struct sync_bytes directory, struct sync_bytes path,
                     const struct inotify_event_seen *event)
{
    source_mark(s, directory, 0, DIRTY_QUIET);
    if (event->directory && event->what == INOTIFY_MOVED_TO)
        it_left(s);
    if (tree_find(s->tree, path) != 0)
        source_mark(s, path, DIRTY_NAME, DIRTY_NOW);
}

static void above_a_root(struct source *s, const struct inotify_event_seen *event)
{
    char text[8];

    for (size_t i = 0; i < s->options.root_count && i < ARRAY_LENGTH(s->above); i++)
        if (s->above[i] == event->watch && event->name &&
            strcmp(event->name, places_root_name(s->places, i)) == 0)
            in_directory(s, source_root_path(text, i), event);
}

static void on_event(void *userdata, const struct inotify_event_seen *event)
{
    static struct log_limit limit;
    struct source *s = userdata;
    uint8_t path[SYNC_PATH_MAX + SYNC_NAME_MAX + 2];

    if (s->leaving.there && !(event->what == INOTIFY_MOVED_TO && event->cookie == s->leaving.cookie))
        it_left(s);
    if (event->what == INOTIFY_OVERFLOW) {
        if (log_allowed(&limit, 3))
            log_notice(
                "set %s: more changed at once than the kernel keeps (fs.inotify.max_queued_events): all of "
                "it is looked at",
                s->options.set->name);
        s->scan.again = true;
        source_poke(s);
        return;
    }
    if (event->what == INOTIFY_GONE) {
        dirs_forget(s->dirs, event->watch);
        return;
    }
    above_a_root(s, event);
    const long size = dirs_path(s->dirs, event->watch, path);
    if (size < 0)
        return;
    size_t length = (size_t)size;
    if (event->name) {
        path[length++] = '/';
        memcpy(path + length, event->name, strlen(event->name));
        length += strlen(event->name);
    }
    const struct sync_bytes whole = {path, length};
    if (length > SYNC_PATH_MAX)
        return;
    if (!source_excluded(s, whole, event->directory))
        in_directory(s, whole, event);
    else if (event->name && event->what <= INOTIFY_MOVED_TO && !is_own(event->name))
        excluded(s, (struct sync_bytes){path, (size_t)size}, whole, event);
}

/* Who makes more news than can be read is not waited for: the loop comes back to it. */
void watch_drain(struct source *s)
{
    for (int i = 0; i < READS_MAX && s->inotify && inotify_read(s->inotify, on_event, s) == 1; i++)
        ;
    if (s->inotify)
        it_left(s);
    s->unsure = walk_listing(&s->scan.walk);
    source_poke(s);
}
