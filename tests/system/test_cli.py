"""The duet command against daemons that this test plays: it binds their sockets and says what they would say.

Needs DUET_BIN, a folder with the built programs. No network, no root.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib

import pytest
import zmq

BIN = os.environ.get("DUET_BIN")
pytestmark = pytest.mark.skipif(not BIN, reason="DUET_BIN does not name the folder of the built programs")

ROOT = pathlib.Path(__file__).parents[2]
TOPICS = tomllib.loads((ROOT / "proto" / "topics.toml").read_text())
DAEMONS = ["heartbeatd", "arbiterd", "takeoverd", "superviserd"]


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def blank(fields):
    """A body with every field at its zero."""
    def zero(kind):
        kind, *args = kind.rstrip("?").split(":")
        return {"bool": False, "int": 0, "text": "", "list": []}.get(kind) if kind != "enum" else \
            TOPICS["enum"][args[0]]["values"][0]
    return {name: zero(kind) for name, kind, _ in fields}


class Daemon:
    """One daemon's sockets, served by a thread: retained topics are sent again ten times a second."""

    def __init__(self, run_dir, name):
        self.name, self.topics, self.commands, self.seq = name, {}, [], 0
        self.answer = lambda command: {"ok": False, "error": "this test gave no answer", "text": ""}
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.slow_topic = None  # comes 20 ms after those before it
        for area in ("bus", "ctl"):
            (run_dir / area / name).mkdir(parents=True, exist_ok=True)
        self.context = zmq.Context()
        self.pub = self.context.socket(zmq.XPUB)
        self.pub.setsockopt(zmq.LINGER, 0)
        self.pub.bind(f"ipc://{run_dir}/bus/{name}/pub")
        self.ctl = self.context.socket(zmq.ROUTER)
        self.ctl.setsockopt(zmq.LINGER, 0)
        self.ctl.bind(f"ipc://{run_dir}/ctl/{name}/ctl")
        self.say(f"daemon/{name}", TOPICS["topic"]["daemon"]["fields"], pid=4242, version="0.1.0", late_us_max=120)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def say(self, topic, fields=None, **values):
        """Sets a topic's state; what is not named is zero."""
        if fields is None:
            entry = TOPICS["topic"][topic.split("/")[0]]
            fields = (entry["channel"] if topic.startswith("address/") else entry)["fields"]
        body = blank(fields)
        assert not set(values) - set(body), f"no such fields in {topic}"
        with self.lock:
            self.topics[topic] = body | values

    def send_all(self):
        with self.lock:
            for topic, body in self.topics.items():
                time.sleep(0.02 if topic == self.slow_topic else 0)
                self.seq += 1
                envelope = {"v": 1, "node": "alpha", "from": self.name, "seq": self.seq,
                            "at": "2026-11-22T12:11:16.123456Z", "mono_ns": now_ns()}
                self.pub.send_multipart([topic.encode(), json.dumps(envelope | body).encode()])

    def serve(self):
        due = 0
        while not self.ended.is_set():
            if self.pub.poll(2):
                self.pub.recv()
                due = 0
            if self.ctl.poll(2):
                identity, *_, text = self.ctl.recv_multipart()
                self.commands.append(json.loads(text))
                self.ctl.send_multipart([identity, b"", json.dumps(self.answer(json.loads(text))).encode()])
                due = 0
            if time.monotonic() >= due:
                self.send_all()
                due = time.monotonic() + 0.1

    def close(self):
        self.ended.set()
        self.thread.join()
        self.context.destroy(linger=0)


