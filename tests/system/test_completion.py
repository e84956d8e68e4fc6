"""Completion in bash and zsh: every command that `duet help` lists, and no other."""

import os
import re
import subprocess

import pytest

if "DUET_BIN" not in os.environ:
    pytest.skip("DUET_BIN is not set: it names the directory of the duet to test", allow_module_level=True)

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
COMPLETION = os.path.join(ROOT, "deploy/completion")

# Asks bash as a person does who presses the Tab key at the end of a line.
_ASK = """
. /usr/share/bash-completion/bash_completion
. "$1"
COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9
read -ra COMP_WORDS <<<"$2"
case $2 in *" ") COMP_WORDS+=("") ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_duet
printf '%s\\n' "${COMPREPLY[@]}"
"""


def _commands():
    said = subprocess.run([os.path.join(os.environ["DUET_BIN"], "duet"), "help"], capture_output=True, text=True,
                          timeout=20)
    found = set(re.findall(r"^  ([a-z-]+) ", said.stdout, re.MULTILINE))
    assert {"status", "switch", "handover"} <= found
    return found


def _bash(line):
    said = subprocess.run(["bash", "--norc", "-c", _ASK, "bash", os.path.join(COMPLETION, "duet.bash"), line],
                          capture_output=True, text=True, timeout=20)
    assert said.returncode == 0 and said.stderr == "", said.stderr
    return set(said.stdout.split())


def test_bash_knows_every_command():
    assert {word for word in _bash("duet ") if not word.startswith("-")} == _commands()


@pytest.mark.parametrize("line, expected", [
    ("duet sw", {"switch"}),
    ("duet --node alpha hold --f", {"--for"}),
    ("duet sync r", {"rollback"}),
    ("duet wants sy", {"syncd"}),
])
def test_bash_completes(line, expected):
    assert _bash(line) == expected


def test_zsh_knows_every_command():
    with open(os.path.join(COMPLETION, "_duet")) as file:
        text = file.read()
    block = text[text.index("commands=("):text.index("common=(")]
    assert set(re.findall(r"^    '([a-z-]+):", block, re.MULTILINE)) == _commands()
    said = subprocess.run(["zsh", "-n", os.path.join(COMPLETION, "_duet")], capture_output=True, text=True, timeout=20)
    assert (said.returncode, said.stderr) == (0, "")
