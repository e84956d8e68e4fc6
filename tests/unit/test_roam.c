/* The client's core: stories of switches, then a long random life in which what must hold is checked at each
 * step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/roam.h"

enum { OFFICE, BACKUP, MOBILE, PROFILES };
/* Gateways: those outside have the profile's number, those inside follow. */
enum { OFFICE_INSIDE = PROFILES, BACKUP_INSIDE, GATEWAYS };

struct play {
    struct roam_rules rules;
    struct roam roam;
    struct roam_effects effects; /* of the latest event */
    int64_t now_ns;
};

/* Office and Backup can be up together and are proven from inside; Mobile excludes both and has no proof. */
static void open_play(struct play *play, enum roam_policy policy)
{
    memset(play, 0, sizeof *play);
    play->rules = (struct roam_rules){.profile_count = PROFILES,
                                      .gateway_count = GATEWAYS,
                                      .order = {OFFICE, BACKUP, MOBILE},
                                      .order_count = PROFILES,
                                      .failures = 3,
                                      .policy = policy,
                                      .unreachable_for = 10 * NS_PER_S,
                                      .settle_time = 60 * NS_PER_S};
    for (int i = 0; i < PROFILES; i++)
        play->rules.profiles[i] = (struct roam_profile_rule){
            .gateways = UINT32_C(1) << i, .overlaps = i != MOBILE, .connect_timeout = 30 * NS_PER_S};
    play->rules.profiles[OFFICE].inside = UINT32_C(1) << OFFICE_INSIDE;
    play->rules.profiles[BACKUP].inside = UINT32_C(1) << BACKUP_INSIDE;
    play->now_ns = 1000 * NS_PER_S;
    roam_init(&play->roam, &play->rules);
}

static void feed(struct play *play, struct roam_event event)
{
    play->now_ns += NS_PER_MS;
    event.now_ns = play->now_ns;
    if (event.began_ns == 0)
        event.began_ns = play->now_ns;
    roam_step(&play->roam, &event, &play->effects);
}

static void link_is(struct play *play, int profile, enum roam_link link)
{
    feed(play, (struct roam_event){.kind = ROAM_EVENT_LINK, .index = profile, .link = link});
}

static void tested(struct play *play, int gateway, bool good)
{
    feed(play, (struct roam_event){.kind = ROAM_EVENT_TESTED, .index = gateway, .good = good});
}

static void silent(struct play *play, int gateway)
{
    for (int i = 0; i < 3; i++)
        tested(play, gateway, false);
}

static void use(struct play *play, int profile)
{
    feed(play, (struct roam_event){.kind = ROAM_EVENT_USE, .index = profile});
}

static void carried(struct play *play, int profile, bool good)
{
    feed(play, (struct roam_event){.kind = ROAM_EVENT_CARRIED, .index = profile, .good = good});
}

static void wait(struct play *play, int64_t ns)
{
    play->now_ns += ns;
    feed(play, (struct roam_event){.kind = ROAM_EVENT_TIME});
}

#define assert_connects(play, profile) assert_int_equal((play)->effects.connect, 1 << (profile))
#define assert_disconnects(play, profile) assert_int_equal((play)->effects.disconnect, 1 << (profile))

static void assert_touches_nothing(const struct play *play)
{
    assert_int_equal(play->effects.connect, 0);
    assert_int_equal(play->effects.disconnect, 0);
    assert_int_equal(play->effects.carry, -1);
}

/* Office is connected, carries, and answers; so do the other gateways. */
static void settle_in(struct play *play, enum roam_policy policy)
{
    open_play(play, policy);
    feed(play, (struct roam_event){.kind = ROAM_EVENT_START, .index = OFFICE});
    assert_connects(play, OFFICE);
    link_is(play, OFFICE, ROAM_LINK_UP);
    assert_false(roam_connected(&play->roam));
    tested(play, OFFICE_INSIDE, true);
    assert_int_equal(play->effects.carry, OFFICE);
    carried(play, OFFICE, true);
    assert_true(roam_connected(&play->roam));
    for (int i = 0; i < OFFICE_INSIDE + 1; i++)
        tested(play, i, true);
    assert_int_equal(play->roam.bad_since_ns, 0);
}

