"""The client's laboratory: a laptop that reaches an office through one of two gateways, each at the end of a VPN.

    laptop --- net 203.0.113.0/24 --- office .10, backup .20 --- inside LAN 192.0.2.0/24 --- server .100

The VPNs are OpenVPN's own programs over /dev/net/tun, or WireGuard in user space (wireguard-go), with keys made for
the run. The laptop has the address 10.8.0.2 in both, as a client has that the two gateways know. The office's own
routing, by which its hosts find the gateway that has the client at the moment, is played by a script that OpenVPN
runs on a gateway when it learns the client's address; with WireGuard, by a script on the laptop's side of a switch.
A gateway is powered off as a pair's node is: its ports at the switch go down at once, and all its processes end.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import zmq
from lab.network import remove_stale, run
from lab.tools import tool_path

GATEWAYS = {"office": 10, "backup": 20}
LAPTOP, SERVER, TUNNEL = "203.0.113.50", "192.0.2.100", "10.8.0.2"
MACHINES = ("laptop", "office", "backup", "server", "switch")
PORT = 8000
PAGE = 8642

# Sends as fast as the reader takes it, a number every 2 ms: whoever reads sees gaps, and that nothing is missing.
_SENDER = """
import socket, time
listener = socket.create_server(("192.0.2.100", 8000))
print("ready", flush=True)
while True:
    peer, _ = listener.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        n = 0
        while True:
            peer.sendall(b"%08d\\n" % n)
            n += 1
            time.sleep(0.002)
    except OSError:
        peer.close()
"""

_READER = """
import os, signal, socket, sys, time
now = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
peer = socket.create_connection(("192.0.2.100", 8000), timeout=20)
peer.settimeout(120)
last, longest, count, rest, expected, gap_from = now(), 0, 0, b"", 0, 0
def tell(*_):  # not by print(): the next signal may come before that has returned
    os.write(1, b"%d %d %d %d\\n" % (longest, count, gap_from, last))
signal.signal(signal.SIGUSR1, tell)
print("ready", flush=True)
while True:
    data = peer.recv(65536)
    if not data:
        sys.exit("the connection ended")
    at = now()
    if at - last > longest:
        longest, gap_from = at - last, last
    last = at
    lines = (rest + data).split(b"\\n")
    rest = lines.pop()
    for line in lines:
        if int(line) != expected:
            sys.exit("%d is missing, %d came" % (expected, int(line)))
        expected += 1
        count += 1
