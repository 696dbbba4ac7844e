"""What a signpost on Xen is for, with real traffic. The tests share one guest, and follow each other."""
import json
import random
import re
import subprocess

import pytest

from daemons import PYTHON, ZONE, ed25519_to_x25519
from lab import await_true
from scene import ATTACK, FRAMES, HOME, NOTHING, POLICIES, Native, Writer

SEED = 20261123
DESTROYED = 5


# ---- DNS ----

@pytest.mark.parametrize("family", [4, 6])
def test_dig_over_udp(scene, family):
    address = scene.address if family == 4 else scene.address6
    assert f"ns.{ZONE}. hostmaster.{ZONE}." in scene.dig("+short", ZONE, "SOA", address=address)
    assert scene.address in scene.dig("+short", f"ns.{ZONE}", "A", address=address)


def test_delv_validates(scene):
    ds = re.findall(r"^signpost: ds \S+ +\d+ IN DS (\d+) (\d+) (\d+) ([0-9A-Fa-f]+)", scene.host.console("signpost"), re.M)[-1]
    (scene.lab.work / "anchor").write_text('trust-anchors {{ {}. static-ds {} {} {} "{}"; }};\n'.format(ZONE, *ds))
    for name, rdtype, says in ((ZONE, "SOA", "; fully validated"), (f"ns.{ZONE}", "A", "; fully validated"),
                               (f"nobody.{ZONE}", "A", "; negative response, fully validated")):
        out = scene.client.run("delv", f"@{scene.address}", "-a", scene.lab.work / "anchor", f"+root={ZONE}", name, rdtype, check=False)
        assert says in out.stdout, out.stdout + out.stderr


def test_nsupdate_signed_by_tsig(scene):
    for address, first, second in ((scene.address, "192.0.2.77", "192.0.2.78"), (scene.address6, "192.0.2.79", "192.0.2.80")):
        scene.nsupdate(f"update delete hand.{ZONE} A", f"update add hand.{ZONE} 60 A {first}", address=address)
        assert scene.dig("+short", f"hand.{ZONE}", "A") == f"{first}\n"
        scene.nsupdate(f"update delete hand.{ZONE} A", f"update add hand.{ZONE} 60 A {second}", address=address)
        assert scene.dig("+short", f"hand.{ZONE}", "A") == f"{second}\n"


def test_nsupdate_by_a_key_that_the_operator_adds(scene):
    """From afar, while the guest runs; and the key's policy holds."""
    scene.operate("key", "add", scene.keys["narrow.keys."], "--zone", ZONE, "--policy", POLICIES["narrow.keys."])
    scene.nsupdate(f"update add one.narrow.{ZONE} 60 A 192.0.2.81", key="narrow.keys.")
    assert scene.dig("+short", f"one.narrow.{ZONE}", "A") == "192.0.2.81\n"
    p = scene.nsupdate(f"update add elsewhere.{ZONE} 60 A 192.0.2.82", key="narrow.keys.", check=False)
    assert p.returncode != 0 and "REFUSED" in p.stderr
    assert scene.dig("+short", f"elsewhere.{ZONE}", "A") == ""


def test_answers_too_long_for_udp_are_truncated(scene):
    """For what the client says it can take, and never more than 1,232 bytes."""
    for i in range(8):
        scene.nsupdate(f'update add big.{ZONE} 60 TXT "{i} {"x" * 200}"')
    for size in ("+noedns", "+bufsize=512", "+bufsize=1232", "+bufsize=4096"):
        out = scene.dig("+ignore", size, f"big.{ZONE}", "TXT")
        assert re.search(r"flags:[^;]* tc[ ;]", out) and "ANSWER: 0" in out and int(re.search(r"rcvd: (\d+)", out)[1]) <= 512, out
    for i in range(3, 8):
        scene.nsupdate(f'update delete big.{ZONE} TXT "{i} {"x" * 200}"')
    for size, whole in (("+noedns", False), ("+bufsize=512", False), ("+bufsize=800", True), ("+bufsize=4096", True)):
        out = scene.dig("+ignore", size, f"big.{ZONE}", "TXT")
        assert bool(re.search(r"flags:[^;]* tc[ ;]", out)) != whole and ("ANSWER: 3" in out) == whole, out


@pytest.mark.parametrize("family", [4, 6])
def test_tcp_is_refused_at_once(scene, family):
    """There is none yet: the sender is told that the protocol is not spoken (RFC 1122 3.2.2.1, RFC 4443 3.4), and need not wait."""
    out = scene.dig("+tcp", "+tries=1", "+time=20", ZONE, "SOA", address=scene.address if family == 4 else scene.address6, check=False)
    assert "timed out" not in out and "failed" in out, out


def test_a_port_that_is_not_served_is_refused_at_once(scene):
    out = scene.client.run("dig", f"@{scene.address}", "-p", "5353", "+tries=1", "+time=20", ZONE, "SOA", check=False).stdout
    assert "refused" in out and "timed out" not in out, out


def test_large_packets_go_both_ways_in_fragments(scene):
    """Some of them, on a network that may lose one."""
    for address in scene.address, scene.address6:
        out = scene.client.run("ping", "-n", "-c", "8", "-i", "0.2", "-W", "10", "-s", "4000", address, check=False).stdout
        assert int(re.search(r"(\d+) received", out)[1]) >= 4, out


# ---- people ----

