"""Devices in network namespaces of their own behind one bridge with a signpost's, each with a real signpost-agent."""
import itertools
import json
import signal
import subprocess
import time

from conftest import AGENT

ZONE = "me.signpost"
SERVER = "198.51.100.1"
numbers = itertools.count(2)


def ip(*command, space=None):
    subprocess.run(["ip", *(["-n", space] if space else []), *map(str, command)], check=True, capture_output=True)


def await_true(check, what, seconds=15):
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.1)


class Device:
    """A namespace with an address on the bridge, and a state directory."""

    def __init__(self, net, name):
        self.net, self.name, self.number = net, f"{name}.{ZONE}", next(numbers)
        self.space, self.address = f"{net.prefix}d{self.number}", f"198.51.100.{self.number}"
        self.state, self.daemon = net.work / self.space, None
        self.plug()

    def plug(self):
        self.net.plug(self.space, f"{self.address}/24")

    def agent(self, *args, stdin=None, state=None):
        command = ["ip", "netns", "exec", self.space, str(AGENT), "--state", str(state or self.state), *map(str, args)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    def join(self, token=None, state=None, *args):
        return self.agent("join", *args, stdin=(token or self.net.invite(self.name)) + "\n", state=state)

    def joined(self):
        p = self.join()
        assert p.returncode == 0, p.stderr
        self.overlay = p.stdout.split()[1]
        return self

    def up(self, *args):
        self.log = open(self.net.work / f"{self.space}.log", "ab")
        self.daemon = subprocess.Popen(["ip", "netns", "exec", self.space, str(AGENT), "--state", str(self.state), "up", *args], stderr=self.log)
        await_true(lambda: self.status().get("state") == "up", f"{self.name} to be up")
        return self

    def log_text(self):
        return (self.net.work / f"{self.space}.log").read_text()

    def status(self):
        p = self.agent("status", "--json")
        return json.loads(p.stdout) if p.stdout else {}

    def dig(self, rdtype):
        """What stands at the name, asked at the signpost."""
        p = subprocess.run(["ip", "netns", "exec", self.net.space, "dig", f"@{SERVER}", "+short", "+tries=2", "+time=2", self.name, rdtype],
                           capture_output=True, text=True)
        assert p.returncode == 0, p.stdout
        return sorted(p.stdout.split("\n")[:-1])

    def stop(self, sig=signal.SIGTERM):
        if self.daemon is None or self.daemon.poll() is not None:
            return self.daemon and self.daemon.returncode
        self.daemon.send_signal(sig)
        return self.daemon.wait(40)


class Net:
    device_class, server = Device, SERVER

    def __init__(self, work, start_signpost):
        self.work, self.prefix, self.devices = work, f"sa{time.monotonic_ns() % 10**6}", []
        self.space = self.prefix + "s"
        ip("netns", "add", self.space)
        ip("link", "set", "lo", "up", space=self.space)
        self.bridge()
        self.signpost = start_signpost(listen=[f"{self.server}:53"], netns=self.space)
        self.signpost.ctl("zone", "add", ZONE, "--address", self.server)

    def bridge(self):
        ip("link", "add", "bridge", "type", "bridge", space=self.space)
        ip("addr", "add", f"{SERVER}/24", "dev", "bridge", space=self.space)
        ip("link", "set", "bridge", "up", space=self.space)

    def plug(self, space, address):
        ip("netns", "add", space)
        ip("link", "set", "lo", "up", space=space)
        ip("link", "add", f"p{space}", "type", "veth", "peer", "name", "eth0", "netns", space, space=self.space)
        ip("link", "set", f"p{space}", "master", "bridge", "up", space=self.space)
        ip("addr", "add", address, "dev", "eth0", space=space)
        ip("link", "set", "eth0", "up", space=space)

    def device(self, name):
        self.devices.append(self.device_class(self, name))
        return self.devices[-1]

    def invite(self, name):
        return self.signpost.ctl("invite", ZONE, name.removesuffix("." + ZONE), "--address", self.server).strip()

    def end(self):
        for d in self.devices:
            d.stop(signal.SIGKILL)
            ip("netns", "del", d.space)
        self.signpost.stop()
        ip("netns", "del", self.space)


def device_of(d, name="signpost0"):
    """The overlay's network device as the kernel tells it: link, global and other addresses, routes; None without one."""
    links = json.loads(subprocess.run(["ip", "-n", d.space, "-j", "addr", "show"], check=True, capture_output=True, text=True).stdout)
    routes = json.loads(subprocess.run(["ip", "-n", d.space, "-6", "-j", "route"], check=True, capture_output=True, text=True).stdout)
    for link in links:
        if link["ifname"] == name:
            return link, [(a["local"], a["prefixlen"]) for a in link["addr_info"]], [r["dst"] for r in routes if r.get("dev") == name]
    return None
