"""L13: files and databases of the active node are on the passive one all the time."""
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import time

import pytest

from lab.lab import NODES, other
from lab.sync import SyncLab, make_tree, write


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        yield made


def start(lab, extra=None, **keys):
    """A pair with a set `files`; returns the active node."""
    lab.write_config(extra=extra if extra is not None else lab.sync_set(**keys))
    lab.start_pair(first="alpha")
    return "alpha"


def test_L13_a_tree_is_copied_and_followed(lab):
    make_tree(lab.data("alpha", "files"))
    start(lab)
    lab.wait_current()
    lab.wait_same()
    assert os.stat(lab.data("beta", "files/sparse")).st_blocks * 512 < 10_000_000
    write(lab.data("alpha", "files/new"), "one more")
    lab.wait_same()
    os.rename(lab.data("alpha", "files/a"), lab.data("alpha", "files/moved"))
    lab.wait_same()
    shutil.rmtree(lab.data("alpha", "files/moved/b"))
    os.unlink(lab.data("alpha", "files/dangling"))
    lab.wait_same()
    with open(lab.data("alpha", "files/sparse"), "r+b") as file:
        file.seek(10_000_000)
        file.write(b"a patch")
    lab.wait_same()
    lab.wait_current()


def test_L13_the_direction_follows_the_role(lab):
    make_tree(lab.data("alpha", "files"))
    start(lab)
    lab.wait_current()
    write(lab.data("alpha", "files/before"), "written on alpha")
    lab.wait_same()
    lab.wait_current()
    lab.wait_ready()
    done = lab.duet("alpha", "switch")
    assert done.returncode == 0, done.stderr
    lab.wait_settled(active="beta")
    write(lab.data("beta", "files/after"), "written on beta")
    lab.wait_same()
    lab.wait_current()
    assert os.path.exists(lab.data("alpha", "files/after"))
    assert not os.path.exists(os.path.join(lab.dir, "alpha/state/conflicts/files"))
    assert lab.sync("alpha", "files")["conflicts"] == 0


def test_L13_a_takeover_serves_with_what_was_acknowledged_and_keeps_the_rest_aside(lab):
    make_tree(lab.data("alpha", "files"))
    start(lab)
    lab.wait_current()
    write(lab.data("alpha", "files/known"), "on both")
    lab.wait_same()
    lab.wait_current()
    lab.power_off("alpha")
    lab.wait_for(lambda: lab.serves("beta"), 20, "beta serves")
    write(lab.data("alpha", "files/a/file-1"), "changed where nobody saw it")
    write(lab.data("beta", "files/a/file-1"), "the change of the one that serves")
    lab.power_on("alpha")
    lab.wait_settled(active="beta")
    lab.wait_same()
    lab.wait_current()
    assert open(lab.data("alpha", "files/a/file-1")).read() == "the change of the one that serves"
    kept = lab.wait_for(lambda: lab.sync("alpha", "files")["conflict_dir"], 10, "where it was kept")
    found = subprocess.run(["grep", "-rl", "changed where nobody saw it", kept], capture_output=True, text=True).stdout
    assert "file-1" in found
    assert "kept aside" in lab.duet("alpha", "sync", "status").stdout


def test_L13_sqlite_is_consistent_while_written(lab):
    lab.write_config(extra=lab.sync_set("db", sqlite='"%s"' % lab.path("users.db"), max_delay="200ms"))
    database = sqlite3.connect(lab.data("alpha", "users.db"), isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, twice INTEGER, filler TEXT)")
    lab.start_pair(first="alpha")
    begun, n, checked = time.monotonic(), 0, 0
    copy = lab.data("beta", "users.db")
    while time.monotonic() < begun + (8 if checked > 10 else 60):  # a slow machine gets the time that it takes
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO t VALUES (?, ?, ?)", (n, 2 * n, "x" * 500))
        database.execute("COMMIT")
        n += 1
        if n % 40 == 0 and os.path.exists(copy):
            with sqlite3.connect("file:%s?mode=ro" % copy, uri=True) as look:
                assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                count, top = look.execute("SELECT count(*), max(n) FROM t").fetchone()
                assert count == (top + 1 if top is not None else 0)
                checked += 1
        time.sleep(0.004)
    assert checked > 10
    database.close()

    def all_there():
        with sqlite3.connect("file:%s?mode=ro" % copy, uri=True) as look:
            return look.execute("SELECT count(*) FROM t").fetchone() == (n,)
    lab.wait_for(all_there, 40, "the last row is there")


