"""A device that runs no agent but plain wireguard-go, with the key that it registered, has a control session all the same. Agents do not
answer it with data: a way has to answer their probes first, which are no IP packets."""
import base64
import hashlib
import ipaddress
import shutil

import pytest

from daemons import ZONE, Agent, Signpost, ed25519_to_x25519
from lab import await_true

pytestmark = pytest.mark.skipif(shutil.which("wireguard-go") is None or shutil.which("wg") is None,
                                reason="needs wireguard-go and wireguard-tools")


def x25519_secret(seed):
    """RFC 8032 5.1.5: the scalar of an Ed25519 key, which serves X25519 too."""
    s = bytearray(hashlib.sha512(seed).digest()[:32])
    s[0] &= 248
    s[31] = s[31] & 127 | 64
    return bytes(s)


def overlay(prefix, public):
    """The address that follows from a device's key (proto/control/join.c)."""
    label = b"signpost-address-v1"
    part = hashlib.blake2b(bytes([len(label)]) + label + public, digest_size=8).digest()
    return str(ipaddress.IPv6Address(prefix.packed[:8] + part))


def text(key):
    return base64.b64encode(key).decode()


class Plain:
    """The device's agent only joined; its key is wireguard-go's now."""

    def __init__(self, signpost, device):
        self.device, agent = device, Agent(signpost, device, up=False)
        identity = agent.identity()
        self.overlay, self.public = agent.overlay, ed25519_to_x25519(identity["public"])
        self.signpost_public = ed25519_to_x25519(identity["signpost"])
        self.signpost_overlay = overlay(ipaddress.IPv6Address(self.overlay), identity["signpost"])
        device.popen("wireguard-go", "-f", "wg0", log="wireguard-go.log")
        await_true(lambda: device.run("wg", "show", "wg0", check=False).returncode == 0, "wireguard-go")
        device.run("wg", "set", "wg0", "private-key", "/dev/stdin", stdin=text(x25519_secret(identity["seed"])) + "\n")
        device.ip("addr", "add", f"{self.overlay}/64", "dev", "wg0")
        device.ip("link", "set", "wg0", "mtu", 1280, "up")

    def add_peer(self, public, endpoint, address):
        self.device.run("wg", "set", "wg0", "peer", text(public), "endpoint", endpoint, "allowed-ips", f"{address}/128")

    def dig(self, *args):
        return self.device.run("dig", f"@{self.signpost_overlay}", "+tries=3", "+time=3", *args, check=False).stdout


def test_its_control_session_is_dns(lab):
    """The private view is plain DNS on the signpost's overlay address, from whatever network the device is in."""
    signpost = Signpost(lab)
    plain = Plain(signpost, lab.gateway("home", nat={}).device("plain"))
    plain.add_peer(plain.signpost_public, f"{signpost.host.address4}:53", plain.signpost_overlay)
    p = plain.dig(f"plain.{ZONE}", "AAAA")
    assert plain.overlay in p and "status: NOERROR" in p, p + lab.log_tails()
    assert "SOA" in plain.dig(ZONE, "SOA")
    assert signpost.metrics()["signpost_sessions"] == 1
    plain.device.unplug()
    plain.device.plug(lab.gateway("office", nat={}))
    plain.device.run("wg", "set", "wg0", "listen-port", 40404)  # it holds on to the source address that it had
    assert plain.overlay in plain.dig(f"plain.{ZONE}", "AAAA")
    assert signpost.metrics()["signpost_sessions"] == 1
