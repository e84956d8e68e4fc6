/* The active node finds out where the peer's set differs from what its own tree says of it: by hashes of
 * groups, then of buckets, then of the entries of a bucket; of big files it asks for the block hashes, so
 * that only changed blocks travel. What differs is dirty; the source does the rest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "syncd/paths.h"
#include "syncd/syncd.h"

/* A bucket whose entries are coming in: the nodes that are the same here. */
struct compare_bucket {
    struct compare_bucket *next;
    unsigned bucket;
    tree_node *same;
    size_t count, room;
};

/* A big file of which the peer's block hashes are wanted. */
struct compare_file {
    struct compare_file *next;
    struct sync_hash *blocks;
    size_t count;
    size_t path_size;
    uint8_t path[];
};

static void ask(struct set *set, enum sync_ask what, unsigned index, struct sync_bytes path)
{
    struct sync_message m = {.header.kind = SYNC_ASK};

    m.ask.what = what;
    m.ask.index = (uint16_t)index;
    m.ask.path = path;
    if (exchange_send(set->syncd, set, &m) == 0)
        set->comparing.asked++;
    else
        sender_again(set, "the link is full");
}

static void bucket_free(struct compare_bucket *bucket)
{
    free(bucket->same);
    free(bucket);
}

static void file_free(struct compare_file *file)
{
    free(file->blocks);
    free(file);
}

/* Only at the end: the tree that is compared stays the same until then. */
enum { IS_ABSENT = 1 };

static void note_different(struct set *set, struct sync_bytes path, bool absent)
{
    set->comparing.differing++;
    if (paths_add(&set->comparing.different, path, absent ? IS_ABSENT : 0) < 0)
        sender_again(set, "out of memory");
}

void compare_conclude(struct set *set)
{
    struct sync_bytes path;
    unsigned flags;

    while (paths_next(&set->comparing.different, &path, &flags))
        source_touch(set->source, path, flags & IS_ABSENT);
}

void compare_end(struct set *set)
{
    struct comparing *c = &set->comparing;

    paths_clear(&c->different);
    while (c->open) {
        struct compare_bucket *bucket = c->open;
        c->open = bucket->next;
        bucket_free(bucket);
    }
    while (c->files) {
        struct compare_file *file = c->files;
        c->files = file->next;
        file_free(file);
    }
    *c = (struct comparing){0};
}

/* Nothing of the peer's is known to be there: everything is new, but what is surplus there cannot be. */
static void all_is_new(struct set *set)
{
    source_set_mode(set->source, SOURCE_OFF);
    tree_clear(set->tree);
    set->stage = SET_UNREADY; /* goes on when the scan has ended */
    set->all_new = true;
    set->learned = false;
    source_set_mode(set->source, SOURCE_FOLLOW);
}

void compare_begin(struct set *set)
{
    const struct sync_hash own = tree_root_hash(set->tree);

    compare_end(set);
    sender_reset(set);
    set->stage = SET_COMPARING;
    if (hash_equal(&own, &set->peer_tree))
        sender_compared(set);
    else if (set->peer_entries == 0 && !set->all_new)
        all_is_new(set);
    else
        ask(set, SYNC_ASK_ROOT, 0, (struct sync_bytes){0});
}

static void ask_file(struct set *set)
{
    const struct compare_file *file = set->comparing.files;

    ask(set, SYNC_ASK_BLOCKS, 0, (struct sync_bytes){file->path, file->path_size});
}

/* The next questions, as many as may be under way. One group after the other; then the files. */
static void go_on(struct set *set)
{
    struct comparing *c = &set->comparing;
    struct sync_hash own[SYNC_FANOUT];

    while (set->stage == SET_COMPARING && c->group < SYNC_FANOUT) {
        if (!c->buckets_known) {
            tree_hashes(set->tree, -1, own);
            while (c->group < SYNC_FANOUT && hash_equal(&own[c->group], &c->groups[c->group]))
                c->group++;
            if (c->group < SYNC_FANOUT && c->asked == 0)
                ask(set, SYNC_ASK_GROUP, (unsigned)c->group, (struct sync_bytes){0});
            if (c->group < SYNC_FANOUT)
                return;
            break;
        }
        tree_hashes(set->tree, c->group, own);
        for (; c->bucket < SYNC_FANOUT && c->asked < ASKED_MAX; c->bucket++)
            if (!hash_equal(&own[c->bucket], &c->buckets[c->bucket]))
                ask(set, SYNC_ASK_BUCKET, (unsigned)(c->group * SYNC_FANOUT + c->bucket),
                    (struct sync_bytes){0});
        if (c->asked > 0)
            return;
        c->buckets_known = false;
        c->group++;
    }
    if (set->stage != SET_COMPARING || c->asked > 0)
        return;
    if (c->files)
        ask_file(set);
    else
        sender_compared(set);
}

void compare_hashes(struct set *set, const struct sync_message *m)
{
    struct comparing *c = &set->comparing;

    if (set->stage != SET_COMPARING || c->asked == 0)
        return;
    if (m->hashes.root && !c->groups_known) {
        memcpy(c->groups, m->hashes.hashes.at, sizeof c->groups);
        c->groups_known = true;
    } else if (c->groups_known && !c->buckets_known && m->hashes.group == c->group) {
        memcpy(c->buckets, m->hashes.hashes.at, sizeof c->buckets);
        c->buckets_known = true;
        c->bucket = 0;
    } else {
        return;
    }
    c->asked--;
    go_on(set);
}

