"""deploy/examples/conntrackd, with the real conntrackd on both nodes of a pair: an open TCP connection through a stateful
firewall goes on after a takeover and after a switch, and is in the kernel's table before an active address is up.

Skipped, with the reason, where conntrackd or the kernel's connection tracking cannot be had."""

import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from conftest import gap_ms
from lab.network import ACTIVE, NODES, PASSIVE, RESERVED, WORLD
from lab.pair import other

EXAMPLE = pathlib.Path(__file__).parents[2] / "deploy/examples/conntrackd"
PORT = 8080

# Nothing passes that is not a connection's first packet, or of a connection that the kernel knows.
FIREWALL = """table inet firewall {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "inside" ct state new tcp flags & (fin|syn|rst|ack) == syn accept
        iifname "inside" ip protocol icmp accept
    }
}
"""

ECHO = """import socket
server = socket.create_server(("%s", %d))
while True:
    peer = server.accept()[0]
    while data := peer.recv(4096):
        peer.sendall(data)
""" % (WORLD, PORT)

# One connection; a line each 20 ms, as the echoes come; what came back is counted in a file.
CLIENT = """import socket, sys, time
peer = socket.create_connection(("%s", %d), 5)
peer.settimeout(None)
print(peer.getsockname()[1], flush=True)
for i in range(1000000):
    peer.sendall(b"line %%d\\n" %% i)
    if not peer.recv(4096):
        sys.exit("closed")
    with open(sys.argv[1], "w") as out:
        out.write(str(i))
    time.sleep(0.02)
""" % (WORLD, PORT)


def tool(name):
    found = shutil.which(name)
    if not found:
        pytest.skip("%s is not installed (Debian package %s)" % (name, name))
    return found


