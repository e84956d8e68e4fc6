"""Some time in the life of two nodes: edits, kills, cut lines and switches at random, by seed; and all the while looks at the
passive node, which must have one whole generation of those that the active one sent.

How a look can be sound. Who holds `STATE/syncd/switch` is promised one whole generation, unless `syncd` is dead in the
middle of a switch. So a look holds that lock, asks the passive node which generation it has, and computes the tree's hash
anew from what lies on the disk (treehash.py). The active node's log says before each generation is sent what hash it has
(DUET_DEBUG), and so outlives a kill; what is on the disk must be that. After each kill of the passive node's `syncd` the
look comes as soon as the next one answers. Besides, each file must have a content that was once written to it whole, or
none: what the active node sent was no mixture either.
"""
import contextlib
import fcntl
import os
import random
import re
import shutil
import signal
import threading
import time

from lab.lab import NODES, other
from lab.sync import make_tree
from lab.treehash import TreeHash

HUGE_BYTES = 20_000_000  # patched in place on the passive node
ENOUGH = {"edits": 500, "kills of the active syncd": 1, "kills of the passive syncd": 1, "cuts": 1, "switches": 1, "looks": 20,
          "generations looked at": 10}  # a story with less shows nothing, and goes on on a slow machine
NOT_KNOWN = "0" * 32     # what the peer keeps of something is not known until it is looked at again: proto/sync.md, COMMIT
_SENT = re.compile(r"set files: generation (\d+\.\d+) is sent, tree ([0-9a-f]{32})")


class Editor:
    """Random edits of a tree, by seed. `written` has the hashes of all contents that files have had."""

    def __init__(self, seed, hashes):
        self.rng, self.hashes = random.Random(seed), hashes
        self.written = {hashes.content(b"")}

    def begin(self, top):
        make_tree(top)
        self.huge = bytearray(HUGE_BYTES)
        with open(os.path.join(top, "huge"), "wb") as file:
            file.write(self.huge)
        self.written.update(self.hashes.look(top)[1].values())

    def name(self, top):
        return os.path.join(top, self.rng.choice(["", "p", "q", "p/r"]), self.rng.choice("abcdefgh"))

    def write(self, path, data):
        self.written.add(self.hashes.content(data))
        with open(path, "wb", buffering=0) as file:
            file.write(data)

    def patch(self, path):
        at, data = self.rng.randrange(HUGE_BYTES - 5000), self.rng.randbytes(5000)
        self.huge[at:at + len(data)] = data
        self.written.add(self.hashes.content(bytes(self.huge)))
        with open(path, "r+b", buffering=0) as file:
            file.seek(at)
            file.write(data)

    def edit(self, top):
        rng, one, two = self.rng, self.name(top), self.name(top)
        for directory in ("p", "q", "p/r"):
            os.makedirs(os.path.join(top, directory), exist_ok=True)
        kind = rng.randrange(11)
        with contextlib.suppress(OSError):  # what is there decides what can be done
            if kind == 0:
                shutil.rmtree(one) if os.path.isdir(one) and not os.path.islink(one) else os.unlink(one)
            elif kind == 1:
                os.rename(one, two)
            elif kind == 2:
                os.rename(os.path.join(top, "p"), os.path.join(top, "q", "moved"))
            elif kind == 3:
                os.symlink("a target", one)
            elif kind == 4:
                os.link(one, two)
            elif kind == 5:
                os.chmod(one, rng.choice([0o600, 0o644, 0o755]))
            elif kind == 6:
                os.chown(one, rng.randrange(4), rng.randrange(4))
            elif kind == 7:
                os.setxattr(one, "user.note", rng.randbytes(rng.randrange(20)))
            elif kind == 8:
                self.patch(os.path.join(top, "huge"))
            else:
                self.write(one, rng.randbytes(rng.randrange(200_000)))


