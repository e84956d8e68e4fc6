"""superviserd's one way of restarting the node. The test plays arbiterd and takeoverd on the bus (test_superviserd.py); the
reboot command is a script. What the kernel does when that is not enough is shown in tests/vm.

Proves, of the requirements: superviserd's part of L2, L10 and L12 (the active node is restarted), and of L15 (what is done
before).
"""

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


def start(world, address="released", **keys):
    """superviserd with a reboot command that notes its runs in a file, which is returned; and what takeoverd holds."""
    runs = world.dir / "runs"
    command = world.script("reboot", f"#!/bin/sh\necho run >> {runs}\n")
    world.start(reboot=f'"{command}"', **keys)
    world.address(address)
    return runs


def wish(world, reason="test"):
    return world.role(reboot=True, reboot_reason=reason)


def test_addresses_go_first(world):
    runs = start(world)
    world.role(reboot=False)
    wait_for(lambda: world.address("holding") and world.latest("reboot"), "it runs")
    wish(world)
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
    runs = start(world, "holding")
    wish(world)
    world.reboot("running")
    wait_for(runs.exists, "the command ran")
    assert "takeoverd did not confirm that the active addresses are gone; restarting all the same" in world.log()


def history(world, **fields):
    """What a boot before has left: a state file of duet's own making, with its checksum."""
    import hashlib

    text = "".join(f"{k} {v}\n" for k, v in fields.items())
    path = world.dir / "state/superviserd/restarts"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "blake2b " + hashlib.blake2b(text.encode(), digest_size=16).hexdigest() + "\n")
    return path


@pytest.mark.parametrize("row, pause_s", [(1, 60), (2, 120), (4, 480), (40, 3600)])
def test_L12_a_restart_in_a_row_waits_longer_each_time(world, row, pause_s):
    history(world, row=row, last=int(time.time()), cause="a service stayed down here")
    runs = start(world)
    wish(world, "a service stayed down here")
    delayed = world.reboot("delayed")
    assert delayed["row"] == row
    assert pause_s - 5 <= (delayed["until_ns"] - delayed["at_ns"]) / 1e9 <= pause_s
    time.sleep(0.3)
    assert not runs.exists() and f"{row} times in a row" in world.log()
    world.role(reboot=False)
    world.reboot("none")
    wish(world, "another cause")  # which is no repetition
    wait_for(runs.exists, "the command ran")
    assert "row 1\n" in (world.dir / "state/superviserd/restarts").read_text()


def test_after_the_pause_it_restarts_and_counts(world):
    kept = history(world, row=3, last=int(time.time()) - 238, cause="test")
    runs = start(world)
    wish(world)
    world.reboot("delayed")
    world.reboot("running")
    wait_for(runs.exists, "the command ran")
    assert "row 4\n" in kept.read_text() and "cause test\n" in kept.read_text()


def test_calm_or_clear_begins_anew(world):
    history(world, row=9, last=int(time.time()) - 8000, cause="test")  # hours ago
    runs = start(world)
    wish(world)
    assert world.reboot("running")["row"] == 0
    wait_for(runs.exists, "the command ran")
    world.role(reboot=False)
    world.command("clear")
    runs.unlink()
    world.role(reboot=True)
    wait_for(runs.exists, "and again, for it was cleared")


def test_a_damaged_count_is_told_and_begins_anew(world):
    history(world, row=9, last=int(time.time()), cause="test").write_text("row 9\nlast 1\ncause test\nblake2b 00\n")
    runs = start(world)
    wish(world)
    wait_for(runs.exists, "the command ran")
    assert "restarts begin to be counted anew" in world.log()


def test_a_machine_that_still_runs_is_told(world):
    runs = start(world, cluster="reboot-grace = 1s")
    wish(world)
    running = world.reboot("running")
    assert running["until_ns"] - running["at_ns"] == pytest.approx(1e9, rel=0.2)
    assert world.reboot("failed")["error"] == "the machine still runs 1s after the reboot command"


def test_a_node_that_is_not_the_whole_machine_never_asks_the_kernel(world):
    """The lab's nodes live in network namespaces of their own; here there is no permission to restart it, too."""
    start(world, cluster="reboot-grace = 1s")
    config = world.dir / "duet.conf"
    world.process.kill()
    world.process.wait()
    config.write_text(config.read_text().replace("reboot-force = off", "reboot-force = on"))
    world.relaunch()
    world.address("released")
    wish(world)
    assert world.reboot("failed")["error"] == "the machine still runs 1s after the reboot command"
    assert "by the kernel" not in world.log() and is_alive(world.process.pid)


def test_a_wish_taken_back_while_it_prepares_does_nothing(world):
    runs = start(world, "holding")
    wish(world)
    world.reboot("preparing")
    world.role(reboot=False)
    world.reboot("none")
    time.sleep(2.5)
    assert not runs.exists()
