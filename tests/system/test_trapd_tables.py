"""The tables of DUET-MIB, read through a real snmpd by real managers' commands, beside `duet status --json`."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from lab.network import ROUTER
from lab.snmp import mib_path
from lab.sync import SyncLab


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        made.agents = {}
        made.mibs = mib_path(os.path.join(made.dir, "mibs"))
        yield made
        for agent in made.agents.values():
            agent.kill()
            agent.wait()


def start_agent(lab, node, extra="", user=None):
    """The node's snmpd, as a master for subagents; as that user, once it has its sockets."""
    config = os.path.join(lab.dir, "snmpd-%s.conf" % node)
    with open(config, "w") as out:
        out.write("rocommunity public\nrwcommunity private\nmaster agentx\nagentXSocket unix:%s\n%s" % (lab.data(node, "agentx"), extra))
    environment = dict(os.environ, SNMP_PERSISTENT_DIR=os.path.join(lab.dir, "snmpd-" + node), MIBS="")
    lab.agents[node] = subprocess.Popen(
        lab.network.exec(node, "snmpd", "-f", "-C", "-c", config, "-Lf", os.path.join(lab.dir, "snmpd-%s.log" % node), "-I",
                         "-usmUser,vacm_conf", *(("-u", user, "-g", user) if user else ()), "udp:127.0.0.1:1161"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start(lab, extra="", user=None):
    """Both nodes have the same file, and at the same path each has its own snmpd's socket."""
    snmp = os.path.join(lab.dir, "snmp.conf")
    with open(snmp, "w") as out:
        out.write("trap2sink %s public 1162\n" % ROUTER)
    for node in ("alpha", "beta"):
        start_agent(lab, node, extra, user)
    os.makedirs(lab.data("alpha", "files"))
    lab.write_config(extra=lab.service() + lab.sync_set() + 'snmp { config = "%s"  agentx = "unix:%s" }\n' % (snmp, lab.path("agentx")))
    lab.start_pair(first="alpha")
    lab.wait_settled(active="alpha")


def manager(lab, node, *words):
    done = subprocess.run(lab.network.exec(node, *words), env=dict(os.environ, MIBDIRS=lab.mibs, SNMP_PERSISTENT_DIR=os.path.join(lab.dir, "manager")),
                          capture_output=True, text=True, timeout=60)
    return done.stdout


def walk(lab, node, what="duetMIB"):
    """{name.index: value}"""
    out = manager(lab, node, "snmpwalk", "-v", "2c", "-c", "public", "-M", lab.mibs, "-m", "DUET-MIB", "-OQ", "127.0.0.1:1161", "DUET-MIB::" + what)
    found = {}
    for line in out.splitlines():
        match = re.match(r"DUET-MIB::(\S+) = (.*)$", line)
        if match:
            found[match.group(1)] = match.group(2).strip('"')
    return found


def status(lab, node):
    return json.loads(lab.duet(node, "status", "--json").stdout)


def truth(value):
    return "true" if value else "false"


def agrees(lab, node):
    """What differs between the tables and the status; empty: nothing."""
    seen, known = walk(lab, node), status(lab, node)
    wrong = []

    def expect(name, value):
        if seen.get(name) != str(value):
            wrong.append("%s: %s, not %s" % (name, seen.get(name), value))
    for name, key in (("duetNodeRole.0", "role"), ("duetNodePhase.0", "phase"), ("duetNodeEpoch.0", "epoch"), ("duetNodeReason.0", "reason"),
                      ("duetNodeName.0", "node"), ("duetNodeCluster.0", "cluster")):
        expect(name, known[key])
    expect("duetNodeFit.0", truth(known["fit"]))
    expect("duetPeerName.0", known["peer"]["node"])
    expect("duetPeerAlive.0", truth(known["peer"]["alive"]))
    for path in known["paths"]:
        expect('duetPathState.%s' % quoted(path["name"]), "oneWay" if path["state"] == "one-way" else path["state"])
    for channel in known["channels"]:
        expect('duetChannelCarrier.%s' % quoted(channel["name"]), truth(channel["carrier"]))
        expect('duetChannelUsable.%s' % quoted(channel["name"]), truth(channel["usable"]))
        for address in channel["addresses"]:
            expect('duetAddressHeld."%s".%s' % (channel["name"], quoted(address["address"])), truth(address["held"]))
        for router in channel["routers"]:
            expect('duetRouterAnswering."%s".%s' % (channel["name"], quoted(router["address"])), truth(router["answering"]))
    for service in known["services"]:
        expect('duetServiceState.%s' % quoted(service["name"]), service["state"])
        expect('duetServicePid.%s' % quoted(service["name"]), service["pid"])
    for one in known["sync"]["sets"]:
        expect('duetSyncState.%s' % quoted(one["name"]), "upToDate" if one["state"] == "current" else one["state"])
        expect('duetSyncBehindFiles.%s' % quoted(one["name"]), one["behind_files"])
    for daemon in known["daemons"]:
        expect('duetDaemonState.%s' % quoted(daemon["name"]), daemon["state"])
    alarms = sorted(name.split(".", 1)[1].strip("'\"") for name in seen if name.startswith("duetAlarmText."))
    if alarms != sorted(alarm["name"] for alarm in known["alarms"]):
        wrong.append("alarms: %s, not %s" % (alarms, known["alarms"]))
    return wrong


def quoted(name):
    return "'%s'" % name


def wait_agrees(lab, node):
    """The one is read a moment after the other: what changes between them is read again."""
    try:
        lab.wait_for(lambda: agrees(lab, node) == [], 30, "the tables agree with the status")
    except Exception:
        raise AssertionError("%s: %s" % (node, agrees(lab, node))) from None


TABLES = ["Path", "Channel", "Address", "Router", "Service", "Sync", "Alarm", "Daemon", "Sink"]


def test_the_tables_agree_with_the_status_before_during_and_after_a_failover(lab):
    start(lab)
    lab.wait_ready()
    for node in ("alpha", "beta"):
        wait_agrees(lab, node)
    assert walk(lab, "beta")["duetNodeRole.0"] == "passive" and walk(lab, "beta")["duetSyncState.'files'"] == "upToDate"
    for name in TABLES:
        shown = manager(lab, "alpha", "snmptable", "-v", "2c", "-c", "public", "-M", lab.mibs, "-m", "DUET-MIB", "-Ci", "127.0.0.1:1161", "DUET-MIB::duet%sTable" % name)
        empty = name == "Alarm"
        assert ("No entries" if empty else "SNMP table: DUET-MIB::duet%sTable" % name) in shown, shown
    lab.power_off("alpha")
    lab.wait_for(lambda: lab.serves("beta"), 20, "beta serves")
    wait_agrees(lab, "beta")
    lab.wait_for(lambda: "duetAlarmText.'peer-lost'" in walk(lab, "beta"), 20, "the alarm is in its table")
    seen = walk(lab, "beta")
    assert seen["duetNodeRole.0"] == "active" and seen["duetPeerAlive.0"] == "false"
    lab.power_on("alpha")
    lab.wait_settled(active="beta")
    wait_agrees(lab, "beta")
    assert walk(lab, "beta")["duetPeerAlive.0"] == "true"


def test_snmpd_comes_and_goes(lab):
    start(lab)
    lab.wait_for(lambda: "duetNodeRole.0" in walk(lab, "alpha"), 20, "the tables are there")
    lab.agents["alpha"].kill()
    lab.agents["alpha"].wait()
    time.sleep(1)
    assert lab.serves("alpha") and lab.bus.last("alpha", "trap")
    start_agent(lab, "alpha")
    lab.wait_for(lambda: "duetNodeRole.0" in walk(lab, "alpha"), 30, "they are there again")
    pid = int(subprocess.run(["pgrep", "-f", "trapd-tables.*--node alpha.*%s" % lab.run_dir("alpha")], capture_output=True, text=True).stdout.split()[0])
    os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: "duetNodeRole.0" in walk(lab, "alpha"), 30, "and after the subagent was killed")


def test_a_hung_snmpd_delays_no_notification(lab):
    start(lab)
    lab.wait_for(lambda: "duetNodeRole.0" in walk(lab, "alpha"), 20, "the tables are there")
    os.kill(lab.agents["alpha"].pid, signal.SIGSTOP)
    time.sleep(3)
    before = lab.bus.last("alpha", "trap/1")["sent"]
    pid = lab.bus.last("alpha", "service/guarded")["pid"]
    os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: lab.bus.last("alpha", "trap/1")["sent"] > before, 2, "the restart of the service is told")
    os.kill(lab.agents["alpha"].pid, signal.SIGCONT)


