"""Broken configurations, given to the real `duet check-config`: each is refused with file, line, cause and remedy.

Every case edits one good file (GOOD), or its permissions, or the key file beside it. DUET_BIN is the directory of the
binary that is tested."""

import os
import subprocess

import pytest

if "DUET_BIN" not in os.environ:
    pytest.skip("DUET_BIN is not set: it names the directory of the duet to test", allow_module_level=True)

DUET = os.path.join(os.environ["DUET_BIN"], "duet")

GOOD = """\
cluster "gate" {
    profile = lan
    key-file = "@KEY@"
}
node "alpha" { reserved-address = "10.91.9.1" }
node "beta"  { reserved-address = "10.91.9.2" }
channel "outside" {
    device = "eth0"
    active-address = {"203.0.113.10/24"}
    router = {"203.0.113.1"}
    node "alpha" { passive-address = {"203.0.113.11/24"} }
    node "beta"  { passive-address = {"203.0.113.12/24"} }
}
channel "inside" {
    device = "eth1"
    active-address = {"192.0.2.1/24"}
}
route "default" { via = "203.0.113.1"  channel = "outside" }
service "vpn" {
    command = {"/usr/sbin/openvpn"}
    when = active
}
sync "config" { path = {"/etc/openvpn"} }
"""

PROFILE = "    profile = lan\n"

