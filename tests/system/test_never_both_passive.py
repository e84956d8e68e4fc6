"""Whatever restarts or fails: one node is active again within a bounded time (DESIGN R2, I3)."""

import os
import random
import signal
import subprocess
import time

import pytest
from lab.network import CHANNELS, NODES, mac


def kill_daemon(lab, node, daemon):
    pid = lab.daemon_pid(node, daemon)
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return pid


def one_is_active_and_never_two(lab, watches, timeout):
    """Within `timeout`; then it must stay so."""
    active = lab.wait_settled(timeout=timeout)
    time.sleep(0.05)
    lab.stays(lambda: lab.settled() == active and {lab.node_of(watch.owner) for watch in watches} == {active}, 1,
              "%s is active, and outsiders see it" % active)
    for watch in watches:
        seen = watch.stop()
        assert seen["dual"] == 0, seen
    return active


@pytest.mark.parametrize("seed", [1, 2])
def test_arbiterd_killed_at_random_moments(lab, seed):
    dice = random.Random(seed)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    for node in NODES:
        lab.start(node)
    killed = 0
    end = time.monotonic() + 10
    while time.monotonic() < end:  # begins in the middle of the start
        time.sleep(dice.uniform(0.05, 0.6))
        killed += kill_daemon(lab, dice.choice(NODES), "arbiterd") is not None
    assert killed >= 10
    one_is_active_and_never_two(lab, watches, 10)


def test_both_arbiters_killed_at_once(lab):
    lab.start_pair()
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    for pause in (0, 0.02, 0.1, 0.3, 0.7):
        for node in NODES:
            kill_daemon(lab, node, "arbiterd")
            time.sleep(pause)
        lab.wait_settled(timeout=10)
    one_is_active_and_never_two(lab, watches, 10)


def test_claim_whose_address_cannot_be_added(lab):
    """One node's kernel refuses an active address (IPv6 is off on that adapter): it gives up, the other one claims."""
    both = ["192.0.2.10/24", "2001:db8::10/64"]
    lab.write_config(active={"inside": both})
    allow = "echo 0 >/proc/sys/net/ipv6/conf/inside/disable_ipv6"
    subprocess.run(lab.network.exec("beta", "sh", "-c", allow), check=True)
    lab.start("alpha")  # first started, so it claims first
    time.sleep(0.3)
    lab.start("beta")
    lab.wait_settled("beta", timeout=12)
    lab.stays(lambda: lab.settled() == "beta", 3, "beta stays active")
    assert not lab.role("alpha")["fit"]
    assert lab.ask_once("inside", "192.0.2.10") == [mac("beta", "inside")]
    assert lab.kernel_addresses("alpha", "inside") == ["192.0.2.11"]


@pytest.mark.parametrize("line", ["line-up", "line-cut"])
def test_both_boot_while_the_switch_keeps_its_ports_closed(lab, line):
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    for node in NODES:
        lab.network.close_ports(node)
    if line == "line-cut":
        lab.network.pull_cable("alpha", "reserved")
    for node in NODES:
        lab.start(node)
    time.sleep(5)
    for node in NODES:
        lab.network.open_ports(node)
    # search-time, then handover-time if the better one does not claim, and a second for the machine
    active = one_is_active_and_never_two(lab, watches, 0.6 + 3 + 1)
    assert lab.reboots == []
    claimed = {change[1] for change in lab.bus.changes if change[2] == "active"}
    assert claimed == {active}, "the other one never thought of itself as active"


def test_one_node_boots_with_closed_ports_beside_an_active_one(lab):
    """It hears the peer on the line only: alive, so nothing changes."""
    active = lab.start_pair(first="alpha")
    lab.power_off("beta")
    lab.network.close_ports("beta")
    lab.power_on("beta")
    lab.wait_for(lambda: lab.is_passive("beta"), 10, "beta is passive")
    lab.stays(lambda: lab.serves(active) and not lab.serves("beta"), 3, "alpha goes on")
    lab.network.open_ports("beta")
    lab.wait_ready("alpha")
