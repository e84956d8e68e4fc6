"""Faults, and whether `duet why` names them to the operator who asks where he would ask first (DESIGN §3, §6)."""

import contextlib
import os
import signal
import socket
import subprocess

import pytest
from lab.lab import Lab
from lab.network import ACTIVE, ROUTER
from lab.pair import other
from lab.why import STAYS, Fault, is_named, mend

# A check of the service `checked` that fails while its node's file `ill` exists.
CHECK = '#!/bin/sh\nnode=$(cat "%s/nodes/$(readlink /proc/self/ns/net | tr -dc 0-9)")\n[ ! -e "%s/$node/ill" ] || { echo "ill on purpose"; exit 1; }\n'
THIRD = "02:00:00:00:66:01"


def signal_daemon(daemon, number):
    return lambda lab, active: os.kill(lab.daemon_pid(active, daemon), number)


def keep_killing(daemon):
    """It is started again each time, and killed again, until the peer serves."""
    def inject(lab, active):
        def killed_and_peer_serves():
            pid = lab.daemon_pid(active, daemon)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return lab.serves(other(active))
        lab.wait_for(killed_and_peer_serves, 20, "the peer serves")
    return inject


def freeze(lab, active):
    for pid in lab.network.pids(active):
        with contextlib.suppress(ProcessLookupError):  # a check that has just ended
            os.kill(pid, signal.SIGSTOP)


