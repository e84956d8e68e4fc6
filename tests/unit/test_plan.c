/* plan: what is to be done, and in which order, from every kind of start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "takeoverd/plan.h"

enum { OUTSIDE, INSIDE, LINK_OUTSIDE = 4, LINK_INSIDE = 7, OPERATIONS_MAX = 4096 };

static struct plan_operation operations[OPERATIONS_MAX];

static struct net_address address_of(const char *text)
{
    struct net_address address;

    assert_int_equal(net_address_parse(text, &address), 0);
    return address;
}

struct fixture {
    struct plan plan;
    struct plan_address addresses[8];
    struct plan_route routes[2];
};

static void name_address(struct fixture *f, int channel, const char *text, bool active, bool yields)
{
    f->addresses[f->plan.address_count++] = (struct plan_address){
        .address = address_of(text), .channel = channel, .active = active, .yields = yields};
}

/* Two channels, exchange or overlay, nothing on the adapters. */
static void set_up(struct fixture *f, bool exchange)
{
    memset(f, 0, sizeof *f);
    f->plan = (struct plan){.channel_count = 2,
                            .links = {LINK_OUTSIDE, LINK_INSIDE},
                            .addresses = f->addresses,
                            .routes = f->routes,
                            .route_count = 1};
    name_address(f, INSIDE, "10.0.0.1/24", true, false);
    name_address(f, INSIDE, "10.0.0.2/24", false, exchange);
    name_address(f, OUTSIDE, "192.0.2.10/24", true, false);
    name_address(f, OUTSIDE, "192.0.2.20/24", true, false);
    name_address(f, OUTSIDE, "192.0.2.11/24", false, exchange);
    name_address(f, OUTSIDE, "2001:db8::10/64", true, false);
    qsort(f->addresses, f->plan.address_count, sizeof *f->addresses, plan_compare);
    f->routes[0] = (struct plan_route){
        .to = address_of("0.0.0.0/0"), .via = address_of("192.0.2.1"), .channel = OUTSIDE, .table = 254};
}

static bool see_as(struct fixture *f, int link, const char *text, bool secondary)
{
    const struct net_address address = address_of(text);

    return plan_see_address(&f->plan, link, &address, secondary);
}

static bool see(struct fixture *f, int link, const char *text)
{
    return see_as(f, link, text, false);
}

static bool lose(struct fixture *f, int link, const char *text)
{
    const struct net_address address = address_of(text);

    return plan_lose_address(&f->plan, link, &address);
}

/* "+192.0.2.10/24 -192.0.2.11/24 +route" */
static const char *plan_text(const struct fixture *f, bool active)
{
    static char text[1024];
    const size_t count = plan_make(&f->plan, active, operations, OPERATIONS_MAX);

    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct plan_operation *o = &operations[i];
        const bool add = o->verb == PLAN_ADD_ADDRESS || o->verb == PLAN_ADD_ROUTE;
        char shown[ADDRESS_TEXT_MAX] = "route";
        if (o->verb == PLAN_ADD_ADDRESS || o->verb == PLAN_DELETE_ADDRESS) {
            struct net_address address = f->addresses[o->index].address;
            address.prefix = o->length;
            net_address_print(&address, true, shown);
        }
        strcat(text, i > 0 ? " " : "");
        strcat(text, add ? "+" : "-");
        strcat(text, shown);
    }
    return text;
}

static void do_all(struct fixture *f, bool active)
{
    const size_t count = plan_make(&f->plan, active, operations, OPERATIONS_MAX);

    for (size_t i = 0; i < count; i++)
        plan_done(&f->plan, &operations[i]);
}

static void test_fresh_passive(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    assert_string_equal(plan_text(&f, false), "+192.0.2.11/24 +10.0.0.2/24");
    do_all(&f, false);
    assert_string_equal(plan_text(&f, false), "");
}

static void test_claim_exchange(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, false);
    /* One address a channel and family first, so that the device is never without; then passive ones go; then
     * the rest; routes last. */
    assert_string_equal(plan_text(&f, true), "+192.0.2.10/24 +2001:db8::10/64 +10.0.0.1/24 "
                                             "-192.0.2.11/24 -10.0.0.2/24 +192.0.2.20/24 +route");
    do_all(&f, true);
    assert_string_equal(plan_text(&f, true), "");
}

