/* The bus between two daemons of one process: who hears a renewal, and who only what changed. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"

enum { HEARD_MAX = 256 };

/* What a listener heard, in order. */
struct ear {
    struct bus *bus;
    size_t count;
    int64_t seqs[HEARD_MAX];
    int64_t leases[HEARD_MAX];
    char topics[HEARD_MAX][TOPIC_MAX];
};

static char directory[] = "/tmp/duet-bus-XXXXXX";
static struct loop *loop;
static struct bus *arbiterd;
static struct role_message role;
static struct ear calm, keen, raw_calm, raw_keen;

static void on_role(void *userdata, const struct bus_message *message)
{
    struct ear *ear = userdata;
    const struct role_message *heard = message->body;

    assert_true(ear->count < HEARD_MAX);
    ear->seqs[ear->count] = message->envelope->seq;
    ear->leases[ear->count++] = heard->lease_ns;
}

static void on_raw(void *userdata, const char *topic, const char *json, size_t size)
{
    struct ear *ear = userdata;

    (void)json;
    (void)size;
    assert_true(ear->count < HEARD_MAX);
    snprintf(ear->topics[ear->count++], TOPIC_MAX, "%s", topic);
}

static void turn(int64_t for_ns)
{
    const int64_t until_ns = clock_now_ns() + for_ns;

    while (clock_now_ns() < until_ns)
        assert_int_equal(loop_turn(loop, until_ns - clock_now_ns()), 0);
}

static void forget(void)
{
    struct ear *const ears[] = {&calm, &keen, &raw_calm, &raw_keen};

    for (size_t i = 0; i < ARRAY_LENGTH(ears); i++)
        ears[i]->count = 0;
}

/* Says that the lease goes on; what it says comes at once, if at all. */
static void renew(void)
{
    role.lease_ns += NS_PER_MS;
    assert_int_equal(bus_publish(arbiterd, &role_type, NULL, &role, NULL), 0);
    turn(10 * NS_PER_MS);
}

static void open_ear(struct ear *ear, bool renewals)
{
    assert_int_equal(bus_open_listener(loop, directory, "alpha", &ear->bus), 0);
    assert_int_equal(bus_subscribe(ear->bus, &role_type, "arbiterd", on_role, ear), 0);
    if (renewals)
        assert_int_equal(bus_hear_renewals(ear->bus, &role_type), 0);
}

static void open_raw(struct ear *ear, bool renewals)
{
    assert_int_equal(bus_open_listener(loop, directory, "alpha", &ear->bus), 0);
    assert_int_equal(bus_subscribe_raw(ear->bus, "arbiterd", renewals, on_raw, ear), 0);
}

static int open_all(void **state)
{
    (void)state;
    log_open("test", "test");
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    if (!mkdtemp(directory) || loop_new(&loop) < 0 ||
        bus_open(loop, directory, "alpha", "arbiterd", &arbiterd) < 0)
        return -1;
    role = (struct role_message){.role = ROLE_ACTIVE, .lease_ns = NS_PER_S, .rule = "test"};
    calm = keen = raw_calm = raw_keen = (struct ear){0};
    open_ear(&calm, false);
    open_ear(&keen, true);
    open_raw(&raw_calm, false);
    open_raw(&raw_keen, true);
    turn(200 * NS_PER_MS);
    assert_int_equal(bus_publish(arbiterd, &role_type, NULL, &role, NULL), 0);
    turn(20 * NS_PER_MS);
    assert_true(calm.count == 1 && keen.count == 1 && raw_calm.count == 1 && raw_keen.count == 1);
    forget();
    return 0;
}

