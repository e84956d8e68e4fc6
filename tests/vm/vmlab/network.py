"""The wires of the emulated pair: those of tests/lab, with taps where the namespaces of the nodes would be plugged in.

Ports have the same names and MAC addresses the same values, so that all that the other laboratory does in its switch (a
partition, a mute router, closed ports) and all its observers work here, too. Only power and cables are qemu's.
"""

from lab.network import BRIDGE, LINES, NODES, Network, mac
from vmlab.machine import Adapter


class VmNetwork(Network):
    """Namespaces for router, client and switch; a tap in the switch for each adapter of a machine."""

    def __init__(self):
        super().__init__(nodes=())

    def build(self):
        super().build()
        for node in NODES:
            for line in LINES:
                port = self.port(node, line)
                self.ip("switch", "tuntap add dev %s mode tap" % port,
                        "link set dev %s master %s up" % (port, BRIDGE[line]))

    def adapters(self, node):
        return [Adapter(line, self.port(node, line), mac(node, line)) for line in LINES]
