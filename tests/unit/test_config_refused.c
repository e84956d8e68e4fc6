/* What the configuration reader refuses: at which line, with which words of cause and remedy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_base.h"

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
    {CLUSTER, "    reboot-command = {a}\n    reboot-command = {b}\n", 3, "given twice (first on line 2)",
     "keep one"},
    {IN_SERVICE, "    when = active when = always\n", 20, "\"when\" is given twice", "keep one"},
    {IN_SERVICE, "    when = always exclusive = true\n", 20, "cannot be exclusive with when = always",
     "when = active"},
    {"node \"beta\" { passive", "node \"beta\" { device = a device = b passive", 11,
     "\"device\" is given twice", "keep one"},
    {CLUSTER, "    profil = lan\n", 2, "unknown key \"profil\" in cluster", "did you mean \"profile\"?"},
    {CLUSTER, "    takover-after = 1s\n", 2, "unknown key", "did you mean \"takeover-after\"?"},
    {CLUSTER, "    zzzzzzzzzz = 1s\n", 2, "unknown key", "remove it"},
    {"sync \"config\"", "snyc \"config\"", 22, "unknown key \"snyc\" outside of sections",
     "did you mean \"sync\"?"},
    {"sync \"config\"", "sync", 22, "sync needs a name", "sync \"NAME\""},
    {"sync \"config\" {", "sync \"config\" = {", 22, "'{' is missing", "section"},
    {"channel \"inside\"", "channel \"outside\"", 13, "second section of the same kind is named \"outside\"",
     "name of its own"},
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
    {CLUSTER, "    address-lease = 99ms\n", 2,
     "address-lease (99ms) must be at least 2 times heartbeat-interval (50ms)", "100ms or more"},
    {CLUSTER, "    heartbeat-interval = 101ms\n", 2, "address-lease (200ms) must be at least 2 times",
     "202ms or more"},
    {CLUSTER, "    isolation-after = 300ms\n", 2,
     "isolation-after (300ms) must be shorter than takeover-after (300ms)", "shorten"},
    {CLUSTER, "    search-time = 299ms\n    search-interval = 50ms\n", 2, "search-time (299ms)",
     "300ms or more"},
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
    {"\"10.91.9.2\"", "\"10.91.9.1\"", 5, "also the reserved address of node \"alpha\" (line 4)",
     "change one"},
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
    {"\"203.0.113.12/24\"", "\"203.0.113.11/24\"", 11, "also the passive address of node \"alpha\"",
     "change one"},
    {"\"203.0.113.12/24\"", "\"203.0.113.12\"", 11, "no prefix length", "203.0.113.12/24"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"198.51.100.1\"}\n", 9,
     "in no network of channel \"outside\"", "neighbour on that LAN"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"203.0.113.11\"}\n", 10, "a router of channel",
     "change one"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"203.0.113.10\"}\n", 9, "an active address",
     "change one"},
    {"    router = {\"203.0.113.1\"}\n", "    router = {\"203.0.113.1/24\"}\n", 9, "one host",
     "without the prefix"},
    {"    router = {\"203.0.113.1\"}\n", "    mode = shared\n", 9, "mode cannot be \"shared\"",
     "exchange or overlay"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" heartbeat = udp\n", 14, "needs a passive-address",
     "ethernet"},
    {"    router = {\"203.0.113.1\"}\n", "    heartbeat = udp\n", 9, "needs mode = overlay",
     "passive address"},
    {"    router = {\"203.0.113.1\"}\n    node \"alpha\" { passive-address = {\"203.0.113.11/24\"",
     "    router = {\"203.0.113.1\"}\n    heartbeat = udp\n    mode = overlay\n    node \"alpha\" { "
     "passive-address "
     "= {\"198.51.100.11/24\"",
     10, "in two networks on channel \"outside\"", "search = off"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" check-only-idle = on\n", 14, "it has none",
     "name one"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" hold-as = routes\n", 14, "hold-as cannot be",
     "addresses or local-routes"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" heartbeat = ip\n", 14, "heartbeat cannot be",
     "ethernet or udp"},
    {"    device = \"eth1\"\n", "    device = \"eth1\" node \"gamma\" { }\n", 14, "no node \"gamma\"",
     "the nodes are"},
    {"channel \"inside\"", "channel \"reserved\"", 13, "reserved line", "another one"},
    {CLUSTER,
     "    lease-gate = off\n } channel \"x\" { hold-as = local-routes device = e active-address = "
     "\"198.51.100.1/24\"\n",
     3, "needs lease-gate = on", "hold-as = addresses"},
    {CLUSTER,
     "    profile = fast\n    address-lease = 30ms\n } channel \"x\" { search = off device = e "
     "active-address = \"198.51.100.1/24\"\n",
     3, "search = off (\"x\")", "lengthen takeover-after"},
    /* routes */
    {"route \"default\"", "route \"198.51.100.0\"", 17, "no destination", "198.51.100.0/24"},
    {"route \"default\"", "route \"198.51.100.7/24\"", 17, "bits set", "network itself"},
    {"route \"default\" { via", "route \"uplink\" { via", 17, "no destination", "with to ="},
    {"route \"default\" { via", "route \"uplink\" { to = default table = 255 via", 17, "table", "254"},
    {"route \"default\"", "rule \"r\" { from = \"10.0.0.0/8\" }\nroute \"default\"", 17, "has no table",
     "table = N"},
    {"route \"default\"", "rule \"r\" { table = 100 }\nroute \"default\"", 17, "about everything",
     "add from"},
    {"route \"default\"", "rule \"r\" { table = 100 from = \"10.0.0.1/8\" }\nroute \"default\"", 17,
     "bits set", "network itself"},
    {"route \"default\"", "rule \"r\" { table = 100 from = \"10.0.0.0/8\" to = \"::/0\" }\nroute \"default\"",
     17, "two families", "both IPv4"},
    {"route \"default\"",
     "rule \"r\" { table = 100 from = \"10.0.0.0/8\" }\nrule \"s\" { table = 100 from = \"10.0.0.0/8\" "
     "}\nroute "
     "\"default\"",
     18, "say the same", "keep one"},
    {"route \"default\"", "rule \"r\" { table = 100 from = \"10.0.0.0/99\" }\nroute \"default\"", 17,
     "no network", "198.51.100.0/24"},
    {"route \"default\"", "route \"2001:db8::/32\"", 17, "other family", "both IPv4 or both IPv6"},
    {"via = \"203.0.113.1\"", "via = \"192.0.2.9\"", 17, "in no network", "router on that LAN"},
    {"via = \"203.0.113.1\"", "via = \"203.0.113.11\"", 17, "passive address of node \"alpha\"",
     "outside of the pair"},
    {"via = \"203.0.113.1\"", "", 17, "no via", "add via"},
    {"channel = \"outside\" }", "}", 17, "no channel", "add channel"},
    {"channel = \"outside\" }", "channel = \"dmz\" }", 17, "no channel \"dmz\"", "that this file has"},
    {"route \"default\"",
     "route \"0.0.0.0/0\" { via = \"203.0.113.1\" channel = \"outside\" }\nroute \"default\"", 18,
     "same destination", "keep one"},
    /* services */
    {"    command = {\"/usr/sbin/openvpn\"}\n", "", 18, "none of command, unit and start", "exactly one"},
    {IN_SERVICE, "    unit = \"openvpn.service\"\n", 18, "more than one of command", "exactly one"},
    {IN_SERVICE, "    pidfile = \"/run/x.pid\"\n", 18, "without start", "add start"},
    {IN_SERVICE, "    stop = {\"/bin/x\"}\n", 18, "stop without start", "remove stop"},
    {"    command = {\"/usr/sbin/openvpn\"}\n", "    start = {\"/etc/init.d/x\"}\n", 18,
     "nothing tells which process", "pidfile and process"},
    {"    command = {\"/usr/sbin/openvpn\"}\n", "    unit = \"openvpn\"\n", 19, "no type", "openvpn.service"},
    {IN_SERVICE, "    when = sometimes\n", 20, "when cannot be", "active or always"},
    {"service \"vpn\" {",
     "service \"a\" { unit = x.service }\nservice \"b\" { unit = x.service }\nservice \"vpn\" {", 19,
     "same unit as service \"a\" on line 18", "keep one"},
    {"service \"vpn\" {",
     "service \"a\" { start = /s pidfile = /run/x }\nservice \"b\" { start = /t pidfile = /run/x }\nservice "
     "\"vpn\" {",
     19, "same pidfile as service \"a\" on line 18", "keep one"},
    {"service \"vpn\" {",
     "service \"a\" { start = /s process = x }\nservice \"b\" { start = /t process = x }\nservice \"vpn\" {",
     19, "same process as service \"a\" on line 18", "keep one"},
    {IN_SERVICE, "    after = {\"db\"}\n", 20, "no such service", "correct it"},
    {IN_SERVICE, "    after = {\"vpn\"}\n", 20, "waits for itself", "break the circle"},
    {IN_SERVICE, "    on-failure = restart\n", 20, "on-failure cannot be", "reboot, demote or ignore"},
    {IN_SERVICE, "    start-retries = -1\n", 20, "out of range", "0 to 1000"},
    {IN_SERVICE, "    check-interval = 2\n", 20, "not a duration", "with its unit"},
    {IN_SERVICE, "    check-failures = 0\n", 20, "out of range", "1 to 1000"},
    {IN_SERVICE, "    user = \"\"\n", 20, "user is empty", "remove the key"},
    {IN_SERVICE, "    exclusive = 2\n", 20, "exclusive cannot be \"2\"", "on or off"},
    {"service \"vpn\" {",
     "service \"a\" { command = \"/bin/a\" after = \"vpn\" when = always }\nservice \"vpn\" {", 18,
     "cannot wait for \"vpn\"", "the same when"},
    /* sync sets and the rest */
    {"\"/etc/openvpn\"", "\"etc/openvpn\"", 22, "not a plain absolute path", "begin it with '/'"},
    {"\"/etc/openvpn\"", "\"/etc/../etc\"", 22, "not a plain absolute path", "without"},
    {"\"/etc/openvpn\"", "\"/etc/duet\"", 22, "/etc/duet, which belongs to each node alone", "beside it"},
    {"\"/etc/openvpn\"", "\"/etc/duet/x\"", 22, "would copy /etc/duet", "beside it"},
    {"\"/etc/openvpn\"", "\"/var\"", 22, "would copy /var/lib/duet", "beside it"},
    {"\"/etc/openvpn\"", "\"/\"", 22, "would copy /etc/duet", "beside it"},
    {"\"/etc/openvpn\"", "\"/etc/openvpn\", \"/etc/openvpn/x\"", 22, "overlaps", "one set"},
    {"{ path = {\"/etc/openvpn\"} }", "{ }", 22, "none of path, sqlite and dump", "exactly one"},
    {"\"/etc/openvpn\"} }", "\"/etc/openvpn\"} sqlite = \"/x\" }", 22, "more than one of path",
     "exactly one"},
    {"\"/etc/openvpn\"} }", "\"/etc/openvpn\"} dump = {a} restore = {b} }", 22, "more than one of path",
     "exactly one"},
    {"{ path = {\"/etc/openvpn\"} }", "{ sqlite = \"/x\" restore = {b} }", 22, "more than one of path",
     "exactly one"},
    {"sync \"config\"", "sync \"db\" { sqlite = \"/etc/openvpn/x.db\" }\nsync \"config\"", 23,
     "overlaps \"/etc/openvpn/x.db\" (line 22)", "one set"},
    {"\"/etc/openvpn\"} }", "\"/etc/openvpn\"} }\nsync \"db\" { sqlite = \"/etc/openvpn/x.db\" }", 23,
     "overlaps \"/etc/openvpn\" (line 22)", "one set"},
    {"{ path = {\"/etc/openvpn\"} }", "{ dump = {a} }", 22, "dump without restore", "from its input"},
    {"{ path = {\"/etc/openvpn\"} }", "{ restore = {a} }", 22, "restore without dump", "to its output"},
    {"{ path = {\"/etc/openvpn\"} }", "{ dump = {\"./a\"} restore = {b} }", 22, "is a relative path",
     "absolute one"},
    {"{ path = {\"/etc/openvpn\"} }", "{ dump = {a} restore = {b} exclude = {c} }", 22,
     "exclude has no meaning", "remove it"},
    {"\"/etc/openvpn\"} }", "\"/etc/openvpn\"} keep = 0 }", 22, "out of range", "1 to 1000"},
    {"sync \"config\"", "hook \"a\" { command = {\"/bin/a\"} }\nsync \"config\"", 22, "has no on",
     "before-active"},
    {"sync \"config\"", "hook \"a\" { on = before command = {\"/bin/a\"} }\nsync \"config\"", 22,
     "on cannot be \"before\"", "before-active, active, passive or fault"},
    {"sync \"config\"", "hook \"a\" { on = active }\nsync \"config\"", 22, "has no command", "add command"},
    {"sync \"config\"", "hook \"a\" { on = active command = {a} timeout = 10 }\nsync \"config\"", 22,
     "not a duration", "50ms"},
    {"sync \"config\"",
     "hook \"a\" { on = before-active command = {a} timeout = 400ms }\n"
     "hook \"b\" { on = before-active command = {b} }\nsync \"config\"",
     23, "600ms altogether, more than half of claim-time (1s)", "claim-time 1200ms or more"},
    {"sync \"config\"", "watchdog { device = watchdog }\nsync \"config\"", 22, "not an absolute path",
     "begin it"},
    {"sync \"config\"", "watchdog { timeout = 5s }\nsync \"config\"", 22, "watchdog has no device",
     "add device"},
    {"sync \"config\"", "watchdog { device = /dev/watchdog timeout = 2500ms }\nsync \"config\"", 22,
     "not a whole number of seconds", "write 3s"},
    {"sync \"config\"", "watchdog { device = /dev/watchdog timeout = 1s }\nsync \"config\"", 22,
     "timeout (1s) is too short", "2s or more"},
    {"sync \"config\"", "watchdog { required = on }\nsync \"config\"", 22, "watchdog has no device",
     "add device"},
    {"sync \"config\"", "sync \"db\" { sqlite = \"/var/lib/duet/x.db\" }\nsync \"config\"", 22,
     "would copy /var/lib/duet", "beside it"},
    {"node \"beta\" { passive", "node \"beta\" { device = \"eth0/1\" passive", 11,
     "cannot be a network device", "15 characters"},
    {"sync \"config\"", "snmp { config = 1 }\nsync \"config\"", 22, "not an absolute path", "begin it"},
    {"sync \"config\"", "snmp { agentx = master }\nsync \"config\"", 22, "no address of snmpd's",
     "unix:/var/agentx/master"},
    {"sync \"config\"", "snmp { base-oid = \"1.3.x\" }\nsync \"config\"", 22, "no object identifier",
     "such as"},
    {"sync \"config\"", "snmp { base-oid = \"1.3.4294967296\" }\nsync \"config\"", 22, "no object identifier",
     "such as"},
    {"sync \"config\"", "snmp { base-oid = \"1.40.1\" }\nsync \"config\"", 22, "no object identifier",
     "such as"},
    {"sync \"config\"", "snmp { base-oid = \"1.3.\" }\nsync \"config\"", 22, "no object identifier",
     "such as"},
    {"sync \"config\"", "monitor { listen = localhost }\nsync \"config\"", 22, "no ZeroMQ endpoint",
     "tcp://"},
    {"sync \"config\"", "monitor { listen = \"ipc:///run/x\" }\nsync \"config\"", 22,
     "no ZeroMQ endpoint of TCP", "tcp://"},
    {"sync \"config\"", "monitor { listen = \"tcp://a:0\" }\nsync \"config\"", 22, "no ZeroMQ endpoint",
     "tcp://"},
    {"sync \"config\"", "monitor { listen = \"tcp://127.0.0.1\" }\nsync \"config\"", 22, "no ZeroMQ endpoint",
     "tcp://"},
    {"sync \"config\"", "monitor { metrics = 9572 }\nsync \"config\"", 22, "not ADDRESS:PORT",
     "127.0.0.1:9572"},
    {"sync \"config\"", "monitor { metrics = \"::1:80\" }\nsync \"config\"", 22, "not ADDRESS:PORT", "[::1]"},
    {"sync \"config\"", "monitor { }\nsync \"config\"", 22, "neither listen nor metrics", "add listen"},
    {"sync \"config\"", "monitor { listen = \"tcp://*:5572\" key-file = x }\nsync \"config\"", 22,
     "not an absolute path", "begin it"},
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
            fail_msg("case %zu (%s): expected line %d: %s … %s, but got %d and\n%s", i, b->to, b->line,
                     b->cause, b->remedy, result.r, result.errors);
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
                                    "sync \"s\" { path = \"/srv\" }\n",
                                    NULL);

    (void)state;
    assert_int_equal(result.r, -EINVAL);
    assert_true(said(result.errors, 5, "needs the reserved line", "reserved-address"));
    result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_ones_are_refused_with_line_cause_and_remedy),
        cmocka_unit_test(test_all_errors_come_in_one_run),
        cmocka_unit_test(test_sync_needs_the_reserved_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