# name, what is replaced, by what, the line that is blamed, words of the cause, words of the remedy
BROKEN = [
    ("wrong type: a list for a word", "profile = lan", "profile = {lan}", 2, "unexpected '{'", "KEY = VALUE"),
    ("wrong type: no number", PROFILE, "    router-retries = few\n", 2, "not a whole number", "from 1 to 100"),
    ("wrong type: no duration", PROFILE, "    takeover-after = 300\n", 2, "not a duration", "50ms, 3s or 2m"),
    ("wrong type: no switch", PROFILE, "    lease-gate = perhaps\n", 2, "cannot be \"perhaps\"", "on or off"),
    ("wrong choice", "profile = lan", "profile = man", 2, "cannot be \"man\"", "lan, fast or wan"),
    ("unknown key", PROFILE, "    heartbeat-intervall = 50ms\n", 2, "unknown key \"heartbeat-intervall\" in cluster",
     "did you mean \"heartbeat-interval\"?"),
    ("unknown section", "sync \"config\" {", "synch \"config\" {", 23, "unknown key \"synch\"", "did you mean \"sync\"?"),
    ("key twice", PROFILE, PROFILE + PROFILE, 3, "given twice (first on line 2)", "keep one"),
    ("include", PROFILE, "    include(\"/etc/passwd\")\n", 2, "include", "one file"),
    ("environment", "profile = lan", "profile = \"${HOME}\"", 2, "environment", "write the value"),
    ("open string", "profile = lan", "profile = \"lan", 2, "not closed", "on the same line"),
    ("open section", "when = active\n}", "when = active\n", 19, "never closed", "'}' is missing"),
    ("brace too many", "when = active\n}", "when = active\n} }", 22, "without a '{'", "remove it"),
    ("missing equal sign", "profile = lan", "profile lan", 2, "'=' is missing", "profile = VALUE"),
    ("section without a name", "route \"default\" {", "route {", 18, "needs a name", "route \"NAME\""),
    ("empty file", GOOD, "", 1, "no cluster section", "begin it with"),
    ("missing node", "node \"beta\"  { reserved-address = \"10.91.9.2\" }\n", "", 5, "1 node section", "exactly two"),
    ("third node", "node \"alpha\" { reserved", "node \"gamma\" { }\nnode \"alpha\" { reserved", 7, "3 node sections",
     "exactly two"),
    ("another node's name", "node \"alpha\" { reserved", "node \"gamma\" { reserved", 5, "called \"alpha\"", "--node"),
    ("bad node name", "node \"beta\"  { reserved", "node \"be/ta\" { reserved", 6, "cannot be the name", "letters"),
    ("no channel", GOOD[GOOD.index("channel \"outside\""):], "", 1, "no channel", "add channel"),
    ("reserved address twice", "\"10.91.9.2\"", "\"10.91.9.1\"", 6, "also the reserved address of node \"alpha\"",
     "change one"),
    ("reserved addresses of two families", "\"10.91.9.2\"", "\"fd00::2\"", 6, "two families", "make both"),
    ("lease shorter than two heartbeats", PROFILE, "    address-lease = 90ms\n", 2,
     "address-lease (90ms) must be at least 2 times heartbeat-interval (50ms)", "make it 100ms or more"),
    ("takeover after less than two heartbeats", PROFILE, "    heartbeat-interval = 90ms\n    takeover-after = 170ms\n"
     "    isolation-after = 160ms\n", 3, "takeover-after (170ms) must be at least 2 times", "180ms or more"),
    ("no heartbeat", PROFILE, "    heartbeat-interval = 0s\n", 2, "too short", "1ms or more"),
    ("isolation not before takeover", PROFILE, "    isolation-after = 400ms\n", 2, "must be shorter than takeover-after",
     "shorten isolation-after"),
    ("search shorter than takeover", PROFILE, "    search-time = 250ms\n    search-interval = 50ms\n", 2,
     "search-time (250ms) must be at least takeover-after", "300ms or more"),
    ("ungated lease under a second", PROFILE, "    lease-gate = off\n", 2, "lease-gate = off", "1100ms or more"),
    ("no search, long lease", "    profile = lan\n    key-file = \"@KEY@\"\n}\n",
     "    profile = fast\n    key-file = \"@KEY@\"\n}\n"
     "channel \"dmz\" { device = \"eth2\"  active-address = \"198.51.100.1/24\"  search = off }\n", 1,
     "address-lease (60ms) is too long for a channel with search = off (\"dmz\")", "at most takeover-after"),
    ("bad address", "\"192.0.2.1/24\"", "\"192.0.2.300/24\"", 16, "not an address", "such as"),
    ("address without prefix length", "\"192.0.2.1/24\"", "\"192.0.2.1\"", 16, "no prefix length", "\"192.0.2.1/24\""),
    ("broadcast address", "\"192.0.2.1/24\"", "\"192.0.2.255/24\"", 16, "broadcast address", "one host"),
    ("address used twice", "\"203.0.113.12/24\"", "\"203.0.113.11/24\"", 12, "also the passive address of node \"alpha\"",
     "change one"),
    ("router elsewhere", "{\"203.0.113.1\"}", "{\"198.51.100.1\"}", 10, "in no network of channel", "neighbour"),
    ("router is the pair itself", "{\"203.0.113.1\"}", "{\"203.0.113.10\"}", 10, "an active address", "change one"),
    ("no active address", "    active-address = {\"192.0.2.1/24\"}\n", "", 14, "no active-address", "add the one"),
    ("two channels on one device", "\"eth1\"", "\"eth0\"", 14, "share the device \"eth0\"", "device of its own"),
    ("two channels of one name", "channel \"inside\"", "channel \"outside\"", 14, "named \"outside\"", "name of its own"),
    ("long device name", "\"eth1\"", "\"ethernet-adapter-1\"", 15, "cannot be a network device", "15 characters"),
    ("no device", "    device = \"eth1\"\n", "", 14, "no device for node", "add device"),
    ("unknown mode", "    device = \"eth1\"\n", "    device = \"eth1\"  mode = both\n", 15, "mode cannot be",
     "exchange or overlay"),
    ("route via an unknown channel", "channel = \"outside\" }", "channel = \"dmz\" }", 18, "no channel \"dmz\"",
     "name one"),
    ("route via an unreachable router", "via = \"203.0.113.1\"", "via = \"198.51.100.1\"", 18, "in no network",
     "router on that LAN"),
    ("service of no kind", "    command = {\"/usr/sbin/openvpn\"}\n", "", 19, "none of command, unit and start",
     "exactly one"),
    ("service of two kinds", "    when = active\n", "    unit = \"a.service\"\n", 19, "more than one of", "exactly one"),
    ("service waits for itself", "    when = active\n", "    after = {\"vpn\"}\n", 21, "waits for itself", "break"),
    ("service waits for nobody", "    when = active\n", "    after = {\"dns\"}\n", 21, "no such service", "correct it"),
    ("command line in one word", "{\"/usr/sbin/openvpn\"}", "\"openvpn --daemon\"", 20, "several words", "{\"a\", \"b\"}"),
    ("sync of the configuration itself", "\"/etc/openvpn\"", "\"/etc\"", 23, "would copy /etc/duet", "beside it"),
    ("sync of a relative path", "\"/etc/openvpn\"", "\"openvpn\"", 23, "not a plain absolute path", "begin it with"),
    ("sync without a line", "reserved-address = \"10.91.9.1\"", "", 5, "no reserved-address", "both one, or none"),
    ("watchdog without a device", "sync \"config\"", "watchdog { }\nsync \"config\"", 23, "no device", "/dev/watchdog"),
    ("monitor on no endpoint", "sync \"config\"", "monitor { listen = 5572 }\nsync \"config\"", 23, "no ZeroMQ endpoint",
     "tcp://"),
    ("metrics at no address", "sync \"config\"", "monitor { metrics = 9572 }\nsync \"config\"", 23, "not ADDRESS:PORT",
     "127.0.0.1:9572"),
]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "cluster.key").write_bytes(os.urandom(32))
    (tmp_path / "cluster.key").chmod(0o600)
    write(tmp_path, GOOD)
    return tmp_path


