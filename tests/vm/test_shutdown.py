"""L2: the restart of a faulty node comes about although the shutdown that it began hangs: duet itself is stopped by then."""

import time

import pytest

from vmlab.lab import other

GRACE_S = 20  # reboot-grace, as it is by default
SYNC_S = 5  # for the file systems, at the very end
LATE_S = 15  # what emulation on a busy host may add

# A unit that does not end, and for which systemd waits longer than anybody should. What it does first is done when
# superviserd has stopped, and only its heir has its name.
STUCK = """[Unit]
Description=What hangs a shutdown

[Service]
ExecStart=/bin/sleep infinity
ExecStop=/bin/sh -c 'sleep 12; %s; sleep infinity'
TimeoutStopSec=600
"""


@pytest.mark.parametrize("watchdog", [True, False], ids=["by-the-watchdog", "by-the-heir"])
def test_L2_L14_a_shutdown_that_hangs_is_ended(lab, figures, request, watchdog):
    """By the heir, who writes the disks; and where there is no heir any more, by the watchdog."""
    active = lab.wait_ready()
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    said = len(machine.console(10**6))
    machine.check("duet clear && mkdir -p /run/systemd/system")
    first = "pkill -KILL -x superviserd" if watchdog else "true"
    machine.write("/run/systemd/system/stuck.service", (STUCK % first).encode())
    machine.check("systemctl daemon-reload && systemctl start stuck")
    if not watchdog:
        lab.machines[active].check("systemctl stop duet && modprobe -r i6300esb && systemctl start duet", timeout=90)
        lab.wait_ready()
        if lab.owner() != active:
            lab.machines[other(active)].check("duet switch", timeout=60)
        lab.wait_ready(active)
    began = time.monotonic()
    machine.set_link("outside", False)
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
    event = "WATCHDOG" if watchdog else "RESET"
    lab.wait_for(lambda: machine.qmp.happened(event, began), GRACE_S + SYNC_S + 4 * LATE_S, "%s of %s" % (event, active))
    after_s = machine.qmp.happened(event, began)[0][0] - began
    figures("hung shutdown: " + request.node.callspec.id, "reset %.1f s after the fault, grace %d s" % (after_s, GRACE_S))
    assert after_s > GRACE_S - SYNC_S, "a shutdown has its time"
    words = machine.console(10**6)[said:]
    assert ("superviserd's heir: the shutdown hangs" in words) == (not watchdog)
    assert ("goes on, since this node is being restarted" in words) == watchdog
    machine.set_link("outside", True)
    lab.wait_back(active, boot_id)
    machine.check("duet clear")
    lab.wait_ready(other(active))