class Pair:
    """The daemons of node alpha, and what a healthy pair looks like from there."""

    def __init__(self, run_dir, names=DAEMONS):
        self.run_dir = run_dir
        self.daemons = {name: Daemon(run_dir, name) for name in names}

    def __getattr__(self, name):
        return self.daemons[name]

    def role(self, **values):
        self.arbiterd.say("role", **({"role": "active", "phase": "active", "epoch": 17, "since_ns": now_ns() - 10**10,
                                      "rule": "takeover", "reason": "the peer fell silent", "fit": True,
                                      "ready": True} | values))

    def peer(self, **values):
        self.heartbeatd.say("peer", **({"alive": True, "linked": True, "name": "beta", "heard_ns": now_ns(),
                                        "role": "passive", "phase": "passive", "epoch": 16, "whole": True} | values))

    def healthy(self):
        self.role()
        self.peer()
        self.heartbeatd.say("path/reserved", state="up", rtt_us=210, loss_permille=15)
        self.heartbeatd.say("link/outside", device="eth0", present=True, carrier=True, usable=True)
        self.heartbeatd.say("router/203.0.113.1", channel="outside", address="203.0.113.1", answering=True)
        self.takeoverd.say("address/outside", device="eth0", addresses=[
            {"address": "203.0.113.10/24", "active": True, "held": True}])
        self.superviserd.say("service/vpn", state="running", pid=4711, restarts=1)
        return self

    def close(self):
        for daemon in self.daemons.values():
            daemon.close()


@pytest.fixture
def run_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("r")


@pytest.fixture
def pair(run_dir):
    with contextlib.closing(Pair(run_dir)) as made:
        yield made.healthy()


def duet(run_dir, *args, timeout=20):
    return subprocess.run([f"{BIN}/duet", *args, "--run-dir", str(run_dir), "--config", "/nonexistent"],
                          capture_output=True, text=True, timeout=timeout)


def status(run_dir):
    done = duet(run_dir, "status", "--json")
    return done.returncode, json.loads(done.stdout)


