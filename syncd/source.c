#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "syncd/exclude.h"
#include "syncd/source_inside.h"

enum { LEARN_MOST = 1 << 16 }; /* marks of a scan that is to teach the tree */

struct sync_bytes source_root_path(char text[static 8], size_t root)
{
    const int size = snprintf(text, 8, "%zu", root);

    return (struct sync_bytes){(const uint8_t *)text, (size_t)size};
}

uint16_t source_mode(const struct source *s, const struct sight *sight)
{
    return (uint16_t)(sight->mode & (s->options.set->privileged ? 07777 : 01777));
}

/* ---------------------------------------------------------------------- trouble */

void source_tell_trouble(struct source *s, struct sync_bytes path, const char *text)
{
    char name[PATH_MAX];
    struct trouble *trouble = s->troubles;

    while (trouble && !path_equal((struct sync_bytes){trouble->path, trouble->size}, path))
        trouble = trouble->next;
    if (trouble)
        return; /* it is known */
    trouble = malloc(sizeof *trouble + path.size);
    if (!trouble)
        return;
    trouble->size = path.size;
    text_copy(trouble->text, sizeof trouble->text, text);
    memcpy(trouble->path, path.at, path.size);
    trouble->next = s->troubles;
    s->troubles = trouble;
    places_print(s->places, path, name, sizeof name);
    s->events.trouble(s->userdata, name, text);
}

void source_end_trouble(struct source *s, struct sync_bytes path)
{
    char name[PATH_MAX];

    for (struct trouble **at = &s->troubles; *at; at = &(*at)->next) {
        struct trouble *trouble = *at;
        if (!path_equal((struct sync_bytes){trouble->path, trouble->size}, path))
            continue;
        *at = trouble->next;
        free(trouble);
        places_print(s->places, path, name, sizeof name);
        s->events.trouble(s->userdata, name, NULL);
        return;
    }
}

const char *source_trouble(const struct source *s, char *path, size_t size)
{
    const struct trouble *trouble = s->troubles;

    if (!trouble)
        return NULL;
    places_print(s->places, (struct sync_bytes){trouble->path, trouble->size}, path, size);
    return trouble->text;
}

static void forget_troubles(struct source *s)
{
    while (s->troubles) {
        struct trouble *trouble = s->troubles;
        s->troubles = trouble->next;
        free(trouble);
    }
}

static void forget_peer_blocks(struct source *s)
{
    while (s->peer_blocks) {
        struct peer_blocks *blocks = s->peer_blocks;
        s->peer_blocks = blocks->next;
        free(blocks->hashes);
        free(blocks);
    }
}

/* ---------------------------------------------------------------------- marks */

bool source_excluded(const struct source *s, struct sync_bytes path, bool directory)
{
    const uint8_t *slash = memchr(path.at, '/', path.size);
    char text[SYNC_PATH_MAX + 1];

    if (!slash)
        return false; /* a root */
    if (!sync_path_clean(path))
        return true; /* too long, or one of our own */
    const size_t size = path.size - (size_t)(slash + 1 - path.at);
    memcpy(text, slash + 1, size);
    text[size] = '\0';
    return exclude_match((const char *const *)s->options.set->exclude.items, s->options.set->exclude.count,
                         text, directory);
}

void source_mark(struct source *s, struct sync_bytes path, unsigned flags, enum dirty_when when)
{
    if (dirty_mark(s->dirty, path, flags, when, clock_now_ns()) < 0)
        s->scan.again = true; /* it is found by looking at everything */
    source_poke(s);
}

/* Says that something is due, or sets the timer for it. */
void source_poke(struct source *s)
{
    const int64_t due = dirty_due_ns(s->dirty, s->mode == SOURCE_LEARN);

    if (s->scan.running || s->scan.again)
        loop_set_timer(s->step_timer, 1);
    if (s->mode == SOURCE_LEARN && !s->scan.running && due > 0)
        loop_set_timer(s->step_timer, due);
    if (s->mode == SOURCE_FOLLOW && due > 0)
        loop_set_timer(s->due_timer, due);
}

static void on_due(void *userdata, int64_t now_ns)
{
    struct source *s = userdata;

    (void)now_ns;
    s->events.ready(s->userdata);
}

/* A passive node's tree learns what is on the disk, some entries at a time. When there is more to do; 0:
 * never.
 */
