"""C8, C9: what the manuals say beside that which tests/manuals.py compares: the keys of duet-client.conf(5), the command line of
duet-client(1), the defaults of the timers, and the alarms, in the manual and in the journal's catalog."""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MAN = ROOT / "docs/man"
COMMON = {"--config", "--node", "--run-dir", "--state-dir"}


def source(name):
    return (ROOT / name).read_text()


def manual(name):
    return (MAN / name).read_text()


# ---------------------------------------------------------------- configuration


def key_tables(name):
    """{table: keys} of the grammar in a C file: NAME_options[] with what stands in their macros."""
    tables = {}
    for table, body in re.findall(r"static const cfg_opt_t (\w+)_options\[\] = \{(.*?)\};", source(name), re.S):
        tables[table] = re.findall(r'(?:SCALAR|LIST|NAMED|PLAIN)\("([^"]+)"\)', body)
    return tables


def listed(text):
    """The keys of `.It Ic KEY, KEY No = ...`, in a part of a manual."""
    keys = []
    for line in re.findall(r"(?m)^\.It (Ic .*)$", text):
        for part in re.split(r" , (?:Ic )?|(?<=\S), ", re.sub(r"No =[^,]*", "", line[3:])):
            word = part.split()[0] if part.split() else ""
            if re.fullmatch(r"[a-z][a-z-]*", word):
                keys.append(word)
    return keys


def sections(text):
    """{title: text} of a manual."""
    return dict(re.findall(r"(?ms)^\.Sh ([^\n]+)\n(.*?)(?=^\.Sh |\Z)", text))


def test_C9_duet_conf_has_every_default_of_the_timers():
    units = {"MS": 1, "S": 1000}
    told = {row[0]: row[1:] for row in re.findall(r"(?m)^\.It Ic ([a-z-]+) Ta (\w+) Ta (\w+) Ta (\w+)$", manual("duet.conf.5"))}

    def milliseconds(text):
        number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
        return int(number) * {"ms": 1, "s": 1000, "m": 60000}[unit]

    found = re.findall(r'TIMER\("([a-z-]+)", \w+, (\w+)\((\d+)\), (\w+)\((\d+)\), (\w+)\((\d+)\)', source("common/config_timers.c"))
    assert len(found) >= 14
    for key, *values in found:
        assert [milliseconds(text) for text in told[key]] == [units[values[i]] * int(values[i + 1]) for i in (0, 2, 4)], key


def test_C9_client_conf_has_every_key_and_no_other():
    tables = key_tables("client/config.c")
    parts = sections(manual("duet-client.conf.5"))
    assert set(tables) == {"root", "client", "gateway", "profile", "route"}
    for name in ("client", "gateway", "profile"):
        said = parts["SECTION " + name]
        assert set(listed(re.sub(r"(?m)^\.It Ic route .*$", ".It Ic route", said))) == set(tables[name]), name
    route = re.search(r"(?m)^\.It Ic route (.*)$", parts["SECTION profile"]).group(1)
    assert set(re.findall(r"Ic ([a-z]+)", route)) == set(tables["route"])


# ------------------------------------------------------------------- command line


def flags(text):
    return {"--" + name for name in re.findall(r"Fl -([a-z-]+)", text)}


def taken(*patterns):
    """The options in the sources: whole words in quotes."""
    found = set()
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            found |= set(re.findall(r'"(--[a-z][a-z-]*)"', path.read_text()))
    return found


def helped(program, *words):
    done = subprocess.run([os.path.join(os.environ["DUET_BIN"], program), *words], capture_output=True, text=True, timeout=20)
    return done.stdout


def usage(text):
    """{command: its options} as `duet help` has it."""
    return {name: set(re.findall(r"--[a-z-]+", rest[:27])) for name, rest in re.findall(r"(?m)^  ([a-z-]+) +(.*)$", text)}


def described(text):
    """{command: options} of `.It Cm NAME [NAME] ...`, several entries of one command taken together."""
    commands = {}
    for line in re.findall(r"(?m)^\.It Cm (.*)$", text):
        name = line.split()[0]
        commands.setdefault(name, set()).update(flags(line))
    return commands


def test_C9_duet_client_has_every_command_and_option():
    told, known = described(manual("duet-client.1")), usage(helped("duet-client", "help"))
    assert set(told) == set(known) and len(known) > 4
    assert flags(manual("duet-client.1")) >= (taken("client/duet_client.c") - {"--help", "--version"}) | (COMMON - {"--node"})


# ------------------------------------------------------------------------- alarms


def alarms():
    table = re.search(r"alarm_words\[ALARM_COUNT\] = \{(.*?)\n\};", source("arbiterd/server_alarms.c"), re.S).group(1)
    return re.findall(r'(?m)^    \{"([a-z-]+)",', table)


def test_C9_arbiterd_has_every_alarm_and_no_other():
    part = re.search(r"(?s)\.Ss Alarms\n(.*?)\n\.El", manual("arbiterd.8")).group(1)
    assert sorted(re.findall(r"(?m)^\.It Li ([a-z-]+)$", part)) == sorted(alarms()) and len(alarms()) > 20


def test_C8_the_catalog_of_the_journal_has_every_alarm():
    assert set(alarms()) <= set(re.findall(r"(?m)^\[alarm/([a-z-]+)\]", source("deploy/systemd/catalog.txt")))
