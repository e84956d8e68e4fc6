"""takeoverd against a real kernel: the test plays arbiterd, and looks at the namespace and at the wire.

Needs root, and DUET_BIN: the directory of the built daemons.
"""
import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import threading
import time

import pytest
import zmq

BIN = os.environ.get("DUET_BIN")
pytestmark = [
    pytest.mark.skipif(not BIN, reason="DUET_BIN does not name the directory of the daemons"),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

MS = 1_000_000
ACTIVE4, ACTIVE6, PASSIVE4 = "203.0.113.10/24", "2001:db8::10/64", "203.0.113.11/24"
INSIDE_ACTIVE, INSIDE_PASSIVE = "192.0.2.1/24", "192.0.2.2/24"
ROLE = {
    "role": "passive", "phase": "passive", "epoch": 0, "next_epoch": 0, "since_ns": 0, "lease_ns": 0, "rule": "test",
    "reason": "", "change": 1, "considered": 0, "searching": False, "suspicious": False, "fit": True, "unfit_reason": "",
    "held": False, "hold_version": 0, "hold_until_ns": 0, "offer": "none", "prefers": "none", "released": False,
    "term": 0, "yielding": False, "quiet": False, "silent": False, "draining": False, "whole": True, "data_epoch": 0, "data_generation": 0, "services_failed": 0, "ready": True, "not_ready": "",
    "ask": "none", "ask_number": 0, "ask_epoch": 0, "fence": 0, "reboot": False, "reboot_reason": "",
}


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


def eventually(what, condition, timeout=3.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.005)
    assert condition(), what


def quoted(addresses):
    return ", ".join(f'"{a}"' for a in addresses)


class Lan:
    """A namespace NODE with eth0 and eth1, whose other ends are in the namespace OTHER."""

    NODE, OTHER = f"duet-{os.getpid()}-own", f"duet-{os.getpid()}-far"

    def __init__(self):
        self.close()
        for name in (self.NODE, self.OTHER):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for i in (0, 1):
            self.add_device(i)

    def add_device(self, i):
        run("ip", "-n", self.NODE, "link", "add", f"eth{i}", "type", "veth", "peer", "name", f"far{i}",
            "netns", self.OTHER)
        run("ip", "-n", self.OTHER, "link", "set", f"far{i}", "up")
        run("ip", "-n", self.NODE, "link", "set", f"eth{i}", "up")

    def close(self):
        for name in (self.NODE, self.OTHER):
            run("ip", "netns", "del", name, check=False)

    def ip(self, *words, check=True):
        return run("ip", "-n", self.NODE, *words, check=check)

    def addresses(self, device="eth0"):
        """Addresses with prefix length on a device, without link-local ones."""
        text = self.ip("-j", "addr", "show", "dev", device, check=False)
        return {f"{a['local']}/{a['prefixlen']}" for link in json.loads(text or "[]")
                for a in link.get("addr_info", []) if a.get("scope") != "link"}

    def routes(self, family="-4"):
        return json.loads(self.ip("-j", family, "route", "show") or "[]")


class Sniffer:
    """Frames that arrive at the other end, with the time of each."""

    def __init__(self, device):
        with in_namespace(Lan.OTHER):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 32 * 1024 * 1024)  # SO_RCVBUFFORCE
            self.socket.bind((device, 0))
        self.socket.setblocking(False)

    def frames(self):
        found = []
        while True:
            try:
                found.append(self.socket.recv(2048))
            except BlockingIOError:
                return found
            except OSError:  # once, when the device goes down
                pass

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def in_namespace(name):
    """Runs the block's thread in a namespace."""
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as there:
        os_setns(there.fileno())
        try:
            yield
        finally:
            os_setns(home.fileno())


def os_setns(fd):
    import ctypes
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) < 0:
        raise OSError(ctypes.get_errno(), "setns")


def gratuitous(frames, address):
    """The (operation, sender MAC) of the gratuitous ARP packets for an IPv4 address."""
    raw = socket.inet_aton(address)
    return [(int.from_bytes(f[20:22], "big"), f[22:28]) for f in frames
            if f[12:14] == b"\x08\x06" and f[28:32] == raw and f[38:42] == raw and f[:6] == b"\xff" * 6]


