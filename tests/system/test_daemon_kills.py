"""kill -9 of each daemon in turn, on each node; `duet run` starts it again. docs/architecture.md has the effects."""

import os
import signal
import time

import pytest
from conftest import gap_ms
from lab.network import CHANNELS
from lab.pair import other

# The most that the death of a daemon of the active node may cost the client, in ms, with profile lan.
DAEMONS = ("arbiterd", "heartbeatd", "takeoverd", "superviserd")
WORST_MS = {"arbiterd": 1500, "heartbeatd": 1500, "takeoverd": 1500, "superviserd": 300}


def service_pid(lab, node):
    service = lab.bus.last(node, "service/guarded")
    return service["pid"] if service and service["state"] == "running" else None


def test_R1_arbiterd_resumes_while_its_lease_stands(lab):
    """Killed and started again faster than the lease runs out, it goes on under the same epoch, and outsiders notice
    nothing. The machine may be too slow for that now and then, but not five times."""
    active = lab.start_pair()
    probe = lab.probe("inside")
    for _ in range(5):
        active = lab.wait_ready()
        epoch = lab.role(active)["epoch"]
        gap_ms(probe)
        old = lab.daemon_pid(active, "arbiterd")
        os.kill(old, signal.SIGKILL)
        lab.wait_for(lambda: lab.daemon_pid(active, "arbiterd") not in (None, old), 5, "arbiterd is started again")
        time.sleep(1)
        role = lab.role(active)
        if (role["phase"], role["epoch"], role["rule"]) == ("active", epoch, "R1-resume"):
            assert gap_ms(probe) < 100, "outsiders notice nothing"
            return
    raise AssertionError("never resumed: %s" % lab.describe())


@pytest.mark.parametrize("where", ["active", "passive"])
@pytest.mark.parametrize("daemon", DAEMONS)
def test_kill_of_a_daemon(lab, figures, daemon, where):
    lab.write_config(extra=lab.service("guarded"))
    active = lab.start_pair()
    lab.wait_ready(active)
    service = lab.wait_for(lambda: service_pid(lab, active), 5, "the service runs")
    victim = active if where == "active" else other(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    changes = len(lab.bus.changes)
    old = lab.daemon_pid(victim, daemon)
    os.kill(old, signal.SIGKILL)
    lab.wait_for(lambda: lab.daemon_pid(victim, daemon) not in (None, old), 5, "%s is started again" % daemon)
    time.sleep(1)
    after = lab.wait_ready(timeout=30)
    gap = gap_ms(probe)
    roles = [change[1:4] for change in lab.bus.changes[changes:] if change[2] == "active"]
    figures("kill -9 %s, %s node" % (daemon, where), "gap %.1f ms; active after: %s%s" % (
        gap, "the same" if after == active else "the other",
        "; phases: " + ", ".join("%s %s" % (c[1], c[3]) for c in lab.bus.changes[changes:]) if roles else ""))
    lab.stays(lambda: lab.settled() == after, 1, "one active")
    assert all(watch.stop()["dual"] == 0 for watch in watches)
    assert lab.reboots == []
    pid = lab.wait_for(lambda: service_pid(lab, after), 5, "the service runs")
    assert pid in lab.network.pids(after)
    if after == active:
        assert pid == service, "the service did not notice"
    if where == "passive":
        assert after == active and gap < 100, "outsiders notice nothing"
    else:
        assert gap < WORST_MS[daemon]
