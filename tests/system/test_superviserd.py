"""superviserd, the real binary: the test plays arbiterd on the bus, and watches service/NAME, reboot and the log.

Proves, of docs/REQUIREMENTS: L8 (guarded daemons are started with the role), L11 (what is not there is started), L12
(what stays down is an error). Needs DUET_BIN, the folder of the built programs.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import textwrap
import time
import tomllib

import pytest
import zmq
from lab.tools import NO_REBOOT

BIN = os.environ.get("DUET_BIN")
pytestmark = pytest.mark.skipif(not BIN, reason="DUET_BIN does not name the folder of the built programs")
TOPICS = tomllib.loads((pathlib.Path(__file__).parents[2] / "proto/topics.toml").read_text())
PATIENCE_S = 15  # for what takes milliseconds: the machine may stall

CONFIG = """
cluster "test" {{
    key-file = "{dir}/key"
    reboot-command = {{{reboot}}}
    reboot-force = {force}
    {cluster}
}}
node "alpha" {{ reserved-address = "10.91.9.1" }}
node "beta"  {{ reserved-address = "10.91.9.2" }}
channel "outside" {{
    device = "eth0"
    active-address = {{"203.0.113.10/24"}}
    node "alpha" {{ passive-address = {{"203.0.113.11/24"}} }}
    node "beta"  {{ passive-address = {{"203.0.113.12/24"}} }}
}}
{services}
"""


def neutral(kind):
    """A value that fits a field's type."""
    if kind.startswith("enum:"):
        return TOPICS["enum"][kind[5:]]["values"][0]
    return {"bool": False, "int": 0, "text": "", "list": []}[kind.rstrip("?").split(":")[0]]


