"""Guarded services: the thin part of L8, L11, L12 (DESIGN R7)."""

import os
import signal
import time

import pytest
from lab.pair import other


def running(lab, node):
    service = lab.bus.last(node, "service/guarded")
    return service if service and service["state"] == "running" and service["pid"] else None


def state(lab, node):
    service = lab.bus.last(node, "service/guarded")
    return service and service["state"]


def start(lab, **keys):
    lab.write_config(timers={"settle-time": "1s"}, extra=lab.service("guarded", **keys))
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.wait_for(lambda: running(lab, active), 5, "the service runs on %s" % active)
    return active


def test_L11_service_that_dies_is_started_again(lab):
    active = start(lab)
    pid = running(lab, active)["pid"]
    os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: (s := running(lab, active)) and s["pid"] != pid, 3, "started again")
    lab.stays(lambda: lab.settled() == active, 1, "no change of role")
    assert running(lab, active)["restarts"] >= 1


def test_L8_service_runs_on_the_active_node_only(lab):
    active = start(lab)
    lab.wait_for(lambda: state(lab, other(active)) == "stopped", 3, "it does not run on the passive one")
    assert lab.duet(active, "switch").returncode == 0
    lab.wait_settled(other(active))
    lab.wait_for(lambda: running(lab, other(active)), 5, "it runs on the new active node")
    lab.wait_for(lambda: state(lab, active) == "stopped", 5, "no longer on the old one")


@pytest.mark.parametrize("action", ["reboot", "demote"])
def test_L12_service_that_stays_down_hands_over(lab, action):
    active = start(lab, on_failure=action)
    lab.break_service(active)
    lab.wait_for(lambda: lab.serves(other(active)), 10, "handover to %s" % other(active))
    lab.wait_for(lambda: running(lab, other(active)), 5, "its service runs")
    lab.wait_settled(other(active))
    if action == "reboot":
        lab.wait_for(lambda: lab.reboots == [active], 5, "its reboot-command")
    else:
        lab.stays(lambda: lab.settled() == other(active), 2, "passive")
        assert lab.reboots == [] and not lab.role(active)["fit"]
        lab.mend_service(active)
        lab.stays(lambda: not lab.role(active)["fit"], 2, "not cured by being passive")
        assert lab.duet(active, "clear").returncode == 0
        lab.wait_ready(other(active))


def test_L8_services_end_with_the_addresses_when_arbiterd_hangs(lab):
    active = start(lab)
    pid = running(lab, active)["pid"]
    arbiterd = lab.daemon_pid(active, "arbiterd")
    os.kill(arbiterd, signal.SIGSTOP)
    try:
        lab.wait_for(lambda: running(lab, other(active)), 5, "the peer serves, and runs it")
        lab.wait_for(lambda: state(lab, active) == "stopped", 5, "it ends on the node whose arbiterd hangs")
        assert not os.path.exists("/proc/%d" % pid)
    finally:
        os.kill(arbiterd, signal.SIGCONT)
    lab.wait_settled(other(active))
    lab.stays(lambda: state(lab, active) == "stopped", 1, "it stays stopped there")


def test_R7_service_that_fails_on_both_is_no_ping_pong(lab):
    active = start(lab, on_failure="demote")
    for node in (active, other(active)):
        lab.break_service(node)
    time.sleep(4)

    def claims():
        return len([change for change in lab.bus.changes if change[3] == "claiming"])

    before = claims()
    lab.stays(lambda: claims() == before and sum(map(lab.serves, (active, other(active)))) <= 1, 5,
              "no further handover, and at most one serves")
    after = lab.wait_settled()
    assert lab.bus.alarms(after), "an alarm"
    assert lab.reboots == []


def test_R7_ignored_failure_is_an_alarm_only(lab):
    active = start(lab, on_failure="ignore")
    lab.break_service(active)
    lab.wait_for(lambda: state(lab, active) == "failed", 10, "it failed for good")
    lab.stays(lambda: lab.settled() == active, 2, "no change of role")
    assert lab.reboots == []
