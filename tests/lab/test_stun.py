"""Our STUN and coturn's: our server with turnutils_stunclient and turnutils_natdiscovery as clients (RFC 8489, 5780), our behaviour
discovery with coturn's server and with ours, behind every NAT."""
import json
import re
import subprocess

import pytest

from daemons import Signpost
from lab import Lab
from natbox import BUILD
from test_natbox import FILTERING, MAPPING, Stun

STUN = BUILD / "tests/lab/stun"
OURS = {"eim": "endpoint-independent", "adm": "address-dependent", "apdm": "address-and-port-dependent",
        "eif": "endpoint-independent", "adf": "address-dependent", "apdf": "address-and-port-dependent"}


class Ours:
    def __init__(self, lab, name, addresses, ports=(3478, 3479)):
        self.host = lab.host(name, v6=False)
        self.addresses = [self.host.address4]
        if addresses == 2:
            self.addresses.append(self.host.address4.rsplit(".", 1)[0] + ".3")
            self.host.ip("addr", "add", f"{self.addresses[1]}/24", "dev", "eth0")
        self.all = [f"{a}:{p}" for a in self.addresses for p in ports]
        server = self.host.popen(STUN, "serve", *self.all, stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "ready\n"

    def discover(self, device, *options):
        return device.run("turnutils_natdiscovery", *options, self.addresses[0]).stdout


class Daemon(Ours):
    """The same out of signpostd, on ports where it serves everything else as well."""

    def __init__(self, lab):
        signpost = Signpost(lab, addresses=2, v6=False, ports=(53, 3478, 3479))
        self.host, self.addresses = signpost.host, signpost.addresses


@pytest.fixture(scope="module")
def world():
    with Lab() as lab:
        lab.coturn, lab.two, lab.one, lab.signpost = Stun(lab), Ours(lab, "two", 2), Ours(lab, "one", 1), Daemon(lab)
        lab.names = (f"n{i}" for i in range(100))
        yield lab


def behind(world, **nat):
    return world.gateway(next(world.names), nat=nat).device(next(world.names))


def found(device, *servers):
    return json.loads(device.run(STUN, "discover", f"{device.address4}:40000", *servers).stdout)


# ---- our server, coturn's clients ----

@pytest.mark.quick
def test_stunclient(world):
    device = world.device(next(world.names), v6=False)
    p = device.run("turnutils_stunclient", world.two.addresses[0], check=False)
    assert f"UDP reflexive addr: {device.address4}:" in p.stdout and f"Other addr: : {world.two.addresses[1]}:3479" in p.stdout


# Its third test goes where the OTHER-ADDRESS of the second answer says, instead of the first's: that is the first address again (RFC 5780
# 7.4 has it so), and it takes a dependence on addresses for one on ports. The lab's own is shown to it with coturn's server.
@pytest.mark.parametrize("mapping", ["eim", "apdm"])
def test_natdiscovery_mapping(world, mapping):
    said = world.two.discover(behind(world, mapping=mapping, ports="random"), "-m")
    assert re.findall(r"NAT with (.*)!", said) == [MAPPING[mapping]]


@pytest.mark.parametrize("filtering", FILTERING)
def test_natdiscovery_filtering(world, filtering):
    said = world.two.discover(behind(world, filter=filtering), "-f")
    assert re.findall(r"NAT with (.*)!", said) == [FILTERING[filtering]]


def test_natdiscovery_with_padding(world):
    """1,500 bytes of it: fragments, both ways."""
    said = world.two.discover(world.device(next(world.names), v6=False), "-m", "-f", "-P")
    assert re.findall(r"NAT with (.*)!", said) == [MAPPING["eim"], FILTERING["eif"]]


# ---- our client, coturn's server and ours ----

@pytest.mark.parametrize("filtering", FILTERING)
@pytest.mark.parametrize("mapping", MAPPING)
def test_discovery_by_coturn(world, mapping, filtering):
    device = behind(world, mapping=mapping, filter=filtering, ports="random", hairpin=True)
    r = found(device, f"{world.coturn.addresses[0]}:3478")
    assert (r["mapping"], r["filtering"]) == (OURS[mapping], OURS[filtering])
    assert r["hairpin"] == (mapping == "eim" or filtering == "eif") and not r["sequential"]


@pytest.mark.parametrize("mapping", ["eim", "apdm"])
def test_discovery_by_one_address(world, mapping):
    """Two ports of one address tell a dependence on ports, and no more."""
    device = behind(world, mapping=mapping, ports="sequential")
    r = found(device, *world.one.all)
    assert r["mapping"] == (OURS["apdm"] if mapping == "apdm" else "unknown") and r["filtering"] == OURS["apdf"]
    assert r["sequential"] == (mapping == "apdm") and r["hairpin"] is False


def test_discovery_with_delay_and_loss(world):
    device = behind(world, mapping="apdm", delay=50, jitter=20, loss=5, seed=2)
    r = found(device, *world.two.all)
    assert r["mapping"] == OURS["apdm"] and r["rtt_ms"] >= 100


def test_discovery_without_nat(world):
    device = world.device(next(world.names), v6=False)
    r = found(device, f"{world.two.addresses[0]}:3478")
    assert r["mapping"] == "none" and r["filtering"] == OURS["eif"] and r["mapped"] == f"{device.address4}:40000" and r["hairpin"] is None


def test_discovery_where_udp_is_blocked(world):
    r = found(behind(world, block_udp=True), *world.two.all)
    assert r["udp"] is False and r["mapping"] == r["filtering"] == "unknown"


# ---- the daemon ----

@pytest.mark.parametrize("options, said", [("-m", MAPPING["apdm"]), ("-f", FILTERING["adf"])])
def test_signpostd_is_such_a_server(world, options, said):
    device = behind(world, mapping="apdm", filter="adf")
    assert re.findall(r"NAT with (.*)!", world.signpost.discover(device, options)) == [said]
