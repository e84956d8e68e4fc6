"""SNMP sinks for the lab: real snmptrapd processes, whose output is read back."""
import glob
import os
import re
import shutil
import subprocess

from lab.network import ROUTER

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Debian's net-snmp comes without the modules of the IETF; erlang-snmp brings those that are needed.
IETF = "/usr/lib/erlang/lib/snmp-*/mibs/SNMPv2-*.mib"
USER = {"name": "duet", "auth": "an auth phrase", "priv": "a priv phrase"}


def mib_path(directory):
    """A directory with all that DUET-MIB needs."""
    os.makedirs(directory, exist_ok=True)
    for path in glob.glob(IETF) + glob.glob("/usr/lib/erlang/lib/snmp-*/mibs/SNMP-FRAMEWORK-MIB.mib"):
        shutil.copy(path, directory)
    shutil.copy("/usr/share/snmp/mibs/NET-SNMP-MIB.txt", directory)
    shutil.copy(os.path.join(ROOT, "deploy/mibs/DUET-MIB.txt"), directory)
    return directory


class Sink:
    """One snmptrapd, in the router's machine."""

    def __init__(self, lab, port, engine="0x80001f8805010203040506"):
        self.lab, self.port, self.engine = lab, port, engine
        self.mibs = mib_path(os.path.join(lab.dir, "mibs"))
        self.log = os.path.join(lab.dir, "traps-%d" % port)
        self.config = os.path.join(lab.dir, "snmptrapd-%d.conf" % port)
        self.process = None
        open(self.log, "w").close()

    def allow(self, engine_id=None):
        """Everybody who says public, and the user: his key is another one for each node's engine (RFC 3414, 2.6)."""
        lines = ["authCommunity log,execute,net public", "authUser log,execute,net %s priv" % USER["name"],
                 'createUser %s SHA "%s" AES "%s"' % (USER["name"], USER["auth"], USER["priv"])]
        if engine_id:
            lines.append('createUser -e 0x%s %s SHA "%s" AES "%s"' % (engine_id, USER["name"], USER["auth"], USER["priv"]))
        with open(self.config, "w") as out:
            out.write("\n".join(lines) + "\n")

    def start(self, engine_id=None, config_text=None, **more):
        self.allow(engine_id)
        if config_text:
            with open(self.config, "w") as out:
                out.write(config_text)
        environment = dict(os.environ, **more, SNMP_PERSISTENT_DIR=os.path.join(self.lab.dir, "snmp-%d" % self.port), MIBDIRS=self.mibs)
        self.process = subprocess.Popen(
            self.lab.network.exec("router", "snmptrapd", "-f", "-C", "-c", self.config, "-Lf", self.log, "-A", "-M", self.mibs, "-m", "ALL", "-n",
                                  "-F", "TRAP %a v1 %N %w %q %T|%V|%v\\n", "udp:%s:%d" % (ROUTER, self.port)),
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def got(self, kind=None):
        """What has come, in order: dictionaries of the objects by name, with "kind" and "index"."""
        found = []
        with open(self.log, errors="replace") as log:
            for line in log:
                if line.startswith("TRAP "):
                    found.append(parse(line))
        return [one for one in found if kind is None or one["kind"] == kind]


def parse(line):
    head, rest = line.rstrip("\n").split("|", 1)
    result = {"kind": None, "v1": head}
    for part in rest.split("|"):
        match = re.match(r"(\S+) = (?:([\w-]+): )?(.*)$", part)
        if not match:
            continue
        name, _, value = match.groups()
        name = name.rsplit("::", 1)[-1]
        if name.startswith("snmpTrapOID"):
            result["kind"] = value.rsplit("::", 1)[-1]
        else:
            base, _, index = name.partition(".")
            result[base] = re.sub(r"^(\d+) \w+$", r"\1", value.strip('"'))  # without its unit
            if index not in ("0", ""):
                result["index"] = index.strip('"')
    return result
