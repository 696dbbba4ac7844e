"""signpost-agent and signpostd for real: join, up, networks that change, down, leave. Each device in a network namespace of its own,
behind one bridge with the signpost's. Marked where an RFC's rule shows: 2136, 2931 (signed both ways), 9664 (leases)."""
import ipaddress
import json
import os
import signal
import stat
import subprocess
import time

import pytest

from conftest import AGENT
from devices import SERVER, ZONE, Net, await_true, device_of, ip


@pytest.fixture(scope="module")
def net(tmp_path_factory, start_signpost):
    n = Net(tmp_path_factory.mktemp("agent"), start_signpost)
    yield n
    n.end()


def test_join_registers_identity(net):
    d = net.device("join")
    p = d.join()
    assert (p.returncode, p.stderr) == (0, "")
    name, overlay = p.stdout.split()
    assert name == d.name
    assert ipaddress.ip_address(overlay) in ipaddress.ip_network("fd00::/8")
    assert d.dig("AAAA") == [overlay]
    assert len(d.dig("KEY")) == 1 and d.dig("KEY")[0].startswith("512 3 15 ")
    assert stat.S_IMODE(d.state.stat().st_mode) == 0o700
    assert stat.S_IMODE((d.state / "identity").stat().st_mode) == 0o600
    again = d.join(net.invite("join2"))
    assert again.returncode == 1 and "joined already" in again.stderr


def test_join_json(net):
    p = net.device("join-json").join(None, None, "--json")
    assert p.returncode == 0, p.stderr
    got = json.loads(p.stdout)
    assert got["schema"] == 1 and got["name"] == f"join-json.{ZONE}" and got["zone"] == ZONE and got["overlay"].startswith("fd")


def test_a_token_works_once(net):
    d = net.device("once")
    token = net.invite(d.name)
    assert d.join(token).returncode == 0
    key = d.dig("KEY")
    thief = net.work / "thief"
    p = d.join(token, thief)
    assert p.returncode == 1 and p.stdout == ""
    assert "used" in p.stderr or "key" in p.stderr
    assert d.dig("KEY") == key
    assert not (thief / "identity").exists()


@pytest.mark.slow
def test_join_again_after_a_lost_answer(net):
    """The identity is left as a join without an answer leaves it: the same token must lead to the same key."""
    d = net.device("lost")
    token = net.invite(d.name)
    net.signpost.stop(signal.SIGKILL)
    p = d.join(token)
    assert p.returncode == 1 and "no answer" in p.stderr
    assert "has not finished joining" in d.agent("up").stderr
    net.signpost.start()
    p = d.join(token)
    assert p.returncode == 0, p.stderr
    assert d.dig("AAAA") == [p.stdout.split()[1]]


def test_bad_tokens(net):
    d = net.device("bad")
    token = net.invite(d.name)
    for text in ["", "rubbish", token[:-3], token[:40] + ("A" if token[40] != "A" else "B") + token[41:], "x" * 5000]:
        p = d.agent("join", stdin=text)
        assert p.returncode == 1 and p.stdout == "" and p.stderr.startswith("signpost-agent: ") and p.stderr.count("\n") == 1, (text, p)
    assert d.dig("KEY") == []


