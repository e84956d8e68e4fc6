"""A replica on a disk whose power is cut: cuts.py WORK CUTS SEED [validate], in a mount namespace of its own.

The replica works on an ext4 of its own, on a disk that notes each write and each flush (tests/tools/cutdisk.c). Then the
disk is made as it may be after a cut at any moment: all that was flushed before, and any part of what was written since.
Each time the replica must come up with one whole generation, none older than it had acknowledged, and go on from there.
"""
import contextlib
import os
import random
import shutil
import struct
import subprocess
import sys
import time
import uuid

IMAGE_BYTES, GENERATIONS, PIECE = 160 << 20, 60, 4096
WRITE, FLUSH, MARK = 1, 2, 3
RECORD = struct.Struct("=IIQ")


def tool_path(name):
    return os.path.join(os.environ["DUET_BIN"], name)


@contextlib.contextmanager
def mounted(device, point):
    subprocess.run(["mount", device, point] if device.startswith("/dev/") else ["mount", "-o", "loop", device, point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", point], check=True)


@contextlib.contextmanager
def recorded(image, log, point):
    """Image as a block device that notes what is done to it."""
    server = subprocess.Popen([tool_path("cutdisk"), image, log, point])
    try:
        end = time.monotonic() + 10
        while not os.path.exists(os.path.join(point, "disk")):
            if server.poll() is not None or time.monotonic() > end:
                raise SystemExit("there is no disk")
            time.sleep(0.02)
        device = subprocess.run(["losetup", "--find", "--show", os.path.join(point, "disk")], capture_output=True, text=True,
                                check=True).stdout.strip()
        try:
            yield device
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)
    finally:
        end = time.monotonic() + 20
        while subprocess.run(["umount", point], capture_output=True).returncode != 0 and time.monotonic() < end:
            time.sleep(0.05)  # a loop device lets go of its file some time after it was detached
        server.wait(20)


def records(log):
    with open(log, "rb") as file:
        while len(head := file.read(RECORD.size)) == RECORD.size:
            kind, size, offset = RECORD.unpack(head)
            yield kind, offset, file.read(size)


class Disk:
    """The disk as it was when the power was cut after so many records."""

    def __init__(self, base, work):
        self.stable, self.cut, self.waiting, self.at = os.path.join(work, "stable"), os.path.join(work, "cut"), [], 0
        self.made, self.durable = {}, 0  # hash of a generation: its number; the latest that was acknowledged
        shutil.copyfile(base, self.stable)
        self.file = open(self.stable, "r+b")

    def take(self, kind, offset, data):
        if kind == WRITE:
            self.waiting.append((offset, data))
        elif kind == FLUSH:
            for at, written in self.waiting:
                self.file.seek(at)
                self.file.write(written)
            self.waiting = []
        else:
            word, number, *rest = data.decode().split()
            if word == "made":
                self.made[rest[0]] = int(number)
            elif word == "durable":
                self.durable = int(number)

    def cut_now(self, rng):
        """Of what was not flushed each piece is there or not; often none or all."""
        self.file.flush()
        subprocess.run(["cp", "--sparse=always", self.stable, self.cut], check=True)
        share = rng.choice([0, 1, 0.5, rng.random()])
        with open(self.cut, "r+b") as file:
            for offset, data in self.waiting:
                for i in range(0, len(data), PIECE):
                    if rng.random() < share:
                        file.seek(offset + i)
                        file.write(data[i:i + PIECE])
        return share


def recover(disk, point, source, validate, what):
    """The hash of what the replica has."""
    with mounted(disk.cut, point):
        done = subprocess.run([tool_path("cuts"), "recover", source, point, *validate], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != 2 or lines[1] != "goes on":
        raise SystemExit(what + done.stdout + done.stderr)
    return lines[0].split()[2]


def start_anew(work):
    """After a power cut the machine starts, and has another boot id."""
    boot_id = os.path.join(work, "boot_id")
    with open(boot_id, "w") as file:
        file.write("%s\n" % uuid.uuid4())
    subprocess.run(["mount", "--bind", boot_id, "/proc/sys/kernel/random/boot_id"], check=True)


def run(work, cuts, seed, validate):
    rng = random.Random(seed)
    image, base, log = (os.path.join(work, name) for name in ("image", "base", "log"))
    source, point, fuse = (os.path.join(work, name) for name in ("source", "mounted", "fuse"))
    for path in (source, point, fuse):
        os.mkdir(path)
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    subprocess.run(["cp", "--sparse=always", image, base], check=True)
    with recorded(image, log, fuse) as device, mounted(device, point):
        subprocess.run([tool_path("cuts"), "give", source, point, os.path.join(fuse, "mark"), str(GENERATIONS),
                        str(rng.randrange(1 << 20)), *validate], check=True)
    start_anew(work)
    all_records = list(records(log))
    first = next(i for i, record in enumerate(all_records) if record[0] == MARK)
    disk, found = Disk(base, work), set()
    for cut in sorted(rng.randrange(first, len(all_records)) for _ in range(cuts)):
        for record in all_records[disk.at:cut]:
            disk.take(*record)
        disk.at = cut
        share = disk.cut_now(rng)
        what = "seed %d, cut after record %d of %d, %.2f of what was not flushed: " % (seed, cut, len(all_records), share)
        hash_ = recover(disk, point, source, validate, what)
        if disk.durable > 0 and hash_ not in disk.made:
            raise SystemExit(what + "the replica has no generation that was ever sent; %d was acknowledged" % disk.durable)
        if disk.durable > 0 and disk.made[hash_] < disk.durable:
            raise SystemExit(what + "it has generation %d, %d was acknowledged" % (disk.made[hash_], disk.durable))
        found.add(disk.made.get(hash_, 0))
    print("%d cuts, %d generations found" % (cuts, len(found)))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
