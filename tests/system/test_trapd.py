"""trapd: SNMP notifications, received by real snmptrapd processes and decoded through DUET-MIB."""
import os
import re
import signal
import subprocess
import time

import pytest

from lab.lab import Lab
from lab.network import ROUTER
from lab.snmp import ROOT, USER, Sink, mib_path

V1, V2, INFORM, V3 = 1162, 1163, 1164, 1165


@pytest.fixture
def lab(request):
    with Lab() as made:
        request.node.lab = made
        made.sinks = []
        yield made
        for sink in made.sinks:
            if sink.process and sink.process.poll() is None:
                sink.stop()


def sink(lab, port, **keys):
    made = Sink(lab, port).start(**keys)
    lab.sinks.append(made)
    # It has its socket when it says so.
    lab.wait_for(lambda: "NET-SNMP version" in open(made.log).read(), 10, "snmptrapd runs")
    return made


def snmp_section(lab, *lines):
    path = os.path.join(lab.dir, "snmp.conf")
    with open(path, "w") as out:
        out.write("\n".join(lines) + "\n")
    os.chmod(path, 0o644)
    return 'snmp { config = "%s" }\n' % path


def start(lab, *lines, extra="", **keys):
    lab.write_config(extra=extra + snmp_section(lab, *lines), **keys)
    lab.start_pair(first="alpha")
    lab.wait_settled(active="alpha")
    lab.wait_for(lambda: lab.bus.last("alpha", "trap") and lab.bus.last("beta", "trap"), 20, "trapd speaks")


def engine_of(node):
    """As the manual says."""
    return "80001f8804" + ("lab:" + node).encode().hex()


def kinds(got, node=None):
    return [one["kind"] for one in got if node is None or one["duetNotifyNode"] == node]


def service_pid(lab, node, name="guarded"):
    service = lab.bus.last(node, "service/" + name)
    return service["pid"] if service and service["state"] == "running" else 0


V3_LINE = 'trapsess -v 3 -u %s -l authPriv -a SHA -A "%s" -x AES -X "%s" %s:%d' % (USER["name"], USER["auth"], USER["priv"], ROUTER, V3)


def test_L16_every_start_of_a_guarded_daemon_sends_a_trap(lab):
    v1, v2, informs = (sink(lab, port) for port in (V1, V2, INFORM))
    start(lab, "trapcommunity public", "trapsink %s public %d" % (ROUTER, V1), "trap2sink %s:%d" % (ROUTER, V2),
          "trapsess -v 2c -c public -Ci %s:%d" % (ROUTER, INFORM), V3_LINE, extra=lab.service())
    v3 = sink(lab, V3, engine_id=engine_of("alpha"))
    first = lab.wait_for(lambda: service_pid(lab, "alpha"), 20, "the service runs")
    os.kill(first, signal.SIGKILL)
    second = lab.wait_for(lambda: service_pid(lab, "alpha") not in (0, first) and service_pid(lab, "alpha"), 20, "it runs again")

    def told(where, kind_of):
        return [one["duetNotifyPid"] for one in where.got() if kind_of(one) == "duetServiceStarted"]
    for where in (v2, informs):
        lab.wait_for(lambda: told(where, lambda one: one["kind"]) == [str(first), str(second)], 20, "both starts are told once, in order")
    lab.wait_for(lambda: told(v1, lambda one: one["v1"].split("::")[-1].split()[0]) == [str(first), str(second)], 20, "as SNMPv1 too")
    lab.wait_for(lambda: told(v3, lambda one: one["kind"])[-1:] == [str(second)], 20, "as SNMPv3 too")
    one = v2.got("duetServiceStarted")[-1]
    assert one["duetNotifyService"] == "guarded" and one["duetNotifyNode"] == "alpha"
    # sysUpTime is the machine's.
    seconds = int(re.match(r"\((\d+)\)", one["sysUpTime"]).group(1)) / 100
    assert abs(time.clock_gettime(time.CLOCK_BOOTTIME) - seconds) < 60
    assert lab.bus.last("alpha", "trap/1")["kind"] == "trap1" and lab.bus.last("alpha", "trap/3")["kind"] == "inform"
    lab.wait_for(lambda: lab.bus.last("alpha", "trap/3")["acknowledged"] == len(informs.got()), 10, "all informs are acknowledged")


