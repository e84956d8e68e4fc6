"""Faults, and whether `duet why` names them to the operator who asks."""

import collections
import contextlib
import os
import shutil

from lab.network import LINES, NODES
from lab.pair import other

# What becomes of the role first.
MOVES, STAYS, ENDS = "it goes to the other node", "it stays", "nobody serves"

# inject(lab, active); the answer on the node `asked` (the one that was active: "active", or the other one: "other") has
# to have all `words` (of those in a tuple, one), and none of those that would name another cause (`never`).
Fault = collections.namedtuple("Fault", "name inject asked words role limit never", defaults=(MOVES, 20, ()))


def _one_of(words):
    return (words,) if isinstance(words, str) else words


def is_named(lab, fault):
    """Injects it into a pair when that is ready, and waits until the answer is right."""
    active = lab.wait_ready()
    asked = active if fault.asked == "active" else other(active)
    fault.inject(lab, active)
    if fault.role == MOVES:
        lab.wait_for(lambda: lab.serves(other(active)), 20, "the other one serves")
    if fault.role == ENDS:
        lab.wait_for(lambda: not lab.serves(active), 20, "nobody serves")
    headline = "" if fault.role == STAYS else "%s %s the active role" % (asked, "gave up" if asked == active else "took")
    said = []

    def names_it():
        said[:] = [lab.duet(asked, "why").stdout]
        missing = [words for words in fault.words if not any(word in said[0] for word in _one_of(words))]
        return said[0].startswith(headline) and not missing and not any(word in said[0] for word in fault.never)

    try:
        lab.wait_for(names_it, fault.limit, "`duet why` names it")
    finally:
        print(*said)


def mend(lab, anew=lambda: None):
    """The surroundings as they were, and both nodes as after a boot. `anew` is called while neither runs."""
    lab.network.heal()
    lab.network.restore_router()
    for node in NODES:
        for line in LINES:
            lab.network.plug_cable(node, line)
        if not lab.network.power[node]:
            lab.network.power_on(node)
        lab.reset(node)
        shutil.rmtree(lab.state_dir(node))
        os.mkdir(lab.state_dir(node))
        for name in ("broken", "ill"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(lab.dir, node, name))
    anew()
    for node in NODES:
        lab.start(node)