/* The target is up, answers, and its routes are set. */
static void arrive(struct play *play, int profile, int inside)
{
    link_is(play, profile, ROAM_LINK_UP);
    if (inside >= 0)
        tested(play, inside, true);
    assert_int_equal(play->effects.carry, profile);
    carried(play, profile, true);
    assert_int_equal(play->roam.current, profile);
    assert_int_equal(play->effects.remember, profile);
}

/* ---- one action */

static void test_it_makes_before_it_breaks(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ASK);
    use(&play, BACKUP);
    assert_connects(&play, BACKUP);
    assert_int_equal(play.effects.disconnect, 0);
    link_is(&play, BACKUP, ROAM_LINK_UP);
    assert_touches_nothing(&play);
    tested(&play, BACKUP_INSIDE, false);
    assert_touches_nothing(&play);
    tested(&play, BACKUP_INSIDE, true);
    assert_int_equal(play.effects.carry, BACKUP);
    assert_int_equal(play.effects.disconnect, 0);
    assert_int_equal(play.effects.remember, -1);
    carried(&play, BACKUP, true);
    assert_disconnects(&play, OFFICE);
    assert_int_equal(play.effects.remember, BACKUP);
    assert_int_equal(play.roam.outcome, ROAM_SWITCHED);
    link_is(&play, OFFICE, ROAM_LINK_DOWN);
    assert_int_equal(play.effects.carry, BACKUP); /* in case that both had the same route */
    assert_true(roam_connected(&play.roam));
    carried(&play, BACKUP, true);
    assert_touches_nothing(&play);
}

static void test_what_excludes_it_goes_down_first(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ASK);
    use(&play, MOBILE);
    assert_disconnects(&play, OFFICE);
    assert_int_equal(play.effects.connect, 0);
    link_is(&play, OFFICE, ROAM_LINK_DOWN);
    assert_connects(&play, MOBILE);
    arrive(&play, MOBILE, -1);
    assert_int_equal(play.effects.disconnect, 0);
}

static void test_one_that_excludes_it_and_fails_is_followed_by_the_old_one(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ASK);
    use(&play, MOBILE);
    link_is(&play, OFFICE, ROAM_LINK_DOWN);
    link_is(&play, MOBILE, ROAM_LINK_DOWN);
    assert_int_equal(play.roam.outcome, ROAM_FAILED);
    assert_int_equal(play.roam.cause, ROAM_CAUSE_CONNECT);
    assert_int_equal(play.effects.news, ROAM_NEWS_FAILED);
    assert_int_equal(play.effects.remember, -1);
    assert_connects(&play, OFFICE);
    link_is(&play, OFFICE, ROAM_LINK_UP);
    tested(&play, OFFICE_INSIDE, true);
    assert_int_equal(play.effects.carry, OFFICE);
}

static void test_one_that_cannot_be_connected_leaves_the_old_one(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ASK);
    use(&play, BACKUP);
    link_is(&play, BACKUP, ROAM_LINK_DOWN);
    assert_int_equal(play.effects.connect | play.effects.disconnect, 0);
    assert_int_equal(play.effects.carry, OFFICE); /* whatever it left behind */
    assert_int_equal(play.roam.current, OFFICE);
    assert_int_equal(play.roam.cause, ROAM_CAUSE_CONNECT);
    assert_true(roam_connected(&play.roam));
}

static void test_one_that_proves_nothing_is_taken_down_in_time(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ASK);
    use(&play, BACKUP);
    link_is(&play, BACKUP, ROAM_LINK_UP);
    assert_true(play.effects.wake_ns <= play.now_ns + 30 * NS_PER_S && play.effects.wake_ns > play.now_ns);
    wait(&play, 30 * NS_PER_S);
    assert_disconnects(&play, BACKUP);
    assert_int_equal(play.roam.cause, ROAM_CAUSE_SILENT);
    assert_int_equal(play.effects.carry, -1);
    assert_int_equal(play.roam.current, OFFICE);
}

static void test_one_whose_routes_fail_gives_them_back(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ASK);
    use(&play, BACKUP);
    link_is(&play, BACKUP, ROAM_LINK_UP);
    tested(&play, BACKUP_INSIDE, true);
    carried(&play, BACKUP, false);
    assert_disconnects(&play, BACKUP);
    assert_int_equal(play.effects.carry, OFFICE);
    assert_int_equal(play.roam.cause, ROAM_CAUSE_ROUTES);
}