static void test_release_exchange(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, true);
    see_as(&f, LINK_OUTSIDE, "192.0.2.20/24", true);
    /* The passive ones hold the devices' routes; then all channels' active ones, secondaries first. */
    assert_string_equal(plan_text(&f, false), "+192.0.2.11/24 +10.0.0.2/24 -192.0.2.20/24 -192.0.2.10/24 "
                                              "-2001:db8::10/64 -10.0.0.1/24 -route");
}

static void test_overlay(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, false);
    do_all(&f, false);
    assert_string_equal(plan_text(&f, true),
                        "+192.0.2.10/24 +2001:db8::10/64 +10.0.0.1/24 +192.0.2.20/24 +route");
    do_all(&f, true);
    assert_string_equal(plan_text(&f, true), "");
    assert_string_equal(plan_text(&f, false),
                        "-192.0.2.10/24 -192.0.2.20/24 -2001:db8::10/64 -10.0.0.1/24 -route");
}

static void test_overlay_from_nothing(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, false);
    assert_string_equal(plan_text(&f, true), "+192.0.2.10/24 +2001:db8::10/64 +10.0.0.1/24 +192.0.2.20/24 "
                                             "+192.0.2.11/24 +10.0.0.2/24 +route");
}

static void test_leftovers_of_a_killed_run(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    see(&f, LINK_OUTSIDE, "192.0.2.10/24");
    see(&f, LINK_OUTSIDE, "2001:db8::10/64");
    f.routes[0].held = true;
    assert_string_equal(plan_text(&f, false),
                        "+192.0.2.11/24 +10.0.0.2/24 -192.0.2.10/24 -2001:db8::10/64 -route");
    /* The same, but the role is active: nothing that is right is dropped. */
    assert_string_equal(plan_text(&f, true), "+10.0.0.1/24 +192.0.2.20/24");
}

static void test_foreign_addresses_are_not_seen(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, false);
    assert_false(see(&f, LINK_OUTSIDE, "192.0.2.99/24"));
    assert_false(see(&f, LINK_OUTSIDE, "10.0.0.1/24")); /* the other channel's */
    assert_false(see(&f, 99, "192.0.2.10/24"));         /* another adapter's */
    assert_false(see(&f, 0, "192.0.2.10/24"));
    assert_false(see(&f, LINK_OUTSIDE, "2001:db8::11/64"));
    assert_false(lose(&f, LINK_OUTSIDE, "192.0.2.99/24"));
    assert_string_equal(plan_text(&f, false), "");
}

static void test_wrong_prefix_length(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, false);
    assert_true(see(&f, LINK_OUTSIDE, "192.0.2.10/32"));
    assert_true(see(&f, LINK_OUTSIDE, "2001:db8::10/128"));
    assert_int_equal(plan_count(&f.plan, false).active_held, 2);
    assert_string_equal(plan_text(&f, false), "-192.0.2.10/32 -2001:db8::10/128");
    /* IPv6 has an address once only, so the wrong one goes first; IPv4 has it twice, so it goes last. */
    assert_string_equal(plan_text(&f, true),
                        "-2001:db8::10/128 +192.0.2.10/24 +2001:db8::10/64 +10.0.0.1/24 "
                        "-192.0.2.11/24 -10.0.0.2/24 +192.0.2.20/24 -192.0.2.10/32 +route");
}

static void test_missing_device(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, true);
    plan_set_link(&f.plan, OUTSIDE, 0);
    assert_string_equal(plan_text(&f, true), "");
    struct plan_tally tally = plan_count(&f.plan, true);
    assert_int_equal(tally.absent, OUTSIDE);
    assert_int_equal(tally.active_missing, 3);
    assert_int_equal(tally.routes_missing, 1);
    plan_set_link(&f.plan, OUTSIDE, 12);
    assert_string_equal(plan_text(&f, true), "+192.0.2.10/24 +2001:db8::10/64 +192.0.2.20/24 +route");
    assert_int_equal(plan_count(&f.plan, true).absent, -1);
}

