"""L13: the cluster key is changed as docs/operations.md says, and sync goes on."""
import os
import shutil
import signal

import pytest

from lab.lab import NODES, other
from lab.sync import SyncLab, make_tree, write


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        yield made


def configure(lab, first, second=None):
    """Which key is the first one, and which one is accepted, too."""
    lines = {"old-key-file": '"%s/%s"' % (lab.dir, second)} if second else {}
    lab.write_config(extra=lab.sync_set(), timers=lines, key=first)


def restart(lab, node):
    """It is back, and the other one serves."""
    lab.stop(node)
    lab.start(node)
    lab.wait_settled(active=other(node))
    lab.wait_for(lambda: all(set(lab.bus.alarms(one)) <= {"config-differs"} for one in NODES), 20, "no other alarm is left")


def goes_on(lab, active, text):
    write(lab.data(active, "files/tick"), text)
    lab.wait_same()
    lab.wait_current()


def inodes(lab, node):
    """Which file lies under each name: another one, if it was sent again."""
    top = lab.data(node, "files")
    return {os.path.relpath(os.path.join(where, name), top): os.lstat(os.path.join(where, name)).st_ino
            for where, _, names in os.walk(top) for name in names if name != "tick"}


def hash_key(lab, node):
    try:
        with open(os.path.join(lab.dir, node, "state/syncd/hash-key")) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def no_conflicts(lab):
    assert [lab.sync(node, "files")["conflicts"] for node in NODES] == [0, 0]
    assert not any(os.path.exists(os.path.join(lab.dir, node, "state/conflicts/files")) for node in NODES)


def test_L13_the_cluster_key_is_changed_node_by_node(lab):
    make_tree(lab.data("alpha", "files"))
    os.rename(lab.dir + "/cluster.key", lab.dir + "/before.key")
    lab.new_key()
    configure(lab, "before.key")
    active = lab.start_pair(first="alpha")
    lab.wait_current()
    lab.wait_same()
    before = {node: inodes(lab, node) for node in NODES}
    for keys in (["before.key", "cluster.key"], ["cluster.key", "before.key"], ["cluster.key"]):
        configure(lab, *keys)
        for node in (other(active), active):
            restart(lab, node)
            active = other(node)
            goes_on(lab, active, "%s has read the keys %s" % (node, keys))
        active = lab.wait_ready(active)
    goes_on(lab, active, "all is new")
    assert {node: inodes(lab, node) for node in NODES} == before
    again = [node for node in NODES if "everything is read" in lab.log(node) or "reads everything" in lab.log(node)]
    assert not again, "read everything again"
    no_conflicts(lab)

    # A node that is replaced knows only the new key. It gets the other's hash key.
    empty = other(active)
    lab.stop(empty)
    shutil.rmtree(os.path.join(lab.dir, empty, "state"))
    shutil.rmtree(lab.data(empty, "files"))
    lab.start(empty)
    lab.wait_settled(active=active)
    lab.wait_current()
    lab.wait_same()
    assert inodes(lab, active) == before[active]
    no_conflicts(lab)

    # The hash key itself is changed: the passive node takes the new one, and nothing is sent again.
    before = {node: inodes(lab, node) for node in NODES}
    known = hash_key(lab, active)
    os.unlink(os.path.join(lab.dir, active, "state/syncd/hash-key"))
    os.kill(lab.daemon_pid(active, "syncd"), signal.SIGTERM)
    lab.wait_for(lambda: known != hash_key(lab, active) == hash_key(lab, empty) != "", 20, "both have a new hash key")
    goes_on(lab, active, "with another hash key")
    assert {node: inodes(lab, node) for node in NODES} == before
    no_conflicts(lab)
