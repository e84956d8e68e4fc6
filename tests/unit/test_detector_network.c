/* The detector, as a conversation: search, routers, links, and a changed configuration. */
#include "tests/unit/detector_world.h"

/* ------------------------------------------------------------------- search */

static void test_search_verdicts(void **state)
{
    (void)state;
    run_until(100);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
    run_until(400);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_SILENT);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.silent_since_ns, START);
    w.holder = BETA;
    run_until(700);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.silent_since_ns, 0);
    w.holder = 3; /* a stranger takes the address */
    run_until(1400);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_CONFLICT);
    assert_true(channel_at(ALPHA, INSIDE)->search.unanswered >= 2);
    assert_in_range(channel_at(ALPHA, INSIDE)->search.silent_since_ns, START + MS(400), START + MS(700));
    w.holder = NOBODY;
    run_until(2300);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_SILENT);
    role(ALPHA, ROLE_ACTIVE, false);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_IDLE);
    role(ALPHA, ROLE_PASSIVE, false);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
}

/* What the arbiter agrees on: it must not wait for what is told each second (R2). */
static void test_a_calm_search_is_told_while_nobody_answers(void **state)
{
    const struct node *alpha = &w.nodes[ALPHA];

    (void)state;
    run_until(3000);
    assert_false(alpha->detector.quick);
    const int told = alpha->searches_told[INSIDE], asked = alpha->asked[INSIDE];
    for (int64_t at = 3050; at <= 5000; at += 50) {
        run_until(at);
        assert_int_equal(alpha->told[INSIDE].state, SEARCH_STATE_SILENT);
        /* At most two requests old, and none that could still be answered. */
        assert_in_range(w.now - alpha->told[INSIDE].unanswered_ns, MS(100), MS(450));
    }
    assert_in_range(alpha->searches_told[INSIDE] - told, 9, 14);
    assert_int_equal(alpha->asked[INSIDE] - asked, 10); /* one for each 200 ms */
}

static void test_a_calm_search_is_not_told_while_the_peer_answers(void **state)
{
    const struct node *alpha = &w.nodes[ALPHA];

    (void)state;
    w.holder = BETA;
    serve_until(BETA, 3000);
    const int told = alpha->searches_told[INSIDE];
    serve_until(BETA, 5000);
    assert_false(alpha->detector.quick);
    assert_int_equal(alpha->told[INSIDE].state, SEARCH_STATE_ANSWERED);
    assert_int_equal(alpha->told[INSIDE].unanswered_ns, 0);
    assert_in_range(alpha->searches_told[INSIDE] - told, 2, 4); /* each 0.8 s, as before */
}

static void test_a_request_is_unanswered_when_it_had_its_time(void **state)
{
    struct search search = {0};
    const struct mac mac = mac_of(BETA, INSIDE);

    (void)state;
    search_begin(&search, START);
    for (int i = 0; i <= 4; i++)
        search_asked(&search, MS(1), START + MS(i));
    assert_int_equal(search.unanswered_ns, 0);
    search_asked(&search, MS(1), START + MS(5));
    assert_int_equal(search.unanswered_ns, START);
    search_judge(&search, START + MS(10));
    assert_int_equal(search.unanswered_ns, START + MS(5));
    search_answered(&search, &mac, true, START + MS(11));
    assert_int_equal(search.unanswered_ns, 0);
    search_asked(&search, MS(200), START + MS(12));
    search_restart(&search, START + MS(100)); /* who did not listen knows of no silence */
    search_judge(&search, START + MS(150));
    assert_int_equal(search.unanswered_ns, 0);
}

static void test_each_request_is_given_time(void **state)
{
    struct search search = {0};

    (void)state;
    search_begin(&search, START);
    search_asked(&search, MS(2), START);
    search_asked(&search, MS(2), START + MS(2));
    search_asked(&search, MS(2), START + MS(4)); /* going on to ask puts nothing off */
    assert_int_equal(search_verdict_ns(&search), START + MS(7));
    assert_false(search_judge(&search, START + MS(7) - 1));
    assert_true(search_judge(&search, START + MS(7)));
    assert_int_equal(search.state, SEARCH_STATE_SILENT);
}