class Story:
    def __init__(self, lab, seed):
        self.lab, self.seed = lab, int(seed)
        self.hashes = None
        self.quiet = threading.Lock()  # held by who looks, and by who does what nobody may look at
        self.sent = {node: {} for node in NODES}  # {generation: tree}, by who sent it
        self.read = {node: 0 for node in NODES}   # of its log
        self.counts = dict.fromkeys(ENOUGH, 0)
        self.seen, self.failure = set(), None

    # ------------------------------------------------------------ looking

    def _read_logs(self):
        for node in NODES:
            with open(self.lab.log_path(node), "rb") as log:
                log.seek(self.read[node])
                lines, newline, _ = log.read().rpartition(b"\n")
            self.read[node] += len(lines) + len(newline)
            self.sent[node].update(_SENT.findall(lines.decode(errors="replace")))

    def _generation(self, node):
        """(number, beginning of the hash) of what the node's syncd says that it has; None: it does not answer."""
        done = self.lab.duet(node, "sync", "log", "files")
        present = [line.split() for line in done.stdout.splitlines() if line.endswith("present")]
        return (present[0][0], present[0][1]) if done.returncode == 0 and present else None

    def look(self):
        """The passive node has one whole generation, and files that once were."""
        node = other(self.active)
        with open(os.path.join(self.lab.state_dir(node), "syncd/switch")) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            said = self._generation(node)
            tree, contents = self.hashes.look(self.lab.data(node, "files"))
        self._read_logs()
        known = {**self.sent[node], **self.sent[self.active]}
        if said and self.sent[self.active].get(said[0]) == NOT_KNOWN:
            known[said[0]] = tree  # its contents are looked at, below
            said = None
        assert tree in known.values(), "%s has what was never sent: tree %s; it says: %s" % (node, tree, said)
        if said and said[0] in self.sent[self.active]:
            assert known[said[0]] == tree and tree.startswith(said[1]), (
                "%s has another generation than it says: tree %s; it says: %s, which is %s" % (node, tree, said, known[said[0]]))
        unknown = [path for path, content in contents.items() if content not in self.editor.written]
        assert not unknown, "%s has files as they never were: %s" % (node, unknown)
        self.seen.add(tree)
        self.counts["looks"] += 1
        self.counts["generations looked at"] = len(self.seen)

    def _look_on_and_on(self):
        rng = random.Random(self.seed + 1000)
        try:
            while not self.over.wait(rng.random() * 0.3):
                with self.quiet:
                    self.look()
        except BaseException as error:  # told by the story's own thread
            self.failure = error

    # ------------------------------------------------------------ what happens

    def _edit_some(self, most):
        for _ in range(self.editor.rng.randrange(most)):
            self.editor.edit(self.lab.data(self.active, "files"))
            self.counts["edits"] += 1

    def _kill(self, rng):
        """Of a node's syncd, while it has much to do."""
        node = rng.choice(NODES)
        with self.quiet:
            self._edit_some(60)
            time.sleep(rng.random() * 0.03)
            pid = self.lab.daemon_pid(node, "syncd")
            if not pid:
                return
            os.kill(pid, signal.SIGKILL)
            self.counts["kills of the %s syncd" % ("active" if node == self.active else "passive")] += 1
            if node != self.active:
                self.lab.wait_for(lambda: self._generation(node), 30, "syncd of %s answers again" % node)
                self.look()

    def _cut(self, rng):
        self.lab.network.pull_cable("alpha", "reserved")
        time.sleep(rng.random() * 3)
        if rng.random() < 0.5:
            self._kill(rng)
        self.lab.network.plug_cable("alpha", "reserved")
        self.counts["cuts"] += 1

    def _switch(self, _rng):
        with self.quiet:
            self.lab.wait_same(timeout=60)
            if self.lab.duet(self.active, "switch").returncode != 0:
                return
            self.active = self.lab.wait_settled(active=other(self.active))
            self.lab.bus.forget("alpha"), self.lab.bus.forget("beta")
            self.lab.wait_current(timeout=60)
            self.look()
            self.counts["switches"] += 1

    def _lacks(self, *what):
        return any(self.counts[one] < ENOUGH[one] for one in what or ENOUGH)

    def _happen(self, rng, long_enough):
        """One of what may happen at this moment; when the story was long enough, what has not happened yet."""
        happens = rng.random()
        if happens < 0.06 or long_enough and self._lacks("kills of the active syncd", "kills of the passive syncd"):
            self._kill(rng)
        elif happens < 0.075 or long_enough and self._lacks("cuts"):
            self._cut(rng)
        elif happens < 0.09 or long_enough and self._lacks("switches"):
            self._switch(rng)

    def _live(self, seconds):
        rng, began, lived = self.editor.rng, time.monotonic(), 0
        while not self.failure and (lived < seconds or lived < 3 * seconds and self._lacks()):
            self._edit_some(20)
            self._happen(rng, lived >= seconds)
            time.sleep(0.05)
            lived = time.monotonic() - began

    def run(self, seconds):
        """The pair, which does not run yet, lives for so long (three times as long where else not enough happens); then both
        nodes have the same. Returns what happened, and how often."""
        self.hashes = TreeHash(os.path.join(self.lab.dir, "cluster.key"))
        self.editor = Editor(self.seed, self.hashes)
        self.editor.begin(self.lab.data("alpha", "files"))
        self.active = self.lab.start_pair(first="alpha")
        self.lab.wait_current()
        self.over = threading.Event()
        looker = threading.Thread(target=self._look_on_and_on)
        looker.start()
        try:
            self._live(seconds)
        finally:
            self.over.set()
            looker.join()
        if self.failure:
            raise self.failure
        self._end()
        little = {what: self.counts[what] for what, least in ENOUGH.items() if self.counts[what] < least}
        assert not little, "too little happened to show anything: %s" % little
        return {**self.counts, "generations": len(self.sent["alpha"]) + len(self.sent["beta"])}

    def _end(self):
        self.lab.wait_same(timeout=60)
        self.lab.wait_current(timeout=60)
        self.look()
        trees = {node: self.hashes.look(self.lab.data(node, "files"))[0] for node in NODES}
        assert trees["alpha"] == trees["beta"], trees
        done = self.lab.duet(self.active, "sync", "verify")
        assert done.returncode == 0, done.stdout + done.stderr
