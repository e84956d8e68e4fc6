"""superviserd's one way of restarting the node. The test plays arbiterd and takeoverd on the bus (test_superviserd.py); the
reboot command is a script. What the kernel does when that is not enough is shown in tests/vm.

Proves, of the requirements: superviserd's part of L2, L10 and L12 (the active node is restarted), and of L15 (what is done
before).
"""

import hashlib
import os
import pathlib
import time

import pytest
from test_superviserd import is_alive, wait_for, world  # noqa: F401 (a fixture)


def test_reboot_command_runs_once(world):
    runs = world.dir / "runs"
    command = world.script("reboot", f"#!/bin/sh\necho run >> {runs}\nsleep 0.3\n")
    world.start(reboot=f'"{command}"')
    assert world.reboot("none")["error"] == ""
    world.role(reboot=False)
    cause = world.role(reboot=True, reboot_reason="carrier of outside lost")
    running = world.reboot("running")
    assert running["reason"] == "carrier of outside lost" and running["cause"] == cause
    for _ in range(20):
        world.role()
        time.sleep(0.05)
    assert runs.read_text() == "run\n" and world.latest("reboot")["state"] == "running"
    assert "restarting this node: carrier of outside lost" in world.log()
    assert "already" not in world.log()
    world.process.kill()  # a superviserd that starts anew hears the same wish
    world.process.wait()
    world.relaunch()
    world.role()
    world.reboot("running")
    time.sleep(0.3)
    assert runs.read_text() == "run\n"
    world.role(reboot=False)
    world.reboot("none")
    world.command("clear")  # else it waited
    world.role(reboot=True, reboot_reason="another one")
    wait_for(lambda: runs.read_text() == "run\nrun\n", "a new wish, for another cause, is a new reboot")


def test_reboot_command_outlives_superviserd(world):
    done = world.dir / "done"
    command = world.script("reboot", f"#!/bin/sh\nsleep 1\ntouch {done}\n")
    world.start(reboot=f'"{command}"')
    world.role(reboot=True, reboot_reason="test")
    world.reboot("running")
    assert world.stop() == 0
    assert not done.exists()
    wait_for(done.exists, "the command went on")


@pytest.mark.parametrize("words, error", [
    ('"/nonexistent/reboot"', "cannot start /nonexistent/reboot: No such file or directory"),
    ('"/bin/sh", "-c", "exit 4"', "/bin/sh ended with status 4 after 0."),
])
def test_reboot_that_fails_is_told(world, words, error):
    world.start(reboot=words)
    world.role(reboot=True, reboot_reason="test")
    failed = world.reboot("failed")
    assert failed["error"].startswith(error)
    assert "error: the reboot did not come about: " + error in world.log()
    time.sleep(0.3)
    world.role()
    assert world.log().count("restarting this node") == 1


def runs_script(world, rest=""):
    runs = world.dir / "runs"
    return f'"{world.script("reboot", f"#!/bin/sh{chr(10)}echo run >> {runs}{chr(10)}{rest}")}"', runs


def test_addresses_go_first(world):
    command, runs = runs_script(world)
    world.start(reboot=command)
    world.role(reboot=False)
    wait_for(lambda: world.address("holding") and world.latest("reboot"), "it runs")
    world.role(reboot=True, reboot_reason="test")
    world.reboot("preparing")
    time.sleep(0.5)
    assert not runs.exists()
    asked = time.monotonic()
    world.address("released")
    world.reboot("running")
    assert time.monotonic() - asked < 1.5  # at once, and not only when the limit for takeoverd was over
    wait_for(runs.exists, "the command ran")
    assert "did not confirm" not in world.log()


def test_a_takeoverd_that_hangs_is_not_waited_for_for_ever(world):
    command, runs = runs_script(world)
    world.start(reboot=command)
    world.address("holding")
    world.role(reboot=True, reboot_reason="test")
    world.reboot("running")
    wait_for(runs.exists, "the command ran")
    assert "takeoverd did not confirm that the active addresses are gone; restarting all the same" in world.log()


BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boottime():
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def history(world, row, ago=0, boot=BOOT, cause="test"):
    """What an earlier restart has left, which was ordered so many seconds ago: a state file with its checksum."""
    text = f"row {row}\nboot {boot}\nat {max(boottime() - ago, 0)}\ncause {cause}\n"
    path = world.dir / "state/superviserd/restarts"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "blake2b " + hashlib.blake2b(text.encode(), digest_size=16).hexdigest() + "\n")
    return path


def row_of(path):
    return int(path.read_text().split()[1])


@pytest.mark.parametrize("row, pause_s", [(1, 60), (2, 120), (4, 480), (40, 3600)])
def test_L12_a_restart_in_a_row_waits_longer_each_time(world, row, pause_s):
    command, runs = runs_script(world)
    kept = history(world, row)
    world.start(reboot=command)
    world.address("released")
    for cause in "a service stayed down here", "another one, which takes turns with it":
        world.role(reboot=True, reboot_reason=cause)
        delayed = world.reboot("delayed")
        assert delayed["row"] == row and delayed["reason"] == cause
        assert pause_s - 5 <= (delayed["until_ns"] - delayed["at_ns"]) / 1e9 <= pause_s
        time.sleep(0.3)
        assert not runs.exists() and f"{row} times in a row" in world.log()
        world.role(reboot=False)
        world.reboot("none")
    assert row_of(kept) == row
    world.command("clear")
    wait_for(lambda: row_of(kept) == 0, "it is cleared")
    world.role(reboot=True)
    wait_for(runs.exists, "the command ran")
    assert row_of(kept) == 1


def test_the_pause_goes_by_what_this_boot_has_lived(world):
    """Not by the wall clock, which may be set; nor by the boot before, whose clock was another one."""
    history(world, 5, boot="b" * 36)
    world.start()
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    if boottime() > 900:
        assert world.reboot("running")["row"] == (5 if boottime() < 7200 else 0)
    else:
        delayed = world.reboot("delayed")
        assert (delayed["until_ns"]) / 1e9 == pytest.approx(960, abs=2)


def test_after_the_pause_it_restarts_and_counts(world):
    command, runs = runs_script(world)
    kept = history(world, 3, ago=238)
    world.start(reboot=command)
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    world.reboot("delayed")
    world.reboot("running")
    wait_for(runs.exists, "the command ran")
    assert row_of(kept) == 4 and f"boot {BOOT}\n" in kept.read_text() and "cause test\n" in kept.read_text()


def test_clear_begins_anew(world):
    command, runs = runs_script(world)
    world.start(reboot=command)
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    assert world.reboot("running")["row"] == 0
    wait_for(runs.exists, "the command ran")
    world.role(reboot=False)
    world.command("clear")
    runs.unlink()
    world.role(reboot=True)
    wait_for(runs.exists, "and again, for it was cleared")


def test_a_damaged_count_is_told_and_begins_anew(world):
    command, runs = runs_script(world)
    history(world, 9).write_text("row 9\nlast 1\ncause test\nblake2b 00\n")
    world.start(reboot=command)
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    wait_for(runs.exists, "the command ran")
    assert "restarts begin to be counted anew" in world.log()


def test_L12_a_restart_that_cannot_be_counted_waits(world):
    """Else a broken disk and a fault would restart the machine for ever."""
    command, runs = runs_script(world)
    (world.dir / "state/superviserd/restarts").mkdir(parents=True)
    world.start(reboot=command)
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    delayed = world.reboot("delayed")
    assert delayed["error"] == "this restart could not be counted: Is a directory; it waits a minute"
    assert (delayed["until_ns"] - delayed["at_ns"]) / 1e9 == pytest.approx(60, abs=0.1)
    assert not runs.exists()


def test_a_restart_that_cannot_be_counted_waits_once(world):
    command, runs = runs_script(world)
    kept = history(world, 1, ago=57)
    world.start(reboot=command)
    kept.unlink()
    kept.mkdir()
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    world.reboot("delayed")
    world.reboot("running")
    wait_for(runs.exists, "the command ran")
    assert "could not be counted: Is a directory; restarting all the same" in world.log()


