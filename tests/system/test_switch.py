"""A planned switch makes before it breaks: nothing is lost, nobody answers beside the other, and what may not run twice
does not (DESIGN R13).

SWITCHES says how many in a row (10 in the suite, 100 by `SWITCHES=100`).
"""
import os
import signal
import time

import pytest
from lab.network import CHANNELS, NODES
from lab.pair import other

SWITCHES = int(os.environ.get("SWITCHES", "10"))


def switch(lab, active):
    done = lab.duet(active, "switch")
    assert done.returncode == 0, done.stderr
    return lab.wait_ready(other(active))


@pytest.mark.alone
@pytest.mark.parametrize("profile", ["lan", "fast"])
@pytest.mark.parametrize("mode", ["exchange", "overlay"])
def test_R13_no_packet_is_lost(lab, figures, mode, profile):
    """Probes each 0.2 ms, from both LANs to the gateway, and through it."""
    lab.write_config(profile=profile, modes={channel: mode for channel in CHANNELS})
    active = lab.start_pair()
    lab.wait_ready(active)
    watches = [lab.arpwatch(channel) for channel in CHANNELS]
    probes = {where: lab.probe(where, 200) for where in ("inside", "outside", "through")}
    time.sleep(0.5)
    for probe in probes.values():
        probe.snapshot()
    for _ in range(SWITCHES):
        active = switch(lab, active)
        time.sleep(0.1)
    time.sleep(0.3)
    seen = {where: probe.stop() for where, probe in probes.items()}
    figures("%d switches, %s, %s" % (SWITCHES, mode, profile), "; ".join(
        "%s: %d of %d lost, longest gap %.1f ms" % (where, result["lost"], result["sent"], max([gap["ms"] for gap in result["gaps"]] + [0]))
        for where, result in seen.items()))
    assert {where: result["lost"] for where, result in seen.items()} == {"inside": 0, "outside": 0, "through": 0}
    assert [watch.stop()["dual"] for watch in watches] == [0, 0]
    assert lab.reboots == []


def test_R13_a_peer_that_cannot_claim_costs_nothing_but_time(lab):
    """Its takeoverd stands still after it had confirmed that it holds nothing: the offer is not taken."""
    lab.write_config(timers={"handover-time": "1s"})
    active = lab.start_pair()
    lab.wait_ready(active)
    epoch = lab.role(active)["epoch"]
    os.kill(lab.daemon_pid(other(active), "takeoverd"), signal.SIGSTOP)
    done = lab.duet(active, "switch")
    assert done.returncode != 0 and (done.stderr + done.stdout).strip()
    lab.wait_for(lambda: lab.serves(active) and lab.role(active)["phase"] == "active" and not lab.bus.last(active, "address")["silent"],
                 15, "%s serves as before" % active)
    os.kill(lab.daemon_pid(other(active), "takeoverd"), signal.SIGCONT)
    lab.wait_ready(active, timeout=60)
    assert lab.role(active)["epoch"] >= epoch
    watch = lab.arpwatch("inside")
    lab.wait_for(lambda: lab.node_of(watch.owner) == active, 5, "it answers")


# A service that writes down when it runs, on both nodes into one file: they share the disk here. It takes its time to end.
BOOK = """#!/bin/sh
where=$(cat "%(nodes)s/$(readlink /proc/self/ns/net | tr -dc 0-9)")
trap 'sleep %(slow)s; echo "$where ends %(name)s" >>%(book)s; exit 0' TERM
echo "$where begins %(name)s" >>%(book)s
while :; do sleep 0.02; done
"""


def booked(lab, name, slow=0.2):
    lab.script(name, BOOK % {"nodes": lab.dir + "/nodes", "book": lab.dir + "/book", "name": name, "slow": slow})
    return lab.dir + "/" + name


def assert_one_after_the_other(lab, name):
    """Each run of a service has ended before the next one begins, wherever."""
    lines = [line.split() for line in open(lab.dir + "/book") if line.split()[2] == name]
    assert [line[1] for line in lines] == ["begins", "ends"] * (len(lines) // 2) + ["begins"] * (len(lines) % 2), lines
    assert all(begin[0] == end[0] for begin, end in zip(lines[::2], lines[1::2])), lines
    return len(lines)


def test_R13_exclusive_services_never_run_on_both_nodes(lab):
    """Nor does what waits for one of them. Others may: they run until the peer's do."""
    for name in ("single", "above", "plain"):
        booked(lab, name)
    lab.write_config(on_network_fault="demote", extra="""
service "single" {
    command = {"%(dir)s/single"}
    exclusive = on
    on-failure = demote
}
service "above" {
    command = {"%(dir)s/above"}
    after = {"single"}
    on-failure = demote
}
service "plain" {
    command = {"%(dir)s/plain"}
    on-failure = demote
}
""" % {"dir": lab.dir})
    active = lab.start_pair()

    def wait_all_run(node):
        names = ("single", "above", "plain")
        lab.wait_for(lambda: all(lab.bus.last(node, "service/" + name)["state"] == "running" for name in names), 10,
                     "all run on %s" % node)

    for _ in range(4):
        wait_all_run(active)
        lab.wait_ready(active)
        active = switch(lab, active)
    lab.network.pull_cable(active, "inside")  # a fault: the same, in the same order
    lab.wait_for(lambda: lab.serves(other(active)), 10, "%s serves" % other(active))
    wait_all_run(other(active))
    for node in NODES:
        lab.stop(node)
    assert assert_one_after_the_other(lab, "single") >= 6  # one that is ended before its shell began leaves no line
    assert assert_one_after_the_other(lab, "above") >= 6


def test_R13_an_exclusive_service_that_does_not_end_is_killed_first(lab):
    booked(lab, "single", slow=30)
    lab.write_config(extra="""
service "single" {
    command = {"%s/single"}
    exclusive = on
    stop-timeout = 500ms
    on-failure = demote
}
""" % lab.dir)
    active = lab.start_pair()
    lab.wait_for(lambda: lab.bus.last(active, "service/single")["state"] == "running", 10, "it runs")
    lab.wait_ready(active)
    pid = lab.bus.last(active, "service/single")["pid"]
    switch(lab, active)
    assert not os.path.exists("/proc/%d" % pid)
    lab.wait_for(lambda: lab.bus.last(other(active), "service/single")["state"] == "running", 10, "it runs there")
