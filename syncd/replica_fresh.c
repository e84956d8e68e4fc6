/* A directory that was not there is made in the staging area, with all that the operations right after it put
 * in it, and then takes its place by one rename: that spares a rename for each file, and nobody sees half a
 * directory. Any other operation ends it first, so nothing is in it that the journal does not have: what a
 * crash leaves of it is swept away, and made again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

static const char name[] = "t-new";

static struct sync_bytes path_of(const struct replica *r)
{
    return (struct sync_bytes){r->fresh.path, r->fresh.size};
}

bool fresh_has(const struct replica *r, struct sync_bytes path)
{
    return r->fresh.size > 0 && path.size > r->fresh.size && path_below(path, path_of(r));
}

bool fresh_goes_on(const struct replica *r, const struct sync_op *op)
{
    return op->kind == SYNC_OP_PUT && op->meta.type != SYNC_HARDLINK && fresh_has(r, op->path);
}

/* One rename must do: both places are in one file system. */
static bool is_same_mount(const struct place *place, int area)
{
    uint64_t one, other;

    return mount_of(place->directory, "", &one) == 0 && mount_of(area, "", &other) == 0 && one == other;
}

int fresh_begin(struct replica *r, struct sync_bytes path, struct place *place)
{
    struct area *area = replica_area(r, path);
    const bool first_sync = r->current.partial && !r->public.whole; /* files are made in their place */

    if (path_parent(path).size == 0 || r->redo || r->view_of || r->options.database || first_sync ||
        r->fresh.size > 0 || !area || !is_same_mount(place, area_directory(area)))
        return 0;
    const int at = area_directory(area);
    int done = entry_erase(at, name);
    if (done == 0 && mkdirat(at, name, 0700) < 0)
        done = -errno;
    const int fd = done < 0 ? done : openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return done < 0 ? done : -errno;
    memcpy(r->fresh.path, path.at, path.size);
    r->fresh.size = path.size;
    beneath_lay(r->beneath, path, fd);
    place->directory = at;
    text_copy(place->name, sizeof place->name, name);
    return 1;
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

    if (r->fresh.size == 0)
        return 0;
    beneath_lay(r->beneath, (struct sync_bytes){0}, -1);
    const int area = area_directory(replica_area(r, path_of(r)));
    int done = beneath_find(r->beneath, path_of(r), &place);
    if (done == 0 && renameat(area, name, place.directory, place.name) < 0)
        done = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR ? replace_other(r, area, &place)
                                                                         : -errno;
    if (done < 0)
        replica_fail(r, done, "cannot put the new directory %.*s in its place: %s", (int)r->fresh.size,
                     (const char *)r->fresh.path, strerror(-done));
    r->fresh.size = 0;
    return done;
}
