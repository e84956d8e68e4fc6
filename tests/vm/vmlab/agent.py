"""The host's end of the agent in a machine (see agent.c for the messages): runs commands there without any network."""

import itertools
import time

from vmlab.connection import Connection

GRACE_S = 15  # beyond a command's own time, for an agent that is kept from answering


class AgentError(RuntimeError):
    """The machine did not do what it was asked for; the message tells what, and what it said."""


class Restarted(AgentError):
    """The machine restarted, or ended, while it was busy with a command."""


class Done:
    """What became of a command: its exit code (-1 if it took too long and was killed) and all that it said."""

    def __init__(self, code, output):
        self.code = code
        self.bytes = output
        self.text = output.decode(errors="replace")


def _hex(data):
    return data.hex() or "-"


class Agent(Connection):
    """A connection to the agent port of a running qemu. It lasts over restarts of the machine: `boots` holds the
    (monotonic time, boot id) of each start since."""

    def __init__(self, path):
        self.boots = []
        self._done = {}  # number of a command -> Done
        self._numbers = itertools.count(1)
        super().__init__(path)

    def take(self, line):
        words = line.split()
        if len(words) == 2 and words[0] == "hello":
            self.boots.append((time.monotonic(), words[1]))
        elif len(words) == 4 and words[0] == "done":
            try:
                output = bytes.fromhex(words[3]) if words[3] != "-" else b""
                self._done[int(words[1])] = Done(int(words[2]), output)
            except ValueError:
                pass  # torn by a restart

    @property
    def boot_id(self):
        """Of the machine's present run, None before the first."""
        with self._changed:
            return self.boots[-1][1] if self.boots else None

    def wait_boot(self, other_than, timeout):
        """Waits for the agent of a run that is not `other_than` (a boot id, or None for any): its boot id, or None if
        none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or (self.boots and self.boots[-1][1] != other_than), timeout)
            return self.boots[-1][1] if self.boots and self.boots[-1][1] != other_than else None

    def run(self, script, timeout=30, data=b""):
        """Runs a shell script in the machine, with `data` on its standard input: Done. Whatever it leaves in the
        background goes on. An AgentError if it cannot be known what became of it."""
        with self._order, self._changed:
            number, boots = next(self._numbers), len(self.boots)
            line = "\nrun %d %d %s %s\n" % (number, timeout * 1000, _hex(script.encode()), _hex(data))
            try:
                self._socket.sendall(line.encode())
            except OSError as error:
                raise Restarted("%s: the machine is off (%s)" % (script, error)) from None
            # The agent keeps the time; ours only bounds the wait for an agent that answers no more.
            self._changed.wait_for(lambda: number in self._done or self._is_lost(boots), timeout + GRACE_S)
            if number in self._done:
                return self._done.pop(number)
            if self._is_lost(boots):
                raise Restarted("%s: the machine %s meanwhile" % (script, "ended" if self._gone else "restarted"))
        raise AgentError("%s: the machine's agent did not answer within %g s" % (script, timeout + GRACE_S))

    def _is_lost(self, boots):
        """What was asked for after so many boots will not be answered any more."""
        return self._gone or len(self.boots) > boots

    def order(self, script):
        """Has the machine run a script from which no answer is awaited: one that ends the machine."""
        line = "\nrun 0 60000 %s -\n" % _hex(script.encode())
        with self._order:
            self._socket.sendall(line.encode())
