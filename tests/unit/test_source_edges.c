/* The source where things are unusual: rotations and swaps, holes, what cannot be read, roots that are
 * missing, too few watches. */
#include <sched.h>

#include "tests/unit/source_world.h"

static void forget_counts(void)
{
    memset(w.copy.operations, 0, sizeof w.copy.operations);
    w.copy.bytes = 0;
}

static void start(void)
{
    follow();
    catch_up();
    forget_counts();
}

/* ----------------------------------------------------------------------- renames */

static void test_a_rotation_is_made_of_renames(void **state)
{
    char name[16], next[16];

    (void)state;
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "log.%d", i);
        put_big(name, 100000);
    }
    start();
    unlink(in("log.5"));
    for (int i = 5; i > 0; i--) {
        snprintf(name, sizeof name, "log.%d", i - 1);
        snprintf(next, sizeof next, "log.%d", i);
        assert_int_equal(rename(in(name), in(next)), 0);
    }
    put("log.0", "begins anew", 11);
    catch_up();
    assert_int_equal(w.copy.operations[SYNC_OP_MOVE], 5);
    assert_true(w.copy.bytes < 1000);
    assert_same();
}

/* "mv d old; mv new d": the old one goes to a name that sorts behind. */
static void test_a_directory_takes_the_place_of_another(void **state)
{
    (void)state;
    mkdir(in("d"), 0755), mkdir(in("new"), 0755);
    put_big("d/one", 100000), put_big("new/one", 100000), put_big("new/two", 100000);
    start();
    assert_int_equal(rename(in("d"), in("old")), 0);
    assert_int_equal(rename(in("new"), in("d")), 0);
    catch_up();
    assert_int_equal(w.copy.operations[SYNC_OP_MOVE], 2);
    assert_true(w.copy.bytes < 1000);
    assert_same();
}

static void test_directories_are_exchanged(void **state)
{
    (void)state;
    mkdir(in("a"), 0755), mkdir(in("b"), 0755);
    put("a/one", "1", 1), put("b/two", "2", 1);
    start();
    assert_int_equal(renameat2(AT_FDCWD, in("a"), AT_FDCWD, in("b"), RENAME_EXCHANGE), 0);
    catch_up();
    assert_same();
    put("a/two", "22", 2), put("b/one", "11", 2);
    catch_up();
    assert_same();
}

/* A file is replaced by the usual way: written beside it, then renamed. It must never be missing on the peer.
 */
static void test_a_file_is_replaced_in_one_step(void **state)
{
    (void)state;
    put("f", "old", 3);
    start();
    put("f.tmp", "new", 3);
    catch_up();
    forget_counts();
    assert_int_equal(rename(in("f.tmp"), in("f")), 0);
    catch_up();
    assert_int_equal(w.copy.operations[SYNC_OP_PUT], 1);
    assert_int_equal(w.copy.operations[SYNC_OP_DELETE], 1);
    assert_same();
}

/* Comparing has found something at the peer that is not here, and just now a file gets that name. */
static void test_a_rename_to_where_the_peer_has_something(void **state)
{
    char there[PATH_MAX];

    (void)state;
    put_big("a", 100000);
    start();
    snprintf(there, sizeof there, "%s/b", w.to);
    assert_int_equal(mkdir(there, 0755), 0);
    assert_true(source_is_sure(w.source));
    compare();
    assert_false(source_is_sure(w.source));
    assert_int_equal(rename(in("a"), in("b")), 0);
    catch_up();
    assert_true(source_is_sure(w.source));
    assert_int_equal(w.copy.operations[SYNC_OP_MOVE], 1);
    assert_same();
}

/* … and a big one that differs changes whenever it is read: what the peer has of it is not known. */
static void test_what_differs_and_cannot_be_read_leaves_the_source_unsure(void **state)
{
    char there[PATH_MAX];
    size_t used;
    int r;

    (void)state;
    put_big("a", 20000000);
    start();
    snprintf(there, sizeof there, "%s/a", w.to);
    assert_int_equal(chmod(there, 0600), 0);
    compare();
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    for (r = 1, used = 0; r == 1; used = 0) {
        assert_int_equal(truncate(in("a"), 20000000 - random() % 1000), 0);
        r = source_fill(w.source, w.batch, sizeof w.batch, &used);
        assert_int_equal(used, 0);
    }
    assert_int_equal(r, 0);
    assert_false(source_is_sure(w.source));
    source_end(w.source);
    turn(NS_PER_S);
    catch_up();
    assert_true(source_is_sure(w.source));
    assert_same();
}

