"""A whole machine stands still and goes on, as virtual machines do that are moved."""

import time

from lab.pair import other

PAUSE_S = 15


def test_R9_machine_that_stood_still_gives_way(lab, figures):
    """While it stands still its peer takes over; when it goes on, with its addresses up and a clock that knows nothing
    of the pause, it finds that it was replaced (L2, L7)."""
    active = lab.wait_ready()
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    for watch in lab.watches.values():
        watch.summary()
    machine.stop()
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s takes over" % other(active))
    time.sleep(PAUSE_S)
    machine.cont()
    lab.wait_for(lambda: lab.is_passive(active), 60, "%s is passive" % active)
    lab.wait_ready(other(active))
    for channel, watch in lab.watches.items():
        figures("machine stood still, %s" % channel, "both answered for %.0f ms" % watch.summary()["dual_ms"])
    assert machine.boot_id == boot_id, "nothing of it is a reason to restart"
