/* The passive node takes generations of a set: into the replica, validated, switched to, told.
 *
 * While a generation is being switched to or validated, what comes for this set waits in a queue (its length
 * is bounded by the credit that the sender has). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "syncd/syncd.h"

struct pending {
    struct pending *next;
    int64_t arrived_ns;
    size_t size;
    uint8_t bytes[];
};

static const int64_t command_time_ns = 60 * NS_PER_S;

static void drop_pending(struct receiving *r)
{
    while (r->pending) {
        struct pending *first = r->pending;
        r->pending = first->next;
        free(first);
    }
    r->pending_end = &r->pending;
    r->pending_count = 0;
}

/* This node serves from now on: what is durable is switched to at once, what is not validated is given up. */
void receiver_finish(struct set *set)
{
    struct receiving *r = &set->receiving;

    if (r->validating) {
        child_kill(r->validating);
        r->validating = NULL;
        replica_refuse(set->replica);
    }
    if (r->switching)
        replica_hurry(set->replica);
    while (r->switching) {
        const int done = replica_switch(set->replica);
        r->switching = done > 0;
        if (done < 0)
            log_error("set %s: the latest generation could not be switched to: %s", set->config->name,
                      replica_error(set->replica));
        else if (done == 0)
            receiver_apply_command(set);
    }
}

void receiver_reset(struct set *set)
{
    struct receiving *r = &set->receiving;

    drop_pending(r);
    if (r->begun)
        replica_abort(set->replica);
    r->begun = r->failed = r->restore = false;
    set->restoring.on = false;
    set->answer_due = false;
}

void receiver_doubt(struct set *set)
{
    if (set->behind_since_ns == 0)
        set->behind_since_ns = set->as_of_ns;
}

static void answer(struct set *set, enum sync_fate fate, const char *text)
{
    struct sync_message m = {.header.kind = SYNC_ACK};

    m.ack.generation = set->receiving.generation;
    m.ack.fate = fate;
    m.ack.text = (struct sync_bytes){(const uint8_t *)text, MIN(strlen(text), (size_t)SYNC_TEXT_MAX - 1)};
    exchange_send(set->syncd, set, &m);
}

/* The generation is given up; what still comes of it is ignored. */
static void fail(struct set *set, int r)
{
    struct receiving *g = &set->receiving;
    const char *error = replica_error(set->replica);
    const enum sync_fate fate = r == -ENOSPC || r == -EDQUOT ? SYNC_FULL : SYNC_AGAIN;

    if (fate == SYNC_FULL)
        set_trouble(set, "no room for the latest generation, the one before it stays: %s; make room", error);
    else if (r == -EBADMSG)
        set_trouble(set, "the peer's syncd sent operations that are not clean: %s; nothing of them was kept",
                    error);
    else if (r == -ESTALE)
        log_info("set %s: a generation was made of something else than is here: %s", set->config->name,
                 error);
    else
        set_trouble(set, "the latest generation could not be taken: %s", error);
    g->begun = false;
    g->failed = true;
    answer(set, fate, error);
}

/* ------------------------------------------------------------- the commands */

/* A copy that is not in the database is of no use to anybody: the server may just be starting. */
static void note_restored(struct set *set, bool well)
{
    struct receiving *r = &set->receiving;

    if (well && r->restore_failures > 0)
        set_trouble(set, "%s", "");
    r->restore_failures = well ? 0 : r->restore_failures + 1;
    r->restore_again_ns = well || set->syncd->active
                              ? 0
                              : clock_now_ns() + backoff_ns(NS_PER_S, r->restore_failures, 60 * NS_PER_S);
}

static void on_applied_command(void *userdata, bool well, const char *text)
{
    struct set *set = userdata;

    set->receiving.applying = NULL;
    if (!well)
        set_trouble(set, "%s", text);
    if (set->config->restore.count > 0)
        note_restored(set, well);
    if (set->receiving.apply_again)
        receiver_apply_command(set);
}

