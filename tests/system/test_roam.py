"""The roaming client, W1-W3: a laptop, two gateways, real VPNs between them, and a transfer that must not notice."""

import json
import os
import re
import signal
import subprocess
import time

import jsonschema
import pytest

from lab.browser import PROGRAM, Browser
from lab.roam import PAGE, RoamLab
from lab.tools import tool_path

@pytest.fixture
def lab(request):
    with RoamLab() as made:
        yield made


def begin(lab, client="    unreachable-for = 2s\n", profiles=None):
    lab.write_config(client=client, profiles=profiles)
    lab.start()
    lab.wait_connected("Office")


def test_W1_W2_W3_one_action_and_the_transfer_goes_on_by_the_backup_gateway(lab, figures):
    begin(lab)
    assert lab.client("list").stdout.split()[:2] == ["*", "Office"]
    lab.start_server()
    transfer = lab.start_transfer()
    transfer.wait_flowing()
    undisturbed = transfer.look()[0]
    lab.power_off("office")
    lab.wait_for(lambda: not lab.status()["connected"], 20, "the silence is seen")
    lab.wait_for(lambda: "duet-client use Backup-Coordinator" in lab.status()["advice"], 20, "it is told what to do")
    done = lab.client("use", "Backup-Coordinator")
    assert done.returncode == 0, done.stderr + lab.log()
    gap, _, _, _ = transfer.wait_flowing()  # the same connection, and no byte of it is missing
    state = lab.status()
    assert state["current"] == state["default"] == "Backup-Coordinator" and state["connected"]
    took = state["switch"]
    figures("client: from the order to the new gateway", "%.0f ms, of which the VPN's own handshake %.0f ms (transfer's gap %.0f ms with "
            "the wait before the order, undisturbed %.1f ms)" % (took["took_ms"], took["proven_ms"] - took["up_ms"], gap, undisturbed))
    lab.wait_for(lambda: [p for p in lab.status()["profiles"] if p["name"] == "Office"][0]["state"] == "down", 30, "the old one is down")
    assert "tun-office" not in subprocess.run(lab.exec("laptop", "ip", "-br", "link"), capture_output=True, text=True).stdout
    # W3: it is the default from then on, after the end of roamd, too, however it came.
    lab.stop(signal.SIGKILL)
    lab.start()
    lab.wait_connected("Backup-Coordinator")
    lab.stop()
    lab.start()
    lab.wait_connected("Backup-Coordinator")


def test_W2_a_switch_while_both_are_there_makes_before_it_breaks(lab, figures):
    begin(lab)
    lab.start_server()
    transfer = lab.start_transfer()
    transfer.wait_flowing()
    for name in ("Backup-Coordinator", "Office"):
        done = lab.client("use", name)
        assert done.returncode == 0, done.stderr + lab.log()
        gap = transfer.wait_flowing()[0]
    figures("client: longest gap of two switches, both gateways there", "%.1f ms" % gap)
    log = lab.log()
    assert log.index("Backup-Coordinator: up") < log.index("connected by Backup-Coordinator") < log.index("Office: disconnecting")


def test_W2_a_switch_that_fails_leaves_the_old_connection(lab):
    broken = """
gateway "nothing" { address = "10.8.0.77"  device = "net" }
profile "Broken-Up" { gateway = {"backup"}  up = {"sh", "-c", "echo no modem >&2; exit 3"}  down = {"true"} }
profile "No-Proof" { gateway = {"backup"}  inside = {"nothing"}  up = {"true"}  down = {"true"}  connect-timeout = 1s }
profile "No-Route" { gateway = {"backup"}  up = {"true"}  down = {"true"}  route "192.0.2.0/24" { via = "10.77.0.1"  device = "lo" } }
"""
    begin(lab, profiles=lab.profile("Office", "office") + lab.profile("Backup-Coordinator", "backup") + broken)
    lab.start_server()
    transfer = lab.start_transfer()
    transfer.wait_flowing()
    for name, why in (("Broken-Up", "no modem"), ("No-Proof", "nothing inside it answered"), ("No-Route", "routes")):
        done = lab.client("use", name)
        assert done.returncode == 1 and why in done.stderr and "Office stays" in done.stderr, done.stdout + done.stderr + lab.log()
        transfer.wait_flowing()
        assert lab.connected("Office")
    assert "Office: disconnecting" not in lab.log()
    assert lab.status()["default"] in ("", "Office")


