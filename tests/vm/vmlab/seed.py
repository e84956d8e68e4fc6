"""What makes one machine of the common image: files that its first program copies into the root file system, at the
first boot with this seed. It travels as a second archive behind the initrd, so that a new build of duet, or another
configuration, costs a tenth of a second instead of a new image."""

import hashlib
import os
import shutil
import subprocess
import tempfile


class Seed:
    """A collection of files, by their paths in the machine; root owns them all."""

    def __init__(self):
        self._files = {}  # path -> (bytes, mode)
        self._links = {}  # path -> where to

    def file(self, path, content, mode=0o644):
        self._files[path] = (content.encode() if isinstance(content, str) else content, mode)

    def link(self, path, target):
        self._links[path] = target

    def unit(self, name, text, enabled=True):
        """A systemd unit, started at boot if enabled."""
        self.file("/etc/systemd/system/" + name, text)
        if enabled:
            self.link("/etc/systemd/system/multi-user.target.wants/" + name, "../" + name)

    def tree(self, folder):
        """All files below a folder, as they would lie below `/`."""
        for parent, _folders, names in os.walk(folder):
            for name in names:
                path = os.path.join(parent, name)
                inside = "/" + os.path.relpath(path, folder)
                if os.path.islink(path):
                    self.link(inside, os.readlink(path))
                else:
                    with open(path, "rb") as source:
                        self.file(inside, source.read(), os.stat(path).st_mode & 0o7777)

    def _identity(self):
        told = hashlib.sha256()
        for path, (content, mode) in sorted(self._files.items()):
            told.update(("%s %o %d\n" % (path, mode, len(content))).encode() + content)
        for link in sorted(self._links.items()):
            told.update(("%s %s\n" % link).encode())
        return told.hexdigest()

    def write_initrd(self, base, path):
        """An initrd at `path`: the one at `base`, and this seed behind it."""
        folder = tempfile.mkdtemp(dir=os.path.dirname(path))
        try:
            os.mkdir(os.path.join(folder, "seed"))
            for inside, (content, mode) in self._files.items():
                place = self._place(folder, inside)
                with open(place, "wb") as out:
                    out.write(content)
                os.chmod(place, mode)
            for inside, target in self._links.items():
                os.symlink(target, self._place(folder, inside))
            with open(os.path.join(folder, "seed.id"), "w") as out:
                out.write(self._identity() + "\n")
            archive = pack(folder)
        finally:
            shutil.rmtree(folder)
        with open(base, "rb") as source, open(path, "wb") as out:
            shutil.copyfileobj(source, out)
            out.write(archive)

    @staticmethod
    def _place(folder, inside):
        place = os.path.join(folder, "seed", inside.lstrip("/"))
        os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
        return place


def pack(folder):
    """A folder as the kernel takes it for an initrd, padded so that another one can follow."""
    names = subprocess.run(["find", ".", "-print0"], cwd=folder, capture_output=True, check=True, timeout=60).stdout
    archive = subprocess.run(["cpio", "--quiet", "-0", "-o", "-H", "newc", "-R", "0:0"], cwd=folder, input=names,
                             capture_output=True, check=True, timeout=120).stdout
    return archive + b"\0" * (-len(archive) % 512)
