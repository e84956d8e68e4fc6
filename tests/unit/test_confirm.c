/* confirm: who is asked, how often, and what an answer means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "takeoverd/confirm.h"

#define MS(n) ((int64_t)(n)*NS_PER_MS)

enum { OUTSIDE, INSIDE, DUE_MAX = 1024 };

static struct config config;
static struct net_address routers[2], passive[1];
static struct plan_address addresses[5];
static struct plan plan;
static struct confirm confirm;
static const struct confirm_question *due[DUE_MAX];
static const struct mac someone = {{2, 0, 0, 0, 0, 9}}, peer = {{2, 0, 0, 0, 0, 0xb}};

static struct net_address of(const char *text)
{
    struct net_address address;

    assert_int_equal(net_address_parse(text, &address), 0);
    return address;
}

static int set_up(void **state)
{
    static const char *const texts[] = {"192.0.2.10/24", "192.0.2.20/24", "192.0.2.11/24", "2001:db8::10/64",
                                        "10.0.0.1/24"};

    (void)state;
    memset(&config, 0, sizeof config);
    for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++)
        addresses[i] = (struct plan_address){
            .address = of(texts[i]), .channel = i == 4 ? INSIDE : OUTSIDE, .active = i != 2};
    qsort(addresses, ARRAY_LENGTH(addresses), sizeof *addresses, plan_compare);
    plan = (struct plan){.channel_count = 2,
                         .links = {4, 7},
                         .addresses = addresses,
                         .address_count = ARRAY_LENGTH(addresses)};
    routers[0] = of("192.0.2.1");
    routers[1] = of("2001:db8::1");
    config.channel_count = 2;
    config.channels[OUTSIDE].routers = (struct config_addresses){.count = 2, .items = routers};
    passive[0] = of("192.0.2.12/24");
    config.channels[OUTSIDE].peer_passive = (struct config_addresses){.count = 1, .items = passive};
    assert_int_equal(confirm_init(&confirm, &plan), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    confirm_free(&confirm);
    return 0;
}

static void begin(unsigned channels, int64_t now_ns)
{
    assert_int_equal(confirm_begin(&confirm, &plan, &config, channels, now_ns), 0);
}

static bool hear(int channel, const char *from, const char *to, int64_t now_ns)
{
    const struct net_address a = of(from), b = of(to);

    return confirm_heard(&confirm, &plan, channel, &a, &b, now_ns);
}

static void see_by(const struct mac *mac, int channel, const char *from, const char *wanted, int64_t now_ns)
{
    const struct net_address a = of(from), b = of(wanted);

    confirm_see(&confirm, &plan, &config, channel, &a, mac, &b, now_ns);
}

static void see(int channel, const char *from, const char *wanted, int64_t now_ns)
{
    see_by(&someone, channel, from, wanted, now_ns);
}

static void test_routers_are_asked_from_each_active_address_of_their_family(void **state)
{
    (void)state;
    begin(3, MS(1000));
    assert_int_equal(confirm_due(&confirm, MS(1000), due, DUE_MAX), 3); /* two by ARP, one by ND */
    for (size_t i = 0; i < 3; i++) {
        assert_true(addresses[due[i]->address].active);
        assert_int_equal(addresses[due[i]->address].address.family, due[i]->to.family);
    }
    assert_int_equal(confirm_due(&confirm, MS(1000), due, DUE_MAX), 0);
}

static void test_they_are_asked_again_until_they_answer(void **state)
{
    (void)state;
    begin(1, MS(1000));
    confirm_due(&confirm, MS(1000), due, DUE_MAX);
    assert_int_equal(confirm_next_ns(&confirm), MS(1005));
    assert_true(hear(OUTSIDE, "192.0.2.1", "192.0.2.10", MS(1003)));
    assert_false(hear(OUTSIDE, "192.0.2.1", "192.0.2.10", MS(1004))); /* known already */
    assert_int_equal(confirm_due(&confirm, MS(1005), due, DUE_MAX), 2);
    struct confirm_tally tally = confirm_count(&confirm, &plan, OUTSIDE, 0);
    assert_int_equal(tally.asked, 2);
    assert_int_equal(tally.confirmed, 1);
    assert_false(tally.done);
    assert_true(hear(OUTSIDE, "192.0.2.1", "192.0.2.20", MS(1009)));
    tally = confirm_count(&confirm, &plan, OUTSIDE, 0);
    assert_true(tally.done && tally.confirmed == 2 && tally.took_ns == MS(9));
    assert_false(confirm_count(&confirm, &plan, OUTSIDE, 1).done);
}

