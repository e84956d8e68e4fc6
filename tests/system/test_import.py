"""`duet import`: configurations of keepalived become duet's, and what does not is told, line by line.

The eight in keepalived/ are of the kinds that are met: NAME.conf is the input, NAME.duet what is made of it, and
NAME.told what is told. After a change that is meant, look at the difference before the files are made anew."""

import os
import pathlib
import re
import subprocess

import pytest
from lab.network import ACTIVE, PASSIVE, ROUTER
from lab.pair import other

HERE = pathlib.Path(__file__).resolve().parent / "keepalived"
FLAGS = {"legacy": ["--prefix", "24", "--router", "192.168.7.253"],
         "gateway": ["--reserved-address", "10.91.9.1,10.91.9.2", "--router=10.20.0.2"],
         "lvs": ["--cluster", "lvs"],
         "web": ["--router", "192.0.2.1"]}
NAMES = sorted(path.stem for path in HERE.glob("*.conf"))
KEY = "/etc/duet/cluster.key"


def duet(*words, cwd=HERE):
    return subprocess.run([os.path.join(os.environ["DUET_BIN"], "duet"), *words], cwd=cwd, capture_output=True, text=True,
                          timeout=30)


def convert(name, *words, cwd=HERE):
    return duet("import", name + ".conf", "--node", "one", "--peer-name", "two", *words, cwd=cwd)


def test_there_are_eight():
    assert len(NAMES) == 8


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_and_what_is_told(name, tmp_path):
    done = convert(name, "--key-file", KEY, *FLAGS.get(name, []))
    assert done.returncode == 0
    assert done.stdout == (HERE / (name + ".duet")).read_text()
    assert done.stderr == (HERE / (name + ".told")).read_text()
    key = tmp_path / "cluster.key"
    assert duet("keygen", str(key)).returncode == 0
    result = tmp_path / "duet.conf"
    result.write_text(done.stdout.replace(KEY, str(key)))
    for node in ("one", "two"):
        checked = duet("check-config", str(result), "--node", node)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_passed_over(name):
    """Every line that says something is told of, or named by what was made of it, or is a part of that."""
    lines = (HERE / (name + ".conf")).read_text().splitlines()
    seen = {int(number) for number in re.findall(r"\.conf:(\d+)", (HERE / (name + ".duet")).read_text() +
                                                 (HERE / (name + ".told")).read_text())}
    made = (HERE / (name + ".duet")).read_text()
    whole = [number for number in seen if re.search(r"(?m)^%s\.conf:%d: (left out|not needed): " % (name, number),
                                                    (HERE / (name + ".told")).read_text())]
    told_until = 0  # the end of a block that was told of as a whole
    for number, line in enumerate(lines, 1):
        plain = re.sub(r"[!#].*", "", line).strip()
        if number in whole and plain.endswith("{") and number > told_until:
            depth, told_until = 0, number - 1
            while told_until < len(lines):
                depth += lines[told_until].count("{") - lines[told_until].count("}")
                told_until += 1
                if depth == 0:
                    break
        if number in seen or number <= told_until or plain in ("", "{", "}") or plain.startswith("$"):
            continue
        word = plain.split()[0]
        value = plain.split()[1].strip('"') if len(plain.split()) > 1 else word
        if word == "script":
            value = plain.split()[-1].strip('"\'')
        container = word in ("global_defs", "vrrp_sync_group", "vrrp_instance", "vrrp_script", "virtual_ipaddress",
                             "virtual_ipaddress_excluded", "virtual_routes", "track_interface", "track_script",
                             "track_process", "unicast_peer", "interface", "script_user")
        duration = word in ("interval", "timeout", "fall")
        assert container or duration or value.split("/")[-1] in made or word in made, "%d: %s" % (number, line)


def test_nothing_secret_is_shown():
    for name in NAMES:
        done = convert(name)
        for secret in re.findall(r"auth_pass (\S+)", (HERE / (name + ".conf")).read_text()):
            assert secret not in done.stdout + re.sub(r"K8S", "", done.stderr)


def test_without_the_name_of_the_peer_the_result_is_refused_and_the_list_says_why(tmp_path):
    done = duet("import", "web.conf", "--node", "one")
    assert done.returncode == 0 and "web.conf: fill in: the name of the other node: --peer-name NAME" in done.stderr
    result = tmp_path / "duet.conf"
    result.write_text(done.stdout)
    checked = duet("check-config", str(result))
    assert checked.returncode == 1 and 'node "?"' in checked.stdout + checked.stderr + done.stdout


