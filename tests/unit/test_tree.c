/* The index of a set: against a list that is kept in the simplest way, and what only it promises. */
#include "tests/unit/tree_model.h"

static struct model model, other;

/* ------------------------------------------------------ against the model */

static void do_put(struct model *m)
{
    char path[MODEL_PATH_MAX];
    const struct tree_entry entry = model_any_entry(m);
    tree_node node = 0;
    int want;

    model_any_path(m, path);
    model_put_one(m, path, &entry, &want);
    assert_int_equal(tree_put(m->tree, bytes_of(path), &entry, &node), want);
    assert_int_equal(node, want == 0 ? tree_find(m->tree, bytes_of(path)) : 0);
}

static void do_remove(struct model *m)
{
    char path[MODEL_PATH_MAX];

    model_any_path(m, path);
    if (strlen(path) < 6 && model_random(m, 20) > 0)
        return; /* seldom so much at once */
    const tree_node node = tree_find(m->tree, bytes_of(path));
    assert_int_equal(node != 0, model_find(m, path) != NULL);
    tree_remove(m->tree, node);
    model_remove_one(m, path);
}

static void do_move(struct model *m)
{
    char from[MODEL_PATH_MAX], to[MODEL_PATH_MAX];
    int want;

    model_any_path(m, from);
    model_any_path(m, to);
    const tree_node node = tree_find(m->tree, bytes_of(from));
    if (node != 0 && model_move_one(m, from, to, &want))
        assert_int_equal(tree_move(m->tree, node, bytes_of(to)), want);
}

/* What is in no hash. */
static void do_beside(struct model *m)
{
    struct sync_hash blocks[200] = {0};

    if (m->count == 0)
        return;
    struct model_entry *e = &m->entries[model_random(m, m->count)];
    const tree_node node = tree_find(m->tree, bytes_of(e->path));
    e->mark = (uint8_t)model_random(m, 256);
    e->watch = (int32_t)model_random(m, 1000) - 1;
    tree_set_mark(m->tree, node, e->mark);
    tree_set_watch(m->tree, node, e->watch);
    e->entry.stat = model_any_entry(m).stat;
    e->entry.racy = !e->entry.racy;
    tree_set_stat(m->tree, node, &e->entry.stat, e->entry.racy);

    const size_t count = (size_t)model_random(m, 200);
    for (size_t i = 0; i < count; i++)
        blocks[i].bytes[0] = (uint8_t)i;
    const int r = tree_set_blocks(m->tree, node, 4096, blocks, count);
    assert_int_equal(r, e->entry.type == SYNC_FILE ? 0 : -EINVAL);
    if (r == 0)
        e->block_count = count;
}

static void do_something(struct model *m)
{
    const uint64_t dice = model_random(m, 3000);

    if (dice < 2000)
        do_put(m);
    else if (dice < 2200)
        do_remove(m);
    else if (dice < 2400)
        do_move(m);
    else if (dice < 2999)
        do_beside(m);
    else {
        tree_clear(m->tree);
        m->count = 0;
    }
}

static void test_thousands_of_random_operations(void **state)
{
    (void)state;
    size_t most = 0;

    for (uint64_t seed = 1; seed <= 12; seed++) {
        model_begin(&model, seed);
        for (int i = 1; i <= 4000; i++) {
            do_something(&model);
            if (i % 40 == 0)
                assert_same(&model);
            most = model.count > most ? model.count : most;
        }
        model_end(&model);
    }
    assert_in_range(most, 200, MODEL_MAX);
}

/* ------------------------------------------------------ equal trees, and different ones */

static void copy_in_another_order(struct model *from, struct model *to)
{
    int want;
    size_t left = from->count;

    while (left > 0) /* again and again, until the directories are there */
        for (size_t i = from->count; i-- > 0;) {
            const struct model_entry *e = &from->entries[i];
            if (model_find(to, e->path) || model_random(to, 2) == 0)
                continue;
            model_put_one(to, e->path, &e->entry, &want);
            assert_int_equal(tree_put(to->tree, bytes_of(e->path), &e->entry, NULL), want);
            left -= want == 0;
        }
}

static void assert_roots(bool equal)
{
    const struct sync_hash a = tree_root_hash(model.tree), b = tree_root_hash(other.tree);

    assert_int_equal(hash_equal(&a, &b), equal);
}

static void begin_two(void)
{
    model_begin(&model, 77);
    model_begin(&other, 78);
    for (int i = 0; i < 1500; i++)
        do_something(&model);
    assert_in_range(model.count, 50, MODEL_MAX);
    copy_in_another_order(&model, &other);
}

static void end_two(void)
{
    model_end(&model);
    model_end(&other);
}