static void test_another_wish_ends_the_switch_under_way(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ASK);
    use(&play, BACKUP);
    use(&play, MOBILE);
    assert_int_equal(play.effects.disconnect, 1 << OFFICE | 1 << BACKUP);
    link_is(&play, OFFICE, ROAM_LINK_DOWN);
    assert_int_equal(play.effects.connect, 0); /* Backup is still there */
    link_is(&play, BACKUP, ROAM_LINK_DOWN);
    assert_connects(&play, MOBILE);
    use(&play, OFFICE); /* the one that is still the current one */
    assert_disconnects(&play, MOBILE);
    assert_int_equal(play.effects.remember, OFFICE);
    link_is(&play, MOBILE, ROAM_LINK_DOWN);
    assert_connects(&play, OFFICE);
}

static void test_its_routes_are_set_again_when_it_was_away(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_OFF);
    tested(&play, OFFICE_INSIDE, false);
    assert_touches_nothing(&play);
    tested(&play, OFFICE_INSIDE, true);
    assert_int_equal(play.effects.carry, OFFICE);
    carried(&play, OFFICE, false);
    assert_touches_nothing(&play);
    assert_int_equal(play.effects.wake_ns, play.now_ns + NS_PER_S);
    wait(&play, NS_PER_S);
    assert_int_equal(play.effects.carry, OFFICE);
    carried(&play, OFFICE, true);
    tested(&play, OFFICE_INSIDE, true);
    assert_touches_nothing(&play);
}

static void test_the_first_try_to_connect_is_no_trouble(void **state)
{
    struct play play;

    (void)state;
    open_play(&play, ROAM_ON);
    feed(&play, (struct roam_event){.kind = ROAM_EVENT_START, .index = OFFICE});
    tested(&play, BACKUP, true);
    wait(&play, 20 * NS_PER_S);
    assert_int_equal(play.roam.target, -1);
    link_is(&play, OFFICE, ROAM_LINK_DOWN); /* it failed: from here on it counts */
    wait(&play, NS_PER_S);
    assert_connects(&play, OFFICE);
    wait(&play, 9 * NS_PER_S);
    assert_int_equal(play.roam.target, BACKUP);
}

static void test_what_is_inside_has_time_to_answer_first(void **state)
{
    struct play play;

    (void)state;
    open_play(&play, ROAM_ON);
    feed(&play, (struct roam_event){.kind = ROAM_EVENT_START, .index = OFFICE});
    tested(&play, BACKUP, true);
    link_is(&play, OFFICE, ROAM_LINK_UP);
    silent(&play, OFFICE_INSIDE);
    wait(&play, 29 * NS_PER_S);
    assert_int_equal(play.roam.bad_since_ns, 0);
    wait(&play, NS_PER_S); /* as long as a switch would wait */
    assert_int_equal(play.roam.target, BACKUP);
}

static void test_a_lost_connection_comes_back_with_growing_pauses(void **state)
{
    struct play play;
    int64_t pause_ns = NS_PER_S;

    (void)state;
    settle_in(&play, ROAM_OFF);
    for (int i = 0; i < 8; i++) {
        link_is(&play, OFFICE, ROAM_LINK_DOWN);
        assert_int_equal(play.effects.connect, 0);
        assert_int_equal(play.effects.wake_ns, play.now_ns + pause_ns);
        wait(&play, pause_ns);
        assert_connects(&play, OFFICE);
        pause_ns = pause_ns * 2 > 60 * NS_PER_S ? 60 * NS_PER_S : pause_ns * 2;
    }
    link_is(&play, OFFICE, ROAM_LINK_UP);
    link_is(&play, OFFICE, ROAM_LINK_DOWN);
    assert_int_equal(play.effects.wake_ns, play.now_ns + NS_PER_S);
}

/* ---- by itself */

static void test_off_does_nothing_ask_tells_once_on_switches(void **state)
{
    struct play play;

    (void)state;
    for (enum roam_policy policy = ROAM_OFF; policy <= ROAM_ON; policy++) {
        settle_in(&play, policy);
        silent(&play, OFFICE);
        assert_true(play.roam.bad_since_ns != 0);
        assert_touches_nothing(&play);
        wait(&play, 10 * NS_PER_S);
        assert_int_equal(play.effects.news, policy == ROAM_ASK ? ROAM_NEWS_UNREACHABLE : ROAM_NEWS_NONE);
        assert_int_equal(play.effects.connect, policy == ROAM_ON ? 1 << BACKUP : 0);
        wait(&play, 10 * NS_PER_S);
        assert_int_equal(play.effects.news, ROAM_NEWS_NONE);
    }
}