class Arbiter:
    """The publisher of `role`, as arbiterd is one."""

    def __init__(self, run_dir):
        self.context = zmq.Context()
        self.path = pathlib.Path(run_dir, "bus/arbiterd")
        self.path.mkdir(parents=True, exist_ok=True)
        self.seq = 0
        self.role = dict(ROLE)
        self.renewing = None
        self.lock = threading.Lock()
        self.pub = self.context.socket(zmq.XPUB)
        self.pub.setsockopt(zmq.LINGER, 0)
        self.pub.bind(f"ipc://{self.path}/pub")
        self.sub = self.context.socket(zmq.SUB)  # arbiterd hears takeoverd, and gives its term back
        self.sub.setsockopt(zmq.RECONNECT_IVL, 5)
        self.sub.connect(f"ipc://{run_dir}/bus/takeoverd/pub")
        self.sub.subscribe(b"address")
        self.sub.subscribe(b"~address")  # its renewals

    def hear(self, timeout=0):
        """Takes in what takeoverd said, waiting for a first word at most so many milliseconds."""
        while self.sub.poll(timeout):
            topic, text = self.sub.recv_multipart()
            if topic.endswith(b"address"):
                self.role["term"] = json.loads(text)["term"]
                timeout = 0

    def wait_for_term(self, before):
        """Until takeoverd has begun another term than `before`: it was started anew, or has lost the addresses."""
        eventually("no new term", lambda: self.hear() or self.role["term"] not in (0, before))

    def wait_for_subscriber(self, timeout=5000):
        assert self.pub.poll(timeout), "takeoverd did not subscribe to role"
        while self.pub.poll(0):
            self.pub.recv()

    def send(self, **fields):
        with self.lock:
            self.hear(0 if self.role["term"] else 3000)
            self.role.update(fields)
            self.seq += 1
            envelope = {"v": 1, "node": "alpha", "from": "arbiterd", "seq": self.seq,
                        "at": "2026-01-01T00:00:00.000000Z", "mono_ns": now_ns()}
            self.pub.send_multipart([b"role", json.dumps({**envelope, **self.role}).encode()])
            return f"arbiterd:{self.seq}"

    def active(self, epoch, lease_ms=5000):
        return self.send(role="active", phase="active", epoch=epoch, lease_ns=now_ns() + lease_ms * MS)

    def passive(self):
        return self.send(role="passive", phase="passive", lease_ns=0)

    def renew(self, epoch, lease_ms=200, interval=0.05):
        """Keeps renewing, as arbiterd does, until stop_renewing()."""
        stop = threading.Event()

        def loop():
            while not stop.is_set():
                self.active(epoch, lease_ms)
                stop.wait(interval)

        thread = threading.Thread(target=loop)
        thread.start()
        self.renewing = (stop, thread)

    def stop_renewing(self):
        if self.renewing:
            self.renewing[0].set()
            self.renewing[1].join()
            self.renewing = None

    def close(self):
        self.stop_renewing()
        self.context.destroy(0)


class Node:
    """A takeoverd in the namespace, with its arbiter and a listener on its topics."""

    def __init__(self, lan, path, config):
        self.lan = lan
        self.run_dir = path / "run"
        self.run_dir.mkdir()
        key = path / "key"
        key.write_bytes(bytes(range(32)))
        key.chmod(0o600)
        self.config = path / "duet.conf"
        self.config.write_text(config.replace("KEY", str(key)))
        self.config.chmod(0o644)
        self.state_dir = path / "state"
        self.log = open(path / "log", "w+")
        self.process = None
        self.arbiter = Arbiter(self.run_dir)
        self.sub = self.arbiter.context.socket(zmq.SUB)
        self.sub.setsockopt(zmq.RECONNECT_IVL, 5)
        self.sub.connect(f"ipc://{self.run_dir}/bus/takeoverd/pub")
        self.sub.subscribe(b"address")
        self.sub.subscribe(b"~address")

    def start(self, subscribed=True):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.lan.NODE, f"{BIN}/takeoverd", "--config", self.config, "--node", "alpha",
             "--run-dir", self.run_dir, "--state-dir", self.state_dir], stderr=self.log)
        if subscribed:
            self.arbiter.wait_for_subscriber()
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(5)

    def next(self, topic="address", timeout=3.0, where=lambda m: True):
        """The next message of a topic for which `where` holds."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            if self.sub.poll(int(left * 1000) + 1):
                got, text = self.sub.recv_multipart()
                message = json.loads(text)
                if got.decode().lstrip("~") == topic and where(message):
                    return message
        raise AssertionError(f"no such {topic} within {timeout} s; log:\n{self.logged()}")

    def forget(self):
        while self.sub.poll(0):
            self.sub.recv_multipart()

    def logged(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.arbiter.close()
        print(self.logged())


def config(mode="exchange", active=(ACTIVE4, ACTIVE6), device="eth0", route=True, inside=True, more="", timers="", keys=""):
    text = f"""
cluster "gate" {{ profile = lan  key-file = "KEY"  {timers} }}
node "alpha" {{ reserved-address = "10.91.9.1" }}
node "beta"  {{ reserved-address = "10.91.9.2" }}
channel "outside" {{
    device = "{device}"  active-address = {{{quoted(active)}}}  mode = {mode}  {keys}
    node "alpha" {{ passive-address = {{"{PASSIVE4}"}} }}
    node "beta"  {{ passive-address = {{"203.0.113.12/24"}} }}
}}
"""
    if inside:
        text += f"""
