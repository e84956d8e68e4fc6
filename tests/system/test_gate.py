"""The lease of the active addresses in a real kernel: what answers when takeoverd cannot (DESIGN R12, section 7).

The other namespace asks by ARP and Neighbor Solicitation, and sends to the addresses as one does who has known them.
"""
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import time

import pytest
from test_takeoverd import (ACTIVE4, ACTIVE6, MS, PASSIVE4, Lan, Sniffer, eventually, in_namespace, lan, make, now_ns,
                            pytestmark, run)

assert lan and make and pytestmark  # fixtures and marks of this module, too
FOUR, SIX = ACTIVE4.split("/")[0], ACTIVE6.split("/")[0]
ASKER4, ASKER6 = "203.0.113.200", "2001:db8::200"


class Asker:
    """A neighbour at the other end of a device."""

    def __init__(self, device="far0"):
        self.device = device
        self.sniffer = Sniffer(device)
        self.mac = bytes.fromhex(json.loads(run("ip", "-n", Lan.OTHER, "-j", "link", "show", device))[0]["address"].replace(":", ""))
        run("ip", "-n", Lan.OTHER, "addr", "add", ASKER4 + "/24", "dev", device)
        run("ip", "-n", Lan.OTHER, "addr", "add", ASKER6 + "/64", "dev", device, "nodad")

    def answers(self, seconds=0.15):
        """Whether the active IPv4 address answers an ARP request within that time."""
        target, mine = socket.inet_aton(FOUR), socket.inet_aton(ASKER4)
        self.sniffer.frames()
        with in_namespace(Lan.OTHER):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            sock.bind((self.device, 0))
        sock.send(b"\xff" * 6 + self.mac + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" + self.mac + mine + bytes(6) + target)
        sock.close()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(f[12:14] == b"\x08\x06" and f[28:32] == target for f in self.sniffer.frames()):
                return True
            time.sleep(0.005)
        return False

    @staticmethod
    def reaches(address):
        return subprocess.run(["ip", "netns", "exec", Lan.OTHER, "ping", "-n", "-q", "-c", "1", "-W", "0.3", address],
                              capture_output=True).returncode == 0

    def knows(self, *addresses):
        """The neighbour has the hardware address of these already, and does not ask."""
        for address in addresses:
            mac = json.loads(run("ip", "-n", Lan.NODE, "-j", "link", "show", "eth0"))[0]["address"]
            run("ip", "-n", Lan.OTHER, "neigh", "replace", address, "lladdr", mac, "nud", "permanent", "dev", self.device)

    def forgets(self):
        run("ip", "-n", Lan.OTHER, "neigh", "flush", "dev", self.device)
        run("ip", "-n", Lan.OTHER, "-6", "neigh", "flush", "dev", self.device)


def nft(*words):
    return run("ip", "netns", "exec", Lan.NODE, "nft", *words)


@contextlib.contextmanager
def serving(node, lan, asker, epoch=3):
    node.arbiter.renew(epoch)
    node.next(where=lambda m: m["state"] == "holding")
    assert asker.answers() and asker.reaches(FOUR) and asker.reaches(SIX)
    yield int(run("ip", "netns", "pids", lan.NODE).split()[0])
    node.arbiter.stop_renewing()


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
def test_R12_addresses_fall_silent_when_takeoverd_cannot_act(lan, make, end):
    """Stopped or killed, it takes nothing away: the kernel does not answer for what is there, nor take traffic for it."""
    node = make().start()
    asker = Asker()
    with serving(node, lan, asker) as pid:
        asker.forgets()
        os.kill(pid, end)
        eventually("it still answers", lambda: not asker.answers())
        assert lan.addresses("eth0") == {ACTIVE4, ACTIVE6}, "they are there, and mute"
        assert not asker.reaches(SIX)
        asker.knows(FOUR, SIX)
        assert not asker.reaches(FOUR) and not asker.reaches(SIX), "traffic of those who know the way is taken"
    if end == signal.SIGSTOP:
        time.sleep(0.25)  # until the last renewal is over, too
        asker.sniffer.frames()
        os.kill(pid, signal.SIGCONT)
        node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
        told = [f for f in asker.sniffer.frames() if f[12:14] == b"\x08\x06" and f[28:32] == socket.inet_aton(FOUR)]
        assert not told, "nothing was said from the active address"
        assert lan.addresses("eth0") == {PASSIVE4}
    else:
        node.forget()
        node.start()
        assert node.next()["state"] == "released"


def test_R12_no_channel_answers_for_the_address_of_another_one(lan, make):
    """A kernel answers at each adapter for all of its addresses: both channels may be on one network."""
    node = make().start()
    asker = Asker("far1")
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    assert asker.answers(1), "while it holds them: the gate leaves that to the kernel"
    os.kill(int(run("ip", "netns", "pids", lan.NODE).split()[0]), signal.SIGSTOP)
    eventually("it still answers", lambda: not asker.answers())
    assert lan.addresses("eth0") == {ACTIVE4, ACTIVE6}, "they are there, and mute"
    node.arbiter.stop_renewing()


def test_R12_the_gate_is_open_no_longer_than_the_lease(lan, make):
    """One order, never renewed, and a process that is stopped at once: the answers end with the lease."""
    node = make().start()
    asker = Asker()
    node.arbiter.active(3, lease_ms=150)
    lease_ns = node.arbiter.role["lease_ns"]
    node.next(where=lambda m: m["state"] == "holding")
    os.kill(int(run("ip", "netns", "pids", lan.NODE).split()[0]), signal.SIGSTOP)
    asked = now_ns()
    while asker.answers(0.02):
        assert asked < lease_ns + 30 * MS, "it answers beyond the lease"
        asked = now_ns()
    assert now_ns() > lease_ns - 60 * MS, "it fell silent long before the lease's end"


def test_passive_addresses_are_no_lease(lan, make):
    node = make().start()
    asker = Asker()
    node.next(where=lambda m: m["state"] == "released")
    os.kill(int(run("ip", "netns", "pids", lan.NODE).split()[0]), signal.SIGSTOP)
    time.sleep(0.3)
    assert asker.reaches(PASSIVE4.split("/")[0])


def transactions(wire):
    """How many the kernel has told of since the last question."""
    count = 0
    while True:
        try:
            told = wire.recv(65536)
        except BlockingIOError:
            return count
        except OSError:  # more than there was room for
            count += 1
            continue
        while told:
            size, kind = struct.unpack_from("IH", told)
            count += kind == 0x0a0f  # NFT_MSG_NEWGEN, which ends each
            told = told[size + 3 & ~3:]


def test_R12_a_renewal_is_no_transaction(lan, make):
    """Somebody who lists the ruleset meanwhile would have to begin anew with each."""
    node = make().start()
    asker = Asker()
    with in_namespace(Lan.NODE):
        wire = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 12)  # NETLINK_NETFILTER
        wire.bind((0, 1 << 6))  # NFNLGRP_NFTABLES
    with serving(node, lan, asker):
        transactions(wire)
        node.forget()
        for _ in range(20):
            node.next()
        assert transactions(wire) == 0
        nft("add", "table", "inet", "other")
        assert transactions(wire) == 1, "and a real one is seen"
    wire.close()


