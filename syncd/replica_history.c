/* What a generation replaces is kept, so that the one before it can be had again.
 *
 * STATE/history/EPOCH-COUNTER/ belongs to the generation that did the replacing. Its file `undo` says which
 * generation was before, and then has a group for each change: operations that take it back, or one file
 * whose content is the object N beside it (another name of the old file, so nothing is copied where the file
 * systems are the same). Groups are carried out from the last to the first. Not durable by itself, and not
 * written again after a crash: a generation that was cut off by one cannot be rolled back over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/statefile.h"
#include "syncd/replica_inside.h"

enum {
    GROUP_OPERATIONS = 1,
    GROUP_OBJECT = 2,
    DEPTH_MAX = 128,
    CHANGES_MAX = 1 << 20,
    BLOCKS_MAX = 1 << 17,
    GROUPS_MAX = 1 << 16, /* bytes of groups that are written together */
};

struct header {
    struct sync_generation generation, before;
    struct sync_hash tree_before;
};

struct group {
    uint32_t kind, size;
};

/* ---------------------------------------------------------------------------- writing */

static void directory_name(const struct replica *r, struct sync_generation generation, char *name,
                           size_t size)
{
    snprintf(name, size, "%.3900s/history/%" PRIu64 "-%" PRIu64, r->options.state_dir, generation.epoch,
             generation.counter);
}

static int write_all(int fd, const void *bytes, size_t size)
{
    return write(fd, bytes, size) == (ssize_t)size ? 0 : -EIO;
}

void history_begin(struct replica *r)
{
    const struct header header = {r->current.generation, r->public.generation, r->tree_hash};
    char name[PATH_MAX];

    history_end(r);
    if (r->redo || r->view_of || r->current.partial || !r->public.whole || r->options.set->keep < 1)
        return;
    directory_name(r, r->current.generation, name, sizeof name);
    if (make_directories(name, 0700) < 0)
        return;
    r->history = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r->undo = r->history < 0 ? -1 : openat(r->history, "undo", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (r->undo < 0 || write_all(r->undo, &header, sizeof header) < 0)
        history_end(r);
    r->history_at = 0;
}

static void shut(struct replica *r)
{
    if (r->undo >= 0)
        close(r->undo);
    if (r->history >= 0)
        close(r->history);
    r->undo = r->history = -1;
    r->groups.used = 0;
}

static int write_groups(struct replica *r)
{
    const int written = write_all(r->undo, r->groups.bytes, r->groups.used);

    r->groups.used = 0;
    return written;
}

void history_end(struct replica *r)
{
    if (r->undo >= 0 && r->groups.used > 0 && write_groups(r) < 0)
        history_give_up(r);
    shut(r);
}

/* What cannot be kept makes the whole generation one that cannot be rolled back over. */
void history_give_up(struct replica *r)
{
    char name[PATH_MAX], *last;

    shut(r);
    directory_name(r, r->current.generation, name, sizeof name);
    last = strrchr(name, '/');
    *last = '\0';
    const int above = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above >= 0) {
        entry_erase(above, last + 1);
        close(above);
    }
}

static void write_group(struct replica *r, uint32_t kind, const void *bytes, size_t size)
{
    const struct group group = {kind, (uint32_t)size};

    r->history_at++;
    if (r->history_at > CHANGES_MAX || buffer_reserve(&r->groups, sizeof group + size) < 0) {
        history_give_up(r);
        return;
    }
    memcpy(r->groups.bytes + r->groups.used, &group, sizeof group);
    memcpy(r->groups.bytes + r->groups.used + sizeof group, bytes, size);
    r->groups.used += sizeof group + size;
    if (r->groups.used >= GROUPS_MAX && write_groups(r) < 0)
        history_give_up(r);
}

static void write_operation(struct replica *r, uint32_t kind, const struct sync_op *op)
{
    struct buffer buffer = {0};

    if (buffer_reserve(&buffer, sync_op_size(op)) < 0 ||
        sync_op_pack(op, buffer.bytes, buffer.room, &buffer.used) < 0)
        history_give_up(r);
    else
        write_group(r, kind, buffer.bytes, buffer.used);
    buffer_free(&buffer);
}

static struct sync_bytes name_bytes(const char *owner)
{
    return (struct sync_bytes){(const uint8_t *)owner, owner[0] == '#' ? 0 : strlen(owner)};
}

