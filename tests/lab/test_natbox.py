"""The NAT box is what it says: seen by coturn's behaviour discovery (RFC 5780) against coturn's server, and by plain packets."""
import re
import subprocess
import time

import pytest

from lab import Lab, await_true

MAPPING = {"eim": "Endpoint Independent Mapping", "adm": "Address Dependent Mapping", "apdm": "Address and Port Dependent Mapping"}
FILTERING = {"eif": "Endpoint Independent Filtering", "adf": "Address Dependent Filtering", "apdf": "Address and Port Dependent Filtering"}


class Stun:
    """coturn, STUN alone, on two public addresses and two ports."""

    def __init__(self, lab):
        self.host = lab.host("stun", v6=False)
        self.addresses = [self.host.address4, self.host.address4.rsplit(".", 1)[0] + ".3"]
        self.host.ip("addr", "add", f"{self.addresses[1]}/24", "dev", "eth0")
        listen = sum((["-L", a] for a in self.addresses), [])
        self.host.popen("turnserver", "-n", "--stun-only", *listen, "--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout",
                        "--pidfile=/dev/null", log="turnserver.log")
        await_true(lambda: self.host.run("ss", "-Hlun", "sport = 3479").stdout.count("3479") >= 2, lambda: lab.log_tails())

    def discover(self, device, *options):
        """What turnutils_natdiscovery says, without its lines about each answer."""
        return device.run("turnutils_natdiscovery", *options, self.addresses[0]).stdout


@pytest.fixture(scope="module")
def world():
    with Lab() as lab:
        lab.stun = Stun(lab)
        lab.names = (f"n{i}" for i in range(100))
        yield lab


def behind(world, **nat):
    gateway = world.gateway(next(world.names), nat=nat)
    return gateway, gateway.device(next(world.names))


def mapped(device, server, ports, local=40000):
    """The outside addresses that a socket has towards these ports of a server: plain STUN (RFC 8489), in this order."""
    code = f"""
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", {local}))
s.settimeout(2)
for address, port in {[(a, p) for a in server for p in ports]}:
    s.sendto(struct.pack("!HHI12s", 1, 0, 0x2112A442, b"abcdefghijkl"), (address, port))
    try:
        data = s.recv(2000)
    except TimeoutError:
        print("none")
        continue
    at = 20
    while at < len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        if kind == 0x20:
            port, ip = struct.unpack_from("!HI", data, at + 6)
            print(socket.inet_ntoa(struct.pack("!I", ip ^ 0x2112A442)), port ^ 0x2112)
        at += 4 + (length + 3) // 4 * 4
"""
    return device.run("/usr/bin/python3", "-c", code).stdout.splitlines()


def ports_of(lines):
    return [int(line.split()[1]) for line in lines]


# ---- mapping, filtering ----

@pytest.mark.quick
@pytest.mark.parametrize("mapping", MAPPING)
def test_mapping(world, mapping):
    _, device = behind(world, mapping=mapping, ports="random")
    said = world.stun.discover(device, "-m")
    assert re.findall(r"NAT with (.*)!", said) == [MAPPING[mapping]]


@pytest.mark.parametrize("filtering", FILTERING)
@pytest.mark.parametrize("mapping", ["eim", "apdm"])
def test_filtering(world, filtering, mapping):
    _, device = behind(world, mapping=mapping, filter=filtering)
    said = world.stun.discover(device, "-f")
    assert re.findall(r"NAT with (.*)!", said) == [FILTERING[filtering]]


@pytest.mark.parametrize("mapping", ["eim", "1:1"])
@pytest.mark.parametrize("hairpin", [True, False])
def test_hairpin(world, hairpin, mapping):
    _, device = behind(world, mapping=mapping, filter="eif", hairpin=hairpin)
    said = world.stun.discover(device, "-H", "-L", device.address4, "-l", 40000)
    assert ("successful hairpinning" in said) == hairpin


def test_one_to_one(world):
    gateway, device = behind(world, mapping="1:1", filter="eif")
    seen = mapped(device, world.stun.addresses, (3478, 3479))
    assert seen == [f"{gateway.address4} 40000"] * 4
    assert world.stun.host.run("ping", "-n", "-c1", "-W2", gateway.address4, check=False).returncode == 0


def test_ports_are_kept_counted_or_random(world):
    two = world.stun.addresses
    gateway, device = behind(world, mapping="apdm", ports="preserve")
    assert ports_of(mapped(device, two, (3478, 3479))) == [40000, 40001, 40002, 40003]
    _, device = behind(world, mapping="apdm", ports="sequential", seed=3)
    a = ports_of(mapped(device, two, (3478, 3479)))
    assert [p - a[0] for p in a] == [0, 1, 2, 3] and a[0] != 40000
    _, device = behind(world, mapping="apdm", ports="random", seed=3)
    a = ports_of(mapped(device, two, (3478, 3479)))
    assert len(set(a)) == 4 and max(a) - min(a) > 100


# ---- what happens to NATs ----

def test_mappings_time_out(world):
    _, device = behind(world, ports="random", timeout=2)
    first = mapped(device, world.stun.addresses[:1], (3478, 3478))
    assert first[0] == first[1]
    time.sleep(2.3)
    assert mapped(device, world.stun.addresses[:1], (3478,))[0] != first[0]


