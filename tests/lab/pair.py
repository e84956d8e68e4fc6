"""What the laboratories have in common, whatever the nodes are: namespaces (lab.py) or emulated machines (tests/vm)."""

import time

from lab.network import CHANNELS, NODES, mac


def other(node):
    return NODES[1 - NODES.index(node)]


class Timeout(AssertionError):
    """Something did not happen in time; the message tells what was the case instead."""


class Pair:
    """Waiting for conditions. A laboratory has `tools`, a list of the observers that run; it says in ready() which node
    is active while the other could take over at once, in describe() what is the case, and in pause() how long it takes
    until that may have changed."""

    ready_s = 40  # the limit of wait_ready()

    def wait_for(self, condition, timeout, what):
        """Waits until condition() is true, and returns its value; else a Timeout that shows the state."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() >= end:
                raise Timeout("not within %g s: %s\n%s" % (timeout, what, self.describe()))
            self.pause()

    def stays(self, condition, seconds, what):
        """The condition must hold for so long without a break."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not condition():
                raise Timeout("did not stay so for %g s: %s\n%s" % (seconds, what, self.describe()))
            self.pause()

    def wait_active(self, found, active, timeout, what):
        """Until found() names an active node, the one that is given if one is; returns it."""
        def named():
            node = found()
            return node if active in (None, node) else None

        return self.wait_for(named, timeout, "one node active (%s), the other %s" % (active or "either", what))

    def wait_ready(self, active=None, timeout=None):
        """Until one node serves (the one named, if given), and the other would take over at once."""
        return self.wait_active(self.ready, active, timeout or self.ready_s, "passive and fit")

    def tool(self, tool):
        self.tools.append(tool)
        return tool

    @staticmethod
    def node_of(address):
        """Whose hardware address this is."""
        for node in NODES:
            if address in [mac(node, channel) for channel in CHANNELS]:
                return node
        return None
