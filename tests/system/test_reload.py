"""`duet reload` on a serving pair (DESIGN §5): what differs in the changed file is applied, what does not is not touched,
and a file that cannot be applied changes nothing."""

import os
import random
import subprocess
import time

import pytest
from lab import network
from lab.network import ACTIVE, NODES, PASSIVE, ROUTER
from lab.pair import other
from lab.sync import SyncLab

import test_ipv6 as six

MORE = "203.0.113.77"

# What no reload may bring about on a pair that was ready: topics whose facts must not change.
FACTS = {"role": ("role", "phase", "epoch", "since_ns", "fit"), "address": ("state", "term", "epoch", "changed_ns")}


# Stalls of a busy machine are not what is tested here, but for one test.
PATIENT = {"takeover-after": "1500ms", "address-lease": "1s", "search-time": "3s"}


def configure(lab, timers=None, **keys):
    lab.write_config(timers=dict(PATIENT, **(timers or {})), **keys)


def reload_on(lab, *nodes):
    """superviserd may be the last to begin, and no reload goes without it."""
    for node in nodes:
        lab.wait_for(lambda at=node: lab.duet(at, "reload", "--check").returncode != 3, 20, "all daemons of %s have begun" % node)
        done = lab.duet(node, "reload")
        assert done.returncode == 0, done.stdout + done.stderr
        yield done.stdout


def reload_pair(lab, active):
    """On both nodes, the active one first; then nothing keeps the pair from being ready."""
    said = list(reload_on(lab, active, other(active)))
    hashes = lambda: {lab.bus.last(node, "peer")["config_hash"] for node in NODES}
    lab.wait_for(lambda: len(hashes()) == 1 and all(lab.role(node)["ready"] for node in NODES), 15, "ready by the changed file")
    return said


def facts(lab):
    return {(node, topic, fact): lab.bus.last(node, topic)[fact] for node in NODES for topic in FACTS for fact in FACTS[topic]}


def pids(lab):
    """The daemons that decide and serve: no reload may restart them."""
    return {(node, daemon): lab.daemon_pid(node, daemon)
            for node in NODES for daemon in ("heartbeatd", "arbiterd", "takeoverd", "superviserd")}


@pytest.fixture
def pair(lab):
    """A serving pair, and probes on what it serves; at the end nothing of that must have suffered."""
    configure(lab)
    lab.active = lab.start_pair()
    lab.wait_ready(lab.active)
    before = facts(lab), pids(lab), lab.daemon_pid(lab.active, "heartbeatd")
    probes = [lab.probe(where) for where in ("inside", "outside", "through")]
    time.sleep(0.3)
    for probe in probes:
        probe.snapshot()
    yield lab
    seen = [probe.stop() for probe in probes]
    assert [result["lost"] for result in seen] == [0, 0, 0]
    assert (facts(lab), pids(lab)) == before[:2]
    assert lab.reboots == []


def answers(lab, address, channel="outside"):
    return [lab.node_of(mac) for mac in lab.ask_once(channel, address)]


def test_L3_an_address_comes_and_goes_and_nothing_else_flaps(pair):
    lab = pair
    for turn in range(3):
        configure(lab, active={"outside": [ACTIVE["outside"] + "/24", MORE + "/24"]})
        said = reload_pair(lab, lab.active)
        assert "active addresses: 3 (before: 2), all up" in said[0]
        lab.wait_for(lambda: answers(lab, MORE) == [lab.active], 10, "the new address answers from the active node alone")
        assert MORE not in lab.kernel_addresses(other(lab.active), "outside")
        configure(lab)
        said = reload_pair(lab, lab.active)
        assert "removed: 1 addresses" in said[0]
        assert MORE not in lab.kernel_addresses(lab.active, "outside")
        lab.wait_for(lambda: answers(lab, MORE) == [], 10, "nobody answers for it any more")
    assert lab.kernel_addresses(lab.active, "outside") == [ACTIVE["outside"]]


