/* What the black box keeps of the bus: changes, not renewals; and how it says it in a line. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "superviserd/keep.h"
#include "superviserd/line.h"
#include "superviserd/sieve.h"
#include "superviserd/walk.h"

static struct sieve sieve;
static int64_t now_ns;
static uint64_t position, seq;

static int fresh(void **state)
{
    (void)state;
    sieve = (struct sieve){0};
    now_ns = 100 * NS_PER_S;
    position = BLACKBOX_CHANGES_SIZE;
    return 0;
}

/* A message as the bus sends it, with an envelope that is never the same. */
static enum sieve_verdict judge(const char *topic, const char *fields)
{
    char json[1024];
    const uint64_t n = ++seq;

    snprintf(json, sizeof json,
             "{\"v\":1,\"node\":\"alpha\",\"from\":\"arbiterd\",\"seq\":%" PRIu64
             ",\"at\":\"2026-11-25T09:40:00.%06" PRIu64 "Z\",\"mono_ns\":%" PRIu64
             ",\"cause\":\"heartbeatd:%" PRIu64 "\",%s}",
             n, n, n, n, fields);
    const struct sieve_message message = {topic, json, strlen(json), now_ns, position};
    return sieve_judge(&sieve, &message);
}

static void test_a_renewal_is_no_news(void **state)
{
    (void)state;
    assert_int_equal(judge("role", "\"role\":\"passive\",\"lease_ns\":1"), SIEVE_CHANGE);
    for (int i = 2; i < 200; i++) {
        char fields[64];
        now_ns += 49 * NS_PER_MS;
        snprintf(fields, sizeof fields, "\"role\":\"passive\",\"lease_ns\":%d", i);
        assert_int_equal(judge("role", fields), SIEVE_NOTHING);
    }
    now_ns += NS_PER_S;
    assert_int_equal(judge("role", "\"role\":\"passive\",\"lease_ns\":1"), SIEVE_NOTHING); /* the very same */
    assert_int_equal(judge("role", "\"role\":\"passive\",\"lease_ns\":300"), SIEVE_RENEWED);
    assert_int_equal(judge("role", "\"role\":\"passive\",\"lease_ns\":301"), SIEVE_NOTHING);
    assert_int_equal(judge("role", "\"role\":\"active\",\"lease_ns\":301"), SIEVE_CHANGE);
    assert_int_equal(judge("role", "\"role\":\"active\",\"lease_ns\":0"), SIEVE_NOTHING);
    assert_int_equal(judge("peer", "\"role\":\"active\",\"lease_ns\":0"), SIEVE_CHANGE);  /* another topic */
    assert_int_equal(judge("role", "\"role\":\"passive\",\"lease_ns\":0"), SIEVE_CHANGE); /* and back */
}

static void test_inside_of_lists(void **state)
{
    (void)state;
    assert_int_equal(judge("peer", "\"channels\":[{\"name\":\"a\",\"usable\":true,\"evidence_ns\":1}]"),
                     SIEVE_CHANGE);
    assert_int_equal(judge("peer", "\"channels\":[{\"name\":\"a\",\"usable\":true,\"evidence_ns\":2}]"),
                     SIEVE_NOTHING);
    assert_int_equal(judge("peer", "\"channels\":[{\"name\":\"a\",\"usable\":false,\"evidence_ns\":2}]"),
                     SIEVE_CHANGE);
    assert_int_equal(judge("peer", "\"channels\":[]"), SIEVE_CHANGE);
    assert_int_equal(judge("peer", "\"channels\":[{\"seq\":1}]"), SIEVE_CHANGE);
    assert_int_equal(judge("peer", "\"channels\":[{\"seq\":2}]"),
                     SIEVE_CHANGE); /* the envelope is not in there */
}

static void test_texts_with_quotes_and_brackets(void **state)
{
    (void)state;
    assert_int_equal(judge("alarm/x", "\"text\":\"a \\\"}],{ b\",\"since_ns\":1,\"active\":true"),
                     SIEVE_CHANGE);
    assert_int_equal(judge("alarm/x", "\"text\":\"a \\\"}],{ b\",\"since_ns\":2,\"active\":true"),
                     SIEVE_NOTHING);
    assert_int_equal(judge("alarm/x", "\"text\":\"a \\\"}],{ c\",\"since_ns\":2,\"active\":true"),
                     SIEVE_CHANGE);
    assert_int_equal(judge("alarm/x", "\"text\":\"a \\\"}],{ c\",\"since_ns\":2,\"active\":false"),
                     SIEVE_CHANGE);
}

