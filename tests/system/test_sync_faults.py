"""L13: what goes wrong around sync is told, hurts nothing else, and is over when its cause is."""
import os
import time

import pytest

from lab.bus import now_ns
from lab.lab import NODES
from lab.sync import SyncLab, photo


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        yield made


def write(path, content="", mode="w"):
    with open(path, mode) as file:
        file.write(content)


def start(lab, **keys):
    for node in NODES:
        os.makedirs(lab.data(node, "files"), exist_ok=True)
    lab.write_config(extra=lab.sync_set(**keys))
    lab.start_pair(first="alpha")


def told(lab, node, words, timeout=15):
    """The set's text, and the alarm, have the words."""
    lab.wait_for(lambda: words in (lab.sync(node, "files") or {"text": ""})["text"], timeout, "%s says: %s" % (node, words))
    lab.wait_for(lambda: "sync-trouble" in lab.bus.alarms(node), 5, "%s has the alarm" % node)


def is_over(lab, node, timeout=30):
    lab.wait_for(lambda: (lab.sync(node, "files") or {"text": "?"})["text"] == "", timeout, "%s says nothing any more" % node)
    lab.wait_for(lambda: "sync-trouble" not in lab.bus.alarms(node), 5, "%s has no alarm" % node)


# ------------------------------------------------------- what status says


def test_L13_a_node_that_takes_nothing_is_not_said_to_be_as_new(lab):
    os.makedirs(lab.data("alpha", "files"))
    write(lab.data("alpha", "files/one"), "1")
    lab.write_config(extra=lab.sync_set())
    lab.start("alpha")
    lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
    lab.wait_for(lambda: lab.sync("alpha", "files")["stage"] != "scanning", 10, "alpha has looked at its files")
    lab.stop("alpha")
    lab.start("beta")  # which never heard of alpha's data
    lab.wait_for(lambda: lab.serves("beta"), 20, "beta serves")
    lab.start("alpha")
    lab.wait_settled(active="beta")
    told(lab, "alpha", "began anew")
    lab.stays(lambda: lab.sync("alpha", "files")["state"] == "behind" and lab.sync("alpha", "files")["as_of_ns"] == 0, 3,
              "alpha says that it is behind, and not up to when it has anything")


def test_L13_what_was_refused_makes_the_peer_older(lab):
    write(os.path.join(lab.dir, "check"), "#!/bin/sh\n! grep -q bad \"$DUET_STAGED%s\"\n" % lab.path("files/conf"))
    os.chmod(os.path.join(lab.dir, "check"), 0o755)
    for node in NODES:
        os.makedirs(lab.data(node, "files"), exist_ok=True)
    write(lab.data("alpha", "files/conf"), "good")
    start(lab, validate='{"%s/check"}' % lab.dir)
    lab.wait_current()
    write(lab.data("alpha", "files/conf"), "bad")
    written_ns = now_ns()
    told(lab, "beta", "refused")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert 0 < lab.sync("beta", "files")["as_of_ns"] <= written_ns + 50_000_000
        assert 0 < lab.sync("alpha", "files")["behind_since_ns"] <= written_ns + 50_000_000
        lab.pause()
    write(lab.data("alpha", "files/conf"), "good again")
    lab.wait_same()
    lab.wait_current()
    assert lab.sync("beta", "files")["as_of_ns"] > written_ns


# ------------------------------------------------------- no room, no right


def fill(path, size):
    """So many bytes that are there, and cannot be squeezed."""
    write(path, os.urandom(size), "wb")


def small_files(outside, top):
    """200 files of 60 kB, in one generation."""
    os.mkdir(outside)
    for i in range(200):
        fill(os.path.join(outside, "small-%d" % i), 60_000)
    os.rename(outside, os.path.join(top, "small"))


def one_big_file(outside, top):
    fill(outside, 12_000_000)
    os.rename(outside, os.path.join(top, "big"))


def old_file_grows(_outside, top):
    with open(os.path.join(top, "old-big"), "ab") as file:
        file.write(os.urandom(12_000_000))


@pytest.mark.parametrize("where, change", [("data", small_files), ("data", one_big_file), ("data", old_file_grows),
                                           ("state/syncd", small_files), ("state/syncd", old_file_grows)])
def test_L13_a_passive_node_without_room_keeps_the_old_generation(lab, where, change):
    """… says so on both nodes, and goes on by itself when there is room."""
    disk = os.path.join(lab.dir, "beta", where)
    lab.small_disk(disk, 24 << 20)
    os.makedirs(lab.data("alpha", "files"))
    fill(lab.data("alpha", "files/old"), 100_000)
    fill(lab.data("alpha", "files/old-big"), 5_000_000)
    start(lab)
    lab.wait_current()
    lab.wait_same()
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    fill(os.path.join(disk, "filler"), free - 3_000_000)
    before = photo(lab.data("beta", "files"))
    change(lab.data("alpha", "outside"), lab.data("alpha", "files"))
    told(lab, "beta", "room")
    told(lab, "alpha", "no room")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert photo(lab.data("beta", "files")) == before
        assert lab.sync("beta", "files")["whole"]
        lab.pause()
    assert "sync-trouble" in lab.bus.alarms("beta")
    os.unlink(os.path.join(disk, "filler"))
    lab.wait_same(timeout=60)
    is_over(lab, "beta")
    is_over(lab, "alpha")
    lab.wait_current()
