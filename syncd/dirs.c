#include "syncd/dirs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "syncd/paths.h"

enum { TABLE_MIN = 64 };

struct dir {
    struct dir *parent, *child, *next, *previous;
    struct dir *name_next, *watch_next; /* in the tables */
    int watch;                          /* 0: none */
    uint16_t size;
    uint8_t name[];
};

struct dirs {
    struct dir *top;                  /* has no name */
    struct dir **by_name, **by_watch; /* of the same size, a power of two */
    size_t table_size, count, watches;
};

int dirs_new(struct dirs **dirs)
{
    struct dirs *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->table_size = TABLE_MIN;
    made->by_name = calloc(TABLE_MIN, sizeof *made->by_name);
    made->by_watch = calloc(TABLE_MIN, sizeof *made->by_watch);
    made->top = calloc(1, sizeof *made->top);
    if (!made->by_name || !made->by_watch || !made->top) {
        dirs_free(made);
        return -ENOMEM;
    }
    *dirs = made;
    return 0;
}

void dirs_free(struct dirs *dirs)
{
    if (!dirs)
        return;
    for (size_t i = 0; dirs->by_name && i < dirs->table_size; i++)
        for (struct dir *dir = dirs->by_name[i], *next; dir; dir = next) {
            next = dir->name_next;
            free(dir);
        }
    free(dirs->top);
    free(dirs->by_name);
    free(dirs->by_watch);
    free(dirs);
}

size_t dirs_count(const struct dirs *dirs)
{
    return dirs->watches;
}

/* ------------------------------------------------------------------- tables */

static size_t name_slot(const struct dirs *dirs, const struct dir *parent, struct sync_bytes name)
{
    return (size_t)path_hash(name, (uint64_t)(uintptr_t)parent) & (dirs->table_size - 1);
}

static size_t watch_slot(const struct dirs *dirs, int watch)
{
    return ((uint32_t)watch * UINT32_C(2654435761) >> 7) & (dirs->table_size - 1);
}

static struct sync_bytes dir_name(const struct dir *dir)
{
    return (struct sync_bytes){.at = dir->name, .size = dir->size};
}

static void join_name(struct dirs *dirs, struct dir *dir)
{
    struct dir **head = &dirs->by_name[name_slot(dirs, dir->parent, dir_name(dir))];

    dir->name_next = *head;
    *head = dir;
}

static void leave_name(struct dirs *dirs, struct dir *dir)
{
    struct dir **at = &dirs->by_name[name_slot(dirs, dir->parent, dir_name(dir))];

    while (*at != dir)
        at = &(*at)->name_next;
    *at = dir->name_next;
}

static void join_watch(struct dirs *dirs, struct dir *dir)
{
    struct dir **head = &dirs->by_watch[watch_slot(dirs, dir->watch)];

    dir->watch_next = *head;
    *head = dir;
}

static void drop_watch(struct dirs *dirs, struct dir *dir)
{
    struct dir **at = &dirs->by_watch[watch_slot(dirs, dir->watch)];

    if (dir->watch == 0)
        return;
    while (*at != dir)
        at = &(*at)->watch_next;
    *at = dir->watch_next;
    dir->watch = 0;
    dirs->watches--;
}

static int tables_reserve(struct dirs *dirs)
{
    struct dir **old = dirs->by_name;
    const size_t old_size = dirs->table_size;

    if (dirs->count < old_size)
        return 0;
    struct dir **by_name = calloc(old_size * 2, sizeof *by_name);
    struct dir **by_watch = calloc(old_size * 2, sizeof *by_watch);
    if (!by_name || !by_watch) {
        free(by_name);
        free(by_watch);
        return -ENOMEM;
    }
    free(dirs->by_watch);
    dirs->by_name = by_name;
    dirs->by_watch = by_watch;
    dirs->table_size = old_size * 2;
    for (size_t i = 0; i < old_size; i++)
        for (struct dir *dir = old[i], *next; dir; dir = next) {
            next = dir->name_next;
            join_name(dirs, dir);
            if (dir->watch != 0)
                join_watch(dirs, dir);
        }
    free(old);
    return 0;
}

/* -------------------------------------------------------------- directories */

static struct dir *child_of(const struct dirs *dirs, const struct dir *parent, struct sync_bytes name)
{
    struct dir *dir = dirs->by_name[name_slot(dirs, parent, name)];

    while (dir && (dir->parent != parent || !path_equal(dir_name(dir), name)))
        dir = dir->name_next;
    return dir;
}

static void link_child(struct dir *parent, struct dir *dir)
{
    dir->parent = parent;
    dir->previous = NULL;
    dir->next = parent->child;
    if (dir->next)
        dir->next->previous = dir;
    parent->child = dir;
}

static void unlink_child(struct dir *dir)
{
    *(dir->previous ? &dir->previous->next : &dir->parent->child) = dir->next;
    if (dir->next)
        dir->next->previous = dir->previous;
}

static struct dir *add_child(struct dirs *dirs, struct dir *parent, struct sync_bytes name)
{
    if (tables_reserve(dirs) < 0)
        return NULL;
    struct dir *dir = calloc(1, sizeof *dir + name.size);
    if (!dir)
        return NULL;
    dir->size = (uint16_t)name.size;
    memcpy(dir->name, name.at, name.size);
    link_child(parent, dir);
    join_name(dirs, dir);
    dirs->count++;
    return dir;
}

