"""What a witness has to do with it is named by `duet why`, too: a real etcd that is lost, grants, and refuses (R3, R8)."""

import pytest
from lab.etcd import PORT, Etcd
from lab.lab import Lab
from lab.network import NODES, ROUTER
from lab.why import ENDS, STAYS, Fault, is_named, mend

# An etcd whose disk is shared with all other tests may take its time: a grant has to outlast that.
TIMERS = {"settle-time": "500ms", "isolation-after": "1s", "takeover-after": "1200ms", "search-time": "1500ms"}


def lose_witness(lab, active):
    lab.etcd.kill()


def lose_witness_and_peer(lab, active):
    lab.etcd.kill()
    lab.network.cut_pair()


def partition(lab, active):
    lab.network.cut_pair()


def cut_off(lab, active):
    """Neither the peer is reached from there, nor the witness."""
    lab.network.mute_router_for(active)
    lab.network.cut_pair()


LOST = ["the witness at http://%s:%d is not reached: " % (ROUTER, PORT), "alarm witness-lost begins"]

FAULTS = [
    # Its record is read each 20 s while the nodes hear each other.
    Fault("witness lost", lose_witness, "active", LOST, STAYS, 60, never=["fell silent"]),
    Fault("witness lost, seen by the peer", lose_witness, "other", LOST, STAYS, 60, never=["fell silent"]),
    Fault("witness and peer lost", lose_witness_and_peer, "active", LOST + ["R12-lapsed", "fell silent"], ENDS, never=["the witness says no"]),
    Fault("cut off from both", cut_off, "active", LOST + ["R12-lapsed", "fell silent", "is silent"]),
    Fault("cut off from both, seen by the peer", cut_off, "other", ["the witness grants epoch", "R3-takeover", "fell silent"]),
    Fault("partition", partition, "active", ["the witness grants epoch", "fell silent"], STAYS, never=LOST),
    Fault("partition, seen by the peer", partition, "other", ["the witness says: ", " goes on renewing epoch ", "fell silent"], STAYS, never=LOST),
]


def begin_record(lab):
    """The nodes' epochs begin anew: so must the witness."""
    lab.etcd.kill()
    lab.etcd = Etcd(lab)


@pytest.fixture(scope="module")
def made():
    with Lab() as lab:
        lab.etcd = Etcd(lab)
        lab.write_config(timers=TIMERS, extra=lab.etcd.section())
        lab.start_pair()
        yield lab


@pytest.fixture
def pair(made, request):
    """Ready, and both have read the record; mended afterwards."""
    request.node.lab = made
    made.wait_ready()
    for node in NODES:
        made.wait_for(lambda: (made.bus.last(node, "witness") or {}).get("answered_ns", 0) > 0, 30, "%s has asked the witness" % node)
    yield made
    mend(made, anew=lambda: begin_record(made))


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_why_names(pair, fault):
    is_named(pair, fault)
