"""`duet setup`, as a new operator uses it: what it makes passes the check, what is there it leaves alone."""

import os
import stat
import subprocess

import pytest

if "DUET_BIN" not in os.environ:
    pytest.skip("DUET_BIN is not set: it names the directory of the duet to test", allow_module_level=True)

DUET = os.path.join(os.environ["DUET_BIN"], "duet")
PAIR = ("nodes alpha=10.91.9.1 beta=10.91.9.2 "
        "channel outside device=eth0,ens3 active=203.0.113.10/24 passive=203.0.113.11/24,203.0.113.12/24 "
        "router=203.0.113.1 gateway=203.0.113.1 "
        "channel inside device=nosuch0 active=192.0.2.1/24 passive=192.0.2.2/24,192.0.2.3/24")


def _setup(file, words=PAIR, *more):
    return subprocess.run([DUET, "setup", "--config", str(file), "--node", "alpha", *words.split(), *more],
                          capture_output=True, text=True, timeout=20)


def test_makes_a_pair_that_passes_the_check(tmp_path):
    file = tmp_path / "duet" / "duet.conf"
    said = _setup(file)
    assert said.returncode == 0, said.stderr
    for node in ("alpha", "beta"):
        check = subprocess.run([DUET, "check-config", "--node", node, str(file)], capture_output=True, text=True,
                               timeout=20)
        assert (check.returncode, check.stderr) == (0, ""), node
    key = file.parent / "cluster.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and key.stat().st_size == 32
    assert key.read_bytes().hex() not in said.stdout
    assert sorted(os.listdir(file.parent)) == ["cluster.key", "duet.conf"]
    assert "no adapter nosuch0" in said.stdout, "what this machine lacks"
    assert "ssh root@beta" in said.stdout and "systemctl enable --now duet.target" in said.stdout


def test_overwrites_nothing(tmp_path):
    file = tmp_path / "duet.conf"
    assert _setup(file).returncode == 0
    before, key = file.read_bytes(), (tmp_path / "cluster.key").read_bytes()
    again = _setup(file)
    assert again.returncode == 1 and "is not overwritten" in again.stderr
    assert file.read_bytes() == before
    file.unlink()
    assert _setup(file).returncode == 0
    assert (tmp_path / "cluster.key").read_bytes() == key, "a key that is there is used"


@pytest.mark.parametrize("words, says", [
    (PAIR.replace("192.0.2.1/24", "192.0.2.1"), "has no prefix length"),
    (PAIR.replace("10.91.9.2", "10.91.9.1"), "duet.conf.new:"),
])
def test_keeps_nothing_that_does_not_pass(tmp_path, words, says):
    said = _setup(tmp_path / "duet.conf", words)
    assert said.returncode == 1 and says in said.stderr, said.stderr
    assert os.listdir(tmp_path) == []


def test_says_what_it_does_not_understand(tmp_path):
    said = _setup(tmp_path / "duet.conf", PAIR.replace("passive=", "pasive="))
    assert said.returncode == 2 and 'there is no "pasive"' in said.stderr
    assert os.listdir(tmp_path) == []