/* "rm -r" is in the middle: the file is deleted, and whether its other name only went elsewhere is not known.
 */
static void test_another_name_of_what_is_deleted_leaves_the_source_unsure(void **state)
{
    size_t used = 0, room = 0;
    int r = -EMSGSIZE;

    (void)state;
    mkdir(in("d"), 0755), mkdir(in("d/b"), 0755);
    put("d/b/file", "text", 4);
    assert_int_equal(link(in("d/b/file"), in("d/name")), 0);
    start();
    unlink(in("d/b/file")), rmdir(in("d/b")), unlink(in("d/name"));
    turn(20 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    while (r == -EMSGSIZE) /* so little that nothing else goes with the first one */
        r = source_fill(w.source, w.batch, ++room, &used);
    assert_int_equal(r, 1);
    assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
    rmdir(in("d"));
    for (used = 0; r == 1; used = 0)
        r = source_fill(w.source, w.batch, sizeof w.batch, &used);
    assert_int_equal(r, 0);
    assert_false(source_is_sure(w.source));
    source_end(w.source);
    catch_up();
    assert_true(source_is_sure(w.source));
    assert_same();
}

/* Comparing found that the file differs, so nothing is known of its inode any more; then its first name goes.
 */
static void test_another_name_of_what_differs_is_said_again(void **state)
{
    char there[PATH_MAX];

    (void)state;
    put("a", "text", 4);
    assert_int_equal(link(in("a"), in("b")), 0);
    start();
    snprintf(there, sizeof there, "%s/a", w.to);
    assert_int_equal(chmod(there, 0600), 0);
    compare();
    unlink(in("a"));
    catch_up();
    assert_same();
}

static void test_another_name_goes_under_a_generation(void **state)
{
    (void)state;
    put("a", "text", 4);
    assert_int_equal(link(in("a"), in("b")), 0);
    start();
    put("a", "other", 5);
    turn(20 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    unlink(in("b"));
    size_t used = 0;
    int r;
    do {
        r = source_fill(w.source, w.batch, sizeof w.batch, &used);
        assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
        used = 0;
    } while (r == 1);
    assert_int_equal(r, 0);
    if (source_is_sure(w.source))
        assert_is(w.tree, &w.copied_root, "the copy");
    source_end(w.source);
    catch_up();
    assert_true(source_is_sure(w.source));
    assert_same();
}

/* Comparing found something below a directory, which is renamed and goes; another one comes in its place. */
static void test_what_the_peer_has_is_not_renamed_here(void **state)
{
    char there[PATH_MAX];

    (void)state;
    mkdir(in("d"), 0755);
    put("d/differs", "text", 4);
    start();
    snprintf(there, sizeof there, "%s/d/differs", w.to);
    assert_int_equal(chmod(there, 0600), 0);
    snprintf(there, sizeof there, "%s/d/surplus", w.to);
    assert_int_equal(mkdir(there, 0755), 0);
    compare();
    assert_int_equal(rename(in("d"), in("e")), 0);
    turn(20 * NS_PER_MS);
    unlink(in("e/differs")), rmdir(in("e"));
    mkdir(in("d"), 0755);
    catch_up();
    assert_same();
}

static void test_what_moves_in_and_out_of_the_set(void **state)
{
    char outside[PATH_MAX];

    (void)state;
    snprintf(outside, sizeof outside, "%s/outside", w.top);
    mkdir(in("d"), 0755), mkdir(in("d/e"), 0755);
    put("d/e/f", "1", 1);
    start();
    assert_int_equal(rename(in("d"), outside), 0);
    catch_up();
    assert_same();
    assert_int_equal(rename(outside, in("back")), 0);
    catch_up();
    assert_same();
    put("back/e/f", "seen", 4);
    catch_up();
    assert_same();
}

/* What was changed unseen in a directory that was renamed is found by a scan that comes in between. */
static void test_a_scan_of_a_directory_that_was_renamed(void **state)
{
    char outside[PATH_MAX];

    (void)state;
    snprintf(outside, sizeof outside, "%s/outside", w.top);
    mkdir(in("d"), 0755);
    put("d/f", "1", 1);
    assert_int_equal(link(in("d/f"), outside), 0);
    start();
    assert_int_equal(rename(in("d"), in("e")), 0);
    turn(20 * NS_PER_MS);
    const int fd = open(outside, O_WRONLY | O_TRUNC); /* nobody tells of that */
    assert_int_equal(write(fd, "another", 7), 7);
    close(fd);
    source_rescan(w.source);
    turn(50 * NS_PER_MS);
    catch_up();
    assert_same();
}

static void test_names_in_directories_that_go(void **state)
{
    (void)state;
    mkdir(in("d"), 0755), mkdir(in("d/e"), 0755);
    put("d/e/a", "the file", 8);
    assert_int_equal(link(in("d/e/a"), in("x")), 0);
    start();
    assert_same();
    assert_int_equal(rename(in("d"), in("y")), 0); /* now x sorts first */
    catch_up();
    assert_same();
    assert_int_equal(rename(in("y"), in("a")), 0);
    catch_up();
    assert_same();
    copy_remove(in("a"));
    catch_up();
    assert_same();
}

/* ------------------------------------------------------------------------ contents */

/* Between the looking for what differs and the sending of it. */
static void test_a_file_changes_before_it_is_sent(void **state)
{
    size_t used = 0;
    int r = 1;

    (void)state;
    put_big("big", 3 << 20);
    start();
    for (int round = 1; round < 9; round++) {
        int fd = open(in("big"), O_WRONLY);
        assert_int_equal(pwrite(fd, "changed", 7, 500000 + round), 7);
        close(fd);
        turn(20 * NS_PER_MS);
        assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
        for (int i = 0; i < round && r == 1 && used == 0; i++)
            r = source_fill(w.source, w.batch, sizeof w.batch, &used);
        assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
        fd = open(in("big"), O_WRONLY);
        assert_int_equal(pwrite(fd, "again", 5, 500000 + round), 5);
        close(fd);
        if (r == 1)
            fill_to_the_end();
        else
            source_end(w.source);
        assert_is(w.tree, &w.copied_root, "the copy");
        catch_up();
        assert_same();
        used = 0, r = 1;
    }
}

static void test_holes_travel_as_holes(void **state)
{
    struct stat status;
    const int fd = open(in("sparse"), O_WRONLY | O_CREAT, 0644);

    (void)state;
    assert_int_equal(ftruncate(fd, INT64_C(1) << 30), 0);
    assert_int_equal(pwrite(fd, "in the middle", 13, 500000000), 13);
    assert_int_equal(pwrite(fd, "end", 3, (INT64_C(1) << 30) - 3), 3);
    start();
    assert_same();
    assert_true(fstat(fd, &status) == 0 && status.st_blocks < 1000);
    forget_counts();
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 499990528, 65536), 0);
    assert_int_equal(pwrite(fd, "somewhere else", 14, 700000000), 14);
    close(fd);
    catch_up();
    assert_true(w.copy.bytes < 100000);
    assert_true(w.copy.operations[SYNC_OP_HOLE] > 0);
    assert_same();
}

