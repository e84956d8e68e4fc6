"""One emulated machine: a qemu process with its power, its cables, its hardware watchdog and the agent inside.

The machine's memory outlives a reset (warm restart) but not a power-off, as that of real ones does. What it says on its
console is kept over all of that in `console.log`.
"""

import os
import signal
import subprocess
import time

from vmlab.agent import Agent, AgentError
from vmlab.qmp import Qmp

BOOT_S = 300  # boots take 12 to 35 s, and ten times that when the machine is very busy
CONSOLE_LINES = 60

# The last words of a kernel that panicked: a piece of memory that it does not use and that survives a reset.
_RAMOOPS_AT, _RAMOOPS_SIZE, _MEMORY_MB = 0x0c000000, 0x100000, 256

KERNEL_ARGUMENTS = (
    "console=ttyS0,115200", "root=/dev/vda", "rw", "quiet", "net.ifnames=0", "mitigations=off",
    "no_timer_check", "nokaslr", "audit=0", "systemd.show_status=false", "panic=1",
    "memmap=0x%x$0x%x" % (_RAMOOPS_SIZE, _RAMOOPS_AT), "ramoops.mem_address=0x%x" % _RAMOOPS_AT,
    "ramoops.mem_size=0x%x" % _RAMOOPS_SIZE, "ramoops.record_size=0x10000", "ramoops.console_size=0x20000",
    "ramoops.pmsg_size=0x20000", "ramoops.max_reason=3", "ramoops.ecc=1")

# By the processor's counter, whose pace the kernel measures as it boots: wrongly, several times as fast as the
# world, on a host that is very busy then. Or by the emulated HPET, which is slow to read and always right.
CLOCK, CLOCK_OF_BUSY_HOST = ("tsc=reliable",), ("tsc=unstable", "clocksource=hpet")

WATCHDOG = ("-device", "i6300esb,id=wd0", "-action", "watchdog=reset")


class MachineError(AssertionError):
    """A machine did not do what it should; the message ends with what it last said on its console."""


class Adapter:
    """A network adapter of a machine: its name to us, the tap device that it is plugged into, its MAC address."""

    def __init__(self, name, tap, mac):
        self.name, self.tap, self.mac = name, tap, mac