static void test_a_flapping_topic_is_bounded_and_its_last_state_comes(void **state)
{
    int changes = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) { /* a minute */
        now_ns += 20 * NS_PER_MS;
        changes += judge("router/1", i % 2 ? "\"missed\":1" : "\"missed\":0") == SIEVE_CHANGE;
    }
    assert_in_range(changes, SIEVE_BURST, SIEVE_BURST + 13);
    assert_true(sieve.held_back > 1000);
    assert_int_equal(judge("role", "\"role\":\"active\""), SIEVE_CHANGE); /* others are not concerned */
    assert_int_equal(judge("router/1", "\"missed\":7"), SIEVE_NOTHING);
    now_ns += 5 * NS_PER_S;
    assert_int_equal(judge("router/1", "\"missed\":7"), SIEVE_CHANGE);
}

static void test_decisions_may_come_faster(void **state)
{
    int changes = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        now_ns += 20 * NS_PER_MS;
        changes += judge("role", i % 2 ? "\"epoch\":1" : "\"epoch\":2") == SIEVE_CHANGE;
    }
    assert_in_range(changes, SIEVE_BURST + 55, SIEVE_BURST + 61);
    assert_true(sieve_is_decision("role") && sieve_is_decision("alarm/x") && sieve_is_decision("reboot"));
    assert_false(sieve_is_decision("peer") || sieve_is_decision("router/1") ||
                 sieve_is_decision("daemon/arbiterd"));
}

static void test_what_would_leave_the_ring_comes_again(void **state)
{
    (void)state;
    assert_int_equal(judge("reboot", "\"state\":\"none\""), SIEVE_CHANGE);
    position += BLACKBOX_CHANGES_SIZE / 2;
    assert_int_equal(judge("reboot", "\"state\":\"none\""), SIEVE_NOTHING);
    position++;
    assert_int_equal(judge("reboot", "\"state\":\"none\""), SIEVE_CHANGE);
    assert_int_equal(judge("reboot", "\"state\":\"none\""), SIEVE_NOTHING);
}

static void test_an_earlier_run_is_remembered(void **state)
{
    const char json[] = "{\"v\":1,\"seq\":5,\"mono_ns\":7,\"state\":\"none\",\"at_ns\":1}";
    const struct sieve_message earlier = {"reboot", json, sizeof json - 1, now_ns,
                                          position - BLACKBOX_CHANGES_SIZE / 4};

    (void)state;
    sieve_remember(&sieve, &earlier);
    assert_int_equal(judge("reboot", "\"state\":\"none\",\"at_ns\":2"), SIEVE_NOTHING);
    position += BLACKBOX_CHANGES_SIZE / 4 + 1;
    assert_int_equal(judge("reboot", "\"state\":\"none\",\"at_ns\":2"), SIEVE_CHANGE);
}

static void test_too_many_topics(void **state)
{
    char topic[32];

    (void)state;
    for (int i = 0; i < SIEVE_TOPICS_MAX + 88; i++) {
        snprintf(topic, sizeof topic, "alarm/%d", i);
        now_ns += NS_PER_MS;
        assert_int_equal(judge(topic, "\"active\":true"), SIEVE_CHANGE);
    }
    assert_int_equal(sieve.count, SIEVE_TOPICS_MAX);
    assert_int_equal(judge("alarm/200", "\"active\":true"), SIEVE_NOTHING);
    assert_int_equal(judge("alarm/0", "\"active\":true"), SIEVE_CHANGE); /* was forgotten */
}

static void test_any_text_is_survived(void **state)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "}",
                                        "[",
                                        "{\"",
                                        "{\"a",
                                        "{\"a\"",
                                        "{\"a\":",
                                        "{\"a\":\"",
                                        "{\"a\":\"\\",
                                        "{\"a\":[[[[[[[[",
                                        "null",
                                        "{,,,}",
                                        "{:}",
                                        "{\"a\":1]",
                                        "[{]}",
                                        "{\"a\":1}{}",
                                        "\"",
                                        "\\",
                                        "{\"\\\"",
                                        "{\"a\" : 1 , \"b\" : [ 2 ] }"};
    char line[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        const size_t size = strlen(texts[i]);
        char *exact = malloc(size ? size : 1); /* a sanitizer sees one byte too far */
        memcpy(exact, texts[i], size);
        const struct sieve_message message = {"t", exact, size, now_ns, position};
        sieve_judge(&sieve, &message);
        line_print("t", exact, size, line, sizeof line);
        free(exact);
    }
}

