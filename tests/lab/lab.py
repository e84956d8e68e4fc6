"""The laboratory: a pair of gateways with its surroundings, running the real programs (see network.py for the wires).

    with Lab() as lab:
        lab.write_config(profile="fast")
        lab.start_pair()
        active = lab.wait_settled()
        lab.power_off(active)

The environment variable DUET_BIN names the folder with duet, its daemons and the packet tools (tests/run makes it).
Everything that a lab made, and only that, is gone when it is closed, also after an error or a signal.
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from lab import tools
from lab.bus import Bus
from lab.network import ACTIVE, CHANNELS, NODES, PASSIVE, RESERVED, ROUTER, WORLD, Network, arp_requests
from lab.pair import Pair, other

SERVING = ("active", "offering")

# Where a script that duet starts learns on which node it runs: by the network namespace that it is in.
_WHERE = 'node=$(cat "%s/nodes/$(readlink /proc/self/ns/net | tr -dc 0-9)")\n'

_REBOOT_SCRIPT = "#!/bin/sh\n" + _WHERE + 'echo "$node" >>"%s/reboots"\n'

# A service that runs until its node's file `broken` appears, and that cannot be started while it is there.
_SERVICE_SCRIPT = "#!/bin/sh\n" + _WHERE + """broken="%s/$node/broken"
while [ ! -e "$broken" ]; do sleep 0.05; done
echo "broken on purpose" >&2
exit 1
"""


class Lab(Pair):
    def __init__(self, prefix=None, directory=None):
        """`prefix` and `directory` give the namespaces and files other names than those of this process; the directory
        must not exist."""
        self.keep = False  # close() then leaves the pair running
        self.bin = os.environ["DUET_BIN"]
        self.bins = dict.fromkeys(NODES, self.bin)  # a node may run another version
        # By node: its clocks are so many seconds ahead, as after so long an uptime (time_namespaces(7)).
        self.uptimes = dict.fromkeys(NODES, 86400 * int(os.environ.get("UPTIME_DAYS", "0")))
        if directory:
            os.mkdir(directory, 0o700)
        self.dir = directory or tempfile.mkdtemp(prefix="duet-lab-")
        self.network = Network(prefix)
        self.processes = {}  # node -> Popen of `duet run`
        self.tools = []
        self.reboots = []  # nodes, in the order in which their reboot-command was called
        self.on_reboot = "record"  # or "cycle": power off, and a boot half a second later
        self.forget_restarts = False  # "cycle": a node does not know that it was restarted before, and does not wait
        self._closed = False
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._handlers = {}
        self._arm_cleanup()
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------- lifetime

    def _arm_cleanup(self):
        atexit.register(self.close)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number, _frame):
        self.close()
        raise SystemExit(128 + number)

    def _build(self):
        self.network.build()
        os.mkdir(os.path.join(self.dir, "nodes"))
        for node in NODES:
            for name in ("", "run", "state"):
                os.mkdir(os.path.join(self.dir, node, name).rstrip("/"))
            with open("%s/nodes/%d" % (self.dir, self.network.inode(node)), "w") as out:
                out.write(node + "\n")
        self.script("reboot", _REBOOT_SCRIPT % (self.dir, self.dir))
        self.script("service", _SERVICE_SCRIPT % (self.dir, self.dir))
        self.new_key()
        self.write_config()
        self.bus = Bus({node: self.run_dir(node) for node in NODES})
        self._watcher = threading.Thread(target=self._watch_reboots, daemon=True)
        self._watcher.start()

    def script(self, name, text):
        """Writes a program beside the pair's files."""
        path = os.path.join(self.dir, name)
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, 0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        """Ends what runs, removes the namespaces and the files (with `keep` only the observers end)."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        if hasattr(self, "_watcher"):
            self._watcher.join(timeout=15)
        if hasattr(self, "bus"):
            self.bus.close()
        for tool in self.tools:
            tool.kill()
        if not self.keep:
            self.network.destroy()
            for process in self.processes.values():
                process.wait(10)
            shutil.rmtree(self.dir, ignore_errors=True)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        atexit.unregister(self.close)

    # -------------------------------------------------------- configuration

    def run_dir(self, node):
        return os.path.join(self.dir, node, "run")

    def state_dir(self, node):
        return os.path.join(self.dir, node, "state")

    @property
    def config(self):
        return os.path.join(self.dir, "duet.conf")

    def new_key(self):
        """A new cluster key, the same for both nodes."""
        path = os.path.join(self.dir, "cluster.key")
        if os.path.exists(path):
            os.unlink(path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(os.urandom(32))

    def write_config(self, profile="lan", on_network_fault="reboot", routers=("outside",), modes=None, extra="",
                     active=None, timers=None, keys=None, key="cluster.key"):
        """Writes the one file of both nodes. `timers` sets single ones ({"settle-time": "1s"}); `active` gives a
        channel other or more active addresses ({"inside": ["192.0.2.10/24", …]}), `keys` more lines ({"inside": ["search = off"]});
        `extra` is appended: services. `key` is the file of the cluster key."""
        lines = ['cluster "lab" {', "    profile = %s" % profile, '    key-file = "%s/%s"' % (self.dir, key),
                 "    on-network-fault = %s" % on_network_fault, '    reboot-command = {"%s/reboot"}' % self.dir, "    reboot-force = off"]
        lines += ["    %s = %s" % item for item in (timers or {}).items()]
        lines += ["}"] + ['node "%s" { reserved-address = "%s" }' % (node, RESERVED[node]) for node in NODES]
        for channel in CHANNELS:
            lines += self._channel(channel, (active or {}).get(channel, [ACTIVE[channel] + "/24"]),
                                   (modes or {}).get(channel, "exchange"), channel == "outside" and channel in routers,
                                   (keys or {}).get(channel, []))
        lines += ['route "default" { via = "%s"  channel = "outside" }' % ROUTER]
        with open(self.config, "w") as out:
            out.write("\n".join(lines) + "\n" + extra)
        os.chmod(self.config, 0o644)

    @staticmethod
    def _channel(channel, active, mode, router, keys):
        lines = ['channel "%s" {' % channel, '    device = "%s"' % channel,
                 "    active-address = {%s}" % ", ".join('"%s"' % address for address in active)]
        if router:
            lines += ['    router = {"%s"}' % ROUTER]
        lines += ["    mode = %s" % mode] + ["    " + key for key in keys]
        lines += ['    node "%s" { passive-address = {"%s/24"} }' % (node, PASSIVE[node][channel]) for node in NODES]
        return lines + ["}"]

    def service(self, name="guarded", **keys):
        """A service of the configuration that break_service() can break; further keys by name (on_failure=…)."""
        settings = {"when": "active", "start_retries": 3, "retry_interval": "50ms"}
        settings.update(keys)
        lines = ["    %s = %s" % (key.replace("_", "-"), value) for key, value in settings.items()]
        return 'service "%s" {\n    command = {"%s/service"}\n%s\n}\n' % (name, self.dir, "\n".join(lines))

    def break_service(self, node):
        open(os.path.join(self.dir, node, "broken"), "w").close()

    def mend_service(self, node):
        os.unlink(os.path.join(self.dir, node, "broken"))

    # ------------------------------------------------------------ the nodes

    def duet_words(self, node, *words, bin=None):
        """The words of a `duet` command on a node."""
        uptime = self.uptimes.get(node)
        aged = ["unshare", "--time", "--boottime", str(uptime), "--monotonic", str(uptime)] if uptime else []
        return self.network.exec(node, *aged, *tools.NO_REBOOT, os.path.join(bin or self.bins[node], "duet"), *words, "--config", self.config,
                                 "--node", node, "--run-dir", self.run_dir(node), "--state-dir", self.state_dir(node))

    def duet(self, node, *words, timeout=30):
        """Runs a `duet` command on a node: the finished process, with returncode, stdout and stderr as text."""
        return subprocess.run(self.duet_words(node, *words), capture_output=True, text=True, timeout=timeout)

    def log_path(self, node):
        return os.path.join(self.dir, node, "log")

    def log(self, node):
        try:
            with open(self.log_path(node), errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def start(self, node, bin=None):
        """`duet run` on a node. Does not wait for anything."""
        with self._lock, open(self.log_path(node), "ab") as log:
            self.processes[node] = subprocess.Popen(self.duet_words(node, "run", bin=bin), stdin=subprocess.DEVNULL,
                                                    stdout=log, stderr=log, start_new_session=True)

    def start_pair(self, first=None, timeout=20):
        """Starts both, `first` (if given) so much earlier that it is active before the other starts."""
        if first:
            self.start(first)
            self.wait_for(lambda: self.serves(first), timeout, "%s serves" % first)
            self.start(other(first))
        else:
            for node in NODES:
                self.start(node)
        return self.wait_settled(timeout=timeout)

    def stop(self, node, timeout=20):
        """A clean end by SIGTERM; returns the exit code."""
        process = self.processes.pop(node)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout)
        self.bus.forget(node)
        return code

    def _reap(self, node):
        process = self.processes.pop(node, None)
        if process:
            process.wait(10)
        self.bus.forget(node)

    def power_off(self, node):
        """Carriers and processes end at once. What lay in memory (the run directory) is gone."""
        with self._lock:
            self.network.power_off(node)
            self._reap(node)
            shutil.rmtree(self.run_dir(node))
            os.mkdir(self.run_dir(node))

    def power_on(self, node, start=True):
        with self._lock:
            self.network.power_on(node)
            if start:
                self.start(node)

    def kill_duet(self, node):
        """All of duet on a node ends by SIGKILL, as the machine's reset would do it, but the wires stay as they are."""
        self.network.kill_all(node)
        self._reap(node)

    def reset(self, node):
        """The quick way to a node as it is after a reboot: processes killed, passive addresses, empty run directory;
        but the carriers stay."""
        with self._lock:
            self.kill_duet(node)
            self.network.boot_addresses(node)
            shutil.rmtree(self.run_dir(node))
            os.mkdir(self.run_dir(node))

    def _watch_reboots(self):
        path = os.path.join(self.dir, "reboots")
        seen = 0
        while not self._stop.wait(0.02):
            lines = open(path).read().split() if os.path.exists(path) else []
            for node in lines[seen:]:
                self.reboots.append(node)
                if self.on_reboot == "cycle":
                    self.power_off(node)
                    self._stop.wait(0.5)
                    history = os.path.join(self.state_dir(node), "superviserd", "restarts")
                    if self.forget_restarts and os.path.exists(history):
                        os.unlink(history)
                    self.power_on(node)
            seen = len(lines)

    def daemon_pid(self, node, daemon):
        """The process of a daemon, or None."""
        for pid in self.network.pids(node):
            try:
                with open("/proc/%d/comm" % pid) as comm:
                    if comm.read().strip() == daemon[:15]:
                        return pid
            except OSError:
                pass
        return None

    def kernel_addresses(self, node, line):
        """What the kernel of a node has on an adapter, without prefix lengths."""
        text = subprocess.run(["ip", "-n", self.network.ns(node), "-json", "-4", "addr", "show", "dev", line],
                              capture_output=True, text=True, timeout=10, check=True).stdout
        return [info["local"] for device in json.loads(text) for info in device.get("addr_info", [])]

    # ------------------------------------------------------- what is the case

    def status(self, node):
        """`duet status --json`, or None if it could not be had."""
        done = self.duet(node, "status", "--json")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def role(self, node):
        return self.bus.last(node, "role")

    def serves(self, node):
        """The node is active, and its kernel has all the active addresses."""
        role, address = self.role(node), self.bus.last(node, "address")
        return bool(role and address and role["role"] == "active" and role["phase"] in SERVING and
                    address["state"] == "holding")

    def is_passive(self, node):
        role, address = self.role(node), self.bus.last(node, "address")
        return bool(role and address and role["phase"] == "passive" and address["state"] == "released")

    def hears_peer(self, node):
        peer = self.bus.last(node, "peer")
        return bool(peer and peer["alive"] and peer["linked"])

    def settled(self):
        """The active node's name when one serves, the other is passive, and both hear each other; else None."""
        for node in NODES:
            if (self.serves(node) and self.is_passive(other(node)) and all(self.hears_peer(n) for n in NODES)):
                return node
        return None

    def ready(self):
        """settled(), and the passive node would take over at once: fit, all channels usable at both. It knows the epoch by
        then, so that what a test notes of both nodes changes for a reason only."""
        active = self.settled()
        if (active and self.role(other(active))["fit"] and all(self.usable(n) for n in NODES)
                and len({self.role(n)["epoch"] for n in NODES}) == 1):
            return active
        return None

    def usable(self, node):
        links = self.bus.topics(node, "link")
        return len(links) == len(CHANNELS) and all(link["usable"] for link in links.values())

    def describe(self):
        """The state of both nodes in a few lines: for error messages."""
        lines = []
        for node in NODES:
            role, address = self.role(node), self.bus.last(node, "address")
            lines.append("%s: %s; addresses %s; alarms %s" % (
                node, role and {key: role[key] for key in ("role", "phase", "epoch", "fit", "unfit_reason", "reason")},
                address and (address["state"], address["error"]), self.bus.alarms(node)))
        lines += ["%.3f %s %s %s epoch %d: %s" % (c[0] / 1e9, *c[1:]) for c in self.bus.changes[-12:]]
        return "\n".join(lines)

    def arp_requests(self, node, channel, seconds):
        """The ARP requests that pass a node's switch port: (sender MAC, sender address, destination MAC, address)."""
        return arp_requests(self.network.ns("switch"), self.network.port(node, channel), seconds)

    # -------------------------------------------------------------- waiting

    def pause(self):
        self.bus.wait(0.02)

    def wait_settled(self, active=None, timeout=20):
        """Until exactly one serves (the one named, if given) and the other is passive."""
        return self.wait_active(self.settled, active, timeout, "passive")

    # ------------------------------------------------------------ observers

    def probe(self, where="inside", every_us=500):
        """Packets all the time: `inside` (client to the inside active address), `outside` (router to the outside
        one), or `through` (client to a host behind the router, through the gateway)."""
        machine, device, to = {"inside": ("client", "inside", ACTIVE["inside"]),
                               "outside": ("router", "outside", ACTIVE["outside"]),
                               "through": ("client", "inside", WORLD)}[where]
        return self.tool(tools.Probe(self.network, machine, device, to, every_us))

    def arpwatch(self, channel, every_us=3000):
        machine = {"outside": "router", "inside": "client"}[channel]
        return self.tool(tools.ArpWatch(self.network, machine, channel, ACTIVE[channel], every_us))

    def ask_once(self, channel, address):
        """The MACs that answer for an address on a LAN."""
        machine = {"outside": "router", "inside": "client"}[channel]
        return tools.ask_once(self.network, machine, channel, address)

    def flood(self, line, **options):
        return self.tool(tools.Flood(self.network, line, **options))
