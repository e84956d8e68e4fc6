"""C9: the manuals are sound roff, and duet-monitor(7) has every topic, field and metric."""

import os
import pathlib
import re
import subprocess

import pytest
from test_schema import validators

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MADE = pathlib.Path(os.environ["DUET_BIN"]).parent / "proto/duet-monitor.7"
MANUALS = sorted(path for path in (ROOT / "docs/man").iterdir() if path.suffix[1:].isdigit()) + [MADE]


def rendered(path, *words):
    return subprocess.run(["man", "--warnings", "-E", "UTF-8", "-P", "cat", *words, "-l", str(path)], capture_output=True, text=True,
                          timeout=60, check=True, env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="120", MAN_KEEP_FORMATTING=""))


@pytest.mark.parametrize("path", MANUALS, ids=lambda path: path.name)
def test_a_manual_has_no_warnings(path):
    done = rendered(path)
    assert done.stderr == ""
    assert "NAME" in done.stdout and len(done.stdout.splitlines()) > 20


def test_C9_the_monitor_manual_has_every_topic_and_field():
    text = re.sub("\x1b\\[[0-9;]*m|.\b", "", rendered(MADE).stdout)
    sections = re.split(r"(?m)^   (?=\S)", text[text.index("\nTOPICS"):text.index("\nMETRICS")])
    envelope = {"v", "node", "from", "seq", "at", "mono_ns", "cause"}
    for title, validator in validators().items():
        own = [section for section in sections if section.startswith(title + "\n")]
        assert len(own) == 1, title
        fields = set(re.findall(r"(?m)^ {5}([a-z_0-9]+)(?: |$)", own[0].partition("\n\n")[2]))  # after the prose
        assert set(validator.schema["properties"]) - envelope == fields, title


def test_C9_the_monitor_manual_has_every_metric():
    told = set(re.findall(r'"(duet_\w+)"', (ROOT / "monitord/metrics.c").read_text()))
    text = MADE.read_text()
    listed = set(re.findall(r"(?m)^\.It Li (duet_\w+)", text))
    assert told == listed and len(told) > 50
