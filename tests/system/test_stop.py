"""A clean end (SIGTERM) hands over, and leaves no active address behind."""

import os
import signal
import subprocess
import time

from conftest import gap_ms
from lab.network import CHANNELS, PASSIVE
from lab.pair import other


def only_passive_addresses(lab, node):
    for channel in CHANNELS:
        assert lab.kernel_addresses(node, channel) == [PASSIVE[node][channel]], (node, channel)


def nothing_runs(lab, node):
    lab.wait_for(lambda: not lab.network.pids(node), 5, "no process of %s is left" % node)


def test_stop_of_the_active_node_hands_over(lab, figures):
    active = lab.start_pair()
    lab.wait_ready(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    assert lab.stop(active) == 0
    lab.wait_for(lambda: lab.serves(other(active)), 5, "%s serves" % other(active))
    time.sleep(0.2)
    gap = gap_ms(probe)
    figures("duet stopped on the active node", "gap %.1f ms" % gap)
    assert gap < 300, "faster than a takeover"
    only_passive_addresses(lab, active)
    nothing_runs(lab, active)
    assert all(watch.stop()["dual"] == 0 for watch in watches)
    assert lab.reboots == []
    lab.start(active)
    lab.wait_settled(other(active))


def test_stop_of_the_passive_node_changes_nothing(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    assert lab.stop(other(active)) == 0
    lab.stays(lambda: lab.serves(active), 2, "%s serves" % active)
    assert gap_ms(probe) < 100
    only_passive_addresses(lab, other(active))
    nothing_runs(lab, other(active))


def test_stop_of_both_leaves_no_active_address(lab):
    lab.write_config(extra=lab.service("guarded"))
    active = lab.start_pair()
    for node in (other(active), active):
        assert lab.stop(node) == 0
        only_passive_addresses(lab, node)
        nothing_runs(lab, node)
    for channel, address in (("inside", "192.0.2.10"), ("outside", "203.0.113.10")):
        assert lab.ask_once(channel, address) == []


def test_no_zombies_where_duet_run_is_the_first_process(lab):
    """As in a container: it inherits whom others leave behind."""
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *lab.duet_words("alpha", "run")]
    with open(lab.log_path("alpha"), "ab") as log:
        outer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def children(pid):
        return [int(word) for word in open("/proc/%d/task/%d/children" % (pid, pid)).read().split()]

    def states(pid):
        found = {}
        for child in children(pid):
            try:
                with open("/proc/%d/stat" % child) as stat:
                    found[child] = stat.read().rsplit(")", 1)[1].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                pass  # it was collected just now
        return found

    try:
        lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
        duet = children(outer.pid)[0]
        daemons = set(children(duet))
        assert len(daemons) == 4
        for _ in range(3):
            subprocess.run(["nsenter", "--target", str(duet), "--pid", "sh", "-c",
                            "for i in 1 2 3; do (sleep 0.2 & sleep 0 &) done"], check=True)
            assert len(children(duet)) > 4, "left to it"
            lab.wait_for(lambda: set(children(duet)) == daemons, 5, "each of them is collected: %s" % states(duet))
        os.kill(min(daemons), signal.SIGKILL)  # its own are still told apart
        lab.wait_for(lambda: len(set(children(duet)) - daemons) == 1 and len(children(duet)) == 4, 5, "started again")
        os.kill(duet, signal.SIGTERM)
        assert outer.wait(20) == 0
    finally:
        outer.kill()
        outer.wait()
