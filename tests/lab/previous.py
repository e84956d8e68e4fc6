"""The programs of the version before this one, from the project's own history.

    programs = previous.build()       # a folder like DUET_BIN; raises Missing with the reason if it cannot be had

tests/mixed/previous names the commit (or the tag of a release). Its tree is unpacked and built below build/previous, in a
folder of the commit's name: once, and never again until the file names another. A clone that does not reach back so far
(CI makes such) is left as it is: the one commit is fetched from where the clone came from, to build/previous/history.
"""
import fcntl
import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HISTORY = os.environ.get("DUET_HISTORY", ROOT)  # a clone; another one for a copy without history (tests/mutate)
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


def _git(*words, repository=None, **keys):
    """git, in the clone that HISTORY lies in, or in another repository."""
    where = ["--git-dir", repository] if repository else ["-C", HISTORY]
    # Who runs the tests as root need not own the tree; and nobody is there to be asked for a password.
    return subprocess.run(["git", "-c", "safe.directory=*", *where, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, **keys)


def _commit_in(repository):
    found = _git("rev-parse", "--verify", "--quiet", name() + "^{commit}", repository=repository, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def _fetched(place):
    """A repository that has the commit and nothing else, fetched from where the clone came from."""
    origin = _git("remote", "get-url", "origin", text=True)
    if origin.returncode != 0:
        raise Missing("%s (tests/mixed/previous) is not in this clone, which has no origin to fetch it from" % name())
    history = os.path.join(place, "history")
    _git("init", "--quiet", "--bare", history, check=True)
    try:
        done = _git("fetch", "--quiet", "--depth=1", origin.stdout.strip(), name() + ":refs/heads/previous", repository=history, text=True)
        why = done.stderr.strip()[-300:] if done.returncode != 0 else None
    except subprocess.TimeoutExpired:
        why = "it took too long"
    if why is not None:
        raise Missing("%s (tests/mixed/previous) is not in this clone, and could not be fetched from its origin (%s): "
                      "git fetch --unshallow --tags" % (name(), why))
    return history


def _found(place):
    """The repository that has the commit, and the commit's full id."""
    try:
        inside = _git("rev-parse", "--absolute-git-dir", text=True)
    except FileNotFoundError:
        raise Missing("no git here to have the previous version from") from None
    if inside.returncode != 0:
        raise Missing("this is no clone of the project's history: %s (tests/mixed/previous) cannot be had from it" % name())
    clone = inside.stdout.strip()
    commit = _commit_in(clone)
    if commit:
        return clone, commit
    history = os.path.join(place, "history")
    if not _commit_in(history):
        history = _fetched(place)
    return history, _commit_in(history)


def build():
    """The folder of the previous version's programs, built if need be."""
    place = os.path.join(ROOT, "build/previous")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "lock"), "w") as lock:  # tests run beside each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        repository, commit = _found(place)
        folder = os.path.join(place, commit)
        if not os.path.isdir(folder):
            _make(repository, commit, folder)
    return folder


def _make(repository, commit, folder):
    work = folder + ".making"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(os.path.join(work, "source"))
    os.makedirs(os.path.join(work, "bin"))
    archive = _git("archive", "--format=tar", commit, repository=repository, check=True).stdout
    subprocess.run(["tar", "-x", "-C", os.path.join(work, "source")], input=archive, check=True, timeout=60)
    # Later compilers may warn of more, and how fast it is, or how well debugged, does not matter.
    _run("meson", "setup", os.path.join(work, "build"), os.path.join(work, "source"), "-Dwerror=false", "-Dbuildtype=debug", "-Ddebug=false")
    _run("ninja", "-j2", "-C", os.path.join(work, "build"), *PROGRAMS)
    for program in PROGRAMS:
        shutil.copy2(os.path.join(work, "build", program), os.path.join(work, "bin"))
    os.rename(os.path.join(work, "bin"), folder)
    shutil.rmtree(work)


def _run(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, "the previous version could not be built: %s\n%s" % (" ".join(words), done.stdout[-3000:])