static void test_sizes_around_the_limits(void **state)
{
    static const size_t sizes[] = {0,
                                   1,
                                   SYNC_BLOCK - 1,
                                   SYNC_BLOCK,
                                   SYNC_BLOCK + 1,
                                   SYNC_INLINE_MAX - 1,
                                   SYNC_INLINE_MAX,
                                   SYNC_INLINE_MAX + 1,
                                   5 * SYNC_BLOCK,
                                   1 << 20,
                                   (1 << 20) + 1};

    (void)state;
    start();
    for (size_t from = 0; from < ARRAY_LENGTH(sizes); from++)
        for (size_t to = 0; to < ARRAY_LENGTH(sizes); to += 3) {
            put_big("f", sizes[from]);
            catch_up();
            assert_int_equal(truncate(in("f"), (off_t)sizes[to]), 0);
            catch_up();
        }
    assert_same();
}

static void test_a_log_that_grows_travels_by_its_end(void **state)
{
    (void)state;
    put_big("log", 1000000);
    start();
    for (int i = 0; i < 5; i++) {
        const int fd = open(in("log"), O_WRONLY | O_APPEND);
        assert_int_equal(write(fd, "one more line\n", 14), 14);
        close(fd);
        catch_up();
    }
    assert_true(w.copy.bytes < 6 * 2 * SYNC_BLOCK);
    assert_same();
}

