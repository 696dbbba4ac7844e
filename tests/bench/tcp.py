"""TCP stacks in one topology, on two cores: ours, lwIP, Linux; and user-mode networks of others that forward a stream of Linux's.

Every stack carries the same loads of the same code (load.c). Two of a kind meet, each behind a TAP device of its own:

    ours, lwIP    stack -write-> TAP = bridge = TAP -read-> stack                  two programs
    Linux         stack -> TAP -read-> forward -write-> TAP -> stack               a program at each end, forward.c between them

So each frame is read from one device and written to another once, whoever does it: what differs is the stack. That Linux needs a
process more counts in its CPU time as the bridge does in that of the others; two stacks of Linux on the bridge itself would not need
the devices at all, which is what the row "Linux, veth" shows, for information. "offloads": frames up to 64 KiB and unfinished
checksums pass the devices (virtio's header); lwIP has none. slirp4netns and pasta: a client in their network namespace and a server
outside ("inward": the other way round), without a tunnel, beside our userspace mode, where two agents and a tunnel of MTU 1280 stand
between client and server. slirp4netns has its default MTU of 1500 and once the greatest one, pasta always that.

CPU time per GB is said twice: of the whole machine, from /proc/stat less what others used just before the round, if that was little;
and of the processes that take part, from the scheduler's counters, which include the kernel's work on their behalf but not its
threads. What of it is user mode is the stacks' own, where these are in programs; the rest is devices and bridge. Latency: 1 byte there
and back, one after another. A connection: opened, 1 byte each way, closed, 16 at a time. Memory: growth of the resident
memory (for Linux also of the kernel's slabs) with idle connections, divided among both ends."""
import contextlib
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import machine  # noqa: E402
import servers  # noqa: E402
import userspace  # noqa: E402
from daemons import Signpost  # noqa: E402
from lab import Lab, Space, await_true  # noqa: E402

PROGRAMS = pathlib.Path(os.environ["SIGNPOST_BUILD"]) / "tests/bench"
PORT, PORTS = 5001, 8
IDLE, HELD = 4000, 100000
QUIET = 0.2  # CPU seconds a second of others
OURS, LWIP, LINUX, VETH, SLIRP, PASTA, USERSPACE = ("signpost", "lwIP", "Linux", "Linux, veth", "slirp4netns", "pasta",
                                                    "signpost, userspace")


