"""Tunnels between two network namespaces joined by a veth: none at all, Debian's wireguard-go, ours. Rounds alternate between them.

CPU is that of the whole machine, iperf3's included, for each gigabyte that arrived; and the tunnel's processes alone."""
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import servers  # noqa: E402
from daemons import AGENT, Agent, Signpost  # noqa: E402
from lab import Lab, Space, await_true  # noqa: E402

MTU = 1280


def machine_cpu():
    """Seconds that all CPUs were busy so far."""
    fields = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]))
    user, nice, system, _, _, irq, softirq = fields
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def wire(one, other, mtu):
    one.ip("link", "add", "wire", "mtu", mtu, "type", "veth", "peer", "name", "wire", "mtu", mtu, "netns", other.ns)
    for space in (one, other):
        space.ip("link", "set", "wire", "up")


class Subject:
    """Two namespaces; `address` is the second one's, as the first one reaches it."""

    def __init__(self, name, one, other, address, processes=()):
        self.name, self.one, self.other, self.address, self.processes = name, one, other, address, processes
        other.popen("iperf3", "-s", "-B", address, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)

    def cpu(self):
        return sum(servers.cpu_seconds(p.pid) for p in self.processes)

    def iperf(self, seconds, *args):
        """What arrived, and the CPU time meanwhile: of the machine, of the tunnel."""
        before = machine_cpu(), self.cpu()
        p = self.one.run("iperf3", "-J", "-c", self.address, "-t", seconds, *args, timeout=seconds + 30)
        spent = machine_cpu() - before[0], self.cpu() - before[1]
        end = json.loads(p.stdout)["end"]
        return end.get("sum_received") or end["sum"], *spent

    def tcp(self, seconds, streams, back):
        """Mb/s, machine's and tunnel's CPU seconds for each GB."""
        got, machine, tunnel = self.iperf(seconds, "-P", streams, *(["-R"] if back else []))
        return got["bits_per_second"] / 1e6, machine / (got["bytes"] / 1e9), tunnel / (got["bytes"] / 1e9)

    def small(self, seconds):
        """UDP packets of 64 bytes that arrive in a second, while more are sent than any tunnel carries."""
        got, _, _ = self.iperf(seconds, "-u", "-l", 64, "-b", 0)
        packets = got["packets"] - got["lost_packets"]
        return packets / got["seconds"]

    def ping(self):
        """Median and 99th percentile of round trips, us."""
        out = self.one.run("ping", "-c", 300, "-i", 0.005, "-W", 2, self.address, check=False).stdout
        times = sorted(float(t) * 1000 for t in re.findall(r"time=([\d.]+)", out))
        return statistics.median(times), times[int(0.99 * (len(times) - 1))]


def bare(lab, name, mtu):
    one, other = Space(lab, f"{name}-a"), Space(lab, f"{name}-b")
    wire(one, other, mtu)
    one.ip("addr", "add", "10.1.0.1/24", "dev", "wire")
    other.ip("addr", "add", "10.1.0.2/24", "dev", "wire")
    return Subject(f"veth, MTU {mtu}", one, other, "10.1.0.2")


def wireguard_go(lab):
    ends = [Space(lab, f"go-{i}") for i in (1, 2)]
    wire(*ends, 1500)
    processes, keys = [], [lab.work / f"go-{i}.key" for i in (1, 2)]
    for i, (space, key) in enumerate(zip(ends, keys), 1):
        space.ip("addr", "add", f"10.2.0.{i}/24", "dev", "wire")
        link = f"wgb{os.getpid()}n{i}"
        processes.append(space.popen("wireguard-go", "-f", link, log=f"go-{i}.log"))
        await_true(lambda space=space, link=link: space.run("wg", "show", link, check=False).returncode == 0, "wireguard-go")
        key.write_text(space.run("wg", "genkey").stdout)
        space.run("wg", "set", link, "private-key", key, "listen-port", 51820)
        space.ip("addr", "add", f"10.3.0.{i}/24", "dev", link)
        space.ip("link", "set", link, "mtu", MTU, "up")
    for i, space in enumerate(ends, 1):
        other = space.run("wg", "pubkey", stdin=keys[2 - i].read_text()).stdout.strip()
        space.run("wg", "set", f"wgb{os.getpid()}n{i}", "peer", other, "allowed-ips", "10.3.0.0/24", "endpoint", f"10.2.0.{3 - i}:51820")
    return Subject("wireguard-go", *ends, "10.3.0.2", processes)


def signpost(lab):
    """Two agents whose public addresses reach each other over a wire of their own, a signpost that both reach through the internet."""
    server, ends = Signpost(lab), [lab.device(name, v6=False) for name in ("alice", "bob")]
    wire(*ends, 1500)
    for space, other in (ends, ends[::-1]):
        space.ip("route", "add", f"{other.address4}/32", "dev", "wire")
    alice, bob = [Agent(server, space) for space in ends]
    chat = ends[0].popen("ping", "-i", "0.2", bob.overlay, stdout=subprocess.DEVNULL)
    alice.await_state(bob, "direct")
    chat.kill()
    pids = [a.process for a in (alice, bob)]
    return Subject("signpost", *ends, bob.overlay, pids)


def sample(table, subject, seconds):
    def add(metric, value, unit):
        table.setdefault((metric, unit), {}).setdefault(subject.name, []).append(value)

    for streams in (1, 4):
        for back in (False, True):
            rate, machine, tunnel = subject.tcp(seconds, streams, back)
            what = f"{streams} stream{'s' if streams > 1 else ''}, {'back' if back else 'forth'}"
            add(f"TCP, {what}", rate, "Mb/s")
            add(f"CPU, {what}", machine, "s/GB")
            if subject.processes:
                add(f"CPU of the tunnel, {what}", tunnel, "s/GB")
    add("UDP packets of 64 bytes", subject.small(seconds), "1/s")
    middle, high = subject.ping()
    add("ping, p50", middle, "us")
    add("ping, p99", high, "us")


def rows(table):
    """Ours against wireguard-go; and how much of the bare veth is left at the same MTU."""
    def row(metric, unit, subject, values, **more):
        return {"bench": "tunnel", "subject": subject, "metric": metric, "value": round(statistics.median(values), 2), "unit": unit,
                "runs": len(values), "low": round(min(values), 2), "high": round(max(values), 2), **more}

    found = []
    for (metric, unit), samples in table.items():
        for subject, values in samples.items():
            go = samples.get("wireguard-go")
            ratio = {"ratio_to": {"subject": "wireguard-go", "ratio": round(statistics.median(values) / statistics.median(go), 2)}}
            found.append(row(metric, unit, subject, values, **(ratio if subject == "signpost" and go else {})))
        bare_one = samples.get(f"veth, MTU {MTU}")
        if bare_one and metric.startswith("TCP"):
            for subject in ("wireguard-go", "signpost"):
                if subject in samples:
                    share = [100 * statistics.median(samples[subject]) / statistics.median(bare_one)]
                    found.append(row(f"share of veth at MTU {MTU}, {metric}", "%", subject, share))
    return found


def bench(options):
    seconds, table = max(1, int(options.seconds)), {}
    with Lab() as lab:
        subjects = [bare(lab, "own", 1500), bare(lab, "same", MTU), wireguard_go(lab)]
        try:
            subjects.append(signpost(lab))
        except (AssertionError, RuntimeError) as e:
            print(f"{AGENT}: no direct path, so it is left out: {e}", file=sys.stderr)
        for subject in subjects:
            subject.iperf(1)
        for _ in range(options.rounds):
            for subject in subjects:
                sample(table, subject, seconds)
    return rows(table)
