"""Processes of a running pair killed at random, KILLS of them: no service is ever doubled, none is stuck. SEED picks another
story."""

import os
import random
import signal
import time

import pytest
from lab.bus import DAEMONS
from lab.network import NODES

KILLS = int(os.environ.get("KILLS", "250"))
KILLS_A_SECOND = 5  # at least, also on a busy machine

pytestmark = pytest.mark.alone

# One instance a node holds the lock; a second one there says so.
SINGLE = """#!/bin/bash
node=$(cat "%(dir)s/nodes/$(readlink /proc/self/ns/net | tr -dc 0-9)")
exec 9>"%(dir)s/$node/lock"
flock -n 9 || { echo "$node" >>"%(dir)s/doubled"; exit 1; }
exec sleep 1000
"""


def instances(lab, node):
    return [pid for pid in lab.network.pids(node) if name_of(pid) == "sleep"]


def name_of(pid):
    try:
        with open("/proc/%d/comm" % pid) as comm:
            return comm.read().strip()
    except OSError:
        return None


def victims(lab):
    """Every daemon and every service's process; not `duet run` itself, which stands for the machine's own init."""
    found = [lab.daemon_pid(node, daemon) for node in NODES for daemon in DAEMONS]
    return [pid for pid in found + [pid for node in NODES for pid in instances(lab, node)] if pid]


def test_L11_random_kills(lab, figures):
    seed = int(os.environ.get("SEED", "1"))
    chance = random.Random(seed)
    lab.script("single", SINGLE % {"dir": lab.dir})
    lab.write_config(on_network_fault="demote", extra='service "guarded" {\n    command = {"%s/single"}\n'
                     '    start-retries = 1000\n    retry-interval = 10ms\n    on-failure = ignore\n}\n' % lab.dir)
    lab.start_pair()
    lab.wait_ready()
    killed = 0
    end = time.monotonic() + KILLS / KILLS_A_SECOND
    while killed < KILLS and time.monotonic() < end:
        pids = victims(lab)
        if pids:
            try:
                os.kill(chance.choice(pids), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        time.sleep(chance.random() * 0.06)
        for node in NODES:
            assert len(instances(lab, node)) <= 1, "doubled on %s (seed %d)" % (node, seed)
    assert killed >= KILLS
    active = lab.wait_ready(timeout=60)
    for node in NODES:
        lab.wait_for(lambda: len(instances(lab, node)) == (node == active), 90,
                     "one instance on %s, none on the other (seed %d): %s" % (active, seed, [instances(lab, n) for n in NODES]))
    lab.stays(lambda: lab.settled() == active and len(instances(lab, active)) == 1, 2, "at rest")
    assert not os.path.exists(os.path.join(lab.dir, "doubled")), "doubled (seed %d)" % seed
    assert lab.reboots == []
    figures("random kills", "%d, none doubled, none stuck (seed %d)" % (killed, seed))
