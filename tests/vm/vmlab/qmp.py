"""Speaks to qemu itself (QMP): orders, and the events that tell to the millisecond when a machine was reset and why."""

import json
import time

from vmlab.connection import Connection


class QmpError(RuntimeError):
    """qemu refused an order, or is gone."""


class Qmp(Connection):
    """A connection to the QMP socket of a running qemu. `events` holds all events so far as (monotonic time, name,
    data), in their order."""

    def __init__(self, path):
        self.events = []
        self._answers = []
        super().__init__(path)
        self.order("qmp_capabilities")

    def take(self, line):
        message = json.loads(line)
        if "event" in message:
            self.events.append((time.monotonic(), message["event"], message.get("data", {})))
        elif "QMP" not in message:
            self._answers.append(message)

    def order(self, command, timeout=20, **arguments):
        """Has qemu do something; returns what it answers."""
        with self._order, self._changed:
            request = {"execute": command, "arguments": arguments}
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise QmpError("%s: qemu is gone (%s)" % (command, error)) from None
            if not self._changed.wait_for(lambda: self._answers or self._gone, timeout):
                raise QmpError("%s: qemu did not answer within %g s" % (command, timeout))
            if not self._answers:
                raise QmpError("%s: qemu ended" % command)
            answer = self._answers.pop(0)
        if "error" in answer:
            raise QmpError("%s %s: %s" % (command, arguments, answer["error"]["desc"]))
        return answer["return"]

    def happened(self, name, since=0.0):
        """The events of a name from a (monotonic) time on: a list of (time, data)."""
        with self._changed:
            return [(at, data) for at, event, data in self.events if event == name and at >= since]