def test_up_publishes_status_and_resolve(net):
    d = net.device("up").joined().up()
    assert d.dig("A") == [d.address]
    assert d.dig("AAAA") == [d.overlay]
    s = d.status()
    assert s["schema"] == 1 and s["running"] is True and s["name"] == d.name + "." and s["overlay"] == d.overlay
    assert s["published"] == [d.address] and s["signpost"] == SERVER and s["trust"] == "hosted"
    assert 30 <= s["lease_s"] <= 3600 and s["next_in_s"] <= s["lease_s"] * 0.85
    assert s["counts"]["accepted"] >= 1 and s["counts"]["dropped_sig"] == 0
    text = d.agent("status")
    assert text.returncode == 0 and "state:     up" in text.stdout
    second = d.agent("up")
    assert second.returncode == 1 and "in use by process" in second.stderr
    for extra in [], ["--server", SERVER]:
        p = d.agent("resolve", d.name, "--json", *extra)
        assert p.returncode == 0, p.stderr
        rows = json.loads(p.stdout)["addresses"]
        assert {(r["type"], r["address"]) for r in rows} == {("A", d.address), ("AAAA", d.overlay)}
        assert all(0 < r["ttl"] <= 60 for r in rows)
    p = d.agent("resolve", f"nobody.{ZONE}")
    assert p.returncode == 1 and "does not exist" in p.stderr
    assert d.stop() == 0
    assert d.agent("status").returncode == 1
    assert d.dig("A") == [d.address]  # a signal withdraws nothing
    p = d.agent("down")
    assert p.returncode == 0, p.stderr
    assert d.dig("A") == []


def test_networks_that_change(net):
    d = net.device("roam").joined().up()
    other = f"198.51.100.{d.number + 100}"
    ip("addr", "add", f"{other}/32", "dev", "eth0", space=d.space)  # else it would go with the first
    await_true(lambda: d.dig("A") == sorted([d.address, other]), "the second address")
    ip("route", "add", "198.51.100.0/24", "dev", "eth0", "src", other, "metric", "9", space=d.space)
    ip("addr", "add", "2001:db8:7::7/64", "dev", "eth0", "nodad", space=d.space)
    await_true(lambda: d.dig("AAAA") == sorted([d.overlay, "2001:db8:7::7"]), "the IPv6 address")
    ip("addr", "del", f"{d.address}/24", "dev", "eth0", space=d.space)
    await_true(lambda: d.dig("A") == [other], "the first address to go")
    ip("addr", "del", "2001:db8:7::7/64", "dev", "eth0", space=d.space)
    await_true(lambda: d.dig("AAAA") == [d.overlay], "the IPv6 address to go")
    assert len(d.dig("KEY")) == 1
    # Away from every network, then back on another.
    ip("link", "set", "eth0", "down", space=d.space)
    time.sleep(2)
    ip("addr", "flush", "dev", "eth0", space=d.space)
    back = f"198.51.100.{d.number + 150}"
    ip("addr", "add", f"{back}/24", "dev", "eth0", space=d.space)
    ip("link", "set", "eth0", "up", space=d.space)
    await_true(lambda: d.dig("A") == [back], "the address after coming back")


def test_what_is_published(net):
    d = net.device("choice").joined()
    ip("addr", "add", "10.7.7.7/24", "dev", "eth0", space=d.space)
    d.up("--no-publish", "--publish", "203.0.113.99")
    assert d.dig("A") == ["203.0.113.99"]
    assert d.agent("down").returncode == 0
    assert d.daemon.wait(10) == 0
    d.up("--publish-private", "--lease", "600")
    assert d.dig("A") == sorted(["10.7.7.7", d.address])
    assert d.status()["lease_s"] == 600


def test_down_withdraws_and_stops_the_agent(net):
    d = net.device("down").joined().up()
    p = d.agent("down", "--json")
    assert p.returncode == 0, p.stderr
    assert json.loads(p.stdout) == {"schema": 1, "result": "down", "name": d.name}
    assert d.daemon.wait(10) == 0
    assert d.dig("A") == [] and d.dig("AAAA") == [d.overlay] and len(d.dig("KEY")) == 1
    d.up()
    assert d.dig("A") == [d.address]


def test_an_agent_that_was_killed(net):
    """What it published is remembered, and withdrawn by the next command; its socket and lock are in nobody's way."""
    d = net.device("killed").joined()
    ip("addr", "add", "2001:db8:8::8/64", "dev", "eth0", "nodad", space=d.space)
    d.up()
    assert d.dig("AAAA") == sorted([d.overlay, "2001:db8:8::8"])
    d.stop(signal.SIGKILL)
    assert d.agent("status").returncode == 1
    p = d.agent("down")
    assert p.returncode == 0, p.stderr
    assert d.dig("A") == [] and d.dig("AAAA") == [d.overlay]
    d.up()


