"""Connections that outlive their paths: what a person's TCP goes through, between two devices behind NATs of their own."""
import signal
import subprocess
import time

import pytest

from daemons import Agent, Signpost
from lab import await_true
from matrix import EIM


def block(lab, *gateways):
    """Nothing passes directly between these networks: the relay is what is left."""
    addresses = ", ".join(g.address4 for g in gateways)
    lab.internet.disturb(f"ip saddr {{ {addresses} }} ip daddr {{ {addresses} }} drop")


def homes(lab, **settings):
    """Two devices behind NATs, their agents up; the gateways, then the agents."""
    signpost = Signpost(lab, addresses=2)
    gateways = [lab.gateway(f"{name}-nat", nat=dict(EIM, **settings)) for name in ("alice", "bob")]
    agents = [Agent(signpost, g.device(name)).settled() for g, name in zip(gateways, ("alice", "bob"))]
    agents[1].serve()
    return signpost, gateways, agents


def test_a_connection_from_relay_to_direct_and_back_and_to_another_network(lab):
    _, gateways, (alice, bob) = homes(lab)
    block(lab, *gateways)
    flow = alice.start_flow(bob).moves()
    assert alice.peer(bob)["state"] == "relay"
    lab.internet.disturb("")
    alice.await_state(bob, "direct", seconds=60)
    flow.moves()
    block(lab, *gateways)
    alice.await_state(bob, "relay", seconds=60)
    flow.moves()
    lab.internet.disturb("")
    office = lab.gateway("office", nat=EIM)
    alice.device.unplug()
    alice.device.plug(office)
    flow.moves(seconds=60)
    alice.await_state(bob, "direct", seconds=60)
    assert office.address4 in bob.await_state(alice, "direct")["endpoint"]
    assert flow.moves().finish() > 100000


def test_the_side_that_listens_moves(lab):
    _, _, (alice, bob) = homes(lab)
    flow = alice.start_flow(bob).moves()
    alice.await_state(bob, "direct")
    office = lab.gateway("office", nat=EIM)
    bob.device.unplug()
    bob.device.plug(office)
    flow.moves(seconds=60)
    assert office.address4 in alice.await_state(bob, "direct", seconds=60)["endpoint"]
    flow.moves().finish()


def test_the_signpost_restarts_under_a_relayed_connection(lab):
    signpost, gateways, (alice, bob) = homes(lab)
    block(lab, *gateways)
    flow = alice.start_flow(bob).moves()
    assert signpost.stop() == 0
    signpost.start()
    flow.moves(seconds=90)
    assert alice.peer(bob)["state"] == "relay"
    flow.finish()


def test_a_direct_connection_does_not_need_the_signpost(lab):
    signpost, _, (alice, bob) = homes(lab)
    flow = alice.start_flow(bob).moves()
    alice.await_state(bob, "direct")
    signpost.stop()
    flow.moves(more=600000)
    assert alice.peer(bob)["state"] == "direct"
    signpost.start()
    flow.moves(more=200000).finish()


@pytest.mark.parametrize("mtu", [1280, 1124])
@pytest.mark.parametrize("path", ["relay", "direct"])
def test_a_megabyte_through_a_small_path_that_says_nothing(lab, mtu, path):
    """No router says that a packet was too big for it: who does not find out sends into nothing."""
    _, gateways, (alice, bob) = homes(lab, mtu=mtu)
    if path == "relay":
        block(lab, *gateways)
    alice.echo("udp", bob)
    if path == "direct":
        chat = alice.start_flow(bob, 2000).moves(more=1)
        alice.await_state(bob, "direct", seconds=60)
        chat.finish()
    result = alice.echo("bulk", bob, 1 << 20)
    assert result["whole"] and result["bytes"] == 1 << 20
    assert alice.peer(bob)["state"] == path
    assert sum(g.nat.stats()["too_large"] for g in gateways) > 0


def test_udp_blocked(lab):
    """The relay over TCP carries a connection, and is left when UDP comes back."""
    signpost = Signpost(lab, addresses=2)
    nat = lab.gateway("bob-nat", nat=EIM)
    device = lab.device("alice", v6=False)
    blocked = f"ip saddr {device.address4} meta l4proto udp drop\nip daddr {device.address4} meta l4proto udp drop"
    alice, bob = Agent(signpost, device, up=False), Agent(signpost, nat.device("bob")).settled()
    lab.internet.disturb(blocked)
    alice.up()
    assert alice.session()["via"] == "tcp"
    bob.serve()
    flow = alice.start_flow(bob).moves()
    assert alice.peer(bob)["state"] == "relay"
    assert alice.echo("bulk", bob, 1 << 20)["whole"]
    flow.finish()


