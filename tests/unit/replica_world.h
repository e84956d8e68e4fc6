/* replica_world: a replica on a real file system and a real source that feeds it; for their tests. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/clock.h"
#include "syncd/batch.h"
#include "syncd/replica.h"
#include "syncd/source.h"
#include "tests/unit/sync_copy.h"

static struct {
    char top[64], from[96], to[96], state[96], conflicts[96], lock[96];
    struct loop *loop;
    struct hasher *hasher;
    struct config_sync set;
    const char *root, *target;
    struct tree *tree, *held;
    struct source *source;
    struct replica *replica;
    struct digest *digest;
    uint64_t counter;
    struct {
        uint8_t *bytes;
        size_t size;
    } batches[256];
    size_t batch_count;
} w;

__attribute__((unused)) static void on_ready(void *userdata)
{
    (void)userdata;
}

__attribute__((unused)) static void on_trouble(void *userdata, const char *path, const char *text)
{
    (void)userdata, (void)path, (void)text;
}

static const struct source_events events = {on_ready, on_trouble};

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

__attribute__((unused)) static void turn(int64_t for_ns)
{
    for (const int64_t end = clock_now_ns() + for_ns; clock_now_ns() < end;)
        assert_int_equal(loop_turn(w.loop, NS_PER_MS), 0);
}

__attribute__((unused)) static void look_through(struct source *source, enum source_mode mode)
{
    source_set_mode(source, mode);
    while (source_scanning(source))
        assert_int_equal(loop_turn(w.loop, NS_PER_MS), 0);
}

/* What is on the disk of the receiver. */
__attribute__((unused)) static void learn(void)
{
    struct source *learner = open_source(&w.target, w.held);

    look_through(learner, SOURCE_LEARN);
    source_free(learner);
}

__attribute__((unused)) static void open_replica(void)
{
    char error[256] = "";
    const struct replica_options options = {.set = &w.set,
                                            .hasher = w.hasher,
                                            .tree = w.held,
                                            .roots = &w.target,
                                            .root_count = 1,
                                            .block = SYNC_BLOCK,
                                            .state_dir = w.state,
                                            .conflicts = w.conflicts,
                                            .switch_lock = w.lock,
                                            .node = "beta"};
    if (replica_open(&options, &w.replica, error, sizeof error) != 0)
        fail_msg("%s", error);
    learn();
}

/* What is sent lies in `from`; the receiver, with its state, in `on`. */
__attribute__((unused)) static void begin_at(const char *from, const char *on)
{
    static const uint8_t key[32] = "a key of 32 bytes for this test";

    snprintf(w.from, sizeof w.from, "%s", from);
    snprintf(w.to, sizeof w.to, "%s/to", on);
    snprintf(w.state, sizeof w.state, "%s/state", on);
    snprintf(w.conflicts, sizeof w.conflicts, "%s/conflicts", on);
    snprintf(w.lock, sizeof w.lock, "%s/switch", on);
    mkdir(w.from, 0755);
    w.root = w.from;
    w.target = w.to;
    w.set.max_delay = NS_PER_S;
    text_copy(w.set.name, sizeof w.set.name, "files");
    assert_int_equal(loop_new(&w.loop), 0);
    assert_int_equal(hasher_new(key, &w.hasher), 0);
    assert_int_equal(tree_new(w.hasher, &w.tree), 0);
    assert_int_equal(tree_new(w.hasher, &w.held), 0);
    assert_int_equal(digest_new(&w.digest), 0);
    w.source = open_source(&w.root, w.tree);
    open_replica();
}

__attribute__((unused)) static int begin(void **state)
{
    char from[96];

    (void)state;
    memset(&w, 0, sizeof w);
    snprintf(w.top, sizeof w.top, "/tmp/duet-replica-XXXXXX");
    assert_non_null(mkdtemp(w.top));
    snprintf(from, sizeof from, "%s/from", w.top);
    begin_at(from, w.top);
    return 0;
}

