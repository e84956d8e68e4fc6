"""The lease of the active addresses on Debian's own kernel, where the laboratory's may mislead (DESIGN R12, §7)."""

import time

import pytest

from lab.network import ACTIVE
from lab.pair import other
from vmlab.lab import READY_S
from vmlab.machine import BOOT_S

DROP_IN = "/run/systemd/system/duet.service.d"


def test_R12_stopped_it_falls_silent_and_gives_way(lab, figures):
    """All of duet stands still on the active machine: its kernel shuts the gate, the peer serves, and never do both
    answer, neither then nor when it goes on."""
    active = lab.wait_ready()
    machine = lab.machines[active]
    assert "table netdev duet" in machine.check("nft list tables")
    for watch in lab.watches.values():
        watch.summary()
    machine.check("pkill -STOP -x 'heartbeatd|arbiterd|takeoverd|superviserd|syncd|duet'")
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
    time.sleep(2)
    held = machine.check("ip -4 -oneline address show dev outside")
    machine.check("pkill -CONT -x 'heartbeatd|arbiterd|takeoverd|superviserd|syncd|duet'")
    lab.wait_for(lambda: lab.is_passive(active), 60, "%s is passive" % active)
    lab.wait_ready(other(active))
    dual = {channel: watch.summary()["dual"] for channel, watch in lab.watches.items()}
    figures("all of duet stopped, Debian's kernel", "answered by both: %s; addresses meanwhile: %s" % (dual, " ".join(held.split()[3:4])))
    assert set(dual.values()) == {0}


@pytest.mark.parametrize("daemon", ["heartbeatd", "arbiterd", "takeoverd"])
def test_R12_one_link_of_the_chain_stands_still(lab, figures, daemon):
    """Whichever it is, the addresses fall silent, the peer serves, and never do both answer."""
    active = lab.wait_ready()
    machine = lab.machines[active]
    for watch in lab.watches.values():
        watch.summary()
    machine.check("pkill -STOP -x %s" % daemon)
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
    machine.run("pkill -CONT -x %s" % daemon)
    lab.wait_for(lambda: lab.is_passive(active), BOOT_S, "%s is passive" % active)
    lab.wait_ready(other(active))
    dual = {channel: watch.summary()["dual"] for channel, watch in lab.watches.items()}
    figures("%s stopped, Debian's kernel" % daemon, "answered by both: %s" % dual)
    assert set(dual.values()) == {0}


def test_R12_killed_it_falls_silent_and_gives_way(lab, figures):
    """All of duet is killed at once, and nothing starts it again: the gate stays, and is shut. Then the watchdog, which
    nobody feeds, restarts the machine (L14)."""
    active = lab.wait_ready()
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    for watch in lab.watches.values():
        watch.summary()
    machine.check("mkdir -p %s && printf '[Service]\\nRestart=no\\n' >%s/no.conf && systemctl daemon-reload" % (DROP_IN, DROP_IN))
    killed = time.monotonic()
    machine.check("systemctl kill -s KILL duet.service")
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
    gate = machine.run("pgrep -x 'heartbeatd|arbiterd|takeoverd|superviserd' || nft list table netdev duet").text
    held = machine.run("ip -4 -oneline address show dev outside").text
    lab.wait_back(active, boot_id)
    lab.wait_ready(other(active))
    assert machine.qmp.happened("WATCHDOG", killed)
    dual = {channel: watch.summary()["dual"] for channel, watch in lab.watches.items()}
    figures("all of duet killed, Debian's kernel", "answered by both: %s; addresses meanwhile: %s" % (dual, " ".join(held.split()[3:4])))
    assert "table netdev duet" in gate and "expires" not in gate, gate
    assert set(dual.values()) == {0}


def test_R12_a_flushed_gate_is_put_back(lab):
    active = lab.wait_ready()
    machine = lab.machines[active]
    machine.check("nft flush ruleset")
    lab.wait_for(lambda: "table netdev duet" in machine.check("nft list tables"), 20, "the gate is back")
    lab.wait_for(lambda: "gate-lost" in machine.check("duet status || true"), 20, "the alarm gate-lost")


def test_R12_an_adapter_that_comes_back_has_a_gate(lab):
    """In this kernel a chain of nftables goes with its device (later ones keep it for the next device of that name): the
    gate at the new one is takeoverd's work, and shuts like the old one. On hold, so that the role stays meanwhile."""
    active = lab.wait_ready()
    machine, inside = lab.machines[active], lab.watches["inside"]
    machine.check("duet hold")
    driver, device = "/sys/bus/virtio/drivers/virtio_net", machine.check("basename $(readlink -f /sys/class/net/inside/device)").strip()
    machine.check("echo %s >%s/unbind" % (device, driver))
    lab.wait_for(lambda: lab.node_of(inside.owner) is None, 60, "the adapter is gone")
    machine.check("echo %s >%s/bind; udevadm wait --timeout=60 /sys/class/net/inside && ip link set inside up" % (device, driver), 90)
    lab.wait_for(lambda: lab.owner() == active, 60, "it serves by the new adapter")
    machine.check("pkill -STOP -x takeoverd")
    lab.wait_for(lambda: lab.node_of(inside.owner) is None, 20, "the new adapter falls silent")
    held = lab.kernel_addresses(active, "inside")
    machine.check("pkill -CONT -x takeoverd; duet resume")
    assert ACTIVE["inside"] in held, "the kernel had the address, and its gate was shut"
    lab.wait_ready(timeout=2 * READY_S)


def test_R13_a_switch_on_debians_kernel(lab, figures):
    active = lab.wait_ready()
    probe = lab.probe()
    for watch in lab.watches.values():
        watch.summary()
    time.sleep(1)
    probe.snapshot()
    said = lab.machines[active].check("duet switch")
    lab.wait_ready(other(active))
    seen = probe.stop()
    figures("planned switch, Debian's kernel", "%s; the client lost %d of %d" % (said.strip(), seen["lost"], seen["sent"]))
    assert {channel: watch.summary()["dual"] for channel, watch in lab.watches.items()} == {channel: 0 for channel in lab.watches}