def test_R13_a_new_address_goes_with_the_role(lab):
    """What was added by a reload, is gated, held and given away as the others are."""
    configure(lab)
    active = lab.start_pair()
    lab.wait_ready(active)
    configure(lab, active={"outside": [ACTIVE["outside"] + "/24", MORE + "/24"]})
    reload_pair(lab, active)
    done = lab.duet(active, "switch")
    assert done.returncode == 0, done.stderr
    lab.wait_ready(other(active))
    lab.wait_for(lambda: answers(lab, MORE) == [other(active)], 10, "the added address answers from the new owner")
    assert MORE not in lab.kernel_addresses(active, "outside")
    os.kill(lab.daemon_pid(other(active), "takeoverd"), 19)  # SIGSTOP: the gate shuts for the added one, too
    lab.wait_for(lambda: answers(lab, MORE) == [active], 15, "taken over from a node that hangs")
    os.kill(lab.daemon_pid(other(active), "takeoverd"), 18)


def wire_dmz(lab):
    """A third LAN between the two nodes, and its passive addresses."""
    a, b = (lab.network.ns(node) for node in NODES)
    network.run("ip", "link", "add", "dmz", "netns", a, "type", "veth", "peer", "name", "dmz", "netns", b)
    for node, ns, last in zip(NODES, (a, b), (11, 12)):
        network.run("ip", "-n", ns, "addr", "add", "198.18.7.%d/24" % last, "dev", "dmz")
        network.run("ip", "-n", ns, "link", "set", "dmz", "up")


DMZ = """channel "dmz" {
    device = "dmz"
    active-address = {"198.18.7.10/24"}
    node "alpha" { passive-address = {"198.18.7.11/24"} }
    node "beta" { passive-address = {"198.18.7.12/24"} }
}
"""


def test_L3_a_channel_comes_and_goes(pair):
    lab = pair
    wire_dmz(lab)
    configure(lab, extra=DMZ)
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: all((lab.bus.last(node, "path/dmz") or {}).get("state") == "up" for node in NODES), 10,
                 "heartbeats pass on the new channel")
    lab.wait_for(lambda: all((lab.bus.last(node, "link/dmz") or {}).get("usable") for node in NODES), 10, "the channel is usable")
    assert lab.kernel_addresses(lab.active, "dmz") == ["198.18.7.10"]
    assert lab.kernel_addresses(other(lab.active), "dmz") == ["198.18.7.%d" % (12 if lab.active == "alpha" else 11)]
    configure(lab)
    reload_pair(lab, lab.active)
    assert "198.18.7.10" not in lab.kernel_addresses(lab.active, "dmz")
    lab.wait_for(lambda: all(lab.bus.last(node, topic) is None for node in NODES for topic in ("path/dmz", "link/dmz", "address/dmz")),
                 10, "nobody tells of the channel any more")


def test_L9_a_router_comes_and_goes(pair):
    """One that does not answer makes no fault while another one does."""
    lab = pair
    path = lab.config
    text = open(path).read()
    with open(path, "w") as out:
        out.write(text.replace('router = {"%s"}' % ROUTER, 'router = {"%s", "203.0.113.99"}' % ROUTER))
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: (lab.bus.last(lab.active, "router/203.0.113.99") or {}).get("missed", 0) > 20, 10, "the new router is asked")
    assert lab.bus.last(lab.active, "link/outside")["usable"]
    with open(path, "w") as out:
        out.write(text.replace('    router = {"%s"}\n' % ROUTER, ""))
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: lab.bus.last(lab.active, "router/" + ROUTER) is None, 10, "no router is asked")
    assert lab.usable(lab.active)
    configure(lab)
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: all(lab.usable(node) and lab.bus.last(node, "router/" + ROUTER)["answering"] for node in NODES), 10,
                 "the router is asked again, and answers")


