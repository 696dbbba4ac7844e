"""Setting up a path, in a lab of tests/lab: how long from a name to the first byte, what the relay carries, what peers cost.

Two devices behind NATs of their own (endpoint-independent mapping, filtering by address and port); both agents are started afresh
for every sample, so no session, key or path is remembered."""
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

from daemons import Agent, Signpost  # noqa: E402
from lab import Lab  # noqa: E402
from matrix import EIM, settle  # noqa: E402

PEERS = 100


def percentile(values, share):
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def row(metric, value, unit, values=None):
    values = values or [value]
    return {"bench": "setup", "subject": "signpost", "metric": metric, "value": round(value, 1), "unit": unit, "runs": len(values),
            "low": round(min(values), 1), "high": round(max(values), 1)}


def spread(metric, values):
    values = [v * 1000 for v in values]
    return [row(f"{metric}, p50", statistics.median(values), "ms", values), row(f"{metric}, p99", percentile(values, 0.99), "ms", values)]


def homes(lab, delay_ms):
    """Each NAT's way out takes delay_ms in each direction: a round trip to the signpost is twice that, one to the other device 4 times."""
    nat = dict(EIM, delay=delay_ms) if delay_ms else EIM
    signpost = Signpost(lab, addresses=2)
    alice, bob = [Agent(signpost, lab.gateway(f"{name}-nat", nat=nat).device(name), up=False) for name in ("alice", "bob")]
    bob.serve()
    return signpost, alice, bob


def times(delay_ms, pairs):
    rows = []
    with Lab() as lab:
        _, alice, bob = homes(lab, delay_ms)
        relay, direct, tcp = [], [], []
        for i in range(2 * pairs):
            bob.up().settled()
            alice.up(*(["--no-direct"] if i % 2 else [])).settled()
            first = alice.echo("tcp" if i % 2 else "udp", bob)
            if i % 2:
                tcp.append(first["first_s"])
            else:
                relay.append(first["first_s"])
                chat = alice.device.popen(*alice.echo_command("chat", bob, 20, 50), stdout=subprocess.DEVNULL)
                p, seconds = settle(alice, bob, first["asked"], 20)
                chat.kill()
                chat.wait()
                if p.get("state") == "direct":
                    direct.append(seconds)
            alice.stop(), bob.stop()
        where = f"signpost {2 * delay_ms} ms away" if delay_ms else "no delay"
        rows += spread(f"name asked to first byte, UDP, {where}", relay)
        rows += spread(f"name asked to first byte, TCP, {where}", tcp)
        if direct:
            rows += spread(f"name asked to direct path, {where}", direct)
        rows.append(row(f"direct reached, {where}", 100 * len(direct) / pairs, "%"))
    return rows


def iperf(client, address, seconds, *args):
    p = client.run("iperf3", "-J", "-c", address, "-t", seconds, *args, timeout=seconds + 30)
    return json.loads(p.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6


def throughput(rounds, seconds):
    """Between public addresses, so that no NAT box of the lab is measured."""
    seconds = max(2, int(seconds))
    with Lab() as lab:
        signpost = Signpost(lab)
        alice, bob = [Agent(signpost, lab.device(name, v6=False), up=False) for name in ("alice", "bob")]
        bob.device.popen("iperf3", "-s", log="iperf3.log")
        bob.serve()
        bob.up().settled()
        values = {}
        for path, options in (("relay", ["--no-direct"]), ("direct", [])):
            alice.up(*options).settled()
            first = alice.echo("udp", bob)
            chat = alice.device.popen(*alice.echo_command("chat", bob, 20, 50), stdout=subprocess.DEVNULL)
            settle(alice, bob, first["asked"], 2 if path == "relay" else 20)
            chat.kill()
            values[f"through the {path}" if path == "relay" else path] = [iperf(alice.device, bob.overlay, seconds) for _ in range(rounds)]
            if alice.peer(bob)["state"] != path:
                sys.exit(f"tests/bench/run setup: not by {path}: {alice.peer(bob)}")
            alice.stop()
        values["no tunnel"] = [iperf(alice.device, bob.device.address4, seconds) for _ in range(rounds)]
        return [row(f"TCP, one stream, {what}", statistics.median(v), "Mb/s", v) for what, v in values.items()]


def memory():
    """Resident memory of an agent whose 100 peers have each talked to it, and that has been idle since."""
    with Lab() as lab:
        signpost = Signpost(lab)
        hub = Agent(signpost, lab.device("hub", v6=False))
        hub.serve()

        def status(key):
            lines = pathlib.Path(f"/proc/{hub.process.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024

        alone = status("VmRSS")
        for i in range(PEERS):
            Agent(signpost, lab.device(f"peer{i}", v6=False)).echo("udp", hub)
        connected = sum(p["state"] in ("relay", "direct") for p in hub.status()["peers"])
        time.sleep(5)
        return [row("resident memory of an agent, no peers", alone, "MiB"),
                row(f"resident memory of an agent, {connected} peers", status("VmRSS"), "MiB"),
                row(f"resident memory at its highest, {connected} peers", status("VmHWM"), "MiB")]


def bench(options):
    rows = []
    for delay_ms in 0, 10:
        rows += times(delay_ms, options.pairs)
    return rows + throughput(options.rounds, options.seconds) + memory()
