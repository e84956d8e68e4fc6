"""A guarded service that writes to an SQLite database as fast as it is told to, and how copies of it are judged.

Each transaction adds a row to `log` and counts in `counter`. A row carries a hash of itself and of the row before, so the
last row of a copy says what all the others must be. What was begun and what was committed, and when, stands in ledgers
outside of what is synced: one of a line for each, of every run of the service.
"""
import bisect
import contextlib
import fcntl
import glob
import hashlib
import os
import sqlite3

# PATH MODE LEDGERS RATE: until SIGTERM; silent while LEDGERS/pause is there.
_WRITER = r'''#!/usr/bin/python3
import hashlib, os, signal, sqlite3, sys, time

path, mode, ledgers, rate = sys.argv[1:5]
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
now = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
out = os.open("%s/%d-%d" % (ledgers, now(), os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
database = sqlite3.connect(path, isolation_level=None, timeout=5)
assert database.execute("PRAGMA journal_mode = %s" % mode).fetchone() == (mode,)
database.execute("BEGIN IMMEDIATE")
database.execute("CREATE TABLE IF NOT EXISTS counter (n INTEGER)")
database.execute("CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, at INTEGER, chain TEXT, filler BLOB)")
if not database.execute("SELECT * FROM counter").fetchone():
    database.execute("INSERT INTO counter VALUES (0)")
database.execute("COMMIT")
n, chain = database.execute("SELECT n, chain FROM log ORDER BY n DESC LIMIT 1").fetchone() or (0, "")
due = time.monotonic()
while not ended:
    due = max(due + 1 / float(rate), time.monotonic() - 0.1)
    time.sleep(max(0, due - time.monotonic()))
    if os.path.exists(ledgers + "/pause"):
        continue
    at, before = now(), chain
    n, chain = n + 1, hashlib.sha256(("%s %d %d" % (chain, n + 1, at)).encode()).hexdigest()[:32]
    os.write(out, ("begun %d %s %s\n" % (n, chain, before or "-")).encode())
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE counter SET n = n + 1")
    database.execute("INSERT INTO log VALUES (?, ?, ?, ?)", (n, at, chain, os.urandom(300)))
    database.execute("COMMIT")
    os.write(out, ("committed %d %d\n" % (n, now())).encode())
database.close()
'''


class Broken(AssertionError):
    """A copy is not what a database looked like at any moment."""


def install_writer(lab, path, mode, rate=200):
    """Writes the program and returns a service section that runs it on the active node."""
    os.makedirs(os.path.join(lab.dir, "ledgers"), exist_ok=True)
    lab.script("writer", _WRITER)
    words = [os.path.join(lab.dir, "writer"), path, mode, os.path.join(lab.dir, "ledgers"), str(rate)]
    return 'service "writer" {\n    command = {%s}\n    exclusive = on\n    on-failure = demote\n}\n' % ", ".join('"%s"' % w for w in words)


def pause_writer(lab):
    open(os.path.join(lab.dir, "ledgers/pause"), "w").close()


def resume_writer(lab):
    os.unlink(os.path.join(lab.dir, "ledgers/pause"))


def _rows(look):
    if not look.execute("SELECT 1 FROM sqlite_schema WHERE name = 'log'").fetchone():
        return 0, []
    counter = look.execute("SELECT n FROM counter").fetchone()
    return counter[0] if counter else 0, look.execute("SELECT n, at, chain FROM log ORDER BY n").fetchall()


def head_of(path, lock=None):
    """Opens a copy, and returns (n, chain) of its last transaction, (0, "") of one that has none. `lock`: the file whose
    shared flock keeps the replica from switching meanwhile. Broken if anything of it is not as it was committed."""
    with contextlib.ExitStack() as stack:
        if lock:
            held = stack.enter_context(open(lock, "rb"))
            fcntl.flock(held, fcntl.LOCK_SH)
        look = stack.enter_context(contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10, isolation_level=None)))
        look.execute("BEGIN")
        found = look.execute("PRAGMA integrity_check(3)").fetchall()
        if found != [("ok",)]:
            raise Broken("%s: %s" % (path, found))
        counter, rows = _rows(look)
    chain = ""
    for i, (n, at, claimed) in enumerate(rows):
        chain = hashlib.sha256(("%s %d %d" % (chain, n, at)).encode()).hexdigest()[:32]
        if n != i + 1 or claimed != chain:
            raise Broken("%s: row %d of %d is number %d, and %s" % (path, i + 1, len(rows), n, "as it was" if claimed == chain else "another"))
    if counter != len(rows):
        raise Broken("%s: %d transactions were counted, %d are there" % (path, counter, len(rows)))
    return len(rows), chain


class Run:
    """One run of the service: its commits in their order."""

    def __init__(self, name):
        self.began_ns = int(name.split("-")[0])
        self.numbers, self.times = [], []

    def missing(self, n, as_of_ns):
        """When the first transaction after number n was committed, if that was before `as_of_ns`; else None."""
        at = bisect.bisect_right(self.numbers, n)
        return self.times[at] if at < len(self.times) and self.times[at] < as_of_ns else None


class Ledgers:
    """All that the service ever did, as it stands in the ledgers now."""

    def __init__(self, lab):
        self.begun = {"": (0, None)}  # chain -> (n, the chain before)
        self.committed = []  # chains
        self.runs = []
        for path in sorted(glob.glob(os.path.join(lab.dir, "ledgers/*-*")), key=lambda p: int(os.path.basename(p).split("-")[0])):
            self._read(path)

    def _read(self, path):
        run = Run(os.path.basename(path))
        self.runs.append(run)
        last = None
        with open(path) as lines:
            for words in (line.split() for line in lines if line.endswith("\n")):
                if words[0] == "begun":
                    last = words[2]
                    self.begun[last] = (int(words[1]), words[3].strip("-"))
                else:
                    run.numbers.append(int(words[1]))
                    run.times.append(int(words[2]))
                    self.committed.append(last)

    def run_at(self, time_ns, since_ns):
        """The last run before that time, of those that began after `since_ns`; None: there was none."""
        runs = [run for run in self.runs if since_ns < run.began_ns < time_ns]
        return runs[-1] if runs else None

    def past(self, chain):
        """All that a copy with this head has; Broken if nobody ever wrote that."""
        seen = set()
        while chain:
            if chain not in self.begun:
                raise Broken("%s is no transaction that anybody made" % chain)
            seen.add(chain)
            chain = self.begun[chain][1]
        return seen

    def rate(self):
        """Commits a second while a run lasted."""
        spans = [(run.times[-1] - run.times[0]) / 1e9 for run in self.runs if len(run.times) > 1]
        return sum(len(run.times) for run in self.runs) / max(sum(spans), 1e-9)
