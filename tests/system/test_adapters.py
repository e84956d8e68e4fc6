"""Adapters that are not as simple as a card with a cable: sub-interfaces with names and an MTU of their own, that vanish and
come back, and what the kernel takes along when one goes down (DESIGN §7)."""

import subprocess

import pytest
from lab.network import ACTIVE, NODES, PASSIVE, mac
from lab.pair import other

SUB = "inside.7"  # as a VLAN's sub-interface would be called; of macvlan, which every kernel here has
MTU = 600


def add_sub(lab, node):
    """As the operating system makes it: with the adapter's own MAC address, the passive address, and a small MTU."""
    lab.network.ip(node, "addr flush dev inside", "link add link inside name %s address %s type macvlan mode bridge"
                   % (SUB, mac(node, "inside").replace("02:00", "02:07", 1)), "link set %s mtu %d up" % (SUB, MTU),
                   "addr replace %s/24 dev %s" % (PASSIVE[node]["inside"], SUB))


def del_sub(lab, node):
    lab.network.ip(node, "link del %s" % SUB)


def answers(lab, node):
    return lab.ask_once("inside", ACTIVE["inside"]) == [mac(node, "inside").replace("02:00", "02:07", 1)]


@pytest.fixture
def sub(lab):
    for node in NODES:
        add_sub(lab, node)
        # Unlike a VLAN's, its card is in the same network, and would answer as well for what the machine has.
        subprocess.run(lab.network.exec(node, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/inside/arp_ignore"), check=True)
    lab.write_config(on_network_fault="demote", timers={"settle-time": "300ms"})
    with open(lab.config) as file:
        text = file.read()
    with open(lab.config, "w") as file:
        file.write(text.replace('device = "inside"', 'device = "%s"' % SUB))
    return lab


def test_L8_a_named_sub_interface_with_a_small_mtu_serves(sub):
    """Heartbeats fit, the addresses are there, neighbours learn them, and the MTU is nobody's but the system's."""
    active = sub.start_pair()
    sub.wait_ready(active)
    sub.wait_for(lambda: sub.bus.last(active, "path/inside")["state"] == "up", 10, "heartbeats pass there")
    assert ACTIVE["inside"] in sub.kernel_addresses(active, SUB) and ACTIVE["inside"] not in sub.kernel_addresses(active, "inside")
    sub.wait_for(lambda: answers(sub, active), 5, "%s answers" % active)
    assert sub.duet(active, "switch").returncode == 0
    sub.wait_for(lambda: answers(sub, other(active)), 5, "%s answers" % other(active))
    sub.wait_ready(other(active))
    assert all(sub.status(node)["channels"][1]["device"] == SUB for node in NODES)


def test_L2_a_sub_interface_that_vanishes_moves_the_role_and_may_come_back(sub):
    active = sub.start_pair()
    sub.wait_ready(active)
    del_sub(sub, active)
    sub.wait_for(lambda: sub.serves(other(active)), 5, "handover to %s" % other(active))
    sub.wait_for(lambda: answers(sub, other(active)), 5, "%s answers" % other(active))
    assert not sub.bus.last(active, "link/inside")["present"]
    add_sub(sub, active)
    sub.wait_ready(other(active), timeout=60)
    sub.wait_for(lambda: sub.bus.last(active, "path/inside")["state"] == "up", 10, "heartbeats pass there")
    assert sub.kernel_addresses(active, SUB) == [PASSIVE[active]["inside"]]
    assert sub.duet(other(active), "switch").returncode == 0
    sub.wait_for(lambda: answers(sub, active), 5, "%s answers" % active)


def test_L8_routes_come_back_with_their_adapter(lab):
    """The adapter is set down and up on a node that stands alone: addresses stay in the kernel, routes do not."""
    lab.start("alpha")
    lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
    lab.network.ip("alpha", "link set outside down")
    lab.wait_for(lambda: lab.bus.last("alpha", "address")["state"] == "failed", 5, "it is told that the route is missing")
    lab.network.ip("alpha", "link set outside up")
    lab.wait_for(lambda: lab.serves("alpha"), 5, "all is there again")
    probe = lab.probe("through")
    lab.wait_for(lambda: probe.snapshot()["received"] > 0, 5, "traffic goes through")
