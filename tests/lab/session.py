"""What the suites of both laboratories have in common: a time limit for each test, and the figures that were measured,
printed at the end. A conftest.py imports `figures` and pytest_terminal_summary, and makes its limit:

    pytest_runtest_protocol = time_limit(240)
"""

import contextlib
import signal

import pytest


def time_limit(seconds):
    """A hook of pytest's that ends each test, its fixtures included, by a TimeoutError after so long."""

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(item, nextitem):
        def too_long(_signal, _frame):
            raise TimeoutError("%s took longer than %d s" % (item.name, seconds))

        before = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(seconds)
        yield
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

    return pytest_runtest_protocol


@contextlib.contextmanager
def untimed():
    """What happens inside is not counted for the test that happens to need it first: a package that is built, an image
    that is made. It must have limits of its own."""
    left = signal.alarm(0)
    try:
        yield
    finally:
        signal.alarm(left)


@pytest.fixture
def figures(request):
    """Adds a line to what is printed at the end: figures("power off, lan", "median 287 ms"). They are properties of the
    test's report: so they come from other processes, too, and are in the file of --junitxml."""

    def add(what, text):
        request.node.user_properties.append((what, text))

    return add


def pytest_terminal_summary(terminalreporter):
    reports = [report for outcome in ("passed", "failed", "skipped") for report in terminalreporter.getreports(outcome)]
    found = [figure for report in reports if report.when == "call" for figure in report.user_properties]
    if found:
        terminalreporter.section("measured")
        for what, text in found:
            terminalreporter.write_line("%-44s %s" % (what, text))
