"""Paths between devices for real: two agents and a signpost on three routed networks, each with a public address. What a lab of NATs
adds to this is in tests/lab."""
import json
import signal
import subprocess

import pytest

from devices import ZONE, Device, Net, await_true, device_of, ip

SERVER = "45.10.0.1"


class RoutedDevice(Device):
    """A namespace with a network of its own, N: 45.10.N.2, the signpost's namespace being its router."""

    def plug(self):
        self.address = f"45.10.{self.number}.2"
        ip("netns", "add", self.space)
        ip("link", "set", "lo", "up", space=self.space)
        ip("link", "add", f"p{self.number}", "type", "veth", "peer", "name", "eth0", "netns", self.space, space=self.net.space)
        ip("addr", "add", f"45.10.{self.number}.1/24", "dev", f"p{self.number}", space=self.net.space)
        ip("link", "set", f"p{self.number}", "up", space=self.net.space)
        ip("addr", "add", f"{self.address}/24", "dev", "eth0", space=self.space)
        ip("link", "set", "eth0", "up", space=self.space)
        ip("route", "add", "default", "via", f"45.10.{self.number}.1", space=self.space)

    def run(self, *command, timeout=90, **settings):
        return subprocess.run(["ip", "netns", "exec", self.space, *map(str, command)], capture_output=True, text=True, timeout=timeout, **settings)

    def up(self, *args):
        super().up("--dns", "none", *args)
        await_true(lambda: self.status().get("session", {}).get("state") == "up", f"the session of {self.name}: {self.log_text()}", 30)
        return self

    def peer(self, other):
        return next((p for p in self.status()["peers"] if p["name"].rstrip(".") == other.name), None)

    def ping(self, other, *args):
        p = self.agent("ping", other.name, "--json", *args)
        return p.returncode, json.loads(p.stdout)

    def ping6(self, other, *args):
        return self.run("ping", "-6", "-n", "-W", "2", *args, other.overlay)