def test_who_flushes_the_rules_does_not_end_the_lease(lan, make):
    node = make().start()
    asker = Asker()
    nft("add", "table", "inet", "filter")
    with serving(node, lan, asker) as pid:
        assert "table netdev duet" in nft("list", "tables") and node.next()["gate_lost_ns"] == 0
        nft("flush", "ruleset")
        told = node.next(where=lambda m: m["gate_lost_ns"] > 0)
        assert told["gate"] == "on" and "table netdev duet" in nft("list", "tables")
        assert "something else changed the gate" in node.logged()
        assert asker.answers()
        os.kill(pid, signal.SIGSTOP)
        eventually("the new gate does not shut", lambda: not asker.answers())


@pytest.mark.parametrize("what", [("chain", "egress-0"), ("rule", "ingress-0")])
def test_a_part_that_is_removed_comes_back(lan, make, what):
    node = make().start()
    whole = nft("-s", "list", "table", "netdev", "duet")
    nft("flush", "chain", "netdev", "duet", what[1])
    if what[0] == "chain":
        nft("delete", "chain", "netdev", "duet", what[1])
    eventually("the table is not whole again", lambda: nft("-s", "list", "table", "netdev", "duet") == whole)


def test_only_its_own_table_is_touched(lan, make):
    nft("add table netdev other; add chain netdev other in { type filter hook ingress device eth0 priority 0; }; "
        "add rule netdev other in ip daddr 203.0.113.77 drop")
    nft("add table inet duet; add set inet duet held { type mark; }")  # the same name, in another family
    before = nft("list", "ruleset")
    node = make().start()
    node.arbiter.active(3)
    node.next(where=lambda m: m["state"] == "holding")
    nft("add element inet duet held { 7 }; delete element inet duet held { 7 }")
    time.sleep(0.2)
    assert "something else" not in node.logged()
    assert node.stop() == 0
    assert nft("list", "ruleset") == before


