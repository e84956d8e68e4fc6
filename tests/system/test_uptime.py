"""Machines that have been up for long: a node's clock is 400 days, or five years, ahead (time_namespaces(7)). After 104 days
CLOCK_BOOTTIME in nanoseconds is beyond 2^53, after 497 days SNMP's TimeTicks are beyond 32 bits (C3)."""

import json
import subprocess

import pytest
from lab.network import NODES
from lab.pair import other

DAY = 86400
EXACT_MAX = 2**53


@pytest.fixture
def old(lab):
    """A pair of such machines, not started."""
    seen = subprocess.run(["unshare", "--time", "--boottime", str(400 * DAY), "cat", "/proc/uptime"], capture_output=True, text=True)
    if seen.returncode != 0 or float(seen.stdout.split()[0]) < 400 * DAY:
        pytest.skip("this kernel gives no program another CLOCK_BOOTTIME")
    lab.uptimes.update(alpha=400 * DAY, beta=5 * 365 * DAY)
    return lab


def test_a_pair_that_has_been_up_for_years(old):
    """It finds its roles, hands over, takes over, and tells why; each by its own clock, which no other node's is compared with."""
    old.write_config(timers={"settle-time": "500ms"}, extra=old.service())
    active = old.start_pair()
    old.wait_ready(active)
    assert old.bus.last(active, "role")["lease_ns"] > EXACT_MAX
    assert old.duet(active, "switch").returncode == 0
    active = old.wait_settled(other(active))
    old.wait_ready(active)
    old.power_off(active)
    survivor = other(active)
    old.wait_for(lambda: old.serves(survivor), 20, "the other one takes over")
    told = json.loads(old.duet(survivor, "why", "--json").stdout)
    assert told["rule"] == "R3-takeover" and told["at_ns"] > EXACT_MAX
    assert "considered R4-mute" in old.duet(survivor, "why").stdout
    old.power_on(active)
    old.wait_ready(survivor)
    for node in NODES:
        status = json.loads(old.duet(node, "status", "--json").stdout)
        assert old.bus.last(node, "daemon/arbiterd")["dropped"] == 0, status
    assert old.duet(survivor, "status").returncode in (0, 1)
    assert old.settled() == survivor
