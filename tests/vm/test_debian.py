"""duet on two machines as an operator has it: Debian packages, a unit a daemon, addresses that systemd-networkd set up.

The tests go on where the one before ended, in the order of this file: install, live, upgrade, restart, remove."""

import os
import re
import shutil
import subprocess
import time

import pytest

from lab.network import ACTIVE, CHANNELS, NODES, PASSIVE, RESERVED, ROUTER
from lab.pair import other
from lab.session import untimed
from vmlab.debian import deb, needed_by
from vmlab.gateway import PROFILE, SINK_PORT, packaged_seed
from vmlab.image import Image
from vmlab.lab import READY_S, VmLab

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
PATIENCE_S = 150  # for what takes seconds, on emulated machines
INSTALL_S = 300

USERS = {"heartbeatd": "duet-heartbeatd", "arbiterd": "duet-arbiterd", "takeoverd": "duet-takeoverd",
         "superviserd": "root"}
# CAP_NET_ADMIN is bit 12, CAP_NET_RAW bit 13.
CAPABILITIES = {"heartbeatd": 1 << 13, "arbiterd": 0, "takeoverd": 1 << 12 | 1 << 13}


def _later_version(package, folder):
    """The same package as a later version of itself."""
    tree = os.path.join(folder, "tree")
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True, timeout=60)
    control = os.path.join(tree, "DEBIAN/control")
    with open(control) as file:
        text = file.read()
    assert "\nVersion: 0.1.0\n" in text
    with open(control, "w") as file:
        file.write(text.replace("\nVersion: 0.1.0\n", "\nVersion: 0.1.0+later\n"))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, os.path.join(folder, "later.deb")], check=True,
                   timeout=60, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def packages(debs, tmp_path_factory):
    """A folder with duet.deb and later.deb."""
    folder = str(tmp_path_factory.mktemp("packages"))
    shutil.copy(deb(debs, "duet"), os.path.join(folder, "duet.deb"))
    _later_version(os.path.join(folder, "duet.deb"), folder)
    return folder


@pytest.fixture(scope="module")
def pair(packages):
    needed = needed_by(os.path.join(packages, "duet.deb"))
    image = Image(os.path.join(ROOT, "build/vm"), packages=needed + ["snmp", "snmpd"])
    with untimed():
        image.make()
    with VmLab(image, packages, seed=packaged_seed) as made:
        made.power_on()
        yield made


@pytest.fixture
def lab(pair, request):
    """The pair as the test before left it: here nothing is started anew, since that would hide what a test broke."""
    request.node.lab = pair
    return pair


def _runs(machine):
    """Whether any daemon that stands for the node does."""
    return machine.run("pgrep -x 'heartbeatd|arbiterd|takeoverd|superviserd'").code == 0


def _stop(lab, machine):
    """systemctl waits for the target, which ends at once; then the units end one after the other."""
    machine.check("systemctl stop duet.target", PATIENCE_S)
    lab.wait_for(lambda: not _runs(machine), PATIENCE_S, "all is stopped")


def _is_up(machine, unit):
    return machine.run("systemctl -q is-active " + unit).code == 0


def _addresses_are_right(lab, active):
    """The kernels have what the roles say, and nothing else (L3, L4)."""
    return all(lab.kernel_addresses(active, channel) == [ACTIVE[channel]] and
               lab.kernel_addresses(other(active), channel) == [PASSIVE[other(active)][channel]]
               for channel in CHANNELS)


def test_nothing_is_started_by_the_package(lab):
    """Installed with apt, without an order to start: no daemon, no active address."""
    for machine in lab.machines.values():
        begun = time.monotonic()
        machine.check("DEBIAN_FRONTEND=noninteractive apt-get -q -y install /root/packages/duet.deb", INSTALL_S)
        STOPWATCH["apt install on both"] = STOPWATCH.get("apt install on both", 0) + time.monotonic() - begun
        assert not _runs(machine)
        assert not _is_up(machine, "duet.target")
    assert lab.owner() is None


# Seconds that each step took from the packages to a pair that is ready, to be printed: they are the machines' own work.
STOPWATCH = {}

