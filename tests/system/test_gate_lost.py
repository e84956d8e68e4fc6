"""The gate of the active addresses when it is not renewed, not made, or changed by others: what is told is what the kernel
does (DESIGN R12, R13, section 7)."""
import contextlib
import os
import signal
import subprocess
import time

import pytest
from test_gate import FOUR, Asker, nft, serving
from test_takeoverd import MS, Lan, eventually, lan, make, now_ns, pytestmark, run

assert lan and make and pytestmark  # fixtures and marks of this module, too

# Takes the frames away that renew the gate, before the gate's own rules see them.
THIEF = "table netdev thief { chain in { type filter hook ingress device lo priority -600; meta protocol 0x88b5 drop; }; }"


def held():
    """The elements that the kernel has now; None: there is no such table."""
    if "netdev duet" not in nft("list", "tables"):
        return None
    text = nft("list", "set", "netdev", "duet", "held").split("elements", 1)
    return {word.split()[0] for word in text[1].split("{")[1].split("}")[0].split(",")} if len(text) > 1 else set()


def never_mute(asker, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert asker.answers(1), "the node that serves fell silent"


def test_R12_a_renewal_that_is_swallowed_is_noticed_before_anybody_suffers(lan, make):
    node = make().start()
    asker = Asker()
    with serving(node, lan, asker):
        nft(THIEF)
        told = node.next(where=lambda m: m["gate"] == "failed")
        assert told["state"] == "holding"
        never_mute(asker, 1)
        assert "cannot renew the gate through the loopback device: no frame comes back" in node.logged()
        nft("delete", "table", "netdev", "thief")
        node.next(where=lambda m: m["gate"] == "on", timeout=15)
        never_mute(asker, 0.5)
        assert held() == {"0x00000001", "0x00000002"}


def test_R2_a_claim_is_confirmed_when_the_addresses_answer_and_not_before(lan, make):
    node = make().start()
    asker = Asker()
    node.next(where=lambda m: m["state"] == "released")
    nft(THIEF)
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert asker.answers(0.05), "told, and it does not answer"
    node.arbiter.stop_renewing()


def test_R13_silent_is_told_when_no_answer_comes_any_more(lan, make):
    """The order to be quiet meets rules that do not hear of it: shut by another way, or not confirmed."""
    node = make().start()
    asker = Asker()
    with serving(node, lan, asker):
        node.forget()
        nft(THIEF)
        node.arbiter.send(quiet=True, change=2)
        node.next(where=lambda m: m["silent"])
        assert "0x00000002" not in held()
        assert not asker.answers()


def test_R13_who_is_silent_stays_so_whatever_becomes_of_the_loopback(lan, make):
    """The peer may be claiming: a gate that cannot be renewed is not removed then."""
    node = make().start()
    asker = Asker()
    with serving(node, lan, asker):
        node.arbiter.send(quiet=True, change=2)
        node.next(where=lambda m: m["silent"])
        for break_it in (lambda: nft(THIEF), lambda: lan.ip("link", "set", "lo", "down")):
            break_it()
            for _ in range(5):
                assert not asker.answers(), "it answers again"
            assert held() is not None


def test_R12_a_passive_node_tells_before_it_has_to_serve(lan, make):
    node = make().start()
    node.next(where=lambda m: m["state"] == "released")
    nft(THIEF)
    node.next(where=lambda m: m["gate"] == "failed" and m["state"] == "released", timeout=15)
    assert held() == set(), "shut it was, and shut it stays"


def test_R13_little_time_left_shuts_the_answers_too(lan, make):
    """Quiet with a lease that is shorter than any timeout of the rules."""
    node = make(timers="address-lease = 8s").start()
    asker = Asker()
    node.arbiter.active(3, lease_ms=8000)
    node.next(where=lambda m: m["state"] == "holding")
    assert asker.answers()
    node.forget()
    node.arbiter.send(quiet=True, change=2, lease_ns=now_ns() + 450 * MS)
    node.next(where=lambda m: m["silent"])
    assert "0x00000002" not in held()


@contextlib.contextmanager
def owned(node, path, leave_out):
    """The same table, without one of its chains, belongs to another process: no one else can change or remove it."""
    text = nft("list", "table", "netdev", "duet").replace("{", "{ flags owner;", 1)
    start = text.index("chain " + leave_out)
    path.write_text("delete table netdev duet\n" + text[:start] + text[text.index("\n\t}", start) + 3:])
    owner = subprocess.Popen(["ip", "netns", "exec", Lan.NODE, "nft", "-i"], stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.DEVNULL)
    owner.stdin.write('include "%s"\n' % path)
    owner.stdin.flush()
    try:
        node.next(where=lambda m: m["gate_lost_ns"] > 0)
        yield
    finally:
        owner.communicate()


def test_R12_a_table_that_cannot_be_made_anew_is_renewed_as_it_is(lan, make, tmp_path):
    node = make().start()
    asker = Asker()
    with serving(node, lan, asker):
        with owned(node, tmp_path / "owned", "egress-0"):
            node.next(where=lambda m: m["gate"] == "failed")
            assert "chain egress-0" not in nft("list", "ruleset") and "chain ingress-0" in nft("list", "ruleset")
            assert "or be mute" in node.logged()
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                assert asker.reaches(FOUR), "the node that serves is deaf"
        node.next(where=lambda m: m["gate"] == "on", timeout=15)
        assert "chain egress-0" in nft("list", "ruleset") and asker.answers()


@pytest.mark.parametrize("what", ["add table netdev duet { flags dormant; }", "insert rule netdev duet egress-0 accept",
                                  "add element netdev duet held { 2 timeout 1h }"])
def test_R12_what_others_put_into_the_table_does_not_stay(lan, make, what):
    node = make().start()
    node.next(where=lambda m: m["state"] == "released")
    whole = nft("-s", "list", "table", "netdev", "duet")
    nft(what)
    told = node.next(where=lambda m: m["gate_lost_ns"] > 0)
    assert told["gate"] == "on" and nft("-s", "list", "table", "netdev", "duet") == whole


def test_R12_a_removal_among_more_than_can_be_read_is_told(lan, make, tmp_path):
    """The news of it is lost, since the queue is full of others' news by then."""
    node = make().start()
    node.next(where=lambda m: m["state"] == "released")
    pid = int(run("ip", "netns", "pids", lan.NODE).split()[0])
    many = ",".join("10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255) for i in range(60000))
    path = tmp_path / "big"
    path.write_text("table inet big { set s { type ipv4_addr; elements = { %s }; }; }\n" % many)
    for removed in (False, True):
        os.kill(pid, signal.SIGSTOP)
        nft("-f", path)
        nft("delete table inet big")
        if removed:
            nft("delete table netdev duet")
        os.kill(pid, signal.SIGCONT)
        if removed:
            assert node.next(where=lambda m: m["gate_lost_ns"] > 0, timeout=9)["gate"] == "on"
        eventually("nothing was missed", lambda: node.logged().count("made anew, for what was missed") == 1)
        assert "table netdev duet" in nft("list", "tables")


def test_R13_an_adapter_that_rises_while_quiet_is_announced_when_it_ends(lan, make):
    node = make(route=False).start()
    asker = Asker()
    with serving(node, lan, asker):
        node.arbiter.send(quiet=True, change=2)
        before = node.next(where=lambda m: m["silent"])["announced_ns"]
        node.forget()
        for state in ("down", "up"):
            run("ip", "-n", Lan.OTHER, "link", "set", "far0", state)
            eventually("the kernel does not see it", lambda: '"operstate":"%s"' % state.upper() in lan.ip("-j", "link", "show", "eth0"))
        time.sleep(0.3)
        node.forget()
        told = node.next(where=lambda m: m["silent"])
        assert told["announced_ns"] == before, "nothing can have got out"
        node.arbiter.send(quiet=False, change=3)
        node.next(where=lambda m: m["announced_ns"] > before)
