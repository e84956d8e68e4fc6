/* One operation on the disk and in the tree. Each can be done again: after a crash the whole journal is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

static int failed(struct replica *r, int error, struct sync_bytes path, const char *what)
{
    return replica_fail(r, error, "cannot %s %.*s: %s", what, (int)path.size, (const char *)path.at,
                        strerror(-error));
}

static int find(struct replica *r, struct sync_bytes path, struct place *place)
{
    const int found = beneath_find(r->beneath, path, place);

    return found < 0 ? failed(r, found, path, "find the way to") : 0;
}

void apply_touch(struct replica *r, struct sync_bytes path)
{
    const struct sync_bytes parent = path_parent(path);

    if (parent.size > 0)
        paths_add(&r->touched, parent, 0);
}

/* ---------------------------------------------------------------------------- the tree */

static const char *owner_text(struct sync_bytes name, uint32_t number, char text[64])
{
    if (name.size > 0)
        snprintf(text, 64, "%.*s", (int)name.size, (const char *)name.at);
    else
        snprintf(text, 64, "#%u", number);
    return text;
}

static const int64_t time_unknown = INT64_MIN;

/* After a crash the tree may have nothing of what is above, and is needed for the times of directories. */
static void put_parents(struct replica *r, struct sync_bytes path)
{
    const struct sync_bytes parent = path_parent(path);

    if (parent.size > 0 && tree_find(r->options.tree, parent) == 0)
        apply_know(r, parent, time_unknown);
}

void apply_know(struct replica *r, struct sync_bytes directory, int64_t mtime_ns)
{
    const tree_node node = tree_find(r->options.tree, directory);
    struct tree_entry entry = {
        .type = SYNC_DIRECTORY, .mtime_ns = time_unknown, .owner = "#0", .group = "#0"};

    put_parents(r, directory);
    if (node)
        tree_get(r->options.tree, node, &entry);
    entry.mtime_ns = mtime_ns;
    if (entry.type == SYNC_DIRECTORY && (!node || mtime_ns != time_unknown))
        tree_put(r->options.tree, directory, &entry, NULL);
}

/* The tree says what the sender said; where it is on the disk, this node knows. */
int apply_settle(struct replica *r, struct sync_bytes path, const struct sync_meta *meta, uint64_t size,
                 const struct sync_hash *content, const struct place *place)
{
    struct tree *tree = r->options.tree;
    char owner[64], group[64];
    struct look look;
    struct tree_entry entry = {
        .type = meta->type,
        .mode = meta->mode,
        .mtime_ns = meta->mtime_ns,
        .uid = meta->uid,
        .gid = meta->gid,
        .owner = owner_text(meta->owner, meta->uid, owner),
        .group = owner_text(meta->group, meta->gid, group),
        .size = size,
        .content = *content,
        .xattrs = hash_bytes(r->options.hasher, meta->xattrs.at, meta->xattrs.size),
    };

    /* After a crash the scan that follows looks at it anew: the tree may be of another time. */
    if (!r->redo && look_at(place->directory, place->name, &look) == 0)
        entry.stat = look.stat;
    const tree_node node = tree_find(tree, path);
    if (node) {
        struct tree_entry known;
        tree_get(tree, node, &known);
        if (known.type != meta->type)
            tree_remove(tree, node);
    }
    if (r->redo)
        put_parents(r, path);
    const int put = tree_put(tree, path, &entry, NULL);
    if (put < 0 && !r->redo)
        return failed(r, put == -ENOENT ? -ESTALE : put, path, "note");
    apply_touch(r, path);
    return 0;
}

/* --------------------------------------------------------------------------- whole files */

/* A database is not the same with the journal of the one before. */
static void drop_database_rest(const struct replica *r, const struct place *place)
{
    static const char *const rests[] = {"-wal", "-shm", "-journal"};
    char name[SYNC_NAME_MAX + 16];

    for (size_t i = 0; r->options.database && i < ARRAY_LENGTH(rests); i++) {
        snprintf(name, sizeof name, "%s%s", place->name, rests[i]);
        unlinkat(place->directory, name, 0);
    }
}

