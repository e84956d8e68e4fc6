/* Looking at everything: what differs from the tree is dirty, what is in the tree and was not seen as well.
 */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "syncd/source_inside.h"

void scan_stop(struct source *s)
{
    walk_clear(&s->scan.walk);
    walk_init(&s->scan.walk);
    s->scan.running = s->scan.again = s->scan.first = s->scan.covered = false;
}

static void weigh(struct source *s, struct sync_bytes path, const struct sight *sight)
{
    struct dirty_entry *entry = dirty_find(s->dirty, path);

    if (entry && entry->bytes == 0 && sight_type(sight) == SYNC_FILE)
        dirty_weigh(s->dirty, entry, 0, sight->size);
}

/* One entry as it is on the disk against what the tree says of it. */
static void check(struct source *s, struct sync_bytes path, const struct sight *sight)
{
    const tree_node node = tree_find(s->tree, path);
    const enum sync_type type = sight_type(sight);
    struct tree_entry entry;

    s->scan.looked++;
    if (source_excluded(s, path, type == SYNC_DIRECTORY))
        return; /* as if it were not there */
    if (type == 0) {
        source_tell_trouble(s, path, "is a socket, a device or a FIFO: it does not travel");
        return;
    }
    if (node == 0 && s->scan.covered) {
        s->scan.covered_files++;
        s->scan.covered_bytes += type == SYNC_FILE ? sight->size : 0;
    } else if (node == 0) {
        source_mark(s, path, DIRTY_NAME | DIRTY_CONTENT | (type == SYNC_DIRECTORY ? DIRTY_DEEP : 0),
                    DIRTY_NOW);
        weigh(s, path, sight);
    } else {
        tree_set_mark(s->tree, node, s->scan.mark);
        tree_get(s->tree, node, &entry);
        if (!sight_is(sight, &entry) || entry.racy) {
            source_mark(s, path, DIRTY_CONTENT, DIRTY_NOW);
            weigh(s, path, sight);
        }
    }
    if (type == SYNC_DIRECTORY && walk_push(&s->scan.walk, path, 0) < 0)
        s->scan.again = true;
}

static void check_unseen(struct source *s, struct sync_bytes directory)
{
    uint8_t path[SYNC_PATH_MAX];
    const tree_node node = s->scan.covered ? 0 : tree_find(s->tree, directory);

    for (tree_node child = node ? tree_first_child(s->tree, node) : 0; child;
         child = tree_next_sibling(s->tree, child))
        if (tree_mark(s->tree, child) != s->scan.mark) {
            const size_t size = tree_path(s->tree, child, path);
            source_mark(s, (struct sync_bytes){path, size}, DIRTY_NAME, DIRTY_NOW);
        }
}

/* The mark that a directory which is not in the tree, or one that it is in, has. */
static struct dirty_entry *cover_of(const struct source *s, struct sync_bytes directory)
{
    struct dirty_entry *entry = NULL;

    for (; !entry && directory.size > 0 && tree_find(s->tree, directory) == 0;
         directory = path_parent(directory))
        entry = dirty_find(s->dirty, directory);
    return entry;
}

/* A directory that is not in the tree, or one that the generation under way has not come to yet, will be
 * looked at with all in it, after it is watched: its entries need no marks of their own, which would take
 * much memory when there is much that is new. */
static void check_cover(struct source *s, struct sync_bytes directory)
{
    struct dirty_entry *entry = cover_of(s, directory);

    if (entry)
        entry->flags |= DIRTY_DEEP;
    s->scan.covered = entry != NULL || walk_will_open(&s->build.walk, directory);
    s->scan.covered_files = s->scan.covered_bytes = 0;
}

static void weigh_cover(struct source *s, struct sync_bytes directory)
{
    struct dirty_entry *entry = s->scan.covered ? cover_of(s, directory) : NULL;

    if (entry)
        dirty_weigh(s->dirty, entry, s->scan.covered_files, s->scan.covered_bytes);
    s->scan.covered = false;
}

static void check_root(struct source *s, size_t root)
{
    char text[8];
    const struct sync_bytes path = source_root_path(text, root);
    struct sight sight;
    const char *name;
    int directory;

    int r = places_find(s->places, path, &directory, &name);
    if (r == 0)
        r = sight_at(directory, name, &sight);
    if (r == 0)
        check(s, path, &sight);
    else if (tree_find(s->tree, path) != 0)
        source_mark(s, path, DIRTY_NAME, DIRTY_NOW);
}

void scan_begin(struct source *s)
{
    walk_clear(&s->scan.walk);
    walk_init(&s->scan.walk);
    s->scan.running = true;
    s->scan.again = s->scan.covered = s->scan.unwatched = false;
    s->scan.looked = 0;
    const uint8_t last = tree_mark(s->tree, TREE_TOP); /* of whoever looked last, perhaps another source */
    s->scan.mark = last == 255 ? 1 : (uint8_t)(last + 1);
    tree_set_mark(s->tree, TREE_TOP, s->scan.mark);
    places_release(s->places);
    owners_forget(s->owners);
    for (size_t i = 0; i < s->options.root_count; i++)
        check_root(s, i);
}

void scan_directory(struct source *s, struct sync_bytes directory)
{
    if (walk_push(&s->scan.walk, directory, 0) < 0)
        s->scan.again = true;
    s->scan.running = true;
    loop_set_timer(s->step_timer, 1);
}

static void cannot_look_into(struct source *s, struct sync_bytes directory, int error)
{
    if (place_is_gone(error))
        source_mark(s, directory, DIRTY_NAME, DIRTY_NOW);
    else
        source_tell_trouble(s, directory, strerror(-error));
}

static void open_next(struct source *s)
{
    const int r = walk_open(&s->scan.walk, s->places);
    const struct sync_bytes directory = walk_directory(&s->scan.walk);

    if (r == 0) {
        s->scan.running = false;
        watch_scanned(s);
    } else if (r == 1) {
        source_end_trouble(s, directory);
        watch_directory(s, directory, s->scan.walk.fd);
        check_cover(s, directory);
    } else {
        cannot_look_into(s, directory, r);
    }
}

static void list_next(struct source *s)
{
    struct sync_bytes path;
    struct sight sight;
    const char *name;
    s->unsure = true;
    int r = walk_next(&s->scan.walk, &path, &name);

    if (r == 0) {
        check_unseen(s, walk_directory(&s->scan.walk));
        weigh_cover(s, walk_directory(&s->scan.walk));
        return;
    }
    if (r < 0) {
        cannot_look_into(s, walk_directory(&s->scan.walk), r);
        return;
    }
    r = sight_at(s->scan.walk.fd, name, &sight);
    if (r == 0)
        check(s, path, &sight);
    else if (!place_is_gone(r))
        source_tell_trouble(s, path, strerror(-r));
}

bool scan_step(struct source *s)
{
    places_release(s->places);
    for (int i = 0; i < SOURCE_STEP_ENTRIES && s->scan.running; i++) {
        if (walk_listing(&s->scan.walk))
            list_next(s);
        else
            open_next(s);
    }
    return s->scan.running || s->scan.again;
}
