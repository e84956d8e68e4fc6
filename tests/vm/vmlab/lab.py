"""The pair, emulated: alpha and beta are machines with a kernel each, router, client and switch are namespaces.

    with VmLab(image, installed) as lab:
        lab.power_on()
        active = lab.wait_ready()
        lab.machines[active].power_off()
        lab.wait_for(lambda: lab.owner() == other(active), 60, "the other one serves")

Who serves is told by packets: an outsider asks on each channel for the active address all the time, and another one
sends echo requests. What the nodes think of it is asked by `duet status` through the agents. Everything that a lab made
is gone when it is closed, also after an error; should Python itself be killed, the machines end with it.
"""

import atexit
import json
import os
import re
import shutil
import tempfile
import time

from lab import tools
from lab.network import ACTIVE, CHANNELS, NODES, PASSIVE
from lab.pair import Pair, other
from lab.snmp import Sink
from vmlab.agent import AgentError
from vmlab.gateway import SINK_PORT, configuration, gateway_seed
from vmlab.machine import BOOT_S, Machine
from vmlab.network import VmNetwork

READY_S = 60  # from boots to a pair that is ready to fail over again: settle-time, and what emulation adds
_WATCHED_BY = {"outside": "router", "inside": "client"}


class VmLab(Pair):
    """Two machines, off at first, in their surroundings. `installed`: see gateway_seed(). `arguments` are further ones
    for the kernels, by node. `seed` makes a node's, as gateway_seed() does."""

    ready_s = READY_S

    def __init__(self, image, installed, extra="", arguments=None, seed=gateway_seed):
        self._closed = False
        self.dir = tempfile.mkdtemp(prefix="duet-vm-")
        self.network = VmNetwork()
        self.machines = {}
        self.watches = {}
        self.tools = []
        self.sink = None
        atexit.register(self.close)
        try:
            self.network.build()
            key, config = os.urandom(32), configuration(extra)
            for node in NODES:
                self.machines[node] = Machine(
                    node, os.path.join(self.dir, node), image, seed=seed(node, installed, key, config),
                    adapters=self.network.adapters(node), enter=self.network.exec("switch"),
                    arguments=(arguments or {}).get(node, ()))
            self.watches = {channel: self._arpwatch(channel) for channel in CHANNELS}
            self.sink = Sink(self, SINK_PORT).start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        """Ends what runs, removes the namespaces and the files."""
        if self._closed:
            return
        self._closed = True
        for machine in self.machines.values():
            machine.power_off()
        for tool in self.tools:
            tool.kill()
        if self.sink:
            self.sink.stop()
        self.network.destroy()
        shutil.rmtree(self.dir, ignore_errors=True)
        atexit.unregister(self.close)

    # ---------------------------------------------------------------- power

    def power_on(self):
        """Switches on what is off, and waits until all are up."""
        for machine in self.machines.values():
            if not machine.is_on:
                machine.power_on()
        for machine in self.machines.values():
            machine.wait_boot()

    def power_cycle(self):
        """Both anew, whatever they were doing; their disks stay."""
        for machine in self.machines.values():
            machine.power_off()
        self.network.heal()
        self.power_on()

    # ------------------------------------------------------------ observers

    def _arpwatch(self, channel):
        return self.tool(tools.ArpWatch(self.network, _WATCHED_BY[channel], channel, ACTIVE[channel], every_us=20000))

    def probe(self):
        """The client sends echo requests to the active address of its LAN, a hundred a second; stop() sums up."""
        return self.tool(tools.Probe(self.network, "client", "inside", ACTIVE["inside"], every_us=10000))

    def owner(self):
        """The node that answers for the active addresses on all channels, as outsiders see it, or None."""
        owners = {self.node_of(watch.owner) for watch in self.watches.values()}
        return owners.pop() if len(owners) == 1 else None

    def notified(self, node, kind):
        """The texts of the notifications of a kind (DUET-MIB) that came from a node, in order."""
        return [one["duetNotifyText"] for one in self.sink.got(kind) if one["duetNotifyNode"] == node]

    # ------------------------------------------------------- what is the case

    def status(self, node):
        """`duet status --json` of a node, or None if it does not answer."""
        machine = self.machines[node]
        try:
            return json.loads(machine.run("duet status --json 2>/dev/null", timeout=10).text) if machine.is_on else None
        except (AgentError, ValueError):
            return None

    def is_passive(self, node):
        """The node says so, and its kernel has the passive addresses only (L4, L5)."""
        status = self.status(node)
        if not status or status["phase"] != "passive":
            return False
        return all(self.kernel_addresses(node, channel) == [PASSIVE[node][channel]] for channel in CHANNELS)

    def ready(self):
        """The active node's name when outsiders see it alone, the other is passive, and both could swap at once."""
        active = self.owner()
        if active is None:
            return None
        mine, its = self.status(active), self.status(other(active))
        if mine and its and mine["role"] == "active" and its["phase"] == "passive" and mine["ready"] and its["ready"]:
            return active
        return None

    def kernel_addresses(self, node, device):
        """What the kernel of a node has on an adapter, without prefix lengths."""
        said = self.machines[node].check("ip -json -4 address show dev " + device)
        return [info["local"] for adapter in json.loads(said) for info in adapter.get("addr_info", [])]

    def black_box(self, node, boot_id):
        """What the black box of a node kept of its run before this one, which had that boot id; the last thing that it
        saw of the role was that the node is active."""
        told = self.machines[node].check("duet blackbox --boot -1", timeout=60)
        roles = re.findall(r"^ +-?\d+\.\d+ s +arbiterd +role .*\brole=(\w+)", told, re.MULTILINE)
        if boot_id not in told or roles[-1:] != ["active"]:
            raise AssertionError("%s: not the last words of an active node's boot %s:\n%s" % (node, boot_id, told))
        return told

    def describe(self):
        """The state of both nodes in a few lines: for error messages."""
        lines = ["outsiders see: " + ", ".join("%s at %s" % (channel, self.node_of(watch.owner))
                                               for channel, watch in self.watches.items())]
        for node, machine in self.machines.items():
            if not machine.is_on:
                lines.append(node + ": off")
                continue
            status = self.status(node) or {}
            lines.append("%s: %s" % (node, {key: status.get(key) for key in (
                "role", "phase", "epoch", "reason", "fit", "ready", "not_ready", "watchdog", "alarms")}))
            lines.append("%s: qemu's events: %s" % (node, [name for _, name, _ in machine.qmp.events[-8:]]))
        return "\n".join(lines)

    # -------------------------------------------------------------- waiting

    def pause(self):
        time.sleep(0.1)

    def wait_back(self, node, boot_id, timeout=BOOT_S):
        """Until a node has restarted since the run with that boot id, and is passive again (L5)."""
        self.machines[node].wait_boot(boot_id, timeout)
        self.wait_for(lambda: self.is_passive(node), READY_S, "%s is passive after its restart" % node)
