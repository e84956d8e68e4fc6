"""The laboratory's wires: namespaces for two nodes, a router, a client and the switch between them.

    router --- outside LAN --- alpha, beta --- inside LAN --- client
                               alpha --- line --- beta            (the reserved line)

The switch namespace holds a bridge for each of the three. The line is a bridge of two ports as well, so that its
traffic can be filtered like any other, but it behaves as a cable does: when one end loses power, both see no carrier.
Everything that can break is broken from outside, in the switch: ports go down (carrier loss) and nftables rules of the
bridge family swallow frames. Nothing of it touches what duet itself configures on a node.

Needs root, iproute2 and nftables. Linux only.
"""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time

NODES = ("alpha", "beta")
CHANNELS = ("outside", "inside")
LINES = ("outside", "inside", "reserved")
BRIDGE = {"outside": "out", "inside": "in", "reserved": "line"}

ACTIVE = {"outside": "203.0.113.10", "inside": "192.0.2.10"}
PASSIVE = {
    "alpha": {"outside": "203.0.113.11", "inside": "192.0.2.11"},
    "beta": {"outside": "203.0.113.12", "inside": "192.0.2.12"},
}
RESERVED = {"alpha": "10.91.9.1", "beta": "10.91.9.2"}
ROUTER = "203.0.113.1"
WORLD = "198.51.100.1"  # lives behind the router; reached by the client through the gateway
CLIENT = "192.0.2.50"

_MAC_NODE = {"alpha": 0x0A, "beta": 0x0B, "router": 0x01, "client": 0x05}
_MAC_LINE = {"outside": 1, "inside": 2, "reserved": 3}

# What the operating system of each machine would have been set up to.
_SYSCTL = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; "
_SYSCTL_NODE = _SYSCTL + (
    "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter; "
    "echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects; "
    "echo 0 >/proc/sys/net/ipv4/conf/default/send_redirects; ")


def mac(machine, line):
    """The hardware address of a machine's adapter, e.g. mac("alpha", "inside")."""
    return "02:00:00:00:%02x:%02x" % (_MAC_NODE[machine], _MAC_LINE[line])


def run(*words, text=None, check=True, timeout=20):
    """A command, its output as text; an error that tells what it said."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise RuntimeError("%s: exit %d\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
    return done.stdout


def packet_socket(namespace, device, ether_type):
    """A packet socket on a device of a namespace; the caller closes it. The calling thread visits the namespace only
    for as long as it takes to open it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open("/run/netns/" + namespace) as there:
        if libc.setns(there.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the namespace " + namespace)
        try:
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ether_type))
            opened.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            opened.bind((device, ether_type))
            return opened
        finally:
            if libc.setns(home.fileno(), 0x40000000) != 0:
                os._exit(1)  # this thread would go on in the wrong network


def arp_requests(namespace, device, seconds):
    """The ARP requests seen on a device for so long: a list of (sender MAC, sender address, destination MAC, address
    asked for). Listens to all protocols: a port of a bridge shows a single one to nobody."""
    found = []
    end = time.monotonic() + seconds
    with packet_socket(namespace, device, 0x0003) as wire:
        while (left := end - time.monotonic()) > 0:
            wire.settimeout(left)
            try:
                frame = wire.recv(256)
            except TimeoutError:
                break
            if len(frame) >= 42 and frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1":
                found.append((frame[6:12].hex(":"), socket.inet_ntoa(frame[28:32]), frame[0:6].hex(":"),
                              socket.inet_ntoa(frame[38:42])))
    return found


def remove_stale():
    """Removes namespaces of earlier runs whose process is gone and in which nothing runs any more."""
    for name in run("ip", "netns", "list").split():
        words = name.split("-")
        if len(words) == 3 and words[0] == "duet" and words[1].isdigit() and not os.path.exists("/proc/" + words[1]):
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)  # another run may have been quicker
            if pids.returncode == 0 and not pids.stdout.split():
                run("ip", "netns", "del", name, check=False)


