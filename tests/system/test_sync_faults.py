"""L13: what goes wrong around sync is told, hurts nothing else, and is over when its cause is."""
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
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
    told(lab, "beta", "refused")
    lab.wait_for(lambda: lab.sync("alpha", "files")["behind_since_ns"] > 0, 20, "alpha has heard of it")
    written_ns = now_ns() + 10**9  # before that; from now on it is told each second, maybe late, that it still is so
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert 0 < lab.sync("beta", "files")["as_of_ns"] <= written_ns
        assert 0 < lab.sync("alpha", "files")["behind_since_ns"] <= written_ns
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


def test_L13_an_active_node_without_room_for_a_copy_of_its_database_says_so(lab):
    disk = os.path.join(lab.state_dir("alpha"), "syncd")
    lab.small_disk(disk, 24 << 20)
    lab.write_config(extra=lab.sync_set("files", sqlite='"%s"' % lab.path("users.db"), max_delay="100ms"))
    with contextlib.closing(sqlite3.connect(lab.data("alpha", "users.db"), isolation_level=None)) as database:
        database.execute("CREATE TABLE t (x BLOB)")
        database.execute("INSERT INTO t VALUES (randomblob(4000000))")
        lab.start_pair(first="alpha")
        lab.wait_current()
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        fill(os.path.join(disk, "filler"), free - 1_000_000)
        database.execute("INSERT INTO t VALUES ('one more')")
        told(lab, "alpha", "No space left")
        rows = "SELECT count(*) FROM t"
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % lab.data("beta", "users.db"), uri=True)) as look:
            assert look.execute(rows).fetchone() == (1,)
        assert lab.sync("alpha", "files")["behind_since_ns"] > 0
        os.unlink(os.path.join(disk, "filler"))
        lab.wait_current(30)
        is_over(lab, "alpha")
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % lab.data("beta", "users.db"), uri=True)) as look:
            assert look.execute(rows).fetchone() == (2,)


def test_L13_a_file_system_that_became_read_only_is_told(lab):
    disk = lab.data("beta")
    lab.small_disk(disk, 24 << 20)
    os.makedirs(lab.data("alpha", "files"))
    write(lab.data("alpha", "files/one"), "1")
    start(lab)
    lab.wait_current()
    before = photo(lab.data("beta", "files"))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    write(lab.data("alpha", "files/one"), "2")
    told(lab, "beta", "Read-only file system")
    told(lab, "alpha", "Read-only file system")
    assert photo(lab.data("beta", "files")) == before
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    lab.wait_same(timeout=60)
    lab.wait_current()
    is_over(lab, "beta")
    is_over(lab, "alpha")


def test_L13_what_may_not_be_read_is_told_and_the_rest_goes_on(lab):
    """syncd in a user namespace that knows of no other user: there root is not almighty. A socket stays behind, too."""
    os.makedirs(lab.data("alpha", "files/closed"))
    for name, owner in (("open", 0), ("secret", 1), ("closed/inside", 0)):
        write(lab.data("alpha", "files/" + name), name)
        os.chown(lab.data("alpha", "files/" + name), owner, owner)
        os.chmod(lab.data("alpha", "files/" + name), 0o600)
    os.chown(lab.data("alpha", "files/closed"), 1, 1)
    os.chmod(lab.data("alpha", "files/closed"), 0o700)
    for node in NODES:
        os.makedirs(lab.data(node, "files"), exist_ok=True)
    lab.write_config(extra=lab.sync_set(max_delay="200ms"))
    lab.start("alpha", bin=lab.confined(ids=1))
    lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
    lab.start("beta")
    lab.wait_settled(active="alpha")
    told(lab, "alpha", "Permission denied")
    lab.wait_for(lambda: os.path.exists(lab.data("beta", "files/open")), 20, "the rest is there")
    write(lab.data("alpha", "files/later"), "later")
    lab.wait_for(lambda: os.path.exists(lab.data("beta", "files/later")), 20, "and what comes later")
    assert not os.path.exists(lab.data("beta", "files/secret"))
    os.chmod(lab.data("alpha", "files/secret"), 0o644)
    lab.wait_for(lambda: os.path.exists(lab.data("beta", "files/secret")), 30, "what may be read now is there")
    told(lab, "alpha", "closed")  # still
    os.chmod(lab.data("alpha", "files/closed"), 0o755)
    lab.wait_for(lambda: os.path.exists(lab.data("beta", "files/closed")), 30, "the directory is there")


