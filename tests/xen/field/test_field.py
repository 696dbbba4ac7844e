"""What a signpost on Xen is for, with real traffic. The tests share one guest, and follow each other."""
import json
import random
import re
import subprocess

import pytest

from daemons import PYTHON, ZONE, ed25519_to_x25519
from lab import await_true
from scene import ATTACK, FRAMES, HOME, LARGE, LARGE_NAMES, NOTHING, POLICIES, SECRETS, STREAMS, STRICT, Knot, Native, Writer

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
    whole = scene.dig("+bufsize=512", f"big.{ZONE}", "TXT")  # and dig comes again
    assert "retrying in TCP mode" in whole and "ANSWER: 8" in whole and "(TCP)" in whole, whole
    for i in range(3, 8):
        scene.nsupdate(f'update delete big.{ZONE} TXT "{i} {"x" * 200}"')
    for size, whole in (("+noedns", False), ("+bufsize=512", False), ("+bufsize=800", True), ("+bufsize=4096", True)):
        out = scene.dig("+ignore", size, f"big.{ZONE}", "TXT")
        assert bool(re.search(r"flags:[^;]* tc[ ;]", out)) != whole and ("ANSWER: 3" in out) == whole, out


def test_a_port_that_is_not_served_is_refused_at_once(scene):
    for transport in "+notcp", "+tcp":
        out = scene.client.run("dig", f"@{scene.address}", "-p", "5353", transport, "+tries=1", "+time=20", ZONE, "SOA", check=False).stdout
        assert "refused" in out and "timed out" not in out, out


def test_large_packets_go_both_ways_in_fragments(scene):
    """Some of them, on a network that may lose one."""
    for address in scene.address, scene.address6:
        out = scene.client.run("ping", "-n", "-c", "8", "-i", "0.2", "-W", "10", "-s", "4000", address, check=False).stdout
        assert int(re.search(r"(\d+) received", out)[1]) >= 4, out


# ---- DNS over TCP ----

@pytest.mark.parametrize("family", [4, 6])
def test_dig_over_tcp(scene, family):
    """On each port that is served; one query, two on one connection, 300 of them in one write."""
    address = scene.address if family == 4 else scene.address6
    for port in 53, 443, 51820:
        assert f"ns.{ZONE}. hostmaster.{ZONE}." in scene.dig("+tcp", "+short", "-p", port, ZONE, "SOA", address=address)
    out = scene.dig("+tcp", "+keepopen", "+short", ZONE, "SOA", f"ns.{ZONE}", "A", address=address)
    assert "hostmaster" in out and scene.address in out, out
    assert scene.stream("pipeline", ZONE, 300, address=address) == {"answers": 300}


def test_clients_of_all_manners(scene):
    """Byte by byte, with the end of the stream before the answer; and as many connections as a guest of 16 MiB has streams for."""
    assert scene.stream("bytes", ZONE) == {"answers": 1, "end": True}
    assert scene.stream("many", ZONE, 20) == {"answers": 20}


def test_nsupdate_over_tcp(scene):
    for address, number in (scene.address, "192.0.2.91"), (scene.address6, "192.0.2.92"):
        scene.nsupdate(f"update delete stream.{ZONE} A", f"update add stream.{ZONE} 60 A {number}", address=address, options=["-v"])
        assert scene.dig("+short", "+tcp", f"stream.{ZONE}", "A") == f"{number}\n"


def test_transfers_of_a_large_zone(scene):
    """Whole and as it was given, to a client that reads slowly too; one that reads nothing is got rid of, and troubles nobody."""
    words = LARGE, "reader.keys.", SECRETS["reader.keys."]
    stuck = scene.client.popen(PYTHON, STREAMS, "stuck", scene.address, *words, stdout=subprocess.PIPE, text=True)
    slow = scene.client.popen(PYTHON, STREAMS, "slow", scene.address, *words, stdout=subprocess.PIPE, text=True)
    for address in scene.address, scene.address6:
        out = scene.dig("-k", scene.keys["reader.keys."], "+noall", "+answer", "+onesoa", "+nosplit", LARGE, "AXFR", address=address)
        assert records_of(out) == records_of(scene.large)
    assert scene.dig("+noall", "+answer", LARGE, "AXFR").count("Transfer failed") == 1
    scene.answers(3, "+tcp")
    assert json.loads(slow.communicate(timeout=60)[0])["records"] == len(records_of(scene.large))
    assert json.loads(stuck.communicate(timeout=60)[0])["reset"]


def test_the_backend_cuts_long_segments(scene):
    """netback takes several slots of the ring for a frame: far fewer leave the guest than arrive at a client that reads at once."""
    for address in scene.address, scene.address6:
        before = scene.metrics()
        out = scene.dig("-k", scene.keys["reader.keys."], "+noall", "+answer", "+onesoa", "+nosplit", LARGE, "AXFR", address=address)
        after = scene.metrics()
        assert records_of(out) == records_of(scene.large)
        count, size = (after[n] - before[n] for n in ('signpost_tcp_segments_total{direction="out"}', 'signpost_tcp_bytes_total{direction="out"}'))
        assert size > 100000 and size / count > 2 * 1460, (size, count)


def records_of(text):
    """Of zone text, however its fields are apart."""
    lines = (line.split(";")[0] if '"' not in line else line for line in text.splitlines())
    return sorted(" ".join(line.split()) for line in lines if line.strip() and not line.startswith("$"))


def test_a_standard_secondary(scene):
    """Knot has the zone by AXFR with TSIG, and gives it as the guest does."""
    secondary = Knot(scene, LARGE, "reader.keys.")
    await_true(lambda: secondary.dig("+short", LARGE, "SOA") == scene.dig("+short", LARGE, "SOA"), secondary.log)
    assert secondary.dig("+short", f"h{LARGE_NAMES - 1}.{LARGE}", "A") == f"192.0.2.{(LARGE_NAMES - 1) % 256}\n"
    secondary.stop()


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


def test_an_agent_without_udp(scene):
    """Its session and what is relayed to it go over TCP; it reaches who has UDP, and they it."""
    alice, _ = scene.people()
    dora = scene.person("dora", STRICT, "--no-udp")
    assert dora.session()["via"] == "tcp", dora.session()
    assert dora.run("ping", alice.name).returncode == 0
    dora.echo("udp", alice)
    alice.echo("tcp", dora)
    assert dora.echo("bulk", alice, 200000)["whole"] and alice.echo("bulk", dora, 200000)["whole"]
    assert dora.peer(alice)["state"] == "relay" and dora.session()["via"] == "tcp"
    dora.stop()


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


@pytest.mark.parametrize("kind", ["arp", "query", "fragments", "syn", "syn_from_afar", "runts"])
def test_a_flood_on_its_own_network(scene, kind):
    """From neighbours that there are not, or from senders that a router stands for; who comes over TCP is served meanwhile, too."""
    before = scene.metrics()
    flood = scene.host.router.popen(PYTHON, FRAMES, "flood", kind, scene.host.bridge, scene.address, 1500, 1, stdout=subprocess.PIPE, text=True)
    scene.answers(5)
    scene.answers(5, "+tcp")
    assert json.loads(flood.communicate()[0])["sent"] > 100
    scene.answers(3, "+tcp")
    after = scene.metrics()
    assert after["signpost_memory_used_bytes"] < before["signpost_memory_used_bytes"] + (256 << 10)
    if kind.startswith("syn"):  # half-open connections have long found no room; who answered a cookie is connected
        for state, some in ("sent", 100), ("good", 1):
            name = f'signpost_tcp_cookies_total{{state="{state}"}}'
            assert after[name] - before[name] >= some, name


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