static void test_the_order_makes_no_difference(void **state)
{
    (void)state;
    begin_two();
    assert_roots(true);
    for (size_t i = other.count; i-- > 0;) /* and what was there and is gone leaves nothing */
        tree_remove(other.tree, tree_find(other.tree, bytes_of(other.entries[i].path)));
    const struct sync_hash nothing = {0}, left = tree_root_hash(other.tree);
    assert_true(hash_equal(&left, &nothing));
    assert_int_equal(tree_entries(other.tree), 0);
    other.count = 0;
    copy_in_another_order(&model, &other);
    assert_roots(true);
    end_two();
}

/* The buckets that differ, by way of the groups that do. */
static size_t differing_buckets(unsigned *one)
{
    struct sync_hash a[SYNC_FANOUT], b[SYNC_FANOUT], in_a[SYNC_FANOUT], in_b[SYNC_FANOUT];
    size_t count = 0;

    tree_hashes(model.tree, -1, a);
    tree_hashes(other.tree, -1, b);
    for (unsigned group = 0; group < SYNC_FANOUT; group++) {
        tree_hashes(model.tree, (int)group, in_a);
        tree_hashes(other.tree, (int)group, in_b);
        assert_int_equal(hash_equal(&a[group], &b[group]), memcmp(in_a, in_b, sizeof in_a) == 0);
        for (unsigned i = 0; i < SYNC_FANOUT; i++)
            if (!hash_equal(&in_a[i], &in_b[i])) {
                *one = group * SYNC_FANOUT + i;
                count++;
            }
    }
    return count;
}

static void test_a_difference_shows_in_its_bucket_alone(void **state)
{
    (void)state;
    unsigned bucket = 0;
    size_t tried = 0;

    begin_two();
    assert_int_equal(differing_buckets(&bucket), 0);
    for (size_t i = 0; i < model.count; i++) {
        struct tree_entry changed = model.entries[i].entry;
        if (changed.type == SYNC_HARDLINK)
            continue;
        changed.mtime_ns++;
        assert_int_equal(tree_put(other.tree, bytes_of(model.entries[i].path), &changed, NULL), 0);
        assert_roots(false);
        assert_int_equal(differing_buckets(&bucket), 1);
        assert_int_equal(bucket, tree_bucket_of(model.tree, bytes_of(model.entries[i].path)));
        assert_int_equal(tree_put(other.tree, bytes_of(model.entries[i].path), &model.entries[i].entry, NULL),
                         0);
        assert_roots(true);
        tried++;
    }
    assert_in_range(tried, 40, MODEL_MAX);
    end_two();
}

static void test_a_move_is_as_if_it_had_always_been_there(void **state)
{
    (void)state;
    static const char *const before[] = {"0", "0/a", "0/a/b", "0/a/b/c", "0/a/b/c/d", "0/x"};
    static const char *const after[] = {"0", "0/a", "0/x", "0/x/new", "0/x/new/c", "0/x/new/c/d"};
    const struct tree_entry entry = {.type = SYNC_DIRECTORY, .mode = 0755, .owner = "root", .group = "root"};

    model_begin(&model, 1);
    model_begin(&other, 1);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(tree_put(model.tree, bytes_of(before[i]), &entry, NULL), 0);
        assert_int_equal(tree_put(other.tree, bytes_of(after[i]), &entry, NULL), 0);
    }
    assert_roots(false);
    const tree_node node = tree_find(model.tree, bytes_of("0/a/b"));
    const tree_node deep = tree_find(model.tree, bytes_of("0/a/b/c/d"));
    tree_set_watch(model.tree, deep, 7);
    assert_int_equal(tree_move(model.tree, node, bytes_of("0/x/new")), 0);
    assert_roots(true);
    assert_int_equal(tree_find(model.tree, bytes_of("0/x/new")), node);
    assert_int_equal(tree_find(model.tree, bytes_of("0/x/new/c/d")), deep);
    assert_int_equal(tree_find(model.tree, bytes_of("0/a/b")), 0);
    assert_int_equal(tree_watch(model.tree, deep), 7);
    end_two();
}

/* ------------------------------------------------------ edges */

