"""`tests/bench/run traps`: from a takeover to its notification on the wire, on the LAN and by a route that follows the role.

The active node loses its power; a socket in the router's machine notes when the datagram with duetTakeover arrives. The
takeover's time is the one at which the other node's arbiter became active, on the same clock.
"""
import statistics
import subprocess
import sys

from lab.lab import Lab
from lab.network import ROUTER, WORLD

PORT = 1162
RECEIVER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    data = s.recv(65536)
    print(time.clock_gettime_ns(time.CLOCK_BOOTTIME), data.hex(), flush=True)
"""
# ...3833.0.4 as it stands in the datagram: the last arcs of the object identifier of duetTakeover, in BER.
TAKEOVER = "9d790004"


def takeover(lab, sink):
    path = lab.dir + "/snmp.conf"
    with open(path, "w") as out:
        out.write("trap2sink %s public %d\n" % (sink, PORT))
    lab.write_config(extra=lab.service() + 'snmp { config = "%s" }\n' % path)
    receiver = subprocess.Popen(lab.network.exec("router", sys.executable, "-c", RECEIVER, sink, str(PORT)), stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout.readline() == "ready\n"
        lab.start_pair(first="alpha")
        lab.wait_ready()
        lab.power_off("alpha")
        lab.wait_for(lambda: lab.serves("beta"), 20, "beta serves")
        claimed_ns = next(change[0] for change in lab.bus.changes if change[1:4] == ("beta", "active", "active"))
        for line in receiver.stdout:
            at, data = line.split()
            if TAKEOVER in data:
                return (int(at) - claimed_ns) / 1e6
    finally:
        receiver.kill()
        receiver.wait()


def measure(sink, times):
    found = []
    for _ in range(times):
        with Lab() as lab:
            found.append(takeover(lab, sink))
    return "median %.1f ms   (%.1f-%.1f, %d times)" % (statistics.median(found), min(found), max(found), len(found))


def bench_traps(times):
    print("\nFrom the takeover (the arbiter is active) to its SNMP notification at the sink", flush=True)
    print("  duet, sink on the LAN              " + measure(ROUTER, times), flush=True)
    print("  duet, sink behind the router       " + measure(WORLD, times), flush=True)