static void test_repair(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, true);
    assert_true(lose(&f, LINK_OUTSIDE, "192.0.2.10/24"));
    assert_false(lose(&f, LINK_OUTSIDE, "192.0.2.10/24"));
    assert_string_equal(plan_text(&f, true), "+192.0.2.10/24");
    assert_true(see(&f, LINK_OUTSIDE, "192.0.2.10/24"));
    assert_true(see(&f, LINK_OUTSIDE, "192.0.2.11/24"));
    assert_string_equal(plan_text(&f, true), "-192.0.2.11/24");
}

static void test_routes(void **state)
{
    struct fixture f;
    const struct net_address to = address_of("0.0.0.0/0"), via = address_of("192.0.2.1"),
                             other = address_of("192.0.2.2"), half = address_of("0.0.0.0/1");

    (void)state;
    set_up(&f, true);
    do_all(&f, true);
    assert_false(plan_see_route(&f.plan, LINK_OUTSIDE, 254, &to, &other, false));
    assert_false(plan_see_route(&f.plan, LINK_INSIDE, 254, &to, &via, false));
    assert_false(plan_see_route(&f.plan, LINK_OUTSIDE, 254, &half, &via, false));
    assert_true(plan_see_route(&f.plan, LINK_OUTSIDE, 254, &to, &via, false));
    assert_string_equal(plan_text(&f, true), "+route");
    assert_true(plan_see_route(&f.plan, LINK_OUTSIDE, 254, &to, &via, true));
    assert_string_equal(plan_text(&f, true), "");
}

/* They point to routes, so they come last, and are the same only if all of it is. */
static void test_rules(void **state)
{
    struct plan_rule rules[] = {
        {.from = address_of("10.0.0.0/24"), .to = {.family = AF_INET}, .table = 100, .priority = 1000}};
    struct plan_rule other = rules[0];
    struct fixture f;

    (void)state;
    set_up(&f, true);
    f.plan.rules = rules;
    f.plan.rule_count = 1;
    const size_t count = plan_make(&f.plan, true, operations, OPERATIONS_MAX);
    assert_int_equal(operations[count - 1].verb, PLAN_ADD_RULE);
    assert_int_equal(plan_count(&f.plan, true).routes_missing, 2);
    do_all(&f, true);
    assert_string_equal(plan_text(&f, true), "");
    other.priority++;
    assert_false(plan_see_rule(&f.plan, &other, false));
    other = rules[0];
    other.to.prefix = 8;
    assert_false(plan_see_rule(&f.plan, &other, false));
    assert_true(plan_see_rule(&f.plan, &rules[0], false));
    assert_int_equal(plan_make(&f.plan, true, operations, OPERATIONS_MAX), 1);
    do_all(&f, true);
    do_all(&f, false);
    assert_false(rules[0].held);
}

static void test_forget(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, true);
    plan_forget(&f.plan);
    assert_int_equal(plan_count(&f.plan, true).active_held, 0);
    assert_int_equal(plan_count(&f.plan, true).routes_missing, 1);
}

static void test_tally(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    struct plan_tally tally = plan_count(&f.plan, true);
    assert_int_equal(tally.wanted, 4);
    assert_int_equal(tally.missing, 4);
    tally = plan_count(&f.plan, false);
    assert_int_equal(tally.wanted, 2);
    assert_int_equal(tally.routes_missing, 0);
}

static void test_room_for_some_only(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    do_all(&f, false);
    for (int rounds = 0; plan_make(&f.plan, true, operations, 2) > 0; rounds++) {
        assert_true(rounds < 10);
        const size_t count = plan_make(&f.plan, true, operations, 2);
        assert_in_range(count, 1, 2);
        for (size_t i = 0; i < count; i++)
            plan_done(&f.plan, &operations[i]);
    }
    assert_int_equal(plan_count(&f.plan, true).missing, 0);
}

/* A thousand addresses on one channel: as many operations, and never a primary that goes before its
 * secondaries. */
