/* The decision: a watchdog that the configuration requires (R10). */
#include "tests/unit/decide_world.h"

static void watchdog(bool armed)
{
    step((struct arbiter_event){.kind = EVENT_WATCHDOG, .watchdog_armed = armed});
    w.speaks = arbiter_role(&w.arbiter, &w.role);
}

static void test_R10_a_required_watchdog_is_armed_before_the_role_is_taken(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    search(SEARCH_STATE_SILENT);
    pass(MS(900), false);
    assert_rules("");
    watchdog(true);
    pass(MS(650), false); /* search-time begins when the bar falls */
    assert_rules("R2-vacancy R2-confirmed ");
    assert_true(w.role.fit);
}

static void test_R10_a_watchdog_that_was_armed_at_once_costs_no_time(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    search(SEARCH_STATE_SILENT);
    watchdog(true);
    pass(MS(650), false);
    assert_rules("R2-vacancy R2-confirmed ");
}

static void test_R10_nobody_waits_for_ever_for_word_of_the_watchdog(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    search(SEARCH_STATE_SILENT);
    pass(MS(1580), false);
    assert_rules("");
    pass(MS(100), false);
    assert_rules("R2-vacancy R2-confirmed ");
    assert_false(w.role.fit);
    assert_string_equal(w.role.unfit_reason, "the watchdog is not armed");
}

static void test_R10_without_its_watchdog_a_node_serves_when_nobody_else_can(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(false);
    search(SEARCH_STATE_SILENT);
    pass(MS(650), false);
    assert_rules("R2-vacancy R2-confirmed ");
    assert_false(w.role.fit);
}

static void test_R10_without_its_watchdog_a_node_still_takes_over_from_a_dead_peer(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(false);
    passive_beside_beta();
    assert_false(w.role.fit);
    beta_falls_silent();
    pass(MS(400), false);
    assert_rules("R3-takeover R2-confirmed ");
}

static void test_R10_the_watchdog_decides_a_contest(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(false);
    search(SEARCH_STATE_SILENT);
    w.peer.phase_since_ns = w.now + MS(500); /* the younger one: without that, alpha is the better one */
    peer_says(PHASE_SEARCHING, 0);
    pass(MS(50), true);
    assert_int_equal(w.role.prefers, PREFERS_PEER);
    watchdog(true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
    watchdog(false);
    w.peer.unfit = true; /* it lacks its own, too */
    pass(MS(50), true);
    assert_int_equal(w.role.prefers, PREFERS_SELF);
}

static void test_R10_a_watchdog_that_goes_moves_nothing(void **state)
{
    (void)state;
    w.arbiter.set.watchdog_required = true;
    watchdog(true);
    active_beside_beta();
    assert_true(w.role.fit);
    watchdog(false);
    beta_considers();
    pass(MS(10000), true);
    assert_rules("");
    assert_false(w.role.fit);
    assert_false(w.role.ready);
    assert_non_null(strstr(w.role.not_ready, "unfit: the watchdog is not armed"));
    watchdog(true);
    assert_true(w.role.fit); /* at once: nothing was given up */
    assert_string_equal(w.role.unfit_reason, "");
}

static void test_R10_a_watchdog_that_is_not_required_is_not_waited_for(void **state)
{
    (void)state;
    search(SEARCH_STATE_SILENT);
    watchdog(false);
    pass(MS(650), false);
    assert_rules("R2-vacancy R2-confirmed ");
    assert_true(w.role.fit);
    assert_null(strstr(w.role.not_ready, "watchdog"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        TEST(test_R10_a_required_watchdog_is_armed_before_the_role_is_taken),
        TEST(test_R10_a_watchdog_that_was_armed_at_once_costs_no_time),
        TEST(test_R10_nobody_waits_for_ever_for_word_of_the_watchdog),
        TEST(test_R10_without_its_watchdog_a_node_serves_when_nobody_else_can),
        TEST(test_R10_without_its_watchdog_a_node_still_takes_over_from_a_dead_peer),
        TEST(test_R10_the_watchdog_decides_a_contest),
        TEST(test_R10_a_watchdog_that_goes_moves_nothing),
        TEST(test_R10_a_watchdog_that_is_not_required_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
