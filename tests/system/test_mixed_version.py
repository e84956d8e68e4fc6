"""This version and the one before it as a pair, both ways: so a pair is upgraded one node after the other (L18).

The older programs are built from the commit that tests/mixed/previous names (lab/previous.py). Between the two only that
is promised what the older one can: before it, a handover lets the addresses go first (R13)."""
import os
import signal

import pytest
from lab import previous
from lab.network import CHANNELS, NODES
from lab.pair import other
from lab.sync import SyncLab

LEASE_CHAIN = ("heartbeatd", "arbiterd", "takeoverd")


@pytest.fixture(scope="module")
def older():
    """The folder of the previous version's programs."""
    left = signal.alarm(0)  # a build has limits of its own
    try:
        return previous.build()
    except previous.Missing as missing:
        pytest.skip(str(missing))
    finally:
        signal.alarm(left)


def accepts(lab, node):
    done = lab.duet(node, "check-config")
    assert done.returncode == 0, "%s: %s%s" % (lab.bins[node], done.stdout, done.stderr)


def runs_its_own(lab, node):
    """Each node's daemons are those of the version that it is meant to have."""
    for daemon in LEASE_CHAIN:
        path = os.readlink("/proc/%d/exe" % lab.daemon_pid(node, daemon))
        assert os.path.dirname(path) == os.path.realpath(lab.bins[node])


def paths_are_up(lab):
    """Heartbeats flow on every path, in both directions."""
    def states():
        return [[path["state"] for path in lab.bus.topics(node, "path").values()] for node in NODES]

    lab.wait_for(lambda: states() == [["up"] * (len(CHANNELS) + 1)] * 2, 20, "all paths up on both nodes")


def no_records_went(lab, old):
    """The older version knows heartbeats alone: records would be foreign to it."""
    assert lab.bus.last(other(old), "peer")["takes_records"] is False
    assert [path["foreign"] for path in lab.bus.topics(old, "path").values()] == [0] * (len(CHANNELS) + 1)


def switch(lab, active):
    done = lab.duet(active, "switch")
    assert done.returncode == 0, done.stderr
    return lab.wait_ready(other(active))


def phases_since(lab, seen, node):
    return [change[3] for change in lab.bus.changes[seen:] if change[1] == node]


@pytest.mark.parametrize("old", NODES)
def test_L18_two_versions_switch_and_take_over(lab, older, old):
    lab.bins[old] = older
    for node in NODES:
        accepts(lab, node)
    active = lab.start_pair()
    for node in NODES:
        runs_its_own(lab, node)
    paths_are_up(lab)
    active = lab.wait_ready(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    for _ in range(2):
        seen = len(lab.bus.changes)
        active = switch(lab, active)
        # The role went at once, and did not come back in between.
        assert phases_since(lab, seen, active) == ["claiming", "active"]
        assert phases_since(lab, seen, other(active))[:2] == ["offering", "releasing"]
    for _ in range(2):
        lab.power_off(active)
        lab.wait_for(lambda: lab.serves(other(active)), 20, "%s takes over" % other(active))
        lab.power_on(active)
        active = lab.wait_ready(other(active))
        paths_are_up(lab)
    assert [watch.stop()["dual"] for watch in watches] == [0, 0]
    assert lab.reboots == []
    no_records_went(lab, old)
    assert lab.log(other(old)).count("R13-considered") == 1 and "R13-quiet" not in lab.log(other(old))


# ------------------------------------------------------------------- an upgrade

BOOK = """#!/bin/sh
where=$(cat "%(nodes)s/$(readlink /proc/self/ns/net | tr -dc 0-9)")
trap 'echo "$where ends" >>%(book)s; exit 0' TERM
echo "$where begins" >>%(book)s
while :; do sleep 0.02; done
"""


@pytest.fixture
def pair(request):
    """With a set of files, and a service that may not run on both nodes at once."""
    with SyncLab() as made:
        request.node.lab = made
        made.script("worker", BOOK % {"nodes": made.dir + "/nodes", "book": made.dir + "/book"})
        made.write_config(extra=made.sync_set() + 'service "worker" {\n    command = {"%s/worker"}\n    when = active\n    exclusive = true\n}\n' % made.dir)
        for node in NODES:
            os.mkdir(made.data(node, "files"))
        yield made


def write(lab, active, name):
    """A file saved on the active node is the same on the other."""
    with open(lab.data(active, "files", name), "w") as out:
        out.write(name)
    lab.wait_same()
    lab.wait_current()


def change_version(lab, node, programs):
    lab.stop(node)
    lab.bins[node] = programs
    accepts(lab, node)
    lab.start(node)
    active = lab.wait_ready(other(node))
    lab.wait_current()
    runs_its_own(lab, node)
    return active


def book(lab):
    try:
        with open(lab.dir + "/book") as lines:
            return lines.read().splitlines()
    except FileNotFoundError:
        return []


def hand_over(lab, active):
    """A switch, after which the service runs there; where this version gives the role, it ended here before."""
    seen = len(book(lab))
    taker = switch(lab, active)
    lab.wait_for(lambda: len(book(lab)) == seen + 2, 20, "the service ended and began")
    lines = ["%s ends" % active, "%s begins" % taker]
    assert book(lab)[seen:] == lines if lab.bins[active] == lab.bin else sorted(book(lab)[seen:]) == sorted(lines)
    return taker


@pytest.mark.parametrize("way", ["up", "down"])
def test_L18_one_node_after_the_other(pair, older, way):
    """What the run before left on the disk, of the other version, is read by each."""
    newer = pair.bin
    before, after = (older, newer) if way == "up" else (newer, older)
    pair.bins = dict.fromkeys(NODES, before)
    active = pair.wait_ready(pair.start_pair())
    pair.wait_for(lambda: book(pair) == [active + " begins"], 20, "the service runs")
    write(pair, active, "both before")
    for step in ("first", "second"):
        active = change_version(pair, other(active), after)
        write(pair, active, step + " changed")
        active = hand_over(pair, active)
        write(pair, active, step + " switched")
    for node in NODES:
        assert {"both before", "first changed", "first switched", "second changed", "second switched"} <= set(os.listdir(pair.data(node, "files")))
    assert pair.reboots == []
    # Once both are of this version, nothing is answered for nobody any more.
    logs = [pair.log(node) for node in NODES]
    assert sum(log.count("R13-quiet") for log in logs) == (1 if way == "up" else 0)