# What an administrator adds by hand. A faulty node stays up, also when a daemon is away for long: that it restarts
# itself, or is reset, is shown elsewhere.
FURTHER = """
service "guarded" { unit = "guarded.service"  start-retries = 6  retry-interval = 100ms }
watchdog { device = "/dev/watchdog"  timeout = 120s }
"""
FURTHER_CHANGES = "s/on-network-fault = reboot/on-network-fault = demote/; s/^ *profile *=.*/&  settle-time = 5s/"


def test_C7_setup_configures_both(lab):
    """As docs/operations.md has it: `duet setup` on one node, its files to the other one. Nothing is started by it."""
    first, second = (lab.machines[node] for node in NODES)
    words = ["duet", "setup", "--cluster", "vm", "--profile", PROFILE, "nodes"] + ["%s=%s" % (node, RESERVED[node]) for node in NODES]
    for channel in CHANNELS:
        words += ["channel", channel, "device=" + channel, "active=%s/24" % ACTIVE[channel],
                  "passive=" + ",".join("%s/24" % PASSIVE[node][channel] for node in NODES)]
        if channel == "outside":
            words += ["router=" + ROUTER, "gateway=" + ROUTER]
    begun = time.monotonic()
    said = first.check(" ".join(words))
    assert "tar -C /etc/duet -cpf - duet.conf cluster.key | ssh" in said and "\nmissing" not in said, said
    first.write("/root/further", FURTHER)
    first.check("sed -i '%s' /etc/duet/duet.conf && cat /root/further >>/etc/duet/duet.conf" % FURTHER_CHANGES)
    first.check("tar -C /etc/duet -cpf /root/both.tar duet.conf cluster.key")
    second.write("/root/both.tar", first.read("/root/both.tar"))
    second.check("tar -C /etc/duet -xpf /root/both.tar")
    for machine in lab.machines.values():
        machine.check("duet check-config")
        assert not _runs(machine)
    STOPWATCH["duet setup, copied to the other"] = time.monotonic() - begun
    assert lab.owner() is None


def test_broken_configuration_starts_nothing(lab):
    """The start fails at once, and the log says where the mistake is."""
    machine = lab.machines["alpha"]
    machine.check("cp -p /etc/duet/duet.conf /root/ && echo 'nonsense = 1' >>/etc/duet/duet.conf")
    code = machine.run("systemctl start duet.target", PATIENCE_S).code
    machine.check("mv /root/duet.conf /etc/duet/")
    assert code not in (0, -1)
    machine.check("journalctl -q -u duet-prepare --grep='duet.conf:[0-9]*: unknown key \"nonsense\"'")
    assert not _runs(machine)


def test_C7_L1_target_brings_up_all_units(lab, figures):
    """Every daemon runs as its own user with what it needs and no more; the pair serves."""
    begun = time.monotonic()
    for machine in lab.machines.values():
        machine.check("systemctl enable --now duet.target", PATIENCE_S)
    active = lab.wait_ready(timeout=2 * READY_S)
    STOPWATCH["enabled, until both are ready"] = time.monotonic() - begun
    figures("from packages to a pair that is ready", "%.0f s: %s" % (
        sum(STOPWATCH.values()), ", ".join("%s %.0f s" % step for step in STOPWATCH.items())))
    assert _addresses_are_right(lab, active)
    for node, machine in lab.machines.items():
        for daemon, user in USERS.items():
            pid = machine.check("systemctl show -P MainPID duet-%s.service" % daemon).strip()
            assert machine.check("stat -c %%U /proc/%s" % pid).strip() == user, (node, daemon)
            held = machine.check("sed -n 's/^CapPrm:[[:space:]]*//p' /proc/%s/status" % pid).strip()
            assert daemon not in CAPABILITIES or int(held, 16) == CAPABILITIES[daemon], (node, daemon, held)
            said = machine.run("journalctl -q -u duet-%s | grep 'going on without'" % daemon).text
            assert said == "", "%s has its scheduling and memory: %s" % (daemon, said)
        for daemon in ("syncd", "trapd"):
            assert not _is_up(machine, "duet-" + daemon), "%s has nothing to do by this configuration" % daemon
        assert machine.check("systemctl --failed --no-legend --plain") == ""


def test_C8_log_of_a_daemon_explains_itself(lab):
    """journalctl -u shows one daemon's story, -x what to think of it, and fields pick lines."""
    machine = lab.machines[lab.wait_ready()]
    told = machine.check("journalctl -q -x -u duet-arbiterd -o short")
    assert "phase=active from=claiming" in told and "This node takes the active role" in told
    assert "takeoverd[" not in told
    assert "phase=active" in machine.check("journalctl -q DUET_ROLE=active -o cat")


