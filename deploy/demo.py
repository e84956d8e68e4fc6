"""The story of a pair of gateways, told while it happens. Started by deploy/demo, which builds first."""

import os
import shutil
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from lab.lab import Lab  # noqa: E402
from lab.network import ACTIVE, NODES, WORLD, Network  # noqa: E402
from lab.pair import Timeout, other  # noqa: E402
from lab.tools import longest_gap_ms  # noqa: E402

PREFIX = "duet-demo"
DIRECTORY = "/run/duet-demo"

PICTURE = """
      internet host %s
              |
            router
              |
     ---- outside LAN: the pair is %s ----
         |                    |
       alpha === reserved === beta
         |                    |
     ---- inside LAN:  the pair is %s ----
                    |
                  client
""" % (WORLD, ACTIVE["outside"], ACTIVE["inside"])


class Teller:
    """Plain lines with the time since the beginning; colours only where a person looks."""

    def __init__(self):
        self.begin = time.monotonic()
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def _paint(self, code, text):
        return "\033[%sm%s\033[0m" % (code, text) if self.colours else text

    def title(self, text):
        """The next scene; a person gets a moment to read the last one."""
        time.sleep(1.5 if self.colours else 0)
        print("\n" + self._paint("1", text), flush=True)

    def say(self, text):
        print("%s  %s" % (self._paint("2", "%7.2f s" % (time.monotonic() - self.begin)), text), flush=True)

    def quote(self, words, text):
        """What a command printed."""
        print(self._paint("2", "           $ " + words))
        for line in text.rstrip().splitlines():
            print(self._paint("2", "             " + line))
        sys.stdout.flush()


class Story:
    def __init__(self, lab, teller):
        self.lab = lab
        self.tell = teller
        self.rows = []  # what happened, longest gap in ms, packets lost, who serves
        self.probe = None

    def why(self, node):
        done = self.lab.duet(node, "why")
        self.tell.quote("duet why        (on %s)" % node, done.stdout or done.stderr)

    def measured(self, what):
        """Ends one measurement: the table's next row."""
        time.sleep(0.3)
        seen = self.probe.snapshot()
        active = self.lab.settled() or next(filter(self.lab.serves, NODES), "nobody")
        gap = longest_gap_ms(seen)
        self.rows.append((what, gap, active))
        return gap

    def ready(self, active=None):
        active = self.lab.wait_ready(active)
        self.probe.snapshot()
        return active

    # --------------------------------------------------------------- scenes

    def start(self):
        self.tell.title("The first one started becomes active")
        self.lab.start("alpha")
        self.tell.say("alpha is started; it listens and searches before it dares to serve")
        self.lab.wait_for(lambda: self.lab.serves("alpha"), 15, "alpha serves")
        self.tell.say("nobody else serves: alpha is active, epoch %d" % self.lab.role("alpha")["epoch"])
        self.lab.start("beta")
        self.lab.wait_settled("alpha")
        self.tell.say("beta is started a little later: it finds alpha and stays passive")
        self.why("alpha")
        self.probe = self.lab.probe("through")
        self.lab.wait_ready("alpha")
        self.tell.say("the client now sends 2000 packets a second through the pair, to %s" % WORLD)
        time.sleep(2)
        self.tell.say("two quiet seconds: the longest gap is %.1f ms; that is this machine's own" %
                      self.measured("nothing (the machine's own floor)"))

    def power_off(self):
        self.tell.title("The active node loses its power")
        victim = self.ready()
        self.tell.say("%s: all links down, all processes gone, without a word" % victim)
        self.lab.power_off(victim)
        self.lab.wait_for(lambda: self.lab.serves(other(victim)), 10, "%s takes over" % other(victim))
        self.tell.say("%s hears no heartbeat, and no active address answers: it takes over" % other(victim))
        self.tell.say("the client missed %.0f ms" % self.measured("power-off of the active node"))
        self.why(other(victim))

        self.tell.title("The old one returns")
        self.lab.power_on(victim)
        self.tell.say("%s boots; its adapters have their passive addresses" % victim)
        self.ready(other(victim))
        time.sleep(1)
        self.tell.say("%s is passive and ready; both are equal, so nothing moves back" % victim)
        self.measured("the old node returns, as passive")

    def silent_router(self):
        self.tell.title("The router goes silent, on one side only")
        victim = self.ready()
        self.lab.network.mute_router_for(victim)
        self.tell.say("%s and the router no longer hear each other, though the carrier is up" % victim)
        self.lab.wait_for(lambda: self.lab.serves(other(victim)), 10, "%s serves" % other(victim))
        self.tell.say("%s asked the router in vain; %s still reaches it, so it gets the role" % (victim, other(victim)))
        self.why(victim)
        self.tell.say("the client missed %.0f ms" % self.measured("router silent for the active node"))
        self.lab.wait_for(lambda: self.lab.reboots, 15, "%s restarts itself" % victim)
        self.tell.say("only now, with its peer serving, %s restarts itself" % victim)
        self.lab.network.hear_router_for(victim)
        self.ready(other(victim))
        self.tell.say("%s is back, as passive; its router answers again" % victim)

    def switch(self):
        self.tell.title("A planned switch")
        active = self.ready()
        done = self.lab.duet(active, "switch")
        self.tell.quote("duet switch     (on %s)" % active, done.stdout or done.stderr)
        self.lab.wait_settled(other(active))
        self.tell.say("the client missed %.1f ms" % self.measured("planned switch"))
        self.why(other(active))

    def table(self):
        self.tell.title("What the client missed")
        print("  %-36s %12s   %s" % ("event", "longest gap", "who serves"))
        for what, gap, active in self.rows:
            print("  %-36s %9.1f ms   %s" % (what, gap, active))


