"""`tests/bench/run client`: the office gateway loses its power under a transfer, and the client goes by the other one.

Two ways, each with OpenVPN and with WireGuard: a person's order (`duet-client use`, given the moment the silence is
told, so that no thinking is in the figures) and `auto = on`. The gap is what the transfer, one TCP connection, saw; it
is split by roamd's own times on the same clock:

  noticing    from the power-off until the silence is told, or the switch begins by itself: tests and unreachable-for
  acting      from the order until the new connection is up, as far as its own program says
  handshake   from there until something inside answered: the VPN's own work
  routes      until the routes were set
  TCP         until the transfer had its next byte: mostly TCP's own retransmission timer
"""
import statistics
import time

from lab.roam import RoamLab, now_ns

UNREACHABLE_S = 1


def one(vpn, auto):
    with RoamLab(vpn=vpn) as lab:
        lab.write_config(client="    auto = %s\n    unreachable-for = %ds\n" % (auto, UNREACHABLE_S))
        lab.start()
        lab.wait_connected("Office")
        lab.start_server()
        transfer = lab.start_transfer()
        time.sleep(1)
        floor = transfer.look()[0]
        begun = now_ns()
        lab.power_off("office")
        if auto == "ask":
            lab.wait_for(lambda: lab.status()["advice"], 30, "the silence is told")
            if (done := lab.client("use", "Backup-Coordinator")).returncode != 0:
                raise RuntimeError(done.stderr)
        lab.wait_connected("Backup-Coordinator")
        gap, _, since, _ = transfer.wait_flowing()
        times = lab.times()
        assert begun - 50e6 < since < times["asked_ns"]
        return {"floor": floor, "gap": gap, "noticing": (times["asked_ns"] - since) / 1e6,
                "acting": (times["up_ns"] - times["asked_ns"]) / 1e6, "handshake": (times["proven_ns"] - times["up_ns"]) / 1e6,
                "routes": (times["carries_ns"] - times["proven_ns"]) / 1e6, "TCP": gap - (times["carries_ns"] - since) / 1e6}


def planned(vpn):
    """Both gateways are there: what a switch costs the transfer."""
    with RoamLab(vpn=vpn) as lab:
        lab.write_config()
        lab.start()
        lab.wait_connected("Office")
        lab.start_server()
        transfer = lab.start_transfer()
        time.sleep(1)
        floor = transfer.look()[0]
        lab.client("use", "Backup-Coordinator")
        time.sleep(1)
        return {"floor": floor, "gap": transfer.wait_flowing()[0]}


def show(what, found):
    parts = ["%s %.1f (%.1f-%.1f)" % (key, statistics.median(v), min(v), max(v))
             for key in found[0] for v in [[one_of[key] for one_of in found]]]
    print("  %-40s %s" % (what, ", ".join(parts)), flush=True)


def bench_client(times):
    print("\nThe client: the transfer's gap in ms and what it is made of, medians of %d (smallest-largest); unreachable-for = %d s,"
          " a test each 200 ms" % (times, UNREACHABLE_S), flush=True)
    for vpn, name in (("openvpn", "OpenVPN"), ("wireguard", "WireGuard (wireguard-go)")):
        show(name + ", use", [one(vpn, "ask") for _ in range(times)])
        show(name + ", auto = on", [one(vpn, "on") for _ in range(times)])
        show(name + ", use, both there", [planned(vpn) for _ in range(times)])