def eventually(condition, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


# ---------------------------------------------------------------------- status

def test_status_of_a_healthy_pair(pair):
    code, told = status(pair.run_dir)
    assert code == 0
    assert set(told) == {"cluster", "node", "role", "phase", "epoch", "since", "reason", "fit", "held", "ready",
                         "not_ready", "peer", "paths", "channels", "services", "hooks", "sync", "watchdog", "reboot", "daemons", "alarms"}
    assert (told["node"], told["role"], told["phase"], told["epoch"]) == ("alpha", "active", "active", 17)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", told["since"])
    assert told["peer"]["node"] == "beta" and told["peer"]["alive"] and told["peer"]["ready"]
    assert told["paths"] == [{"name": "reserved", "state": "up", "udp": False, "rtt_us": 210, "loss": 1.5}]
    assert told["channels"] == [{
        "name": "outside", "device": "eth0", "carrier": True, "usable": True,
        "addresses": [{"address": "203.0.113.10/24", "held": True}],
        "routers": [{"address": "203.0.113.1", "answering": True, "missed": 0}]}]
    assert told["services"] == [{"name": "vpn", "state": "running", "pid": 4711, "restarts": 1}]
    assert [(d["name"], d["state"], d["pid"], d["late_us_max"]) for d in told["daemons"]] == \
        [(name, "running", 4242, 120) for name in DAEMONS]


def test_status_for_people(pair):
    done = duet(pair.run_dir, "status")
    assert done.returncode == 0
    assert "alpha is active since" in done.stdout and "beta is passive" in done.stdout
    assert "\033" not in done.stdout


def test_status_is_quick(pair):
    begun = time.monotonic()
    duet(pair.run_dir, "status")
    assert time.monotonic() - begun < 0.55  # it does not wait for the 600 ms of a silent daemon


@pytest.mark.parametrize("trouble", ["alarm", "not ready", "daemon"])
def test_status_degraded(run_dir, trouble):
    names = [name for name in DAEMONS if trouble != "daemon" or name != "superviserd"]
    with contextlib.closing(Pair(run_dir, names)) as pair:
        reasons = "the peer is unfit; its data is old" if trouble == "not ready" else ""
        pair.role(ready=not reasons, not_ready=reasons)
        pair.peer()
        pair.arbiterd.say("alarm/router", active=trouble == "alarm", since="2026-11-22T12:11:16.123456Z", text="see")
        code, told = status(run_dir)
    assert code == 1
    assert bool(told["alarms"]) == (trouble == "alarm")
    assert (told["not_ready"] == ["the peer is unfit", "its data is old"]) == (trouble == "not ready")
    assert (told["daemons"][3]["state"] == "missing") == (trouble == "daemon")


def test_status_waits_for_the_last_of_what_a_daemon_retains(pair):
    pair.arbiterd.slow_topic = "alarm/router"
    pair.arbiterd.say("alarm/router", active=True, since="2026-11-22T12:11:16.123456Z", text="see")
    assert [status(pair.run_dir)[0] for _ in range(5)] == [1] * 5


def test_status_down(pair):
    pair.role(role="passive", phase="searching")
    assert status(pair.run_dir)[0] == 2
    pair.peer(role="active", phase="active")
    assert status(pair.run_dir)[0] == 0


def test_status_without_an_answer(run_dir):
    code, told = status(run_dir)
    assert code == 3
    assert {d["state"] for d in told["daemons"]} == {"missing"}


def test_status_watch_shows_a_change(pair):
    command = [f"{BIN}/duet", "status", "--json", "--watch", "--run-dir", str(pair.run_dir), "--config", "/nonexistent"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(watching.stdout.readline())["phase"] == "active"
        pair.role(phase="offering")
        begun = time.monotonic()
        while json.loads(watching.stdout.readline())["phase"] != "offering":
            assert time.monotonic() - begun < 3
    finally:
        watching.kill()
        watching.wait()


# ------------------------------------------------------------------ events, why

def follow_events(run_dir, *args):
    return subprocess.Popen([f"{BIN}/duet", "events", *args, "--run-dir", str(run_dir)], stdout=subprocess.PIPE, text=True)


def test_events_show_what_changed(pair):
    following = follow_events(pair.run_dir, "role", "alarm/")
    try:
        assert "phase=active" in following.stdout.readline()
        pair.role(lease_ns=now_ns())  # a renewal: no line
        time.sleep(0.3)
        pair.role(phase="offering")
        line = following.stdout.readline()
        assert re.match(r"12:11:16\.123456Z role +phase=offering \(was active\)$", line)
        pair.superviserd.say("reboot", state="running")  # not asked for
        pair.arbiterd.say("alarm/router", active=True, text="look")
        assert "alarm/router" in following.stdout.readline()
    finally:
        following.kill()
        following.wait()


def test_events_as_json(pair):
    following = follow_events(pair.run_dir, "path/", "--json")
    try:
        message = json.loads(following.stdout.readline())
    finally:
        following.kill()
        following.wait()
    assert message["topic"] == "path/reserved" and message["v"] == 1 and message["state"] == "up"


def change(nth):
    return blank(TOPICS["message"]["change"]["fields"]) | {
        "ok": True, "node": "alpha", "from": "passive", "to": "claiming", "epoch": 17 - nth, "rule": "takeover",
        "reason": "the peer fell silent", "at": "2026-11-22T12:11:16.123456Z", "at_ns": 5 * 10**9, "boot": "one",
        "steps": [{"at_ns": 5 * 10**9 - 312_400_000, "cause": "heartbeatd:9", "text": "the last heartbeat"},
                  {"at_ns": 5 * 10**9 + 800_000, "cause": "takeoverd:3", "text": "addresses up"}]}


def untold(command):
    """The peer has told of no change that belongs to this one."""
    return change(0) | {"ok": False, "error": "beta has told nothing"} if command["command"] == "why-peer" else change(command["nth"])


def test_why(pair):
    pair.arbiterd.answer = untold
    done = duet(pair.run_dir, "why")
    assert done.returncode == 0
    assert [" ".join(line.split()[:3]) for line in done.stdout.splitlines()[3:]] == \
        ["-312.4 ms heartbeatd:", "0 ms arbiterd:", "+0.8 ms takeoverd:", "", "(beta has told"]
    told = json.loads(duet(pair.run_dir, "why", "2", "--json").stdout)
    assert (told["epoch"], told["peer"]) == (16, None)
    assert [(c["command"], c["nth"]) for c in pair.arbiterd.commands] == \
        [("why", 0), ("why-peer", 0), ("recent", 0), ("why", 1), ("why-peer", 1)]


def test_why_with_the_peers_record(pair):
    pair.arbiterd.answer = lambda command: change(command["nth"]) | \
        ({"node": "beta", "at_ns": 5 * 10**9 + 1_000_000, "steps": []} if command["command"] == "why-peer" else {})
    done = duet(pair.run_dir, "why")
    assert [" ".join(line.split()[:4]) for line in done.stdout.splitlines()[3:]] == \
        ["-312.4 ms alpha heartbeatd:", "0 ms alpha arbiterd:", "+0.8 ms alpha takeoverd:", "+1.0 ms beta arbiterd:"]
    assert json.loads(duet(pair.run_dir, "why", "--json").stdout)["peer"]["node"] == "beta"


def test_why_of_no_change(pair):
    pair.arbiterd.answer = lambda command: change(0) | {"ok": False, "error": "no change of role is known"}
    done = duet(pair.run_dir, "why")
    assert done.returncode == 1 and "no change of role is known" in done.stderr


# ---------------------------------------------------------------------- orders

def accept(text=""):
    return {"ok": True, "error": "", "text": text}


def refuse(error):
    return {"ok": False, "error": error, "text": ""}


def test_switch(pair):
    def answer(command):
        pair.role(role="passive", phase="passive", since_ns=now_ns())
        pair.peer(role="active", phase="active", phase_since_ns=now_ns() + 6_200_000)
        return accept()
    pair.arbiterd.answer = answer
    done = duet(pair.run_dir, "switch", "--force")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"beta is active after \d+\.\d ms\n", done.stdout)
    assert pair.arbiterd.commands == [{"command": "switch", "force": True, "for_ms": 0, "nth": 0, "name": "", "generation": "", "check": False, "hash": ""}]


def test_switch_refused(pair):
    pair.arbiterd.answer = lambda command: refuse("beta is unfit; --force gives it the role nevertheless")
    done = duet(pair.run_dir, "switch")
    assert done.returncode == 1
    assert "beta is unfit" in done.stderr and done.stdout == ""


def test_switch_that_nobody_takes(pair):
    def answer(command):
        pair.role(since_ns=now_ns() + 1, reason="beta did not claim in time")
        return accept()
    pair.arbiterd.answer = answer
    done = duet(pair.run_dir, "switch")
    assert done.returncode == 1 and "beta did not claim in time" in done.stderr


def test_switch_on_the_passive_node(pair):
    pair.role(role="passive", phase="passive")
    pair.peer(role="active", phase="active")
    pair.arbiterd.answer = lambda command: refuse("this node is not active")
    done = duet(pair.run_dir, "switch")
    assert done.returncode == 1
    assert "this node is not active" in done.stderr and "give it on beta" in done.stderr


def test_hold_and_resume(pair):
    def answer(command):
        held = command["command"] == "hold"
        pair.role(held=held, hold_version=1, hold_until_ns=now_ns() + command["for_ms"] * 10**6 if held else 0)
        pair.peer(held=held, hold_version=1)
        return accept()
    pair.arbiterd.answer = answer
    done = duet(pair.run_dir, "hold", "--for", "30m")
    assert done.returncode == 0 and re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", done.stdout)
    assert pair.arbiterd.commands[0]["for_ms"] == 30 * 60 * 1000
    done = duet(pair.run_dir, "resume")
    assert done.returncode == 0 and done.stdout.startswith("no hold")


def test_hold_needs_a_duration_with_its_unit(pair):
    assert duet(pair.run_dir, "hold", "--for", "30").returncode == 2
    assert pair.arbiterd.commands == []


def test_clear_goes_to_both(pair):
    pair.arbiterd.answer = pair.superviserd.answer = lambda command: accept("cleared")
    assert duet(pair.run_dir, "clear").returncode == 0
    assert [d.commands[0]["command"] for d in (pair.superviserd, pair.arbiterd)] == ["clear", "clear"]


def test_claim(pair):
    def answer(command):
        pair.role(since_ns=now_ns())
        return accept("what beta changed since is set aside")
    pair.role(role="passive", phase="passive")
    pair.arbiterd.answer = answer
    assert duet(pair.run_dir, "claim").returncode == 2 and pair.arbiterd.commands == []
    done = duet(pair.run_dir, "claim", "--force")
    assert done.returncode == 0, done.stderr
    assert "set aside" in done.stdout and "alpha is active after" in done.stdout


@pytest.mark.parametrize("order", ["switch", "hold", "resume", "clear", "why"])
def test_orders_without_an_answer(run_dir, order):
    done = duet(run_dir, order)
    assert done.returncode == 3 and "is duet running" in done.stderr


# ------------------------------------------------------------------ the rest

def test_unknown_command_names_the_nearest(run_dir):
    done = duet(run_dir, "stauts")
    assert done.returncode == 2 and '"status"' in done.stderr


def test_every_command_is_in_help_and_manual(run_dir):
    manual = (ROOT / "docs" / "man" / "duet.8").read_text()
    told = duet(run_dir, "help").stdout
    for name in "run status why events blackbox switch hold resume clear claim check-config keygen".split():
        assert re.search(rf"^  {name} ", told, re.M), name
        assert re.search(rf"^\.It Cm {name}\b", manual, re.M), name


# ------------------------------------------------------------------------ run

STAND_IN = f"#!{sys.executable}" + """
# A daemon as `duet run` sees it: says what it is, lives until SIGTERM, and leaves its pid behind.
import os, pathlib, signal, sys, time
name, notes = os.path.basename(sys.argv[0]), pathlib.Path(os.environ["NOTES"])
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
(notes / (name + ".args")).write_text(" ".join(sys.argv[1:]))
(notes / (name + ".pid.new")).write_text(str(os.getpid()))
os.rename(notes / (name + ".pid.new"), notes / (name + ".pid"))
with open(notes / "started", "a") as f:
    f.write(name + "\\n")
def end(*_):
    with open(notes / "ended", "a") as f:
        f.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if (notes / (name + ".deaf")).exists() else end)
if (notes / (name + ".broken")).exists():
    sys.exit(7)
print(args["--node"], name + ": up", file=sys.stderr, flush=True)
print("bare words", flush=True)
while True:
    time.sleep(60)
"""

CONFIG = """
cluster "gate" {{ key-file = "{key}" }}
node "alpha" {{ reserved-address = "10.91.9.1" }}
node "beta"  {{ reserved-address = "10.91.9.2" }}
channel "outside" {{
    device = "eth7"
    active-address = {{"203.0.113.10/24"}}
    node "alpha" {{ passive-address = {{"203.0.113.11/24"}} }}
    node "beta"  {{ passive-address = {{"203.0.113.12/24"}} }}
}}
"""


class Running:
    """`duet run` in a folder of its own with stand-ins beside it."""

    def __init__(self, path):
        self.path, self.notes, self.run_dir = path, path / "notes", path / "run"
        self.notes.mkdir()
        shutil.copy(f"{BIN}/duet", path / "duet")
        for name in DAEMONS:
            (path / name).write_text(STAND_IN)
            (path / name).chmod(0o755)
        (path / "key").write_bytes(bytes(range(32)))
        (path / "key").chmod(0o600)
        (path / "duet.conf").write_text(CONFIG.format(key=path / "key"))
        (path / "duet.conf").chmod(0o600)
        self.process = None

    def command(self):
        return [str(self.path / "duet"), "run", "--config", str(self.path / "duet.conf"), "--node", "alpha",
                "--run-dir", str(self.run_dir), "--state-dir", str(self.path / "state")]

    def start(self):
        self.output = open(self.path / "output", "w+")
        self.process = subprocess.Popen(self.command(), stdout=self.output, stderr=subprocess.STDOUT,
                                        env=os.environ | {"NOTES": str(self.notes)})
        assert eventually(lambda: len(self.said("started")) >= 4), self.shown()
        assert eventually(lambda: self.shown().count(": up") >= 4), self.shown()
        return self

    def said(self, note):
        path = self.notes / note
        return path.read_text().split() if path.exists() else []

    def shown(self):
        return (self.path / "output").read_text()

    def pid(self, name):
        return int((self.notes / f"{name}.pid").read_text())

    def stop(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=30)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for name in DAEMONS:  # only a broken duet leaves any behind
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if str(self.path) in pathlib.Path(f"/proc/{self.pid(name)}/cmdline").read_text():
                    os.kill(self.pid(name), signal.SIGKILL)


@pytest.fixture
def running(tmp_path_factory):
    with contextlib.closing(Running(tmp_path_factory.mktemp("d"))) as made:
        yield made


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return "\nState:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text()


def test_run_starts_all_and_shows_what_they_say(running):
    running.start()
    lines = running.shown().splitlines()
    for name in DAEMONS:
        assert lines.count(f"alpha {name}: up") == 1  # its own lead is not doubled
        assert lines.count(f"alpha {name}: bare words") == 1  # and given where it is missing
        assert running.said(f"{name}.args") == running.command()[2:]
        assert os.getpgid(running.pid(name)) == running.pid(name)  # Ctrl-C is for duet alone


def test_run_starts_again_what_ends(running):
    running.start()
    time.sleep(1)
    before = running.pid("takeoverd")
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: running.pid("takeoverd") != before)
    assert "takeoverd was ended by signal 9 (Killed); it is started again at once" in running.shown()
    assert running.said("started").count("heartbeatd") == 1


