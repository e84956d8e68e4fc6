"""trapd's notifications: a pair in the lab, and real receivers (snmptrapd), decoded by the names of DUET-MIB.

Proves, of the requirements: L16, C5, C9.
"""

import os
import signal
import subprocess
import time

import pytest
from lab.pair import other
from lab.receiver import AUTH, PRIV, USER, Receiver

V3 = "-v 3 -u %s -l authPriv -a SHA -A %s -x AES -X %s" % (USER, AUTH, PRIV)


def write_sinks(lab, *lines):
    path = os.path.join(lab.dir, "snmpd.conf")
    with open(path + ".new", "w") as file:
        file.write("# snmpd's own lines are left alone\nrocommunity public\nsysLocation here\n" + "\n".join(lines) + "\n")
    os.rename(path + ".new", path)
    return path


def configure(lab, *lines, extra="", **keys):
    lab.write_config(extra=extra + 'snmp { config = "%s" }\n' % write_sinks(lab, *lines), **keys)


def pid_of(lab, node, name="guarded"):
    service = lab.bus.last(node, "service/" + name)
    return service["pid"] if service and service["state"] == "running" else None


def enable_ipv6(lab, node):
    """The lab has it off."""
    words = "echo 0 >/proc/sys/net/ipv6/conf/lo/disable_ipv6; ip addr replace ::1/128 dev lo"
    subprocess.run(lab.network.exec(node, "sh", "-c", words), check=True)


def sinks(lab, node):
    return lab.bus.topics(node, "trap")


def test_L16_each_start_reaches_every_kind_of_sink(lab):
    kinds = {1171: "trapsink 127.0.0.1:1171 public", 1172: "trap2sink 127.0.0.1 public 1172", 1173: "informsink 127.0.0.1:1173",
             1174: "trapsess %s 127.0.0.1:1174" % V3, 1175: "trapsess -Ci %s 127.0.0.1:1175" % V3,
             1176: "trapsess -v 2c -c public udp6:[::1]:1176"}
    configure(lab, *kinds.values(), extra=lab.service(when="always"))
    enable_ipv6(lab, "alpha")
    receivers = {port: Receiver(lab, "alpha", port, "udp6:[::1]" if port == 1176 else "udp:127.0.0.1") for port in kinds}
    lab.start_pair("alpha")
    first = lab.wait_for(lambda: pid_of(lab, "alpha"), 10, "the service runs")
    os.kill(first, signal.SIGKILL)
    second = lab.wait_for(lambda: pid_of(lab, "alpha") not in (None, first) and pid_of(lab, "alpha"), 10, "it runs again")
    for port, receiver in receivers.items():
        for pid in (first, second):
            notice = receiver.wait("duetServiceStarted", Service="guarded", Pid=str(pid))
            assert notice["Node"] == "alpha" and int(notice["Age"]) < 1000 and notice["Suppressed"] == "0"
            assert notice.version == (1 if port == 1171 else 2)
        assert "signal 9" in notice["Text"], notice
        lab.wait_for(lambda: len(receiver.notices()) == lab.bus.last("alpha", "trap")["number"], 10, "all of them")
        numbers = [one.number for one in receiver.notices()]
        assert numbers == list(range(1, len(numbers) + 1)), "port %d" % port
    state = sinks(lab, "alpha")
    assert [state[str(n)]["kind"] for n in range(1, 7)] == ["trap1", "trap2", "inform", "trap2", "inform", "trap2"]
    for name in ("3", "5"):
        assert state[name]["acknowledged"] == state[name]["sent"] == lab.bus.last("alpha", "trap")["number"]


SINK_DOWN_S = int(os.environ.get("SINK_DOWN_S", "5"))  # and what comes before, some ten seconds


def test_informs_wait_for_their_sink_and_come_once_each(lab):
    configure(lab, "informsink 127.0.0.1:1162", "trapsess -Ci %s 127.0.0.1:1163" % V3, "informsink 127.0.0.1:1169",
              extra=lab.service(when="always", start_retries=100))
    receivers = [Receiver(lab, "alpha", port, start=False) for port in (1162, 1163)]
    lab.start_pair("alpha")
    for _ in range(4):
        pid = lab.wait_for(lambda: pid_of(lab, "alpha"), 10, "the service runs")
        os.kill(pid, signal.SIGKILL)
        lab.wait_for(lambda: pid_of(lab, "alpha") not in (None, pid), 10, "it runs again")
    time.sleep(1)
    before = lab.bus.last("alpha", "trap")["number"]
    killed = lab.daemon_pid("alpha", "trapd")
    os.kill(killed, signal.SIGKILL)
    lab.wait_for(lambda: lab.daemon_pid("alpha", "trapd") not in (None, killed), 10, "trapd runs again")
    time.sleep(3)  # what was said before is not remembered
    assert lab.bus.last("alpha", "trap")["number"] >= before >= 5 and "begun anew" not in lab.log("alpha")
    lab.wait_for(lambda: sinks(lab, "alpha").get("1", {}).get("waiting", 0) >= 5, 10,
                 "informs wait after kill -9")
    time.sleep(SINK_DOWN_S)
    number = lab.bus.last("alpha", "trap")["number"]
    for receiver in receivers:
        receiver.start()
    for receiver in receivers:
        lab.wait_for(lambda: len(receiver.notices()) >= number, 40, "all came")
        assert [one.number for one in receiver.notices()] == list(range(1, number + 1))
        assert int(receiver.notices()[0]["Age"]) > SINK_DOWN_S * 1000
    lab.wait_for(lambda: sinks(lab, "alpha")["1"]["waiting"] == sinks(lab, "alpha")["2"]["waiting"] == 0, 5, "nothing waits")
    assert sinks(lab, "alpha")["3"]["waiting"] == number  # the one that never answers delays nobody
    lab.stays(lambda: len(receivers[0].notices()) == number, 3, "none comes again")