def test_W2_profiles_that_exclude_each_other_go_back_when_the_new_one_fails(lab):
    """Without make before break: the old connection is given up first, and is had again after the failure."""
    alone = """
profile "Alone" { gateway = {"backup"}  overlap = off  up = {"sh", "-c", "exit 4"}  down = {"true"} }
"""
    begin(lab, profiles=lab.profile("Office", "office") + lab.profile("Backup-Coordinator", "backup") + alone)
    lab.start_server()
    transfer = lab.start_transfer()
    transfer.wait_flowing()
    done = lab.client("use", "Alone")
    assert done.returncode == 1 and "status 4" in done.stderr, done.stdout + done.stderr
    log = lab.log()
    assert log.index("Office: disconnecting") < log.index("Alone: connecting")
    lab.wait_connected("Office")
    transfer.wait_flowing()


def test_W3_a_tunnel_that_restarts_itself_gets_its_routes_back(lab):
    """OpenVPN closes its device when it restarts, and the kernel takes the routes away with it."""
    begin(lab)
    lab.start_server()
    transfer = lab.start_transfer()
    transfer.wait_flowing()
    pids = subprocess.run(["pgrep", "-P", str(lab.roamd.pid), "openvpn"], capture_output=True, text=True).stdout.split()
    assert len(pids) == 1
    before = lab.log().count("Initialization Sequence Completed")
    os.kill(int(pids[0]), signal.SIGUSR1)
    lab.wait_for(lambda: lab.log().count("Initialization Sequence Completed") > before, 60, "OpenVPN is back")
    transfer.wait_flowing()
    assert lab.connected("Office") and switches(lab) == 0


def switches(lab):
    return lab.log().count("connected by ")


def test_W2_auto_on_switches_by_itself_within_the_configured_time(lab, figures):
    begin(lab, client="    auto = on\n    unreachable-for = 1s\n    settle-time = 20s\n")
    lab.start_server()
    transfer = lab.start_transfer()
    transfer.wait_flowing()
    lab.power_off("office")
    lab.wait_connected("Backup-Coordinator", 30)
    gap = transfer.wait_flowing()[0]
    took = lab.status()["switch"]
    assert took["by_itself"]
    figures("client: auto = on, unreachable-for = 1s", "transfer's gap %.0f ms, of which the switch %.0f ms" % (gap, took["took_ms"]))
    lab.stop(signal.SIGKILL)  # a choice that it made itself is remembered, too
    lab.start()
    lab.wait_connected("Backup-Coordinator")


def blink(lab, seconds, down, up):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lab.unplug("office")
        time.sleep(down)
        lab.plug("office")
        time.sleep(up)


def test_W2_auto_on_does_not_flap_while_the_office_gateway_blinks(lab):
    """Short blinks change nothing; long ones lead to one switch, and nothing leads back."""
    begin(lab, client="    auto = on\n    unreachable-for = 5s\n    settle-time = 6s\n")
    blink(lab, 20, 0.5, 1.1)  # not in step with the tests of the gateways
    assert switches(lab) == 0 and lab.status()["current"] == "Office", lab.log()
    blink(lab, 40, 8, 1.5)
    assert switches(lab) == 1 and lab.status()["current"] == "Backup-Coordinator", lab.log()
    lab.wait_connected("Backup-Coordinator")


def test_W2_auto_ask_tells_by_the_command_and_waits(lab):
    told = lab.path("told")
    begin(lab, client="    auto = ask\n    unreachable-for = 1s\n    notify = {\"sh\", \"-c\", \"echo $0: $1 >> %s\"}\n" % told)
    lab.power_off("office")
    lab.wait_for(lambda: os.path.exists(told) and "unreachable: Office is unreachable; Backup-Coordinator can be reached" in open(told).read(),
                 30, "the command is told")
    time.sleep(3)
    assert switches(lab) == 0 and lab.status()["current"] == "Office"
    assert open(told).read().count("unreachable:") == 1


# -------------------------------------------------------------- without a VPN beneath


@pytest.fixture
def bare():
    with RoamLab(vpn=None) as made:
        yield made


def gateway_states(lab):
    return {gateway["name"]: gateway["state"] for gateway in lab.status().get("gateways", [])}


ANSWERER = """
import socket
listener = socket.create_server(("203.0.113.20", 443))
print("ready", flush=True)
while True:
    listener.accept()[0].close()
"""