static void test_anybody_counts_while_the_peer_is_unknown(void **state)
{
    (void)state;
    w.cut[BETA] = ALL_PATHS;
    w.holder = 3;
    run_until(500);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
}

static void test_an_expired_lease_starts_the_search(void **state)
{
    struct role_message active = {.role = ROLE_ACTIVE, .phase = PHASE_ACTIVE, .lease_ns = START + MS(200)};

    (void)state;
    detector_role(&w.nodes[ALPHA].detector, &active, w.now, w.now, &w.nodes[ALPHA].out);
    run_until(190);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_IDLE);
    run_until(260);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
}

static void test_requests_stay_polite(void **state)
{
    (void)state;
    run_until(500);
    look(ALPHA);
    for (int i = 0; i < 20; i++) { /* every reason to hurry, all the time */
        role(ALPHA, ROLE_PASSIVE, i % 2);
        w.router_dead[ALPHA] = true;
        run_until(500 + 50 * (i + 1));
    }
    assert_in_range(w.nodes[ALPHA].asked[OUTSIDE], 20, 126); /* 100 a second, and a burst of 25 */
}

/* ------------------------------------------------------------------ routers */

static void test_router_dies_and_returns(void **state)
{
    const struct channel *channel = channel_at(ALPHA, OUTSIDE);

    (void)state;
    run_until(1010);
    assert_true(channel->usable && channel->routers[0].answering);
    assert_int_equal(channel->fault_ns, 0);
    w.router_dead[ALPHA] = true;
    run_until(1900); /* the third miss, and the quick ones have begun */
    assert_true(channel->usable);
    assert_true(channel->routers[0].missed >= 3);
    run_until(2200);
    assert_false(channel->routers[0].answering);
    assert_false(channel->usable);
    assert_true(channel->routers[0].missed >= 23);
    assert_in_range(channel->fault_ns, START + MS(1190),
                    START + MS(1250)); /* the first request that was missed */
    assert_false(peer_at(BETA).channels[OUTSIDE].usable);
    run_until(2400);
    assert_true(channel->routers[0].missed > 40); /* quick for a second more */
    run_until(6000);
    look(ALPHA);
    run_until(7000);
    assert_in_range(w.nodes[ALPHA].asked[OUTSIDE], 9, 11); /* calm again */
    w.router_dead[ALPHA] = false;
    run_until(7260);
    assert_true(channel->usable && channel->routers[0].answering);
    assert_int_equal(channel->routers[0].missed, 0);
    assert_int_equal(channel->fault_ns, 0);
    assert_true(peer_at(BETA).channels[OUTSIDE].usable);
}

static void router_talks(const struct mac *from, int64_t until_ms)
{
    while (w.now < START + MS(until_ms)) {
        run_until((w.now - START) / NS_PER_MS + 20);
        detector_router_frame(&w.nodes[ALPHA].detector, OUTSIDE, from, w.now, w.now, &w.nodes[ALPHA].out);
    }
}

static void test_a_router_that_talks_is_not_asked(void **state)
{
    const struct channel *channel = channel_at(ALPHA, OUTSIDE);
    const struct mac router = mac_of(4, OUTSIDE), stranger = mac_of(5, OUTSIDE);

    (void)state;
    w.nodes[ALPHA].config->channels[OUTSIDE].check_only_idle = true;
    role(ALPHA, ROLE_ACTIVE, false); /* no search of its own */
    run_until(1000);
    look(ALPHA);
    w.router_dead[ALPHA] = true; /* it answers no ARP, say, but sends */
    router_talks(&router, 3000);
    assert_true(channel->usable && channel->routers[0].answering);
    assert_in_range(w.nodes[ALPHA].asked[OUTSIDE], 0, 1);
    router_talks(&stranger, 6000);
    assert_false(channel->usable || channel->routers[0].answering);
    assert_true(w.nodes[ALPHA].asked[OUTSIDE] > 20);
    router_talks(&router, 6050);
    assert_true(channel->usable && channel->routers[0].answering);
}

