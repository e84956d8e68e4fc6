/* The tree as a file: comes back as it was, or not at all. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "syncd/tree_cache.h"
#include "tests/unit/tree_model.h"

static struct model model;
static char directory[] = "/tmp/duet-tree-XXXXXX", path[64], temporary[64];
static struct tree *loaded;

static int begin(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/tree", directory);
    snprintf(temporary, sizeof temporary, "%s/tree.new", directory);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static int begin_one(void **state)
{
    static const char *const paths[] = {"0", "0/a", "0/a/b", "0/a/b/file", "0/c", "1"};

    (void)state;
    model_begin(&model, 5);
    for (size_t i = 0; i < 6; i++) {
        struct tree_entry entry = model_any_entry(&model);
        int want;
        entry.type = i == 3 || i == 5 ? SYNC_FILE : SYNC_DIRECTORY;
        model_put_one(&model, paths[i], &entry, &want);
        assert_int_equal(tree_put(model.tree, bytes_of(paths[i]), &entry, NULL), 0);
    }
    assert_int_equal(tree_new(model.hasher, &loaded), 0);
    return 0;
}

static int end_one(void **state)
{
    (void)state;
    tree_free(loaded);
    model_end(&model);
    return 0;
}

/* The whole file; its size. */
static size_t read_file(uint8_t *bytes, size_t room)
{
    FILE *f = fopen(path, "re");

    assert_non_null(f);
    const size_t size = fread(bytes, 1, room, f);
    assert_int_equal(fclose(f), 0);
    return size;
}

static void write_file(const uint8_t *bytes, size_t size)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void assert_empty(const struct tree *tree)
{
    assert_int_equal(tree_entries(tree), 0);
    assert_int_equal(tree_first_child(tree, TREE_TOP), 0);
}

/* ------------------------------------------------------ comes back */

static void set_blocks(struct model_entry *e, size_t count)
{
    struct sync_hash *blocks = calloc(count, sizeof *blocks);

    assert_non_null(blocks);
    for (size_t i = 0; i < count; i++)
        blocks[i].bytes[0] = (uint8_t)i;
    assert_int_equal(
        tree_set_blocks(model.tree, tree_find(model.tree, bytes_of(e->path)), 16384, blocks, count), 0);
    e->block_count = count;
    free(blocks);
}

static void test_it_comes_back(void **state)
{
    (void)state;
    struct tree *saved = model.tree;
    uint32_t block;
    size_t count;

    for (int i = 0; i < 400; i++) { /* some more */
        char at[MODEL_PATH_MAX];
        const struct tree_entry entry = model_any_entry(&model);
        int want;
        model_any_path(&model, at);
        model_put_one(&model, at, &entry, &want);
        assert_int_equal(tree_put(model.tree, bytes_of(at), &entry, NULL), want);
    }
    set_blocks(model_find(&model, "1"), 2);
    set_blocks(model_find(&model, "0/a/b/file"), SYNC_BLOCKS_MAX); /* in many chunks */
    tree_remove(saved, tree_find(saved, bytes_of("0/c")));         /* leaves gaps in what is numbered */
    model_remove_one(&model, "0/c");
    tree_set_mark(saved, TREE_TOP + 1, 5); /* not kept */
    tree_set_watch(saved, TREE_TOP + 1, 5);

    assert_int_equal(tree_file_save(saved, path), 0);
    assert_int_equal(access(temporary, F_OK), -1);
    assert_int_equal(tree_put(loaded, bytes_of("7"), &model.entries[0].entry, NULL), 0); /* will be gone */
    assert_int_equal(tree_file_load(loaded, path), 0);
    model.tree = loaded;
    assert_same(&model);
    assert_non_null(tree_blocks(loaded, tree_find(loaded, bytes_of("1")), &block, &count));
    assert_int_equal(block, 16384);

    assert_int_equal(tree_file_save(loaded, path), 0); /* over the old one */
    model.tree = saved;
    assert_int_equal(tree_file_load(saved, path), 0);
    assert_same(&model);
    for (tree_node i; (i = tree_first_child(saved, TREE_TOP)) != 0;)
        tree_remove(saved, i);
    assert_int_equal(saved->by_look.count, 0); /* the reader holds none any more */
}

static void test_an_empty_one(void **state)
{
    (void)state;
    assert_int_equal(tree_file_save(loaded, path), 0);
    assert_int_equal(tree_file_load(model.tree, path), 0);
    assert_empty(model.tree);
}

/* ------------------------------------------------------ or not at all */

