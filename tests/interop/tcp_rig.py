"""Namespaces with our own TCP (tcpd) at the end of a TAP device, sockets of the kernel in them, and bytes to compare."""
import contextlib
import ctypes
import itertools
import json
import os
import queue
import select
import socket
import subprocess
import threading
import time
import zlib

from conftest import BUILD

TCPD, BADWIRE = BUILD / "tests/interop/tcpd", BUILD / "tests/interop/badwire"
ECHO, DISCARD, CHECK, SOURCE, SLOW, IDLE, CLOSER, RESETTER = 7, 9, 11, 19, 20, 21, 22, 23
HERE, US = {4: "198.18.7.1", 6: "2001:db8:7::1"}, {4: "198.18.7.2", 6: "2001:db8:7::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count()

# ---- bytes ----

PATTERN_LEN = 1048573
patterns = {}


def pattern(seed):
    """The bytes of a seed, as tcpd makes them (splitmix64), twice in a row."""
    if seed not in patterns:
        words, state, mask = bytearray(), seed, (1 << 64) - 1
        while len(words) < PATTERN_LEN:
            z = state = (state + 0x9E3779B97F4A7C15) & mask
            z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
            words += (z ^ z >> 31).to_bytes(8, "little")
        patterns[seed] = memoryview(bytes(words[:PATTERN_LEN]) * 2)
    return patterns[seed]


def pieces(seed, n, size=1 << 18):
    """The first n bytes, piece by piece."""
    at, p = 0, pattern(seed)
    while at < n:
        some = min(size, n - at)
        yield p[at % PATTERN_LEN:at % PATTERN_LEN + some]
        at += some


def crc(seed, n):
    value = 0
    for piece in pieces(seed, n):
        value = zlib.crc32(piece, value)
    return value


def send_pattern(s, n, seed):
    for piece in pieces(seed, n):
        s.sendall(piece)


def receive_pattern(s, n, seed, progress=None):
    """Reads to the end: n bytes, each as it should be."""
    at, p, buf = 0, pattern(seed), bytearray(1 << 18)
    view = memoryview(buf)
    while got := s.recv_into(buf):
        assert view[:got] == p[at % PATTERN_LEN:at % PATTERN_LEN + got], f"wrong bytes at {at}"
        at += got
        if progress:
            progress(at)
    assert at == n


def read_all(s):
    out = bytearray()
    while piece := s.recv(1 << 16):
        out += piece
    return bytes(out)


# ---- namespaces ----


@contextlib.contextmanager
def inside(space):
    """What this thread opens meanwhile belongs to the namespace."""
    with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{space}") as other:
        assert libc.setns(other.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0


class Space:
    """A namespace of the kernel's."""

    congestion = None  # of its sockets; None: the system's

    def __init__(self):
        self.name = f"tcpd{os.getpid()}n{next(numbers)}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.sysctl("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        subprocess.run(["ip", "-n", self.name, *map(str, arguments)], check=True, capture_output=True)

    def run(self, *command, check=True, **settings):
        p = subprocess.run(["ip", "netns", "exec", self.name, *map(str, command)], capture_output=True, text=True, timeout=60, **settings)
        assert not check or p.returncode == 0, f"{command}: {p.returncode}\n{p.stdout}{p.stderr}"
        return p.stdout

    def sysctl(self, *settings):
        self.run("sysctl", "-qw", *settings)

    def tap(self, name, *addresses):
        self.ip("tuntap", "add", "dev", name, "mode", "tap")
        for a in addresses:
            self.ip("addr", "add", a, "dev", name)
        self.ip("link", "set", name, "up")

    def socket(self, family=4, timeout=30, **options):
        """options: SO_RCVBUF and the like, of SOL_SOCKET."""
        with inside(self.name):
            s = socket.socket(FAMILY[family], socket.SOCK_STREAM)
        s.settimeout(timeout)
        for name, value in options.items():
            s.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        if self.congestion:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self.congestion.encode())
        return s

    def connect(self, address, port, **options):
        s = self.socket(6 if ":" in address else 4, **options)
        s.connect((address, port))
        return s

    def end(self):
        subprocess.run(["ip", "netns", "del", self.name], check=True)


class Server:
    """A service of the kernel's: a thread for each connection runs handle(socket). Its results, in order of their ends, are in `results`;
    what goes wrong is raised at the end."""

    def __init__(self, space, handle, family=4, backlog=1000, port=0, **options):
        self.handle, self.results, self.stopping = handle, queue.Queue(), False
        self.listener = space.socket(family, SO_REUSEADDR=1, **options)
        self.listener.bind((HERE[family] if family == 4 else "::", port))
        self.listener.listen(backlog)
        self.listener.settimeout(None)
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.settimeout(30)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            with s:
                self.results.put(self.handle(s))
        except BaseException as e:  # as a result, to be seen by the test
            self.results.put(e)

    def result(self):
        got = self.results.get(timeout=30)
        if isinstance(got, AssertionError):
            raise got
        return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.threads[0].join(5)


def echo(s):
    while piece := s.recv(1 << 18):
        s.sendall(piece)


def sink(s):
    """Reads to the end, says how many bytes of which sum."""
    n, value, buf = 0, 0, bytearray(1 << 18)
    view = memoryview(buf)
    while got := s.recv_into(buf):
        value = zlib.crc32(view[:got], value)
        n += got
    s.sendall(f"{n} {value}\n".encode())
    return n, value


def there_and_back(s, n, seed):
    """Sends n bytes, END, and reads them back at the same time."""
    failures = []

    def write():
        try:
            send_pattern(s, n, seed)
            s.shutdown(socket.SHUT_WR)
        except OSError as e:
            failures.append(e)
    t = threading.Thread(target=write)
    t.start()
    try:
        receive_pattern(s, n, seed)
    finally:
        t.join()
    assert not failures, failures


def read_line(s):
    line = b""
    while not line.endswith(b"\n"):
        piece = s.recv(1)
        assert piece, "no line"
        line += piece
    return line.decode()


def source(s):
    n, seed = map(int, read_line(s).split())
    send_pattern(s, n, seed)


# ---- our side ----


class Program:
    """A program of ours with verbs on its standard input."""

    def __init__(self, space, *command):
        self.process = subprocess.Popen(["ip", "netns", "exec", space.name, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.heard = b""
        assert self.hear_line() == b"ready", self.process.stderr.read()

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear_line(self, seconds=60):
        out = self.process.stdout.fileno()
        while b"\n" not in self.heard:
            assert select.select([out], [], [], seconds)[0], "the program says nothing"
            some = os.read(out, 1 << 16)
            assert some, f"the program has ended: {self.process.wait(10)} {self.process.stderr.read()}"
            self.heard += some
        line, self.heard = self.heard.split(b"\n", 1)
        return line

    def hear(self):
        return json.loads(self.hear_line())

    def tell(self, line):
        self.say(line)
        return self.hear()

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        """What it said last."""
        self.process.stdin.close()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise
        assert status == 0, self.process.stderr.read()
        return self.process.stdout.read()


class Tcpd(Program):
    def __init__(self, space, *settings, tap="tap0", addresses=(f"address={US[4]}/24", f"address={US[6]}/64")):
        super().__init__(space, TCPD, f"tap={tap}", *addresses, "ipv6", *settings)

    def six(self):
        """Waits until the IPv6 address may be used: a second after the start (RFC 4862)."""
        await_true(lambda: len(self.tell("addresses")["addresses"]) == 2, "addresses")
        return self

    def counts(self):
        return self.tell("counts")

    def verb(self, verb, server, family=4, **settings):
        """Answers once it is done, which it must be without a fault."""
        got = self.tell(self.line(verb, server, family, **settings))
        assert got["ok"] and got["mismatches"] == 0, got
        return got

    def verbs(self, lines):
        """All at once; each must go well."""
        for line in lines:
            self.say(line)
        for _ in lines:
            got = self.hear()
            assert got["ok"] and got["mismatches"] == 0, got

    @staticmethod
    def line(verb, server, family=4, **settings):
        port = server.port if isinstance(server, Server) else server
        return " ".join([verb, HERE[family], str(port), *(f"{k}={v}" for k, v in settings.items())])


def await_true(check, what, seconds=15):
    until = time.monotonic() + seconds
    while not (got := check()):
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.02)
    return got


class Direct:
    """The kernel and tcpd at the two ends of one TAP device."""

    def __init__(self, *settings, **sysctls):
        self.space, self.tcpd = Space(), None
        self.space.tap("tap0", f"{HERE[4]}/24", f"{HERE[6]}/64")
        if sysctls:
            self.space.sysctl(*(f"net.ipv4.{k}={v}" for k, v in sysctls.items()))
        self.tcpd = Tcpd(self.space, *settings)

    def end(self):
        try:
            if self.tcpd:
                self.tcpd.end()
        finally:
            self.space.end()


class Wire:
    """As Direct, with a bad wire in between: kernel - f0 [badwire] f1 - bridge - tap0 [tcpd]."""

    def __init__(self, wire, *settings, **sysctls):
        self.space, self.far, self.badwire, self.tcpd = Space(), Space(), None, None
        self.space.tap("f0", f"{HERE[4]}/24", f"{HERE[6]}/64")
        if sysctls:
            self.space.sysctl(*(f"net.ipv4.{k}={v}" for k, v in sysctls.items()))
        self.space.tap("f1")
        self.far.tap("tap0")
        self.far.ip("link", "add", "bridge", "type", "bridge")
        with contextlib.ExitStack() as stack:
            stack.callback(self.end)
            self.badwire = Program(self.space, BADWIRE, "f0", "f1", *wire)
            self.space.ip("link", "set", "f1", "netns", self.far.name)  # its other end stays with the program
            for name in ("tap0", "f1"):
                self.far.ip("link", "set", name, "master", "bridge", "up")
            self.far.ip("link", "set", "bridge", "up")
            self.tcpd = Tcpd(self.far, *settings)
            stack.pop_all()

    def end(self):
        self.said = None
        try:
            if self.tcpd:
                self.tcpd.end()
            if self.badwire:
                self.said = json.loads(self.badwire.end())
        finally:
            self.space.end()
            self.far.end()
