"""The roaming client on a Debian system, as a laptop has it (W1-W3): the package by apt, profiles that are NetworkManager's
and systemd's, and real restarts. The tests go on where the one before ended, in the order of this file."""

import os
import re
import shutil

import pytest

from lab.session import untimed
from vmlab.debian import deb, needed_by
from vmlab.image import Image
from vmlab.laptop import CONFIGURATION, LaptopLab

PATIENCE_S = 150  # for what takes seconds, on an emulated machine
INSTALL_S = 300
OFFICE, MOBILE = "openvpn-client@office", '"Mobile phone"'


@pytest.fixture(scope="module")
def made(debs, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("packages"))
    package = shutil.copy(deb(debs, "duet-client"), os.path.join(folder, "duet-client.deb"))
    image = Image(os.path.join(os.path.dirname(__file__), "../../build/vm"), modules=["tun"],
                  packages=needed_by(package) + ["network-manager", "openvpn"])
    with untimed():
        image.make()
    with LaptopLab(image, folder) as lab:
        yield lab


@pytest.fixture
def lab(made, request):
    request.node.lab = made
    return made


def _unit(lab, unit):
    """Its state and the run that it is in, which a restart changes."""
    return lab.laptop.check("systemctl show -P ActiveState -P InvocationID %s" % unit).split()


def _run_of_mobile(lab):
    """NetworkManager's name for the present run of the connection; empty if it is not up."""
    return lab.laptop.run("nmcli -g GENERAL.DBUS-PATH connection show id " + MOBILE).text.strip()


def _fails(lab, name, why, stays):
    """A switch to it fails and says why, and the one in use stays."""
    done = lab.use(name)
    assert done.code == 1 and re.search(why, done.text) and stays + " stays" in done.text, done.text + lab.log()
    lab.wait_connected(stays, PATIENCE_S)
    assert lab.status()["default"] == stays
    return done.text.strip()


def _switches_without_a_gap(lab, figures, to):
    """Echo requests to the server while it switches: the new connection carries before the old one goes."""
    before = len(lab.log())
    lab.laptop.check("systemd-run --unit=watch ping -q -i 0.2 192.0.2.100")
    done = lab.use(to)
    assert done.code == 0, done.text + lab.log()
    old = lab.wait_for(lambda: re.search(r"^(.+): disconnecting\n(.*\n)*\1: down$", lab.log()[before:], re.MULTILINE), PATIENCE_S,
                       "the old one is down").group(1)
    lab.laptop.check("sleep 1; systemctl kill -s INT watch; while systemctl -q is-active watch; do sleep 0.1; done", PATIENCE_S)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                        lab.laptop.check("journalctl -q -b -o cat -u watch | tail -4")).groups())
    log = lab.log()[before:]
    assert log.index("%s: up" % to) < log.index("connected by " + to) < log.index(old + ": disconnecting")
    figures("client: from %s to %s, emulated" % (old, to), "%s; %d of %d echo requests lost" % (
        re.search("after (.* m?s),", done.text).group(1), sent - received, sent))
    assert sent - received <= 2  # what was under way as the old one went; without make before break it is all for seconds


def test_W1_installed_by_apt_nothing_is_started(lab):
    laptop = lab.laptop
    laptop.check("DEBIAN_FRONTEND=noninteractive apt-get -q -y install /root/packages/duet-client.deb", INSTALL_S)
    assert laptop.run("pgrep -x roamd").code != 0
    laptop.write("/etc/duet/client.conf", CONFIGURATION)
    laptop.check("duet-client check-config")
    laptop.check("systemctl enable --now duet-roamd", PATIENCE_S)
    lab.wait_connected("Office", PATIENCE_S)
    assert _unit(lab, OFFICE)[0] == "active"
    laptop.check("ping -c 1 -W 10 192.0.2.100")


def test_W2_from_a_unit_to_networkmanager(lab, figures):
    _switches_without_a_gap(lab, figures, "Mobile")
    assert _run_of_mobile(lab) and _unit(lab, OFFICE)[0] == "inactive"


