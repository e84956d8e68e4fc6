"""superviserd's services beyond the plain child: adoption by the next superviserd, daemons that fork themselves, order,
failures that outlive it. Real processes; the test plays arbiterd on the bus (test_superviserd.py).

Proves, of the requirements: L8, L11 (looked for in memory, whoever started it), L12.
"""

import os
import random
import re
import resource
import signal
import subprocess
import time

import pytest
from test_superviserd import BIN, SLEEP, is_alive, kill_group, service, wait_for, world  # noqa: F401 (a fixture)


def kill_and_relaunch(world):
    world.process.kill()
    world.process.wait()
    world.relaunch()


# ------------------------------------------------------------------ adoption


def test_L11_kill_9_of_superviserd_leaves_services_running(world):
    world.start(service("web", SLEEP), service("both", SLEEP, when="always"))
    world.active()
    pids = {name: world.service(name, "running")["pid"] for name in ("web", "both")}
    for _ in range(5):
        kill_and_relaunch(world)
        for name, pid in pids.items():
            assert world.service(name, "running", pid=pid)["restarts"] == 0
        world.active()
    time.sleep(0.3)
    for name, pid in pids.items():
        assert world.latest(f"service/{name}")["pid"] == pid and is_alive(pid)
    os.kill(pids["web"], signal.SIGKILL)  # and they are guarded as before
    again = world.service("web", "running", restarts=1)
    assert again["pid"] not in pids.values() and "adopted" in again["text"]
    assert world.stop() == 0
    assert not is_alive(pids["both"]) and not is_alive(again["pid"])


def test_adopted_before_the_role_is_known_and_stopped_when_it_is_passive(world):
    world.start(service("web", SLEEP))
    world.active()
    pid = world.service("web", "running")["pid"]
    kill_and_relaunch(world)
    assert world.service("web", "running", pid=pid)
    time.sleep(0.3)
    assert is_alive(pid)  # nobody said anything yet
    world.passive()
    assert world.service("web", "stopped") and not is_alive(pid)


def test_one_that_ends_before_the_role_is_known_is_not_started(world):
    world.start(service("web", SLEEP))
    world.active()
    pid = world.service("web", "running")["pid"]
    kill_and_relaunch(world)
    world.service("web", "running", pid=pid)
    os.kill(pid, signal.SIGKILL)
    assert world.service("web", "stopped")["pid"] == 0
    world.active()
    assert world.service("web", "running")["pid"] != pid


# A lease that has ended, and the words of takeoverd on what it holds.
def told(world, state, condition, what):
    wait_for(lambda: world.address(state) and condition(), what)  # again and again, as takeoverd does


def lease(seconds):
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9)


def test_services_of_the_role_end_when_its_lease_and_its_addresses_are_gone(world):
    world.start(service("web", SLEEP), service("both", SLEEP, when="always"))
    world.role(role="active", phase="active", epoch=7, lease_ns=lease(0.2))
    pid = world.service("web", "running")["pid"]
    both = world.service("both", "running")["pid"]
    end = time.monotonic() + 2
    while time.monotonic() < end:  # the lease is over, but the addresses are still there
        world.address("holding")
        time.sleep(0.05)
    assert is_alive(pid)
    told(world, "released", lambda: world.latest("service/web")["state"] == "stopped", "it ends")
    assert not is_alive(pid) and is_alive(both)
    world.role(lease_ns=lease(5))
    assert world.service("web", "running")["pid"] != pid


def test_an_arbiterd_that_is_back_within_a_second_of_its_lease_finds_them_running(world):
    world.start(service("web", SLEEP))
    world.role(role="active", phase="active", epoch=7, lease_ns=lease(0.2))
    pid = world.service("web", "running")["pid"]
    for _ in range(3):
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            world.address("released")
            time.sleep(0.02)
        world.role(lease_ns=lease(0.2))
        assert world.latest("service/web")["pid"] == pid and is_alive(pid)


def test_what_was_adopted_ends_when_no_role_is_heard_and_the_addresses_are_gone(world):
    world.start(service("web", SLEEP))
    world.active()
    pid = world.service("web", "running")["pid"]
    kill_and_relaunch(world)
    world.service("web", "running", pid=pid)
    told(world, "released", lambda: world.latest("service/web")["state"] == "stopped", "it ends")
    assert not is_alive(pid)