GUESTS = """rule "guests" { from = "198.18.9.0/24"  table = %d  priority = 500 }
route "guests" { to = default  via = "%s"  channel = "outside"  table = %d }
"""


def policy(lab, node, table):
    """The rules and routes of duet's with that table, as the kernel has them."""
    ip = lambda *words: subprocess.run(lab.network.exec(node, "ip", *words), capture_output=True, text=True).stdout.strip()
    rules = [line for line in ip("rule", "show").splitlines() if "198.18.9.0/24 lookup %d " % table in line + " "]
    return rules, ip("route", "show", "table", str(table))


def test_L8_rules_and_routes_of_other_tables_come_and_go(pair):
    lab = pair
    for table in (100, 101):  # the second time they change
        lab.write_config(extra=GUESTS % (table, ROUTER, table))
        reload_pair(lab, lab.active)
        rules, routes = policy(lab, lab.active, table)
        assert len(rules) == 1 and "default via " + ROUTER in routes
        assert policy(lab, other(lab.active), table) == ([], "")
    assert policy(lab, lab.active, 100) == ([], "")
    lab.write_config()
    said = reload_pair(lab, lab.active)
    assert "removed: 0 addresses, 2 routes" in said[0]
    assert policy(lab, lab.active, 101) == ([], "")


def test_L7_heartbeats_go_another_way(pair):
    """A channel's go by UDP from now on, and back; the reserved line is there all the time."""
    lab = pair
    lab.write_config(modes={"inside": "overlay"})
    reload_pair(lab, lab.active)
    is_up = lambda: all((lab.bus.last(node, "path/inside") or {}).get("state") == "up" for node in NODES)
    for udp in (True, False, True):
        lab.write_config(modes={"inside": "overlay"}, keys={"inside": ["heartbeat = udp"] if udp else []})
        list(reload_on(lab, lab.active))
        lab.wait_for(lambda: not is_up(), 15, "one node sends what the other does not hear")
        list(reload_on(lab, other(lab.active)))
        lab.wait_for(is_up, 15, "they hear each other again")
        for node in NODES:
            sockets = subprocess.run(lab.network.exec(node, "ss", "-Hnu", "src", PASSIVE[node]["inside"]), capture_output=True, text=True)
            assert (":5571" in sockets.stdout) == udp, sockets.stdout
    lab.wait_for(lambda: all(lab.role(node)["ready"] for node in NODES), 15, "ready again")


def idle_sockets(lab, node):
    """Packet sockets that hear of every protocol."""
    done = subprocess.run(lab.network.exec(node, "cat", "/proc/net/packet"), capture_output=True, text=True)
    return sum(line.split()[3] == "0003" for line in done.stdout.splitlines()[1:])


def test_L10_a_router_is_asked_only_while_it_is_silent_from_now_on(pair):
    lab = pair
    lab.write_config(keys={"outside": ["check-only-idle = on"]})
    reload_pair(lab, lab.active)
    assert lab.usable(lab.active)
    lab.wait_for(lambda: idle_sockets(lab, lab.active) == 1, 10, "it listens to all that the router sends")
    lab.write_config()
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: idle_sockets(lab, lab.active) == 0, 10, "it does not any more")


MANY = 700  # more than takeoverd does in one go


def local_routes(lab, node):
    done = subprocess.run(lab.network.exec(node, "ip", "route", "show", "table", "local", "proto", "222"), capture_output=True, text=True)
    return len(done.stdout.splitlines())