def test_L16_also_a_start_that_trapd_did_not_see(lab):
    v2 = sink(lab, V2)
    start(lab, "trap2sink %s public %d" % (ROUTER, V2), extra=lab.service())
    first = lab.wait_for(lambda: service_pid(lab, "alpha"), 20, "the service runs")
    lab.wait_for(lambda: len(v2.got("duetServiceStarted")) == 1, 20, "its start is told")
    trapd = lab.daemon_pid("alpha", "trapd")
    os.kill(trapd, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    second = lab.wait_for(lambda: service_pid(lab, "alpha") not in (0, first) and service_pid(lab, "alpha"), 20, "it runs again")
    os.kill(trapd, signal.SIGKILL)
    lab.wait_for(lambda: len(v2.got("duetServiceStarted")) == 2, 20, "the second start is told after all")
    # Killed again, with nothing that happened: nothing is told twice.
    os.kill(lab.daemon_pid("alpha", "trapd"), signal.SIGKILL)
    lab.bus.forget("alpha")
    lab.wait_for(lambda: lab.bus.last("alpha", "trap"), 20, "trapd speaks again")
    os.kill(second, signal.SIGKILL)
    lab.wait_for(lambda: len(v2.got("duetServiceStarted")) >= 3, 20, "the third")
    assert [one["duetNotifyPid"] for one in v2.got("duetServiceStarted")][:2] == [str(first), str(second)]
    numbers = [int(one["duetNotifyNumber"]) for one in v2.got() if one["duetNotifyNode"] == "alpha"]
    assert numbers == sorted(set(numbers))


def test_a_takeover_is_told_in_order(lab):
    v2 = sink(lab, V2)
    start(lab, "trap2sink %s public %d" % (ROUTER, V2), extra=lab.service())
    lab.wait_ready()
    lab.power_off("alpha")
    lab.wait_for(lambda: lab.serves("beta"), 20, "beta serves")
    got = lab.wait_for(lambda: "duetServiceStarted" in kinds(v2.got(), "beta") and v2.got(), 20, "beta's service is told")
    beta = kinds(got, "beta")
    assert beta.index("duetRoleChanged") < beta.index("duetTakeover") < beta.index("duetServiceStarted")
    lab.wait_for(lambda: "duetPeerLost" in kinds(v2.got(), "beta"), 20, "the loss of the peer is told")
    change = next(one for one in got if one["kind"] == "duetRoleChanged" and one["duetNotifyNode"] == "beta")
    assert (change["duetNotifyOldRole"], change["duetNotifyNewRole"]) == ("passive(2)", "active(3)")
    role = lab.bus.last("beta", "role")
    assert change["duetNotifyEpoch"] == str(role["epoch"])
    assert next(one for one in got if one["kind"] == "duetTakeover")["duetNotifyPeer"] == "alpha"
    lab.power_on("alpha")
    lab.wait_for(lambda: "duetPeerBack" in kinds(v2.got(), "beta"), 20, "the peer is back")


def test_a_network_fault_is_told(lab):
    v2 = sink(lab, V2)
    start(lab, "trap2sink %s public %d" % (ROUTER, V2), on_network_fault="demote")
    lab.wait_ready()
    lab.network.pull_cable("alpha", "inside")
    lab.wait_settled(active="beta")
    lab.wait_for(lambda: "duetNetworkFault" in kinds(v2.got(), "alpha"), 20, "the fault is told")
    fault = v2.got("duetNetworkFault")[0]
    assert fault["duetNotifyChannel"] == "inside" and fault["duetNotifyDevice"] == "inside" and "no carrier" in fault["duetNotifyText"]
    lab.network.plug_cable("alpha", "inside")
    lab.wait_for(lambda: "duetNetworkBack" in kinds(v2.got(), "alpha"), 20, "and its end")


def test_a_trap_waits_for_the_network_that_it_needs(lab):
    """The line to the sink is the one that fails: a trap sent at that moment would be lost."""
    v2 = sink(lab, V2)
    start(lab, "trap2sink %s public %d" % (ROUTER, V2), on_network_fault="demote")
    lab.wait_ready()
    lab.network.pull_cable("alpha", "outside")
    lab.wait_settled(active="beta")
    time.sleep(2)
    assert "duetNetworkFault" not in kinds(v2.got(), "alpha")
    lab.network.plug_cable("alpha", "outside")
    lab.wait_for(lambda: "duetNetworkFault" in kinds(v2.got(), "alpha"), 30, "it is told when there is a network again")
    fault = [one for one in v2.got("duetNetworkFault") if one["duetNotifyNode"] == "alpha"][0]
    assert int(fault["duetNotifyAge"]) >= 1900
    numbers = [int(one["duetNotifyNumber"]) for one in v2.got() if one["duetNotifyNode"] == "alpha"]
    assert numbers == sorted(set(numbers))


def test_a_failed_daemon_is_told(lab):
    v2 = sink(lab, V2)
    start(lab, "trap2sink %s public %d" % (ROUTER, V2))
    pid = lab.daemon_pid("beta", "takeoverd")
    os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: {"duetDaemonFailed", "duetDaemonBack"} <= set(kinds(v2.got(), "beta")), 20, "its end and its start are told")
    pid = lab.wait_for(lambda: lab.daemon_pid("beta", "superviserd"), 10, "superviserd")
    os.kill(pid, signal.SIGSTOP)
    lab.wait_for(lambda: [one for one in v2.got("duetDaemonFailed") if one["duetNotifyDaemon"] == "superviserd"], 20, "a hanging one too")
    os.kill(pid, signal.SIGCONT)
    lab.wait_for(lambda: [one for one in v2.got("duetDaemonBack") if one["duetNotifyDaemon"] == "superviserd"], 20, "and that it is back")