def test_L13_several_that_do_not_travel_are_told_until_the_last_one_is_gone(lab):
    os.makedirs(lab.data("alpha", "files"))
    for name in ("one.fifo", "two.fifo"):
        os.mkfifo(lab.data("alpha", "files/" + name))
    write(lab.data("alpha", "files/file"))
    start(lab)
    told(lab, "alpha", "fifo")
    lab.wait_for(lambda: os.path.exists(lab.data("beta", "files/file")), 20, "the rest is there")
    text = lab.sync("alpha", "files")["text"]
    first, second = ("one.fifo", "two.fifo") if "one.fifo" in text else ("two.fifo", "one.fifo")
    os.unlink(lab.data("alpha", "files/" + first))
    lab.wait_for(lambda: second in lab.sync("alpha", "files")["text"], 20, "the other one is told of")
    os.unlink(lab.data("alpha", "files/" + second))
    is_over(lab, "alpha")


def test_L13_files_that_vanish_while_they_are_looked_at_disturb_nothing(lab):
    os.makedirs(lab.data("alpha", "files"))
    start(lab, max_delay="50ms")
    lab.wait_current()
    begun, i = time.monotonic(), 0
    while time.monotonic() < begun + (4 if i > 100 else 60):
        i += 1
        for name in ("a", "b", "c"):
            fill(lab.data("alpha", "files/%s-%d" % (name, i)), 70_000)
        os.makedirs(lab.data("alpha", "files/d-%d/e" % i))
        for name in ("a", "c"):
            os.unlink(lab.data("alpha", "files/%s-%d" % (name, i)))
        shutil.rmtree(lab.data("alpha", "files/d-%d" % i))
        if i > 10:
            os.unlink(lab.data("alpha", "files/b-%d" % (i - 10)))
        time.sleep(0.003)
    lab.wait_same()
    lab.wait_current()
    assert lab.sync("alpha", "files")["text"] == ""
    assert i > 100


# ------------------------------------------------------------ what inotify cannot do


def test_L13_an_overflow_of_inotify_loses_nothing(lab):
    top = lab.data("alpha", "files")
    for i in range(20):
        os.makedirs(os.path.join(top, "d-%d" % i))
        write(os.path.join(top, "d-%d/file" % i), "old")
    start(lab)
    lab.wait_current()
    pid = lab.daemon_pid("alpha", "syncd")
    os.kill(pid, signal.SIGSTOP)
    with open("/proc/sys/fs/inotify/max_queued_events") as limit:
        rounds = int(limit.read()) // 20 + 10
    for i in range(rounds):  # not one of these events is the same as the one before
        for k in range(10):
            os.utime(os.path.join(top, "d-%d/file" % k))
            os.utime(os.path.join(top, "d-%d/file" % (k + 10)))
    write(os.path.join(top, "d-3/new"), "nobody was told of this")
    write(os.path.join(top, "d-4/file"), "nor of this")
    os.rename(os.path.join(top, "d-5"), os.path.join(top, "moved"))
    shutil.rmtree(os.path.join(top, "d-6"))
    os.kill(pid, signal.SIGCONT)
    lab.wait_same(timeout=30)
    lab.wait_current()
    assert "max_queued_events" in lab.log("alpha")
    write(os.path.join(top, "moved/later"), "the watches are right again")
    os.makedirs(os.path.join(top, "d-6"))
    write(os.path.join(top, "d-6/later"), "later")
    lab.wait_same()


