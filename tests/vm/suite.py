"""What tests/vm/run starts: makes the machines' system where it is not made yet, runs the tests, and sums up."""

import argparse
import os
import signal
import sys
import traceback

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


class Counts:
    """A plugin of pytest that notes what became of each test: the worst of its parts."""

    def __init__(self):
        self._of = {}

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._of[report.nodeid] = "failed"
        elif report.skipped:
            self._of.setdefault(report.nodeid, "skipped")
        elif report.when == "teardown":  # a test that is interrupted never comes here
            self._of.setdefault(report.nodeid, "passed")

    def pytest_collectreport(self, report):
        if report.failed:
            self.fail(report.nodeid)

    def fail(self, what):
        self._of[what] = "failed"

    def of(self, outcome):
        return list(self._of.values()).count(outcome)


def _interrupt(_number, _frame):
    raise KeyboardInterrupt  # pytest then ends what it has begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", default="", metavar="EXPR")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    counts = Counts()
    code = 1
    words = [HERE, "-p", "no:cacheprovider", "-v", "-rs", "--tb=short", "--durations=0", "--durations-min=1",
             "-k", options.k]
    try:
        from vmlab.image import Image  # only now: an error here is to be told like any other
        Image(os.path.join(HERE, "../../build/vm")).make()
        code = pytest.main(words + (["--keep", "-s"] if options.keep else []), plugins=[counts])
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    except Exception:
        traceback.print_exc()
        counts.fail("the suite")
    print("\n%s" % ", ".join("%d %s" % (counts.of(outcome), outcome) for outcome in ("passed", "failed", "skipped")))
    sys.exit(0 if code == 0 and counts.of("passed") else 1)


if __name__ == "__main__":
    main()
