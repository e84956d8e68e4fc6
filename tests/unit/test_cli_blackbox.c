/* `duet blackbox`: how a recording is shown, and what is said of its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/blackbox.h"

static unsigned char *box;
static struct blackbox_writer writer;
static struct blackbox_reading reading;
static char *shown;
static struct paper paper;
static size_t shown_size;

static int fresh(void **state)
{
    const struct blackbox_about about = {
        .number = 4, .boot_id = "6f1c0a52", .node = "alpha", .begun_wall_ns = 1795599587000000000};

    (void)state;
    memset(box, 0, BLACKBOX_SIZE);
    blackbox_format(box, &about);
    blackbox_resume(&writer, box);
    paper = (struct paper){.out = open_memstream(&shown, &shown_size)};
    return 0;
}

static int clean(void **state)
{
    (void)state;
    fclose(paper.out);
    free(shown);
    blackbox_forget(&reading);
    return 0;
}

static void put(enum blackbox_kind kind, int64_t at_ms, const char *topic, const char *body)
{
    const struct blackbox_record record = {.kind = kind,
                                           .at_ns = at_ms * NS_PER_MS,
                                           .wall_ns = 1795599587000000000 + at_ms * NS_PER_MS,
                                           .topic = topic,
                                           .topic_size = strlen(topic),
                                           .body = body,
                                           .body_size = strlen(body)};

    blackbox_append(&writer, &record);
}

static void put_alarm(enum blackbox_kind kind, int64_t at_ms, bool active, const char *since)
{
    char body[512];

    snprintf(
        body, sizeof body,
        "{\"v\":1,\"node\":\"alpha\",\"from\":\"arbiterd\",\"seq\":7,\"at\":\"2026-11-25T09:40:00.850211Z\","
        "\"mono_ns\":5,\"cause\":\"heartbeatd:3\",\"active\":%s,\"since_ns\":%d,\"since\":\"%s\",\"text\":"
        "\"x\"}",
        active ? "true" : "false", (int)at_ms, since);
    put(kind, at_ms, "alarm/peer-lost", body);
}

static const char *show(enum blackbox_end end, bool json)
{
    blackbox_forget(&reading);
    assert_int_equal(blackbox_read(box, BLACKBOX_SIZE, &reading), 0);
    rewind(paper.out);
    if (json)
        blackbox_print_json(paper.out, &reading, end);
    else
        blackbox_print(&paper, &reading, end);
    fflush(paper.out);
    return shown;
}

static void test_lines_are_relative_to_the_end(void **state)
{
    const struct blackbox_mark mark = {10000 * NS_PER_MS, 1, {{"arbiterd", 9990 * NS_PER_MS}}};

    (void)state;
    put(BLACKBOX_BEGIN, 1000, "", "it begins");
    put_alarm(BLACKBOX_CHANGE, 2000, false, "a");
    put_alarm(BLACKBOX_CHANGE, 9000, true, "a");
    put_alarm(BLACKBOX_RENEWAL, 9500, true, "a");
    put(BLACKBOX_NOTE, 9600, "", "rebooting\033[2J");
    blackbox_mark(&writer, &mark);
    const char *text = show(BLACKBOX_CUT, false);
    assert_string_equal(
        text,
        "alpha, boot 6f1c0a52, recorded from 2026-11-25T09:39:47.000000Z to 2026-11-25T09:39:57.000000Z\n\n"
        "      -9.000 s  superviserd (note)                 it begins\n"
        "      -8.000 s  arbiterd    alarm/peer-lost        active=false since=\"a\" text=\"x\" <- "
        "heartbeatd:3\n"
        "      -1.000 s  arbiterd    alarm/peer-lost        active=true (was false) <- heartbeatd:3\n"
        "      -0.400 s  superviserd (note)                 rebooting?[2J\n\n"
        "last heard: arbiterd -0.010 s\n"
        "the record ends here: power cut, crash or watchdog (or superviserd was killed)\n");
}

static void test_a_message_of_another_version_is_shown_as_it_came(void **state)
{
    (void)state;
    put(BLACKBOX_CHANGE, 1000, "alarm/x", "{\"v\":2}");
    put(BLACKBOX_CHANGE, 1000, "dance", "{\"v\":1}");
    put(BLACKBOX_CHANGE, 1000, "role", "no JSON\n");
    const char *text = show(BLACKBOX_ENDED, false);
    assert_non_null(strstr(text, "?           alarm/x {\"v\":2}\n"));
    assert_non_null(strstr(text, "?           dance {\"v\":1}\n"));
    assert_non_null(strstr(text, "?           role no JSON?\n"));
    assert_non_null(strstr(text, "\nsuperviserd was told to end, and did\n"));
    text = show(BLACKBOX_GOES_ON, true);
    assert_non_null(strstr(text, "\"topic\":\"role\",\"text\":\"no JSON\\n\"}\n"));
    assert_non_null(strstr(text, "\"topic\":\"dance\",\"message\":{\"v\":1}}\n"));
    assert_non_null(strstr(text, "{\"kind\":\"finish\",\"how\":\"goes-on\","));
}

static void test_missing_records_are_told(void **state)
{
    (void)state;
    put(BLACKBOX_NOTE, 1, "", "one");
    const size_t second = writer.changes.at;
    put(BLACKBOX_NOTE, 2, "", "two");
    put(BLACKBOX_NOTE, 3, "", "three");
    box[second + 50] ^= 1;
    assert_non_null(strstr(show(BLACKBOX_CUT, false), "records between these that are lost: 1\n"));
    box[20] ^= 1;
    assert_memory_equal(show(BLACKBOX_CUT, false), "the head is damaged; ", 21);
}

static void test_how_it_ended(void **state)
{
    const struct blackbox_mark mark = {100 * NS_PER_S, 0, {{"", 0}}};

    (void)state;
    put(BLACKBOX_BEGIN, 1, "", "");
    blackbox_mark(&writer, &mark);
    show(BLACKBOX_CUT, false);
    assert_int_equal(blackbox_end_ns(&reading), 100 * NS_PER_S);
    assert_int_equal(blackbox_end(&reading, 0), BLACKBOX_CUT);
    assert_int_equal(blackbox_end(&reading, 101 * NS_PER_S), BLACKBOX_GOES_ON);
    assert_int_equal(blackbox_end(&reading, 106 * NS_PER_S), BLACKBOX_CUT);
    put(BLACKBOX_END, 2, "", "");
    show(BLACKBOX_CUT, false);
    assert_int_equal(blackbox_end(&reading, 101 * NS_PER_S), BLACKBOX_ENDED);
    put(BLACKBOX_BEGIN, 3, "", ""); /* it was started anew, and killed then */
    show(BLACKBOX_CUT, false);
    assert_int_equal(blackbox_end(&reading, 0), BLACKBOX_CUT);
}

