"""L15: what a kernel said last, and what was said on duet's bus, is there after the restart, and file systems are
whole."""

import os
import re
import subprocess

from lab.pair import other


def check_disk(machine):
    """e2fsck's opinion of the disk of a machine that is off, and the state that its superblock tells."""
    copy = os.path.join(machine.folder, "disk.raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", machine.disk, copy], check=True, timeout=120)
    try:
        checked = subprocess.run(["e2fsck", "-fn", copy], capture_output=True, text=True, timeout=120)
        head = subprocess.run(["dumpe2fs", "-h", copy], capture_output=True, text=True, timeout=60).stdout
    finally:
        os.unlink(copy)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"^Filesystem state:\s+clean$", head, re.MULTILINE), head


def test_L15_panic_is_survived_and_explained(lab):
    """The kernel of the active node panics: the peer takes over; after the restart the black box has the kernel's last
    words and the bus's last messages, pstore is empty for the next time, and the file system is whole."""
    active = lab.wait_ready()
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    machine.agent.order("echo c >/proc/sysrq-trigger")
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s takes over" % other(active))
    lab.wait_back(active, boot_id)
    lab.wait_ready(other(active))

    told = lab.black_box(active, boot_id)
    assert "Kernel panic - not syncing: sysrq triggered crash" in told, told[-2000:]
    assert machine.check("ls /sys/fs/pstore") == "", "collected, so that there is room for the next ones"
    assert "recovery complete" in machine.check("dmesg | grep EXT4-fs"), "the journal was played back"

    machine.shut_down()
    check_disk(machine)
    lab.power_on()
    lab.wait_ready(other(active))
