"""`tests/bench/run scale`: many active addresses, from the first one that the new owner answers for to the last.

The active node loses its power. A neighbour on the inside LAN asks the other node for 64 of the addresses, evenly spread, the
first and the last among them, each 4 ms until it has answered; and then for all others. One on the outside LAN asks for the
only address there.
"""
import ipaddress
import statistics
import subprocess
import time

from lab.lab import Lab
from lab.network import ACTIVE, mac
from lab.pair import other
from lab.tools import Tool, tool_path

FIRST = "10.77.0.1"
FORMS = {"1000": (1000, "addresses"), "1000-routes": (1000, "local-routes"), "10000": (10000, "addresses"),
         "10000-routes": (10000, "local-routes")}


class Census(Tool):
    def __init__(self, lab, channel, node, first, count):
        machine = {"outside": "router", "inside": "client"}[channel]
        super().__init__(lab.network.exec(machine, tool_path("census"), "--device", channel, "--first", first, "--count", str(count),
                                          "--mac", mac(node, channel)))
        self.result = None

    def done(self):
        """What it found, once it has answers for all."""
        self.result = self.result or next(self._lines(0), None)
        return self.result


def many(count):
    first = ipaddress.ip_address(FIRST)
    return ["%s/16" % (first + i) for i in range(count)]


def one_takeover(lab, active, count):
    """(milliseconds from the first answer to the last, and between the first ones of the two LANs, and of the outage)."""
    peer = other(active)
    inside, outside = Census(lab, "inside", peer, FIRST, count), Census(lab, "outside", peer, ACTIVE["outside"], 1)
    time.sleep(0.5)
    if inside.done() or outside.done():
        raise RuntimeError("%s serves already\n%s" % (peer, lab.describe()))
    began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    lab.power_off(active)
    lab.wait_for(lambda: inside.done() and outside.done(), 60, "%s answers for all %d addresses" % (peer, count))
    found, other_lan = inside.result, outside.result
    for census in (inside, outside):
        census.process.wait(5)
    if found["answered"] != count:
        raise RuntimeError("only %d of %d addresses are answered for" % (found["answered"], count))
    return ((found["last_ns"] - found["first_ns"]) / 1e6, abs(found["first_ns"] - other_lan["first_ns"]) / 1e6,
            (found["last_ns"] - began_ns) / 1e6)


def boot(lab, node):
    """What was on its adapter is gone after a boot: here the kernel takes all of one network at once, if allowed."""
    promote = "/proc/sys/net/ipv4/conf/%s/promote_secondaries"
    quick = "for i in all inside; do echo 0 >%s; done; ip addr del %s/16 dev inside" % (promote % "$i", FIRST)
    subprocess.run(lab.network.exec(node, "sh", "-c", quick), capture_output=True)
    lab.power_on(node)


def configure(lab, profile, count, form):
    """Behind the channel's own address. The claim of so many takes longer than is usual, where they are addresses."""
    lab.write_config(profile=profile, on_network_fault="demote", timers={"settle-time": "300ms", "claim-time": "10s", "handover-time": "30s"},
                     active={"inside": [ACTIVE["inside"] + "/24"] + many(count)}, keys={"inside": ["hold-as = " + form]})


def measure(profile, count, form, times):
    found = []
    with Lab() as lab:
        configure(lab, profile, count, form)
        active = lab.start_pair(timeout=60)
        for _ in range(times):
            active = lab.wait_ready(active, timeout=90)
            found.append(one_takeover(lab, active, count))
            boot(lab, active)
            active = other(active)
    return found


def bench_scale(times, cases=None):
    print("\nMany active addresses on one LAN, one on the other: the active node loses its power. Median (smallest-largest), in ms", flush=True)
    for name in cases or FORMS:
        for profile in ("lan", "fast"):
            found = measure(profile, *FORMS[name], times)
            for what, values in zip(("the first to the last of %s" % name, "the first of each LAN", "power off to the last"), zip(*found)):
                print("  %-5s %-34s %8.1f (%.1f-%.1f, %d times)"
                      % (profile, what, statistics.median(values), min(values), max(values), len(values)), flush=True)
