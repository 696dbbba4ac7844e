"""signpostd, signpost-agent and the programs that talk through them, each in its place in a lab."""
import ipaddress
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab import await_true

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SIGNPOST_BUILD", TOP / "build"))
SIGNPOSTD, SIGNPOSTCTL = BUILD / "signpostd/linux/signpostd", BUILD / "signpostd/ctl/signpostctl"
AGENT = BUILD / "client/cli/signpost-agent"
ECHO = pathlib.Path(__file__).with_name("echo.py")
PYTHON = "/usr/bin/python3"
ZONE = "me.signpost"
PORT = 7777
ROOT_HASH = 32


def ed25519_to_x25519(public):
    """The WireGuard key that follows from a device's key (RFC 7748 4.1: u = (1 + y) / (1 - y))."""
    p = 2 ** 255 - 19
    y = int.from_bytes(public, "little") & (2 ** 255 - 1)
    return ((1 + y) * pow(1 - y, -1, p) % p).to_bytes(32, "little")


class Signpost:
    """signpostd on a host of its own with one public IPv4 address or two, and an IPv6 address."""

    def __init__(self, lab, name="signpost", addresses=1, v6=True, config=None, ports=(53,), arguments=(), **settings):
        self.lab, self.host = lab, lab.host(name, v6=v6, **settings)
        self.addresses = [self.host.address4]
        if addresses == 2:
            self.addresses.append(self.host.address4.rsplit(".", 1)[0] + ".3")
            self.host.ip("addr", "add", f"{self.addresses[1]}/24", "dev", "eth0")
        if v6:
            self.addresses.append(self.host.address6)
        self.data = lab.work / f"{name}.data"
        self.data.mkdir(mode=0o700)
        self.log, self.arguments = f"{name}.log", list(arguments)
        for port in ports:
            for a in self.addresses:
                self.arguments += ["--listen", f"[{a}]:{port}" if ":" in a else f"{a}:{port}"]
        if config is not None:
            (self.data / "conf").write_text(config)
            self.arguments += ["--config", str(self.data / "conf")]
        self.start()
        self.ctl("zone", "add", ZONE, *sum((["--address", a] for a in self.addresses), []))

    def start(self):
        self.process = self.host.popen(SIGNPOSTD, "--data", self.data, *self.arguments, log=self.log)
        await_true(self.ready, lambda: "signpostd:\n" + self.lab.log_tails())

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError("signpostd ended:\n" + self.lab.log_tails())
        p = self.ctl("--json", "status", check=False)
        return p.returncode == 0 and json.loads(p.stdout)["ready"]

    def ctl(self, *args, check=True):
        p = self.host.run(SIGNPOSTCTL, "--data", self.data, *args, check=check)
        return p.stdout if check else p

    def metrics(self):
        """Counters by name; several of one name (labels) stand as name{labels}."""
        found = {}
        for line in self.ctl("metrics").splitlines():
            name, _, value = line.strip().rpartition(" ")
            if name and not name.startswith("#"):
                found[name] = float(value)
        return found

    def invite(self, name):
        return self.ctl("invite", ZONE, name, *sum((["--address", a] for a in self.addresses), [])).strip()

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(20)