def test_bus_is_for_its_group(lab):
    """Reading needs the group duet, orders the group duet-admin; a daemon cannot take another's place."""
    machine = lab.machines["alpha"]
    machine.check("useradd -G duet reader && useradd nobody-in-particular")

    def as_user(user, command):
        return machine.run("runuser -u %s -- %s" % (user, command), PATIENCE_S)

    assert as_user("reader", "duet status").code in (0, 1)
    assert as_user("nobody-in-particular", "duet status").code not in (0, 1)
    refused = as_user("reader", "duet hold")
    assert refused.code != 0, refused.text
    assert not lab.wait_for(lambda: lab.status("alpha"), PATIENCE_S, "alpha tells its state")["held"]
    assert as_user("duet-heartbeatd", "touch /run/duet/bus/arbiterd/pub2").code != 0
    assert as_user("duet-heartbeatd", "cat /etc/duet/cluster.key").code != 0
    assert as_user("duet-arbiterd", "ls /var/lib/duet/heartbeatd").code != 0


FOR_MORE_DAEMONS = """
monitor { metrics = "127.0.0.1:9572" }
snmp { config = "/etc/duet/snmp.conf"  agentx = "unix:/run/agentx/master" }
"""
ROLE = ".1.3.6.1.4.1.8072.9999.9999.3833.1.1.4.0"  # duetNodeRole


def _example(name):
    with open(os.path.join(ROOT, "deploy/examples/snmp", name)) as file:
        return file.read()


def _users(machine, names):
    """The users of the processes with these names."""
    return set(machine.check("ps -o user:30= -C " + names).split())


def _role_by_snmp(lab, node):
    """Whether snmpd has the role that duet has (DuetRoleTC)."""
    said = lab.machines[node].run("snmpget -v 2c -c watch -Oqv 127.0.0.1 " + ROLE).text.strip()
    status = lab.status(node)
    return status and {"2": "passive", "3": "active"}.get(said) == status["role"]


def test_L16_C9_trapd_and_snmpd_each_as_its_own_user(lab):
    """As docs/snmp.md has it: `duet reload` starts trapd (and monitord) as a user without any privilege; its notifications arrive, and
    Debian's snmpd, as Debian runs it, gives it its socket by a group, and shows the tables."""
    active = lab.wait_ready()
    for machine in lab.machines.values():
        machine.write("/etc/duet/snmp.conf", _example("snmp.conf").replace("192.0.2.40", "%s:%d" % (ROUTER, SINK_PORT), 1))
        machine.check("chgrp duet /etc/duet/snmp.conf && chmod 640 /etc/duet/snmp.conf")
        machine.write("/etc/snmp/snmpd.conf.d/duet.conf", _example("snmpd-duet.conf"))
        # The machines have no IPv6.
        machine.check("sed -i 's/^agentaddress .*/agentaddress 127.0.0.1/' /etc/snmp/snmpd.conf && systemctl unmask snmpd"
                      "&& systemctl start snmpd", PATIENCE_S)
        machine.write("/root/more", FOR_MORE_DAEMONS)
        machine.check("cat /root/more >>/etc/duet/duet.conf && duet check-config")
    for node in (active, other(active)):
        lab.machines[node].check("duet reload", PATIENCE_S)
    for node, machine in lab.machines.items():
        for daemon in ("trapd", "monitord"):
            lab.wait_for(lambda machine=machine, unit="duet-" + daemon: _is_up(machine, unit), PATIENCE_S, "%s works on %s" % (daemon, node))
        assert machine.check("stat -c '%U %G %a' /run/agentx/master").split() == ["Debian-snmp", "duet", "660"]
        assert _users(machine, "snmpd") == {"Debian-snmp"}
        lab.wait_for(lambda node=node: _role_by_snmp(lab, node), PATIENCE_S, "snmpd shows the role of " + node)
        assert _users(machine, "trapd,trapd-tables") == {"duet-trapd"}
        pid = machine.check("systemctl show -P MainPID duet-trapd").strip()
        assert int(machine.check("sed -n 's/^CapPrm:[[:space:]]*//p' /proc/%s/status" % pid), 16) == 0
        # Its own words: systemd has some from the broken configuration, before.
        said = machine.check("journalctl -q _SYSTEMD_UNIT=duet-trapd.service -p warning -o cat")
        assert said == "", said
    lab.machines[active].check("systemctl kill -s KILL guarded")
    lab.wait_for(lambda: lab.notified(active, "duetServiceStarted"), PATIENCE_S, "the sink is told of the start")
    lab.wait_ready(active)