def rows_of(path):
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=5)) as look:
        assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return look.execute("SELECT count(*) FROM t").fetchone()[0]


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_L13_a_database_changes_sides_and_nothing_is_kept_aside(lab, mode):
    lab.write_config(extra=lab.sync_set("db", sqlite='"%s"' % lab.path("users.db"), max_delay="100ms"))
    with contextlib.closing(sqlite3.connect(lab.data("alpha", "users.db"), isolation_level=None)) as database:
        assert database.execute("PRAGMA journal_mode=%s" % mode).fetchone() == (mode,)
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filler TEXT)")
    lab.start_pair(first="alpha")
    rows = 0
    for active in ("alpha", "beta", "alpha"):
        lab.wait_settled(active=active)
        lab.wait_current()
        # As a service would have it: open while this node serves, and closed only after the role has gone.
        with contextlib.closing(sqlite3.connect(lab.data(active, "users.db"), isolation_level=None, timeout=5)) as database:
            assert database.execute("PRAGMA journal_mode").fetchone() == (mode,)
            for _ in range(30):
                database.execute("INSERT INTO t (filler) VALUES (?)", ("x" * 700,))
            rows += 30
            lab.wait_for(lambda: os.path.exists(lab.data(other(active), "users.db")) and
                         rows_of(lab.data(other(active), "users.db")) == rows, 20, "the rows are there")
            lab.wait_current()
            lab.wait_ready()
            # What syncd knows, the other node's arbiter has to hear first.
            lab.wait_for(lambda active=active: lab.duet(active, "switch").returncode == 0, 20, "the switch is not refused")
            lab.wait_settled(active=other(active))
    lab.wait_current()
    assert rows_of(lab.data("alpha", "users.db")) == rows_of(lab.data("beta", "users.db")) == rows
    for node in NODES:
        assert lab.sync(node, "db")["conflicts"] == 0
        assert not os.path.exists(os.path.join(lab.dir, node, "state/conflicts/db"))


