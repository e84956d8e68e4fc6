"""Two real machines: each has a kernel, an IP stack, systemd and disks of its own, and restarts for real."""

import time

from lab.pair import other


def test_L2_L5_L10_faulty_node_restarts_itself_and_returns_as_passive(lab, figures):
    """The active node loses a carrier: its peer serves, it runs `systemctl reboot`, and comes back with the passive
    addresses that its system sets up, by itself."""
    active = lab.wait_ready()
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    probe = lab.probe()
    began = time.monotonic()
    machine.set_link("outside", False)
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
    lab.wait_for(lambda: machine.qmp.happened("RESET", began), 120, "%s restarts itself" % active)
    machine.set_link("outside", True)
    lab.wait_back(active, boot_id)
    lab.wait_ready(other(active))
    seen = probe.stop()
    figures("carrier lost, restart, return", "the client lost %d of %d echo requests" % (seen["lost"], seen["sent"]))
    assert seen["open_ms"] < 1000, "the client is served"
    machine.check("duet clear")  # so that the next test's restart does not wait
    assert machine.check("journalctl --quiet --no-pager --boot=-1 --grep='Reached target.*Reboot'"), "by its own will"
