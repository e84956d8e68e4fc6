"""The black box: what superviserd records of the bus, and what `duet blackbox` shows after whatever ended it.

Proves, of docs/REQUIREMENTS: L15 (what led to the end is on the disk, and the kernel's own record of it is kept). A
boot here is another boot id, bound over the kernel's in a mount namespace; the real thing is for tests/vm.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
import zmq
from lab.pair import other
from test_superviserd import BIN, SLEEP, World, service, wait_for

BOOTS = ["%08x-2a5d-4a7e-9d0b-0123456789ab" % n for n in range(1, 9)]
DAEMONS = {"heartbeatd", "arbiterd", "takeoverd", "superviserd"}


def whole_machine():
    """As common/sys.h has it: only there may the kernel's records be touched."""
    return os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC and (
        os.stat("/proc/self/ns/net").st_ino == 0xEFFFFFF9
        or (os.access("/proc/1/ns/net", os.R_OK) and os.stat("/proc/1/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino))


class Recording:
    """What `duet blackbox --json` printed."""

    def __init__(self, text):
        lines = [json.loads(line) for line in text.splitlines()]
        self.box = next((line for line in lines if line["kind"] == "box"), None)
        self.finish = next((line for line in lines if line["kind"] == "finish"), None)
        self.crashes = {line["file"]: line["text"] for line in lines if line["kind"] == "pstore"}
        self.records = [line for line in lines if line["kind"] not in ("box", "finish", "pstore")]

    def of(self, topic):
        return [line["message"] for line in self.records if line.get("topic") == topic]

    def numbers(self):
        """Of the ring of changes, in the order in which they were written."""
        return sorted(line["number"] for line in self.records if line["kind"] != "renewal")


# ------------------------------------------------------------------- the pair

def read(lab, node, *words):
    done = lab.duet(node, "blackbox", "--json", *words)
    assert done.returncode == 0, done.stderr
    return Recording(done.stdout)


def test_L15_a_takeover_can_be_read_from_its_first_sign_on(lab):
    lab.start_pair(first="alpha")
    lab.wait_ready("alpha")
    lab.power_off("alpha")
    lab.wait_for(lambda: lab.serves("beta"), 10, "beta serves")
    lab.wait_for(lambda: any(m["role"] == "active" for m in read(lab, "beta").of("role")), 5, "it is recorded")
    recording = read(lab, "beta")
    assert recording.box["node"] == "beta" and recording.finish["how"] == "goes-on"
    assert recording.finish["missing"] == 0
    assert {line["message"]["from"] for line in recording.records if "message" in line} == DAEMONS
    assert {"peer", "role", "address", "address/inside", "path/reserved", "search/outside", "link/inside", "reboot",
            "daemon/takeoverd"} <= {line.get("topic") for line in recording.records}

    def first(topic, **wanted):
        """Where in the recording a state is first told, after the peer was there."""
        for i, line in enumerate(recording.records):
            if i > there and line.get("topic") == topic and wanted.items() <= line["message"].items():
                return i
        raise AssertionError("not recorded: %s %s" % (topic, wanted))

    there = max(i for i, line in enumerate(recording.records) if line.get("topic") == "peer" and line["message"]["alive"])
    chain = [first("peer", alive=False), first("role", phase="claiming"), first("address", state="holding"),
             first("role", phase="active")]
    assert chain == sorted(chain), "the chain in its order"
    assert recording.records[chain[2]]["message"]["cause"].startswith("arbiterd:")
    # The same for people, relative to the end.
    done = lab.duet("beta", "blackbox")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "superviserd records on"
    lines = [line.split() for line in done.stdout.splitlines() if "phase=claiming" in line]
    assert lines and float(lines[-1][0]) < 0 and lines[-1][1:4] == ["s", "arbiterd", "role"]
    lab.wait_for(lambda: read(lab, "beta").finish["last_heard_ns"].keys() == DAEMONS, 5, "each is heard, by the second")
    assert all(-1.5e9 < ns <= 0 for ns in read(lab, "beta").finish["last_heard_ns"].values())
    assert "last heard: " in done.stdout


def test_L15_renewals_do_not_wash_the_changes_away(lab):
    lab.start_pair(first="alpha")
    lab.wait_ready("alpha")
    time.sleep(2)
    before = read(lab, "alpha").numbers()
    time.sleep(12)
    after = read(lab, "alpha")
    assert after.numbers()[-1] - before[-1] <= 3, "nothing changed"
    renewed = {line["topic"] for line in after.records if line["kind"] == "renewal"}
    assert {"peer", "role", "address", "daemon/arbiterd", "path/inside"} <= renewed, "and yet the numbers are there"


def test_L15_a_clean_stop_says_so_and_a_killed_daemon_is_seen(lab):
    lab.start_pair(first="alpha")
    pid = lab.daemon_pid("alpha", "takeoverd")
    os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: lab.daemon_pid("alpha", "takeoverd") not in (None, pid), 5, "takeoverd is back")
    lab.wait_for(lambda: len({m["pid"] for m in read(lab, "alpha").of("daemon/takeoverd")}) == 2, 5,
                 "its new process is recorded")
    assert lab.stop("alpha") == 0
    recording = read(lab, "alpha")
    assert recording.finish["how"] == "ended"
    assert recording.records[-1]["kind"] == "end" and recording.records[-1]["text"] == "superviserd ends"
    assert recording.of("role")[-1]["role"] == "passive", "the handover before it, too"
    os.kill(lab.daemon_pid("beta", "superviserd"), signal.SIGSTOP)  # else it may hear of its parent's end first
    lab.kill_duet("beta")
    assert read(lab, "beta").finish["how"] in ("goes-on", "cut")


def test_L15_the_nodes_of_one_machine_leave_its_pstore_alone(lab):
    """They share /sys with it."""
    lab.start_pair(first="alpha")
    lab.wait_for(lambda: read(lab, "alpha").records, 5, "it records")
    for node in ("alpha", other("alpha")):
        assert "pstore" not in os.listdir(lab.state_dir(node) + "/superviserd")


# ------------------------------------------------- superviserd alone, with its own mounts

class Boot(World):
    """A superviserd, and a `duet blackbox`, that see the boot id, the pstore and the devices that the test gives them."""

    def __init__(self, directory):
        super().__init__(directory)
        self.pstore, self.dev = directory / "pstore", directory / "dev"
        self.pstore.mkdir()
        self.dev.mkdir()
        self.mounts = ['mount --bind "%s" /sys/fs/pstore' % self.pstore]
        self.net = False

    def mounted(self):
        script = "set -e; %s; exec \"$@\"" % "; ".join(self.mounts)
        return ["unshare", "--mount", "--propagation", "private", *(["--net"] if self.net else []), "sh", "-c", script, "sh"]

    def relaunch(self):
        self.prefix, self.subscriptions = self.mounted(), set()
        super().relaunch()

    def subscribed(self):
        """The recorder wants everything, letter by letter, the daemon itself `role`; either may come first."""
        if self.process.poll() is not None:
            raise AssertionError("superviserd ended: " + self.log())
        while self.arbiterd.poll(0):
            self.subscriptions.add(self.arbiterd.recv())
        return {b"\x01role", b"\x01z"} <= self.subscriptions or None

    def boot(self, n):
        """From now on the machine was booted for the n-th time."""
        boot_id = self.dir / "boot_id"
        boot_id.write_text(BOOTS[n] + "\n")
        self.mounts = [m for m in self.mounts if "boot_id" not in m]
        self.mounts.append('mount --bind "%s" /proc/sys/kernel/random/boot_id' % boot_id)

    def blackbox(self, *words):
        return subprocess.run([*self.mounted(), BIN + "/duet", "blackbox", "--state-dir", str(self.dir / "state"), *words],
                              capture_output=True, text=True, timeout=30)

    def recording(self, *words):
        done = self.blackbox("--json", *words)
        assert done.returncode == 0, done.stderr
        return Recording(done.stdout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def tell(self, topic, **fields):
        """As arbiterd."""
        self.seq += 1
        envelope = {"v": 1, "node": "alpha", "from": "arbiterd", "seq": self.seq, "at": "2026-11-25T09:40:00.850211Z",
                    "mono_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}
        self.arbiterd.send_multipart([topic.encode(), json.dumps({**envelope, **fields}).encode()])

    def alarm(self, name, text):
        self.tell("alarm/" + name, active=True, since_ns=1, since="x", text=text)

    def wait_recorded(self, text):
        wait_for(lambda: text in self.blackbox("--json").stdout, "recorded: " + text)


@pytest.fixture
def boot(tmp_path):
    made = Boot(tmp_path)
    yield made
    made.close()


@pytest.mark.alone
def test_L15_killed_at_any_moment_the_recording_is_whole(boot):
    """A hundred times, while up to a thousand messages a second come in."""
    boot.boot(0)
    last, count, ends = 0, 0, 0
    random.seed(time.time())
    boot.start(service("web", SLEEP))
    for round_ in range(100):
        end = time.monotonic() + random.uniform(0.02, 0.15)
        while time.monotonic() < end:
            for _ in range(10):
                count += 1
                boot.alarm("a%d" % (count % 400), "number %d" % count)
            time.sleep(0.002)
        boot.kill()
        ends += 1
        recording = boot.recording()
        numbers = recording.numbers()
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "no record is missing in round %d" % round_
        assert recording.finish["missing"] == 0
        assert numbers[-1] > last, "it went on where the killed one ended"
        last = numbers[-1]
        boot.relaunch()
    recording = boot.recording()
    assert last > 2000, "there was load"
    told = [int(m["text"].split()[1]) for line in recording.records if line["kind"] == "change"
            and line["topic"].startswith("alarm/") for m in [line["message"]]]
    assert told == sorted(told), "in the order in which it was said"
    assert sum(line["kind"] == "begin" for line in recording.records) > 1


def test_L15_a_restarted_superviserd_does_not_repeat_what_is_known(boot):
    """Or one that is restarted again and again would wash everything away."""
    boot.boot(0)
    boot.start(service("web", SLEEP))
    for n in range(100):
        boot.alarm("a%d" % n, "some text")
    boot.wait_recorded('"alarm/a99"')
    before = boot.recording().numbers()[-1]
    boot.kill()
    boot.relaunch()
    for n in range(100):
        boot.alarm("a%d" % n, "some text")
    boot.alarm("last", "other text")
    boot.wait_recorded('"alarm/last"')
    assert boot.recording().numbers()[-1] - before <= 6, "the begin, the alarm, what is new of superviserd itself"


def test_L15_the_boot_before_the_last_reboot_is_kept(boot):
    boot.boot(0)
    assert boot.blackbox().returncode == 1
    boot.start(service("web", SLEEP))
    boot.alarm("router", "the router is silent")
    boot.wait_recorded("the router is silent")
    boot.kill()
    boot.boot(1)
    # Before superviserd has run again, and after.
    for _ in range(2):
        recording = boot.recording("--boot", "-1")
        assert recording.box["boot_id"] == BOOTS[0] and recording.finish["how"] == "cut"
        assert recording.of("alarm/router")[-1]["text"] == "the router is silent"
        assert boot.recording("--boot=-1").box["boot_id"] == BOOTS[0]
        if boot.process.poll() is not None:
            refused = boot.blackbox()
            assert refused.returncode == 1 and "this boot" in refused.stderr
            boot.relaunch()
            wait_for(lambda: boot.blackbox().returncode == 0, "it records")
    assert boot.recording().box["boot_id"] == BOOTS[1] and boot.recording().of("alarm/router") == []
    text = boot.blackbox("--boot", "-1").stdout
    assert "the router is silent" in text and "power cut, crash or watchdog" in text.splitlines()[-1]
    for n in range(2, 8):
        boot.kill()
        boot.boot(n)
        boot.relaunch()
        wait_for(lambda n=n: boot.blackbox().returncode == 0 and boot.recording().box["boot_id"] == BOOTS[n], "it records")
    assert [boot.recording("--boot", "-%d" % n).box["boot_id"] for n in range(1, 5)] == BOOTS[6:2:-1]
    missing = boot.blackbox("--boot", "-5")
    assert missing.returncode == 1 and "there is none of that boot" in missing.stderr and missing.stdout == ""
    assert sorted(p.name for p in (boot.dir / "state/superviserd").glob("blackbox*")) == \
        ["blackbox"] + ["blackbox.%06d" % n for n in range(4, 8)]


def test_L15_what_the_kernel_kept_is_taken_over(boot):
    if not whole_machine():
        pytest.skip("this is not the whole machine: duet leaves its pstore alone")
    boot.boot(0)
    boot.start(service("web", SLEEP))
    boot.alarm("router", "the router is silent")
    boot.wait_recorded("the router is silent")
    boot.kill()
    boot.boot(1)
    (boot.pstore / "dmesg-ramoops-0").write_bytes(b"Panic#1 Part1\n<0>[ 12.3] Kernel panic - not syncing: sysrq\n\x00\xff\n")
    (boot.pstore / "pmsg-ramoops-0").write_bytes(b"[   11.000000] duet: role role=active\n")
    boot.relaunch()
    wait_for(lambda: not list(boot.pstore.iterdir()), "pstore is empty again: " + boot.log())
    recording = boot.recording("--boot", "-1")
    assert recording.of("alarm/router")
    assert "Kernel panic - not syncing: sysrq\n\\x00\\xff\n" in recording.crashes["dmesg-ramoops-0"]
    assert "duet: role role=active" in recording.crashes["pmsg-ramoops-0"]
    text = boot.blackbox("--boot", "-1").stdout
    assert text.index("the router is silent") < text.index("kept by the kernel: dmesg-ramoops-0") < \
        text.index("Kernel panic - not syncing") < text.index("kept by the kernel: pmsg-ramoops-0")
    assert "Kernel panic" not in boot.blackbox().stdout
    boot.kill()
    boot.boot(2)
    boot.relaunch()
    wait_for(lambda: boot.blackbox().returncode == 0, "it records")
    assert boot.recording("--boot", "-1").crashes == {}
    assert "dmesg-ramoops-0" in boot.recording("--boot", "-2").crashes


def test_L15_a_node_that_is_not_the_machine_takes_nothing_over(boot):
    boot.net = True
    boot.boot(0)
    (boot.pstore / "dmesg-ramoops-0").write_text("the machine's, not this node's")
    boot.start(service("web", SLEEP))
    boot.alarm("router", "the router is silent")
    boot.wait_recorded("the router is silent")
    assert (boot.pstore / "dmesg-ramoops-0").exists()


def test_L15_decisions_go_to_the_kernels_memory_too(boot):
    if not whole_machine():
        pytest.skip("this is not the whole machine: duet leaves its memory alone")
    (boot.dev / "pmsg0").write_bytes(b"")
    boot.mounts += ['mount -t tmpfs -o mode=755 none "%s/mnt"' % boot.dev, 'mknod "%s/mnt/null" c 1 3' % boot.dev,
                    'mknod "%s/mnt/urandom" c 1 9' % boot.dev, 'touch "%s/mnt/pmsg0"' % boot.dev,
                    'mount --bind "%s/pmsg0" "%s/mnt/pmsg0"' % (boot.dev, boot.dev), 'mount --rbind "%s/mnt" /dev' % boot.dev]
    (boot.dev / "mnt").mkdir()
    boot.boot(0)
    boot.start(service("web", SLEEP))
    boot.active(epoch=7)
    boot.alarm("router", "the router is silent")
    boot.service("web", "running")
    kept = wait_for(lambda: "service/web state=running" in (boot.dev / "pmsg0").read_text() and (boot.dev / "pmsg0").read_text(),
                    "its lines: " + (boot.dev / "pmsg0").read_text() + boot.log())
    assert "duet: role role=active phase=active epoch=7" in kept
    assert "duet: alarm/router active=true since=x text=the router is silent" in kept
    assert kept.startswith("[") and "duet: superviserd 0.1.0 begins" in kept.splitlines()[0]
    assert "daemon/" not in kept


def test_L15_without_room_all_else_goes_on(boot):
    state = boot.dir / "state/superviserd"
    state.mkdir(parents=True)
    boot.mounts.append('mount -t tmpfs -o size=256k none "%s"' % state)
    boot.boot(0)
    boot.start(service("web", SLEEP))
    boot.active()
    boot.service("web", "running")
    assert "cannot open the black box" in boot.log() and "No space left on device; going on without" in boot.log()
    assert boot.stop() == 0
    # And on a file system that is read-only.
    boot.mounts[-2] = 'mount -t tmpfs -o ro,mode=755 none "%s"' % state
    boot.relaunch()
    boot.service("web", "stopped")
    wait_for(lambda: "Read-only file system; going on without" in boot.log(), "it says so")
    assert boot.stop() == 0


def test_blackbox_refuses_what_it_does_not_understand(boot):
    boot.boot(0)
    for words in (["--boot", "1"], ["--boot"], ["--boot", "yesterday"], ["role"]):
        assert boot.blackbox(*words).returncode == 2, words
    state = boot.dir / "state/superviserd"
    state.mkdir(parents=True)
    (state / "blackbox").write_bytes(os.urandom(100000))
    done = boot.blackbox("--boot", "-1")
    assert done.returncode == 1 and "there is no whole record in it" in done.stderr
    shutil.rmtree(state)
    done = boot.blackbox()
    assert done.returncode == 1 and "is this its --state-dir?" in done.stderr
