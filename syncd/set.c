#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"
#include "syncd/syncd.h"

/* The cached tree spares a start the reading of everything: it is saved when nothing has changed for a while,
 * at the latest after some minutes, and never so often that it takes more than half a percent of the time. */
static const int64_t tree_quiet_ns = 3 * NS_PER_S, tree_every_ns = 300 * NS_PER_S;
enum { TREE_PAUSES = 200 };

void set_trouble(struct set *set, const char *format, ...)
{
    char text[sizeof set->trouble];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (strcmp(text, set->trouble) == 0)
        return;
    if (text[0] != '\0')
        log_warning("set %s: %s", set->config->name, text);
    else
        log_notice("set %s: that is over", set->config->name);
    text_copy(set->trouble, sizeof set->trouble, text);
    publish_soon(set);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ------------------------------------------------------------ what a source tells */

static tree_node database_of(const struct set *set, struct tree_entry *entry)
{
    const tree_node node = tree_find(set->tree, (struct sync_bytes){(const uint8_t *)"0", 1});

    if (node)
        tree_get(set->tree, node, entry);
    return node;
}

/* A database that only has another time than the peer's copy, as after a checkpoint, is that copy. True: it
 * is looked at once more. */
static bool is_time_set(struct set *set)
{
    struct tree_entry now;

    if (!set->time_due || source_scanning(set->source))
        return false;
    set->time_due = false;
    if (!database_of(set, &now) || !hash_equal(&now.content, &set->before) ||
        now.mtime_ns == set->before_mtime_ns)
        return false;
    const int64_t s = set->before_mtime_ns / NS_PER_S, ns = set->before_mtime_ns % NS_PER_S;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)s, .tv_nsec = (long)ns}};
    if (ns < 0 || utimensat(AT_FDCWD, set->config->sqlite, times, 0) < 0)
        return false;
    source_set_mode(set->source, SOURCE_LEARN);
    return true;
}

static void on_ready(void *userdata)
{
    struct set *set = userdata;

    if (is_time_set(set))
        return;

    if (!set->known && !source_scanning(set->source)) {
        set->known = true;
        if (set->syncd->active && set->source_open) {
            /* What differs from the peer is found by comparing; from now on what changes is seen. */
            source_set_mode(set->source, SOURCE_FOLLOW);
            return;
        }
    }
    if (!set->learned && !source_scanning(set->source)) {
        set->learned = true;
        set->saved_tree.known = false; /* where the entries are on the disk is in no hash */
        log_info("set %s: %" PRIu64 " entries looked at", set->config->name, source_scanned(set->source));
        exchange_tell_set(set);
        exchange_answer_set(set);
        publish_soon(set);
    }
    syncd_work_soon(set->syncd);
}

static void on_trouble(void *userdata, const char *path, const char *text)
{
    struct set *set = userdata;
    static struct log_limit limit;
    char other[PATH_MAX];

    if (text && log_allowed(&limit, 10))
        log_warning("set %s: %s: %s", set->config->name, path, text);
    if (!text && (text = source_trouble(set->source, other, sizeof other)) != NULL)
        path = other;
    set->untaken[0] = '\0';
    if (text)
        snprintf(set->untaken, sizeof set->untaken, "%.90s: %.98s", path, text);
    publish_soon(set);
}

static void on_snapshot(void *userdata)
{
    struct set *set = userdata;

    set->trouble_of_snapshot[0] = '\0';
    set->snapshot_waits = true;
    if (!set->source_open) {
        set->source_open = set->known = true;
        source_set_mode(set->source, SOURCE_FOLLOW);
        return;
    }
    source_changed(set->source, (struct sync_bytes){(const uint8_t *)"0", 1});
    syncd_work_soon(set->syncd);
}

static void on_snapshot_failed(void *userdata, const char *text)
{
    struct set *set = userdata;

    text_copy(set->trouble_of_snapshot, sizeof set->trouble_of_snapshot, text ? text : "");
    if (text)
        log_warning("set %s: no snapshot: %s", set->config->name, text);
    publish_soon(set);
}

/* Passive: what lies there is now as whole as it can be made. */
static void on_settled(void *userdata, const char *text)
{
    struct set *set = userdata;

    if (text)
        log_warning("set %s: %s", set->config->name, text);
    struct tree_entry known;

    set->time_due = set->config->sqlite[0] != '\0' && database_of(set, &known);
    if (set->time_due) {
        set->before = known.content;
        set->before_mtime_ns = known.mtime_ns;
    }
    set->source_open = true;
    source_set_mode(set->source, SOURCE_LEARN);
}

/* ----------------------------------------------------------------------- opening */

static bool is_database(const struct set *set)
{
    return set->config->sqlite[0] != '\0' || set->config->dump.count > 0;
}

