"""How long outsiders miss the pair: measured by a client's own packets, every half millisecond, judged by medians, with
the floor of the machine (the longest gap of an undisturbed run) beside it."""

import statistics
import time

import pytest
from conftest import gap_ms, summary_of
from lab.pair import other

TIMES = 10
PROBE_US = 500

pytestmark = pytest.mark.alone


def floor_ms(probe, seconds=3):
    """The longest gaps of as many quiet thirds of a second as fit: what the machine itself adds to a measurement."""
    found = []
    gap_ms(probe)
    for _ in range(seconds * 3):
        time.sleep(0.33)
        found.append(gap_ms(probe))
    return found


def measure(lab, fault, mend, probe):
    """TIMES outages, each from a pair that is ready; the roles alternate."""
    gaps = []
    for _ in range(TIMES):
        active = lab.wait_ready()
        gap_ms(probe)
        fault(active)
        lab.wait_for(lambda: lab.serves(other(active)), 5, "%s takes over" % other(active))
        time.sleep(0.15)
        gaps.append(gap_ms(probe))
        mend(active)
    return gaps


def judge(figures, what, gaps, floor, limit_ms):
    figures(what, summary_of(gaps) + "; floor " + summary_of(floor))
    assert statistics.median(gaps) < limit_ms, "%s: %s, floor %s" % (what, gaps, floor)


@pytest.mark.parametrize("profile, limit_ms", [("lan", 350), ("fast", 60)])
def test_L7_power_off(lab, figures, profile, limit_ms):
    lab.write_config(profile=profile)
    lab.start_pair()
    probe = lab.probe("inside", PROBE_US)
    floor = floor_ms(probe)
    gaps = measure(lab, lab.power_off, lab.power_on, probe)
    judge(figures, "power off, " + profile, gaps, floor, limit_ms)


@pytest.mark.parametrize("profile", ["lan", "fast"])
def test_L2_carrier_loss_of_one_channel(lab, figures, profile):
    """The inside cable of the active node is pulled; the client on that LAN measures."""
    lab.write_config(profile=profile, timers={"settle-time": "500ms"})
    lab.on_reboot, lab.forget_restarts = "cycle", True
    lab.start_pair()
    probe = lab.probe("inside", PROBE_US)
    floor = floor_ms(probe)

    def mend(node):
        before = len(lab.reboots)
        lab.wait_for(lambda: len(lab.reboots) > before or lab.reboots[-1:] == [node], 10, "the reboot of %s" % node)
        lab.network.plug_cable(node, "inside")

    gaps = measure(lab, lambda node: lab.network.pull_cable(node, "inside"), mend, probe)
    judge(figures, "carrier lost, " + profile, gaps, floor, 20)
    assert len(lab.reboots) == TIMES


def test_planned_switch(lab, figures):
    """Release, then claim: the peer holds the addresses as soon as the active node has let them go."""
    active = lab.start_pair()
    probe = lab.probe("inside", PROBE_US)
    floor = floor_ms(probe, 1)
    gaps = []
    for _ in range(6):
        lab.wait_ready(active)
        gap_ms(probe)
        done = lab.duet(active, "switch")
        assert done.returncode == 0, done.stderr
        active = lab.wait_settled(other(active), timeout=5)
        time.sleep(0.1)
        gaps.append(gap_ms(probe))
    judge(figures, "planned switch", gaps, floor, 50)