channel "inside" {{
    device = "eth1"  active-address = {{"{INSIDE_ACTIVE}"}}  mode = {mode}
    node "alpha" {{ passive-address = {{"{INSIDE_PASSIVE}"}} }}
    node "beta"  {{ passive-address = {{"192.0.2.3/24"}} }}
}}
"""
    if route:
        text += 'route "default" { via = "203.0.113.1"  channel = "outside" }\n'
    return text + more


@pytest.fixture
def lan():
    made = Lan()
    yield made
    made.close()


@pytest.fixture
def make(lan, tmp_path):
    nodes = []

    def build(**options):
        nodes.append(Node(lan, tmp_path, config(**options)))
        return nodes[-1]

    yield build
    for node in nodes:
        node.close()


def test_start_is_passive(lan, make):
    """R1: active addresses that an earlier run left go, the passive ones come."""
    lan.ip("addr", "add", ACTIVE4, "dev", "eth0")
    lan.ip("addr", "add", "203.0.113.10/32", "dev", "eth0")
    lan.ip("addr", "add", INSIDE_ACTIVE, "dev", "eth1")
    lan.ip("addr", "add", "203.0.113.77/24", "dev", "eth0")
    node = make().start()
    assert node.next()["state"] == "released"
    assert lan.addresses("eth0") == {PASSIVE4, "203.0.113.77/24"}
    assert lan.addresses("eth1") == {INSIDE_PASSIVE}


def test_claim_and_release_in_exchange_mode(lan, make):
    lan.ip("addr", "add", PASSIVE4, "dev", "eth0")
    lan.ip("route", "add", "198.51.100.0/24", "via", "203.0.113.254")  # somebody else's
    node = make().start()
    assert node.next()["state"] == "released"
    cause = node.arbiter.active(17)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert (held["epoch"], held["cause"], held["error"]) == (17, cause, "")
    assert held["lease_ns"] == node.arbiter.role["lease_ns"]
    assert 0 < held["announced_ns"] <= held["mono_ns"]
    assert lan.addresses("eth0") == {ACTIVE4, ACTIVE6}
    assert lan.addresses("eth1") == {INSIDE_ACTIVE}
    assert [r["gateway"] for r in lan.routes() if r["dst"] == "default"] == ["203.0.113.1"]
    assert "198.51.100.0/24" in [r["dst"] for r in lan.routes()], "a foreign route went with the passive address"
    channel = node.next("address/outside", where=lambda m: m["missing"] == 0 and m["wanted"] == 2)
    assert {(a["address"], a["active"], a["held"]) for a in channel["addresses"]} == {
        (ACTIVE4, True, True), (ACTIVE6, True, True), (PASSIVE4, False, False)}
    assert "active: 2 addresses on outside, 1 on inside up in" in node.logged()

    cause = node.arbiter.passive()
    released = node.next(where=lambda m: m["state"] == "released")
    assert (released["cause"], released["lease_ns"], released["epoch"]) == (cause, 0, 17)
    assert lan.addresses("eth0") == {PASSIVE4}
    assert lan.addresses("eth1") == {INSIDE_PASSIVE}
    dsts = [r["dst"] for r in lan.routes()]
    assert "default" not in dsts
    assert "198.51.100.0/24" in dsts, "a foreign route went with the active address"


def test_overlay_keeps_the_passive_address(lan, make):
    node = make(mode="overlay").start()
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert lan.addresses("eth0") == {PASSIVE4, ACTIVE4, ACTIVE6}
    node.arbiter.passive()
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
    assert lan.addresses("eth0") == {PASSIVE4}


def test_ipv6_active_address_skips_detection(lan, make):
    node = make().start()
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    info = json.loads(lan.ip("-j", "addr", "show", "dev", "eth0"))[0]["addr_info"]
    six = [a for a in info if a["local"] == "2001:db8::10"][0]
    assert six.get("nodad") and not six.get("tentative")


def test_each_renewal_is_confirmed(make):
    node = make().start()
    node.arbiter.active(5)
    node.next(where=lambda m: m["state"] == "holding")
    for _ in range(5):
        cause = node.arbiter.active(5)
        message = node.next(where=lambda m: m.get("cause") == cause)
        assert message["lease_ns"] == node.arbiter.role["lease_ns"]


def test_lease_runs_out(lan, make):
    """Nobody renews: the addresses go by themselves, when the lease ends and not before."""
    node = make().start()
    node.arbiter.active(7, lease_ms=300)
    end = node.next(where=lambda m: m["state"] == "holding")["lease_ns"]
    released = node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 7)
    assert end <= released["changed_ns"] < end + 50 * MS
    assert lan.addresses("eth0") == {PASSIVE4}
    assert "the lease ran out" in node.logged()


def test_stopped_process_does_not_believe_old_renewals(lan, make):
    """R12: what was queued while the process was stopped is dead by then."""
    node = make().start()
    node.arbiter.renew(7, lease_ms=200)
    node.next(where=lambda m: m["state"] == "holding")
    pid = int(run("ip", "netns", "pids", lan.NODE).split()[0])
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.1)
    node.arbiter.stop_renewing()
    time.sleep(0.3)
    os.kill(pid, signal.SIGCONT)
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 7)
    assert lan.addresses("eth0") == {PASSIVE4}


def test_claim_that_takes_longer_than_the_lease(lan, make):
    """The lease is renewed and confirmed meanwhile, though nothing is said to be held before all is."""
    many = [f"10.77.{i // 250}.{i % 250 + 1}/16" for i in range(10000)]
    node = make(active=many, route=False, inside=False).start()
    node.arbiter.renew(3, lease_ms=200)
    node.next(where=lambda m: m["state"] == "failed" and 0 < m["held"] < len(many) and m["lease_ns"] > m["mono_ns"], timeout=10)
    node.next(where=lambda m: m["state"] == "holding", timeout=10)
    time.sleep(1.5)
    assert len(lan.addresses()) == len(many)
    assert node.logged().count("active: 10000 addresses") == 1, node.logged()
    node.arbiter.stop_renewing()
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
    assert lan.addresses() == {PASSIVE4}


def test_stale_role_is_not_obeyed(lan, make):
    node = make().start()
    node.arbiter.active(9, lease_ms=-1)
    time.sleep(0.2)
    assert lan.addresses("eth0") == {PASSIVE4}
    assert "active: " not in node.logged()


def test_announcements(lan, make):
    """A burst in both forms at once, repeated, from the adapter's own MAC; IPv6 by neighbour advertisement."""
    node = make().start()
    outside, inside = Sniffer("far0"), Sniffer("far1")
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    mac = bytes.fromhex(json.loads(lan.ip("-j", "link", "show", "eth0"))[0]["address"].replace(":", ""))
    frames = outside.frames()
    first = gratuitous(frames, "203.0.113.10")
    assert first[:2] == [(1, mac), (2, mac)], "no burst before `address` was published"
    advertisement = [f for f in frames if f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 136]
    assert advertisement and advertisement[0][62:78] == socket.inet_pton(socket.AF_INET6, "2001:db8::10")
    assert gratuitous(inside.frames(), "192.0.2.1")[:1]
    time.sleep(2.3)
    assert len(first + gratuitous(outside.frames(), "203.0.113.10")) == 10
    assert not gratuitous(frames, "203.0.113.11")
    outside.close()
    inside.close()