def write(place, text):
    file = place / "duet.conf"
    file.write_text(text.replace("@KEY@", str(place / "cluster.key")))
    file.chmod(0o644)


def check(place, node="alpha"):
    return subprocess.run([DUET, "check-config", str(place / "duet.conf"), "--node", node], capture_output=True,
                          text=True, timeout=20)


def assert_refused(place, line, cause, remedy):
    result = check(place)
    lead = f"{place / 'duet.conf'}:{line}: "
    assert result.returncode == 1, result.stdout + result.stderr
    assert "OK" not in result.stdout
    assert any(each.startswith(lead) and cause in each and remedy in each for each in result.stderr.splitlines()), \
        f"expected {lead}{cause} … {remedy}, got:\n{result.stderr}"


def test_good_file_is_accepted_with_its_budget(place):
    result = check(place)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert f"{place / 'duet.conf'}: OK" in result.stdout
    for words in ("takeover-after", "power off", "carrier lost", "router silent", "service vpn dies", "killed"):
        assert words in result.stdout


def test_budget_of_a_partition(place):
    assert "both hold the addresses for as long as it lasts" in check(place).stdout
    write(place, GOOD + 'witness { endpoint = {"https://192.0.2.7:2379"} }\n')
    told = check(place).stdout
    assert "never two" in told and "a partition heals" not in told
    assert "is silent    200ms = isolation-after 200ms" in told
    assert "nobody serves while neither the peer nor the witness is reached" in told
    write(place, GOOD + 'fence { command = {"/bin/true"}  timeout = 7s }\n')
    assert "timeout of the fence 7s" in check(place).stdout


@pytest.mark.parametrize("text, cause, remedy", (
    ("witness { }", "witness has no endpoint", 'add endpoint = {"https://'),
    ('witness { endpoint = {"192.0.2.7"} }', "is no address of etcd", "https://192.0.2.7:2379"),
    ('witness { endpoint = {"https://a/b"} }', "is no address of etcd", "write such as"),
    ('witness { kind = zookeeper  endpoint = {"https://a:1"} }', 'kind "zookeeper"', "write kind = etcd"),
    ('witness { endpoint = {"https://a:1"}  user = "x" }', "user and password-file belong together", "add the one"),
    ('witness { endpoint = {"https://a:1"} }\nwitness { endpoint = {"https://a:1"} }', "a second section witness", "join the two"),
    ("fence { timeout = 3s }", "fence has no command", "add one"),
    ('fence { command = {"relative"}  timeout = never }', "never", "ms"),
))
def test_a_broken_third_party_is_refused(place, text, cause, remedy):
    write(place, GOOD + text + "\n")
    result = check(place)
    assert result.returncode == 1 and any(cause in line and remedy in line for line in result.stderr.splitlines()), result.stderr