def test_L3_hundreds_of_addresses_come_and_go(lab):
    """In slices, so that the lease goes on; and nothing of them is left."""
    first, many = "10.77.0.1/16", ["10.77.%d.%d/16" % (i // 250 + 1, i % 250 + 1) for i in range(MANY)]
    config = lambda addresses: lab.write_config(active={"inside": [ACTIVE["inside"] + "/24", first, *addresses]},
                                                keys={"inside": ["hold-as = local-routes"]})
    config([])
    active = lab.start_pair()
    lab.wait_ready(active)
    before = facts(lab)
    for addresses in (many, [], many[: MANY // 2], many[MANY // 2 :]):
        config(addresses)
        reload_pair(lab, active)
        lab.wait_for(lambda: local_routes(lab, active) == len(addresses) + 1, 15, "%d local routes" % (len(addresses) + 1))
        lab.wait_for(lambda: lab.bus.last(active, "address")["state"] == "holding", 15, "all is held")
        assert local_routes(lab, other(active)) == 0
        for address in addresses[:: MANY // 5]:
            lab.wait_for(lambda: answers(lab, address.split("/")[0], "inside") == [active], 10, "%s answers" % address)
    role = {key: value for key, value in facts(lab).items() if key[1] == "role"}
    assert role == {key: value for key, value in before.items() if key[1] == "role"}
    assert lab.bus.last(active, "address")["term"] == before[active, "address", "term"], "the lease went on"
    assert answers(lab, many[0].split("/")[0], "inside") == []


@pytest.mark.alone  # with the leases of the profiles
def test_times_change_in_safe_steps_only(pair):
    lab = pair
    lab.write_config()
    reload_pair(lab, lab.active)
    lab.write_config(profile="fast")
    for node in NODES:
        done = lab.duet(node, "reload")
        assert done.returncode == 1 and "in two steps" in done.stderr and "nothing was changed" in done.stderr
    between = {"takeover-after": "300ms", "search-time": "600ms", "address-lease": "200ms"}
    lab.write_config(profile="fast", timers=between)
    reload_pair(lab, lab.active)
    lab.write_config(profile="fast")
    reload_pair(lab, lab.active)
    first = lab.bus.last(other(lab.active), "path/inside")["received"]
    lab.wait_for(lambda: lab.bus.last(other(lab.active), "path/inside")["received"] - first > 150, 10,
                 "a heartbeat each 10 ms")
    lab.write_config(profile="fast", timers=between)
    reload_pair(lab, lab.active)
    lab.write_config()
    reload_pair(lab, lab.active)


@pytest.mark.parametrize("spoil, says", [
    (lambda text: text.replace('channel = "outside" }', 'channel = "outside" }\nnonsense = 3'), "nonsense"),
    (lambda text: text.replace(PASSIVE["beta"]["inside"], PASSIVE["alpha"]["inside"]), "each address belongs to one of them"),
    (lambda text: text.replace('cluster "lab"', 'cluster "other"'), "the name of the cluster cannot be changed"),
    (lambda text: text.replace('reserved-address = "10.91.9.2"', 'reserved-address = "10.91.9.7"'), "a node"),
    (lambda text: text.replace("reboot-force = off", "reboot-force = off\n lease-gate = off\n address-lease = 2s"), "lease-gate"),
    (lambda text: text.replace("mode = exchange", "mode = exchange\n    hold-as = local-routes", 1), "hold-as"),
], ids=["unknown-key", "clash", "cluster", "reserved", "gate", "hold-as"])
def test_what_cannot_be_applied_changes_nothing(pair, spoil, says):
    lab = pair
    text = open(lab.config).read()
    before = {node: lab.bus.last(node, "peer")["config_hash"] for node in NODES}
    with open(lab.config, "w") as out:
        out.write(spoil(text))
    for node in NODES:
        done = lab.duet(node, "reload")
        assert done.returncode == 1 and says in done.stderr and "nothing was changed" in done.stderr
    assert done.stdout == ""
    time.sleep(0.3)
    assert {node: lab.bus.last(node, "peer")["config_hash"] for node in NODES} == before
    with open(lab.config, "w") as out:
        out.write(text)


def test_nothing_is_changed_while_a_daemon_does_not_answer(pair):
    lab = pair
    configure(lab, active={"outside": [ACTIVE["outside"] + "/24", MORE + "/24"]})
    pid = lab.daemon_pid(lab.active, "superviserd")
    os.kill(pid, 19)
    done = lab.duet(lab.active, "reload")
    os.kill(pid, 18)
    assert done.returncode == 3 and "superviserd does not answer" in done.stderr
    assert MORE not in lab.kernel_addresses(lab.active, "outside")
    lab.wait_for(lambda: lab.duet(lab.active, "reload", "--check").returncode == 0, 10, "it answers again")
    assert MORE not in lab.kernel_addresses(lab.active, "outside")


SLEEPER = """service "%s" {
    command = {"/bin/sleep", "%d"}
    when = %s
%s}
"""


def service(name, seconds=1000, when="active", more=""):
    return SLEEPER % (name, seconds, when, more)


def state(lab, node, name):
    told = lab.bus.last(node, "service/" + name)
    return told and (told["state"], told["pid"])


def test_L11_services_come_go_and_change_and_others_run_on(pair):
    lab = pair
    active, passive = lab.active, other(lab.active)
    kept = service("kept", 1001) + service("always", 1002, "always")
    configure(lab, extra=kept + service("leaves", 1003))
    reload_pair(lab, active)
    for node, names in ((active, ("kept", "always", "leaves")), (passive, ("always",))):
        for name in names:
            lab.wait_for(lambda: (state(lab, node, name) or [""])[0] == "running", 10, "%s runs on %s" % (name, node))
    assert state(lab, passive, "kept")[0] == "stopped"
    before = [state(lab, active, "kept"), state(lab, active, "always"), state(lab, passive, "always")]
    left = state(lab, active, "leaves")[1]

    changed = kept.replace("when = active\n", "when = active\n    check-interval = 3s\n    start-retries = 7\n    on-failure = ignore\n")
    configure(lab, extra=changed + service("comes", 1004, more='    after = {"kept"}\n'))
    reload_pair(lab, active)
    lab.wait_for(lambda: (state(lab, active, "comes") or [""])[0] == "running", 10, "the added service runs")
    lab.wait_for(lambda: lab.bus.last(active, "service/leaves") is None and not os.path.exists("/proc/%d" % left), 10,
                 "the removed one has ended, and nobody tells of it")
    assert [state(lab, active, "kept"), state(lab, active, "always"), state(lab, passive, "always")] == before
    assert lab.bus.last(active, "service/kept")["on_failure"] == "ignore"

    was = state(lab, active, "comes")[1]
    configure(lab, extra=changed + service("comes", 1005))
    reload_pair(lab, active)
    lab.wait_for(lambda: (state(lab, active, "comes") or [""])[0] == "running" and state(lab, active, "comes")[1] != was, 10,
                 "the one with another command is started anew")
    assert open("/proc/%d/cmdline" % state(lab, active, "comes")[1]).read().split("\0")[1] == "1005"
    assert not os.path.exists("/proc/%d" % was)
    assert [state(lab, active, "kept"), state(lab, active, "always"), state(lab, passive, "always")] == before
    configure(lab)
    reload_pair(lab, active)
    lab.wait_for(lambda: not any(lab.bus.topics(node, "service") for node in NODES), 10, "no service is told of")


def test_R7_a_failed_service_that_is_taken_out_fails_nobody(pair):
    """Under a hold, or the role would go to the node that is not known to fail yet."""
    lab = pair
    assert lab.duet(lab.active, "hold").returncode == 0
    lab.wait_for(lambda: all(lab.role(node)["held"] for node in NODES), 10, "held")
    configure(lab, extra='service "bad" {\n command = {"/bin/false"}\n start-retries = 0\n on-failure = demote\n}\n')
    list(reload_on(lab, lab.active, other(lab.active)))
    lab.wait_for(lambda: "service-failed" in lab.bus.alarms(lab.active), 15, "the alarm")
    configure(lab)
    list(reload_on(lab, lab.active, other(lab.active)))
    lab.wait_for(lambda: "service-failed" not in lab.bus.alarms(lab.active), 10, "the alarm ends")
    assert lab.duet(lab.active, "resume").returncode == 0
    lab.wait_for(lambda: not any(lab.role(node)["held"] for node in NODES), 10, "the hold is over")
    lab.stays(lambda: lab.serves(lab.active), 1, "it serves on")


def test_hooks_come_and_run_at_the_next_change_of_role_only(lab):
    configure(lab)
    active = lab.start_pair()
    lab.wait_ready(active)
    out = os.path.join(lab.dir, "hooks")
    lab.script("note", '#!/bin/sh\necho "$DUET_NODE $DUET_HOOK" >>%s\n' % out)
    configure(lab, extra="".join('hook "%s" { on = %s  command = {"%s/note"} }\n' % (name, event, lab.dir) for name, event in
                                   (("before", "before-active"), ("up", "active"), ("down", "passive"))))
    reload_pair(lab, active)
    time.sleep(0.5)
    assert not os.path.exists(out)
    assert lab.duet(active, "switch").returncode == 0
    lab.wait_ready(other(active))
    lab.wait_for(lambda: os.path.exists(out) and len(open(out).read().splitlines()) == 3, 10, "the hooks of the change ran")
    said = open(out).read().splitlines()
    assert sorted(said) == sorted(["%s before-active" % other(active), "%s active" % other(active), "%s passive" % active])


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)


def test_L13_sync_sets_come_and_go(request):
    """The first one starts syncd, a further one has its first sync while the others stay, the last one ends it."""
    with SyncLab() as lab:
        request.node.lab = lab
        configure(lab)
        active = lab.start_pair()
        lab.wait_ready(active)
        before = facts(lab), pids(lab)
        for i in range(50):
            write(lab.data(active, "files", "file-%d" % i), "%d\n" % i)
        write(lab.data(active, "more", "one"), "1\n")
        assert lab.daemon_pid(active, "syncd") is None
        configure(lab, extra=lab.sync_set("files"))
        said = reload_pair(lab, active)
        assert "syncd       is started" in said[0]
        lab.wait_current()
        lab.wait_same("files")
        configure(lab, extra=lab.sync_set("more") + lab.sync_set("files"))
        said = reload_pair(lab, active)
        assert "syncd       starts anew by it" in said[0]
        lab.wait_for(lambda: all(lab.sync(node, "more") and lab.sync(node, "more")["state"] == "current" for node in NODES), 20,
                     "the added set is current")
        lab.wait_current()
        for name in ("files", "more"):
            write(lab.data(active, name, "later"), "later\n")
            lab.wait_same(name)
        configure(lab)
        said = reload_pair(lab, active)
        assert "syncd       is stopped" in said[0]
        lab.wait_for(lambda: not any(lab.daemon_pid(node, "syncd") for node in NODES), 10, "syncd has ended")
        write(lab.data(active, "files", "last"), "last\n")
        lab.stays(lambda: not os.path.exists(lab.data(other(active), "files", "last")), 1, "nothing is sent any more")
        assert (facts(lab), pids(lab)) == before


def test_C9_the_monitor_comes_and_goes(pair):
    lab = pair

    def metrics(node):
        done = subprocess.run(lab.network.exec(node, "curl", "-s", "-m", "2", "http://127.0.0.1:9572/metrics"), capture_output=True,
                              text=True, timeout=10)
        return done.stdout

    configure(lab, extra='monitor { metrics = "127.0.0.1:9572" }\n')
    assert "monitord    is started" in reload_pair(lab, lab.active)[0]
    lab.wait_for(lambda: "duet_role" in metrics(lab.active), 10, "metrics are served")
    configure(lab, extra='monitor { metrics = "127.0.0.1:9572" }\n' + service("kept"))
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: 'service="kept"' in metrics(lab.active), 10, "the added service is among them")
    configure(lab)
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: metrics(lab.active) == "", 10, "nobody serves them")


def test_L16_another_snmp_configuration(pair):
    lab = pair

    def snmp(name, port):
        write(os.path.join(lab.dir, name), "trap2sink 192.0.2.50:%d public\n" % port)
        os.chmod(os.path.join(lab.dir, name), 0o644)
        return 'snmp { config = "%s" }\n' % os.path.join(lab.dir, name)

    def sinks(node):
        return [sink["address"] for sink in lab.bus.topics(node, "trap").values()]

    configure(lab, extra=snmp("one", 1162))
    assert "trapd       is started" in reload_pair(lab, lab.active)[0]
    lab.wait_for(lambda: [sink.endswith(":1162") for sink in sinks(lab.active)] == [True], 10, "trapd has its sink")
    pid = lab.daemon_pid(lab.active, "trapd")
    configure(lab, extra=snmp("one", 1162) + service("kept"))
    assert "trapd       nothing of it concerns this daemon" in reload_pair(lab, lab.active)[0]
    configure(lab, extra=snmp("two", 1163) + service("kept"))
    assert "trapd       starts anew by it" in reload_pair(lab, lab.active)[0]
    lab.wait_for(lambda: [sink.endswith(":1163") for sink in sinks(lab.active)] == [True], 15, "trapd has the other sink")
    assert lab.daemon_pid(lab.active, "trapd") == pid


RELOADS = int(os.environ.get("RELOADS", "12"))


def test_any_change_after_any_other(pair):
    """Changes of all kinds together, in whatever order the nodes get them."""
    lab = pair
    wire_dmz(lab)
    rng = random.Random(int(os.environ.get("RELOADS_SEED", "1")))
    for turn in range(RELOADS):
        more = ["203.0.113.%d/24" % last for last in rng.sample(range(70, 90), rng.randrange(4))]
        parts = [part for part in (DMZ, service("one"), service("two", 1000 + rng.randrange(3), "always"), service("three")) if rng.random() < 0.6]
        rng.shuffle(parts)
        addresses = [ACTIVE["outside"] + "/24"] + more
        rng.shuffle(addresses)
        configure(lab, active={"outside": addresses}, extra="".join(parts), timers={"settle-time": "%ds" % rng.randrange(3, 9)})
        nodes = list(NODES)
        rng.shuffle(nodes)
        for node in nodes:
            list(reload_on(lab, node))
            time.sleep(rng.random() * 0.3)
        lab.wait_for(lambda: all(lab.role(node)["ready"] for node in NODES), 15, "ready, turn %d" % turn)
        wanted = {address.split("/")[0] for address in addresses}
        assert set(lab.kernel_addresses(lab.active, "outside")) == wanted, turn
        assert not wanted & set(lab.kernel_addresses(other(lab.active), "outside")), turn
        assert set(lab.kernel_addresses(lab.active, "dmz")) & {"198.18.7.10"} == ({"198.18.7.10"} if DMZ in parts else set()), turn
    for address in sorted(wanted):
        assert answers(lab, address) == [lab.active], address


def test_L3_the_first_address_of_ipv6_comes_with_its_router(pair):
    """A family that nothing listened for before."""
    lab = pair
    six.enable(lab)
    configure(lab, active={"outside": [ACTIVE["outside"] + "/24", six.OUTSIDE + "/64"], "inside": [ACTIVE["inside"] + "/24", six.INSIDE + "/64"]})
    text = open(lab.config).read()
    with open(lab.config, "w") as out:
        out.write(text.replace('router = {"%s"}' % ROUTER, 'router = {"%s", "%s"}' % (ROUTER, six.ROUTER6)))
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: six.served_by(lab, lab.active), 10, "both LANs reach it, and know where it is")
    lab.wait_for(lambda: all((lab.bus.last(node, "router/" + six.ROUTER6) or {}).get("answering") for node in NODES), 10,
                 "its router answers both nodes")
    configure(lab)
    reload_pair(lab, lab.active)
    lab.wait_for(lambda: not six.reaches(lab, "router", six.OUTSIDE), 10, "it is gone")