static void test_router_is_asked_from_the_addresses_held(void **state)
{
    (void)state;
    run_until(1000);
    look(ALPHA);
    run_until(2000);
    assert_int_equal(w.nodes[ALPHA].from_active[OUTSIDE], 0);
    role(ALPHA, ROLE_ACTIVE, false);
    look(ALPHA);
    run_until(3000);
    assert_in_range(w.nodes[ALPHA].from_active[OUTSIDE], 4, 6);
    assert_int_equal(w.nodes[ALPHA].asked[OUTSIDE], w.nodes[ALPHA].from_active[OUTSIDE]);
}

static void test_missing_heartbeats_hint_at_the_router(void **state)
{
    (void)state;
    run_until(1000);
    w.router_dead[ALPHA] = true;
    w.cut[BETA] = 1 << (PATH_CHANNEL + OUTSIDE); /* the line outside is dead for alpha, carrier or not */
    run_until(1450);                             /* 125 ms, and 23 quick probes: not 3 x 200 ms first */
    assert_false(channel_at(ALPHA, OUTSIDE)->usable);
}

static void test_suspicion_brings_fresh_evidence(void **state)
{
    (void)state;
    run_until(1010);
    look(BETA);
    const int64_t suspected = w.now;
    role(ALPHA, ROLE_PASSIVE, true);
    run_until(1020);
    assert_true(w.nodes[BETA].detector.quick);
    assert_true(peer_at(ALPHA).channels[OUTSIDE].evidence_ns >= suspected - NS_PER_MS);
    run_until(1110);
    assert_true(w.nodes[BETA].asked[OUTSIDE] >= 9);
    assert_true(w.now - peer_at(ALPHA).channels[OUTSIDE].evidence_ns < MS(15));
}

/* -------------------------------------------------------------------- links */

static void test_carrier_loss_is_seen_at_once_and_must_be_cured(void **state)
{
    const struct channel *channel = channel_at(ALPHA, OUTSIDE);
    struct link_event link = {true, false, mac_of(ALPHA, OUTSIDE), 500};

    (void)state;
    run_until(1010);
    look(ALPHA);
    detector_link(&w.nodes[ALPHA].detector, OUTSIDE, &link, w.now, &w.nodes[ALPHA].out);
    assert_false(channel->usable || channel->routers[0].answering);
    assert_int_equal(channel->fault_ns, w.now);
    assert_int_equal(channel->search.state, SEARCH_STATE_IDLE);
    empty(ALPHA);
    assert_int_equal(w.nodes[ALPHA].sent, 3);
    assert_false(peer_at(BETA).channels[OUTSIDE].usable);
    run_until(1500);
    w.router_dead[ALPHA] = true;
    link.carrier = true; /* carrier alone is no proof */
    detector_link(&w.nodes[ALPHA].detector, OUTSIDE, &link, w.now, &w.nodes[ALPHA].out);
    run_until(1600);
    assert_false(channel->usable);
    w.router_dead[ALPHA] = false;
    run_until(1650);
    assert_true(channel->usable);
    assert_int_equal(channel->fault_ns, 0);
}

/* … without a word from either arbiter: each would take a while to say so. */
static void test_a_lost_carrier_brings_the_peers_evidence_at_once(void **state)
{
    const struct link_event link = {true, false, mac_of(ALPHA, OUTSIDE), 500};

    (void)state;
    run_until(1013); /* no tick is near */
    look(ALPHA);
    look(BETA);
    const int64_t lost = w.now;
    detector_link(&w.nodes[ALPHA].detector, OUTSIDE, &link, w.now, &w.nodes[ALPHA].out);
    empty(ALPHA);
    run_until(1014);
    assert_true(w.nodes[BETA].asked[OUTSIDE] > 0);
    assert_true(w.nodes[ALPHA].published > 0);
    assert_true(w.nodes[ALPHA].detector.told.said.channels[OUTSIDE].usable);
    assert_true(peer_at(ALPHA).channels[OUTSIDE].evidence_ns >= lost);
    assert_true(w.nodes[ALPHA].detector.told.heard_ns >= lost);
    run_until(1300);
    look(ALPHA);
    run_until(1400);
    assert_true(w.nodes[ALPHA].sent <= 2 * 3); /* nobody suspects anything: it is calm again */
}

