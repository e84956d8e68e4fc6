"""Two nodes that are not on one segment of a channel: heartbeats by UDP through a router (DESIGN §4, heartbeat = udp).

The outside adapters of the nodes are in networks of their own, and the switch lets nothing pass between them: all goes by
the router. There is no reserved line, so that what is heard comes this way or by the inside LAN.
"""
import subprocess

import pytest
from lab.lab import Lab
from lab.network import ACTIVE, NODES, PASSIVE
from lab.pair import other

NETWORK = {"alpha": "10.1.0", "beta": "10.2.0"}
SERVED = "198.51.100.77"

CONFIG = """
cluster "lab" {
    profile = lan
    key-file = "%(dir)s/cluster.key"
    on-network-fault = demote
    reboot-command = {"%(dir)s/reboot"}
    reboot-force = off
    settle-time = 300ms
}
node "alpha" { }
node "beta" { }
channel "outside" {
    device = "outside"
    active-address = {"%(served)s/32"}
    router = {"10.1.0.1", "10.2.0.1"}
    mode = overlay
    search = off
    heartbeat = udp
    node "alpha" { passive-address = {"10.1.0.2/24"} }
    node "beta" { passive-address = {"10.2.0.2/24"} }
}
channel "inside" {
    device = "inside"
    active-address = {"%(inside)s/24"}
    search = off
    node "alpha" { passive-address = {"%(alpha)s/24"} }
    node "beta" { passive-address = {"%(beta)s/24"} }
}
"""


@pytest.fixture
def routed():
    with Lab() as lab:
        with open(lab.config, "w") as out:
            out.write(CONFIG % {"dir": lab.dir, "served": SERVED, "inside": ACTIVE["inside"], "alpha": PASSIVE["alpha"]["inside"],
                                "beta": PASSIVE["beta"]["inside"]})
        for node in NODES:
            lab.network.ip(node, "addr flush dev outside", "link set dev reserved down", "addr add %s.2/24 dev outside" % NETWORK[node],
                           "route add %s.0/24 via %s.1" % (NETWORK[other(node)], NETWORK[node]))
        lab.network.ip("router", *["addr add %s.1/24 dev outside" % NETWORK[node] for node in NODES])
        subprocess.run(lab.network.exec("router", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; for i in all outside; do "
                                        "echo 0 >/proc/sys/net/ipv4/conf/$i/send_redirects; done"), check=True)
        ports = [lab.network.port(node, "outside") for node in NODES]
        lab.network.drop("segments", *['iifname "%s" oifname "%s" drop' % (one, two) for one, two in (ports, ports[::-1])])
        yield lab


def path(lab, node, name):
    return lab.bus.last(node, "path/" + name)


def is_up(lab, name):
    return all(path(lab, node, name) and path(lab, node, name)["state"] == "up" for node in NODES)


def shown(lab, node, name):
    return next(row for row in lab.status(node)["paths"] if row["name"] == name)


def test_L7_heartbeats_go_by_udp_through_a_router(routed):
    """L7: they are heard, shown, and enough to tell a dead node from a dead LAN."""
    active = routed.start_pair()
    routed.wait_for(lambda: is_up(routed, "outside"), 10, "the path through the router is up")
    assert [shown(routed, active, name)["udp"] for name in ("outside", "inside")] == [True, False]
    assert [line for line in routed.duet(active, "status").stdout.splitlines() if "outside" in line and "up, by UDP" in line]

    routed.network.drop("inside", 'iifname "alpha-in" drop', 'iifname "beta-in" drop')  # now they have this path alone
    routed.wait_for(lambda: all(path(routed, node, "inside")["state"] == "down" for node in NODES), 10, "the inside path is down")
    routed.stays(lambda: routed.serves(active) and routed.hears_peer(other(active)), 2, "no change while UDP passes")

    routed.kill_duet(active)
    routed.wait_for(lambda: routed.serves(other(active)), 10, "the peer serves")


def test_one_direction_of_a_routed_path_is_one_way(routed):
    routed.start_pair()
    routed.wait_for(lambda: is_up(routed, "outside"), 10, "it is up")
    routed.network.drop("udp", "ip saddr 10.1.0.2 udp dport 5571 drop")
    routed.wait_for(lambda: (path(routed, "alpha", "outside")["state"], path(routed, "beta", "outside")["state"]) == ("one-way", "down"),
                    10, "alpha's are lost, beta's are heard")
    routed.network.heal("udp")
    routed.wait_for(lambda: is_up(routed, "outside"), 10, "it is up again")


def test_a_routed_path_waits_for_its_route(routed):
    """The system's routes come later than duet."""
    routed.network.ip("beta", "route del 10.1.0.0/24 via 10.2.0.1")
    routed.start_pair()
    routed.wait_for(lambda: path(routed, "beta", "outside") and path(routed, "beta", "outside")["state"] == "one-way", 10,
                    "beta hears alpha, and is not heard")
    routed.network.ip("beta", "route add 10.1.0.0/24 via 10.2.0.1")
    routed.wait_for(lambda: is_up(routed, "outside"), 10, "it is up")


def test_a_routed_channel_of_a_device_that_comes_back(routed):
    routed.start_pair()
    routed.wait_for(lambda: is_up(routed, "outside"), 10, "it is up")
    for change in ("down", "up"):
        routed.network.ip("beta", "link set dev outside " + change)
        if change == "down":
            routed.wait_for(lambda: path(routed, "alpha", "outside")["state"] == "down", 10, "it is down")
    routed.network.ip("beta", "route replace 10.1.0.0/24 via 10.2.0.1")
    routed.wait_for(lambda: is_up(routed, "outside"), 10, "it is up again")
