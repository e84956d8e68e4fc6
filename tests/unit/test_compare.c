/* What differs between two readings of the configuration, and what may be changed while a node works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config_compare.h"
#include "tests/unit/config_base.h"

static struct config *read_text(const char *text)
{
    struct config *config;

    assert_int_equal(config_read_text("test", text, "alpha", stderr, &config), 0);
    return config;
}

static struct config *changed(const char *from, const char *to)
{
    char *text = edited(from, to);
    struct config *config = read_text(text);

    free(text);
    return config;
}

/* The lines that tell of the edit. The caller frees. */
static char *list(const char *from, const char *to)
{
    struct config *now = read_text(base), *next = changed(from, to);
    char *lines;
    size_t size;
    FILE *out = open_memstream(&lines, &size);
    int count = 0;

    assert_non_null(out);
    const int told = config_list_changes(now, next, out);
    fclose(out);
    for (const char *at = lines; *at; at++)
        count += *at == '\n';
    assert_int_equal(told, count);
    config_free(now);
    config_free(next);
    return lines;
}

static void expect(const char *from, const char *to, const char *lines)
{
    char *told = list(from, to);

    assert_string_equal(told, lines);
    free(told);
}

static void test_nothing_differs_from_itself(void **state)
{
    struct config *a = read_text(base), *b = read_text(base);
    char why[CONFIG_REFUSAL_MAX];

    (void)state;
    assert_int_equal(config_list_changes(a, b, stderr), 0);
    assert_true(config_channels_equal(a, b) && config_routes_equal(a, b) && config_rules_equal(a, b));
    assert_true(config_services_equal(a, b));
    assert_true(config_hooks_equal(a, b) && config_syncs_equal(a, b) && config_timers_equal(a, b));
    assert_true(config_snmp_equal(a, b) && config_monitor_equal(a, b));
    assert_true(config_can_reload(a, b, why));
    config_free(a);
    config_free(b);
}

static void test_each_thing_is_told_by_its_name(void **state)
{
    (void)state;
    expect("sync \"config\" { path = {\"/etc/openvpn\"} }\n", "", "sync config: removed\n");
    expect("\"/etc/openvpn\"", "\"/etc/other\"", "sync config: changed\n");
    expect(IN_SERVICE, "    when = always\n", "service vpn: changed\n");
    expect(IN_SERVICE, IN_SERVICE "    check-interval = 2s\n", ""); /* the default */
    expect("service \"vpn\"", "service \"gate\"", "service vpn: removed\nservice gate: added\n");
    expect("    active-address = {\"192.0.2.1/24\"}\n", "    active-address = {\"192.0.2.1/24\", \"192.0.2.7/24\"}\n",
           "channel inside: changed\n");
    expect("    active-address = {\"192.0.2.1/24\"}\n", "    active-address = {\"192.0.2.1/25\"}\n",
           "channel inside: changed\n");
    expect("    router = {\"203.0.113.1\"}\n", "", "channel outside: changed\n");
    expect("route \"default\" { via = \"203.0.113.1\"", "route \"default\" { via = \"203.0.113.2\"",
           "route default: changed\n");
    expect(CLUSTER, CLUSTER "    settle-time = 9s\n    router-retries = 4\n",
           "settle-time: 9s instead of 5s\nrouter-retries: 4 instead of 3\n");
    expect("sync \"config\"", "hook \"h\" { on = active command = {\"/bin/true\"} }\nsync \"config\"", "hook h: added\n");
    expect("sync \"config\"", "snmp { config = \"/etc/snmp/x\" }\nmonitor { metrics = \"127.0.0.1:1\" }\nsync \"config\"",
           "snmp: changed\nmonitor: changed\n");
}

#define ROUTE "route \"default\" { via = \"203.0.113.1\" channel = \"outside\" }\n"
#define RULE "rule \"guests\" { from = \"192.0.2.0/24\" table = 100 priority = 500 }\n"
#define ROUTER "    router = {\"203.0.113.1\"}\n"