static void test_any_damage_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[4096];

    assert_int_equal(tree_file_save(model.tree, path), 0);
    const size_t size = read_file(bytes, sizeof bytes);
    assert_in_range(size, 500, sizeof bytes - 1);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (uint8_t)(1 << i % 8);
        const bool key_or_version =
            i >= offsetof(struct cache_head, version) && i < sizeof(struct cache_head);
        assert_int_equal(tree_file_parse(loaded, bytes, size), key_or_version ? -ESTALE : -EUCLEAN);
        assert_empty(loaded);
        bytes[i] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(tree_file_parse(loaded, bytes, i), -EUCLEAN);
        write_file(bytes, i);
        assert_int_equal(tree_file_load(loaded, path), -EUCLEAN);
        assert_empty(loaded);
    }
    bytes[size] = 0;
    assert_int_equal(tree_file_parse(loaded, bytes, size + 1), -EUCLEAN);
    assert_int_equal(tree_file_parse(loaded, bytes, size), 0);
    assert_int_equal(tree_entries(loaded), model.count);
}

static void test_another_key(void **state)
{
    (void)state;
    static const uint8_t key[32] = "another one";
    struct hasher *hasher;
    struct tree *tree;

    assert_int_equal(tree_file_save(model.tree, path), 0);
    assert_int_equal(hasher_new(key, &hasher), 0);
    assert_int_equal(tree_new(hasher, &tree), 0);
    assert_int_equal(tree_file_load(tree, path), -ESTALE);
    assert_empty(tree);
    tree_free(tree);
    hasher_free(hasher);
}

static void test_none(void **state)
{
    (void)state;
    unlink(path);
    assert_int_equal(tree_file_load(model.tree, path), -ENOENT);
    assert_empty(model.tree); /* what it held before is gone as well */
    assert_int_equal(tree_file_load(model.tree, directory), -EISDIR);
    assert_int_equal(tree_file_save(model.tree, "/nowhere/tree"), -ENOENT);
}

