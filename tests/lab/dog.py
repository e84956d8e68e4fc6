"""A stand-in for /dev/watchdog: a file that answers the kernel's watchdog ioctls as a driver would.

Where a machine has no watchdog, and must not be restarted, superviserd gets this file as its device. It is served by FUSE,
so open(2), ioctl(2), write(2) and close(2) are the real ones and nothing in superviserd knows the difference; but it is no
driver: tests/vm shows real ones. Each network namespace has a watchdog of its own behind the same path, so that the two
nodes of a pair, which share one configuration, have one each. The process that serves it must not itself have it open while
it starts others: it would wait for itself.

    with Dogs() as dogs:                    # dogs.path is the device
        dog = dogs.of(netns_inode)          # or dogs.own for this process's namespace
        dog.timeout, dog.opened, dog.fed, dog.disarmed, dog.left(), dog.bites …
"""

import ctypes
import errno
import os
import stat
import struct
import tempfile
import threading
import time

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, WRITE, RELEASE, FLUSH = 1, 2, 3, 4, 14, 16, 18, 25
INIT, OPENDIR, RELEASEDIR, INTERRUPT, DESTROY, IOCTL, BATCH_FORGET = 26, 27, 29, 36, 38, 39, 42
ROOT, FILE = 1, 2
MNT_DETACH = 2

INT = 4
GETSUPPORT, KEEPALIVE, SETTIMEOUT, GETTIMEOUT, SETPRETIMEOUT, GETPRETIMEOUT = 0, 5, 6, 7, 8, 9  # numbers of 'W'
OPTION_SETTIMEOUT, OPTION_MAGICCLOSE, OPTION_PRETIMEOUT, OPTION_KEEPALIVE = 0x80, 0x100, 0x200, 0x8000


class Dog:
    """The state of one watchdog. What a driver can and does not do is set before it is opened."""

    def __init__(self):
        self.present = True
        self.options = OPTION_SETTIMEOUT | OPTION_MAGICCLOSE | OPTION_KEEPALIVE
        self.identity = b"lab dog"
        self.timeout = 60  # seconds; what it has until it is told another one
        self.timeout_max = 3600
        self.pretimeout = 0
        self.tells_timeout = True
        self.broken = False  # as if it was pulled out: feeding fails
        self.opened = self.closed = self.disarmed = 0
        self.is_open = self.running = False
        self.feeds = []  # when, time.monotonic()
        self.bites = []  # when it would have restarted the machine
        self._allow_release = False

    def left(self):
        """Seconds until it restarts the machine; None while it does not run. Notes when that has passed."""
        if not self.running:
            return None
        left = self.feeds[-1] + self.timeout - time.monotonic()
        if left < 0:
            self.bites.append(self.feeds[-1] + self.timeout)
            self.running = False
        return left

    def _feed(self):
        self.left()
        self.feeds.append(time.monotonic())

    def open(self):
        if not self.present:
            return errno.ENODEV
        if self.is_open:
            return errno.EBUSY
        self.is_open = True
        self.opened += 1
        self._allow_release = False
        self._feed()
        self.running = True
        return 0

    def close(self):
        self.left()
        self.is_open = False
        self.closed += 1
        if self._allow_release or not self.options & OPTION_MAGICCLOSE:
            self.disarmed += self.running
            self.running = False

    def write(self, data):
        self._allow_release = b"V" in data
        self._feed()

    def _set(self, name, value):
        if not self.options & (OPTION_SETTIMEOUT if name == "timeout" else OPTION_PRETIMEOUT):
            return -errno.EOPNOTSUPP, b""
        if value < 1 or value > self.timeout_max or (name == "pretimeout" and value >= self.timeout):
            return -errno.EINVAL, b""
        setattr(self, name, value)
        self._feed()
        return 0, struct.pack("i", value)

    def ioctl(self, number, data):
        """(result, data out)."""
        value = struct.unpack("i", data[:INT])[0] if len(data) >= INT else 0
        if number == GETSUPPORT:
            return 0, struct.pack("II32s", self.options, 0, self.identity)
        if number == KEEPALIVE:
            if self.broken:
                return -errno.ENODEV, b""
            self._feed()
            return 0, struct.pack("i", 0)
        if number == GETTIMEOUT:
            return (0, struct.pack("i", self.timeout)) if self.tells_timeout else (-errno.EOPNOTSUPP, b"")
        if number == GETPRETIMEOUT:
            return 0, struct.pack("i", self.pretimeout)
        if number in (SETTIMEOUT, SETPRETIMEOUT):
            return self._set("timeout" if number == SETTIMEOUT else "pretimeout", value)
        return -errno.ENOTTY, b""


