/* A directory that was not there is made in the staging area, with all that the operations right after it put
 * in it, and then takes its place by one rename: that spares a rename for each file, and nobody sees half a
 * directory. Any other operation ends it first, so nothing is in it that the journal does not have: what a
 * crash leaves of it is swept away, and made again.
 *
 * The first one of a generation is made while its operations come, so that little is left to be done when all
 * are there. If something else is at its place by then, it was in vain. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

enum { EARLY_MOST = 20000 }; /* entries: so that they are soon gone if nothing comes of it */

static const char name[] = "t-new";

static struct sync_bytes path_of(const struct replica *r)
{
    return (struct sync_bytes){r->fresh.path, r->fresh.size};
}

bool fresh_has(const struct replica *r, struct sync_bytes path)
{
    return r->fresh.laid && path.size > r->fresh.size && path_below(path, path_of(r));
}

bool fresh_goes_on(const struct replica *r, const struct sync_op *op)
{
    return op->kind == SYNC_OP_PUT && op->meta.type != SYNC_HARDLINK && fresh_has(r, op->path);
}

/* Of one file system, so that one rename does. In a first sync files are made in their place. */
static bool is_possible(struct replica *r, struct sync_bytes path, const struct place *place)
{
    const bool first_sync = r->current.partial && !r->public.whole;
    uint64_t one, other;

    if (path_parent(path).size == 0 || r->redo || r->view_of || r->options.database || first_sync)
        return false;
    struct area *area = replica_area(r, path);
    return area && mount_of(place->directory, "", &one) == 0 &&
           mount_of(area_directory(area), "", &other) == 0 && one == other;
}

static void take_back(struct replica *r)
{
    if (r->fresh.laid)
        beneath_lay(r->beneath, (struct sync_bytes){0}, -1);
    r->fresh.laid = false;
}

void fresh_forget(struct replica *r)
{
    take_back(r);
    r->fresh.size = r->fresh.early = 0;
    r->fresh.files = 0;
    r->fresh.bytes = 0;
    r->fresh.past = false;
}

static int lay(struct replica *r, struct sync_bytes path, int area)
{
    const int fd = openat(area, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (path.at != r->fresh.path)
        memcpy(r->fresh.path, path.at, path.size);
    r->fresh.size = path.size;
    r->fresh.laid = true;
    beneath_lay(r->beneath, path, fd);
    return 0;
}

static int make(struct replica *r, struct sync_bytes path, int area)
{
    const int done = entry_erase(area, name);

    if (done < 0)
        return done;
    return mkdirat(area, name, 0700) < 0 ? -errno : lay(r, path, area);
}

/* ---------------------------------------------------------- while operations come */

static void note_early(struct replica *r, const struct sync_op *op)
{
    if (r->fresh.early == 0)
        r->fresh.first_op = r->taken;
    r->fresh.early++;
    r->fresh.files++;
    r->fresh.bytes += room_of(op->content.size);
}

/* The room that it took may be what is wanted. */
static void give_up(struct replica *r)
{
    const int area = area_directory(replica_area(r, path_of(r)));

    fresh_forget(r);
    r->fresh.past = true;
    entry_erase(area, name);
}

static void begin_early(struct replica *r, const struct sync_op *op)
{
    struct place place;
    struct look look;

    if (tree_find(r->options.tree, op->path) != 0 || beneath_find(r->beneath, op->path, &place) < 0 ||
        look_at(place.directory, place.name, &look) != -ENOENT || !is_possible(r, op->path, &place))
        return;
    if (make(r, op->path, area_directory(replica_area(r, op->path))) < 0)
        fresh_stop(r);
    else
        note_early(r, op);
}

void fresh_stop(struct replica *r)
{
    r->fresh.past = r->fresh.past || r->fresh.size > 0;
    take_back(r);
}

void fresh_take(struct replica *r, const struct sync_op *op)
{
    if (r->fresh.past)
        return;
    if (!r->fresh.laid) {
        if (op->kind == SYNC_OP_PUT && op->meta.type == SYNC_DIRECTORY)
            begin_early(r, op);
        return;
    }
    if (r->fresh.early == EARLY_MOST) {
        fresh_stop(r);
        return;
    }
    const int made = apply_make(r, op);
    if (made == 0)
        note_early(r, op);
    else if (made == -EEXIST)
        fresh_stop(r); /* it is put once more, by the switch */
    else
        give_up(r);
}

/* ------------------------------------------------------------------- in the switch */

int fresh_begin(struct replica *r, struct sync_bytes path, struct place *place)
{
    struct fresh *f = &r->fresh;

    if (f->laid || !is_possible(r, path, place))
        return 0;
    const int area = area_directory(replica_area(r, path));
    const bool early = f->early > 0 && f->first_op == r->walker.at && path_equal(path, path_of(r));
    if (!early)
        f->early = 0;
    const int done = early ? lay(r, path, area) : make(r, path, area);
    f->at = 1;
    place->directory = area;
    text_copy(place->name, sizeof place->name, name);
    return done < 0 ? done : 1;
}

bool fresh_is_made(struct replica *r)
{
    struct fresh *f = &r->fresh;

    return f->laid && f->at < f->early && f->at++ < f->early;
}

/* Somebody has made something there meanwhile. */
static int replace_other(struct replica *r, int area, struct place *place)
{
    int done = aside_keep(r, path_of(r), place, NULL);

    beneath_forget(r->beneath);
    if (done == 0)
        done = beneath_find(r->beneath, path_of(r), place);
    if (done == 0)
        done = entry_erase(place->directory, place->name);
    return done < 0 ? done : entry_move(area, name, place->directory, place->name);
}

int fresh_end(struct replica *r)
{
    struct place place;

    if (!r->fresh.laid)
        return 0;
    take_back(r);
    const int area = area_directory(replica_area(r, path_of(r)));
    int done = beneath_find(r->beneath, path_of(r), &place);
    if (done == 0 && renameat(area, name, place.directory, place.name) < 0)
        done = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR ? replace_other(r, area, &place)
                                                                         : -errno;
    if (done < 0)
        replica_fail(r, done, "cannot put the new directory %.*s in its place: %s", (int)r->fresh.size,
                     (const char *)r->fresh.path, strerror(-done));
    r->fresh.early = 0;
    return done;
}
