/* The black box on the disk: its files from boot to boot, a disk that refuses, the kernel's records. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/blackbox_files.h"
#include "common/log.h"
#include "superviserd/box.h"
#include "superviserd/keep.h"
#include "superviserd/pmsg.h"
#include "superviserd/pstore.h"

static char directory[PATH_MAX], from[PATH_MAX + 8], to[PATH_MAX + 8];

static int fresh(void **state)
{
    char template[] = "/tmp/duet-box-XXXXXX";

    (void)state;
    log_open("test", "test");
    assert_non_null(mkdtemp(template));
    text_copy(directory, sizeof directory, template);
    snprintf(from, sizeof from, "%s/from", directory);
    snprintf(to, sizeof to, "%s/to", directory);
    return 0;
}

static int clean(void **state)
{
    char command[PATH_MAX + 16];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static const char *at(const char *name)
{
    static char path[PATH_MAX + NAME_MAX];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int open_box(const char *boot_id, struct box **box, uint32_t *number)
{
    struct blackbox_about about = {.node = "alpha", .begun_ns = 1};

    text_copy(about.boot_id, sizeof about.boot_id, boot_id);
    const int r = box_open(directory, &about, box);
    *number = about.number;
    return r;
}

static void note(struct box *box, const char *text)
{
    const struct blackbox_record record = {
        .kind = BLACKBOX_NOTE, .at_ns = 1, .topic = "", .body = text, .body_size = strlen(text)};

    assert_int_equal(box_append(box, &record), 0);
}

/* The notes of a file, one after the other. */
static const char *notes_of(const char *name)
{
    static char notes[256];
    struct blackbox_reading reading;
    unsigned char *bytes;
    size_t size;

    notes[0] = '\0';
    assert_int_equal(blackbox_load(at(name), &bytes, &size), 0);
    assert_int_equal(blackbox_read(bytes, size, &reading), 0);
    for (size_t i = 0; i < reading.count; i++)
        snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%.*s ",
                 (int)reading.records[i].body_size, reading.records[i].body);
    blackbox_forget(&reading);
    free(bytes);
    return notes;
}

static void test_a_boot_goes_on_in_its_file(void **state)
{
    struct box *box;
    uint32_t number;

    (void)state;
    assert_int_equal(open_box("one", &box, &number), 0);
    assert_int_equal(number, 1);
    note(box, "a");
    box_close(box); /* as a kill would: nothing is flushed */
    assert_int_equal(open_box("one", &box, &number), 0);
    assert_int_equal(number, 1);
    note(box, "b");
    assert_int_equal(box_flush(box), 0);
    assert_string_equal(notes_of("blackbox"), "a b ");
    box_close(box);
    assert_int_equal(access(at("blackbox.new"), F_OK), -1);
}

static void test_each_boot_has_its_own_and_some_are_kept(void **state)
{
    char boot[8], name[BLACKBOX_NAME_MAX];
    struct blackbox_file files[BLACKBOX_FILES_MAX];
    struct box *box;
    uint32_t number;

    (void)state;
    for (unsigned i = 1; i <= 7; i++) {
        snprintf(boot, sizeof boot, "boot%u", i);
        assert_int_equal(open_box(boot, &box, &number), 0);
        assert_int_equal(number, i);
        note(box, boot);
        box_close(box);
    }
    assert_string_equal(notes_of("blackbox"), "boot7 ");
    assert_int_equal(blackbox_list(directory, files), BOX_KEPT);
    for (unsigned i = 0; i < BOX_KEPT; i++) {
        snprintf(boot, sizeof boot, "boot%u ", 6 - i);
        assert_int_equal(files[i].number, 6 - i);
        assert_string_equal(notes_of(blackbox_name(6 - i, name)), boot);
    }
}

static void test_a_damaged_file_is_kept_and_not_believed(void **state)
{
    struct box *box;
    uint32_t number;

    (void)state;
    assert_int_equal(open_box("one", &box, &number), 0);
    note(box, "a");
    box_close(box);
    int fd = open(at("blackbox"), O_WRONLY);
    assert_int_equal(pwrite(fd, "?", 1, 20), 1); /* its number, say */
    close(fd);
    assert_int_equal(open_box("one", &box, &number), 0);
    assert_int_equal(number, 2);
    box_close(box);
    assert_string_equal(notes_of("blackbox.000001"), "a "); /* the records are sound */
    assert_int_equal(truncate(at("blackbox"), 100), 0);
    assert_int_equal(open_box("one", &box, &number), 0);
    assert_int_equal(number, 3);
    box_close(box);
}

static void test_one_writer(void **state)
{
    struct box *box;
    uint32_t number;
    int status;

    (void)state;
    assert_int_equal(open_box("one", &box, &number), 0);
    const pid_t child = fork();
    if (child == 0)
        _exit(open_box("one", &box, &number) == -EBUSY ? 0 : 1);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    box_close(box);
}