/* All but the first IPv4 address of a channel, as routes of the table local. */
static void test_held_as_local_routes(void **state)
{
    const struct net_address held = address_of("192.0.2.20");
    struct fixture f;

    (void)state;
    set_up(&f, true);
    for (size_t i = 0; i < f.plan.address_count; i++)
        f.addresses[i].routed = net_address_equal(&f.addresses[i].address, &held);
    do_all(&f, false);
    assert_true(see(&f, LINK_OUTSIDE, "192.0.2.20/24")); /* an address, as another configuration had it */
    const size_t count = plan_make(&f.plan, true, operations, OPERATIONS_MAX);
    size_t route = count, address = count, anchor = count;
    for (size_t i = 0; i < count; i++) {
        const bool about = net_address_equal(&f.addresses[operations[i].index].address, &held);
        if (about && operations[i].verb == PLAN_ADD_ADDRESS && operations[i].length == PLAN_ROUTED)
            route = i;
        if (about && operations[i].verb == PLAN_DELETE_ADDRESS && operations[i].length == 24)
            address = i;
        if (!about && operations[i].verb == PLAN_ADD_ADDRESS && operations[i].length == 24 && anchor == count)
            anchor = i;
    }
    assert_true(anchor < route); /* it keeps the adapter's routes */
    assert_true(route < address && address < count);
    do_all(&f, true);
    assert_string_equal(plan_text(&f, true), "");
    assert_false(plan_see_local_route(&f.plan, LINK_OUTSIDE, &held, true));
    assert_true(plan_see_local_route(&f.plan, LINK_OUTSIDE, &held, false));
    assert_int_equal(plan_make(&f.plan, true, operations, OPERATIONS_MAX), 1);
    assert_int_equal(operations[0].length, PLAN_ROUTED);
    do_all(&f, true);
    do_all(&f, false);
    assert_int_equal(plan_count(&f.plan, false).active_held, 0);
}

static void test_agreement(void **state)
{
    struct fixture f, g;

    (void)state;
    set_up(&f, true);
    set_up(&g, true);
    do_all(&f, true);
    assert_false(plan_agrees(&f.plan, &g.plan));
    do_all(&g, true);
    assert_true(plan_agrees(&f.plan, &g.plan));
    g.routes[0].held = false;
    assert_false(plan_agrees(&f.plan, &g.plan));
    do_all(&g, true);
    plan_set_link(&g.plan, INSIDE, 99);
    assert_false(plan_agrees(&f.plan, &g.plan));
}

static void test_thousand_addresses(void **state)
{
    enum { COUNT = 1000 };
    static struct plan_address addresses[COUNT + 1];
    struct plan plan = {
        .channel_count = 1, .links = {LINK_OUTSIDE}, .addresses = addresses, .address_count = COUNT + 1};

    (void)state;
    for (int i = 0; i <= COUNT; i++) {
        addresses[i] =
            (struct plan_address){.address = address_of("10.7.0.0/16"), .active = i > 0, .yields = i == 0};
        addresses[i].address.v4.s_addr |= htonl((uint32_t)i);
    }
    qsort(addresses, COUNT + 1, sizeof *addresses, plan_compare);
    assert_int_equal(plan_make(&plan, false, operations, OPERATIONS_MAX), 1);
    plan_done(&plan, &operations[0]);

    assert_int_equal(plan_make(&plan, true, operations, OPERATIONS_MAX), COUNT + 1);
    assert_int_equal(operations[0].verb, PLAN_ADD_ADDRESS);
    assert_int_equal(operations[1].verb,
                     PLAN_DELETE_ADDRESS); /* while there is but one secondary to be moved */
    for (size_t i = 0; i <= COUNT; i++)
        plan_done(&plan, &operations[i]);
    assert_int_equal(plan_make(&plan, true, operations, OPERATIONS_MAX), 0);

    for (int i = 2; i <= COUNT; i++)
        assert_false(plan_see_address(&plan, LINK_OUTSIDE, &addresses[i].address, true));
    assert_int_equal(plan_make(&plan, false, operations, OPERATIONS_MAX), COUNT + 1);
    assert_int_equal(operations[COUNT].index, 1); /* the primary is the last to go */
    assert_int_equal(operations[COUNT].verb, PLAN_DELETE_ADDRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_passive),
        cmocka_unit_test(test_claim_exchange),
        cmocka_unit_test(test_release_exchange),
        cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_overlay_from_nothing),
        cmocka_unit_test(test_leftovers_of_a_killed_run),
        cmocka_unit_test(test_foreign_addresses_are_not_seen),
        cmocka_unit_test(test_wrong_prefix_length),
        cmocka_unit_test(test_missing_device),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_tally),
        cmocka_unit_test(test_room_for_some_only),
        cmocka_unit_test(test_held_as_local_routes),
        cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_thousand_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
