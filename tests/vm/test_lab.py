"""What the tests of this folder stand on, without duet: machines restart for the reasons that they should, and their
kernel's last words outlive that."""

import os
import tempfile
import time

import pytest

from vmlab.machine import Machine

HEARTBEAT_S = 4

# Opens the watchdog, and neither feeds nor closes it.
HOLD_WATCHDOG = "sleep 600 3<>/dev/watchdog >/dev/null 2>&1 &"


@pytest.fixture(scope="module")
def machine(image):
    """One machine without network and without duet."""
    with tempfile.TemporaryDirectory(prefix="duet-vm-") as folder:
        made = Machine("bare", os.path.join(folder, "machine"), image)
        try:
            made.power_on()
            made.wait_boot()
            yield made
        finally:
            made.power_off()


def test_agent_runs_commands_and_carries_files(machine):
    assert machine.check("echo a; echo b >&2") == "a\nb\n"
    assert machine.run("exit 7").code == 7
    assert machine.run("kill -9 $$").code == 128 + 9
    assert machine.run("sleep 60", timeout=0.5).code == -1
    data = bytes(range(256)) * 512
    machine.write("/tmp/data", data)
    assert machine.read("/tmp/data") == data


def test_system_is_small_and_whole(machine):
    assert machine.check("systemctl is-system-running --wait", timeout=120).strip() == "running"
    assert "i6300ESB" in machine.read("/sys/class/watchdog/watchdog0/identity").decode()


@pytest.mark.parametrize("driver, option, event", [
    ("i6300esb", "heartbeat", "WATCHDOG"),
    ("softdog", "soft_margin", "RESET"),
])
def test_unfed_watchdog_resets_the_machine(machine, figures, driver, option, event):
    boot_id = machine.boot_id
    machine.check("modprobe -r i6300esb; modprobe %s %s=%d" % (driver, option, HEARTBEAT_S))
    began = time.monotonic()
    machine.check(HOLD_WATCHDOG)
    assert machine.wait_boot(boot_id) != boot_id
    after_s = machine.qmp.happened(event, began)[0][0] - began
    figures("%s unfed, set to %d s" % (driver, HEARTBEAT_S), "reset after %.1f s" % after_s)
    assert after_s >= HEARTBEAT_S - 1, "not before its time"


def test_panic_leaves_the_kernels_last_words(machine):
    boot_id = machine.boot_id
    machine.check("rm -f /sys/fs/pstore/*")
    machine.agent.order("echo c >/proc/sysrq-trigger")
    assert machine.wait_boot(boot_id) != boot_id
    records = machine.check("cat /sys/fs/pstore/dmesg-ramoops-*")
    assert "Kernel panic" in records and "sysrq" in records


def test_machine_ends_in_order(machine):
    machine.shut_down()
    assert not machine.is_on