class Machine:
    """A machine that is off at first. `image` is what it boots (see image.py); its files lie in `folder`, which must
    not exist. `enter` leads the words that start qemu (into a network namespace), `arguments` are further ones of its
    kernel, `devices` replaces the watchdog that qemu plugs in, `clock` says by what it keeps time."""

    def __init__(self, name, folder, image, seed=None, adapters=(), enter=(), arguments=(), devices=WATCHDOG, clock=CLOCK):
        self.name = name
        self.folder = folder
        self.image = image
        self.seed = seed
        self.adapters = list(adapters)
        self.enter = list(enter)
        self.arguments = [*clock, *arguments]
        self.devices = list(devices)
        self.process = self.qmp = self.agent = None
        os.mkdir(folder, 0o700)
        self.disk = image.new_disk(self._path("disk.qcow2"))

    def _path(self, name):
        return os.path.join(self.folder, name)

    # ---------------------------------------------------------------- power

    def disk_words(self):
        """How qemu gets the disk: its own method, so that a test can record what is written."""
        return ["-drive", "file=%s,if=none,id=d0,format=qcow2,cache=writeback" % self.disk,
                "-device", "virtio-blk-pci,drive=d0"]

    def _words(self):
        initrd = self.image.initrd
        if self.seed:
            initrd = self._path("initrd")
            self.seed.write_initrd(self.image.initrd, initrd)
        words = ["qemu-system-x86_64", "-name", self.name, "-M", "q35", "-accel", "tcg,thread=multi,tb-size=256",
                 "-cpu", "max", "-smp", "1", "-m", str(_MEMORY_MB), "-nodefaults", "-no-user-config",
                 "-display", "none",
                 "-chardev", "file,id=console,path=%s,append=on" % self._path("console.log"),
                 "-serial", "chardev:console",
                 "-qmp", "unix:%s,server=on,wait=off" % self._path("qmp"),
                 "-chardev", "socket,id=agent,path=%s,server=on,wait=off" % self._path("agent"),
                 "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent.0",
                 "-device", "virtio-rng-pci", "-action", "reboot=reset",
                 "-kernel", self.image.kernel, "-initrd", initrd,
                 "-append", " ".join(list(KERNEL_ARGUMENTS) + self.arguments)]
        for adapter in self.adapters:
            words += ["-netdev", "tap,id=%s,ifname=%s,script=no,downscript=no" % (adapter.name, adapter.tap),
                      "-device", "virtio-net-pci,netdev=%s,id=nic-%s,mac=%s,romfile=" % (
                          adapter.name, adapter.name, adapter.mac)]
        return words + self.disk_words() + self.devices

    def power_on(self):
        """Starts it, and does not wait for it. Must be called by the main thread: the machine ends with the thread."""
        assert not self.is_on, "%s is on already" % self.name
        with open(self._path("qemu.log"), "ab") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.enter, *self._words()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.qmp, self.agent = self._connect(Qmp, "qmp"), self._connect(Agent, "agent")

    def _connect(self, kind, name):
        end = time.monotonic() + 20
        while True:
            try:
                return kind(self._path(name))
            except OSError as error:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise self.error("qemu does not run (exit code %s, %s)" % (self.process.poll(), error)) from None
            time.sleep(0.05)

    @property
    def is_on(self):
        return self.process is not None and self.process.poll() is None

    def power_off(self):
        """The plug is pulled: what was in memory is gone, also what its kernel had not written yet."""
        if self.is_on:
            self.process.send_signal(signal.SIGKILL)
        self._reap(10)

    def shut_down(self, timeout=BOOT_S):
        """Asks the system to end, and waits until the machine is off."""
        self.agent.order("systemctl --no-block poweroff")
        self._reap(timeout)

    def _reap(self, timeout):
        if self.process is None:
            return
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.error("still on after %g s" % timeout) from None
        for connection in (self.qmp, self.agent):
            if connection:
                connection.close()
        for name in ("qmp", "agent"):  # the next qemu is not to be taken for this one
            if os.path.exists(self._path(name)):
                os.unlink(self._path(name))
        self.process = self.qmp = self.agent = None

    def reset(self):
        """The reset button: memory stays, all else begins anew."""
        self.qmp.order("system_reset")

    def stop(self):
        """The whole machine stands still, its clock too; its cables stay plugged."""
        self.qmp.order("stop")

    def cont(self):
        self.qmp.order("cont")

    def set_link(self, adapter, up):
        """Pulls or plugs the cable of an adapter: the system sees its carrier go or come."""
        self.qmp.order("set_link", name="nic-" + adapter, up=up)

    # --------------------------------------------------------------- inside

    def wait_boot(self, other_than=None, timeout=BOOT_S):
        """Waits until the agent of a run other than the one with that boot id answers; returns the boot id."""
        boot_id = self.agent.wait_boot(other_than, timeout)
        if boot_id is None:
            raise self.error("did not boot within %g s" % timeout)
        return boot_id

    @property
    def boot_id(self):
        return self.agent.boot_id

    def run(self, script, timeout=30, data=b""):
        """Runs a shell script as root, whatever its exit code: Done (code, text, bytes)."""
        return self.agent.run(script, timeout, data)

    def check(self, script, timeout=30, data=b""):
        """Runs a shell script that must succeed; returns what it said."""
        done = self.run(script, timeout, data)
        if done.code != 0:
            how = "took longer than %g s" % timeout if done.code == -1 else "exit code %d" % done.code
            raise AgentError("%s: %s: %s\n%s" % (self.name, script, how, done.text))
        return done.text

    def read(self, path):
        """The bytes of a file."""
        done = self.run('cat "%s"' % path)
        if done.code != 0:
            raise AgentError("%s: cannot read %s: %s" % (self.name, path, done.text))
        return done.bytes

    def write(self, path, data):
        """A file anew, durable before this returns."""
        self.check('cat >"%s" && sync "%s"' % (path, path), data=data.encode() if isinstance(data, str) else data)

    def console(self, lines=CONSOLE_LINES):
        """The last lines that it said on its console, in all its runs."""
        try:
            with open(self._path("console.log"), errors="replace") as log:
                return "\n".join(log.read().splitlines()[-lines:])
        except FileNotFoundError:
            return "(nothing)"

    def error(self, text):
        """A MachineError that shows what can be known."""
        try:
            with open(self._path("qemu.log"), errors="replace") as log:
                said = log.read()[-2000:].strip()
        except FileNotFoundError:
            said = ""
        return MachineError("%s: %s\n%s--- end of its console:\n%s" % (
            self.name, text, "--- qemu said:\n%s\n" % said if said else "", self.console()))
