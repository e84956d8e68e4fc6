/* When the hardware watchdog is fed, and when not: superviserd's core, told by hand what it hears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/watchdog_times.h"
#include "superviserd/feeder.h"

#define SECONDS(n) ((int64_t)((n)*1e9))

static struct {
    struct feeder feeder;
    struct feeder_verdict verdict;
    int64_t now;
    int64_t started[FEEDER_DAEMONS]; /* 0: it does not run, or hangs */
} w;

static int begin(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.now = SECONDS(1000);
    feeder_arm(&w.feeder, SECONDS(10), w.now);
    return 0;
}

static void start(size_t daemon)
{
    w.started[daemon] = w.now;
}

static void hang(size_t daemon)
{
    w.started[daemon] = 0;
}

static void pulse_of(size_t daemon, bool stopping)
{
    const struct daemon_message pulse = {
        .started_ns = w.started[daemon], .stopping = stopping, .late_us_max = 1500};

    feeder_pulse(&w.feeder, feeder_daemons[daemon], &pulse, w.now, w.now);
}

static bool fed(void)
{
    feeder_judge(&w.feeder, w.now, &w.verdict);
    return w.verdict.feed;
}

/* Second by second, as the pulses and the timer go. Returns for how long it was fed before it was not. */
static double live(double seconds)
{
    for (int i = 1; i <= (int)seconds; i++) {
        w.now += SECONDS(1);
        for (size_t d = 0; d < FEEDER_DAEMONS; d++)
            if (w.started[d])
                pulse_of(d, false);
        if (!fed())
            return i - 1;
    }
    return seconds;
}

static void all_live(void)
{
    for (size_t d = 0; d < FEEDER_DAEMONS; d++)
        start(d);
    assert_true(live(5) == 5);
}

/* ------------------------------------------------------------- the arithmetic */

static void test_times_follow_from_the_timeout(void **state)
{
    (void)state;
    assert_int_equal(watchdog_silence_ns(SECONDS(10)), SECONDS(5));
    assert_int_equal(watchdog_silence_ns(SECONDS(2)), SECONDS(3));
    assert_int_equal(watchdog_silence_ns(SECONDS(60)), SECONDS(30));
    assert_int_equal(watchdog_feed_interval_ns(SECONDS(10)), SECONDS(1));
    assert_int_equal(watchdog_feed_interval_ns(SECONDS(2)), SECONDS(0.5));
}

static void test_asked_again_before_the_timeout(void **state)
{
    (void)state;
    for (int64_t timeout = SECONDS(1); timeout <= SECONDS(120); timeout += SECONDS(1)) {
        feeder_arm(&w.feeder, timeout, w.now);
        assert_true(fed());
        assert_true(w.verdict.next_ns - w.now <= timeout / 4);
    }
}

/* ------------------------------------------------------------------- who lives */

static void test_fed_while_all_live(void **state)
{
    (void)state;
    all_live();
    assert_true(live(3600) == 3600);
    assert_string_equal(w.verdict.text, "");
    assert_int_equal(w.feeder.starving, 0);
}

static void test_each_of_the_lease_chain_starves_it(void **state)
{
    (void)state;
    for (size_t d = 0; d < FEEDER_DAEMONS; d++) {
        begin(NULL);
        all_live();
        hang(d);
        const int64_t hung = w.now;
        assert_true(live(20) == 5); /* the limit: no longer, no shorter */
        assert_int_equal(w.feeder.starving, hung + SECONDS(6));
        assert_non_null(strstr(w.verdict.text, feeder_daemons[d]));
        assert_non_null(strstr(w.verdict.text, "silent for 6.0 s (late by at most 1.5 ms before)"));
    }
}

static void test_two_that_hang_are_both_named(void **state)
{
    (void)state;
    all_live();
    hang(0);
    hang(2);
    live(20);
    assert_non_null(strstr(w.verdict.text, "heartbeatd silent"));
    assert_non_null(strstr(w.verdict.text, "; takeoverd silent"));
    assert_null(strstr(w.verdict.text, "arbiterd"));
}

static void test_others_do_not_matter(void **state)
{
    const struct daemon_message pulse = {.started_ns = SECONDS(1)};

    (void)state;
    all_live();
    feeder_pulse(&w.feeder, "syncd", &pulse, w.now, w.now);
    assert_true(live(60) == 60);
}

static void test_fed_again_when_it_is_heard_again(void **state)
{
    (void)state;
    all_live();
    const int64_t run = w.started[1];
    hang(1);
    live(20);
    w.started[1] = run; /* SIGCONT */
    assert_true(live(10) == 10);
    assert_int_equal(w.feeder.starving, 0);
    assert_string_equal(w.verdict.text, "");
}

static void test_restart_starves_nobody(void **state)
{
    (void)state;
    all_live();
    for (int i = 0; i < 5; i++) {
        hang(1);
        assert_true(live(1) == 1);
        start(1);
        assert_true(live(2) == 2);
    }
}

/* Each run gets as far as its first pulse. */
static void test_restart_loop_is_no_life(void **state)
{
    (void)state;
    all_live();
    for (int i = 0; i < 50; i++) {
        w.now += SECONDS(0.1);
        start(1);
        pulse_of(1, false);
        w.now += SECONDS(0.1);
        for (size_t d = 0; d < FEEDER_DAEMONS; d++)
            pulse_of(d, false);
        if (i == 20)
            assert_true(fed());
        fed();
    }
    w.now += SECONDS(0.2);
    assert_false(fed());
}

