"""L13: what goes wrong around sync is told, hurts nothing else, and is over when its cause is."""
import os
import time

import pytest

from lab.bus import now_ns
from lab.lab import NODES
from lab.sync import SyncLab


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