@pytest.mark.parametrize("text,line,what", [
    ("vrrp_instance A {\n  interface eth0\n", 2, "not closed with '}'"),
    ("a 1\n}\n", 2, "closes a block that was not opened"),
    ("{\n", 1, "stands behind nothing"),
    ('\nvrrp_script x {\n script "unclosed\n}\n', 3, "a quote is not closed"),
    ("a " + "{ b " * 13 + "}" * 13 + "\n", 1, "nested deeper"),
    ("a\n" * 20001, 20001, "more than 20000 statements"),
    ("x \0 y\n", 1, "byte 0"),
    ("a " + "b" * 5000 + "\n", 1, "longer than"),
])
def test_a_file_that_cannot_be_understood_is_told_with_its_line(tmp_path, text, line, what):
    (tmp_path / "bad.conf").write_text(text)
    done = convert("bad", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("bad.conf:%d: " % line) and what in done.stderr, done.stderr


@pytest.mark.parametrize("words,what", [
    (["--router", "nobody"], "--router nobody: write one address"),
    (["--reserved-address", "10.0.0.1"], "--reserved-address 10.0.0.1: write this node's and the peer's"),
    (["--prefix", "40"], "--prefix 40: write a length"),
    (["--peer-name", "o ne"], "a name has 1 to 31"),
    (["--peer-name", "one"], "both nodes would be called one"),
    (["--cluster", ""], "a name has 1 to 31"),
    (["another.conf"], "needs one file"),
    (["--router"], "needs a value"),
])
def test_wrong_flags_are_refused(words, what):
    done = duet("import", "web.conf", "--node", "one", *words)
    assert done.returncode == 2 and what in done.stderr and done.stdout == "", done.stderr


KEEPALIVED = """
vrrp_sync_group GATEWAY {{
    group {{ OUT IN }}
    notify_master "{marker} active"
}}
vrrp_instance OUT {{
    interface outside
    virtual_router_id 1
    unicast_src_ip {own_out}
    unicast_peer {{ {peer_out} }}
    virtual_ipaddress {{ {out}/24 }}
    virtual_routes {{ default via {router} }}
}}
vrrp_instance IN {{
    interface inside
    virtual_router_id 2
    unicast_src_ip {own_in}
    unicast_peer {{ {peer_in} }}
    virtual_ipaddress {{ {inside}/24 }}
}}
"""


def test_a_pair_serves_and_fails_over_with_what_was_made(lab):
    lab.script("marker", "#!/bin/sh\necho \"$1 $DUET_NODE\" >>%s/marks\n" % lab.dir)
    text = KEEPALIVED.format(marker=os.path.join(lab.dir, "marker"), router=ROUTER, out=ACTIVE["outside"], inside=ACTIVE["inside"],
                             own_out=PASSIVE["alpha"]["outside"], peer_out=PASSIVE["beta"]["outside"],
                             own_in=PASSIVE["alpha"]["inside"], peer_in=PASSIVE["beta"]["inside"])
    (pathlib.Path(lab.dir) / "keepalived.conf").write_text(text)
    done = duet("import", "keepalived.conf", "--node", "alpha", "--peer-name", "beta", "--key-file", lab.dir + "/cluster.key",
                "--reserved-address", "10.91.9.1,10.91.9.2", cwd=lab.dir)
    assert done.returncode == 0, done.stderr
    with open(lab.config, "w") as out:
        out.write(done.stdout)
    active = lab.start_pair()
    lab.wait_ready(active)
    for line in ("outside", "inside"):
        assert sorted(lab.kernel_addresses(active, line)) == sorted([ACTIVE[line], PASSIVE[active][line]])
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 10, "the other one takes over")
    marks = pathlib.Path(lab.dir) / "marks"
    lab.wait_for(lambda: marks.exists() and "active " + other(active) in marks.read_text(), 10, "its script was run")


def test_the_change_over_of_the_guide(lab):
    """docs/migrate.md, step 5. That keepalived serves on alpha is here what it leaves in the kernel: the addresses."""
    lab.write_config(modes={"outside": "overlay", "inside": "overlay"})
    for line in ("outside", "inside"):
        lab.network.ip("alpha", "addr add %s/24 dev %s" % (ACTIVE[line], line))
    lab.start("beta")
    lab.wait_for(lambda: lab.is_passive("beta"), 10, "duet on the other node finds that the addresses answer")
    lab.stays(lambda: lab.is_passive("beta"), 3, "and lets them be")
    for line in ("outside", "inside"):
        lab.network.ip("alpha", "addr del %s/24 dev %s" % (ACTIVE[line], line))
    lab.wait_for(lambda: lab.serves("beta"), 10, "it takes over when keepalived is stopped")
    lab.start("alpha")
    lab.wait_for(lambda: lab.settled() == "beta", 10, "and here, too, duet takes its part")
