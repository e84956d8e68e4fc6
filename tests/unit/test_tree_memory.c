/* The tree when memory runs out: whatever fails has changed nothing, and succeeds when there is some again.
 */
#include "syncd/tree_inside.h"
#include "tests/unit/tree_model.h"

/* The next so many allocations succeed, all after them fail; negative: all succeed. */
static int left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static bool granted(void)
{
    if (left == 0)
        return false;
    left -= left > 0;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return granted() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return granted() ? __real_calloc(count, size) : NULL;
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return granted() ? __real_reallocarray(old, count, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
    return granted() ? __real_strdup(text) : NULL;
}

static struct model model;
static unsigned failures;

/* Tries it with no allocation, with one, with two …, until it is not for memory that it fails. */
#define UNTIL_IT_FITS(r, call)                                                                               \
    do {                                                                                                     \
        int granted_now = 0;                                                                                 \
        for (;;) {                                                                                           \
            const struct sync_hash before = tree_root_hash(model.tree);                                      \
            left = granted_now++;                                                                            \
            r = (call);                                                                                      \
            left = -1;                                                                                       \
            if (r != -ENOMEM)                                                                                \
                break;                                                                                       \
            failures++;                                                                                      \
            const struct sync_hash after = tree_root_hash(model.tree);                                       \
            assert_true(hash_equal(&before, &after));                                                        \
            assert_int_equal(tree_entries(model.tree), count);                                               \
        }                                                                                                    \
    } while (0)

static void put_one(void)
{
    char path[MODEL_PATH_MAX];
    struct tree_entry entry = model_any_entry(&model);
    const size_t count = model.count;
    char owner[32];
    int want, r;

    snprintf(owner, sizeof owner, "owner-%u", (unsigned)model_random(&model, 100));
    entry.owner = owner;
    model_any_path(&model, path);
    UNTIL_IT_FITS(r, tree_put(model.tree, bytes_of(path), &entry, NULL));
    entry.owner = "";
    const tree_node node = tree_find(model.tree, bytes_of(path));
    if (r == 0) {
        struct tree_entry own;
        tree_get(model.tree, node, &own);
        assert_string_equal(own.owner, owner);
        entry.owner = own.owner;
    }
    model_put_one(&model, path, &entry, &want);
    assert_int_equal(r, want);
}

static void move_one(void)
{
    char from[MODEL_PATH_MAX], to[MODEL_PATH_MAX];
    const size_t count = model.count;
    int want, r;

    model_any_path(&model, from);
    model_any_path(&model, to);
    const tree_node node = tree_find(model.tree, bytes_of(from));
    if (node == 0 || !model_move_one(&model, from, to, &want))
        return;
    UNTIL_IT_FITS(r, tree_move(model.tree, node, bytes_of(to)));
    assert_int_equal(r, want);
}

static void set_blocks_of_one(void)
{
    const struct sync_hash blocks[3] = {{{0}}, {{1}}, {{2}}};
    const size_t count = model.count;
    int r;

    if (count == 0)
        return;
    struct model_entry *e = &model.entries[model_random(&model, count)];
    const tree_node node = tree_find(model.tree, bytes_of(e->path));
    if (e->entry.type != SYNC_FILE)
        return;
    UNTIL_IT_FITS(r, tree_set_blocks(model.tree, node, 4096, blocks, 3));
    assert_int_equal(r, 0);
    e->block_count = 3;
}

static void test_what_fails_has_changed_nothing(void **state)
{
    (void)state;
    model_begin(&model, 3);
    for (int i = 0; i < 600; i++) {
        put_one();
        move_one();
        set_blocks_of_one();
        if (i % 20 == 0)
            assert_same(&model);
    }
    assert_same(&model);
    assert_in_range(failures, 100, 100000);
    for (tree_node i; (i = tree_first_child(model.tree, TREE_TOP)) != 0;)
        tree_remove(model.tree, i);
    assert_int_equal(model.tree->by_look.count, 0); /* nor kept anything */
    assert_int_equal(model.tree->block_hashes, 0);
    for (int i = 0; i < 20; i++) {
        model.count = 0;
        tree_clear(model.tree);
        put_one();
    }
    left = 0; /* clearing needs none */
    tree_clear(model.tree);
    left = -1;
    model.count = 0;
    assert_same(&model);
    put_one();
    model_end(&model);
}

static void test_what_is_made_is_made_whole(void **state)
{
    (void)state;
    struct hasher *hasher = NULL;
    struct tree *tree = NULL;
    int r = -ENOMEM;

    left = 0;
    const int none = hasher_new((const uint8_t[32]){0}, &hasher);
    left = -1;
    assert_int_equal(none, -ENOMEM);
    assert_int_equal(hasher_new((const uint8_t[32]){0}, &hasher), 0);
    for (int granted_now = 0; r == -ENOMEM; granted_now++) {
        left = granted_now;
        r = tree_new(hasher, &tree);
        left = -1;
    }
    assert_int_equal(r, 0);
    tree_free(tree);
    hasher_free(hasher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made_is_made_whole),
        cmocka_unit_test(test_what_fails_has_changed_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
