"""The hardware watchdog (L14): superviserd, the real binary, at a device that answers as a driver would (lab/dog.py), while
the test plays the daemons that matter; then a whole pair; then systemd's WatchdogSec, with each daemon.

What a real driver and a real reset do is shown by tests/vm.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import pytest
import zmq
from lab.dog import OPTION_MAGICCLOSE, OPTION_PRETIMEOUT, OPTION_SETTIMEOUT, Dogs
from lab.pair import other
from lab.tools import NO_REBOOT
from test_superviserd import SLEEP, TOPICS, World, neutral, service, wait_for

CHAIN = ("heartbeatd", "arbiterd", "takeoverd")
DAEMONS = (*CHAIN, "superviserd")
TIMEOUT_S, SILENCE_S, FEED_S = 2, 3, 0.5  # of `timeout = 2s`, as common/watchdog_times.h has it
SLACK_S = 1.5  # for a machine that stalls


class Kennel(World):
    """The pulses of the lease chain, a watchdog, and one superviserd at a time."""

    def __init__(self, directory, dogs):
        super().__init__(directory)
        self.namespace = f"duet-kennel-{os.getpid()}"  # its own, so that superviserd is not the whole machine
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        self.prefix = ["nsenter", f"--net=/run/netns/{self.namespace}"]
        self.dogs, self.dog = dogs, dogs.of(os.stat(f"/run/netns/{self.namespace}").st_ino)
        (self.run / "bus/heartbeatd").mkdir()
        heartbeatd = self.context.socket(zmq.XPUB)
        heartbeatd.bind(f"ipc://{self.run}/bus/heartbeatd/pub")
        self.sockets = {"arbiterd": self.arbiterd, "takeoverd": self.takeoverd, "heartbeatd": heartbeatd}
        self.beating, self.stopping = set(CHAIN), set()
        self.started_ns = {name: time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 10**10 for name in CHAIN}
        self.beat_at = 0
        self.last_beat = {}

    def section(self, timeout="2s", device=None):
        return f'watchdog {{ device = "{device or self.dogs.path}" timeout = {timeout} }}'

    def guard(self, *services, **keys):
        """superviserd runs, the watchdog is armed, and the chain lives."""
        self.start(self.section(**keys), *services)
        self.told("armed")
        assert self.live(2)

    def relaunch(self):
        super().relaunch()
        self.listener.subscribe("watchdog")

    def close(self):
        super().close()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=True)

    def pulse(self, name):
        self.seq += 1
        body = {field: neutral(kind) for field, kind, _ in TOPICS["topic"]["daemon"]["fields"]}
        body.update(pid=1, started_ns=self.started_ns[name], late_us_max=300, stopping=name in self.stopping)
        body.update({"v": 1, "node": "alpha", "from": name, "seq": self.seq, "at": "2026-11-22T12:11:16.123456Z",
                     "mono_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)})
        self.sockets[name].send_multipart([f"daemon/{name}".encode(), json.dumps(body).encode()])
        self.last_beat[name] = time.monotonic()

    def beat(self):
        """Each second the pulse of every daemon that lives."""
        if time.monotonic() >= self.beat_at:
            self.beat_at = time.monotonic() + 1
            for name in self.beating:
                self.pulse(name)
        self.dog.left()

    def live(self, seconds):
        """Time passes. Whether the watchdog let the machine live."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.beat()
            time.sleep(0.02)
        return not self.dog.bites

    def until(self, condition, what, seconds=15):
        def tried():
            self.beat()
            return condition()
        try:
            return wait_for(tried, what, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; latest {self.latest('watchdog')}; log:\n{self.log()}") from None

    def told(self, state, **wanted):
        def found():
            m = self.latest("watchdog")
            return m if m and m["state"] == state and all(m[k] == v for k, v in wanted.items()) else None
        return self.until(found, f"watchdog {state} {wanted}")

    def starves(self):
        def found():
            m = self.latest("watchdog")
            return m if m and m["starving_since_ns"] > 0 else None
        return self.until(found, "it is not fed any more")


@pytest.fixture
def dogs():
    with Dogs() as made:
        yield made


@pytest.fixture
def kennel(tmp_path, dogs):
    made = Kennel(tmp_path, dogs)
    yield made
    made.close()


# ------------------------------------------------------------------------------------------------------------ the device

def test_L14_armed_fed_and_let_go_by_a_clean_stop(kennel):
    kennel.start(kennel.section())
    armed = kennel.told("armed")
    assert (armed["device"], armed["identity"], armed["timeout_ms"]) == (kennel.dogs.path, "lab dog", 2000)
    assert kennel.dog.timeout == TIMEOUT_S
    assert kennel.live(3 * TIMEOUT_S) and len(kennel.dog.feeds) > 3 * TIMEOUT_S / FEED_S / 2
    assert kennel.latest("watchdog")["fed_ns"] > armed["fed_ns"]
    assert kennel.stop() == 0
    assert kennel.dog.disarmed == 1 and not kennel.dog.running, "a clean stop tells it to stop"
    assert not kennel.dogs.truncated
    assert kennel.latest("watchdog")["state"] == "off"
    assert "is stopped" in kennel.log() and "goes on" not in kennel.log()


def test_L14_killed_superviserd_leaves_it_running_and_the_next_one_takes_it_over(kennel):
    kennel.guard()
    kennel.process.kill()
    kennel.process.wait()
    kennel.until(lambda: not kennel.dog.is_open, "the kernel closed it")
    assert kennel.dog.running and kennel.dog.disarmed == 0
    kennel.relaunch()
    kennel.told("armed")
    assert kennel.live(2 * TIMEOUT_S) and kennel.dog.opened == 2
    kennel.process.kill()
    kennel.process.wait()
    kennel.until(lambda: kennel.dog.bites, "nobody feeds it: it restarts the machine", TIMEOUT_S + SLACK_S)


def test_L14_stopped_superviserd_feeds_nothing(kennel):
    kennel.guard()
    kennel.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    kennel.until(lambda: kennel.dog.bites, "it restarts the machine", TIMEOUT_S + SLACK_S)
    assert TIMEOUT_S - FEED_S - 0.2 <= kennel.dog.bites[0] - stopped <= TIMEOUT_S
    kennel.process.send_signal(signal.SIGCONT)


def test_driver_with_another_timeout(kennel):
    kennel.dog.options &= ~OPTION_SETTIMEOUT
    kennel.dog.timeout = 3
    kennel.start(kennel.section())
    assert kennel.told("armed")["timeout_ms"] == 3000
    assert "does not take a timeout of 2 s: it has 3 s" in kennel.log()
    assert kennel.live(4)


def test_driver_that_refuses_the_timeout(kennel):
    kennel.dog.timeout, kennel.dog.timeout_max = 5, 8
    kennel.start(kennel.section(timeout="20s"))
    assert kennel.told("armed")["timeout_ms"] == 5000
    assert "does not take a timeout of 20 s: it has 5 s" in kennel.log()


def test_driver_that_does_not_tell_its_timeout(kennel):
    kennel.dog.tells_timeout = False
    kennel.start(kennel.section())
    assert kennel.told("armed")["timeout_ms"] == 2000
    assert "does not tell its timeout" in kennel.log()


def test_kernel_gets_a_quarter_to_write_down_its_last_words(kennel):
    kennel.dog.options |= OPTION_PRETIMEOUT
    kennel.start(kennel.section(timeout="8s"))
    kennel.told("armed")
    assert (kennel.dog.timeout, kennel.dog.pretimeout) == (8, 2)


def test_driver_that_stops_when_closed_is_told_of(kennel):
    kennel.dog.options &= ~OPTION_MAGICCLOSE
    kennel.guard()
    assert "stops whenever it is closed" in kennel.log()


def test_missing_device_is_told_and_looked_for(kennel):
    kennel.dog.present = False
    kennel.start(kennel.section())
    absent = kennel.told("absent")
    assert absent["timeout_ms"] == 0
    assert absent["text"] == f"cannot arm {kennel.dogs.path}: No such device; load its driver (softdog, where there is no hardware)"
    kennel.live(6)
    assert kennel.log().count("no watchdog guards this machine") == 1, "told once"
    kennel.dog.present = True
    kennel.told("armed", text="")
    assert kennel.live(3)


def test_device_that_another_one_has_is_taken_when_it_is_free(kennel):
    holder = subprocess.Popen([*kennel.prefix, "sh", "-c", 'exec 3>"$0" && read line; printf V >&3', kennel.dogs.path], stdin=subprocess.PIPE)
    kennel.until(lambda: kennel.dog.is_open, "somebody has it")
    kennel.start(kennel.section())
    assert "another program has it" in kennel.told("absent")["text"]
    holder.communicate(b"\n", 5)
    freed = time.monotonic()
    kennel.told("armed")
    assert time.monotonic() - freed < 1 + SLACK_S


def test_device_that_goes_is_told_and_looked_for(kennel):
    kennel.guard()
    kennel.dog.broken = True
    assert kennel.told("absent")["text"].startswith(f"cannot feed {kennel.dogs.path}: No such device")
    kennel.dog.broken = False
    kennel.told("armed")


def test_what_is_no_watchdog_is_refused_and_not_harmed(kennel):
    with tempfile.TemporaryDirectory(prefix="dog-") as place:  # pytest's paths are too long for a device
        plain = pathlib.Path(place, "plain")
        plain.write_text("precious")
        os.mkfifo(place + "/pipe")
        kennel.start(kennel.section(device=plain))
        assert "that is no watchdog; name one" in kennel.told("absent")["text"]
        assert kennel.stop() == 0
        assert plain.read_text() == "precious"
        for device in ("/dev/null", place + "/pipe", place):
            kennel.start(kennel.section(device=device))
            kennel.told("absent", device=device)
            assert kennel.stop() == 0


def test_none_configured(kennel):
    kennel.start()
    assert kennel.told("off")["device"] == ""
    assert "watchdog" not in kennel.log()


def test_services_do_not_inherit_it(kennel):
    kennel.guard(service("web", SLEEP))
    kennel.active()
    pid = kennel.service("web", "running")["pid"]
    own = [os.readlink(f"/proc/{kennel.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{kennel.process.pid}/fd")]
    theirs = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert kennel.dogs.path in own
    assert kennel.dogs.path not in theirs, "the service has it open, too"


# ------------------------------------------------------------------------------------------------ who must live for it

@pytest.mark.parametrize("name", CHAIN)
def test_L14_daemon_that_hangs_starves_it(kennel, name, figures):
    kennel.guard()
    kennel.beating.discard(name)
    starving = kennel.starves()
    assert starving["state"] == "armed" and starving["text"].startswith(f"{name} silent for ")
    kennel.until(lambda: kennel.dog.bites, "it restarts the machine")
    took = kennel.dog.bites[0] - kennel.last_beat[name]
    figures(f"{name} hangs, watchdog of 2 s", "restart after %.1f s" % took)
    least, most = SILENCE_S + TIMEOUT_S - FEED_S - 0.5, SILENCE_S + TIMEOUT_S + SLACK_S
    assert least <= took <= most, "silence and timeout"
    assert f"unless that changes: {name} silent for" in kennel.log()


def test_L14_daemon_that_comes_back_is_in_time(kennel):
    kennel.guard()
    kennel.beating.discard("arbiterd")
    kennel.starves()
    kennel.beating.add("arbiterd")
    kennel.told("armed", starving_since_ns=0, text="")
    assert "the watchdog is fed again" in kennel.log()
    assert kennel.live(2 * TIMEOUT_S)


def test_L14_restart_loop_is_no_life(kennel):
    kennel.guard()
    kennel.beating.discard("takeoverd")
    begun = time.monotonic()
    while not kennel.dog.bites and time.monotonic() < begun + SILENCE_S + TIMEOUT_S + 2 + SLACK_S:
        kennel.started_ns["takeoverd"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        kennel.pulse("takeoverd")  # each run gets as far as this
        kennel.live(0.3)
    assert kennel.dog.bites


def test_daemons_that_never_came_up_starve_nobody(kennel):
    kennel.beating.clear()
    kennel.start(kennel.section())
    kennel.told("armed")
    assert kennel.live(SILENCE_S + TIMEOUT_S + 2)


def test_daemon_that_was_told_to_stop_may_be_silent(kennel):
    kennel.guard()
    kennel.stopping.add("arbiterd")
    kennel.pulse("arbiterd")
    kennel.beating.discard("arbiterd")
    assert kennel.live(SILENCE_S + TIMEOUT_S + 2)


def test_R15_hold_bars_it(kennel):
    kennel.guard()
    kennel.role(held=True)
    kennel.beating.discard("heartbeatd")
    assert kennel.live(SILENCE_S + TIMEOUT_S + 2)
    assert "as the pair is held; heartbeatd silent" in kennel.latest("watchdog")["text"]
    kennel.role(held=False)
    kennel.until(lambda: kennel.dog.bites, "it restarts the machine")


# As the whole machine, in the namespaces of its first process: only without what its kernel and firmware have kept.
WHOLE_MACHINE = ["unshare", "--mount", "sh", "-c",
                 'for place in /sys/fs/pstore /var/lib/systemd/pstore; do [ ! -d $place ] || mount -t tmpfs none $place || exit; done; '
                 '[ ! -e /dev/pmsg0 ] || mount --bind /dev/null /dev/pmsg0 || exit; exec "$@"', "sh"]


def test_L14_last_resort_of_a_restart(kennel):
    """The kernel refuses to restart the machine (here: superviserd has no right to)."""
    kennel.prefix, kennel.dog = WHOLE_MACHINE, kennel.dogs.own
    kennel.start(kennel.section(), cluster="reboot-grace = 1s", force="on")
    kennel.told("armed")
    sys_boot = 1 << 22
    status = pathlib.Path(f"/proc/{kennel.process.pid}/status").read_text()
    assert not any(int(line.split()[1], 16) & sys_boot for line in status.splitlines() if line.startswith("Cap"))
    assert kennel.live(2)
    kennel.role(reboot=True, reboot_reason="test")
    kennel.until(lambda: (m := kennel.latest("reboot")) and m["state"] == "failed", "the last resort")
    if "the machine still runs" in kennel.latest("reboot")["error"]:
        pytest.skip("superviserd asks the kernel only where it is the whole machine, which it is not here")
    starving = kennel.starves()
    assert starving["text"] == "the kernel refused to restart the machine"
    assert kennel.latest("reboot")["error"] == ("the kernel refused to restart the machine: Operation not permitted; "
                                                "the watchdog will, since it is not fed any more")
    kennel.role(reboot=False)
    kennel.told("armed", starving_since_ns=0)
    assert kennel.live(TIMEOUT_S)
    kennel.command("clear")  # else it waited
    kennel.role(reboot=True, reboot_reason="another one")
    kennel.until(lambda: kennel.dog.bites, "it restarts the machine")
    assert kennel.stop() == 0 and kennel.dog.disarmed == 0


def restarting(kennel, **keys):
    """A restart is under way, whose command goes on for ever."""
    kennel.start(kennel.section(), **{"cluster": "reboot-grace = 20s", "force": "on", **keys})
    kennel.told("armed")
    assert kennel.live(2)
    kennel.role(reboot=True, reboot_reason="test")
    kennel.until(lambda: (m := kennel.latest("reboot")) and m["state"] == "running", "the command runs")


def test_L14_a_restart_that_stops_superviserd_leaves_it_to_end_a_shutdown_that_hangs(kennel):
    restarting(kennel)
    kennel.live(3)
    assert kennel.stop() == 0
    assert kennel.dog.disarmed == 0 and kennel.dog.running and not kennel.dog.is_open
    assert 20 - 3 - SLACK_S <= kennel.dog.timeout <= 20 - 3 + 5 + 1, "what is left of the grace, and a last sync"
    assert kennel.dog.left() > kennel.dog.timeout - SLACK_S
    assert "goes on, since this node is being restarted" in kennel.log() and "cannot wait" not in kennel.log()


def test_a_watchdog_that_cannot_wait_so_long_waits_as_long_as_it_can(kennel):
    kennel.dog.timeout_max = 13
    restarting(kennel)
    assert kennel.stop() == 0
    assert kennel.dog.running and kennel.dog.timeout == 13
    assert "cannot wait for the 2" in kennel.log()


def test_a_watchdog_that_takes_no_other_timeout_keeps_the_one_that_it_has(kennel):
    kennel.dog.timeout, kennel.dog.options = 2, OPTION_MAGICCLOSE
    restarting(kennel)
    assert kennel.stop() == 0
    assert kennel.dog.running and kennel.dog.timeout == 2
    assert "does not take another timeout" in kennel.log()


@pytest.mark.parametrize("force", ["on", "off"])
def test_a_stop_without_a_restart_to_be_forced_disarms_it(kennel, force):
    restarting(kennel, force=force)
    if force == "on":
        kennel.role(reboot=False)
        kennel.until(lambda: kennel.latest("reboot")["state"] == "none", "it is taken back")
    assert kennel.stop() == 0
    assert kennel.dog.disarmed == 1


def test_fed_until_the_last_service_has_stopped(kennel):
    stubborn = kennel.script("stubborn", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 1000; done\n")
    kennel.guard(service("web", [stubborn], stop_timeout="6s"))
    kennel.active()
    wait_for(lambda: "web: ready" in kennel.log(), "its line in the log")
    kennel.process.terminate()
    kennel.beating.clear()  # they are stopped, too
    kennel.until(lambda: kennel.process.poll() is not None, "superviserd ended")
    assert kennel.process.returncode == 0 and not kennel.dog.bites and kennel.dog.disarmed == 1


# ------------------------------------------------------------------------------------------------------------- the pair

def watchdog(device, required="off"):
    return f'watchdog {{ device = "{device}" timeout = 2s required = {required} }}\n'


def dog_of(lab, dogs, node):
    return dogs.of(lab.network.inode(node))


def test_L14_pair_without_the_watchdogs_it_requires_still_serves(lab):
    lab.write_config(extra=watchdog("/dev/there-is-none", "on"))
    active = lab.start_pair()
    for node in ("alpha", "beta"):
        lab.wait_for(lambda: "watchdog-absent" in lab.bus.alarms(node), 5, "alarm watchdog-absent at %s" % node)
        status = lab.status(node)
        assert status["watchdog"] == {"device": "/dev/there-is-none", "state": "absent", "timeout_ms": 0}
        assert status["fit"] is False and "unfit: the watchdog is not armed" in status["not_ready"]
        alarm = next(a for a in status["alarms"] if a["name"] == "watchdog-absent")
        assert "cannot arm /dev/there-is-none: No such file or directory" in alarm["text"]
    refused = lab.duet(active, "switch")
    assert refused.returncode != 0 and "the peer is unfit" in refused.stderr
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 5, "%s takes over from a dead peer" % other(active))


def test_node_in_a_namespace_does_not_touch_the_machines_own(lab):
    lab.write_config(extra=watchdog("/dev/null"))  # that is none either, but it is not even asked
    lab.start("alpha")
    absent = lab.wait_for(lambda: (m := lab.bus.last("alpha", "watchdog")) and m["state"] == "absent" and m, 10, "it is told")
    assert "not the whole machine that it would restart" in absent["text"]


def test_L14_the_node_with_its_watchdog_is_preferred(dogs, lab):
    dog_of(lab, dogs, "alpha").present = False
    lab.write_config(extra=watchdog(dogs.path, "on"))
    lab.start_pair()
    lab.wait_settled("beta")  # with all else equal it would be alpha
    assert lab.role("beta")["fit"] and not lab.role("alpha")["fit"]
    assert lab.status("beta")["watchdog"] == {"device": dogs.path, "state": "armed", "timeout_ms": 2000}
    assert lab.bus.alarms("beta") == []
    assert "superviserd: watchdog armed" in lab.duet("beta", "why").stdout
    dog_of(lab, dogs, "alpha").present = True
    lab.wait_for(lambda: lab.role("alpha")["fit"], 10, "alpha is fit as soon as it is armed")
    lab.wait_ready("beta")
    lab.stays(lambda: lab.serves("beta"), 1, "nothing moves back by itself")


def test_L14_R12_hung_arbiter_peer_serves_and_the_watchdog_restores_the_node(dogs, lab, figures):
    lab.write_config(extra=watchdog(dogs.path))
    active = lab.start_pair()
    lab.wait_ready(active)
    time.sleep(2)  # each has shown that it lives
    stopped = time.monotonic()
    os.kill(lab.daemon_pid(active, "arbiterd"), signal.SIGSTOP)
    lab.wait_for(lambda: lab.serves(other(active)), 3, "%s serves" % other(active))
    served = time.monotonic() - stopped
    dog = dog_of(lab, dogs, active)
    lab.wait_for(lambda: dog.left() is None, SILENCE_S + TIMEOUT_S + SLACK_S, "its watchdog restarts %s" % active)
    figures("arbiterd stopped, watchdog of 2 s",
            "peer serves after %.1f s, the node restarts after %.1f s" % (served, dog.bites[0] - stopped))
    assert "arbiterd silent for" in lab.log(active)
    assert not dog_of(lab, dogs, other(active)).bites


def test_L14_starving_is_an_alarm(dogs, lab):
    lab.write_config(extra=watchdog(dogs.path))
    active = lab.start_pair()
    node = other(active)
    lab.wait_ready(active)
    time.sleep(2)
    pid = lab.daemon_pid(node, "takeoverd")
    os.kill(pid, signal.SIGSTOP)
    lab.wait_for(lambda: "watchdog-starving" in lab.bus.alarms(node), SILENCE_S + SLACK_S, "the alarm watchdog-starving")
    alarm = next(a for a in lab.status(node)["alarms"] if a["name"] == "watchdog-starving")
    assert "takeoverd silent for" in alarm["text"]
    os.kill(pid, signal.SIGCONT)
    lab.wait_for(lambda: "watchdog-starving" not in lab.bus.alarms(node), 5, "it ends")
    assert not dog_of(lab, dogs, node).bites


def test_L14_every_daemon_killed_once_starves_nobody(dogs, lab):
    lab.write_config(extra=watchdog(dogs.path))
    active = lab.start_pair()
    lab.wait_ready(active)
    time.sleep(2)
    dog = dog_of(lab, dogs, active)
    for daemon in DAEMONS:
        os.kill(lab.daemon_pid(active, daemon), signal.SIGKILL)
        lab.wait_for(lambda: lab.daemon_pid(active, daemon), 5, "%s is back" % daemon)
        lab.stays(lambda: dog.left() is not None, 3, "the watchdog is fed")
    assert lab.stop(active) == 0
    assert not dog.bites and dog.disarmed == 1 and dog.opened == 2


# ------------------------------------------------------------------------------------------------- systemd's WatchdogSec

@pytest.mark.parametrize("daemon", [*DAEMONS, "duet"])
def test_answers_systemd_from_its_loop(lab, daemon):
    interval_s = 0.2
    words = [os.path.join(lab.bin, daemon), *(["run"] if daemon == "duet" else []), "--config", lab.config, "--node", "alpha",
             "--run-dir", lab.run_dir("alpha"), "--state-dir", lab.state_dir("alpha")]
    path = os.path.join(lab.dir, "notify")

    def answers(seconds):
        end, count = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            notify.settimeout(left)
            try:
                count += notify.recv(4096) == b"WATCHDOG=1"
            except TimeoutError:
                break
        return count

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(lab.log_path("alpha"), "ab") as log:
        notify.bind(path)
        process = subprocess.Popen(  # the words before it replace themselves by it: the number stays
            lab.network.exec("alpha", *NO_REBOOT, "sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", *words),
            env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(2 * interval_s * 1e6))},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            notify.settimeout(10)
            while notify.recv(4096) != b"WATCHDOG=1":
                pass
            assert 6 <= answers(2) <= 12, "one in %g s" % interval_s
            process.send_signal(signal.SIGSTOP)
            answers(0.3)
            assert answers(1) == 0, "a stopped one does not answer"
            process.send_signal(signal.SIGCONT)
            assert answers(1) >= 3
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(20)


def test_answers_nobody_who_does_not_ask(lab):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(lab.log_path("alpha"), "ab") as log:
        path = os.path.join(lab.dir, "notify")
        notify.bind(path)
        process = subprocess.Popen(
            lab.network.exec("alpha", *NO_REBOOT, os.path.join(lab.bin, "superviserd"), "--config", lab.config, "--node", "alpha",
                             "--run-dir", lab.run_dir("alpha"), "--state-dir", lab.state_dir("alpha")),
            env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            notify.settimeout(10)
            assert notify.recv(4096) == b"READY=1"
            notify.settimeout(1)
            with pytest.raises(TimeoutError):
                notify.recv(4096)
        finally:
            process.terminate()
            process.wait(20)