def test_L13_what_a_database_got_too_late_is_kept_aside(lab):
    lab.write_config(extra=lab.sync_set("db", sqlite='"%s"' % lab.path("users.db"), max_delay="100ms"))
    with contextlib.closing(sqlite3.connect(lab.data("alpha", "users.db"), isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filler TEXT)")
        lab.start_pair(first="alpha")
        lab.wait_current()
        lab.wait_ready()
        lab.wait_for(lambda: lab.duet("alpha", "switch").returncode == 0, 20, "the switch is accepted")
        lab.wait_settled(active="beta")
        database.execute("INSERT INTO t (filler) VALUES ('written by who had lost the role')")
    with contextlib.closing(sqlite3.connect(lab.data("beta", "users.db"), isolation_level=None)) as database:
        database.execute("INSERT INTO t (filler) VALUES ('written by who serves')")
    kept = lab.wait_for(lambda: lab.sync("alpha", "db") and lab.sync("alpha", "db")["conflict_dir"], 20, "where it was kept")
    found = subprocess.run(["grep", "-rl", "who had lost the role", kept], capture_output=True, text=True).stdout
    assert "users.db" in found
    lab.wait_for(lambda: rows_of(lab.data("alpha", "users.db")) == 1, 20, "alpha has beta's")


CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw, as setcap(8) writes it


@pytest.mark.parametrize("privileged", [False, True])
def test_L13_privileges_of_files_travel_only_where_the_set_says_so(lab, privileged):
    tool = lab.data("alpha", "files/tool")
    os.makedirs(lab.data("alpha", "files/shared"))
    write(tool, "#!/bin/sh\n")
    os.chmod(lab.data("alpha", "files/shared"), 0o2775)
    start(lab, **({"privileged": "yes"} if privileged else {}))
    lab.wait_current()
    os.chmod(tool, 0o4755)
    os.setxattr(tool, "security.capability", CAPABILITY)
    os.setxattr(tool, "user.note", b"that it came")
    copy = lab.data("beta", "files/tool")
    lab.wait_for(lambda: os.path.exists(copy) and "user.note" in os.listxattr(copy), 20, "it came")
    lab.wait_current()
    assert stat.S_IMODE(os.stat(copy).st_mode) == (0o4755 if privileged else 0o755)
    assert stat.S_IMODE(os.stat(lab.data("beta", "files/shared")).st_mode) == (0o2775 if privileged else 0o775)
    assert ("security.capability" in os.listxattr(copy)) == privileged
    # And nothing is sent again because of what does not travel.
    for node in NODES:
        os.kill(lab.daemon_pid(node, "syncd"), signal.SIGKILL)
        lab.bus.forget(node)
    lab.wait_current()
    assert lab.sync("beta", "files")["conflicts"] == 0
    assert lab.duet("alpha", "sync", "verify").returncode == 0
    assert "entries differ" not in lab.log("alpha").rsplit("this node is active", 1)[1]


def test_L13_a_killed_syncd_goes_on(lab):
    rng = random.Random(7)
    make_tree(lab.data("alpha", "files"))
    start(lab)
    end = time.monotonic() + 8
    while time.monotonic() < end:
        write(lab.data("alpha", "files/a/file-%d" % rng.randrange(60)), rng.randbytes(rng.randrange(20000)), "wb")
        if rng.random() < 0.1:
            pid = lab.daemon_pid(rng.choice(NODES), "syncd")
            if pid:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    lab.wait_same(timeout=40)
    lab.wait_current(timeout=40)


def test_L13_validate_refuses_and_apply_runs(lab):
    os.makedirs(lab.data("alpha", "files"))
    write(lab.data("alpha", "files/conf"), "good 1")
    lab.script("check", "#!/bin/sh\ngrep -q good \"$DUET_STAGED%s\" || { echo 'that is not good'; exit 1; }\n" % lab.path("files/conf"))
    lab.script("apply", "#!/bin/sh\ncp %s %s\n" % (lab.path("files/conf"), lab.path("applied")))
    start(lab, extra=lab.sync_set(validate='{"%s/check"}' % lab.dir, apply='{"%s/apply"}' % lab.dir))
    lab.wait_current()
    lab.wait_for(lambda: os.path.exists(lab.data("beta", "applied")), 10, "apply ran")
    write(lab.data("alpha", "files/conf"), "bad")
    lab.wait_for(lambda: lab.sync("alpha", "files")["refused"], 10, "refused")
    assert open(lab.data("beta", "files/conf")).read() == "good 1"
    for node in NODES:
        lab.wait_for(lambda: "that is not good" in lab.sync(node, "files")["text"], 5, "%s says why" % node)
    write(lab.data("alpha", "files/conf"), "good 2")
    lab.wait_same()
    lab.wait_for(lambda: open(lab.data("beta", "applied")).read() == "good 2", 10, "applied again")
    lab.wait_current()


def test_L13_log_and_rollback(lab):
    os.makedirs(lab.data("alpha", "files"))
    write(lab.data("alpha", "files/conf"), "first")
    start(lab, keep=5)
    lab.wait_current()
    for text in ("second", "third"):
        write(lab.data("alpha", "files/conf"), text)
        lab.wait_same()
        lab.wait_current()
    log = lab.duet("beta", "sync", "log", "files").stdout.splitlines()
    assert len(log) >= 3, log
    done = lab.duet("alpha", "sync", "rollback", "files", log[2].split()[0])
    assert done.returncode == 0, done.stderr
    lab.wait_for(lambda: open(lab.data("alpha", "files/conf")).read() == "first", 10, "rolled back")
    lab.wait_same()
    lab.wait_current()


def test_L13_verify_and_now(lab):
    make_tree(lab.data("alpha", "files"))
    start(lab)
    lab.wait_current()
    done = lab.duet("alpha", "sync", "verify")
    assert done.returncode == 0 and "equal" in done.stdout, done.stdout + done.stderr
    assert lab.duet("beta", "sync", "now").returncode == 0
    with open(lab.data("beta", "files/a/b/big"), "r+b") as file:  # behind its back, and not a byte longer
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    done = lab.duet("alpha", "sync", "verify", "files")
    assert done.returncode == 1 and "NOT equal" in done.stdout, done.stdout + done.stderr


def test_R14_an_empty_node_never_empties_the_other(lab):
    os.makedirs(lab.data("alpha", "files"))
    write(lab.data("alpha", "files/one"), "1")
    lab.write_config(extra=lab.sync_set())
    lab.start("alpha")
    lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
    lab.wait_for(lambda: lab.sync("alpha", "files")["stage"] != "scanning", 10, "alpha has looked at its files")
    lab.stop("alpha")
    lab.start("beta")
    lab.wait_for(lambda: lab.serves("beta"), 20, "beta, which knows of nothing, serves")
    lab.start("alpha")
    lab.wait_settled(active="beta")
    lab.wait_for(lambda: "began anew" in (lab.sync("alpha", "files") or {"text": ""})["text"], 10, "alpha says why")
    time.sleep(1)
    assert open(lab.data("alpha", "files/one")).read() == "1"
    alarm = lab.bus.last("alpha", "alarm/sync-trouble")
    assert alarm and alarm["active"]


def test_R14_a_node_without_its_first_sync_does_not_claim(lab):
    make_tree(lab.data("alpha", "files"))
    start(lab)
    lab.wait_current()
    lab.stop("beta")
    shutil.rmtree(os.path.join(lab.state_dir("beta"), "syncd"))  # a new disk
    shutil.rmtree(lab.data("beta", "files"))
    os.kill(lab.daemon_pid("alpha", "syncd"), signal.SIGSTOP)
    lab.start("beta")
    lab.wait_for(lambda: lab.sync("beta") is not None and lab.hears_peer("beta"), 10, "beta is there")
    lab.power_off("alpha")
    lab.stays(lambda: not lab.serves("beta"), 3, "beta does not serve without data")
    assert lab.bus.last("beta", "alarm/data-not-whole")["active"]
    done = lab.duet("beta", "claim", "--force")
    assert done.returncode == 0, done.stderr
    lab.wait_for(lambda: lab.serves("beta"), 10, "by force it does")
