"""keepalived in the laboratory's two nodes, as what a user would take instead of duet.

Two forms: `usual` has an instance for each LAN in a sync group, as most people configure it; `strongest` has one
instance on the dedicated line that owns all addresses (priority 254, advertisements each 10 ms)."""

import os
import signal
import subprocess
import time

from lab.network import ACTIVE, CHANNELS, NODES

_GLOBAL = """global_defs {
    router_id %(node)s
    vrrp_garp_master_repeat 1
    max_auto_priority 50
    enable_script_security
    script_user root
}
vrrp_script service {
    script "%(check)s"
    interval %(check_s)s
    fall 1
    rise 1
}
"""

_INSTANCE = """vrrp_instance %(name)s {
    version 3
    state BACKUP
    nopreempt
    interface %(device)s
%(more)s    virtual_router_id %(id)d
    priority %(priority)d
    advert_int %(advert_s)s
    virtual_ipaddress {
%(addresses)s
    }
    track_script { service }
}
"""

# A cable between two machines has no carrier when one of them has no power: that is no fault of the other one.
_LINE = """    dont_track_primary
    track_interface {
        outside
        inside
    }
"""

FORMS = {
    "usual, 1 s": {"advert_s": "1", "check_s": "1", "one": False},
    "usual, 100 ms": {"advert_s": "0.1", "check_s": "1", "one": False},
    "strongest, 10 ms": {"advert_s": "0.01", "check_s": "0.1", "one": True},
}


class Keepalived:
    """A pair of keepalived in a lab's nodes (where duet does not run). `check` is what its script asks."""

    def __init__(self, lab, form, check):
        self.lab = lab
        self.form = FORMS[form]
        self.check = check
        self.processes = {}

    def _text(self, node):
        values = dict(self.form, node=node, check=self.check[node], priority=254 if node == NODES[0] else 253)
        text = _GLOBAL % values
        if self.form["one"]:
            addresses = "\n".join("        %s/24 dev %s" % (ACTIVE[channel], channel) for channel in CHANNELS)
            return text + _INSTANCE % dict(values, name="all", device="reserved", id=51, addresses=addresses, more=_LINE)
        for number, channel in enumerate(CHANNELS):
            text += _INSTANCE % dict(values, name=channel, device=channel, id=61 + number, more="",
                                     addresses="        %s/24 dev %s" % (ACTIVE[channel], channel))
        return text + "vrrp_sync_group both { group { %s } }\n" % " ".join(CHANNELS)

    def start(self):
        for node in NODES:
            self.begin(node)

    def begin(self, node):
        base = os.path.join(self.lab.dir, "keepalived-" + node)
        for suffix in (".pid", ".vrrp"):
            if os.path.exists(base + suffix):  # of one that was killed
                os.unlink(base + suffix)
        with open(base + ".conf", "w") as out:
            out.write(self._text(node))
        with open(base + ".log", "ab") as log:
            words = ["keepalived", "--dont-fork", "--log-console", "--use-file", base + ".conf", "--vrrp",
                     "--pid", base + ".pid", "--vrrp_pid", base + ".vrrp"]
            self.processes[node] = subprocess.Popen(self.lab.network.exec(node, *words), stdout=log, stderr=log,
                                                    stdin=subprocess.DEVNULL, start_new_session=True)

    def end(self, node):
        process = self.processes.pop(node)
        process.send_signal(signal.SIGTERM)
        process.wait(10)

    def owner(self):
        """The node that has the active addresses; None while none or both have them."""
        has = [node for node in NODES
               if all(ACTIVE[channel] + "/" in self._addresses(node, channel) for channel in CHANNELS)]
        return has[0] if len(has) == 1 else None

    def _addresses(self, node, channel):
        return subprocess.run(["ip", "-n", self.lab.network.ns(node), "-4", "addr", "show", "dev", channel],
                              capture_output=True, text=True).stdout

    def stop(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(10)
        time.sleep(0.1)