/* What both nodes must have in common: the paths and how they are read. */
static struct sync_hash hash_of_configuration(const struct set *set)
{
    char text[3 * PATH_MAX];
    size_t used = 0;
    struct sync_hash hash = {0};
    const struct config_strings *lists[] = {&set->config->paths, &set->config->exclude};

    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        for (size_t k = 0; k < lists[i]->count; k++) {
            const struct sync_hash one =
                hash_bytes(set->syncd->hasher, lists[i]->items[k], strlen(lists[i]->items[k]));
            if (used + sizeof one + 1 < sizeof text) {
                text[used++] = (char)('0' + i);
                memcpy(text + used, one.bytes, sizeof one);
                used += sizeof one;
            }
        }
    if (used + strlen(set->config->sqlite) < sizeof text) {
        memcpy(text + used, set->config->sqlite, strlen(set->config->sqlite));
        used += strlen(set->config->sqlite);
    }
    hash = hash_bytes(set->syncd->hasher, text, used);
    return hash;
}

static int choose_roots(struct set *set)
{
    const struct config_sync *config = set->config;

    set->root_count = config->paths.count > 0 ? config->paths.count : 1;
    set->roots = calloc(set->root_count, sizeof *set->roots);
    if (!set->roots)
        return -ENOMEM;
    for (size_t i = 0; i < config->paths.count; i++)
        set->roots[i] = config->paths.items[i];
    if (config->sqlite[0] != '\0')
        set->roots[0] = config->sqlite;
    else if (config->dump.count > 0)
        set->roots[0] = set->received_path;
    return 0;
}

static int open_source(struct set *set)
{
    static const struct source_events events = {on_ready, on_trouble};
    /* While active, a database is read from its snapshot; as it lies there while passive. */
    const bool from_snapshot = set->snapshot && set->syncd->active;

    set->snapshot_root = set->snapshot_path;
    const struct source_options options = {
        .loop = set->syncd->daemon.loop,
        .set = set->config,
        .hasher = set->syncd->hasher,
        .tree = set->tree,
        .roots = from_snapshot ? &set->snapshot_root : set->roots,
        .root_count = set->root_count,
        .block = is_database(set) ? SYNC_BLOCK_SMALL : SYNC_BLOCK,
        .watch = !is_database(set),
    };
    return source_new(&options, &events, set, &set->source);
}

static int open_replica(struct set *set)
{
    char error[256] = "";
    const struct replica_options options = {
        .set = set->config,
        .hasher = set->syncd->hasher,
        .tree = set->tree,
        .roots = set->roots,
        .root_count = set->root_count,
        .block = is_database(set) ? SYNC_BLOCK_SMALL : SYNC_BLOCK,
        .database = set->config->sqlite[0] != '\0',
        .state_dir = set->directory,
        .conflicts = set->conflicts,
        .switch_lock = set->switch_lock,
        .node = set->syncd->daemon.node,
    };
    const int r = replica_open(&options, &set->replica, error, sizeof error);

    if (r == -EUCLEAN) {
        log_error("set %s: its state in %s is damaged (%s); it begins as if new", set->config->name,
                  set->directory, error);
        return 0;
    }
    if (r < 0)
        log_error("set %s: cannot open its state in %s: %s: %s", set->config->name, set->directory, error,
                  strerror(-r));
    return r;
}

static void name_paths(struct set *set)
{
    const struct syncd *s = set->syncd;

    snprintf(set->directory, sizeof set->directory, "%.2000s/set/%s", s->daemon.state_dir, set->config->name);
    snprintf(set->snapshot_path, sizeof set->snapshot_path, "%s/snapshot", set->directory);
    snprintf(set->received_path, sizeof set->received_path, "%s/received", set->directory);
    snprintf(set->lineage_path, sizeof set->lineage_path, "%s/lineage", set->directory);
    snprintf(set->tree_path, sizeof set->tree_path, "%s/tree", set->directory);
    snprintf(set->stage_view, sizeof set->stage_view, "%s/view", set->directory);
    snprintf(set->switch_lock, sizeof set->switch_lock, "%.2000s/switch", s->daemon.state_dir);
    snprintf(set->conflicts, sizeof set->conflicts, "%.2000s/../conflicts/%s", s->daemon.state_dir,
             set->config->name);
}

static int set_open(struct set *set)
{
    static const struct snapshot_events events = {on_snapshot, on_snapshot_failed, on_settled};
    struct syncd *s = set->syncd;

    name_paths(set);
    set->roots_hash = hash_of_configuration(set);
    set->sending.raw = malloc(SYNC_RAW_MAX);
    int r = set->sending.raw ? make_directories(set->directory, 0700) : -ENOMEM;
    if (r == 0)
        r = choose_roots(set);
    if (r == 0)
        r = digest_new(&set->sending.digest);
    if (r == 0)
        r = tree_new(s->hasher, &set->tree);
    if (r == 0) {
        lineage_load(&set->lineage, set->lineage_path);
        const int loaded = tree_file_load(set->tree, set->tree_path);
        if (loaded < 0 && loaded != -ENOENT)
            log_info("set %s: the cached tree is of no use (%s): everything is read again", set->config->name,
                     strerror(-loaded));
        r = open_replica(set);
        /* What the journal brought into it may be hashed with another key. */
        if (loaded < 0)
            tree_clear(set->tree);
    }
    if (r == 0 && is_database(set))
        r = snapshot_new(s->daemon.loop, set->config, set->snapshot_path, &events, set, &set->snapshot);
    if (r == 0)
        r = open_source(set);
    if (r < 0)
        log_error("set %s: cannot be opened: %s", set->config->name, strerror(-r));
    else
        s->counter = MAX(s->counter, replica_state(set->replica).generation.counter);
    return r;
}

