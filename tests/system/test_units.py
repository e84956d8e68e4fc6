"""The units of systemd: what they may do, and whether systemd understands them. That they work: vm/test_debian.py."""

import glob
import os
import re
import subprocess
import sys

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BIN = os.path.abspath(os.environ.get("DUET_BIN", os.path.join(ROOT, "build/bin")))
DAEMONS = ("heartbeatd", "arbiterd", "takeoverd", "superviserd", "syncd", "trapd", "monitord", "witnessd")

# systemd-analyze security: 0 is perfect, 10 has no box at all; below 5.0 it says OK or better. superviserd runs the
# administrator's own programs in its box, and cannot have less (docs/architecture.md, privileges).
EXPOSURE_MAX = {"arbiterd": 1.5, "superviserd": 7.4}
EXPOSURE_OK = 4.9


def _text(name):
    with open(os.path.join(ROOT, "deploy/systemd", name)) as file:
        return file.read()


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The units as they are installed, but with the programs of this build."""
    folder = str(tmp_path_factory.mktemp("units"))
    for path in glob.glob(os.path.join(ROOT, "deploy/systemd/duet*")):
        name = os.path.basename(path).removesuffix(".in")
        text = _text(os.path.basename(path)).replace("@libexecdir@", BIN).replace("@bindir@", BIN)
        with open(os.path.join(folder, name), "w") as out:
            out.write(text.replace("@tmpfilesdir@", "/usr/lib/tmpfiles.d"))
    return folder


def _run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def test_C7_systemd_understands_every_unit(units):
    names = sorted(os.listdir(units))
    assert {"duet.target"} | {"duet-%s.service" % daemon for daemon in DAEMONS} <= set(names)
    said = _run("systemd-analyze", "verify", "--man=no", *[os.path.join(units, name) for name in names])
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_box_is_tight(units, daemon):
    said = _run("systemd-analyze", "security", "--offline=yes", os.path.join(units, "duet-%s.service" % daemon))
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout).group(1))
    assert exposure <= EXPOSURE_MAX.get(daemon, EXPOSURE_OK), said.stdout


@pytest.mark.parametrize("daemon", DAEMONS)
def test_box_lets_libzmq_start_its_threads(daemon):
    """Each sets its scheduling, to what it has; where the kernel refuses that, libzmq ends the process."""
    filters = re.findall(r"^SystemCallFilter=(.*)$", _text("duet-%s.service.in" % daemon), re.MULTILINE)
    refused = [index for index, words in enumerate(filters) if words.startswith("~") and "@resources" in words]
    allowed = [index for index, words in enumerate(filters) if "sched_setscheduler" in words.split()]
    assert not refused or allowed and allowed[-1] > refused[-1]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_C7_target_wants_each_daemon_and_stops_it_after_the_handover(daemon):
    unit = "duet-%s.service" % daemon
    wants = " ".join(re.findall(r"^Wants=(.*)$", _text("duet.target"), re.MULTILINE)).split()
    after = " ".join(re.findall(r"^After=(.*)$", _text("duet-handover.service.in"), re.MULTILINE)).split()
    assert unit in wants and unit in after, "what is started before it is stopped after it"
    assert "PartOf=duet.target" in _text(unit + ".in")


def test_documentation_is_there():
    for name in os.listdir(os.path.join(ROOT, "deploy/systemd")):
        for page, section in re.findall(r"man:([\w.-]+)\((\d)\)", _text(name)):
            if page.startswith("tmpfiles"):
                continue
            assert os.path.exists(os.path.join(ROOT, "docs/man", "%s.%s" % (page, section))), (name, page)


def test_users_and_directories(tmp_path):
    """systemd-sysusers and systemd-tmpfiles take the files, and each daemon's directories are its own."""
    for name in ("sysusers.conf", "tmpfiles.conf"):
        (tmp_path / name).write_text(_text(name))
    said = _run("systemd-sysusers", "--dry-run", str(tmp_path / "sysusers.conf"))
    assert said.returncode == 0 and "not a valid" not in said.stderr, said.stderr
    for daemon in DAEMONS:
        user = re.search(r"^User=(\S+)", _text("duet-%s.service.in" % daemon), re.MULTILINE)
        owner = user.group(1) if user else "root"
        assert "d /run/duet/bus/%s 2750 %s duet\n" % (daemon, owner) in _text("tmpfiles.conf")
        assert "d /run/duet/ctl/%s 2750 %s duet-admin\n" % (daemon, owner) in _text("tmpfiles.conf")
        assert not user or "u %s " % owner in _text("sysusers.conf")


def test_catalog_has_every_alarm(tmp_path):
    """`journalctl -x` has something to say on each alarm and each change of role, under the ids that the daemons send."""
    sys.path.insert(0, os.path.join(ROOT, "deploy/systemd"))
    import catalog
    found = {event: text for event, _, text in catalog.entries(_text("catalog.txt"))}
    with open(os.path.join(ROOT, "arbiterd/server_alarms.c")) as file:
        source = file.read()
    table = source[source.index("alarm_words[ALARM_COUNT] = {"):source.index("};")]
    alarms = {"alarm/" + name for name in re.findall(r'^    \{"([a-z-]+)",', table, re.MULTILINE)}
    assert len(alarms) > 20 and alarms | {"role/active", "role/passive"} == set(found)
    assert catalog.message_id("role/active") == "eee34b6d3e8145d1895ce93274549cf7", "as unit/test_log.c"
    assert all(len(text) > 20 for text in found.values())
    made = tmp_path / "duet.catalog"
    made.write_text(_run(sys.executable, os.path.join(ROOT, "deploy/systemd/catalog.py"),
                         os.path.join(ROOT, "deploy/systemd/catalog.txt")).stdout)
    database = tmp_path / "var/lib/systemd/catalog"
    database.mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/catalog").mkdir(parents=True)
    made.rename(tmp_path / "usr/lib/systemd/catalog/duet.catalog")
    said = _run("journalctl", "--root", str(tmp_path), "--update-catalog")
    assert (said.returncode, said.stderr) == (0, "")
    listed = _run("journalctl", "--root", str(tmp_path), "--list-catalog").stdout
    assert len([line for line in listed.splitlines() if " duet: " in line]) == len(found), listed