def test_traps_wait_while_the_node_cannot_send(lab):
    configure(lab, "trap2sink 198.51.100.77:1162", "trapsink 127.0.0.1:1163", on_network_fault="demote")
    receiver = Receiver(lab, "beta", 1163)
    lab.start_pair("alpha")
    time.sleep(4)
    address = next(one for one in lab.kernel_addresses("alpha", "inside"))
    remote = Receiver(lab, "alpha", 1164, address="udp:" + address)
    write_sinks(lab, "trapsink 127.0.0.1:1163", "trap2sink %s:1164" % address)
    lab.wait_for(lambda: "2" in sinks(lab, "beta") and sinks(lab, "beta")["2"]["address"].endswith(":1164"), 5, "reloaded")
    lab.network.pull_cable("beta", "inside")
    fault = receiver.wait("duetNetworkFault", Channel="inside")
    lab.wait_for(lambda: sinks(lab, "beta")["2"]["waiting"] > 0, 5, "it waits")
    assert "carrier" in sinks(lab, "beta")["2"]["text"]
    time.sleep(1.5)
    lab.network.plug_cable("beta", "inside")
    late = remote.wait("duetNetworkFault", Node="beta", Channel="inside")
    assert late.number == fault.number and late["Time"] == fault["Time"] and int(late["Age"]) >= 1500 and int(fault["Age"]) < 1000
    remote.wait("duetNetworkBack", Channel="inside")


def test_a_sync_that_stalls_is_told(lab):
    for node in ("alpha", "beta"):
        os.makedirs(os.path.join(lab.dir, node, "data"))
    shared = os.path.join(lab.dir, "data")
    os.makedirs(shared)
    configure(lab, "trap2sink 127.0.0.1:1162", extra='sync "files" {\n    path = "%s"\n}\n' % shared)
    receiver = Receiver(lab, "alpha")
    lab.start_pair("alpha")
    lab.wait_for(lambda: (lab.bus.last("alpha", "sync/files") or {}).get("state") == "current", 30, "the set is current")
    hung = lab.wait_for(lambda: lab.daemon_pid("beta", "syncd"), 5, "beta's syncd")
    os.kill(hung, signal.SIGSTOP)
    behind = receiver.wait("duetSyncBehind", 40, Set="files")
    assert "with files" in behind["Text"]
    os.kill(hung, signal.SIGCONT)
    current = receiver.wait("duetSyncCurrent", 40, Set="files")
    assert current.number > behind.number
    assert not receiver.named("duetDaemonFailed")  # it was beta's: alpha's own runs


def test_a_wanted_restart_is_told_before_it_comes(lab):
    configure(lab, "informsink 127.0.0.1:1162", "trap2sink 127.0.0.1:1163", extra=lab.service(on_failure="reboot"))
    receivers = [Receiver(lab, "alpha", port) for port in (1162, 1163)]
    lab.start_pair("alpha")
    lab.wait_for(lambda: pid_of(lab, "alpha"), 10, "the service runs")
    lab.break_service("alpha")
    lab.wait_for(lambda: lab.reboots == ["alpha"], 30, "the reboot command was called")
    for receiver in receivers:  # now, not later
        names = [one.name for one in receiver.notices()]
        assert names.index("duetServiceFailed") < len(names) - 1 - names[::-1].index("duetRoleChanged"), names
    trap, reboot = lab.bus.last("alpha", "trap"), lab.bus.last("alpha", "reboot")
    assert 0 < trap["reboot_ns"] <= reboot["at_ns"] and trap["waiting"] == 0
    assert reboot["at_ns"] - trap["reboot_ns"] < 450e6  # it did not wait out its limit


def closed(lab):
    yield
    for receiver in lab.tools:
        receiver.kill()
