"""deploy/examples/postgresql, with a real PostgreSQL server on each node of a pair: what was committed is in the other node's
server after a failover.

Skipped, with the reason, where the server cannot be had."""
import glob
import os
import pathlib
import signal
import subprocess

import pytest

from lab.lab import NODES
from lab.sync import SyncLab

EXAMPLE = pathlib.Path(__file__).parents[2] / "deploy/examples/postgresql/sync.conf"
AS_POSTGRES = ["runuser", "-u", "postgres", "--"]


def server_programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if not found:
        pytest.skip("there is no server (Debian package postgresql)")
    if "--restrict-key" not in subprocess.run([os.path.dirname(found[-1]) + "/pg_dump", "--help"], capture_output=True, text=True).stdout:
        pytest.skip("this pg_dump is older than --restrict-key")
    return os.path.dirname(found[-1])


class Servers:
    def __init__(self, lab):
        self.lab, self.programs = lab, server_programs()
        for directory in [lab.dir] + [os.path.join(lab.dir, node) for node in NODES]:
            os.chmod(directory, 0o711)
        for node in NODES:
            self._make(node)

    def _make(self, node):
        top = self.lab.data(node, "pg")
        os.makedirs(top)
        subprocess.run(["chown", "postgres:", top], check=True)
        subprocess.run([*AS_POSTGRES, self.programs + "/initdb", "-D", top + "/data", "--auth=trust", "--no-sync"], check=True,
                       capture_output=True, cwd="/")
        subprocess.run([*AS_POSTGRES, self.programs + "/postgres", "--single", "-D", top + "/data", "postgres"], check=True,
                       capture_output=True, cwd="/", input=b"CREATE DATABASE app\n")

    def config(self, delay="1s"):
        """The example's lines, with this lab's own in place of what is a machine's."""
        top = self.lab.path("pg")
        text = EXAMPLE.read_text()
        command = '"%s/postgres", "-D", "%s/data", "-k", "%s", "-c", "listen_addresses=", "-c", "fsync=off"' % (self.programs, top, top)
        for old, new, count in (('unit = "postgresql@15-main.service"', "command = {%s}  user = postgres" % command, 1),
                                ('"--dbname=app"', '"--host=%s", "--dbname=app"' % top, 2),
                                ("/run/lock/duet-app", top + "/lock", 3), ("max-delay = 10s", "max-delay = " + delay, 1)):
            assert text.count(old) == count, old
            text = text.replace(old, new)
        return text

    def sql(self, node, text):
        """What a client on the node is answered; None: it is not."""
        done = subprocess.run([*AS_POSTGRES, "psql", "--host=" + self.lab.data(node, "pg"), "--dbname=app", "--no-psqlrc", "-qtA",
                               "--set=ON_ERROR_STOP=1"], input=text, capture_output=True, text=True, cwd="/", timeout=20)
        return done.stdout.strip() if done.returncode == 0 else None

    def names(self, node):
        return self.sql(node, "SELECT string_agg(name, ' ' ORDER BY id) FROM people")


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        yield made


def start(lab, made, **options):
    lab.write_config(extra=made.config(**options))
    lab.start_pair(first="alpha")
    for node in NODES:
        lab.wait_for(lambda: made.sql(node, "SELECT 1") == "1", 30, "the server of %s answers" % node)


@pytest.fixture
def servers(lab):
    made = Servers(lab)
    start(lab, made)
    assert made.sql("alpha", "CREATE TABLE people (id serial PRIMARY KEY, name text); INSERT INTO people (name) VALUES ('Ada')") == ""
    lab.wait_for(lambda: made.names("beta") == "Ada", 30, "beta has it")
    return made


def test_L13_a_dump_of_postgresql_is_there_after_a_switch_and_after_a_failover(lab, servers):
    lab.wait_ready("alpha")
    assert servers.sql("alpha", "INSERT INTO people (name) VALUES ('Grace')") == ""
    assert lab.duet("alpha", "sync", "now").returncode == 0  # a last dump
    assert lab.duet("alpha", "switch").returncode == 0
    lab.wait_settled(active="beta")
    lab.wait_for(lambda: servers.names("beta") == "Ada Grace", 20, "beta has what was written just before the switch")
    assert servers.sql("beta", "INSERT INTO people (name) VALUES ('Edsger')") == ""
    lab.wait_for(lambda: servers.names("alpha") == "Ada Grace Edsger", 30, "alpha has what beta got")
    lab.wait_ready("beta")
    lab.power_off("beta")
    lab.wait_for(lambda: lab.serves("alpha"), 20, "alpha serves")
    assert servers.names("alpha") == "Ada Grace Edsger"
    assert servers.sql("alpha", "INSERT INTO people (name) VALUES ('Barbara')") == ""
    lab.power_on("beta")
    lab.wait_settled(active="alpha", timeout=40)
    lab.wait_for(lambda: servers.names("beta") == "Ada Grace Edsger Barbara", 40, "beta has what it missed")
    assert lab.sync("beta", "app")["conflicts"] == 0


def test_L13_a_switch_takes_along_what_was_never_dumped(lab):
    servers = Servers(lab)
    start(lab, servers, delay="60s")
    lab.wait_current()
    assert servers.sql("alpha", "CREATE TABLE people (id serial PRIMARY KEY, name text); INSERT INTO people (name) VALUES ('Ada')") == ""
    lab.wait_ready("alpha")
    assert lab.duet("alpha", "switch").returncode == 0
    lab.wait_settled(active="beta")
    lab.wait_for(lambda: servers.names("beta") == "Ada", 20, "beta has what was written before the switch")


def test_L13_equal_dumps_are_not_sent_again(lab, servers):
    lab.wait_current()
    before = lab.sync("beta", "app")["generation"]
    lab.stays(lambda: lab.sync("beta", "app")["generation"] == before, 4, "no new generation comes of some dumps more")


def test_L13_a_restore_that_fails_is_told_and_run_again(lab, servers):
    """The passive node's server is away when the copy comes."""
    lab.wait_current()
    postmaster = int(open(lab.data("beta", "pg/data/postmaster.pid")).readline())
    os.kill(postmaster, signal.SIGSTOP)  # … and is not yet back when it is asked
    os.rename(lab.data("beta", "pg/.s.PGSQL.5432"), lab.data("beta", "pg/away"))
    assert servers.sql("alpha", "INSERT INTO people (name) VALUES ('Grace')") == ""
    lab.wait_for(lambda: "ended with status" in lab.sync("beta", "app")["text"], 20, "beta says that the restore failed")
    lab.wait_for(lambda: "sync-trouble" in lab.bus.alarms("beta"), 5, "by an alarm, too")
    os.rename(lab.data("beta", "pg/away"), lab.data("beta", "pg/.s.PGSQL.5432"))
    os.kill(postmaster, signal.SIGCONT)
    lab.wait_for(lambda: servers.names("beta") == "Ada Grace", 40, "the copy was restored in the end")
    lab.wait_for(lambda: lab.sync("beta", "app")["text"] == "", 20, "and nothing is told any more")
    os.kill(lab.daemon_pid("beta", "syncd"), signal.SIGKILL)
    assert servers.sql("beta", "DELETE FROM people") == ""  # as if it had died before
    lab.wait_for(lambda: servers.names("beta") == "Ada Grace", 40, "a syncd that starts restores what it has")