/* `apply`, or `restore` of a dump, for the generation that is there now. */
void receiver_apply_command(struct set *set)
{
    const struct config_sync *config = set->config;
    const struct config_strings *command = config->restore.count > 0 ? &config->restore : &config->apply;
    char name[64], generation[64], file[PATH_MAX + 16];
    const struct sync_generation now = replica_state(set->replica).generation;

    set->receiving.apply_again = set->receiving.applying != NULL;
    if (command->count == 0 || set->receiving.applying)
        return;
    snprintf(name, sizeof name, "DUET_SET=%s", config->name);
    snprintf(generation, sizeof generation, "DUET_GENERATION=%" PRIu64 ".%" PRIu64, now.epoch, now.counter);
    snprintf(file, sizeof file, "DUET_FILE=%s", set->roots[0]);
    const char *const environment[] = {name, generation, file, NULL};
    const int r = child_start(set->syncd->daemon.loop, command, environment, NULL,
                              config->restore.count > 0 ? set->roots[0] : NULL, command_time_ns,
                              on_applied_command, set, &set->receiving.applying);
    if (r < 0)
        set_trouble(set, "cannot start %s: %s", command->items[0], strerror(-r));
}

/* Whether the copy that is here was restored is not known of another process's time. It is the peer's, or
 * nothing is done: what this node had as the active one is newer. */
void receiver_begin_role(struct set *set)
{
    struct receiving *r = &set->receiving;
    struct sync_log_entry last;
    const bool first = !set->had_role, received = replica_log(set->replica, &last, 1) == 1;

    set->had_role = true;
    if (set->syncd->active && r->restore_failures > 0)
        log_warning("set %s: the latest copy was never restored: this node serves with what its database has",
                    set->config->name);
    r->restore_failures = 0;
    r->restore_again_ns =
        first && received && !set->syncd->active && set->config->restore.count > 0 ? clock_now_ns() : 0;
}

void receiver_check(struct set *set, int64_t now_ns)
{
    const struct receiving *r = &set->receiving;

    if (r->restore_again_ns > 0 && now_ns >= r->restore_again_ns && !r->applying && !r->switching)
        receiver_apply_command(set);
}

static void begin_switch(struct set *set)
{
    answer(set, SYNC_DURABLE, "");
    set->receiving.switching = true;
    syncd_work_soon(set->syncd);
}

static void on_validated(void *userdata, bool well, const char *text)
{
    struct set *set = userdata;

    set->receiving.validating = NULL;
    remove_tree(set->stage_view);
    if (well) {
        begin_switch(set);
    } else {
        replica_refuse(set->replica);
        set_trouble(set, "the latest generation was refused, the one before it stays: %s", text);
        set->refused = true;
        answer(set, SYNC_REFUSED, text);
        set->receiving.failed = true;
        drop_pending(&set->receiving); /* made from the one that was refused */
    }
    exchange_answer_set(set);
    syncd_work_soon(set->syncd);
}

static int validate(struct set *set)
{
    char name[64], view[PATH_MAX + 16];

    remove_tree(set->stage_view);
    const int r = replica_stage_view(set->replica, set->stage_view);
    if (r < 0)
        return r;
    snprintf(name, sizeof name, "DUET_SET=%s", set->config->name);
    snprintf(view, sizeof view, "DUET_STAGED=%s", set->stage_view);
    const char *const environment[] = {name, view, NULL};
    return child_start(set->syncd->daemon.loop, &set->config->validate, environment, set->stage_view, NULL,
                       command_time_ns, on_validated, set, &set->receiving.validating);
}

/* ------------------------------------------------------------- a generation */

static void on_begin(struct set *set, const struct sync_message *m)
{
    struct receiving *g = &set->receiving;
    const struct replica_state state = replica_state(set->replica);

    if (g->begun)
        replica_abort(set->replica);
    g->generation = m->begin.generation;
    g->failed = false;
    g->files = m->begin.files;
    g->bytes = m->begin.bytes;
    set->done_bytes = 0;
    set->began_ns = clock_now_ns();
    if (!m->begin.restore && sync_generation_compare(m->begin.base, state.generation) != 0) {
        g->failed = true;
        answer(set, SYNC_AGAIN, "it is made from another generation than this node has");
        return;
    }
    set->syncd->counter = MAX(set->syncd->counter, g->generation.counter);
    const int r = replica_begin(set->replica, m->begin.generation, m->begin.partial);
    if (r < 0) {
        fail(set, r);
        return;
    }
    g->begun = true;
    publish_soon(set);
}

