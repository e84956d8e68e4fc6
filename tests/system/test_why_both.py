"""`duet why` over both nodes' records: one chain, whoever is asked, kept over restarts (DESIGN §2, §6)."""

import contextlib
import json
import os
import signal

import pytest
from lab.lab import Lab
from lab.network import NODES
from lab.pair import other

# Behind a node's name in a line of the chain.
ORDERED, GAVE, TOOK = "the operator ordered: switch", "arbiterd: offering -> releasing", "arbiterd: passive -> claiming"


@pytest.fixture(scope="module")
def pair():
    with Lab() as lab:
        lab.write_config(timers={"settle-time": "500ms"})
        lab.start_pair()
        yield lab


def lines(lab, node, asked, *words):
    """Waits until the chain that `asked` shows has a line of `node`'s with each of the words, and returns the chain."""
    said = []

    def shown():
        said[:] = lab.duet(asked, "why").stdout.splitlines()
        return all(any(" %s  " % node in line and word in line for line in said) for word in words)

    try:
        lab.wait_for(shown, 30, "%s's %s in what %s says" % (node, words, asked))
    finally:
        print("\n".join(said))
    return said


def index(said, word):
    return next(i for i, line in enumerate(said) if word in line)


def switch(lab):
    active = lab.wait_ready()
    assert lab.duet(active, "switch").returncode == 0
    lab.wait_for(lambda: lab.serves(other(active)), 20, "the peer serves")
    return active


def test_a_switch_is_one_chain_on_both(pair):
    """What the other node saw and did stands between what this one did, in the order in which it happened."""
    gave = switch(pair)
    for asked in NODES:
        lines(pair, gave, asked, ORDERED, GAVE)
        said = lines(pair, other(gave), asked, TOOK)
        assert index(said, ORDERED) < index(said, TOOK)
        answer = json.loads(pair.duet(asked, "why", "--json").stdout)
        assert (answer["node"], answer["other"], answer["peer"]["node"]) == (asked, other(asked), other(asked))
        assert {answer["rule"], answer["peer"]["rule"]} == {"R13-ordered", "R2-offered"}
        assert abs(answer["at_ns"] - answer["peer"]["at_ns"]) < 2_000_000_000 and answer["boot"] == answer["peer"]["boot"]


def test_a_chain_outlives_both_nodes(pair):
    """Both lose their power, and one comes back alone: it has from its disk what the other one told as well."""
    gave = switch(pair)
    took = other(gave)
    for asked in NODES:
        lines(pair, gave, asked, ORDERED)
        lines(pair, took, asked, TOOK)
    for node in (took, gave):
        pair.power_off(node)
    pair.power_on(gave)
    pair.wait_for(lambda: pair.serves(gave), 30, "%s serves alone" % gave)
    said = []

    def shown():
        said[:] = pair.duet(gave, "why", "2").stdout.splitlines()  # its own claim is the last one
        return any(" %s  " % took in line and TOOK in line for line in said) and any(ORDERED in line for line in said)

    try:
        pair.wait_for(shown, 20, "the chain of before")
    finally:
        print("\n".join(said))
    pair.power_on(took)
    pair.wait_ready()


def test_who_was_stopped_tells_when_it_goes_on(pair):
    """It gives up long after the peer took over: its record belongs to that all the same."""
    active = pair.wait_ready()
    pids = pair.network.pids(active)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        pair.wait_for(lambda: pair.serves(other(active)), 20, "the peer serves")
        alone = pair.duet(other(active), "why").stdout
        assert "R3-takeover" in alone and "(%s has told of no change of its own that belongs to this one, or not yet)" % active in alone
        assert "considered R4-mute" in alone and "considered R8-partition" in alone
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    pair.wait_ready()
    said = lines(pair, active, other(active), "arbiterd: active -> releasing")
    assert index(said, "R3-takeover") < index(said, "active -> releasing")


def test_a_disk_that_hangs_holds_no_lease_up(pair):
    """A FIFO that nobody reads takes as long to open as a disk that hangs: each change of role is written to one."""
    for node in NODES:
        for name in ("changes.jsonl", "peer-changes.jsonl"):
            path = os.path.join(pair.state_dir(node), "arbiterd", name)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.mkfifo(path)
    gave = switch(pair)
    for asked in NODES:  # what is written down is closed, and told
        lines(pair, gave, asked, ORDERED)
        lines(pair, other(gave), asked, TOOK)
    seen = len(pair.bus.changes)
    pair.bus.wait(1)
    assert pair.bus.changes[seen:] == [] and pair.settled() == other(gave)
