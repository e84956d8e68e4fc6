"""L13, after a power cut: a passive node comes up with one whole generation, none older than it had acknowledged.

    CUTS=1000 CUTS_SEED=7 tests/run system -k cuts
"""
import os
import random
import subprocess
import sys

import pytest

from lab import cuts

CUTS = int(os.environ.get("CUTS", "40"))
SEED = int(os.environ.get("CUTS_SEED", str(random.randrange(1 << 30))))


@pytest.mark.parametrize("variant", ["", "validate"])
def test_L13_a_power_cut_leaves_a_whole_generation(tmp_path, variant):
    if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        pytest.skip("no FUSE or no loop devices on this machine: the disk cannot be recorded")
    # What is mounted here is nobody else's: another test's namespace would keep it mounted.
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, cuts.__file__, str(tmp_path), str(CUTS),
                           str(SEED)] + [variant] * bool(variant), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
