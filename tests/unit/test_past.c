/* What a black box tells of the end of an earlier boot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/blackbox_files.h"
#include "trapd/past.h"

#define OLD "11111111-1111-1111-1111-111111111111"
#define NEW "22222222-2222-2222-2222-222222222222"

static char directory[64];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/duet-past-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void write_box(const char *name, const char *boot_id, uint32_t number)
{
    unsigned char *bytes = NULL;
    struct blackbox_writer writer;
    struct blackbox_about about = {
        .number = number, .begun_ns = 0, .begun_wall_ns = INT64_C(1767225600) * NS_PER_S, .node = "alpha"};
    const struct blackbox_mark mark = {.alive_ns = 90 * NS_PER_S};
    const struct blackbox_record record = {.kind = BLACKBOX_CHANGE,
                                           .at_ns = 80 * NS_PER_S,
                                           .topic = "watchdog",
                                           .topic_size = 8,
                                           .body = "{}",
                                           .body_size = 2};
    char path[128];

    strcpy(about.boot_id, boot_id);
    assert_int_equal(posix_memalign((void **)&bytes, 4096, BLACKBOX_SIZE), 0);
    memset(bytes, 0, BLACKBOX_SIZE);
    blackbox_format(bytes, &about);
    blackbox_resume(&writer, bytes);
    blackbox_append(&writer, &record);
    blackbox_mark(&writer, &mark);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(bytes, BLACKBOX_SIZE, 1, file), 1);
    fclose(file);
    free(bytes);
}

static void test_the_box_of_that_boot_is_read(void **state)
{
    char text[192], path[128];

    (void)state;
    past_describe(directory, OLD, text, sizeof text);
    assert_string_equal(text, "");
    write_box(BLACKBOX_FILE, OLD, 7); /* superviserd has not begun a new one yet */
    past_describe(directory, OLD, text, sizeof text);
    assert_string_equal(text, "recorded until 2026-01-01T00:01:30Z; the last change was of watchdog");
    assert_false(past_is_closed(directory, NEW));
    write_box("blackbox.000007", OLD, 7);
    write_box(BLACKBOX_FILE, NEW, 8);
    assert_true(past_is_closed(directory, NEW));
    snprintf(path, sizeof path, "%s/pstore", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/pstore/000007-dmesg", directory);
    fclose(fopen(path, "w"));
    past_describe(directory, OLD, text, sizeof text);
    assert_string_equal(
        text,
        "recorded until 2026-01-01T00:01:30Z; the last change was of watchdog; the kernel has left a record");
    past_describe(directory, "33333333-3333-3333-3333-333333333333", text, sizeof text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_box_of_that_boot_is_read, make_directory, remove_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