class Network:
    """The namespaces and wires. All methods take effect before they return. `nodes` are those that are namespaces; in
    a laboratory of emulated machines there are none."""

    def __init__(self, prefix=None, nodes=NODES):
        self.prefix = prefix or "duet-%d" % os.getpid()
        self.nodes = nodes
        self.machines = nodes + ("router", "client", "switch")
        self.drops = {}  # name of a fault -> list of nftables rules
        self.power = {node: True for node in NODES}
        self.pulled = set()  # (node, line)
        self._lock = threading.Lock()

    def ns(self, machine):
        return "%s-%s" % (self.prefix, machine)

    def exec(self, machine, *words):
        """The words that run a command in a machine's namespace."""
        return ["ip", "netns", "exec", self.ns(machine), *words]

    def ip(self, machine, *lines):
        """ip(8) commands in a machine's namespace, as one batch."""
        run("ip", "-n", self.ns(machine), "-batch", "-", text="\n".join(lines) + "\n")

    def inode(self, machine):
        """What /proc/self/ns/net shows inside: by it a script learns on which machine it runs."""
        return os.stat("/run/netns/" + self.ns(machine)).st_ino

    # ------------------------------------------------------------ building

    def build(self):
        remove_stale()
        for machine in self.machines:
            run("ip", "netns", "add", self.ns(machine))
            sysctl = _SYSCTL_NODE if machine in NODES else _SYSCTL
            run(*self.exec(machine, "sh", "-c", sysctl + "ip link set lo up"))
        self.ip("switch", *["link add name %s type bridge stp_state 0 mcast_snooping 0" % b for b in BRIDGE.values()],
                *["link set dev %s up" % b for b in BRIDGE.values()])
        # Indexes differ at both ends: the kernel delays the news of a carrier loss by up to a second if they do not.
        index = 100
        wires = [(node, line) for node in self.nodes for line in LINES] + [("router", "outside"), ("client", "inside")]
        for machine, line in wires:
            index += 2
            self._wire(machine, line, index)
        self.ip("router", "addr add %s/24 dev outside" % ROUTER, "addr add %s/32 dev lo" % WORLD,
                "route add 192.0.2.0/24 via %s" % ACTIVE["outside"])
        self.ip("client", "addr add %s/24 dev inside" % CLIENT, "route add default via %s" % ACTIVE["inside"])
        for node in self.nodes:
            self.boot_addresses(node)

    def _wire(self, machine, line, index):
        port = self.port(machine, line)
        self.ip("switch",
                "link add name %s index %d type veth peer name %s index %d address %s netns %s"
                % (port, index, line, index + 1, mac(machine, line), self.ns(machine)),
                "link set dev %s master %s" % (port, BRIDGE[line]),
                "link set dev %s up" % port)
        self.ip(machine, "link set dev %s up" % line)

    @staticmethod
    def port(machine, line):
        return "%s-%s" % (machine, BRIDGE[line])

    def destroy(self):
        """Ends every process in the namespaces, and removes them. Safe to call twice, or half built."""
        names = set(run("ip", "netns", "list", check=False).replace("(", " ").split())
        for machine in self.machines:
            if self.ns(machine) in names:
                self.kill_all(machine)
                run("ip", "netns", "del", self.ns(machine), check=False)

    def pids(self, machine):
        return [int(pid) for pid in run("ip", "netns", "pids", self.ns(machine), check=False).split()]

    def kill_all(self, machine):
        """SIGKILL for everything that runs in the namespace; waits until it is gone."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            pids = self.pids(machine)
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.002)
        raise RuntimeError("processes in %s do not end: %s" % (self.ns(machine), pids))

    # ----------------------------------------------------- power and cables

    def boot_addresses(self, node):
        """What a machine has after a reboot: the passive and the reserved addresses, nothing else (L5)."""
        own = dict(PASSIVE[node], reserved=RESERVED[node])
        lines = ["addr flush dev %s" % line for line in LINES]
        lines += ["addr add %s/24 dev %s" % (own[line], line) for line in LINES]
        self.ip(node, *lines)

    def _set_ports(self):
        with self._lock:
            self._bring_ports()

    def _bring_ports(self):
        lines = []
        for node in NODES:
            for line in LINES:
                dark = not self.power[node] or (node, line) in self.pulled
                if line == "reserved":  # a cable: one dead end is no carrier at both
                    dark = any(not self.power[n] or (n, line) in self.pulled for n in NODES)
                lines.append("link set dev %s %s" % (self.port(node, line), "down" if dark else "up"))
        # What goes down goes down first: the moment of a power cut is not to depend on the order of names.
        self.ip("switch", *sorted(lines, key=lambda text: not text.endswith("down")))

    def power_off(self, node):
        """Everything of a node ends at once: carriers, processes, and what its kernel knew."""
        self.power[node] = False
        # Ports go down one after the other, some milliseconds apart, in which a node could still hand over by the last
        # one: a single transaction silences it before.
        self.drop("power-" + node, *self._all_of(node, LINES))
        self._set_ports()
        self.kill_all(node)
        self.ip(node, *["link set dev %s down" % line for line in LINES])

    def power_on(self, node):
        """The machine has booted: passive addresses, links up; nothing of duet runs yet."""
        self.power[node] = True
        self.boot_addresses(node)
        self.ip(node, *["link set dev %s up" % line for line in LINES])
        self._set_ports()
        self.heal("power-" + node)

    def pull_cable(self, node, line):
        """Carrier loss at the node's adapter (outside, inside or reserved)."""
        self.pulled.add((node, line))
        self._set_ports()

    def plug_cable(self, node, line):
        self.pulled.discard((node, line))
        self._set_ports()

    def kill_router(self):
        self.ip("switch", "link set dev router-out down")

    def restore_router(self):
        self.ip("switch", "link set dev router-out up")

    # ---------------------------------------------- frames that get lost

    def _apply(self):
        """All rules anew, in one transaction."""
        rules = [rule for fault in self.drops.values() for rule in fault]
        text = "table bridge lab {}\ndelete table bridge lab\n"
        if rules:
            text += "table bridge lab {\nchain forward {\ntype filter hook forward priority 0;\n%s\n}\n}\n" % "\n".join(
                rules)
        run(*self.exec("switch", "nft", "-f", "-"), text=text)

    def drop(self, name, *rules):
        """Swallows frames in the switch by nftables rules, until heal(name)."""
        with self._lock:
            self.drops[name] = list(rules)
            self._apply()

    def heal(self, name=None):
        """Takes back one fault made by drop(), or all of them (a node without power stays silent)."""
        with self._lock:
            if name is None:
                self.drops = {key: rules for key, rules in self.drops.items() if key.startswith("power-")}
            else:
                self.drops.pop(name, None)
            self._apply()

    def _all_of(self, node, lines):
        """Rules for everything that a node sends or should get on some lines."""
        ports = [self.port(node, line) for line in lines]
        return ['%s "%s" drop' % (way, port) for port in ports for way in ("iifname", "oifname")]

    def mute_router_for(self, node):
        """Nothing passes between the router and one node; all else does."""
        port = self.port(node, "outside")
        self.drop("mute-" + node, 'iifname "router-out" oifname "%s" drop' % port,
                  'iifname "%s" oifname "router-out" drop' % port)

    def hear_router_for(self, node):
        self.heal("mute-" + node)

    def cut_heartbeats(self):
        """No heartbeat passes on any path; ARP and everything else still does."""
        self.drop("heartbeats", "ether type 0x88b5 drop", 'iifname "alpha-line" drop', 'iifname "beta-line" drop')

    def restore_heartbeats(self):
        self.heal("heartbeats")

    def cut_pair(self):
        """A partition: nothing at all passes between the nodes; router and client still reach both."""
        rules = []
        for line in LINES:
            ports = self.port("alpha", line), self.port("beta", line)
            rules += ['iifname "%s" oifname "%s" drop' % ports, 'iifname "%s" oifname "%s" drop' % ports[::-1]]
        self.drop("partition", *rules)

    def heal_pair(self):
        self.heal("partition")

    def close_ports(self, node):
        """The switch keeps the node's ports closed, with carrier, as one does that still learns its topology."""
        self.drop("closed-" + node, *self._all_of(node, CHANNELS))

    def open_ports(self, node):
        self.heal("closed-" + node)
