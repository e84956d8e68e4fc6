"""`tests/bench/run cost`: what duet takes from a node that has nothing to do, and from those who use nftables beside it.

Idle: processor time and memory (PSS) of all daemons of the active and of the passive node over half a minute, by /proc.
`nft list ruleset`: a set of 60,000 elements in the active node's namespace, listed while `takeoverd` renews its gate a hundred
times a second (profile fast), and with duet not running, in turn.
"""
import os
import statistics
import subprocess
import time

from lab.lab import Lab
from lab.network import NODES

IDLE_S = float(os.environ.get("IDLE_S", "30"))
ELEMENTS = 60000
TICKS = os.sysconf("SC_CLK_TCK")


def duet_pids(lab, node):
    """`duet run` and what it started."""
    pids = []
    for pid in lab.network.pids(node):
        with open("/proc/%d/comm" % pid) as comm:
            pids.append((pid, comm.read().strip()))
    return pids


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def idle(profile):
    with Lab() as lab:
        lab.write_config(profile=profile, extra=lab.service())
        active = lab.start_pair()
        lab.wait_ready(active, timeout=60)
        time.sleep(5)
        before = {pid: cpu_s(pid) for node in NODES for pid, _ in duet_pids(lab, node)}
        time.sleep(IDLE_S)
        for node in sorted(NODES, key=lambda n: n != active):
            pids = [(pid, name) for pid, name in duet_pids(lab, node) if pid in before and name not in ("service", "sleep")]
            used = {name: (cpu_s(pid) - before[pid]) / IDLE_S * 100 for pid, name in pids}
            pss = {name: pss_kib(pid) / 1024 for pid, name in pids}
            print("  %s, %-7s  %.2f %% of a core, %.1f MiB PSS   (%s)"
                  % (profile, "active" if node == active else "passive", sum(used.values()), sum(pss.values()),
                     ", ".join("%s %.2f %% %.1f MiB" % (name, used[name], pss[name]) for name in used)), flush=True)


def list_ms(lab, node, times):
    found = []
    for _ in range(times):
        began = time.monotonic()
        subprocess.run(lab.network.exec(node, "nft", "list", "ruleset"), stdout=subprocess.DEVNULL, check=True)
        found.append((time.monotonic() - began) * 1000)
    return found


def make_set(lab, node):
    elements = ", ".join("10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255) for i in range(ELEMENTS))
    text = "table inet big {\nset many {\ntype ipv4_addr\nelements = { %s }\n}\n}\n" % elements
    subprocess.run(lab.network.exec(node, "nft", "-f", "-"), input=text, text=True, check=True)


def listing(times):
    """The same node with duet and without, by turns of a few, so that both meet the same other work on the machine."""
    found = {True: [], False: []}
    with Lab() as lab:
        lab.write_config(profile="fast")
        make_set(lab, "alpha")
        for _ in range(times):
            lab.start("alpha")
            lab.wait_for(lambda: lab.serves("alpha"), 30, "alpha serves")
            found[True] += list_ms(lab, "alpha", 3)
            lab.stop("alpha")
            found[False] += list_ms(lab, "alpha", 3)
    for running, values in found.items():
        print("  %-28s median %.0f ms (%.0f-%.0f, %d times)"
              % ("duet renews in fast" if running else "without duet", statistics.median(values), min(values), max(values), len(values)),
              flush=True)


def bench_cost(times):
    print("\nA pair with nothing to do, over %.0f s" % IDLE_S, flush=True)
    for profile in ("lan", "fast"):
        idle(profile)
    print("nft list ruleset, with a set of %d elements" % ELEMENTS, flush=True)
    listing(times)
