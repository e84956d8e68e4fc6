/* What this node has and the active one never saw is kept below STATE/conflicts before it goes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/statefile.h"
#include "syncd/replica_inside.h"

enum { DEPTH_MAX = 128 };

/* Its ctime may have changed by what happened to another name of it. */
bool aside_is_as_known(const struct replica *r, struct sync_bytes path, const struct look *look)
{
    const tree_node node = tree_find(r->options.tree, path);
    struct tree_entry entry;

    if (!node)
        return false;
    tree_get(r->options.tree, node, &entry);
    if (entry.stat.inode != look->stat.inode || entry.stat.device != look->stat.device)
        return false;
    return entry.type == SYNC_HARDLINK ||
           (entry.mtime_ns == look->mtime_ns && (!S_ISREG(look->mode) || entry.size == look->size));
}

static bool has_content(const struct replica *r, struct sync_bytes path, const struct sync_hash *content)
{
    const tree_node node = tree_find(r->options.tree, path);
    struct tree_entry entry;

    if (!node || !content)
        return false;
    tree_get(r->options.tree, node, &entry);
    return hash_equal(&entry.content, content);
}

/* Something below a directory that goes is not as the tree knows it. */
static bool is_changed_below(struct replica *r, int directory, const char *name, struct sync_bytes path,
                             int depth)
{
    const int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    uint8_t child[SYNC_PATH_MAX + SYNC_NAME_MAX + 1];
    bool changed = depth > DEPTH_MAX || !listing;

    memcpy(child, path.at, path.size);
    child[path.size] = '/';
    for (struct dirent *entry; !changed && (entry = readdir(listing)) != NULL;) {
        const size_t length = strlen(entry->d_name);
        struct look look;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strncmp(entry->d_name, ".duet~", 6) == 0)
            continue;
        memcpy(child + path.size + 1, entry->d_name, length);
        const struct sync_bytes one = {child, path.size + 1 + length};
        if (look_at(dirfd(listing), entry->d_name, &look) < 0)
            continue;
        if (S_ISDIR(look.mode))
            changed = tree_find(r->options.tree, one) == 0 ||
                      is_changed_below(r, dirfd(listing), entry->d_name, one, depth + 1);
        else
            changed = !aside_is_as_known(r, one, &look);
    }
    if (listing)
        closedir(listing);
    else if (fd >= 0)
        close(fd);
    return changed;
}

/* CONFLICTS/EPOCH-TIME, one for each generation. */
static int open_aside(struct replica *r)
{
    const time_t now = time(NULL);
    struct tm parts;
    char stamp[32];

    if (r->aside[0] == '\0') {
        gmtime_r(&now, &parts);
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts);
        snprintf(r->aside, sizeof r->aside, "%.3900s/%" PRIu64 "-%s", r->options.conflicts,
                 r->public.generation.epoch, stamp);
    }
    return make_directories(r->aside, 0700);
}

static int keep(struct replica *r, struct sync_bytes path, const struct place *place)
{
    char target[2 * PATH_MAX], *last;
    const char *rest = memchr(path.at, '/', path.size);
    const uint32_t root = sync_path_root(path);
    int done = open_aside(r);

    snprintf(target, sizeof target, "%s%s%.*s", r->aside, r->options.roots[root],
             rest ? (int)(path.size - (size_t)((const uint8_t *)rest - path.at)) : 0, rest ? rest : "");
    last = strrchr(target, '/');
    *last = '\0';
    if (done == 0)
        done = make_directories(target, 0700);
    AUTO_CLOSE int fd = done < 0 ? -1 : open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (done == 0 && fd < 0)
        done = -errno;
    if (done == 0)
        entry_erase(fd, last + 1); /* of this generation: it is put twice */
    if (done == 0)
        done = entry_copy(place->directory, place->name, fd, last + 1);
    if (done < 0)
        return replica_fail(r, done, "cannot keep %s aside in %s: %s", last + 1, target, strerror(-done));
    r->public.conflicts++;
    text_copy(r->public.conflict_dir, sizeof r->public.conflict_dir, r->aside);
    log_warning("set %s: %s%.*s was changed here and never reached the other node: kept in %s",
                r->options.set->name, r->options.roots[root],
                rest ? (int)(path.size - (size_t)((const uint8_t *)rest - path.at)) : 0, rest ? rest : "",
                r->aside);
    return 0;
}

int aside_keep(struct replica *r, struct sync_bytes path, const struct place *place,
               const struct sync_hash *content)
{
    struct look look;

    if (r->redo || look_at(place->directory, place->name, &look) < 0)
        return 0;
    if (S_ISDIR(look.mode)) {
        if (!r->diverged && !is_changed_below(r, place->directory, place->name, path, 0))
            return 0;
    } else if (S_ISREG(look.mode) || S_ISLNK(look.mode)) {
        const bool known = aside_is_as_known(r, path, &look);
        if ((known && !r->diverged) || (known && has_content(r, path, content)))
            return 0;
    }
    return keep(r, path, place);
}
