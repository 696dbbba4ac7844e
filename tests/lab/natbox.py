"""A NAT box in a gateway: natbox.c between two TUN devices, and the routes that lead packets through it.

What comes from the LAN goes by policy to the device `natin`, what comes from the WAN for the outside address (or, IPv6, for the LAN) to
`natout`; the kernel keeps ARP, neighbours and forwarding. For that the table `local` must not come first: the outside address is the
gateway's own, but its UDP, TCP and ICMP belong to the box."""
import json
import os
import pathlib
import subprocess

BUILD = pathlib.Path(os.environ.get("SIGNPOST_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
NATBOX = BUILD / "tests/lab/natbox"
INWARD, OUTWARD = 101, 100  # routing tables

# The behaviour of a good home router (RFC 4787).
DEFAULTS = dict(mapping="eim", filter="apdf", ports="preserve")


def text(value):
    return str(int(value)) if isinstance(value, bool) else str(value)


class Nat:
    """settings: those of natbox.c (`_` for `-`); link=True: no translation, only delay, loss and the rest. host: of a 1:1 NAT, the
    first one on the LAN if it is not said."""

    def __init__(self, gateway, link=False, **settings):
        self.gateway = gateway
        self.route()
        settings = {**({} if link else DEFAULTS), **settings}
        if not link and gateway.v4:
            settings.setdefault("address", gateway.address4)
        if settings.get("mapping") == "1:1":
            settings.setdefault("host", f"{gateway.lan4}.2")
        words = [f"{name.replace('_', '-')}={text(value)}" for name, value in settings.items()]
        self.process = gateway.popen(NATBOX, "inside=natin", "outside=natout", *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"natbox {' '.join(words)}: {self.process.stderr.read()}")

    def route(self):
        g = self.gateway
        # The packets of natout have an address of the gateway's own as their source.
        g.run("sysctl", "-qw", *(f"net.ipv4.conf.{c}.{s}" for c in ("all", "default") for s in
                                 ("rp_filter=0", "accept_local=1", "send_redirects=0", "promote_secondaries=1")))
        for dev, table in (("natin", OUTWARD), ("natout", INWARD)):
            g.ip("tuntap", "add", dev, "mode", "tun")
            g.ip("link", "set", dev, "txqueuelen", 4000, "mtu", 1500, "up")
            for family in ("-4", "-6"):
                g.ip(family, "route", "add", "default", "dev", dev, "table", table)
        for dev in ("lan", "wan"):
            g.run("sysctl", "-qw", f"net.ipv4.conf.{dev}.rp_filter=0", f"net.ipv4.conf.{dev}.promote_secondaries=1")
        if g.v4:
            g.ip("rule", "add", "pref", 10, "iif", "lan", "to", f"{g.lan4}.0/24", "lookup", "local")
            g.ip("rule", "add", "pref", 11, "iif", "lan", "lookup", OUTWARD)
            for protocol in ("udp", "tcp", "icmp"):  # ARP looks routes up as well, with none
                g.ip("rule", "add", "pref", 12, "iif", "wan", "ipproto", protocol, "lookup", INWARD)
            g.ip("rule", "add", "pref", 20, "lookup", "local")
            g.ip("rule", "del", "pref", 0)
        if g.v6:
            g.ip("-6", "rule", "add", "pref", 10, "iif", "lan", "to", f"{g.lan6}:/64", "lookup", "main")
            g.ip("-6", "rule", "add", "pref", 11, "iif", "lan", "to", "2000::/3", "lookup", OUTWARD)
            g.ip("-6", "rule", "add", "pref", 12, "iif", "wan", "to", f"{g.lan6}:/64", "lookup", INWARD)

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer in ("error\n", ""):
            raise RuntimeError(f"natbox: {line}: {answer or 'it is gone'}")
        return answer

    def set(self, **settings):
        """delay, jitter (ms), loss (percent), mtu, block_udp."""
        for name, value in settings.items():
            self.command(f"{name.replace('_', '-')}={text(value)}")

    def rebind(self):
        """All mappings are forgotten; new ones get other ports."""
        self.command("rebind")

    def readdress(self, address):
        """Another outside address, of the same network."""
        g = self.gateway
        g.ip("addr", "add", f"{address}/24", "dev", "wan")
        self.command(f"address={address}")
        g.ip("addr", "del", f"{g.address4}/24", "dev", "wan")
        g.address4 = address

    def stats(self):
        return json.loads(self.command("stats"))