static void test_walk(void **state)
{
    const char json[] = "{ \"a\" : 12 , \"b\":\"x\\\"y\\n\",\"c\":[1,{\"d\":2}],\"e\":true}";
    struct walk walk = walk_object(json, sizeof json - 1), list;
    struct walk_field field, element;
    char text[16];

    (void)state;
    assert_true(walk_next(&walk, &field) && walk_is(&field, "a"));
    walk_text(&field, text, sizeof text);
    assert_true(walk_next(&walk, &field) && walk_is(&field, "b"));
    walk_text(&field, text, sizeof text);
    assert_string_equal(text, "x\"y?");
    walk_text(&field, text, 3);
    assert_string_equal(text, "x\"");
    assert_true(walk_next(&walk, &field) && walk_is(&field, "c"));
    list = walk_list(field.value, field.value_size);
    assert_true(walk_next(&list, &element) && walk_number(&element) == 1);
    assert_true(walk_next(&list, &element) && element.value_size == 7);
    assert_false(walk_next(&list, &element));
    assert_true(walk_next(&walk, &field) && walk_is(&field, "e") && walk_number(&field) == 0);
    assert_false(walk_next(&walk, &field));
}

static void test_line(void **state)
{
    const char json[] =
        "{\"v\":1,\"node\":\"alpha\",\"seq\":3,\"cause\":\"heartbeatd:1\",\"role\":\"active\",\"epoch\":0,"
        "\"next_epoch\":3,\"lease_ns\":77,\"reason\":\"nobody \\\"serves\\\"\\u0007\",\"held\":false,"
        "\"offer\":\"none\",\"unfit_reason\":\"\",\"ready\":true,\"steps\":[1]}";
    char line[200];

    (void)state;
    line_print("role", json, sizeof json - 1, line, sizeof line);
    assert_string_equal(line, "role role=active next_epoch=3 reason=nobody \"serves\"?0007 ready=true");
    line_print("alarm/x", "{\"active\":false,\"since_ns\":1,\"text\":\"t\"}", 40, line, sizeof line);
    assert_string_equal(line, "alarm/x active=false text=t");
    line_print("role", json, sizeof json - 1, line, 20);
    assert_string_equal(line, "role role=active ne");
}

static void test_names_of_crash_records(void **state)
{
    char kept[BLACKBOX_NAME_MAX], again[BLACKBOX_NAME_MAX];

    (void)state;
    assert_string_equal(keep_name(16, "dmesg-ramoops-0", 0, kept), "000016-dmesg-ramoops-0");
    assert_int_equal(keep_number(kept), 16);
    assert_string_equal(keep_name(16, "dmesg-ramoops-0", 1, kept), "000016-dmesg-ramoops-0.2");
    assert_string_equal(keep_name(0, "../../etc/pass wd\n", 0, kept), "000000-.._.._etc_pass_wd_");
    assert_int_equal(keep_number(kept), 0);
    keep_name(1, "an-extremely-long-name-that-would-not-fit-into-any-buffer-of-sixty-four-bytes", 63, kept);
    keep_name(1, "an-extremely-long-name-that-would-not-fit-into-any-buffer-of-sixty-four-bytes", 62, again);
    assert_string_not_equal(kept, again);
    assert_int_equal(keep_number("00001-x"), -1);
    assert_int_equal(keep_number("000016"), -1);
    assert_int_equal(keep_number(""), -1);
    assert_int_equal(keep_number("new"), -1);
}

static void test_room_for_crash_records(void **state)
{
    uint64_t sizes[100];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        sizes[i] = KEEP_FILE_SIZE;
    assert_int_equal(keep_room(sizes, 0, KEEP_FILE_SIZE), 0);
    assert_int_equal(keep_room(sizes, 15, KEEP_FILE_SIZE), 0); /* sixteen of them are all that may be */
    assert_int_equal(keep_room(sizes, 16, KEEP_FILE_SIZE), 1);
    assert_int_equal(keep_room(sizes, 16, 1), 1);
    assert_int_equal(keep_room(sizes, 20, 0), 4);
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        sizes[i] = 10;
    assert_int_equal(keep_room(sizes, KEEP_FILES - 1, 10), 0);
    assert_int_equal(keep_room(sizes, KEEP_FILES, 10), 1);
    assert_int_equal(keep_room(sizes, 100, 10), 100 - KEEP_FILES + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_renewal_is_no_news, fresh),
        cmocka_unit_test_setup(test_inside_of_lists, fresh),
        cmocka_unit_test_setup(test_texts_with_quotes_and_brackets, fresh),
        cmocka_unit_test_setup(test_a_flapping_topic_is_bounded_and_its_last_state_comes, fresh),
        cmocka_unit_test_setup(test_decisions_may_come_faster, fresh),
        cmocka_unit_test_setup(test_what_would_leave_the_ring_comes_again, fresh),
        cmocka_unit_test_setup(test_an_earlier_run_is_remembered, fresh),
        cmocka_unit_test_setup(test_too_many_topics, fresh),
        cmocka_unit_test_setup(test_any_text_is_survived, fresh),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_names_of_crash_records),
        cmocka_unit_test(test_room_for_crash_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
