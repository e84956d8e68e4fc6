/* The configuration: what is accepted, with what in struct config; what is refused, at which line, with which words of
 * cause and remedy; and who may write and read the files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"

static const char base[] = "cluster \"gate\" {\n"                                                      /*  1 */
                           "    profile = lan\n"                                                       /*  2 */
                           "}\n"                                                                       /*  3 */
                           "node \"alpha\" { reserved-address = \"10.91.9.1\" }\n"                     /*  4 */
                           "node \"beta\" { reserved-address = \"10.91.9.2\" }\n"                      /*  5 */
                           "channel \"outside\" {\n"                                                   /*  6 */
                           "    device = \"eth0\"\n"                                                   /*  7 */
                           "    active-address = {\"203.0.113.10/24\"}\n"                              /*  8 */
                           "    router = {\"203.0.113.1\"}\n"                                          /*  9 */
                           "    node \"alpha\" { passive-address = {\"203.0.113.11/24\"} }\n"          /* 10 */
                           "    node \"beta\" { passive-address = {\"203.0.113.12/24\"} }\n"           /* 11 */
                           "}\n"                                                                       /* 12 */
                           "channel \"inside\" {\n"                                                    /* 13 */
                           "    device = \"eth1\"\n"                                                   /* 14 */
                           "    active-address = {\"192.0.2.1/24\"}\n"                                 /* 15 */
                           "}\n"                                                                       /* 16 */
                           "route \"default\" { via = \"203.0.113.1\" channel = \"outside\" }\n"       /* 17 */
                           "service \"vpn\" {\n"                                                       /* 18 */
                           "    command = {\"/usr/sbin/openvpn\"}\n"                                   /* 19 */
                           "    when = active\n"                                                       /* 20 */
                           "}\n"                                                                       /* 21 */
                           "sync \"config\" { path = {\"/etc/openvpn\"} }\n";                          /* 22 */

/* The base with its only `from` replaced; the caller frees. */
static char *edited(const char *from, const char *to)
{
    const char *at = strstr(base, from);
    char *text;

    assert_non_null(at);
    assert_null(strstr(at + 1, from));
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from)) > 0);
    return text;
}

struct result {
    int r;
    struct config *config;
    char *errors;
};

static struct result read_for(const char *text, const char *node)
{
    struct result result;
    size_t size;
    FILE *out = open_memstream(&result.errors, &size);

    assert_non_null(out);
    result.r = config_read_text("f.conf", text, node, out, &result.config);
    fclose(out);
    return result;
}

static void result_free(struct result *result)
{
    config_free(result->config);
    free(result->errors);
}

/* One line of `errors` is of this line of the file and has both words. */
static bool said(const char *errors, int line, const char *cause, const char *remedy)
{
    char lead[32], *copy = strdup(errors), *rest = copy;
    bool found = false;

    snprintf(lead, sizeof lead, "f.conf:%d: ", line);
    for (char *each; (each = strsep(&rest, "\n")) != NULL;)
        found |= strncmp(each, lead, strlen(lead)) == 0 && strstr(each, cause) && strstr(each, remedy);
    free(copy);
    return found;
}

/* ---- what is refused */

#define CLUSTER "    profile = lan\n"
#define IN_SERVICE "    when = active\n"

