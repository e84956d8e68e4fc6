"""A connection to a socket of a running qemu, on which lines come at any time."""

import socket
import threading


class Connection:
    """Hands each line to take(), in a thread of its own and with `_changed` held, whose waiters then look again."""

    def __init__(self, path):
        self._changed = threading.Condition()
        self._order = threading.Lock()  # one at a time: each thing that is asked for has its answer before the next
        self._gone = False
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # qemu was quicker
        self._reader.join(timeout=5)
        self._socket.close()

    def _read(self):
        try:
            for line in self._socket.makefile("r", errors="replace"):
                with self._changed:
                    self.take(line)
                    self._changed.notify_all()
        except (OSError, ValueError):
            pass
        with self._changed:
            self._gone = True
            self._changed.notify_all()
