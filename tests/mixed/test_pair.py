"""A pair of two architectures (L18): one node decides, hears and speaks by programs for s390x, which is big-endian, under
qemu-user; the other is this machine's.

DUET_OTHER is the folder with what tests/mixed/run built for s390x. takeoverd, superviserd and duet itself are this
machine's on both nodes: qemu-user has no netfilter sockets (the gate). So that node's own bus is mixed, too:
its arbiter reads and writes JSON to and from processes of the other byte order."""
import os
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.lab import Lab  # noqa: E402
from lab.network import CHANNELS, NODES  # noqa: E402
from lab.pair import other  # noqa: E402

BUILT = os.environ["DUET_OTHER"]
FOREIGN = ("arbiterd", "heartbeatd")
LIMIT = 60  # the emulator is slow, and this machine may be busy

WRAPPER = """#!/bin/sh
exec qemu-s390x -E LD_PRELOAD=%(built)s/qemu_options.so -L %(built)s/root %(built)s/build/%(daemon)s/%(daemon)s "$@"
"""

def programs(lab):
    """A folder like DUET_BIN, in which some are programs for s390x."""
    folder = os.path.join(lab.dir, "s390x")
    shutil.copytree(lab.bin, folder)
    for daemon in FOREIGN:
        path = os.path.join(folder, daemon)
        with open(path, "w") as script:
            script.write(WRAPPER % {"built": BUILT, "daemon": daemon})
    return folder


@pytest.fixture(params=NODES)
def pair(request):
    """The node of the parameter is the foreign one: the first-named node, or the second."""
    with Lab() as lab:
        lab.write_config(profile="lan")
        lab.foreign = request.param
        lab.bins[lab.foreign] = programs(lab)
        group_addresses(lab)
        yield lab


def group_addresses(lab):
    for channel in CHANNELS:
        words = lab.network.exec(lab.foreign, "ip", "link", "set", channel, "allmulticast", "on")
        subprocess.run(words, check=True, timeout=20)


def foreign_programs_run(lab):
    """They are emulated, and of the other byte order."""
    found = set()
    for pid in lab.network.pids(lab.foreign):
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            words = file.read().split(b"\0")
        if os.path.basename(words[0]) == b"qemu-s390x":
            program = next(word for word in words if word.startswith(BUILT.encode() + b"/build/")).decode()
            with open(program, "rb") as file:
                assert file.read(6)[4:] == b"\x02\x02"  # 64 bits, big-endian
            found.add(os.path.basename(program))
    assert found == set(FOREIGN)


def paths_are_up(lab):
    def states():
        return [[path["state"] for path in lab.bus.topics(node, "path").values()] for node in NODES]

    lab.wait_for(lambda: states() == [["up"] * (len(CHANNELS) + 1)] * 2, LIMIT, "all paths up on both nodes")


def test_L18_two_architectures_switch_and_take_over(pair):
    active = pair.wait_ready(pair.start_pair(timeout=LIMIT), LIMIT)
    foreign_programs_run(pair)
    paths_are_up(pair)
    for _ in range(2):
        done = pair.duet(active, "switch")
        assert done.returncode == 0, done.stderr
        active = pair.wait_ready(other(active), LIMIT)
    for _ in range(2):
        gone = active
        pair.power_off(gone)
        pair.wait_for(lambda: pair.serves(other(gone)), LIMIT, "%s takes over" % other(gone))
        pair.power_on(gone)
        active = pair.wait_ready(other(gone), LIMIT)
        paths_are_up(pair)
    foreign_programs_run(pair)
    # Both orders went make-before-break, and both ends were seen: once as giver and once as taker each.
    for node in NODES:
        assert pair.log(node).count("rule=R13-quiet") == 1
        assert pair.log(node).count("rule=R3-takeover") == 1
    assert pair.reboots == []
