"""What the machines boot: a small Debian system, made from the packages of this machine's own archive, and cached.

Three things lie below the cache folder, each under a name that tells what it was made from, so that whatever changes
makes it anew and nothing else:

    kernel-*/   Debian's stock kernel with all its modules, unpacked
    root-*/     the root file system as mmdebstrap makes it (the slow part)
    base-*/     what a machine boots: kernel, initrd, and a disk with the root file system, our agent and the modules
                that are wanted, which was booted once, since the first boot of a system takes ten seconds more

duet is in none of them: it comes with the seed of a machine (seed.py).
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess

from vmlab.machine import BOOT_S, Machine
from vmlab.seed import pack

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DISK_MB = 700
VERSIONS_KEPT = 4

# They would only spend the emulator's time, or (systemd-pstore) take away what duet is to find.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "e2scrub_reap.service", "fstrim.timer", "getty@tty1.service", "man-db.timer", "serial-getty@ttyS0.service",
          "systemd-pstore.service", "systemd-timesyncd.service")


def _say(text):
    print("vmlab: " + text, flush=True)


def _run(*words, timeout=600, cwd=None):
    """A command, its output; an error that ends with what it said. Whatever ends this early ends the command and all
    that it started."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, cwd=cwd, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=timeout)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode != 0:
        raise RuntimeError("%s: exit %d\n%s" % (" ".join(words), process.returncode, (output + errors)[-4000:]))
    return output


