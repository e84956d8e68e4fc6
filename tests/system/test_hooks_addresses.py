"""takeoverd and the before-active hooks: the test plays arbiterd and superviserd, and looks at the namespace and at the
wire. The addresses of a claim wait for the hooks, never longer than their time, and nothing else waits at all."""
import contextlib
import json
import os
import signal
import time

import pytest
import test_takeoverd
import zmq
from test_takeoverd import ACTIVE4, ACTIVE6, MS, PASSIVE4, Node, Sniffer, config, eventually, gratuitous, now_ns

pytestmark = test_takeoverd.pytestmark
lan = test_takeoverd.lan  # a fixture

HOOKS = 'hook "commit" { on = before-active  command = {"/bin/true"}  timeout = 300ms }\n' \
        'hook "flush" { on = before-active  command = {"/bin/true"}  timeout = 100ms }\n' \
        'hook "bulk" { on = active  command = {"/bin/true"}  timeout = 60s }\n'
LIMIT = 450 * MS  # both, and a twentieth of claim-time


class Superviser:
    """The publisher of `hook`, as superviserd is one."""

    def __init__(self, node):
        path = node.run_dir / "bus/superviserd"
        path.mkdir(parents=True)
        self.seq = 0
        self.pub = node.arbiter.context.socket(zmq.XPUB)
        self.pub.setsockopt(zmq.LINGER, 0)
        self.pub.bind(f"ipc://{path}/pub")

    def is_heard(self, seconds):
        return bool(self.pub.poll(seconds * 1000))

    def prepared(self, epoch):
        self.seq += 1
        self.pub.send_multipart([b"hook", json.dumps({
            "v": 1, "node": "alpha", "from": "superviserd", "seq": self.seq, "at": "2026-01-01T00:00:00.000000Z",
            "mono_ns": now_ns(), "event": "before-active", "state": "done", "prepared": epoch, "failed": 0}).encode()])


def claim(node, epoch, since_ns=None, lease_ms=5000, **fields):
    """As arbiterd tells of a claim; returns since when."""
    since_ns = since_ns or now_ns()
    node.arbiter.send(role="active", phase="claiming", epoch=epoch, since_ns=since_ns, lease_ns=now_ns() + lease_ms * MS, **fields)
    return since_ns


def again(node):
    """Starts a killed takeoverd, and waits until it hears the arbiter."""
    pub = node.arbiter.pub
    pub.setsockopt(zmq.XPUB_VERBOSE, 1)  # told also while the killed one is not missed yet
    node.forget()
    node.start(subscribed=False)
    assert pub.poll(5000)
    while pub.recv() != b"\x01role":
        assert pub.poll(5000)


@pytest.fixture
def pair(lan, tmp_path):
    """(takeoverd in its namespace, superviserd), the first not yet started."""
    node = Node(lan, tmp_path, config(more=HOOKS))
    with contextlib.closing(node):
        yield node, Superviser(node)


def start(pair):
    node, superviser = pair
    node.start()
    assert superviser.is_heard(5), "takeoverd subscribes to hook"
    node.next(where=lambda m: m["state"] == "released")
    return node, superviser


def test_addresses_wait_for_the_hooks(lan, pair):
    node, superviser = start(pair)
    outside = Sniffer("far0")
    superviser.prepared(5)  # an earlier claim
    since = claim(node, 7)
    while now_ns() - since < 250 * MS:  # as arbiterd renews
        claim(node, 7, since)
        assert lan.addresses("eth0") == {PASSIVE4}, "not before the hooks"
        time.sleep(0.03)
    waits = node.next(where=lambda m: m["mono_ns"] > since)
    assert (waits["state"], waits["lease_ns"], waits["held"]) == ("released", 0, 0)
    assert not gratuitous(outside.frames(), "203.0.113.10"), "nothing is announced"
    told = now_ns()
    superviser.prepared(7)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert held["changed_ns"] - told < 100 * MS and held["epoch"] == 7
    assert held["lease_ns"] == node.arbiter.role["lease_ns"], "the lease as last renewed"
    assert lan.addresses("eth0") == {ACTIVE4, ACTIVE6}
    assert gratuitous(outside.frames(), "203.0.113.10")
    assert "the addresses wait for the before-active hooks (epoch 7), at most 4" in node.logged()
    outside.close()


def test_silent_superviserd_costs_the_time_limit(lan, pair):
    node, _ = start(pair)
    since = claim(node, 7)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert LIMIT <= held["changed_ns"] - since < LIMIT + 150 * MS
    assert "superviserd did not tell in time" in node.logged()


def test_dead_superviserd_costs_the_time_limit(lan, tmp_path):
    """No socket of it is there at all."""
    node = Node(lan, tmp_path, config(more=HOOKS))
    with contextlib.closing(node):
        node.start()
        node.next(where=lambda m: m["state"] == "released")
        since = claim(node, 7)
        held = node.next(where=lambda m: m["state"] == "holding")
        assert LIMIT <= held["changed_ns"] - since < LIMIT + 150 * MS


