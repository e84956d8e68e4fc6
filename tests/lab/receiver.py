"""A receiver of notifications: Net-SNMP's snmptrapd in a node's namespace, and what it has received, by the names of DUET-MIB."""

import glob
import os
import re
import subprocess

MIBS = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../deploy/mibs"))
USER = "tom"
AUTH, PRIV = "authenticate", "encrypt-it"


def mib_directories():
    """Where the modules are that DUET-MIB imports, and itself."""
    found = sorted(glob.glob("/usr/lib/erlang/lib/snmp-*/mibs")) + ["/usr/share/snmp/mibs/ietf", "/var/lib/mibs/ietf"]
    return ":".join([path for path in found if os.path.isdir(path)] + [MIBS])


def engine_id(node):
    """trapd's engine ID, as its manual says."""
    return "0x80001f8804" + ("lab:" + node).encode().hex()


class Notice(dict):
    """A notification: `name`, `version` (1: a v1 trap), and its objects by their names without duetNotify."""

    def __init__(self, head, text):
        self.head, self.text = head, text
        named = re.search(r"Enterprise Specific Trap \(DUET-MIB::(\w+)\)", text) or re.search(r"snmpTrapOID\.0 = DUET-MIB::(\w+)", text)
        self.name = named[1] if named else None
        self.version = 1 if "TRAP, SNMP v1" in head else 2
        super().__init__({name: value.strip().removesuffix(" milliseconds")
                          for name, value in re.findall(r"DUET-MIB::duetNotify(\w+)\.0 = ([^\t\n]*)", text)})

    @property
    def number(self):
        return int(self["Number"])


class Receiver:
    """snmptrapd on 127.0.0.1 (or `address`) of a node; it can be ended and begun again. Tools of the lab have kill()."""

    def __init__(self, lab, node, port=1162, address="udp:127.0.0.1", start=True):
        self.lab, self.node, self.port, self.address = lab, node, port, address
        self.directory = os.path.join(lab.dir, "receiver-%s-%d" % (node, port))
        os.makedirs(os.path.join(self.directory, "state"))
        self.process = None
        lab.tool(self)
        if start:
            self.start()

    def start(self):
        config, out = os.path.join(self.directory, "snmptrapd.conf"), os.path.join(self.directory, "out")
        with open(config, "w") as file:
            file.write("disableAuthorization yes\n")
            for engine in ["-e %s " % engine_id(node) for node in ("alpha", "beta")] + [""]:
                file.write("createUser %s%s SHA %s AES %s\n" % (engine, USER, AUTH, PRIV))
        environment = dict(os.environ, SNMP_PERSISTENT_DIR=os.path.join(self.directory, "state"),
                           SNMPCONFPATH=self.directory, MIBDIRS=mib_directories(), MIBS="DUET-MIB:SNMPv2-MIB")
        words = ["snmptrapd", "-f", "-n", "-C", "-c", config, "-A", "-Lf", out, "-OQ", "%s:%d" % (self.address, self.port)]
        with open(os.path.join(self.directory, "errors"), "ab") as errors:
            self.process = subprocess.Popen(self.lab.network.exec(self.node, *words), env=environment, stdin=subprocess.DEVNULL,
                                            stdout=errors, stderr=errors, start_new_session=True)
        self.lab.wait_for(self._listens, 10, "snmptrapd listens")

    def _listens(self):
        words = ["ss", "-H", "-u", "-l", "-n", "sport", "=", ":%d" % self.port]
        return subprocess.run(self.lab.network.exec(self.node, *words), capture_output=True, text=True).stdout.strip()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def notices(self):
        """All that were received, in that order."""
        try:
            with open(os.path.join(self.directory, "out"), errors="replace") as file:
                text = file.read()
        except FileNotFoundError:
            return []
        records = re.split(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*)$", text, flags=re.M)[1:]
        return [Notice(head, body) for head, body in zip(records[::2], records[1::2]) if "DUET-MIB" in body]

    def named(self, name, **values):
        return [one for one in self.notices() if one.name == name and all(one.get(key) == value for key, value in values.items())]

    def wait(self, name, seconds=15, **values):
        """The first notification of this name with these objects."""
        return self.lab.wait_for(lambda: self.named(name, **values), seconds,
                                 "%s %s among %s" % (name, values, [(one.name, dict(one)) for one in self.notices()]))[0]
