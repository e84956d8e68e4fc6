"""Speaks to qemu itself (QMP): orders, and the events that tell to the millisecond when a machine was reset and why."""

import json
import socket
import threading
import time


class QmpError(RuntimeError):
    """qemu refused an order, or is gone."""


class Qmp:
    """A connection to the QMP socket of a running qemu. `events` holds all events so far as (monotonic time, name,
    data), in their order."""

    def __init__(self, path):
        self.events = []
        self._answers = []
        self._changed = threading.Condition()
        self._order = threading.Lock()  # one at a time: answers come in the order of the questions
        self._gone = False
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.order("qmp_capabilities")

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # qemu was quicker
        self._reader.join(timeout=5)
        self._socket.close()

    def _read(self):
        try:
            for line in self._socket.makefile("r"):
                self._take(json.loads(line))
        except (OSError, ValueError):
            pass
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def _take(self, message):
        with self._changed:
            if "event" in message:
                self.events.append((time.monotonic(), message["event"], message.get("data", {})))
            elif "QMP" not in message:
                self._answers.append(message)
            self._changed.notify_all()

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
