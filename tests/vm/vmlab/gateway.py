"""What makes an emulated machine a node of the pair: its addresses, its configuration, duet, and who starts it."""

import os
import uuid

from lab.network import ACTIVE, CHANNELS, LINES, NODES, PASSIVE, RESERVED, ROUTER, mac
from vmlab.seed import Seed

# Emulated machines stand still for some hundred milliseconds whenever the host is busy: the patient profile.
PROFILE = "wan"
SINK_PORT = 1162  # of snmptrapd, on the router
WATCHDOG_S = 10

_DUET_UNIT = """[Unit]
Description=duet
After=vmlab-network.service
Wants=vmlab-network.service

[Service]
ExecStart=/usr/local/bin/duet run --config /etc/duet/duet.conf
# duet run ends its daemons itself, in order.
KillMode=mixed
TimeoutStopSec=30
Restart=on-failure
LimitMEMLOCK=infinity
RuntimeDirectory=duet
StateDirectory=duet
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""

# What the pair guards: a unit of systemd's, which systemd itself would not restart.
SERVICE_UNIT = """[Unit]
Description=A guarded service
ConditionPathExists=!/etc/vmlab/condition-fails

[Service]
ExecStart=/bin/sleep infinity
"""

# As a system does that sets up fixed addresses once at boot: duet alone changes them later.
_NETWORK_UNIT = """[Unit]
Description=The passive and the reserved addresses
DefaultDependencies=no
After=systemd-udevd.service systemd-sysctl.service
Before=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/udevadm wait --timeout=60 {devices}
ExecStart=/bin/ip -batch /etc/vmlab/addresses

[Install]
WantedBy=multi-user.target
"""

_SYSCTL = """net.ipv6.conf.all.disable_ipv6 = 1
net.ipv6.conf.default.disable_ipv6 = 1
net.ipv4.ip_forward = 1
net.ipv4.conf.all.rp_filter = 0
net.ipv4.conf.default.rp_filter = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.conf.default.send_redirects = 0
"""


def configuration(extra=""):
    """duet.conf of the pair: two channels, a router on the outside, a reserved line, and `extra` sections."""
    lines = ['cluster "vm" {', "    profile = %s" % PROFILE, "    settle-time = 5s", "    on-network-fault = reboot",
             '    reboot-command = {"systemctl", "reboot"}', "}"]
    lines += ['node "%s" { reserved-address = "%s" }' % (node, RESERVED[node]) for node in NODES]
    for channel in CHANNELS:
        lines += ['channel "%s" {' % channel, '    device = "%s"' % channel,
                  '    active-address = {"%s/24"}' % ACTIVE[channel]]
        if channel == "outside":
            lines += ['    router = {"%s"}' % ROUTER]
        lines += ['    node "%s" { passive-address = {"%s/24"} }' % (node, PASSIVE[node][channel]) for node in NODES]
        lines += ["}"]
    lines += ['route "default" { via = "%s"  channel = "outside" }' % ROUTER]
    lines += ['service "guarded" { unit = "guarded.service"  start-retries = 6  retry-interval = 100ms }']
    lines += ['snmp { config = "/etc/duet/snmp.conf" }']
    lines += ['watchdog { device = "/dev/watchdog"  timeout = %ds }' % WATCHDOG_S]
    return "\n".join(lines) + "\n" + extra


def _add_name(seed, node):
    seed.file("/etc/hostname", node + "\n")
    seed.file("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 %s\n" % node)
    seed.file("/etc/machine-id", uuid.uuid5(uuid.NAMESPACE_DNS, node).hex + "\n")
    seed.file("/etc/sysctl.d/50-vmlab.conf", _SYSCTL)
    for line in LINES:
        seed.file("/etc/systemd/network/10-%s.link" % line,
                  "[Match]\nMACAddress=%s\n\n[Link]\nName=%s\n" % (mac(node, line), line))


def _addresses(node):
    return dict(PASSIVE[node], reserved=RESERVED[node])


def add_system(seed, node):
    """The parts that have nothing to do with duet: name, adapters, addresses."""
    _add_name(seed, node)
    addresses, batch = _addresses(node), []
    for line in LINES:
        batch += ["address add %s/24 dev %s" % (addresses[line], line), "link set dev %s up" % line]
    seed.file("/etc/vmlab/addresses", "\n".join(batch) + "\n")
    devices = " ".join("/sys/class/net/" + line for line in LINES)
    seed.unit("vmlab-network.service", _NETWORK_UNIT.format(devices=devices))


def gateway_seed(node, installed, key, config):
    """The seed of a node: `installed` is a folder with duet as its build installs it, `key` the cluster key."""
    seed = Seed()
    add_system(seed, node)
    seed.tree(installed)
    seed.file("/etc/duet/cluster.key", key, 0o600)
    seed.file("/etc/duet/duet.conf", config)
    seed.file("/etc/duet/snmp.conf", "trapcommunity public\ninformsink %s:%d\n" % (ROUTER, SINK_PORT))
    seed.unit("duet.service", _DUET_UNIT)
    seed.unit("guarded.service", SERVICE_UNIT, enabled=False)
    return seed


def packaged_seed(node, packages, _key, _config):
    """The seed of a node that is to get duet from Debian packages: `packages` is a folder with them, which is put to
    /root/packages, and its configuration from `duet setup`. systemd-networkd sets up the addresses, and goes on to look
    after them."""
    seed = Seed()
    _add_name(seed, node)
    for line, address in _addresses(node).items():
        seed.file("/etc/systemd/network/20-%s.network" % line,
                  "[Match]\nName=%s\n\n[Network]\nAddress=%s/24\nLinkLocalAddressing=no\n" % (line, address))
    seed.link("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
              "/lib/systemd/system/systemd-networkd.service")
    # What the daemons say is to be in the report of a test that fails.
    seed.file("/etc/systemd/journald.conf.d/vmlab.conf", "[Journal]\nForwardToConsole=yes\nMaxLevelConsole=info\n")
    # Installed, and not started before its test has set it up.
    seed.link("/etc/systemd/system/snmpd.service", "/dev/null")
    for name in os.listdir(packages):
        with open(os.path.join(packages, name), "rb") as package:
            seed.file("/root/packages/" + name, package.read())
    seed.unit("guarded.service", SERVICE_UNIT, enabled=False)
    return seed
