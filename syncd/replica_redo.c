/* A generation that was being switched to when this node died is applied once more. Most operations can
 * simply be repeated; three cannot: a rename, the installing of a staging file, and a removal before one of
 * these. How far the switch came is seen at renames (what is still to be renamed is found by its inode) and
 * at staging files (what is still to be installed is there). File systems keep the order of such changes, so
 * all operations before the last one that is found done were done as well. Those are repeated, since their
 * contents may not have reached the disk, at the place to which the renames after them have brought their
 * paths; what was removed or replaced after them is past. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syncd/replica_inside.h"

/* ------------------------------------------------------------------ how far it came */

/* Renames and removals, which decide what a path of before means. */
static int add_past(struct redo *redo, const struct sync_op *op, size_t at)
{
    const size_t to_size = op->kind == SYNC_OP_MOVE ? op->content.size : 0;
    struct past *past = malloc(sizeof *past + op->path.size + to_size);

    if (redo->count == redo->capacity) {
        const size_t capacity = MAX(redo->capacity * 2, 64u);
        struct past **all = realloc(redo->past, capacity * sizeof *all);
        if (all) {
            redo->past = all;
            redo->capacity = capacity;
        }
    }
    if (!past || redo->count == redo->capacity) {
        free(past);
        return -ENOMEM;
    }
    *past = (struct past){.op = at, .from_size = op->path.size, .to_size = to_size};
    memcpy(past->bytes, op->path.at, op->path.size);
    if (to_size > 0)
        memcpy(past->bytes + op->path.size, op->content.at, to_size);
    redo->past[redo->count++] = past;
    return 0;
}

/* What it moves is still where it was. */
static bool is_move_to_do(struct replica *r, const struct sync_op *op, size_t number)
{
    const struct identity *known = number < r->inode_count ? &r->inodes[number] : NULL;
    struct place place;
    struct look look;

    beneath_forget(r->beneath);
    return known && beneath_find(r->beneath, op->path, &place) == 0 &&
           look_at(place.directory, place.name, &look) == 0 &&
           (known->inode == 0 || (look.stat.inode == known->inode && look.stat.birth_ns == known->birth_ns));
}

static bool is_staged_to_do(struct replica *r, const struct sync_op *op, uint32_t opens)
{
    struct area *area = replica_area(r, op->path);
    char name[AREA_NAME_MAX];

    area_staged(r->current.generation, opens, name);
    return area && faccessat(area_of(area, name), name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int redo_begin(struct replica *r)
{
    struct redo *redo = &r->again;
    struct sync_op op;
    size_t moves = 0;
    uint32_t opens = 0;
    bool reached = false;
    int next;

    redo_end(r);
    r->walker.next = 0;
    r->walker.rest = (struct sync_bytes){0};
    for (size_t at = 0; (next = walker_next(r, &op)) == 1; at++) {
        const bool move = op.kind == SYNC_OP_MOVE, staged = op.kind == SYNC_OP_OPEN && !op.patch;
        /* What is installed from a staging file is in the place of whatever was put there before. */
        if ((move || staged || op.kind == SYNC_OP_DELETE) && add_past(redo, &op, at) < 0)
            return -ENOMEM;
        if (!reached &&
            ((move && is_move_to_do(r, &op, moves)) || (staged && is_staged_to_do(r, &op, opens))))
            reached = true;
        if (!reached && (move || staged))
            redo->done = at + 1;
        moves += move;
        opens += op.kind == SYNC_OP_OPEN;
    }
    r->walker.next = 0;
    return next;
}

void redo_end(struct replica *r)
{
    for (size_t i = 0; i < r->again.count; i++)
        free(r->again.past[i]);
    free(r->again.past);
    r->again = (struct redo){0};
}

/* ------------------------------------------------------------- what is left to do */

/* Where a path of operation `at` is now. False: it was removed or replaced. */
static bool path_now(const struct redo *redo, size_t at, struct sync_bytes *path, uint8_t *room)
{
    uint8_t whole[2 * SYNC_PATH_MAX];

    for (size_t i = 0; i < redo->count; i++) {
        const struct past *past = redo->past[i];
        const struct sync_bytes from = {past->bytes, past->from_size},
                                to = {past->bytes + from.size, past->to_size};
        if (past->op <= at || past->op >= redo->done)
            continue;
        if (path_below(*path, to.size > 0 ? to : from))
            return false;
        if (to.size == 0 || !path_below(*path, from))
            continue;
        memcpy(whole, to.at, to.size);
        memcpy(whole + to.size, path->at + from.size, path->size - from.size);
        path->size = to.size + path->size - from.size;
        if (path->size > SYNC_PATH_MAX)
            return false;
        memcpy(room, whole, path->size);
        path->at = room;
    }
    return true;
}

bool redo_translate(struct replica *r, size_t at, struct sync_op *op)
{
    const struct redo *redo = &r->again;

    if (at >= redo->done || op->kind == SYNC_OP_BLOCK || op->kind == SYNC_OP_HOLE ||
        op->kind == SYNC_OP_CLOSE)
        return true;
    if (op->kind == SYNC_OP_MOVE || op->kind == SYNC_OP_DELETE)
        return false;
    if (op->kind == SYNC_OP_PUT && op->meta.type == SYNC_HARDLINK &&
        !path_now(redo, at, &op->content, r->again.room[1]))
        return false;
    return path_now(redo, at, &op->path, r->again.room[0]);
}
