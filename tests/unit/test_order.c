/* Which services may start, and which may go, where some wait for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "superviserd/order.h"

enum { FIREWALL, VPN, MONITOR, COUNT };

/* vpn waits for firewall, monitor for both. */
static const size_t after_vpn[] = {FIREWALL}, after_monitor[] = {FIREWALL, VPN};

static void set_up(struct order_item items[COUNT], bool wants)
{
    for (int i = 0; i < COUNT; i++)
        items[i] = (struct order_item){.role_wants = wants, .at_rest = true};
    items[VPN].after = after_vpn;
    items[VPN].after_count = 1;
    items[MONITOR].after = after_monitor;
    items[MONITOR].after_count = 2;
}

static void expect(const struct order_item items[COUNT], bool firewall, bool vpn, bool monitor)
{
    assert_int_equal(order_wants(items, COUNT, FIREWALL), firewall);
    assert_int_equal(order_wants(items, COUNT, VPN), vpn);
    assert_int_equal(order_wants(items, COUNT, MONITOR), monitor);
}

static void come_up(struct order_item *item)
{
    item->wanted = item->up = true;
    item->at_rest = false;
}

static void test_one_after_the_other(void **unused)
{
    struct order_item items[COUNT];

    (void)unused;
    set_up(items, true);
    expect(items, true, false, false);
    come_up(&items[FIREWALL]);
    expect(items, true, true, false);
    come_up(&items[VPN]);
    expect(items, true, true, true);
    come_up(&items[MONITOR]);
    items[FIREWALL].up = false; /* it is restarted: nobody goes for that */
    expect(items, true, true, true);
}

static void test_a_failure_holds_back_unless_it_is_ignored(void **unused)
{
    struct order_item items[COUNT];

    (void)unused;
    set_up(items, true);
    items[FIREWALL].wanted = true;
    expect(items, true, false, false);
    items[FIREWALL].over = true;
    expect(items, true, true, false);
}

static void test_down_the_other_way_round(void **unused)
{
    struct order_item items[COUNT];

    (void)unused;
    set_up(items, false);
    for (int i = 0; i < COUNT; i++)
        come_up(&items[i]);
    expect(items, true, true, false);
    items[MONITOR] = (struct order_item){.at_rest = true, .after = after_monitor, .after_count = 2};
    expect(items, true, false, false);
    items[VPN] = (struct order_item){.at_rest = true, .after = after_vpn, .after_count = 1};
    expect(items, false, false, false);
}

static void test_what_never_was_wanted_does_not_start_for_those_on_top(void **unused)
{
    struct order_item items[COUNT];

    (void)unused;
    set_up(items, false);
    come_up(&items[VPN]); /* adopted, say */
    expect(items, false, false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_a_failure_holds_back_unless_it_is_ignored),
        cmocka_unit_test(test_down_the_other_way_round),
        cmocka_unit_test(test_what_never_was_wanted_does_not_start_for_those_on_top),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
