#!/usr/bin/python3
"""The matrix: every pair of networks that a path may have to cross, with real agents, and what came of it.

    tests/lab/matrix.py [--table] [ROW...]     runs the rows (all, or those whose name has one of the words) and prints them
                                               --table: as Markdown

Times are of this machine, without any link delay unless a row says so: what the protocol adds, not what a network would."""
import argparse
import dataclasses
import subprocess
import sys
import time
import typing

from daemons import Agent, Signpost
from lab import Lab

# Behaviours (RFC 4787) as settings of a NAT. EIM: one outside port for all destinations; EDM: one for each.
EIM_EIF = dict(mapping="eim", filter="eif")
EIM_ADF = dict(mapping="eim", filter="adf")
EIM = dict(mapping="eim", filter="apdf")
EDM = dict(mapping="apdm", filter="apdf", ports="random")
EDM_SEQUENTIAL = dict(mapping="apdm", filter="apdf", ports="sequential")
ONE_TO_ONE = dict(mapping="1:1", filter="eif")

DIRECT, RELAY = "direct", "relay"


@dataclasses.dataclass
class Row:
    name: str
    build: typing.Callable  # (lab) -> (device, device)
    best: str               # the state to reach: "direct" or "relay"
    tactics: tuple          # one of these
    why: str = ""           # for relay: what a better path would need
    prepare: typing.Callable = None  # (lab, first device), before the agents start
    quick: bool = False


def home(lab, name, nat, **settings):
    return lab.gateway(f"{name}-nat", nat=nat).device(name, **settings) if nat else lab.device(name, v6=False, **settings)


def pair(a, b):
    """Devices behind NATs of their own; None: a public address."""
    return lambda lab: (home(lab, "alice", a), home(lab, "bob", b))


def same_lan(lab):
    gateway = lab.gateway("home-nat", nat=EIM)
    return gateway.device("alice"), gateway.device("bob")


def same_nat(hairpin):
    def build(lab):
        gateway = lab.gateway("cafe-nat", nat=dict(EIM, hairpin=hairpin))
        return gateway.device("alice", isolated=True), gateway.device("bob", isolated=True)
    return build


def behind_carrier(lab):
    carrier = lab.gateway("carrier", carrier=True, nat=EIM)
    return lab.gateway("alice-nat", behind=carrier, nat=EIM).device("alice"), home(lab, "bob", EIM)


def firewalls(**families):
    def build(lab):
        devices = lab.device("alice", **families), lab.device("bob", **families)
        for d in devices:
            d.firewall()
        return devices
    return build


def routers_with_firewalls(lab):
    """IPv6 as homes have it: the router lets in only what answers; over IPv4 nothing but the relay would do."""
    devices = []
    for name in "alice", "bob":
        gateway = lab.gateway(f"{name}-nat", nat=dict(EDM, firewall6="apdf"), v6=True)
        devices.append(gateway.device(name))
    return devices


def dual_stack(lab):
    return lab.device("alice"), lab.device("bob")


def six_only(lab):
    return lab.device("alice", v4=False), lab.device("bob")


def families_apart(lab):
    return lab.device("alice", v4=False), lab.device("bob", v6=False)


def black_hole(lab, a):
    """IPv4 has addresses and routes, and leads nowhere."""
    lab.internet.disturb(f"ip saddr {a.address4} drop\nip daddr {a.address4} drop")


def udp_blocked(lab, a):
    lab.internet.disturb(f"ip saddr {a.address4} meta l4proto udp drop\nip daddr {a.address4} meta l4proto udp drop")


def only_dns(lab, a):
    lab.internet.disturb(f"""ip saddr {a.address4} udp dport != 53 drop
        ip saddr {a.address4} tcp dport != 53 drop
        ip daddr {a.address4} udp sport != 53 drop
        ip daddr {a.address4} tcp sport != 53 drop""")