def test_run_does_not_let_a_broken_daemon_eat_the_machine(running):
    running.start()
    (running.notes / "superviserd.broken").touch()
    os.kill(running.pid("superviserd"), signal.SIGKILL)
    time.sleep(4)
    assert 4 <= running.said("started").count("superviserd") <= 9
    assert "superviserd ended with exit code 7; it is started again in" in running.shown()
    (running.notes / "superviserd.broken").unlink()
    assert eventually(lambda: running.shown().count("superviserd: up") == 2)


def test_run_ends_in_order_when_nobody_can_hand_over(running):
    running.start()
    assert running.stop() == 0
    assert running.said("ended") == ["superviserd", "takeoverd", "arbiterd", "heartbeatd"]
    assert "arbiterd cannot be asked to hand over" in running.shown()


def test_run_hands_over_before_the_end(running):
    running.start()
    with contextlib.closing(Pair(running.run_dir)) as pair:
        pair.healthy()
        asked = []

        def answer(command):
            asked.append((command["command"], running.said("ended")))
            threading.Timer(0.5, pair.role, kwargs={"role": "passive", "phase": "passive"}).start()
            pair.role(role="passive", phase="releasing")
            return accept()
        pair.arbiterd.answer = answer
        begun = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - begun >= 0.5
    assert asked == [("stop", [])]
    assert "this node no longer serves" in running.shown()
    assert running.said("ended") == ["superviserd", "takeoverd", "arbiterd", "heartbeatd"]


