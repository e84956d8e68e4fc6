"""What can happen to a guarded daemon, each on a real pair: how often it is started again, then the handover, the restart of
the faulty node, and the peer's service (L8, L11, L12)."""

import os
import signal
import subprocess
import time

from lab.pair import other

RETRIES = 2

# The daemon of a node is a program of that node's own, so that one of them can be made to fail.
DAEMON = """#!/bin/bash
node=$(cat "%(dir)s/nodes/$(readlink /proc/self/ns/net | tr -dc 0-9)")
exec "%(dir)s/$node/program"
"""
PROGRAM = "#!/bin/bash\necho $$ >>%(dir)s/%(node)s/starts\nexec sleep 1000\n"
CHECK = """#!/bin/bash
node=$(cat "%(dir)s/nodes/$(readlink /proc/self/ns/net | tr -dc 0-9)")
state=$(ps -o state= -p "$(tail -n 1 %(dir)s/$node/starts)") && [ "$state" != T ]
"""


def write_program(lab, node, text):
    path = os.path.join(lab.dir, node, "program")
    if os.path.exists(path):
        os.unlink(path)  # not written into: it may be running
    lab.script(os.path.join(node, "program"), text)


def service(lab, node):
    return lab.bus.last(node, "service/guarded") or {"state": None, "pid": 0, "restarts": 0}


def start(lab, **keys):
    settings = {"when": "active", "start-retries": RETRIES, "retry-interval": "20ms", "check-interval": "100ms",
                "check-failures": 2, "stop-timeout": "200ms", "on-failure": "reboot",
                "check": '{"%s/check"}' % lab.dir, **keys}
    lab.script("daemon", DAEMON % {"dir": lab.dir})
    lab.script("check", CHECK % {"dir": lab.dir})
    for node in ("alpha", "beta"):
        write_program(lab, node, PROGRAM % {"dir": lab.dir, "node": node})
    lab.write_config(extra='service "guarded" {\n    command = {"%s/daemon"}\n%s}\n' % (
        lab.dir, "".join("    %s = %s\n" % item for item in settings.items())))
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.wait_for(lambda: runs(lab, active), 5, "the service runs on %s" % active)
    return active


def starts(lab, node):
    """The process of each start of the daemon, as it noted itself."""
    try:
        with open(os.path.join(lab.dir, node, "starts")) as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        return []


def runs(lab, node):
    """It is published as running, and that process has come to its own work."""
    told = service(lab, node)
    return told["state"] == "running" and told["pid"] in starts(lab, node) and told["pid"]


def hands_over(lab, active):
    """The peer serves, its daemon runs, the faulty node is told to restart, once."""
    peer = other(active)
    lab.wait_for(lambda: lab.serves(peer), 10, "handover to %s" % peer)
    lab.wait_for(lambda: runs(lab, peer), 5, "the daemon runs on %s" % peer)
    lab.wait_for(lambda: lab.reboots == [active], 5, "%s is restarted" % active)
    failed = service(lab, active)
    assert failed["state"] == "failed" and failed["pid"] == 0
    return failed


def kill_and_see_it_started(lab, active):
    pid = service(lab, active)["pid"]
    os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: runs(lab, active) not in (False, pid), 3, "started again")


def test_L11_killed(lab):
    """More often than start-retries allows in a row, but it was steady between."""
    active = start(lab)
    for _ in range(RETRIES):
        kill_and_see_it_started(lab, active)
    lab.wait_for(lambda: service(lab, active)["first_sign_ns"] == 0, 30, "steady again")
    kill_and_see_it_started(lab, active)
    assert len(starts(lab, active)) == 1 + RETRIES + 1 and lab.settled() == active and lab.reboots == []


def test_L11_stopped_and_found_by_its_check(lab):
    active = start(lab)
    pid = service(lab, active)["pid"]
    os.kill(pid, signal.SIGSTOP)
    lab.wait_for(lambda: runs(lab, active) not in (False, pid), 10, "the check found it; it is started again")
    assert lab.settled() == active and len(starts(lab, active)) == 2
    lab.wait_for(lambda: not os.path.exists("/proc/%d" % pid), 5, "the stopped one is gone")


