"""Two heartbeatds against a real kernel: a reserved line, a LAN with a router, and whatever the test does to them.

No arbiter runs: heartbeats flow all the same, with the phase "searching"; records come from an arbiter of the test's. Needs root, and DUET_BIN: the directory of
the built daemons.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import zmq

BIN = os.environ.get("DUET_BIN")
pytestmark = [
    pytest.mark.skipif(not BIN, reason="DUET_BIN does not name the directory of the daemons"),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

MS = 1_000_000
NODES = {"alpha": 1, "beta": 2}
ROUTER, ACTIVE = "10.7.0.254", "10.7.0.10"
PATHS = ("reserved", "outside")
ETHERTYPE = "0x88b5"

CONFIG = """
cluster "gate" {{
    profile  = lan
    key-file = "{key}"
    on-network-fault = demote
}}
node "alpha" {{ reserved-address = "10.91.9.1" }}
node "beta"  {{ reserved-address = "10.91.9.2" }}
channel "outside" {{
    device         = "lan0"
    active-address = {{"{active}/24"}}
    router         = {{"{router}"}}
    node "alpha" {{ passive-address = {{"10.7.0.1/24"}} }}
    node "beta"  {{ passive-address = {{"10.7.0.2/24"}} }}
}}
"""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def run(*command, text=None, check=True):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def eventually(what, condition, timeout=5.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.005)
    assert condition(), what


class Net:
    """Namespaces hbtPID-alpha, -beta and -lan: a veth pair is the reserved line, a bridge in the third one the LAN, on
    which that namespace is the router."""

    def __init__(self):
        self.prefix = f"hbt{os.getpid()}"

    def ns(self, name):
        return f"{self.prefix}-{name}"

    def ip(self, name, *words, check=True):
        return run("ip", "-n", self.ns(name), *words, check=check)

    def exec(self, name, *words):
        return ["ip", "netns", "exec", self.ns(name), *words]

    def build(self):
        for name in ("alpha", "beta", "lan"):
            run("ip", "netns", "add", self.ns(name))
            self.ip(name, "link", "set", "lo", "up")
        self.ip("lan", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.ip("lan", "link", "set", "br0", "up")
        self.ip("lan", "addr", "add", f"{ROUTER}/24", "dev", "br0")
        run("ip", "link", "add", "line0", "index", "50", "netns", self.ns("alpha"), "type", "veth", "peer", "name",
            "line0", "index", "51", "netns", self.ns("beta"))
        for node, number in NODES.items():
            self.ip(node, "addr", "add", f"10.91.9.{number}/24", "dev", "line0")
            self.ip(node, "link", "set", "line0", "up")
            self.plug(node)
        for node in NODES:
            eventually("the line has carrier", lambda: "LOWER_UP" in self.ip(node, "link", "show", "line0"))

    def plug(self, node):
        number = NODES[node]
        self.ip("lan", "link", "add", f"to-{node}", "index", str(20 + number), "type", "veth", "peer", "name", "lan0",
                "index", str(60 + number), "netns", self.ns(node))
        self.ip("lan", "link", "set", f"to-{node}", "master", "br0", "up")
        self.ip(node, "link", "set", "lan0", "up")
        self.ip(node, "addr", "add", f"10.7.0.{number}/24", "dev", "lan0")

    def drop(self, node, device, what):
        """Frames that come in on a node's device and match are dropped."""
        run(*self.exec(node, "nft", "-f", "-"), text=f"""
            table netdev test {{
                chain drop_{device} {{
                    type filter hook ingress device {device} priority 0;
                    {what} drop
                }}
            }}""")

    def pass_all(self, node):
        run(*self.exec(node, "nft", "destroy", "table", "netdev", "test"), check=False)
        run(*self.exec(node, "nft", "delete", "table", "netdev", "test"), check=False)

    def destroy(self):
        for name in ("alpha", "beta", "lan"):
            run("ip", "netns", "del", self.ns(name), check=False)