static void test_no_directory_and_no_room(void **state)
{
    struct blackbox_about about = {.boot_id = "one"};
    struct box *box = NULL;

    (void)state;
    assert_int_equal(box_open("/nonexistent", &about, &box), -ENOENT);
    assert_int_equal(box_open("/dev/full", &about, &box), -ENOTDIR);
    assert_null(box);
    assert_int_equal(symlink("/tmp/elsewhere", at("blackbox")), 0); /* nobody is led elsewhere */
    assert_int_equal(box_open(directory, &about, &box), -ELOOP);
}

/* A disk that refuses a page raises SIGBUS; so does a file that was cut under the mapping. */
static void test_a_disk_that_refuses_costs_the_box_alone(void **state)
{
    const struct blackbox_record record = {
        .kind = BLACKBOX_NOTE, .at_ns = 1, .topic = "", .body = "x", .body_size = 1};
    const struct blackbox_mark mark = {.alive_ns = 1};
    struct box *box;
    uint32_t number;

    (void)state;
    assert_int_equal(open_box("one", &box, &number), 0);
    note(box, "a");
    assert_int_equal(truncate(at("blackbox"), 0), 0);
    assert_int_equal(box_append(box, &record), -EIO);
    assert_int_equal(box_mark(box, &mark), -EIO);
    box_close(box);
    assert_int_equal(open_box("one", &box, &number), 0);
    note(box, "b");
    box_close(box);
    assert_string_equal(notes_of("blackbox"), "b ");
}

static void test_a_foreign_bus_error_still_ends_the_process(void **state)
{
    struct box *box;
    uint32_t number;
    int status;

    (void)state;
    assert_int_equal(open_box("one", &box, &number), 0);
    const pid_t child = fork();
    if (child == 0) {
        raise(SIGBUS);
        raise(SIGBUS);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    box_close(box);
}

static void test_positions_count_back_from_the_end(void **state)
{
    struct blackbox_reading reading;
    struct box *box;
    uint32_t number;

    (void)state;
    assert_int_equal(open_box("one", &box, &number), 0);
    note(box, "a");
    note(box, "b");
    box_close(box);
    assert_int_equal(open_box("one", &box, &number), 0);
    assert_int_equal(box_position(box), BLACKBOX_CHANGES_SIZE);
    note(box, "c");
    assert_int_equal(box_position(box), BLACKBOX_CHANGES_SIZE + 64);
    assert_int_equal(box_read(box, &reading), 0);
    assert_int_equal(reading.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_in_range(box_position(box) - box_position_of(box, &reading.records[i]), 64 * (2 - i) + 1,
                        64 * (3 - i));
    blackbox_forget(&reading);
    box_close(box);
}

/* ----------------------------------------------------------- crash records */

static void make(const char *folder, const char *name, const char *text, size_t size, time_t when)
{
    char path[PATH_MAX + NAME_MAX];
    const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
    utimensat(AT_FDCWD, path, times, 0);
}

static long size_of(const char *folder, const char *name)
{
    char path[PATH_MAX + NAME_MAX];
    struct stat status;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &status) < 0 ? -1 : (long)status.st_size;
}

static void test_crash_records_are_taken_over(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(pstore_collect(from, to, 3), 0); /* no pstore there */
    make(from, "dmesg-ramoops-0", "Kernel panic - not syncing: x", 29, 1000);
    make(from, "pmsg-ramoops-0", "[    1.000000] duet: role", 25, 2000);
    mkdir(at("from/folder"), 0700);
    assert_int_equal(symlink("/etc/passwd", at("from/link")), 0);
    assert_int_equal(pstore_collect(from, to, 3), 2);
    assert_int_equal(size_of(from, "dmesg-ramoops-0"), -1);
    assert_int_equal(size_of(from, "pmsg-ramoops-0"), -1);
    assert_int_equal(size_of(to, "000003-dmesg-ramoops-0"), 29);
    assert_int_equal(size_of(to, "000003-pmsg-ramoops-0"), 25);
    assert_int_equal(size_of(to, "000003-link"), -1);
    assert_int_equal(stat(at("to/000003-dmesg-ramoops-0"), &status), 0);
    assert_int_equal(status.st_mtime, 1000); /* when the crash was */
    assert_int_equal(pstore_collect(from, to, 3), 0);
    /* Another record of the same name overwrites none; the same one, found again after a kill, is not
     * doubled. */
    make(from, "dmesg-ramoops-0", "another one", 11, 3000);
    assert_int_equal(pstore_collect(from, to, 3), 1);
    make(from, "dmesg-ramoops-0", "another one", 11, 3000);
    assert_int_equal(pstore_collect(from, to, 3), 1);
    assert_int_equal(size_of(to, "000003-dmesg-ramoops-0"), 29);
    assert_int_equal(size_of(to, "000003-dmesg-ramoops-0.2"), 11);
    assert_int_equal(size_of(to, "000003-dmesg-ramoops-0.3"), -1);
}

static void test_of_a_long_record_the_end_is_kept(void **state)
{
    static char text[KEEP_FILE_SIZE + 1000], end[8];

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 5, "panic", 5);
    make(from, "console-ramoops-0", text, sizeof text, 1);
    assert_int_equal(pstore_collect(from, to, 1), 1);
    assert_int_equal(size_of(to, "000001-console-ramoops-0"), KEEP_FILE_SIZE);
    int fd = open(at("to/000001-console-ramoops-0"), O_RDONLY);
    assert_int_equal(pread(fd, end, 5, KEEP_FILE_SIZE - 5), 5);
    assert_string_equal(end, "panic");
    close(fd);
}

