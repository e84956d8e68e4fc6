"""C9: tools on other hosts follow the pair through the monitor endpoint, by ZeroMQ and by Prometheus."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from lab import monitor
from lab.network import ACTIVE, CHANNELS, NODES, PASSIVE
from lab.pair import other
from test_schema import title_of, validators

HERE = ACTIVE["inside"]  # where the client reaches the active node


@pytest.fixture
def watched(lab):
    monitor.make_keys(lab)
    lab.write_config(extra=lab.service() + monitor.section(lab))
    return lab


def state_of(lab, node):
    return lab.bus.last(node, "monitor") or {}


def wait_listening(lab, *nodes):
    for node in nodes or NODES:
        lab.wait_for(lambda n=node: state_of(lab, n).get("listening"), 10, "tools can listen at " + node)


def test_C9_a_tool_on_another_host_follows_the_topics_over_a_switch(watched):
    active = watched.start_pair()
    wait_listening(watched)
    watched.wait_ready(active)
    tool = monitor.Tool(watched, HERE)
    mine = "lab/%s/" % active
    watched.wait_for(lambda: mine + "role" in tool.last(), 10, "the tool has the role")
    assert tool.last()[mine + "role"]["role"] == "active"
    assert watched.duet(active, "switch").returncode == 0
    peers = "lab/%s/role" % other(active)  # the address moves, and the tool with it
    watched.wait_for(lambda: tool.last().get(peers, {}).get("role") == "active", 20, "the tool follows the new node")
    watched.wait_for(lambda: state_of(watched, other(active))["subscriptions"] == 1, 10, "its subscription is counted")
    tool.kill()
    watched.wait_for(lambda: state_of(watched, other(active))["subscriptions"] == 0, 10, "it is known to be gone")
    known = validators()
    for topic, message in tool.messages:
        cluster, node, rest = topic.split("/", 2)
        assert (cluster, node) == ("lab", message["node"])
        known[title_of(rest)].validate(message)


def test_C9_a_tool_that_comes_late_has_the_whole_state_at_once(watched):
    active = watched.start_pair()
    wait_listening(watched)
    watched.wait_ready(active)
    passive = other(active)
    there = {"lab/%s/%s" % (passive, topic) for topic in
             ["role", "peer", "address", "watchdog", "monitor", "service/guarded", "path/reserved"] +
             ["%s/%s" % (area, name) for area in ("path", "link", "search", "address") for name in CHANNELS] +
             ["daemon/" + name for name in ("arbiterd", "heartbeatd", "takeoverd", "superviserd", "monitord")]}
    # Daemons that stand still send nothing again: what comes now is what monitord has kept.
    stopped = [watched.daemon_pid(passive, name) for name in ("superviserd", "takeoverd")]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        tool = monitor.Tool(watched, PASSIVE[passive]["inside"])
        watched.wait_for(lambda: tool.messages, 10, "the first message")
        begin = time.monotonic()
        late = there - set(tool.last())
        while late and time.monotonic() - begin < 2:
            time.sleep(0.01)
            late = there - set(tool.last())
        assert not late, "the whole state: there is no %s" % late
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_C9_a_wrong_key_is_refused_and_counted(watched):
    subprocess.run([os.path.join(watched.bin, "duet"), "keygen", "--client", os.path.join(watched.dir, "stranger")],
                   check=True, capture_output=True, timeout=10)
    subprocess.run([os.path.join(watched.bin, "duet"), "keygen", "--monitor", os.path.join(watched.dir, "forged")],
                   check=True, capture_output=True, timeout=10)
    active = watched.start_pair()
    wait_listening(watched)
    stranger = monitor.Tool(watched, HERE, client="stranger")
    watched.wait_for(lambda: state_of(watched, active)["refused"] >= 1, 10, "the stranger is counted")
    assert "refused 192.0.2.50" in watched.log(active)
    before = state_of(watched, active)["refused"]
    deceived = monitor.Tool(watched, HERE, server=os.path.join(watched.dir, "forged"))
    watched.wait_for(lambda: state_of(watched, active)["refused"] > before, 10, "so is who believes in another server")
    known = monitor.Tool(watched, HERE)
    watched.wait_for(lambda: known.messages, 10, "the tool with the right key hears")
    assert stranger.messages == deceived.messages == []
    deceived.kill()
    # Admitted while all runs; and shut out again.
    monitor.admit(watched, "stranger")
    watched.wait_for(lambda: state_of(watched, active)["clients"] == 2, 10, "its key is seen")
    stranger = monitor.Tool(watched, HERE, client="stranger")  # libzmq does not try again by itself where it was refused
    watched.wait_for(lambda: stranger.messages, 15, "the stranger is admitted")
    os.unlink(os.path.join(monitor.clients(watched), "stranger.key"))
    count = state_of(watched, active)["refused"]
    watched.wait_for(lambda: state_of(watched, active)["refused"] > count, 15, "the stranger is refused again")
    heard, known_heard = len(stranger.messages), len(known.messages)
    watched.wait_for(lambda: len(known.messages) > known_heard + 50, 15, "the other one goes on")
    assert len(stranger.messages) == heard
    for secret in ("monitor", "tool", "stranger"):
        text = open(os.path.join(watched.dir, secret + ".key_secret")).read().split("secret-key = \"")[1].split('"')[0]
        assert text not in watched.log(active) + json.dumps(watched.bus.topics(active, "monitor"))


def peak_memory_kib(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


HOSTILE = """
import os, sys, time, zmq, zmq.auth
server, client, where = sys.argv[1:]
tool = zmq.Context().socket(zmq.XSUB)
tool.curve_serverkey = zmq.auth.load_certificate(server)[0]
tool.curve_publickey, tool.curve_secretkey = zmq.auth.load_certificate(client)
tool.sndhwm, tool.linger = 0, 0
tool.connect(where)
while True:
    for _ in range(1000):
        tool.send(b"\\x01" + os.urandom(200))
    time.sleep(0.001)