def test_nothing_can_be_set(lab):
    start(lab)
    lab.wait_for(lambda: "duetNodeRole.0" in walk(lab, "alpha"), 20, "the tables are there")
    done = subprocess.run(lab.network.exec("alpha", "snmpset", "-v", "2c", "-c", "private", "-M", lab.mibs, "-m", "DUET-MIB", "127.0.0.1:1161",
                                           "DUET-MIB::duetNodeHeld.0", "i", "1"), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "notWritable" in done.stderr + done.stdout
    assert walk(lab, "alpha")["duetNodeHeld.0"] == "false"


def test_a_socket_that_trapd_may_not_use_is_told(lab):
    """snmpd as Debian runs it, with a socket of its user's alone; then it is everybody's. trapd is root without a
    capability here: to that socket it is a stranger. That its own user comes in by its group: vm/test_debian.py."""
    start(lab, "agentXPerms 0600 0755 Debian-snmp Debian-snmp\n", user="Debian-snmp")
    lab.wait_for(lambda: "does not let this user use" in lab.log("alpha"), 20, "the log says why")
    assert "duetNodeRole.0" not in walk(lab, "alpha") and lab.log("alpha").count("does not let this user use") == 1
    os.chmod(lab.data("alpha", "agentx"), 0o666)
    lab.wait_for(lambda: "duetNodeRole.0" in walk(lab, "alpha"), 30, "the tables are there")
