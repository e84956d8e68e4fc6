"""The programs of the version before this one, from the project's own history.

    programs = previous.build()       # a folder like DUET_BIN; raises Missing with the reason if it cannot be had

tests/mixed/previous names the commit (or the tag of a release). Its tree is unpacked and built below build/previous, in a
folder of the commit's name: once, and never again until the file names another.
"""
import fcntl
import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAMED = os.path.join(ROOT, "tests/mixed/previous")
DAEMONS = ("arbiterd", "heartbeatd", "takeoverd", "superviserd", "syncd")
PROGRAMS = ["cli/duet"] + ["%s/%s" % (daemon, daemon) for daemon in DAEMONS]


class Missing(Exception):
    """There is no previous version here; the text says why, and what to do."""


def name():
    """What tests/mixed/previous says."""
    with open(NAMED) as file:
        lines = [line.split("#")[0].strip() for line in file]
    return next(line for line in lines if line)


def _git(*words, **keys):
    # Who runs the tests as root need not own the tree.
    return subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, *words], capture_output=True, timeout=60, **keys)


def commit():
    """The full id of the commit that is named."""
    try:
        found = _git("rev-parse", "--verify", "--quiet", name() + "^{commit}", text=True)
    except FileNotFoundError:
        raise Missing("no git here to have the previous version from") from None
    if found.returncode != 0:
        raise Missing("%s (tests/mixed/previous) is not in this clone: git fetch --unshallow --tags" % name())
    return found.stdout.strip()


def build():
    """The folder of the previous version's programs, built if need be."""
    wanted = commit()
    place = os.path.join(ROOT, "build/previous")
    os.makedirs(place, exist_ok=True)
    folder = os.path.join(place, wanted)
    with open(os.path.join(place, "lock"), "w") as lock:  # tests run beside each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            _make(wanted, folder)
    return folder


def _make(wanted, folder):
    work = folder + ".making"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(os.path.join(work, "source"))
    os.makedirs(os.path.join(work, "bin"))
    archive = _git("archive", "--format=tar", wanted, check=True).stdout
    subprocess.run(["tar", "-x", "-C", os.path.join(work, "source")], input=archive, check=True, timeout=60)
    # Later compilers may warn of more, and how fast it is does not matter.
    _run("meson", "setup", os.path.join(work, "build"), os.path.join(work, "source"), "-Dwerror=false", "-Dbuildtype=debug")
    _run("ninja", "-j2", "-C", os.path.join(work, "build"), *PROGRAMS)
    for program in PROGRAMS:
        shutil.copy2(os.path.join(work, "build", program), os.path.join(work, "bin"))
    os.rename(os.path.join(work, "bin"), folder)
    shutil.rmtree(work)


def _run(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, "the previous version could not be built: %s\n%s" % (" ".join(words), done.stdout[-3000:])