"""


@pytest.mark.alone
def test_C9_readers_that_are_slow_or_hostile_cost_the_node_nothing(watched):
    for name in ("slow", "hostile"):
        subprocess.run([os.path.join(watched.bin, "duet"), "keygen", "--client", os.path.join(watched.dir, name)],
                       check=True, capture_output=True, timeout=10)
        monitor.admit(watched, name)
    active = watched.start_pair()
    wait_listening(watched)
    watched.wait_ready(active)
    epoch = watched.role(active)["epoch"]
    good = monitor.Tool(watched, HERE)
    slow = [monitor.Tool(watched, HERE, client="slow") for _ in range(5)]
    watched.wait_for(lambda: good.messages and all(tool.messages for tool in slow), 20, "all hear")
    monitord = watched.daemon_pid(active, "monitord")
    for tool in slow:
        os.kill(tool.process.pid, signal.SIGSTOP)
    hostile = subprocess.Popen(watched.network.exec(
        "client", "/usr/bin/python3", "-c", HOSTILE, monitor.monitor_key(watched) + ".key",
        os.path.join(watched.dir, "hostile.key_secret"), "tcp://%s:%d" % (HERE, monitor.PORT)))
    try:
        watched.wait_for(lambda: state_of(watched, active).get("barred", 0) >= 1, 20, "the hostile one is shut out")
        count = len(good.messages)
        watched.wait_for(lambda: len(good.messages) > count + 300, 30, "the good one still hears")
    finally:
        hostile.kill()
        for tool in slow:
            os.kill(tool.process.pid, signal.SIGCONT)
    assert state_of(watched, active)["barred"] == 1, "it stays shut out"
    assert watched.daemon_pid(active, "monitord") == monitord, "it was not restarted"
    assert peak_memory_kib(monitord) < 64 << 10
    assert watched.settled() == active and watched.role(active)["epoch"] == epoch


def test_C9_a_mistake_in_the_keys_is_told_and_bars_nobody_from_serving(watched):
    os.unlink(monitor.monitor_key(watched) + ".key_secret")
    checked = watched.duet("alpha", "check-config")
    assert checked.returncode == 0 and "keygen --monitor" in checked.stderr, checked.stderr
    active = watched.start_pair()
    watched.wait_for(lambda: "does not exist" in state_of(watched, active).get("text", ""), 10, "it is told")
    assert not state_of(watched, active)["listening"]
    os.unlink(monitor.monitor_key(watched) + ".key")
    subprocess.run([os.path.join(watched.bin, "duet"), "keygen", "--monitor", monitor.monitor_key(watched)], check=True,
                   capture_output=True, timeout=10)
    wait_listening(watched, active)
    assert state_of(watched, active)["text"] == ""


def test_C9_metrics_for_everybody_are_a_warning(watched):
    watched.write_config(extra=monitor.section(watched, metrics="0.0.0.0:9572"))
    checked = watched.duet("alpha", "check-config")
    assert checked.returncode == 0 and "no loopback address" in checked.stderr, checked.stderr


def test_C9_monitord_hung_or_killed_leaves_the_pair_alone(watched):
    active = watched.start_pair()
    wait_listening(watched)
    watched.wait_ready(active)
    epoch = watched.role(active)["epoch"]
    tool = monitor.Tool(watched, HERE)
    watched.wait_for(lambda: tool.messages, 10, "the tool hears")
    pids = [watched.daemon_pid(node, "monitord") for node in NODES]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        watched.stays(lambda: watched.settled() == active, 2, "while it hangs on both nodes")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    watched.wait_for(lambda: watched.daemon_pid(active, "monitord") not in (None, *pids), 10, "it runs again")
    count = len(tool.messages)
    watched.wait_for(lambda: len(tool.messages) > count + 30, 20, "the tool is back by itself")
    assert watched.settled() == active and watched.role(active)["epoch"] == epoch


# ------------------------------------------------------------------------ Prometheus

def value_of(found, name, **labels):
    rows = [value for have, value in found.get(name, []) if labels.items() <= have.items()]
    assert len(rows) == 1, (name, labels, found.get(name))
    return rows[0]


def scrape(lab, node):
    done = monitor.curl(lab, node)
    assert done.returncode == 0, done.stderr
    checked = subprocess.run(["promtool", "check", "metrics"], input=done.stdout, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and not checked.stdout + checked.stderr, checked.stdout + checked.stderr
    return monitor.samples(done.stdout)


def test_C9_metrics_are_what_prometheus_accepts_and_what_is_so(watched):
    active = watched.start_pair()
    wait_listening(watched)
    watched.wait_ready(active)
    passive = other(active)
    found = {node: scrape(watched, node) for node in NODES}
    for node, role in ((active, "active"), (passive, "passive")):
        assert value_of(found[node], "duet_role", state=role, cluster="lab", node=node) == 1
        assert value_of(found[node], "duet_role", state=other_role(role)) == 0
        assert value_of(found[node], "duet_health", state="healthy") == 1
        assert value_of(found[node], "duet_epoch") == watched.role(node)["epoch"]
        assert value_of(found[node], "duet_path_state", path="reserved", state="up") == 1
        assert [value for _, value in found[node]["duet_channel_usable"]] == [1, 1]
        assert value_of(found[node], "duet_daemon_up", daemon="monitord") == 1
    assert value_of(found[active], "duet_service_state", service="guarded", state="running") == 1
    assert value_of(found[active], "duet_address_state", state="holding") == 1
    watched.network.pull_cable(passive, "inside")
    watched.wait_for(lambda: value_of(scrape(watched, passive), "duet_channel_usable", channel="inside") == 0, 10, "the channel")
    watched.power_off(passive)
    watched.wait_for(lambda: value_of(scrape(watched, active), "duet_peer_alive") == 0, 10, "the peer is gone")
    found = scrape(watched, active)
    assert value_of(found, "duet_health", state="degraded") == 1
    watched.wait_for(lambda: ({"alarm": "peer-lost", "cluster": "lab", "node": active}, 1) in
                     scrape(watched, active).get("duet_alarm", []), 10, "the alarm")
    # A daemon that is gone is absent, not remembered.
    os.kill(watched.daemon_pid(active, "superviserd"), signal.SIGSTOP)
    watched.wait_for(lambda: value_of(scrape(watched, active), "duet_daemon_up", daemon="superviserd") == 0, 10, "told")
    watched.wait_for(lambda: "duet_service_state" not in scrape(watched, active), 2, "so is what it said of its services")


def other_role(role):
    return {"active": "passive", "passive": "active"}[role]


def test_C9_the_web_answers_only_what_it_should(watched):
    watched.start("alpha")
    wait_listening(watched, "alpha")
    watched.wait_for(lambda: state_of(watched, "alpha").get("metrics"), 10, "metrics are served")
    assert monitor.curl(watched, "alpha", "/nothing", "-o", "/dev/null", "-w", "%{http_code}").stdout == "404"
    assert monitor.curl(watched, "alpha", "/metrics", "-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}").stdout == "405"
    assert "duet-monitor" in monitor.curl(watched, "alpha", "/").stdout
    ports = subprocess.run(watched.network.exec("alpha", "ss", "-Hltn", "sport", "=", "9572"), capture_output=True, text=True,
                           timeout=10).stdout
    assert "127.0.0.1:9572" in ports and "0.0.0.0:9572" not in ports
    # Connections that ask for nothing do not keep others out for ever.
    idle = subprocess.Popen(watched.network.exec("alpha", "/usr/bin/python3", "-c", """
