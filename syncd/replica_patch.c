/* A big file takes its place: one that came whole is in the staging area; of one of which some blocks change,
 * these are in the journal: they are written in place, or, of a smaller file or a database, into a copy that
 * then takes its place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

static int failed(struct replica *r, int error, const char *what)
{
    const struct patching *p = &r->patching;

    return replica_fail(r, error, "cannot %s %.*s: %s", what, (int)p->path_size, (const char *)p->path,
                        strerror(-error));
}

void patch_drop(struct replica *r)
{
    struct patching *p = &r->patching;

    if (p->fd >= 0)
        close(p->fd);
    buffer_free(&p->held);
    free(p->hashes);
    free(p->touched);
    *p = (struct patching){.fd = -1};
}

static struct staged *staged_of(const struct replica *r, uint32_t op)
{
    struct staged *staged = r->staged;

    while (staged && staged->op != op)
        staged = staged->next;
    return staged;
}

/* The meta lives until CLOSE, its bytes do not. */
static int hold_meta(struct patching *p, const struct sync_meta *meta)
{
    const struct sync_bytes parts[] = {meta->owner, meta->group, meta->xattrs};
    struct sync_bytes *const to[] = {&p->meta.owner, &p->meta.group, &p->meta.xattrs};
    const int reserved = buffer_reserve(&p->held, parts[0].size + parts[1].size + parts[2].size + 1);

    p->meta = *meta;
    for (size_t i = 0; reserved == 0 && i < ARRAY_LENGTH(parts); i++) {
        *to[i] = (struct sync_bytes){p->held.bytes + p->held.used, parts[i].size};
        if (parts[i].size > 0)
            memcpy(p->held.bytes + p->held.used, parts[i].at, parts[i].size);
        p->held.used += parts[i].size;
    }
    return reserved;
}

/* Block hashes of the file as it is, as far as they are known. */
static int take_hashes(struct replica *r, const struct sync_op *op)
{
    struct patching *p = &r->patching;
    const tree_node node = tree_find(r->options.tree, op->path);
    uint32_t block = 0;
    size_t known = 0;
    const struct sync_hash *hashes = node ? tree_blocks(r->options.tree, node, &block, &known) : NULL;

    p->count = op->size == 0 ? 0 : (size_t)((op->size - 1) / op->block + 1);
    p->hashes = calloc(p->count + 1, sizeof *p->hashes);
    p->touched = calloc(p->count + 1, 1);
    if (!p->hashes || !p->touched)
        return -ENOMEM;
    if (!hashes || block != op->block) {
        memset(p->touched, 1, p->count);
        return 0;
    }
    memcpy(p->hashes, hashes, MIN(known, p->count) * sizeof *hashes);
    /* The last block of the old or the new file may have become longer or shorter. */
    for (size_t i = known > 0 ? MIN(known, p->count) - (known >= p->count && p->count > 0) : 0; i < p->count;
         i++)
        if (i + 1 >= known || i + 1 == p->count)
            p->touched[i] = 1;
    if (known > 0 && known - 1 < p->count)
        p->touched[known - 1] = 1;
    return 0;
}