static const struct broken {
    const char *from, *to;
    int line;
    const char *cause, *remedy;
} broken[] = {
    /* the text itself */
    {CLUSTER, "    profile = \"lan\n", 2, "string is not closed", "same line"},
    {CLUSTER, "    profile = 'lan\n", 2, "string is not closed", "same line"},
    {CLUSTER, "    /* profile\n", 2, "comment is never closed", "*/"},
    {CLUSTER, "    profile = \"${PROFILE}\"\n", 2, "not replaced from the environment", "write the value"},
    {CLUSTER, "    profile = ${PROFILE}\n", 2, "not replaced from the environment", "write the value"},
    {CLUSTER, "    profile = \"l\\qan\"\n", 2, "unknown escape", "known are"},
    {CLUSTER, "    profile = \"l\\400an\"\n", 2, "unknown escape", "known are"},
    {CLUSTER, "    profile = \"l\x01n\"\n", 2, "control character", "remove it"},
    {CLUSTER, "    profile = l\x01n\n", 2, "control character", "remove it"},
    {CLUSTER, "    profile = \xe2\x80\x9clan\xe2\x80\x9d\n", 2, "outside of ASCII", "plain quotes"},
    {CLUSTER, "    include(\"other.conf\")\n", 2, "include", "one file"},
    {CLUSTER, "    include = \"other.conf\"\n", 2, "include", "one file"},
    {CLUSTER, "    profile = lan*\n", 2, "'*' outside of quotes", "\"…\""},
    {CLUSTER, "    @line = 7\n", 2, "'@' outside of quotes", "\"…\""},
    {CLUSTER, "    \"@line\" = 7\n", 2, "unknown key \"@line\"", "remove it"},
    {"node \"beta\" { res", "node \"@x\" { res", 5, "cannot be the name", "letters"},
    {CLUSTER, "    profile = lan {\n", 1, "never closed", "'}' is missing"},
    {CLUSTER, "    profile = lan }\n", 3, "'}' without a '{'", "remove it"},
    {CLUSTER, "    profile {\n }\n", 2, "'=' is missing after \"profile\"", "profile = VALUE"},
    {CLUSTER, "    profile = {lan}\n", 2, "unexpected '{'", "without braces"},
    {CLUSTER, "    profile += fast\n", 2, "\"profile\" takes one value", "instead of +="},
    {CLUSTER, "    profile = lan\n    profile = fast\n", 3, "given twice (first on line 2)", "keep one"},
    {CLUSTER, "    reboot-command = {a}\n    reboot-command = {b}\n", 3, "given twice (first on line 2)", "keep one"},
    {CLUSTER, "    profil = lan\n", 2, "unknown key \"profil\" in cluster", "did you mean \"profile\"?"},
    {CLUSTER, "    takover-after = 1s\n", 2, "unknown key", "did you mean \"takeover-after\"?"},
    {CLUSTER, "    zzzzzzzzzz = 1s\n", 2, "unknown key", "remove it"},
    {"sync \"config\"", "snyc \"config\"", 22, "unknown key \"snyc\" outside of sections", "did you mean \"sync\"?"},
    {"sync \"config\"", "sync", 22, "sync needs a name", "sync \"NAME\""},
    {"sync \"config\" {", "sync \"config\" = {", 22, "'{' is missing", "section"},
    {"channel \"inside\"", "channel \"outside\"", 13, "second section of the same kind is named \"outside\"", "name of its own"},
    {"cluster \"gate\" {\n", "cluster \"a\" { }\ncluster \"gate\" {\n", 2, "second section cluster", "join"},
    /* cluster and timers */
    {"cluster \"gate\" {\n    profile = lan\n}\n", "\n\n\n", 1, "no cluster section", "cluster \"NAME\""},
    {"cluster \"gate\"", "cluster \"my gate\"", 1, "cannot be the name of a cluster", "letters"},
    {CLUSTER, "    profile = slow\n", 2, "profile cannot be \"slow\"", "lan, fast or wan"},
    {CLUSTER, "    key-file = \"cluster.key\"\n", 2, "not an absolute path", "begin it with '/'"},
    {CLUSTER, "    key-file = \"\"\n", 2, "key-file is empty", "remove the key"},
    {CLUSTER, "    on-network-fault = ignore\n", 2, "cannot be \"ignore\"", "reboot or demote"},
    {CLUSTER, "    lease-gate = maybe\n", 2, "cannot be \"maybe\"", "on or off"},
    {CLUSTER, "    reboot-command = {\"\"}\n", 2, "reboot-command is empty", "name the program"},
    {CLUSTER, "    reboot-command = {\"sbin/reboot\"}\n", 2, "relative path", "absolute"},
    {CLUSTER, "    reboot-command = \"systemctl reboot\"\n", 2, "several words", "{\"a\", \"b\"}"},
    {CLUSTER, "    heartbeat-interval = 50\n", 2, "not a duration", "with its unit"},
    {CLUSTER, "    heartbeat-interval = 0ms\n", 2, "too short", "1ms or more"},
    {CLUSTER, "    heartbeat-interval = 999us\n", 2, "too short", "1ms or more"},
    {CLUSTER, "    stale-start-wait = 25h\n", 2, "too long", "24h or less"},
    {CLUSTER, "    takeover-after = 250ms\n    heartbeat-interval = 130ms\n    address-lease = 400ms\n", 2,
     "takeover-after (250ms) must be at least 2 times heartbeat-interval (130ms)", "260ms or more"},
    {CLUSTER, "    address-lease = 99ms\n", 2, "address-lease (99ms) must be at least 2 times heartbeat-interval (50ms)",
     "100ms or more"},
    {CLUSTER, "    heartbeat-interval = 101ms\n", 2, "address-lease (200ms) must be at least 2 times", "202ms or more"},
    {CLUSTER, "    isolation-after = 300ms\n", 2, "isolation-after (300ms) must be shorter than takeover-after (300ms)",
     "shorten"},
    {CLUSTER, "    search-time = 299ms\n    search-interval = 50ms\n", 2, "search-time (299ms)", "300ms or more"},
    {CLUSTER, "    search-time = 399ms\n", 2, "search-interval (200ms)", "400ms or more"},
    {CLUSTER, "    search-interval-quick = 201ms\n", 2, "search-interval (200ms)", "201ms or more"},
    {CLUSTER, "    router-interval-quick = 201ms\n", 2, "router-interval (200ms)", "201ms or more"},
    {CLUSTER, "    claim-time = 9ms\n", 2, "claim-time (9ms) is too short", "10ms or more"},
    {CLUSTER, "    claim-time = 4s\n", 2, "handover-time (3s)", "4s or more"},
    {CLUSTER, "    linger = 2s\n", 2, "2 times linger (2s)", "4s or more"},
    {CLUSTER, "    router-retries = 0\n", 2, "out of range", "1 to 100"},
    {CLUSTER, "    router-retries = 101\n", 2, "out of range", "1 to 100"},
    {CLUSTER, "    router-retries = three\n", 2, "not a whole number", "1 to 100"},
    {CLUSTER, "    lease-gate = off\n", 2, "lease-gate = off", "1100ms or more"},
    {CLUSTER, "    lease-gate = off\n    address-lease = 1099ms\n", 3, "lease-gate = off", "1100ms or more"},
    /* nodes */
    {"node \"beta\" { reserved-address = \"10.91.9.2\" }\n", "\n", 4, "1 node section;", "exactly two"},
    {"node \"beta\" { res", "node \"gamma\" { }\nnode \"beta\" { res", 6, "3 node sections", "exactly two"},
    {"node \"beta\" { res", "node \"be ta\" { res", 5, "cannot be the name of a node", "letters"},
    {"node \"beta\" { res", "node \"alpha\" { res", 5, "named \"alpha\"", "name of its own"},
    {"\"10.91.9.2\"", "\"10.91.9.1\"", 5, "also the reserved address of node \"alpha\" (line 4)", "change one"},
    {"\"10.91.9.2\"", "\"fd00::2\"", 5, "two families", "both IPv4 or both IPv6"},
    {"\"10.91.9.2\"", "\"10.91.9.2/24\"", 5, "one host", "without the prefix"},
    {"\"10.91.9.2\"", "\"10.91.9\"", 5, "not an address", "192.0.2.1"},
    {"reserved-address = \"10.91.9.2\"", "", 5, "no reserved-address", "both one, or none"},
    /* channels */
    {"\"eth1\"", "\"eth0\"", 13, "share the device \"eth0\" on node \"alpha\"", "of its own"},
    {"\"eth1\"", "\"a-very-long-name\"", 14, "cannot be a network device", "15 characters"},
    {"\"eth1\"", "\"lo\"", 14, "\"lo\"", "name the adapter"},
    {"    device = \"eth1\"\n", "", 13, "no device for node \"alpha\"", "add device"},
    {"    active-address = {\"192.0.2.1/24\"}\n", "", 13, "no active-address", "add the one"},
    {"\"192.0.2.1/24\"", "\"192.0.2.1\"", 15, "no prefix length", "192.0.2.1/24"},
    {"\"192.0.2.1/24\"", "\"192.0.2.1/33\"", 15, "not an address", "192.0.2.1/24"},
    {"\"192.0.2.1/24\"", "\"192.0.2.256/24\"", 15, "not an address", "192.0.2.1/24"},
    {"\"192.0.2.1/24\"", "\"192.0.2.0/24\"", 15, "network itself", "one host"},
    {"\"192.0.2.1/24\"", "\"192.0.2.255/24\"", 15, "broadcast address", "one host"},
    {"\"192.0.2.1/24\"", "\"224.0.0.1/24\"", 15, "multicast", "one host"},
    {"\"192.0.2.1/24\"", "\"127.0.0.1/8\"", 15, "loopback", "one host"},
    {"\"192.0.2.1/24\"", "\"192.0.2.1/24\",\n\"192.0.2.1/24\"", 16, "(line 15)", "change one"},
    {"\"192.0.2.1/24\"", "\"10.91.9.1/24\"", 15, "reserved address of node \"alpha\" (line 4)", "change one"},
    {"\"203.0.113.12/24\"", "\"203.0.113.11/24\"", 11, "also the passive address of node \"alpha\"", "change one"},
    {"\"203.0.113.12/24\"", "\"203.0.113.12\"", 11, "no prefix length", "203.0.113.12/24"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"198.51.100.1\"}\n", 9, "in no network of channel \"outside\"",
     "neighbour on that LAN"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"203.0.113.11\"}\n", 10, "a router of channel", "change one"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"203.0.113.10\"}\n", 9, "an active address", "change one"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"203.0.113.1/24\"}\n", 9, "one host", "without the prefix"},
    {"    router = {\"203.0.113.1\"}\n", "    mode = shared\n", 9, "mode cannot be \"shared\"", "exchange or overlay"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" heartbeat = udp\n", 14, "needs a passive-address", "ethernet"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" heartbeat = ip\n", 14, "heartbeat cannot be", "ethernet or udp"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" node \"gamma\" { }\n", 14, "no node \"gamma\"", "the nodes are"},
    {"channel \"inside\"", "channel \"reserved\"", 13, "reserved line", "another one"},
    {CLUSTER, "    profile = fast\n    address-lease = 30ms\n } channel \"x\" { search = off device = e "
              "active-address = \"198.51.100.1/24\"\n", 3, "search = off (\"x\")", "lengthen takeover-after"},
    /* routes */
    {"route \"default\"", "route \"198.51.100.0\"", 17, "no destination", "198.51.100.0/24"},
    {"route \"default\"", "route \"198.51.100.7/24\"", 17, "bits set", "network itself"},
    {"route \"default\"", "route \"2001:db8::/32\"", 17, "other family", "both IPv4 or both IPv6"},
    {"via = \"203.0.113.1\"", "via = \"192.0.2.9\"", 17, "in no network", "router on that LAN"},
    {"via = \"203.0.113.1\"", "via = \"203.0.113.11\"", 17, "passive address of node \"alpha\"", "outside of the pair"},
    {"via = \"203.0.113.1\"", "", 17, "no via", "add via"},
    {"channel = \"outside\" }", "}", 17, "no channel", "add channel"},
    {"channel = \"outside\" }", "channel = \"dmz\" }", 17, "no channel \"dmz\"", "that this file has"},
    {"route \"default\"", "route \"0.0.0.0/0\" { via = \"203.0.113.1\" channel = \"outside\" }\nroute \"default\"", 18,
     "same destination", "keep one"},
    /* services */
    {"    command = {\"/usr/sbin/openvpn\"}\n", "", 18, "none of command, unit and start", "exactly one"},
    {IN_SERVICE, "    unit = \"openvpn.service\"\n", 18, "more than one of command", "exactly one"},
    {IN_SERVICE, "    pidfile = \"/run/x.pid\"\n", 18, "without start", "add start"},
    {IN_SERVICE, "    stop = {\"/bin/x\"}\n", 18, "stop without start", "remove stop"},
    {"    command = {\"/usr/sbin/openvpn\"}\n", "    start = {\"/etc/init.d/x\"}\n", 18, "nothing tells which process",
     "pidfile and process"},
    {"    command = {\"/usr/sbin/openvpn\"}\n", "    unit = \"openvpn\"\n", 19, "no type", "openvpn.service"},
    {IN_SERVICE, "    when = sometimes\n", 20, "when cannot be", "active or always"},
    {IN_SERVICE, "    after = {\"db\"}\n", 20, "no such service", "correct it"},
    {IN_SERVICE, "    after = {\"vpn\"}\n", 20, "waits for itself", "break the circle"},
    {IN_SERVICE, "    on-failure = restart\n", 20, "on-failure cannot be", "reboot, demote or ignore"},
    {IN_SERVICE, "    start-retries = -1\n", 20, "out of range", "0 to 1000"},
    {IN_SERVICE, "    check-interval = 2\n", 20, "not a duration", "with its unit"},
    {IN_SERVICE, "    check-failures = 0\n", 20, "out of range", "1 to 1000"},
    {IN_SERVICE, "    user = \"\"\n", 20, "user is empty", "remove the key"},
    {IN_SERVICE, "    exclusive = 2\n", 20, "exclusive cannot be \"2\"", "on or off"},
    {"service \"vpn\" {", "service \"a\" { command = \"/bin/a\" after = \"vpn\" when = always }\nservice \"vpn\" {", 18,
     "cannot wait for \"vpn\"", "the same when"},
    /* sync sets and the rest */
    {"\"/etc/openvpn\"", "\"etc/openvpn\"", 22, "not a plain absolute path", "begin it with '/'"},
    {"\"/etc/openvpn\"", "\"/etc/../etc\"", 22, "not a plain absolute path", "without"},
    {"\"/etc/openvpn\"", "\"/etc/duet\"", 22, "/etc/duet, which belongs to each node alone", "beside it"},
    {"\"/etc/openvpn\"", "\"/etc/duet/x\"", 22, "would copy /etc/duet", "beside it"},
    {"\"/etc/openvpn\"", "\"/var\"", 22, "would copy /var/lib/duet", "beside it"},
    {"\"/etc/openvpn\"", "\"/\"", 22, "would copy /etc/duet", "beside it"},
    {"\"/etc/openvpn\"", "\"/etc/openvpn\", \"/etc/openvpn/x\"", 22, "overlaps", "one set"},
    {"{ path = {\"/etc/openvpn\"} }", "{ }", 22, "neither path nor sqlite", "exactly one"},
    {"\"/etc/openvpn\"} }", "\"/etc/openvpn\"} sqlite = \"/x\" }", 22, "both path and sqlite", "exactly one"},
    {"\"/etc/openvpn\"} }", "\"/etc/openvpn\"} keep = 0 }", 22, "out of range", "1 to 1000"},
    {"sync \"config\"", "watchdog { device = watchdog }\nsync \"config\"", 22, "not an absolute path", "begin it"},
    {"sync \"config\"", "watchdog { timeout = 5s }\nsync \"config\"", 22, "watchdog has no device", "add device"},
    {"sync \"config\"", "watchdog { device = /dev/watchdog timeout = 1500ms }\nsync \"config\"", 22, "whole number of",
     "2s or more"},
    {"sync \"config\"", "snmp { config = 1 }\nsync \"config\"", 22, "not an absolute path", "begin it"},
    {"sync \"config\"", "monitor { listen = localhost }\nsync \"config\"", 22, "no ZeroMQ endpoint", "tcp://"},
};

