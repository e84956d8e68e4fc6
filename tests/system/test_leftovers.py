"""Whatever way `duet run` ends: no table, address, route or rule of it stays, or speaks (DESIGN R12, section 7).

EXPIRY=yes waits after the SIGKILL of all until the kernel has removed the active addresses by itself (half a minute), too.
"""

import json
import os
import signal
import subprocess

from lab.network import ACTIVE, CHANNELS, LINES, ROUTER

POLICY = """rule "guests" { from = "198.18.9.0/24"  table = 100  priority = 500 }
route "guests" { to = default  via = "%s"  channel = "outside"  table = 100 }
""" % ROUTER

LIFETIME_S = 30  # of an active address behind the gate


def said(lab, *words):
    return subprocess.run(lab.network.exec("alpha", *words), capture_output=True, text=True, check=True, timeout=20).stdout


def addresses(lab):
    """(device, address, how many seconds the kernel keeps it)."""
    return [(line, info["local"], info["valid_life_time"]) for line in LINES
            for info in json.loads(said(lab, "ip", "-json", "addr", "show", "dev", line))[0]["addr_info"]]


def left(lab):
    """All that duet ever puts into a kernel."""
    return {"addresses": {entry[:2] for entry in addresses(lab)}, "rules": said(lab, "ip", "rule"), "nftables": said(lab, "nft", "list", "ruleset"),
            "routes": said(lab, "ip", "route", "show", "table", "all", "proto", "222"),
            "others": sorted(said(lab, "ip", "route", "show", "table", "all").splitlines())}


def serve(lab):
    lab.start("alpha")
    lab.wait_for(lambda: lab.serves("alpha"), 30, "alpha serves")
    found = left(lab)
    assert "table netdev duet" in found["nftables"] and "lookup 100" in found["rules"] and "table 100" in found["routes"]


def gone(lab):
    lab.processes.pop("alpha").wait(30)
    lab.bus.forget("alpha")
    lab.wait_for(lambda: lab.network.pids("alpha") == [], 20, "nothing of duet runs")


def test_R12_nothing_is_left_when_duet_run_ends(lab):
    """Told to, told twice, or killed: its daemons end in order."""
    lab.write_config(modes={"inside": "overlay"}, extra=POLICY)
    before = left(lab)
    for ends in ([signal.SIGTERM], [signal.SIGINT], [signal.SIGHUP], [signal.SIGTERM, signal.SIGTERM], [signal.SIGKILL], [signal.SIGSEGV]):
        serve(lab)
        for end in ends:
            lab.processes["alpha"].send_signal(end)
        gone(lab)
        assert left(lab) == before, ends


def test_R12_nothing_speaks_when_all_of_duet_is_killed_and_nothing_is_left_later(lab):
    """The gate shuts by itself, the kernel takes the addresses away half a minute later, and the next start what else there is."""
    lab.write_config(extra=POLICY)
    before = left(lab)
    serve(lab)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # at once: none sees the others go
        for pid in lab.network.pids("alpha"):
            os.kill(pid, number)
    gone(lab)
    for channel in CHANNELS:
        lab.wait_for(lambda: lab.ask_once(channel, ACTIVE[channel]) == [], 10, "%s is mute" % ACTIVE[channel])
    mute = [entry for entry in addresses(lab) if entry[1] in ACTIVE.values()]
    assert len(mute) == len(ACTIVE) and all(seconds <= LIFETIME_S for _, _, seconds in mute), mute
    if os.environ.get("EXPIRY"):
        lab.wait_for(lambda: not {entry[1] for entry in addresses(lab)} & set(ACTIVE.values()), LIFETIME_S + 10, "the addresses are gone")
        assert left(lab)["routes"] == ""
    serve(lab)
    assert lab.stop("alpha") == 0 and left(lab) == before
