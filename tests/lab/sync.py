"""A pair whose nodes have file systems of their own below one path: what sync needs.

Both nodes live on one machine, so the same path would be the same files. Each `duet run` gets a mount namespace in which
the node's own directory lies at the path that the configuration names.
"""
import hashlib
import os
import random
import shutil
import stat
import subprocess

from lab.lab import NODES, Lab
from lab.pair import Timeout

# syncd in a user namespace, whose limits are its own: maps so many user numbers, and sets /proc/sys/user/NAME there. What
# maps it must be outside of it.
_CONFINED = '''#!/usr/bin/python3
import ctypes, os, sys
ready, go = os.pipe()
helper = os.fork()
if helper == 0:
    os.read(ready, 1)
    for kind in ("uid_map", "gid_map"):
        with open("/proc/%%d/%%s" %% (os.getppid(), kind), "w") as out:
            out.write("0 0 %(ids)d")
    os._exit(0)
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.write(go, b"x")
assert os.waitpid(helper, 0)[1] == 0
for name, value in %(limits)r.items():
    with open("/proc/sys/user/" + name, "w") as out:
        out.write(str(value))
os.execv("%(real)s", ["%(real)s"] + sys.argv[1:])
'''

_MOUNT = 'mount --bind "$0" "$1" && shift && exec "$@"'


class SyncLab(Lab):
    def __init__(self, *args, **kwargs):
        self._disks = []
        super().__init__(*args, **kwargs)
        self.shared = os.path.join(self.dir, "shared")
        os.makedirs(self.shared)
        for node in NODES:
            os.makedirs(self.data(node), exist_ok=True)

    def close(self):
        for path in self._disks:
            subprocess.run(["umount", "--lazy", path], check=True)
        self._disks = []
        super().close()

    def small_disk(self, path, size):
        """Mounts an empty file system of that size on a directory of a node that does not run yet."""
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=%d" % size, "tmpfs", path], check=True)
        self._disks.append(path)

    def confined(self, ids=4294967295, **limits):
        """A folder of the programs in which syncd has a user namespace of its own: for start(node, bin=…)."""
        folder = os.path.join(self.dir, "confined")
        shutil.copytree(self.bin, folder)
        os.mkdir(os.path.join(folder, "real"))
        real = shutil.move(os.path.join(folder, "syncd"), os.path.join(folder, "real/syncd"))  # the process has this name
        self.script("confined/syncd", _CONFINED % {"ids": ids, "limits": limits, "real": real})
        return folder

    def data(self, node, *names):
        """A path on the node, as this process sees it."""
        return os.path.join(self.dir, node, "data", *names)

    def path(self, *names):
        """The same as the configuration says it."""
        return os.path.join(self.shared, *names)

    def duet_words(self, node, *words, bin=None):
        all_words = super().duet_words(node, *words, bin=bin)
        if words[:1] != ("run",):
            return all_words
        at = len(self.network.exec(node))
        return all_words[:at] + ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, self.data(node),
                                 self.shared] + all_words[at:]

    def sync_set(self, name="files", path=None, **keys):
        """A set of the configuration; further keys by name (max_delay="50ms")."""
        lines = [] if "sqlite" in keys or "dump" in keys else ["    path = {%s}" % ", ".join('"%s"' % p for p in path or [self.path(name)])]
        lines += ["    %s = %s" % (key.replace("_", "-"), value) for key, value in keys.items()]
        return 'sync "%s" {\n%s\n}\n' % (name, "\n".join(lines))

    def sync(self, node, name=None):
        """`sync`, or `sync/NAME`, as the node last told; None if it is silent."""
        return self.bus.last(node, "sync/" + name if name else "sync")

    def is_current(self, node):
        sync = self.sync(node)
        return bool(sync) and sync["state"] == "current"

    def wait_current(self, timeout=20):
        """Both nodes say that nothing waits."""
        self.wait_for(lambda: all(self.is_current(node) for node in NODES), timeout, "both current")

    def wait_same(self, name="files", timeout=20):
        """Both nodes have the same below NAME."""
        def same():
            return photo(self.data("alpha", name)) == photo(self.data("beta", name))
        try:
            self.wait_for(same, timeout, "both have the same")
        except Timeout as timeout_error:
            raise Timeout("%s\n%s" % (timeout_error, difference(photo(self.data("alpha", name)), photo(self.data("beta", name)))))


def _xattrs(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names))
    except OSError:
        return ()


def _entry(path, links):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    entry = {"kind": kind, "uid": status.st_uid, "gid": status.st_gid, "xattrs": _xattrs(path)}
    if kind == stat.S_IFLNK:
        return {**entry, "content": os.readlink(path)}
    entry["mode"] = stat.S_IMODE(status.st_mode)
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            entry["content"] = hashlib.sha256(file.read()).hexdigest()
        entry["mtime"] = status.st_mtime_ns
        if status.st_nlink > 1:
            entry["link"] = links.setdefault((status.st_dev, status.st_ino), path.rsplit("/", 1)[1])
    return entry


def photo(top):
    """All that is to be the same below (and at) `top`, by path; {} if it is not there."""
    result, links = {}, {}
    paths = [top] if os.path.lexists(top) else []
    for directory, directories, files in os.walk(top):
        directories[:] = [d for d in directories if not d.startswith(".duet~")]
        paths += [os.path.join(directory, name) for name in directories + files if not name.startswith(".duet~")]
    for path in sorted(paths):
        try:
            result[os.path.relpath(path, top)] = _entry(path, links)
        except FileNotFoundError:
            pass
    return result


def difference(one, other):
    """A few of the entries that differ, for a failed test."""
    names = [name for name in sorted(set(one) | set(other)) if one.get(name) != other.get(name)]
    return ["%s: %s / %s" % (name, one.get(name), other.get(name)) for name in names[:4]] + (["… %d" % len(names)] if len(names) > 4 else [])


def write(path, text, mode="w"):
    with open(path, mode) as file:
        file.write(text)


def make_tree(top, random_=None):
    """Everything that travels: files of all sizes, directories, symlinks, hard links, modes, owners, attributes."""
    rng = random_ or random.Random(1)
    os.makedirs(os.path.join(top, "a/b/c"))
    os.makedirs(os.path.join(top, "empty"))
    for i in range(40):
        write(os.path.join(top, "a/file-%d" % i), rng.randbytes(rng.randrange(5000)), "wb")
    write(os.path.join(top, "a/b/big"), rng.randbytes(3_000_000), "wb")
    write(os.path.join(top, "a/b/none"), "")
    os.symlink("../b/big", os.path.join(top, "a/b/c/link"))
    os.symlink("/nowhere at all", os.path.join(top, "dangling"))
    os.link(os.path.join(top, "a/file-3"), os.path.join(top, "a/b/hard"))
    os.chmod(os.path.join(top, "a/file-4"), 0o600)
    os.chmod(os.path.join(top, "empty"), 0o711)
    os.chown(os.path.join(top, "a/file-5"), 1, 2)
    os.setxattr(os.path.join(top, "a/file-6"), "user.note", b"\0 any bytes")
    write(os.path.join(top, os.fsdecode(b"name \xff\n.txt")), "names are bytes")
    with open(os.path.join(top, "sparse"), "wb") as file:
        file.truncate(50_000_000)
        file.seek(30_000_000)
        file.write(b"in the middle")