def _key(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _listed(name):
    """The lines of a file of the image folder, without comments."""
    with open(os.path.join(HERE, "image", name)) as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


def _own_text():
    """All that is written down here about the image: any change of it makes a new base."""
    paths = [os.path.abspath(__file__), os.path.join(HERE, "agent.c")]
    for parent, folders, names in os.walk(os.path.join(HERE, "image")):
        folders.sort()
        paths += [os.path.join(parent, name) for name in sorted(names)]
    text = []
    for path in paths:
        with open(path) as file:
            text.append("%s\n%s" % (os.path.relpath(path, HERE), file.read()))
    return "\n".join(text)


def archive_lines():
    """Where this machine itself gets Debian's packages, as lines of a sources.list."""
    lines = _run("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
                 "Created-By: Packages", "Origin: Debian").splitlines()
    if not lines:
        raise RuntimeError("apt knows of no Debian archive: see that /etc/apt names one, and run `apt-get update`")
    return sorted(set(lines))


def _suite():
    with open("/etc/os-release") as file:
        return re.search(r"^VERSION_CODENAME=(\w+)", file.read(), re.MULTILINE).group(1)


class Image:
    """An image with further packages and kernel modules than the usual ones. After make(), `kernel` and `initrd` are
    files, and new_disk() gives each machine a disk of its own."""

    def __init__(self, cache, packages=(), modules=()):
        self.cache = os.path.abspath(cache)
        self.packages = _listed("packages") + list(packages)
        modules = [line.split() for line in _listed("modules")] + [[name] for name in modules]
        self.boot_modules = [words[1] for words in modules if words[0] == "boot"]
        self.modules = [words[-1] for words in modules]

    def make(self):
        """Makes what is not cached. One run at a time works on a cache."""
        os.makedirs(self.cache, exist_ok=True)
        with open(os.path.join(self.cache, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kernel = self._cached("kernel", self._kernel_package(), self._make_kernel)
            root = self._cached("root", _key(_suite(), *self.packages), self._make_root)
            name = _key(kernel, root, _own_text(), *self.modules)
            base = self._cached("base", name, lambda folder: self._make_base(folder, kernel, root))
        self._use(base)

    def _use(self, base):
        self.kernel, self.initrd = os.path.join(base, "vmlinuz"), os.path.join(base, "initrd")
        self._disk = os.path.join(base, "disk")

    def new_disk(self, path):
        """A disk that begins as that of the image, and takes only what changes."""
        _run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self._disk, "-F", "raw", path)
        return path

    def _cached(self, kind, name, make):
        """The folder KIND-NAME, made by make(folder) if it is not there; it appears when it is whole."""
        folder = os.path.join(self.cache, "%s-%s" % (kind, name))
        if not os.path.isdir(folder):
            unfinished = os.path.join(self.cache, "unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            os.mkdir(unfinished)
            make(unfinished)
            os.rename(unfinished, folder)
        os.utime(folder)
        others = [os.path.join(self.cache, other) for other in os.listdir(self.cache) if other.startswith(kind + "-")]
        for old in sorted(others, key=os.path.getmtime, reverse=True)[VERSIONS_KEPT:]:
            shutil.rmtree(old)
        return folder

    # --------------------------------------------------------------- kernel

    @staticmethod
    def _kernel_package():
        """The package, with its version, that Debian's stock kernel is in at present."""
        for line in _run("apt-cache", "depends", "--important", "linux-image-amd64").splitlines():
            if line.strip().startswith("Depends: linux-image-"):
                name = line.split()[-1]
                version = re.search(r"^\s*Candidate: (\S+)", _run("apt-cache", "policy", name), re.MULTILINE).group(1)
                return "%s=%s" % (name, version)
        raise RuntimeError("apt knows of no linux-image-amd64: run `apt-get update`")

    def _make_kernel(self, folder):
        package = self._kernel_package()
        _say("fetching %s" % package)
        _run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=folder)
        (deb,) = [name for name in os.listdir(folder) if name.endswith(".deb")]
        _run("dpkg-deb", "-x", deb, ".", cwd=folder)
        os.unlink(os.path.join(folder, deb))
        _run("depmod", "-b", folder, self._version(folder))

    @staticmethod
    def _version(kernel):
        (version,) = os.listdir(os.path.join(kernel, "lib/modules"))
        return version

    def _module_files(self, kernel, names):
        """The files of modules and of all that they need, in the order of loading."""
        files = []
        for name in names:
            said = _run("modprobe", "-d", kernel, "-S", self._version(kernel), "--show-depends", name)
            for line in said.splitlines():
                words = line.split()
                if words[0] == "insmod" and words[1] not in files:
                    files.append(words[1])
        return files

    # ----------------------------------------------------------------- root

    def _make_root(self, folder):
        _say("making a Debian system with mmdebstrap (a minute or two, once)")
        _run("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--include=" + ",".join(self.packages),
             "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
             "--dpkgopt=path-exclude=/usr/share/locale/*", _suite(), os.path.join(folder, "tree"), *archive_lines(),
             timeout=900)

    # ----------------------------------------------------------------- base

    def _make_base(self, folder, kernel, root):
        _say("making the disk of the machines, and booting it once")
        tree = os.path.join(folder, "tree")
        _run("cp", "-a", os.path.join(root, "tree"), tree)
        shutil.copytree(os.path.join(HERE, "image/root"), tree, dirs_exist_ok=True)
        self._add_modules(tree, kernel)
        self._add_units(tree)
        _run("gcc", "-O2", "-static", "-D_GNU_SOURCE", "-o", os.path.join(tree, "usr/local/sbin/vmlab-agent"),
             os.path.join(HERE, "agent.c"))
        shutil.copy(os.path.join(kernel, "boot", "vmlinuz-" + self._version(kernel)), os.path.join(folder, "vmlinuz"))
        self._make_initrd(os.path.join(folder, "initrd"), kernel)
        disk = os.path.join(folder, "disk")
        _run("mke2fs", "-q", "-t", "ext4", "-F", "-L", "root", "-J", "size=16", "-d", tree, disk, "%dM" % DISK_MB)
        shutil.rmtree(tree)
        self._use(folder)
        self._boot_once(folder, disk)

    def _add_modules(self, tree, kernel):
        version = self._version(kernel)
        modules = os.path.join("lib/modules", version)
        for source in self._module_files(kernel, self.modules):
            place = os.path.join(tree, os.path.relpath(source, kernel))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(source, place)
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            shutil.copy(os.path.join(kernel, modules, name), os.path.join(tree, modules))
        _run("depmod", "-b", tree, version)

    @staticmethod
    def _add_units(tree):
        units = os.path.join(tree, "etc/systemd/system")
        for name in MASKED:
            os.symlink("/dev/null", os.path.join(units, name))
        os.makedirs(os.path.join(units, "multi-user.target.wants"), exist_ok=True)
        os.symlink("../vmlab-agent.service", os.path.join(units, "multi-user.target.wants/vmlab-agent.service"))

    def _make_initrd(self, path, kernel):
        folder = path + ".tree"
        for name in ("bin", "dev", "proc", "sysroot", "modules"):
            os.makedirs(os.path.join(folder, name))
        shutil.copy(os.path.join(HERE, "image/init"), folder)
        shutil.copy(shutil.which("busybox", path="/bin:/usr/bin"), os.path.join(folder, "bin"))
        files = self._module_files(kernel, self.boot_modules)
        for source in files:
            shutil.copy(source, os.path.join(folder, "modules"))
        with open(os.path.join(folder, "modules/order"), "w") as out:
            out.writelines(os.path.basename(source) + "\n" for source in files)
        with open(path, "wb") as out:
            out.write(pack(folder))
        shutil.rmtree(folder)

    def _boot_once(self, folder, disk):
        machine = Machine("base", os.path.join(folder, "machine"), self)
        machine.disk_words = lambda: ["-drive", "file=%s,if=virtio,format=raw,cache=writeback" % disk]
        try:
            machine.power_on()
            machine.wait_boot()
            # The journal so far is that of a machine with another name.
            machine.check("systemctl is-system-running --wait; journalctl -q --rotate;"
                          "journalctl -q --vacuum-time=1s; sync", timeout=BOOT_S)
            machine.shut_down()
        finally:
            machine.power_off()
        shutil.rmtree(machine.folder)