/* What the peer told of its blocks is what a patch is made from, not what the tree says. */
static void test_blocks_that_the_peer_told_of(void **state)
{
    static const struct sync_bytes path = {(const uint8_t *)"0/big", 5};
    struct sync_hash blocks[64];
    static uint8_t bytes[64 * SYNC_BLOCK];
    char copied[PATH_MAX];

    (void)state;
    put_big("big", sizeof bytes);
    start();
    snprintf(copied, sizeof copied, "%s/big", w.to);
    int fd = open(copied, O_RDWR);
    assert_int_equal(pwrite(fd, "another", 7, 20 * SYNC_BLOCK), 7);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    close(fd);
    for (size_t i = 0; i < 64; i++)
        blocks[i] = hash_bytes(w.hasher, bytes + i * SYNC_BLOCK, SYNC_BLOCK);
    assert_int_equal(source_peer_blocks(w.source, path, SYNC_BLOCK, blocks, 64), 0);
    source_touch(w.source, path, false);
    catch_up();
    assert_int_equal(w.copy.bytes, SYNC_BLOCK);
    assert_same();
}

static void test_attributes_alone_do_not_send_the_content(void **state)
{
    (void)state;
    put_big("big", 1000000);
    start();
    turn(20 * NS_PER_MS);
    assert_int_equal(chmod(in("big"), 0600), 0);
    catch_up();
    assert_int_equal(w.copy.operations[SYNC_OP_META], 1);
    assert_true(w.copy.bytes == 0);
    assert_same();
}

/* ------------------------------------------------------------------------- trouble */

static void as_nobody(bool nobody)
{
    assert_int_equal(seteuid(nobody ? 65534 : 0), 0);
}

static void test_what_cannot_be_read_stops_nothing(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    put("a", "can be read", 11), put("b", "cannot", 6), put("c", "can be read", 11);
    mkdir(in("d"), 0700), put("d/e", "cannot be listed", 16);
    assert_int_equal(chmod(in("b"), 0600), 0);
    assert_int_equal(chmod(w.top, 0755), 0);
    as_nobody(true);
    follow();
    turn(20 * NS_PER_MS);
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    size_t used = 0;
    assert_int_equal(source_fill(w.source, w.batch, sizeof w.batch, &used), 0);
    source_end(w.source);
    as_nobody(false);
    assert_int_equal(copy_batch(&w.copy, w.batch, used), 0);
    assert_int_equal(w.troubles, 2);
    assert_int_equal(w.copy.operations[SYNC_OP_PUT], 4); /* the root, a, c, d */
    /* Nothing is in a hurry for what cannot be read. */
    assert_true(source_due_ns(w.source, true) > clock_now_ns());
    assert_int_equal(chmod(in("b"), 0644), 0);
    assert_int_equal(chmod(in("d"), 0755), 0);
    turn(20 * NS_PER_MS);
    generation(false);
    assert_true(w.troubles_over > 0);
}

static void test_files_vanish_while_they_are_looked_at(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        put(name, name, strlen(name));
    }
    start();
    for (int round = 0; round < 20; round++) {
        for (int i = round * 10; i < round * 10 + 10; i++) {
            char name[16];
            snprintf(name, sizeof name, "f%d", i);
            put(name, "changed", 7);
        }
        turn(5 * NS_PER_MS);
        assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
        for (int i = round * 10; i < round * 10 + 10; i += 2) {
            char name[16];
            snprintf(name, sizeof name, "f%d", i);
            unlink(in(name));
        }
        fill_to_the_end();
    }
    catch_up();
    assert_same();
    assert_int_equal(w.troubles, 0);
}

static void test_a_root_that_is_missing_is_not_deleted(void **state)
{
    char away[PATH_MAX], copied[PATH_MAX];

    (void)state;
    snprintf(away, sizeof away, "%s/away", w.top);
    snprintf(copied, sizeof copied, "%s/f", w.to);
    put("f", "1", 1);
    start();
    assert_int_equal(rename(w.from, away), 0);
    turn(20 * NS_PER_MS);
    generation(true);
    assert_int_equal(w.troubles, 1);
    assert_int_equal(access(copied, F_OK), 0);
    assert_int_equal(rename(away, w.from), 0);
    put("f", "2", 1);
    catch_up();
    assert_same();
    assert_int_equal(w.troubles_over, 1);
}

