"""L13, after a power cut: a passive node comes up with one whole generation, none older than it had acknowledged.

A replica works on an ext4 of its own, on a disk that notes each write and each flush (tests/tools/cutdisk.c). Then the disk
is made as it may be after a cut at any moment: all that was flushed before, and any part of what was written since.

    CUTS=1000 CUTS_SEED=7 tests/run system -k cuts
"""
import contextlib
import os
import random
import shutil
import struct
import subprocess
import time

import pytest

TOOLS = os.environ["DUET_BIN"]
CUTS = int(os.environ.get("CUTS", "40"))
SEED = int(os.environ.get("CUTS_SEED", str(random.randrange(1 << 30))))
IMAGE_BYTES, GENERATIONS, PIECE = 160 << 20, 60, 4096
WRITE, FLUSH, MARK = 1, 2, 3
RECORD = struct.Struct("=IIQ")


def tool(name):
    return os.path.join(TOOLS, name)


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
    server = subprocess.Popen([tool("cutdisk"), image, log, point])
    try:
        end = time.monotonic() + 10
        while not os.path.exists(os.path.join(point, "disk")):
            assert server.poll() is None and time.monotonic() < end, "no such disk"
            time.sleep(0.02)
        device = subprocess.run(["losetup", "--find", "--show", os.path.join(point, "disk")], capture_output=True, text=True,
                                check=True).stdout.strip()
        try:
            yield device
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)
    finally:
        subprocess.run(["umount", point], check=False)
        server.wait(10)


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


def recover(disk, point, source, validate):
    with mounted(disk.cut, point):
        done = subprocess.run([tool("cuts"), "recover", source, point, *validate], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2 and lines[1] == "goes on", done.stdout + done.stderr
    return lines[0].split()[2]


@pytest.mark.parametrize("variant", ["", "validate"])
def test_L13_a_power_cut_leaves_a_whole_generation(tmp_path, variant):
    if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        pytest.skip("no FUSE or no loop devices on this machine: the disk cannot be recorded")
    validate = [variant] if variant else []
    rng = random.Random(SEED)
    image, base, log = (str(tmp_path / name) for name in ("image", "base", "log"))
    source, point, fuse = (str(tmp_path / name) for name in ("source", "mounted", "fuse"))
    for path in (source, point, fuse):
        os.mkdir(path)
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    subprocess.run(["cp", "--sparse=always", image, base], check=True)
    with recorded(image, log, fuse) as device, mounted(device, point):
        subprocess.run([tool("cuts"), "give", source, point, os.path.join(fuse, "mark"), str(GENERATIONS), str(rng.randrange(1 << 20)),
                        *validate], check=True)
    all_records = list(records(log))
    first = next(i for i, record in enumerate(all_records) if record[0] == MARK)
    cuts = sorted(rng.randrange(first, len(all_records)) for _ in range(CUTS))
    disk, found = Disk(base, str(tmp_path)), []
    for cut in cuts:
        for record in all_records[disk.at:cut]:
            disk.take(*record)
        disk.at = cut
        share = disk.cut_now(rng)
        what = "seed %d, cut after record %d of %d, %.2f of what was not flushed" % (SEED, cut, len(all_records), share)
        try:
            hash_ = recover(disk, point, source, validate)
        except AssertionError as error:
            raise AssertionError("%s: %s" % (what, error)) from None
        if disk.durable > 0:
            assert hash_ in disk.made, "%s: the replica has no generation that was ever sent" % what
            assert disk.made[hash_] >= disk.durable, "%s: it has generation %d, %d was acknowledged" % (what, disk.made[hash_], disk.durable)
        found.append(disk.made.get(hash_, 0))
    assert len(set(found)) > min(CUTS, 10) / 2