def write_helpers(lab):
    """Short commands for people, beside the pair's files."""
    for node in NODES:
        lab.script(node + "-duet", "#!/bin/sh\nexec %s\n" % " ".join(lab.duet_words(node, '"$@"')))
    lab.script("client", "#!/bin/sh\nexec %s\n" % " ".join(lab.network.exec("client", '"$@"')))


def explain(lab):
    switch = lab.network.ns("switch")
    print("""
The pair goes on running. To play with it, as root:
  {d}/alpha-duet status              # or beta-duet; also: why, switch, hold, resume, clear, events
  {d}/client ping -i 0.2 {world}     # a client's view, through the pair
  ip -n {s} link set alpha-in down   # pull alpha's inside cable; `up` plugs it in again
  ip -n {s} link set router-out down # the router dies
  tail -f {d}/alpha/log              # what alpha's daemons say
A reboot that a node asks for is only noted, in {d}/reboots.
  deploy/demo --stop                            # ends it, and leaves nothing behind""".format(
      d=lab.dir, world=WORLD, s=switch))


def remove():
    """What an earlier demo left running. True if there was something."""
    there = os.path.exists(DIRECTORY) or os.path.exists("/run/netns/%s-switch" % PREFIX)
    Network(PREFIX).destroy()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    return there


def play(lab, teller, keep):
    lab.on_reboot = "cycle"
    write_helpers(lab)
    story = Story(lab, teller)
    story.start()
    story.power_off()
    story.silent_router()
    story.switch()
    story.table()
    if keep:
        lab.keep = True
        explain(lab)


def main():
    keep = sys.argv[1:] == ["--keep"]
    if sys.argv[1:] == ["--stop"]:
        print("the demo is removed" if remove() else "there is no demo to remove")
        return 0
    if remove():
        print("a demo from before was removed")
    teller = Teller()
    print("Two machines, alpha and beta, play one gateway. All of this lives in network namespaces.\n" + PICTURE)
    try:
        with Lab(PREFIX, DIRECTORY) as lab:
            try:
                play(lab, teller, keep)
            except Timeout as error:
                print("\nThe story went wrong: %s" % error, file=sys.stderr)
                for node in NODES:
                    print("--- log of %s\n%s" % (node, "\n".join(lab.log(node).splitlines()[-30:])), file=sys.stderr)
                return 1
    except RuntimeError as error:
        print("\nThe network of the demo could not be made: %s\nIt needs root and a kernel that lets it make network "
              "namespaces; many containers and plain chroots do not." % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nended; nothing is left behind")
        return 130
    if not keep:
        print("\nNothing is left behind. `deploy/demo --keep` leaves the pair running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