static struct compare_bucket *open_bucket(struct comparing *c, unsigned number)
{
    for (struct compare_bucket *bucket = c->open; bucket; bucket = bucket->next)
        if (bucket->bucket == number)
            return bucket;
    struct compare_bucket *bucket = calloc(1, sizeof *bucket);
    if (bucket) {
        bucket->bucket = number;
        bucket->next = c->open;
        c->open = bucket;
    }
    return bucket;
}

static int note_same(struct compare_bucket *bucket, tree_node node)
{
    if (bucket->count == bucket->room) {
        const size_t room = bucket->room ? bucket->room * 2 : 64;
        tree_node *same = realloc(bucket->same, room * sizeof *same);
        if (!same)
            return -ENOMEM;
        bucket->same = same;
        bucket->room = room;
    }
    bucket->same[bucket->count++] = node;
    return 0;
}

static bool is_noted(const struct compare_bucket *bucket, tree_node node)
{
    for (size_t i = 0; i < bucket->count; i++)
        if (bucket->same[i] == node)
            return true;
    return false;
}

static void want_blocks(struct set *set, struct sync_bytes path)
{
    struct compare_file *file = calloc(1, sizeof *file + path.size);

    if (!file) {
        note_different(set, path, false);
        return;
    }
    file->path_size = path.size;
    memcpy(file->path, path.at, path.size);
    file->next = set->comparing.files;
    set->comparing.files = file;
}

static void compare_entry(struct set *set, struct compare_bucket *bucket, struct sync_bytes path,
                          const struct sync_hash *hash)
{
    const tree_node node = tree_find(set->tree, path);
    struct tree_entry entry;

    if (node == 0) {
        source_surplus(set->source, path);
        set->comparing.differing++;
        return;
    }
    const struct sync_hash own = tree_entry_hash(set->tree, node);
    const bool same = hash_equal(&own, hash);
    if (note_same(bucket, node) < 0 || same)
        return;
    tree_get(set->tree, node, &entry);
    if (entry.type == SYNC_FILE && entry.size > SYNC_INLINE_MAX)
        want_blocks(set, path);
    else
        note_different(set, path, false);
}

/* All entries of the bucket were told: what is only here is new to the peer. */
static void close_bucket(struct set *set, struct compare_bucket *bucket)
{
    uint8_t path[SYNC_PATH_MAX];

    for (tree_node node = 0; (node = tree_in_bucket(set->tree, bucket->bucket, node)) != 0;)
        if (!is_noted(bucket, node)) {
            const size_t size = tree_path(set->tree, node, path);
            note_different(set, (struct sync_bytes){path, size}, true);
        }
    struct compare_bucket **at = &set->comparing.open;
    while (*at != bucket)
        at = &(*at)->next;
    *at = bucket->next;
    bucket_free(bucket);
}

void compare_entries(struct set *set, const struct sync_message *m)
{
    struct comparing *c = &set->comparing;
    struct sync_bytes list = m->entries.list, path;
    struct sync_hash hash;

    if (set->stage != SET_COMPARING || c->asked == 0 || m->entries.bucket >= SYNC_BUCKETS)
        return;
    struct compare_bucket *bucket = open_bucket(c, m->entries.bucket);
    if (!bucket) {
        sender_again(set, "out of memory");
        return;
    }
    while (sync_entry_next(&list, &path, &hash) == 1)
        compare_entry(set, bucket, path, &hash);
    if (m->entries.more)
        return;
    close_bucket(set, bucket);
    c->asked--;
    go_on(set);
}

/* Collects the hashes of a file until all were told. */
static int collect_blocks(struct compare_file *file, const struct sync_message *m)
{
    const size_t more = m->blocks.hashes.size / SYNC_HASH_BYTES;

    if (m->blocks.first != file->count || file->count + more > SYNC_BLOCKS_MAX)
        return -EBADMSG;
    struct sync_hash *blocks = realloc(file->blocks, (file->count + more + 1) * sizeof *blocks);
    if (!blocks)
        return -ENOMEM;
    memcpy(blocks + file->count, m->blocks.hashes.at, more * sizeof *blocks);
    file->blocks = blocks;
    file->count += more;
    return 0;
}

void compare_blocks(struct set *set, const struct sync_message *m)
{
    struct comparing *c = &set->comparing;
    struct compare_file *file = c->files;

    if (set->stage != SET_COMPARING || c->asked == 0 || !file || m->blocks.path.size != file->path_size ||
        memcmp(m->blocks.path.at, file->path, file->path_size) != 0)
        return;
    const struct sync_bytes path = {file->path, file->path_size};
    const int r = collect_blocks(file, m);
    if (r == 0 && m->blocks.more)
        return;
    if (r == 0 && file->count > 0)
        source_peer_blocks(set->source, path, m->blocks.block, file->blocks, file->count);
    note_different(set, path, false);
    c->files = file->next;
    file_free(file);
    c->asked--;
    go_on(set);
}