class Agent:
    """A device's agent; joined when made."""

    def __init__(self, signpost, device, name=None, up=True, arguments=()):
        self.signpost, self.device, self.label = signpost, device, name or device.name
        self.name = f"{self.label}.{ZONE}"
        self.state, self.log = device.lab.work / f"{self.label}.state", f"{self.label}.log"
        self.process = None
        p = self.run("join", stdin=signpost.invite(self.label) + "\n")
        self.overlay = p.stdout.split()[1]
        prefix = ipaddress.ip_network(f"{self.overlay}/64", strict=False)[0]
        device.resolv_conf(f"nameserver {prefix}53\noptions timeout:2 attempts:3\n")
        if up:
            self.up(*arguments)

    def run(self, *args, **settings):
        return self.device.run(AGENT, "--state", self.state, *args, **settings)

    def up(self, *args):
        self.process = self.device.popen(AGENT, "--state", self.state, "up", *args, log=self.log)
        await_true(self.is_up, lambda: f"{self.name} to be up: {self.status()}\n{self.device.lab.log_tails()}")
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended\n{self.device.lab.log_tails()}")
        return self.session().get("state") == "up"

    def settled(self):
        """Waits until the agent knows its network, which decides what a plan holds; not for ever: some networks tell nothing."""
        until = time.monotonic() + 8
        while (self.status().get("net") or {}).get("mapping", "unknown") == "unknown" and time.monotonic() < until:
            time.sleep(0.05)
        return self

    def identity(self):
        """What stands in the state directory (client/core/stored.c): the keys of device and signpost."""
        data, at, names = (self.state / "identity").read_bytes(), 6, []
        for _ in range(2):
            begin = at
            while data[at]:
                at += 1 + data[at]
            at += 1
            names.append(data[begin:at])
        signpost, seed = data[at + ROOT_HASH:at + ROOT_HASH + 32], data[at + ROOT_HASH + 32:at + ROOT_HASH + 64]
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"signpost": signpost, "seed": seed, "public": public}

    def status(self):
        p = self.run("status", "--json", check=False)
        return json.loads(p.stdout) if p.stdout.startswith("{") else {}

    def session(self):
        return self.status().get("session") or {}

    def peer(self, other):
        """What status says of that peer; {} when it has no line."""
        peers = self.status().get("peers") or []
        return next((p for p in peers if p["name"].rstrip(".") == other.name), {})

    def await_state(self, other, *states, seconds=30):
        return await_true(lambda: (p := self.peer(other)).get("state") in states and p,
                          lambda: f"{self.name} to reach {other.name} by {states}: {self.peer(other)}\n{self.device.lab.log_tails()}", seconds)

    def serve(self):
        """Echoes UDP and TCP on PORT; returns when it listens."""
        p = self.device.popen(PYTHON, ECHO, "serve", PORT, stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "listening\n"
        return p

    def echo_command(self, verb, other, *args):
        return [PYTHON, ECHO, verb, other.name, PORT, *args]

    def echo(self, verb, other, *args, seconds=60):
        """One of echo.py's exchanges with that peer's server, by name; its result."""
        p = self.device.run(*self.echo_command(verb, other, *args), check=False, timeout=seconds)
        if p.returncode != 0:
            raise AssertionError(f"{self.name} {verb} {other}: {p.stdout}{p.stderr}\n{self.device.lab.log_tails()}")
        return json.loads(p.stdout.splitlines()[-1])

    def start_flow(self, other, *args):
        return Flow(self.device.popen(*self.echo_command("flow", other, *args), stdout=subprocess.PIPE))

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(20)


class Flow:
    """A TCP connection that a peer echoes, with every byte checked; says what it has had back so far."""

    def __init__(self, process):
        self.process, self.bytes, self.longest_pause = process, 0, 0.0
        os.set_blocking(process.stdout.fileno(), False)
        self.rest = ""

    def progress(self):
        while True:
            try:
                text = os.read(self.process.stdout.fileno(), 65536).decode()
            except BlockingIOError:
                break
            if not text:
                break
            self.rest += text
        *lines, self.rest = self.rest.split("\n")
        for line in lines:
            row = json.loads(line)
            self.bytes, self.longest_pause = row["bytes"], max(self.longest_pause, row["pause"])
        assert self.process.poll() in (None, 0), "the connection broke"
        return self.bytes

    def moves(self, seconds=30, more=20000):
        """Waits until that many more bytes have come back."""
        goal = self.progress() + more
        await_true(lambda: self.progress() >= goal, lambda: f"the connection to go on after {self.bytes} bytes", seconds)
        return self

    def finish(self):
        """Closes the connection in order: all that was sent came back. The number of bytes."""
        self.process.send_signal(signal.SIGINT)
        until = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < until:
            self.progress()
            time.sleep(0.05)
        self.progress()
        assert self.process.returncode == 0
        return self.bytes


if __name__ == "__main__":
    sys.exit("a module of the lab's tests")
