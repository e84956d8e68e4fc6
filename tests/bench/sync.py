"""`tests/bench/run sync`: files on the active node until they are on the passive one, beside rsync and lsyncd.

All run between the same two namespaces over the same reserved line, from and to the same file system: ext4 in an image of
its own, made anew for each measurement. rsync runs as a daemon on the receiving side (-aHAX --delete), once as it comes
and once with --fsync, since duet's copy is durable when it is seen; lsyncd drives rsync with a delay of 0.
"""

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import threading
import time

from lab.network import RESERVED
from lab.sync import SyncLab

IMAGE_BYTES = 8 << 30
RSYNC_OPTIONS = ["-aHAX", "--delete"]
SYNC_SETTINGS = {"max_delay": "100ms"}


def show(case, who, values, unit="ms", note=""):
    print("  %-34s %-14s median %9.1f %s   (%.1f-%.1f, %d times)%s"
          % (case, who, statistics.median(values), unit, min(values), max(values), len(values), note), flush=True)


class Disks:
    """The data directories of both nodes on an ext4 of their own."""

    def __init__(self, lab, inodes=None):
        self.lab, self.inodes = lab, inodes
        self.image = os.path.join(lab.dir, "image")
        self.mount = os.path.join(lab.dir, "disk")

    def __enter__(self):
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        inodes = ["-N", str(self.inodes)] if self.inodes else []
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", *inodes, self.image], check=True)
        os.makedirs(self.mount)
        subprocess.run(["mount", "-o", "loop", self.image, self.mount], check=True)
        for node in ("alpha", "beta"):
            for name in ("data", "state"):
                path = os.path.join(self.mount, node, name)
                os.makedirs(path)
                there = os.path.join(self.lab.dir, node, name)
                subprocess.run(["mount", "--bind", path, there], check=True)
        return self

    def __exit__(self, *_):
        for node in ("alpha", "beta"):
            for name in ("data", "state"):
                subprocess.run(["umount", os.path.join(self.lab.dir, node, name)], check=False)
        subprocess.run(["umount", self.mount], check=False)


def wire_bytes(lab):
    """What alpha has sent and received on the reserved line."""
    out = subprocess.run(lab.network.exec("alpha", "sh", "-c", "cat /sys/class/net/reserved/statistics/[rt]x_bytes"),
                         capture_output=True, text=True, check=True).stdout.split()
    return sum(map(int, out))


class Duet:
    name = "duet"

    def __init__(self, lab):
        self.lab = lab
        lab.write_config(extra=lab.sync_set(**SYNC_SETTINGS))
        for node in ("alpha", "beta"):
            os.makedirs(lab.data(node, "files"), exist_ok=True)
        lab.start_pair(first="alpha")
        lab.wait_current(timeout=60)

    def source(self, *names):
        return self.lab.data("alpha", "files", *names)

    def target(self, *names):
        return self.lab.data("beta", "files", *names)

    def run_until(self, condition, limit_s=120):
        wait_for(condition, limit_s)

    def settle(self):
        self.lab.wait_current(timeout=120)

    def processes(self):
        return [self.lab.daemon_pid(node, "syncd") for node in ("alpha", "beta")]

    def close(self):
        for node in ("alpha", "beta"):
            self.lab.stop(node)


class Rsync:
    """An rsync daemon on beta; a run of rsync on alpha for each measurement."""

    def __init__(self, lab, fsync=False):
        self.lab, self.name = lab, "rsync --fsync" if fsync else "rsync"
        self.options = RSYNC_OPTIONS + (["--fsync"] if fsync else [])
        for node in ("alpha", "beta"):
            os.makedirs(lab.data(node, "files"), exist_ok=True)
        config = os.path.join(lab.dir, "rsyncd.conf")
        with open(config, "w") as out:
            out.write("use chroot = no\nuid = root\ngid = root\n[files]\n  path = %s\n  read only = no\n" % lab.data("beta", "files"))
        lab.network.ip("alpha", "link set reserved up", "addr replace %s/24 dev reserved" % RESERVED["alpha"])
        lab.network.ip("beta", "link set reserved up", "addr replace %s/24 dev reserved" % RESERVED["beta"])
        self.daemon = subprocess.Popen(lab.network.exec("beta", "rsync", "--daemon", "--no-detach", "--config", config,
                                                        "--address", RESERVED["beta"]))
        time.sleep(0.3)

    def source(self, *names):
        return self.lab.data("alpha", "files", *names)

    def target(self, *names):
        return self.lab.data("beta", "files", *names)

    def run(self):
        subprocess.run(self.lab.network.exec("alpha", "rsync", *self.options, self.source() + "/",
                                             "rsync://%s/files/" % RESERVED["beta"]), check=True)

    def run_until(self, condition, limit_s=120):
        self.run()
        wait_for(condition, limit_s)

    def settle(self):
        self.run()

    def processes(self):
        return []

    def close(self):
        self.daemon.terminate()
        self.daemon.wait()


