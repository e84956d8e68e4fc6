/* What reaches the disk before a restart: real files, and a disk that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/statefile.h"
#include "superviserd/disk.h"

static struct {
    char dir[64], path[80];
    struct loop *loop;
    struct disk *disk;
    int64_t done, wanted;
} w;

static void on_done(void *userdata, int64_t done)
{
    (void)userdata;
    w.done = done;
    if (done >= w.wanted)
        loop_exit(w.loop, 0);
}

/* One lives as long as its daemon: none is ever closed. */
struct disk *all_disks[16];
size_t disk_count;

static int begin(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    snprintf(w.dir, sizeof w.dir, "/tmp/disk-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    snprintf(w.path, sizeof w.path, "%s/file", w.dir);
    assert_int_equal(loop_new(&w.loop), 0);
    const int r = disk_open(w.loop, on_done, NULL, &w.disk);
    all_disks[disk_count++] = w.disk;
    return r;
}

static int end(void **state)
{
    (void)state;
    unlink(w.path);
    loop_free(w.loop);
    return rmdir(w.dir);
}

static void wait_for(int64_t job)
{
    w.wanted = job;
    assert_int_equal(loop_run(w.loop), 0);
}

static void assert_file(const char *text)
{
    char read[STATEFILE_MAX];

    assert_int_equal(statefile_read(w.path, read), 0);
    assert_string_equal(read, text);
}

static void test_jobs_are_numbered(void **unused)
{
    int64_t last = 0;

    (void)unused;
    assert_int_equal(disk_result(w.disk, 1), -EINPROGRESS);
    for (int i = 0; i < 20; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d\n", i);
        const int64_t job = disk_write(w.disk, w.path, text);
        assert_true(job > last);
        last = job;
    }
    wait_for(last); /* the twenty threads come in any order */
    assert_int_equal(disk_result(w.disk, last), 0);
    assert_int_equal(disk_result(w.disk, last + 1), -EINPROGRESS);
    sleep(1);
    assert_file("19\n");
}

static void test_an_error_is_told(void **unused)
{
    (void)unused;
    const int64_t job = disk_write(w.disk, "/nonexistent/file", "text\n");
    wait_for(job);
    assert_int_equal(disk_result(w.disk, job), -ENOENT);
}

static void test_an_old_text_leaves_nothing_behind(void **unused)
{
    (void)unused;
    assert_int_equal(statefile_write_in_place(w.path, "a text that is longer than the one after it\n"), 0);
    assert_int_equal(statefile_write_in_place(w.path, "short\n"), 0);
    assert_file("short\n");
}

/* With a file system of its own, in a mount namespace of its own. */
static void fill(const char *dir)
{
    char path[96], block[4096] = "";

    snprintf(path, sizeof path, "%s/ballast", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    setbuf(file, NULL);
    while (fwrite(block, sizeof block, 1, file) == 1)
        ;
    fclose(file);
}

static void test_a_full_disk_takes_what_has_its_place(void **unused)
{
    (void)unused;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", w.dir, "tmpfs", 0, "size=64k") < 0)
        skip(); /* without root */
    assert_int_equal(statefile_write_in_place(w.path, "row 0\n"), 0);
    fill(w.dir);
    assert_int_equal(statefile_write(w.path, "row 1\n"), -ENOSPC);
    assert_int_equal(statefile_write_in_place(w.path, "row 1\n"), 0);
    assert_file("row 1\n");
    umount(w.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jobs_are_numbered, begin, end),
        cmocka_unit_test_setup_teardown(test_an_error_is_told, begin, end),
        cmocka_unit_test_setup_teardown(test_an_old_text_leaves_nothing_behind, begin, end),
        cmocka_unit_test_setup_teardown(test_a_full_disk_takes_what_has_its_place, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