def test_networkd_restarted(lab, figures):
    """systemd-networkd takes addresses off that it does not know, and puts passive ones back: duet mends both."""
    active = lab.wait_ready()
    probe = lab.probe()
    for machine in lab.machines.values():
        machine.check("systemctl restart systemd-networkd", PATIENCE_S)
    lab.wait_for(lambda: _addresses_are_right(lab, active), PATIENCE_S, "the addresses are as they were")
    lab.stays(lambda: _addresses_are_right(lab, active), 3, "networkd and duet do not take turns")
    lab.wait_ready(active)
    seen = probe.stop()
    figures("networkd restarted on both", "the client lost %d of %d echo requests" % (seen["lost"], seen["sent"]))


def test_everything_killed(lab, figures):
    """`systemctl kill -s KILL` of all units of the active node: all come back, and one node serves."""
    active = lab.wait_ready()
    machine = lab.machines[active]
    probe = lab.probe()
    machine.check("systemctl kill -s KILL 'duet-*.service'")
    after = lab.wait_ready(timeout=2 * READY_S)
    seen = probe.stop()
    figures("all units killed", "the client lost %d of %d echo requests, %s serves" % (
        seen["lost"], seen["sent"], "the same" if after == active else "the other"))
    assert _addresses_are_right(lab, after)
    for daemon in USERS:
        assert machine.check("systemctl show -P NRestarts duet-%s" % daemon).strip() != "0"


def test_hung_takeoverd_lets_go(lab):
    """A takeoverd that hangs is ended by systemd's watchdog, and the addresses go, even if no other one comes; the peer
    serves. Without systemd they stay for as long as it hangs."""
    active = lab.wait_ready()
    machine = lab.machines[active]
    drop_in = "/run/systemd/system/duet-takeoverd.service.d"
    machine.check("mkdir -p %s && printf '[Service]\\nRestart=no\\n' >%s/alone.conf && systemctl daemon-reload" % (
        drop_in, drop_in), PATIENCE_S)
    machine.check("systemctl kill -s STOP duet-takeoverd")
    lab.wait_for(lambda: lab.owner() == other(active), PATIENCE_S, "the peer serves")
    lab.wait_for(lambda: machine.check("systemctl show -P Result duet-takeoverd").strip() == "watchdog", PATIENCE_S, "it is ended")
    lab.wait_for(lambda: all(lab.kernel_addresses(active, channel) == [PASSIVE[active][channel]] for channel in CHANNELS),
                 PATIENCE_S, "the addresses are gone")
    machine.check("rm -r %s && systemctl daemon-reload && systemctl start duet-takeoverd" % drop_in, PATIENCE_S)
    lab.wait_ready(other(active), timeout=2 * READY_S)


def test_L5_stop_hands_over_first(lab, figures):
    """systemctl stop: the peer serves before the daemons are gone, and no active address is left."""
    active = lab.wait_ready()
    machine = lab.machines[active]
    probe = lab.probe()
    _stop(lab, machine)
    lab.wait_for(lambda: lab.owner() == other(active), PATIENCE_S, "the peer serves")
    seen = probe.stop()
    figures("target stopped", "the client lost %d of %d echo requests" % (seen["lost"], seen["sent"]))
    assert "no longer serves" in machine.check("journalctl -q -u duet-handover -o cat")
    for channel in CHANNELS:
        assert lab.kernel_addresses(active, channel) == [PASSIVE[active][channel]]
    machine.check("systemctl start duet.target", PATIENCE_S)
    lab.wait_ready(other(active))


