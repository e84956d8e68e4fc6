"""An announcement is a question: routers and neighbours are asked until they have answered (DESIGN section 7)."""
import json
import subprocess

from lab.network import ACTIVE, PASSIVE, ROUTER, mac
from lab.pair import other

# A router that does not listen to gratuitous ARP, in either form.
DEAF = """table netdev deaf {
    chain in {
        type filter hook ingress device "outside" priority 0;
        arp saddr ip %s arp daddr ip %s drop
    }
}
""" % (ACTIVE["outside"], ACTIVE["outside"])


def known(lab, machine, address):
    """The hardware address under which a machine knows another one now."""
    text = subprocess.run(lab.network.exec(machine, "ip", "-json", "neigh", "show", address), capture_output=True, text=True, check=True).stdout
    entries = json.loads(text or "[]")
    return entries[0].get("lladdr") if entries else None


def told(lab, node, channel="outside"):
    routers = lab.bus.last(node, "address/" + channel)["routers"]
    return [(router["address"], router["asked"], router["confirmed"]) for router in routers]


def test_a_router_that_ignores_gratuitous_arp_learns_the_new_owner(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    subprocess.run(lab.network.exec("router", "nft", "-f", "-"), input=DEAF, text=True, check=True)
    for _ in range(3):
        probe = lab.probe("outside")
        lab.wait_for(lambda: known(lab, "router", ACTIVE["outside"]) == mac(active, "outside"), 10, "the router knows the active node")
        done = lab.duet(active, "switch")
        assert done.returncode == 0, done.stderr
        active = other(active)
        lab.wait_ready(active)
        assert known(lab, "router", ACTIVE["outside"]) == mac(active, "outside")
        lab.wait_for(lambda: told(lab, active) == [(ROUTER, 1, 1)], 5, "it has confirmed that")
        assert told(lab, other(active)) == [(ROUTER, 0, 0)]
        assert probe.stop()["lost"] == 0
    assert "router %s on outside knows the new owner of 1 address after" % ROUTER in lab.log(active)


def test_neighbours_that_know_the_address_are_asked_too(lab):
    """The client had asked for the active address while the other node served; it is asked by the one that takes over. That one
    served before, and had heard how the other searched: the dead peer is not asked."""
    first = lab.start_pair()
    active = other(first)
    lab.wait_ready(first)
    lab.wait_for(lambda: (PASSIVE[active]["inside"], ACTIVE["inside"]) in
                 [(sender, target) for _, sender, _, target in lab.arp_requests(first, "inside", 0.5)], 10, "the passive node searches")
    done = lab.duet(first, "switch")
    assert done.returncode == 0, done.stderr
    lab.wait_ready(active)
    probe = lab.probe("inside")
    lab.wait_for(lambda: probe.snapshot()["received"] > 0, 5, "the client has asked, and was answered")
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(first), 5, "the other one takes over")

    def asked():
        channel = lab.bus.last(first, "address/inside")
        return (channel["neighbours"], channel["neighbours_confirmed"])

    lab.wait_for(lambda: asked() == (1, 1), 20, "the client, and it alone, was asked, and has confirmed")


def test_a_router_that_is_dead_is_told_as_not_confirmed(lab):
    """It is asked for as long as that makes sense, and then it is said."""
    lab.network.kill_router()
    for node in ("alpha", "beta"):
        lab.start(node)
    active = lab.wait_settled()
    lab.wait_for(lambda: told(lab, active) == [(ROUTER, 1, 0)], 5, "it was asked, and did not answer")
    lab.network.restore_router()
    lab.wait_for(lambda: told(lab, active) == [(ROUTER, 1, 1)], 30, "it has confirmed that, once it was back")