/* What it slept through is no silence of the peer's, whatever wakes it first (R5). */
static void test_a_carrier_lost_in_a_stall_does_not_hide_it(void **state)
{
    struct detector *detector = &w.nodes[ALPHA].detector;
    const struct link_event link = {true, false, mac_of(ALPHA, OUTSIDE), 500};

    (void)state;
    run_until(1013);
    w.now += MS(400);
    detector_link(detector, OUTSIDE, &link, w.now, &w.nodes[ALPHA].out);
    assert_true(detector_is_stalled(detector, w.now));
    detector_tick(detector, w.now, &w.nodes[ALPHA].out);
    assert_int_equal(detector->counting_since_ns, w.now);
}

static void test_without_router_a_frame_is_proof(void **state)
{
    const struct channel *channel = channel_at(ALPHA, INSIDE);
    struct link_event link = {true, false, mac_of(ALPHA, INSIDE), 500};

    (void)state;
    run_until(1000);
    assert_true(channel->usable);
    w.cut[BETA] = ALL_PATHS;
    run_until(5000); /* silence alone is no fault there */
    assert_true(channel->usable);
    assert_true(w.now - channel->evidence_ns < MS(60));
    detector_link(&w.nodes[ALPHA].detector, INSIDE, &link, w.now, &w.nodes[ALPHA].out);
    link.carrier = true;
    detector_link(&w.nodes[ALPHA].detector, INSIDE, &link, w.now, &w.nodes[ALPHA].out);
    run_until(6000);
    assert_false(channel->usable);
    link.frames++; /* the adapter counted one that nobody here has seen */
    detector_link(&w.nodes[ALPHA].detector, INSIDE, &link, w.now, &w.nodes[ALPHA].out);
    assert_true(channel->usable);
}

static void test_garbage_changes_only_counters(void **state)
{
    static struct detector before;

    (void)state;
    run_until(1000);
    before = w.nodes[ALPHA].detector;
    for (int i = 0; i < 1000; i++) {
        detector_refused(&w.nodes[ALPHA].detector, PATH_RESERVED, REFUSED_UNOPENED);
        detector_refused(&w.nodes[ALPHA].detector, PATH_CHANNEL, REFUSED_FOREIGN);
    }
    assert_int_equal(w.nodes[ALPHA].detector.paths[PATH_RESERVED].unopened, 1000);
    assert_int_equal(w.nodes[ALPHA].detector.paths[PATH_CHANNEL].foreign, 1000);
    before.paths[PATH_RESERVED].unopened = before.paths[PATH_CHANNEL].foreign = 1000;
    assert_memory_equal(&before, &w.nodes[ALPHA].detector, sizeof before);
}

/* ------------------------------------------------------ a changed configuration */

/* Alpha goes to `changed_text`; the configuration before lives on, as it does in the daemon. */
static struct config *change(const char *changed_text)
{
    struct config *before = w.nodes[ALPHA].config;

    assert_int_equal(config_read_text("test", changed_text, "alpha", stderr, &w.nodes[ALPHA].config), 0);
    detector_configure(&w.nodes[ALPHA].detector, w.nodes[ALPHA].config, w.now);
    return before;
}