/* The name at the front of `path`, which then begins behind it. */
static struct sync_bytes cut_name(struct sync_bytes *path)
{
    const uint8_t *slash = memchr(path->at, '/', path->size);
    const size_t size = slash ? (size_t)(slash - path->at) : path->size;
    const struct sync_bytes name = {.at = path->at, .size = size};
    const size_t cut = MIN(size + 1, path->size);

    *path = (struct sync_bytes){.at = path->at + cut, .size = path->size - cut};
    return name;
}

static struct dir *find(const struct dirs *dirs, struct sync_bytes path)
{
    const struct dir *dir = dirs->top;

    while (dir && path.size > 0)
        dir = child_of(dirs, dir, cut_name(&path));
    return (struct dir *)dir;
}

static struct dir *find_or_add(struct dirs *dirs, struct sync_bytes path)
{
    struct dir *dir = dirs->top;

    while (dir && path.size > 0) {
        const struct sync_bytes name = cut_name(&path);
        struct dir *child = child_of(dirs, dir, name);
        dir = child ? child : add_child(dirs, dir, name);
    }
    return dir;
}

static void remove_one(struct dirs *dirs, struct dir *dir)
{
    drop_watch(dirs, dir);
    leave_name(dirs, dir);
    unlink_child(dir);
    dirs->count--;
    free(dir);
}

/* One that has neither a watch nor children says nothing. */
static void prune(struct dirs *dirs, struct dir *dir)
{
    while (dir != dirs->top && dir->watch == 0 && !dir->child) {
        struct dir *parent = dir->parent;
        remove_one(dirs, dir);
        dir = parent;
    }
}

static struct dir *of_watch(const struct dirs *dirs, int watch)
{
    struct dir *dir = dirs->by_watch[watch_slot(dirs, watch)];

    while (dir && dir->watch != watch)
        dir = dir->watch_next;
    return dir;
}

int dirs_set(struct dirs *dirs, struct sync_bytes path, int watch)
{
    struct dir *dir = find_or_add(dirs, path), *other = of_watch(dirs, watch);

    if (!dir)
        return -ENOMEM;
    if (other == dir)
        return 0;
    if (other) {
        drop_watch(dirs, other);
        prune(dirs, other);
    }
    drop_watch(dirs, dir);
    dir->watch = watch;
    join_watch(dirs, dir);
    dirs->watches++;
    return 0;
}

long dirs_path(const struct dirs *dirs, int watch, uint8_t *path)
{
    const struct dir *dir = of_watch(dirs, watch);
    size_t size = 0;

    if (!dir)
        return -ENOENT;
    for (const struct dir *up = dir; up != dirs->top; up = up->parent)
        size += up->size + 1u;
    if (size == 0 || --size > SYNC_PATH_MAX)
        return -ENOENT;
    size_t at = size;
    for (const struct dir *up = dir; up != dirs->top; up = up->parent) {
        at -= up->size;
        memcpy(path + at, up->name, up->size);
        if (at > 0)
            path[--at] = '/';
    }
    return (long)size;
}

int dirs_watch(const struct dirs *dirs, struct sync_bytes path)
{
    const struct dir *dir = find(dirs, path);

    return dir ? dir->watch : 0;
}

int dirs_move(struct dirs *dirs, struct sync_bytes from, struct sync_bytes to)
{
    const struct sync_bytes parent_path = path_parent(to);
    const size_t cut = parent_path.size > 0 ? parent_path.size + 1 : 0;
    const struct sync_bytes name = {.at = to.at + cut, .size = to.size - cut};
    struct dir *dir = find(dirs, from);

    if (!dir || dir == dirs->top)
        return -ENOENT;
    if (find(dirs, to))
        return -EEXIST;
    struct dir *parent = find_or_add(dirs, parent_path);
    struct dir *moved = parent ? add_child(dirs, parent, name) : NULL;
    if (!moved)
        return -ENOMEM;
    const int watch = dir->watch;
    drop_watch(dirs, dir);
    if (watch != 0) {
        moved->watch = watch;
        join_watch(dirs, moved);
        dirs->watches++;
    }
    while (dir->child) {
        struct dir *child = dir->child;
        leave_name(dirs, child);
        unlink_child(child);
        link_child(moved, child);
        join_name(dirs, child);
    }
    prune(dirs, dir);
    return 0;
}

void dirs_remove(struct dirs *dirs, struct sync_bytes path, void (*forgotten)(void *userdata, int watch),
                 void *userdata)
{
    struct dir *top = find(dirs, path), *dir = top;

    if (!top || top == dirs->top)
        return;
    for (;;) {
        while (dir->child)
            dir = dir->child;
        struct dir *parent = dir->parent;
        const bool last = dir == top;
        const int watch = dir->watch;
        remove_one(dirs, dir);
        if (watch != 0)
            forgotten(userdata, watch);
        if (last) {
            prune(dirs, parent);
            return;
        }
        dir = parent;
    }
}

void dirs_forget(struct dirs *dirs, int watch)
{
    struct dir *dir = of_watch(dirs, watch);

    if (!dir)
        return;
    drop_watch(dirs, dir);
    prune(dirs, dir);
}