/* What is ready in the staging area takes its place. */
int apply_install(struct replica *r, struct sync_bytes path, struct place *place, int from, const char *name,
                  const struct sync_hash *content)
{
    struct look look;
    int done = aside_keep(r, path, place, content);

    if (done == 0 && look_at(place->directory, place->name, &look) == 0 && S_ISDIR(look.mode)) {
        beneath_forget(r->beneath);
        done = beneath_find(r->beneath, path, place);
        if (done == 0)
            done = entry_erase(place->directory, place->name);
    }
    if (done == 0)
        drop_database_rest(r, place);
    if (done == 0)
        done = renameat(from, name, place->directory, place->name) < 0 ? -errno : 0;
    if (done == -EXDEV)
        done = entry_move(from, name, place->directory, place->name);
    return done;
}

static int put_attributes(struct replica *r, int fd, const struct sync_meta *meta, bool fresh)
{
    const struct attributes attributes = attributes_of(&r->owners, meta, r->options.set->privileged);

    return attributes_put(fd, &attributes, fresh, r->options.set->privileged);
}

static int create(int directory, const char *name)
{
    static const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(directory, name, flags, 0600);

    return fd < 0 ? -errno : fd;
}

static int create_anew(int directory, const char *name)
{
    const int fd = create(directory, name);

    if (fd != -EEXIST)
        return fd;
    return unlinkat(directory, name, 0) < 0 ? -errno : create(directory, name);
}

static int fill_file(struct replica *r, int fd, const struct sync_op *op)
{
    const int done = file_write(fd, op->content.at, op->content.size, 0);

    return done < 0 ? done : put_attributes(r, fd, &op->meta, true);
}

/* In a first sync nobody can have a whole set yet, and what is cut off is done again from the journal; nor
 * does anybody see what is made in a fresh directory: a file that is not there is made in its place, which
 * spares a rename for each. */
static int make_in_place(struct replica *r, const struct sync_op *op, const struct place *place)
{
    const bool first_sync = r->current.partial && !r->public.whole && !r->options.database;

    if (!first_sync && !fresh_has(r, op->path))
        return -EEXIST;
    AUTO_CLOSE int fd = create(place->directory, place->name);
    return fd < 0 ? fd : fill_file(r, fd, op);
}

static int make_and_install(struct replica *r, const struct sync_op *op, struct place *place)
{
    static const char name[] = "t-put";
    struct area *area = replica_area(r, op->path);

    if (!area)
        return replica_fail(r, -EIO, "there is no staging area");
    AUTO_CLOSE int fd = create_anew(area_directory(area), name);
    if (fd < 0)
        return fd;
    const int done = fill_file(r, fd, op);
    if (done < 0)
        return done;
    return apply_install(r, op->path, place, area_directory(area), name, &op->hash);
}

static int put_file(struct replica *r, const struct sync_op *op)
{
    struct place place;
    int done = find(r, op->path, &place);

    if (done < 0)
        return done;
    done = make_in_place(r, op, &place);
    if (done == -EEXIST)
        done = make_and_install(r, op, &place);
    if (done < 0)
        return failed(r, done, op->path, "put");
    return apply_settle(r, op->path, &op->meta, op->content.size, &op->hash, &place);
}