def test_L12_made_unable_to_start(lab):
    active = start(lab)
    os.unlink(os.path.join(lab.dir, active, "program"))
    os.kill(service(lab, active)["pid"], signal.SIGKILL)
    failed = hands_over(lab, active)
    assert failed["restarts"] == RETRIES
    assert len(starts(lab, active)) == 1


def test_L12_replaced_on_disk_by_something_that_exits_at_once(lab):
    active = start(lab)
    write_program(lab, active, "#!/bin/sh\necho $$ >>%s/%s/starts\nexit 7\n" % (lab.dir, active))
    lab.stays(lambda: lab.settled() == active, 0.5, "the running one is not harmed")
    os.kill(service(lab, active)["pid"], signal.SIGKILL)
    failed = hands_over(lab, active)
    assert failed["restarts"] == RETRIES and "ended with status 7" in failed["text"]
    assert len(starts(lab, active)) == 1 + RETRIES


def test_L11_started_by_hand_by_somebody_else(lab):
    """Of the kind that is looked for in memory: it is taken as it is, and guarded from then on."""
    name = "vpn%d" % os.getpid()
    lab.script("ctl", """#!/bin/bash
node=$(cat "%(dir)s/nodes/$(readlink /proc/self/ns/net | tr -dc 0-9)")
[ -e "%(dir)s/$node/broken" ] && exit 3
setsid "%(dir)s/%(name)s" 1000 </dev/null >/dev/null 2>&1 &
""" % {"dir": lab.dir, "name": name})
    os.symlink("/bin/sleep", os.path.join(lab.dir, name))
    lab.write_config(extra='service "guarded" {\n    start = {"%s/ctl"}\n    process = %s\n    start-retries = 1\n'
                           '    retry-interval = 20ms\n    check-interval = 100ms\n    on-failure = ignore\n}\n' % (lab.dir, name))
    active = lab.start_pair()
    lab.wait_ready(active)
    first = lab.wait_for(lambda: service(lab, active)["state"] == "running" and service(lab, active)["pid"], 5, "it runs")
    open(os.path.join(lab.dir, active, "broken"), "w").close()
    os.kill(first, signal.SIGKILL)
    lab.wait_for(lambda: service(lab, active)["state"] == "failed", 10, "it cannot be started")
    by_hand = subprocess.Popen(lab.network.exec(active, os.path.join(lab.dir, name), "1000"), start_new_session=True)
    lab.wait_for(lambda: service(lab, active)["pid"] == by_hand.pid, 5, "somebody started it by hand, and it was found")
    lab.wait_for(lambda: service(lab, active)["state"] == "running", 20, "that start was a success")
    assert service(lab, active)["pid"] == by_hand.pid
    os.unlink(os.path.join(lab.dir, active, "broken"))
    by_hand.kill()
    by_hand.wait()
    lab.wait_for(lambda: service(lab, active)["pid"] not in (0, by_hand.pid), 5, "guarded from then on: started again")
    assert lab.settled() == active and lab.reboots == []


def test_L12_the_failure_is_known_after_the_restart(lab):
    """It fails on both, one after the other: one restart, and not one after the other for ever (R7)."""
    lab.on_reboot = "cycle"
    active = start(lab)
    for node in (active, other(active)):
        os.unlink(os.path.join(lab.dir, node, "program"))
    os.kill(service(lab, active)["pid"], signal.SIGKILL)
    lab.wait_for(lambda: lab.reboots == [active], 15, "%s is restarted" % active)
    lab.wait_for(lambda: lab.settled() == other(active), 20, "it comes back as the passive one")
    lab.wait_for(lambda: service(lab, active)["state"] == "failed", 5, "and knows what failed before")
    time.sleep(3)
    assert lab.reboots == [active] and lab.settled() == other(active)
    assert "service-failed" in lab.bus.alarms(other(active))