def test_duet_run_and_the_units_take_turns(lab):
    """The daemons' files have users of their own under systemd, and are root's under `duet run`: each takes over from the
    other, but not while it works."""
    active = lab.wait_ready()
    machine = lab.machines[other(active)]
    refused = machine.run("timeout 60 duet run", PATIENCE_S)
    assert refused.code != 0 and "started by systemd; run: systemctl stop duet.target" in refused.text, refused.text
    lab.wait_ready(active)
    _stop(lab, machine)
    machine.check("systemd-run --unit=by-hand -p KillMode=mixed duet run")
    lab.wait_ready(active)
    said = machine.check("journalctl -q -u by-hand -o cat")
    assert "Permission denied" not in said and "cannot" not in said, said
    machine.check("systemctl stop by-hand", PATIENCE_S)
    machine.check("systemctl start duet.target", PATIENCE_S)
    lab.wait_ready(active)
    assert machine.check("stat -c %U /var/lib/duet/arbiterd /run/duet/bus/arbiterd/pub").split() == 2 * ["duet-arbiterd"]


def test_upgrade_of_both_one_after_the_other(lab, figures):
    """The passive node first, then the active one, which hands over before its daemons are stopped."""
    first = other(lab.wait_ready())
    probe = lab.probe()
    for node in (first, other(first)):
        machine = lab.machines[node]
        machine.check("echo '# the administrator was here' >>/etc/duet/duet.conf", PATIENCE_S)
        before = machine.read("/etc/duet/duet.conf")
        machine.check("DEBIAN_FRONTEND=noninteractive apt-get -q -y install /root/packages/later.deb", INSTALL_S)
        assert "0.1.0+later" in machine.check("dpkg-query -W duet")
        assert machine.read("/etc/duet/duet.conf") == before
        lab.wait_for(lambda node=node: lab.owner() == other(node) and lab.is_passive(node), 2 * READY_S,
                     "%s is back, and passive" % node)
    lab.wait_ready()
    seen = probe.stop()
    figures("both upgraded", "the client lost %d of %d echo requests" % (seen["lost"], seen["sent"]))
    assert seen["lost"] < seen["sent"] / 10


def test_L2_L5_reboot_of_the_active_node(lab, figures):
    """`reboot`: the role goes before the machine does, and the machine comes back as the passive one by itself."""
    active = lab.wait_ready()
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    probe = lab.probe()
    machine.agent.order("reboot")
    lab.wait_for(lambda: lab.owner() == other(active), PATIENCE_S, "the peer serves")
    lab.wait_back(active, boot_id)
    lab.wait_ready(other(active))
    seen = probe.stop()
    figures("active node rebooted", "the client lost %d of %d echo requests" % (seen["lost"], seen["sent"]))
    assert "no longer serves" in machine.check("journalctl -q -b -1 -u duet-handover -o cat")


def test_a_machine_without_a_last_word_is_told_of(lab):
    """A reset, as by its button: after the start the sink is told, with what the black box knew; trapd reads that by its
    group. The restart before, which was ordered, is no such case."""
    active = lab.wait_ready()
    node = other(active)
    machine, boot_id = lab.machines[node], lab.machines[node].boot_id
    assert lab.notified(node, "duetWatchdogReboot") == []
    machine.check("sync")  # what the tests before wrote, as any administrator's work that is older than half a minute
    machine.reset()
    lab.wait_back(node, boot_id)
    (told,) = lab.wait_for(lambda: lab.notified(node, "duetWatchdogReboot"), PATIENCE_S, "the sink is told")
    assert re.match("the machine started again without having been stopped; recorded until ....-..-..T", told), told
    lab.wait_ready(active)


def test_purge_leaves_nothing(lab):
    """Removed from the serving node: the peer serves. Purged: no file, no user, no address of duet's."""
    active = lab.wait_ready()
    machine = lab.machines[active]
    machine.check("DEBIAN_FRONTEND=noninteractive apt-get -q -y remove duet", INSTALL_S)
    assert not _runs(machine), "the files go when nothing needs them any more"
    lab.wait_for(lambda: lab.owner() == other(active), PATIENCE_S, "the peer serves")
    assert machine.run("test -e /etc/duet/duet.conf").code == 0, "removal leaves what the administrator wrote"
    machine.check("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge duet", INSTALL_S)
    left = machine.check("find / -xdev \\( -path /proc -o -path /root -o -path /var/log/journal -o -path /var/lib/apt "
                         "-o -path /var/cache -o -path /var/log -o -path /etc/snmp \\) -prune -o -name '*duet*' -print; ls -d /run/duet 2>&1 "
                         "| grep -v 'No such'; getent passwd | grep duet; getent group | grep duet; true")
    assert left == ""
    for channel in CHANNELS:
        assert lab.kernel_addresses(active, channel) == [PASSIVE[active][channel]]
