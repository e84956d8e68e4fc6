/* The source on a real file system: what it yields, carried out elsewhere, is what it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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
    size_t troubles;
    uint8_t batch[SYNC_RAW_MAX];
} w;

static void on_ready(void *userdata)
{
    (void)userdata;
}

static void on_trouble(void *userdata, const char *path, const char *text)
{
    (void)userdata, (void)path;
    w.troubles += text != NULL;
}

static const struct source_events events = {on_ready, on_trouble};

static void turn(int64_t for_ns)
{
    for (const int64_t end = clock_now_ns() + for_ns; clock_now_ns() < end;)
        assert_int_equal(loop_turn(w.loop, NS_PER_MS), 0);
}

static void turn_until_scanned(struct source *source)
{
    while (source_scanning(source))
        assert_int_equal(loop_turn(w.loop, NS_PER_MS), 0);
}

static struct source *open_source(const char *const *root, struct tree *tree)
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

static int begin(void **state)
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

static int end(void **state)
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

static void follow(void)
{
    source_set_mode(w.source, SOURCE_FOLLOW);
    turn_until_scanned(w.source);
}

/* A whole generation; its operations are carried out. Their bytes. */
static size_t generation(bool urgent)
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
    source_end(w.source, true);
    return all;
}

/* Everything that waits, until nothing does. */
static void catch_up(void)
{
    turn(20 * NS_PER_MS);
    for (int i = 0; i < 50 && source_due_ns(w.source, true) > 0; i++) {
        generation(true);
        turn(30 * NS_PER_MS);
    }
    assert_int_equal(source_due_ns(w.source, true), 0);
}

static void learn(const char *const *root, struct tree *tree)
{
    struct source *learner = open_source(root, tree);

    source_set_mode(learner, SOURCE_LEARN);
    turn_until_scanned(learner);
    source_free(learner);
}

/* What the source thinks, what it really has, and what the copy really has. */
static void assert_same(void)
{
    struct tree *real;

    assert_int_equal(tree_new(w.hasher, &real), 0);
    learn(&w.root, real);
    tree_clear(w.copied_tree);
    learn(&w.copied_root, w.copied_tree);
    const struct sync_hash one = tree_root_hash(real), other = tree_root_hash(w.copied_tree),
                           thought = tree_root_hash(w.tree);
    if (!hash_equal(&one, &other) || !hash_equal(&one, &thought)) {
        show_differences(real, w.copied_tree, "source");
        show_differences(w.copied_tree, real, "copy");
        show_differences(w.tree, real, "as the source thinks");
        fail_msg("the copy is not what the source has");
    }
    tree_free(real);
}

static char *in(const char *name)
{
    static char path[8][PATH_MAX];
    static int at;

    at = (at + 1) % 8;
    snprintf(path[at], PATH_MAX, "%s/%s", w.from, name);
    return path[at];
}