class Node:
    """A heartbeatd in its namespace, and what it says on the bus."""

    def __init__(self, net, name, directory, config):
        self.net, self.name, self.config = net, name, config
        self.run_dir, self.state_dir = directory / f"run-{name}", directory / f"state-{name}"
        self.log_path = directory / f"{name}.log"
        self.process, self.last, self.records = None, {}, []
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.socket.connect(f"ipc://{self.run_dir}/bus/heartbeatd/pub")

    def start(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.net.exec(self.name, f"{BIN}/heartbeatd", "--config", self.config, "--node", self.name,
                              "--run-dir", str(self.run_dir), "--state-dir", str(self.state_dir)), stderr=log)
        return self

    def stop(self, how=signal.SIGTERM):
        if not self.process:
            return 0
        self.process.send_signal(how)
        code = self.process.wait(timeout=5)
        self.process = None
        return code

    def log(self):
        return self.log_path.read_text(encoding="utf-8")

    def get(self, topic):
        """The latest message of a topic, or an empty one."""
        while self.socket.poll(0):
            name, body = self.socket.recv_multipart()
            self.last[name.decode().lstrip("~")] = json.loads(body)  # ~ leads a renewal
            if name == b"peer_record":
                self.records.append(json.loads(body)["text"])
        return self.last.get(topic, {})

    def fresh(self, topic, after_ns):
        return self.get(topic) if self.get(topic).get("mono_ns", 0) > after_ns else {}

    def path(self, name):
        return self.get(f"path/{name}")

    def all_up(self):
        return all(self.path(name).get("state") == "up" for name in PATHS)

    def close(self):
        self.stop(signal.SIGKILL)
        self.socket.close()
        self.context.term()


@pytest.fixture(scope="module")
def net():
    made = Net()
    try:
        made.build()
        yield made
    finally:
        made.destroy()


@pytest.fixture
def pair(net, tmp_path):
    key, config = tmp_path / "cluster.key", tmp_path / "duet.conf"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    config.write_text(CONFIG.format(key=key, active=ACTIVE, router=ROUTER), encoding="utf-8")
    config.chmod(0o600)
    # Unix socket names are short: no deep directory for them.
    directory = pathlib.Path(run("mktemp", "-d", "/tmp/hbt.XXXXXX").strip())
    nodes = [Node(net, name, directory, config).start() for name in NODES]
    try:
        eventually("all paths are up on both nodes", lambda: all(n.all_up() for n in nodes))
        yield nodes
    finally:
        for node in nodes:
            node.close()
            net.pass_all(node.name)
        net.ip("lan", "addr", "replace", f"{ROUTER}/24", "dev", "br0")
        logs = "".join(node.log() for node in nodes)
        run("rm", "-r", str(directory))
        print(logs)


# ---- frames of our own, sent and recorded in a namespace

SENDER = """
import socket, sys, time
device, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
frames = [bytes.fromhex(line) for line in sys.stdin.read().split()]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((device, 0))
start, sent = time.monotonic(), 0
while time.monotonic() - start < seconds:
    while sent < (time.monotonic() - start) * rate:
        try:
            s.send(frames[sent % len(frames)])
        except OSError:
            pass
        sent += 1
    time.sleep(0.001)
print(sent)
"""

RECORDER = """
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1], 3))
s.settimeout(5)
found, end = [], time.monotonic() + 20
while len(found) < int(sys.argv[2]):
    if time.monotonic() > end:
        sys.exit("too few")
    frame, where = s.recvfrom(2000)
    at = frame.find(sys.argv[3].encode())
    if at > 0 and where[2] != 4:
        found.append(frame.hex())
print("\\n".join(found))
"""


def recorder(net, node, device, count, magic):
    return subprocess.Popen(net.exec(node, sys.executable, "-c", RECORDER, device, str(count), magic.decode()),
                            stdout=subprocess.PIPE, text=True)


def recorded(process):
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 0, f"no such frames came in: {process.args[3]} {process.args[7:]}"
    return [bytes.fromhex(line) for line in text.split()]