static void test_broken_ones_are_refused_with_line_cause_and_remedy(void **state)
{
    (void)state;
    assert_true(ARRAY_LENGTH(broken) >= 45);
    for (size_t i = 0; i < ARRAY_LENGTH(broken); i++) {
        const struct broken *b = &broken[i];
        char *text = edited(b->from, b->to);
        struct result result = read_for(text, "alpha");

        if (result.r != -EINVAL || !said(result.errors, b->line, b->cause, b->remedy))
            fail_msg("case %zu (%s): expected line %d: %s … %s, but got %d and\n%s", i, b->to, b->line, b->cause,
                     b->remedy, result.r, result.errors);
        assert_null(result.config);
        result_free(&result);
        free(text);
    }
}

static void test_all_errors_come_in_one_run(void **state)
{
    char *text = edited(CLUSTER, "    profil = lan\n    takeover-after = 10\n    lease-gate = 2\n");
    struct result result = read_for(text, "gamma");

    (void)state;
    assert_int_equal(result.r, -EINVAL);
    assert_true(said(result.errors, 2, "unknown key", "profile"));
    assert_true(said(result.errors, 3, "not a duration", "unit"));
    assert_true(said(result.errors, 4, "lease-gate", "on or off"));
    assert_true(said(result.errors, 6, "this node is called \"gamma\"", "\"alpha\" and \"beta\""));
    result_free(&result);
    free(text);
}

