"""Broken configurations of the client, given to the real `duet-client check-config`: each is refused with file, line,
cause and remedy, and so is it by roamd, which then touches nothing. Rows W1, W2."""

import os
import re
import subprocess

import pytest

from lab.tools import tool_path

GOOD = """\
client {
    auto = on
    unreachable-for = 10s
    order = {"Backup-Coordinator", "Mobile"}
    first = "Office"
    page = "127.0.0.1:8642"
}
gateway "office" { address = "203.0.113.10" }
gateway "office-inside" { address = "10.8.0.1"  device = "tun-office" }
gateway "backup" { address = "203.0.113.20"  test = tcp  port = 443 }
gateway "tunnel" { test = handshake  device = "wg0" }
profile "Office" {
    gateway = {"office"}
    inside = {"office-inside"}
    run = {"openvpn", "--config", "/etc/openvpn/client/office.conf"}
    route "192.0.2.0/24" { via = "10.8.0.1"  device = "tun-office" }
}
profile "Backup-Coordinator" {
    gateway = {"backup"}
    inside = {"tunnel"}
    wireguard = "/etc/wireguard/wg0.conf"
}
profile "Mobile" {
    gateway = {"backup"}
    unit = "openvpn-client@mobile.service"
    overlap = off
}
"""

OFFICE = '    run = {"openvpn", "--config", "/etc/openvpn/client/office.conf"}\n'

# name, what is replaced, by what, the line that is blamed, words of the cause, words of the remedy
BROKEN = [
    ("wrong choice", "auto = on", "auto = maybe", 2, 'auto cannot be "maybe"', "off, ask or on"),
    ("no duration", "unreachable-for = 10s", "unreachable-for = 10", 3, "not a duration", "50ms, 3s or 2m"),
    ("unknown key", "unreachable-for = 10s", "unreachable-after = 10s", 3, 'unknown key "unreachable-after" in client',
     "did you mean"),
    ("unknown key far from all", "unreachable-for = 10s", "colour = red", 3, 'unknown key "colour"', "duet-client.conf(5)"),
    ("order of nobody", '"Backup-Coordinator", "Mobile"', '"Backup", "Mobile"', 4, 'names "Backup", which is no profile', "add profile"),
    ("order twice", '"Backup-Coordinator", "Mobile"', '"Mobile", "Mobile"', 4, 'names "Mobile" twice', "keep one"),
    ("first of nobody", 'first = "Office"', 'first = "Home"', 5, 'names "Home"', "add profile"),
    ("a page for all", "127.0.0.1:8642", "0.0.0.0:8642", 6, "not a loopback address", "127.0.0.1:8642"),
    ("a page without a port", "127.0.0.1:8642", "127.0.0.1", 6, "not ADDRESS:PORT", "127.0.0.1:8642"),
    ("no address", '"office" { address = "203.0.113.10" }', '"office" { }', 8, "has no address", "add address"),
    ("a name for an address", "203.0.113.10", "office.example", 8, "not an address", "192.0.2.1"),
    ("tcp without a port", "test = tcp  port = 443", "test = tcp", 10, "tested by tcp and has no port", "add port"),
    ("a port for an echo", 'address = "203.0.113.10"', 'address = "203.0.113.10"  port = 7', 8, "no meaning for a test by icmp", "remove it"),
    ("a handshake of no device", 'test = handshake  device = "wg0"', "test = handshake", 11, "has no device", "add device"),
    ("a command that is none", 'test = handshake  device = "wg0"', "test = command", 11, "has no command", "add command"),
    ("a gateway twice", 'gateway "backup" { address', 'gateway "office" { address', 10, 'named "office"', "name of its own"),
    ("an unknown gateway", 'gateway = {"office"}', 'gateway = {"offices"}', 13, '"offices" is not described', "add gateway"),
    ("outside and inside", 'inside = {"office-inside"}', 'inside = {"office"}', 8, "and inside profile", "describe two"),
    ("two proofs in one", 'inside = {"tunnel"}', 'inside = {"office-inside"}', 9, "proves none of them", "overlap = off"),
    ("no way to connect", '    unit = "openvpn-client@mobile.service"\n', "", 23, "says no way to connect", "add one of"),
    ("two ways", OFFICE, OFFICE + '    unit = "a.service"\n', 16, "connected by run already", "keep one"),
    ("up without down", OFFICE, '    up = {"/sbin/dial"}\n', 15, "has up and no down", "add down"),
    ("a shell's line", OFFICE, '    run = {"openvpn --daemon"}\n', 15, "several words in one", "write {"),
    ("a relative path", "/etc/wireguard/wg0.conf", "wg0.conf", 21, "not an absolute path", "begin it with '/'"),
    ("not for wg-quick", "/etc/wireguard/wg0.conf", "/etc/wireguard/wg0", 21, "does not end in .conf", "rename"),
    ("half a unit", "openvpn-client@mobile.service", "openvpn-client@mobile", 25, "has no kind", ".service"),
    ("an option for a unit", "openvpn-client@mobile.service", "--root=/tmp/x.service", 25, "begins with '-'", "the name itself"),
    ("a route to nowhere", 'via = "10.8.0.1"  device = "tun-office"', "metric = 5", 16, "leads nowhere", "add via"),
    ("a route to a host", "192.0.2.0/24", "somewhere", 16, "is no network", "10.8.0.0/24"),
    ("two families", "10.8.0.1\"  device = \"tun-office\" }\n}", "2001:db8::1\" }\n}", 16, "another family", "one of the same"),
    ("tests that meet", "unreachable-for = 10s", "test-timeout = 5s", 3, "longer than test-interval", "2s or less"),
    ("a name with a blank", 'profile "Mobile"', 'profile "My Mobile"', 23, "cannot be the name of a profile", "letters"),
    ("an open section", "    overlap = off\n}", "    overlap = off\n", 23, "never closed", "'}' is missing"),
    ("an unclosed string", 'first = "Office"', 'first = "Office', 5, "not closed", "on the same line"),
    ("a key twice", "    auto = on\n", "    auto = on\n    auto = ask\n", 3, "given twice (first on line 2)", "keep one"),
]