def test_announcement_when_the_carrier_comes(lan, make):
    """A switch port that opens only after the claim hears of it then."""
    run("ip", "-n", lan.OTHER, "link", "set", "far0", "down")
    node = make().start()
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    time.sleep(2.2)
    sniffer = Sniffer("far0")
    run("ip", "-n", lan.OTHER, "link", "set", "far0", "up")
    seen = []
    eventually("no announcement", lambda: seen.extend(gratuitous(sniffer.frames(), "203.0.113.10")) or seen)
    sniffer.close()


def test_no_announcement_after_release(lan, make):
    node = make().start()
    sniffer = Sniffer("far0")
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    node.arbiter.passive()
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
    sniffer.frames()
    time.sleep(0.7)
    assert not gratuitous(sniffer.frames(), "203.0.113.10")
    sniffer.close()


def test_repair(lan, make):
    """What somebody else removes comes back; so does a passive node's freedom from active addresses."""
    node = make().start()
    node.arbiter.active(3, lease_ms=60000)
    node.next(where=lambda m: m["state"] == "holding")
    lan.ip("addr", "del", ACTIVE4, "dev", "eth0")
    eventually("the active address did not come back", lambda: ACTIVE4 in lan.addresses())
    eventually("the route that went with it did not", lambda: "default" in [r["dst"] for r in lan.routes()])
    lan.ip("route", "del", "default")
    eventually("the route did not come back", lambda: "default" in [r["dst"] for r in lan.routes()])
    lan.ip("addr", "add", PASSIVE4, "dev", "eth0")
    eventually("the passive address stayed", lambda: PASSIVE4 not in lan.addresses())
    node.arbiter.passive()
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
    lan.ip("addr", "add", ACTIVE4, "dev", "eth0")
    eventually("the active address stayed on a passive node", lambda: ACTIVE4 not in lan.addresses())
    lan.ip("addr", "add", "203.0.113.99/24", "dev", "eth0")
    lan.ip("addr", "del", PASSIVE4, "dev", "eth0")
    eventually("the passive address did not come back", lambda: PASSIVE4 in lan.addresses())
    assert "203.0.113.99/24" in lan.addresses()


def test_repair_has_a_limit(lan, make):
    node = make().start()
    node.arbiter.active(3, lease_ms=60000)
    node.next(where=lambda m: m["state"] == "holding")
    fighter = subprocess.Popen(["ip", "netns", "exec", Lan.NODE, "sh", "-c",
                                "while :; do ip addr del %s dev eth0 2>/dev/null; done" % ACTIVE4], start_new_session=True)
    try:
        failed = node.next(where=lambda m: m["state"] == "failed" and "something else keeps removing it" in m["error"], timeout=20)
    finally:
        fighter.kill()
        fighter.wait()
    assert "203.0.113.10/24 on eth0" in failed["error"] and failed["lease_ns"] > 0  # what is left stays leased
    time.sleep(0.5)
    assert ACTIVE4 not in lan.addresses()
    node.next(where=lambda m: m["state"] == "holding" and m["error"] == "", timeout=14)
    assert ACTIVE4 in lan.addresses()


def test_ipv6_route_follows_the_role(lan, make):
    lan.ip("addr", "add", "2001:db8::99/64", "dev", "eth0", "nodad")
    lan.ip("-6", "route", "add", "default", "via", "2001:db8::fe")  # somebody else's

    def gateways():
        return {r.get("gateway") for r in lan.routes("-6") if r["dst"] == "default"}

    node = make(more='route "::/0" { via = "2001:db8::1"  channel = "outside" }').start()
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert gateways() == {"2001:db8::1", "2001:db8::fe"}
    chosen = json.loads(lan.ip("-j", "-6", "route", "get", "2001:db8:1::1"))[0]
    assert chosen["gateway"] == "2001:db8::1"
    node.arbiter.passive()
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
    assert gateways() == {"2001:db8::fe"}