static int close_all(void **state)
{
    char command[PATH_MAX];

    (void)state;
    bus_free(calm.bus);
    bus_free(keen.bus);
    bus_free(raw_calm.bus);
    bus_free(raw_keen.bus);
    bus_free(arbiterd);
    loop_free(loop);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static size_t heard_of(const struct ear *ear, const char *topic)
{
    size_t count = 0;

    for (size_t i = 0; i < ear->count; i++)
        count += strcmp(ear->topics[i], topic) == 0;
    return count;
}

static void test_a_renewal_is_for_those_who_ask(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        renew();
    assert_int_equal(keen.count, 3);
    assert_int_equal(keen.leases[2], role.lease_ns);
    assert_int_equal(calm.count, 0);
    assert_int_equal(raw_calm.count, 0);
    assert_int_equal(raw_keen.count, 3);
    assert_string_equal(raw_keen.topics[0], "role"); /* under its own name */
}

static void test_a_change_goes_to_all_at_once(void **state)
{
    (void)state;
    renew();
    role.suspicious = true;
    renew();
    renew();
    assert_int_equal(calm.count, 1);
    assert_int_equal(calm.leases[0], role.lease_ns - NS_PER_MS);
    assert_int_equal(raw_calm.count, 1);
    assert_int_equal(keen.count, 3);
    assert_int_equal(raw_keen.count, 3);
}

static void test_a_lease_that_ends_is_a_change(void **state)
{
    (void)state;
    role.lease_ns = -NS_PER_MS;
    renew();
    assert_int_equal(role.lease_ns, 0);
    assert_int_equal(calm.count, 1);
    assert_int_equal(calm.leases[0], 0);
    renew(); /* and so is one that begins */
    assert_int_equal(calm.count, 2);
}

static void test_the_others_are_never_without_for_long(void **state)
{
    const int64_t end_ns = clock_now_ns() + NS_PER_S;

    (void)state;
    while (clock_now_ns() < end_ns)
        renew();
    assert_in_range(calm.count, 3, 5);
    assert_in_range(raw_calm.count, 3, 5);
    assert_true(keen.count > 40);
}

/* Two topics that were said at different times are soon sent again in one go. */
static void test_what_is_retained_comes_each_second(void **state)
{
    const struct alarm_message alarm = {.since_ns = 1};

    (void)state;
    turn(150 * NS_PER_MS);
    assert_int_equal(bus_publish(arbiterd, &alarm_type, "peer-lost", &alarm, NULL), 0);
    turn(20 * NS_PER_MS);
    forget();
    turn(1200 * NS_PER_MS);
    assert_int_equal(heard_of(&raw_calm, "role"), 1);
    assert_int_equal(heard_of(&raw_calm, "alarm/peer-lost"), 1);
    turn(1100 * NS_PER_MS);
    assert_int_equal(heard_of(&raw_calm, "role"), 2);
    assert_int_equal(heard_of(&raw_calm, "alarm/peer-lost"), 2);
    assert_int_equal(raw_calm.count, 4);
}

static void test_nobody_meets_an_older_state_after_a_newer_one(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        role.lease_ns += NS_PER_MS;
        role.change += i % 3 == 0;
        assert_int_equal(bus_publish(arbiterd, &role_type, NULL, &role, NULL), 0);
    }
    turn(50 * NS_PER_MS);
    assert_int_equal(keen.count, 20);
    for (size_t i = 1; i < keen.count; i++)
        assert_true(keen.seqs[i] > keen.seqs[i - 1]);
    assert_int_equal(calm.count, 7);
}

static void test_who_comes_late_is_told_once(void **state)
{
    struct ear late = {0};

    (void)state;
    renew();
    open_ear(&late, true);
    turn(100 * NS_PER_MS);
    assert_int_equal(late.count, 1);
    assert_int_equal(late.leases[0], role.lease_ns);
    bus_free(late.bus);
}

/* What is live proves that its sender looked at that moment: the bus knows the last one, and keeps it. */
static void test_what_is_live_is_never_sent_again(void **state)
{
    struct peer_message peer = {.name = "beta", .heard_ns = 1};
    struct ear late = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        peer.heard_ns++;
        assert_int_equal(bus_publish(arbiterd, &peer_type, NULL, &peer, NULL), 0);
    }
    turn(1500 * NS_PER_MS);
    open_raw(&late, false);
    turn(100 * NS_PER_MS);
    assert_true(heard_of(&raw_calm, "role") > 0 && heard_of(&late, "role") > 0);
    assert_int_equal(heard_of(&raw_calm, "peer"), 1);
    assert_int_equal(heard_of(&raw_keen, "peer"), 3);
    assert_int_equal(heard_of(&late, "peer"), 0);
    bus_free(late.bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_renewal_is_for_those_who_ask, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_a_change_goes_to_all_at_once, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_a_lease_that_ends_is_a_change, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_the_others_are_never_without_for_long, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_what_is_retained_comes_each_second, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_nobody_meets_an_older_state_after_a_newer_one, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(test_who_comes_late_is_told_once, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_what_is_live_is_never_sent_again, open_all, close_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
