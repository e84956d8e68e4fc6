"""`tests/bench/run adversity`: what must move nothing, for as long as an operator would want to see it (profile fast).

Random loss of 10 and of 30 % on all lines and in both directions, in the switch, for ten minutes each (LOSS_S); stress-ng
on all cores and the memory for an hour (STRESS_S). Every change of role, phase or epoch of either node counts, a lapsed
lease too; a watcher on the inside LAN looks for two owners. Beside the pair runs a process with its scheduling and nothing
to do, which tells how late the machine lets such a one be: before each change, and at most. Cases by name: --case loss-10
--case loss-30 --case stress.
"""
import os
import subprocess
import time

from lab.lab import Lab
from lab.network import NODES
from lab.tools import Stall

LOSS_S = float(os.environ.get("LOSS_S", "600"))
STRESS_S = float(os.environ.get("STRESS_S", "3600"))
CHAIN = ("heartbeatd", "arbiterd", "takeoverd")
BEFORE_NS = 200_000_000  # how long before a change the machine's own stall may be its cause: lease and takeover-after, twice


def loss(percent):
    def begin(lab):
        lab.network.drop("loss", "numgen random mod 100 < %d drop" % percent)
        return lambda: lab.network.heal("loss")

    return "%d %% of all packets lost" % percent, LOSS_S, begin


def stress(_lab):
    cores = str(os.cpu_count())
    process = subprocess.Popen(["stress-ng", "--quiet", "--cpu", cores, "--vm", cores, "--vm-bytes", "256M"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)

    def end():
        process.terminate()
        process.wait(60)

    return end


ADVERSITIES = {"loss-10": loss(10), "loss-30": loss(30), "stress": ("stress-ng on all cores and the memory", STRESS_S, stress)}


def latest_timer_ms(lab):
    """Of all that ran on either node since it began."""
    messages = [lab.bus.last(node, "daemon/" + daemon) for node in NODES for daemon in CHAIN]
    return max(message["late_us_ever"] for message in messages if message) / 1000


def tell_changes(lab, seen, stall):
    """Prints those that came after the first `seen` ones, and returns how many there are."""
    stall.read()
    for at_ns, node, role, phase, epoch, reason in lab.bus.changes[seen:]:
        print("    %s %s is %s/%s under epoch %d: %s; the machine's own longest stall in the %d ms before: %.1f ms"
              % (time.strftime("%H:%M:%S"), node, role, phase, epoch, reason, BEFORE_NS / 1e6, stall.before(at_ns, BEFORE_NS)), flush=True)
    return len(lab.bus.changes)


def keep_logs(lab, name):
    """A change that should not have been is to be understood."""
    for node in NODES:
        with open(os.path.join(os.environ.get("OUT", "/tmp"), "adversity-%s-%s.log" % (name, node)), "w") as log:
            log.write(lab.log(node) + "\n" + lab.duet(node, "why").stdout)


def under(lab, name):
    """(changes that it caused, milliseconds with two owners, the latest timers: of the chain, and of the machine itself)."""
    _, seconds, begin = ADVERSITIES[name]
    lab.write_config(profile="fast", on_network_fault="demote")
    lab.wait_ready(lab.start_pair(), timeout=120)
    watch, stall = lab.arpwatch("inside", 10000), lab.tool(Stall())
    seen = before = len(lab.bus.changes)
    end = begin(lab)
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.5)
            seen = tell_changes(lab, seen, stall)
    finally:
        end()
    if seen > before:
        keep_logs(lab, name)
    late_ms = latest_timer_ms(lab)
    return seen - before, watch.stop()["dual_ms"], late_ms, stall.stop()["ms"]


def bench_adversity(_times, cases=None):
    print("\nWhat must move nothing (profile fast)", flush=True)
    for name in cases or ADVERSITIES:
        with Lab() as lab:
            changes, dual_ms, late_ms, stall_ms = under(lab, name)
        print("  %-38s %5.0f s: %s; two owners %.0f ms; latest timer %.1f ms, of the machine itself %.1f ms"
              % (*ADVERSITIES[name][:2], "%d CHANGES" % changes if changes else "no change of role", dual_ms, late_ms, stall_ms),
              flush=True)