static void put(const char *name, const void *bytes, size_t size)
{
    const int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static void random_bytes(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random();
}

static void put_big(const char *name, size_t size)
{
    uint8_t *bytes = malloc(size);

    random_bytes(bytes, size);
    put(name, bytes, size);
    free(bytes);
}

/* ----------------------------------------------------------------------- tests */

static void test_a_tree_is_scanned_and_yielded(void **state)
{
    (void)state;
    mkdir(in("a"), 0750);
    mkdir(in("a/b"), 0711);
    put("a/one", "1", 1);
    put("a/none", "", 0);
    put_big("a/b/big", 300000);
    assert_int_equal(symlink("../nowhere", in("a/b/link")), 0);
    assert_int_equal(link(in("a/one"), in("a/b/two")), 0);
    follow();
    catch_up();
    assert_same();
    assert_int_equal(w.copy.operations[SYNC_OP_OPEN], 1);
}

static void test_changes_are_seen(void **state)
{
    (void)state;
    put("one", "1", 1);
    follow();
    catch_up();
    put("two", "2", 1);
    turn(5 * NS_PER_MS);
    assert_true(source_due_ns(w.source, false) > 0 && source_due_ns(w.source, false) <= clock_now_ns());
    catch_up();
    mkdir(in("d"), 0755), mkdir(in("d/e"), 0755);
    put("d/e/f", "deep", 4);
    catch_up();
    chmod(in("one"), 0600);
    unlink(in("two"));
    catch_up();
    assert_same();
    copy_remove(in("d"));
    catch_up();
    assert_same();
}

static void test_only_changed_blocks_travel(void **state)
{
    (void)state;
    put_big("big", 4 << 20);
    follow();
    catch_up();
    const int fd = open(in("big"), O_WRONLY);
    assert_int_equal(pwrite(fd, "a patch", 7, 2000000), 7);
    close(fd);
    turn(20 * NS_PER_MS);
    w.copy.bytes = 0;
    catch_up();
    assert_true(w.copy.bytes > 0 && w.copy.bytes <= 2 * SYNC_BLOCK);
    assert_same();
    assert_int_equal(truncate(in("big"), 3000000), 0);
    catch_up();
    assert_same();
}

static void test_a_rename_is_one_operation(void **state)
{
    (void)state;
    mkdir(in("d"), 0755);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/file-%d", i);
        put(name, name, strlen(name));
    }
    follow();
    catch_up();
    w.copy.bytes = 0;
    assert_int_equal(rename(in("d"), in("e")), 0);
    catch_up();
    assert_true(w.copy.bytes < 100);
    assert_int_equal(w.copy.operations[SYNC_OP_MOVE], 1);
    assert_same();
    put("e/file-7", "changed in its new place", 24);
    catch_up();
    assert_same();
}

static void test_hard_links_stay_together(void **state)
{
    (void)state;
    put("b", "the same", 8);
    assert_int_equal(link(in("b"), in("c")), 0);
    follow();
    catch_up();
    assert_int_equal(link(in("b"), in("a")), 0);
    catch_up();
    assert_same();
    put("c", "changed by another name", 23);
    catch_up();
    assert_same();
    unlink(in("a"));
    catch_up();
    assert_same();
    unlink(in("b"));
    catch_up();
    assert_same();
}

static void test_what_is_excluded_stays(void **state)
{
    static char swp[] = "*.swp", build[] = "build/", *patterns[] = {swp, build, NULL};

    (void)state;
    w.set.exclude = (struct config_strings){2, patterns};
    mkdir(in("build"), 0755);
    put("build/x", "x", 1);
    put("a.swp", "x", 1);
    put("a", "a", 1);
    mkdir(in(".duet~stage"), 0700);
    put(".duet~stage/x", "x", 1);
    follow();
    catch_up();
    put("b.swp", "x", 1);
    put("build/y", "y", 1);
    catch_up();
    assert_int_equal(tree_entries(w.tree), 2); /* the root and a */
}

static void test_what_does_not_travel_is_told(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(in("fifo"), 0600), 0);
    put("a", "a", 1);
    follow();
    catch_up();
    assert_int_equal(w.troubles, 1);
    assert_same();
}