static void test_what_is_refused(void **state)
{
    (void)state;
    const struct tree_entry file = {.type = SYNC_FILE, .owner = NULL, .group = NULL};
    struct tree_entry directory = {.type = SYNC_DIRECTORY}, typeless = {0};
    static const char *const unclean[] = {"", "/", "x", "0/", "0//a", "0/..", "0/./a", "/0", "0/.duet~stage"};
    char path[SYNC_PATH_MAX + 2];

    model_begin(&model, 1);
    assert_int_equal(tree_put(model.tree, bytes_of("0/a"), &file, NULL), -ENOENT);
    assert_int_equal(tree_put(model.tree, bytes_of("0"), &typeless, NULL), -EINVAL);
    assert_int_equal(tree_put(model.tree, bytes_of("0"), &directory, NULL), 0);
    assert_int_equal(tree_put(model.tree, bytes_of("0"), &file, NULL), -EEXIST);
    assert_int_equal(tree_put(model.tree, bytes_of("1"), &file, NULL), 0); /* a root that is a file */
    assert_int_equal(tree_put(model.tree, bytes_of("1/a"), &file, NULL), -ENOTDIR);
    const tree_node node = tree_find(model.tree, bytes_of("1"));
    for (size_t i = 0; i < sizeof unclean / sizeof *unclean; i++) {
        assert_int_equal(tree_put(model.tree, bytes_of(unclean[i]), &directory, NULL), -EINVAL);
        assert_int_equal(tree_move(model.tree, node, bytes_of(unclean[i])), -EINVAL);
        assert_int_equal(tree_find(model.tree, bytes_of(unclean[i])), 0);
    }
    memset(path, 'a', sizeof path);
    memcpy(path, "0/", 2);
    path[2 + SYNC_NAME_MAX + 1] = '\0';
    assert_int_equal(tree_put(model.tree, bytes_of(path), &file, NULL), -EINVAL);
    path[2 + SYNC_NAME_MAX] = '\0';
    assert_int_equal(tree_put(model.tree, bytes_of(path), &file, NULL), 0);
    assert_int_equal(tree_entries(model.tree), 3);
    tree_remove(model.tree, TREE_TOP); /* it is no entry */
    tree_remove(model.tree, 0);
    assert_int_equal(tree_entries(model.tree), 3);
    model_end(&model);
    tree_free(NULL);
}

static void test_paths_of_the_greatest_length_and_depth(void **state)
{
    (void)state;
    const struct tree_entry directory = {.type = SYNC_DIRECTORY};
    char path[SYNC_PATH_MAX + 1];

    model_begin(&model, 1);
    for (size_t i = 0; i < SYNC_PATH_MAX; i++)
        path[i] = i % 2 ? '/' : '0';
    for (size_t size = 1; size <= SYNC_PATH_MAX; size += 2)
        assert_int_equal(tree_put(model.tree, (struct sync_bytes){(uint8_t *)path, size}, &directory, NULL),
                         0);
    path[SYNC_PATH_MAX - 1] = '\0';
    assert_int_equal(tree_put(model.tree, bytes_of("0/x"), &directory, NULL), 0);

    /* Its deepest path has 4095 bytes: one more is possible, two are not. */
    const struct sync_hash before = tree_root_hash(model.tree);
    const tree_node node = tree_find(model.tree, bytes_of("0/0"));
    assert_int_equal(tree_move(model.tree, node, bytes_of("0/abc")), -ENAMETOOLONG);
    const struct sync_hash after = tree_root_hash(model.tree);
    assert_true(hash_equal(&before, &after));
    assert_int_equal(tree_move(model.tree, node, bytes_of("0/ab")), 0);
    assert_int_equal(tree_move(model.tree, node, bytes_of("0/x/a")), -ENAMETOOLONG);
    tree_remove(model.tree, tree_find(model.tree, bytes_of("0")));
    assert_int_equal(tree_entries(model.tree), 0);
    model_end(&model);
}

/* Names and entries of what is gone are used again. */
static void test_memory_does_not_grow_with_changes(void **state)
{
    (void)state;
    const struct tree_entry file = {.type = SYNC_FILE, .owner = "root", .group = "root"};
    const struct tree_entry directory = {.type = SYNC_DIRECTORY};
    char path[64];
    size_t most = 0;

    model_begin(&model, 1);
    assert_int_equal(tree_put(model.tree, bytes_of("0"), &directory, NULL), 0);
    for (int i = 0; i < 200000; i++) {
        snprintf(path, sizeof path, "0/a-name-that-is-never-the-same-%d", i);
        struct tree_entry entry = file;
        memcpy(&entry.xattrs, &i, sizeof i);
        assert_int_equal(tree_put(model.tree, bytes_of(path), &entry, NULL), 0);
        snprintf(path, sizeof path, "0/a-name-that-is-never-the-same-%d", i - 100);
        tree_remove(model.tree, tree_find(model.tree, bytes_of(path)));
        if (i == 20000)
            most = tree_memory(model.tree);
    }
    assert_int_equal(tree_entries(model.tree), 101);
    assert_in_range(tree_memory(model.tree), 1, most + most / 4);
    model_end(&model);
}