static void test_who_never_answers_is_asked_for_twenty_seconds_and_no_longer(void **state)
{
    int64_t now_ns = MS(1000), last_ns = 0;
    int asked = 0;

    (void)state;
    config.channels[OUTSIDE].routers.count = 1;
    addresses[2].active = addresses[3].active = false; /* one question */
    begin(1, now_ns);
    while ((now_ns = confirm_next_ns(&confirm)) != 0) {
        asked += (int)confirm_due(&confirm, now_ns, due, DUE_MAX);
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
    assert_int_equal(asked, CONFIRM_TRIES_MAX);
    assert_in_range(last_ns - MS(1000), MS(15000), MS(25000));
    assert_true(confirm_count(&confirm, &plan, OUTSIDE, 0).done);
    assert_int_equal(confirm_count(&confirm, &plan, OUTSIDE, 0).confirmed, 0);
}

static void test_answers_to_nothing_are_none(void **state)
{
    (void)state;
    assert_false(hear(OUTSIDE, "192.0.2.1", "192.0.2.10", MS(1)));
    begin(1, MS(1000));
    assert_false(hear(OUTSIDE, "192.0.2.1", "192.0.2.10", MS(1000))); /* not asked yet */
    confirm_due(&confirm, MS(1000), due, DUE_MAX);
    assert_false(hear(INSIDE, "192.0.2.1", "192.0.2.10", MS(1001)));
    assert_false(hear(OUTSIDE, "192.0.2.2", "192.0.2.10", MS(1001)));
    assert_false(hear(OUTSIDE, "192.0.2.1", "192.0.2.11", MS(1001))); /* a passive address */
    confirm_end(&confirm);
    assert_false(hear(OUTSIDE, "192.0.2.1", "192.0.2.10", MS(1001)));
    assert_int_equal(confirm_next_ns(&confirm), 0);
}

static void test_neighbours_that_asked_lately_are_asked_where_they_are(void **state)
{
    (void)state;
    see(INSIDE, "10.0.0.7", "10.0.0.1", MS(1000));
    see(INSIDE, "10.0.0.7", "10.0.0.1", MS(2000));
    see(INSIDE, "10.0.0.8", "10.0.0.2", MS(2000));      /* not for an active address */
    see(OUTSIDE, "192.0.2.1", "192.0.2.10", MS(2000));  /* a router: asked anyway */
    see(OUTSIDE, "192.0.2.11", "192.0.2.10", MS(2000)); /* one of our own */
    begin(3, MS(3000));
    assert_int_equal(confirm_due(&confirm, MS(3000), due, DUE_MAX), 4);
    assert_true(mac_equal(&due[3]->mac, &someone) && due[3]->router == -1);
    assert_true(hear(INSIDE, "10.0.0.7", "10.0.0.1", MS(3001)));
    const struct confirm_tally tally = confirm_count(&confirm, &plan, INSIDE, -1);
    assert_true(tally.asked == 1 && tally.confirmed == 1);
    begin(3, MS(1000 + 301 * 1000 + 1000)); /* too long ago by then */
    assert_int_equal(confirm_count(&confirm, &plan, INSIDE, -1).asked, 0);
}

/* It may have asked from a link-local address before it was known by a passive one. */
static void test_the_peer_is_no_neighbour(void **state)
{
    (void)state;
    see_by(&peer, OUTSIDE, "fe80::b", "2001:db8::10", MS(1000));
    see(OUTSIDE, "fe80::9", "2001:db8::10", MS(1000));
    begin(1, MS(1500));
    assert_int_equal(confirm_count(&confirm, &plan, OUTSIDE, -1).asked, 2); /* nobody knows better yet */
    see_by(&peer, OUTSIDE, "192.0.2.12", "192.0.2.10", MS(2000));
    see_by(&peer, OUTSIDE, "fe80::b", "2001:db8::10", MS(2100));
    begin(1, MS(3000));
    assert_int_equal(confirm_count(&confirm, &plan, OUTSIDE, -1).asked, 1);
    see_by(&peer, INSIDE, "10.0.0.7", "10.0.0.1", MS(3100)); /* on another channel that is somebody else */
    begin(2, MS(3200));
    assert_int_equal(confirm_count(&confirm, &plan, INSIDE, -1).asked, 1);
}

static void test_the_latest_neighbours_are_remembered(void **state)
{
    char text[32];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "10.0.%d.%d", i / 250 + 1, i % 250 + 1);
        see(INSIDE, text, "10.0.0.1", MS(1000 + i));
    }
    begin(2, MS(3000));
    assert_int_equal(confirm_due(&confirm, MS(3000), due, DUE_MAX), CONFIRM_NEIGHBOURS_MAX);
    assert_true(hear(INSIDE, text, "10.0.0.1", MS(3001)));
    assert_false(hear(INSIDE, "10.0.1.1", "10.0.0.1", MS(3001)));
}

static void test_a_channel_that_begins_anew_leaves_the_others_as_they_are(void **state)
{
    (void)state;
    see(INSIDE, "10.0.0.7", "10.0.0.1", MS(1000));
    begin(3, MS(1000));
    confirm_due(&confirm, MS(1000), due, DUE_MAX);
    assert_true(hear(OUTSIDE, "192.0.2.1", "192.0.2.10", MS(1001)));
    begin(2, MS(2000));
    assert_int_equal(confirm_count(&confirm, &plan, OUTSIDE, 0).confirmed, 1);
    assert_int_equal(confirm_count(&confirm, &plan, INSIDE, -1).confirmed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_routers_are_asked_from_each_active_address_of_their_family),
        TEST(test_they_are_asked_again_until_they_answer),
        TEST(test_who_never_answers_is_asked_for_twenty_seconds_and_no_longer),
        TEST(test_answers_to_nothing_are_none),
        TEST(test_neighbours_that_asked_lately_are_asked_where_they_are),
        TEST(test_the_peer_is_no_neighbour),
        TEST(test_the_latest_neighbours_are_remembered),
        TEST(test_a_channel_that_begins_anew_leaves_the_others_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