static void test_sync_needs_the_reserved_line(void **state)
{
    struct result result = read_for("cluster \"c\" { }\nnode \"a\" { }\nnode \"b\" { }\n"
                                    "channel \"x\" { device = e active-address = \"192.0.2.1/24\" }\n"
                                    "sync \"s\" { path = \"/srv\" }\n", NULL);

    (void)state;
    assert_int_equal(result.r, -EINVAL);
    assert_true(said(result.errors, 5, "needs the reserved line", "reserved-address"));
    result_free(&result);
}

/* ---- what is accepted */

static void assert_address(const struct net_address *address, const char *expected)
{
    char text[ADDRESS_TEXT_MAX];

    net_address_print(address, strchr(expected, '/') != NULL, text);
    assert_string_equal(text, expected);
}

static struct config *good(const char *text, const char *node)
{
    struct result result = read_for(text, node);

    if (result.r != 0)
        fail_msg("refused: %s", result.errors);
    free(result.errors);
    return result.config;
}

static char *example(void)
{
    char *text = calloc(1, 65536);
    FILE *file = fopen(DUET_EXAMPLE, "re");

    assert_non_null(file);
    assert_true(fread(text, 1, 65535, file) > 1000);
    fclose(file);
    return text;
}

static void test_example_is_accepted(void **state)
{
    char *text = example();
    struct config *config = good(text, "beta");
    const struct config_channel *outside = &config->channels[0];

    (void)state;
    assert_string_equal(config->cluster, "gate");
    assert_string_equal(config->key_file, "/etc/duet/cluster.key");
    assert_string_equal(config->old_key_file, "");
    assert_int_equal(config->profile, PROFILE_LAN);
    assert_true(config->lease_gate);
    assert_int_equal(config->self, 1);
    assert_string_equal(config->nodes[0].name, "alpha");
    assert_address(&config->nodes[1].reserved, "10.91.9.2");
    assert_int_equal(config->reboot_command.count, 2);
    assert_string_equal(config->reboot_command.items[1], "reboot");
    assert_null(config->reboot_command.items[2]);
    assert_int_equal(config->channel_count, 2);
    assert_string_equal(outside->device, "ens3");
    assert_int_equal(outside->mode, MODE_EXCHANGE);
    assert_true(outside->search);
    assert_false(outside->heartbeat_udp);
    assert_int_equal(outside->active.count, 2);
    assert_address(&outside->active.items[1], "2001:db8::10/64");
    assert_address(&outside->passive.items[0], "203.0.113.12/24");
    assert_address(&outside->peer_passive.items[0], "203.0.113.11/24");
    assert_address(&outside->routers.items[0], "203.0.113.1");
    assert_int_equal(strlen(config->hash), 16);
    config_free(config);
    free(text);
}

