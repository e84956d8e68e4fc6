"""Role hooks, superviserd alone: the test plays arbiterd on the bus, and watches hook, hook/NAME and what the hooks do.

Order, environment, time limits, what a new role does to what still runs, and what a restart remembers
(docs/architecture.md, "Hooks"). The pair with hooks is in test_hooks_pair.py.
"""

import hashlib
import os
import pathlib
import re
import signal
import time

import pytest
import zmq
from test_superviserd import BIN, SLEEP, World, is_alive, service, wait_for

pytestmark = pytest.mark.skipif(not BIN, reason="DUET_BIN does not name the folder of the built programs")


class HookWorld(World):
    def __init__(self, directory):
        super().__init__(directory)
        self.arbiterd.setsockopt(zmq.XPUB_VERBOSE, 1)  # a restarted subscriber is told even if the old one was not missed yet
        self.trace_file = directory / "trace"
        self.note = self.run / "superviserd/hooks"

    def relaunch(self):
        super().relaunch()
        self.listener.subscribe("hook")

    def tracer(self, name, more=""):
        """A hook's program that writes down its begin and end."""
        return [self.script(name, f"#!/bin/sh\necho '{name} begins' >>{self.trace_file}\n{more}\n"
                                  f"echo '{name} ends' >>{self.trace_file}\n")]

    def trace(self):
        return self.trace_file.read_text().splitlines() if self.trace_file.exists() else []

    def hook(self, name, state, **wanted):
        """Waits for hook/NAME, or hook with an empty name."""
        topic = f"hook/{name}" if name else "hook"

        def found():
            m = self.latest(topic)
            return m if m and m["state"] == state and all(m[k] == v for k, v in wanted.items()) else None

        try:
            return wait_for(found, f"{topic} {state} {wanted}")
        except AssertionError as e:
            raise AssertionError(f"{e}; latest {self.latest(topic)}; log:\n{self.log()}") from None

    def prepared(self, epoch):
        return wait_for(lambda: (m := self.latest("hook")) and m["prepared"] == epoch and m, f"prepared {epoch}: {self.log()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def claim(self, epoch):
        return self.role(role="active", phase="claiming", epoch=epoch, released=False, since_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def serve(self, epoch=7):
        """All of a claim."""
        self.claim(epoch)
        self.prepared(epoch)
        self.role(phase="active", since_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def leave(self, rule="R13-ordered", fit=True):
        self.role(role="passive", phase="releasing", rule=rule, fit=fit, unfit_reason="" if fit else "a channel failed")
        return self.role(phase="passive", released=True)


@pytest.fixture
def world(tmp_path):
    made = HookWorld(tmp_path)
    yield made
    made.close()


def hook(name, event, command, **keys):
    words = ", ".join(f'"{w}"' for w in command)
    lines = "".join(f"    {k.replace('_', '-')} = {v}\n" for k, v in keys.items())
    return f'hook "{name}" {{\n    on = {event}\n    command = {{{words}}}\n{lines}}}'


def sealed(text):
    """As a state file ends."""
    return f"{text}blake2b {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}\n"


def test_events_in_order_one_after_the_other(world):
    slow = "sleep 0.1"
    world.start(hook("timers", "passive", world.tracer("timers", slow)),
                hook("commit", "before-active", world.tracer("commit", slow), timeout="240ms"),
                hook("bulk", "active", world.tracer("bulk", slow)),
                hook("flush", "before-active", world.tracer("flush", slow), timeout="240ms"),
                hook("report", "fault", world.tracer("report", slow)))
    world.passive()
    world.role(released=True)
    time.sleep(0.2)
    assert world.trace() == [] and world.latest("hook")["state"] == "idle", "a node that starts passive has nothing to do"
    cause = world.claim(7)
    ready = world.prepared(7)
    assert ready["cause"] == cause and ready["event"] == "before-active" and ready["state"] == "done"
    assert world.trace() == ["commit begins", "commit ends", "flush begins", "flush ends"]
    ran = world.hook("commit", "done")
    assert 100 <= ran["took_ms"] < 240 and ran["epoch"] == 7 and ran["text"].startswith("ended with status 0 after 0.")
    time.sleep(0.1)
    assert len(world.trace()) == 4, "active hooks wait until the role is active"
    world.role(phase="active")
    world.hook("bulk", "done")
    world.role(role="passive", phase="releasing", rule="R6-network", fit=False)
    world.hook("report", "done")
    time.sleep(0.2)
    assert world.latest("hook/timers")["state"] == "idle", "passive hooks wait until the addresses are gone"
    world.role(phase="passive", released=True)
    world.hook("timers", "done")
    done = world.hook("", "done", event="passive")
    assert done["failed"] == 0 and done["prepared"] == 7
    assert world.trace()[4:] == ["bulk begins", "bulk ends", "report begins", "report ends", "timers begins", "timers ends"]
    assert re.search(r"hook commit \(before-active\): starts, epoch 7\n", world.log())
    assert re.search(r"hook commit \(before-active\): done after 1\d\d ms: ended with status 0 after 0.\d s\n", world.log())


def test_fault_hooks_need_a_fault_of_the_nodes_own(world):
    world.start(hook("report", "fault", world.tracer("report")), hook("timers", "passive", world.tracer("timers")))
    world.serve(7)
    world.leave("R13-ordered", fit=False)  # unfit since an older fault, given up by order
    world.hook("timers", "done", epoch=7)
    world.serve(9)
    world.leave("R7-service", fit=False)
    world.hook("timers", "done", epoch=9)
    assert [line for line in world.trace() if "begins" in line] == ["timers begins", "report begins", "timers begins"]


def test_order_of_events_counts_before_that_of_the_file(world):
    """Also where both are due at once, since what came between was missed."""
    world.start(hook("timers", "passive", world.tracer("timers")), hook("bulk", "active", world.tracer("bulk")),
                hook("report", "fault", world.tracer("report")), hook("commit", "before-active", world.tracer("commit"), timeout="400ms"))
    world.active(7)
    world.hook("bulk", "done")
    assert [line for line in world.trace() if "begins" in line] == ["commit begins", "bulk begins"], "the one before first"
    world.role(role="passive", phase="passive", released=True, rule="R6-network", fit=False)
    world.hook("timers", "done")
    wait_for(lambda: len(world.trace()) == 8, "both")
    assert [line for line in world.trace()[4:] if "begins" in line] == ["report begins", "timers begins"], "the fault first"


def test_environment_and_surroundings(world):
    show = world.script("show", """
        #!/bin/bash
        echo "env $DUET_HOOK $DUET_ROLE $DUET_NODE $DUET_EPOCH ${NOTIFY_SOCKET-none} $OTHER"
        echo "stdin" $(readlink /proc/$$/fd/0) group $(($(ps -o pgid= $$) - $$)) policy $(chrt -p $$ | head -1 | sed 's/.*: //')
        """)
    tell = world.script("tell", "#!/bin/sh\necho service ${DUET_HOOK-none}\nexec sleep 1000\n")
    world.start(hook("show", "before-active", [show], timeout="490ms"), hook("after", "passive", [show]), service("web", [tell]),
                env={"NOTIFY_SOCKET": "/nonexistent", "OTHER": "kept", "DUET_ROLE": "wrong", "DUET_HOOK": "wrong"})
    world.serve(12345)
    wait_for(lambda: "web: service" in world.log(), "the service's line")
    world.leave()
    world.hook("after", "done")
    assert "show: env before-active active alpha 12345 none kept\n" in world.log()
    assert "show: stdin /dev/null group 0 policy SCHED_OTHER\n" in world.log()
    assert "after: env passive passive alpha 12345 none kept\n" in world.log()
    assert "web: service none\n" in world.log()


def test_hanging_hook_is_killed_and_the_next_one_runs(world):
    pids = world.dir / "pids"
    hangs = world.script("hangs", f"#!/bin/sh\ntrap '' TERM\necho before\nsleep 999 & echo $$ $! >{pids}\nwait\nsleep 999\n")
    world.start(hook("hangs", "before-active", [hangs], timeout="300ms"),
                hook("flush", "before-active", world.tracer("flush"), timeout="200ms"))
    begun = time.monotonic()
    world.claim(7)
    ready = world.prepared(7)
    took = time.monotonic() - begun
    assert 0.3 <= took < 0.5, f"{took} s"
    assert ready["state"] == "failed" and ready["failed"] == 1
    failed = world.hook("hangs", "failed")
    assert failed["text"] == "did not end within 300 ms, and was killed" and 300 <= failed["took_ms"] < 400
    assert world.trace() == ["flush begins", "flush ends"]
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()), "all of its group is gone")
    assert "hangs: before\n" in world.log()
    assert "warning: hook hangs (before-active): failed after 300 ms: did not end within 300 ms, and was killed\n" in world.log()


@pytest.mark.parametrize("command, text", [
    (["/nonexistent/program"], "cannot start /nonexistent/program: No such file or directory"),
    (["/bin/sh", "-c", "exit 3"], "ended with status 3 after 0."),
    (["/bin/sh", "-c", "kill -9 $$"], "killed by signal 9 after 0."),
])
def test_hook_that_fails_stops_nothing(world, command, text):
    world.start(hook("first", "before-active", command, timeout="240ms"),
                hook("flush", "before-active", world.tracer("flush"), timeout="240ms"), hook("bulk", "active", world.tracer("bulk")))
    world.serve(7)
    assert world.hook("first", "failed")["text"].startswith(text)
    world.hook("bulk", "done")
    summary = world.hook("", "failed", event="active")
    assert summary["failed"] == 1, "a failure stands for all of the claim"
    assert world.trace() == ["flush begins", "flush ends", "bulk begins", "bulk ends"]
    assert world.command("clear") == {"ok": True, "error": "", "text": "failed services cleared: 0, and the failed hooks"}
    assert world.hook("", "done")["failed"] == 0
    world.hook("first", "idle")


def test_hanging_passive_hook_holds_up_no_claim(world):
    world.start(hook("hangs", "passive", SLEEP, timeout="3s"), hook("after", "passive", world.tracer("after")),
                hook("commit", "before-active", world.tracer("commit"), timeout="400ms"), hook("bulk", "active", world.tracer("bulk")))
    world.serve(7)
    world.hook("bulk", "done")
    world.leave()
    hanging = world.hook("hangs", "running")
    begun = time.monotonic()
    world.claim(9)
    world.prepared(9)
    assert time.monotonic() - begun < 0.4
    world.role(phase="active")
    world.hook("bulk", "done", epoch=9)
    assert world.hook("after", "idle")["text"] == "not run: the role changed first"
    assert "hook after (passive): not run: the role changed first" in world.log()
    assert world.latest("hook/hangs")["state"] == "running", "it has its own time still"
    failed = world.hook("hangs", "failed")
    assert 2.9e9 <= failed["mono_ns"] - hanging["at_ns"] < 4e9
    assert world.latest("hook")["failed"] == 0, "it is not of this change of role"
    assert [line for line in world.trace() if line.startswith("after")] == []


def test_a_hook_never_runs_twice_at_once(world):
    pids = world.dir / "pids"
    hangs = world.script("hangs", f"#!/bin/sh\necho $$ >>{pids}\nexec sleep 999\n")
    world.start(hook("hangs", "passive", [hangs], timeout="30s"))
    for epoch in (7, 9):
        world.serve(epoch)
        world.leave()
        world.hook("hangs", "running", epoch=epoch)
        wait_for(lambda n=epoch: pids.exists() and len(pids.read_text().split()) == (n - 5) // 2, "it runs")
    first, second = map(int, pids.read_text().split())
    wait_for(lambda: not is_alive(first), "the older run is ended")
    assert is_alive(second)
    os.kill(second, signal.SIGKILL)  # superviserd would wait for it at its end


def test_daemon_that_a_hook_leaves_behind_holds_up_nothing(world):
    left = world.dir / "left"
    leaves = world.script("leaves", f"""
        #!/bin/sh
        setsid --fork sh -c 'echo $$ >{left}.new; mv {left}.new {left}; exec sleep 30'  # keeps stdout open
        while [ ! -e {left} ]; do sleep 0.01; done  # what is still in the hook's group would be killed with it
        echo started
        """)
    world.start(hook("leaves", "before-active", [leaves], timeout="450ms"))
    try:
        world.claim(7)
        assert world.prepared(7)["state"] == "done"
        assert world.hook("leaves", "done")["took_ms"] < 400
        assert "leaves: started\n" in world.log()
        time.sleep(0.3)
        assert is_alive(int(left.read_text())), "in a session of its own it stays"
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


def test_kill_9_in_the_middle_forgets_nothing_and_doubles_nothing_that_ended(world):
    gate = world.dir / "gate"
    waits = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    world.start(hook("commit", "before-active", world.tracer("commit"), timeout="450ms"), hook("first", "active", world.tracer("first")),
                hook("second", "active", world.tracer("second", waits)), hook("third", "active", world.tracer("third")))
    world.serve(7)
    world.hook("second", "running")
    wait_for(lambda: "second begins" in world.trace(), "it begins")
    world.kill()
    gate.touch()
    world.relaunch()
    assert world.prepared(7), "what was prepared still is"
    assert world.hook("first", "done")["epoch"] == 7
    time.sleep(0.2)
    assert "third begins" not in world.trace(), "not before the role is known"
    world.role()
    world.hook("third", "done")
    assert world.trace() == ["commit begins", "commit ends", "first begins", "first ends", "second begins",
                             "second begins", "second ends", "third begins", "third ends"]
    world.kill()
    world.relaunch()
    world.role()
    world.role(epoch=11)  # raised, not claimed
    time.sleep(0.3)
    assert len(world.trace()) == 9, "an epoch that was served already"


def test_role_that_changed_while_superviserd_was_dead(world):
    world.start(hook("commit", "before-active", world.tracer("commit"), timeout="450ms"), hook("bulk", "active", world.tracer("bulk")),
                hook("timers", "passive", world.tracer("timers")))
    world.serve(7)
    world.hook("bulk", "done")
    world.kill()
    world.state.update(role="passive", phase="passive", released=True)
    world.relaunch()
    world.role()
    world.hook("timers", "done")
    world.kill()
    world.state.update(role="active", phase="active", epoch=9, released=False, since_ns=99)
    world.relaunch()
    world.role()
    world.hook("bulk", "done", epoch=9)
    assert [line for line in world.trace() if "begins" in line] == [
        "commit begins", "bulk begins", "timers begins", "commit begins", "bulk begins"], "late rather than never"


@pytest.mark.parametrize("damage", ["cut", "other-text", "other-boot", "other-config", "gone"])
def test_note_that_is_not_believed(world, damage):
    hooks = [hook("commit", "before-active", world.tracer("commit"), timeout="450ms"), hook("bulk", "active", world.tracer("bulk"))]
    world.start(*hooks)
    world.serve(7)
    world.hook("bulk", "done")
    world.kill()
    text = world.note.read_text().partition("blake2b ")[0]
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert f"boot {boot} " in text
    if damage == "cut":
        world.note.write_text(text)
    elif damage == "other-text":
        world.note.write_text(sealed(text.replace("stage ", "stage +")))
    elif damage == "other-boot":
        world.note.write_text(sealed(text.replace(boot, "0" * 8 + boot[8:])))
    elif damage == "gone":
        world.note.unlink()
    else:
        config = world.dir / "duet.conf"
        config.write_text(config.read_text() + "# another file\n")
    world.relaunch()
    world.role()
    if damage == "other-config":  # the role is believed, and served already
        time.sleep(0.3)
        assert len(world.trace()) == 4
    else:
        wait_for(lambda: len(world.trace()) == 8, "all once more")
    assert ("is damaged, and not believed" in world.log()) == (damage in ("cut", "other-text"))


def test_note_that_cannot_be_written_is_told(world):
    world.start(hook("bulk", "active", world.tracer("bulk")))
    world.role()
    wait_for(world.note.exists, "the note")
    world.note.unlink()
    world.note.mkdir()
    world.serve(7)
    world.hook("bulk", "done")
    assert f"warning: cannot write {world.note}: " in world.log() and "hooks would run twice" in world.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_user_and_group(world):
    world.start(hook("who", "active", ["id"], user='"nobody"', group='"daemon"'), hook("root", "active", ["id"]),
                hook("unknown", "active", ["id"], user='"no-such-user"'))
    world.serve(7)
    assert world.hook("unknown", "failed")["text"] == "cannot start: the user no-such-user: not known"
    assert "who: uid=65534(nobody) gid=1(daemon)" in world.log()
    assert "root: uid=0(root)" in world.log()


def test_output_is_bounded(world):
    loud = world.script("loud", "#!/bin/sh\nyes flood | head -n 100000\nprintf 'last words'\n")
    world.start(hook("loud", "active", [loud]))
    world.serve(7)
    world.hook("loud", "done")
    assert 190 <= world.log().count("loud: flood") <= 200


def test_sigterm_lets_what_is_due_end(world):
    world.start(hook("timers", "passive", world.tracer("timers", "sleep 0.4")), hook("resync", "passive", world.tracer("resync")),
                hook("hangs", "passive", SLEEP, timeout="500ms"), service("web", SLEEP, when="always"))
    world.serve(7)
    web = world.service("web", "running")["pid"]
    world.leave()
    world.hook("timers", "running")
    begun = time.monotonic()
    assert world.stop() == 0
    assert 0.5 < time.monotonic() - begun < 5
    assert world.trace() == ["timers begins", "timers ends", "resync begins", "resync ends"]
    assert not is_alive(web)
    assert "hook hangs (passive): failed after 5" in world.log()


def test_sigterm_without_anything_due_is_quick(world):
    world.start(hook("bulk", "active", world.tracer("bulk")), hook("timers", "passive", world.tracer("timers")))
    world.serve(7)
    world.hook("bulk", "done")
    begun = time.monotonic()
    assert world.stop() == 0
    assert time.monotonic() - begun < 1
    assert "timers begins" not in world.trace(), "the role has not changed"


def test_without_hooks_there_is_no_topic_and_no_note(world):
    world.start(service("web", SLEEP))
    world.claim(7)
    world.role(phase="active")
    world.service("web", "running")
    time.sleep(0.2)
    assert world.latest("hook") is None and not world.note.exists()


def test_text_is_printable_whatever_the_program_is_called(world):
    world.start(hook("umlaut", "active", ["/nonexistent/\u00fc"]))
    world.serve(7)
    assert world.hook("umlaut", "failed")["text"].startswith("cannot start /nonexistent/??: ")


def test_hooks_of_a_role_that_is_given_up_just_after_sigterm(world):
    """The order to end may overtake the role on the bus."""
    left = world.tracer("left", "sleep 0.3")
    world.start(hook("left", "passive", left), service("web", SLEEP))
    world.serve()
    pid = world.service("web", "running")["pid"]
    world.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping (" in world.log(), "the order is read")
    world.leave()
    assert world.process.wait(15) == 0
    assert world.trace() == ["left begins", "left ends"] and not is_alive(pid)


def test_without_a_new_role_sigterm_does_not_wait_long(world):
    world.start(hook("left", "passive", world.tracer("left")))
    world.serve()
    began = time.monotonic()
    assert world.stop() == 0
    assert time.monotonic() - began < 2 and world.trace() == []