class SlowDisk:
    """Whoever opens the file waits until it is let go: a FIFO that nobody reads."""

    def __init__(self, path):
        self.fifo = path.with_name(path.name + f".{time.monotonic_ns()}")
        os.mkfifo(self.fifo)
        path.unlink(missing_ok=True)
        os.link(self.fifo, path)

    def let_go(self):
        os.close(os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK))


def until_it_writes(world):
    """The writer waits in open(2): there is no trace of it but that the black box has its note, just before."""
    world.reboot("preparing")
    time.sleep(0.7)


def test_a_wish_taken_back_while_the_disk_is_written_was_no_restart(world):
    command, runs = runs_script(world)
    kept = history(world, 1, ago=100)
    world.start(reboot=command)
    world.address("released")
    disk = SlowDisk(kept)
    world.role(reboot=True, reboot_reason="test")
    until_it_writes(world)
    world.role(reboot=False)
    world.reboot("none")
    kept.unlink()
    disk.let_go()
    wait_for(kept.exists, "the count is put back")
    wait_for(lambda: row_of(kept) == 1, "to what it was")
    assert not runs.exists()


def test_a_late_answer_of_the_disk_is_not_taken_for_the_one_that_is_waited_for(world):
    command, runs = runs_script(world)
    kept = history(world, 1, ago=100)
    world.start(reboot=command)
    world.address("released")
    first = SlowDisk(kept)
    world.role(reboot=True, reboot_reason="test")
    until_it_writes(world)
    world.role(reboot=False)
    world.reboot("none")
    world.role(reboot=True)
    until_it_writes(world)
    second = SlowDisk(kept)
    first.let_go()
    time.sleep(1)
    assert world.latest("reboot")["state"] == "preparing" and not runs.exists()
    kept.unlink()
    for _ in range(3):
        second.let_go()
        time.sleep(0.2)
    world.reboot("running")
    wait_for(runs.exists, "the command ran")


def test_a_release_of_an_older_role_is_none(world):
    command, runs = runs_script(world)
    world.start(reboot=command)
    world.role(change=7)  # nothing was heard of takeoverd yet
    world.role(reboot=True, reboot_reason="test")
    world.reboot("preparing")
    world.role(reboot=False)
    world.reboot("none")
    world.address("released", change=7)
    world.role(reboot=True, reboot_reason="test", change=9)  # it was active in between
    world.reboot("preparing")
    time.sleep(0.5)
    assert world.latest("reboot")["state"] == "preparing" and not runs.exists()
    world.address("released", change=9)
    world.reboot("running")
    assert "did not confirm" not in world.log()


def test_a_machine_that_still_runs_is_told(world):
    command, runs = runs_script(world)
    world.start(reboot=command, cluster="reboot-grace = 1s")
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    running = world.reboot("running")
    assert running["until_ns"] - running["at_ns"] == pytest.approx(1e9, rel=0.2)
    assert world.reboot("failed")["error"] == "the machine still runs 1s after the reboot command"


def test_a_node_that_is_not_the_whole_machine_never_asks_the_kernel(world):
    """The lab's nodes live in network namespaces of their own; here there is no permission to restart it, too."""
    command, runs = runs_script(world)
    world.start(reboot=command, cluster="reboot-grace = 1s", force="on")
    world.address("released")
    world.role(reboot=True, reboot_reason="test")
    assert world.reboot("failed")["error"] == "the machine still runs 1s after the reboot command"
    assert "by the kernel" not in world.log() and is_alive(world.process.pid)


def test_a_wish_taken_back_while_it_prepares_does_nothing(world):
    command, runs = runs_script(world)
    world.start(reboot=command)
    world.address("holding")
    world.role(reboot=True, reboot_reason="test")
    world.reboot("preparing")
    world.role(reboot=False)
    world.reboot("none")
    time.sleep(2.5)
    assert not runs.exists()