static void test_a_generation_that_was_not_taken_comes_again(void **state)
{
    size_t used = 0;

    (void)state;
    put("a", "a", 1);
    follow();
    turn(20 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    assert_true(source_fill(w.source, w.batch, sizeof w.batch, &used) >= 0);
    assert_true(used > 0);
    source_end(w.source, false);
    catch_up();
    assert_same();
}

static void test_more_events_than_the_queue_holds_are_made_good(void **state)
{
    (void)state;
    follow();
    catch_up();
    for (int i = 0; i < 9000; i++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", i % 6000);
        put(name, name, strlen(name));
    }
    catch_up();
    assert_same();
}

/* A writer that never stops: each block has the same number throughout the file. */
static void test_a_mixture_never_travels(void **state)
{
    enum { BLOCKS = 64, SIZE = BLOCKS * 4096 };
    static uint8_t bytes[SIZE];
    const pid_t parent = getpid();

    (void)state;
    memset(bytes, 1, sizeof bytes);
    put("hot", bytes, sizeof bytes);
    follow();
    catch_up();
    const pid_t writer = fork();
    if (writer == 0) {
        const int fd = open(in("hot"), O_WRONLY);
        for (int n = 2; getppid() == parent; n = n % 250 + 1) {
            memset(bytes, n, sizeof bytes);
            (void)!pwrite(fd, bytes, sizeof bytes, 0);
            usleep(n % 10 == 0 ? 30000 : 500);
        }
        _exit(0);
    }
    for (const int64_t stop = clock_now_ns() + 3 * NS_PER_S; clock_now_ns() < stop;) {
        turn(10 * NS_PER_MS);
        if (source_begin(w.source, clock_now_ns(), true) < 0)
            continue;
        int r;
        do {
            size_t used = 0;
            r = source_fill(w.source, w.batch, sizeof w.batch, &used);
            if (r >= 0)
                assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
        } while (r == 1);
        source_end(w.source, r == 0);
        if (r < 0) {
            copy_remove(w.to); /* as a replica would: nothing of it counts */
            tree_clear(w.tree);
            follow();
            continue;
        }
        const int fd = open("/dev/null", O_RDONLY);
        close(fd);
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/hot", w.to);
        FILE *copy = fopen(path, "rb");
        if (copy) {
            const size_t size = fread(bytes, 1, sizeof bytes, copy);
            fclose(copy);
            for (size_t i = 0; i < size; i += 4096)
                assert_int_equal(bytes[i], bytes[0]);
        }
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    catch_up();
    assert_same();
}

/* ----------------------------------------------------------- random edits by seed */

static void random_name(char *name, size_t size)
{
    static const char *const directories[] = {"", "p/", "q/", "p/r/", "q/s/"};

    snprintf(name, size, "%s%c", directories[random() % 5], (char)('a' + random() % 6));
}

static void random_edit(void)
{
    char name[32], other[32];
    uint8_t bytes[5000];
    int fd;

    random_name(name, sizeof name);
    random_name(other, sizeof other);
    random_bytes(bytes, sizeof bytes);
    switch (random() % 12) {
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
        mkdir(in("p"), 0755), mkdir(in("q"), 0700), mkdir(in("p/r"), 0750), mkdir(in("q/s"), 0711);
        break;
    case 5:
        (void)!link(in(name), in(other));
        break;
    case 6:
        (void)!symlink("somewhere", in(name));
        break;
    case 7:
        (void)!chmod(in(name), (mode_t)(0700 | random() % 64));
        break;
    case 8:
        fd = open(in(name), O_WRONLY | O_CREAT, 0644);
        if (fd >= 0) {
            (void)!pwrite(fd, bytes, sizeof bytes, random() % 400000);
            close(fd);
        }
        break;
    case 9:
        mkdir(in(name), 0755);
        break;
    default:
        fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd >= 0) {
            (void)!write(fd, bytes, (size_t)random() % sizeof bytes);
            close(fd);
        }
    }
}

static void test_random_edits_end_in_the_same(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++) {
        srandom(seed);
        follow();
        for (int i = 0; i < 400; i++) {
            random_edit();
            if (random() % 8 == 0) {
                turn(random() % 3 * NS_PER_MS);
                generation(random() % 2);
            }
        }
        catch_up();
        assert_same();
        if (seed % 3 == 0)
            source_rescan(w.source), catch_up();
    }
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_a_tree_is_scanned_and_yielded),
        WITH(test_changes_are_seen),
        WITH(test_only_changed_blocks_travel),
        WITH(test_a_rename_is_one_operation),
        WITH(test_hard_links_stay_together),
        WITH(test_what_is_excluded_stays),
        WITH(test_what_does_not_travel_is_told),
        WITH(test_a_generation_that_was_not_taken_comes_again),
        WITH(test_more_events_than_the_queue_holds_are_made_good),
        WITH(test_a_mixture_never_travels),
        WITH(test_random_edits_end_in_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