def check(tmp_path, text, mode=0o600):
    path = os.path.join(tmp_path, "client.conf")
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path, subprocess.run([tool_path("duet-client"), "check-config", path], capture_output=True, text=True, timeout=20)


def test_the_good_one_is_good(tmp_path):
    path, done = check(tmp_path, GOOD)
    assert done.returncode == 0 and "3 profiles, 4 gateways; begins with Office" in done.stdout, done.stderr


@pytest.mark.parametrize("name, what, by, line, cause, remedy", BROKEN, ids=[case[0] for case in BROKEN])
def test_W1_a_broken_configuration_is_refused(tmp_path, name, what, by, line, cause, remedy):
    assert GOOD.count(what) >= 1
    path, done = check(tmp_path, GOOD.replace(what, by, 1))
    said = [text for text in done.stderr.splitlines() if text.startswith("%s:%d: " % (path, line)) and cause in text]
    assert done.returncode == 1 and said, done.stderr
    assert remedy in said[0], said
    daemon = subprocess.run([tool_path("roamd"), "--config", path, "--run-dir", str(tmp_path / "run"), "--state-dir",
                             str(tmp_path / "state")], capture_output=True, text=True, timeout=20)
    assert daemon.returncode == 1 and cause in daemon.stderr
    assert not (tmp_path / "run").exists() and not (tmp_path / "state").exists()


def test_W1_a_file_that_others_can_write_is_refused(tmp_path):
    path, done = check(tmp_path, GOOD, mode=0o666)
    assert done.returncode == 1 and "chmod go-w" in done.stderr


def test_the_examples_are_good(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folder = os.path.join(root, "deploy", "examples", "client")
    for name in os.listdir(folder):
        _, done = check(tmp_path, open(os.path.join(folder, name)).read())
        assert done.returncode == 0 and not done.stderr, (name, done.stderr)


def test_every_key_is_in_the_manual():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    keys = re.findall(r'CONFIG_(?:SCALAR|LIST|NAMED|PLAIN)\("([a-z-]+)"\)', open(os.path.join(root, "client", "config.c")).read())
    manual = open(os.path.join(root, "docs", "man", "duet-client.conf.5")).read()
    assert len(keys) > 30
    assert not [key for key in keys if key not in manual]
