"""A pair that serves by IPv6 alone: search, router test, gate and announcements by Neighbor Discovery (DESIGN §4, §7)."""
import os
import signal
import subprocess
import time

import pytest
from lab.network import LINES, NODES, mac
from lab.pair import other

OUTSIDE, INSIDE, ROUTER6, CLIENT6 = "2001:db8::10", "2001:db8:1::10", "2001:db8::1", "2001:db8:1::50"
PASSIVE6 = {"alpha": {"outside": "2001:db8::a", "inside": "2001:db8:1::a"},
            "beta": {"outside": "2001:db8::b", "inside": "2001:db8:1::b"}}


def enable(lab):
    """IPv6 on every machine, which has none in the laboratory otherwise; without waiting for duplicate detection."""
    for machine in (*NODES, "router", "client"):
        lines = LINES if machine in NODES else {"router": ["outside"], "client": ["inside"]}[machine]
        words = " ".join("echo 0 >/proc/sys/net/ipv6/conf/%s/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/%s/disable_ipv6;" % (d, d)
                         for d in ("default", *lines))
        forward = "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding;" if machine in NODES else ""
        subprocess.run(lab.network.exec(machine, "sh", "-c", words + forward), check=True)
    lab.network.ip("router", "addr add %s/64 dev outside nodad" % ROUTER6, "route add 2001:db8:1::/64 via %s" % OUTSIDE)
    lab.network.ip("client", "addr add %s/64 dev inside nodad" % CLIENT6, "route add default via %s" % INSIDE)


def configure(lab, profile="lan"):
    lab.write_config(profile=profile, on_network_fault="demote", active={"outside": [OUTSIDE + "/64"], "inside": [INSIDE + "/64"]})
    text = open(lab.config).read()
    for node in NODES:
        for channel in ("outside", "inside"):
            from_, to = '"%s"' % lab_passive(node, channel), '"%s/64"' % PASSIVE6[node][channel]
            assert from_ in text
            text = text.replace(from_, to)
    text = text.replace('router = {"203.0.113.1"}', 'router = {"%s"}' % ROUTER6)
    text = text.replace('route "default" { via = "203.0.113.1"', 'route "::/0" { via = "%s"' % ROUTER6)
    with open(lab.config, "w") as out:
        out.write(text)


def lab_passive(node, channel):
    from lab.network import PASSIVE
    return PASSIVE[node][channel] + "/24"


@pytest.fixture
def six(lab):
    enable(lab)
    configure(lab)
    return lab


def reaches(lab, machine, address):
    return subprocess.run(lab.network.exec(machine, "ping", "-6", "-n", "-q", "-c", "1", "-W", "0.5", address),
                          capture_output=True).returncode == 0


def known(lab, machine, address):
    words = subprocess.run(lab.network.exec(machine, "ip", "-6", "neigh", "show", address), capture_output=True, text=True).stdout.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


def served_by(lab, node):
    """Both LANs reach the gateway, and know the node's hardware address for it."""
    return (reaches(lab, "client", INSIDE) and known(lab, "client", INSIDE) == mac(node, "inside") and
            reaches(lab, "router", OUTSIDE) and known(lab, "router", OUTSIDE) == mac(node, "outside"))


def test_L7_takeover_by_ipv6(six):
    active = six.start_pair()
    six.wait_ready(active)
    six.wait_for(lambda: served_by(six, active), 5, "%s is reached" % active)
    assert reaches(six, "client", ROUTER6), "through the gateway"
    six.power_off(active)
    six.wait_for(lambda: six.serves(other(active)), 5, "%s takes over" % other(active))
    six.wait_for(lambda: served_by(six, other(active)), 5, "%s is reached" % other(active))
    assert reaches(six, "client", ROUTER6), "through the gateway, by the route that follows the role"
    told = six.bus.last(other(active), "address/outside")["routers"]
    assert [(router["address"], router["asked"], router["confirmed"]) for router in told] == [(ROUTER6, 1, 1)]


def test_R4_the_search_finds_who_serves_by_ipv6(six):
    active = six.start_pair()
    six.wait_ready(active)
    six.network.cut_heartbeats()
    six.stays(lambda: six.serves(active) and not six.serves(other(active)), 3, "no takeover: the addresses answer")
    assert "peer-mute" in six.bus.alarms(other(active))
    states = {search["state"] for search in six.bus.topics(other(active), "search").values()}
    assert states == {"answered"}
    six.network.restore_heartbeats()
    six.wait_ready(active)


def test_L10_a_router_that_one_node_does_not_hear_moves_the_role(six):
    active = six.start_pair()
    six.wait_ready(active)
    six.network.mute_router_for(active)
    six.wait_for(lambda: six.serves(other(active)), 10, "%s takes the role: it hears the router" % other(active))
    six.network.hear_router_for(active)
    six.wait_for(lambda: served_by(six, other(active)), 5, "%s is reached" % other(active))


def test_R13_a_switch_loses_nothing_by_ipv6(six):
    active = six.start_pair()
    six.wait_ready(active)
    six.wait_for(lambda: served_by(six, active), 5, "%s is reached" % active)
    ping = subprocess.Popen(six.network.exec("client", "ping", "-6", "-n", "-q", "-i", "0.002", INSIDE), stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    for _ in range(3):
        done = six.duet(active, "switch")
        assert done.returncode == 0, done.stderr
        active = six.wait_ready(other(active))
    time.sleep(0.2)
    ping.send_signal(signal.SIGINT)
    said = ping.communicate(timeout=10)[0]
    assert " 0% packet loss" in said, said
    assert known(six, "client", INSIDE) == mac(active, "inside")


def test_R12_stopped_it_falls_silent_by_ipv6(six):
    active = six.start_pair()
    six.wait_ready(active)
    for pid in six.network.pids(active):
        os.kill(pid, signal.SIGSTOP)
    six.wait_for(lambda: six.serves(other(active)), 5, "%s takes over" % other(active))
    six.wait_for(lambda: served_by(six, other(active)), 5, "%s is reached" % other(active))
    for pid in six.network.pids(active):
        os.kill(pid, signal.SIGCONT)
    six.wait_ready(other(active))
    assert served_by(six, other(active))
