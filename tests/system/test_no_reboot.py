"""What the tests themselves must never do: restart the machine that they run on."""

CAP_SYS_BOOT = 22


def test_a_lab_cannot_restart_the_machine(lab):
    active = lab.start_pair()
    pid = lab.wait_for(lambda: lab.bus.last(active, "daemon/superviserd"), 5, "superviserd")["pid"]
    with open("/proc/%d/status" % pid) as status:
        sets = {line.split(":")[0]: int(line.split()[1], 16) for line in status if line.startswith("Cap")}
    for kind in ("CapBnd", "CapPrm", "CapEff", "CapInh"):
        assert not sets[kind] >> CAP_SYS_BOOT & 1, kind
