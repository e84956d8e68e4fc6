"""An attacker on every path: garbage, truncated, replayed and foreign datagrams, 10,000 a second on each, for 10 s."""

import os
import time

import pytest
from conftest import gap_ms
from lab.network import LINES, NODES
from lab.pair import other

RATE, SECONDS = 10000, 10
COUNTERS = ("unopened", "foreign", "replayed")

pytestmark = pytest.mark.alone


def state(lab):
    """All that must not change."""
    return {node: (lab.role(node)["role"], lab.role(node)["phase"], lab.role(node)["epoch"], lab.role(node)["fit"],
                   lab.bus.alarms(node), lab.daemon_pid(node, "heartbeatd"), lab.daemon_pid(node, "arbiterd"))
            for node in NODES}


def counted(lab):
    return {node: {name: sum(path[name] for path in lab.bus.topics(node, "path").values()) for name in COUNTERS}
            for node in NODES}


def test_hostile_datagrams_change_nothing_but_the_counters(lab, figures):
    # A recording of the pair with another key, for the foreign ones.
    lab.start_pair()
    recordings = {line: os.path.join(lab.dir, "recording-" + line) for line in LINES}
    floods = [lab.flood(line, send=False, save=file) for line, file in recordings.items()]
    assert all(flood.wait(20)["heard"] >= 16 for flood in floods)
    for node in NODES:
        lab.reset(node)
    lab.new_key()
    time.sleep(0.4)
    active = lab.start_pair()
    lab.wait_ready(active)
    probe = lab.probe("inside", 1000)
    before, count_before = state(lab), counted(lab)
    gap_ms(probe)
    changes = len(lab.bus.changes)

    floods = [lab.flood(line, kind="mixed", rate=RATE, seconds=SECONDS) for line in LINES]
    foreign = [lab.flood(line, kind="replay", rate=RATE // 10, seconds=SECONDS, load=file)
               for line, file in recordings.items()]
    sent = [flood.wait(SECONDS + 20)["sent"] for flood in floods]
    assert all(flood.wait(20)["sent"] > 0 for flood in foreign)

    assert lab.bus.changes[changes:] == [], "no change of role or phase"
    assert state(lab) == before
    lab.stays(lambda: lab.settled() == active, 1, "as before")
    grown = {node: {name: counted(lab)[node][name] - count_before[node][name] for name in COUNTERS} for node in NODES}
    figures("hostile datagrams sent (three paths)", "%s a second; counted %s; client's longest gap %.1f ms" % (
        [number // SECONDS for number in sent], grown, gap_ms(probe)))
    assert min(sent) >= RATE * SECONDS * 0.8, "the attack was as strong as it should be"
    for node in NODES:
        assert all(grown[node][name] > 1000 for name in COUNTERS), (node, grown[node])
    for node in (active, other(active)):
        assert all(path["state"] == "up" for path in lab.bus.topics(node, "path").values())