static void on_batch(struct set *set, const struct sync_message *m)
{
    struct syncd *s = set->syncd;
    struct receiving *g = &set->receiving;
    struct sync_message credit = {.header.kind = SYNC_CREDIT, .credit = m->batch.raw_size};
    const uint8_t *raw = m->batch.operations.at;
    int r = 0;

    if (g->begun && m->batch.compressed) {
        r = packer_expand(s->packer, m->batch.operations.at, m->batch.operations.size, s->unpacked,
                          m->batch.raw_size);
        raw = s->unpacked;
    }
    if (g->begun && r == 0)
        r = replica_batch(set->replica, raw, m->batch.raw_size);
    if (r < 0)
        fail(set, r);
    set->done_bytes += m->batch.raw_size;
    exchange_send(s, set, &credit);
}

static void on_commit(struct set *set, const struct sync_message *m)
{
    struct receiving *g = &set->receiving;

    if (!g->begun)
        return;
    g->whole = m->commit.whole;
    const int r = replica_commit(set->replica, m->commit.digest, &m->commit.tree, m->commit.whole);
    if (r < 0) {
        fail(set, r);
        return;
    }
    g->begun = false;
    if (set->config->validate.count == 0 || g->restore) {
        begin_switch(set);
        return;
    }
    const int started = validate(set);
    if (started < 0) {
        char text[SYNC_TEXT_MAX];
        snprintf(text, sizeof text, "validate could not be run: %s", strerror(-started));
        on_validated(set, false, text);
    }
}

static void switched(struct set *set)
{
    struct receiving *g = &set->receiving;

    g->switching = false;
    set->began_ns = 0;
    answer(set, SYNC_APPLIED, "");
    set->refused = false;
    set_trouble(set, "%s", "");
    if (g->whole)
        replica_set_diverged(set->replica, false);
    set_add_lineage(set, g->generation.epoch);
    receiver_apply_command(set);
    if (g->restore)
        restore_arrived(set);
    exchange_answer_set(set);
    publish_soon(set);
}

static void on_lag(struct set *set, const struct sync_message *m)
{
    const int64_t told_ns = set->arrived_ns;

    set->behind_files = m->lag.files;
    set->behind_bytes = m->lag.bytes;
    set->behind_since_ns = m->lag.age_us > 0 ? told_ns - (int64_t)m->lag.age_us * NS_PER_US : 0;
    set->as_of_ns = m->lag.age_us > 0 ? set->behind_since_ns : told_ns;
    publish_soon(set);
}

static void take(struct set *set, const struct sync_message *m)
{
    switch (m->header.kind) {
    case SYNC_ASK:
        receiver_answer(set, m);
        break;
    case SYNC_BEGIN:
        on_begin(set, m);
        break;
    case SYNC_BATCH:
        on_batch(set, m);
        break;
    case SYNC_COMMIT:
        on_commit(set, m);
        break;
    case SYNC_ABORT:
        receiver_reset(set);
        break;
    case SYNC_LAG:
        on_lag(set, m);
        break;
    case SYNC_RESTORE:
        restore_asked(set, m->restore);
        break;
    default:
        break;
    }
}

static bool is_busy(const struct receiving *r)
{
    return r->switching || r->validating;
}

void receiver_message(struct set *set, const struct sync_message *m, const uint8_t *bytes, size_t size)
{
    struct receiving *r = &set->receiving;

    set->arrived_ns = clock_now_ns();
    if (!is_busy(r) && !r->pending) {
        take(set, m);
        return;
    }
    struct pending *pending = r->pending_count < PENDING_MAX ? malloc(sizeof *pending + size) : NULL;
    if (!pending) {
        log_error("set %s: too many messages wait for a generation to be switched to", set->config->name);
        receiver_reset(set);
        answer(set, SYNC_AGAIN, "too many messages waited");
        return;
    }
    *pending = (struct pending){.arrived_ns = set->arrived_ns, .size = size};
    memcpy(pending->bytes, bytes, size);
    if (!r->pending)
        r->pending_end = &r->pending;
    *r->pending_end = pending;
    r->pending_end = &pending->next;
    r->pending_count++;
}

static void take_pending(struct set *set)
{
    struct receiving *r = &set->receiving;
    struct pending *first = r->pending;
    struct sync_message m;

    r->pending = first->next;
    if (!r->pending)
        r->pending_end = &r->pending;
    r->pending_count--;
    set->arrived_ns = first->arrived_ns;
    if (sync_parse(first->bytes, first->size, &m) == 0)
        take(set, &m);
    free(first);
}

/* A switch that failed half way: the tree is brought up to what is on the disk before anything is compared.
 */
