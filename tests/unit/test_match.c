/* Which of the peer's records belongs to a change of this node's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arbiterd/chronicle.h"
#include "common/clock.h"

static struct chronicle own, peers;

static int begin(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    memset(&peers, 0, sizeof peers);
    return 0;
}

/* In the boot `boot`, whose clock began at 2026-01-01 plus an hour for each boot before. */
static void change(struct chronicle *chronicle, bool takes, double seconds, int boot)
{
    static const struct change_message none;
    struct change_message *change = chronicle_add(chronicle, &none);

    change->ok = true;
    change->from = takes ? PHASE_PASSIVE : PHASE_ACTIVE;
    change->to = takes ? PHASE_CLAIMING : PHASE_RELEASING;
    change->at_ns = (int64_t)(seconds * 1e9);
    change->boot[0] = (char)('a' + boot);
    utc_print((1767225600 + boot * 3600) * NS_PER_S + change->at_ns, change->at);
}

#define took(chronicle, seconds, boot) change(chronicle, true, seconds, boot)
#define gave(chronicle, seconds, boot) change(chronicle, false, seconds, boot)

/* The peer's index from its last (0), or -1. */
static int match(int64_t nth)
{
    const struct change_message *found = chronicle_match(&own, nth, &peers);

    for (int64_t i = 0; chronicle_get(&peers, i); i++)
        if (chronicle_get(&peers, i) == found)
            return (int)i;
    return -1;
}

static void test_handovers_to_and_fro(void **state)
{
    (void)state;
    took(&own, 10, 0);
    gave(&own, 50.0, 0), took(&peers, 50.001, 0);
    took(&own, 60.002, 0), gave(&peers, 60.0, 0);
    assert_int_equal(match(0), 0);
    assert_int_equal(match(1), 1);
    assert_int_equal(match(2), -1); /* its first claim, of a role that nobody had */
    assert_int_equal(match(3), -1);
    assert_int_equal(match(-1), -1);
}

/* Its own claim was just before, and it gives up only when the other one has served for a while. */
static void test_a_handover_right_after_a_claim(void **state)
{
    (void)state;
    took(&own, 10, 0);
    gave(&own, 10.147, 0), took(&peers, 10.051, 0);
    assert_int_equal(match(0), 0);
    assert_int_equal(match(1), -1);
}

static void test_who_was_stopped_gives_up_when_it_goes_on(void **state)
{
    (void)state;
    took(&own, 100, 0);
    gave(&peers, 190, 0); /* ninety seconds later */
    assert_int_equal(match(0), 0);
    gave(&own, 300, 0), took(&peers, 299.9, 0);
    assert_int_equal(match(0), 0);
    assert_int_equal(match(1), 1);
}

/* Its record of the first change never came: that of the second is not taken for it. */
static void test_another_change_is_not_taken_for_it(void **state)
{
    (void)state;
    took(&own, 100, 0);
    gave(&own, 200, 0), took(&peers, 200.01, 0);
    took(&own, 300, 0), gave(&peers, 299.99, 0);
    assert_int_equal(match(0), 0);
    assert_int_equal(match(1), 1);
    assert_int_equal(match(2), -1);
}

static void test_nor_is_the_one_before(void **state)
{
    (void)state;
    took(&own, 10, 0), gave(&peers, 9.99, 0);
    gave(&own, 50, 0), took(&peers, 50.01, 0);
    took(&own, 100, 0);
    assert_int_equal(match(0), -1);
    assert_int_equal(match(1), 0);
    assert_int_equal(match(2), 1);
}

/* It gave up, too, and took the role again; and once more while this node served nothing. */
static void test_the_opposite_and_nearest_one(void **state)
{
    (void)state;
    gave(&own, 50, 0);
    gave(&peers, 50.001, 0);
    took(&peers, 50.5, 0);
    gave(&peers, 52, 0);
    took(&peers, 53, 0);
    assert_int_equal(match(0), 2);
}