def test_a_nat_that_forgets(lab):
    """Rebinding: the outside port changes under a direct connection."""
    _, gateways, (alice, bob) = homes(lab)
    flow = alice.start_flow(bob).moves()
    before = bob.await_state(alice, "direct")["endpoint"]
    gateways[0].nat.rebind()
    flow.moves(seconds=60)
    alice.await_state(bob, "direct", seconds=60)
    assert bob.await_state(alice, "direct")["endpoint"] != before
    flow.moves().finish()


def test_another_outside_address(lab):
    """The provider gives a home a new address under a direct connection."""
    _, gateways, (alice, bob) = homes(lab)
    flow = alice.start_flow(bob).moves()
    bob.await_state(alice, "direct")
    new = gateways[0].address4.rsplit(".", 1)[0] + ".9"
    gateways[0].nat.readdress(new)
    flow.moves(seconds=60)
    await_true(lambda: new in bob.peer(alice)["endpoint"], lambda: f"the new address to be used: {bob.peer(alice)}", 60)
    alice.await_state(bob, "direct", seconds=60)
    flow.moves().finish()


def test_far_away_and_lossy(lab):
    """600 ms between the devices, half of it to the signpost, and one packet in twenty lost at each NAT."""
    _, _, (alice, bob) = homes(lab, delay=150, loss=5)
    alice.echo("udp", bob)
    flow = alice.start_flow(bob, 5000)
    alice.await_state(bob, "direct", seconds=60)
    flow.moves(more=10000, seconds=60).finish()


def test_an_idle_connection_keeps_its_mappings(lab):
    """NATs forget after 20 s; a connection that says nothing for longer still brings what the other side says then."""
    _, gateways, (alice, bob) = homes(lab, timeout=20)
    alice.serve()
    alice.echo("tcp", bob)
    flow = bob.start_flow(alice, 5000).moves(more=2000)
    alice.await_state(bob, "direct"), bob.await_state(alice, "direct")
    flow.finish()
    time.sleep(45)
    bob.await_state(alice, "direct")
    assert bob.echo("udp", alice)["sent"] == 1
    assert bob.peer(alice)["state"] == "direct"


def test_probes_pass_and_data_does_not(lab):
    """The direct path begins to swallow all that is larger than a probe: traffic has to leave it, though it is answered there."""
    _, gateways, (alice, bob) = homes(lab)
    flow = alice.start_flow(bob).moves()
    alice.await_state(bob, "direct")
    addresses = ", ".join(g.address4 for g in gateways)
    lab.internet.disturb(f"ip saddr {{ {addresses} }} ip daddr {{ {addresses} }} meta length > 300 drop")
    flow.moves(seconds=60)
    alice.await_state(bob, "relay")
    flow.moves(more=200000).finish()


def test_a_sleep(lab):
    """An agent that is stopped for longer than its NAT remembers, as when a lid is closed."""
    _, _, (alice, bob) = homes(lab, timeout=20)
    flow = alice.start_flow(bob, 20000).moves()
    alice.await_state(bob, "direct")
    alice.process.send_signal(signal.SIGSTOP)
    time.sleep(30)
    alice.process.send_signal(signal.SIGCONT)
    flow.moves(seconds=30)
    alice.await_state(bob, "direct", seconds=60)
    flow.moves().finish()


def test_devices_that_start_again_with_other_wishes(lab):
    """One asks the signpost for the other while that is still known by its last run, which wanted no direct paths."""
    _, _, (alice, bob) = homes(lab)
    alice.serve()
    alice.stop()
    alice.up("--no-direct")
    alice.echo("udp", bob)
    alice.stop(signal.SIGKILL), bob.stop(signal.SIGKILL)
    bob.up().settled()
    bob.device.popen(*bob.echo_command("chat", alice, 120, 20), stdout=subprocess.DEVNULL)
    time.sleep(1)
    alice.up()
    bob.await_state(alice, "direct", seconds=25)
