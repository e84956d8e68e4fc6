"""The measurements of tests/bench/run; see there."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from adversity import ADVERSITIES, bench_adversity
from cost import COSTS, bench_cost
from failover import bench_failover
from keepalived import FORMS, Keepalived
from lab.lab import Lab
from lab.network import ACTIVE, NODES
from lab.pair import other
from lab.tools import Tool, tool_path
from lab.story import Story
from lab.sync import SyncLab
from roam import bench_client
from scale import FORMS as SCALES, bench_scale
from sync import CASES, bench_sync
from traps import bench_traps

PORT = 7000
EVERY_US = 200
LOG_LINES = 100


class Asker(Tool):
    """The client on the inside LAN. `answerers` is a list of (at_ns, node)."""

    def __init__(self, network):
        self.answerers = []
        super().__init__(network.exec("client", tool_path("asker"), "--to", ACTIVE["inside"], "--port", str(PORT),
                                      "--every-us", str(EVERY_US), "--realtime", "yes"))

    def _note(self, line):
        if line["event"] == "answerer":
            self.answerers.append((line["at_ns"], line["who"].split()[0]))
            return None
        return line

    def first_of(self, node, after_ns):
        """When this node answered for the first time after that; None: not yet."""
        for line in self._lines(0):
            self._note(line)
        return next((at for at, who in self.answerers if who == node and at > after_ns), None)


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def show(what, values, note=""):
    print("%-34s median %8.1f ms   (%.1f-%.1f, %d times)%s"
          % (what, statistics.median(values), min(values), max(values), len(values), note), flush=True)


def floor_ms(lab, times):
    """What the machine adds: the longest silence of as many undisturbed quarters of a second."""
    longest = []
    for _ in range(times):
        asker = Asker(lab.network)
        time.sleep(0.25)
        longest.append(asker.stop()["longest_ms"])
    return longest


def broken_file(lab, node):
    return os.path.join(lab.dir, node, "broken")


def break_service(lab, node):
    open(broken_file(lab, node), "w").close()


def mend_service(lab, node):
    if os.path.exists(broken_file(lab, node)):
        os.unlink(broken_file(lab, node))


# ------------------------------------------------------- a service that dies for good


def duet_service(lab, profile, times):
    """From the end of the last retry (as superviserd saw it) to the first answer of the peer's daemon."""
    script = "#!/bin/sh\nexec %s --port %d --broken %s/$DUET_NODE/broken\n" % (tool_path("responder"), PORT, lab.dir)
    lab.script("responder", script)
    service = ('service "responder" {\n    command = {"%s/responder"}\n    start-retries = 3\n'
               '    retry-interval = 50ms\n    on-failure = demote\n}\n' % lab.dir)
    lab.write_config(profile=profile, extra=service, timers={"settle-time": "500ms"})
    active = lab.start_pair()
    asker = Asker(lab.network)
    found, whole = [], []
    for _ in range(times):
        lab.wait_ready(active)
        lab.wait_for(lambda: asker.first_of(active, 0), 10, "%s answers" % active)
        time.sleep(0.3)
        began = now_ns()
        break_service(lab, active)
        peer = other(active)
        at = lab.wait_for(lambda: asker.first_of(peer, began), 10, "%s answers" % peer)
        failed = lab.wait_for(lambda: (s := lab.bus.last(active, "service/responder")) and s["state"] == "failed"
                              and s["since_ns"] > began and s["since_ns"], 5, "it failed")
        found.append((at - failed) / 1e6)
        whole.append((at - began) / 1e6)
        lab.wait_settled(peer)
        mend_service(lab, active)
        lab.duet(active, "clear")
        active = peer
    asker.stop()
    for node in NODES:
        lab.stop(node)
    return found, whole