/* The only record of a new node, beside a give-up of the peer's long ago. */
static void test_an_old_story_is_not_taken_for_it(void **state)
{
    (void)state;
    took(&own, 5000, 0), gave(&peers, 100, 0);
    assert_int_equal(match(0), -1);
    gave(&peers, 4990, 0);
    assert_int_equal(match(0), 0);
}

/* The one before was a handover, whose other side came some milliseconds after; then both lost their power.
 */
static void test_nor_is_the_late_end_of_the_one_before(void **state)
{
    (void)state;
    took(&own, 100, 0), gave(&peers, 100.1, 0);
    took(&own, 115, 0);
    assert_int_equal(match(0), -1);
    assert_int_equal(match(1), 0);
}

/* An arbiter that was restarted kept the role: that is no end of what was before. */
static void test_a_restart_in_between_divides_nothing(void **state)
{
    (void)state;
    took(&own, 100, 0);
    took(&own, 150, 0);
    strcpy(own.changes[1].rule, "R1-resume");
    gave(&peers, 190, 0);
    assert_int_equal(match(1), 0);
}

/* It was another node, or the same one under another name: its records have the times of its own story. */
static void test_records_of_an_earlier_peer_belong_to_what_was_then(void **state)
{
    (void)state;
    took(&own, 100, 0), gave(&peers, 99.9, 0);
    gave(&own, 200, 0), took(&peers, 200.1, 0);
    for (int i = 0; i < 2; i++) {
        strcpy(peers.changes[i].node, "beta");
        strcpy(own.changes[i].other, i ? "gamma" : "beta");
    }
    assert_int_equal(match(1), 1);
    assert_int_equal(match(0), -1);
    took(&peers, 200.2, 0);
    strcpy(peers.changes[2].node, "gamma");
    assert_int_equal(match(0), 0);
}

static void test_across_boots_by_the_wall_clock(void **state)
{
    (void)state;
    gave(&own, 3000, 0), took(&peers, 2, 1); /* 3602 s after the first boot: told after the restart */
    took(&own, 20, 1), gave(&peers, 19.9, 1);
    assert_int_equal(match(0), 0);
    assert_int_equal(match(1), 1);
}

static void test_a_time_that_cannot_be_read_matches_nothing(void **state)
{
    (void)state;
    took(&own, 10, 0), gave(&peers, 10, 1);
    memcpy(peers.changes[0].at, "yesterday", sizeof "yesterday");
    assert_int_equal(match(0), -1);
}

static void test_texts_of_times_come_back(void **state)
{
    static const char *const wrong[] = {"",
                                        "yesterday",
                                        "2026-11-22T12:11:16Z",
                                        "2026-11-22T12:11:16.123456",
                                        "2026-11-22T12:11:16.123456Zx",
                                        "2026-11-22T12:11:16.12345Z",
                                        "2026-13-22T12:11:16.123456Z"};
    char text[CLOCK_UTC_MAX];
    int64_t wall_ns;

    (void)state;
    utc_print(INT64_C(1763813476123456000), text);
    assert_string_equal(text, "2025-11-22T12:11:16.123456Z");
    assert_int_equal(utc_parse(text, &wall_ns), 0);
    assert_int_equal(wall_ns, INT64_C(1763813476123456000));
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        assert_true(utc_parse(wrong[i], &wall_ns) < 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_handovers_to_and_fro),
        TEST(test_a_handover_right_after_a_claim),
        TEST(test_who_was_stopped_gives_up_when_it_goes_on),
        TEST(test_another_change_is_not_taken_for_it),
        TEST(test_nor_is_the_one_before),
        TEST(test_the_opposite_and_nearest_one),
        TEST(test_an_old_story_is_not_taken_for_it),
        TEST(test_nor_is_the_late_end_of_the_one_before),
        TEST(test_a_restart_in_between_divides_nothing),
        TEST(test_records_of_an_earlier_peer_belong_to_what_was_then),
        TEST(test_across_boots_by_the_wall_clock),
        TEST(test_a_time_that_cannot_be_read_matches_nothing),
        TEST(test_texts_of_times_come_back),
    };
    cmocka_set_test_filter(getenv("DUET_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
