"""What all system tests share: a fresh lab for each, a time limit, the pair's logs when one fails, and the figures
that were measured, printed at the end."""

import os
import statistics
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("DUET_BIN", os.path.abspath(os.path.join(os.path.dirname(__file__), "../../build/bin")))

from lab.lab import Lab  # noqa: E402
from lab.session import figures, pytest_terminal_summary, time_limit  # noqa: E402, F401
from lab.tools import longest_gap_ms  # noqa: E402

LOG_LINES = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures, or loads the machine: no other test may run beside it")


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        raise pytest.UsageError("system tests need root: they make network namespaces (sudo tests/run system)")
    if not os.access(os.path.join(os.environ["DUET_BIN"], "duet"), os.X_OK):
        raise pytest.UsageError("no duet in %s: build first (tests/run does)" % os.environ["DUET_BIN"])


pytest_runtest_protocol = time_limit(240)  # none is meant to come near


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    lab = getattr(item, "lab", None)
    if report.failed and lab is not None and call.when == "call":
        report.sections.append(("the pair", lab.describe()))
        for node in ("alpha", "beta"):
            report.sections.append(("log of " + node, "\n".join(lab.log(node).splitlines()[-LOG_LINES:])))


@pytest.fixture
def lab(request):
    """A laboratory with the default configuration, nothing started."""
    with Lab() as made:
        request.node.lab = made
        yield made


def summary_of(values):
    """Median, smallest and largest of a list of milliseconds, as text."""
    return "median %.1f ms (%.1f-%.1f, %d times)" % (statistics.median(values), min(values), max(values), len(values))


def gap_ms(probe):
    """The longest time without a reply since the probe was last asked."""
    return longest_gap_ms(probe.snapshot())
