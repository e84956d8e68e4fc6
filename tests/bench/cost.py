"""`tests/bench/run cost`: what duet takes from a node that has nothing to do, and from those who use nftables beside it.

Idle: processor time and memory (PSS) of all daemons of the active and of the passive node over half a minute, by /proc.
`nft list ruleset`: a set of 60,000 elements in the active node's namespace, listed while `takeoverd` renews its gate a hundred
times a second (profile fast), while all of duet stands still, and then without duet's table, in turn. Both times at a real-time
priority, so that no other work on the machine counts. Once below duet's: duet's share of the processors is in it. Once above: what
remains is what the kernel makes one wait for the other.

Cases by name: --case idle --case nft-list.
"""
import os
import signal
import statistics
import subprocess
import time

from lab.lab import Lab
from lab.network import NODES

IDLE_S = float(os.environ.get("IDLE_S", "30"))
ELEMENTS = 60000
DUET_PRIORITY = 10  # SCHED_RR, as common/linux_sys.c has it
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


def list_ms(lab, node, priority):
    """(how long it took, how much of that the processor worked for it)."""
    began = time.monotonic()
    process = subprocess.Popen(lab.network.exec(node, "chrt", "--rr", str(priority), "nft", "list", "ruleset"), stdout=subprocess.DEVNULL)
    _, process.returncode, used = os.wait4(process.pid, 0)
    if process.returncode != 0:
        raise RuntimeError("nft list ruleset: exit %d" % process.returncode)
    return (time.monotonic() - began) * 1000, (used.ru_utime + used.ru_stime) * 1000


def make_set(lab, node):
    elements = ", ".join("10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255) for i in range(ELEMENTS))
    text = "table inet big {\nset many {\ntype ipv4_addr\nelements = { %s }\n}\n}\n" % elements
    subprocess.run(lab.network.exec(node, "nft", "-f", "-"), input=text, text=True, check=True)


def signal_all(lab, node, number):
    for pid, _ in duet_pids(lab, node):
        os.kill(pid, number)


FORMS = ("duet renews", "its table, and nobody renews", "without its table")


def listing(times, priority):
    """The three forms in turn, each with the other two at its side: so all meet the same other work on the machine. All of duet
    stands still (SIGSTOP) in the second and third."""
    found = []
    with Lab() as lab:
        lab.write_config(profile="fast")
        make_set(lab, "alpha")
        lab.start("alpha")
        for _ in range(times):
            lab.wait_for(lambda: lab.serves("alpha") and lab.bus.last("alpha", "address")["gate"] == "on", 30, "alpha serves")
            time.sleep(0.2)
            turn = [list_ms(lab, "alpha", priority)]
            signal_all(lab, "alpha", signal.SIGSTOP)
            turn.append(list_ms(lab, "alpha", priority))
            subprocess.run(lab.network.exec("alpha", "nft", "delete", "table", "netdev", "duet"), check=True)
            turn.append(list_ms(lab, "alpha", priority))
            found.append(turn)
            signal_all(lab, "alpha", signal.SIGCONT)
            time.sleep(0.3)
    for i, form in enumerate(FORMS):
        took, worked = zip(*[turn[i] for turn in found])
        ratio = statistics.median(turn[0][0] / turn[i][0] for turn in found)
        print("    %-30s median %.0f ms (%.0f-%.0f, %d times), of these %.0f ms at work%s"
              % (form, statistics.median(took), min(took), max(took), len(took), statistics.median(worked),
                 "; median ratio of the first to this %.3f" % ratio if i else ""), flush=True)


def bench_idle(_times):
    print("\nA pair with nothing to do, over %.0f s" % IDLE_S, flush=True)
    for profile in ("lan", "fast"):
        idle(profile)


def bench_listing(times):
    print("\nnft list ruleset, with a set of %d elements, fast" % ELEMENTS, flush=True)
    for priority, text in ((1, "below duet's priority: duet's share of the processors counts"),
                           (DUET_PRIORITY + 40, "above duet's priority: it waits for duet only where the kernel makes it")):
        print("  " + text, flush=True)
        listing(times * 4, priority)


COSTS = {"idle": bench_idle, "nft-list": bench_listing}


def bench_cost(times, cases=None):
    for case in cases or COSTS:
        COSTS[case](times)
