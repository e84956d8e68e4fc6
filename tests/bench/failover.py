"""`tests/bench/run failover`: how long a client misses the gateway, with duet and with keepalived, in turn in one run.

The client asks the inside active address every 0.2 ms (the router the outside one, where the outside line is what falls
silent). An outage is the longest time without an answer. Each row is made `times` times with each system; the pair is
whole and settled before each. `OUT/failover.json` has all values, `OUT/failover.svg` the picture for the README.
"""

import json
import os
import signal
import statistics
import subprocess
import time

from keepalived import Keepalived
from lab.lab import Lab
from lab.network import ACTIVE, CHANNELS, NODES
from lab.pair import other
from lab.tools import longest_gap_ms

PROBE_US = 200
NEVER_S = 4  # what lasts longer than that is called never
SYSTEMS = ["duet, lan", "duet, fast", "keepalived, usual, 1 s", "keepalived, usual, 100 ms", "keepalived, strongest, 10 ms"]


class Duet:
    def __init__(self, lab, profile):
        self.lab = lab
        lab.write_config(profile=profile, on_network_fault="demote", timers={"settle-time": "300ms"})
        lab.start_pair()

    def ready(self):
        """A fault that came again is believed for longer each time: the operator says that it is mended."""
        self.lab.wait_settled(timeout=60)
        for node in NODES:
            self.lab.duet(node, "clear")
        return self.lab.wait_ready(timeout=60)

    def owner(self):
        return next((node for node in NODES if self.lab.serves(node)), None)

    def switch(self, active):
        assert self.lab.duet(active, "switch").returncode == 0

    def processes(self, node):
        return self.lab.network.pids(node)

    def boot(self, node):
        self.lab.power_on(node)

    def again(self, node):
        self.lab.kill_duet(node)
        self.lab.start(node)

    def stop(self):
        for node in NODES:
            self.lab.stop(node)


class Vrrp:
    def __init__(self, lab, form):
        self.lab = lab
        lab.script("true", "#!/bin/sh\nexit 0\n")
        self.pair = Keepalived(lab, form, {node: lab.dir + "/true" for node in NODES})
        self.pair.start()
        self.rest_s = 4 if "1 s" in form else 1.5

    def ready(self):
        active = self.lab.wait_for(self.pair.owner, 60, "one keepalived has the addresses")
        time.sleep(self.rest_s)  # until the other one is a backup for certain
        return self.lab.wait_for(self.pair.owner, 60, "one keepalived has the addresses") or active

    def owner(self):
        return self.pair.owner()

    def switch(self, active):
        """It has no order for that: its own end gives the addresses away."""
        self.pair.end(active)
        self.lab.wait_for(lambda: self.pair.owner() == other(active), 20, "the other one serves")
        time.sleep(0.1)
        self.pair.begin(active)

    def processes(self, node):
        return self.lab.network.pids(node)

    def boot(self, node):
        self.lab.power_on(node, start=False)
        self.pair.begin(node)

    def again(self, node):
        self.lab.network.kill_all(node)
        self.lab.network.boot_addresses(node)
        self.pair.begin(node)

    def stop(self):
        self.pair.stop()


def make(lab, system):
    kind, _, form = system.partition(", ")
    return Duet(lab, form) if kind == "duet" else Vrrp(lab, form)


# ------------------------------------------------------------------- the rows


def silence(lab, node, line):
    port = lab.network.port(node, line)
    lab.network.drop("silent", 'iifname "%s" drop' % port, 'oifname "%s" drop' % port)


def power(lab, pair, active):
    lab.power_off(active)
    return lambda: pair.boot(active)


def cable(lab, _pair, active):
    lab.network.pull_cable(active, "inside")
    return lambda: lab.network.plug_cable(active, "inside")


def silent_line(lab, _pair, active):
    silence(lab, active, "outside")
    return lambda: lab.network.heal("silent")


def planned(_lab, pair, active):
    pair.switch(active)
    return lambda: None


def stopped(_lab, pair, active):
    for pid in pair.processes(active):
        os.kill(pid, signal.SIGSTOP)
    return lambda: pair.again(active)


def killed(_lab, pair, active):
    for pid in pair.processes(active):
        os.kill(pid, signal.SIGKILL)
    return lambda: pair.again(active)


