"""A clean end (SIGTERM) hands over, and leaves no active address behind."""

import time

from conftest import gap_ms
from lab.network import CHANNELS, PASSIVE
from lab.pair import other


def only_passive_addresses(lab, node):
    for channel in CHANNELS:
        assert lab.kernel_addresses(node, channel) == [PASSIVE[node][channel]], (node, channel)


def nothing_runs(lab, node):
    lab.wait_for(lambda: not lab.network.pids(node), 5, "no process of %s is left" % node)


def test_stop_of_the_active_node_hands_over(lab, figures):
    active = lab.start_pair()
    lab.wait_ready(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    assert lab.stop(active) == 0
    lab.wait_for(lambda: lab.serves(other(active)), 5, "%s serves" % other(active))
    time.sleep(0.2)
    gap = gap_ms(probe)
    figures("duet stopped on the active node", "gap %.1f ms" % gap)
    assert gap < 300, "faster than a takeover"
    only_passive_addresses(lab, active)
    nothing_runs(lab, active)
    assert all(watch.stop()["dual"] == 0 for watch in watches)
    assert lab.reboots == []
    lab.start(active)
    lab.wait_settled(other(active))


def test_stop_of_the_passive_node_changes_nothing(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    assert lab.stop(other(active)) == 0
    lab.stays(lambda: lab.serves(active), 2, "%s serves" % active)
    assert gap_ms(probe) < 100
    only_passive_addresses(lab, other(active))
    nothing_runs(lab, other(active))


def test_stop_of_both_leaves_no_active_address(lab):
    lab.write_config(extra=lab.service("guarded"))
    active = lab.start_pair()
    for node in (other(active), active):
        assert lab.stop(node) == 0
        only_passive_addresses(lab, node)
        nothing_runs(lab, node)
    for channel, address in (("inside", "192.0.2.10"), ("outside", "203.0.113.10")):
        assert lab.ask_once(channel, address) == []
