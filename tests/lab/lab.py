"""Labs: small internets out of network namespaces, on one machine, gone when they end.

    lab = Lab()
    home = lab.gateway("home", nat=dict(mapping="eim", filter="apdf", delay=20))
    laptop, phone = home.device("laptop"), lab.device("phone")
    ...
    lab.end()

Everything hangs on one router, `internet`: devices with public addresses, and gateways with a LAN behind them (and gateways behind
gateways: carrier-grade NAT). Public networks are 45.10.N.0/24 and 2a0a:10:N::/64, LANs 192.168.N.0/24 (a carrier's 100.64.N.0/24) and
2a0a:20:N::/64; the router is .1. Documentation ranges would do as little harm, but programs treat them specially."""
import atexit
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from natbox import Nat

os.environ["PATH"] += ":/usr/sbin:/sbin"
labs = itertools.count()


def run(*command, check=True, stdin=None, timeout=60):
    p = subprocess.run(list(map(str, command)), input=stdin, capture_output=True, text=True, timeout=timeout)
    if check and p.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {p.returncode}\n{p.stdout}{p.stderr}")
    return p


def await_true(check, what, seconds=20, pause=0.05):
    """The first true value of check(); seconds is when a broken program is given up, not a measure of a good one."""
    until = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"waited in vain for {what() if callable(what) else what}")
        time.sleep(pause)


def nodad(address):
    """For `ip addr add`: an IPv6 address is the host's own at once, not only when the kernel has come round to it."""
    return ["nodad"] if ":" in address else []


class Space:
    """A network namespace, with the processes that were started in it."""

    def __init__(self, lab, name):
        self.lab, self.name, self.ns = lab, name, f"{lab.prefix}-{name}"
        self.address4 = self.address6 = None
        run("ip", "netns", "add", self.ns)
        lab.spaces.append(self)
        self.ip("link", "set", "lo", "up")
        # IPv6 works at once: nobody has the same address.
        run(*Space.enter(self), "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")

    def enter(self):
        return ["ip", "netns", "exec", self.ns]

    def ip(self, *args):
        return run("ip", "-n", self.ns, *args).stdout

    def run(self, *command, **settings):
        return run(*self.enter(), *command, **settings)

    def popen(self, *command, log=None, **settings):
        """A process that ends with the lab; with `log`, what it prints goes into that file of the lab."""
        if log:
            with open(self.lab.work / log, "ab") as f:
                p = subprocess.Popen([*self.enter(), *map(str, command)], stdin=subprocess.DEVNULL, stdout=f, stderr=f, **settings)
        else:
            p = subprocess.Popen([*self.enter(), *map(str, command)], **settings)
        self.lab.processes.append(p)
        return p

    def forwards(self):
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def nft(self, rules):
        self.run("nft", "-f", "-", stdin=rules)

    def disturb(self, rules):
        """Rules of the chain `forward` (or `output`: a line `output: RULE`) that stand in place of the last ones; "" for none."""
        lines = [line.strip() for line in rules.strip().splitlines()]
        forward = "\n".join(line for line in lines if not line.startswith("output:"))
        output = "\n".join(line.removeprefix("output:") for line in lines if line.startswith("output:"))
        self.nft(f"""
            table inet disturbance {{}}
            delete table inet disturbance
            table inet disturbance {{
                chain through {{
                    type filter hook forward priority -5
                    {forward}
                }}
                chain out {{
                    type filter hook output priority -5
                    {output}
                }}
            }}
            """)

    def end(self):
        run("ip", "netns", "del", self.ns, check=False)


class Router(Space):
    """The internet: forwards between the networks that are plugged into it."""

    def __init__(self, lab, name="internet"):
        super().__init__(lab, name)
        self.forwards()

    def plug(self, space, dev, v4=True, v6=True, mtu=1500, number=None):
        """A network of its own, number N: the router is .1 and the other .2, which becomes space's default route."""
        n = number or self.lab.number()
        port = f"n{n}"
        self.ip("link", "add", port, "mtu", mtu, "type", "veth", "peer", "name", dev, "mtu", mtu, "netns", space.ns)
        space.address4 = f"45.10.{n}.2" if v4 else None
        space.address6 = f"2a0a:10:{n}::2" if v6 else None
        for own, other, length in ((f"45.10.{n}.1", space.address4, 24), (f"2a0a:10:{n}::1", space.address6, 64)):
            if other:
                self.ip("addr", "add", f"{own}/{length}", "dev", port, *nodad(own))
                space.ip("addr", "add", f"{other}/{length}", "dev", dev, *nodad(other))
        self.ip("link", "set", port, "up")
        space.ip("link", "set", dev, "up")
        space.default_routes(dev, f"45.10.{n}.1" if v4 else None, f"2a0a:10:{n}::1" if v6 else None)
        return n


class Host(Space):
    """Something with a way out."""

    def default_routes(self, dev, via4, via6):
        for family, via in (("-4", via4), ("-6", via6)):
            if via:
                self.ip(family, "route", "replace", "default", "via", via, "dev", dev)


