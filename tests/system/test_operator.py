"""What people do: switch, hold, resume, clear, why, events, status (DESIGN section 6)."""

import json
import subprocess
import time

from conftest import gap_ms
from lab.network import LINES
from lab.pair import other


def test_switch_moves_the_role_and_back(lab):
    active = lab.start_pair()
    for where in ("active", "passive"):
        lab.wait_ready(active)
        epoch = lab.role(active)["epoch"]
        done = lab.duet(active, "switch")
        assert done.returncode == 0, (where, done.stderr)
        assert "ms" in done.stdout, "it says how long it took"
        active = lab.wait_settled(other(active), timeout=5)
        assert lab.role(active)["epoch"] > epoch
    assert lab.reboots == []


def test_switch_to_an_unfit_peer_is_refused_unless_forced(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.pull_cable(other(active), "inside")
    lab.wait_for(lambda: not lab.usable(other(active)), 5, "the channel is lost")
    time.sleep(0.5)
    done = lab.duet(active, "switch")
    assert done.returncode != 0 and (done.stderr + done.stdout).strip(), "refused, with the reason"
    lab.stays(lambda: lab.serves(active), 1, "nothing changed")


def test_switch_without_a_peer_is_refused(lab):
    lab.start("alpha")
    lab.wait_for(lambda: lab.serves("alpha"), 10, "alpha serves")
    done = lab.duet("alpha", "switch")
    assert done.returncode != 0 and (done.stderr + done.stdout).strip()
    lab.stays(lambda: lab.serves("alpha"), 1, "nothing changed")


def test_hold_bars_the_takeover_until_resume(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    assert lab.duet(active, "hold").returncode == 0
    lab.wait_for(lambda: all(lab.role(node)["held"] for node in (active, other(active))), 3, "both are held")
    assert lab.status(other(active))["held"] is True
    lab.power_off(active)
    lab.stays(lambda: not lab.serves(other(active)), 3, "no takeover while held")
    assert lab.duet(other(active), "resume").returncode == 0
    lab.wait_for(lambda: lab.serves(other(active)), 5, "takeover after resume")


def test_hold_ends_by_itself(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    assert lab.duet(active, "hold", "--for", "2s").returncode == 0
    lab.wait_for(lambda: lab.role(other(active))["held"], 3, "held")
    lab.wait_for(lambda: not any(lab.role(node)["held"] for node in (active, other(active))), 6, "the hold ends")
    assert lab.settled() == active


def test_clear_makes_a_mended_node_fit(lab):
    lab.write_config(on_network_fault="demote", timers={"settle-time": "1m"})
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.pull_cable(active, "inside")
    lab.wait_settled(other(active))
    lab.network.plug_cable(active, "inside")
    lab.wait_for(lambda: lab.usable(active), 5, "the channel works again")
    time.sleep(1)
    assert not lab.role(active)["fit"], "settle-time has not passed"
    assert lab.duet(active, "clear").returncode == 0
    lab.wait_for(lambda: lab.role(active)["fit"], 3, "fit again")
    lab.wait_ready(other(active))


def test_status_tells_by_its_exit_code(lab):
    assert lab.duet("alpha", "status").returncode == 3, "nobody answers"
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.wait_for(lambda: lab.duet(active, "status").returncode == 0, 5, "healthy")
    lab.power_off(other(active))
    lab.wait_for(lambda: lab.duet(active, "status").returncode == 1, 5, "degraded: no peer")


def test_status_json_has_its_fields(lab):
    lab.write_config(extra=lab.service("guarded"))
    active = lab.start_pair()
    lab.wait_ready(active)
    status = lab.status(active)
    for field in ("cluster", "node", "role", "phase", "epoch", "since", "reason", "fit", "held", "ready", "not_ready",
                  "peer", "paths", "channels", "services", "hooks", "sync", "watchdog", "reboot", "daemons", "alarms"):
        assert field in status, field
    assert (status["cluster"], status["node"], status["role"], status["fit"]) == ("lab", active, "active", True)
    assert status["peer"]["node"] == other(active) and status["peer"]["alive"] is True
    assert {path["name"]: path["state"] for path in status["paths"]} == dict.fromkeys(LINES, "up")
    assert [channel["usable"] for channel in status["channels"]] == [True, True]
    assert all(address["held"] for channel in status["channels"] for address in channel["addresses"]
               if address["address"].startswith(("203.0.113.10", "192.0.2.10")))
    assert [(service["name"], service["state"]) for service in status["services"]] == [("guarded", "running")]
    assert {daemon["name"] for daemon in status["daemons"]} >= {"arbiterd", "heartbeatd", "takeoverd", "superviserd"}
    assert status["alarms"] == []


def test_why_tells_the_chain_of_a_takeover(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 3, "takeover")
    time.sleep(0.5)
    done = lab.duet(other(active), "why")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3, "first sign, decision, addresses: " + done.stdout
    assert "active" in done.stdout and "R3" in done.stdout, done.stdout


def test_events_follow_the_bus(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    events = subprocess.Popen(lab.duet_words(active, "events", "role", "--json"), stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1)
    finally:
        events.terminate()
        lines = events.communicate(timeout=10)[0].splitlines()
    assert len(lines) >= 5
    assert all(json.loads(line) for line in lines)
    assert any('"role"' in line and '"active"' in line for line in lines)


def test_commands_disturb_nobody(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    probe = lab.probe("inside")
    time.sleep(0.2)
    gap_ms(probe)
    for words in (["status"], ["status", "--json"], ["why"], ["clear"], ["check-config"], ["nonsense"]):
        lab.duet(active, *words)
    lab.stays(lambda: lab.settled() == active, 1, "as before")
    assert gap_ms(probe) < 100