def test_more_events_than_the_queue_holds(lan, make, tmp_path):
    """The kernel drops events for a listener that does not read: all is asked for anew then."""
    node = make().start()
    node.arbiter.active(3, lease_ms=60000)
    node.next(where=lambda m: m["state"] == "holding")
    pid = int(run("ip", "netns", "pids", lan.NODE).split()[0])
    os.kill(pid, signal.SIGSTOP)
    flood = tmp_path / "flood"
    flood.write_text("".join(f"address {verb} 10.9.{i % 250}.1/32 dev eth1\n"
                             for _ in range(40) for verb in ("add", "del") for i in range(250)))
    run("ip", "-n", lan.NODE, "-batch", flood)
    lan.ip("addr", "del", ACTIVE4, "dev", "eth0")
    os.kill(pid, signal.SIGCONT)
    eventually("the lost event was not made up for", lambda: ACTIVE4 in lan.addresses())
    drops = [line.split()[8] for line in run("ip", "netns", "exec", lan.NODE, "cat", "/proc/net/netlink").splitlines()
             if line.split()[1] == "0"]
    assert any(int(d) > 0 for d in drops), "the queue held them all: this shows nothing"


def test_sigterm_leaves_a_passive_node(lan, make):
    node = make().start()
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert node.stop() == 0
    assert lan.addresses("eth0") == {PASSIVE4}
    assert lan.addresses("eth1") == {INSIDE_PASSIVE}
    assert "default" not in [r["dst"] for r in lan.routes()]
    assert node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)


def watch_addresses(lan, stop, gaps):
    """Hears from the kernel itself of every address that goes."""
    process = subprocess.Popen(["ip", "-n", lan.NODE, "monitor", "address"], stdout=subprocess.PIPE, text=True)
    stop.wait()
    time.sleep(0.1)
    process.terminate()
    gaps.extend(line for line in process.stdout if line.startswith("Deleted"))
    process.wait()


def test_kill_and_restart_within_the_lease_keeps_all(lan, make):
    node = make().start()
    node.arbiter.renew(11, lease_ms=2000)
    node.next(where=lambda m: m["state"] == "holding")
    stop, gone = threading.Event(), []
    watcher = threading.Thread(target=watch_addresses, args=(lan, stop, gone))
    watcher.start()
    time.sleep(0.2)
    node.kill()
    assert ACTIVE4 in lan.addresses()
    node.forget()
    node.start(subscribed=False)
    again = node.next(where=lambda m: m["state"] == "holding")
    assert again["epoch"] == 11
    stop.set()
    watcher.join()
    assert gone == []
    assert lan.addresses("eth0") == {ACTIVE4, ACTIVE6}


def test_restart_within_the_lease_without_arbiter(lan, make):
    """It keeps them until the lease's end, and only until then."""
    node = make().start()
    node.arbiter.active(11, lease_ms=1500)
    end = node.next(where=lambda m: m["state"] == "holding")["lease_ns"]
    node.kill()
    node.start()
    time.sleep(0.3)
    assert ACTIVE4 in lan.addresses() and now_ns() < end
    released = node.next(where=lambda m: m["state"] == "released")
    assert end <= released["mono_ns"] < end + 100 * MS
    assert lan.addresses("eth0") == {PASSIVE4}


def test_restart_after_the_lease_removes_leftovers(lan, make):
    node = make().start()
    node.arbiter.active(11, lease_ms=300)
    node.next(where=lambda m: m["state"] == "holding")
    node.kill()
    time.sleep(0.4)
    assert ACTIVE4 in lan.addresses()
    node.forget()
    node.start()
    assert node.next()["state"] == "released"
    assert lan.addresses("eth0") == {PASSIVE4}


def test_let_go_takes_away_what_a_lease_still_allows(lan, make):
    """What systemd runs after a takeoverd that it had to end: nothing of it stays, and the process does not, either."""
    node = make().start()
    node.arbiter.renew(11, lease_ms=60000)
    node.next(where=lambda m: m["state"] == "holding")
    node.kill()
    assert ACTIVE4 in lan.addresses()
    ended = subprocess.run(
        ["ip", "netns", "exec", lan.NODE, f"{BIN}/takeoverd", "--let-go", "--config", node.config, "--node", "alpha",
         "--run-dir", node.run_dir, "--state-dir", node.state_dir], stderr=node.log, timeout=20)
    assert ended.returncode == 0
    assert lan.addresses("eth0") == {PASSIVE4} and lan.addresses("eth1") == {INSIDE_PASSIVE}
    assert "default" not in [r["dst"] for r in lan.routes()]


@pytest.mark.parametrize("damage", ["text", "empty", "other boot"])
def test_damaged_lease_record_is_no_lease(lan, make, damage):
    node = make().start()
    node.arbiter.active(11, lease_ms=20000)
    node.next(where=lambda m: m["state"] == "holding")
    node.kill()
    record = node.run_dir / "takeoverd.lease"
    text = record.read_bytes()
    assert len(text) == 128
    record.write_bytes({"text": text.replace(b"epoch 0", b"epoch 1"), "empty": b"",
                        "other boot": text.replace(b"-", b"+")}[damage])
    node.start()
    eventually("leftovers stay", lambda: lan.addresses("eth0") == {PASSIVE4}, 1.0)


def test_missing_device(lan, make):
    node = make(device="eth7", route=False).start()
    message = node.next(where=lambda m: m["state"] == "released")
    assert "eth7" in message["error"]
    node.arbiter.active(3, lease_ms=20000)
    failed = node.next(where=lambda m: m["state"] == "failed")
    assert "no device eth7 (channel outside)" in failed["error"] and failed["lease_ns"] > 0
    assert lan.addresses("eth1") == {INSIDE_ACTIVE}
    lan.add_device(7)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert held["error"] == "" and lan.addresses("eth7") == {ACTIVE4, ACTIVE6}
    lan.ip("link", "del", "eth7")
    node.next(where=lambda m: m["state"] == "failed")
    lan.add_device(7)
    node.next(where=lambda m: m["state"] == "holding")
    assert lan.addresses("eth7") == {ACTIVE4, ACTIVE6}


