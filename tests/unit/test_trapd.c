/* What trapd tells of what the bus says, how much of it, and to whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "trapd/directives.h"
#include "trapd/limiter.h"
#include "trapd/watch.h"

static struct watch watch;
static const struct event *events;

static int anew(void **state)
{
    (void)state;
    watch = (struct watch){.peer = "beta"};
    return 0;
}

/* Exactly these, in this order. */
static void assert_told(size_t count, const enum mib_notification *kinds)
{
    const size_t told = watch_take(&watch, &events);

    for (size_t i = 0; i < told; i++)
        print_message("%s: %s\n", mib_notifications[events[i].kind].node.name, events[i].text);
    assert_int_equal(told, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(events[i].kind, kinds[i]);
}
#define ASSERT_TOLD(...)                                                                                     \
    assert_told(sizeof((enum mib_notification[]){__VA_ARGS__}) / sizeof(enum mib_notification),              \
                (enum mib_notification[]){__VA_ARGS__})
#define ASSERT_NOTHING() assert_told(0, NULL)

static const struct event_value *value_of(size_t event, enum mib_object object)
{
    for (size_t i = 0; i < events[event].value_count; i++)
        if (events[event].values[i].object == object)
            return &events[event].values[i];
    fail_msg("it does not say %s", mib_objects[object].name);
    return NULL;
}

/* Every value is one that the MIB lists for that notification: else it would not be sent. */
static void assert_in_the_mib(void)
{
    for (size_t i = 0; events[i].text[0] != '\0' && i < WATCH_EVENTS_MAX; i++)
        for (size_t k = 0; k < events[i].value_count; k++) {
            const struct mib_trap *trap = &mib_notifications[events[i].kind];
            bool listed = false;
            for (size_t n = 0; n < trap->object_count; n++)
                listed = listed || trap->objects[n] == (int)events[i].values[k].object;
            if (!listed)
                fail_msg("%s does not list %s", trap->node.name,
                         mib_objects[events[i].values[k].object].name);
        }
}

/* ------------------------------------------------------------------------------- role */

static void tell_role(enum role role, const char *rule, bool ready, int64_t at_ns)
{
    struct role_message message = {.role = role, .epoch = 7, .ready = ready};

    text_copy(message.rule, sizeof message.rule, rule);
    text_copy(message.reason, sizeof message.reason, "because");
    text_copy(message.not_ready, sizeof message.not_ready, ready ? "" : "no reason");
    watch_role(&watch, &message, at_ns);
}

static void test_roles(void **state)
{
    (void)state;
    tell_role(ROLE_PASSIVE, "R1-start", true, 1);
    ASSERT_NOTHING(); /* nobody knows what was before */
    tell_role(ROLE_ACTIVE, "R3-takeover", true, 2);
    ASSERT_TOLD(MIB_TRAP_ROLE_CHANGED, MIB_TRAP_TAKEOVER);
    assert_int_equal(value_of(0, MIB_NOTIFY_OLD_ROLE)->number, MIB_VALUE_ROLE_PASSIVE);
    assert_int_equal(value_of(0, MIB_NOTIFY_NEW_ROLE)->number, MIB_VALUE_ROLE_ACTIVE);
    assert_int_equal(value_of(0, MIB_NOTIFY_EPOCH)->number, 7);
    assert_string_equal(value_of(1, MIB_NOTIFY_PEER)->text, "beta");
    assert_in_the_mib();
    tell_role(ROLE_ACTIVE, "R3-takeover", true, 3);
    ASSERT_NOTHING();
    tell_role(ROLE_PASSIVE, "R13-ordered", true, 4);
    ASSERT_TOLD(MIB_TRAP_ROLE_CHANGED);
    tell_role(ROLE_ACTIVE, "R2-offered", true, 5);
    ASSERT_TOLD(MIB_TRAP_ROLE_CHANGED); /* no takeover: it was given */
}

static void test_ready(void **state)
{
    const int64_t s = NS_PER_S;

    (void)state;
    tell_role(ROLE_PASSIVE, "", false, 1 * s);
    watch_tick(&watch, 2 * s);
    ASSERT_NOTHING(); /* as after each start */
    tell_role(ROLE_PASSIVE, "", true, 3 * s);
    ASSERT_NOTHING();
    tell_role(ROLE_PASSIVE, "", false, 10 * s);
    tell_role(ROLE_PASSIVE, "", false, 12 * s);
    watch_tick(&watch, 13 * s);
    ASSERT_TOLD(MIB_TRAP_NOT_READY);
    watch_tick(&watch, 14 * s);
    ASSERT_NOTHING();
    tell_role(ROLE_PASSIVE, "", true, 15 * s);
    ASSERT_TOLD(MIB_TRAP_READY);
}

/* --------------------------------------------------------------------------- services */

static void tell_service(const char *name, int64_t pid, enum service_state state, int64_t at_ns)
{
    const struct service_message message = {
        .pid = pid, .state = state, .on_failure = "demote", .text = "it ended"};

    watch_service(&watch, name, &message, at_ns);
}

static void test_services(void **state)
{
    (void)state;
    tell_service("vpn", 0, SERVICE_STATE_STARTING, 1);
    ASSERT_NOTHING();
    tell_service("vpn", 100, SERVICE_STATE_RUNNING, 2);
    tell_service("vpn", 100, SERVICE_STATE_RUNNING, 3);
    ASSERT_TOLD(MIB_TRAP_SERVICE_STARTED);
    assert_int_equal(value_of(0, MIB_NOTIFY_PID)->number, 100);
    assert_string_equal(value_of(0, MIB_NOTIFY_SERVICE)->text, "vpn");
    assert_in_the_mib();
    tell_service("vpn", 101, SERVICE_STATE_RUNNING, 4); /* the states between were not heard */
    tell_service("dns", 102, SERVICE_STATE_RUNNING, 4);
    ASSERT_TOLD(MIB_TRAP_SERVICE_STARTED, MIB_TRAP_SERVICE_STARTED);
    tell_service("vpn", 0, SERVICE_STATE_FAILED, 5);
    tell_service("vpn", 0, SERVICE_STATE_FAILED, 6);
    ASSERT_TOLD(MIB_TRAP_SERVICE_FAILED);
    assert_string_equal(value_of(0, MIB_NOTIFY_ON_FAILURE)->text, "demote");
    assert_in_the_mib();
}

/* ----------------------------------------------------------------- network, data, peer */

static void tell_link(bool usable, bool carrier, int64_t fault_ns)
{
    const struct link_message message = {
        .device = "eth0", .usable = usable, .carrier = carrier, .fault_ns = fault_ns};

    watch_link(&watch, "outside", &message, 5);
}

static void test_network(void **state)
{
    (void)state;
    tell_link(false, true, 0); /* nothing was heard yet */
    ASSERT_NOTHING();
    tell_link(true, true, 0);
    ASSERT_NOTHING();
    tell_link(true, true, 4); /* the first sign is no fault yet */
    ASSERT_NOTHING();
    tell_link(false, false, 4);
    tell_link(false, true, 0); /* the carrier is back, and nothing more */
    ASSERT_TOLD(MIB_TRAP_NETWORK_FAULT);
    assert_in_the_mib();
    tell_link(true, true, 0);
    ASSERT_TOLD(MIB_TRAP_NETWORK_BACK);
    assert_in_the_mib();
}

static void tell_alarm(const char *name, bool active)
{
    const struct alarm_message message = {.active = active};

    watch_alarm(&watch, name, &message, 9);
}

static void tell_set(const char *name, enum sync_state sync_state)
{
    const struct data_set_message message = {.state = sync_state, .behind_files = 3, .behind_bytes = 1025};

    watch_set(&watch, name, &message, 9);
}

static void test_data(void **state)
{
    (void)state;
    tell_set("files", SYNC_STATE_BEHIND); /* for a moment, as all the time */
    tell_set("db", SYNC_STATE_CURRENT);
    ASSERT_NOTHING();
    tell_alarm("sync-behind", true);
    ASSERT_TOLD(MIB_TRAP_SYNC_BEHIND);
    assert_string_equal(value_of(0, MIB_NOTIFY_SET)->text, "files");
    assert_int_equal(value_of(0, MIB_NOTIFY_BEHIND_KBYTES)->number, 2);
    assert_in_the_mib();
    tell_set("files", SYNC_STATE_BEHIND);
    ASSERT_NOTHING();
    tell_set("db", SYNC_STATE_DISCONNECTED);
    ASSERT_TOLD(MIB_TRAP_SYNC_BEHIND);
    tell_alarm("sync-behind", false);
    tell_set("files", SYNC_STATE_CURRENT);
    tell_set("db", SYNC_STATE_CURRENT);
    ASSERT_TOLD(MIB_TRAP_SYNC_CURRENT, MIB_TRAP_SYNC_CURRENT);
}

static void test_alarms(void **state)
{
    (void)state;
    tell_alarm("peer-lost", false);
    tell_alarm("dual-active", false);
    tell_alarm("unfit", true);
    ASSERT_NOTHING();
    tell_alarm("peer-lost", true);
    tell_alarm("peer-lost", true);
    tell_alarm("dual-active", true);
    ASSERT_TOLD(MIB_TRAP_PEER_LOST, MIB_TRAP_DUAL_ACTIVE);
    assert_in_the_mib();
    tell_alarm("dual-active", false);
    tell_alarm("peer-lost", false);
    ASSERT_TOLD(MIB_TRAP_PEER_BACK);
}

/* ---------------------------------------------------------------------------- daemons */

static void tell_pulse(int64_t pid, bool stopping, int64_t at_ns)
{
    const struct daemon_message message = {.pid = pid, .stopping = stopping};

    watch_daemon(&watch, "arbiterd", &message, at_ns);
}

static void test_daemons(void **state)
{
    const int64_t s = NS_PER_S;

    (void)state;
    tell_pulse(10, false, 1 * s);
    watch_tick(&watch, 4 * s);
    ASSERT_NOTHING();
    watch_tick(&watch, 5 * s);
    watch_tick(&watch, 6 * s);
    ASSERT_TOLD(MIB_TRAP_DAEMON_FAILED); /* it hangs */
    assert_in_the_mib();
    tell_pulse(10, false, 7 * s);
    ASSERT_TOLD(MIB_TRAP_DAEMON_BACK);
    tell_pulse(11, false, 8 * s); /* it was killed, and started again at once */
    ASSERT_TOLD(MIB_TRAP_DAEMON_FAILED, MIB_TRAP_DAEMON_BACK);
    tell_pulse(11, true, 9 * s);
    watch_tick(&watch, 20 * s);
    ASSERT_NOTHING(); /* it was told to stop */
    tell_pulse(12, false, 21 * s);
    ASSERT_NOTHING();
}

/* -------------------------------------------------------------------------- remembering */

static void test_what_was_told_is_not_told_again(void **state)
{
    static char text[WATCH_TEXT_MAX];

    (void)state;
    tell_role(ROLE_ACTIVE, "R3-takeover", true, 1);
    tell_service("vpn", 100, SERVICE_STATE_RUNNING, 2);
    tell_link(true, true, 0);
    tell_link(false, false, 4);
    tell_alarm("peer-lost", true);
    tell_alarm("sync-behind", true);
    tell_set("files", SYNC_STATE_BEHIND);
    watch_take(&watch, &events);
    watch_print(&watch, text);
    watch = (struct watch){.peer = "beta"};
    assert_int_equal(watch_parse(&watch, text), 0);
    tell_role(ROLE_ACTIVE, "R3-takeover", true, 1);
    tell_service("vpn", 100, SERVICE_STATE_RUNNING, 2);
    tell_link(false, false, 4);
    tell_alarm("peer-lost", true);
    tell_alarm("sync-behind", true);
    tell_set("files", SYNC_STATE_BEHIND);
    ASSERT_NOTHING();
    tell_service("vpn", 101, SERVICE_STATE_RUNNING, 3);
    tell_set("files", SYNC_STATE_CURRENT);
    ASSERT_TOLD(MIB_TRAP_SERVICE_STARTED, MIB_TRAP_SYNC_CURRENT);
    assert_int_not_equal(watch_parse(&watch, "role 7\n"), 0);
    assert_int_not_equal(watch_parse(&watch, "service\n"), 0);
    assert_int_not_equal(watch_parse(&watch, "role 1"), 0);
}

/* ------------------------------------------------------------------------------- limit */

static void test_limit(void **state)
{
    static struct limiter limiter;
    struct event event = {.kind = MIB_TRAP_SERVICE_STARTED}, other = {.kind = MIB_TRAP_PEER_LOST};
    int64_t now = 1000 * NS_PER_S;

    (void)state;
    for (int i = 0; i < LIMIT_BURST; i++)
        assert_true(limiter_take(&limiter, &event, now));
    assert_int_equal(limiter_due_ns(&limiter), 0);
    for (uint32_t i = 0; i < 5; i++) {
        event.number = i;
        assert_false(limiter_take(&limiter, &event, now));
    }
    assert_true(limiter_take(&limiter, &other, now)); /* another kind */
    assert_false(limiter_next(&limiter, &event, now));
    assert_int_equal(limiter_due_ns(&limiter), now + LIMIT_EVERY_NS);
    now += LIMIT_EVERY_NS;
    assert_true(limiter_next(&limiter, &event, now)); /* the latest, and how many were before it */
    assert_int_equal(event.number, 4);
    assert_int_equal(event.held_back, 4);
    assert_false(limiter_next(&limiter, &event, now));
    assert_false(limiter_take(&limiter, &event, now));
    now += 100 * LIMIT_EVERY_NS;
    assert_true(limiter_next(&limiter, &event, now));
    assert_int_equal(event.held_back, 0);
    for (int i = 0; i < LIMIT_BURST - 1; i++)
        assert_true(limiter_take(&limiter, &event, now));
    assert_false(limiter_take(&limiter, &event, now));
}

/* -------------------------------------------------------------------------- directives */

static char problems[512];

static void on_problem(void *userdata, int line, const char *text)
{
    const size_t used = strlen(problems);

    (void)userdata;
    snprintf(problems + used, sizeof problems - used, "%d:%.40s;", line, text);
}

static int parse(const char *text, struct directives *directives)
{
    problems[0] = '\0';
    return directives_parse(text, strlen(text), directives, on_problem, NULL);
}

static void test_directives(void **state)
{
    static struct directives d;

    (void)state;
    assert_int_equal(parse("# comment\n\n  rocommunity public\ntrapsink a\nTrapCommunity 'se cret'\n"
                           "trap2sink b x 99\r\ninformsink \"c d\" \"\"\n"
                           "trapsess -v 3 -A \"pass \\\" word\" host\ncreateUser u SHA \"x y\"",
                           &d),
                     0);
    assert_int_equal(d.count, 4);
    assert_int_equal(d.sinks[0].line, 4);
    assert_string_equal(d.sinks[0].community, "public");
    assert_string_equal(d.sinks[1].community, "se cret");
    assert_string_equal(directive_word(&d.sinks[1], 2), "99");
    assert_string_equal(directive_word(&d.sinks[2], 0), "c d");
    assert_string_equal(directive_word(&d.sinks[2], 1), "");
    assert_int_equal(d.sinks[3].word_count, 5);
    assert_string_equal(directive_word(&d.sinks[3], 3), "pass \" word");
    assert_int_equal(d.user_count, 1);
    assert_string_equal(d.users[0].text, "u SHA \"x y\"");
    assert_int_equal(d.users[0].line, 9);
}

static void test_wrong_directives(void **state)
{
    static struct directives d;
    static char many[4096];

    (void)state;
    assert_int_equal(
        parse("trapsink\ntrap2sink a b c d\nok\ninformsink \"open\ntrapsess\ncreateUser\ntrapcommunity\n",
              &d),
        6);
    assert_non_null(strstr(problems, "1:a sink without a host"));
    assert_non_null(strstr(problems, "2:too many words"));
    assert_non_null(strstr(problems, "4:a quote"));
    assert_non_null(strstr(problems, "5:trapsess without a host"));
    assert_non_null(strstr(problems, "6:createUser without a name"));
    assert_non_null(strstr(problems, "7:trapcommunity without"));
    assert_int_equal(d.count, 0);
    for (int i = 0; i < 20; i++)
        strcat(many, "trapsink host\n");
    assert_int_equal(parse(many, &d), 4);
    assert_int_equal(d.count, DIRECTIVES_MAX);
    memset(many, 'x', sizeof many - 1);
    assert_int_equal(parse(many, &d), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_roles, anew),
        cmocka_unit_test_setup(test_ready, anew),
        cmocka_unit_test_setup(test_services, anew),
        cmocka_unit_test_setup(test_network, anew),
        cmocka_unit_test_setup(test_data, anew),
        cmocka_unit_test_setup(test_alarms, anew),
        cmocka_unit_test_setup(test_daemons, anew),
        cmocka_unit_test_setup(test_what_was_told_is_not_told_again, anew),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_wrong_directives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