@pytest.mark.parametrize("name, value", [("max_inotify_watches", 6), ("max_inotify_instances", 0)])
def test_L13_too_few_inotify_watches_are_told_and_made_good(lab, name, value):
    top = lab.data("alpha", "files")
    for i in range(10):
        os.makedirs(os.path.join(top, "d-%d" % i))
    os.makedirs(lab.data("beta", "files"))
    lab.write_config(extra=lab.sync_set(max_delay="200ms"))
    lab.start("alpha", bin=lab.confined(**{name: value}))
    lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
    lab.start("beta")
    lab.wait_settled(active="alpha")
    told(lab, "alpha", "too few inotify")
    lab.stays(lambda: "too few inotify" in lab.sync("alpha", "files")["text"], 3, "it stays told")
    for i in range(10):
        write(os.path.join(top, "d-%d/late" % i), "seen all the same")
    lab.wait_same()
    for i in range(9):
        shutil.rmtree(os.path.join(top, "d-%d" % i))
    lab.wait_same()
    if value:
        is_over(lab, "alpha")
        write(os.path.join(top, "d-9/late"), "seen at once")
        lab.wait_same()


def test_L13_a_database_that_cannot_be_watched_is_copied_all_the_same(lab):
    for node in NODES:
        os.makedirs(lab.data(node, "files"), exist_ok=True)
    lab.write_config(extra=lab.sync_set("db", sqlite='"%s"' % lab.path("users.db"), max_delay="100ms"))
    with contextlib.closing(sqlite3.connect(lab.data("alpha", "users.db"), isolation_level=None)) as database:
        database.execute("CREATE TABLE t (n INTEGER)")
        lab.start("alpha", bin=lab.confined(max_inotify_watches=0))
        lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
        lab.start("beta")
        lab.wait_settled(active="alpha")
        for n in range(1, 4):
            database.execute("INSERT INTO t VALUES (?)", (n,))

            def arrived():
                with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % lab.data("beta", "users.db"), uri=True)) as look:
                    return look.execute("SELECT max(n) FROM t").fetchone() == (n,)
            lab.wait_for(lambda: os.path.exists(lab.data("beta", "users.db")) and arrived(), 20, "row %d is there" % n)
    assert "cannot be watched" in lab.log("alpha")


# ------------------------------------------------------------ what is on the passive node


def test_L13_a_killed_syncd_does_not_go_back_in_time(lab):
    """What was applied in this boot is there: only a generation that was cut off is applied once more."""
    start(lab)
    for i in range(20):
        write(lab.data("alpha", "files/conf"), "generation %d" % i)
        lab.wait_same()
    os.kill(lab.daemon_pid("beta", "syncd"), signal.SIGKILL)
    lab.wait_for(lambda: lab.log("beta").count("set files: ") and "started again" in lab.log("beta"), 10, "it is started again")
    lab.wait_current()
    assert lab.log("beta").count("was applied (again)") <= 1
    write(lab.data("alpha", "files/conf"), "and it goes on")
    lab.wait_same()


def test_L13_a_patch_of_something_else_makes_no_mixture(lab):
    """Somebody has written to the passive node's file, as a service does that is stopped after the role has gone."""
    os.makedirs(lab.data("alpha", "files"))
    fill(lab.data("alpha", "files/data"), 2_000_000)
    start(lab)
    lab.wait_same()
    lab.wait_current()
    states = [photo(lab.data("beta", "files"))["data"]["content"]]
    with open(lab.data("beta", "files/data"), "r+b") as file:
        file.seek(1_500_000)
        file.write(b"written where nobody should write")
    states.append(photo(lab.data("beta", "files"))["data"]["content"])
    with open(lab.data("alpha", "files/data"), "r+b") as file:
        file.seek(100_000)
        file.write(b"a patch")
    states.append(photo(lab.data("alpha", "files"))["data"]["content"])
    end = time.monotonic() + 20
    while photo(lab.data("beta", "files")) != photo(lab.data("alpha", "files")) and time.monotonic() < end:
        assert photo(lab.data("beta", "files"))["data"]["content"] in states
    lab.wait_same()
    lab.wait_current()
    kept = lab.wait_for(lambda: lab.sync("beta", "files")["conflict_dir"], 10, "where the change was kept")
    assert subprocess.run(["grep", "-rlq", "where nobody should write", kept]).returncode == 0