static int64_t learn_step(struct source *s, int64_t now_ns)
{
    const int64_t due = dirty_due_ns(s->dirty, true);
    size_t used = 0;

    if (!s->build.begun) {
        if (due == 0 || due > now_ns)
            return due; /* nothing, or what changed while it was read */
        if (build_begin(s, now_ns, true) < 0)
            return 0;
        s->build.quiet = true;
    }
    const int r = build_fill(s, NULL, SIZE_MAX, &used);
    if (r <= 0) {
        build_end(s);
        s->build.quiet = false;
    }
    return 1;
}

/* The tree learns now and then what was found so far, so that the marks of a scan that knows nothing yet do
 * not take more memory than the tree itself. */
static bool learns_first(const struct source *s, int64_t now_ns)
{
    const int64_t due = dirty_due_ns(s->dirty, true);

    return s->mode == SOURCE_LEARN && s->scan.running &&
           (s->build.begun || (dirty_count(s->dirty) >= LEARN_MOST && due > 0 && due <= now_ns));
}

static void on_step(void *userdata, int64_t now_ns)
{
    struct source *s = userdata;

    if (s->mode == SOURCE_OFF)
        return;
    if (s->scan.again && !s->scan.running)
        scan_begin(s);
    int64_t more_ns = learns_first(s, now_ns) ? learn_step(s, now_ns) : scan_step(s);
    if (more_ns == 0)
        watch_drain(s);
    if (more_ns == 0 && s->mode == SOURCE_LEARN)
        more_ns = learn_step(s, now_ns);
    if (more_ns > 0) {
        loop_set_timer(s->step_timer, more_ns);
    } else if (s->scan.first && !s->scan.running) {
        s->scan.first = false;
        s->events.ready(s->userdata);
    }
    source_poke(s);
}

static void on_rescan(void *userdata, int64_t now_ns)
{
    struct source *s = userdata;

    if (s->mode == SOURCE_FOLLOW && s->unwatched) {
        if (!s->inotify)
            watch_start(s);
        if (!s->scan.running)
            scan_begin(s);
        loop_set_timer(s->step_timer, 1);
        loop_set_timer(s->rescan_timer, now_ns + MAX(s->options.set->max_delay, NS_PER_S));
    }
}

/* ---------------------------------------------------------------- the interface */

static int open_parts(struct source *s)
{
    const struct source_options *o = &s->options;
    int r = places_new(o->roots, o->root_count, &s->places);

    if (r == 0)
        r = owners_new(&s->owners);
    if (r == 0)
        r = dirty_new(SOURCE_QUIET_MS * NS_PER_MS, o->set->max_delay, &s->dirty);
    if (r == 0)
        r = loop_add_timer(o->loop, on_step, s, &s->step_timer);
    if (r == 0)
        r = loop_add_timer(o->loop, on_due, s, &s->due_timer);
    if (r == 0)
        r = loop_add_timer(o->loop, on_rescan, s, &s->rescan_timer);
    return r;
}

int source_new(const struct source_options *options, const struct source_events *events, void *userdata,
               struct source **source)
{
    struct source *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->options = *options;
    s->events = *events;
    s->userdata = userdata;
    s->tree = options->tree;
    s->hasher = options->hasher;
    walk_init(&s->scan.walk);
    build_init(s);
    const int r = open_parts(s);
    if (r < 0) {
        source_free(s);
        return r;
    }
    *source = s;
    return 0;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    source_set_mode(s, SOURCE_OFF);
    loop_remove(s->step_timer);
    loop_remove(s->due_timer);
    loop_remove(s->rescan_timer);
    build_free(s);
    dirty_free(s->dirty);
    owners_free(s->owners);
    places_free(s->places);
    free(s);
}

void source_set_mode(struct source *s, enum source_mode mode)
{
    if (s->build.begun)
        build_end(s);
    scan_stop(s);
    watch_stop(s);
    forget_troubles(s);
    forget_peer_blocks(s);
    if (s->dirty) {
        dirty_free(s->dirty);
        s->dirty = NULL;
        if (dirty_new(SOURCE_QUIET_MS * NS_PER_MS, s->options.set->max_delay, &s->dirty) < 0)
            mode = SOURCE_OFF;
    }
    s->mode = mode;
    s->build.quiet = false;
    if (mode == SOURCE_OFF)
        return;
    if (mode == SOURCE_FOLLOW && s->options.watch)
        watch_start(s); /* if it cannot, what changes is found by looking, and that is told */
    scan_begin(s);
    s->scan.first = true;
    loop_set_timer(s->step_timer, 1);
}

