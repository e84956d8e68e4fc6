"""C9: `duet status --check` as Nagios and Icinga call it: one line with performance data, exit codes 0, 1, 2, 3."""

import re

import pytest
from lab.pair import other

# As the plugin guidelines have it: 'label'=value[UOM];[warn];[crit];[min];[max]
PERFORMANCE = re.compile(r"^('[^'=]+'|[^'= ]+)=(-?[0-9.]+)(s|B|%|c)?(;[^;]*){0,4}$")


def check(lab, node, *words):
    """(exit code, the words, {label: value})"""
    done = lab.duet(node, "status", "--check", *words)
    assert done.stderr == "" and done.stdout.count("\n") == 1, (done.stdout, done.stderr)
    words, _, data = done.stdout.rstrip("\n").partition(" |")
    assert "|" not in data
    values = {}
    for item in data.split():
        found = PERFORMANCE.match(item)
        assert found, item
        values[found[1]] = float(found[2])
    return done.returncode, words, values


def test_C9_the_check_of_a_pair_that_is_healthy_degraded_and_down(lab):
    assert check(lab, "alpha") == (3, "DUET UNKNOWN - no daemon answers", {})
    lab.write_config(extra=lab.service())
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.wait_for(lambda: check(lab, active)[0] == 0, 10, "healthy")
    assert lab.daemon_pid(active, "monitord") is None, "not configured, not started"
    for node in (active, other(active)):
        code, words, values = check(lab, node)
        assert code == 0 and words.startswith("DUET OK - "), words
        assert "%s is %s" % (active, "active") in words and "%s is passive" % other(active) in words
        assert (values["channels_usable"], values["paths_up"], values["services_failed"], values["alarms"]) == (2, 3, 0, 0)
        assert values["active"] == (node == active) and values["epoch"] == lab.role(node)["epoch"]
        assert 0 <= values["peer_heard"] < 5

    lab.network.pull_cable(other(active), "inside")
    lab.wait_for(lambda: check(lab, other(active))[2]["channels_usable"] == 1, 10, "a channel less")
    lab.network.plug_cable(other(active), "inside")
    lab.power_off(other(active))
    lab.wait_for(lambda: check(lab, active)[0] == 1, 10, "degraded")
    lab.wait_for(lambda: check(lab, active)[2]["alarms"] >= 1, 10, "the alarm")
    code, words, values = check(lab, active)
    assert code == 1 and words.startswith("DUET WARNING - ") and "the peer is not heard" in words and "alarm peer-lost" in words

    lab.power_on(other(active))
    lab.wait_ready(active)
    assert lab.duet(active, "hold").returncode == 0
    lab.wait_for(lambda: lab.role(other(active))["held"], 5, "held")
    lab.power_off(active)
    lab.wait_for(lambda: check(lab, other(active))[0] == 2, 10, "down: nobody may take over")
    code, words, _ = check(lab, other(active))
    assert code == 2 and words.startswith("DUET CRITICAL - no node is active: ") and "on hold" in words


@pytest.mark.parametrize("words", [["--json"], ["--watch"], ["--nonsense"]])
def test_C9_a_check_that_is_called_wrongly_is_unknown(lab, words):
    done = lab.duet("alpha", "status", "--check", *words)
    assert done.returncode == 3 and done.stdout == "" and done.stderr