class Tracked:
    """The pair's firewalls and conntrackds, a server behind the router, and a client's connection to it."""

    def __init__(self, lab):
        self.lab = lab
        self.conntrack, self.conntrackd = tool("conntrack"), tool("conntrackd")
        self.client = self.server = None
        self.echoed = os.path.join(lab.dir, "echoed")
        self.port = None

    def run(self, machine, *words, text=None, check=True):
        done = subprocess.run(self.lab.network.exec(machine, *words), input=text, capture_output=True, text=True, timeout=20)
        assert not check or done.returncode == 0, "%s: %s%s" % (words, done.stdout, done.stderr)
        return done

    def needs_kernel(self):
        """What this test needs of the kernel, in a network namespace."""
        done = self.run("alpha", "nft", "-f", "-", text=FIREWALL, check=False)
        if done.returncode != 0:
            pytest.skip("nftables cannot match connections here: " + done.stderr.strip().splitlines()[0])
        entry = ["-p", "tcp", "-s", "192.0.2.99", "-d", WORLD, "--sport", "1", "--dport", "1"]
        done = self.run("alpha", self.conntrack, "-I", *entry, "--state", "ESTABLISHED", "-t", "9", check=False)
        if done.returncode != 0:
            pytest.skip("this kernel's connection table cannot be written in a network namespace: " + done.stderr.strip())
        self.run("alpha", self.conntrack, "-D", *entry)
        self.run("alpha", "nft", "delete", "table", "inet", "firewall")

    def write_config(self, hooks=True, extra=""):
        """duet.conf with the example's hooks; conntrackd's commands go to the one of the node that they run on."""
        self.lab.script("conntrackd", '#!/bin/sh\nexec %s -C %s/$DUET_NODE/conntrackd.conf "$@"\n' % (self.conntrackd, self.lab.dir))
        text = (EXAMPLE / "hooks.conf").read_text()
        assert text.count('"/usr/sbin/conntrackd"') == 6
        text = text.replace("/usr/sbin/conntrackd", self.lab.dir + "/conntrackd")
        self.lab.write_config(extra=(text if hooks else "") + extra, timers={"claim-time": "2s"})  # room for `extra`
        for node in NODES:
            self._write_conntrackd_conf(node)

    def _write_conntrackd_conf(self, node):
        """The example's file, with what is this lab's own in place of the example's."""
        text = (EXAMPLE / "conntrackd.conf").read_text()
        own, peer = RESERVED[node], RESERVED[other(node)]
        text, n = re.subn(r"(IPv4_address +)10\.91\.9\.1( .*\n.*IPv4_Destination_Address +)10\.91\.9\.2 ", r"\g<1>%s\g<2>%s " % (own, peer), text)
        assert n == 1
        for old, new in (("eth2", "reserved"), ("Syslog    on", "LogFile %s/%s/conntrackd.log" % (self.lab.dir, node)),
                         ("/var/lock/conntrackd.lock", "%s/%s/conntrackd.lock" % (self.lab.dir, node)),
                         ("/run/conntrackd.ctl", "%s/%s/conntrackd.ctl" % (self.lab.dir, node)),
                         ("Systemd   yes", ""), ("    Nice      -20\n", "")):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        for old, new in (("192.0.2.2", PASSIVE["alpha"]["inside"]), ("192.0.2.3", PASSIVE["beta"]["inside"])):
            text = re.sub(re.escape(old) + "$", new, text, flags=re.M)
        with open(os.path.join(self.lab.dir, node, "conntrackd.conf"), "w") as out:
            out.write(text)

    def start(self, node):
        """The firewall and conntrackd of a node, as its operating system would start them."""
        if "firewall" not in self.run(node, "nft", "list", "tables").stdout:
            self.run(node, "nft", "-f", "-", text=FIREWALL)
        for left in ("lock", "ctl"):
            pathlib.Path(self.lab.dir, node, "conntrackd." + left).unlink(missing_ok=True)
        log = os.path.join(self.lab.dir, node, "conntrackd.out")
        with open(log, "w") as out:
            started = subprocess.Popen(self.lab.network.exec(node, self.conntrackd, "-C", "%s/%s/conntrackd.conf" % (self.lab.dir, node)),
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        while self.ask(node, "-s").returncode != 0:
            if started.poll() is not None:
                pytest.skip("conntrackd does not run in a network namespace of this kernel: " + open(log).read().strip())
            time.sleep(0.02)

    def ask(self, node, *words):
        return self.run(node, self.conntrackd, "-C", "%s/%s/conntrackd.conf" % (self.lab.dir, node), *words, check=False)

    def connect(self):
        with open(os.path.join(self.lab.dir, "client.out"), "w") as out:
            self.server = subprocess.Popen(self.lab.network.exec("router", "/usr/bin/python3", "-c", ECHO), stdout=out, stderr=out)
            time.sleep(0.5)
            self.client = subprocess.Popen(self.lab.network.exec("client", "/usr/bin/python3", "-c", CLIENT, self.echoed),
                                           stdout=out, stderr=out)
        self.lab.wait_for(lambda: self.count() > 5, 10, "the connection works: " + open(os.path.join(self.lab.dir, "client.out")).read())
        self.port = int(open(os.path.join(self.lab.dir, "client.out")).read().split()[0])

    def count(self):
        try:
            return int(open(self.echoed).read() or 0)
        except FileNotFoundError:
            return 0

    def flows(self, seconds):
        """Whether echoes come, at the latest after so long (TCP sends again after a while, which doubles)."""
        before = self.count()
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.client.poll() is None:
            if self.count() > before + 3:
                return True
            time.sleep(0.02)
        return False

    def kernel_knows(self, node):
        return "sport=%d " % self.port in self.run(node, self.conntrack, "-L", "-p", "tcp", "--dport", str(PORT)).stdout

    def is_replicated(self, node):
        """The node's conntrackd has it of the other one."""
        return "sport=%d " % self.port in self.ask(node, "-e").stdout


@pytest.fixture
def tracked(lab):
    made = Tracked(lab)
    made.needs_kernel()
    return made


def start(tracked, **options):
    tracked.write_config(**options)
    for node in NODES:
        tracked.start(node)
    active = tracked.lab.start_pair()
    tracked.lab.wait_ready(active)
    tracked.connect()
    tracked.lab.wait_for(lambda: tracked.is_replicated(other(active)), 5, "the passive node's conntrackd has the connection")
    assert tracked.kernel_knows(active) and not tracked.kernel_knows(other(active))
    return active


def test_connection_goes_on_after_a_takeover_and_is_there_before_the_addresses(lab, tracked, figures):
    seen = os.path.join(lab.dir, "seen")
    lab.script("look", "#!/bin/sh\n{ %s -L -p tcp --dport %d; ip -4 -o addr show; } >%s.$DUET_NODE 2>/dev/null\n"
               % (tracked.conntrack, PORT, seen))
    old = start(tracked, extra='hook "look" { on = before-active  command = {"%s/look"}  timeout = 500ms }\n' % lab.dir)
    new = other(old)
    probe = lab.probe("inside")
    time.sleep(0.3)
    gap_ms(probe)
    lab.power_off(old)
    lab.wait_for(lambda: lab.serves(new), 10, "%s serves" % new)
    assert tracked.flows(10), "the connection goes on"
    figures("power off, lan, with conntrackd's hooks", "%.0f ms" % gap_ms(probe))
    with open(seen + "." + new) as file:
        text = file.read()
    assert re.search(r"ESTABLISHED src=192\.0\.2\.50 dst=198\.51\.100\.1 sport=%d dport=%d" % (tracked.port, PORT), text), \
        "in the kernel's table at the end of the before-active hooks:\n" + text
    assert not any("inet %s/" % address in text for address in ACTIVE.values()), "no active address was up then"
    hooks = {h["name"]: h["state"] for h in lab.status(new)["hooks"]}
    assert [hooks["conntrack-" + name] for name in ("commit", "flush", "resync", "bulk")] == ["done"] * 4
    assert "hook-failed" not in lab.bus.alarms(new)

    # Back again: the node that comes up learns all, so a switch moves the connection once more.
    tracked.run(old, tracked.conntrack, "-F")  # a reboot, but for the kernel's table
    lab.power_on(old, start=False)
    tracked.start(old)
    lab.start(old)
    lab.wait_ready(new)
    lab.wait_for(lambda: tracked.is_replicated(old), 10, "the returned node's conntrackd has the connection")
    assert not tracked.kernel_knows(old)
    assert lab.duet(new, "switch").returncode == 0
    lab.wait_settled(old)
    assert tracked.flows(10), "the connection goes on after a switch"
    lab.wait_for(lambda: (h := {h["name"]: h["state"] for h in lab.status(new)["hooks"]}) and
                 h["conntrack-purge"] == h["conntrack-ask"] == "done", 5, "the passive hooks of " + new)
    lab.wait_for(lambda: tracked.is_replicated(new), 5, "and is known to the node that served before")


def test_without_the_hooks_the_connection_is_lost(lab, tracked):
    """The firewall is one that needs them: else the test above would show nothing."""
    old = start(tracked, hooks=False)
    lab.power_off(old)
    lab.wait_for(lambda: lab.serves(other(old)), 10, "the other node serves")
    assert not tracked.flows(4)


def test_dead_conntrackd_costs_no_takeover(lab, tracked):
    old = start(tracked)
    new = other(old)
    assert tracked.ask(new, "-k").returncode == 0
    lab.power_off(old)
    lab.wait_for(lambda: lab.serves(new), 10, "%s serves" % new)
    lab.wait_for(lambda: "hook-failed" in lab.bus.alarms(new), 5, "an alarm")
    hooks = {h["name"]: h for h in lab.status(new)["hooks"]}
    assert hooks["conntrack-commit"]["state"] == "failed" and hooks["conntrack-commit"]["took_ms"] < 150
    assert "conntrack-commit: " in lab.log(new), "what conntrackd said is in the log"