def is_alive(pid):
    """A zombie is not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_group(pid):
    for end in (os.killpg, os.kill):
        try:
            end(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def wait_for(condition, what, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds} s: {what}")


class World:
    """A run directory, an arbiterd that the test plays, and one superviserd at a time."""

    def __init__(self, directory):
        self.dir = directory
        self.run = directory / "run"
        self.log_file = directory / "log"
        self.process = None
        self.messages = []
        self.context = zmq.Context()
        self.seq = 0
        self.state = {name: neutral(kind) for name, kind, _ in TOPICS["topic"]["role"]["fields"]}
        (directory / "key").write_bytes(os.urandom(32))
        (directory / "key").chmod(0o600)
        (self.run / "bus/arbiterd").mkdir(parents=True)
        self.arbiterd = self.context.socket(zmq.XPUB)
        self.arbiterd.setsockopt(zmq.LINGER, 0)
        self.arbiterd.setsockopt(zmq.XPUB_VERBOSE, 1)  # a new subscriber is told before the killed one is forgotten
        self.arbiterd.bind(f"ipc://{self.run}/bus/arbiterd/pub")
        (self.run / "bus/takeoverd").mkdir(parents=True)
        self.takeoverd = self.context.socket(zmq.XPUB)
        self.takeoverd.setsockopt(zmq.LINGER, 0)
        self.takeoverd.bind(f"ipc://{self.run}/bus/takeoverd/pub")
        self.listener = None
        self.inherit = ()
        self.prefix = ["unshare", "--net"]  # so that it is not the whole machine, whose pstore it would take over

    def script(self, name, text):
        path = self.dir / name
        path.write_text(textwrap.dedent(text).lstrip())
        path.chmod(0o755)
        return str(path)

    def start(self, *services, reboot='"/bin/true"', cluster="", force="off", env=None):
        config = self.dir / "duet.conf"
        config.write_text(CONFIG.format(dir=self.dir, reboot=reboot, cluster=cluster, force=force,
                                        services="\n".join(services)))
        config.chmod(0o600)
        self.env = {**os.environ, **(env or {})}
        self.relaunch()

    def relaunch(self):
        if self.listener:
            self.listener.close()
        self.messages.clear()
        self.process = subprocess.Popen(
            [*self.prefix, *NO_REBOOT, f"{BIN}/superviserd", "--config", str(self.dir / "duet.conf"), "--node", "alpha",
             "--run-dir", str(self.run), "--state-dir", str(self.dir / "state")],
            stdin=subprocess.DEVNULL, stdout=self.log_file.open("ab"), stderr=subprocess.STDOUT, env=self.env, pass_fds=self.inherit)
        self.listener = self.context.socket(zmq.SUB)
        self.listener.setsockopt(zmq.LINGER, 0)
        self.listener.setsockopt(zmq.RECONNECT_IVL, 5)
        for topic in ("service/", "reboot"):
            self.listener.subscribe(topic)
        self.listener.connect(f"ipc://{self.run}/bus/superviserd/pub")
        wait_for(self.subscribed, "superviserd subscribes `role`: " + self.log())

    def subscribed(self):
        if self.process.poll() is not None:
            raise AssertionError("superviserd ended: " + self.log())
        try:
            return self.arbiterd.recv(zmq.NOBLOCK) == b"\x01role" or None
        except zmq.Again:
            return None

    def role(self, **changes):
        self.state.update(changes)
        return self.say(self.arbiterd, "arbiterd", "role", self.state)

    def address(self, state, change=None):
        """takeoverd tells what it holds, and which change of the role it has obeyed (unless told: the latest)."""
        body = {name: neutral(kind) for name, kind, _ in TOPICS["topic"]["address"]["fields"]}
        return self.say(self.takeoverd, "takeoverd", "address", {**body, "state": state, "change": self.state["change"] if change is None else change})

    def say(self, socket_, daemon, topic, body):
        self.seq += 1
        now = time.time()
        envelope = {"v": 1, "node": "alpha", "from": daemon, "seq": self.seq,
                    "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06}Z",
                    "mono_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}
        socket_.send_multipart([topic.encode(), json.dumps({**envelope, **body}).encode()])
        return f"{daemon}:{self.seq}"

    def active(self, epoch=7):
        return self.role(role="active", phase="active", epoch=epoch)

    def passive(self):
        return self.role(role="passive", phase="passive")

    def listen(self):
        while True:
            try:
                topic, body = self.listener.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.messages.append((topic.decode(), json.loads(body)))

    def latest(self, topic):
        self.listen()
        return next((m for t, m in reversed(self.messages) if t == topic), None)

    def states(self, name):
        """The states that a service went through, each once."""
        self.listen()
        told = [m["state"] for t, m in self.messages if t == f"service/{name}"]
        return [s for i, s in enumerate(told) if i == 0 or s != told[i - 1]]

    def service(self, name, state, seconds=PATIENCE_S, **wanted):
        def found():
            m = self.latest(f"service/{name}")
            return m if m and m["state"] == state and all(m[k] == v for k, v in wanted.items()) else None
        try:
            return wait_for(found, f"service {name} {state} {wanted}", seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; latest {self.latest(f'service/{name}')}; log:\n{self.log()}") from None

    def reboot(self, state):
        def found():
            m = self.latest("reboot")
            return m if m and m["state"] == state else None
        return wait_for(found, f"reboot {state}; latest {self.latest('reboot')}; log:\n{self.log()}")

    def command(self, name):
        socket_ = self.context.socket(zmq.REQ)
        socket_.setsockopt(zmq.LINGER, 0)
        socket_.setsockopt(zmq.RCVTIMEO, PATIENCE_S * 1000)
        socket_.connect(f"ipc://{self.run}/ctl/superviserd/ctl")
        fields = TOPICS["message"]["command"]["fields"]
        socket_.send_json({**{n: neutral(k) for n, k, _ in fields}, "command": name})
        try:
            return socket_.recv_json()
        finally:
            socket_.close()

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S + 15)

    def close(self):
        if self.context.closed:
            return
        if self.process and self.process.poll() is None:
            self.process.terminate()  # it ends its services, and what they started
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for record in (self.run / "superviserd/service").glob("*.*"):  # what outlived a superviserd
            if record.suffix in (".record", ".start", ".main"):
                kill_group(int(re.search(r"^pid (\d+)", record.read_text(), re.M)[1]))
        self.context.destroy(linger=0)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def service(name, command, **keys):
    words = ", ".join(f'"{w}"' for w in command)
    lines = "".join(f"    {k.replace('_', '-')} = {v}\n" for k, v in keys.items())
    return f'service "{name}" {{\n    command = {{{words}}}\n{lines}}}'


SLEEP = ["/bin/sleep", "1000"]


def test_L8_runs_while_active_only(world):
    world.start(service("web", SLEEP), service("both", SLEEP, when="always"))
    always = world.service("both", "running")
    assert world.service("web", "stopped")["pid"] == 0
    cause = world.active()
    running = world.service("web", "running")
    assert is_alive(running["pid"]) and running["cause"] == cause and running["first_sign_ns"] == 0
    cause = world.passive()
    stopped = world.service("web", "stopped")
    assert stopped["cause"] == cause and stopped["pid"] == 0 and not is_alive(running["pid"])
    assert "killed by signal 15" in stopped["text"]
    assert world.service("both", "running")["pid"] == always["pid"]


def test_L11_killed_service_is_restarted_at_once(world):
    world.start(service("web", SLEEP, retry_interval="10s"))
    world.active()
    first = world.service("web", "running")
    killed_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    os.kill(first["pid"], signal.SIGKILL)
    again = world.service("web", "running", restarts=1)
    assert again["pid"] != first["pid"] and is_alive(again["pid"])
    assert again["text"].startswith("killed by signal 9 after ")
    assert killed_ns <= again["first_sign_ns"] <= again["mono_ns"]
    assert (again["since_ns"] - killed_ns) / 1e6 < 2000  # well below retry-interval
    assert "cause" not in again


def test_L12_service_that_stays_down_is_failed(world):
    dies = world.script("dies", "#!/bin/sh\necho round\nexit 3\n")
    world.start(service("web", [dies], retry_interval="200ms", start_retries=3, on_failure="demote"))
    world.active()
    failed = world.service("web", "failed")
    assert failed["restarts"] == 3 and failed["pid"] == 0 and failed["on_failure"] == "demote"
    assert failed["text"].startswith("ended with status 3 after 0.")
    assert 0.4e9 <= failed["since_ns"] - failed["first_sign_ns"] < 5e9
    wait_for(lambda: world.log().count("web: round") == 4, "four starts, each seen in the log")
    # it sticks through roles, and is tried again
    world.passive()
    time.sleep(0.3)
    assert world.latest("service/web")["state"] == "failed"
    world.active()
    wait_for(lambda: world.log().count("web: round") == 8, "it is tried again")
    assert "running" not in world.states("web")[world.states("web").index("failed"):]


def test_missing_program_is_said_as_such(world):
    world.start(service("web", ["/nonexistent/program"], retry_interval="100ms"))
    world.active()
    failed = world.service("web", "failed")
    assert failed["text"] == "cannot start /nonexistent/program: No such file or directory"
    assert failed["since_ns"] - failed["first_sign_ns"] < 3e9
    assert "running" not in world.states("web")


def test_clear_and_success(world):
    flag = world.dir / "mended"
    web = world.script("web", f"#!/bin/sh\n[ -e {flag} ] && exec sleep 1000\nexit 1\n")
    world.start(service("web", [web], retry_interval="50ms"))
    world.active()
    world.service("web", "failed")
    flag.touch()
    assert world.command("clear") == {"ok": True, "error": "", "text": "failed services cleared: 1"}
    cleared = world.service("web", "running")
    assert is_alive(cleared["pid"]) and cleared["restarts"] == 0
    refused = world.command("dance")
    assert not refused["ok"] and "dance" in refused["error"]


def test_active_anew_tries_again_and_success_ends_failed(world):
    flag = world.dir / "mended"
    web = world.script("web", f"#!/bin/sh\n[ -e {flag} ] && exec sleep 1000\nexit 1\n")
    world.start(service("web", [web], retry_interval="50ms"))
    world.active()
    world.service("web", "failed")
    flag.touch()
    world.passive()
    time.sleep(0.2)
    world.active()
    tried = wait_for(lambda: (world.latest("service/web") or {}).get("pid"), "it runs again")
    assert is_alive(tried) and world.latest("service/web")["state"] == "failed"
    mended = world.service("web", "running", seconds=PATIENCE_S + 10)
    assert mended["pid"] == tried and mended["first_sign_ns"] == 0


def test_stopped_process_is_found_by_its_check(world):
    beat = world.dir / "beat"
    web = world.script("web", f"#!/bin/sh\nwhile :; do touch {beat}; sleep 0.05; done\n")
    check = world.script("check", f"""
        #!/bin/sh
        rm -f {beat}
        for i in $(seq 40); do [ -e {beat} ] && exit 0; sleep 0.05; done
        exit 1
        """)
    world.start(service("web", [web], check=f'{{"{check}"}}', check_interval="100ms", check_timeout="15s",
                        check_failures=2, stop_timeout="500ms"))
    world.active()
    first = world.service("web", "running")
    time.sleep(1)
    assert world.latest("service/web")["pid"] == first["pid"], world.log()
    os.killpg(first["pid"], signal.SIGSTOP)
    again = world.service("web", "running", restarts=1)
    assert again["pid"] != first["pid"] and not is_alive(first["pid"])
    assert "check failed, 2 of 2" in world.log()


def test_hanging_check_is_killed_with_all_its_group(world):
    hung = world.dir / "hung"
    check = world.script("check", f"""
        #!/bin/sh
        sleep 999 & echo $! >> {hung}
        wait
        """)
    world.start(service("web", SLEEP, check=f'{{"{check}"}}', check_interval="100ms", check_timeout="300ms",
                        check_failures=2, start_retries=1))
    world.active()
    failed = world.service("web", "failed")
    assert "check" in world.log() and "did not end within check-timeout" in world.log()
    assert failed["restarts"] == 1 and failed["first_sign_ns"] > 0
    pids = [int(p) for p in hung.read_text().split()]
    assert len(pids) == 4
    wait_for(lambda: not any(is_alive(p) for p in pids), "the checks' processes are gone")


def test_what_ignores_term_is_killed(world):
    stubborn = world.script("stubborn", """
        #!/bin/sh
        trap '' TERM
        echo ready
        while :; do sleep 1000; done
        """)
    world.start(service("web", [stubborn], stop_timeout="400ms"))
    world.active()
    pid = world.service("web", "running")["pid"]
    wait_for(lambda: "web: ready" in world.log(), "its line in the log")
    asked = time.monotonic()
    world.passive()
    assert "told to stop" in world.service("web", "running", text="told to stop")["text"]
    stopped = world.service("web", "stopped")
    assert 0.4 <= time.monotonic() - asked < 5
    assert "killed by signal 9" in stopped["text"] and not is_alive(pid)


def test_children_of_a_dead_service_go_with_it(world):
    child = world.dir / "child"
    web = world.script("web", f"#!/bin/sh\nsleep 1000 & echo $! > {child}.new; mv {child}.new {child}\nwait\n")
    world.start(service("web", [web]))
    world.active()
    first = world.service("web", "running")
    wait_for(child.exists, "the child's number")
    left = int(child.read_text())
    os.kill(first["pid"], signal.SIGKILL)
    world.service("web", "running", restarts=1)
    wait_for(lambda: not is_alive(left), "the child is gone")


def test_environment_and_surroundings(world):
    show = world.script("show", """
        #!/bin/bash
        echo "env $DUET_ROLE $DUET_NODE $DUET_EPOCH ${NOTIFY_SOCKET-none} $OTHER"
        echo "fds" $(ls /proc/$$/fd | tr '\\n' ' ') >&2
        echo "stdin" $(readlink /proc/$$/fd/0)
        echo "group" $(($(ps -o pgid= $$))) $$
        echo "policy" $(chrt -p $$ | sed 's/.*: //' | tr '\\n' ' ') oom $(cat /proc/$$/oom_score_adj)
        exec sleep 1000
        """)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = str(world.dir / "notify")
        notify.bind(path)
        world.inherit = (notify.fileno(),)
        world.start(service("web", [show]),
                    service("status", ["grep", "-E", "Sig|VmLck|NoNew|CapEff", "/proc/self/status"], start_retries=0),
                    env={"NOTIFY_SOCKET": path, "OTHER": "kept", "DUET_ROLE": "wrong"})
        world.active(epoch=12345)
        pid = world.service("web", "running")["pid"]
        wait_for(lambda: "web: policy" in world.log() and "status: NoNewPrivs" in world.log(), "its lines in the log")
    log = world.log()
    assert "web: env active alpha 12345 none kept\n" in log
    assert f"web: group {pid} {pid}\n" in log
    assert "web: stdin /dev/null\n" in log
    fds = next(line for line in log.splitlines() if "web: fds" in line).split()[4:]
    assert set(fds) <= {"0", "1", "2", "3", "255"} and world.inherit[0] > 3  # 3 and 255 are bash's own
    assert "policy SCHED_OTHER 0 oom 0" in log
    status = {w[3]: w[4] for w in (line.split() for line in log.splitlines()) if w[2:3] == ["status:"]}
    for name in ("SigBlk:", "SigIgn:", "NoNewPrivs:", "VmLck:"):
        assert int(status[name], 16) == 0, name
    own = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)
    sys_boot = 1 << 22  # which NO_REBOOT takes away
    assert int(status["CapEff:"], 16) == int(own.split()[1], 16) & ~sys_boot


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_user_and_group(world):
    world.start(service("web", ["/bin/sh", "-c", "id; exec sleep 1000"], user='"nobody"', group='"daemon"'),
                service("who", SLEEP, user='"no-such-user"', retry_interval="50ms"))
    world.active()
    running = world.service("web", "running")
    wait_for(lambda: "web: uid=65534(nobody) gid=1(daemon)" in world.log(), "id in the log")
    failed = world.service("who", "failed")
    assert failed["text"] == "cannot start: the user no-such-user: not known"
    world.process.kill()
    world.process.wait()
    assert is_alive(running["pid"])
    world.relaunch()
    assert world.service("web", "running")["pid"] == running["pid"]


def test_output_is_bounded(world):
    loud = world.script("loud", """
        #!/bin/sh
        head -c 100000 /dev/zero | tr '\\0' x; echo
        yes flood | head -n 100000
        printf 'last words'
        exec sleep 1000
        """)
    world.start(service("web", [loud]))
    world.active()
    world.service("web", "running")
    wait_for(lambda: "x (cut)" in world.log(), "the long line, cut")
    wait_for(lambda: world.log().count("web: flood") >= 190, "lines of the flood")
    time.sleep(0.5)
    assert world.log().count("web: flood") <= 200
    assert max(map(len, world.log().splitlines())) < 1100
    assert world.latest("service/web")["restarts"] == 0


def test_last_words_of_a_dying_service(world):
    dies = world.script("dies", """
        #!/bin/bash
        line=$(printf 'x%.0s' {1..400})
        for i in {1..120}; do text+="$line $i"$'\\n'; done
        read -t 0.5 < <(sleep 1)
        printf '%sfatal: no disk' "$text" >&2
        exit 1
        """)
    world.start(service("web", [dies], start_retries=0))
    world.active()
    pid = world.service("web", "running")["pid"]
    world.process.send_signal(signal.SIGSTOP)  # so that it finds the words and the end at the same time
    wait_for(lambda: not is_alive(pid), "the service ended")
    world.process.send_signal(signal.SIGCONT)
    world.service("web", "failed")
    assert "x 120\n" in world.log() and "web: fatal: no disk\n" in world.log()


def test_sigterm_stops_all_in_bounded_time(world):
    stubborn = world.script("stubborn", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 1000; done\n")
    world.start(service("web", [stubborn], stop_timeout="500ms"), service("both", SLEEP, when="always"))
    world.active()
    pids = [world.service(name, "running")["pid"] for name in ("web", "both")]
    wait_for(lambda: "web: ready" in world.log(), "its line in the log")
    asked = time.monotonic()
    assert world.stop() == 0
    assert 0.5 <= time.monotonic() - asked < 5
    assert not any(is_alive(p) for p in pids)


def test_program_is_found_in_path_and_no_shell_reads_it(world):
    no_shebang = world.script("plain", "echo a shell ran me\n")
    world.start(service("web", ["sleep", "1000"]), service("odd", [no_shebang], start_retries=0))
    world.active()
    world.service("web", "running")
    assert world.service("odd", "failed")["text"].endswith("plain: Exec format error")