def test_W1_gateways_are_tested_in_every_way(bare, tmp_path):
    """By echo request over IPv4 and IPv6, by a connection, by a command; what does not answer is silent."""
    lab = bare
    lab.ip("laptop", "addr add fd00::50/64 dev net nodad")
    lab.ip("backup", "addr add fd00::20/64 dev net nodad")
    process = lab.spawn("backup", "/usr/bin/python3", "-c", ANSWERER, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    flag = tmp_path / "flag"
    flag.write_text("")
    lab.write_config(profiles="""
gateway "v4" { address = "203.0.113.20" }
gateway "v6" { address = "fd00::20"  device = "net" }
gateway "port" { address = "203.0.113.20"  test = tcp  port = 443 }
gateway "closed" { address = "203.0.113.20"  test = tcp  port = 444 }
gateway "nobody" { address = "203.0.113.99" }
gateway "elsewhere" { address = "203.0.113.20"  device = "lo" }
gateway "command" { test = command  command = {"test", "-e", "%s"} }
gateway "slow" { test = command  command = {"sleep", "60"} }
profile "Here" { gateway = {"v4", "v6", "port", "closed", "nobody", "elsewhere", "command", "slow"}  up = {"true"}  down = {"true"} }
""" % flag)
    lab.start()
    good, bad = {"v4", "v6", "port", "command"}, {"closed", "nobody", "elsewhere", "slow"}
    lab.wait_for(lambda: gateway_states(lab) == {**dict.fromkeys(good, "answers"), **dict.fromkeys(bad, "silent")}, 60, "all are judged")
    flag.unlink()
    process.kill()
    lab.wait_for(lambda: {name for name, state in gateway_states(lab).items() if state == "answers"} == {"v4", "v6"}, 60, "two went")
    lab.power_off("backup")
    lab.wait_for(lambda: set(gateway_states(lab).values()) == {"silent"}, 60, "all went")


def test_W2_networkmanager_and_systemd_are_given_the_right_words(bare):
    """Neither runs in a namespace, so programs of their names write down what they are asked for, and can refuse it as
    these do: the reason first, then where to read more. vm/test_client.py is about the real ones."""
    lab = bare
    words, programs = lab.path("words"), lab.path("programs")
    os.mkdir(programs)
    for name in ("nmcli", "systemctl"):
        with open(os.path.join(programs, name), "w") as script:
            script.write('#!/bin/sh\necho "%s $*" >> %s\n[ -e %s/refuse-$2 ] || exit 0\n'
                         'echo "Warning: changed on disk"; echo "Job for it failed"; echo "See the journal"\nexit 1\n' % (name, words, lab.dir))
        os.chmod(os.path.join(programs, name), 0o755)
    lab.write_config(profiles="""
gateway "v4" { address = "203.0.113.20" }
profile "Unit" { gateway = {"v4"}  unit = "openvpn-client@office.service" }
profile "Manager" { gateway = {"v4"}  networkmanager = "Office VPN" }
""")
    before = os.environ["PATH"]
    os.environ["PATH"] = programs + ":" + before
    try:
        lab.start()
    finally:
        os.environ["PATH"] = before
    lab.wait_connected("Unit")
    assert lab.client("use", "Manager").returncode == 0
    said = "systemctl start openvpn-client@office.service\nnmcli --wait 31 connection up id Office VPN\nsystemctl stop openvpn-client@office.service\n"
    lab.wait_for(lambda: open(words).read() == said, 20, "the words")
    open(lab.path("refuse-openvpn-client@office.service"), "w").close()
    done = lab.client("use", "Unit")
    assert done.returncode == 1 and "systemctl: ended with status 1: Job for it failed; Manager stays" in done.stderr
    assert lab.connected("Manager")
    done = lab.client("use", "Manager")
    assert done.returncode == 0 and "already" in done.stdout


TWO = """
gateway "v4" { address = "203.0.113.20" }
profile "First" { gateway = {"v4"}  up = {"true"}  down = {"true"} }
profile "Second" { gateway = {"v4"}  up = {"true"}  down = {"true"} }
"""


@pytest.mark.parametrize("spoil, said", [(lambda text: text.replace("Second", "Gone"), "cannot be read"),
                                         (lambda text: "", "cannot be read"), (None, "no longer configured")],
                         ids=["damaged", "empty", "renamed"])
def test_W3_a_choice_that_cannot_be_had_is_told_and_the_first_one_begins(bare, spoil, said):
    lab = bare
    lab.write_config(profiles=TWO)
    lab.start()
    lab.wait_connected("First")
    assert lab.client("use", "Second").returncode == 0
    lab.stop()
    chosen = os.path.join(lab.state_dir, "roamd", "chosen")
    with open(chosen) as file:
        text = file.read()
    assert "profile Second" in text
    if spoil:
        with open(chosen, "w") as file:
            file.write(spoil(text))
    else:
        lab.write_config(profiles=TWO.replace("Second", "Renamed"))
    lab.start()
    lab.wait_connected("First")
    assert said in lab.log()


def test_W3_profiles_that_share_a_route_keep_it_when_one_goes(bare):
    """Removing the old one's route must not leave the new one without."""
    lab = bare
    route = 'route "198.51.100.0/24" { via = "203.0.113.20" }'
    lab.write_config(profiles=TWO.replace('down = {"true"}', 'down = {"true"}  ' + route))
    lab.start()
    lab.wait_connected("First")
    assert lab.client("use", "Second").returncode == 0
    lab.wait_for(lambda: [p["state"] for p in lab.status()["profiles"]] == ["down", "up"], 20, "the old one is down")
    routes = lambda: subprocess.run(lab.exec("laptop", "ip", "route"), capture_output=True, text=True).stdout  # noqa: E731
    lab.wait_for(lambda: "198.51.100.0/24 via 203.0.113.20" in routes(), 20, "the route is there")
    lab.stop()
    assert "198.51.100.0/24" not in routes()


def test_a_second_roamd_in_the_same_directory_is_refused(bare):
    lab = bare
    lab.write_config(profiles='gateway "v4" { address = "203.0.113.20" }\nprofile "Here" { gateway = {"v4"}  up = {"true"}  down = {"true"} }\n')
    lab.start()
    lab.wait_connected("Here")
    second = subprocess.run(lab.exec("laptop", tool_path("roamd"), *lab.words()), capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "another roamd runs" in second.stderr
    assert lab.connected("Here")


def test_C9_events_and_status_are_for_scripts(bare):
    """They fit the installed schema, too."""
    lab = bare
    lab.write_config(profiles='gateway "v4" { address = "203.0.113.20" }\nprofile "Here" { gateway = {"v4"}  up = {"true"}  down = {"true"} }\n')
    assert lab.client("status").returncode == 3
    lab.start()
    lab.wait_connected("Here")
    assert lab.client("status").returncode == 0
    follower = lab.spawn("laptop", tool_path("duet-client"), "events", *lab.words(), stdout=subprocess.PIPE, text=True)
    with open(os.path.join(os.environ["DUET_BIN"], "../proto/topics.schema.json"), encoding="utf-8") as file:
        schemas = {found["title"]: found for found in json.load(file)["$defs"].values() if "title" in found}
    events = {}
    while not {"profile", "gateway/v4", "daemon/roamd"} <= set(events):
        event = json.loads(follower.stdout.readline())
        events[event.pop("topic")] = event
    follower.kill()
    for topic, event in events.items():
        jsonschema.validate(event, schemas[re.sub("/.*", "/NAME", topic)])
    assert events["profile"]["current"] == "Here" and events["profile"]["connected"] and events["profile"]["from"] == "roamd"
    assert events["gateway/v4"]["state"] == "answers"
    lab.power_off("backup")
    lab.wait_for(lambda: lab.client("status").returncode == 1, 30, "the silence is in the exit code")


# ------------------------------------------------------------------------------ page


def get(lab, path="/", host="127.0.0.1:%d" % PAGE, more=""):
    return lab.ask_page(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n" % (path, host, more)).encode())


def post(lab, body, more="", host="127.0.0.1:%d" % PAGE):
    return lab.ask_page(("POST /use HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                         "Content-Length: %d\r\n%s\r\n%s" % (host, len(body), more, body)).encode())


def token_of(page):
    return page.split('name="token" value="')[1].split('"')[0]


def test_W2_the_page_shows_the_state_and_one_click_switches(lab):
    begin(lab)
    page = get(lab)
    assert page.startswith("HTTP/1.1 200") and "Office is connected" in page and "frame-ancestors 'none'" in page
    assert 'value="Backup-Coordinator"' in page
    own = "Origin: http://127.0.0.1:%d\r\nSec-Fetch-Site: same-origin\r\n" % PAGE
    token = token_of(page)
    refused = [
        post(lab, "token=%s&profile=Backup-Coordinator" % token, "Origin: http://evil.example\r\n"),
        post(lab, "token=%s&profile=Backup-Coordinator" % token, "Origin: null\r\n"),
        post(lab, "token=%s&profile=Backup-Coordinator" % token, "Sec-Fetch-Site: cross-site\r\n"),
        post(lab, "token=%s&profile=Backup-Coordinator" % token, own, host="evil.example:%d" % PAGE),
        post(lab, "profile=Backup-Coordinator", own),
        post(lab, "token=%s&profile=Backup-Coordinator" % ("0" * 32), own),
        get(lab, host="evil.example"),
        get(lab, path="/state", host="evil.example:%d" % PAGE),
    ]
    assert all(answer.startswith("HTTP/1.1 403") and token not in answer for answer in refused), refused
    assert post(lab, "token=%s&profile=Nothing" % token, own).startswith("HTTP/1.1 400")
    assert get(lab, path="/use?token=%s&profile=Backup-Coordinator" % token).startswith("HTTP/1.1 404")
    assert lab.status()["switch"]["number"] == 0 and lab.connected("Office")
    answer = post(lab, "token=%s&profile=Backup-Coordinator" % token, own)
    assert answer.startswith("HTTP/1.1 303"), answer
    lab.wait_connected("Backup-Coordinator")
    assert "Backup-Coordinator is connected" in get(lab, path="/state")


# Another site's form, sent by its script: a browser lets that go out to loopback.
FOREIGN = """
document.body.innerHTML = '<form method="post" action="http://127.0.0.1:%d/use"><input name="token" value="%s">' +
    '<input name="profile" value="Backup-Coordinator"></form>';
document.querySelector("form").submit()
"""


@pytest.mark.skipif(not PROGRAM, reason="no chromium-headless-shell is installed")
def test_W2_the_page_in_a_browser(lab):
    """As a person has it: the page shows the state and keeps it fresh, one click switches, another site's script does not.
    PAGE_PICTURE=FILE keeps a picture."""
    begin(lab)
    own = "http://127.0.0.1:%d/" % PAGE
    with Browser(lab, "laptop") as browser:
        browser.open(own)
        text = "document.body.innerText"
        lab.wait_for(lambda: "Office is connected" in (browser.evaluate(text) or ""), 60, "the page shows the state")
        token = browser.evaluate("document.querySelector('input[name=token]').value")
        browser.open("data:text/html,<h1>another site</h1>")
        lab.wait_for(lambda: "another site" in (browser.evaluate(text) or ""), 30, "another site is open")
        browser.evaluate(FOREIGN % (PAGE, token))
        lab.wait_for(lambda: "a request to the page was refused: the request comes from another site" in lab.log(), 20, "it is refused")
        assert lab.status()["switch"]["number"] == 0
        browser.open(own)
        lab.wait_for(lambda: "Office is connected" in (browser.evaluate(text) or ""), 60, "the page is there again")
        lab.power_off("office")
        lab.wait_for(lambda: "duet-client use Backup-Coordinator" in browser.evaluate(text), 60, "it tells of it, without a click")
        if os.environ.get("PAGE_PICTURE"):
            browser.picture(os.environ["PAGE_PICTURE"])
        browser.evaluate("document.querySelector('button[value=Backup-Coordinator]').click()")
        lab.wait_for(lambda: "Backup-Coordinator is connected" in (browser.evaluate(text) or ""), 60, "one click switches")
    assert lab.connected("Backup-Coordinator")


# ----------------------------------------------------------------------- WireGuard


def test_W1_W2_W3_the_same_with_wireguard(figures):
    """By wg-quick, with wireguard-go where the kernel has no WireGuard. The age of its handshakes is a test, too."""
    with RoamLab(vpn="wireguard") as lab:
        aged = """
gateway "office-age" { test = handshake  device = "wg-office"  max-age = 3m }
"""
        office = lab.profile("Office", "office").replace('inside = {"office-inside"}', 'inside = {"office-inside", "office-age"}')
        begin(lab, profiles=office + aged + lab.profile("Backup-Coordinator", "backup"))
        lab.wait_for(lambda: [g["state"] for g in lab.status()["gateways"] if g["name"] == "office-age"] == ["answers"], 30,
                     "there was a handshake")
        lab.start_server()
        transfer = lab.start_transfer()
        transfer.wait_flowing()
        lab.power_off("office")
        lab.wait_for(lambda: not lab.status()["connected"], 20, "the silence is seen")
        done = lab.client("use", "Backup-Coordinator")
        assert done.returncode == 0, done.stderr + lab.log()
        transfer.wait_flowing()
        took = lab.status()["switch"]
        figures("client: WireGuard, from the order to the new gateway",
                "%.0f ms, of which wg-quick %.0f ms and the handshake %.0f ms" % (took["took_ms"], took["up_ms"], took["proven_ms"] - took["up_ms"]))
        # WireGuard's device does not end with roamd: the next one takes it as it is, and the transfer does not notice.
        lab.stop(signal.SIGKILL)
        before = transfer.wait_flowing()[1]
        lab.start()
        lab.wait_connected("Backup-Coordinator")
        assert "Backup-Coordinator: was left up" in lab.log() and transfer.wait_flowing()[1] > before
        lab.stop()
        assert "wg-" not in subprocess.run(lab.exec("laptop", "ip", "-br", "link"), capture_output=True, text=True).stdout
