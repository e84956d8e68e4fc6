"""The client's laboratory (tests/lab/roam.py) with an emulated laptop: a Debian system with NetworkManager and systemd.

    laptop === net 203.0.113.0/24 --- office .10, backup .20 --- inside LAN 192.0.2.0/24 --- server .100
           === mob 198.51.100.0/24 --- backup .20

Two adapters, both NetworkManager's: `net` is always up, `mob` only when a profile of roamd's has it so. The office is
reached by the unit openvpn-client@office of Debian's OpenVPN package.
"""

import json
import os
import time

from lab.roam import LAPTOP, MACHINES, RoamLab
from vmlab.agent import AgentError
from vmlab.machine import BOOT_S, CLOCK_OF_BUSY_HOST, Adapter, Machine
from vmlab.seed import Seed

MOBILE, MOBILE_GATEWAY = "198.51.100.50", "198.51.100.20"
_LINES = {"net": "02:00:00:00:0c:01", "mob": "02:00:00:00:0c:02"}

_CONNECTION = """[connection]
id={name}
uuid={uuid}
type=ethernet
interface-name={device}
autoconnect={auto}

[ipv4]
{ipv4}

[ipv6]
method=disabled
"""

_TUNNEL = """client
dev tun-{name}
dev-type tun
proto udp
remote {address} 1194
nobind
route-nopull
auth-nocache
cert laptop.crt
key laptop.key
peer-fingerprint "{fingerprint}"
connect-retry 1 2
verb 3
"""

# For people and machines alike: the office by a unit, a telephone by NetworkManager, and three that cannot be had.
CONFIGURATION = """
client { test-interval = 1s  test-timeout = 1s  unreachable-for = 5s }
gateway "office" { address = "203.0.113.10" }
gateway "office-inside" { address = "10.8.0.1"  device = "tun-office" }
profile "Office" {
    gateway = {"office"}
    inside = {"office-inside"}
    unit = "openvpn-client@office.service"
    connect-timeout = 2m  down-timeout = 2m
    route "192.0.2.0/24" { via = "10.8.0.1"  device = "tun-office" }
}
gateway "mobile" { address = "198.51.100.20"  device = "mob" }
profile "Mobile" {
    inside = {"mobile"}
    networkmanager = "Mobile phone"
    connect-timeout = 1m  down-timeout = 2m
    route "192.0.2.0/24" { via = "198.51.100.20"  device = "mob" }
}
gateway "backup" { address = "203.0.113.20" }
profile "Misspelled" { gateway = {"backup"}  unit = "openvpn-client@misspelled.service" }
profile "Unknown" { gateway = {"backup"}  networkmanager = "No such connection" }
profile "Hotel" { gateway = {"backup"}  networkmanager = "Hotel"  overlap = off  connect-timeout = 2m  down-timeout = 2m }
"""


class LaptopLab(RoamLab):
    """`packages` is a folder that is put to /root/packages."""

    namespaces = tuple(machine for machine in MACHINES if machine != "laptop")

    def __init__(self, image, packages):
        super().__init__()
        self.image, self.packages = image, packages
        self.laptop = None
        self.machines = {}

    def build(self):
        super().build()
        self.ip("switch", "link add mob type bridge", "link set mob up",
                "link add backup-mob type veth peer name mob netns " + self.ns("backup"), "link set backup-mob master mob up",
                *["tuntap add dev laptop-%s mode tap" % line for line in _LINES],
                *["link set laptop-%s master %s up" % (line, line) for line in _LINES])
        self.ip("backup", "addr add %s/24 dev mob" % MOBILE_GATEWAY, "link set mob up")
        self.ip("server", "route add 198.51.100.0/24 via 192.0.2.20")
        self.laptop = Machine("laptop", self.path("laptop"), self.image, seed=self._seed(), enter=self.exec("switch"), clock=CLOCK_OF_BUSY_HOST,
                              adapters=[Adapter(line, "laptop-" + line, mac) for line, mac in _LINES.items()])
        self.machines = {"laptop": self.laptop}
        self.laptop.power_on()
        self.laptop.wait_boot()

    def close(self):
        if self.laptop:
            self.laptop.power_off()
        super().close()

    def _connection(self, seed, name, device, auto, ipv4):
        number = sum(map(ord, name))
        seed.file("/etc/NetworkManager/system-connections/%s.nmconnection" % name.replace(" ", "-"), _CONNECTION.format(
            name=name, uuid="00000000-0000-4000-8000-%012d" % number, device=device, auto=auto, ipv4=ipv4), 0o600)

    def _seed(self):
        seed = Seed()
        seed.file("/etc/hostname", "laptop\n")
        seed.file("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 laptop\n")
        for line, mac in _LINES.items():
            seed.file("/etc/systemd/network/10-%s.link" % line, "[Match]\nMACAddress=%s\n\n[Link]\nName=%s\n" % (mac, line))
        self._connection(seed, "Wire", "net", "true", "method=manual\naddress1=%s/24" % LAPTOP)
        self._connection(seed, "Mobile phone", "mob", "false", "method=manual\naddress1=%s/24" % MOBILE)
        self._connection(seed, "Hotel", "mob", "false", "method=auto\ndhcp-timeout=3")
        for name in ("laptop.crt", "laptop.key"):
            with open(self.path(name), "rb") as file:
                seed.file("/etc/openvpn/client/" + name, file.read(), 0o600)
        tunnel = _TUNNEL.format(name="office", address="203.0.113.10", fingerprint=self.fingerprints["office"])
        seed.file("/etc/openvpn/client/office.conf", tunnel)
        seed.file("/etc/openvpn/client/misspelled.conf", tunnel.replace("remote ", "remoet "))
        seed.file("/etc/systemd/journald.conf.d/vmlab.conf", "[Journal]\nForwardToConsole=yes\nMaxLevelConsole=info\n")
        for name in os.listdir(self.packages):
            with open(os.path.join(self.packages, name), "rb") as package:
                seed.file("/root/packages/" + name, package.read())
        return seed

    # ------------------------------------------------------------ what roamd and its machine say

    def use(self, name):
        """`duet-client use`: Done."""
        return self.laptop.run("duet-client use " + name, 300)

    def status(self):
        try:
            said = self.laptop.run("duet-client status --json 2>/dev/null", 20).text
            return json.loads(said) if said else {}
        except (AgentError, ValueError):
            return {}

    def log(self):
        """What roamd said since the laptop's start."""
        return self.laptop.run("journalctl -q -b -u duet-roamd -o cat", 60).text

    def describe(self):
        return "%s\n%s" % (self.status(), self.laptop.run("nmcli connection show; ip -br address; ip route", 30).text)

    def wait_for(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise AssertionError("not within %s s: %s\n%s\n%s" % (seconds, what, self.describe(), self.log()[-6000:]))
            time.sleep(0.5)
        return value

    def reboot(self):
        boot_id = self.laptop.boot_id
        self.laptop.agent.order("reboot")
        self.laptop.wait_boot(boot_id, 2 * BOOT_S)