class Gateway(Host):
    """A router with `wan` outside and the bridge `lan` inside. nat: settings of Nat, or None: it routes public addresses as they are,
    as far as the LAN has any (v6). firewall: only what answers comes in, for both families."""

    def __init__(self, lab, name, behind=None, nat=None, v4=True, v6=False, firewall=False, mtu=1500, carrier=False):
        super().__init__(lab, name)
        self.v4, self.v6 = v4, v6
        self.forwards()
        self.n = (behind or lab.internet).plug(self, "wan", v4=v4, v6=v6, mtu=mtu)
        self.lan4 = f"100.64.{self.n}" if carrier else f"192.168.{self.n}"
        self.lan6 = f"2a0a:20:{self.n}:"
        self.hosts = itertools.count(2)
        self.ip("link", "add", "lan", "type", "bridge")
        if v4:
            self.ip("addr", "add", f"{self.lan4}.1/24", "dev", "lan")
        if v6:
            self.ip("addr", "add", f"{self.lan6}:1/64", "dev", "lan", "nodad")
            (behind or lab.internet).ip("-6", "route", "add", f"{self.lan6}:/64", "via", self.address6)
        self.ip("link", "set", "lan", "up")
        if firewall:
            self.firewall()
        self.nat = Nat(self, **nat) if nat is not None else None

    def firewall(self):
        self.nft("""
            table inet firewall {
                chain passing {
                    type filter hook forward priority 0
                    iif "wan" ct state established,related accept
                    iif "wan" drop
                }
            }
            """)

    def plug(self, space, dev, v4=True, v6=True, mtu=1500, isolated=False):
        """Onto the LAN, with the next address there. isolated: the LAN's other ports cannot be reached."""
        h = next(self.hosts)
        port = f"p{h}"
        self.ip("link", "add", port, "mtu", mtu, "type", "veth", "peer", "name", dev, "mtu", mtu, "netns", space.ns)
        self.ip("link", "set", port, "master", "lan", "up")
        if isolated:
            self.run("bridge", "link", "set", "dev", port, "isolated", "on")
        space.ip("link", "set", dev, "up")
        v4, v6 = v4 and self.v4, v6 and self.v6
        space.address4 = f"{self.lan4}.{h}" if v4 else None
        space.address6 = f"{self.lan6}:{h}" if v6 else None
        if v4:
            space.ip("addr", "add", f"{space.address4}/24", "dev", dev)
        if v6:
            space.ip("addr", "add", f"{space.address6}/64", "dev", dev, "nodad")
        space.default_routes(dev, f"{self.lan4}.1" if v4 else None, f"{self.lan6}:1" if v6 else None)
        return self.lab.number()

    def device(self, name, **settings):
        return self.lab.device(name, at=self, **settings)


class Device(Host):
    """A person's machine: its own network, and its own /etc and /run, so that what an agent does to the resolver stays there."""

    SETUP = """set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 private "$1"
mkdir "$1/etc" "$1/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/work" overlay /etc
mount -t tmpfs -o mode=755 run /run
rm -f /etc/resolv.conf
printf 'nameserver 127.0.0.53\\noptions timeout:1 attempts:1\\n' >/etc/resolv.conf
printf 'passwd: files\\ngroup: files\\nhosts: files dns\\n' >/etc/nsswitch.conf
echo ready
exec sleep infinity"""

    def __init__(self, lab, name, at=None, **settings):
        super().__init__(lab, name)
        self.private = lab.work / f"{name}.private"
        self.private.mkdir()
        self.holder = subprocess.Popen([*super().enter(), "unshare", "--mount", "sh", "-c", self.SETUP, "sh", str(self.private)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lab.processes.append(self.holder)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: no mount namespace: {self.holder.stderr.read()}")
        self.at = None
        self.plug(at, **settings)

    def enter(self):
        return ["nsenter", "--target", str(self.holder.pid), "--mount", "--net", "--"]

    def plug(self, at=None, **settings):
        """Onto a gateway's LAN, or the internet."""
        self.at = at or self.lab.internet
        self.at.plug(self, "eth0", **settings)

    def unplug(self):
        self.ip("link", "del", "eth0")

    def firewall(self):
        """A host's own: what nobody here asked for is dropped."""
        self.nft("""
            table inet firewall {
                chain arriving {
                    type filter hook input priority 0
                    iifname != "eth0" accept
                    ct state established,related accept
                    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
                    drop
                }
            }
            """)

    def resolv_conf(self, text):
        self.run("sh", "-c", "cat >/etc/resolv.conf", stdin=text)

    def nsswitch(self, hosts):
        self.run("sh", "-c", "cat >/etc/nsswitch.conf", stdin=f"passwd: files\ngroup: files\nhosts: {hosts}\n")


class Lab:
    def __init__(self, work=None):
        self.prefix = f"lab-{os.getpid()}.{next(labs)}"
        self.own_work = work is None
        self.work = pathlib.Path(work or tempfile.mkdtemp(prefix="signpost-lab-"))
        self.numbers = itertools.count(1)
        self.spaces, self.processes, self.ended = [], [], False
        atexit.register(self.end)
        self.internet = Router(self)

    def number(self):
        return next(self.numbers)

    def gateway(self, name, **settings):
        return Gateway(self, name, **settings)

    def device(self, name, at=None, **settings):
        return Device(self, name, at, **settings)

    def host(self, name, **settings):
        """A server on the internet, with public addresses and the machine's own files."""
        host = Host(self, name)
        self.internet.plug(host, "eth0", **settings)
        return host

    def log_tails(self, lines=15):
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
                         for log in sorted(self.work.glob("*.log")))

    def end(self):
        if self.ended:
            return
        self.ended = True
        atexit.unregister(self.end)
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        until = time.monotonic() + 5
        for p in self.processes:
            try:
                p.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            for pipe in (p.stdin, p.stdout, p.stderr):
                if pipe:
                    pipe.close()
        for space in reversed(self.spaces):
            space.end()
        if self.own_work:
            shutil.rmtree(self.work, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