def record(net, node, device, count):
    """Heartbeats that come in on a node's device, as whole frames."""
    return recorded(recorder(net, node, device, count, b"DUHB"))


def sender(net, node, device, frames, rate, seconds):
    process = subprocess.Popen(net.exec(node, sys.executable, "-c", SENDER, device, str(rate), str(seconds)),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write("\n".join(frame.hex() for frame in frames))
    process.stdin.close()
    return process


def spoiled(frame, magic=b"DUHB", other=b"DURC"):
    """What somebody without the key can make of a recorded datagram: garbage, another cluster, a damaged one, one of the
    other kind, a newer one, one of a later session, and the recording itself. UDP's checksum is left out, so that the
    kernel lets them pass."""
    at = frame.index(magic)
    if at > 14:
        frame = frame[:at - 2] + b"\0\0" + frame[at:]
    body = bytearray(frame[at:])
    garbage = bytes(os.urandom(len(body)))
    foreign = bytes(body[:4]) + bytes(os.urandom(4)) + bytes(body[8:])
    damaged = bytes(body[:100]) + bytes([body[100] ^ 1]) + bytes(body[101:])
    newer = bytes(body[:36]) + b"\x7f" + bytes(body[37:])
    next_session = bytes(body[:16]) + b"\0\0\0\1" + bytes(body[20:])
    kind = other + bytes(body[4:])
    return [frame[:at] + x for x in (garbage, foreign, damaged, kind, newer, next_session, bytes(body))]


# ---- tests


def test_paths_come_up_and_tell_of_each_other(pair):
    alpha, beta = pair
    eventually("the LAN is usable", lambda: alpha.get("link/outside").get("usable"))
    eventually("the peer says so", lambda: beta.get("peer").get("channels", [{}])[0].get("usable"))
    peer = beta.get("peer")
    assert peer["name"] == "alpha" and peer["alive"] and peer["linked"]
    assert peer["phase"] == "searching" and peer["backed_ns"] == 0
    assert peer["channels"][0]["mac"] == alpha.get("link/outside")["mac"]
    assert now_ns() - peer["heard_ns"] < 1000 * MS
    eventually("a round trip is measured", lambda: 0 < beta.path("reserved")["rtt_us"] < 50_000)
    for node in pair:
        for name in PATHS:
            assert node.path(name)["unopened"] + node.path(name)["foreign"] + node.path(name)["replayed"] == 0


def test_one_direction_dropped_is_one_way(net, pair):
    alpha, beta = pair
    net.drop("beta", "lan0", f"ether type {ETHERTYPE}")
    eventually("alpha hears, but is not heard", lambda: alpha.path("outside")["state"] == "one-way", 2)
    eventually("beta hears nothing", lambda: beta.path("outside")["state"] == "down", 2)
    assert alpha.path("reserved")["state"] == "up"
    assert alpha.get("peer")["linked"] and beta.get("peer")["linked"]
    net.pass_all("beta")
    eventually("both are well again", lambda: alpha.all_up() and beta.all_up(), 2)


def test_silence_is_told_within_takeover_after(net, pair):
    alpha, _ = pair
    net.drop("alpha", "lan0", f"ether type {ETHERTYPE}")
    net.drop("alpha", "line0", "udp dport 5571")
    start = now_ns()
    eventually("the peer is lost", lambda: not alpha.get("peer")["alive"], 2)
    assert now_ns() - start < 800 * MS
    assert alpha.get("peer")["counting_since_ns"] < start
    net.pass_all("alpha")
    eventually("the peer is back", lambda: alpha.get("peer")["alive"], 2)


@pytest.mark.alone
def test_flood_changes_only_counters(net, pair):
    """Garbage, foreign, forged and replayed datagrams, 10,000 a second on every path."""
    alpha, beta = pair
    # The line's frames must come from beta's address, so they are sent from there.
    line = [f for frame in record(net, "alpha", "line0", 3) for f in spoiled(frame)]
    lan = [f for frame in record(net, "alpha", "lan0", 3) for f in spoiled(frame)]
    before = {name: dict(alpha.path(name)) for name in PATHS}
    start, log = now_ns(), len(alpha.log())
    floods = [sender(net, "beta", "line0", line, 10_000, 4), sender(net, "beta", "lan0", lan, 10_000, 4)]
    states, lost = set(), 0
    while any(flood.poll() is None for flood in floods):
        states.update(alpha.path(name)["state"] for name in PATHS)
        peer = alpha.get("peer")
        lost += not (peer["alive"] and peer["linked"])
        time.sleep(0.01)
    sent = [int(flood.stdout.read()) for flood in floods]
    assert min(sent) > 30_000
    assert states == {"up"} and lost == 0
    time.sleep(1)
    for name, count in zip(PATHS, sent):
        path = alpha.fresh(f"path/{name}", start)
        grown = {k: path[k] - before[name][k] for k in ("unopened", "foreign", "replayed", "received")}
        print(name, count, grown)
        assert grown["foreign"] + grown["unopened"] + grown["replayed"] > 0.9 * count
        assert min(grown["foreign"], grown["unopened"], grown["replayed"]) > 0.1 * count
        assert 60 < grown["received"] < 400
    assert len(alpha.log()) - log < 2000, alpha.log()[log:]
    assert alpha.get("router/" + ROUTER)["answering"] and alpha.get("link/outside")["usable"]


def test_other_cluster_key_is_not_heard(net, pair, tmp_path):
    alpha, beta = pair
    beta.stop()
    config = tmp_path / "other.conf"
    key = tmp_path / "other.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    config.write_text(CONFIG.format(key=key, active=ACTIVE, router=ROUTER), encoding="utf-8")
    config.chmod(0o600)
    eventually("beta is gone", lambda: not alpha.get("peer")["alive"], 2)
    beta.config = config
    received = alpha.path("outside")["received"]
    beta.start()
    unopened = lambda: sum(alpha.path(name)["unopened"] for name in PATHS)
    eventually("its datagrams are counted", lambda: unopened() > 20)
    assert not alpha.get("peer")["alive"]
    assert alpha.path("outside")["received"] == received


def test_restart_is_a_new_session_and_recordings_stay_worthless(net, pair):
    alpha, beta = pair
    old_session = alpha.get("peer")["session"]
    recorded = record(net, "alpha", "lan0", 10)
    beta.stop(signal.SIGKILL)
    eventually("beta is gone", lambda: not alpha.get("peer")["alive"], 2)
    beta.start()
    start = now_ns()
    eventually("its new session is linked",
               lambda: alpha.fresh("peer", start).get("linked") and alpha.get("peer")["session"] != old_session)
    assert int(alpha.get("peer")["session"][:16], 16) == int(old_session[:16], 16) + 1
    eventually("all is up", lambda: alpha.all_up() and beta.all_up())

    replayed = alpha.path("outside")["replayed"]
    assert int(sender(net, "beta", "lan0", recorded, 100, 1).stdout.read()) > 50
    eventually("the old session's frames are refused", lambda: alpha.path("outside")["replayed"] > replayed + 40)
    assert alpha.get("peer")["session"] != old_session

    # And also when the listener runs anew, with no peer to tell it what is current.
    beta.stop(signal.SIGKILL)
    alpha.stop(signal.SIGKILL)
    start = now_ns()
    alpha.last.clear()
    alpha.start()
    eventually("alpha is back", lambda: alpha.fresh("peer", start))
    sender(net, "beta", "lan0", recorded, 100, 1).wait()
    eventually("they are refused", lambda: alpha.fresh("path/outside", start).get("replayed", 0) > 40)
    assert not alpha.get("peer")["alive"] and alpha.get("peer")["heard_ns"] == 0


class Arbiter:
    """An arbiterd, as its heartbeatd knows it: it publishes records."""

    def __init__(self, node):
        self.node, self.seq = node, 0

    def __enter__(self):
        directory = self.node.run_dir / "bus" / "arbiterd"
        directory.mkdir(parents=True, exist_ok=True)
        self.socket = self.node.context.socket(zmq.PUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(f"ipc://{directory}/pub")
        return self

    def __exit__(self, *_):
        self.socket.close()

    def publish(self, text):
        self.seq += 1
        message = {"v": 1, "node": self.node.name, "from": "arbiterd", "seq": self.seq, "mono_ns": now_ns(),
                   "at": "2026-01-01T00:00:00.000000Z", "text": text}
        self.socket.send_multipart([b"record", json.dumps(message).encode()])

    def carry(self, text, to):
        """Again and again, as the arbiters do, until it has come out."""
        def came():
            self.publish(text)
            return to.get("peer_record").get("text") == text
        eventually(f"{text[:40]} comes out", came, 20)


def records_on(net, arbiter, node, device, text):
    """Whole frames with records that come in on a node's device."""
    listening = recorder(net, node, device, 3, b"DURC")
    while listening.poll() is None:
        arbiter.publish(text)
        time.sleep(0.01)
    return recorded(listening)


def test_records_reach_the_other_arbiter_and_recordings_nobody(net, pair):
    """By the reserved line; with that cut, by the channel. What others send in their place changes only counters."""
    alpha, beta = pair
    eventually("they take records", lambda: alpha.get("peer").get("takes_records") and alpha.get("peer")["linked"])
    with Arbiter(alpha) as arbiter:
        start = now_ns()
        for text in ('{"node":"alpha","reason":"größer €"}', '{"reason":"' + 1138 * "x" + '"}'):
            arbiter.carry(text, beta)
            assert start < beta.get("peer_record")["received_ns"] <= now_ns()
        line = records_on(net, arbiter, "beta", "line0", '{"by":"the line"}' + 60 * " ")
        for node in NODES:
            net.drop(node, "line0", "udp dport 5571")
        eventually("the line is cut", lambda: alpha.path("reserved")["state"] == "down")
        lan = records_on(net, arbiter, "beta", "lan0", '{"by":"the channel"}' + 60 * " ")
        arbiter.carry('{"by":"the channel, too"}', beta)
        for node in pair:
            net.pass_all(node.name)
        eventually("the line is up", lambda: alpha.all_up() and beta.all_up())
        arbiter.carry('{"before":1}', beta)

        session, before = beta.get("peer")["session"], {name: dict(beta.path(name)) for name in PATHS}
        beta.records.clear()
        hostile = {device: [f for frame in frames for f in spoiled(frame, b"DURC", b"DUHB")]
                   for device, frames in (("line0", line), ("lan0", lan))}
        floods = [sender(net, "alpha", device, frames, 500, 1) for device, frames in hostile.items()]
        assert min(int(flood.stdout.read()) for flood in floods) > 100
        for name in PATHS:
            for counter in ("unopened", "foreign", "replayed"):
                eventually(f"{counter} on {name}", lambda: beta.path(name)[counter] >= before[name][counter] + 10)
        arbiter.carry('{"after":1}', beta)
        assert set(beta.records) <= {'{"before":1}', '{"after":1}'}
        assert beta.get("peer")["session"] == session and beta.get("peer")["linked"] and beta.all_up()


def test_own_stall_is_no_silence_of_the_peer(pair):
    alpha, beta = pair
    before = alpha.get("peer")["counting_since_ns"]
    alpha.process.send_signal(signal.SIGSTOP)
    time.sleep(0.6)
    resumed = now_ns()
    alpha.process.send_signal(signal.SIGCONT)
    eventually("it goes on", lambda: alpha.fresh("peer", resumed))
    eventually("it counts anew", lambda: alpha.get("peer")["counting_since_ns"] > before)
    assert alpha.get("peer")["counting_since_ns"] >= resumed - 5 * MS
    assert alpha.get("peer")["alive"]
    assert "beta is not heard" not in alpha.log()
    eventually("all is up", lambda: alpha.all_up() and beta.all_up())


def test_search_finds_who_answers(net, pair):
    alpha, _ = pair
    state = lambda: alpha.get("search/outside").get("state")
    eventually("nobody answers", lambda: state() == "silent")
    assert alpha.get("search/outside")["unanswered"] >= 2
    net.ip("beta", "addr", "add", f"{ACTIVE}/32", "dev", "lan0")
    eventually("the peer answers", lambda: state() == "answered")
    assert alpha.get("search/outside")["answers_mac"] == alpha.get("peer")["channels"][0]["mac"]
    gone = now_ns()
    net.ip("beta", "addr", "del", f"{ACTIVE}/32", "dev", "lan0")
    eventually("nobody answers again", lambda: state() == "silent")
    assert gone - 400 * MS < alpha.get("search/outside")["silent_since_ns"] <= now_ns()
    net.ip("lan", "addr", "add", f"{ACTIVE}/32", "dev", "br0")
    try:
        eventually("a third one answers", lambda: state() == "conflict")
        assert alpha.get("search/outside")["unanswered"] >= 2
    finally:
        net.ip("lan", "addr", "del", f"{ACTIVE}/32", "dev", "br0")
    eventually("nobody answers any more", lambda: state() == "silent")


def test_router_silent_and_back(net, pair):
    alpha, _ = pair
    router = lambda: alpha.get(f"router/{ROUTER}")
    eventually("the router answers", lambda: router().get("answering"))
    assert alpha.get("link/outside")["usable"] and alpha.get("link/outside")["fault_ns"] == 0
    dead = now_ns()
    net.drop("alpha", "lan0", f"arp saddr ip {ROUTER}")
    eventually("it is silent", lambda: not router()["answering"], 3)
    # 3 misses of 200 ms and 20 of 10 ms, and the machine's own delays.
    assert 700 * MS < now_ns() - dead < 2000 * MS
    assert not alpha.get("link/outside")["usable"]
    assert dead - 250 * MS < alpha.get("link/outside")["fault_ns"] < dead + 500 * MS
    eventually("the peer knows", lambda: not pair[1].get("peer")["channels"][0]["usable"], 1)
    net.pass_all("alpha")
    eventually("it answers again", lambda: router()["answering"] and alpha.get("link/outside")["usable"], 2)
    assert alpha.get("link/outside")["fault_ns"] == 0


def test_carrier_loss_is_seen_at_once(net, pair):
    alpha, beta = pair
    eventually("usable", lambda: alpha.get("link/outside").get("usable"))
    cut = now_ns()
    net.ip("lan", "link", "set", "to-alpha", "down")
    eventually("no carrier", lambda: not alpha.get("link/outside")["carrier"], 3)
    seen = alpha.get("link/outside")
    assert seen["present"] and not seen["usable"] and cut < seen["fault_ns"] < cut + 300 * MS
    eventually("the peer knows", lambda: not beta.get("peer")["channels"][0]["usable"], 1)
    net.ip("lan", "link", "set", "to-alpha", "up")
    eventually("usable again", lambda: alpha.get("link/outside")["usable"] and alpha.all_up(), 5)


def test_device_that_is_removed_and_comes_back(net, pair):
    """Its packet sockets are opened anew, with the one capability that is left."""
    alpha, _ = pair
    net.ip("lan", "link", "del", "to-alpha")
    eventually("absent", lambda: not alpha.get("link/outside")["present"], 3)
    assert alpha.get("path/reserved")["state"] == "up"
    net.plug("alpha")
    eventually("usable again", lambda: alpha.get("link/outside")["usable"] and alpha.all_up(), 5)


def test_bad_keys_are_refused_with_the_remedy(pair, tmp_path):
    alpha, _ = pair
    alpha.stop()
    key = tmp_path / "cluster.key"
    key.chmod(0o644)
    alpha.start()
    assert alpha.process.wait(timeout=5) != 0
    alpha.process = None
    assert str(key) in alpha.log()
    assert key.read_bytes().hex() not in alpha.log()


def test_clean_stop(pair):
    assert pair[0].stop() == 0