__attribute__((unused)) static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < w.batch_count; i++)
        free(w.batches[i].bytes);
    source_free(w.source);
    replica_close(w.replica);
    tree_free(w.tree);
    tree_free(w.held);
    digest_free(w.digest);
    hasher_free(w.hasher);
    loop_free(w.loop);
    copy_remove(w.top);
    return 0;
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

__attribute__((unused)) static void put_big(const char *name, size_t size)
{
    uint8_t *bytes = malloc(size);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random();
    put(name, bytes, size);
    free(bytes);
}

/* The operations of the next generation, and what there is then. */
__attribute__((unused)) static void take_generation(void)
{
    int r;

    for (size_t i = 0; i < w.batch_count; i++)
        free(w.batches[i].bytes);
    w.batch_count = 0;
    digest_begin(w.digest);
    turn(10 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    do {
        uint8_t *bytes = malloc(SYNC_RAW_MAX);
        size_t used = 0;
        r = source_fill(w.source, bytes, SYNC_RAW_MAX, &used);
        assert_true(r >= 0 && w.batch_count < 256);
        w.batches[w.batch_count].bytes = bytes;
        w.batches[w.batch_count++].size = used;
        digest_add(w.digest, bytes, used);
    } while (r == 1);
    source_end(w.source);
    w.counter++;
}

__attribute__((unused)) static int give(bool and_switch)
{
    const struct sync_generation generation = {1, w.counter};
    const struct sync_hash tree = tree_root_hash(w.tree);
    uint8_t digest[SYNC_DIGEST_BYTES];
    int r = replica_begin(w.replica, generation, false);

    digest_end(w.digest, digest);
    for (size_t i = 0; i < w.batch_count && r == 0; i++)
        r = replica_batch(w.replica, w.batches[i].bytes, w.batches[i].size);
    if (r == 0)
        r = replica_commit(w.replica, digest, &tree, true);
    while (r == 0 && and_switch && (r = replica_switch(w.replica)) == 1)
        r = 0;
    return r;
}

__attribute__((unused)) static void carry(void)
{
    take_generation();
    const int r = give(true);
    if (r != 0)
        fail_msg("%d: %s", r, replica_error(w.replica));
}

__attribute__((unused)) static bool same_as(const struct sync_hash *hash)
{
    const struct sync_hash held = tree_root_hash(w.held);

    return hash_equal(&held, hash);
}

__attribute__((unused)) static void assert_same(void)
{
    const struct sync_hash sent = tree_root_hash(w.tree);

    assert_true(same_as(&sent)); /* as the replica thinks */
    tree_clear(w.held);
    learn(); /* as it is */
    assert_true(same_as(&sent));
}

__attribute__((unused)) static void random_edit(void)
{
    char name[32], other[32];
    static const char *const directories[] = {"", "p/", "q/", "p/r/"};

    snprintf(name, sizeof name, "%s%c", directories[random() % 4], (char)('a' + random() % 5));
    snprintf(other, sizeof other, "%s%c", directories[random() % 4], (char)('a' + random() % 5));
    mkdir(in("p"), 0755), mkdir(in("q"), 0700), mkdir(in("p/r"), 0750);
    switch (random() % 7) {
    case 0:
        copy_remove(in(name));
        break;
    case 1:
        (void)!rename(in(name), in(other));
        break;
    case 2:
        (void)!rename(in("p"), in("q/t"));
        break;
    case 3:
        (void)!rename(in("q/t"), in("p"));
        break;
    case 4:
        if (truncate(in("huge"), (17 << 20) + random() % (4 << 20)) < 0)
            put_big("huge", 17 << 20);
        break;
    case 5:
        (void)!link(in(name), in(other));
        break;
    default:
        if (access(in(name), F_OK) < 0 || random() % 2)
            copy_remove(in(name)), put_big(name, (size_t)random() % 200000);
    }
}