def order(*words):
    def inject(lab, active):
        done = lab.duet(active, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    return inject


def power_off_in_hold(lab, active):
    order("hold")(lab, active)
    lab.wait_for(lambda: lab.role(other(active))["held"], 10, "the hold is known to both")
    lab.power_off(active)


def claim_by_hand(lab, active):
    power_off_in_hold(lab, active)
    lab.wait_for(lambda: lab.duet(other(active), "claim", "--force").returncode == 0, 10, "the claim is accepted")


def stop_and_start(lab, active):
    assert lab.stop(active) == 0
    lab.start(active)


def reboot_for_cable(lab, active):
    before = len(lab.reboots)
    lab.network.pull_cable(active, "inside")
    lab.wait_for(lambda: len(lab.reboots) > before, 20, "the reboot")
    lab.reset(active)
    lab.start(active)


def fall_ill(lab, active):
    open(os.path.join(lab.dir, active, "ill"), "w").close()


def remove_address(lab, active):
    lab.network.ip(active, "addr del %s/24 dev inside" % ACTIVE["inside"])


def duplicate(lab, active):
    """The client's machine begins to use the inside active address."""
    own, address = bytes.fromhex(THIRD.replace(":", "")), socket.inet_aton(ACTIVE["inside"])
    frame = b"\xff" * 6 + own + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" + own + address + bytes(6) + socket.inet_aton("192.0.2.99")
    words = "import socket, sys\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('inside', 0))\ns.send(bytes.fromhex('%s'))"
    subprocess.run(lab.network.exec("client", "/usr/bin/python3", "-c", words % frame.hex()), check=True, timeout=20)


def flush_rules(lab, active):
    subprocess.run(lab.network.exec(active, "nft", "flush", "ruleset"), check=True, timeout=20)


def partition_and_heal(lab, active):
    lab.network.cut_pair()
    lab.wait_for(lambda: lab.serves(other(active)), 10, "the other one takes over")
    lab.network.heal_pair()


def fill_state(lab, active):
    """arbiterd of the passive node begins anew, on a disk that takes no file more; seen by that node's processes only."""
    node = other(active)
    words = ["nsenter", "-t", str(lab.processes[node].pid), "-m", "mount", "-t", "tmpfs", "-o", "nr_inodes=1", "full"]
    subprocess.run(words + [os.path.join(lab.state_dir(node), "arbiterd")], check=True, timeout=20)
    os.kill(lab.daemon_pid(node, "arbiterd"), signal.SIGKILL)


FELL_SILENT = ["R3-takeover", "fell silent", "its addresses do not answer"]
LIVES = FELL_SILENT + ["its kernel lived, its daemons did not"]
# What the peer sees depends on whether a heartbeat of one of the short lives came through after the lease had ended.
KEPT_KILLING = ["R3-takeover", "its addresses do not answer", (LIVES[-1], "heartbeatd there was started anew")]
NOT_RENEWED = ["arbiterd there stands still", "its lease ran out: arbiterd there did not renew it"]
NOT_CONFIRMED = ["its lease ran out: takeoverd there did not confirm it anew"]
CABLE = ["carrier is gone"]
NOT_THESE = ["considered R4-mute: ", "considered R5-stall: ", "considered R8-isolated: ", "considered R8-partition: "]
NOT_NOW = "considered %s: not now: "

FAULTS = [
    Fault("power off", lambda lab, active: lab.power_off(active), "other", FELL_SILENT + ["path reserved: the line has no carrier", *NOT_THESE]),
    Fault("cable of inside", lambda lab, active: lab.network.pull_cable(active, "inside"), "active", ["inside (inside): carrier is gone", "R6-network", "considered R7-common: "]),
    Fault("cable of inside, seen by the peer", lambda lab, active: lab.network.pull_cable(active, "inside"), "other", ["channel inside does not work there", "path inside is down"]),
    Fault("cable of inside, after the reboot", reboot_for_cable, "active", ["inside (inside): carrier is gone", "R6-network", "R6-reboot"]),
    Fault("cable of outside", lambda lab, active: lab.network.pull_cable(active, "outside"), "active", ["outside (outside): carrier is gone", "R6-network"]),
    Fault("router mute for one", lambda lab, active: lab.network.mute_router_for(active), "active", ["router %s on outside is silent" % ROUTER, "R6-network"],
          never=CABLE),
    Fault("router mute for one, seen by the peer", lambda lab, active: lab.network.mute_router_for(active), "other", ["channel outside does not work there"]),
    Fault("router dead for both", lambda lab, active: lab.network.kill_router(), "active",
          ["router %s on outside is silent" % ROUTER, "channel outside does not work there", NOT_NOW % "R6-network" + "the peer has no more usable channels"],
          STAYS, never=CABLE),
    Fault("reserved line", lambda lab, active: lab.network.pull_cable(active, "reserved"), "active", ["path reserved: the line has no carrier", "path reserved is down"], STAYS),
    Fault("heartbeats cut", lambda lab, active: lab.network.cut_heartbeats(), "other", ["peer-mute", NOT_NOW % "R3-takeover" + "an active address answers"], STAYS),
    Fault("kill heartbeatd", keep_killing("heartbeatd"), "other", KEPT_KILLING),
    Fault("kill heartbeatd, on the node itself", keep_killing("heartbeatd"), "active", ["heartbeatd of this node was started anew"]),
    Fault("kill the passive node's heartbeatd, once", lambda lab, active: os.kill(lab.daemon_pid(other(active), "heartbeatd"), signal.SIGKILL),
          "active", ["heartbeatd there was started anew"], STAYS),
    Fault("kill arbiterd", keep_killing("arbiterd"), "other", ["arbiterd there stands still"]),
    Fault("kill takeoverd", keep_killing("takeoverd"), "other", NOT_CONFIRMED),
    Fault("kill takeoverd, on the node itself", keep_killing("takeoverd"), "active", ["takeoverd of this node was started anew"]),
    Fault("stop heartbeatd", signal_daemon("heartbeatd", signal.SIGSTOP), "other", LIVES),
    Fault("stop arbiterd", signal_daemon("arbiterd", signal.SIGSTOP), "other", NOT_RENEWED),
    Fault("stop takeoverd", signal_daemon("takeoverd", signal.SIGSTOP), "active", ["the lease ran out: takeoverd has not confirmed it anew"],
          never=["takeoverd of this node was started anew"]),
    Fault("stop takeoverd, seen by the peer", signal_daemon("takeoverd", signal.SIGSTOP), "other", NOT_CONFIRMED),
    Fault("freeze", freeze, "other", LIVES),
    Fault("service fails", lambda lab, active: lab.break_service(active), "active", ["service guarded: failed", "R7-service"]),
    Fault("service fails, seen by the peer", lambda lab, active: lab.break_service(active), "other", ["has 1 services down"]),
    Fault("check fails", fall_ill, "active", ["service checked: failed", "check failed, 3 of 3"]),
    Fault("switch", order("switch"), "active", ["the operator ordered: switch", "R13-ordered"]),
    Fault("clean stop, after the next start", stop_and_start, "active", ["the operator ordered: stop", "R13-ordered"]),
    Fault("hold bars the takeover", power_off_in_hold, "other", [NOT_NOW % "R3-takeover" + "the operator's hold stands", "fell silent"], STAYS),
    Fault("claim by hand", claim_by_hand, "other", ["claim-ordered", "the operator ordered: claim --force"]),
    Fault("address removed", remove_address, "active", [ACTIVE["inside"], "removed by something else"], STAYS),
    Fault("address used by a third host", duplicate, "active", ["address conflict: %s uses %s" % (THIRD, ACTIVE["inside"])], STAYS),
    Fault("rules flushed", flush_rules, "active", ["something else removed the gate"], STAYS),
    Fault("partition", partition_and_heal, "active", ["R9-yield", "the peer serves under a higher epoch"]),
    Fault("disk of the passive node full", fill_state, "other", ["the state cannot be written (No space left on device)"], STAYS),
]


@pytest.fixture(scope="module")
def made():
    with Lab() as lab:
        lab.script("check", CHECK % (lab.dir, lab.dir))
        lab.script("checked", "#!/bin/sh\nexec sleep 1000000\n")
        checked = lab.service("checked", check='{"%s/check"}' % lab.dir, check_interval="100ms", start_retries=1)
        checked = checked.replace("%s/service" % lab.dir, "%s/checked" % lab.dir)
        lab.write_config(timers={"settle-time": "500ms"}, extra=lab.service("guarded") + checked)
        lab.start_pair()
        yield lab


@pytest.fixture
def pair(made, request):
    """Ready; mended afterwards."""
    request.node.lab = made
    made.wait_ready()
    yield made
    mend(made)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_why_names(pair, fault):
    is_named(pair, fault)