def test_agents_find_each_other_and_relay(scene):
    """Between their NATs nothing goes but the relay."""
    alice, bob = scene.people()
    alice.echo("udp", bob)
    assert alice.await_state(bob, "relay")["tactic"] == "relay"
    alice.echo("tcp", bob)
    assert alice.echo("bulk", bob, 200000)["whole"]
    assert alice.run("ping", bob.name).returncode == 0


def test_agents_find_a_direct_way(scene):
    """carol's NAT is as alice's: a punch gets through."""
    alice, _ = scene.people()
    carol = scene.person("carol", HOME)
    alice.echo("udp", carol)
    chat = alice.device.popen(*alice.echo_command("chat", carol, 90, 20), stdout=subprocess.DEVNULL)
    alice.await_state(carol, "direct", seconds=90)
    chat.kill()
    alice.echo("tcp", carol)
    carol.stop()


def test_netcheck_by_the_guests_stun(scene):
    """It says from where the questions came. (How a NAT maps cannot be told by one address with one port.)"""
    alice, bob = scene.people()
    for agent in alice, bob:
        said = json.loads(agent.run("netcheck", "--json").stdout)
        assert said["udp"] and [s["address"] for s in said["signposts"]] == [f"{scene.address}:53"], said
        assert [a.rpartition(":")[0] for a in said["mapped"]] == [agent.device.at.address4], said


# ---- strangers ----

@pytest.mark.parametrize("kind", ["initiation", "initiation-bad-mac", "data", "relay", "stun", "noise"])
def test_a_flood_from_forged_sources(scene, kind):
    """It is counted and takes no memory; DNS goes on, and so does what was connected before."""
    alice, bob = scene.people()
    flow = alice.start_flow(bob, 20000).moves()
    drops, memory = scene.drops(), scene.metrics()["signpost_memory_used_bytes"]
    public = ed25519_to_x25519(alice.identity()["signpost"]).hex()
    flood = scene.stranger.popen(PYTHON, ATTACK, "flood", kind, scene.address, 53, 1500, 1, public, stdout=subprocess.PIPE, text=True)
    scene.answers(10)
    flow.moves()
    sent = json.loads(flood.communicate()[0])["sent"]
    if kind != "stun":  # which is answered
        assert scene.drops() - drops > sent / 20
    assert scene.metrics()["signpost_memory_used_bytes"] < memory + (256 << 10)
    flow.moves().finish()


@pytest.mark.parametrize("kind", ["arp", "query", "fragments", "syn", "runts"])
def test_a_flood_on_its_own_network(scene, kind):
    """From neighbours that there are not."""
    memory = scene.metrics()["signpost_memory_used_bytes"]
    flood = scene.host.router.popen(PYTHON, FRAMES, "flood", kind, scene.host.bridge, scene.address, 1500, 1, stdout=subprocess.PIPE, text=True)
    scene.answers(10)
    assert json.loads(flood.communicate()[0])["sent"] > 100
    scene.answers(3)
    assert scene.metrics()["signpost_memory_used_bytes"] < memory + (256 << 10)


# ---- death ----

def test_destroyed_under_update_load(scene):
    """At random moments, and started again from its disk: whatever it acknowledged is there, and nothing that it refused."""
    chance, writer = random.Random(SEED), Writer(scene)
    for _ in range(DESTROYED):
        writer.more(chance.randrange(20, 200))
        scene.host.destroy("signpost")
        scene.create()
    writer.more(20)
    print(f"# field: destroyed {DESTROYED} times: {writer.end().account()}")
    assert writer.no and writer.gone
    writer.check()
    alice, bob = scene.people()
    alice.echo("udp", bob)


def test_power_cut_under_update_load(scene):
    """QEMU is killed with all that is in it. (What it had handed to this machine's kernel is not lost by that; what a disk loses that was
    not flushed is for the simulator.) On the new host there is a Linux guest as well."""
    writer = Writer(scene)
    writer.more(random.Random(SEED).randrange(20, 200))
    scene.host.power_cut()
    scene.boot(*scene.neighbour())
    writer.more(20)
    print(f"# field: power cut once: {writer.end().account()}")
    writer.check()


def test_a_noisy_neighbour(scene):
    """It burns its CPU, asks for names that there are not as fast as it gets answers, and writes to a disk; the signpost goes on."""
    scene.make_noise()
    before, writes = scene.host.cpu_ns("noise")[0], scene.host.writes("scratch")[0]
    writer = Writer(scene)
    writer.more(200)
    scene.answers(20)
    alice, bob = scene.people()
    alice.echo("udp", bob)
    writer.end()
    burnt, wrote = scene.host.cpu_ns("noise")[0] - before, scene.host.writes("scratch")[0] - writes
    print(f"# field: beside a noisy neighbour ({burnt / 1e9:.1f} s of CPU, {wrote} writes): {writer.account()}")
    assert burnt > 1e8 and wrote > 10
    writer.check()


def test_its_disk_is_a_log_for_linux_too(scene):
    """Shut down cleanly, its disk is signpostd's log, with everything in it."""
    scene.host.dom0("xl shutdown signpost")
    await_true(lambda: "signpost: ended" in scene.host.console("signpost").splitlines()[-1], scene.log_tails)
    scene.host.stop()
    native = Native(scene.lab, scene.lab.work / "restored", log=scene.disk)
    exported = native.ctl("zone", "export", ZONE).stdout
    native.stop()
    sure = [texts for texts in Writer.expected().values() if len(texts) == 1 and NOTHING not in texts]
    assert sure and all(f'"{text}"' in exported for ((_, text),) in sure)