static void test_old_crash_records_make_room(void **state)
{
    static char text[KEEP_FILE_SIZE];
    char name[32];
    struct stat status;
    int there = 0;

    (void)state;
    memset(text, 'a', sizeof text);
    for (unsigned boot = 0; boot < 12; boot++) {
        for (int i = 0; i < 2; i++) {
            snprintf(name, sizeof name, "dmesg-%d", i);
            text[0] = (char)('a' + boot);
            make(from, name, text, sizeof text, 1000 + i);
        }
        assert_int_equal(pstore_collect(from, to, boot), 2);
    }
    for (unsigned boot = 0; boot < 12; boot++) {
        snprintf(name, sizeof name, "to/%06u-dmesg-1", boot);
        there += stat(at(name), &status) == 0;
    }
    assert_int_equal(there, KEEP_SIZE / KEEP_FILE_SIZE / 2);
    assert_int_equal(stat(at("to/000011-dmesg-1"), &status), 0);
    assert_int_equal(stat(at("to/000003-dmesg-1"), &status), -1);
}

static void test_what_cannot_be_kept_stays(void **state)
{
    (void)state;
    make(from, "dmesg-0", "x", 1, 1);
    make(directory, "to", "a file where the directory should be", 36, 1);
    assert_true(pstore_collect(from, to, 1) < 0);
    assert_int_equal(size_of(from, "dmesg-0"), 1);
}

/* ---------------------------------------------------------------- pmsg */

static void test_lines_in_the_kernels_memory(void **state)
{
    struct pmsg pmsg;
    char text[4096] = "";

    (void)state;
    make(directory, "pmsg0", "", 0, 1);
    pmsg_open(&pmsg, at("pmsg0"));
    pmsg_put(&pmsg, 665718181445, "role role=active");
    for (int i = 0; i < 1000; i++)
        pmsg_put(&pmsg, 665718181445 + i, "again");
    pmsg_put(&pmsg, 665718181445 + NS_PER_S, "a second later");
    pmsg_close(&pmsg);
    FILE *file = fopen(at("pmsg0"), "r");
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    const char first[] = "[  665.718181] duet: role role=active\n[  665.718181] duet: again\n";
    assert_memory_equal(text, first, sizeof first - 1);
    assert_non_null(strstr(text, "[  666.718181] duet: a second later\n"));
    size_t lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, PMSG_BURST + 1);
    assert_int_equal(pmsg.held_back, 1002 - lines);
    pmsg_open(&pmsg, at("none")); /* a kernel without */
    assert_int_equal(pmsg.fd, -1);
    pmsg_put(&pmsg, 1, "nobody hears");
    pmsg_close(&pmsg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_boot_goes_on_in_its_file, fresh, clean),
        cmocka_unit_test_setup_teardown(test_each_boot_has_its_own_and_some_are_kept, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_damaged_file_is_kept_and_not_believed, fresh, clean),
        cmocka_unit_test_setup_teardown(test_one_writer, fresh, clean),
        cmocka_unit_test_setup_teardown(test_no_directory_and_no_room, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_disk_that_refuses_costs_the_box_alone, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_foreign_bus_error_still_ends_the_process, fresh, clean),
        cmocka_unit_test_setup_teardown(test_positions_count_back_from_the_end, fresh, clean),
        cmocka_unit_test_setup_teardown(test_crash_records_are_taken_over, fresh, clean),
        cmocka_unit_test_setup_teardown(test_of_a_long_record_the_end_is_kept, fresh, clean),
        cmocka_unit_test_setup_teardown(test_old_crash_records_make_room, fresh, clean),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_kept_stays, fresh, clean),
        cmocka_unit_test_setup_teardown(test_lines_in_the_kernels_memory, fresh, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
