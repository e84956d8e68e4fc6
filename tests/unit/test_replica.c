/* The replica on a real file system: fed by a real source, killed at any moment, fed with what no sender
 * makes. */
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "tests/unit/replica_world.h"

/* ----------------------------------------------------------------------- tests */

static void test_generations_arrive(void **state)
{
    (void)state;
    mkdir(in("a"), 0750);
    mkdir(in("a/b"), 0711);
    put("a/one", "1", 1);
    put_big("a/b/big", 300000);
    put_big("huge", 20 << 20);
    assert_int_equal(symlink("../nowhere", in("a/b/link")), 0);
    assert_int_equal(link(in("a/one"), in("a/b/two")), 0);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    assert_same();
    assert_int_equal(rename(in("a"), in("c")), 0);
    put("c/one", "2", 1);
    const int fds[] = {open(in("huge"), O_WRONLY), open(in("c/b/big"), O_WRONLY)};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pwrite(fds[i], "a patch", 7, 200000), 7);
        close(fds[i]);
    }
    unlink(in("c/b/link"));
    carry();
    assert_same();
    assert_int_equal(replica_state(w.replica).conflicts, 0);
}

static void test_what_was_changed_here_is_kept_aside(void **state)
{
    char path[PATH_MAX], command[3 * PATH_MAX];

    (void)state;
    put("one", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    snprintf(path, sizeof path, "%s/one", w.to);
    FILE *file = fopen(path, "w");
    fputs("changed on this side", file);
    fclose(file);
    put("one", "2", 1);
    carry();
    assert_int_equal(replica_state(w.replica).conflicts, 1);
    snprintf(command, sizeof command, "grep -rq 'changed on this side' %s",
             replica_state(w.replica).conflict_dir);
    assert_int_equal(system(command), 0);
}

static void test_a_generation_that_ends_early_leaves_nothing(void **state)
{
    (void)state;
    put("one", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    const struct sync_hash before = tree_root_hash(w.held);
    put("one", "2", 1);
    put_big("big", 300000);
    take_generation();
    assert_int_equal(replica_begin(w.replica, (struct sync_generation){1, w.counter}, false), 0);
    assert_int_equal(replica_batch(w.replica, w.batches[0].bytes, w.batches[0].size), 0);
    replica_abort(w.replica);
    tree_clear(w.held);
    learn();
    assert_true(same_as(&before));
    digest_add(w.digest, (const uint8_t *)"!", 1);
    assert_int_equal(give(true), -EILSEQ);
    tree_clear(w.held);
    learn();
    assert_true(same_as(&before));
}

static void test_a_refused_generation_leaves_nothing(void **state)
{
    (void)state;
    put("one", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    const struct sync_hash before = tree_root_hash(w.held);
    put("one", "2", 1);
    take_generation();
    assert_int_equal(give(false), 0);
    assert_int_equal(replica_refuse(w.replica), 0);
    replica_close(w.replica);
    open_replica();
    assert_true(same_as(&before));
}

static void test_a_reader_that_hangs_does_not_hold_up_the_role(void **state)
{
    (void)state;
    put("one", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    const int reader = open(w.lock, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(reader, LOCK_SH), 0);
    put("one", "2", 1);
    take_generation();
    assert_int_equal(give(false), 0);
    for (int i = 0; i < 200; i++) /* each waits 2 ms */
        assert_int_equal(replica_switch(w.replica), 1);
    replica_hurry(w.replica);
    int done = 1;
    for (int i = 0; i < 1000 && done == 1; i++)
        done = replica_switch(w.replica);
    assert_int_equal(done, 0);
    assert_same();
    replica_close(w.replica);
    open_replica(); /* nor its beginning */
    assert_same();
    close(reader);
}

/* ------------------------------------------------------------------ new directories */

/* One with so many files, and all else that may be in one. */
static void new_directory(const char *name, int files)
{
    char path[64];

    copy_remove(in(name));
    mkdir(in(name), 0750);
    snprintf(path, sizeof path, "%s/below", name);
    mkdir(in(path), 0711);
    for (int i = 0; i < files; i++) {
        snprintf(path, sizeof path, i % 3 ? "%s/%d" : "%s/below/%d", name, i);
        put(path, path, strlen(path));
    }
    snprintf(path, sizeof path, "%s/link", name);
    (void)!symlink("../nowhere", in(path));
    snprintf(path, sizeof path, "%s/below/another name", name);
    (void)!link(in("one"), in(path));
}

static bool copy_has(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", w.to, name);
    return access(path, F_OK) == 0;
}

/* How many steps the switch has in which it is not there. */
static int steps_without(const char *name)
{
    int steps = 0, r;

    while ((r = replica_switch(w.replica)) == 1)
        steps += !copy_has(name);
    assert_int_equal(r, 0);
    return steps;
}

/* What is in the staging area by that name. */
static bool is_staged(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/work/%s", w.state, name);
    return access(path, F_OK) == 0;
}

static void test_a_new_directory_comes_whole(void **state)
{
    (void)state;
    put("one", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    new_directory("new", 1200);
    new_directory("second", 600);
    put("zz", "after it", 8);
    take_generation();
    assert_int_equal(give(false), 0);
    assert_true(is_staged("t-new/below/9")); /* most is done already */
    assert_false(copy_has("new"));
    assert_true(steps_without("second/below/9") > 4);
    assert_same();
    /* What came so is known: nothing of it is taken for somebody's change. */
    put("new/7", "changed", 7);
    put("new/below/9", "changed", 7);
    assert_int_equal(rename(in("new/below"), in("moved")), 0);
    carry();
    assert_same();
    assert_int_equal(replica_state(w.replica).conflicts, 0);
    assert_false(is_staged("t-new"));
}

static void test_a_new_directory_that_is_given_up_leaves_nothing(void **state)
{
    (void)state;
    put("one", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    new_directory("new", 100);
    take_generation();
    assert_int_equal(give(false), 0);
    assert_true(is_staged("t-new"));
    assert_int_equal(replica_refuse(w.replica), 0);
    assert_false(is_staged("t-new") || copy_has("new"));
    assert_int_equal(replica_begin(w.replica, (struct sync_generation){1, w.counter + 1}, false), 0);
    assert_int_equal(replica_batch(w.replica, w.batches[0].bytes, w.batches[0].size), 0);
    assert_true(is_staged("t-new"));
    replica_abort(w.replica);
    assert_false(is_staged("t-new") || copy_has("new"));
}

/* Somebody makes something on this node at the same place, so many steps after all has come. */
static void make_meanwhile(int steps)
{
    char path[PATH_MAX];

    put("one", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    new_directory("new", 1200);
    take_generation();
    assert_int_equal(give(false), 0);
    for (; steps > 0; steps--)
        assert_int_equal(replica_switch(w.replica), 1);
    snprintf(path, sizeof path, "mkdir %s/new && echo made here >%s/new/theirs", w.to, w.to);
    assert_int_equal(system(path), 0);
    steps_without("nothing");
}

static void test_a_new_directory_takes_the_place_of_what_came_meanwhile(void **state)
{
    char command[3 * PATH_MAX];

    (void)state;
    make_meanwhile(1);
    assert_same();
    assert_int_equal(replica_state(w.replica).conflicts, 1);
    snprintf(command, sizeof command, "grep -rq 'made here' %s", replica_state(w.replica).conflict_dir);
    assert_int_equal(system(command), 0);
}

/* Then what was made early was in vain, and what somebody made stays until it is looked at. */
static void test_a_new_directory_goes_into_what_came_before(void **state)
{
    (void)state;
    make_meanwhile(0);
    assert_true(copy_has("new/theirs") && copy_has("new/below/9") && copy_has("new/below/1197"));
    assert_false(is_staged("t-new/below/9"));
}

/* ------------------------------------------------------------ killed at any moment */

static void show_operations(void)
{
    static const char *const names[] = {"",     "put",   "meta", "open",  "block",
                                        "hole", "close", "move", "delete"};
    struct sync_op op;

    for (size_t i = 0; i < w.batch_count; i++)
        for (struct sync_bytes rest = {w.batches[i].bytes, w.batches[i].size}; sync_op_next(&rest, &op) == 1;)
            fprintf(stderr, "%s %.*s %.*s\n", names[op.kind], (int)op.path.size, (const char *)op.path.at,
                    op.kind == SYNC_OP_MOVE ? (int)op.content.size : 0, (const char *)op.content.at);
}

static void kill_a_child_that_gives(int longest_us)
{
    const pid_t child = fork();

    if (child == 0) {
        give(true);
        _exit(0);
    }
    usleep((useconds_t)(random() % longest_us));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void test_killed_at_any_moment_it_has_a_whole_generation(void **state)
{
    size_t old = 0, new = 0;
    struct sync_log_entry last;

    (void)state;
    srandom(11);
    look_through(w.source, SOURCE_FOLLOW);
    for (int i = 0; i < 150; i++) {
        const struct sync_hash before = tree_root_hash(w.held);
        for (int k = 0; k < 6; k++)
            random_edit();
        if (i % 3 == 0)
            new_directory(i % 2 ? "p/new" : "new", 100);
        if (i % 9 == 0)
            (void)!rename(in("huge"), in("new/huge"));
        take_generation();
        const struct sync_hash after = tree_root_hash(w.tree);
        replica_close(w.replica);
        open_replica();
        kill_a_child_that_gives(i % 2 ? 60000 : 15000);
        replica_close(w.replica); /* this process has seen nothing of it */
        open_replica();
        tree_clear(w.held);
        learn();
        if (!same_as(&before) && !same_as(&after)) {
            show_differences(w.held, w.tree, "it is");
            show_differences(w.tree, w.held, "it should be");
            show_operations();
            fail_msg("after kill %d it is neither the one nor the other", i);
        }
        if (replica_log(w.replica, &last, 1) == 1 && !same_as(&last.tree))
            fail_msg("after kill %d the generation is not what the log says of it", i);
        old += same_as(&before);
        new += same_as(&after);
        if (same_as(&after))
            continue;
        assert_int_equal(replica_state(w.replica).generation.counter < w.counter, 1);
        digest_begin(w.digest);
        for (size_t k = 0; k < w.batch_count; k++)
            digest_add(w.digest, w.batches[k].bytes, w.batches[k].size);
        const int r = give(true);
        if (r != 0)
            fail_msg("after kill %d: %s", i, replica_error(w.replica));
        assert_same();
    }
    print_message("killed: %zu times the old one was there, %zu times the new one\n", old, new);
    assert_true(old > 5 && new > 5);
}

/* As a crash leaves it: nothing is closed, and no checkpoint made. The dead one stays as it is, to the end.
 */
static void die_and_recover(void)
{
    static struct replica *dead[16];
    static size_t count;

    assert_true(count < sizeof dead / sizeof *dead);
    dead[count++] = w.replica;
    open_replica();
}

/* What was renamed into a directory that is being made is nowhere else: the end of the process, after so many
 * steps, must not take it along. */
static void test_what_goes_into_a_new_directory_survives_a_crash(void **state)
{
    char name[32], into[64];

    (void)state;
    put("one", "1", 1);
    for (int i = 1; i <= 4; i++) {
        snprintf(name, sizeof name, "moved-%d", i);
        put(name, name, strlen(name));
    }
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    for (int i = 1; i <= 4; i++) {
        snprintf(name, sizeof name, "new-%d", i);
        new_directory(name, 1100);
        snprintf(name, sizeof name, "moved-%d", i);
        snprintf(into, sizeof into, "new-%d/moved", i);
        assert_int_equal(rename(in(name), in(into)), 0);
        take_generation();
        assert_int_equal(give(false), 0);
        for (int k = 0; k < i; k++)
            assert_int_equal(replica_switch(w.replica), 1);
        die_and_recover();
        assert_same();
    }
}

/* What was installed from a staging file has its content nowhere else: an older put must not come over it
 * again. */
static void test_what_came_last_stays_after_a_crash(void **state)
{
    static const size_t sizes[][3] = {{5, 200000, 0}, {200000, 5, 300000}, {5, 70000, 200000}};
    struct stat status;
    char path[PATH_MAX];

    (void)state;
    snprintf(path, sizeof path, "%s/file", w.to);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < 3 && sizes[i][k]; k++) {
            copy_remove(in("file"));
            put_big("file", sizes[i][k]);
            carry();
        }
        die_and_recover();
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, sizes[i][2] ? sizes[i][2] : sizes[i][1]);
        assert_same();
    }
}

/* The third number in it is another one with each new beginning. */
static uint64_t beginning_of_journal(void)
{
    uint64_t numbers[3];
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/journal", w.state);
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, numbers, sizeof numbers), sizeof numbers);
    return numbers[2];
}

static void rest_at(int64_t second)
{
    assert_int_equal(replica_rest(w.replica, second * NS_PER_S), 0);
    turn(50 * NS_PER_MS); /* of what goes on in the background */
}

/* When nothing comes for a while the journal begins anew, and a crash has nothing to apply again; what comes
 * in the middle of it is not lost with the old journal. */
static void test_it_rests(void **state)
{
    (void)state;
    look_through(w.source, SOURCE_FOLLOW);
    put("one", "the first", 9);
    carry();
    const uint64_t before = beginning_of_journal();
    rest_at(100);
    rest_at(101); /* not yet */
    rest_at(103); /* begins */
    put("two", "came meanwhile", 14);
    carry();
    rest_at(104); /* ends, and is of no use any more */
    rest_at(105);
    assert_int_equal(beginning_of_journal(), before);
    for (int64_t second = 108; second < 1000 && beginning_of_journal() == before; second++)
        rest_at(second); /* the disk takes its time */
    assert_int_not_equal(beginning_of_journal(), before);
    die_and_recover();
    assert_same();
}

/* The index on the disk is some generations old, and what is done again changes only attributes. */
static void test_what_is_done_again_sets_no_time_back(void **state)
{
    struct tree *old;

    (void)state;
    mkdir(in("p"), 0755);
    put("p/a", "1", 1);
    look_through(w.source, SOURCE_FOLLOW);
    carry();
    assert_int_equal(tree_new(w.hasher, &old), 0);
    struct source *learner = open_source(&w.target, old);
    look_through(learner, SOURCE_LEARN);
    source_free(learner);
    turn(20 * NS_PER_MS); /* the clock of the file system goes on */
    put("p/b", "2", 1);
    carry();
    chmod(in("p/a"), 0600);
    take_generation();
    replica_close(w.replica);
    open_replica();
    const pid_t child = fork();
    if (child == 0)
        _exit(give(false) == 0 ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    replica_close(w.replica);
    tree_free(w.held);
    w.held = old;
    open_replica();
    assert_int_equal(replica_state(w.replica).generation.counter, w.counter);
    assert_same();
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_generations_arrive),
        WITH(test_what_was_changed_here_is_kept_aside),
        WITH(test_a_generation_that_ends_early_leaves_nothing),
        WITH(test_a_refused_generation_leaves_nothing),
        WITH(test_a_reader_that_hangs_does_not_hold_up_the_role),
        WITH(test_what_came_last_stays_after_a_crash),
        WITH(test_what_goes_into_a_new_directory_survives_a_crash),
        WITH(test_it_rests),
        WITH(test_a_new_directory_comes_whole),
        WITH(test_a_new_directory_that_is_given_up_leaves_nothing),
        WITH(test_a_new_directory_takes_the_place_of_what_came_meanwhile),
        WITH(test_a_new_directory_goes_into_what_came_before),
        WITH(test_killed_at_any_moment_it_has_a_whole_generation),
        WITH(test_what_is_done_again_sets_no_time_back),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