static int open_copy(struct replica *r, const struct place *place)
{
    struct patching *p = &r->patching;
    struct area *area = replica_area(r, (struct sync_bytes){p->path, p->path_size});
    AUTO_CLOSE int old = openat(place->directory, place->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (!area || old < 0)
        return area ? -errno : -EIO;
    text_copy(p->made, sizeof p->made, "t-copy");
    unlinkat(area_directory(area), p->made, 0);
    p->directory = area_directory(area);
    p->fd = openat(p->directory, p->made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return p->fd < 0 ? -errno : file_copy(old, p->fd);
}

/* The blocks that are not in the patch are not read: they are as they were when the tree was made, or the
 * result would be a mixture. A service that still writes to the database of a node which has just become
 * passive is the usual one to change that. After a crash the tree may be of another time. */
static int check_base(const struct replica *r, struct sync_bytes path, const struct place *place)
{
    struct look look;
    const int done = look_at(place->directory, place->name, &look);

    return done < 0 || r->redo || aside_is_as_known(r, path, &look) ? done : -ESTALE;
}

/* Where its blocks are written to: its own place, or a copy. */
static int open_target(struct replica *r, const struct place *place)
{
    struct patching *p = &r->patching;

    if (!p->in_place)
        return open_copy(r, place);
    p->fd = openat(place->directory, place->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    return p->fd < 0 ? -errno : 0;
}

int patch_open(struct replica *r, const struct sync_op *op)
{
    struct patching *p = &r->patching;
    struct place place;
    struct look look;

    patch_drop(r);
    p->open = true;
    r->old_blocks.used = 0;
    p->op = r->walker.op;
    p->size = op->size;
    p->block = op->block;
    p->path_size = op->path.size;
    memcpy(p->path, op->path.at, op->path.size);
    int done = hold_meta(p, &op->meta);
    if (done < 0 || !op->patch) {
        p->skip = !op->patch;
        return done < 0 ? failed(r, done, "take") : 0;
    }
    done = beneath_find(r->beneath, op->path, &place);
    if (done == 0)
        done = look_at(place.directory, place.name, &look);
    if (done == 0 && !S_ISREG(look.mode))
        done = -ESTALE;
    if (done == 0)
        done = take_hashes(r, op);
    p->in_place = done == 0 && !r->options.database && look.size >= IN_PLACE_MIN && look.links == 1;
    if (done == 0 && !p->in_place)
        history_keep(r, op->path, false, 0);
    if (done == 0)
        done = open_target(r, &place);
    if (done == 0) /* after the copy, which takes its time */
        done = check_base(r, op->path, &place);
    if (done == 0 && p->in_place && look.size > op->size)
        history_give_up(r); /* what is cut off would have to come after what is written */
    if (done == 0 && ftruncate(p->fd, (off_t)op->size) < 0)
        done = -errno;
    return done < 0 ? failed(r, done == -ENOENT ? -ESTALE : done, "open") : 0;
}

/* Of a file whose place is taken nothing is written. */
void patch_pass_over(struct replica *r)
{
    patch_drop(r);
    r->patching.passed = true;
}

int patch_block(struct replica *r, const struct sync_op *op)
{
    struct patching *p = &r->patching;
    const uint64_t size = op->kind == SYNC_OP_HOLE ? op->size : op->content.size;

    if (!p->open || p->skip || p->fd < 0)
        return 0; /* its file is in the staging area */
    if (p->in_place)
        history_keep_blocks(r, p->fd, op->offset, size);
    const int done = op->kind == SYNC_OP_HOLE
                         ? file_zero(p->fd, op->offset, size)
                         : file_write(p->fd, op->content.at, op->content.size, op->offset);
    if (done < 0)
        return failed(r, done, "write to");
    for (uint64_t block = op->offset / p->block; size > 0 && block <= (op->offset + size - 1) / p->block;
         block++)
        if (block < p->count)
            p->touched[block] = 1;
    return 0;
}

static int hash_touched(struct replica *r)
{
    struct patching *p = &r->patching;
    AUTO_FREE uint8_t *bytes = malloc(p->block);

    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < p->count; i++) {
        if (!p->touched[i])
            continue;
        const long size = file_read(p->fd, bytes, p->block, (uint64_t)i * p->block);
        if (size < 0)
            return (int)size;
        p->hashes[i] = hash_bytes(r->options.hasher, bytes, (size_t)size);
    }
    return 0;
}

static void remember(struct replica *r, uint32_t block, const struct sync_hash *hashes, size_t count)
{
    const struct patching *p = &r->patching;
    const tree_node node = tree_find(r->options.tree, (struct sync_bytes){p->path, p->path_size});

    if (node && count > 1 && !r->redo)
        tree_set_blocks(r->options.tree, node, block, hashes, count);
}

/* A file that came whole. After a crash it may be in its place already. */
/* A view needs its own: the other one is for the switch. */
static int copy_staged(struct replica *r, const char *name)
{
    const struct sync_bytes path = {r->patching.path, r->patching.path_size};
    struct area *from = replica_area(r->view_of, path), *to = replica_area(r, path);
    char copied[AREA_NAME_MAX];

    if (!from || !to)
        return -EIO;
    snprintf(copied, sizeof copied, "t-view");
    entry_erase(area_directory(to), copied);
    return entry_copy(area_of(from, name), name, area_directory(to), copied);
}

static int install_staged(struct replica *r, const struct sync_op *op)
{
    struct patching *p = &r->patching;
    const struct sync_bytes path = {p->path, p->path_size};
    struct area *area = replica_area(r, path);
    char name[AREA_NAME_MAX];
    struct place place;
    int done = area ? beneath_find(r->beneath, path, &place) : -EIO;

    area_staged(r->current.generation, p->op, name);
    if (done == 0 && r->view_of) {
        done = copy_staged(r, name);
        text_copy(name, sizeof name, "t-view");
    }
    const int directory = area ? area_of(area, name) : -1;
    AUTO_CLOSE int fd = done < 0 ? -1 : openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (done == 0 && fd < 0) {
        const int error = errno;
        apply_touch(r, path);
        return r->redo && error == ENOENT ? 0 : -error;
    }
    const struct attributes attributes = attributes_of(&r->owners, &p->meta, r->options.set->privileged);
    if (done == 0)
        done = attributes_put(fd, &attributes, true, r->options.set->privileged);
    if (done == 0)
        done = apply_install(r, path, &place, directory, name, &op->hash);
    if (done == 0)
        done = apply_settle(r, path, &p->meta, p->size, &op->hash, &place);
    const struct staged *staged = staged_of(r, p->op);
    if (done == 0 && staged)
        remember(r, staged->block, staged->hashes, staged->count);
    return done;
}

static int install_patched(struct replica *r, const struct sync_op *op)
{
    struct patching *p = &r->patching;
    const struct sync_bytes path = {p->path, p->path_size};
    const struct attributes attributes = attributes_of(&r->owners, &p->meta, r->options.set->privileged);
    struct place place;
    int done = hash_touched(r);

    const struct sync_hash hash = hash_content(r->options.hasher, p->hashes, p->count);
    if (done == 0 && !hash_equal(&hash, &op->hash) && !r->redo)
        done = -ESTALE;
    if (done == 0 && p->in_place)
        history_keep_patch(r, path, &op->hash);
    if (done == 0)
        done = attributes_put(p->fd, &attributes, !p->in_place, r->options.set->privileged);
    if (done == 0)
        done = beneath_find(r->beneath, path, &place);
    if (done == 0 && !p->in_place)
        done = apply_install(r, path, &place, p->directory, p->made, &op->hash);
    if (done == 0)
        done = apply_settle(r, path, &p->meta, p->size, &op->hash, &place);
    if (done == 0)
        remember(r, p->block, p->hashes, p->count);
    return done;
}

int patch_close(struct replica *r, const struct sync_op *op)
{
    if (r->patching.passed) {
        patch_drop(r);
        return 0;
    }
    const int done = r->patching.skip ? install_staged(r, op) : install_patched(r, op);
    const int told = done < 0 ? failed(r, done, "put") : 0;

    patch_drop(r);
    return told;
}
