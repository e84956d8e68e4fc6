"""The laboratory itself: its observers see what they are there to see, and its faults are what they are named for.
No duet runs here; addresses are moved by hand."""

import os
import socket
import subprocess
import time

import pytest
from conftest import gap_ms
from lab.lab import Lab
from lab.network import ACTIVE, CHANNELS, PASSIVE, RESERVED, ROUTER, mac, packet_socket


def announce(lab, node, channel):
    """One gratuitous ARP request."""
    own = bytes.fromhex(mac(node, channel).replace(":", ""))
    address = socket.inet_aton(ACTIVE[channel])
    frame = b"\xff" * 6 + own + bytes.fromhex("08060001080006040001") + own + address + bytes(6) + address
    with packet_socket(lab.network.ns(node), channel, 0x0806) as wire:
        wire.send(frame)


def take(lab, node):
    """Puts the active addresses up on a node, as duet would."""
    for channel in CHANNELS:
        lab.network.ip(node, "addr flush dev %s" % channel, "addr add %s/24 dev %s" % (ACTIVE[channel], channel))
    lab.network.ip(node, "route add default via %s" % ROUTER)
    for channel in CHANNELS:
        announce(lab, node, channel)


def carrier(lab, node, line):
    words = lab.network.exec(node, "cat", "/sys/class/net/%s/carrier" % line)
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() == "1"


def hears(lab, machine, address, seconds=4):
    """An answer within so long: the kernel asks once a second for an address that it does not know yet."""
    words = lab.network.exec(machine, "ping", "-q", "-c", "1", "-W", str(seconds), address)
    return subprocess.run(words, capture_output=True).returncode == 0


def deaf(lab, machine, address):
    return not hears(lab, machine, address, 1)


@pytest.mark.alone
def test_lab_probe_measures_a_gap_and_names_the_owners(lab):
    take(lab, "alpha")
    probes = {where: lab.probe(where) for where in ("inside", "outside", "through")}
    time.sleep(0.3)
    for probe in probes.values():
        assert gap_ms(probe) < 100
    lab.power_off("alpha")
    time.sleep(0.4)
    take(lab, "beta")
    time.sleep(0.3)
    for where, probe in probes.items():
        seen = probe.stop()
        assert 380 < seen["gaps"][0]["ms"] < 900, (where, seen)
        assert seen["lost"] > 300 and seen["open_ms"] < 50
        if where != "outside":
            assert [lab.node_of(owner["mac"]) for owner in seen["owners"]] == ["alpha", "beta"]


@pytest.mark.alone
def test_lab_arpwatch_sees_two_owners(lab):
    take(lab, "alpha")
    watch = lab.arpwatch("inside")
    time.sleep(0.3)
    assert watch.owner == mac("alpha", "inside")
    assert watch.summary()["dual"] == 0
    lab.network.ip("beta", "addr add %s/24 dev inside" % ACTIVE["inside"])
    time.sleep(0.3)
    lab.network.ip("beta", "addr del %s/24 dev inside" % ACTIVE["inside"])
    time.sleep(0.3)
    seen = watch.stop()
    assert seen["dual"] > 50 and 250 < seen["dual_ms"] < 700, seen


def test_lab_cables_carry_and_break(lab):
    assert hears(lab, "alpha", RESERVED["beta"]) and hears(lab, "alpha", ROUTER)
    lab.network.pull_cable("alpha", "inside")
    assert [carrier(lab, "alpha", line) for line in ("outside", "inside", "reserved")] == [True, False, True]
    assert carrier(lab, "beta", "inside")
    lab.network.plug_cable("alpha", "inside")
    lab.network.pull_cable("alpha", "reserved")
    assert not carrier(lab, "alpha", "reserved") and not carrier(lab, "beta", "reserved"), "a cable has two ends"
    lab.network.plug_cable("alpha", "reserved")
    lab.power_off("beta")
    assert not carrier(lab, "alpha", "reserved") and carrier(lab, "alpha", "inside")
    lab.network.power_on("beta")
    assert hears(lab, "alpha", RESERVED["beta"]) and hears(lab, "client", PASSIVE["beta"]["inside"])


def test_lab_filters_swallow_what_they_are_named_for(lab):
    network = lab.network
    network.mute_router_for("alpha")
    assert deaf(lab, "alpha", ROUTER) and hears(lab, "beta", ROUTER)
    assert hears(lab, "alpha", PASSIVE["beta"]["outside"]), "only the router is mute"
    network.hear_router_for("alpha")
    assert hears(lab, "alpha", ROUTER)
    network.cut_pair()
    assert all(deaf(lab, "alpha", to) for to in (RESERVED["beta"], PASSIVE["beta"]["inside"]))
    assert hears(lab, "alpha", ROUTER)
    network.heal_pair()
    network.close_ports("alpha")
    assert deaf(lab, "alpha", ROUTER) and carrier(lab, "alpha", "outside")
    network.open_ports("alpha")
    network.cut_heartbeats()
    assert deaf(lab, "alpha", RESERVED["beta"]) and hears(lab, "alpha", PASSIVE["beta"]["inside"])
    network.heal()
    assert hears(lab, "alpha", RESERVED["beta"])


def test_lab_flood_sends_variations_of_what_it_hears(lab):
    heard = []
    with packet_socket(lab.network.ns("beta"), "inside", 0x88B5) as there, \
            packet_socket(lab.network.ns("alpha"), "inside", 0x88B5) as here:
        genuine = bytes.fromhex((mac("beta", "inside") + mac("alpha", "inside")).replace(":", "")) + b"\x88\xb5"
        genuine += bytes(range(200))
        flood = lab.flood("inside", kind="mixed", rate=2000, seconds=1)
        for _ in range(300):
            here.send(genuine)
            time.sleep(0.002)
        assert flood.wait(15)["sent"] > 1500
        there.settimeout(0.2)
        try:
            while True:
                heard.append(there.recv(4096))
        except TimeoutError:
            pass
    assert len(heard) > 1000
    assert any(frame == genuine for frame in heard) and any(len(frame) < len(genuine) for frame in heard)
    assert len(set(heard)) > 500


def test_lab_sees_arp_requests_on_a_port(lab):
    words = lab.network.exec("alpha", "ping", "-q", "-c", "1", "-W", "3", "192.0.2.77")
    subprocess.Popen(words, stdout=subprocess.DEVNULL)
    asked = lab.arp_requests("alpha", "inside", 2)
    assert (mac("alpha", "inside"), PASSIVE["alpha"]["inside"], "ff:ff:ff:ff:ff:ff", "192.0.2.77") in asked


def test_lab_leaves_nothing_behind():
    with Lab("duet-gone") as lab:
        directory = lab.dir
        lab.arpwatch("inside")
        subprocess.Popen(lab.network.exec("alpha", "sleep", "600"))
    assert not os.path.exists(directory)
    assert "duet-gone" not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