static void test_what_policy_routing_and_adapters_have_is_told(void **state)
{
    static const char *const rules[] = {
        "rule \"guests\" { from = \"192.0.2.0/25\" table = 100 priority = 500 }\n",
        "rule \"guests\" { from = \"192.0.2.0/24\" to = \"198.51.100.0/24\" table = 100 priority = 500 }\n",
        "rule \"guests\" { from = \"192.0.2.0/24\" table = 101 priority = 500 }\n",
        "rule \"guests\" { from = \"192.0.2.0/24\" table = 100 priority = 501 }\n",
    };

    (void)state;
    expect(ROUTE, ROUTE RULE, "rule guests: added\n");
    expect("channel = \"outside\" }", "channel = \"outside\" table = 100 }", "route default: changed\n");
    expect(ROUTER, ROUTER "    check-only-idle = on\n", "channel outside: changed\n");
    expect(ROUTER, ROUTER "    hold-as = local-routes\n", "channel outside: changed\n");
    expect(ROUTER, ROUTER "    mode = overlay\n    heartbeat = udp\n", "channel outside: changed\n");
    for (size_t i = 0; i < ARRAY_LENGTH(rules); i++) {
        char both[512];
        snprintf(both, sizeof both, ROUTE "%s", rules[i]);
        struct config *a = changed(ROUTE, ROUTE RULE), *b = changed(ROUTE, both), *c = changed(ROUTE, ROUTE RULE);
        assert_true(config_rules_equal(a, c));
        assert_false(config_rules_equal(a, b));
        config_free(a);
        config_free(b);
        config_free(c);
    }
}

static void test_where_a_thing_stands_does_not_matter(void **state)
{
    (void)state;
    /* The channels in the other order: the route's channel has another number. */
    expect("channel \"outside\" {\n", "channel \"first\" { device = \"eth9\" active-address = {\"198.51.100.1/24\"} }\n"
           "channel \"outside\" {\n", "channel first: added\n");
}