def test_gate_of_a_device_that_comes_back(lan, make):
    node = make(route=False).start()
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    lan.ip("link", "del", "eth0")
    node.next(where=lambda m: m["state"] == "failed")
    lan.add_device(0)
    told = node.next(where=lambda m: m["state"] == "holding")
    assert told["gate"] == "on" and told["gate_lost_ns"] == 0, "nobody else changed anything"
    asker = Asker()
    assert asker.answers()
    os.kill(int(run("ip", "netns", "pids", lan.NODE).split()[0]), signal.SIGSTOP)
    eventually("the new device has no gate", lambda: not asker.answers())
    node.arbiter.stop_renewing()


def test_without_loopback_there_is_no_gate_and_that_is_told(lan, make):
    node = make().start()
    asker = Asker()
    with serving(node, lan, asker):
        lan.ip("link", "set", "lo", "down")
        node.next(where=lambda m: m["gate"] == "failed")
        assert asker.answers(), "better without a gate than shut out"
        assert "table netdev duet" not in nft("list", "tables")
        assert "cannot renew the gate through the loopback device: Network is down" in node.logged()
        lan.ip("link", "set", "lo", "up")
        node.next(where=lambda m: m["gate"] == "on", timeout=15)
        assert asker.answers()


def lifetimes(lan, device="eth0"):
    return {a["local"]: a["valid_life_time"] for a in json.loads(lan.ip("-j", "addr", "show", "dev", device))[0]["addr_info"]}


def test_active_addresses_have_a_lifetime_and_passive_ones_have_none(lan, make):
    node = make(mode="overlay").start()
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding")
    found = lifetimes(lan)
    assert 20 < found[FOUR] <= 30 and 20 < found[SIX] <= 30
    assert found[PASSIVE4.split("/")[0]] > 1000000, "for ever"
    node.arbiter.stop_renewing()


def test_without_the_gate_the_lifetime_is_the_lease(lan, make):
    """lease-gate = off: the kernel removes what nobody renews, and nothing while somebody does."""
    node = make(timers="lease-gate = off  address-lease = 2s").start()
    node.arbiter.renew(3, lease_ms=2000)
    held = node.next(where=lambda m: m["state"] == "holding")
    assert held["gate"] == "off" and "netdev" not in nft("list", "tables")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert {FOUR, SIX} <= set(lifetimes(lan)) and lifetimes(lan)[FOUR] <= 2
        time.sleep(0.05)
    assert "by something else" not in node.logged()
    os.kill(int(run("ip", "netns", "pids", lan.NODE).split()[0]), signal.SIGSTOP)
    eventually("they stay", lambda: lan.addresses("eth0") & {ACTIVE4, ACTIVE6} == set(), 6)
    node.arbiter.stop_renewing()


def test_R12_without_the_gate_too_nothing_is_said_when_it_goes_on(lan, make):
    """Stopped between two announcements, until the kernel has removed the addresses: the next one is due when it goes on."""
    node = make(timers="lease-gate = off  address-lease = 2s").start()
    asker = Asker()
    node.arbiter.active(3, lease_ms=2000)
    node.next(where=lambda m: m["state"] == "holding")
    pid = int(run("ip", "netns", "pids", lan.NODE).split()[0])
    os.kill(pid, signal.SIGSTOP)
    eventually("they stay", lambda: lan.addresses("eth0") & {ACTIVE4, ACTIVE6} == set(), 10)
    asker.sniffer.frames()
    os.kill(pid, signal.SIGCONT)
    node.next(where=lambda m: m["state"] == "released" and m["epoch"] == 3)
    told = [f for f in asker.sniffer.frames() if f[12:14] == b"\x08\x06" and f[28:32] == socket.inet_aton(FOUR)]
    assert not told, "it was said from the active address where that is"


@pytest.mark.alone  # loads the machine, and its arbiter is this process
def test_ten_thousand_addresses_behind_the_gate(lan, make, figures):
    many = [f"10.77.{i // 250}.{i % 250 + 1}/16" for i in range(9999)]
    node = make(active=[ACTIVE4, *many], route=False, inside=False).start()
    asker = Asker()
    node.arbiter.renew(3)
    node.next(where=lambda m: m["state"] == "holding", timeout=20)
    assert asker.answers()
    began = time.monotonic()
    nft("flush", "ruleset")
    node.next(where=lambda m: m["gate_lost_ns"] > 0)
    figures("gate of 10,000 addresses flushed, put back", "after %.0f ms" % ((time.monotonic() - began) * 1000))
    time.sleep(0.5)
    assert node.logged().count("active: 10000 addresses") == 1, "the lease was lost meanwhile"
    os.kill(int(run("ip", "netns", "pids", lan.NODE).split()[0]), signal.SIGSTOP)
    eventually("it still answers", lambda: not asker.answers())
    node.arbiter.stop_renewing()