import socket, time
held = [socket.create_connection(("127.0.0.1", 9572)) for _ in range(16)]
print("held", flush=True)
time.sleep(60)
"""), stdout=subprocess.PIPE, text=True)
    try:
        assert idle.stdout.readline() == "held\n"
        watched.wait_for(lambda: monitor.curl(watched, "alpha").returncode == 0, 30, "it is answered again")
    finally:
        idle.kill()


def test_C9_the_alert_rules_are_what_prometheus_accepts(watched):
    rules = os.path.join(monitor.EXAMPLES, "alerts.yml")
    checked = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and "SUCCESS" in checked.stdout, checked.stdout + checked.stderr
    # No rule asks for what is not told.
    watched.write_config(extra=watched.service() + monitor.section(watched))
    active = watched.start_pair()
    watched.wait_ready(active)
    wait_listening(watched, active)
    told = set()
    for line in monitor.curl(watched, active).stdout.splitlines():
        if line.startswith("# TYPE "):
            told.add(line.split()[2])
    asked = set(re.findall(r"\bduet_[a-z_]+", "\n".join(
        line for line in open(rules).read().splitlines() if "expr:" in line)))
    assert asked and asked <= told, asked - told


def test_C9_the_example_in_shell_says_when_the_role_moves(watched):
    active = watched.start_pair()
    wait_listening(watched)
    watched.wait_ready(active)
    watcher = subprocess.Popen(watched.network.exec(active, os.path.join(monitor.EXAMPLES, "watch-role.sh")),
                               stdout=subprocess.PIPE, text=True)
    try:
        assert watcher.stdout.readline().rstrip().endswith("/metrics: active")
        assert watched.duet(active, "switch").returncode == 0
        assert watcher.stdout.readline().rstrip().endswith("/metrics: passive")
    finally:
        watcher.kill()
        watcher.wait(10)