static char *replaced(const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *made;

    assert_non_null(at);
    assert_true(asprintf(&made, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    return made;
}

static const char dmz[] = "channel \"dmz\" { device = \"eth2\" active-address = {\"198.51.100.1/24\"}\n"
                          "    node \"alpha\" { passive-address = {\"198.51.100.2/24\"} }\n"
                          "    node \"beta\" { passive-address = {\"198.51.100.3/24\"} } }\n"
                          "channel \"outside\" {\n";

static void test_a_channel_before_the_others_disturbs_none(void **state)
{
    (void)state;
    run_until(1000);
    const struct path outside = w.nodes[ALPHA].detector.paths[PATH_CHANNEL + OUTSIDE];
    const struct mac peer = w.nodes[ALPHA].detector.peer.macs[INSIDE];
    char *more = replaced("channel \"outside\" {\n", dmz);
    struct config *before = change(more);
    const struct detector *d = &w.nodes[ALPHA].detector;

    free(more);
    assert_int_equal(d->path_count, 4);
    assert_memory_equal(&d->paths[PATH_CHANNEL + 1], &outside, sizeof outside);
    assert_true(mac_equal(&d->peer.macs[2], &peer) && mac_is_zero(&d->peer.macs[0]));
    assert_true(d->channels[1].usable && d->channels[1].routers[0].answering && d->channels[1].index == 1);
    assert_true(d->channels[1].config == &w.nodes[ALPHA].config->channels[1]);
    assert_false(d->channels[0].present || d->channels[0].usable);
    assert_true(peer_at(ALPHA).alive && peer_at(ALPHA).linked);
    assert_true(d->config_hash != w.nodes[BETA].detector.config_hash);
    config_free(before);
}

static void test_other_addresses_are_searched_for_anew(void **state)
{
    (void)state;
    w.holder = BETA;
    run_until(1000);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
    char *fewer = replaced("\"192.0.2.1/24\", \"192.0.2.9/24\"", "\"192.0.2.1/24\"");
    struct config *before = change(fewer);

    free(fewer);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ASKING);
    assert_int_equal(channel_at(ALPHA, OUTSIDE)->search.state, SEARCH_STATE_ANSWERED);
    run_until(1500);
    assert_int_equal(channel_at(ALPHA, INSIDE)->search.state, SEARCH_STATE_ANSWERED);
    config_free(before);
}

static void test_a_new_router_that_is_silent_beside_one_that_answers_is_no_fault(void **state)
{
    (void)state;
    run_until(1000);
    char *more = replaced("{\"203.0.113.1\"}", "{\"203.0.113.99\", \"203.0.113.1\"}");
    struct config *before = change(more);
    const struct channel *outside = channel_at(ALPHA, OUTSIDE);

    free(more);
    assert_int_equal(outside->router_count, 2);
    assert_true(outside->usable && outside->routers[1].answering && !outside->routers[0].answering);
    config_free(before);
}

/* The evidence that the channel had is of a router that is not asked any more. */
static void test_a_channel_with_other_routers_is_not_looked_at_yet(void **state)
{
    (void)state;
    run_until(1000);
    char *other = replaced("{\"203.0.113.1\"}", "{\"203.0.113.99\"}");
    struct config *before = change(other);
    const struct channel *outside = channel_at(ALPHA, OUTSIDE);

    free(other);
    assert_false(outside->usable);
    assert_int_equal(outside->fault_ns, 0);
    config_free(before);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_search_verdicts),
        TEST(test_a_calm_search_is_told_while_nobody_answers),
        TEST(test_a_calm_search_is_not_told_while_the_peer_answers),
        TEST(test_a_request_is_unanswered_when_it_had_its_time),
        TEST(test_each_request_is_given_time),
        TEST(test_anybody_counts_while_the_peer_is_unknown),
        TEST(test_an_expired_lease_starts_the_search),
        TEST(test_requests_stay_polite),
        TEST(test_router_dies_and_returns),
        TEST(test_a_router_that_talks_is_not_asked),
        TEST(test_router_is_asked_from_the_addresses_held),
        TEST(test_missing_heartbeats_hint_at_the_router),
        TEST(test_suspicion_brings_fresh_evidence),
        TEST(test_carrier_loss_is_seen_at_once_and_must_be_cured),
        TEST(test_a_lost_carrier_brings_the_peers_evidence_at_once),
        TEST(test_a_carrier_lost_in_a_stall_does_not_hide_it),
        TEST(test_without_router_a_frame_is_proof),
        TEST(test_garbage_changes_only_counters),
        TEST(test_a_channel_before_the_others_disturbs_none),
        TEST(test_other_addresses_are_searched_for_anew),
        TEST(test_a_new_router_that_is_silent_beside_one_that_answers_is_no_fault),
        TEST(test_a_channel_with_other_routers_is_not_looked_at_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