static void test_example_has_all_parts(void **state)
{
    char *text = example();
    struct config *config = good(text, NULL);

    (void)state;
    assert_int_equal(config->self, -1);
    assert_string_equal(config->channels[0].device, "eth0");
    assert_address(&config->channels[0].passive.items[0], "203.0.113.11/24");
    assert_int_equal(config->route_count, 1);
    assert_address(&config->routes[0].via, "203.0.113.1");
    assert_address(&config->routes[0].to, "0.0.0.0/0");
    assert_int_equal(config->routes[0].channel, 0);
    assert_int_equal(config->service_count, 1);
    assert_string_equal(config->services[0].command.items[2], "/etc/openvpn/gate.conf");
    assert_int_equal(config->services[0].check_interval, 2 * NS_PER_S);
    assert_int_equal(config->services[0].start_retries, 3);
    assert_int_equal(config->services[0].on_failure, FAULT_REBOOT);
    assert_int_equal(config->sync_count, 2);
    assert_string_equal(config->syncs[0].paths.items[1], "/etc/nftables.conf");
    assert_string_equal(config->syncs[0].exclude.items[0], "*.swp");
    assert_string_equal(config->syncs[1].sqlite, "/var/lib/vpn/users.db");
    assert_string_equal(config->watchdog.device, "/dev/watchdog");
    assert_int_equal(config->watchdog.timeout, 10 * NS_PER_S);
    assert_string_equal(config->snmp_config, "/etc/snmp/snmpd.conf");
    assert_string_equal(config->monitor_listen, "tcp://127.0.0.1:5572");
    config_free(config);
    free(text);
}

