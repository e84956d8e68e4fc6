"""L14: the supervision that does not feed the watchdog any more costs the machine its life, and its peer serves; who
watches the pair by SNMP is told of it after the start (DUET-MIB, duetWatchdogReboot)."""

import datetime
import re
import time

import pytest

from vmlab.gateway import WATCHDOG_S
from lab.pair import other

# A kernel that panics, and is not to restart by itself: nothing of it runs any more.
DIE = "sysctl -q kernel.panic=0; echo c >/proc/sysrq-trigger"

LATE_S = 10  # what emulation on a busy host may add to the time of a watchdog
CLOCK_S = 30  # by which the clocks of the machines may be off
REBOOT = "duetWatchdogReboot"


def watchdog_is_armed(lab, node):
    status = lab.status(node)
    return bool(status and status["watchdog"]["state"] == "armed")


def restart_trapd(lab, node):
    """As an upgrade does. What it has told is known to the next one, and it tells the end of the machine as well."""
    machine = lab.machines[node]
    pid = machine.check("pgrep -o -x trapd").strip()
    machine.check("kill %s" % pid)

    def another():
        found = machine.run("pgrep -o -x trapd").text.split()
        return found and pid not in found

    lab.wait_for(another, 30, "trapd runs again on %s" % node)


def check_notification(texts, since, kernel):
    """What the sink was told of the end of the machine: once, and what the black box knew."""
    assert len(texts) == 1, texts
    told = re.fullmatch(r"the machine started again without having been stopped; recorded until (\S+); "
                        r"the last change was of ([a-z]+(?:/[\w.:-]+)?)(; the kernel has left a record)?", texts[0])
    assert told, texts
    until = datetime.datetime.strptime(told.group(1), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    assert since - CLOCK_S < until < time.time() + CLOCK_S, texts
    assert bool(told.group(3)) == kernel, texts


def use_driver(lab, driver):
    """Makes a node whose watchdog has that driver the active one; returns its name."""
    active = lab.wait_ready()
    node = other(active)
    machine = lab.machines[node]
    machine.check("systemctl stop duet && modprobe -r i6300esb && modprobe %s && systemctl start duet" % driver,
                  timeout=90)
    lab.wait_ready(active)
    lab.machines[active].check("duet switch", timeout=60)
    return lab.wait_ready(node)


@pytest.mark.parametrize("driver, identity, event, stopping, kernel", [
    ("i6300esb", "i6300ESB", "WATCHDOG", "pkill -STOP -x superviserd", False),
    ("i6300esb", "i6300ESB", "WATCHDOG", "kill -STOP -1", False),
    ("i6300esb", "i6300ESB", "WATCHDOG", DIE, True),
    ("softdog", "Software", "RESET", "pkill -STOP -x superviserd", True),
], ids=["superviserd", "all-of-user-space", "the-kernel", "superviserd-softdog"])
def test_L14_what_stands_still_is_restarted(lab, figures, request, driver, identity, event, stopping, kernel):
    """superviserd, every process but init, or the kernel itself stands still on the active node: the driver resets the
    machine. The peer serves the client; the node returns as passive, and knows what was said on its bus before. The sink
    is told, with what the black box knew, also of a record of the kernel's where one was left (softdog's reset leaves one)."""
    active = lab.wait_ready() if driver == "i6300esb" else use_driver(lab, driver)
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    assert identity in machine.read("/sys/class/watchdog/watchdog0/identity").decode()
    lab.wait_for(lambda: watchdog_is_armed(lab, active), 30, "the watchdog of %s is armed" % active)
    assert lab.status(active)["watchdog"]["device"] == "/dev/watchdog"
    assert lab.status(active)["watchdog"]["timeout_ms"] == WATCHDOG_S * 1000

    restart_trapd(lab, active)
    known = len(lab.notified(active, REBOOT))
    stopped, stopped_at = time.monotonic(), time.time()
    machine.agent.order(stopping)
    lab.wait_for(lambda: machine.qmp.happened(event, stopped), WATCHDOG_S + 2 * LATE_S,
                 "%s resets %s" % (driver, active))
    after_s = machine.qmp.happened(event, stopped)[0][0] - stopped
    figures("hung: " + request.node.callspec.id, "reset after %.1f s, timeout %d s" % (after_s, WATCHDOG_S))
    assert after_s < WATCHDOG_S + LATE_S

    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
    lab.wait_back(active, boot_id)
    lab.wait_ready(other(active))
    assert "state=armed" in lab.black_box(active, boot_id)
    lab.wait_for(lambda: len(lab.notified(active, REBOOT)) > known, 60, "the sink is told of the restart")
    check_notification(lab.notified(active, REBOOT)[known:], stopped_at, kernel)


def test_L14_clean_stop_disarms_the_watchdog(lab):
    """Who stops duet for an upgrade does not want a restart."""
    node = other(lab.wait_ready())
    machine, boot_id = lab.machines[node], lab.machines[node].boot_id
    lab.wait_for(lambda: watchdog_is_armed(lab, node), 30, "the watchdog of %s is armed" % node)
    machine.check("systemctl stop duet", timeout=60)
    time.sleep(WATCHDOG_S + LATE_S)
    assert machine.boot_id == boot_id
    machine.check("systemctl start duet")
    lab.wait_ready(other(node))
