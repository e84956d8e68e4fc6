"""Heartbeats cut, addresses answering or not (DESIGN R3, R4, R9)."""

import time

from conftest import gap_ms
from lab.network import CHANNELS, LINES
from lab.pair import other


def test_R4_cut_heartbeats_while_the_addresses_answer_are_no_takeover(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    probe = lab.probe("inside")
    time.sleep(0.2)
    gap_ms(probe)
    lab.network.cut_heartbeats()
    lab.stays(lambda: lab.serves(active) and not lab.serves(other(active)), 5, "no takeover")
    assert "peer-mute" in lab.bus.alarms(other(active)), "the alarm peer-mute"
    assert gap_ms(probe) < 200
    lab.network.restore_heartbeats()
    lab.wait_ready(active)
    assert all(watch.stop()["dual"] == 0 for watch in watches)
    assert lab.reboots == []


def test_R3_heartbeats_alone_keep_the_role(lab):
    """The addresses fall silent for the passive node, but heartbeats come: no takeover."""
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.drop("arp", *['ether type arp iifname "%s-%s" oifname "%s-%s" drop' % (one, lan, two, lan)
                              for lan in ("out", "in") for one, two in (("alpha", "beta"), ("beta", "alpha"))])
    lab.wait_for(lambda: {search["state"] for search in lab.bus.topics(other(active), "search").values()} == {"silent"},
                 3, "%s finds nobody" % other(active))
    lab.stays(lambda: lab.settled() == active, 3, "no takeover while heartbeats come")
    lab.network.heal("arp")
    lab.wait_ready(active)


def test_R3_isolated_passive_node_does_not_take_over(lab):
    """It hears and finds nobody, because its own cables are out."""
    active = lab.start_pair()
    lab.wait_ready(active)
    for line in LINES:
        lab.network.pull_cable(other(active), line)
    lab.stays(lambda: lab.serves(active) and lab.is_passive(other(active)), 3, "no takeover: it is the isolated one")
    for line in LINES:
        lab.network.plug_cable(other(active), line)
    lab.wait_ready(active)
    assert lab.reboots == []


def test_R3_R9_partition_makes_two_and_healing_leaves_the_higher_epoch(lab, figures):
    active = lab.start_pair()
    lab.wait_ready(active)
    taker = other(active)
    watch = lab.arpwatch("inside")
    lab.network.cut_pair()
    lab.wait_for(lambda: lab.serves(taker), 3, "%s takes over: it hears and finds nobody" % taker)
    assert lab.serves(active), "a partition without a witness: both serve"
    assert lab.role(taker)["epoch"] > lab.role(active)["epoch"]
    time.sleep(0.5)
    watch.summary()
    healed = time.monotonic()
    lab.network.heal_pair()
    lab.wait_for(lambda: lab.settled() == taker, 1, "exactly one active, the one with the higher epoch")
    took_ms = (time.monotonic() - healed) * 1000
    seen = watch.summary()
    figures("healed partition, until one serves", "%.0f ms; both answered for %.0f ms" % (took_ms, seen["dual_ms"]))
    assert seen["dual_ms"] < 1000
    lab.stays(lambda: lab.settled() == taker and lab.node_of(watch.owner) == taker, 2, "%s alone" % taker)
    assert watch.stop()["dual"] == 0


def test_R9_healing_by_the_reserved_line_alone_is_enough(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.cut_pair()
    lab.wait_for(lambda: lab.serves(other(active)), 3, "%s takes over" % other(active))
    # The LANs stay apart; only the line comes back.
    rules = [rule for rule in lab.network.drops["partition"] if "-line" not in rule]
    lab.network.drop("partition", *rules)
    lab.wait_for(lambda: lab.serves(other(active)) and lab.is_passive(active), 1, "the lower epoch released")


def test_R4_cut_line_alone_changes_nothing(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.pull_cable(active, "reserved")
    lab.stays(lambda: lab.settled() == active, 3, "the channels carry heartbeats as well")
    lab.network.plug_cable(active, "reserved")
    lab.stays(lambda: lab.settled() == active, 1, "no change of role")
