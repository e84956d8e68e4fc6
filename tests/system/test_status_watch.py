"""`duet status --watch` on a real terminal (a pty): drawn over itself without flicker, in order again at the end; and plain
where it is piped."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

ROWS, COLUMNS = 60, 150


class Terminal:
    """A pty, and what a terminal makes of what is written to it: no more than what duet uses, and strict about the rest."""

    def __init__(self, words, rows=ROWS, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env=dict(os.environ, TERM="xterm", **(env or {})))
        os.close(slave)
        os.set_blocking(self.master, False)
        self.bytes, self.rows, self.frames = b"", rows, 0
        self.screen, self.row, self.column, self.scrolled = [""] * rows, 0, 0, False

    def read(self):
        try:
            while True:
                some = os.read(self.master, 65536)
                if not some:
                    return
                self.bytes += some
                self._show(some.decode())
        except OSError:
            return  # nothing now; or EIO: the other side is closed

    def _show(self, text):
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[^\x1b]|\x1b", getattr(self, "_rest", "") + text):
            self._take(part)

    def _take(self, part):
        line = self.screen[self.row]
        if part == "\x1b[H":
            self.row = self.column = 0
            self.frames += 1
        elif part == "\x1b[K":
            self.screen[self.row] = line[:self.column]
        elif part == "\x1b[J":
            self.screen[self.row] = line[:self.column]
            self.screen[self.row + 1:] = [""] * (self.rows - self.row - 1)
        elif part == "\r":
            self.column = 0
        elif part == "\n":
            self.scrolled = self.scrolled or self.row == self.rows - 1
            self.row = min(self.row + 1, self.rows - 1)
        elif part.startswith("\x1b"):
            assert part.endswith("m") or part in ("\x1b[?1049h", "\x1b[?25l", "\x1b[?7l", "\x1b[?7h", "\x1b[?25h", "\x1b[?1049l"), part
        else:
            self.screen[self.row] = line[:self.column].ljust(self.column) + part + line[self.column + 1:]
            self.column += 1

    def text(self):
        self.read()
        return "\n".join(self.screen).rstrip()


@pytest.fixture
def pair(lab):
    lab.active = lab.start_pair()
    lab.wait_ready(lab.active)
    return lab


def labels(text):
    """What the lines are about, without figures."""
    return re.findall(r"(?m)^  ([a-z]+)", text)


def shape(text):
    """The page without what changes from moment to moment."""
    return re.sub(r"[\d.:-]+( (ms|s|min|h|UTC)\b)?", "#", re.sub(r"\bno: .*", "no", text)).replace("# #", "#").split("\n")


def test_it_is_drawn_over_itself(pair):
    lab = pair
    terminal = Terminal(lab.duet_words(lab.active, "status", "--watch"))
    lab.wait_for(lambda: "daemons" in terminal.text(), 10, "a page")
    assert terminal.bytes.startswith(b"\x1b[?1049h\x1b[?25l")
    plain = lab.duet(lab.active, "status").stdout
    assert shape(terminal.text()) == shape(plain.rstrip()) and len(labels(plain)) > 5
    assert "\x1b[1m" in terminal.bytes.decode()  # in colour

    assert lab.duet(lab.active, "hold").returncode == 0
    lab.wait_for(lambda: "hold" in labels(terminal.text()), 10, "the hold is shown")
    assert lab.duet(lab.active, "resume").returncode == 0
    lab.wait_for(lambda: shape(terminal.text()) == shape(lab.duet(lab.active, "status").stdout.rstrip()),
                 15, "its line is gone, and nothing of a longer page is left")
    lab.wait_for(lambda: terminal.text() and terminal.frames > 5, 10, "it is drawn again and again")
    assert b"\x1b[2J" not in terminal.bytes and b"\x1b[J\x1b[H" in terminal.bytes

    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.process.wait(10) != 0
    terminal.read()
    assert terminal.bytes.endswith(b"\x1b[?7h\x1b[?25h\x1b[?1049l")


def test_a_small_terminal_does_not_scroll(pair):
    lab = pair
    terminal = Terminal(lab.duet_words(lab.active, "status", "--watch"), rows=8)
    lab.wait_for(lambda: terminal.text() and terminal.frames > 3, 10, "some pages")
    assert "is active since" in terminal.screen[0] and not terminal.scrolled
    os.killpg(terminal.process.pid, signal.SIGTERM)
    terminal.process.wait(10)
    terminal.read()
    assert terminal.bytes.endswith(b"\x1b[?1049l")


def test_without_colour(pair):
    lab = pair
    terminal = Terminal(lab.duet_words(lab.active, "status"), env={"NO_COLOR": "1"})
    assert terminal.process.wait(10) == 0
    terminal.read()
    assert b"\x1b" not in terminal.bytes and b"is active" in terminal.bytes


@pytest.mark.parametrize("words", [["status"], ["status", "--watch"], ["why"], ["events"]], ids=" ".join)
def test_piped_it_is_plain(pair, words):
    lab = pair
    process = subprocess.Popen(lab.duet_words(lab.active, *words), stdout=subprocess.PIPE, start_new_session=True)
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGTERM)
    text = process.communicate(timeout=10)[0]
    assert b"\x1b" not in text and len(text) > 100
