"""The pair's promises one by one: rows L1 to L10 and L17 of the requirements, seen from the wires."""

import time

import pytest
from conftest import gap_ms
from lab.network import ACTIVE, CHANNELS, NODES, PASSIVE, ROUTER, mac
from lab.pair import other

BROADCAST = "ff:ff:ff:ff:ff:ff"


def owner_of(watches):
    """The node that answers for the active addresses on every LAN, or None if it is not one and the same."""
    owners = {watch.owner for watch in watches.values()}
    for node in NODES:
        if owners == {mac(node, channel) for channel in watches}:
            return node
    return None


def watch_all(lab):
    return {channel: lab.arpwatch(channel) for channel in CHANNELS}


def never_dual(watches):
    for channel, watch in watches.items():
        seen = watch.stop()
        assert seen["answered"] > 0, channel
        assert seen["dual"] == 0, "two nodes answered on %s: %s" % (channel, seen)


def service_state(lab, node):
    service = lab.bus.last(node, "service/guarded")
    return service and service["state"]


def test_L1_exactly_one_is_active(lab):
    watches = watch_all(lab)
    active = lab.start_pair()
    lab.wait_for(lambda: owner_of(watches) == active, 2, "outsiders see %s" % active)
    # Longer than the patience of the passive one: search-time, and twice handover-time (R2).
    lab.stays(lambda: lab.settled() == active and owner_of(watches) == active, 8, "%s active alone" % active)
    for node in NODES:
        status = lab.status(node)
        assert status["role"] == ("active" if node == active else "passive")
        assert status["peer"]["role"] == ("passive" if node == active else "active")
        assert status["epoch"] == lab.role(active)["epoch"]
    never_dual(watches)


def test_L2_carrier_loss_restarts_the_active_node_which_returns_as_passive(lab):
    lab.on_reboot = "cycle"
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.pull_cable(active, "inside")
    lab.wait_for(lambda: lab.serves(other(active)), 5, "%s serves" % other(active))
    lab.wait_for(lambda: lab.reboots, 15, "the reboot-command of %s" % active)
    lab.network.plug_cable(active, "inside")
    lab.wait_ready(other(active))
    assert lab.reboots == [active]
    lab.stays(lambda: lab.settled() == other(active), 1, "no failback")


def test_L3_outsiders_see_one_address_per_adapter(lab):
    watches = watch_all(lab)
    active = lab.start_pair()
    for channel in CHANNELS:
        assert lab.kernel_addresses(active, channel) == [ACTIVE[channel]]
        assert ACTIVE[channel] not in lab.kernel_addresses(other(active), channel)
    for where in ("inside", "outside", "through"):
        probe = lab.probe(where)
        time.sleep(0.5)
        seen = probe.stop()
        assert seen["received"] > 0 and seen["lost"] < seen["sent"] / 10
        assert [lab.node_of(owner["mac"]) for owner in seen["owners"]] == [active]
    never_dual(watches)


def test_L4_passive_addresses_differ_from_active_ones(lab):
    active = lab.start_pair()
    for turn in range(2):
        for channel in CHANNELS:
            mine, its = PASSIVE[active][channel], PASSIVE[other(active)][channel]
            assert lab.kernel_addresses(other(active), channel) == [its]
            assert mine not in lab.kernel_addresses(active, channel)
            answers = lab.ask_once(channel, its)
            assert answers == [mac(other(active), channel)]
            assert lab.ask_once(channel, mine) == []
        if turn == 0:
            lab.wait_ready(active)
            assert lab.duet(active, "switch").returncode == 0
            active = lab.wait_settled(other(active))


def test_L4_overlay_keeps_the_passive_addresses(lab):
    lab.write_config(modes={"inside": "overlay"})
    active = lab.start_pair()
    assert set(lab.kernel_addresses(active, "inside")) == {ACTIVE["inside"], PASSIVE[active]["inside"]}
    assert lab.kernel_addresses(active, "outside") == [ACTIVE["outside"]]
    assert lab.kernel_addresses(other(active), "inside") == [PASSIVE[other(active)]["inside"]]


def test_L5_everything_starts_passive(lab):
    active = lab.start_pair(first="alpha")
    back = other(active)
    lab.power_off(back)
    lab.network.close_ports(back)  # so that what an earlier run left harms nobody before duet sees it
    lab.power_on(back, start=False)
    for channel in CHANNELS:
        lab.network.ip(back, "addr flush dev %s" % channel, "addr add %s/24 dev %s" % (ACTIVE[channel], channel))
        assert lab.kernel_addresses(back, channel) == [ACTIVE[channel]], "what an earlier run left"
    started = len(lab.bus.changes)
    lab.start(back)
    lab.wait_for(lambda: lab.is_passive(back), 10, "%s is passive" % back)
    for channel in CHANNELS:
        assert lab.kernel_addresses(back, channel) == [PASSIVE[back][channel]]
    lab.network.open_ports(back)
    lab.stays(lambda: lab.serves(active) and lab.is_passive(back), 1, "%s goes on, %s is passive" % (active, back))
    assert {change[2] for change in lab.bus.changes[started:] if change[1] == back} == {"passive"}


def test_L5_former_active_node_returns_as_passive(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 3, "%s takes over" % other(active))
    # It boots where it cannot learn who serves now.
    lab.network.close_ports(active)
    lab.network.pull_cable(active, "reserved")
    lab.power_on(active)
    lab.wait_for(lambda: lab.role(active), 10, "%s runs" % active)
    lab.stays(lambda: lab.role(active)["role"] == "passive", 2, "passive, although it was active before")
    for channel in CHANNELS:
        assert lab.kernel_addresses(active, channel) == [PASSIVE[active][channel]]
    lab.network.open_ports(active)
    lab.network.plug_cable(active, "reserved")
    lab.wait_settled(other(active))