def keepalived_service(lab, form, times):
    """From the end of the daemon to the first answer of the peer's (which runs already, as is usual there)."""
    check = {}
    for node in NODES:
        lab.script("check-" + node, '#!/bin/sh\nkill -0 "$(cat %s/responder-%s.pid)" 2>/dev/null\n' % (lab.dir, node))
        check[node] = "%s/check-%s" % (lab.dir, node)
    daemons = {node: start_responder(lab, node) for node in NODES}
    pair = Keepalived(lab, form, check)
    pair.start()
    asker = Asker(lab.network)
    found = []
    for _ in range(times):
        active = lab.wait_for(pair.owner, 30, "one keepalived has the addresses")
        peer = other(active)
        lab.wait_for(lambda: asker.first_of(active, 0), 10, "%s answers" % active)
        time.sleep(1.2 if form.startswith("usual") else 0.4)
        began = now_ns()
        daemons[active].kill()
        daemons[active].wait(5)
        at = lab.wait_for(lambda: asker.first_of(peer, began), 20, "%s answers" % peer)
        found.append((at - began) / 1e6)
        daemons[active] = start_responder(lab, active)
        time.sleep(2.5 if form.startswith("usual") else 1)  # until its script has seen it, and it is a backup again
    asker.stop()
    pair.stop()
    for daemon in daemons.values():
        daemon.kill()
        daemon.wait(5)
    return found


def start_responder(lab, node):
    process = subprocess.Popen(lab.network.exec(node, tool_path("responder"), "--port", str(PORT)),
                               env=dict(os.environ, DUET_NODE=node), stdin=subprocess.DEVNULL)
    with open("%s/responder-%s.pid" % (lab.dir, node), "w") as out:
        out.write("%d\n" % process.pid)
    return process


def bench_service(times):
    print("\nA guarded daemon dies for good on the active node: from the end of its last retry (keepalived: from its\n"
          "end, since it starts nothing again) to the first answer of the peer's daemon")
    duet = {}
    for profile in ("lan", "fast"):
        with Lab() as lab:
            found, whole = duet_service(lab, profile, times)
            duet[profile] = statistics.median(found)
            show("duet, " + profile, found, "; with its three retries %.0f ms" % statistics.median(whole))
    for form in FORMS:
        with Lab() as lab:
            found = keepalived_service(lab, form, times)
            show("keepalived, " + form, found, "; %.1f times duet's (lan)" % (statistics.median(found) / duet["lan"]))
    with Lab() as lab:
        lab.network.ip("alpha", "addr add %s/24 dev inside" % ACTIVE["inside"])
        daemon = start_responder(lab, "alpha")
        show("floor: longest gap of quiet 250 ms", floor_ms(lab, times))
        daemon.kill()
        daemon.wait(5)


def bench_story(seconds, seed):
    os.environ["DUET_DEBUG"] = "1"
    with SyncLab() as lab:
        lab.write_config(extra=lab.sync_set())
        try:
            happened = Story(lab, seed).run(seconds)
        except BaseException:
            print(lab.describe(), *("\n".join(lab.log(node).splitlines()[-LOG_LINES:]) for node in NODES), sep="\n\n")
            raise
    print("\n%d s of everything, seed %d: each look found one whole generation that was sent, and in the end both had the same\n  %s"
          % (seconds, seed, ", ".join("%d %s" % (number, what) for what, number in happened.items())), flush=True)


BENCHES = {"failover": bench_failover, "service": bench_service, "sync": bench_sync, "traps": bench_traps, "client": bench_client,
           "adversity": bench_adversity, "scale": bench_scale, "cost": bench_cost}
OF_CASES = {"sync": list(CASES), "adversity": list(ADVERSITIES), "scale": list(SCALES), "cost": list(COSTS)}


def of_bench(name, cases):
    return [case for case in cases or [] if case in OF_CASES[name]]


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES, "story"], metavar="NAME", help=", ".join([*BENCHES, "story"]))
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--case", action="append", choices=sum(OF_CASES.values(), []),
                        help="only these cases of sync, adversity, scale and cost (may be repeated)")
    parser.add_argument("--seconds", type=int, default=600, help="of the story")
    parser.add_argument("--seed", type=int, default=1, help="of the story")
    options = parser.parse_args()
    for name in options.names or BENCHES:
        if name == "story":
            bench_story(options.seconds, options.seed)
            continue
        BENCHES[name](options.times, *([of_bench(name, options.case)] if name in OF_CASES else []))


if __name__ == "__main__":
    sys.exit(main())