static void learn_again(struct set *set)
{
    set->learned = false;
    source_set_mode(set->source, SOURCE_LEARN);
}

void receiver_rest(struct set *set, int64_t now_ns)
{
    static struct log_limit limit;

    if (!set->syncd->active && replica_rest(set->replica, now_ns) < 0 && log_allowed(&limit, 3))
        log_warning("set %s: %s", set->config->name, replica_error(set->replica));
}

bool receiver_work(struct set *set, int64_t now_ns)
{
    struct receiving *r = &set->receiving;

    (void)now_ns;
    if (r->switching) {
        const int done = replica_switch(set->replica);
        if (done == 0)
            switched(set);
        else if (done < 0) {
            r->switching = false;
            fail(set, done);
            learn_again(set);
        }
        return done > 0 || r->pending;
    }
    if (r->validating || !r->pending)
        return false;
    take_pending(set);
    return r->pending || r->switching;
}

/* -------------------------------------------------------------- comparisons */

static void tell_hashes(struct set *set, int group)
{
    struct sync_message m = {.header.kind = SYNC_HASHES};
    struct sync_hash hashes[SYNC_FANOUT];

    tree_hashes(set->tree, group, hashes);
    m.hashes.root = group < 0;
    m.hashes.group = group < 0 ? 0 : (uint16_t)group;
    m.hashes.hashes = (struct sync_bytes){hashes[0].bytes, sizeof hashes};
    exchange_send(set->syncd, set, &m);
}

static void send_entries(struct set *set, unsigned bucket, const uint8_t *list, size_t size, size_t count,
                         bool more)
{
    struct sync_message m = {.header.kind = SYNC_ENTRIES};

    m.entries.bucket = (uint16_t)bucket;
    m.entries.more = more;
    m.entries.count = count;
    m.entries.list = (struct sync_bytes){list, size};
    exchange_send(set->syncd, set, &m);
}

static void tell_entries(struct set *set, unsigned bucket)
{
    uint8_t *const list = set->syncd->unpacked;
    uint8_t path[SYNC_PATH_MAX];
    size_t used = 0, count = 0;

    for (tree_node node = 0; (node = tree_in_bucket(set->tree, bucket, node)) != 0; count++) {
        const struct sync_bytes bytes = {path, tree_path(set->tree, node, path)};
        const struct sync_hash hash = tree_entry_hash(set->tree, node);
        if (sync_entry_pack(bytes, &hash, list, SYNC_RAW_MAX, &used) == 0)
            continue;
        send_entries(set, bucket, list, used, count, true);
        used = count = 0;
        sync_entry_pack(bytes, &hash, list, SYNC_RAW_MAX, &used);
    }
    send_entries(set, bucket, list, used, count, false);
}

static void tell_blocks(struct set *set, struct sync_bytes path)
{
    const size_t most = SYNC_RAW_MAX / SYNC_HASH_BYTES;
    const tree_node node = tree_find(set->tree, path);
    struct sync_message m = {.header.kind = SYNC_BLOCKS};
    struct tree_entry entry = {0};
    uint32_t block = 0;
    size_t count = 0, first = 0;
    const struct sync_hash *blocks = node ? tree_blocks(set->tree, node, &block, &count) : NULL;

    if (!blocks)
        count = 0;
    if (node)
        tree_get(set->tree, node, &entry);
    do {
        const size_t some = MIN(count - first, most);
        m.blocks.path = path;
        m.blocks.hash = entry.content;
        m.blocks.block = block ? block : SYNC_BLOCK;
        m.blocks.first = (uint32_t)first;
        m.blocks.more = first + some < count;
        m.blocks.hashes = (struct sync_bytes){blocks ? blocks[first].bytes : path.at, some * SYNC_HASH_BYTES};
        exchange_send(set->syncd, set, &m);
        first += some;
    } while (first < count);
}

void receiver_answer(struct set *set, const struct sync_message *m)
{
    switch (m->ask.what) {
    case SYNC_ASK_ROOT:
        tell_hashes(set, -1);
        break;
    case SYNC_ASK_GROUP:
        if (m->ask.index < SYNC_FANOUT)
            tell_hashes(set, m->ask.index);
        break;
    case SYNC_ASK_BUCKET:
        if (m->ask.index < SYNC_BUCKETS)
            tell_entries(set, m->ask.index);
        break;
    case SYNC_ASK_BLOCKS:
        tell_blocks(set, m->ask.path);
        break;
    }
}
