"""Userspace mode: agents without privileges and without a network device. Local programs reach the zone's devices by the proxy (SOCKS5,
HTTP CONNECT) and by forwards, and peers reach what is served; bytes are compared."""
import contextlib
import hashlib
import http.server
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import AGENT
from devices import ZONE, await_true, ip
from test_path import RoutedDevice, RoutedNet

ORDINARY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
PROXY = 1080


def in_space(space, make):
    """Calls make() in a thread that has entered the network namespace; what it opened stays there."""
    result = []

    def enter():
        with open(f"/run/netns/{space}") as f:
            if libc().setns(f.fileno(), 0x40000000) != 0:
                raise OSError("setns")
        try:
            result.append(make())
        except OSError as e:
            result.append(e)

    t = threading.Thread(target=enter)
    t.start()
    t.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def libc():
    import ctypes
    return ctypes.CDLL(None, use_errno=True)


def read_all(sock, most=1 << 40):
    parts, n = [], 0
    while n < most:
        data = sock.recv(1 << 16)
        if not data:
            break
        parts.append(data)
        n += len(data)
    return b"".join(parts)


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        assert piece, f"the connection ended after {len(data)} of {n} bytes"
        data += piece
    return data


def pattern(size, seed=1):
    return random.Random(seed).randbytes(size)


class Server:
    """A TCP server in a device's namespace, at its loopback or elsewhere; `serve` gets each connection in a thread of its own."""

    def __init__(self, device, serve, address="127.0.0.1", port=0):
        def listen():
            return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=128)

        self.sock = in_space(device.space, listen)
        self.port = self.sock.getsockname()[1]
        self.serve, self.errors = serve, []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.sock.accept()
                threading.Thread(target=self.one, args=(conn,), daemon=True).start()

    def one(self, conn):
        with conn:
            try:
                self.serve(conn)
            except (OSError, AssertionError) as e:
                self.errors.append(e)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def echo(conn):
    while data := conn.recv(1 << 16):
        conn.sendall(data)