PUNCH = ("punch", "reflexive", "public")
ROWS = [
    Row("same LAN", same_lan, DIRECT, ("lan",), quick=True),
    Row("same NAT, no LAN path, hairpin", same_nat(True), DIRECT, PUNCH),
    Row("same NAT, no LAN path, no hairpin", same_nat(False), RELAY, ("relay",), "a NAT that hairpins"),
    Row("public × public", pair(None, None), DIRECT, ("public", "reflexive")),
    Row("public × 1:1", pair(None, ONE_TO_ONE), DIRECT, PUNCH),
    Row("public × EIM-APDF", pair(None, EIM), DIRECT, PUNCH),
    Row("EIM-EIF × EIM-APDF", pair(EIM_EIF, EIM), DIRECT, PUNCH),
    Row("EIM-ADF × EIM-APDF", pair(EIM_ADF, EIM), DIRECT, PUNCH),
    Row("EIM-APDF × EIM-APDF", pair(EIM, EIM), DIRECT, PUNCH, quick=True),
    Row("public × EDM random", pair(None, EDM), DIRECT, PUNCH),
    Row("EIM-EIF × EDM random", pair(EIM_EIF, EDM), DIRECT, PUNCH),
    Row("EIM-ADF × EDM random", pair(EIM_ADF, EDM), DIRECT, PUNCH),
    Row("EIM-APDF × EDM sequential", pair(EIM, EDM_SEQUENTIAL), RELAY, ("relay",), "port prediction, or a port mapping"),
    Row("EIM-APDF × EDM random", pair(EIM, EDM), RELAY, ("relay",), "a birthday punch, or a port mapping"),
    Row("EDM random × EDM random", pair(EDM, EDM), RELAY, ("relay",), "a port mapping"),
    Row("host firewalls, IPv4", firewalls(v6=False), DIRECT, PUNCH),
    Row("host firewalls, IPv6", firewalls(v4=False), DIRECT, ("ipv6", "public", "reflexive")),
    Row("EDM × EDM, IPv6 behind router firewalls", routers_with_firewalls, DIRECT, ("ipv6", "reflexive")),
    Row("EIM behind an EIM carrier × EIM", behind_carrier, DIRECT, PUNCH),
    Row("IPv6 only × dual stack", six_only, DIRECT, ("ipv6", "public", "reflexive")),
    Row("IPv4 black-holed, IPv6 works", dual_stack, DIRECT, ("ipv6", "public", "reflexive"), prepare=black_hole),
    Row("IPv6 only × IPv4 only", families_apart, RELAY, ("relay",), "NAT64"),
    Row("UDP blocked × EIM-APDF", pair(None, EIM), RELAY, ("relay tcp",), "UDP", prepare=udp_blocked),
    Row("only port 53 leaves × EIM-APDF", pair(None, EIM), RELAY, ("relay", "relay tcp"), "UDP to other ports", prepare=only_dns),
]


@dataclasses.dataclass
class Outcome:
    state: str
    tactic: str
    endpoint: str
    why: str
    first_s: float          # from asking for the name to the first echoed byte, over whatever carried it
    direct_s: float = None  # from asking for the name to the direct path's use


def settle(a, b, asked, seconds):
    """Follows status until the path is direct, or for `seconds`; the peer's line, and when it was so."""
    while True:
        p, now = a.peer(b), time.monotonic() - asked
        if p.get("state") == "direct" or now > seconds:
            return p, now
        time.sleep(0.01)


def measure(row):
    """Builds the row's networks, lets one device talk to the other, and says what path that took."""
    with Lab() as lab:
        try:
            signpost = Signpost(lab, addresses=2)
            a, b = row.build(lab)
            b, a = Agent(signpost, b, up=False), Agent(signpost, a, up=False)
            if row.prepare:
                row.prepare(lab, a.device)
            for agent in b, a:
                agent.up().settled()
            b.serve()
            return talk(a, b, row)
        except AssertionError as e:
            raise AssertionError(f"{row.name}: {e}\n{lab.log_tails()}") from e


def talk(a, b, row):
    first = a.echo("udp", b)
    chat = a.device.popen(*a.echo_command("chat", b, 30, 20), stdout=subprocess.DEVNULL)
    p, direct_s = settle(a, b, first["asked"], 25 if row.best == DIRECT else 6)
    chat.kill()
    out = Outcome(p.get("state", "none"), p.get("tactic", "none"), p.get("endpoint", ""), p.get("why", ""), first["first_s"],
                  direct_s if p.get("state") == DIRECT else None)
    assert out.state == row.best and out.tactic in row.tactics, f"{row.best} by {row.tactics} was to be reached: {p}"
    a.echo("tcp", b)
    return out


def ms(seconds):
    return f"{seconds * 1000:.0f} ms" if seconds is not None else "—"


HEADS = ["networks", "path", "tactic", "first byte", "direct", "a better path needs"]


def cells(row, out):
    return [row.name, out.state, out.tactic, ms(out.first_s), ms(out.direct_s), row.why]


def line(texts, markdown=False):
    return "| " + " | ".join(texts) + " |" if markdown else "{:42} {:7} {:10} {:>10} {:>9}  {}".format(*texts).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="Markdown")
    parser.add_argument("words", nargs="*", metavar="ROW")
    options = parser.parse_args()
    print(line(HEADS, options.table), flush=True)
    if options.table:
        print("|---|---|---|--:|--:|---|", flush=True)
    failed = 0
    for row in ROWS:
        if options.words and not any(w in row.name for w in options.words):
            continue
        try:
            print(line(cells(row, measure(row)), options.table), flush=True)
        except AssertionError as e:
            print(f"FAILED: {e}", file=sys.stderr)
            failed += 1
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