void source_rescan(struct source *s)
{
    s->scan.again = true;
    if (s->mode != SOURCE_OFF)
        loop_set_timer(s->step_timer, 1);
}

void source_look(struct source *s)
{
    if (s->mode == SOURCE_FOLLOW)
        watch_drain(s);
}

bool source_scanning(const struct source *s)
{
    return s->scan.first;
}

uint64_t source_scanned(const struct source *s)
{
    return s->scan.looked;
}

void source_changed(struct source *s, struct sync_bytes path)
{
    source_mark(s, path, DIRTY_CONTENT | DIRTY_READ, DIRTY_NOW);
}

/* What the tree says of an entry must be what the peer has, or it would be taken for the base of a patch, or
 * as what a rename begins with. */
static void forget_entry(struct source *s, tree_node node, struct sync_bytes path, bool absent)
{
    struct tree_entry entry;

    tree_get(s->tree, node, &entry);
    if (absent || entry.type != SYNC_DIRECTORY)
        links_doubt_below(s, node, 0);
    if (absent) {
        tree_remove(s->tree, node);
        return;
    }
    entry.content = (struct sync_hash){0};
    entry.stat = (struct tree_stat){0};
    entry.mtime_ns = 0;
    tree_put(s->tree, path, &entry, NULL);
}

void source_touch(struct source *s, struct sync_bytes path, bool absent)
{
    const tree_node node = tree_find(s->tree, path);

    if (node)
        forget_entry(s, node, path, absent);
    /* What is absent is put because the tree does not have it: once, also if all in its directory is looked
     * at. */
    source_mark(s, path, DIRTY_NAME | DIRTY_CONTENT | (absent ? 0 : DIRTY_FORCE), DIRTY_NOW);
}

void source_surplus(struct source *s, struct sync_bytes path)
{
    source_mark(s, path, DIRTY_NAME | DIRTY_FORCE, DIRTY_NOW);
}

/* They were used, or are of another time. */
void source_drop_blocks(struct source *s, struct sync_bytes path)
{
    for (struct peer_blocks **at = &s->peer_blocks; *at; at = &(*at)->next) {
        struct peer_blocks *blocks = *at;
        if (!path_equal((struct sync_bytes){blocks->path, blocks->size}, path))
            continue;
        *at = blocks->next;
        free(blocks->hashes);
        free(blocks);
        return;
    }
}

int source_peer_blocks(struct source *s, struct sync_bytes path, uint32_t block,
                       const struct sync_hash *blocks, size_t count)
{
    source_drop_blocks(s, path);
    struct peer_blocks *made = malloc(sizeof *made + path.size);
    struct sync_hash *hashes = malloc(MAX(count, 1) * sizeof *hashes);

    if (!made || !hashes) {
        free(made);
        free(hashes);
        return -ENOMEM;
    }
    memcpy(hashes, blocks, count * sizeof *hashes);
    *made = (struct peer_blocks){
        .next = s->peer_blocks, .block = block, .count = count, .hashes = hashes, .size = path.size};
    memcpy(made->path, path.at, path.size);
    s->peer_blocks = made;
    return 0;
}

struct source_lag source_lag(const struct source *s)
{
    struct source_lag lag = {
        .files = dirty_files(s->dirty) + s->build.files,
        .bytes = dirty_bytes(s->dirty) + s->build.bytes,
        .oldest_ns = dirty_oldest_ns(s->dirty),
    };

    if (s->mode != SOURCE_FOLLOW)
        return (struct source_lag){0};
    if (s->build.begun && s->build.oldest_ns > 0)
        lag.oldest_ns = lag.oldest_ns > 0 ? MIN(lag.oldest_ns, s->build.oldest_ns) : s->build.oldest_ns;
    return lag;
}

int64_t source_due_ns(const struct source *s, bool urgent)
{
    return s->mode == SOURCE_FOLLOW && !s->scan.first ? dirty_due_ns(s->dirty, urgent) : 0;
}

int source_begin(struct source *s, int64_t now_ns, bool urgent)
{
    watch_drain(s);
    return build_begin(s, now_ns, urgent);
}

int source_fill(struct source *s, uint8_t *bytes, size_t room, size_t *used)
{
    return build_fill(s, bytes, room, used);
}

bool source_can_split(const struct source *s)
{
    return !s->build.reading;
}

bool source_is_sure(const struct source *s)
{
    return !dirty_is_forced(s->dirty);
}

void source_end(struct source *s)
{
    build_end(s);
    source_poke(s);
}