class Lsyncd(Rsync):
    def __init__(self, lab):
        super().__init__(lab)
        self.name = "lsyncd"
        config = os.path.join(lab.dir, "lsyncd.lua")
        with open(config, "w") as out:
            out.write('settings { nodaemon = true, logfile = "/dev/null" }\nsync { default.rsync, source = "%s", target = "rsync://%s/files/",'
                      " delay = 0, rsync = { archive = true, hard_links = true } }\n" % (self.source(), RESERVED["beta"]))
        self.follower = subprocess.Popen(lab.network.exec("alpha", "lsyncd", config), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)

    def run_until(self, condition, limit_s=120):
        wait_for(condition, limit_s)

    def settle(self):
        time.sleep(1)

    def close(self):
        self.follower.terminate()
        self.follower.wait()
        super().close()


def wait_for(condition, limit_s):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("not within %d s" % limit_s)
        time.sleep(0.0002)


def count(top):
    return sum(len(files) for _, _, files in os.walk(top))


def cpu_s(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def pss_mib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024


# ------------------------------------------------------------------ the cases


def small_files(top, number, rng):
    for i in range(number):
        directory = os.path.join(top, "d%d" % (i // 100))
        if i % 100 == 0:
            os.makedirs(directory)
        with open(os.path.join(directory, "file-%d" % i), "wb") as out:
            out.write(rng.randbytes(rng.randrange(1024, 8192)))


def first_small(who, lab, number=10000):
    """The tree is moved into the set at one moment; the end is when its last file is there."""
    aside = lab.data("alpha", "aside")
    small_files(aside, number, random.Random(number))
    os.sync()
    begun = time.monotonic()
    os.rename(aside, who.source("tree"))
    who.run_until(lambda: os.path.exists(who.target("tree/d%d" % ((number - 1) // 100))) and count(who.target("tree")) == number)
    return (time.monotonic() - begun) * 1000


def first_big(who, lab, size=1 << 30):
    aside = lab.data("alpha", "aside")
    rng = random.Random(5)
    with open(aside, "wb") as out:
        for _ in range(size >> 20):
            out.write(rng.randbytes(1 << 20))
    os.sync()
    begun = time.monotonic()
    os.rename(aside, who.source("big"))
    who.run_until(lambda: os.path.exists(who.target("big")) and os.path.getsize(who.target("big")) == size)
    return (time.monotonic() - begun) * 1000


def save_small(who, lab, n):
    # rsync looks at size and whole seconds: a file of the same size, saved twice in a second, it would not see.
    text = ("%08d" % n) * (128 + n % 16)
    begun = time.monotonic()
    with open(who.source("saved"), "w") as out:
        out.write(text)

    def there():
        try:
            with open(who.target("saved")) as copy:
                return copy.read() == text
        except OSError:
            return False
    who.run_until(there)
    return (time.monotonic() - begun) * 1000


def patch_big(who, lab, n):
    """4 KiB in the middle of a file of 1 GiB."""
    offset, piece = (512 << 20) + n * 8192, os.urandom(4096)
    copy = os.open(who.target("big"), os.O_RDONLY)
    before = wire_bytes(lab)
    begun = time.monotonic()
    with open(who.source("big"), "r+b") as out:
        out.seek(offset)
        out.write(piece)

    def there():
        with open(who.target("big"), "rb") as file:
            file.seek(offset)
            return file.read(4096) == piece
    who.run_until(there)
    took = (time.monotonic() - begun) * 1000
    os.close(copy)
    return took, wire_bytes(lab) - before


def rename_directory(who, lab, n):
    old, new = ("tree", "renamed") if n % 2 == 0 else ("renamed", "tree")
    before = wire_bytes(lab)
    begun = time.monotonic()
    os.rename(who.source(old), who.source(new))
    who.run_until(lambda: os.path.exists(who.target(new)) and not os.path.exists(who.target(old)))
    return (time.monotonic() - begun) * 1000, wire_bytes(lab) - before


def heartbeats_per_s(lab, seconds=2):
    """What the reserved line carries when nothing is synchronised."""
    before = wire_bytes(lab)
    time.sleep(seconds)
    return (wire_bytes(lab) - before) / seconds


def reconnect(lab, disturb, rate):
    """From the end of `disturb` until both say that they are current: milliseconds, and bytes without heartbeats."""
    disturb()
    before = wire_bytes(lab)
    begun = time.monotonic()
    lab.bus.forget("alpha"), lab.bus.forget("beta")
    lab.wait_for(lambda: all(lab.is_current(node) for node in ("alpha", "beta")), 600, "current again")
    took = time.monotonic() - begun
    return took * 1000, max(0, wire_bytes(lab) - before - rate * took)


def kill_both(lab):
    for node in ("alpha", "beta"):
        os.kill(lab.daemon_pid(node, "syncd"), 9)


def cut_line(lab):
    lab.network.ip("alpha", "link set reserved down")
    lab.wait_for(lambda: not any((lab.sync(node) or {}).get("connected") for node in ("alpha", "beta")), 60, "not connected")
    lab.network.ip("alpha", "link set reserved up")


@contextlib.contextmanager
def made(kind, inodes=None, **options):
    with SyncLab() as lab, Disks(lab, inodes):
        who = kind(lab, **options)
        try:
            yield lab, who
        finally:
            who.close()


KINDS = [(Duet, {}), (Rsync, {}), (Rsync, {"fsync": True}), (Lsyncd, {})]


def in_turn(kinds, times, measure):
    """Each in turn, so that what the machine does meanwhile is everybody's; {name: values}."""
    values = {}
    for _ in range(times):
        for kind, options in kinds:
            with made(kind, **options) as (lab, who):
                values.setdefault(who.name, []).append(measure(who, lab))
    return values


def case_first_small(times):
    for name, values in in_turn(KINDS, times, first_small).items():
        show("10,000 new files", name, values)


def case_first_big(times):
    spent = []

    def measure(who, lab):
        cpu = cpu_s(who.processes())
        took = first_big(who, lab)
        if who.processes():
            spent.append(cpu_s(who.processes()) - cpu)
        return took
    for name, values in in_turn(KINDS[:3], times, measure).items():
        show("one new file of 1 GiB", name, values, note="   CPU of both %.1f s" % statistics.median(spent) if name == "duet" else "")


def case_saved(times):
    for kind, options in KINDS:
        with made(kind, **options) as (lab, who):
            first_small(who, lab, 1000)
            who.settle()
            values = [save_small(who, lab, n) for n in range(30 * times if kind is Duet else 10 * times) if not time.sleep(0.02)]
            show("1 KiB saved, 1,000 beside it", who.name, values,
                 note="   p99 %.1f" % sorted(values)[int(len(values) * 0.99) - 1])


def case_patch(times):
    for kind, options in KINDS[:2]:
        with made(kind, **options) as (lab, who):
            first_big(who, lab)
            who.settle()
            pairs = [patch_big(who, lab, n) for n in range(times)]
            show("4 KiB changed in 1 GiB", who.name, [p[0] for p in pairs], note="   %.0f kB" % (statistics.median([p[1] for p in pairs]) / 1e3))


def case_rename(times):
    for kind, options in KINDS[:2]:
        with made(kind, **options) as (lab, who):
            first_small(who, lab)
            who.settle()
            pairs = [rename_directory(who, lab, n) for n in range(times)]
            show("directory of 10,000 renamed", who.name, [p[0] for p in pairs], note="   %.0f kB" % (statistics.median([p[1] for p in pairs]) / 1e3))


def show_reconnect(case, lab, disturb, times, who, pause_s):
    rate = heartbeats_per_s(lab)
    pairs = []
    for _ in range(times):
        pairs.append(reconnect(lab, lambda: disturb(lab), rate))
        time.sleep(pause_s)
    show(case, "duet", [p[0] for p in pairs],
         note="   %.1f kB; PSS %.0f and %.0f MiB" % (statistics.median([p[1] for p in pairs]) / 1e3,
                                                    *(pss_mib(pid) for pid in who.processes())))


def case_reconnect(times):
    with made(Duet) as (lab, who):
        first_small(who, lab, 100_000)
        who.settle()
        show_reconnect("line cut, 100,000 unchanged", lab, cut_line, times, who, 1)
        time.sleep(6)
        show_reconnect("both killed, 100,000 unchanged", lab, kill_both, times, who, 6)
    with made(Rsync) as (lab, who):
        first_small(who, lab, 100_000)
        values = []
        for _ in range(times):
            begun = time.monotonic()
            who.run()
            values.append((time.monotonic() - begun) * 1000)
        show("nothing changed, 100,000", "rsync", values)


def empty_files(top, number):
    for i in range(number // 1000):
        directory = os.path.join(top, "d%d" % (i // 100), "d%d" % i)
        os.makedirs(directory)
        for k in range(1000):
            os.close(os.open(os.path.join(directory, "file-%d" % (i * 1000 + k)), os.O_CREAT | os.O_WRONLY, 0o644))


def case_many(times):
    """Empty files, so that what is measured is the index."""
    for number in (100_000, 1_000_000):
        with made(Duet, inodes=3_000_000) as (lab, who):
            empty_files(lab.data("alpha", "aside"), number)
            os.sync()
            begun = time.monotonic()
            os.rename(lab.data("alpha", "aside"), who.source("tree"))
            lab.wait_for(lambda: all((lab.sync(n, "files") or {}).get("entries", 0) > number and lab.is_current(n) for n in ("alpha", "beta")),
                         900, "all is there")
            show("%d empty files" % number, "duet", [(time.monotonic() - begun) * 1000],
                 note="   PSS %.0f and %.0f MiB" % tuple(pss_mib(pid) for pid in who.processes()))
            time.sleep(10)
            show_reconnect("both killed, %d unchanged" % number, lab, kill_both, min(times, 3), who, 10)


CASES = {"first-small": case_first_small, "first-big": case_first_big, "saved": case_saved, "patch": case_patch,
         "rename": case_rename, "reconnect": case_reconnect, "many": case_many}


def bench_sync(times, wanted=None):
    print("sync: from the active to the passive node, over the reserved line, on ext4 in an image; %d times each" % times)
    for name, case in CASES.items():
        if not wanted or name in wanted:
            case(times)
