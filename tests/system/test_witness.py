"""A partition with a witness: a real etcd says who serves, and two never do (DESIGN section 3, R3, R8, I1)."""

import os

import pytest
from conftest import gap_ms

from lab.etcd import Etcd
from lab.pair import other


# An etcd whose disk is shared with all other tests may take its time: a grant has to outlast that.
TIMERS = {"isolation-after": "1s", "takeover-after": "1200ms", "search-time": "1500ms"}


@pytest.fixture
def etcd(lab):
    witness = Etcd(lab)
    lab.write_config(timers=TIMERS, extra=witness.section())
    return witness


def cut_off(lab, node):
    """Nothing passes between this node and the router, nor between the nodes; client and node still see each other."""
    lab.network.mute_router_for(node)
    lab.network.cut_pair()


def state(lab, node):
    return (lab.bus.last(node, "witness") or {}).get("state")


def wait_witness(lab, timeout=20):
    """Both have read the record."""
    for node in ("alpha", "beta"):
        lab.wait_for(lambda: (lab.bus.last(node, "witness") or {}).get("answered_ns", 0) > 0, timeout, "%s has asked the witness" % node)


def test_partition_the_active_node_keeps_the_role(lab, etcd):
    active = lab.start_pair()
    lab.wait_ready(active)
    wait_witness(lab)
    assert etcd.record() is None, "nothing is written while the nodes hear each other"
    watch = lab.arpwatch("inside")
    epoch = lab.role(active)["epoch"]
    lab.network.cut_pair()
    lab.wait_for(lambda: state(lab, active) == "granted", 5, "the active node wins its renewal")
    lab.stays(lambda: lab.serves(active) and lab.is_passive(other(active)), 5, "it goes on; the other one claims nothing")
    assert etcd.record()["holder"] == active and etcd.record()["epoch"] == epoch
    lab.network.heal_pair()
    lab.wait_for(lambda: lab.settled() == active, 5, "healed")
    lab.stays(lambda: lab.settled() == active, 1, "and nothing changes")
    assert lab.role(active)["epoch"] == epoch and watch.stop()["dual"] == 0


def test_partition_the_witness_chooses_the_other_node(lab, etcd):
    active = lab.start_pair()
    lab.wait_ready(active)
    wait_witness(lab)
    taker = other(active)
    watches = [lab.arpwatch(line) for line in ("inside",)]
    cut_off(lab, active)
    lab.wait_for(lambda: lab.serves(taker), 10, "%s wins the witness, and serves" % taker)
    lab.wait_for(lambda: lab.is_passive(active), 10, "%s has let go" % active)
    assert etcd.record()["holder"] == taker
    assert "the witness grants epoch" in lab.duet(taker, "why").stdout
    lab.network.heal()
    lab.wait_for(lambda: lab.settled() == taker, 10, "healed: %s serves on" % taker)
    assert [watch.stop()["dual"] for watch in watches] == [0]


def test_etcd_killed_changes_nothing_while_the_nodes_hear_each_other(lab, etcd):
    active = lab.start_pair()
    lab.wait_ready(active)
    wait_witness(lab)
    epoch = lab.role(active)["epoch"]
    etcd.kill()
    lab.wait_for(lambda: "witness-lost" in lab.bus.alarms(active) and "witness-lost" in lab.bus.alarms(other(active)), 40,
                 "it is told that the witness is away")
    lab.stays(lambda: lab.settled() == active, 2, "and nothing else happens")
    done = lab.duet(active, "switch")
    assert done.returncode == 0, "a handover needs no witness: " + done.stderr
    active = other(active)
    assert lab.role(active)["epoch"] > epoch
    etcd.start()
    lab.wait_for(lambda: "witness-lost" not in lab.bus.alarms(active), 10, "it is back")
    lab.wait_ready(active)


@pytest.mark.parametrize("how", ("killed", "hangs"))
def test_etcd_killed_and_partition_nobody_is_dual(lab, etcd, how):
    """The documented outcome: without a word of the other node, nor of the witness, nobody serves."""
    active = lab.start_pair()
    lab.wait_ready(active)
    wait_witness(lab)
    watch = lab.arpwatch("inside")
    etcd.kill() if how == "killed" else etcd.freeze()
    lab.network.cut_pair()
    lab.wait_for(lambda: not lab.serves(active), 10, "%s falls silent" % active)
    lab.stays(lambda: not lab.serves(active) and not lab.serves(other(active)), 3, "nobody serves")
    lab.network.heal_pair()
    lab.wait_for(lambda: lab.settled(), 10, "healed: one serves, though the witness is away still")
    assert watch.stop()["dual"] == 0
    if how == "hangs":
        etcd.thaw()


def test_power_off_with_a_witness(lab, etcd, figures):
    active = lab.start_pair()
    lab.wait_ready(active)
    wait_witness(lab)
    probe = lab.probe("inside")
    lab.wait_for(lambda: probe.snapshot()["received"] > 0, 5, "the client is answered")
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 10, "the other one takes over")
    lab.stays(lambda: lab.serves(other(active)), 3, "and it goes on, though it hears nobody")
    figures("power off with a witness, isolation-after 1 s", "the client's gap %.0f ms" % gap_ms(probe))
    assert etcd.record()["holder"] == other(active)