/* As the tree knows it; attributes are read from the disk. */
static struct sync_meta meta_of(const struct replica *r, const struct tree_entry *entry, int fd,
                                uint8_t *xattrs, size_t *size)
{
    *size = 0;
    if (fd >= 0)
        attributes_read_xattrs(fd, xattrs, size, r->options.set->privileged);
    return (struct sync_meta){
        .type = entry->type == SYNC_HARDLINK ? SYNC_FILE : entry->type,
        .mode = entry->mode,
        .mtime_ns = entry->mtime_ns,
        .uid = entry->uid,
        .gid = entry->gid,
        .owner = name_bytes(entry->owner),
        .group = name_bytes(entry->group),
        .xattrs = {xattrs, *size},
    };
}

static void keep_file(struct replica *r, struct sync_bytes path, const struct place *place,
                      const struct tree_entry *entry)
{
    uint8_t xattrs[SYNC_XATTRS_MAX];
    char name[24];
    size_t size;
    struct look look;
    AUTO_CLOSE int fd = openat(place->directory, place->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || look_at(fd, "", &look) < 0 || !S_ISREG(look.mode)) {
        history_give_up(r);
        return;
    }
    struct sync_op op = {.kind = SYNC_OP_OPEN, .path = path, .size = look.size};
    op.meta = meta_of(r, entry, fd, xattrs, &size);
    op.block = sync_block_size(look.size, r->options.block);
    snprintf(name, sizeof name, "%u", r->history_at);
    if (entry_link(place->directory, place->name, r->history, name) < 0)
        history_give_up(r);
    else
        write_operation(r, GROUP_OBJECT, &op);
}

static void keep_symlink(struct replica *r, struct sync_bytes path, const struct place *place,
                         const struct tree_entry *entry)
{
    uint8_t target[SYNC_PATH_MAX], none[1];
    size_t size;
    const ssize_t length = readlinkat(place->directory, place->name, (char *)target, sizeof target);

    if (length <= 0 || length >= SYNC_PATH_MAX) {
        history_give_up(r);
        return;
    }
    const struct sync_op op = {.kind = SYNC_OP_PUT,
                               .path = path,
                               .meta = meta_of(r, entry, -1, none, &size),
                               .hash = hash_bytes(r->options.hasher, target, (size_t)length),
                               .content = {target, (size_t)length}};
    write_operation(r, GROUP_OPERATIONS, &op);
}

/* What is in it is written first, and so comes back after it. */
static void keep_directory(struct replica *r, struct sync_bytes path, tree_node node,
                           const struct tree_entry *entry, bool below, int depth)
{
    uint8_t child[SYNC_PATH_MAX], xattrs[SYNC_XATTRS_MAX];
    size_t size;

    if (depth > DEPTH_MAX) {
        history_give_up(r);
        return;
    }
    for (tree_node one = below ? tree_first_child(r->options.tree, node) : 0; one && r->undo >= 0;
         one = tree_next_sibling(r->options.tree, one)) {
        const size_t length = tree_path(r->options.tree, one, child);
        history_keep(r, (struct sync_bytes){child, length}, true, depth + 1);
    }
    AUTO_CLOSE int fd = beneath_open(r->beneath, path, O_RDONLY | O_DIRECTORY);
    const struct sync_op op = {
        .kind = SYNC_OP_PUT, .path = path, .meta = meta_of(r, entry, fd, xattrs, &size)};
    if (r->undo >= 0)
        write_operation(r, GROUP_OPERATIONS, &op);
}

void history_keep(struct replica *r, struct sync_bytes path, bool below, int depth)
{
    const tree_node node = tree_find(r->options.tree, path);
    const struct sync_op none = {.kind = SYNC_OP_DELETE, .path = path};
    struct tree_entry entry;
    struct place place;

    if (r->undo < 0)
        return;
    if (node == 0) {
        write_operation(r, GROUP_OPERATIONS, &none);
        return;
    }
    tree_get(r->options.tree, node, &entry);
    if (entry.type == SYNC_DIRECTORY)
        keep_directory(r, path, node, &entry, below, depth);
    else if (beneath_find(r->beneath, path, &place) < 0)
        history_give_up(r);
    else if (entry.type == SYNC_SYMLINK)
        keep_symlink(r, path, &place, &entry);
    else
        keep_file(r, path, &place, &entry);
}

void history_keep_move(struct replica *r, const struct sync_op *op)
{
    const struct sync_op back = {.kind = SYNC_OP_MOVE, .path = op->content, .content = op->path};

    if (r->undo >= 0)
        write_operation(r, GROUP_OPERATIONS, &back);
}

