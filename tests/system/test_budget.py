"""The figures that `duet check-config` prints against measured ones: no fault takes longer than it says (DESIGN §11).

Three of each, judged by the median, with what the machine itself adds (the longest gap of an undisturbed run) taken off:
the printed figures allow for a machine that is not overloaded."""

import os
import re
import signal
import statistics
import time

import pytest
from conftest import gap_ms, summary_of
from lab.pair import other

TIMES = 3

pytestmark = pytest.mark.alone


def milliseconds(duration):
    """`1s250ms`, as duet prints it."""
    units = {"ms": 1, "s": 1000, "m": 60000, "us": 0.001}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|us|s|m)", duration))


def printed(lab, fault):
    """The longest outage that the configuration allows for that fault."""
    done = lab.duet("alpha", "check-config")
    assert done.returncode == 0, done.stderr
    found = re.search(r"^  %s +detected.*\n +outage +(\S+) =" % re.escape(fault), done.stdout, re.M)
    assert found, done.stdout
    return milliseconds(found[1])


def stop_for_good(daemon):
    def fault(lab, node):
        os.kill(lab.daemon_pid(node, daemon), signal.SIGSTOP)

    def mend(lab, node):
        os.kill(lab.daemon_pid(node, daemon), signal.SIGCONT)

    return fault, mend


FAULTS = {
    "power off": (lambda lab, node: lab.power_off(node), lambda lab, node: lab.power_on(node)),
    "all of duet killed or stopped": (lambda lab, node: lab.kill_duet(node), lambda lab, node: lab.start(node)),
    "arbiterd or heartbeatd hangs (arbiterd)": stop_for_good("arbiterd"),
    "arbiterd or heartbeatd hangs (heartbeatd)": stop_for_good("heartbeatd"),
    "takeoverd hangs": stop_for_good("takeoverd"),
    "carrier lost on one channel": (lambda lab, node: lab.network.pull_cable(node, "inside"),
                                    lambda lab, node: lab.network.plug_cable(node, "inside")),
    "router silent on one side": (lambda lab, node: lab.network.mute_router_for(node),
                                  lambda lab, node: lab.network.hear_router_for(node)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_outage_is_longer_than_check_config_says(lab, figures, fault):
    lab.write_config(on_network_fault="demote", timers={"settle-time": "500ms"})
    most = printed(lab, fault.split(" (")[0])
    strike, mend = FAULTS[fault]
    lab.start_pair()
    probe = lab.probe("through" if fault.startswith("router") else "inside")
    floor, gaps = [], []
    for _ in range(TIMES):
        active = lab.wait_ready(timeout=30)
        time.sleep(0.3)
        gap_ms(probe)
        time.sleep(0.5)
        floor.append(gap_ms(probe))
        strike(lab, active)
        lab.wait_for(lambda: lab.serves(other(active)), 15, "%s takes over" % other(active))
        time.sleep(0.2)
        gaps.append(gap_ms(probe))
        mend(lab, active)
    figures("longest outage: " + fault, "printed %.0f ms; measured %s; floor %s" % (most, summary_of(gaps), summary_of(floor)))
    assert statistics.median(gaps) <= most + max(floor), (gaps, floor)