static void test_one_that_answers_again_in_time_is_kept(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ON);
    for (int i = 0; i < 50; i++) {
        silent(&play, OFFICE);
        wait(&play, 9 * NS_PER_S);
        assert_touches_nothing(&play);
        tested(&play, OFFICE, true);
        assert_int_equal(play.roam.bad_since_ns, 0);
    }
}

static void test_nobody_inside_answers_is_unreachable_too(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ON);
    silent(&play, OFFICE_INSIDE);
    wait(&play, 10 * NS_PER_S);
    assert_connects(&play, BACKUP);
}

static void test_the_next_in_the_order_is_tried_when_one_fails(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ON);
    silent(&play, OFFICE);
    wait(&play, 10 * NS_PER_S);
    link_is(&play, BACKUP, ROAM_LINK_DOWN);
    assert_int_equal(play.roam.target, MOBILE);
    assert_disconnects(&play, OFFICE);
}

static void test_one_that_does_not_answer_is_no_candidate(void **state)
{
    struct play play;

    (void)state;
    settle_in(&play, ROAM_ON);
    silent(&play, BACKUP);
    silent(&play, MOBILE);
    silent(&play, OFFICE);
    wait(&play, 10 * NS_PER_S);
    assert_int_equal(play.effects.connect, 0);
    assert_int_equal(play.effects.news, ROAM_NEWS_UNREACHABLE);
    tested(&play, MOBILE, true);
    assert_int_equal(play.roam.target, MOBILE);
}

static void test_it_does_not_go_back_and_settles_longer_each_time(void **state)
{
    struct play play;
    int64_t settle_ns = 60 * NS_PER_S;

    (void)state;
    settle_in(&play, ROAM_ON);
    for (int i = 0; i < 4; i++) {
        const int from = i % 2 == 0 ? OFFICE : BACKUP, to = i % 2 == 0 ? BACKUP : OFFICE;
        silent(&play, from);
        wait(&play, 10 * NS_PER_S);
        if (i > 0) { /* as long as the last switch has not settled */
            assert_int_equal(play.effects.connect, 0);
            wait(&play, settle_ns);
            settle_ns *= 2;
        }
        assert_connects(&play, to);
        arrive(&play, to, to == BACKUP ? BACKUP_INSIDE : OFFICE_INSIDE);
        link_is(&play, from, ROAM_LINK_DOWN);
        assert_int_equal(play.roam.settled_ns, play.now_ns - NS_PER_MS + settle_ns);
        tested(&play, from, true); /* the old one is back */
        for (int k = 0; k < 100; k++) {
            wait(&play, NS_PER_MS);
            assert_touches_nothing(&play);
        }
    }
}

/* ---- a long life */

