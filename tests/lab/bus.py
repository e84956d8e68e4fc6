"""Listens to the bus of both nodes, as a monitoring tool would: the last message of every topic, and what changed."""

import json
import string
import threading
import time

import zmq

DAEMONS = ("arbiterd", "heartbeatd", "takeoverd", "superviserd", "syncd", "trapd", "monitord", "witnessd")


def now_ns():
    """CLOCK_BOOTTIME, the clock of the messages' mono_ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Bus:
    """A thread that keeps the latest message by (node, topic); a bounded history of role changes."""

    def __init__(self, run_dirs):
        self._last = {}
        self.changes = []  # (mono_ns, node, role, phase, epoch, reason), in the order of arrival; role off: forgotten
        self._lock = threading.Condition()
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._sockets = {}
        for node, run_dir in run_dirs.items():
            socket = self._context.socket(zmq.SUB)
            socket.setsockopt(zmq.RECONNECT_IVL, 10)
            socket.setsockopt(zmq.LINGER, 0)
            for letter in string.ascii_lowercase:  # every topic, and no renewals (docs/architecture.md, "The bus")
                socket.setsockopt(zmq.SUBSCRIBE, letter.encode())
            for daemon in DAEMONS:
                socket.connect("ipc://%s/bus/%s/pub" % (run_dir, daemon))
            self._sockets[node] = socket
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join(timeout=5)
        for socket in self._sockets.values():
            socket.close()
        self._context.term()

    def _listen(self):
        poller = zmq.Poller()
        names = {}
        for node, socket in self._sockets.items():
            poller.register(socket, zmq.POLLIN)
            names[socket] = node
        while not self._stop.is_set():
            for socket, _ in poller.poll(100):
                self._take(names[socket], socket)

    def _take(self, node, socket):
        for _ in range(100):
            try:
                topic, body = socket.recv_multipart(zmq.NOBLOCK)
            except (zmq.Again, ValueError):
                return
            topic = topic.decode()
            with self._lock:
                # Parsed when somebody asks; only the role's changes are wanted at once.
                self._last[node, topic] = (now_ns(), json.loads(body) if topic == "role" else body)
                if topic == "role":
                    self._note_change(node, self._last[node, topic][1])
                self._lock.notify_all()

    def _note_change(self, node, role):
        fact = (node, role["role"], role["phase"], role["epoch"])
        for change in reversed(self.changes):
            if change[1] == node:
                if change[1:5] == fact:
                    return
                break
        self.changes.append((role["mono_ns"], *fact, role["reason"]))
        del self.changes[:-10000]

    def forget(self, node):
        """What a node said before it lost power says nothing about now."""
        with self._lock:
            for key in [key for key in self._last if key[0] == node]:
                del self._last[key]
            self.changes.append((now_ns(), node, "off", "off", 0, "its processes were ended"))

    def last(self, node, topic, fresh_s=2.5):
        """The latest message of a topic, or None if none came of late."""
        with self._lock:
            at, body = self._last.get((node, topic), (0, None))
            if body is None or now_ns() - at > fresh_s * 1e9:
                return None
            if isinstance(body, bytes):
                body = json.loads(body)
                self._last[node, topic] = (at, body)
            return body

    def topics(self, node, area):
        """{NAME: message} of all topics area/NAME of a node."""
        with self._lock:
            names = [key[1] for key in self._last if key[0] == node and key[1].startswith(area + "/")]
        found = {name.split("/", 1)[1]: self.last(node, name) for name in names}
        return {name: body for name, body in found.items() if body is not None}

    def alarms(self, node):
        """The names of the alarms that are on."""
        return sorted(name for name, alarm in self.topics(node, "alarm").items() if alarm["active"])

    def wait(self, seconds):
        """Until some message came, or for so long."""
        with self._lock:
            self._lock.wait(seconds)