def test_L6_passive_node_searches_for_the_active_addresses(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    for channel in CHANNELS:
        asked = [request for request in lab.arp_requests(other(active), channel, 3)
                 if request[3] == ACTIVE[channel] and request[0] == mac(other(active), channel)]
        assert len(asked) >= 8, "calm searches each 200 ms"
        assert len([request for request in asked if request[2] == BROADCAST]) >= 2, "broadcast once a second"
        assert len(asked) < 300, "at most 100 packets a second"
    search = lab.bus.topics(other(active), "search")
    assert {channel: search[channel]["state"] for channel in CHANNELS} == dict.fromkeys(CHANNELS, "answered")


def test_L7_takeover_when_active_is_unreachable(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    probes = {where: lab.probe(where) for where in ("inside", "outside", "through")}
    time.sleep(0.3)
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(other(active)), 3, "%s takes over" % other(active))
    time.sleep(0.3)
    for where, probe in probes.items():
        seen = probe.stop()
        assert seen["open_ms"] < 100, "%s: answers again" % where
        assert seen["gaps"][0]["ms"] < 2000
        if where != "through":
            assert [lab.node_of(owner["mac"]) for owner in seen["owners"]] == [active, other(active)]
    lab.power_on(active)
    lab.wait_settled(other(active))


def test_L7_one_channel_that_answers_is_no_takeover(lab):
    """"All addresses unreachable": while one still answers, the active node lives."""
    active = lab.start_pair()
    lab.wait_ready(active)
    lab.network.drop("heartbeats and one LAN", "ether type 0x88b5 drop", 'iifname "alpha-line" drop',
                     'iifname "beta-line" drop', 'iifname "alpha-out" oifname "beta-out" drop',
                     'iifname "beta-out" oifname "alpha-out" drop')
    lab.stays(lambda: lab.serves(active) and not lab.serves(other(active)), 3, "%s goes on alone" % active)
    lab.network.heal()
    lab.wait_settled(active)


def test_L8_takeover_brings_addresses_services_and_the_network_test(lab):
    lab.write_config(extra=lab.service("guarded"))
    active = lab.start_pair()
    survivor = other(active)
    lab.wait_ready(active)
    lab.wait_for(lambda: service_state(lab, survivor) == "stopped", 3, "no service on %s yet" % survivor)
    lab.power_off(active)
    lab.wait_for(lambda: lab.serves(survivor), 3, "%s takes over" % survivor)
    for channel in CHANNELS:
        assert lab.kernel_addresses(survivor, channel) == [ACTIVE[channel]]
    lab.wait_for(lambda: service_state(lab, survivor) == "running", 5, "the service runs on %s" % survivor)
    assert lab.bus.last(survivor, "service/guarded")["pid"] in lab.network.pids(survivor)
    tested = [r for r in lab.arp_requests(survivor, "outside", 1.5)
              if r[0] == mac(survivor, "outside") and r[3] == ROUTER]
    assert len(tested) >= 3, "the network test runs"
    assert lab.status(survivor)["channels"][0]["routers"] == [{"address": ROUTER, "answering": True, "missed": 0}]


def test_L9_active_node_tests_its_routers(lab):
    active = lab.start_pair()
    lab.wait_ready(active)
    asked = [r for r in lab.arp_requests(active, "outside", 3) if r[3] == ROUTER and r[0] == mac(active, "outside")]
    assert len(asked) >= 8, "router test each 200 ms"
    assert len(asked) < 300, "at most 100 packets a second"
    assert [r for r in asked if r[2] == BROADCAST], "some of it in broadcast requests"
    assert lab.bus.last(active, "router/" + ROUTER)["answering"]


@pytest.mark.parametrize("active", NODES)
def test_L10_silent_router_reboots_the_active_node_once_its_peer_serves(lab, active):
    lab.on_reboot = "cycle"
    lab.start_pair(first=active)
    lab.wait_ready(active)
    watches = watch_all(lab)
    lab.network.mute_router_for(active)
    lab.wait_for(lambda: lab.serves(other(active)), 5, "%s serves" % other(active))
    lab.stays(lambda: not lab.reboots, 0.7, "first the peer serves for a second, then the reboot")
    lab.wait_for(lambda: lab.reboots, 15, "the reboot-command of %s" % active)
    lab.network.hear_router_for(active)
    lab.wait_ready(other(active))
    assert lab.reboots == [active]
    never_dual(watches)


@pytest.mark.parametrize("first", NODES)
def test_L17_the_first_started_becomes_active(lab, first):
    for _ in range(2):
        before = lab.role(first)
        lab.start(first)
        lab.wait_for(lambda: lab.role(first) != before, 10, "%s searches" % first)
        time.sleep(0.1)  # well within search-time: both search
        lab.start(other(first))
        assert lab.wait_settled() == first
        for node in NODES:
            lab.reset(node)
        time.sleep(0.4)


def test_L17_no_failback(lab):
    lab.start_pair(first="beta")
    probe = lab.probe("inside")
    time.sleep(1)
    gap_ms(probe)
    lab.stays(lambda: lab.settled() == "beta", 3, "beta stays active: both are equal")
    assert gap_ms(probe) < 200