/* Blocks that are about to be overwritten in place. */
void history_keep_blocks(struct replica *r, int fd, uint64_t offset, uint64_t size)
{
    uint8_t bytes[1 << 14];

    while (r->undo >= 0 && size > 0) {
        const long got = file_read(fd, bytes, (size_t)MIN(size, (uint64_t)sizeof bytes), offset);
        const struct sync_op op = {
            .kind = SYNC_OP_BLOCK, .offset = offset, .content = {bytes, got > 0 ? (size_t)got : 0}};
        if (got == 0)
            return; /* beyond the old end */
        if (got < 0 || r->old_blocks.used > BLOCKS_MAX ||
            buffer_reserve(&r->old_blocks, sync_op_size(&op)) < 0 ||
            sync_op_pack(&op, r->old_blocks.bytes, r->old_blocks.room, &r->old_blocks.used) < 0) {
            history_give_up(r);
            return;
        }
        offset += (uint64_t)got;
        size -= (uint64_t)got;
    }
}

void history_keep_patch(struct replica *r, struct sync_bytes path, const struct sync_hash *now)
{
    const tree_node node = tree_find(r->options.tree, path);
    uint8_t xattrs[SYNC_XATTRS_MAX];
    struct buffer group = {0};
    struct tree_entry entry;
    size_t size;
    AUTO_CLOSE int fd = beneath_open(r->beneath, path, O_RDONLY);

    if (r->undo < 0 || node == 0)
        return;
    tree_get(r->options.tree, node, &entry);
    struct sync_op open_op = {
        .kind = SYNC_OP_OPEN, .path = path, .patch = true, .hash = *now, .size = entry.size};
    const struct sync_op close_op = {.kind = SYNC_OP_CLOSE, .hash = entry.content};
    open_op.meta = meta_of(r, &entry, fd, xattrs, &size);
    open_op.block = sync_block_size(entry.size, r->options.block);
    const size_t room = sync_op_size(&open_op) + r->old_blocks.used + sync_op_size(&close_op);
    if (room > SYNC_BATCH_FULL || buffer_reserve(&group, room) < 0 ||
        sync_op_pack(&open_op, group.bytes, group.room, &group.used) < 0) {
        history_give_up(r);
    } else {
        if (r->old_blocks.used > 0)
            memcpy(group.bytes + group.used, r->old_blocks.bytes, r->old_blocks.used);
        group.used += r->old_blocks.used;
        sync_op_pack(&close_op, group.bytes, group.room, &group.used);
        write_group(r, GROUP_OPERATIONS, group.bytes, group.used);
    }
    buffer_free(&group);
    r->old_blocks.used = 0;
}

/* ----------------------------------------------------------------------------- listing */

static int read_header(const struct replica *r, struct sync_generation generation, struct header *header)
{
    char name[PATH_MAX];

    directory_name(r, generation, name, sizeof name - 8);
    strcat(name, "/undo");
    AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, header, sizeof *header) == (ssize_t)sizeof *header ? 0 : -ENOENT;
}

/* From the present one back, as long as each says what was before it. */
size_t history_list(const struct replica *r, struct sync_log_entry *log, size_t room)
{
    struct sync_generation at = r->public.generation;
    struct header header;
    size_t count = 0;

    for (; count < room && read_header(r, at, &header) == 0 && header.before.epoch > 0; count++) {
        log[count] = (struct sync_log_entry){header.before, header.tree_before};
        at = header.before;
    }
    return count;
}

static bool is_listed(const struct sync_log_entry *log, size_t count, const char *name)
{
    char text[48];

    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, log[i].generation.epoch,
                 log[i].generation.counter);
        if (strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* Only the latest `keep`, and nothing that they do not lead to. */
void history_prune(struct replica *r)
{
    struct sync_log_entry log[1002];
    char name[PATH_MAX];
    const size_t keep = (size_t)MIN(r->options.set->keep, 1000);

    log[0].generation = r->public.generation;
    const size_t count = keep > 1 ? 1 + history_list(r, log + 1, keep - 2) : 0;
    snprintf(name, sizeof name, "%.4000s/history", r->options.state_dir);
    DIR *listing = opendir(name);
    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.' && !is_listed(log, count, entry->d_name))
            entry_erase(dirfd(listing), entry->d_name);
    if (listing)
        closedir(listing);
}