class UserDevice(RoutedDevice):
    """An agent of an ordinary user: no root, no capability."""
    privileged = False

    def run_as(self):
        return [] if self.privileged else ORDINARY

    def agent(self, *args, stdin=None, state=None):
        command = ["ip", "netns", "exec", self.space, *self.run_as(), str(AGENT), "--state", str(state or self.state), *map(str, args)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    def plug(self):
        super().plug()
        self.state.mkdir()
        if not self.privileged:
            os.chown(self.state, 65534, 65534)
        self.state.chmod(0o700)

    def start(self, *args):
        self.log = open(self.net.work / f"{self.space}.log", "ab")
        command = ["ip", "netns", "exec", self.space, *self.run_as(), str(AGENT), "--state", str(self.state), "up", *map(str, args)]
        self.daemon = subprocess.Popen(command, stderr=self.log)
        return self

    def up(self, *args):
        self.start(*([] if self.privileged else ["--userspace"]), *(["--dns", "none"] if self.privileged else []), *args)
        await_true(lambda: self.status().get("session", {}).get("state") == "up", f"the session of {self.name}: {self.log_text()}", 30)
        return self

    def connect(self, port, address="127.0.0.1", timeout=30):
        def make():
            return socket.create_connection((address, port), timeout=timeout)

        return in_space(self.space, make)

    def socks(self, host, port, timeout=30):
        """A connection through the proxy, by name; the reply code if it is not 0."""
        s = self.connect(PROXY, timeout=timeout)
        s.sendall(b"\5\1\0")
        assert read_exactly(s, 2) == b"\5\0"
        s.sendall(b"\5\1\0\3" + bytes([len(host)]) + host.encode() + struct.pack(">H", port))
        reply = read_exactly(s, 10)
        if reply[1] != 0:
            s.close()
            return reply[1]
        return s

    def userspace(self):
        return self.status()["userspace"]


class RootDevice(UserDevice):
    """Its peer with a TUN device."""
    privileged = True


class UserNet(RoutedNet):
    device_class = UserDevice

    def root_device(self, name):
        d = RootDevice(self, name)
        self.devices.append(d)
        return d.joined()


@pytest.fixture(scope="module")
def net(start_signpost):
    work = tempfile.mkdtemp(prefix="signpost-userspace-")
    os.chmod(work, 0o755)
    from pathlib import Path
    n = UserNet(Path(work), start_signpost)
    yield n
    n.end()
    shutil.rmtree(work)


@pytest.fixture(scope="module")
def server(net):
    """A device that serves: 80 is an HTTP server, 7 echoes, 9 reads slowly or not at all, as its test wants."""
    d = net.device("server")
    d.echo = Server(d, echo)
    d.sized = Server(d, lambda conn: sized(conn))
    d.hold = Server(d, lambda conn: d.holder(conn))
    return d.up("--proxy", "none", "--serve", f"7:{d.echo.port}", "--serve", f"80:127.0.0.1:{d.sized.port}", "--serve",
                f"9:{d.hold.port}", "--serve", "13:1")


def sized(conn):
    """HTTP as far as it is needed here: GET /N gives N bytes of a pattern; PUT gives the hash of what came."""
    f = conn.makefile("rb")
    method, path, _ = f.readline().decode().split()
    length = 0
    while (line := f.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line.lower().startswith(b"expect: 100"):
            conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if method == "GET":
        body = pattern(int(path[1:]))
    else:
        body = hashlib.sha256(f.read(length)).hexdigest().encode()
    conn.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture(scope="module")
def laptop(net, server):
    return net.device("laptop").up("--forward", "8007:server:7", "--forward", f"127.0.0.1:8080:server.{ZONE}:80", "--forward", "8009:server:9",
                                   "--forward", "8099:nobody:7")


def curl(device, *args):
    return device.run("curl", "-sS", "--max-time", "60", *args)


def test_curl_through_socks(laptop, server):
    p = curl(laptop, "--socks5-hostname", f"127.0.0.1:{PROXY}", f"http://server.{ZONE}/20000", "-o", str(laptop.net.work / "got"))
    assert p.returncode == 0, p.stderr + laptop.log_text()
    assert (laptop.net.work / "got").read_bytes() == pattern(20000)


def test_curl_through_http_connect(laptop, server):
    p = curl(laptop, "--proxytunnel", "-x", f"http://127.0.0.1:{PROXY}", "http://server/30000", "-o", str(laptop.net.work / "got"))
    assert p.returncode == 0, p.stderr
    assert (laptop.net.work / "got").read_bytes() == pattern(30000)


def test_a_forward(laptop, server):
    with laptop.connect(8007) as s:
        for i in range(50):
            s.sendall(b"line %d\n" % i)
            assert read_exactly(s, len(b"line %d\n" % i)) == b"line %d\n" % i


def test_a_large_transfer_both_ways(laptop, server):
    """50 MB down and up, byte for byte."""
    size = 50_000_000
    began = time.monotonic()
    p = curl(laptop, "--socks5-hostname", f"127.0.0.1:{PROXY}", f"http://server/{size}", "-o", str(laptop.net.work / "got"), "-w",
             "%{speed_download}")
    assert p.returncode == 0, p.stderr
    assert (laptop.net.work / "got").read_bytes() == pattern(size)
    print("down:", float(p.stdout) * 8 / 1e6, "Mbit/s;", time.monotonic() - began)
    p = curl(laptop, "--socks5-hostname", f"127.0.0.1:{PROXY}", "-T", str(laptop.net.work / "got"), "http://server/put", "-w", " %{speed_upload}")
    assert p.returncode == 0, p.stderr
    digest, speed = p.stdout.split()
    assert digest == hashlib.sha256(pattern(size)).hexdigest()
    print("up:", float(speed) * 8 / 1e6, "Mbit/s")