/* The table of defaults, as the man page has it. */
static void test_profiles_set_the_timers(void **state)
{
    static const char *const profiles[] = {"lan", "fast", "wan"};
    static const int64_t ms[3][CONFIG_TIMERS] = {
        {50, 300, 200, 200, 600, 200, 10, 200, 10, 1000, 50, 3000, 5000, 120000, 20000},
        {10, 25, 60, 20, 100, 50, 10, 100, 10, 500, 10, 3000, 5000, 120000, 20000},
        {500, 3000, 2000, 2000, 6000, 1000, 50, 2000, 50, 5000, 500, 15000, 30000, 300000, 20000}};
    char line[64];

    (void)state;
    for (int p = 0; p < 3; p++) {
        snprintf(line, sizeof line, "    profile = %s\n", profiles[p]);
        char *text = edited(CLUSTER, line);
        struct config *config = good(text, "alpha");
        assert_string_equal(config_profile_name(config->profile), profiles[p]);
        for (size_t i = 0; i < CONFIG_TIMERS; i++)
            assert_int_equal(config_timer_ns(&config->timers, &config_timer_table[i]), ms[p][i] * NS_PER_MS);
        assert_int_equal(config->timers.router_retries, 3);
        config_free(config);
        free(text);
    }
}

static void test_each_timer_can_be_set(void **state)
{
    char *text = edited(CLUSTER, "heartbeat-interval = 20ms takeover-after = 100ms address-lease = 70ms isolation-after ="
                                 " 80ms search-time = 500ms search-interval = 150ms search-interval-quick = 5ms "
                                 "router-interval = 90ms router-interval-quick = 7ms claim-time = 2s linger = 1s "
                                 "handover-time = 6s settle-time = 9s stale-start-wait = 11s reboot-grace = 13s "
                                 "router-retries = 7\n");
    static const int64_t ms[CONFIG_TIMERS] = {20, 100, 70, 80, 500, 150, 5, 90, 7, 2000, 1000, 6000, 9000, 11000, 13000};
    struct config *config = good(text, "alpha");

    (void)state;
    for (size_t i = 0; i < CONFIG_TIMERS; i++)
        assert_int_equal(config_timer_ns(&config->timers, &config_timer_table[i]), ms[i] * NS_PER_MS);
    assert_int_equal(config->timers.router_retries, 7);
    config_free(config);
    free(text);
}

static void test_all_of_a_service(void **state)
{
    char *text = edited(IN_SERVICE,
                        "    check = /bin/c check-interval = 1s check-timeout = 2s check-failures = 4 start-retries = 0\n"
                        "    retry-interval = 5ms stop-timeout = 3s user = nobody group = \"no group\" exclusive = yes\n"
                        "    on-failure = ignore }\n"
                        "service \"a\" { unit = \"a@b.service\" when = always }\n"
                        "service \"b\" { start = {\"/b\", 'its', ''} stop = \"/s\" pidfile = /run/b.pid after = {vpn, a} }\n"
                        "service \"c\" { start = \"/c\" process = \"c.bin\"\n");
    struct config *config = good(text, "alpha");
    const struct config_service *s = config->services;

    (void)state;
    assert_int_equal(config->service_count, 4);
    assert_string_equal(s[0].check.items[0], "/bin/c");
    assert_int_equal(s[0].check_timeout, 2 * NS_PER_S);
    assert_int_equal(s[0].check_failures, 4);
    assert_int_equal(s[0].start_retries, 0);
    assert_int_equal(s[0].retry_interval, 5 * NS_PER_MS);
    assert_int_equal(s[0].stop_timeout, 3 * NS_PER_S);
    assert_string_equal(s[0].user, "nobody");
    assert_string_equal(s[0].group, "no group");
    assert_true(s[0].exclusive);
    assert_int_equal(s[0].on_failure, FAULT_IGNORE);
    assert_int_equal(s[0].line, 18);
    assert_string_equal(s[1].unit, "a@b.service");
    assert_int_equal(s[1].when, WHEN_ALWAYS);
    assert_string_equal(s[2].pidfile, "/run/b.pid");
    assert_int_equal(s[2].after.count, 2);
    assert_string_equal(s[3].process, "c.bin");
    config_free(config);
    free(text);
}

