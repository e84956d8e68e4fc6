"""Nobody has to act for an active node to fall silent: the lease ends by itself, and the peer serves (DESIGN R12, §7).

All of duet, or one daemon of the lease chain, is stopped or killed on the active node, whose machine and wires live on.
LEASE_TIMES says how often each (2 in the suite), FLUSHES how often the rules are flushed.
"""
import os
import signal
import statistics
import subprocess
import time

import pytest
from conftest import gap_ms, summary_of
from lab.bus import now_ns
from lab.network import CHANNELS
from lab.pair import other

TIMES = int(os.environ.get("LEASE_TIMES", "2"))
FLUSHES = int(os.environ.get("FLUSHES", "5"))
CASES = [(signal.SIGSTOP, "all of duet"), (signal.SIGKILL, "all of duet"), (signal.SIGSTOP, "heartbeatd"),
         (signal.SIGSTOP, "arbiterd"), (signal.SIGSTOP, "takeoverd")]


def strike(lab, node, end, what):
    """Returns the processes that were struck."""
    pids = lab.network.pids(node) if what == "all of duet" else [lab.daemon_pid(node, what)]
    for pid in pids:
        os.kill(pid, end)
    return pids


def nft(lab, node, *words):
    return subprocess.run(lab.network.exec(node, "nft", *words), capture_output=True, text=True, check=True, timeout=20).stdout


def bring_back(lab, node, end, pids):
    if end == signal.SIGSTOP:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        lab.wait_for(lambda: lab.is_passive(node), 10, "%s becomes passive" % node)
        assert lab.duet(node, "clear").returncode == 0  # else it is trusted later each time (R10)
    else:
        lab.kill_duet(node)
        lab.start(node)


@pytest.mark.parametrize("profile", ["lan", "fast"])
@pytest.mark.parametrize("end, what", CASES, ids=["%s %s" % (end.name, what) for end, what in CASES])
def test_R12_who_cannot_renew_falls_silent_and_the_peer_serves(lab, figures, profile, end, what):
    """I1: never two owners, neither in between nor when the stopped ones go on; then passive, without an answer."""
    lab.write_config(profile=profile)
    active = lab.start_pair()
    lab.wait_ready(active)
    watches = [lab.arpwatch(channel, 2000) for channel in CHANNELS]
    probe = lab.probe("inside")
    gaps, backs = [], []
    for _ in range(TIMES):
        time.sleep(0.3)
        gap_ms(probe)
        pids = strike(lab, active, end, what)
        lab.wait_for(lambda: lab.serves(other(active)), 10, "%s serves" % other(active))
        time.sleep(0.3)
        assert [lab.node_of(watch.owner) for watch in watches] == 2 * [other(active)]
        gaps.append(gap_ms(probe))
        bring_back(lab, active, end, pids)
        active = other(active)
        lab.wait_ready(active)
        backs.append(gap_ms(probe))
        assert [lab.node_of(watch.owner) for watch in watches] == 2 * [active]
    assert [watch.stop()["dual"] for watch in watches] == [0, 0], "two owners were seen"
    figures("%s of %s, %s" % (end.name, what, profile), "gap median %.0f ms (%.0f-%.0f, %d times); when back %.0f ms"
            % (statistics.median(gaps), min(gaps), max(gaps), TIMES, max(backs)))


def test_R12_a_gate_that_somebody_removes_is_put_back_and_told(lab, figures):
    active = lab.start_pair()
    lab.wait_ready(active)
    backs = []
    for _ in range(FLUSHES):
        began_ns = now_ns()
        nft(lab, active, "flush", "ruleset")
        back_ns = lab.wait_for(lambda: (at := lab.bus.last(active, "address")["gate_lost_ns"]) > began_ns and at, 5, "it is put back")
        backs.append((back_ns - began_ns) / 1e6)
        if len(backs) == 1:
            since_ns = lab.wait_for(lambda: "gate-lost" in lab.bus.alarms(active) and lab.bus.last(active, "alarm/gate-lost")["since_ns"],
                                    5, "the alarm gate-lost")
            alarmed_ms = (since_ns - began_ns) / 1e6
        assert lab.bus.last(active, "address")["gate"] == "on" and "netdev duet" in nft(lab, active, "list", "tables")
    figures("nft flush ruleset, from the beginning of the command", "the gate is back after %s; alarmed after %.1f ms"
            % (summary_of(backs), alarmed_ms))
    strike(lab, active, signal.SIGSTOP, "all of duet")
    lab.wait_for(lambda: lab.serves(other(active)), 10, "the new gate shuts, and %s serves" % other(active))


def test_no_table_is_left_after_a_clean_end(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    for node in (other(active), active):
        assert "netdev duet" in nft(lab, node, "list", "tables")
        assert lab.stop(node) == 0
        assert nft(lab, node, "list", "tables") == ""


def test_R12_R13_two_owners_are_never_seen_where_the_gate_cannot_be_renewed(lab):
    """Something swallows the renewals on the active node: it serves on, without a gate and with an alarm, and a switch
    takes the addresses away first. The same while the switch is under way."""
    swallow = "table netdev thief { chain in { type filter hook ingress device lo priority -600; meta protocol 0x88b5 drop; }; }"
    active = lab.start_pair()
    lab.wait_ready(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    probe = lab.probe("inside")
    gap_ms(probe)
    nft(lab, active, swallow)
    lab.wait_for(lambda: "gate-lost" in lab.bus.alarms(active), 5, "the alarm gate-lost")
    time.sleep(0.5)
    assert lab.serves(active) and gap_ms(probe) < 100, "nobody suffered"
    done = lab.duet(active, "switch")
    assert done.returncode == 0, done.stderr
    active = other(active)
    nft(lab, other(active), "delete", "table", "netdev", "thief")
    lab.wait_ready(active)
    for _ in range(5):
        nft(lab, active, swallow)
        done = lab.duet(active, "switch")
        assert done.returncode == 0, done.stderr
        nft(lab, active, "delete", "table", "netdev", "thief")
        active = other(active)
        lab.wait_ready(active)
    assert [watch.stop()["dual"] for watch in watches] == [0, 0], "two owners were seen"