/* Nothing comes up after a boot: no restart, that would be one for ever. */
static void test_who_never_lived_starves_nobody(void **state)
{
    (void)state;
    assert_true(live(3600) == 3600);
    begin(NULL);
    start(0);
    start(2);
    assert_true(live(3600) == 3600); /* only arbiterd does not come up */
    assert_string_equal(w.verdict.text, "");
}

static void test_first_pulse_alone_is_no_life(void **state)
{
    (void)state;
    start(1);
    pulse_of(1, false);
    hang(1);
    assert_true(live(60) == 60);
}

/* ---------------------------------------------------------------- on purpose */

static void test_daemon_that_was_told_to_stop_may_be_silent(void **state)
{
    (void)state;
    all_live();
    pulse_of(1, true);
    hang(1);
    assert_true(live(600) == 600);
    start(1); /* it is back, and counts again */
    assert_true(live(3) == 3);
    hang(1);
    assert_true(live(20) == 5);
}

/* A last word that comes late must not excuse the next run, nor an early one of the next run. */
static void test_stopping_ends_with_the_next_run(void **state)
{
    (void)state;
    all_live();
    pulse_of(1, true);
    start(1);
    pulse_of(1, false); /* too young to count: still excused */
    hang(1);
    assert_true(live(60) == 60);
}

static void test_clean_stop_of_superviserd_goes_by_its_own_loop(void **state)
{
    (void)state;
    all_live();
    w.feeder.stopping = true;
    for (size_t d = 0; d < FEEDER_DAEMONS; d++)
        hang(d);
    assert_true(live(600) == 600);
}

static void test_hold_bars_a_restart_by_itself(void **state)
{
    (void)state;
    all_live();
    w.feeder.held = true;
    hang(2);
    assert_true(live(600) == 600);
    assert_non_null(strstr(w.verdict.text, "fed all the same, as the pair is held; takeoverd silent"));
    assert_int_equal(w.feeder.starving, 0);
    w.feeder.held_until = w.now + SECONDS(10); /* a limited one ends, also if no arbiter tells it */
    assert_true(live(20) == 9);
}

static void test_refused_whatever_else(void **state)
{
    (void)state;
    all_live();
    feeder_refuse(&w.feeder, "the reboot did not come about");
    w.feeder.held = w.feeder.stopping = true;
    assert_true(live(10) == 0);
    assert_string_equal(w.verdict.text, "the reboot did not come about");
    feeder_refuse(&w.feeder, "");
    assert_true(live(10) == 10);
    assert_int_equal(w.feeder.starving, 0);
}

/* ----------------------------------------------------------------- own stalls */

static void test_own_stall_is_nobodys_silence(void **state)
{
    (void)state;
    all_live();
    w.now += SECONDS(3600); /* suspended, or stopped: the timer runs before any pulse is read */
    assert_true(fed());
    w.now += SECONDS(1);
    assert_true(live(10) == 10);
}

static void test_own_stall_hides_no_silence_for_long(void **state)
{
    (void)state;
    all_live();
    hang(0);
    assert_true(live(4) == 4);
    w.now += SECONDS(100);
    assert_true(live(20) == 1); /* 4 s before the stall, 1 s that is the timer's own pace, and over */
}

static void test_old_pulse_counts_from_when_it_was_sent(void **state)
{
    const struct daemon_message pulse = {.started_ns = SECONDS(1)};

    (void)state;
    all_live();
    const int64_t sent = w.now;
    hang(0);
    live(4);
    feeder_pulse(&w.feeder, "heartbeatd", &pulse, sent, w.now);
    assert_true(live(20) == 1);
}

static void test_pulse_from_the_future_counts_from_now(void **state)
{
    const struct daemon_message pulse = {.started_ns = SECONDS(1)};

    (void)state;
    all_live();
    feeder_pulse(&w.feeder, "heartbeatd", &pulse, w.now + SECONDS(1000), w.now);
    hang(0);
    assert_true(live(20) == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_times_follow_from_the_timeout, begin),
        cmocka_unit_test_setup(test_asked_again_before_the_timeout, begin),
        cmocka_unit_test_setup(test_fed_while_all_live, begin),
        cmocka_unit_test_setup(test_each_of_the_lease_chain_starves_it, begin),
        cmocka_unit_test_setup(test_two_that_hang_are_both_named, begin),
        cmocka_unit_test_setup(test_others_do_not_matter, begin),
        cmocka_unit_test_setup(test_fed_again_when_it_is_heard_again, begin),
        cmocka_unit_test_setup(test_restart_starves_nobody, begin),
        cmocka_unit_test_setup(test_restart_loop_is_no_life, begin),
        cmocka_unit_test_setup(test_who_never_lived_starves_nobody, begin),
        cmocka_unit_test_setup(test_first_pulse_alone_is_no_life, begin),
        cmocka_unit_test_setup(test_daemon_that_was_told_to_stop_may_be_silent, begin),
        cmocka_unit_test_setup(test_stopping_ends_with_the_next_run, begin),
        cmocka_unit_test_setup(test_clean_stop_of_superviserd_goes_by_its_own_loop, begin),
        cmocka_unit_test_setup(test_hold_bars_a_restart_by_itself, begin),
        cmocka_unit_test_setup(test_refused_whatever_else, begin),
        cmocka_unit_test_setup(test_own_stall_is_nobodys_silence, begin),
        cmocka_unit_test_setup(test_own_stall_hides_no_silence_for_long, begin),
        cmocka_unit_test_setup(test_old_pulse_counts_from_when_it_was_sent, begin),
        cmocka_unit_test_setup(test_pulse_from_the_future_counts_from_now, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