static void test_a_socket_comes_in_the_place_of_a_file(void **state)
{
    (void)state;
    put("f", "1", 1);
    start();
    unlink(in("f"));
    assert_int_equal(mkfifo(in("f"), 0644), 0);
    catch_up();
    assert_int_equal(w.troubles, 1);
    assert_int_equal(w.copy.operations[SYNC_OP_DELETE], 1);
    unlink(in("f"));
    put("f", "2", 1);
    catch_up();
    assert_int_equal(w.troubles_over, 1);
    assert_same();
}

static void test_what_is_excluded_changes_times_only(void **state)
{
    static char pattern[] = "*.swp", *patterns[] = {pattern, NULL};

    (void)state;
    w.set.exclude.items = patterns;
    w.set.exclude.count = 1;
    mkdir(in("d"), 0755);
    start();
    put("d/a.swp", "1", 1);
    turn(200 * NS_PER_MS);
    catch_up();
    assert_int_equal(w.copy.operations[SYNC_OP_PUT], 0);
    assert_int_equal(w.copy.operations[SYNC_OP_META], 1);
    put("d/a", "1", 1);
    catch_up();
    assert_int_equal(rename(in("d/a"), in("d/b.swp")), 0);
    catch_up();
    put("d/c", "1", 1);
    catch_up();
    w.set.exclude.count = 0; /* the copy has what it was told, and the source more: compare without */
    unlink(in("d/a.swp")), unlink(in("d/b.swp"));
    turn(200 * NS_PER_MS);
    catch_up();
    assert_same();
}

static bool write_file(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY);
    const bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return written;
}

/* In a user namespace of its own the number of watches can be limited. */
static bool limit_watches(void)
{
    const unsigned group = getegid();
    char map[64];

    snprintf(map, sizeof map, "%u %u 1", geteuid(), geteuid());
    if (unshare(CLONE_NEWUSER) < 0 || !write_file("/proc/self/uid_map", map) ||
        !write_file("/proc/self/setgroups", "deny"))
        return false;
    snprintf(map, sizeof map, "%u %u 1", group, group);
    return write_file("/proc/self/gid_map", map) && write_file("/proc/sys/user/max_inotify_watches", "5");
}

static int few_watches(void)
{
    if (!limit_watches())
        return 77;
    w.set.max_delay = NS_PER_S / 5;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        mkdir(in(name), 0755);
    }
    follow();
    turn(20 * NS_PER_MS);
    while (source_due_ns(w.source, true) > 0)
        generation(true), turn(20 * NS_PER_MS);
    if (w.troubles != 1)
        return 1;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d/late", i);
        put(name, "seen all the same", 17);
    }
    forget_counts();
    for (const int64_t stop = clock_now_ns() + 5 * NS_PER_S; w.copy.operations[SYNC_OP_PUT] < 10;) {
        if (loop_turn(w.loop, NS_PER_MS) < 0 || clock_now_ns() > stop)
            return 2;
        if (source_due_ns(w.source, true) > 0)
            generation(true);
    }
    return w.troubles == 1 ? 0 : 3;
}

