"""Role hooks on a real pair: before-active ones run while no active address is up, a dead superviserd costs their time
and nothing else, and what fails is seen by the operator."""

import json
import os
import signal
import time

import pytest
from conftest import gap_ms
from lab.network import ACTIVE
from lab.pair import other

RECORD = """#!/bin/sh
sleep 0.15
ip -4 -o addr show | awk '{print $4}' >%(dir)s/$DUET_NODE/seen-$DUET_HOOK
echo $DUET_HOOK $DUET_ROLE $DUET_EPOCH >>%(dir)s/$DUET_NODE/trace
"""


def hook(name, event, command, timeout=None):
    return 'hook "%s" { on = %s  command = {%s}%s }\n' % (
        name, event, ", ".join('"%s"' % word for word in command), "  timeout = " + timeout if timeout else "")


def recorders(lab, timeout="400ms"):
    lab.script("record", RECORD % {"dir": lab.dir})
    command = [lab.dir + "/record"]
    return "".join([hook("passive", "passive", command), hook("before", "before-active", command, timeout),
                    hook("active", "active", command), hook("fault", "fault", command)])


def trace(lab, node):
    path = os.path.join(lab.dir, node, "trace")
    return [line.split() for line in open(path)] if os.path.exists(path) else []


def events(lab, node):
    return [words[0] for words in trace(lab, node)]


def active_seen(lab, node, event):
    """The active addresses that the kernel had at the end of the hook."""
    with open(os.path.join(lab.dir, node, "seen-" + event)) as file:
        return sorted(set(ACTIVE.values()) & {line.split("/")[0] for line in file})


def steps(lab, node):
    """What `duet why` tells of hooks."""
    return [line for line in lab.duet(node, "why").stdout.splitlines() if "hook " in line]


def test_before_active_hooks_run_before_the_addresses_are_up(lab):
    lab.write_config(extra=recorders(lab))
    old = lab.start_pair()
    new = other(old)
    lab.wait_ready(old)
    lab.wait_for(lambda: events(lab, old) == ["before-active", "active"], 5, "hooks of the first claim")
    assert trace(lab, new) == [], "a node that starts passive runs none"
    watch = lab.arpwatch("inside")
    lab.power_off(old)
    lab.wait_for(lambda: lab.serves(new), 10, "%s serves" % new)
    lab.wait_for(lambda: events(lab, new) == ["before-active", "active"], 20, "its hooks")
    assert active_seen(lab, new, "before-active") == [], "no active address is up before the hooks' end"
    assert active_seen(lab, new, "active") == sorted(ACTIVE.values()), "then all are"
    assert watch.summary()["dual_ms"] == 0
    epoch = str(lab.role(new)["epoch"])
    assert trace(lab, new) == [["before-active", "active", epoch], ["active", "active", epoch]]
    told = lab.wait_for(lambda: (hook := lab.bus.last(new, "hook"))["state"] == "done" and hook, 5, "all are at their end")
    assert (told["event"], told["failed"], str(told["prepared"])) == ("active", 0, epoch)
    shown = lab.wait_for(lambda: len(s := steps(lab, new)) >= 4 and s, 5, "`duet why` shows the hooks")
    assert "hook before (before-active): starts" in shown[0] and "hook before (before-active): done, took " in shown[1]
    assert "hook active (active): starts" in shown[2] and "hook active (active): done, took " in shown[3]


def test_switch_runs_passive_hooks_when_the_addresses_are_gone(lab):
    lab.write_config(extra=recorders(lab))
    old = lab.start_pair()
    lab.wait_ready(old)
    lab.wait_for(lambda: events(lab, old) == ["before-active", "active"], 5, "hooks of the first claim")
    assert lab.duet(old, "switch").returncode == 0
    lab.wait_settled(other(old))
    lab.wait_for(lambda: events(lab, old) == ["before-active", "active", "passive"], 5, "no fault, so the passive hook alone")
    assert active_seen(lab, old, "passive") == []
    status = lab.status(other(old))
    assert [(h["name"], h["event"]) for h in status["hooks"]] == [
        ("passive", "passive"), ("before", "before-active"), ("active", "active"), ("fault", "fault")]
    before = status["hooks"][1]
    assert before["state"] == "done" and before["took_ms"] >= 150 and before["epoch"] == status["epoch"]
    assert "before     before-active: done in " in lab.duet(other(old), "status").stdout


def test_fault_hooks_then_passive_ones(lab):
    lab.write_config(on_network_fault="demote", extra=recorders(lab))
    old = lab.start_pair()
    lab.wait_ready(old)
    lab.wait_for(lambda: events(lab, old) == ["before-active", "active"], 5, "hooks of the first claim")
    lab.network.pull_cable(old, "inside")
    lab.wait_settled(other(old))
    lab.wait_for(lambda: events(lab, old)[2:] == ["fault", "passive"], 5, "its fault hook, then the passive one")
    lab.network.plug_cable(old, "inside")
    time.sleep(1)
    assert len(trace(lab, old)) == 4, "a node that gave up already runs no more"


def test_clean_stop_runs_the_passive_hooks(lab):
    lab.write_config(extra=recorders(lab))
    old = lab.start_pair()
    lab.wait_ready(old)
    lab.wait_for(lambda: events(lab, old) == ["before-active", "active"], 5, "hooks of the first claim")
    assert lab.stop(old) == 0
    assert events(lab, old)[2:] == ["passive"]
    lab.wait_for(lambda: lab.serves(other(old)), 10, "the other one serves")


