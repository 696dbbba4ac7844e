"""The agent in userspace mode beside the agent with a network device: the same programs, end to end, through two agents that reach each
other directly over a wire between two network namespaces, and a signpost in a third.

iperf3 knows no proxy: it goes by a forward on one side and a served port on the other. curl goes by SOCKS5; both name their peer. With the
device both go to the peer's overlay address. Rounds alternate between the modes. CPU time: of the two agents, and of the whole machine
with the programs, less what others used just before the round, if that was little."""
import statistics
import subprocess
import sys

import machine
import tunnel
from daemons import PYTHON, Agent, Signpost  # found by tunnel's path
from lab import Lab, await_true

IPERF, HTTP, PROXY = 5201, 8000, 1080
LARGE, SMALL = 200_000_000, 100
REQUESTS = 40
DEVICE, USERSPACE = "signpost, device", "signpost, userspace"
QUIET = 0.2


def pair(lab, server, names, client=(), served=()):
    """Two agents and a wire between them; the options of the one that connects and of the one that is connected to."""
    ends = [lab.device(name, v6=False) for name in names]
    tunnel.wire(*ends, 1500)
    for space, other in (ends, ends[::-1]):
        space.ip("route", "add", f"{other.address4}/32", "dev", "wire")
    near, far = [Agent(server, space, up=False) for space in ends]
    far.up(*served)
    near.up(*client)
    return near, far


def go_direct(near, far, *chat):
    """The path is the direct one, once something has been said."""
    talk = near.device.popen(*chat, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        near.await_state(far, "direct")
    finally:
        talk.kill()
        talk.wait()


def userspace_pair(lab, server, names, ports):
    """These ports of the first one's loopback are the second one's."""
    forwards = [word for p in ports for word in ("--forward", f"{p}:{names[1]}:{p}")]
    serves = [word for p in ports for word in ("--serve", f"{p}:127.0.0.1:{p}")]
    return pair(lab, server, names, ["--userspace", "--proxy", str(PROXY), *forwards], ["--userspace", "--proxy", "none", *serves])


def web_server(lab, space, address):
    """Serves `large` and `small`."""
    files = lab.work / "files"
    if not files.exists():
        files.mkdir()
        for name, size in (("large", LARGE), ("small", SMALL)):
            with open(files / name, "wb") as f:
                f.truncate(size)
    space.popen(PYTHON, "-m", "http.server", HTTP, "--bind", address, "--directory", files, log="http.log")


class Subject(tunnel.Subject):
    """iperf3 as tunnel.py runs it; curl by name."""

    def __init__(self, lab, name, near, far, address, listen, curl=()):
        super().__init__(name, near.device, far.device, address, [near.process, far.process])
        self.curl_options, self.url = curl, f"http://{far.name}:{HTTP}"
        web_server(lab, far.device, listen)
        await_true(lambda: self.curl("small", "%{http_code}", False) == ["200"], lambda: f"{name}: the web server\n{lab.log_tails()}")

    def curl(self, what, form, complain=True):
        p = self.one.run("curl", "-sS", "--noproxy", "", "-m", 60, "-w", form + "\\n", *self.curl_options, "-o", "/dev/null", f"{self.url}/{what}",
                         check=False, timeout=90)
        if p.returncode != 0 and complain:
            print(f"{self.name}: curl: {p.stderr}", file=sys.stderr)
        return p.stdout.split()

    def download(self):
        """Mb/s, and the agents' CPU seconds for each GB."""
        before = self.cpu()
        rate = float(self.curl("large", "%{speed_download}")[0]) * 8 / 1e6
        return rate, (self.cpu() - before) / (LARGE / 1e9)

    def requests(self):
        """Milliseconds of small requests, one after another, each with a connection of its own: median and 99th percentile."""
        times = sorted(float(t) * 1000 for t in self.curl(f"small?[1-{REQUESTS}]", "%{time_total}"))
        return statistics.median(times), times[int(0.99 * (len(times) - 1))]


def with_device(lab, server):
    near, far = pair(lab, server, ("alice", "bob"))
    go_direct(near, far, "ping", "-i", "0.2", far.overlay)
    return Subject(lab, DEVICE, near, far, far.overlay, "::")


def without(lab, server):
    near, far = userspace_pair(lab, server, ("carol", "dave"), (IPERF, HTTP))
    go_direct(near, far, "sh", "-c", f"while true; do curl -s -m 2 http://127.0.0.1:{HTTP}/; sleep 0.2; done")
    return Subject(lab, USERSPACE, near, far, "127.0.0.1", "127.0.0.1", ["--socks5-hostname", f"127.0.0.1:{PROXY}"])


def sample(table, subject, seconds, others):
    def add(metric, value, unit):
        table.setdefault((metric, unit), {}).setdefault(subject.name, []).append(value)

    for streams in (1, 4):
        for back in (False, True):
            got, spent, agents = subject.iperf(seconds, "-P", streams, *(["-R"] if back else []))
            what = f"{streams} stream{'s' if streams > 1 else ''}, {'back' if back else 'forth'}"
            gigabytes = max(got["bytes"] / 1e9, 1e-9)
            add(f"iperf3, {what}", got["bits_per_second"] / 1e6, "Mb/s")
            add(f"CPU of the agents, {what}", agents / gigabytes, "s/GB")
            if others < QUIET:
                add(f"CPU of the machine, {what}", (spent - others * got["seconds"]) / gigabytes, "s/GB")
    rate, agents = subject.download()
    add(f"curl, {LARGE // 1_000_000} MB", rate, "Mb/s")
    add(f"CPU of the agents, curl, {LARGE // 1_000_000} MB", agents, "s/GB")
    middle, high = subject.requests()
    add("curl, a small request, p50", middle, "ms")
    add("curl, a small request, p99", high, "ms")


def rows(table):
    found = []
    for (metric, unit), samples in table.items():
        for subject, values in samples.items():
            row = {"bench": "userspace", "subject": subject, "metric": metric, "value": round(statistics.median(values), 2), "unit": unit,
                   "runs": len(values), "low": round(min(values), 2), "high": round(max(values), 2)}
            if subject == USERSPACE and DEVICE in samples:
                device = statistics.median(samples[DEVICE])
                row["ratio_to"] = {"subject": DEVICE, "ratio": round(row["value"] / max(device, 1e-9), 2)}
            found.append(row)
    return found


def bench(options):
    table, noise = {}, machine.Noise()
    with Lab() as lab:
        server = Signpost(lab)
        subjects = [with_device(lab, server), without(lab, server)]
        for r in range(options.rounds):
            others = noise.look()
            print(f"round {r + 1} of {options.rounds}", file=sys.stderr, flush=True)
            for subject in subjects:
                sample(table, subject, max(1, int(options.seconds)), others)
    return rows(table) + noise.rows("userspace")