def test_the_lapsed_node_goes_on_when_the_witness_answers_again(lab, etcd):
    active = lab.start_pair()
    lab.wait_ready(active)
    wait_witness(lab)
    watch = lab.arpwatch("inside")
    etcd.freeze()
    lab.network.cut_pair()
    lab.wait_for(lambda: not lab.serves(active), 10, "%s falls silent" % active)
    etcd.thaw()
    lab.wait_for(lambda: lab.serves(active) or lab.serves(other(active)), 10, "one of them serves, by the witness's word")
    serving = active if lab.serves(active) else other(active)
    lab.stays(lambda: lab.serves(serving) and not lab.serves(other(serving)), 2, "that one alone")
    assert etcd.record()["holder"] == serving
    lab.network.heal_pair()
    lab.wait_for(lambda: lab.settled() == serving, 10, "healed")
    assert watch.stop()["dual"] == 0


def test_tls_and_a_password(lab):
    witness = Etcd(lab, tls=True)
    witness.require_login("right horse")
    password = os.path.join(lab.dir, "password")
    lab.write_config(timers=TIMERS, extra=witness.section('user = "duet"', 'password-file = "%s"' % password))
    active = lab.start_pair()
    told = lambda: (lab.bus.last(active, "witness") or {}).get("text", "")
    lab.wait_for(lambda: "cannot read the password-file %s" % password[:80] in told() and "mode 600" in told(), 20,
                 "it is not there, and what to do is said")
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
        out.write("wrong\n")
    # etcd takes its time for a password, on a busy machine seconds.
    lab.wait_for(lambda: "authentication failed" in told(), 60,
                 "the wrong password is refused")
    assert state(lab, active) == "unreachable"
    assert "wrong" not in lab.log(active)
    with open(password, "w") as out:
        out.write("right horse\n")
    wait_witness(lab, 60)
    lab.wait_ready(active)
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 10, "the other one takes over")
    assert "right horse" not in lab.log(active) + lab.log(other(active))


def test_a_certificate_of_somebody_else_is_refused(lab):
    witness = Etcd(lab, tls=True)
    lab.write_config(timers=TIMERS, extra=witness.section().replace(witness.ca, "/etc/ssl/certs/ca-certificates.crt"))
    active = lab.start_pair()
    lab.wait_for(lambda: "certificate" in (lab.bus.last(active, "witness") or {}).get("text", "").lower(), 20, "it is not who it says")
    assert state(lab, active) == "unreachable"


# ------------------------------------------------------------------ the fence


def fenced(lab, *words, timeout="5s"):
    lab.write_config(extra="fence {\n    command = {%s}\n    timeout = %s\n}\n" % (", ".join('"%s"' % word for word in words), timeout))


def test_a_takeover_after_the_fence_of_fence_agents(lab):
    """fence_dummy, which writes what the power of its plug would be into a file."""
    power = os.path.join(lab.dir, "power")
    with open(power, "w") as out:
        out.write("on")
    fenced(lab, "/usr/sbin/fence_dummy", "--type=file", "--status-file=" + power, "--action=off", timeout="20s")
    active = lab.start_pair()
    lab.wait_ready(active)
    done = lab.duet(active, "switch")
    assert done.returncode == 0, done.stderr
    active = other(active)
    lab.wait_ready(active)
    assert open(power).read() == "on", "a handover fences nobody"
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 30, "the other one takes over")
    assert open(power).read().strip() == "off"
    told = lab.duet(other(active), "why").stdout
    assert "the fencing command succeeded after" in told and "R3-takeover" in told, told


def test_a_fence_that_fails_keeps_the_peer_from_claiming(lab):
    lab.script("fence", '#!/bin/sh\necho "$1: no answer from its power supply"\nexit 1\n')
    fenced(lab, lab.dir + "/fence", "{peer}")
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.cut_pair()
    lab.wait_for(lambda: "fence-failed" in lab.bus.alarms(other(active)), 20, "it is told")
    lab.stays(lambda: lab.serves(active) and not lab.serves(other(active)), 2, "a partition makes no second one")
    assert "%s: no answer from its power supply" % active in lab.bus.last(other(active), "fence")["text"]
    lab.network.heal_pair()
    lab.wait_for(lambda: lab.settled() == active, 10, "healed")


def test_a_fence_that_hangs_is_killed(lab):
    lab.script("fence", "#!/bin/sh\nsleep 60\n")
    fenced(lab, lab.dir + "/fence", timeout="300ms")
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.power_off(active)
    lab.wait_for(lambda: (lab.bus.last(other(active), "fence") or {}).get("state") == "failed", 20, "it is killed")
    assert "too long" in lab.bus.last(other(active), "fence")["text"]
    assert not lab.serves(other(active))
    done = lab.duet(other(active), "claim", "--force")
    assert done.returncode == 0, done.stderr
    lab.wait_for(lambda: lab.serves(other(active)), 10, "the operator knows better")