def test_informs_wait_for_their_sink_and_come_once_each(lab):
    start(lab, "informsink %s public %d" % (ROUTER, INFORM), extra=lab.service())
    for _ in range(3):
        pid = lab.wait_for(lambda: service_pid(lab, "alpha"), 20, "the service runs")
        os.kill(pid, signal.SIGKILL)
        lab.wait_for(lambda: service_pid(lab, "alpha") not in (0, pid), 20, "it runs again")
    lab.wait_for(lambda: lab.bus.last("alpha", "trap/1")["waiting"] >= 4, 20, "they wait")
    lab.wait_for(lambda: "acknowledge" in lab.bus.last("alpha", "trap/1")["text"], 20, "why they wait is told")
    os.kill(lab.daemon_pid("alpha", "trapd"), signal.SIGKILL)  # what waits is on the disk
    time.sleep(1)
    informs = sink(lab, INFORM)
    lab.wait_for(lambda: len([one for one in informs.got("duetServiceStarted")]) >= 4, 60, "they come")
    lab.bus.forget("alpha")
    lab.wait_for(lambda: lab.bus.last("alpha", "trap/1") and lab.bus.last("alpha", "trap/1")["waiting"] == 0, 20, "none waits")
    numbers = [int(one["duetNotifyNumber"]) for one in informs.got() if one["duetNotifyNode"] == "alpha"]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_sink_that_never_answers_holds_up_nobody(lab):
    v2 = sink(lab, V2)
    lab.network.drop("mute", "udp dport 1199 drop")
    start(lab, "informsink %s public 1199" % ROUTER, "trap2sink %s public %d" % (ROUTER, V2), extra=lab.service())
    lab.wait_for(lambda: v2.got("duetServiceStarted"), 20, "the other one is told")
    assert int(v2.got("duetServiceStarted")[0]["duetNotifyAge"]) < 1000
    lab.wait_for(lambda: lab.bus.last("alpha", "trap/1")["waiting"] > 0, 10, "what it does not take waits")


def test_flapping_services_flood_nobody(lab):
    """Two, killed seven times each: no more starts than the limit allows are told, and how many were not."""
    v2, names, kills = sink(lab, V2), ("one", "two"), 7
    start(lab, "trap2sink %s public %d" % (ROUTER, V2),
          extra="".join(lab.service(name, start_retries=1000, retry_interval="10ms") for name in names))
    for name in names * kills:
        pid = lab.wait_for(lambda: service_pid(lab, "alpha", name), 20, "%s runs" % name)
        os.kill(pid, signal.SIGKILL)
        lab.wait_for(lambda: service_pid(lab, "alpha", name) not in (0, pid), 20, "%s runs again" % name)
    starts = len(names) * (1 + kills)
    lab.wait_for(lambda: sum(1 + int(one["duetNotifySuppressed"]) for one in v2.got("duetServiceStarted")) == starts, 60,
                 "each start was told, or counted")
    assert 10 <= len(v2.got("duetServiceStarted")) < starts