static void test_odd_but_good_text(void **state)
{
    char *text = edited(CLUSTER, "    # a comment with \"quotes ${and} braces {\n"
                                 "    // another\n"
                                 "    /* and a\n third */ profile=fast\r\n"
                                 "    reboot-command = {'/sbin/${x}', \"\\${y}\\\"\\\\\", \"/*#//\",\n} # end\n"
                                 "    reboot-command += {more}");
    struct config *config = good(text, "alpha");

    (void)state;
    assert_int_equal(config->profile, PROFILE_FAST);
    assert_int_equal(config->reboot_command.count, 4);
    assert_string_equal(config->reboot_command.items[0], "/sbin/${x}");
    assert_string_equal(config->reboot_command.items[1], "${y}\"\\");
    assert_string_equal(config->reboot_command.items[2], "/*#//");
    assert_string_equal(config->reboot_command.items[3], "more");
    config_free(config);
    free(text);
}

static void test_more_active_addresses_and_families(void **state)
{
    char *text = edited("\"192.0.2.1/24\"}", "\"192.0.2.1/24\", \"192.0.2.2/24\", \"2001:db8:1::1/64\"} router = \"fe80::1\" "
                                             "search = off mode = overlay");
    struct config *config = good(text, "alpha");

    (void)state;
    assert_int_equal(config->channels[1].active.count, 3);
    assert_false(config->channels[1].search);
    assert_int_equal(config->channels[1].mode, MODE_OVERLAY);
    assert_int_equal(config->warnings, 1); /* the IPv6 router */
    config_free(config);
    free(text);
}

static void test_default_routes_of_both_families(void **state)
{
    char *text = edited("route \"default\"", "route \"::/0\" { via = \"fe80::1\" channel = \"inside\" }\n"
                                             "route \"0.0.0.0/0\"");
    struct config *config = good(text, "alpha");

    (void)state;
    assert_int_equal(config->route_count, 2);
    assert_int_equal(config->routes[0].to.family, AF_INET6);
    assert_int_equal(config->routes[0].channel, 1);
    config_free(config);
    free(text);
}

static void test_many_addresses(void **state)
{
    char *list = calloc(10000, 20), *at = list;

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        at += sprintf(at, "%s\"10.%u.%u.%u/8\"", i ? "," : "", 100 + i / 62500, i / 250 % 250, i % 250 + 1);
    char *text = edited("\"192.0.2.1/24\"", list);
    struct config *config = good(text, "alpha");
    assert_int_equal(config->channels[1].active.count, 10000);
    config_free(config);
    free(text);
    free(list);
}

static void test_hash_is_of_the_bytes(void **state)
{
    char *text = edited("lan", "lan "), *same = strdup(text);
    struct config *a = good(base, "alpha"), *b = good(text, "alpha"), *c = good(same, "beta");

    (void)state;
    assert_string_not_equal(a->hash, b->hash);
    assert_string_equal(b->hash, c->hash);
    config_free(a);
    config_free(b);
    config_free(c);
    free(text);
    free(same);
}

/* ---- files */

struct files {
    char directory[64], config[96], key[96];
};

static void write_bytes(const char *path, const void *bytes, size_t size, mode_t mode)
{
    unlink(path);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
    struct files *files = calloc(1, sizeof *files);
    char line[160];

    strcpy(files->directory, "/tmp/duet-test-XXXXXX");
    assert_non_null(mkdtemp(files->directory));
    snprintf(files->config, sizeof files->config, "%s/duet.conf", files->directory);
    snprintf(files->key, sizeof files->key, "%s/cluster.key", files->directory);
    snprintf(line, sizeof line, "    key-file = \"%s\"\n", files->key);
    char *text = edited(CLUSTER, line);
    write_bytes(files->config, text, strlen(text), 0644);
    write_bytes(files->key, "0123456789abcdef0123456789abcdef", 32, 0600);
    free(text);
    *state = files;
    return 0;
}

static int tear_down(void **state)
{
    struct files *files = *state;

    unlink(files->config);
    unlink(files->key);
    rmdir(files->directory);
    free(files);
    return 0;
}