def test_times_that_do_not_fit_a_witness_are_refused(place):
    for times, cause in (("isolation-after = 100ms", "isolation-after (100ms) must be at least 4 times"),
                         ("isolation-after = 290ms", "takeover-after (300ms) must be at least an eighth longer")):
        write(place, GOOD.replace("cluster \"gate\" {", "cluster \"gate\" {\n    " + times) +
              'witness { endpoint = {"https://192.0.2.7:2379"} }\n')
        result = check(place)
        assert result.returncode == 1 and cause in result.stderr, result.stderr


def test_budget_names_what_hooks_cost(place):
    assert "each claim" not in check(place).stdout
    write(place, GOOD + 'hook "a" { on = before-active  command = {"/bin/true"} }\n'
          'hook "b" { on = before-active  command = {"/bin/true"}  timeout = 100ms }\n'
          'hook "c" { on = passive  command = {"/bin/true"} }\n')
    row = next(line for line in check(place).stdout.splitlines() if "each claim" in line)
    assert "longer by    350ms = before-active hooks 300ms + a twentieth of claim-time 50ms" in row


@pytest.mark.parametrize("name, old, new, line, cause, remedy", BROKEN, ids=[case[0] for case in BROKEN])
def test_broken_file_is_refused(place, name, old, new, line, cause, remedy):
    assert GOOD.count(old) == 1
    write(place, GOOD.replace(old, new))
    assert_refused(place, line, cause, remedy)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o622])
def test_file_that_others_can_write_is_refused(place, mode):
    (place / "duet.conf").chmod(mode)
    assert_refused(place, 1, "writable by others", "chmod go-w")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_key_that_others_can_read_is_refused(place, mode):
    (place / "cluster.key").chmod(mode)
    assert_refused(place, 3, "can be read by others", "chmod 600")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_key_of_the_wrong_size_is_refused(place, size):
    (place / "cluster.key").write_bytes(b"k" * size)
    assert_refused(place, 3, "exactly 32 bytes", "duet keygen")


def test_missing_key_is_refused(place):
    (place / "cluster.key").unlink()
    assert_refused(place, 3, "does not exist", "duet keygen")


def test_missing_file_is_refused(place):
    (place / "duet.conf").unlink()
    assert_refused(place, 1, "No such file", "--config")


def test_file_that_is_no_text_is_refused(place):
    (place / "duet.conf").write_bytes(b"cluster\n\0\1\2")
    assert_refused(place, 2, "byte 0", "text file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user_is_refused(place):
    os.chown(place / "duet.conf", 65534, -1)
    assert_refused(place, 1, "belongs to user 65534", "chown root")


def test_all_errors_are_told_in_one_run(place):
    write(place, GOOD.replace("profile = lan", "profil = lan\n    linger = long").replace("\"eth1\"", "\"eth0\""))
    errors = check(place).stderr
    for line, words in ((2, "unknown key"), (3, "not a duration"), (15, "share the device")):
        assert any(f"duet.conf:{line}: " in each and words in each for each in errors.splitlines()), errors


def test_keygen_makes_a_key_that_check_config_accepts(place):
    key = place / "cluster.key"
    key.unlink()
    made = subprocess.run([DUET, "keygen", str(key)], capture_output=True, text=True, timeout=20)
    assert made.returncode == 0, made.stderr
    assert key.stat().st_mode & 0o777 == 0o600 and key.stat().st_size == 32
    assert check(place).returncode == 0
    again = subprocess.run([DUET, "keygen", str(key)], capture_output=True, text=True, timeout=20)
    assert again.returncode != 0 and "not overwritten" in again.stderr