static void test_hostile_times(void **state)
{
    const struct blackbox_mark mark = {INT64_MIN, 1, {{"x", INT64_MAX}}};
    const struct blackbox_record records[] = {
        {.kind = BLACKBOX_NOTE, .at_ns = INT64_MIN, .wall_ns = INT64_MAX},
        {.kind = BLACKBOX_NOTE, .at_ns = INT64_MAX, .wall_ns = INT64_MIN}};

    (void)state;
    blackbox_mark(&writer, &mark);
    for (size_t i = 0; i < 2; i++) {
        blackbox_append(&writer, &records[i]);
        show(BLACKBOX_CUT, false);
        show(BLACKBOX_CUT, true);
        blackbox_end(&reading, 1);
    }
}

static void test_crash_records_are_escaped(void **state)
{
    const unsigned char bytes[] = "Kernel panic - not syncing: x\n\x1b[2J\x80\tend";

    (void)state;
    blackbox_print_crash(&paper, "dmesg-0", bytes, sizeof bytes - 1);
    fflush(paper.out);
    assert_string_equal(
        shown, "\nkept by the kernel: dmesg-0\n\nKernel panic - not syncing: x\n\\x1b[2J\\x80\tend\n");
    rewind(paper.out);
    blackbox_print_crash_json(paper.out, "dmesg-0", bytes, sizeof bytes - 1);
    fflush(paper.out);
    assert_string_equal(shown,
                        "{\"kind\":\"pstore\",\"file\":\"dmesg-0\",\"text\":\"Kernel panic - not syncing: "
                        "x\\n\\\\x1b[2J\\\\x80\\tend\"}\n");
}

static void test_boots(void **state)
{
    unsigned ago = 7;

    (void)state;
    assert_int_equal(blackbox_parse_boot("0", &ago), 0);
    assert_int_equal(ago, 0);
    assert_int_equal(blackbox_parse_boot("-2", &ago), 0);
    assert_int_equal(ago, 2);
    static const char *const wrong[] = {"", "1", "-", "-1x", "-100", "x", "-99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        assert_int_not_equal(blackbox_parse_boot(wrong[i], &ago), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_are_relative_to_the_end, fresh, clean),
        cmocka_unit_test_setup_teardown(test_a_message_of_another_version_is_shown_as_it_came, fresh, clean),
        cmocka_unit_test_setup_teardown(test_missing_records_are_told, fresh, clean),
        cmocka_unit_test_setup_teardown(test_how_it_ended, fresh, clean),
        cmocka_unit_test_setup_teardown(test_hostile_times, fresh, clean),
        cmocka_unit_test_setup_teardown(test_crash_records_are_escaped, fresh, clean),
        cmocka_unit_test(test_boots),
    };

    box = aligned_alloc(64, BLACKBOX_SIZE);
    const int r = box ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(box);
    return r;
}