@pytest.mark.parametrize("family, net, via", [("-4", "192.0.2.0/24", "203.0.113.1"), ("-6", "2001:db8:7::/64", "2001:db8::1")])
def test_rules_and_their_tables_follow_the_role(lan, make, family, net, via):
    """Policy routing: a route in a table of its own, and the rule that leads to it. Both come back when removed, and
    somebody else's stay."""
    lan.ip(family, "rule", "add", "from", net, "table", "77", "priority", "500")

    def there():
        rules = [r for r in json.loads(lan.ip("-j", family, "rule", "show")) if r["table"] in ("100", 100)]
        text = lan.ip("-j", family, "route", "show", "table", "100", check=False)  # "[" where the table was never made
        routes = json.loads(text) if text.strip().endswith("]") else []
        return [(r["priority"], r["src"], r["srclen"]) for r in rules], [r["gateway"] for r in routes if r["dst"] == "default"]

    whole = [(1000, net.split("/")[0], int(net.split("/")[1]))], [via]
    lan.ip("addr", "add", "2001:db8::99/64", "dev", "eth0", "nodad")
    node = make(more=f'route "uplink" {{ to = default  via = "{via}"  channel = "outside"  table = 100 }}\n'
                     f'rule "clients" {{ from = "{net}"  table = 100 }}\n').start()
    node.next(where=lambda m: m["state"] == "released")
    assert there() == ([], [])
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert there() == whole
    lan.ip(family, "rule", "del", "from", net, "table", "100")
    eventually("the rule stays away", lambda: there() == whole)
    lan.ip(family, "route", "del", "default", "table", "100")
    eventually("the route stays away", lambda: there() == whole)
    node.arbiter.stop_renewing()
    node.arbiter.passive()
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
    assert there() == ([], [])
    assert "lookup 77" in lan.ip(family, "rule", "show"), "somebody else's rule went, too"

    node.arbiter.renew(5)
    node.next(where=lambda m: m["state"] == "holding" and m["epoch"] == 5)
    node.kill()
    node.arbiter.stop_renewing()
    time.sleep(0.3)  # the lease is over
    node.start(subscribed=False)
    eventually("a start leaves them", lambda: there() == ([], []))


def test_ipv6_addresses_that_went_with_the_link_come_back(lan, make):
    """The kernel takes IPv6 addresses away when a device is set down (unless told otherwise), and keeps IPv4 ones."""
    run("ip", "-n", lan.OTHER, "addr", "add", "2001:db8::77/64", "dev", "far0", "nodad")
    node = make().start()
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    for _ in range(3):
        lan.ip("link", "set", "eth0", "down")
        time.sleep(0.1)
        lan.ip("link", "set", "eth0", "up")
        eventually("it does not come back", lambda: lan.addresses("eth0") >= {ACTIVE4, ACTIVE6})
        eventually("it is not reached", lambda: is_reached(ACTIVE6.split("/")[0]), 10)
    node.arbiter.stop_renewing()


