"""What the tests share: one emulated pair for all of them, made sound again for each; a time limit; the machines' last
words when a test fails; and what was measured, printed at the end."""

import os
import subprocess
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.path.join(HERE, "../../build"))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
os.environ.setdefault("DUET_BIN", os.path.join(BUILD, "bin"))

from lab.pair import Timeout  # noqa: E402
from lab.session import figures, pytest_terminal_summary, time_limit, untimed  # noqa: E402, F401
from vmlab.image import Image  # noqa: E402
from vmlab.lab import READY_S, VmLab  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--keep", action="store_true", help="read commands for the machines after the tests (with -s)")


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        raise pytest.UsageError("these tests need root: they make network namespaces and taps (sudo tests/vm/run)")


pytest_runtest_protocol = time_limit(900)  # two slow boots and what lies between


def _description(lab):
    try:
        return lab.describe()
    except Exception as error:  # the test's own limit may end here: a report without it is better than none
        return "cannot be told: %s" % error


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    lab = getattr(item, "lab", None)
    if report.failed and lab is not None and call.when != "teardown":
        report.sections.append(("the pair", _description(lab)))
        for node, machine in lab.machines.items():
            report.sections.append(("console of %s, with duet's log" % node, machine.console()))


@pytest.fixture(scope="session")
def image():
    made = Image(os.path.join(BUILD, "vm"))
    with untimed():
        made.make()
    return made


@pytest.fixture(scope="session")
def installed():
    """A folder with duet as its build installs it."""
    with tempfile.TemporaryDirectory(prefix="duet-vm-") as folder:
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--strip", "--destdir", folder],
                       check=True, timeout=120)
        yield folder


@pytest.fixture(scope="session")
def debs(tmp_path_factory):
    """A folder with the Debian packages, as deploy/build-package makes them now, or has made them (VM_PACKAGES)."""
    if "VM_PACKAGES" in os.environ:
        return os.environ["VM_PACKAGES"]
    folder = str(tmp_path_factory.mktemp("built"))
    with untimed():
        subprocess.run([os.path.join(HERE, "../../deploy/build-package"), folder], check=True, timeout=900, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="session")
def machines(image, installed, request):
    """The pair of all tests, booted."""
    with VmLab(image, installed) as lab:
        lab.power_on()
        yield lab
        if request.config.getoption("--keep"):
            obey(lab)


@pytest.fixture
def lab(machines, request):
    """The pair, one node serving and the other ready to take over, whatever the test before left."""
    request.node.lab = machines
    try:
        machines.wait_ready()
    except Timeout as error:
        print("the pair was not sound any more, and is started anew: %s" % error)
        machines.power_cycle()
        machines.wait_ready(timeout=2 * READY_S)
    return machines


def obey(lab):
    """Runs lines `NODE COMMAND` from the standard input on the machines."""
    print("\nthe machines stay on: write lines like `alpha duet status`; end with Ctrl-D")
    for line in sys.stdin:
        node, _, command = line.strip().partition(" ")
        if node in lab.machines and command:
            print(lab.machines[node].run(command, timeout=60).text)
        elif line.strip():
            print("%s is no node: %s" % (node, ", ".join(lab.machines)))