def test_the_overlay_device_comes_and_goes_with_the_agent(net):
    d = net.device("tun").joined().up()
    link, addresses, routes = device_of(d)
    assert link["mtu"] == 1280 and "UP" in link["flags"]
    assert addresses == [(d.overlay, 128)]  # no link-local one: there are no neighbours to speak to
    assert routes == [str(ipaddress.ip_network(f"{d.overlay}/64", strict=False))]
    assert d.status()["published"] == [d.address]
    assert "the overlay is on signpost0" in d.log_text()
    caps = {line.split(":")[0]: int(line.split()[1], 16) for line in open(f"/proc/{d.daemon.pid}/status") if line.startswith("Cap")}
    assert caps["CapEff"] == caps["CapPrm"] == caps["CapBnd"] == 1 << 12  # CAP_NET_ADMIN
    d.stop(signal.SIGKILL)
    await_true(lambda: device_of(d) is None, "the device to go with the killed agent")
    d.up("--interface", "way")
    assert device_of(d) is None and device_of(d, "way")[1] == [(d.overlay, 128)]
    assert d.stop() == 0 and device_of(d, "way") is None
    d.up("--register-only")
    assert device_of(d) is None
    assert d.stop() == 0


def test_somebody_meddles_with_the_device(net):
    d = net.device("meddle").joined().up()
    before = device_of(d)[1:]
    ip("link", "set", "signpost0", "down", space=d.space)
    assert device_of(d)[1] == []
    ip("link", "set", "signpost0", "up", space=d.space)
    await_true(lambda: device_of(d)[1:] == before, "the address and the route to come back")
    ip("link", "del", "signpost0", space=d.space)
    assert d.daemon.wait(10) == 1
    assert "signpost0 is gone" in d.log_text()