def thread_of(process, name):
    for task in pathlib.Path(f"/proc/{process}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return task.name
    raise AssertionError(f"there is no thread {name}")


def test_R12_who_waits_for_the_kernels_lock_holds_up_no_lease(lan, make, tmp_path):
    """The renewal of lifetimes and the audit come to the kernel while another program has its lock for a second, again and
    again: here their system calls are held up. The lease is renewed meanwhile."""
    node = make().start()
    node.arbiter.renew(3, lease_ms=300, interval=0.02)
    node.next(where=lambda m: m["state"] == "holding")
    process = run("ip", "netns", "pids", lan.NODE).split()[0]
    calls = tmp_path / "calls"
    strace = subprocess.Popen(["strace", "-q", "-o", calls, "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=1000000",
                               "-p", thread_of(process, "clerk")], stderr=subprocess.DEVNULL)
    confirmed = []

    def is_held_up():
        while node.sub.poll(20):
            topic, text = node.sub.recv_multipart()
            if topic.endswith(b"address"):
                confirmed.append(json.loads(text)["mono_ns"])
        return calls.exists() and calls.read_text().count("DELAYED") >= 2

    try:
        node.forget()
        eventually("no renewal and no audit was held up", is_held_up, 30)
    finally:
        strace.terminate()
        strace.wait(10)
    longest = max(b - a for a, b in zip(confirmed, confirmed[1:])) / MS
    assert longest < 700, "no renewal was confirmed for %.0f ms" % longest
    assert "lease ran out" not in node.logged()
    assert node.logged().count("active:") == 1 and lan.addresses("eth0") == {ACTIVE4, ACTIVE6}
    node.arbiter.stop_renewing()


@contextlib.contextmanager
def held_up(lan, tmp_path, seconds):
    """The next call by which takeoverd sends alone (to the gate, or to the kernel) takes so long, as one does that waits for a
    lock of the kernel's."""
    log = tmp_path / "held-up"
    strace = subprocess.Popen(["strace", "-q", "-o", log, "-e", "trace=sendto", "-e", "inject=sendto:delay_exit=%d:when=1" % (seconds * 1e6),
                               "-p", run("ip", "netns", "pids", lan.NODE).split()[0]], stderr=subprocess.DEVNULL)
    try:
        eventually("strace is not there", lambda: log.exists() and "TracerPid:\t%d\n" % strace.pid in
                   pathlib.Path("/proc/%s/status" % run("ip", "netns", "pids", lan.NODE).split()[0]).read_text())
        yield
    finally:
        strace.terminate()
        strace.wait(10)
    assert "DELAYED" in log.read_text()


def test_R12_a_claim_that_outlasts_its_lease_is_announced_when_that_is_renewed(lan, make, tmp_path):
    """The renewals wait to be read while takeoverd waits for the kernel. The first one leaves the gate no time to be open; with
    the next one the addresses stay, all are told, and the router is asked."""
    node = make(timers="address-lease = 8s", keys='router = {"203.0.113.1"}').start()
    sniffer = Sniffer("far0")
    node.next(where=lambda m: m["state"] == "released")
    with held_up(lan, tmp_path, 1.5):
        node.arbiter.active(3, lease_ms=1000)
        node.arbiter.active(3, lease_ms=1800)
        node.arbiter.active(3, lease_ms=8000)
        node.next("address/outside", where=lambda m: m["routers"][0]["asked"] == 1, timeout=6)
    node.next(where=lambda m: m["state"] == "holding" and m["announced_ns"] > 0)
    assert gratuitous(sniffer.frames(), "203.0.113.10")
    assert node.logged().count("active: ") == 1 and "lease ran out" not in node.logged()
    sniffer.close()


def test_claim_that_fails_is_tried_again(lan, make):
    """A route cannot be added while its device is down."""
    lan.ip("link", "set", "eth0", "down")
    node = make().start()
    node.arbiter.active(3, lease_ms=20000)
    failed = node.next(where=lambda m: m["state"] == "failed")
    assert "route default on eth0" in failed["error"]
    lan.ip("link", "set", "eth0", "up")
    held = node.next(where=lambda m: m["state"] == "holding")
    assert held["error"] == ""
    assert "default" in [r["dst"] for r in lan.routes()]


def test_needs_only_network_capabilities(lan, make):
    node = make().start()
    pid = run("ip", "netns", "pids", lan.NODE).split()[0]
    status = dict(line.split(":\t") for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                  if ":\t" in line)
    kept = int(status["CapEff"], 16) & ~(1 << 14)  # CAP_IPC_LOCK: locked memory may go on growing
    assert kept == (1 << 12 | 1 << 13)  # CAP_NET_ADMIN, CAP_NET_RAW
    lan.ip("addr", "add", "203.0.113.99/24", "dev", "eth0")  # a secondary of the passive one
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert "203.0.113.99/24" in lan.addresses(), "a secondary went with its primary: promote_secondaries is not set"


def local_routes(lan):
    """Those of duet's, without the kernel's own."""
    return {line.split()[1] for line in run("ip", "-n", lan.NODE, "route", "show", "table", "local", "proto", "222").splitlines()}


def is_reached(address):
    """From the other end, by ARP and TCP: nobody listens at that port, which is told at once."""
    with in_namespace(Lan.OTHER):
        try:
            socket.create_connection((address, 9), timeout=2)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False


def test_addresses_held_as_local_routes(lan, make):
    """hold-as = local-routes: they take traffic, ARP answers for them, the first one stays an address, and they go
    with the role, when they are removed, when the device goes down, and by the next start after kill -9."""
    many = [f"10.77.{i // 250}.{i % 250 + 1}/16" for i in range(3000)]
    hosts = {address.split("/")[0] for address in many}
    node = make(active=[ACTIVE4, *many], route=False, inside=False, keys="hold-as = local-routes").start()
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding" and m["held"] == 3001, timeout=10)
    assert lan.addresses() == {ACTIVE4}
    assert local_routes(lan) == hosts
    run("ip", "-n", lan.OTHER, "addr", "add", "203.0.113.77/24", "dev", "far0")
    run("ip", "-n", lan.OTHER, "route", "add", "10.77.0.0/16", "dev", "far0")
    for address in ("10.77.0.1", "10.77.11.250"):
        assert is_reached(address)

    lan.ip("route", "del", "local", "10.77.0.7", "dev", "eth0", "table", "local", "proto", "222", "metric", "222")
    eventually("it is not put back", lambda: local_routes(lan) == hosts)
    lan.ip("addr", "flush", "dev", "eth0")  # takes the routes along, of which the kernel does not tell
    eventually("they did not come back after a flush", lambda: local_routes(lan) == hosts and lan.addresses() == {ACTIVE4})
    lan.ip("link", "set", "eth0", "down")
    eventually("they did not go", lambda: not local_routes(lan) or local_routes(lan) == hosts)
    lan.ip("link", "set", "eth0", "up")
    eventually("they did not come back", lambda: local_routes(lan) == hosts)

    node.arbiter.stop_renewing()
    node.arbiter.passive()
    node.next(where=lambda m: m["state"] == "released", timeout=10)
    assert local_routes(lan) == set() and lan.addresses() == {PASSIVE4}
    assert not is_reached("10.77.0.1")

    node.arbiter.renew(5)
    node.next(where=lambda m: m["state"] == "holding" and m["epoch"] == 5, timeout=10)
    node.kill()
    node.arbiter.stop_renewing()
    time.sleep(0.3)  # the lease is over
    node.start(subscribed=False)
    eventually("a start leaves them", lambda: local_routes(lan) == set() and lan.addresses() == {PASSIVE4})


def test_local_routes_of_another_configuration_go(lan, make):
    """What was held as routes is held as addresses now, without a moment of both for long."""
    lan.ip("route", "add", "local", "203.0.113.10", "dev", "eth0", "table", "local", "proto", "222", "metric", "222")
    node = make(route=False).start()
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert ACTIVE4 in lan.addresses() and local_routes(lan) == set()


@pytest.mark.parametrize("family, count", [(4, 1), (4, 100), (4, 1000), (6, 1000)])
def test_many_addresses(lan, make, family, count):
    """From the role message to the last address, and back: the times are printed."""
    many = [f"10.77.{i // 250}.{i % 250 + 1}/16" if family == 4 else f"2001:db8:77::{i + 1:x}/64" for i in range(count)]
    node = make(active=[ACTIVE4, *many[1:]], route=False, inside=False).start()
    ups, downs = [], []
    for epoch in range(1, 6):
        sent = now_ns()
        node.arbiter.active(epoch, lease_ms=20000)
        held = node.next(where=lambda m: m["state"] == "holding" and m["epoch"] == epoch)
        ups.append((held["mono_ns"] - sent) / MS)
        assert len(lan.addresses()) == count
        sent = now_ns()
        node.arbiter.passive()
        released = node.next(where=lambda m: m["state"] == "released" and m["epoch"] == epoch)
        downs.append((released["mono_ns"] - sent) / MS)
        assert lan.addresses() == {PASSIVE4}
    print(f"{count} addresses (IPv{family}): up and announced {statistics.median(ups):.1f} ms ({max(ups):.1f} worst of 5), "
          f"gone {statistics.median(downs):.1f} ms ({max(downs):.1f})")


def test_R12_after_a_lapse_old_orders_are_void(lan, make):
    """arbiterd went on renewing while takeoverd stood still: nothing of that counts until it has heard of the lapse."""
    node = make().start()
    node.arbiter.active(7, lease_ms=200)
    node.next(where=lambda m: m["state"] == "holding")
    term = node.arbiter.role["term"]
    pid = int(run("ip", "netns", "pids", lan.NODE).split()[0])
    os.kill(pid, signal.SIGSTOP)
    for _ in range(10):
        node.arbiter.active(7, lease_ms=300)
        time.sleep(0.04)
    node.forget()
    os.kill(pid, signal.SIGCONT)
    released = node.next(where=lambda m: m["state"] == "released")
    assert released["term"] != term and lan.addresses("eth0") == {PASSIVE4}
    time.sleep(0.1)
    assert lan.addresses("eth0") == {PASSIVE4}
    node.arbiter.active(7, lease_ms=300)  # with the term that it heard
    node.next(where=lambda m: m["state"] == "holding")


def test_R13_quiet_addresses_take_traffic_and_answer_nothing(lan, make):
    """Offering: who knows the way is served, who asks gets no answer, and nothing is announced."""
    node = make().start()
    node.arbiter.renew(7)
    node.next(where=lambda m: m["state"] == "holding" and not m["silent"])
    assert node.arbiter.renewing
    node.arbiter.stop_renewing()
    node.arbiter.role.update(quiet=True, phase="offering", change=2)
    sniffer = Sniffer("far0")
    node.arbiter.renew(7)
    quiet = node.next(where=lambda m: m["silent"])
    assert quiet["state"] == "holding" and quiet["change"] == 2
    sniffer.frames()
    time.sleep(0.7)
    assert not gratuitous(sniffer.frames(), "203.0.113.10")
    node.arbiter.stop_renewing()
    node.arbiter.role.update(quiet=False, phase="active", change=3)
    node.arbiter.renew(7)
    node.next(where=lambda m: not m["silent"] and m["state"] == "holding" and m["change"] == 3)
    node.arbiter.stop_renewing()
    sniffer.close()


def test_an_address_that_another_host_uses_is_defended_and_told(lan, make):
    """RFC 5227, section 2.4: announced once more, but not more often than each ten seconds."""
    node = make().start()
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    time.sleep(2.2)  # the announcements of the claim are over
    sniffer = Sniffer("far0")
    other = b"\x02\x00\x00\x00\x66\x01"
    spoof = b"\xff" * 6 + other + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" + other + socket.inet_aton("203.0.113.10") + bytes(6) + socket.inet_aton("203.0.113.99")
    with in_namespace(Lan.OTHER):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind(("far0", 0))
    for _ in range(20):
        sender.send(spoof)
        time.sleep(0.02)
    told = node.next(where=lambda m: m["conflict_ns"] > 0)
    assert told["conflict"] == "02:00:00:00:66:01 uses 203.0.113.10 on outside"
    seen = []
    eventually("it is not defended", lambda: seen.extend(gratuitous(sniffer.frames(), "203.0.113.10")) or seen)
    time.sleep(0.3)
    seen.extend(gratuitous(sniffer.frames(), "203.0.113.10"))
    assert len(seen) <= 10, "one series of announcements, not one for each frame"
    assert node.logged().count("which is an active address of this node") == 1
    node.arbiter.stop_renewing()
    sender.close()
    sniffer.close()
