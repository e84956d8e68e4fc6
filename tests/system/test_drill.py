"""`duet drill`: a planned failover and back under measurement, refused when it would hurt (DESIGN §6)."""

import re
import subprocess

import pytest
from lab.network import ROUTER
from lab.pair import other


@pytest.fixture
def pair(lab):
    lab.write_config(extra=lab.service())
    lab.active = lab.start_pair()
    lab.wait_ready(lab.active)
    lab.wait_for(lambda: lab.duet(lab.active, "status").returncode == 0, 15, "all is well")
    return lab


def test_R13_there_and_back(pair):
    lab = pair
    active, passive = lab.active, other(lab.active)
    probes = [lab.probe(where) for where in ("inside", "outside")]
    drill = subprocess.Popen(lab.duet_words(active, "drill", "--wait", "60s"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = [drill.stdout.readline() for _ in range(3)]
    assert said[0] == "before  %s serves, %s could at once; no alarm\n" % (active, passive)
    assert re.fullmatch(r"there   %s serves after [\d.]+ ms; nobody answered for about [\d.]+ ms\n" % passive, said[1]), said
    assert said[2] == "now on %s: duet switch (waiting for at most 1m)\n" % passive
    assert lab.serves(passive)
    assert lab.duet(passive, "switch").returncode == 0
    rest, errors = drill.communicate(timeout=60)
    assert (drill.returncode, errors) == (0, "")
    assert re.search(r"(?m)^back    %s serves after [\d.]+ ms; nobody answered for about [\d.]+ ms$" % active, rest), rest
    assert re.search(r"(?m)^        router %s knows after [\d.]+ ms$" % re.escape(ROUTER), rest), rest
    assert re.search(r"(?m)^        service guarded runs after [\d.]+ ms$", rest), rest
    assert rest.endswith("after   %s serves, the other could at once; no alarm\n" % active)
    assert [probe.stop()["lost"] for probe in probes] == [0, 0]


def test_R13_one_way(pair):
    lab = pair
    done = lab.duet(lab.active, "drill", "--one-way")
    assert done.returncode == 0 and "now on" not in done.stdout, done.stdout + done.stderr
    assert lab.serves(other(lab.active))
    back = lab.duet(lab.active, "drill")
    assert back.returncode == 1 and "give it on %s" % other(lab.active) in back.stderr


def test_nobody_brings_it_back(pair):
    lab = pair
    done = lab.duet(lab.active, "drill", "--wait", "1s")
    assert done.returncode == 1 and "the role did not come back within 1s" in done.stderr
    assert lab.serves(other(lab.active))


def hold(lab):
    assert lab.duet(lab.active, "hold").returncode == 0
    lab.wait_for(lambda: not lab.role(lab.active)["ready"], 10, "held")
    return "held by the operator"


def lose_the_peer(lab):
    lab.power_off(other(lab.active))
    lab.wait_for(lambda: "peer-lost" in lab.bus.alarms(lab.active), 10, "the alarm")
    return "alarm peer-lost"


def cut_a_channel(lab):
    lab.network.pull_cable(other(lab.active), "inside")
    lab.wait_for(lambda: not lab.role(lab.active)["ready"], 10, "not ready")
    return "the peer has fewer usable channels"


@pytest.mark.parametrize("trouble", [hold, lose_the_peer, cut_a_channel], ids=lambda trouble: trouble.__name__)
def test_it_is_refused_when_it_would_hurt(pair, trouble):
    lab = pair
    why = trouble(lab)
    epoch = lab.role(lab.active)["epoch"]
    done = lab.duet(lab.active, "drill")
    assert done.returncode == 1 and "refused, because it would hurt" in done.stderr and why in done.stderr, done.stderr
    assert done.stdout == ""
    assert lab.serves(lab.active) and lab.role(lab.active)["epoch"] == epoch


def test_it_says_that_nothing_runs(lab):
    done = lab.duet("alpha", "drill")
    assert done.returncode == 3 and "is duet running" in done.stderr
