"""Services that are units of systemd's (L8, L11, L12): real units, over the real D-Bus."""

import time

from lab.pair import other

DROP_IN = "/run/systemd/system/guarded.service.d"
LOG = "journalctl --quiet --no-pager --unit=duet.service --since=@%s"
JOBS = "systemctl list-jobs --no-legend guarded.service"
STOP_TIMEOUT_S = 10  # the default


def unit(lab, node):
    """(ActiveState, MainPID) of the guarded unit, as systemd has it."""
    said = lab.machines[node].check("systemctl show --property=ActiveState,MainPID guarded.service")
    values = dict(line.split("=", 1) for line in said.split())
    return values["ActiveState"], int(values["MainPID"])


def service(lab, node):
    """The same, as superviserd has it."""
    status = lab.status(node) or {"services": []}
    return next((s for s in status["services"] if s["name"] == "guarded"), {"state": None, "pid": 0, "restarts": 0})


def wait_running(lab, node, but=0):
    """Until both agree that it runs, as another process than `but`; returns that."""
    def running():
        state, pid = unit(lab, node)
        told = service(lab, node)
        return pid if state == "active" and told["state"] == "running" and told["pid"] == pid not in (0, but) else None

    return lab.wait_for(running, 30, "the unit runs on %s: %s, %s" % (node, unit(lab, node), service(lab, node)))


def test_L8_L11_a_unit_is_started_watched_and_adopted(lab):
    active = lab.wait_ready()
    machine = lab.machines[active]
    pid = wait_running(lab, active)
    assert unit(lab, other(active)) == ("inactive", 0)
    machine.check("kill -9 %d" % pid)
    killed = wait_running(lab, active, but=pid)
    machine.check("systemctl stop guarded.service")  # by somebody else
    stopped = wait_running(lab, active, but=killed)
    machine.check("systemctl restart guarded.service")
    restarted = wait_running(lab, active, but=stopped)
    machine.check("pkill -9 -x superviserd")
    time.sleep(3)
    assert wait_running(lab, active) == restarted, "a new superviserd finds it as it is"
    machine.check("systemctl daemon-reexec", timeout=60)  # the connection to systemd breaks
    time.sleep(2)
    assert wait_running(lab, active) == restarted
    machine.check("kill -9 %d" % restarted)
    wait_running(lab, active, but=restarted)
    machine.check("duet switch", timeout=60)
    lab.wait_ready(other(active))
    wait_running(lab, other(active))
    lab.wait_for(lambda: unit(lab, active) == ("inactive", 0), 30, "it is stopped on %s" % active)


def test_L12_a_unit_that_stays_down_moves_the_role_and_restarts_the_node(lab):
    """It cannot start: its condition fails, so systemd leaves it inactive without an error of any kind."""
    active = lab.wait_ready()
    machine, boot_id = lab.machines[active], lab.machines[active].boot_id
    pid = wait_running(lab, active)
    machine.check("touch /run/condition-fails && ln -s /run/condition-fails /etc/vmlab/condition-fails")  # gone by a boot
    machine.check("kill -9 %d" % pid)
    lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
    wait_running(lab, other(active))
    lab.wait_back(active, boot_id)
    failed = lab.wait_for(lambda: service(lab, active)["state"] == "failed" and service(lab, active), 30,
                          "it is known to have failed")
    assert failed["pid"] == 0
    machine.check("rm -f /etc/vmlab/condition-fails && duet clear")
    lab.wait_ready(other(active))


def test_L8_a_unit_that_is_starting_is_stopped_with_the_role(lab):
    """The order to stop comes while systemd's job for the start is still there."""
    active = lab.wait_ready()
    machine = lab.machines[active]
    pid = wait_running(lab, active)
    machine.check("mkdir -p %s && printf '[Service]\\nExecStartPre=/bin/sleep 600\\n' >%s/slow.conf && systemctl daemon-reload"
                  % (DROP_IN, DROP_IN))
    try:
        machine.check("kill -9 %d" % pid)
        lab.wait_for(lambda: unit(lab, active)[0] == "activating" and service(lab, active)["state"] == "starting", 15,
                     "it is starting")
        assert "start" in machine.check(JOBS)
        machine.check("duet switch", timeout=60)
        lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
        lab.wait_for(lambda: service(lab, active)["state"] == "stopped", 30, "it is stopped, which is no failure of the service")
        assert unit(lab, active) in (("inactive", 0), ("failed", 0)), "failed: what prepared its start was killed"
        assert machine.check(JOBS) == ""
    finally:
        machine.check("rm -r %s && systemctl daemon-reload" % DROP_IN)
    wait_running(lab, other(active))
    lab.wait_ready(other(active))
    lab.machines[other(active)].check("duet switch", timeout=60)
    lab.wait_ready(active)
    wait_running(lab, active)


def test_L8_a_stop_while_dbus_is_away_is_made_good_when_it_is_back(lab):
    active = lab.wait_ready()
    machine = lab.machines[active]
    pid = wait_running(lab, active)
    log = LOG % machine.check("date +%s").strip()
    machine.check("systemctl stop dbus.socket dbus.service")
    try:
        lab.wait_for(lambda: "connection to systemd is lost" in machine.check(log), 15, "superviserd knows that it is away")
        machine.check("duet switch", timeout=60)
        lab.wait_for(lambda: lab.owner() == other(active), 60, "%s serves" % other(active))
        lab.wait_for(lambda: "cannot reach systemd to stop it" in machine.check(log), 15, "it is to be stopped")
        time.sleep(STOP_TIMEOUT_S + 2)  # it cannot be killed either
        assert unit(lab, active) == ("active", pid)
        told = service(lab, active)
        assert (told["state"], told["pid"]) == ("running", pid), "what is told is what is the case"
    finally:
        machine.check("systemctl start dbus.socket dbus.service")
    lab.wait_for(lambda: unit(lab, active) == ("inactive", 0), 30, "it is stopped as soon as that can be asked for")
    lab.wait_for(lambda: service(lab, active)["state"] == "stopped", 15, "and superviserd heard of it")
    wait_running(lab, other(active))
    lab.wait_ready(other(active))
