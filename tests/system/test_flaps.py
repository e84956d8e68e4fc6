"""A line that comes and goes five times in a minute moves the role as often as docs/architecture.md says, and no more (DESIGN R6, R10, I5).

The minute is one of a tenth: `settle-time`, 5 s by default, is half a second here, and a line is off and on for as long.
After each flap the pair has time to mend: no flap is hidden by the one before.
"""
import time

import pytest
from lab.lab import Lab
from lab.network import LINES, NODES
from lab.pair import other

FLAPS = 5
OFF_S, ON_S = 0.6, 0.6  # each longer than settle-time


@pytest.fixture(scope="module")
def made():
    with Lab() as lab:
        # Profile lan: a busy machine's own stalls are not to be taken for the peer's death.
        lab.write_config(on_network_fault="demote", timers={"settle-time": "500ms", "router-interval": "50ms"})
        lab.start_pair()
        yield lab


@pytest.fixture
def pair(made, request):
    request.node.lab = made
    yield made
    made.network.heal()
    made.network.restore_router()
    for node in NODES:
        for line in LINES:
            made.network.plug_cable(node, line)
        made.duet(node, "clear")  # what was learnt of the last test's faults


def cable(line):
    """Of the node that was active when it began."""
    return (lambda lab, first: lab.network.pull_cable(first, line), lambda lab, first: lab.network.plug_cable(first, line))


# name: (off, on, how often the role moves)
LINE_FLAPS = {
    "cable of a channel": (*cable("inside"), 1),
    "router silent for one": (lambda lab, first: lab.network.mute_router_for(first), lambda lab, first: lab.network.hear_router_for(first), 1),
    "reserved line": (*cable("reserved"), 0),
    "router dead for both": (lambda lab, first: lab.network.kill_router(), lambda lab, first: lab.network.restore_router(), 0),
}


def claims(lab, since):
    """(node, epoch) of each time that a node that was not active became it."""
    return [(c[1], c[4]) for c in lab.bus.changes[since:] if c[3] == "claiming"]


@pytest.mark.parametrize("name", LINE_FLAPS)
def test_R10_I5_five_flaps_move_the_role_once_at_most(pair, name):
    off, on, moves = LINE_FLAPS[name]
    first = pair.wait_ready()
    since = len(pair.bus.changes)
    for _ in range(FLAPS):
        off(pair, first)
        time.sleep(OFF_S)
        on(pair, first)
        time.sleep(ON_S)
    found = claims(pair, since)
    assert len(found) <= moves, "five flaps moved the role %d times: %s" % (len(found), found)
    pair.wait_ready(other(first) if moves else first)
    found = claims(pair, since)
    assert [node for node, _ in found] == moves * [other(first)], "five flaps moved the role otherwise: %s" % found
    assert pair.reboots == []


def test_R10_a_fault_that_follows_the_role_moves_it_less_often_than_it_comes(pair):
    """Each flap hits the node that is active. The one that gave up for the second time waits twice as long, so it is unfit
    when the other one is hit again, and that one keeps the role."""
    pair.wait_ready()
    since = len(pair.bus.changes)
    for _ in range(FLAPS):
        active = pair.wait_for(lambda: [node for node in NODES if pair.serves(node)], 20, "one serves")[0]
        pair.network.pull_cable(active, "inside")
        time.sleep(OFF_S)
        pair.network.plug_cable(active, "inside")
        time.sleep(ON_S)
    found = claims(pair, since)
    assert 1 <= len(found) < FLAPS, "five flaps moved the role %d times: %s" % (len(found), found)
