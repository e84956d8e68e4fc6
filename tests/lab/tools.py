"""The packet programs of tests/tools, run in the lab's namespaces: what they see is what the tests judge by."""

import json
import os
import select
import signal
import subprocess
import time


# Before the words of a daemon: it can then not restart the machine that the tests run on, whatever it is told.
NO_REBOOT = ["setpriv", "--inh-caps", "-sys_boot", "--bounding-set", "-sys_boot", "--"]


def tool_path(name):
    """In DUET_BIN, beside duet."""
    path = os.path.join(os.environ["DUET_BIN"], name)
    if not os.access(path, os.X_OK):
        raise RuntimeError("%s is not there: build it first (tests/run does), and set DUET_BIN" % path)
    return path


class Tool:
    """A running program that prints JSON lines."""

    def __init__(self, words):
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self._rest = b""
        first = next(self._lines(10), None)
        if first != {"event": "ready"}:
            self.kill()
            raise RuntimeError("%s does not run: %s" % (words, self.process.stderr.read().decode()))

    def _note(self, line):
        """Called with each line; returns it if it is a result."""
        return line

    def _lines(self, seconds):
        """The lines that come within so long, at least one if any comes at all."""
        fd = self.process.stdout.fileno()
        end = time.monotonic() + seconds
        while True:
            while b"\n" in self._rest:
                line, self._rest = self._rest.split(b"\n", 1)
                yield json.loads(line)
            left = max(0.0, end - time.monotonic())
            if not select.select([fd], [], [], left)[0]:
                return
            more = os.read(fd, 65536)
            if not more:
                return
            self._rest += more

    def stop(self, seconds=10):
        """Ends it and returns its last line, the summary."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        last = None
        for line in self._lines(seconds):
            last = self._note(line) or last
        error = self.process.stderr.read().decode() if self.process.wait(seconds) != 0 else ""
        self.process.stdout.close()
        self.process.stderr.close()
        if last is None:
            raise RuntimeError("%s said nothing: %s" % (self.process.args, error))
        return last

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)


class Probe(Tool):
    """A client that asks `to` every `every_us` microseconds. snapshot() and stop() return
    {sent, received, lost, open_ms, gaps: [{start_ns, ms}], owners: [{at_ns, mac}]}; a snapshot starts anew."""

    def __init__(self, network, machine, device, to, every_us=500, realtime=True):
        words = [tool_path("probe"), "--device", device, "--to", to, "--every-us", str(every_us)]
        if realtime:
            words += ["--realtime", "yes"]
        super().__init__(network.exec(machine, *words))

    def snapshot(self):
        self.process.send_signal(signal.SIGUSR1)
        return next(self._lines(10))


def longest_gap_ms(result):
    """The longest time without a reply, also one that has not ended."""
    return max([result["open_ms"]] + [gap["ms"] for gap in result["gaps"]])


class ArpWatch(Tool):
    """Asks who has an address every few milliseconds. `owner` is the MAC that answers now, or None; `history` has all
    (at_ns, mac). summary() and stop() return {asked, answered, dual, dual_ms, silence_ms, …}; a summary starts anew."""

    def __init__(self, network, machine, device, address, every_us=3000):
        words = [tool_path("arpwatch"), "--device", device, "--address", address, "--every-us", str(every_us)]
        self.history = []
        super().__init__(network.exec(machine, *words, "--realtime", "yes"))

    def _note(self, line):
        if line["event"] == "owner":
            self.history.append((line["at_ns"], line["mac"]))
            return None
        return line

    def read(self):
        for line in self._lines(0):
            self._note(line)

    @property
    def owner(self):
        self.read()
        return self.history[-1][1] if self.history else None

    def summary(self):
        self.process.send_signal(signal.SIGUSR1)
        for line in self._lines(10):
            if self._note(line):
                return line
        raise RuntimeError("arpwatch gave no summary")


class Flood(Tool):
    """Hostile datagrams on one line, made from heartbeats that it hears there: kinds replay, truncate, garbage, flip,
    foreign, mixed."""

    def __init__(self, network, line, kind="mixed", rate=10000, seconds=10, listen_to="alpha", save=None, load=None,
                 send=True):
        bridge = {"outside": "out", "inside": "in", "reserved": "line"}[line]
        words = [tool_path("flood"), "--kind", kind, "--ether", "udp" if line == "reserved" else "0x88b5",
                 "--rate", str(rate), "--seconds", str(seconds)]
        if load is None:
            words += ["--listen", network.port(listen_to, line)]
        if send:
            words += ["--send", bridge]
        for option, value in (("--save", save), ("--load", load)):
            if value:
                words += [option, value]
        super().__init__(network.exec("switch", *words))

    def wait(self, seconds):
        """Until it ends by itself: {heard, sent}."""
        self.process.wait(seconds)
        return self.stop()


class Stall(Tool):
    """A process with the daemons' scheduling and nothing to do. `late` has all (at_ns, ms) when the machine did not let it run in
    time."""

    def __init__(self):
        self.late = []
        super().__init__([tool_path("stall")])

    def _note(self, line):
        if line["event"] == "late":
            self.late.append((line["at_ns"], line["ms"]))
            return None
        return line

    def read(self):
        for line in self._lines(0):
            self._note(line)

    def before(self, at_ns, within_ns):
        """The longest in the time before that."""
        return max([ms for late_ns, ms in self.late if at_ns - within_ns < late_ns <= at_ns], default=0)


def ask_once(network, machine, device, address, seconds=0.3):
    """Who answers for an address: the MACs, sorted."""
    watch = ArpWatch(network, machine, device, address, every_us=50000)
    time.sleep(seconds)
    watch.stop()
    return sorted({mac for _, mac in watch.history if mac})