def test_hooks_that_are_done_first_cost_nothing(lan, pair):
    node, superviser = start(pair)
    superviser.prepared(7)
    time.sleep(0.1)
    since = claim(node, 7)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert held["changed_ns"] - since < 100 * MS


def test_without_such_hooks_superviserd_is_not_asked(lan, tmp_path):
    node = Node(lan, tmp_path, config(more='hook "bulk" { on = active  command = {"/bin/true"} }\n'))
    with contextlib.closing(node):
        superviser = Superviser(node)
        node.start()
        node.next(where=lambda m: m["state"] == "released")
        assert not superviser.is_heard(0.3)
        since = claim(node, 7)
        assert node.next(where=lambda m: m["state"] == "holding")["changed_ns"] - since < 100 * MS


def test_wait_is_over_when_the_role_is(lan, pair):
    node, superviser = start(pair)
    claim(node, 7)
    node.arbiter.send(role="passive", phase="releasing", lease_ns=0, change=42)
    told = node.next(where=lambda m: m["change"] == 42)
    assert told["state"] == "released", "the arbiter hears at once that nothing is held"
    superviser.prepared(7)
    time.sleep(0.6)
    assert lan.addresses("eth0") == {PASSIVE4}
    assert "active: " not in node.logged()


def test_lease_that_ends_meanwhile_gives_no_right(lan, pair):
    node, superviser = start(pair)
    claim(node, 7, lease_ms=100)
    time.sleep(0.2)
    superviser.prepared(7)
    time.sleep(0.4)
    assert lan.addresses("eth0") == {PASSIVE4}
    assert "active: " not in node.logged()


def test_what_serves_already_never_waits(lan, pair):
    node, superviser = start(pair)
    superviser.prepared(7)
    time.sleep(0.05)
    claim(node, 7)
    node.next(where=lambda m: m["state"] == "holding")
    node.arbiter.active(7)
    cause = node.arbiter.active(11)  # raised
    assert node.next(where=lambda m: m.get("cause") == cause)["epoch"] == 11
    node.arbiter.send(searching=True)  # a lapse …
    node.next(where=lambda m: m["state"] == "released")
    began = now_ns()
    node.arbiter.send(searching=False, lease_ns=now_ns() + 5000 * MS)  # … and its renewal
    assert node.next(where=lambda m: m["state"] == "holding")["changed_ns"] - began < 100 * MS


def test_restarted_takeoverd_keeps_what_stands(lan, pair):
    """Killed right after a claim's addresses went up, with superviserd gone: nothing is taken down, nothing waits."""
    node, superviser = start(pair)
    superviser.prepared(7)
    time.sleep(0.05)
    since = claim(node, 7)
    node.next(where=lambda m: m["state"] == "holding")
    node.kill()
    superviser.pub.close()
    again(node)
    cause_at = now_ns()
    claim(node, 7, since)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert held["mono_ns"] - cause_at < 150 * MS
    assert lan.addresses("eth0") == {ACTIVE4, ACTIVE6}
    assert "wait for the before-active hooks" not in node.logged().split("keeping the addresses")[1]


def test_restart_in_the_wait_does_not_begin_it_anew(lan, pair):
    node, _ = start(pair)
    since = claim(node, 7)
    time.sleep(0.2)
    term = node.arbiter.role["term"]
    node.kill()
    again(node)
    node.arbiter.wait_for_term(term)
    claim(node, 7, since)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert LIMIT <= held["changed_ns"] - since < LIMIT + 150 * MS


def test_sigterm_in_the_wait(lan, pair):
    node, _ = start(pair)
    claim(node, 7)
    eventually("it waits", lambda: "wait for the before-active hooks" in node.logged())
    assert node.stop() == 0
    assert lan.addresses("eth0") == {PASSIVE4}


def test_R12_a_claim_that_is_read_late_is_asked_for_again_and_does_not_wait_again(lan, pair):
    """The peer may serve by then, so arbiterd has to mean it still. The wait is counted from the claim."""
    node, _ = start(pair)
    pid = int(test_takeoverd.run("ip", "netns", "pids", lan.NODE).split()[0])
    os.kill(pid, signal.SIGSTOP)
    since = claim(node, 7)
    term = node.arbiter.role["term"]
    time.sleep(0.6)
    os.kill(pid, signal.SIGCONT)
    node.arbiter.wait_for_term(term)
    assert lan.addresses("eth0") == {PASSIVE4}, "the old one brings nothing up"
    woken = now_ns()
    claim(node, 7, since)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert since + LIMIT <= held["changed_ns"] < woken + 150 * MS