static void test_too_few_watches_are_told_and_made_good(void **state)
{
    int status;

    const pid_t child = fork();
    if (child == 0) {
        begin(state); /* a loop does not live on in a child */
        const int r = few_watches();
        copy_remove(w.top);
        _exit(r);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ----------------------------------------------------------------------------- time */

static void test_a_file_that_is_written_waits_and_one_that_is_closed_does_not(void **state)
{
    (void)state;
    start();
    const int fd = open(in("slow"), O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(fd, "1", 1), 1);
    put("quick", "1", 1);
    turn(5 * NS_PER_MS);
    assert_true(source_due_ns(w.source, false) <= clock_now_ns());
    generation(false);
    assert_int_equal(w.copy.operations[SYNC_OP_PUT], 1);
    const int64_t due = source_due_ns(w.source, false);
    assert_in_range(due - clock_now_ns(), 20 * NS_PER_MS, 100 * NS_PER_MS);
    /* Written again and again: in any case after max-delay. */
    w.copy.operations[SYNC_OP_PUT] = 0;
    const int64_t began = clock_now_ns();
    while (w.copy.operations[SYNC_OP_PUT] == 0 && clock_now_ns() - began < 3 * NS_PER_S) {
        assert_int_equal(write(fd, "2", 1), 1);
        turn(20 * NS_PER_MS);
        if (source_due_ns(w.source, false) <= clock_now_ns())
            generation(false);
    }
    assert_in_range(clock_now_ns() - began, 600 * NS_PER_MS, 1300 * NS_PER_MS);
    close(fd);
    catch_up();
    assert_same();
}

static void test_no_call_looks_at_everything(void **state)
{
    int64_t longest = 0;
    size_t calls = 0;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        put(name, name, strlen(name));
    }
    put_big("big", 20 << 20);
    follow();
    assert_int_equal(source_begin(w.source, clock_now_ns(), true), 0);
    for (int r = 1; r == 1; calls++) {
        size_t used = 0;
        r = source_fill(w.source, w.batch, sizeof w.batch, &used);
        assert_true(r >= 0);
        assert_true(used <= SYNC_BATCH_FULL + SYNC_INLINE_MAX * 2 + SYNC_PATH_MAX + 256);
        longest = MAX(longest, (int64_t)used);
    }
    source_end(w.source);
    assert_true(calls > 5000 / 512 + (20 << 20) / SYNC_RAW_MAX);
}

static void touch_many(bool make)
{
    char path[160];

    for (int i = 0; i < 70000; i++) {
        snprintf(path, sizeof path, "%s/d%d", w.from, i / 35000);
        if (make && i % 35000 == 0)
            assert_int_equal(mkdir(path, 0755), 0);
        snprintf(path, sizeof path, "%s/d%d/f%d", w.from, i / 35000, i);
        const int fd = make ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
        assert_true(!make || fd >= 0);
        if (fd >= 0)
            close(fd);
        assert_true(make ||
                    utimensat(AT_FDCWD, path, (struct timespec[2]){{.tv_sec = i}, {.tv_sec = i}}, 0) == 0);
    }
}

/* More than is marked before the tree learns of it: nothing is taken for missing because the scan and the
 * learning take turns. */
static void test_a_scan_learns_very_much(void **state)
{
    char path[160];

    (void)state;
    touch_many(true);
    source_set_mode(w.source, SOURCE_LEARN);
    turn_until_scanned(w.source);
    assert_int_equal(tree_entries(w.tree), 70003);
    touch_many(false);
    snprintf(path, sizeof path, "%s/d0/f20000", w.from);
    assert_int_equal(unlink(path), 0);
    source_set_mode(w.source, SOURCE_LEARN);
    turn_until_scanned(w.source);
    assert_int_equal(tree_entries(w.tree), 70002);
    assert_is(w.tree, &w.root, "the tree");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(test_a_rotation_is_made_of_renames),
        WITH(test_a_directory_takes_the_place_of_another),
        WITH(test_directories_are_exchanged),
        WITH(test_a_file_is_replaced_in_one_step),
        WITH(test_a_rename_to_where_the_peer_has_something),
        WITH(test_what_differs_and_cannot_be_read_leaves_the_source_unsure),
        WITH(test_another_name_of_what_is_deleted_leaves_the_source_unsure),
        WITH(test_another_name_of_what_differs_is_said_again),
        WITH(test_another_name_goes_under_a_generation),
        WITH(test_what_the_peer_has_is_not_renamed_here),
        WITH(test_what_moves_in_and_out_of_the_set),
        WITH(test_a_scan_of_a_directory_that_was_renamed),
        WITH(test_names_in_directories_that_go),
        WITH(test_a_file_changes_before_it_is_sent),
        WITH(test_holes_travel_as_holes),
        WITH(test_sizes_around_the_limits),
        WITH(test_a_log_that_grows_travels_by_its_end),
        WITH(test_blocks_that_the_peer_told_of),
        WITH(test_attributes_alone_do_not_send_the_content),
        WITH(test_what_cannot_be_read_stops_nothing),
        WITH(test_files_vanish_while_they_are_looked_at),
        WITH(test_a_root_that_is_missing_is_not_deleted),
        WITH(test_a_socket_comes_in_the_place_of_a_file),
        WITH(test_what_is_excluded_changes_times_only),
        WITH(test_too_few_watches_are_told_and_made_good),
        WITH(test_a_file_that_is_written_waits_and_one_that_is_closed_does_not),
        WITH(test_no_call_looks_at_everything),
        WITH(test_a_scan_learns_very_much),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