static uint32_t random_below(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

/* What really is: the connections as the shell would have them. */
struct world {
    enum roam_link links[PROFILES];
    uint64_t seed;
};

static void check(const struct play *play, const struct world *world)
{
    assert_true(play->roam.current >= 0);
    if (world->links[MOBILE] != ROAM_LINK_DOWN)
        assert_true(world->links[OFFICE] == ROAM_LINK_DOWN && world->links[BACKUP] == ROAM_LINK_DOWN);
    assert_true(play->roam.target != play->roam.current);
    if (play->effects.remember >= 0)
        assert_int_equal(play->effects.remember, play->roam.current);
}

static void obey(struct play *play, struct world *world)
{
    const int carry = play->effects.carry;

    for (int i = 0; i < PROFILES; i++) {
        if (play->effects.disconnect & 1U << i)
            world->links[i] = ROAM_LINK_STOPPING;
        if (play->effects.connect & 1U << i) {
            assert_int_equal(world->links[i], ROAM_LINK_DOWN);
            world->links[i] = ROAM_LINK_STARTING;
        }
    }
    check(play, world);
    play->effects = (struct roam_effects){.carry = -1, .remember = -1}; /* done */
    if (carry >= 0) {
        carried(play, carry, random_below(&world->seed, 8) != 0);
        obey(play, world);
    }
}

static void progress(struct play *play, struct world *world, int profile)
{
    enum roam_link *link = &world->links[profile];
    const bool good = random_below(&world->seed, 4) != 0;

    if (*link == ROAM_LINK_DOWN)
        return;
    if (*link == ROAM_LINK_UP && random_below(&world->seed, 50) != 0)
        return; /* lost now and then only */
    *link = *link == ROAM_LINK_STARTING && good ? ROAM_LINK_UP : ROAM_LINK_DOWN;
    link_is(play, profile, *link);
}

static void live(uint64_t seed)
{
    struct play play;
    struct world world = {.seed = seed};
    int64_t number = 0, by_itself_ns = 0;

    open_play(&play, ROAM_ON);
    feed(&play, (struct roam_event){.kind = ROAM_EVENT_START, .index = OFFICE});
    obey(&play, &world);
    for (int i = 0; i < 3000; i++) {
        const uint32_t what = random_below(&world.seed, 100);
        if (what < 1)
            use(&play, (int)random_below(&world.seed, PROFILES));
        else if (what < 50)
            tested(&play, (int)random_below(&world.seed, GATEWAYS), random_below(&world.seed, 3) != 0);
        else if (what < 80)
            progress(&play, &world, (int)random_below(&world.seed, PROFILES));
        else
            wait(&play, random_below(&world.seed, 2000) * NS_PER_MS);
        obey(&play, &world);
        if (play.roam.by_itself && play.roam.carries_ns != by_itself_ns && play.roam.carries_ns != 0) {
            /* Two switches by itself are never closer than this, whatever the gateways do. */
            assert_true(by_itself_ns == 0 || play.roam.asked_ns - by_itself_ns >= play.rules.settle_time);
            by_itself_ns = play.roam.carries_ns;
        }
        assert_true(play.roam.number >= number);
        number = play.roam.number;
    }
    /* Then all is well for a while: what is current is up, and nothing else. */
    for (int i = 0; i < 1000; i++) {
        for (int p = 0; p < PROFILES; p++)
            if (world.links[p] == ROAM_LINK_STARTING || world.links[p] == ROAM_LINK_STOPPING) {
                world.links[p] = world.links[p] == ROAM_LINK_STARTING ? ROAM_LINK_UP : ROAM_LINK_DOWN;
                link_is(&play, p, world.links[p]);
                obey(&play, &world);
            }
        for (int g = 0; g < GATEWAYS; g++) {
            tested(&play, g, true);
            obey(&play, &world);
        }
        wait(&play, NS_PER_S);
        obey(&play, &world);
    }
    assert_int_equal(play.roam.target, -1);
    for (int p = 0; p < PROFILES; p++)
        assert_int_equal(world.links[p], p == play.roam.current ? ROAM_LINK_UP : ROAM_LINK_DOWN);
}

static void test_what_must_hold_holds_in_a_long_life(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++)
        live(seed);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_it_makes_before_it_breaks),
        cmocka_unit_test(test_what_excludes_it_goes_down_first),
        cmocka_unit_test(test_one_that_excludes_it_and_fails_is_followed_by_the_old_one),
        cmocka_unit_test(test_one_that_cannot_be_connected_leaves_the_old_one),
        cmocka_unit_test(test_one_that_proves_nothing_is_taken_down_in_time),
        cmocka_unit_test(test_one_whose_routes_fail_gives_them_back),
        cmocka_unit_test(test_another_wish_ends_the_switch_under_way),
        cmocka_unit_test(test_its_routes_are_set_again_when_it_was_away),
        cmocka_unit_test(test_the_first_try_to_connect_is_no_trouble),
        cmocka_unit_test(test_what_is_inside_has_time_to_answer_first),
        cmocka_unit_test(test_a_lost_connection_comes_back_with_growing_pauses),
        cmocka_unit_test(test_off_does_nothing_ask_tells_once_on_switches),
        cmocka_unit_test(test_one_that_answers_again_in_time_is_kept),
        cmocka_unit_test(test_nobody_inside_answers_is_unreachable_too),
        cmocka_unit_test(test_the_next_in_the_order_is_tried_when_one_fails),
        cmocka_unit_test(test_one_that_does_not_answer_is_no_candidate),
        cmocka_unit_test(test_it_does_not_go_back_and_settles_longer_each_time),
        cmocka_unit_test(test_what_must_hold_holds_in_a_long_life),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