def test_many_starts_flood_nobody(lab):
    """Ten of a kind at once; of the rest one now and then, with how many were held back before it."""
    v2 = sink(lab, V2)
    services = ["s%d" % i for i in range(14)]
    start(lab, "trap2sink %s public %d" % (ROUTER, V2), extra="".join(lab.service(name) for name in services))
    lab.wait_for(lambda: len(v2.got("duetServiceStarted")) >= 10, 20, "ten are told")
    lab.wait_for(lambda: (lab.bus.last("alpha", "trap") or {}).get("held_back") == 4, 20, "four are held back")
    told = lab.wait_for(lambda: len(v2.got("duetServiceStarted")) >= 11 and v2.got("duetServiceStarted"), 30, "what was held back is told")
    assert len(told) == 11
    assert told[10]["duetNotifySuppressed"] == "3" and int(told[10]["duetNotifyAge"]) >= 1000


def test_two_mistakes_are_both_told_and_change_nothing(lab):
    v2 = sink(lab, V2)
    start(lab, "trap2sink %s public %d" % (ROUTER, V2), extra=lab.service())
    path = os.path.join(lab.dir, "snmp.conf")
    done = lab.duet("alpha", "check-config")
    assert done.returncode == 0, done.stderr
    with open(path, "w") as out:
        out.write("# two mistakes\ntrap2sink %s public seven\nrocommunity public\ninformsink\n" % ROUTER)
    done = lab.duet("alpha", "check-config")
    assert done.returncode != 0
    assert "%s:2: a port is a number" % path in done.stderr and "%s:4: a sink without a host" % path in done.stderr
    lab.wait_for(lambda: "snmp.conf" in lab.bus.last("alpha", "trap")["text"], 20, "trapd tells it")
    os.kill(lab.wait_for(lambda: service_pid(lab, "alpha"), 20, "the service runs"), signal.SIGKILL)
    lab.wait_for(lambda: len(v2.got("duetServiceStarted")) >= 2, 20, "the sink of before is told")
    other = sink(lab, V1)
    with open(path, "w") as out:
        out.write("trap2sink %s public %d\n" % (ROUTER, V1))
    lab.wait_for(lambda: lab.bus.last("alpha", "trap")["text"] == "" and lab.bus.last("alpha", "trap/1")["address"].endswith(str(V1)), 20, "it is read again")
    os.kill(lab.wait_for(lambda: service_pid(lab, "alpha"), 20, "the service runs"), signal.SIGKILL)
    lab.wait_for(lambda: other.got("duetServiceStarted"), 20, "the new sink is told")


def test_the_example_of_a_handler_works(lab):
    example = os.path.join(ROOT, "deploy/examples/snmp")
    made = Sink(lab, V2)
    lab.sinks.append(made)
    text = open(os.path.join(example, "snmptrapd.conf")).read().replace("/usr/local/sbin/duet-trap", os.path.join(example, "duet-trap"))
    lines = os.path.join(lab.dir, "lines")
    made.start(config_text=text, DUET_TRAP_LOG=lines)
    lab.wait_for(lambda: "NET-SNMP version" in open(made.log).read(), 10, "snmptrapd runs")
    start(lab, "trap2sink %s public %d" % (ROUTER, V2), extra=lab.service())
    lab.wait_for(lambda: os.path.exists(lines) and "duetServiceStarted" in open(lines).read(), 20, "the handler was called")
    assert re.search(r"^notice: alpha: duetServiceStarted: guarded was started: process \d+$", open(lines).read(), re.M)
    assert re.search(r"^notice: alpha: duetRoleChanged: \S", open(lines).read(), re.M)


def test_the_mib_is_clean(tmp_path):
    """The numbers that the program uses are made from it (trapd/generate.py)."""
    mibs = mib_path(str(tmp_path / "mibs"))
    for name in os.listdir(mibs):  # smilint looks for a module by its name
        os.rename(os.path.join(mibs, name), os.path.join(mibs, name.split(".")[0]))
    done = subprocess.run(["smilint", "-l", "6", "-s", os.path.join(mibs, "DUET-MIB")], env=dict(os.environ, SMIPATH=mibs), capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout + done.stderr == ""
