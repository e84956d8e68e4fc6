"""Routers that fall silent, for one node or for both (DESIGN R6), and survivors that are alone."""

import time

import pytest
from conftest import gap_ms
from lab.network import CHANNELS, mac
from lab.pair import other


def test_L10_router_that_dies_for_both_changes_nothing(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    probe = lab.probe("inside")
    time.sleep(0.2)
    gap_ms(probe)
    lab.network.kill_router()
    lab.wait_for(lambda: "network-fault" in lab.bus.alarms(active), 5, "the alarm network-fault")
    lab.stays(lambda: lab.serves(active) and lab.is_passive(other(active)), 6, "no change of role")
    assert lab.reboots == []
    assert probe.snapshot()["open_ms"] < 100, "the inside LAN is served as before"
    assert lab.duet(active, "status").returncode == 1, "degraded"
    lab.network.restore_router()
    lab.wait_for(lambda: not lab.bus.alarms(active), 15, "the alarm ends")
    assert lab.wait_ready() == active
    assert lab.reboots == []


def test_R6_a_lost_carrier_moves_nothing_while_the_peer_has_no_newer_evidence(lab):
    """The switch died for both, only that the peer does not know yet: the active node shuts its answers in hope, and opens
    them again. What comes to it goes through all the while."""
    active = lab.start_pair()
    lab.wait_ready(active)
    probe, watch = lab.probe("inside"), lab.arpwatch("inside")
    time.sleep(0.3)
    gap_ms(probe)
    lab.network.mute_router_for(other(active))
    lab.network.pull_cable(active, "outside")
    lab.wait_for(lambda: "R6-aloud" in lab.log(active), 5, "the answers are open again")
    lab.stays(lambda: lab.serves(active) and lab.is_passive(other(active)), 3, "no change of role")
    assert lab.log(active).count("R6-quiet") == lab.log(active).count("R6-aloud") == 1, "once, not each time that nothing is new"
    assert lab.reboots == [] and "R6-network" not in lab.log(active)
    assert gap_ms(probe) < 100, "the inside LAN is served as before"
    assert lab.node_of(watch.owner) == active, "and its ARP is answered again"
    lab.network.hear_router_for(other(active))
    lab.wait_for(lambda: lab.serves(other(active)), 10, "now the peer hears the router, and is given the role")


def test_L10_a_router_that_misses_a_few_is_no_fault(lab):
    """Several in a row are a fault, with the default timers after 600 ms at the earliest; one or two are none."""
    active = lab.start_pair()
    lab.wait_ready(active)
    for _ in range(5):
        lab.network.mute_router_for(active)
        time.sleep(0.3)
        lab.network.hear_router_for(active)
        lab.stays(lambda: lab.settled() == active, 0.5, "no change of role for a router that missed a few")
    assert lab.usable(active) and lab.reboots == []


def test_L10_a_router_that_talks_answers_without_being_asked(lab):
    """check-only-idle: any frame of the router's is an answer. It answers no ARP here, and sends all the time; when that
    ends, it is asked, and silent."""
    lab.write_config(on_network_fault="demote", keys={"outside": ["check-only-idle = on"]},
                     timers={"takeover-after": "1500ms", "address-lease": "1s", "search-time": "3s"})  # no stall of a busy machine
    active = lab.start_pair()
    lab.wait_ready(active)
    probe = lab.probe("outside", every_us=5000)
    lab.wait_for(lambda: lab.bus.last(active, "router/203.0.113.1")["answering"], 5, "the router answers")
    lab.network.drop("no-arp", 'arp saddr ip 203.0.113.1 oifname "%s" drop' % lab.network.port(active, "outside"))
    lab.stays(lambda: lab.settled() == active and lab.usable(active), 3, "no fault while the router sends")
    asked = lambda: [r for r in lab.arp_requests(active, "outside", 2) if r[3] == "203.0.113.1" and r[0] == mac(active, "outside")]
    lab.wait_for(lambda: len(asked()) <= 1, 30, "it is left alone, but for a moment after a heartbeat that was late")
    probe.stop()
    lab.wait_for(lambda: lab.serves(other(active)), 5, "handover to %s" % other(active))
    assert lab.reboots == []


@pytest.mark.parametrize("action", ["reboot", "demote"])
def test_L10_router_silent_for_the_active_node_only(lab, action):
    lab.write_config(on_network_fault=action, timers={"settle-time": "1s"})
    active = lab.start_pair()
    lab.wait_ready(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    lab.network.mute_router_for(active)
    lab.wait_for(lambda: lab.serves(other(active)), 5, "handover to %s" % other(active))
    lab.wait_settled(other(active))
    if action == "reboot":
        lab.wait_for(lambda: lab.reboots == [active], 5, "its reboot-command")
    else:
        lab.stays(lambda: lab.settled() == other(active), 3, "%s stays passive" % active)
        assert lab.reboots == []
        assert not lab.role(active)["fit"]
        lab.network.hear_router_for(active)
        lab.wait_ready(other(active))
    assert all(watch.stop()["dual"] == 0 for watch in watches)


def test_router_silent_for_the_passive_node_changes_nothing(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.mute_router_for(other(active))
    lab.wait_for(lambda: not lab.usable(other(active)), 5, "%s notices" % other(active))
    lab.stays(lambda: lab.settled() == active, 3, "no change of role")
    assert lab.reboots == []


@pytest.mark.parametrize("routers", [("outside",), ()], ids=["with-router", "without-router"])
def test_survivor_alone_stays_active(lab, routers):
    lab.write_config(routers=routers)
    active = lab.start_pair()
    lab.wait_ready(active)
    survivor = other(active)
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(survivor), 3, "%s takes over" % survivor)
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    lab.stays(lambda: lab.serves(survivor), 8, "%s serves alone" % survivor)
    assert gap_ms(probe) < 300
    assert lab.reboots == []


def test_survivor_alone_without_its_router_stays_active(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    survivor = other(active)
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(survivor), 3, "%s takes over" % survivor)
    lab.network.kill_router()
    lab.wait_for(lambda: "network-fault" in lab.bus.alarms(survivor), 5, "the alarm network-fault")
    lab.stays(lambda: lab.role(survivor)["role"] == "active", 5, "%s is active, alone" % survivor)
    lab.wait_for(lambda: lab.serves(survivor), 5, "%s serves alone" % survivor)
    assert lab.reboots == []


def test_cold_start_alone_becomes_active(lab):
    lab.start("beta")
    begin = time.monotonic()
    lab.wait_for(lambda: lab.serves("beta"), 8, "beta serves without ever having seen a peer")
    assert time.monotonic() - begin < 8