/* Reads the files; 0, or the error with `line` of `errors` having both words. */
static int read_files(const struct files *files, int line, const char *cause, const char *remedy)
{
    char *errors, lead[128];
    size_t size;
    FILE *out = open_memstream(&errors, &size);
    struct config *config;
    const int r = config_read(files->config, "alpha", out, &config);

    fclose(out);
    if (r < 0) {
        snprintf(lead, sizeof lead, "%s:%d: ", files->config, line);
        if (strncmp(errors, lead, strlen(lead)) != 0 || !strstr(errors, cause) || !strstr(errors, remedy))
            fail_msg("expected %s%s … %s, got %s", lead, cause, remedy, errors);
        assert_null(config);
    } else {
        assert_string_equal(errors, "");
    }
    config_free(config);
    free(errors);
    return r;
}

static void test_files_are_read(void **state)
{
    assert_int_equal(read_files(*state, 0, "", ""), 0);
}

static void test_writable_configuration_is_refused(void **state)
{
    const struct files *files = *state;
    static const mode_t modes[] = {0664, 0646, 0622, 0620};

    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        assert_int_equal(chmod(files->config, modes[i]), 0);
        assert_int_equal(read_files(files, 1, "writable by others", "chmod go-w"), -EINVAL);
    }
    assert_int_equal(chmod(files->config, 0640), 0);
    assert_int_equal(read_files(files, 0, "", ""), 0);
}

static void test_foreign_owner_is_refused(void **state)
{
    const struct files *files = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(files->config, 65534, (gid_t)-1), 0);
    assert_int_equal(read_files(files, 1, "belongs to user 65534", "chown root"), -EINVAL);
    assert_int_equal(chown(files->config, 0, (gid_t)-1), 0);
    assert_int_equal(chown(files->key, 65534, (gid_t)-1), 0);
    assert_int_equal(read_files(files, 2, "belongs to user 65534", "chown root"), -EINVAL);
}

static void test_odd_files_are_refused(void **state)
{
    const struct files *files = *state;

    unlink(files->config);
    assert_int_equal(read_files(files, 1, "No such file", "--config"), -ENOENT);
    assert_int_equal(mkfifo(files->config, 0600), 0);
    assert_int_equal(read_files(files, 1, "not a regular file", "itself"), -EINVAL);
    write_bytes(files->config, "cluster \"x\" {\n\0}", 16, 0600);
    assert_int_equal(read_files(files, 2, "byte 0", "text file"), -EINVAL);
}

static void test_key_file_is_guarded(void **state)
{
    const struct files *files = *state;
    unsigned char key[CONFIG_KEY_BYTES];
    static const mode_t modes[] = {0640, 0604, 0620, 0601};

    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        assert_int_equal(chmod(files->key, modes[i]), 0);
        assert_int_equal(read_files(files, 2, "read by others", "chmod 600"), -EINVAL);
        assert_int_equal(config_read_key(files->key, key), -EACCES);
    }
    write_bytes(files->key, "short", 5, 0600);
    assert_int_equal(read_files(files, 2, "exactly 32 bytes", "duet keygen"), -EINVAL);
    write_bytes(files->key, "0123456789abcdef0123456789abcdef\n", 33, 0600);
    assert_int_equal(config_read_key(files->key, key), -EINVAL);
    unlink(files->key);
    assert_int_equal(read_files(files, 2, "does not exist", "duet keygen"), -EINVAL);
    assert_int_equal(config_read_key(files->key, key), -ENOENT);
    assert_int_equal(config_read_key(files->directory, key), -EINVAL);
}

static void test_key_is_read(void **state)
{
    const struct files *files = *state;
    unsigned char key[CONFIG_KEY_BYTES];

    assert_int_equal(config_read_key(files->key, key), 0);
    assert_memory_equal(key, "0123456789abcdef0123456789abcdef", 32);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_ones_are_refused_with_line_cause_and_remedy),
        cmocka_unit_test(test_all_errors_come_in_one_run),
        cmocka_unit_test(test_sync_needs_the_reserved_line),
        cmocka_unit_test(test_example_is_accepted),
        cmocka_unit_test(test_example_has_all_parts),
        cmocka_unit_test(test_profiles_set_the_timers),
        cmocka_unit_test(test_each_timer_can_be_set),
        cmocka_unit_test(test_all_of_a_service),
        cmocka_unit_test(test_odd_but_good_text),
        cmocka_unit_test(test_more_active_addresses_and_families),
        cmocka_unit_test(test_default_routes_of_both_families),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_hash_is_of_the_bytes),
        WITH_FILES(test_files_are_read),
        WITH_FILES(test_writable_configuration_is_refused),
        WITH_FILES(test_foreign_owner_is_refused),
        WITH_FILES(test_odd_files_are_refused),
        WITH_FILES(test_key_file_is_guarded),
        WITH_FILES(test_key_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