ROWS = [("planned switch", planned, "inside"), ("carrier lost", cable, "inside"), ("power off", power, "inside"),
        ("line silent, carrier up", silent_line, "outside"), ("all stopped (SIGSTOP)", stopped, "inside"),
        ("all killed (SIGKILL)", killed, "inside")]


def one_outage(lab, pair, fault, where):
    """(gap in ms or None for never, milliseconds in which two nodes answered)."""
    active = pair.ready()
    watch, probe = lab.arpwatch(where), lab.probe(where, PROBE_US)
    time.sleep(0.3)
    probe.snapshot()
    watch.summary()
    mend = fault(lab, pair, active)
    end = time.monotonic() + NEVER_S
    while time.monotonic() < end and lab.node_of(watch.owner) != other(active):
        time.sleep(0.02)
    moved = lab.node_of(watch.owner) == other(active)
    time.sleep(1 if fault in (stopped, killed) else 0.3)  # does the old one go on answering beside it?
    seen = probe.stop()
    dual = watch.stop()["dual_ms"]
    mend()
    return (longest_gap_ms(seen) if moved and dual < 900 else None), dual


def measure(system, times):
    found = {name: [] for name, _, _ in ROWS}
    with Lab() as lab:
        pair = make(lab, system)
        for _ in range(times):
            for name, fault, where in ROWS:
                found[name].append(one_outage(lab, pair, fault, where))
        pair.stop()
    return found


def floor(times):
    """What the machine adds: the longest gap of an undisturbed half second, as long as an outage is watched."""
    gaps = []
    with Lab() as lab:
        lab.network.ip("alpha", "addr add %s/24 dev inside" % ACTIVE["inside"])
        for _ in range(times):
            probe = lab.probe("inside", PROBE_US)
            time.sleep(0.5)
            gaps.append(longest_gap_ms(probe.stop()))
    return gaps


# ------------------------------------------------------------------- telling


def text_of(outages):
    gaps = [gap for gap, _ in outages if gap is not None]
    dual = max(ms for _, ms in outages)
    text = "never" if not gaps else "%.1f (%.1f-%.1f)" % (statistics.median(gaps), min(gaps), max(gaps))
    if gaps and len(gaps) < len(outages):
        text += ", never %d of %d" % (len(outages) - len(gaps), len(outages))
    return text + (", two owners %.0f ms" % dual if dual > 5 else "")


PLOT = """set terminal svg size 900,460 font "sans,12" background "white"
set output "%(svg)s"
set logscale y
set yrange [0.5:6000]
set ylabel "longest gap for a client, ms"
set style data histograms
set style histogram errorbars gap 2 lw 1
set style fill solid 0.7 border -1
set key above horizontal maxcols 3
set grid y
set xtics scale 0
plot %(series)s
"""


def draw(results, out):
    """Bars for what has a figure; what never happened has none."""
    names = [name for name, _, _ in ROWS]
    series = []
    for number, system in enumerate(SYSTEMS):
        path = os.path.join(out, "failover-%d.dat" % number)
        with open(path, "w") as data:
            for name in names:
                outages = results[system][name]
                gaps = [gap for gap, _ in outages if gap is not None]
                gaps = gaps if 2 * len(gaps) > len(outages) else []  # no bar: never, more often than not
                row = [max(f(gaps), 0.5) for f in (statistics.median, min, max)] if gaps else ["?"] * 3
                data.write('"%s" %s %s %s\n' % (name.replace(" (", "\\n(").replace(", ", ",\\n"), *row))
        series.append('"%s" using 2:3:4:xtic(1) title "%s"' % (path, system))
    script = PLOT % {"svg": os.path.join(out, "failover.svg"), "series": ", \\\n     ".join(series)}
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def bench_failover(times):
    out = os.environ.get("OUT", "/tmp")
    print("\nHow long a client misses the gateway: median (smallest-largest) of %d, in ms" % times)
    results = {"floor": floor(times)}
    print("%-30s %s" % ("floor of the machine", text_of([(gap, 0) for gap in results["floor"]])), flush=True)
    for system in SYSTEMS:
        results[system] = measure(system, times)
        print(system, flush=True)
        for name, _, _ in ROWS:
            print("    %-28s %s" % (name, text_of(results[system][name])), flush=True)
    with open(os.path.join(out, "failover.json"), "w") as file:
        json.dump(results, file, indent=1)
    draw(results, out)
    print("values and picture: %s/failover.json, %s/failover.svg" % (out, out))