/* A disk that is full in the midst of it. */
static void test_a_failed_save_leaves_the_old_one(void **state)
{
    (void)state;
    const struct rlimit small = {300, RLIM_INFINITY}, large = {RLIM_INFINITY, RLIM_INFINITY};

    assert_int_equal(tree_file_save(model.tree, path), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const int r = tree_file_save(loaded, path), rr = tree_file_save(model.tree, path);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
    assert_int_equal(r, 0); /* an empty one has room */
    assert_int_equal(rr, -EFBIG);
    assert_int_equal(access(temporary, F_OK), -1);
    assert_int_equal(tree_file_load(model.tree, path), 0);
    assert_empty(model.tree);
}

/* ------------------------------------------------------ what only the key's holder could write */

struct forged {
    uint8_t bytes[8192];
    size_t size;
};

static void forge_record(struct forged *f, uint8_t kind, const void *record, size_t size)
{
    f->bytes[f->size] = kind;
    memcpy(f->bytes + f->size + 1, record, size);
    f->size += 1 + size;
}

static void forge_entry(struct forged *f, unsigned depth, unsigned kind, const char *name, uint32_t look)
{
    const struct cache_entry entry = {
        .depth = (uint16_t)depth, .kind = (uint16_t)kind, .name_size = (uint16_t)strlen(name), .look = look};

    forge_record(f, CACHE_ENTRY, &entry, sizeof entry);
    memcpy(f->bytes + f->size, name, strlen(name));
    f->size += strlen(name);
}

static void forge_begin(struct forged *f, uint64_t entries)
{
    const struct cache_head head = cache_head(model.hasher);
    const struct cache_begin first = {entries};
    const struct cache_look look = {0};

    memcpy(f->bytes, &head, sizeof head);
    f->size = sizeof head + sizeof(struct cache_chunk);
    forge_record(f, CACHE_BEGIN, &first, sizeof first);
    forge_record(f, CACHE_LOOK, &look, sizeof look);
}

/* An end that says what the records say, so that they alone can be why it is refused. */
static int forge_end(struct forged *f, const struct cache_end *last)
{
    forge_record(f, CACHE_END, last, sizeof *last);
    const size_t front = sizeof(struct cache_head);
    struct cache_chunk *chunk = malloc(f->size);
    assert_non_null(chunk);
    memcpy(chunk, f->bytes + front, f->size - front);
    chunk->number = 0;
    chunk->size = (uint32_t)(f->size - front - sizeof *chunk);
    chunk->hash = cache_hash(model.hasher, chunk);
    memcpy(f->bytes + front, chunk, sizeof *chunk);
    free(chunk);
    return tree_file_parse(loaded, f->bytes, f->size);
}

static void count_entry(struct cache_end *last, const char *at, enum sync_type type)
{
    const struct sync_hash hash =
        hash_entry(model.hasher, &(struct hash_entry){.path = bytes_of(at), .type = type});

    hash_add(&last->root, &hash);
    last->entries++;
}

/* A set of one root, a directory; then the entry given, whose path that is. */
static int forge(unsigned depth, unsigned kind, const char *name, uint32_t look, const char *at)
{
    struct cache_end last = {0};
    struct forged f;

    forge_begin(&f, 2);
    forge_entry(&f, 1, SYNC_DIRECTORY, "0", 1);
    count_entry(&last, "0", SYNC_DIRECTORY);
    forge_entry(&f, depth, kind, name, look);
    count_entry(&last, at, kind & NODE_TYPE);
    return forge_end(&f, &last);
}

static void test_unclean_entries(void **state)
{
    (void)state;
    assert_int_equal(forge(2, SYNC_FILE, "file", 1, "0/file"), 0); /* so far it is a good one */
    assert_int_equal(tree_entries(loaded), 2);
    assert_int_equal(forge(2, SYNC_FILE | NODE_RACY, "file", 1, "0/file"), 0);
    assert_int_equal(forge(1, SYNC_DIRECTORY, "0", 1, "0"), -EUCLEAN);
    assert_int_equal(forge(1, SYNC_DIRECTORY, "x", 1, "x"), -EUCLEAN);
    assert_int_equal(forge(2, SYNC_FILE, "..", 1, "0/.."), -EUCLEAN);
    assert_int_equal(forge(2, SYNC_FILE, "a/b", 1, "0/a/b"), -EUCLEAN);
    assert_int_equal(forge(2, SYNC_FILE, "", 1, "0/"), -EUCLEAN);
    assert_int_equal(forge(0, SYNC_FILE, "file", 1, "file"), -EUCLEAN);
    assert_int_equal(forge(2, 0, "file", 1, "0/file"), -EUCLEAN);
    assert_int_equal(forge(2, SYNC_HARDLINK + 1, "file", 1, "0/file"), -EUCLEAN);
    assert_int_equal(forge(2, SYNC_FILE | 0x100, "file", 1, "0/file"), -EUCLEAN);
    assert_int_equal(forge(2, SYNC_FILE, "file", 0, "0/file"), -EUCLEAN);
    assert_int_equal(forge(2, SYNC_FILE, "file", 2, "0/file"), -EUCLEAN);
    assert_empty(loaded);
}

static void test_unclean_depths(void **state)
{
    (void)state;
    struct cache_end last = {0};
    struct forged f;

    forge_begin(&f, 4); /* below "0/d", which is not what the walk stands in any more */
    forge_entry(&f, 1, SYNC_DIRECTORY, "0", 1);
    forge_entry(&f, 2, SYNC_DIRECTORY, "d", 1);
    forge_entry(&f, 1, SYNC_DIRECTORY, "1", 1);
    forge_entry(&f, 3, SYNC_FILE, "x", 1);
    count_entry(&last, "0", SYNC_DIRECTORY);
    count_entry(&last, "0/d", SYNC_DIRECTORY);
    count_entry(&last, "1", SYNC_DIRECTORY);
    count_entry(&last, "1/d/x", SYNC_FILE);
    assert_int_equal(forge_end(&f, &last), -EUCLEAN);

    last = (struct cache_end){0};
    forge_begin(&f, 2); /* below a file */
    forge_entry(&f, 1, SYNC_FILE, "0", 1);
    forge_entry(&f, 2, SYNC_FILE, "x", 1);
    count_entry(&last, "0", SYNC_FILE);
    count_entry(&last, "0/x", SYNC_FILE);
    assert_int_equal(forge_end(&f, &last), -EUCLEAN);
}

static void test_unclean_order(void **state)
{
    (void)state;
    const struct cache_end none = {0}, one_more = {.entries = 1}, another = {.root = {{1}}};
    const struct cache_begin again = {0};
    struct forged f;

    forge_begin(&f, 0);
    assert_int_equal(forge_end(&f, &none), 0);
    forge_begin(&f, 0);
    assert_int_equal(forge_end(&f, &one_more), -EUCLEAN);
    forge_begin(&f, 0);
    assert_int_equal(forge_end(&f, &another), -EUCLEAN);
    forge_begin(&f, 1000); /* more than it has room for */
    assert_int_equal(forge_end(&f, &none), -EUCLEAN);
    forge_begin(&f, 0);
    forge_record(&f, CACHE_BEGIN, &again, sizeof again);
    assert_int_equal(forge_end(&f, &none), -EUCLEAN);
    forge_begin(&f, 0);
    forge_record(&f, CACHE_END + 1, &again, sizeof again);
    assert_int_equal(forge_end(&f, &none), -EUCLEAN);
    forge_begin(&f, 0);
    forge_record(&f, CACHE_END, &none, sizeof none); /* and another one */
    assert_int_equal(forge_end(&f, &none), -EUCLEAN);
    assert_empty(loaded);
}

/* A root of this type, and pieces of two hashes each. */
static int forge_blocks(enum sync_type type, const struct cache_blocks *pieces, size_t count)
{
    struct cache_end last = {0};
    struct {
        struct cache_blocks head;
        struct sync_hash hashes[2];
    } record = {0};
    struct forged f;

    forge_begin(&f, 1);
    forge_entry(&f, 1, type, "0", 1);
    count_entry(&last, "0", type);
    for (size_t i = 0; i < count; i++) {
        record.head = pieces[i];
        forge_record(&f, CACHE_BLOCKS, &record, sizeof record);
    }
    return forge_end(&f, &last);
}

static void test_unclean_blocks(void **state)
{
    (void)state;
    const struct cache_blocks whole = {4096, 2, 0, 2}, half[] = {{4096, 4, 0, 2}, {4096, 4, 2, 2}};
    const struct cache_blocks twice[] = {{4096, 4, 0, 2}, {4096, 4, 0, 2}}, late = {4096, 3, 1, 2};
    const struct cache_blocks other[] = {{4096, 6, 0, 2}, {4096, 4, 2, 2}}, many = {4096, 1, 0, 2};
    struct cache_end last = {0};
    struct forged f;

    assert_int_equal(forge_blocks(SYNC_FILE, &whole, 1), 0);
    assert_int_equal(forge_blocks(SYNC_FILE, half, 2), 0);
    assert_int_equal(forge_blocks(SYNC_FILE, half, 1), -EUCLEAN);
    assert_int_equal(forge_blocks(SYNC_FILE, twice, 2), -EUCLEAN);
    assert_int_equal(forge_blocks(SYNC_FILE, &late, 1), -EUCLEAN);
    assert_int_equal(forge_blocks(SYNC_FILE, other, 2), -EUCLEAN);
    assert_int_equal(forge_blocks(SYNC_FILE, &many, 1), -EUCLEAN);
    assert_int_equal(forge_blocks(SYNC_DIRECTORY, &whole, 1), -EUCLEAN);
    forge_begin(&f, 0); /* of nothing */
    forge_record(&f, CACHE_BLOCKS, &whole, sizeof whole);
    assert_int_equal(forge_end(&f, &last), -EUCLEAN);
    assert_empty(loaded);
}

/* ------------------------------------------------------ more than one chunk */

enum { MANY = 20000 }; /* files: six chunks */

static size_t chunk_bytes(const uint8_t *at)
{
    struct cache_chunk chunk;

    memcpy(&chunk, at, sizeof chunk);
    return sizeof chunk + chunk.size;
}

/* Every chunk is as it was written, and the sums would not notice: they know no order. */
static void test_chunks_stay_in_their_order(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 21], swapped[1 << 21];
    const struct tree_entry file = {.type = SYNC_FILE};
    char name[32];

    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "0/a/b/%d", i);
        assert_int_equal(tree_put(model.tree, bytes_of(name), &file, NULL), 0);
    }
    assert_int_equal(tree_file_save(model.tree, path), 0);
    const size_t size = read_file(bytes, sizeof bytes), head = sizeof(struct cache_head);
    const size_t first = chunk_bytes(bytes + head), second = chunk_bytes(bytes + head + first);
    const size_t third = chunk_bytes(bytes + head + first + second);
    assert_in_range(head + first + second + third, 1, size - sizeof(struct cache_chunk) - 1);

    uint8_t *at = swapped + head + first;
    memcpy(swapped, bytes, size);
    memcpy(at, bytes + head + first + second, third);
    memcpy(at + third, bytes + head + first, second);
    assert_int_equal(tree_file_parse(loaded, swapped, size), -EUCLEAN);
    assert_empty(loaded);

    write_file(bytes, size - 1); /* much was read when it ends */
    assert_int_equal(tree_file_load(loaded, path), -EUCLEAN);
    assert_empty(loaded);
    assert_int_equal(tree_file_parse(loaded, bytes, size - 1), -EUCLEAN);
    assert_empty(loaded);
    assert_int_equal(tree_file_parse(loaded, bytes, size), 0);
    assert_int_equal(tree_entries(loaded), MANY + model.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_comes_back, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_an_empty_one, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_any_damage_is_seen, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_another_key, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_none, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_a_failed_save_leaves_the_old_one, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_unclean_entries, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_unclean_depths, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_unclean_order, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_unclean_blocks, begin_one, end_one),
        cmocka_unit_test_setup_teardown(test_chunks_stay_in_their_order, begin_one, end_one),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