def test_output_goes_on_through_a_kill(world):
    talks = world.script("talks", """
        #!/bin/bash
        i=0; while :; do echo "line $((i++))"; read -t 0.02 < <(sleep 1); done
        """)
    world.start(service("web", [talks]))
    world.active()
    pid = world.service("web", "running")["pid"]
    for _ in range(3):
        seen = world.log().count("web: line")
        wait_for(lambda: world.log().count("web: line") > seen + 2, "it goes on talking")
        kill_and_relaunch(world)
        world.service("web", "running", pid=pid)
    seen = world.log().count("web: line")
    wait_for(lambda: world.log().count("web: line") > seen + 2, "it goes on talking")
    numbers = [int(n) for n in re.findall(r"web: line (\d+)", world.log())]
    assert numbers == list(range(len(numbers)))  # what it said while nobody listened was kept for the next one


def test_a_service_that_prints_without_end_is_slowed_down(world):
    world.start(service("web", ["yes", "x" * 100]), service("other", SLEEP))
    world.active()
    pid = world.service("web", "running")["pid"]
    other = world.service("other", "running")["pid"]

    def printed():
        return int(re.search(r"wchar: (\d+)", open(f"/proc/{pid}/io").read()).group(1))

    def worked():
        return sum(map(int, open(f"/proc/{world.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))

    time.sleep(0.5)
    bytes_before, ticks_before, began = printed(), worked(), time.monotonic()
    time.sleep(2)
    seconds = time.monotonic() - began
    assert 0.1e6 < (printed() - bytes_before) / seconds < 3e6, "it prints on, slowly"
    assert (worked() - ticks_before) / os.sysconf("SC_CLK_TCK") / seconds < 0.15, "a part of a core"
    os.kill(other, signal.SIGKILL)
    assert world.service("other", "running", restarts=1)
    os.kill(pid, signal.SIGKILL)
    assert world.service("web", "running", restarts=1)


def test_a_service_has_ordinary_limits_and_a_session_of_its_own(world):
    world.start(service("web", SLEEP))
    world.active()
    pid = world.service("web", "running")["pid"]
    own = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    assert resource.prlimit(pid, resource.RLIMIT_MEMLOCK) == own
    assert os.sched_getscheduler(pid) == os.SCHED_OTHER
    assert open(f"/proc/{pid}/oom_score_adj").read() == "0\n"
    assert os.getsid(pid) == os.getpgid(pid) == pid


def test_a_changed_command_restarts_it(world):
    world.start(service("web", ["/bin/sleep", "1000"]))
    world.active()
    pid = world.service("web", "running")["pid"]
    world.process.kill()
    world.process.wait()
    world.start(service("web", ["/bin/sleep", "2000"]))
    world.active()
    new = world.service("web", "running", text="")
    assert new["pid"] != pid and not is_alive(pid)


def test_what_is_not_configured_any_more_is_ended(world):
    world.start(service("web", SLEEP), service("old", SLEEP, when="always"))
    pid = world.service("old", "running")["pid"]
    world.process.kill()
    world.process.wait()
    world.start(service("web", SLEEP))
    wait_for(lambda: not is_alive(pid), "it is told to end")
    wait_for(lambda: "service old, which is not configured any more, has ended" in world.log(), "and that is said")


def test_L11_random_kills_double_nothing(world):
    """Of superviserd and of the service at random moments: one instance, always, and never stuck."""
    counts = world.script("counts", f"""
        #!/bin/bash
        exec 9>{world.dir}/lock
        flock -n 9 || {{ echo doubled >>{world.dir}/doubled; exit 1; }}
        exec sleep 1000
        """)
    world.start(service("web", [counts], start_retries=1000, retry_interval="1ms"))
    world.active()
    chance = random.Random(7)
    for _ in range(60):
        time.sleep(chance.random() * 0.03)
        latest = world.latest("service/web")
        if latest and latest["pid"] and chance.random() < 0.5:
            try:
                os.kill(latest["pid"], signal.SIGKILL)
            except ProcessLookupError:
                pass
        else:
            kill_and_relaunch(world)
            world.active()
    world.active()
    wait_for(lambda: is_alive(world.service("web", "running")["pid"]), "it runs")
    assert not (world.dir / "doubled").exists()


# ---------------------------------------------------------- daemons that fork

FORKER = """
    #!/bin/bash
    # start | stop: a daemon that goes into the background, with a pidfile
    case $1 in
    start)
        echo "start as $DUET_ROLE"
        [ -e {dir}/broken ] && {{ echo "broken on purpose"; exit 3; }}
        [ -e {dir}/mute ] && exit 0
        own=setsid
        [ -e {dir}/careless ] && own=
        $own {dir}/{name} </dev/null >/dev/null 2>&1 &
        pid=$!
        [ -e {dir}/slow ] && sleep 0.3
        echo $pid >{dir}/pid
        ;;
    stop) echo "stop"; [ -e {dir}/deaf ] || kill "$(cat {dir}/pid)" ;;
    esac
    """


@pytest.fixture
def forker(world):
    """The program and its keys for a service; it is called by a name of this test's own."""
    name, namespace = f"fork{os.getpid()}", f"duet-fork-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    world.prefix = ["nsenter", f"--net=/run/netns/{namespace}"]
    os.symlink("/bin/sleep", world.dir / name)
    script = world.script("forkctl", FORKER.format(dir=world.dir, name=f"{name} 1000"))

    def made(by="pidfile", stop=True, **keys):
        keys = {"start": f'{{"{script}", "start"}}', "retry_interval": "20ms", **keys}
        keys[by] = f'"{world.dir}/pid"' if by == "pidfile" else f'"{name}"'
        if stop:
            keys["stop"] = f'{{"{script}", "stop"}}'
        lines = "".join(f"    {k.replace('_', '-')} = {v}\n" for k, v in keys.items())
        return f'service "vpn" {{\n{lines}}}'

    def by_hand():
        """Somebody on that node starts it."""
        subprocess.run([*world.prefix, script, "start"], check=True)

    made.name, made.path, made.by_hand = name, str(world.dir / name), by_hand
    yield made
    world.close()  # or it would start anew what is killed
    for pid in running(made.path):
        kill_group(pid)
    subprocess.run(["ip", "netns", "delete", namespace], check=True)


def running(path):
    """The processes of a program, by the words of their command line."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            words = open(f"/proc/{entry}/cmdline", "rb").read().split(b"\0")
        except (OSError, ValueError):
            continue
        if words[0].decode(errors="replace") == path and is_alive(int(entry)):
            found.append(int(entry))
    return found


@pytest.mark.parametrize("by", ["pidfile", "process"])
def test_L11_a_daemon_that_forks_is_watched(world, forker, by):
    world.start(forker(by))
    world.active()
    first = world.service("vpn", "running")
    wait_for(lambda: running(forker.path) == [first["pid"]], "one process of it")
    assert "vpn: start as active" in world.log()
    os.kill(first["pid"], signal.SIGKILL)
    second = world.service("vpn", "running", restarts=1)
    wait_for(lambda: running(forker.path) == [second["pid"]], "its pidfile may be there before its program")
    assert second["pid"] != first["pid"]
    assert second["text"] == f"its process {first['pid']} ended"
    world.passive()
    world.service("vpn", "stopped")
    assert running(forker.path) == [] and "vpn: stop" in world.log()


@pytest.mark.parametrize("by", ["pidfile", "process"])
def test_L11_one_that_runs_is_adopted_not_doubled(world, forker, by):
    forker.by_hand()
    pids = wait_for(lambda: running(forker.path), "somebody started it by hand")
    time.sleep(0.05)
    world.start(forker(by))
    world.active()
    assert [world.service("vpn", "running")["pid"]] == pids
    time.sleep(0.1)
    assert running(forker.path) == pids, "started, though it runs"
    kill_and_relaunch(world)
    assert [world.service("vpn", "running")["pid"]] == pids
    world.active()
    time.sleep(0.2)
    assert running(forker.path) == pids and "start as active" not in world.log()


@pytest.mark.parametrize("by", ["pidfile", "process"])
def test_L11_started_by_hand_after_it_failed(world, forker, by):
    (world.dir / "broken").touch()
    world.start(forker(by, start_retries=1, check_interval="100ms"))
    world.active()
    failed = world.service("vpn", "failed")
    assert failed["text"].startswith("the start command ended with status 3"), failed
    (world.dir / "broken").unlink()
    forker.by_hand()
    pid = wait_for(lambda: running(forker.path), "by hand")[0]
    found = world.service("vpn", "failed", pid=pid)  # until that start is a success
    assert found["text"] == "it ran already, and was adopted"
    assert running(forker.path) == [pid]


def test_a_pidfile_that_comes_late(world, forker):
    (world.dir / "slow").touch()
    world.start(forker())
    world.active()
    assert world.service("vpn", "running")["restarts"] == 0
    wait_for(lambda: len(running(forker.path)) == 1, "one process of it")


def test_a_start_that_leaves_nothing_behind(world, forker):
    (world.dir / "mute").touch()
    world.start(forker("process", start_timeout="100ms", start_retries=0))
    world.active()
    assert world.service("vpn", "failed")["text"] == f"started, but no process is called {forker.name}"


@pytest.mark.parametrize("content, words", [
    (None, "there is no such file"), ("", "does not begin with the number"), ("garbage\n", "does not begin"),
    ("1\n", "does not begin"), ("-5\n", "does not begin"), ("4194304\n", "names no process"),
    ("99999999999999999999\n", "does not begin")])
def test_bad_pidfiles_are_told(world, forker, content, words):
    (world.dir / "mute").touch()
    if content is not None:
        (world.dir / "pid").write_text(content)
    world.start(forker(start_timeout="100ms", start_retries=0))
    world.active()
    assert words in world.service("vpn", "failed")["text"]


@pytest.mark.parametrize("whose", ["superviserd", "parent", "arbiterd"])
def test_a_pidfile_that_names_one_of_duets_own(world, forker, whose):
    """It may well be trusted otherwise: root wrote it."""
    victim = None
    (world.dir / "mute").touch()
    try:
        world.start(forker(start_timeout="100ms", start_retries=0))
        if whose == "arbiterd":  # of another node
            victim = subprocess.Popen([f"{BIN}/arbiterd", "--config", f"{world.dir}/duet.conf", "--node", "beta",
                                       "--run-dir", f"{world.dir}/beta", "--state-dir", f"{world.dir}/beta-state"])
        number = {"superviserd": world.process.pid, "parent": os.getpid()}.get(whose) or victim.pid
        (world.dir / "pid").write_text(f"{number}\n")
        world.active()
        assert "not to be trusted" in world.service("vpn", "failed")["text"]
    finally:
        if victim:
            victim.kill()
            victim.wait()


@pytest.mark.parametrize("by", ["pidfile", "process"])
def test_the_daemon_of_a_removed_start_is_ended(world, forker, by):
    world.start(forker(by), service("web", SLEEP))
    world.active()
    pid, web = (world.service(name, "running")["pid"] for name in ("vpn", "web"))
    world.process.kill()
    world.process.wait()
    world.start(service("web", SLEEP))
    wait_for(lambda: not is_alive(pid), "it is ended")
    assert world.service("web", "running")["pid"] == web and is_alive(web)
    wait_for(lambda: not list((world.run / "superviserd/service").glob("vpn.m*")), "and forgotten")


def test_a_service_that_becomes_another_kind_is_ended_first(world, forker):
    slow = world.script("slow", "#!/bin/bash\ntrap 'sleep 0.5; exit 0' TERM\nwhile :; do sleep 0.1; done\n")
    child = service("vpn", [slow])

    def becomes(configuration):
        world.process.kill()
        world.process.wait()
        world.start(configuration)
        world.active()

    world.start(child)
    world.active()
    pid = world.service("vpn", "running")["pid"]
    becomes(forker())
    daemon = world.service("vpn", "running")["pid"]
    assert not is_alive(pid) and running(forker.path) == [daemon]
    becomes(child)
    pid = world.service("vpn", "running")["pid"]
    assert pid != daemon and is_alive(pid) and running(forker.path) == []
    becomes('service "vpn" { unit = "duet-test-nothing.service" }')
    wait_for(lambda: not is_alive(pid), "the child of the unit's predecessor is ended")


def test_process_of_another_user_is_not_it(world, forker):
    forker.by_hand()
    pids = wait_for(lambda: running(forker.path), "somebody else has one of that name")
    world.dir.chmod(0o777)
    for folder in world.dir.parents:  # pytest's own, which it takes back
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o711)
    (world.dir / "pid").unlink()
    world.start(forker("process", stop=False, user='"nobody"', start_timeout="2s"))
    world.active()
    mine = world.service("vpn", "running")["pid"]
    assert mine not in pids and os.stat(f"/proc/{mine}").st_uid == 65534
    kill_and_relaunch(world)
    assert world.service("vpn", "running")["pid"] == mine
    world.active()
    world.passive()
    world.service("vpn", "stopped")
    assert running(forker.path) == pids


def test_an_old_pidfile_whose_number_is_somebody_elses(world, forker):
    stranger = subprocess.Popen(SLEEP)
    try:
        (world.dir / "pid").write_text(f"{stranger.pid}\n")
        long_ago = time.time() - 1000
        os.utime(world.dir / "pid", (long_ago, long_ago))
        world.start(forker())
        world.active()
        assert world.service("vpn", "running")["pid"] != stranger.pid
        world.passive()
        world.service("vpn", "stopped")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("kind", ["link", "mode", "owner"])
def test_a_pidfile_that_others_could_have_written(world, forker, kind):
    """Who may write it could have superviserd, which is root, end any process."""
    victim = subprocess.Popen(SLEEP)
    try:
        pid = world.dir / "pid"
        if kind == "link":
            (world.dir / "real").write_text(f"{victim.pid}\n")
            pid.symlink_to(world.dir / "real")
        else:
            pid.write_text(f"{victim.pid}\n")
            pid.chmod(0o666 if kind == "mode" else 0o644)
            os.chown(pid, 65534 if kind == "owner" else 0, 0)
        (world.dir / "mute").touch()
        world.start(forker(start_timeout="100ms", start_retries=0))
        world.active()
        assert "not to be trusted" in world.service("vpn", "failed")["text"]
        world.passive()
        time.sleep(0.3)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_a_start_command_that_hangs_is_ended(world, forker):
    hangs = world.script("hangs", "#!/bin/sh\nsleep 1000\n")
    world.start(forker(start=f'{{"{hangs}"}}', start_timeout="200ms", start_retries=0))
    world.active()
    assert "killed by signal 9" in world.service("vpn", "failed")["text"]


def test_a_daemon_that_keeps_printing_is_heard(world, forker):
    """Also after the start command, whose output it inherited, has ended: nothing fills up, nothing is lost."""
    talks = world.script("talks", "#!/bin/bash\ni=0; while ((i < 3000)); do echo \"line $((i++)) $(printf %060d 0)\"; done\n"
                                  f"touch {world.dir}/said\nexec sleep 1000\n")
    start = world.script("startctl", f"#!/bin/bash\nsetsid {talks} &\necho $! >{world.dir}/pid\n")
    world.start(forker(start=f'{{"{start}"}}', stop=False))
    world.active()
    world.service("vpn", "running")
    wait_for((world.dir / "said").exists, "it could say all")
    assert "vpn: line 150 " in world.log()


def test_told_to_stop_just_before_it_appears(world, forker):
    start = world.script("late", f"#!/bin/bash\n(sleep 0.4; setsid {forker.path} 1000 & echo $! >{world.dir}/pid) >/dev/null 2>&1 &\n")
    world.start(forker(start=f'{{"{start}"}}', stop=False))
    world.active()
    world.service("vpn", "starting")
    time.sleep(0.15)
    world.passive()
    world.service("vpn", "stopped")
    time.sleep(0.7)
    assert running(forker.path) == []


def test_told_to_stop_while_it_starts(world, forker):
    (world.dir / "slow").touch()
    world.start(forker("process"))
    world.active()
    world.service("vpn", "starting")
    wait_for(lambda: running(forker.path), "its start command has done its work")
    world.passive()
    world.service("vpn", "stopped")
    assert running(forker.path) == []


@pytest.mark.parametrize("stop", [True, False])
def test_what_does_not_end_is_killed_with_its_family(world, forker, stop):
    (world.dir / "deaf").touch()  # its stop command does nothing
    os.unlink(forker.path)
    world.script(forker.name, "#!/bin/bash\ntrap '' TERM\nsleep 1000 & while :; do wait; done\n")
    world.start(forker(stop=stop, stop_timeout="200ms"))
    world.active()
    pid = world.service("vpn", "running")["pid"]
    child = wait_for(lambda: subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split(),
                     "its child")[0]
    world.passive()
    world.service("vpn", "stopped")
    wait_for(lambda: not is_alive(pid) and not is_alive(int(child)), "both are gone")


def test_goes_on_as_another_process(world, forker):
    """It was replaced by hand, as an upgrade in place does it: no restart by duet."""
    world.start(forker("process"))
    world.active()
    first = world.service("vpn", "running")["pid"]
    forker.by_hand()
    second = (set(wait_for(lambda: len(running(forker.path)) == 2 and running(forker.path), "a second one")) - {first}).pop()
    os.kill(first, signal.SIGTERM)
    assert world.service("vpn", "running", pid=second)["restarts"] == 0


@pytest.mark.parametrize("daemon", ["careful", "careless"])  # a careless one stays in the group of its start command
def test_kill_9_of_superviserd_while_a_start_command_runs(world, forker, daemon):
    (world.dir / "slow").touch()
    (world.dir / daemon).touch()
    world.start(forker())
    world.active()
    world.service("vpn", "starting")
    wait_for(lambda: running(forker.path), "the daemon is there, its pidfile not")
    kill_and_relaunch(world)
    world.active()
    world.service("vpn", "running", pid=running(forker.path)[0])
    assert len(running(forker.path)) == 1


# --------------------------------------------------------------------- order


def test_after_waits_and_stops_the_other_way_round(world):
    slow = world.script("slow", "#!/bin/bash\ntrap 'read -t 0.3 < <(sleep 1); exit' TERM\nsleep 1000 & wait\n")
    world.start(service("b", [slow], after='{"a"}'), service("a", SLEEP))
    world.active()
    world.service("b", "running")
    time.sleep(0.1)  # so that its trap is set
    world.passive()
    world.service("a", "stopped")
    told = [(t, m["state"]) for t, m in world.messages if t.startswith("service/")]
    order = [told.index(what) for what in (("service/a", "starting"), ("service/a", "running"), ("service/b", "starting"))]
    assert order == sorted(order)
    ends = [(t, m["text"]) for t, m in world.messages if m["state"] == "stopped" and "after" in m["text"]]
    assert [t for t, text in dict.fromkeys(ends)] == ["service/b", "service/a"]


def test_one_that_fails_holds_back_those_after_it(world):
    world.start(service("a", ["/no/such/program"], start_retries=0), service("b", SLEEP, after='{"a"}'),
                service("c", ["/no/such/program"], start_retries=0, on_failure="ignore"), service("d", SLEEP, after='{"c"}'))
    world.active()
    world.service("a", "failed")
    world.service("d", "running")
    assert world.latest("service/b")["state"] == "stopped"


def test_a_stop_is_in_order_too(world):
    world.start(service("a", SLEEP), service("b", SLEEP, after='{"a"}'), service("c", SLEEP, after='{"b"}'))
    world.active()
    world.service("c", "running")
    assert world.stop() == 0
    world.listen()
    ends = [t for t, m in world.messages if m.get("state") == "stopped" and "signal 15" in m["text"]]
    assert list(dict.fromkeys(ends)) == ["service/c", "service/b", "service/a"]


# ------------------------------------------------------------------ failures


def wait_kept(world, name):
    """Until the failure of a service is on the disk; returns the file."""
    kept = world.dir / "state/superviserd/failures"
    wait_for(lambda: kept.exists() and f"failed {name}\n" in kept.read_text(), "that is written")
    return kept


def test_L12_a_failure_outlives_superviserd_and_a_reboot(world):
    world.start(service("web", ["/bin/false"], start_retries=0))
    world.active()
    world.service("web", "failed")
    kept = wait_kept(world, "web")
    kill_and_relaunch(world)
    assert world.service("web", "failed")["text"] == "it had failed before superviserd was restarted"
    subprocess.run(["rm", "-r", world.run / "superviserd"], check=True)  # which a reboot empties
    kill_and_relaunch(world)
    world.service("web", "failed")
    assert world.command("clear")["text"] == "failed services cleared: 1"
    world.service("web", "stopped")
    wait_for(lambda: "failed web" not in kept.read_text(), "that is written")
    kill_and_relaunch(world)
    assert world.service("web", "stopped")


def test_a_changed_configuration_is_a_new_chance(world):
    world.start(service("web", ["/bin/false"], start_retries=0))
    world.active()
    world.service("web", "failed")
    wait_kept(world, "web")
    world.process.kill()
    world.process.wait()
    world.passive()
    world.start(service("web", SLEEP))
    assert world.service("web", "stopped")["first_sign_ns"] == 0


def test_L12_replaced_on_disk_by_something_that_exits(world):
    program = world.script("program", "#!/bin/sh\nexec sleep 1000\n")
    world.start(service("web", [program], start_retries=2, retry_interval="20ms"))
    world.active()
    pid = world.service("web", "running")["pid"]
    wait_for(lambda: open(f"/proc/{pid}/comm").read() == "sleep\n", "the shell has read it")
    os.unlink(program)
    world.script("program", "#!/bin/sh\nexit 9\n")
    assert world.latest("service/web")["pid"] == pid and is_alive(pid)  # the running one is not harmed
    os.kill(pid, signal.SIGKILL)
    failed = world.service("web", "failed")
    assert failed["restarts"] == 2 and "ended with status 9" in failed["text"]
