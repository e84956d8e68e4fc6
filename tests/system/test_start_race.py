"""Both nodes start at nearly the same moment, again and again (DESIGN R2)."""

import os
import random
import re
import time

from conftest import summary_of
from lab.network import CHANNELS, NODES
from lab.pair import other

TIMES = 50


def start_both(lab, dice):
    """In either order, less than 50 ms apart."""
    first = dice.choice(NODES)
    lab.start(first)
    time.sleep(dice.uniform(0, 0.045))
    lab.start(other(first))


def epoch_on_disk(lab, node):
    try:
        with open(os.path.join(lab.state_dir(node), "arbiterd/state")) as file:
            return int(re.search(r"^epoch (\d+)$", file.read(), re.MULTILINE)[1])
    except FileNotFoundError:
        return 0


def test_L1_L17_both_started_within_50_ms_fifty_times(lab, figures):
    dice = random.Random(17)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    took, epochs = [], [0]
    for turn in range(TIMES):
        begin = time.monotonic()
        before = len(lab.bus.changes)
        start_both(lab, dice)
        active = lab.wait_settled(timeout=10)
        took.append((time.monotonic() - begin) * 1000)
        lab.stays(lambda: lab.settled() == active, 0.15, "turn %d: exactly one active" % turn)
        claimed = {change[1] for change in lab.bus.changes[before:] if change[2] == "active"}
        assert claimed == {active}, "turn %d: the other one never thought of itself as active" % turn
        epochs.append(lab.role(active)["epoch"])
        assert epochs[-1] > epochs[-2], "turn %d: epochs only grow" % turn
        assert {lab.node_of(watch.owner) for watch in watches} == {active}, "turn %d" % turn
        # Disks may take their time, and a node that restarts knows only what is on its own.
        lab.wait_for(lambda: min(epoch_on_disk(lab, node) for node in NODES) >= epochs[-1], 10, "turn %d: on both disks" % turn)
        for node in NODES:
            lab.reset(node)
        time.sleep(0.35)  # longer than the lease: nobody may resume what is gone
    figures("both started at once, until one serves", summary_of(took))
    for watch in watches:
        seen = watch.stop()
        assert seen["answered"] > 0 and seen["dual"] == 0, seen