static void test_what_runs_goes_on(void **state)
{
    static const struct {
        const char *from, *to;
        bool same;
    } cases[] = {
        {IN_SERVICE, IN_SERVICE "    start-retries = 9\n    on-failure = demote\n    stop-timeout = 1s\n", true},
        {IN_SERVICE, IN_SERVICE "    check = {\"/bin/true\"}\n", true},
        {IN_SERVICE, "    when = always\n", true},
        {IN_SERVICE, IN_SERVICE "    user = \"nobody\"\n", false},
        {"\"/usr/sbin/openvpn\"", "\"/usr/sbin/openvpn\", \"-v\"", false},
        {"command = {\"/usr/sbin/openvpn\"}", "unit = \"openvpn.service\"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct config *a = read_text(base), *b = changed(cases[i].from, cases[i].to);
        assert_int_equal(config_service_same_program(&a->services[0], &b->services[0]), cases[i].same);
        assert_false(config_service_equal(&a->services[0], &b->services[0]));
        config_free(a);
        config_free(b);
    }
}

static void refused(struct config *now, struct config *next, const char *words)
{
    char why[CONFIG_REFUSAL_MAX];

    const bool can = config_can_reload(now, next, why);
    if (words) {
        assert_false(can);
        assert_non_null(strstr(why, words));
    } else {
        assert_true(can);
    }
    config_free(now);
    config_free(next);
}

static void test_what_needs_a_restart_is_refused(void **state)
{
    (void)state;
    refused(read_text(base), changed("cluster \"gate\"", "cluster \"other\""), "the name of the cluster");
    refused(read_text(base), changed("node \"beta\" { reserved-address = \"10.91.9.2\" }\n",
                                     "node \"beta\" { reserved-address = \"10.91.9.3\" }\n"), "a node");
    refused(read_text(base), changed(CLUSTER, CLUSTER "    key-file = \"/other\"\n"), "key-file");
    refused(read_text(base), changed(CLUSTER, CLUSTER "    old-key-file = \"/old\"\n"), "old-key-file");
    refused(read_text(base), changed(CLUSTER, CLUSTER "    lease-gate = off\n    address-lease = 2s\n    takeover-after = 3s\n"
                                     "    search-time = 6s\n"), "lease-gate");
    refused(read_text(base), changed("sync \"config\"", "watchdog { device = \"/dev/watchdog\" }\nsync \"config\""), "the watchdog");
    refused(read_text(base), changed("sync \"config\"", "fence { command = {\"/bin/true\"} }\nsync \"config\""), "the fence");
    refused(read_text(base), changed("sync \"config\"", "service \"x\" { unit = \"x.service\" }\nsync \"config\""), NULL);
}

#define INSIDE "channel \"inside\" {\n    device = \"eth1\"\n    active-address = {\"192.0.2.1/24\"}\n}\n"

/* By routes of the table local: all but the first, which therefore stays. */
static void test_how_addresses_are_held_is_settled(void **state)
{
#define HELD(addresses) "channel \"inside\" { device = \"eth1\" hold-as = local-routes active-address = {" addresses "} }\n"
    static const char three[] = HELD("\"192.0.2.1/24\", \"192.0.2.2/24\", \"2001:db8::1/64\"");
    static const struct {
        const char *next, *says;
    } cases[] = {
        {INSIDE, "hold-as"},
        {HELD("\"192.0.2.2/24\", \"192.0.2.1/24\""), "the first IPv4 active-address"},
        {HELD("\"192.0.2.2/24\""), "the first IPv4 active-address"},
        {HELD("\"192.0.2.1/25\""), "the first IPv4 active-address"},
        {HELD("\"2001:db8::1/64\""), "the first IPv4 active-address"},
        {"channel \"other\" { device = \"eth1\" active-address = {\"192.0.2.1/24\"} }\n", "hold-as"},
        {HELD("\"2001:db8::1/64\", \"192.0.2.1/24\", \"192.0.2.3/24\""), NULL},
        {"channel \"other\" { device = \"eth2\" active-address = {\"192.0.2.1/24\"} }\n", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        refused(changed(INSIDE, three), changed(INSIDE, cases[i].next), cases[i].says);
}

/* While one node is reloaded and the other is not yet, some path must be as it was on both. */
static void test_heartbeats_keep_a_path(void **state)
{
#define ALONE(how) \
    "cluster \"gate\" {}\nnode \"alpha\" {}\nnode \"beta\" {}\n" \
    "channel \"outside\" { device = \"eth0\" active-address = {\"203.0.113.10/24\"} " how \
    " node \"alpha\" { passive-address = {\"203.0.113.11/24\"} } node \"beta\" { passive-address = {\"203.0.113.12/24\"} } }\n"
    static const char frames[] = ALONE(""), udp[] = ALONE("mode = overlay heartbeat = udp"),
                      more[] = ALONE("mode = overlay heartbeat = udp") INSIDE,
                      both[] = ALONE("mode = overlay") INSIDE;

    (void)state;
    refused(read_text(base), changed(ROUTER, ROUTER "    mode = overlay\n    heartbeat = udp\n"), NULL);
    refused(read_text(frames), read_text(udp), "heartbeat on channel outside");
    refused(read_text(udp), read_text(frames), "heartbeat on channel outside");
    refused(read_text(frames), read_text(more), "heartbeat on channel outside"); /* the peer has no inside yet */
    refused(read_text(udp), read_text(more), NULL);
    refused(read_text(both), read_text(more), NULL);
}

static void test_times_must_fit_to_those_of_the_other_node(void **state)
{
    (void)state;
    refused(read_text(base), changed(CLUSTER, "    profile = fast\n"), "takeover-after (25ms on one node) is too short");
    refused(changed(CLUSTER, "    profile = fast\n"), read_text(base), "takeover-after (25ms on one node) is too short");
    refused(read_text(base), changed(CLUSTER, "    profile = fast\n    takeover-after = 300ms\n    search-time = 600ms\n"),
            "address-lease (60ms on one node) is too short");
    refused(read_text(base), changed(CLUSTER, CLUSTER "    takeover-after = 100ms\n    isolation-after = 50ms\n"),
            "takeover-after (100ms on one node) is too short for isolation-after (200ms on the other)");
    refused(read_text(base), changed(CLUSTER, CLUSTER "    takeover-after = 250ms\n"), NULL);
    refused(read_text(base), changed(CLUSTER, CLUSTER "    heartbeat-interval = 100ms\n"), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_differs_from_itself),
        cmocka_unit_test(test_each_thing_is_told_by_its_name),
        cmocka_unit_test(test_what_policy_routing_and_adapters_have_is_told),
        cmocka_unit_test(test_how_addresses_are_held_is_settled),
        cmocka_unit_test(test_heartbeats_keep_a_path),
        cmocka_unit_test(test_where_a_thing_stands_does_not_matter),
        cmocka_unit_test(test_what_runs_goes_on),
        cmocka_unit_test(test_what_needs_a_restart_is_refused),
        cmocka_unit_test(test_times_must_fit_to_those_of_the_other_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