int sets_open(struct syncd *s)
{
    s->set_count = s->daemon.config->sync_count;
    s->sets = calloc(s->set_count + 1, sizeof *s->sets);
    int r = s->sets ? 0 : -ENOMEM;
    for (size_t i = 0; i < s->set_count && r == 0; i++) {
        s->sets[i].syncd = s;
        s->sets[i].number = (uint16_t)i;
        s->sets[i].config = &s->daemon.config->syncs[i];
        r = set_open(&s->sets[i]);
    }
    return r;
}

void set_add_lineage(struct set *set, uint64_t epoch)
{
    bool news = lineage_add(&set->lineage, epoch);

    for (size_t i = 0; i < set->peer_log_count && !set->syncd->active; i++)
        news = lineage_add(&set->lineage, set->peer_log[i].generation.epoch) || news;
    const int r = news ? lineage_save(&set->lineage, set->lineage_path) : 0;
    if (r < 0)
        log_warning("set %s: cannot write %s: %s", set->config->name, set->lineage_path, strerror(-r));
}

static bool is_tree_due(struct set *set, int64_t now_ns)
{
    struct saved_tree *saved = &set->saved_tree;
    const struct sync_hash now = tree_root_hash(set->tree);

    if (!hash_equal(&now, &saved->seen)) {
        saved->seen = now;
        saved->seen_ns = now_ns;
    }
    if (saved->known && hash_equal(&now, &saved->hash))
        return false;
    return now_ns - saved->at_ns >= tree_every_ns || (now_ns - saved->seen_ns >= tree_quiet_ns &&
                                                      now_ns - saved->at_ns >= TREE_PAUSES * saved->cost_ns);
}

void set_save_tree(struct set *set, bool always)
{
    const int64_t now = clock_now_ns();

    /* In the middle of a generation the tree is neither the one nor the other. */
    if (!set->learned || set->stage == SET_SENDING || set->receiving.switching ||
        (!is_tree_due(set, now) && !always))
        return;
    const int r = tree_file_save(set->tree, set->tree_path);
    if (r < 0)
        log_warning("set %s: cannot save the tree to %s: %s; the next start reads everything again",
                    set->config->name, set->tree_path, strerror(-r));
    set->saved_tree.hash = tree_root_hash(set->tree);
    set->saved_tree.known = true;
    set->saved_tree.at_ns = clock_now_ns();
    set->saved_tree.cost_ns = set->saved_tree.at_ns - now;
}

static void set_close(struct set *set)
{
    set_save_tree(set, true);
    child_kill(set->receiving.validating);
    child_kill(set->receiving.applying);
    compare_end(set);
    verify_end(set);
    snapshot_free(set->snapshot);
    source_free(set->source);
    replica_close(set->replica);
    tree_free(set->tree);
    digest_free(set->sending.digest);
    free(set->sending.raw);
    free(set->roots);
}

void sets_close(struct syncd *s)
{
    for (size_t i = 0; s->sets && i < s->set_count; i++)
        set_close(&s->sets[i]);
    free(s->sets);
}

/* ---------------------------------------------------------------------- the role */

/* While active, everything of this epoch comes from here. A set of a pair that never had an active node
 * begins with what is there (R14). */
static void take_position(struct set *set)
{
    const struct syncd *s = set->syncd;
    const struct replica_state state = replica_state(set->replica);
    const struct sync_generation own = {s->epoch, MAX(s->counter, state.generation.counter)};
    const bool fresh = state.generation.epoch == 0;
    const int r = replica_set_position(set->replica, own, state.whole || fresh || s->forced, false);

    if (r < 0)
        set_trouble(set, "cannot write its position: %s", strerror(-r));
    set_add_lineage(set, s->epoch);
}

void set_role(struct set *set)
{
    struct syncd *s = set->syncd;

    receiver_finish(set);
    sender_begin_role(set);
    set->time_due = false;
    receiver_begin_role(set);
    set->learned = set->all_new = false;
    set->untaken[0] = '\0';            /* of another source */
    set->source_open = !set->snapshot; /* of a database: when there is a copy, or it has settled */
    if (s->active)
        take_position(set);
    if (set->snapshot && s->active)
        snapshot_start(set->snapshot);
    else if (set->snapshot) {
        snapshot_stop(set->snapshot);
        snapshot_settle(set->snapshot);
    }
    source_free(set->source);
    set->source = NULL;
    if (open_source(set) < 0) {
        log_error("set %s: out of memory", set->config->name);
        loop_exit(s->daemon.loop, EXIT_FAILURE);
        return;
    }
    if (set->source_open)
        source_set_mode(set->source, s->active && set->known ? SOURCE_FOLLOW : SOURCE_LEARN);
    publish_soon(set);
}