def test_W2_what_fails_leaves_networkmanagers_connection(lab, figures):
    """A unit that cannot start, a connection that NetworkManager does not know: each says why."""
    run = _run_of_mobile(lab)
    figures("client: a unit that fails", _fails(
        lab, "Misspelled", r"systemctl: .*Job for openvpn-client@misspelled\.service failed because", "Mobile"))
    assert _unit(lab, "openvpn-client@misspelled")[0] != "active"
    figures("client: no such connection", _fails(lab, "Unknown", "nmcli: .*Error: unknown connection 'No such connection'", "Mobile"))
    assert _run_of_mobile(lab) == run


def test_W2_one_that_needs_the_same_adapter_gives_it_back(lab, figures):
    """With overlap = off: the adapter is given up first, no address is to be had on it, and the old one is connected again."""
    figures("client: no DHCP server", _fails(lab, "Hotel", "nmcli: .*IP configuration could not be reserved", "Mobile"))
    lab.laptop.check("ping -c 1 -W 10 192.0.2.100")


def test_W2_a_connection_that_was_taken_down_is_made_again(lab):
    run = _run_of_mobile(lab)
    lab.laptop.check("nmcli --wait 140 connection down id " + MOBILE, PATIENCE_S)
    lab.wait_for(lambda: _run_of_mobile(lab) not in ("", run), PATIENCE_S, "NetworkManager has it again")
    lab.wait_connected("Mobile", PATIENCE_S)
    assert "NetworkManager has it no longer" in lab.log()
    lab.laptop.check("ping -c 1 -W 10 192.0.2.100")


def test_W3_a_killed_roamd_goes_on_with_the_connection(lab):
    run, roamd = _run_of_mobile(lab), _unit(lab, "duet-roamd")
    lab.laptop.check("systemctl kill -s KILL duet-roamd")
    lab.wait_for(lambda: _unit(lab, "duet-roamd") not in (roamd, ["failed"]) and lab.connected("Mobile"), PATIENCE_S, "roamd is back")
    assert _run_of_mobile(lab) == run


def test_W3_networkmanagers_connection_is_the_default_after_a_reboot(lab):
    lab.reboot()
    lab.wait_connected("Mobile", PATIENCE_S)
    assert _run_of_mobile(lab) and _unit(lab, OFFICE)[0] == "inactive"
    assert lab.status()["default"] == "Mobile"


def test_W2_from_networkmanager_to_a_unit(lab, figures):
    _switches_without_a_gap(lab, figures, "Office")
    assert _unit(lab, OFFICE)[0] == "active" and not _run_of_mobile(lab)


def test_W2_a_cable_that_is_not_plugged_leaves_the_unit(lab, figures):
    """NetworkManager gives a fixed address to an adapter without a carrier, and calls that connected: roamd does not."""
    run = _unit(lab, OFFICE)
    lab.laptop.set_link("mob", False)
    figures("client: no carrier", _fails(lab, "Mobile", "was connected, but nothing inside it answered in time", "Office"))
    lab.laptop.set_link("mob", True)
    assert _unit(lab, OFFICE) == run


def test_W2_a_unit_that_was_killed_is_started_again(lab):
    run = _unit(lab, OFFICE)
    lab.laptop.check("systemctl kill -s KILL " + OFFICE)
    lab.wait_for(lambda: _unit(lab, OFFICE)[0] == "active" and _unit(lab, OFFICE) != run, PATIENCE_S, "it runs again")
    lab.wait_connected("Office", PATIENCE_S)
    assert "systemd calls it failed" in lab.log()


def test_W3_a_unit_is_the_default_after_a_reboot(lab):
    lab.reboot()
    lab.wait_connected("Office", PATIENCE_S)
    assert _unit(lab, OFFICE)[0] == "active" and not _run_of_mobile(lab)
    lab.laptop.check("ping -c 1 -W 10 192.0.2.100")


def test_purge_leaves_nothing(lab):
    """The connection goes down with roamd, and no file of the client stays."""
    lab.laptop.check("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge duet-client", INSTALL_S)
    assert _unit(lab, OFFICE)[0] == "inactive" and lab.laptop.run("pgrep -x roamd").code != 0
    left = lab.laptop.check("find / -xdev \\( -path /proc -o -path /root -o -path /var/log -o -path /var/lib/apt -o -path /var/cache \\) "
                            "-prune -o -name '*duet*' -print; ls -d /run/duet 2>&1 | grep -v 'No such'; true")
    assert left == ""
