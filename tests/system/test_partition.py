"""A partition without a witness: both serve until it heals, then one, and what the other one wrote is kept (DESIGN R9, I2, §8)."""

import json
import os
import statistics
import subprocess
import time

import pytest
from lab.pair import other
from lab.sync import SyncLab, write

HEARTBEAT_MS = 50  # of profile lan
TIMES = 3


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        yield made


def yielded_ns(lab, loser):
    """When the loser gave way (CLOCK_BOOTTIME), by its own record."""
    change = json.loads(lab.duet(loser, "why", "--json").stdout)
    assert change["rule"] == "R9-yield", change
    return change["at_ns"]


def partition_and_heal(lab, active, during=lambda taker: None):
    """The role is with the other node afterwards, under the higher epoch. How long both served after the healing, in ms."""
    taker = other(active)
    epoch = lab.role(active)["epoch"]
    lab.network.cut_pair()
    lab.wait_for(lambda: lab.serves(taker), 20, "%s hears and finds nobody, and takes over" % taker)
    assert lab.serves(active), "without a witness both serve"
    during(taker)
    healed_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)  # before: what the switch takes for it counts, too
    lab.network.heal_pair()
    lab.wait_settled(taker)
    assert lab.role(taker)["epoch"] > epoch
    for node in (active, taker):
        assert "address-conflict" not in lab.bus.alarms(node), "the other owner was the peer, no third host"
    return (yielded_ns(lab, active) - healed_ns) / 1e6


def test_R9_L13_a_healed_partition_leaves_the_higher_epoch_and_keeps_what_the_other_wrote(lab, figures):
    lab.write_config(extra=lab.sync_set())
    os.makedirs(lab.data("alpha", "files"))
    write(lab.data("alpha", "files/shared"), "before")
    lab.start_pair(first="alpha")
    lab.wait_ready("alpha")
    lab.wait_same()
    lab.wait_current()

    def write_on_both(taker):
        write(lab.data("alpha", "files/shared"), "written by the one that will lose")
        write(lab.data("alpha", "files/mine"), "made by the one that will lose")
        write(lab.data(taker, "files/shared"), "written by the one that will stay")

    took = [partition_and_heal(lab, "alpha", write_on_both)]
    lab.wait_same()
    lab.wait_current()
    assert open(lab.data("alpha", "files/shared")).read() == "written by the one that will stay"
    kept = lab.wait_for(lambda: lab.sync("alpha", "files")["conflict_dir"], 20, "where it was kept")
    assert os.path.realpath(kept).startswith(os.path.realpath(os.path.join(lab.state_dir("alpha"), "conflicts")) + "/")
    for words in ("written by the one that will lose", "made by the one that will lose"):
        assert subprocess.run(["grep", "-rq", words, kept]).returncode == 0, words
    assert "kept aside" in lab.duet("alpha", "sync", "status").stdout
    active = "beta"
    while len(took) < TIMES:
        lab.wait_ready(active)
        took.append(partition_and_heal(lab, active))
        active = other(active)
    figures("healed partition, until the lower epoch gives way", "median %.1f ms of %s" % (statistics.median(took), took))
    # Two intervals, as the figure shows; a machine that is busy with other tests may need more.
    assert statistics.median(took) <= 10 * HEARTBEAT_MS, "both served for %s ms after the healing" % took
