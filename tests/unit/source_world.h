/* source_world: a source on a real file system, and a receiver of what it yields; for its tests. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sys/mman.h>
#include "common/clock.h"
#include "syncd/source.h"
#include "tests/unit/sync_copy.h"

static struct {
    char top[64], from[96], to[96];
    struct loop *loop;
    struct hasher *hasher;
    struct config_sync set;
    const char *root, *copied_root;
    struct tree *tree, *copied_tree;
    struct source *source;
    struct copy copy;
    size_t troubles, troubles_over;
    uint8_t batch[SYNC_RAW_MAX];
} w;

__attribute__((unused)) static void on_ready(void *userdata)
{
    (void)userdata;
}

__attribute__((unused)) static void on_trouble(void *userdata, const char *path, const char *text)
{
    (void)userdata, (void)path;
    w.troubles += text != NULL;
    w.troubles_over += text == NULL;
}

static const struct source_events events = {on_ready, on_trouble};

__attribute__((unused)) static void turn(int64_t for_ns)
{
    for (const int64_t end = clock_now_ns() + for_ns; clock_now_ns() < end;)
        assert_int_equal(loop_turn(w.loop, NS_PER_MS), 0);
}

__attribute__((unused)) static void turn_until_scanned(struct source *source)
{
    while (source_scanning(source))
        assert_int_equal(loop_turn(w.loop, NS_PER_MS), 0);
}

__attribute__((unused)) static struct source *open_source(const char *const *root, struct tree *tree)
{
    const struct source_options options = {.loop = w.loop,
                                           .set = &w.set,
                                           .hasher = w.hasher,
                                           .tree = tree,
                                           .roots = root,
                                           .root_count = 1,
                                           .block = SYNC_BLOCK,
                                           .watch = true};
    struct source *source;

    assert_int_equal(source_new(&options, &events, NULL, &source), 0);
    return source;
}

__attribute__((unused)) static int begin(void **state)
{
    static const uint8_t key[32] = "a key of 32 bytes for this test";

    (void)state;
    memset(&w, 0, sizeof w);
    snprintf(w.top, sizeof w.top, "/tmp/duet-source-XXXXXX");
    assert_non_null(mkdtemp(w.top));
    snprintf(w.from, sizeof w.from, "%s/from", w.top);
    snprintf(w.copy.top, sizeof w.copy.top, "%s/to", w.top);
    snprintf(w.to, sizeof w.to, "%s/to/0", w.top);
    mkdir(w.from, 0755), mkdir(w.copy.top, 0755);
    w.root = w.from;
    w.copied_root = w.to;
    w.set.max_delay = NS_PER_S;
    assert_int_equal(loop_new(&w.loop), 0);
    assert_int_equal(hasher_new(key, &w.hasher), 0);
    assert_int_equal(tree_new(w.hasher, &w.tree), 0);
    assert_int_equal(tree_new(w.hasher, &w.copied_tree), 0);
    w.source = open_source(&w.root, w.tree);
    return 0;
}

__attribute__((unused)) static int end(void **state)
{
    (void)state;
    source_free(w.source);
    tree_free(w.tree);
    tree_free(w.copied_tree);
    hasher_free(w.hasher);
    loop_free(w.loop);
    copy_remove(w.top);
    return 0;
}

__attribute__((unused)) static void follow(void)
{
    source_set_mode(w.source, SOURCE_FOLLOW);
    turn_until_scanned(w.source);
}

/* A whole generation; its operations are carried out. Their bytes. */
__attribute__((unused)) static size_t generation(bool urgent)
{
    size_t all = 0;
    int r = source_begin(w.source, clock_now_ns(), urgent);

    assert_int_equal(r, 0);
    do {
        size_t used = 0;
        r = source_fill(w.source, w.batch, sizeof w.batch, &used);
        assert_true(r >= 0);
        assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
        all += used;
    } while (r == 1);
    source_end(w.source);
    return all;
}

/* Everything that waits, until nothing does. */
__attribute__((unused)) static void catch_up(void)
{
    turn(20 * NS_PER_MS);
    for (int i = 0; i < 50 && source_due_ns(w.source, true) > 0; i++) {
        generation(true);
        turn(30 * NS_PER_MS);
    }
    assert_int_equal(source_due_ns(w.source, true), 0);
}

/* A tree of what is there, found anew: nothing of it comes from the tree that the source keeps. */
__attribute__((unused)) static void assert_is(const struct tree *tree, const char *const *root, const char *who)
{
    const struct sync_hash one = tree_root_hash(tree);
    struct tree *fresh;

    assert_int_equal(tree_new(w.hasher, &fresh), 0);
    struct source *learner = open_source(root, fresh);
    source_set_mode(learner, SOURCE_LEARN);
    turn_until_scanned(learner);
    source_free(learner);
    const struct sync_hash other = tree_root_hash(fresh);
    if (!hash_equal(&one, &other)) {
        show_differences(tree, fresh, "the tree");
        show_differences(fresh, tree, who);
        fail_msg("%s is not what the tree says", who);
    }
    assert_int_equal(tree_entries(tree), tree_entries(fresh));
    tree_free(fresh);
}

/* What the daemon does after a generation that the peer did not take: the trees are compared. */
__attribute__((unused)) static void compare(void)
{
    uint8_t path[SYNC_PATH_MAX];
    struct tree *peer;

    assert_int_equal(tree_new(w.hasher, &peer), 0);
    struct source *learner = open_source(&w.copied_root, peer);
    source_set_mode(learner, SOURCE_LEARN);
    turn_until_scanned(learner);
    source_free(learner);
    for (unsigned bucket = 0; bucket < SYNC_BUCKETS; bucket++) {
        for (tree_node node = 0, next = tree_in_bucket(w.tree, bucket, 0); (node = next) != 0;) {
            next = tree_in_bucket(w.tree, bucket, node);
            const struct sync_bytes name = {path, tree_path(w.tree, node, path)};
            const tree_node there = tree_find(peer, name);
            const struct sync_hash a = tree_entry_hash(w.tree, node),
                                   b = there ? tree_entry_hash(peer, there) : (struct sync_hash){0};
            if (!hash_equal(&a, &b))
                source_touch(w.source, name, there == 0);
        }
        for (tree_node node = 0; (node = tree_in_bucket(peer, bucket, node)) != 0;) {
            const struct sync_bytes name = {path, tree_path(peer, node, path)};
            if (tree_find(w.tree, name) == 0)
                source_surplus(w.source, name);
        }
    }
    tree_free(peer);
}

__attribute__((unused)) static void assert_same(void)
{
    assert_is(w.tree, &w.root, "the source");
    assert_is(w.tree, &w.copied_root, "the copy");
}

__attribute__((unused)) static char *in(const char *name)
{
    static char path[8][PATH_MAX];
    static int at;

    at = (at + 1) % 8;
    snprintf(path[at], PATH_MAX, "%s/%s", w.from, name);
    return path[at];
}

__attribute__((unused)) static void put(const char *name, const void *bytes, size_t size)
{
    const int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

__attribute__((unused)) static void random_bytes(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random();
}

__attribute__((unused)) static void put_big(const char *name, size_t size)
{
    uint8_t *bytes = malloc(size);

    random_bytes(bytes, size);
    put(name, bytes, size);
    free(bytes);
}

__attribute__((unused)) static void fill_to_the_end(void)
{
    int r;

    do {
        size_t used = 0;
        r = source_fill(w.source, w.batch, sizeof w.batch, &used);
        assert_true(r >= 0);
        assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
    } while (r == 1);
    source_end(w.source);
}