"""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class RoamLab:
    """The namespaces, the VPNs' servers, and roamd. Use as a context."""

    namespaces = MACHINES

    def __init__(self, vpn="openvpn"):
        self.vpn = vpn
        self.prefix = "duet-%d" % os.getpid()
        self.dir = tempfile.mkdtemp(prefix="duet-roam-")
        self.run_dir, self.state_dir = os.path.join(self.dir, "run"), os.path.join(self.dir, "state")
        self.config = os.path.join(self.dir, "client.conf")
        self.processes = []
        self.roamd = None
        self.log_path = os.path.join(self.dir, "roamd.log")

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # ---------------------------------------------------------------- namespaces

    def ns(self, machine):
        return "%s-%s" % (self.prefix, machine)

    def exec(self, machine, *words):
        return ["ip", "netns", "exec", self.ns(machine), *words]

    def ip(self, machine, *lines):
        run("ip", "-n", self.ns(machine), "-batch", "-", text="\n".join(lines) + "\n")

    def build(self):
        remove_stale()
        for machine in self.namespaces:
            run("ip", "netns", "add", self.ns(machine))
            run(*self.exec(machine, "sh", "-c", "ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward; "
                           "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter; "
                           "echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects; "
                           "echo 0 >/proc/sys/net/ipv4/conf/default/accept_redirects; "
                           "echo 0 >/proc/sys/net/ipv4/conf/all/accept_redirects"))
        self.ip("switch", "link add net type bridge", "link add in type bridge", "link set net up", "link set in up")
        wires = [("laptop", "net", LAPTOP)] if "laptop" in self.namespaces else []
        wires += [("server", "in", SERVER)]
        for name, number in GATEWAYS.items():
            wires += [(name, "net", "203.0.113.%d" % number), (name, "in", "192.0.2.%d" % number)]
        for machine, line, address in wires:
            port = "%s-%s" % (machine, line)
            self.ip("switch", "link add %s type veth peer name %s netns %s" % (port, line, self.ns(machine)),
                    "link set %s master %s up" % (port, line))
            self.ip(machine, "addr add %s/24 dev %s" % (address, line), "link set %s up" % line)
        self.ip("server", "route add %s via 192.0.2.10" % TUNNEL)
        if self.vpn == "openvpn":
            self._make_openvpn_keys()
            for name in GATEWAYS:
                self.start_openvpn_server(name)
        elif self.vpn == "wireguard":
            self._make_wireguard()

    def spawn(self, machine, *words, **options):
        process = subprocess.Popen(self.exec(machine, *words), start_new_session=True, **options)
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for machine in self.namespaces:
            self._kill_all(machine)
            run("ip", "netns", "del", self.ns(machine), check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _kill_all(self, machine):
        for _ in range(1000):
            pids = run("ip", "netns", "pids", self.ns(machine), check=False).split()
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.005)

    # ------------------------------------------------------------------- OpenVPN

    def path(self, name):
        return os.path.join(self.dir, name)

    def _make_openvpn_keys(self):
        self.fingerprints = {}
        for name in ("laptop", "office", "backup"):
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                "-subj", "/CN=" + name, "-keyout", self.path(name + ".key"), "-out", self.path(name + ".crt"))
            out = run("openssl", "x509", "-in", self.path(name + ".crt"), "-noout", "-fingerprint", "-sha256")
            self.fingerprints[name] = out.split("=")[1].strip()

    def start_openvpn_server(self, name):
        learn = self.path(name + "-learn")
        with open(learn, "w") as script:
            script.write("#!/bin/sh\n# $1 operation, $2 address\n[ \"$1\" = delete ] || nsenter --net=/run/netns/%s ip route replace %s via 192.0.2.%d\n"
                         % (self.ns("server"), TUNNEL, GATEWAYS[name]))
        os.chmod(learn, 0o755)
        clients = self.path(name + "-clients")
        os.makedirs(clients, exist_ok=True)
        with open(os.path.join(clients, "DEFAULT"), "w") as file:
            file.write("ifconfig-push %s 255.255.255.0\n" % TUNNEL)
        log = open(self.path(name + ".log"), "a")
        self.spawn(name, "openvpn", "--dev", "tun0", "--dev-type", "tun", "--mode", "server", "--tls-server", "--topology", "subnet",
                   "--ifconfig", "10.8.0.1", "255.255.255.0", "--client-config-dir", clients, "--push", "topology subnet",
                   "--push", "route-gateway 10.8.0.1", "--dh", "none",
                   "--cert", self.path(name + ".crt"), "--key", self.path(name + ".key"),
                   "--peer-fingerprint", self.fingerprints["laptop"], "--local", "203.0.113.%d" % GATEWAYS[name],
                   "--proto", "udp", "--port", "1194", "--keepalive", "1", "20", "--script-security", "2",
                   "--learn-address", learn, "--verb", "3", stdout=log, stderr=log)
        self.wait_for(lambda: "Initialization Sequence Completed" in open(self.path(name + ".log")).read(), 20,
                      "the OpenVPN server of " + name)

    def openvpn_client(self, name):
        """The words of a client; its device is tun-NAME."""
        return ["openvpn", "--dev", "tun-" + name, "--dev-type", "tun", "--client", "--nobind", "--remote",
                "203.0.113.%d" % GATEWAYS[name], "1194", "udp", "--cert", self.path("laptop.crt"), "--key", self.path("laptop.key"),
                "--peer-fingerprint", self.fingerprints[name], "--auth-nocache", "--connect-retry", "1", "2", "--verb", "3"]

    # ----------------------------------------------------------------- WireGuard

    def _make_wireguard(self):
        keys = {}
        for name in ("laptop", "office", "backup"):
            private = run("wg", "genkey").strip()
            keys[name] = private, run("wg", "pubkey", text=private).strip()
        for name, number in GATEWAYS.items():
            with open(self.path("wg-%s-server.conf" % name), "w") as conf:
                conf.write("[Interface]\nPrivateKey = %s\nListenPort = 51820\n[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\n"
                           % (keys[name][0], keys["laptop"][1], TUNNEL))
            os.chmod(self.path("wg-%s-server.conf" % name), 0o600)
            self._start_wireguard(name, "wgs-" + name, self.path("wg-%s-server.conf" % name))
            self.ip(name, "addr add 10.8.0.1/24 dev wgs-" + name)
            # What wg-quick reads on the laptop. Table = off: roamd sets the routes.
            with open(self.path("wg-%s.conf" % name), "w") as conf:
                conf.write("[Interface]\nPrivateKey = %s\nAddress = %s/24\nTable = off\n"
                           "PostUp = nsenter --net=/run/netns/%s ip route replace %s via 192.0.2.%d\n"
                           "[Peer]\nPublicKey = %s\nEndpoint = 203.0.113.%d:51820\nAllowedIPs = 0.0.0.0/0\nPersistentKeepalive = 1\n"
                           % (keys["laptop"][0], TUNNEL, self.ns("server"), TUNNEL, number, keys[name][1], number))
            os.chmod(self.path("wg-%s.conf" % name), 0o600)

    def _start_wireguard(self, machine, device, conf):
        process = self.spawn(machine, "wireguard-go", "--foreground", device, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=dict(os.environ, WG_PROCESS_FOREGROUND="1"))
        self.wait_for(lambda: device in run("ip", "-n", self.ns(machine), "-br", "link") and process.poll() is None, 20,
                      "wireguard-go in " + machine)
        self.wait_for(lambda: subprocess.run(self.exec(machine, "wg", "setconf", device, conf), capture_output=True).returncode == 0,
                      20, "its keys")
        self.ip(machine, "link set %s up" % device)

    # -------------------------------------------------------------------- faults

    def power_off(self, name):
        self.ip("switch", "link set %s-net down" % name, "link set %s-in down" % name)
        self._kill_all(name)

    def unplug(self, name):
        """Nothing passes to the gateway from the net, though all carriers stay: at once, and so is plug()."""
        run(*self.exec("switch", "bridge", "link", "set", "dev", name + "-net", "state", "0"))

    def plug(self, name):
        run(*self.exec("switch", "bridge", "link", "set", "dev", name + "-net", "state", "3"))

    # --------------------------------------------------------------------- roamd

    def profile(self, name, gateway, more=""):
        """A profile of the VPN of this laboratory, with its gateway and the one inside."""
        device = "tun-" + gateway if self.vpn == "openvpn" else "wg-" + gateway
        if self.vpn == "openvpn":
            way = "run = {%s}" % ", ".join('"%s"' % word for word in self.openvpn_client(gateway))
        else:
            way = 'wireguard = "%s"' % self.path("wg-%s.conf" % gateway)
        return """
gateway "%s" { address = "203.0.113.%d" }
gateway "%s-inside" { address = "10.8.0.1"  device = "%s" }
profile "%s" {
    gateway = {"%s"}
    inside = {"%s-inside"}
    %s
    route "192.0.2.0/24" { via = "10.8.0.1"  device = "%s" }
    %s
}
""" % (gateway, GATEWAYS[gateway], gateway, device, name, gateway, gateway, way, device, more)

    def write_config(self, client="", profiles=None):
        if profiles is None:
            profiles = self.profile("Office", "office") + self.profile("Backup-Coordinator", "backup")
        with open(self.config, "w") as file:
            file.write("client {\n    page = \"127.0.0.1:%d\"\n    test-interval = 200ms\n    test-timeout = 200ms\n"
                       "    connect-timeout\n}\n".replace("    connect-timeout\n", client) % PAGE)
            file.write(profiles)
        os.chmod(self.config, 0o600)

    def words(self):
        return ["--config", self.config, "--run-dir", self.run_dir, "--state-dir", self.state_dir]

    def start(self):
        self.roamd = self.spawn("laptop", tool_path("roamd"), *self.words(), stderr=open(self.log_path, "a"))

    def stop(self, how=signal.SIGTERM):
        self.roamd.send_signal(how)
        self.roamd.wait(timeout=30)

    def client(self, *words, timeout=90):
        return subprocess.run(self.exec("laptop", tool_path("duet-client"), *words, *self.words()), capture_output=True, text=True,
                              timeout=timeout)

    def status(self):
        """What `duet-client status --json` says; {} while roamd does not answer."""
        done = self.client("status", "--json")
        return json.loads(done.stdout) if done.stdout else {}

    def times(self):
        """The `profile` message as it stands on the bus, with its times in ns."""
        context = zmq.Context()
        bus = context.socket(zmq.SUB)
        bus.setsockopt(zmq.RCVTIMEO, 5000)
        bus.setsockopt(zmq.LINGER, 0)
        bus.setsockopt(zmq.SUBSCRIBE, b"profile")
        bus.connect("ipc://%s/bus/roamd/pub" % self.run_dir)
        try:
            return json.loads(bus.recv_multipart()[1])
        finally:
            bus.close()
            context.term()

    def connected(self, name):
        state = self.status()
        return bool(state) and state["current"] == name and state["connected"]

    def wait_connected(self, name, seconds=60):
        self.wait_for(lambda: self.connected(name), seconds, name + " is connected")

    def log(self):
        return open(self.log_path).read() if os.path.exists(self.log_path) else ""

    def wait_for(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError("not within %s s: %s\n%s" % (seconds, what, self.log()[-6000:]))
            time.sleep(0.02)

    # ------------------------------------------------------------------ transfer

    def start_server(self):
        process = self.spawn("server", "/usr/bin/python3", "-c", _SENDER, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"

    def start_transfer(self):
        return Transfer(self)

    # ---------------------------------------------------------------------- page

    def ask_page(self, text):
        """Sends bytes to the page on the laptop, and returns all that it answers."""
        done = subprocess.run(self.exec("laptop", "/usr/bin/python3", "-c", _ASK), input=text, capture_output=True, timeout=30)
        return done.stdout.decode()


_ASK = """
import socket, sys
peer = socket.create_connection(("127.0.0.1", %d), timeout=10)
peer.sendall(sys.stdin.buffer.read())
while data := peer.recv(65536):
    sys.stdout.buffer.write(data)
""" % PAGE


class Transfer:
    """A download over one TCP connection, which must outlive the switch."""

    def __init__(self, lab):
        self.lab = lab
        self.process = lab.spawn("laptop", "/usr/bin/python3", "-c", _READER, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n", self.process.stderr.read()

    def look(self):
        """(longest gap in ms, lines so far, begin of that gap, time of the last line)"""
        assert self.process.poll() is None, self.process.stderr.read()
        self.process.send_signal(signal.SIGUSR1)
        longest, count, since, last = map(int, self.process.stdout.readline().split())
        return longest / 1e6, count, since, last

    def wait_flowing(self, seconds=60):
        """Until more comes after now, and still does 1.5 s later: a sender whose acknowledgements are lost goes on for as
        long as its window lets it. Returns what look() says then."""
        for begun in (now_ns(), now_ns() + 1_500_000_000):
            self.lab.wait_for(lambda after=begun: self.look()[3] > after, seconds, "the transfer goes on")
        return self.look()