static int put_directory(struct replica *r, const struct sync_op *op)
{
    static const struct sync_hash none;
    struct place place;
    struct look look;
    int done = find(r, op->path, &place);

    if (done < 0)
        return done;
    bool fresh = look_at(place.directory, place.name, &look) < 0;
    if (!fresh && !S_ISDIR(look.mode)) {
        done = aside_keep(r, op->path, &place, NULL);
        if (done == 0)
            done = entry_erase(place.directory, place.name);
        fresh = true;
    }
    const int elsewhere = done == 0 && fresh ? fresh_begin(r, op->path, &place) : done;
    if (elsewhere == 0 && fresh)
        done = mkdirat(place.directory, place.name, 0700) < 0 ? -errno : 0;
    else
        done = MIN(elsewhere, 0);
    AUTO_CLOSE int fd =
        done < 0 ? -1 : openat(place.directory, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (done == 0 && fd < 0)
        done = -errno;
    if (done == 0)
        done = put_attributes(r, fd, &op->meta, fresh);
    if (done < 0)
        return failed(r, done, op->path, "make the directory");
    paths_add(&r->touched, op->path, 0);
    return apply_settle(r, op->path, &op->meta, 0, &none, &place);
}

static int make_symlink(struct replica *r, const struct sync_op *op, int directory, const char *name)
{
    const struct attributes attributes = attributes_of(&r->owners, &op->meta, r->options.set->privileged);
    char target[SYNC_PATH_MAX + 1];

    memcpy(target, op->content.at, op->content.size);
    target[op->content.size] = '\0';
    if (symlinkat(target, directory, name) < 0)
        return -errno;
    return attributes_put_symlink(directory, name, &attributes);
}

static int put_symlink(struct replica *r, const struct sync_op *op)
{
    static const char name[] = "t-link";
    struct place place;
    struct area *area = replica_area(r, op->path);
    int done = area ? find(r, op->path, &place) : replica_fail(r, -EIO, "there is no staging area");

    if (done < 0)
        return done;
    unlinkat(area_directory(area), name, 0);
    done = make_symlink(r, op, area_directory(area), name);
    if (done == 0)
        done = apply_install(r, op->path, &place, area_directory(area), name, &op->hash);
    if (done < 0)
        return failed(r, done, op->path, "put the symlink");
    return apply_settle(r, op->path, &op->meta, 0, &op->hash, &place);
}

static int put_hardlink(struct replica *r, const struct sync_op *op)
{
    static const char name[] = "t-name";
    struct place target, place;
    struct area *area = replica_area(r, op->path);
    int done = area ? find(r, op->content, &target) : replica_fail(r, -EIO, "there is no staging area");

    if (done < 0)
        return done;
    unlinkat(area_directory(area), name, 0);
    done = entry_link(target.directory, target.name, area_directory(area), name);
    if (done == 0)
        done = find(r, op->path, &place);
    if (done == 0)
        done = apply_install(r, op->path, &place, area_directory(area), name, &op->hash);
    unlinkat(area_directory(area), name, 0); /* a rename onto the same file leaves both names */
    if (done < 0)
        return failed(r, done, op->path, "link");
    return apply_settle(r, op->path, &op->meta, 0, &op->hash, &place);
}

static int make_directory(struct replica *r, const struct sync_op *op, const struct place *place)
{
    if (mkdirat(place->directory, place->name, 0700) < 0)
        return -errno;
    AUTO_CLOSE int fd =
        openat(place->directory, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : put_attributes(r, fd, &op->meta, true);
}

int apply_make(struct replica *r, const struct sync_op *op)
{
    struct place place;
    const int found = beneath_find(r->beneath, op->path, &place);

    if (found < 0)
        return found;
    if (op->meta.type == SYNC_DIRECTORY)
        return make_directory(r, op, &place);
    if (op->meta.type == SYNC_SYMLINK)
        return make_symlink(r, op, place.directory, place.name);
    AUTO_CLOSE int fd = create(place.directory, place.name);
    return fd < 0 ? fd : fill_file(r, fd, op);
}

/* What was made early is noted now. */
static int put_made(struct replica *r, const struct sync_op *op)
{
    static const struct sync_hash none;
    const bool directory = op->meta.type == SYNC_DIRECTORY;
    struct place place;
    const int done = find(r, op->path, &place);

    if (done < 0)
        return done;
    if (directory)
        paths_add(&r->touched, op->path, 0);
    return apply_settle(r, op->path, &op->meta, op->meta.type == SYNC_FILE ? op->content.size : 0,
                        directory ? &none : &op->hash, &place);
}

static int put(struct replica *r, const struct sync_op *op)
{
    if (fresh_goes_on(r, op) && fresh_is_made(r))
        return put_made(r, op);
    switch (op->meta.type) {
    case SYNC_DIRECTORY:
        return put_directory(r, op);
    case SYNC_SYMLINK:
        return put_symlink(r, op);
    case SYNC_HARDLINK:
        return put_hardlink(r, op);
    case SYNC_FILE:
        break;
    }
    return put_file(r, op);
}

/* ------------------------------------------------------------------------------- the rest */

static int change_meta(struct replica *r, const struct sync_op *op)
{
    struct tree_entry entry = {.content = op->hash};
    struct place place;
    int done = find(r, op->path, &place);

    if (done < 0)
        return done;
    if (op->meta.type == SYNC_SYMLINK) {
        const struct attributes attributes = attributes_of(&r->owners, &op->meta, r->options.set->privileged);
        done = attributes_put_symlink(place.directory, place.name, &attributes);
    } else {
        AUTO_CLOSE int fd =
            openat(place.directory, place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        done = fd < 0 ? -errno : put_attributes(r, fd, &op->meta, r->options.set->privileged);
    }
    if (done < 0)
        return failed(r, done == -ENOENT ? -ESTALE : done, op->path, "change");
    const tree_node node = tree_find(r->options.tree, op->path);
    if (node)
        tree_get(r->options.tree, node, &entry);
    return apply_settle(r, op->path, &op->meta, entry.size, &op->hash, &place);
}

static int move(struct replica *r, const struct sync_op *op)
{
    struct place from, to;
    struct look look;
    int done = find(r, op->path, &from);

    if (done < 0)
        return done;
    const struct place held = from;
    done = find(r, op->content, &to);
    if (done == 0 && look_at(to.directory, to.name, &look) == 0) {
        done = aside_keep(r, op->content, &to, NULL);
        if (done == 0)
            done = entry_erase(to.directory, to.name);
        const tree_node there = tree_find(r->options.tree, op->content);
        if (done == 0 && there)
            tree_remove(r->options.tree, there);
    }
    if (done == 0)
        done = entry_move(held.directory, held.name, to.directory, to.name);
    beneath_forget(r->beneath);
    if (done < 0)
        return failed(r, done == -ENOENT ? -ESTALE : done, op->path, "rename");
    const tree_node node = tree_find(r->options.tree, op->path);
    if (node)
        done = tree_move(r->options.tree, node, op->content);
    if ((!node || done < 0) && !r->redo)
        return failed(r, -ESTALE, op->path, "rename");
    if (find(r, op->content, &to) == 0 && look_at(to.directory, to.name, &look) == 0 && node)
        tree_set_stat(r->options.tree, tree_find(r->options.tree, op->content), &look.stat, false);
    apply_touch(r, op->path);
    apply_touch(r, op->content);
    return 0;
}

static int delete (struct replica *r, const struct sync_op *op)
{
    const tree_node node = tree_find(r->options.tree, op->path);
    struct place place;
    int done = beneath_find(r->beneath, op->path, &place);

    if (done == 0)
        done = aside_keep(r, op->path, &place, NULL);
    if (done == 0) {
        drop_database_rest(r, &place);
        done = entry_erase(place.directory, place.name);
        beneath_forget(r->beneath);
    }
    if (done < 0 && done != -ENOENT && done != -ENOTDIR)
        return failed(r, done, op->path, "remove");
    if (node)
        tree_remove(r->options.tree, node);
    apply_touch(r, op->path);
    return 0;
}

/* What it is now comes back by this. A patch keeps its own. */
static void keep_history(struct replica *r, const struct sync_op *op)
{
    if (op->kind == SYNC_OP_MOVE)
        history_keep_move(r, op);
    else if (op->kind == SYNC_OP_PUT || op->kind == SYNC_OP_META ||
             (op->kind == SYNC_OP_OPEN && !op->patch) || op->kind == SYNC_OP_DELETE)
        history_keep(r, op->path, op->kind == SYNC_OP_DELETE || op->meta.type != SYNC_DIRECTORY, 0);
}

int apply_operation(struct replica *r, const struct sync_op *op)
{
    const int ended = fresh_goes_on(r, op) ? 0 : fresh_end(r);

    if (ended < 0)
        return ended;
    keep_history(r, op);
    switch (op->kind) {
    case SYNC_OP_PUT:
        return put(r, op);
    case SYNC_OP_META:
        return change_meta(r, op);
    case SYNC_OP_OPEN:
        return patch_open(r, op);
    case SYNC_OP_BLOCK:
    case SYNC_OP_HOLE:
        return patch_block(r, op);
    case SYNC_OP_CLOSE:
        return patch_close(r, op);
    case SYNC_OP_MOVE:
        return move(r, op);
    case SYNC_OP_DELETE:
        return delete (r, op);
    }
    return -EBADMSG;
}

/* What happened in a directory has changed its time; each once. */
int apply_times(struct replica *r)
{
    uint8_t last[SYNC_PATH_MAX];
    size_t last_size = 0;
    struct sync_bytes path;
    unsigned flags;

    beneath_forget(r->beneath);
    while (paths_next(&r->touched, &path, &flags)) {
        const tree_node node = tree_find(r->options.tree, path);
        struct tree_entry entry;
        struct place place;
        struct look look;
        if (!node || path_equal(path, (struct sync_bytes){last, last_size}))
            continue;
        memcpy(last, path.at, path.size);
        last_size = path.size;
        tree_get(r->options.tree, node, &entry);
        if (entry.type != SYNC_DIRECTORY || entry.mtime_ns == time_unknown ||
            beneath_find(r->beneath, path, &place) < 0)
            continue;
        attributes_set_time(place.directory, place.name, entry.mtime_ns);
        if (look_at(place.directory, place.name, &look) == 0)
            tree_set_stat(r->options.tree, node, &look.stat, false);
    }
    paths_clear(&r->touched);
    return 0;
}