def test_stopped_superviserd_costs_the_time_limit_and_no_more(lab, figures):
    lab.write_config(extra=recorders(lab))
    old = lab.start_pair()
    new = other(old)
    lab.wait_ready(old)
    stopped = lab.daemon_pid(new, "superviserd")
    os.kill(stopped, signal.SIGSTOP)
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    lab.power_off(old)
    lab.wait_for(lambda: lab.serves(new), 10, "%s serves" % new)
    time.sleep(0.3)
    gap = gap_ms(probe)
    figures("power off, lan, hooks, superviserd stopped", "%.0f ms" % gap)
    assert 450 + 250 < gap < 450 + 2500, "the limit of its hooks and takeover"
    assert "superviserd did not tell in time" in lab.log(new)
    assert trace(lab, new) == []
    os.kill(stopped, signal.SIGCONT)
    lab.wait_for(lambda: events(lab, new) == ["before-active", "active"], 5, "late rather than never")
    lab.stays(lambda: lab.serves(new), 1, "it serves on")


@pytest.mark.parametrize("profile, hooks_ms", [("lan", 500), ("fast", 250)])
def test_a_claim_that_waits_for_long_is_left_alone(lab, profile, hooks_ms):
    """The longest that the configuration allows: the arbiters of both nodes still see one orderly change."""
    lab.write_config(profile=profile, extra=hook("slow", "before-active", ["/bin/sleep", "1000"], "%dms" % hooks_ms))
    active = lab.start_pair()
    for _ in range(2):
        lab.wait_ready(active)
        seen = len(lab.bus.changes)
        assert lab.duet(active, "switch").returncode == 0
        lab.wait_settled(other(active))
        lab.stays(lambda: lab.settled() == other(active), 1, "it serves")
        claims = [(change[1], change[3]) for change in lab.bus.changes[seen:] if change[3] == "claiming"]
        assert claims == [(other(active), "claiming")]
        active = other(active)


def test_superviserd_killed_again_and_again_doubles_nothing(lab):
    lab.write_config(extra=recorders(lab))
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.wait_for(lambda: events(lab, active) == ["before-active", "active"], 5, "hooks of the first claim")
    for _ in range(3):
        before = lab.daemon_pid(active, "superviserd")
        os.kill(before, signal.SIGKILL)
        lab.wait_for(lambda old=before: lab.daemon_pid(active, "superviserd") not in (None, old), 5, "it is started again")
        time.sleep(0.4)
    assert len(trace(lab, active)) == 2 and trace(lab, other(active)) == []
    assert lab.settled() == active


def test_hanging_hooks_hold_up_no_switch(lab):
    hangs = ["/bin/sleep", "1000"]
    lab.write_config(extra=hook("a", "passive", hangs, "60s") + hook("b", "active", hangs, "60s") +
                     hook("c", "before-active", hangs, "100ms"))
    active = lab.start_pair()
    for _ in range(3):
        lab.wait_ready(active)
        begun = time.monotonic()
        assert lab.duet(active, "switch").returncode == 0
        active = other(active)
        lab.wait_settled(active)
        assert time.monotonic() - begun < 3


def test_failed_hook_is_an_alarm_until_cleared_or_made_good(lab):
    mended = os.path.join(lab.dir, "mended")
    lab.script("fails", "#!/bin/sh\n[ -e %s ] && exit 0\necho no such table >&2\nexit 4\n" % mended)
    lab.write_config(extra=hook("commit", "before-active", [lab.dir + "/fails"]) + hook("bulk", "active", ["/bin/true"]) +
                     hook("timers", "passive", ["/bin/true"]))
    active = lab.start_pair()
    lab.wait_for(lambda: "hook-failed" in lab.bus.alarms(active), 5, "an alarm")
    lab.wait_ready(active)
    lab.wait_for(lambda: (told := lab.bus.last(active, "hook"))["event"] == "active" and told["state"] == "failed", 5,
                 "the active hooks ended, and the failure stands")
    lab.stays(lambda: "hook-failed" in lab.bus.alarms(active), 0.3, "the alarm, also after they ended well")
    done = lab.duet(active, "status")
    assert done.returncode == 1 and "ALARM     hook-failed" in done.stdout
    assert "commit     before-active: failed in" in done.stdout and "ended with status 4" in done.stdout
    assert json.loads(lab.duet(active, "status", "--json").stdout)["hooks"][0]["state"] == "failed"
    assert any("hook commit (before-active): failed, took " in line and "ended with status 4" in line for line in steps(lab, active))
    assert "commit: no such table" in lab.log(active)
    assert lab.duet(active, "clear").returncode == 0
    lab.wait_for(lambda: "hook-failed" not in lab.bus.alarms(active), 5, "cleared by the operator")

    assert lab.duet(active, "switch").returncode == 0
    lab.wait_for(lambda: "hook-failed" in lab.bus.alarms(other(active)), 5, "the same on the other node")
    lab.wait_ready(other(active))
    open(mended, "w").close()
    assert lab.duet(other(active), "switch").returncode == 0
    lab.wait_settled(active)
    lab.wait_for(lambda: "hook-failed" not in lab.bus.alarms(other(active)), 5, "the next change's hooks ended well")