def test_run_second_signal_skips_the_handover(running):
    running.start()
    with contextlib.closing(Pair(running.run_dir)) as pair:
        pair.healthy()
        pair.arbiterd.answer = lambda command: accept()  # and then it does nothing
        running.process.send_signal(signal.SIGINT)
        assert eventually(lambda: pair.arbiterd.commands)
        begun = time.monotonic()
        assert running.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 2
    assert len(running.said("ended")) == 4


def test_run_kills_what_does_not_end(running):
    (running.notes / "takeoverd.deaf").touch()
    running.start()
    pid = running.pid("takeoverd")
    assert running.stop() == 0
    assert gone(pid)
    assert "takeoverd takes too long; it is killed" in running.shown()


def test_run_takes_its_daemons_with_it_when_killed(running):
    running.start()
    pids = [running.pid(name) for name in DAEMONS]
    running.process.kill()
    running.process.wait()
    assert eventually(lambda: all(gone(pid) for pid in pids))


def test_run_refuses_a_second_one(running):
    running.start()
    second = subprocess.run(running.command(), capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert f"pid {running.process.pid}" in second.stderr and str(running.run_dir) in second.stderr
    assert running.stop() == 0


def test_run_checks_the_configuration_first(running):
    (running.path / "duet.conf").write_text("channel {")
    done = subprocess.run(running.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "duet.conf:1" in done.stderr
    assert running.said("started") == []


def test_run_says_which_program_is_missing(running):
    (running.path / "takeoverd").unlink()
    done = subprocess.run(running.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "takeoverd" in done.stderr
    assert running.said("started") == []


def test_run_goes_on_when_nobody_reads(running):
    """A stopped terminal or a stuck reader must not stop a daemon."""
    (running.notes / "arbiterd.broken").touch()
    reading, writing = os.pipe()
    process = running.process = subprocess.Popen(running.command(), stdout=writing, stderr=writing,
                                                 env=os.environ | {"NOTES": str(running.notes)})
    try:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        assert eventually(lambda: len(running.said("started")) >= 6)
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        os.close(reading)
        os.close(writing)