def test_rebinding_and_another_address(world):
    gateway, device = behind(world)
    one = world.stun.addresses[:1]
    first = mapped(device, one, (3478,))
    assert first == [f"{gateway.address4} 40000"]
    gateway.nat.rebind()
    second = mapped(device, one, (3478,))
    assert second[0].split()[0] == gateway.address4 and second != first
    gateway.nat.readdress(gateway.address4.rsplit(".", 1)[0] + ".9")
    assert mapped(device, one, (3478,))[0].split()[0] == gateway.address4 and gateway.address4.endswith(".9")


# ---- the link ----

def ping(device, address, *options):
    return device.run("ping", "-n", "-W2", *options, address, check=False)


def test_delay_both_ways(world):
    gateway, device = behind(world, delay=30)
    times = [float(t) for t in re.findall(r"time=([\d.]+)", ping(device, world.stun.addresses[0], "-c3", "-i0.2").stdout)]
    assert len(times) == 3 and all(t >= 60 for t in times)
    gateway.nat.set(delay=0)
    times = [float(t) for t in re.findall(r"time=([\d.]+)", ping(device, world.stun.addresses[0], "-c3", "-i0.2").stdout)]
    assert len(times) == 3 and min(times) < 60


def test_loss(world):
    gateway, device = behind(world, loss=30, seed=5)
    ping(device, world.stun.addresses[0], "-c200", "-i0.002")
    stats = gateway.nat.stats()
    lost = stats["lost"] / (stats["lost"] + stats["passed"])
    assert 0.15 < lost < 0.45
    gateway.nat.set(loss=100)
    assert ping(device, world.stun.addresses[0], "-c1", "-W1").returncode == 1


def test_large_packets_vanish(world):
    gateway, device = behind(world, mtu=1280)
    where = world.stun.addresses[0]
    assert ping(device, where, "-c1", "-Mdo", "-s", 1280 - 28).returncode == 0
    gone = ping(device, where, "-c1", "-W1", "-Mdo", "-s", 1281 - 28)
    assert gone.returncode == 1 and "Frag" not in gone.stdout
    assert gateway.nat.stats()["too_large"] == 1


def test_udp_blocked(world):
    gateway, device = behind(world, block_udp=True)
    where = world.stun.addresses[:1]
    assert mapped(device, where, (3478,)) == ["none"] and ping(device, where[0], "-c1").returncode == 0
    gateway.nat.set(block_udp=False)
    assert mapped(device, where, (3478,)) != ["none"]


# ---- TCP, ICMP ----

@pytest.mark.quick
def test_tcp_carries_a_megabyte_whole(world):
    gateway, device = behind(world, mapping="apdm", ports="random", delay=1)
    server = world.stun.host.popen("/usr/bin/python3", "-c", """
import hashlib, socket
s = socket.create_server(("", 7000))
print("ready", flush=True)
c, peer = s.accept()
h = hashlib.sha256()
while data := c.recv(65536):
    h.update(data)
c.sendall(h.digest())
print(peer[0], flush=True)
""", stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    said = device.run("/usr/bin/python3", "-c", f"""
import hashlib, random, socket
data = random.Random(1).randbytes(1 << 20)
s = socket.create_connection(("{world.stun.addresses[0]}", 7000))
s.sendall(data)
s.shutdown(socket.SHUT_WR)
print(s.recv(32) == hashlib.sha256(data).digest())
""").stdout
    assert said == "True\n" and server.stdout.readline() == gateway.address4 + "\n"


def test_icmp_errors_reach_the_one_whom_they_concern(world):
    _, device = behind(world, mapping="apdm", ports="random")
    said = device.run("/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("{world.stun.addresses[0]}", 9))
s.settimeout(3)
s.send(b"nobody there")
try:
    s.recv(100)
except ConnectionRefusedError:
    print("refused")
""").stdout
    assert said == "refused\n"


def test_strangers_are_kept_out_and_the_gateway_answers_inside(world):
    gateway, device = behind(world)
    assert ping(device, gateway.address4, "-c1").returncode == 0
    assert ping(world.stun.host, gateway.address4, "-c1", "-W1").returncode == 1
    assert gateway.nat.stats()["unmapped"] == 1


# ---- IPv6, links without NAT ----

@pytest.mark.parametrize("filtering", ["eif", "apdf"])
def test_ipv6_firewall(world, filtering):
    gateway = world.gateway(next(world.names), v6=True, nat=dict(firewall6="apdf") if filtering == "apdf" else {})
    inside, outside = gateway.device(next(world.names)), world.device(next(world.names))
    assert ping(inside, outside.address6, "-c1").returncode == 0
    kept_out = ping(outside, inside.address6, "-c1", "-W1").returncode == 1
    assert kept_out == (filtering == "apdf")


def test_a_link_translates_nothing(world):
    gateway = world.gateway(next(world.names), v4=False, v6=True, nat=dict(link=True, delay=20))
    inside, outside = gateway.device(next(world.names)), world.device(next(world.names))
    times = re.findall(r"time=([\d.]+)", ping(outside, inside.address6, "-c2", "-i0.2").stdout)
    assert len(times) == 2 and all(float(t) >= 40 for t in times)