static void test_blocks_set_anew_take_the_place_of_the_old_ones(void **state)
{
    (void)state;
    const struct sync_hash blocks[40] = {0};
    const struct tree_entry file = {.type = SYNC_FILE};
    tree_node node;

    model_begin(&model, 1);
    assert_int_equal(tree_put(model.tree, bytes_of("0"), &file, &node), 0);
    assert_int_equal(tree_set_blocks(model.tree, node, 4096, blocks, 40), 0);
    const size_t memory = tree_memory(model.tree);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(tree_set_blocks(model.tree, node, 4096, blocks, 40), 0);
    assert_int_equal(tree_memory(model.tree), memory);
    model_end(&model);
}

/* Both nodes must find a path in the same bucket, and a set's entries in all of them. */
static void test_buckets(void **state)
{
    (void)state;
    enum { PATHS = 64 * SYNC_BUCKETS };
    static unsigned counts[SYNC_BUCKETS];
    char path[64];

    model_begin(&model, 1);
    assert_int_equal(tree_bucket_of(model.tree, bytes_of("0/var/log/mail.log")), 834);
    for (int i = 0; i < PATHS; i++) {
        snprintf(path, sizeof path, "0/directory/file-%d", i);
        counts[tree_bucket_of(model.tree, bytes_of(path))]++;
    }
    for (unsigned i = 0; i < SYNC_BUCKETS; i++)
        assert_in_range(counts[i], 64 / 4, 64 * 2);
    model_end(&model);
}

/* Tens of thousands of names of one file: each is found, and goes, at once. */
static void test_many_names_of_one_inode(void **state)
{
    (void)state;
    struct tree_entry entry = {.type = SYNC_DIRECTORY};
    enum { NAMES = 65000 };
    char path[64];

    model_begin(&model, 1);
    assert_int_equal(tree_put(model.tree, bytes_of("0"), &entry, NULL), 0);
    entry = (struct tree_entry){.type = SYNC_HARDLINK, .stat = {.inode = 4711, .device = 1}};
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "0/%d", i);
        assert_int_equal(tree_put(model.tree, bytes_of(path), &entry, NULL), 0);
    }
    size_t count = 0;
    for (tree_node i = 0; (i = tree_by_inode(model.tree, &entry.stat, i)) != 0;)
        count++;
    assert_int_equal(count, NAMES);
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "0/%d", i);
        tree_remove(model.tree, tree_find(model.tree, bytes_of(path)));
    }
    assert_int_equal(tree_by_inode(model.tree, &entry.stat, 0), 0);
    model_end(&model);
}

/* An entry may be put, and blocks set, with what the tree itself handed out. */
static void test_what_the_tree_gave_can_be_given_back(void **state)
{
    (void)state;
    const struct tree_entry directory = {.type = SYNC_DIRECTORY, .owner = "somebody", .group = "some"};
    struct sync_hash blocks[3] = {0};
    struct tree_entry entry;
    uint32_t block;
    size_t count;
    tree_node node;

    model_begin(&model, 1);
    assert_int_equal(tree_put(model.tree, bytes_of("0"), &directory, &node), 0);
    tree_get(model.tree, node, &entry);
    entry.type = SYNC_FILE;
    entry.xattrs.bytes[0] = 1;
    for (int i = 0; i < 100; i++) {
        char path[16];
        snprintf(path, sizeof path, "0/%d", i);
        entry.uid = (uint32_t)i;
        assert_int_equal(tree_put(model.tree, bytes_of(path), &entry, &node), 0);
        assert_string_equal(entry.owner, "somebody");
        tree_get(model.tree, node, &entry);
    }
    tree_remove(model.tree, tree_find(model.tree, bytes_of("0")));
    assert_string_equal(entry.owner, "somebody"); /* until it is cleared */

    assert_int_equal(tree_put(model.tree, bytes_of("0"), &entry, &node), 0);
    blocks[2].bytes[0] = 9;
    assert_int_equal(tree_set_blocks(model.tree, node, 4096, blocks, 3), 0);
    const struct sync_hash *own = tree_blocks(model.tree, node, &block, &count);
    assert_int_equal(tree_set_blocks(model.tree, node, 8192, own, 3), 0);
    own = tree_blocks(model.tree, node, &block, &count);
    assert_int_equal(own[2].bytes[0], 9);
    assert_int_equal(block, 8192);
    assert_int_equal(tree_set_blocks(model.tree, node, 4096, blocks, SYNC_BLOCKS_MAX + 1), -EINVAL);
    model_end(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thousands_of_random_operations),
        cmocka_unit_test(test_the_order_makes_no_difference),
        cmocka_unit_test(test_a_difference_shows_in_its_bucket_alone),
        cmocka_unit_test(test_a_move_is_as_if_it_had_always_been_there),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_paths_of_the_greatest_length_and_depth),
        cmocka_unit_test(test_memory_does_not_grow_with_changes),
        cmocka_unit_test(test_blocks_set_anew_take_the_place_of_the_old_ones),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_many_names_of_one_inode),
        cmocka_unit_test(test_what_the_tree_gave_can_be_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