class Dogs:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="dog-")
        self.path = os.path.join(self.directory, "watchdog")
        self.truncated = False  # somebody treated it as a file
        self._dogs = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % self._fd
        if self._libc.mount(b"dogs", self.directory.encode(), b"fuse", 0, options) < 0:
            raise OSError(ctypes.get_errno(), "cannot mount a FUSE file system")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        self._libc.umount2(self.directory.encode(), MNT_DETACH)
        self._thread.join(timeout=5)
        os.close(self._fd)
        os.rmdir(self.directory)

    def of(self, inode):
        """The watchdog of a network namespace."""
        return self._dogs.setdefault(inode, Dog())

    @property
    def own(self):
        return self.of(os.stat("/proc/self/ns/net").st_ino)

    # ------------------------------------------------------------------ FUSE

    def _serve(self):
        handles = {}
        while True:
            try:
                request = os.read(self._fd, 1 << 18)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                return  # ENODEV: it was unmounted
            length, opcode, unique, node, _uid, _gid, pid, _pad = struct.unpack_from("IIQQIIII", request)
            answer = self._answer(opcode, node, pid, request[40:length], handles)
            if answer is None:
                continue
            error, body = answer
            try:
                os.write(self._fd, struct.pack("IiQ", 16 + len(body), -error, unique) + body)
            except OSError:
                pass  # the one who asked is gone

    @staticmethod
    def _attributes(node):
        mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o600
        return struct.pack("QQQQQQIIIIIIIIII", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _open(self, pid, handles):
        try:
            dog = self.of(os.stat("/proc/%d/ns/net" % pid).st_ino)
        except FileNotFoundError:
            return errno.ESRCH, b""
        error = dog.open()
        if error:
            return error, b""
        handle = max(handles, default=0) + 1
        handles[handle] = dog
        return 0, struct.pack("QII", handle, 1, 0)  # direct I/O

    def _answer(self, opcode, node, pid, body, handles):
        """(errno, body), or None where none is wanted."""
        if opcode == INIT:
            return 0, struct.pack("IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, 0)
        if opcode == LOOKUP:
            if body.rstrip(b"\0") != b"watchdog":
                return errno.ENOENT, b""
            return 0, struct.pack("QQQQII", FILE, 0, 0, 0, 0, 0) + self._attributes(FILE)
        if opcode in (GETATTR, SETATTR):
            self.truncated = self.truncated or opcode == SETATTR
            return 0, struct.pack("QII", 1, 0, 0) + self._attributes(node)
        if opcode == OPEN:
            return self._open(pid, handles)
        if opcode == RELEASE:
            handles.pop(struct.unpack_from("Q", body)[0]).close()
            return 0, b""
        if opcode == WRITE:
            handle, _offset, size = struct.unpack_from("QQI", body)
            handles[handle].write(body[40:40 + size])
            return 0, struct.pack("II", size, 0)
        if opcode == IOCTL:
            handle, _flags, command = struct.unpack_from("QII", body)
            if command >> 8 & 0xff != ord("W"):
                return errno.ENOTTY, b""
            result, out = handles[handle].ioctl(command & 0xff, body[32:])
            return (-result, b"") if result < 0 else (0, struct.pack("iIII", result, 0, 0, 0) + out)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return None
        return (0, b"") if opcode in (OPENDIR, RELEASEDIR, DESTROY) else (errno.ENOSYS, b"")
