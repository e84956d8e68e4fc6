/* Messages as JSON: how large a number may be, and which field may be missing. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/topics.h"

static const int64_t exact_max = INT64_C(1) << 53;

static struct link_message message;
static struct envelope envelope = {
    .node = "alpha", .from = "heartbeatd", .seq = 1, .mono_ns = 1, .at = "2026-11-26T00:00:00.000000Z"};
static char error[CODEC_ERROR_MAX];

/* Packs both, and parses what came of it. */
static int there_and_back(void)
{
    struct link_message back;
    struct envelope header;
    char *json = message_pack(&link_type, &envelope, &message);

    assert_non_null(json);
    const int r = message_parse(&link_type, json, strlen(json), &header, &back, error);
    if (r == 0) {
        assert_true(back.fault_ns == message.fault_ns && header.mono_ns == envelope.mono_ns);
        assert_true(header.seq == envelope.seq);
    }
    free(json);
    return r;
}

/* A machine's clock is beyond 2^53 ns when it has been up for 104 days. */
static void test_times_in_nanoseconds_have_all_bits(void **state)
{
    const int64_t times[] = {0, exact_max, exact_max + 1, INT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        message.fault_ns = envelope.mono_ns = times[i];
        assert_int_equal(there_and_back(), 0);
    }
    message.fault_ns = -1;
    assert_true(there_and_back() < 0);
    assert_string_equal(error, "fault_ns: must be an integer from 0 to 2^63");
    message.fault_ns = 0;
}

static void test_other_numbers_are_exact_for_every_reader(void **state)
{
    (void)state;
    envelope.seq = exact_max;
    assert_int_equal(there_and_back(), 0);
    envelope.seq = exact_max + 1;
    assert_true(there_and_back() < 0);
    assert_string_equal(error, "seq: must be an integer from 0 to 2^53");
    envelope.seq = 1;
}

static void test_only_an_optional_field_may_be_missing(void **state)
{
    static struct change_message change = {
        .node = "alpha", .number = 7, .boot = "b", .steps_count = 1, .steps[0].considered = "R4-mute"};
    static struct change_message back;
    static const char *const optional[] = {"\"number\":7,", "\"boot\":\"b\",", ",\"considered\":\"R4-mute\""};
    char *json = message_pack(&change_type, NULL, &change);

    (void)state;
    assert_non_null(json);
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        char *at = strstr(json, optional[i]);
        assert_non_null(at);
        memmove(at, at + strlen(optional[i]), strlen(at + strlen(optional[i])) + 1);
        assert_int_equal(message_parse(&change_type, json, strlen(json), NULL, &back, error), 0);
    }
    assert_true(back.number == 0 && !back.boot[0] && !back.steps[0].considered[0]);
    char *at = strstr(json, "\"epoch\":0,");
    assert_non_null(at);
    memmove(at, at + 10, strlen(at + 10) + 1);
    assert_true(message_parse(&change_type, json, strlen(json), NULL, &back, error) < 0);
    assert_string_equal(error, "epoch: is missing");
    free(json);
}

/* Only what goes on by itself may differ; that it begins or ends is news, and so is all else. */
static void test_a_renewal_differs_in_what_ages(void **state)
{
    struct peer_message before = {.alive = true, .heard_ns = 5, .lease_us = 7, .channels_count = 1}, after;

    (void)state;
    before.channels[0] = (struct channel_fitness){.name = "inside", .usable = true, .evidence_ns = 3};
    after = before;
    after.heard_ns = 6;
    after.lease_us = 8;
    after.channels[0].evidence_ns = 4;
    assert_true(message_is_renewal(&peer_type, &before, &after));
    after.lease_us = 0;
    assert_false(message_is_renewal(&peer_type, &before, &after));
    assert_false(message_is_renewal(&peer_type, &after, &before));
    after = before;
    after.alive = false;
    assert_false(message_is_renewal(&peer_type, &before, &after));
    after = before;
    after.phase = PHASE_OFFERING;
    assert_false(message_is_renewal(&peer_type, &before, &after));
    after = before;
    after.change = 1;
    assert_false(message_is_renewal(&peer_type, &before, &after));
    after = before;
    after.channels[0].usable = false;
    assert_false(message_is_renewal(&peer_type, &before, &after));
    after = before;
    after.channels[0].name[5] = '\0';
    assert_false(message_is_renewal(&peer_type, &before, &after));
    after = before;
    after.channels_count = 2;
    assert_false(message_is_renewal(&peer_type, &before, &after));
}

static void test_what_does_not_age_has_no_renewals(void **state)
{
    const struct link_message same = {.present = true};

    (void)state;
    assert_false(message_is_renewal(&link_type, &same, &same));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_renewal_differs_in_what_ages),
        cmocka_unit_test(test_what_does_not_age_has_no_renewals),
        cmocka_unit_test(test_times_in_nanoseconds_have_all_bits),
        cmocka_unit_test(test_other_numbers_are_exact_for_every_reader),
        cmocka_unit_test(test_only_an_optional_field_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
