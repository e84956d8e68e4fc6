/* The source on a real file system: what it yields, carried out elsewhere, is what it has. */
#include "tests/unit/source_world.h"

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
    (void)state;
    mkdir(in("d"), 0755);
    put("d/a", "a", 1), put("gone", "a", 1), put("moved", "abc", 3), put_big("big", 200000);
    follow();
    catch_up();
    put("d/a", "b", 1), put("new", "n", 1), put_big("big", 220000);
    unlink(in("gone"));
    assert_int_equal(rename(in("moved"), in("d/moved")), 0);
    turn(20 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    for (int r = 1; r == 1;) {
        size_t used = 0;
        r = source_fill(w.source, w.batch, sizeof w.batch, &used);
        assert_true(r >= 0);
    }
    source_end(w.source);
    compare();
    catch_up();
    assert_same();
}

/* The peer has other kinds of entries at the same paths, and directories that this node never had. */
static void test_any_other_state_of_the_peer_is_made_good(void **state)
{
    char path[PATH_MAX];

    (void)state;
    put("a", "file", 4);
    mkdir(in("b"), 0755);
    put("b/c", "file", 4);
    (void)!symlink("target", in("s"));
    follow();
    catch_up();
    snprintf(path, sizeof path, "cd %s && rm -rf a b s && mkdir -p a/x/y s z/z && touch a/x/y/1 b z/z/2 s/3",
             w.to);
    assert_int_equal(system(path), 0);
    compare();
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

/* A directory that is renamed after a generation has begun: what was taken of it is not where it was. The
 * news of it come before what was taken is looked at, or later. */
static void directory_is_renamed(bool news_first)
{
    char path[PATH_MAX], other[PATH_MAX];

    mkdir(in("d"), 0755);
    put("d/changed", "one", 3);
    put("d/deleted", "one", 3);
    put("d/untouched", "one", 3);
    follow();
    catch_up();
    put("d/changed", "two", 3);
    unlink(in("d/deleted"));
    turn(20 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    assert_int_equal(rename(in("d"), in("e")), 0);
    if (news_first)
        turn(20 * NS_PER_MS);
    fill_to_the_end();
    /* What the peer has in between is what was there before, not less. */
    snprintf(path, sizeof path, "%s/d/changed", w.to);
    snprintf(other, sizeof other, "%s/e/changed", w.to);
    assert_true(access(path, F_OK) == 0 || access(other, F_OK) == 0);
    catch_up();
    assert_same();
}

static void test_a_directory_is_renamed_under_a_generation(void **state)
{
    (void)state;
    directory_is_renamed(false);
}

static void test_a_directory_is_renamed_and_told_under_a_generation(void **state)
{
    (void)state;
    directory_is_renamed(true);
}

/* One that is being looked at with all in it, and has not been wholly. */
static void test_a_new_directory_is_renamed_under_a_generation(void **state)
{
    char name[64];
    size_t used = 0;

    (void)state;
    follow();
    catch_up();
    mkdir(in("n"), 0755);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "n/%d", i);
        mkdir(in(name), 0755);
        for (int k = 0; k < 40; k++) {
            snprintf(name, sizeof name, "n/%d/%d", i, k);
            put(name, name, strlen(name));
        }
    }
    source_rescan(w.source);
    turn(200 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    assert_int_equal(source_fill(w.source, w.batch, sizeof w.batch, &used), 1);
    assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
    assert_int_equal(rename(in("n"), in("m")), 0);
    turn(20 * NS_PER_MS);
    fill_to_the_end();
    catch_up();
    assert_same();
}

static void test_a_file_is_renamed_under_a_generation(void **state)
{
    char path[PATH_MAX], other[PATH_MAX];

    (void)state;
    put("before", "one", 3);
    follow();
    catch_up();
    put("before", "two", 3);
    turn(20 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    assert_int_equal(rename(in("before"), in("after")), 0);
    fill_to_the_end();
    snprintf(path, sizeof path, "%s/before", w.to);
    snprintf(other, sizeof other, "%s/after", w.to);
    assert_true(access(path, F_OK) == 0 || access(other, F_OK) == 0);
    catch_up();
    assert_same();
}

static void fill_once(void)
{
    size_t used = 0;

    assert_int_equal(source_fill(w.source, w.batch, sizeof w.batch, &used), 1);
    assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
}

/* A generation with so many files that one step comes to their middle, behind d and before z. */
static void begin_a_long_one(void)
{
    mkdir(in("many"), 0755);
    for (int i = 0; i < 700; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/%d", i);
        put(name, name, strlen(name));
    }
    turn(20 * NS_PER_MS);
    mkdir(in("y"), 0755); /* to be scanned, which takes its turn */
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
}

/* Names came in a directory, and it has another name when the times of directories are looked at. */
static void test_a_directory_in_which_names_came_is_renamed_under_a_generation(void **state)
{
    (void)state;
    mkdir(in("d"), 0755), mkdir(in("d/r"), 0755);
    follow();
    catch_up();
    put("d/r/new", "one", 3);
    begin_a_long_one();
    fill_once();
    assert_int_equal(rename(in("d"), in("e")), 0);
    turn(20 * NS_PER_MS);
    fill_to_the_end();
    catch_up();
    assert_same();
}

/* The generation finds out by itself, before it is told. */
static void test_a_directory_in_which_names_came_is_found_under_another_name(void **state)
{
    (void)state;
    mkdir(in("d"), 0755), mkdir(in("d/r"), 0755);
    follow();
    catch_up();
    assert_int_equal(rename(in("d"), in("z")), 0); /* so that both names are looked at */
    assert_int_equal(rename(in("z"), in("d")), 0);
    put("d/r/new", "one", 3);
    begin_a_long_one();
    fill_once();
    assert_int_equal(rename(in("d"), in("z")), 0);
    fill_to_the_end();
    catch_up();
    assert_same();
}

/* What was not there when it was looked at is there again when it would be deleted. */
static void test_a_directory_is_away_for_a_moment(void **state)
{
    (void)state;
    mkdir(in("d"), 0755);
    put("d/changed", "one", 3);
    follow();
    catch_up();
    put("d/changed", "two", 3);
    begin_a_long_one();
    assert_int_equal(rename(in("d"), in("e")), 0);
    fill_once();
    assert_int_equal(rename(in("e"), in("d")), 0);
    fill_to_the_end();
    catch_up();
    assert_same();
}

/* A file is written to by a name that is gone again when it is looked at. */
static void test_a_write_by_a_name_that_goes_is_seen(void **state)
{
    (void)state;
    put("file", "one", 3);
    follow();
    catch_up();
    assert_int_equal(link(in("file"), in("other")), 0);
    turn(20 * NS_PER_MS);
    put("other", "changed", 7);
    unlink(in("other"));
    catch_up();
    assert_same();
}

/* The name that the tree knows is below a directory that was renamed, too, and is still there. */
static void test_a_symlink_of_two_names_is_no_rename(void **state)
{
    (void)state;
    mkdir(in("p"), 0755);
    mkdir(in("q"), 0755);
    assert_int_equal(symlink("somewhere", in("p/s")), 0);
    follow();
    catch_up();
    assert_int_equal(link(in("p/s"), in("q/e")), 0);
    assert_int_equal(rename(in("p"), in("q/t")), 0);
    catch_up();
    assert_same();
}

/* The peer has something at the place that a file was renamed to, in a directory that is listed. */
static void test_a_file_is_renamed_to_where_the_peer_has_something(void **state)
{
    char path[PATH_MAX];

    (void)state;
    mkdir(in("a"), 0755);
    put("a/file", "of some bytes", 13);
    follow();
    catch_up();
    snprintf(path, sizeof path, "mkdir %s/new && echo other >%s/new/file", w.to, w.to);
    assert_int_equal(system(path), 0);
    mkdir(in("new"), 0755);
    assert_int_equal(rename(in("a/file"), in("new/file")), 0);
    compare();
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
        source_end(w.source);
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
        /* One that comes, is written to, and goes before its coming is read is the known limit. */
        if (link(in(name), in(other)) == 0)
            source_look(w.source);
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

/* The first of the seeds: other ones are asked for from outside. */
static unsigned seed_from(unsigned usual)
{
    const char *text = getenv("DUET_SEED");

    return text ? (unsigned)atoi(text) : usual;
}

static void test_random_edits_end_in_the_same(void **state)
{
    (void)state;
    for (unsigned first = seed_from(1), seed = first; seed < first + 12; seed++) {
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

/* Edits between a generation's beginning and its end, and between its steps. */
static void test_random_edits_within_generations(void **state)
{
    (void)state;
    for (unsigned first = seed_from(101), seed = first; seed < first + 12; seed++) {
        srandom(seed);
        follow();
        for (int i = 0; i < 60; i++) {
            for (long edits = random() % 10; edits > 0; edits--)
                random_edit();
            turn(random() % 2 * NS_PER_MS);
            assert_int_equal(source_begin(w.source, clock_now_ns(), random() % 2), 0);
            bool failed = false;
            for (int r = 1; r == 1;) {
                size_t used = 0;
                for (long edits = random() % 4; edits > 0; edits--)
                    random_edit();
                if (random() % 2)
                    turn(NS_PER_MS / 2);
                /* Small rooms make many steps. */
                r = source_fill(w.source, w.batch, (1 << 17) + 8192, &used);
                assert_true(r >= 0 || r == -ESTALE);
                failed |= r < 0;
                if (r >= 0)
                    assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
            }
            source_end(w.source);
            if (failed)
                compare();
        }
        catch_up();
        assert_same();
    }
}

/* Somebody edits the copy, too: what comparing finds is made good. */
static void edit_the_copy(void)
{
    char from[sizeof w.from];

    memcpy(from, w.from, sizeof from);
    memcpy(w.from, w.to, sizeof w.from);
    for (long edits = random() % 4; edits > 0; edits--)
        random_edit();
    memcpy(w.from, from, sizeof w.from);
}

/* The operations of a generation, edits between them; whether all went well. */
static bool generation_among_edits(void)
{
    int r = source_begin(w.source, clock_now_ns(), true);

    for (r = 1; r == 1;) {
        size_t used = 0;
        for (long edits = random() % 3; edits > 0; edits--)
            random_edit();
        r = source_fill(w.source, w.batch, (1 << 17) + 8192, &used);
        assert_true(r >= 0 || r == -ESTALE);
        if (r >= 0)
            assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
    }
    return r == 0;
}

/* What the tree says when a generation ends, if the source is sure, is what the peer has by then. */
static void test_what_is_sure_is_what_the_peer_has(void **state)
{
    (void)state;
    for (unsigned first = seed_from(201), seed = first; seed < first + 12; seed++) {
        srandom(seed);
        follow();
        for (int i = 0; i < 40; i++) {
            for (long edits = random() % 10; edits > 0; edits--)
                random_edit();
            if (random() % 2)
                turn(NS_PER_MS);
            if (i > 0 && random() % 2) {
                edit_the_copy();
                compare();
            }
            for (long edits = random() % 10; edits > 0; edits--)
                random_edit();
            const bool well = generation_among_edits();
            if (well && source_is_sure(w.source))
                assert_is(w.tree, &w.copied_root, "the copy");
            source_end(w.source);
            if (!well)
                compare();
        }
        catch_up();
        assert_same();
    }
}

/* Who writes to mapped memory leaves no trace but the closing. */
static void test_mapped_memory_is_seen_when_it_is_closed(void **state)
{
    (void)state;
    put_big("mapped", 8192);
    follow();
    catch_up();
    const int fd = open(in("mapped"), O_RDWR);
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(memory != MAP_FAILED);
    memory[0]++;
    source_rescan(w.source);
    catch_up();
    memory[1]++;
    munmap(memory, 8192);
    close(fd);
    catch_up();
    assert_same();
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
        WITH(test_any_other_state_of_the_peer_is_made_good),
        WITH(test_more_events_than_the_queue_holds_are_made_good),
        WITH(test_a_directory_is_renamed_under_a_generation),
        WITH(test_a_directory_is_renamed_and_told_under_a_generation),
        WITH(test_a_new_directory_is_renamed_under_a_generation),
        WITH(test_a_directory_in_which_names_came_is_renamed_under_a_generation),
        WITH(test_a_directory_in_which_names_came_is_found_under_another_name),
        WITH(test_a_directory_is_away_for_a_moment),
        WITH(test_a_write_by_a_name_that_goes_is_seen),
        WITH(test_a_symlink_of_two_names_is_no_rename),
        WITH(test_a_file_is_renamed_under_a_generation),
        WITH(test_a_file_is_renamed_to_where_the_peer_has_something),
        WITH(test_a_mixture_never_travels),
        WITH(test_random_edits_end_in_the_same),
        WITH(test_random_edits_within_generations),
        WITH(test_what_is_sure_is_what_the_peer_has),
        WITH(test_mapped_memory_is_seen_when_it_is_closed),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