class RoutedNet(Net):
    device_class, server = RoutedDevice, SERVER

    def bridge(self):
        ip("addr", "add", f"{SERVER}/32", "dev", "lo", space=self.space)
        subprocess.run(["ip", "netns", "exec", self.space, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)

    def device(self, name):
        return super().device(name).joined()


@pytest.fixture(scope="module")
def net(tmp_path_factory, start_signpost):
    n = RoutedNet(tmp_path_factory.mktemp("path"), start_signpost)
    yield n
    n.end()


@pytest.fixture(scope="module")
def pair(net):
    return net.device("laptop").up(), net.device("phone").up()


def test_the_first_packet_arrives_and_the_path_gets_direct(pair):
    laptop, phone = pair
    p = laptop.ping6(phone, "-c", "3", "-i", "0.5")
    assert p.returncode == 0 and " 0% packet loss" in p.stdout, p.stdout + p.stderr
    code, result = laptop.ping(phone)
    assert code == 0 and result["schema"] == 1 and result["direct"] is True, result
    last = result["pings"][-1]
    assert last["name"].rstrip(".") == phone.name and last["address"] == phone.overlay and last["rtt_us"] > 0
    assert last["endpoint"].startswith(phone.address + ":") and last["via"] in ("public", "punch", "lan", "reflexive")
    text = laptop.agent("ping", "phone")  # a single label
    assert text.returncode == 0
    assert f"pong from {phone.name} ({phone.overlay}) via {last['via']} {phone.address}:" in text.stdout, text.stdout


def test_status_tells_the_path_and_why(pair):
    laptop, phone = pair
    assert laptop.ping(phone)[0] == 0
    s = laptop.status()
    assert s["session"]["state"] == "up" and s["session"]["via"] == "udp" and s["session"]["endpoint"] == f"{SERVER}:53"
    peer = laptop.peer(phone)
    assert peer["state"] == "direct" and peer["address"] == phone.overlay and peer["why"]
    assert peer["sealed_bytes"] > 0 and peer["opened_bytes"] > 0 and peer["rtt_us"] > 0
    lines = laptop.agent("status").stdout.splitlines()
    line = next(l for l in lines if l.startswith(phone.name))
    assert phone.overlay in line and f"direct {phone.address}:" in line and peer["why"] in line
    assert any(l.startswith("session:   up") for l in lines)


def test_a_page_over_the_overlay(pair, tmp_path):
    laptop, phone = pair
    (tmp_path / "page").write_bytes(bytes(range(256)) * 40000)
    server = subprocess.Popen(["ip", "netns", "exec", phone.space, "python3", "-m", "http.server", "--bind", phone.overlay, "80", "-d", str(tmp_path)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        fetch = lambda: laptop.run("curl", "-sS", "--max-time", "30", "-o", tmp_path / "copy", f"http://[{phone.overlay}]/page").returncode == 0
        await_true(fetch, "the page")
        assert (tmp_path / "copy").read_bytes() == (tmp_path / "page").read_bytes()
    finally:
        server.kill()
        server.wait()


def test_names_at_the_overlays_resolver(pair):
    laptop, phone = pair
    resolver = ":".join(laptop.overlay.split(":")[:4]) + "::53"
    dig = lambda name, rdtype: laptop.run("dig", f"@{resolver}", "+short", "+tries=2", "+time=2", name, rdtype).stdout.split()
    assert dig(phone.name, "AAAA") == [phone.overlay]
    assert dig(laptop.name, "AAAA") == [laptop.overlay]
    assert dig(phone.name, "A") == []
    assert "NXDOMAIN" in laptop.run("dig", f"@{resolver}", "nobody." + ZONE, "AAAA").stdout


def test_netcheck(pair):
    laptop, _ = pair
    p = laptop.agent("netcheck", "--json")
    assert p.returncode == 0, p.stderr
    c = json.loads(p.stdout)
    assert c["schema"] == 1 and c["udp"] is True and c["ipv4"] is True and c["ipv6"] is False
    assert c["mapping"] == "none" and any(m.startswith(laptop.address + ":") for m in c["mapped"])
    assert [s["address"] for s in c["signposts"]] == [f"{SERVER}:53"] and c["signposts"][0]["rtt_us"] > 0
    text = laptop.agent("netcheck")
    assert text.returncode == 0 and "UDP:       yes" in text.stdout and "mapping:   none" in text.stdout


def test_devices_that_are_not_there(pair):
    laptop, _ = pair
    p = laptop.agent("ping", "nobody")
    assert p.returncode == 1 and p.stdout == "" and p.stderr
    code, result = laptop.ping(type("Nobody", (), {"name": "nobody." + ZONE}))
    assert code == 1 and result["received"] == 0 and result["pings"][0]["error"]


def test_only_the_relay(net):
    a, b = net.device("shy").up("--no-direct"), net.device("open").up()
    code, result = a.ping(b, "-c", "3")
    assert code == 0 and result["direct"] is False and result["received"] == 3, result
    assert {p["via"] for p in result["pings"]} == {"relay"}
    assert a.peer(b)["state"] == "relay" and b.peer(a)["state"] == "relay"
    assert a.stop() == 0 and b.stop() == 0


def test_over_tcp_alone(net):
    a, b = net.device("walled").up("--no-udp"), net.device("free").up()
    # An address of the host that is ready only now is a change of its network: the stream begins anew.
    await_true(lambda: a.status()["session"]["state"] == "up" and a.status()["session"]["via"] == "tcp", "a session over TCP")
    p = a.ping6(b, "-c", "3", "-i", "0.5")
    assert p.returncode == 0, p.stdout
    assert a.stop() == 0 and b.stop() == 0


def test_an_agent_that_is_killed_and_comes_back(pair):
    laptop, phone = pair
    assert laptop.ping(phone)[0] == 0
    phone.stop(signal.SIGKILL)
    await_true(lambda: device_of(phone) is None, "the device to go")
    assert laptop.ping6(phone, "-c", "1").returncode != 0
    phone.up()
    await_true(lambda: laptop.ping6(phone, "-c", "1").returncode == 0, "the peer after its restart", 40)
    assert phone.ping6(laptop, "-c", "1").returncode == 0


def test_a_signpost_that_restarts(net, pair):
    laptop, phone = pair
    assert laptop.ping(phone)[1]["direct"] is True
    net.signpost.stop(signal.SIGKILL)
    p = laptop.ping6(phone, "-c", "4", "-i", "0.5")
    assert p.returncode == 0 and " 0% packet loss" in p.stdout, p.stdout  # a direct path needs no signpost
    net.signpost.start()
    third = net.device("third").up()
    await_true(lambda: third.ping6(laptop, "-c", "1").returncode == 0, "a new peer after the restart", 60)
    assert third.stop() == 0