class Subject:
    """A server that runs, and how to run a client: both are programs of load.h. `helpers`: further processes that carry the bytes."""

    def __init__(self, name, near, far, client, server, to, port=PORT, helpers=(), kernel=False):
        self.name, self.near, self.far, self.client, self.server = name, near, far, client, server
        self.to, self.port, self.helpers, self.kernel = to, port, helpers, kernel
        self.serve()

    def serve(self):
        self.process = self.far.popen(*self.server, "serve", f"port={PORT}", f"ports={PORTS}", stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{self.name}: its server does not start")

    def restart(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.serve()

    def start(self, kind, **settings):
        words = [f"{k}={v}" for k, v in {"to": self.to, "port": self.port, **settings}.items()]
        return self.near.popen(*self.client, kind, *words, stdout=subprocess.PIPE, text=True)

    def cpu(self):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return sum(servers.cpu_seconds(p.pid) for p in (self.process, *self.helpers)) + used.ru_utime + used.ru_stime

    def user(self):
        """Of cpu(), what was spent in user mode: sampled at the kernel's ticks."""
        return sum(machine.user_seconds(p.pid) for p in (self.process, *self.helpers)) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime

    def load(self, kind, others=0.0, **settings):
        """The client's result, with the CPU seconds of the machine and of the processes meanwhile."""
        before, began = (machine.busy(), self.cpu(), self.user()), time.monotonic()
        p = self.start(kind, **settings)
        out, _ = p.communicate(timeout=60)
        result = json.loads(out.splitlines()[-1])
        result["machine"] = machine.busy() - before[0] - others * (time.monotonic() - began)
        result["processes"], result["user"] = self.cpu() - before[1], self.user() - before[2]
        return result


# ---- what is compared ----


def plug_tap(space, name="tap", *flags):
    space.ip("tuntap", "add", "dev", name, "mode", "tap", *flags)
    space.ip("link", "set", name, "up")


def bridge_only(space):
    """Frames that pass a bridge are not shown to the firewall as well, as some machines have it."""
    for family in ("ip", "ip6", "arp"):
        space.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{family}tables=0", check=False)


def bridged(lab, name, program, *settings):
    """Two programs with a stack each, whose TAPs a bridge joins."""
    space = Space(lab, name)
    space.ip("link", "add", "name", "bridge", "type", "bridge")
    bridge_only(space)
    space.ip("link", "set", "bridge", "up")
    ends = []
    for i in (1, 2):
        plug_tap(space, f"tap{i}", *(["vnet_hdr"] if "vnet" in settings else []))
        space.ip("link", "set", f"tap{i}", "master", "bridge")
        ends.append([PROGRAMS / program, f"tap=tap{i}", f"address=10.7.0.{i}/24", *settings])
    return space, ends


def lwip(lab):
    space, ends = bridged(lab, "lwip", "lwipd")
    return Subject(LWIP, space, space, *ends, "10.7.0.2")


def ours(lab, *settings):
    space, ends = bridged(lab, "-".join(("ours", *settings)), "ownd", f"connections={HELD + 1000}", *settings)
    return Subject(OURS + (", offloads" if settings else ""), space, space, *ends, "10.7.0.2")


def linux_ends(lab, name):
    """Two namespaces; ports are never scarce, and a port of a closed connection is used again."""
    ends = Space(lab, f"{name}-1"), Space(lab, f"{name}-2")
    for space in ends:
        space.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1")
    return ends


def linux(lab, *offload):
    name = "linux-" + "-".join(("tap", *offload))
    near, far = ends = linux_ends(lab, name)
    for i, space in enumerate(ends, 1):
        plug_tap(space, "tap", "vnet_hdr")
        space.ip("addr", "add", f"10.8.0.{i}/24", "dev", "tap")
    forward = near.popen(PROGRAMS / "forward", f"{near.ns}:tap", f"{far.ns}:tap", *offload, stdout=subprocess.PIPE)
    if forward.stdout.readline() != b"ready\n":
        raise RuntimeError("forward does not start")
    return Subject(LINUX + (", offloads" if offload else ""), near, far, [PROGRAMS / "sockd"], [PROGRAMS / "sockd"], "10.8.0.2", helpers=[forward],
                   kernel=True)


def linux_veth(lab):
    near, far = linux_ends(lab, "linux-veth")
    middle = Space(lab, "linux-veth-bridge")
    middle.ip("link", "add", "name", "bridge", "type", "bridge")
    bridge_only(middle)
    middle.ip("link", "set", "bridge", "up")
    for i, space in enumerate((near, far), 1):
        space.ip("link", "add", "wire", "type", "veth", "peer", "name", f"port{i}", "netns", middle.ns)
        space.ip("addr", "add", f"10.9.0.{i}/24", "dev", "wire")
        space.ip("link", "set", "wire", "up")
        middle.ip("link", "set", f"port{i}", "master", "bridge", "up")
    return Subject(VETH, near, far, [PROGRAMS / "sockd"], [PROGRAMS / "sockd"], "10.9.0.2", kernel=True)


def forwarded(name, inner, outer, helper, gateway, inward):
    """A user-mode network's two ways: its guest reaches `gateway`, which is the host; the host reaches the guest at its port PORT + 100."""
    ways = ((name, inner, outer, gateway, PORT), (f"{name}, inward", outer, inner, inward, PORT + 100))
    return [Subject(way, near, far, [PROGRAMS / "sockd"], [PROGRAMS / "sockd"], to, port, [helper], kernel=True) for way, near, far, to, port in ways]


def slirp4netns(lab, mtu, name):
    outer, inner = linux_ends(lab, f"slirp{mtu}")
    api = lab.work / f"slirp{mtu}.sock"
    p = outer.popen("slirp4netns", "--configure", f"--mtu={mtu}", "--netns-type=path", "--api-socket", api, f"/run/netns/{inner.ns}", "tap0",
                    log="slirp4netns.log")
    await_true(lambda: "10.0.2.100" in inner.ip("addr") and api.exists(), lambda: "slirp4netns:\n" + lab.log_tails())
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(api))
        s.send(json.dumps({"execute": "add_hostfwd", "arguments": {"proto": "tcp", "host_addr": "0.0.0.0", "host_port": PORT + 100,
                                                                   "guest_addr": "10.0.2.100", "guest_port": PORT}}).encode())
        answer = json.loads(s.recv(1000))
    if "error" in answer:
        raise RuntimeError(f"slirp4netns: {answer}")
    return forwarded(name, inner, outer, p, "10.0.2.2", "127.0.0.1")


def pasta(lab):
    """It copies the addresses of an interface with a default route, and stays the user that it was started as."""
    outer, inner = linux_ends(lab, "pasta")
    outer.ip("link", "add", "out", "type", "veth", "peer", "name", "nowhere")
    outer.ip("addr", "add", "10.10.0.2/24", "dev", "out")
    for dev in ("out", "nowhere"):
        outer.ip("link", "set", dev, "up")
    outer.ip("route", "add", "default", "via", "10.10.0.1")
    p = outer.popen("pasta", "--config-net", "--foreground", "--mtu", 65520, "--tcp-ports", f"{PORT + 100}:{PORT}", "--runas", 0, "--netns",
                    f"/run/netns/{inner.ns}", log="pasta.log")
    await_true(lambda: "10.10.0.2" in inner.ip("addr"), lambda: "pasta:\n" + lab.log_tails())
    return forwarded(PASTA, inner, outer, p, "10.10.0.1", "10.10.0.2")


def userspace_mode(lab):
    """Two agents, so also a tunnel, which those above do without."""
    near, far = userspace.userspace_pair(lab, Signpost(lab), ("erin", "frank"), (PORT,))
    subject = Subject(USERSPACE, near.device, far.device, [PROGRAMS / "sockd"], [PROGRAMS / "sockd"], "127.0.0.1",
                      helpers=[near.process, far.process], kernel=True)
    userspace.go_direct(near, far, PROGRAMS / "sockd", "ping", "to=127.0.0.1", f"port={PORT}", "seconds=30")
    return subject


MAKERS = [ours, lambda lab: ours(lab, "vnet"), lwip, linux, lambda lab: linux(lab, "offload"), linux_veth, userspace_mode,
          lambda lab: slirp4netns(lab, 1500, SLIRP), lambda lab: slirp4netns(lab, 65520, f"{SLIRP}, MTU 65520"), pasta]


# ---- what is measured ----


class Table:
    """Samples by metric and subject."""

    def __init__(self):
        self.samples, self.units = {}, {}

    def add(self, subject, metric, value, unit):
        self.samples.setdefault(metric, {}).setdefault(subject.name, []).append(value)
        self.units[metric] = unit

    def median(self, metric, name):
        values = self.samples.get(metric, {}).get(name)
        return statistics.median(values) if values else None

    def rows(self):
        """Ours beside those of its kind; Linux beside itself on the bridge, to show what the devices cost."""
        beside = {OURS: (LWIP, LINUX), f"{OURS}, offloads": (f"{LINUX}, offloads",), USERSPACE: (SLIRP, f"{SLIRP}, MTU 65520", PASTA)}
        found = []
        for metric, samples in self.samples.items():
            for name, values in samples.items():
                row = {"bench": "tcp", "subject": name, "metric": metric, "value": round(statistics.median(values), 2), "unit": self.units[metric],
                       "runs": len(values), "low": round(min(values), 2), "high": round(max(values), 2)}
                others = [n for n in beside.get(name, ()) if n in samples]
                if others:
                    row["ratio_to"] = [{"subject": n, "ratio": round(row["value"] / max(self.median(metric, n), 1e-9), 2)} for n in others]
                found.append(row)
        return found


def throughput(table, subject, seconds, others):
    for way, kind in (("forth", "send"), ("back", "receive")):
        r = subject.load(kind, others, seconds=seconds)
        if r["lost"]:  # then what counts is what the client's stack has taken
            table.add(subject, f"streams whose end was not confirmed, {way}", r["lost"], "")
        gigabytes = r["bytes"] / 1e9
        table.add(subject, f"TCP, 1 stream {way}", 8 * gigabytes / r["seconds"], "Gbit/s")
        if others < QUIET:
            table.add(subject, f"CPU of the machine, {way}", r["machine"] / max(gigabytes, 1e-9), "s/GB")
        table.add(subject, f"CPU of the processes, {way}", r["processes"] / max(gigabytes, 1e-9), "s/GB")
        if not subject.kernel:
            table.add(subject, f"CPU of the processes in user mode, {way}", r["user"] / max(gigabytes, 1e-9), "s/GB")


def sample(table, subject, seconds, others):
    throughput(table, subject, seconds, others)
    r = subject.load("ping", seconds=seconds)
    table.add(subject, "1 byte there and back, p50", r.get("p50_us", 0), "us")
    table.add(subject, "1 byte there and back, p99", r.get("p99_us", 0), "us")
    r = subject.load("open", seconds=seconds)
    table.add(subject, "connections a second", r["count"] / r["seconds"], "1/s")
    if r["lost"]:
        table.add(subject, "connections lost", r["lost"], "")


class Holding:
    """A client that holds so many idle connections, and what both ends weigh meanwhile."""

    def __init__(self, subject, count, seconds=1.0):
        subject.restart()
        self.kernel = machine.kernel_memory()
        self.client = subject.start("hold", count=count, ports=PORTS, seconds=seconds)
        self.held = json.loads(self.client.stdout.readline() or "{}")
        self.kernel = machine.kernel_memory() - self.kernel
        self.resident = machine.resident(self.client.pid) + machine.resident(subject.process.pid)
        self.checked = json.loads(self.client.stdout.readline() or "{}")
        self.client.wait(60)
        self.client.stdout.close()


def idle(table, subject):
    """Both programs anew, with one connection and with many: the difference is theirs."""
    one, many = Holding(subject, 1), Holding(subject, IDLE)
    ends = 2 * (many.held["held"] - 1)
    kernel = many.kernel - one.kernel if subject.kernel else 0
    table.add(subject, "memory of an idle connection", (many.resident - one.resident + kernel) / ends, "B")
    if "accounted" in many.held:
        table.add(subject, "memory of an idle connection, accounted", (many.held["accounted"] - one.held["accounted"]) / (ends / 2), "B")
    if many.held["lost"]:
        table.add(subject, "idle connections lost", many.held["lost"], "")
    subject.restart()


def hold_many(table, subject):
    """Held, and afterwards every one of them still carries a byte each way."""
    held = Holding(subject, HELD, 5.0)
    table.add(subject, f"connections held, of {HELD}", held.held.get("held", 0), "")
    table.add(subject, f"of these alive after 5 s, of {HELD}", held.checked.get("bytes", 0), "")
    table.add(subject, f"time to open {HELD}", held.held.get("seconds", 0), "s")
    table.add(subject, f"memory of an idle connection, {HELD} of them", held.resident / 2 / HELD, "B")
    subject.restart()


# ---- what was to be reached ----


def worst_ratio(table, ours, theirs):
    """Of both ways; None: not measured."""
    pairs = [(table.median(m, ours), table.median(m, theirs)) for m in ("TCP, 1 stream forth", "TCP, 1 stream back")]
    return None if any(x is None for pair in pairs for x in pair) else min(a / max(b, 1e-9) for a, b in pairs)


def targets(table):
    """Each with what was measured: rows of their own, with `reached`."""
    held = table.median(f"of these alive after 5 s, of {HELD}", OURS)
    wanted = [("throughput, at least 3 times lwIP's", worst_ratio(table, OURS, LWIP), "x", lambda v: v >= 3),
              ("throughput, at least 3 times lwIP's, ours with offloads", worst_ratio(table, f"{OURS}, offloads", LWIP), "x", lambda v: v >= 3),
              ("throughput, at least 70% of Linux's", worst_ratio(table, OURS, LINUX), "x", lambda v: v >= 0.7),
              ("throughput, at least 70% of Linux's, offloads", worst_ratio(table, f"{OURS}, offloads", f"{LINUX}, offloads"), "x", lambda v: v >= 0.7),
              ("userspace mode faster than slirp4netns", worst_ratio(table, USERSPACE, SLIRP), "x", lambda v: v > 1),
              ("userspace mode faster than slirp4netns, MTU 65520", worst_ratio(table, USERSPACE, f"{SLIRP}, MTU 65520"), "x", lambda v: v > 1),
              ("an idle connection, at most 2 kB", table.median("memory of an idle connection", OURS), "B", lambda v: v <= 2000),
              (f"{HELD} idle connections", held, "", lambda v: v >= HELD)]
    for what, value, unit, enough in wanted:
        if value is None:
            print(f"target: {what}: not measured", file=sys.stderr)
            continue
        value = round(value, 2)
        yield {"bench": "tcp", "subject": OURS, "metric": f"target: {what}", "value": value, "unit": unit, "runs": 1, "low": value, "high": value,
               "reached": enough(value)}


def make_subjects(lab):
    subjects = []
    for make in MAKERS:
        made = make(lab)
        subjects += made if isinstance(made, list) else [made]
    return subjects


def progress(text):
    print(text, end="", file=sys.stderr, flush=True)


def bench(options):
    table, noise = Table(), machine.Noise()
    with Lab() as lab, contextlib.ExitStack():
        subjects = make_subjects(lab)
        for r in range(options.rounds):
            others = noise.look()
            progress(f"round {r + 1} of {options.rounds}:")
            for subject in subjects:
                progress(f" {subject.name};")
                sample(table, subject, options.seconds, others)
            progress("\n")
        for subject in subjects:
            if subject.name in (OURS, LWIP, LINUX):
                progress(f"idle connections: {subject.name}\n")
                idle(table, subject)
            if subject.name == OURS:
                hold_many(table, subject)
    return table.rows() + noise.rows("tcp") + list(targets(table))
