"""What tests/vm/run starts: makes the machines' system where it is not made yet, runs the tests, and sums up."""

import argparse
import os
import signal
import sys
import traceback

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


class Counts:
    """A plugin of pytest that counts the tests by what became of them."""

    def __init__(self):
        self.of = {"passed": 0, "failed": 0, "skipped": 0}
        self._unsound = set()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._unsound.add(report.nodeid)
        elif report.skipped:
            self.of["skipped"] += 1
        elif report.when == "teardown" and report.passed:
            self.of["passed"] += 1
        self.of["failed"] = len(self._unsound)

    def pytest_collectreport(self, report):
        if report.failed:
            self._unsound.add(report.nodeid)
            self.of["failed"] = len(self._unsound)


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
    words = [HERE, "-p", "no:cacheprovider", "-v", "-rs", "--tb=short", "--durations=0", "--durations-min=1", "-k", options.k]
    try:
        from vmlab.image import Image  # only now: an error here is to be told like any other
        Image(os.path.join(HERE, "../../build/vm")).make()
        code = pytest.main(words + (["--keep", "-s"] if options.keep else []), plugins=[counts])
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    except Exception:
        traceback.print_exc()
        counts.of["failed"] += 1
    print("\n%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts.of)
    sys.exit(0 if code == 0 and counts.of["passed"] else 1)


if __name__ == "__main__":
    main()