def test_the_overlay_where_ipv6_is_off(net):
    d = net.device("off").joined()
    subprocess.run(["ip", "netns", "exec", d.space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"], check=True)
    d.up()
    assert device_of(d)[1] == [(d.overlay, 128)]
    value = "net.ipv6.conf.eth0.disable_ipv6"
    assert subprocess.run(["ip", "netns", "exec", d.space, "sysctl", "-n", value], capture_output=True, text=True).stdout == "1\n"


def test_overlays_that_cannot_be(net):
    d = net.device("cannot").joined()
    p = d.agent("up", "--interface", "eth0")
    assert p.returncode == 1 and "eth0 already" in p.stderr and "--interface" in p.stderr
    p = d.agent("up", "--interface", "far-too-long-a-name")
    assert p.returncode == 1 and "not a name" in p.stderr
    p = subprocess.run(["ip", "netns", "exec", d.space, "setpriv", "--bounding-set", "-net_admin", str(AGENT), "--state", str(d.state), "up"],
                       capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and "CAP_NET_ADMIN" in p.stderr and "--register-only" in p.stderr
    for family, address in ("AF_INET", "0.0.0.0"), ("AF_INET6", "::"):
        hold = f"""import socket; s = socket.socket(socket.{family}, socket.SOCK_DGRAM); s.bind(("{address}", 5000)); print(flush=True); input()"""
        holder = subprocess.Popen(["ip", "netns", "exec", d.space, "python3", "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holder.stdout.readline()
        p = d.agent("up", "--port", "5000")
        holder.communicate(b"\n")
        assert p.returncode == 1 and "5000" in p.stderr and "in use" in p.stderr, p.stderr
    other = net.work / "second"
    assert d.join(net.invite("second." + ZONE), other).returncode == 0
    d.up()
    p = d.agent("up", "--interface", "another", state=other)
    assert p.returncode == 1 and "another agent of the zone" in p.stderr
    assert device_of(d, "another") is None


def test_leave_removes_the_device(net):
    d = net.device("leave").joined().up()
    p = d.agent("leave")
    assert (p.returncode, p.stdout) == (0, f"{d.name}: left\n"), p.stderr
    assert d.daemon.wait(10) == 0
    assert d.dig("A") == d.dig("AAAA") == d.dig("KEY") == []
    assert not (d.state / "identity").exists() and not (d.state / "memory").exists()
    p = d.agent("status")
    assert p.returncode == 1 and "has not joined" in p.stderr
    assert d.join().returncode == 0  # a new invite, the same name


@pytest.mark.slow
def test_leave_without_the_signpost(net):
    d = net.device("leave-alone").joined()
    ip("link", "set", "eth0", "down", space=d.space)
    p = d.agent("leave")
    assert p.returncode == 1 and "--force" in p.stderr and (d.state / "identity").exists()
    p = d.agent("leave", "--force")
    assert p.returncode == 0 and not (d.state / "identity").exists()


def test_a_revoked_device(net):
    d = net.device("revoked").joined().up()
    net.signpost.ctl("device", "revoke", ZONE, "revoked")
    ip("addr", "add", f"198.51.100.{d.number + 100}/24", "dev", "eth0", space=d.space)
    await_true(lambda: d.status()["state"] == "refused", "the refusal")
    s = d.status()
    assert s["last_ede"] == 18 and s["last_ede_text"]
    assert "refused this device" in d.log_text()
    assert d.dig("KEY") == []


def test_a_signpost_that_restarts(net):
    """RFC 2931 3.2: what was signed before the restart is known after it; what is signed later is taken."""
    d = net.device("restart").joined().up()
    assert net.signpost.stop() == 0
    other = f"198.51.100.{d.number + 100}"
    ip("addr", "add", f"{other}/24", "dev", "eth0", space=d.space)
    time.sleep(2)
    net.signpost.start()
    await_true(lambda: d.dig("A") == sorted([d.address, other]), "the registration after the restart", 40)
    assert d.dig("AAAA") == [d.overlay]


@pytest.mark.slow
def test_rfc9664_presence_expires_identity_stays(net):
    d = net.device("expire").joined().up("--lease", "30")
    assert d.dig("A") == [d.address]
    first = d.status()["counts"]["accepted"]
    await_true(lambda: d.status()["counts"]["accepted"] > first, "a refresh", 30)
    d.stop(signal.SIGKILL)
    time.sleep(5)
    assert d.dig("A") == [d.address]
    await_true(lambda: d.dig("A") == [], "the lease to end", 35)
    assert d.dig("AAAA") == [d.overlay] and len(d.dig("KEY")) == 1


@pytest.mark.parametrize("args", [[], ["fly"], ["up", "--lease", "1"], ["up", "--publish", "me"], ["up", "x"], ["up", "--no-publish", "--publish-private"],
                                  ["up", "--no-relay", "--no-direct"], ["up", "--register-only", "--port", "5"], ["up", "--port", "0"],
                                  ["up", "--candidate", "127.0.0.1:5"], ["up", "--stun", "here"], ["ping"], ["ping", "a", "b"], ["ping", "a", "-c", "0"],
                                  ["ping", "a", "--timeout", "x"], ["netcheck", "now"],
                                  ["join", "token"], ["status", "--xml"], ["resolve"], ["resolve", "a..b"], ["resolve", "a", "--server", "x"],
                                  ["leave", "now"], ["--state"]])
def test_usage_errors(args, tmp_path):
    p = subprocess.run([str(AGENT), *args], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
                       env={**os.environ, "XDG_STATE_HOME": str(tmp_path)})
    assert p.returncode == 2 and p.stdout == "" and "signpost-agent" in p.stderr
