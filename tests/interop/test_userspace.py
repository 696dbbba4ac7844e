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


def test_half_closes_are_passed_on(laptop, server):
    """Who has said all still hears the rest; both directions."""
    data = pattern(3_000_000, 2)
    with laptop.connect(8007) as s:
        def send():
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)

        t = threading.Thread(target=send)
        t.start()
        assert read_all(s) == data
        t.join()

    def says_first(conn):
        conn.sendall(b"greeting")
        conn.shutdown(socket.SHUT_WR)
        heard.append(read_all(conn))
        done.set()

    heard, done = [], threading.Event()
    server.holder = says_first
    with laptop.connect(8009) as s:
        assert read_all(s) == b"greeting"
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        assert done.wait(20) and heard == [data]


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_resets_are_passed_on(laptop, server):
    def resets(conn):
        read_exactly(conn, 5)
        reset(conn)

    server.holder = resets
    with laptop.connect(8009) as s:
        s.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            s.recv(1)

    broken = threading.Event()

    def hears(conn):
        try:
            read_exactly(conn, 5)
            conn.recv(1)
        except ConnectionResetError:
            broken.set()

    server.holder = hears
    s = laptop.connect(8009)
    s.sendall(b"hello")
    time.sleep(0.3)
    reset(s)
    assert broken.wait(10)


def test_an_interactive_session(laptop, server):
    """Many small turns, each answered before the next."""
    with laptop.socks("server", 7) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.monotonic()
        for i in range(500):
            s.sendall(b"%5d" % i)
            assert read_exactly(s, 5) == b"%5d" % i
        print("a turn:", (time.monotonic() - began) / 500 * 1e6, "us")


def refused(p, code, words):
    """curl's own words for a SOCKS reply, or the proxy's for HTTP."""
    assert p.returncode != 0
    assert words in p.stderr or str(code) in p.stderr, p.stderr


@pytest.mark.parametrize("host,port,socks,status,word", [
    ("example.net", 80, 2, 403, "devices of the zone"),
    ("93.184.216.34", 80, 2, 403, "devices of the zone"),
    ("[2001:db8::1]", 80, 2, 403, "devices of the zone"),
    ("127.0.0.1", 22, 2, 403, "devices of the zone"),
    ("localhost", 22, 4, 502, "no device"),
    ("nobody", 80, 4, 502, "no device"),
    ("laptop", 7, 2, 403, "this device itself"),
    ("signpost", 53, 2, 403, "signpost"),
    ("server", 81, 5, 502, "refused"),
    (f"server.{ZONE}.", 81, 5, 502, "refused"),
])
def test_what_the_proxy_refuses_it_explains(laptop, server, host, port, socks, status, word):
    assert laptop.socks(host, port) == socks
    with laptop.connect(PROXY) as s:
        s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = read_all(s).decode()
        assert answer.startswith(f"HTTP/1.1 {status} ") and word in answer, answer


def test_words_that_are_no_request(laptop):
    for said, answer in [
        (b"GET http://server/ HTTP/1.1\r\nHost: server\r\n\r\n", b"HTTP/1.1 405 "),
        (b"CONNECT server HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"CONNECT server:0 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"CONNECT server:70000 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"\5\1\2", b"\5\xff"),  # a password alone is offered
        (b"\5\1\0\5\2\0\1\1\2\3\4\0\1", b"\5\0\5\7"),  # BIND
        (b"\5\1\0\5\3\0\1\1\2\3\4\0\1", b"\5\0\5\7"),  # UDP ASSOCIATE
        (b"\5\1\0\5\1\0\2\1\2\3\4\0\1", b"\5\0\5\x08"),  # an address of no known type
        (b"\4\1\0\1\1\2\3\4\0", b""),  # SOCKS4
        (b"X" * 5000, b"HTTP/1.1 405 "),
        (b"CONNECT server:7 HTTP/1.1\r\n" + b"A: b\r\n" * 1000, b"HTTP/1.1 400 "),
    ]:
        with laptop.connect(PROXY) as s:
            with contextlib.suppress(ConnectionError):
                s.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                got = b""
                while data := s.recv(4096):
                    got += data
            assert got.startswith(answer) and (answer or got == b""), (said[:40], got)


def test_a_request_in_pieces_and_data_behind_it(laptop, server):
    """Every byte on its own, and then all in one piece with the first words to the device."""
    with laptop.connect(PROXY) as s:
        for byte in b"\5\2\1\0" + b"\5\1\0\3\6server\0\7":
            s.sendall(bytes([byte]))
            time.sleep(0.01)
        assert read_exactly(s, 12) == b"\5\0\5\0\0\1\0\0\0\0\0\0"
        s.sendall(b"after")
        assert read_exactly(s, 5) == b"after"
    with laptop.connect(PROXY) as s:
        s.sendall(b"\5\1\0\5\1\0\3\6server\0\7early")
        assert read_exactly(s, 12 + 5) == b"\5\0\5\0\0\1\0\0\0\0\0\0early"
    with laptop.connect(PROXY) as s:
        s.sendall(b"CONNECT server:7 HTTP/1.1\r\nProxy-Authorization: x\r\n\r\nearly")
        said = b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert read_exactly(s, len(said) + 5) == said + b"early"


def test_addresses_of_the_overlay_are_taken(laptop, server):
    with laptop.connect(PROXY) as s:
        s.sendall(b"\5\1\0\5\1\0\4" + socket.inet_pton(socket.AF_INET6, server.overlay) + b"\0\7hello")
        assert read_exactly(s, 17)[12:] == b"hello"
    p = curl(laptop, "-g", "--proxytunnel", "-x", f"http://127.0.0.1:{PROXY}", f"http://[{server.overlay}]/100", "-o",
             str(laptop.net.work / "got"))
    assert p.returncode == 0 and (laptop.net.work / "got").read_bytes() == pattern(100), p.stderr
    stranger = server.overlay.rsplit(":", 1)[0] + ":1234"
    with laptop.connect(PROXY) as s:
        s.sendall(f"CONNECT [{stranger}]:7 HTTP/1.1\r\n\r\n".encode())
        assert b"502" in read_all(s)


def test_a_forward_to_nobody_is_reset(laptop):
    with pytest.raises(ConnectionResetError), laptop.connect(8099) as s:
        s.recv(1)


def test_a_served_port_whose_server_is_down(laptop, server):
    s = laptop.socks("server", 13)
    with pytest.raises(ConnectionResetError):
        s.recv(1)
    assert server.userspace()["counts"]["local_failed"] >= 1


def test_what_is_not_served_is_refused_and_nothing_reaches_the_loopback(laptop, server):
    """The server's own services at its loopback, an open one among them."""
    own = Server(server, echo)
    assert laptop.socks("server", own.port) == 5
    assert server.userspace()["refusals"]["not_served"] >= 1
    own.close()


def test_a_thousand_short_connections(laptop, server):
    began, before = time.monotonic(), server.userspace()["counts"]["opened"]
    failed = []

    def some(first):
        for i in range(first, 1000, 10):
            try:
                with laptop.connect(8007) if i % 2 else laptop.socks("server", 7) as s:
                    s.sendall(b"%d" % i)
                    s.shutdown(socket.SHUT_WR)
                    assert read_all(s) == b"%d" % i
            except (OSError, AssertionError, AttributeError) as e:
                failed.append((i, e))

    threads = [threading.Thread(target=some, args=(i,)) for i in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed[:3]
    print("1,000 connections:", time.monotonic() - began, "s")
    assert server.userspace()["counts"]["opened"] - before == 1000
    await_true(lambda: laptop.userspace()["connections"] == 0 and server.userspace()["connections"] == 0, "connections to end")


def test_a_slow_reader_blocks_nobody(laptop, server):
    """One that reads nothing holds up neither the others nor, once it reads, its own bytes."""
    data, sent = pattern(40_000_000, 3), threading.Event() # more than all buffers of both hosts

    def floods(conn):
        conn.sendall(data)
        sent.set()

    server.holder = floods
    with laptop.connect(8009) as slow:
        time.sleep(0.5)
        assert not sent.is_set()
        with laptop.socks("server", 7) as s:
            for i in range(100):
                s.sendall(b"quick")
                assert read_exactly(s, 5) == b"quick"
        p = curl(laptop, "--socks5-hostname", f"127.0.0.1:{PROXY}", "http://server/5000000", "-o", str(laptop.net.work / "got"))
        assert p.returncode == 0 and (laptop.net.work / "got").read_bytes() == pattern(5_000_000)
        assert read_all(slow) == data


def test_a_server_that_does_not_read_holds_up_its_client(laptop, server):
    """Credit ends: what nobody takes is not read from the program either."""
    go, got = threading.Event(), []

    def waits(conn):
        go.wait(30)
        got.append(hashlib.sha256(read_all(conn)).digest())

    server.holder = waits
    data, at = pattern(20_000_000, 4), 0
    with laptop.connect(8009, timeout=2) as s:
        s.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while at < len(data):
                at += s.send(data[at:at + 65536])
        assert at < len(data) - 1_000_000, "all of it was taken"
        go.set()
        s.settimeout(30)
        s.sendall(data[at:])
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""
        await_true(lambda: got, "the hash")
    assert got == [hashlib.sha256(data).digest()]


def test_with_a_device_that_has_a_tun(net, laptop, server):
    """Kernel TCP on one side, ours on the other, both ways."""
    d = net.root_device("kernel").up()
    p = d.run("curl", "-sS", "-g", "--max-time", "60", f"http://[{server.overlay}]/10000000", "-o", str(net.work / "got"))
    assert p.returncode == 0, p.stderr
    assert (net.work / "got").read_bytes() == pattern(10_000_000)
    http = Server(d, sized, "::", 80)
    p = curl(laptop, "--socks5-hostname", f"127.0.0.1:{PROXY}", "http://kernel/10000000", "-o", str(net.work / "got"))
    assert p.returncode == 0, p.stderr
    assert (net.work / "got").read_bytes() == pattern(10_000_000)
    p = curl(laptop, "--socks5-hostname", f"127.0.0.1:{PROXY}", "-T", str(net.work / "got"), "http://kernel/put")
    assert p.stdout == hashlib.sha256(pattern(10_000_000)).hexdigest()
    http.close()
    assert laptop.socks("kernel", 80) == 5
    p = d.ping6(server, "-c", "3", "-i", "0.2", "-s", "1000")
    assert p.returncode == 0 and " 0% packet loss" in p.stdout, p.stdout
    p = d.run("curl", "-sS", "-g", "--max-time", "20", f"http://[{server.overlay}]:81/")
    assert p.returncode == 7, p.stderr  # refused, at once
    udp = d.run("python3", "-c", f"import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(5)\n"
                f"s.connect(('{server.overlay}', 4000)); s.send(b'x')\ntry: s.recv(1)\nexcept ConnectionRefusedError: print('refused')")
    assert udp.stdout == "refused\n", udp.stdout + udp.stderr


def test_verbs_work_in_this_mode(laptop, server):
    p = laptop.agent("ping", "server")
    assert p.returncode == 0, p.stderr
    assert laptop.agent("netcheck").returncode == 0
    p = laptop.agent("resolve", server.name)
    assert p.returncode == 0 and server.overlay in p.stdout, p.stderr
    text = laptop.agent("status").stdout
    assert "proxy:     127.0.0.1:1080" in text and "forward:   127.0.0.1:8007 to server." + ZONE in text, text
    assert "serve:     port 7 by 127.0.0.1:" in server.agent("status").stdout
    us = server.userspace()
    assert us["serves"][0] == {"port": 7, "target": f"127.0.0.1:{server.echo.port}"} and us["limit"] == 512 and us["proxies"] == []


def test_the_process_has_no_privileges_and_no_device(laptop):
    status = open(f"/proc/{laptop.daemon.pid}/status").read()
    assert "CapEff:\t0000000000000000" in status and "Uid:\t65534" in status
    links = json.loads(laptop.run("ip", "-j", "link").stdout)
    assert [link["ifname"] for link in links] == ["lo", "eth0"]


def drop_direct(device, other):
    """What comes straight from the other device is lost."""
    rules = f"table inet cut {{ chain input {{ type filter hook input priority 0; ip saddr {other.address} drop; }}; }}\n"
    p = device.run("nft", "-f", "-", input=rules)
    assert p.returncode == 0, p.stderr


def heal(device):
    device.run("nft", "delete", "table", "inet", "cut")


def test_no_byte_is_lost_when_the_path_changes(net, server):
    """Relay to direct, and back to the relay when the direct path dies, while a transfer runs."""
    if shutil.which("nft") is None:
        pytest.skip("nft (package nftables) is not there")
    d = net.device("mover")
    drop_direct(d, server)
    d.up("--forward", "8007:server:7")
    data, sent, got, done = pattern(100_000, 5), hashlib.sha256(), hashlib.sha256(), threading.Event()

    def tactic():
        return next(p["state"] for p in d.status()["peers"] if p["name"].startswith("server."))

    seen = []
    with d.connect(8007, timeout=60) as s:
        def send():
            until = time.monotonic() + 90
            while not done.is_set() and time.monotonic() < until:
                s.sendall(data)
                sent.update(data)
                time.sleep(0.005)
            s.shutdown(socket.SHUT_WR)

        def watch():
            await_true(lambda: tactic() == "relay", "the relay", 40)
            seen.append("relay")
            heal(d)
            await_true(lambda: tactic() == "direct", "the direct path", 40)
            seen.append("direct")
            drop_direct(d, server)
            await_true(lambda: tactic() == "relay", "the relay", 40)
            seen.append("relay")
            time.sleep(1)
            done.set()

        threads = [threading.Thread(target=send), threading.Thread(target=watch)]
        for t in threads:
            t.start()
        n = 0
        while piece := s.recv(1 << 16):
            got.update(piece)
            n += len(piece)
        for t in threads:
            t.join()
    heal(d)
    assert seen == ["relay", "direct", "relay"]
    assert n > 1_000_000 and got.hexdigest() == sent.hexdigest()
    print(seen, n, "bytes")
    assert d.stop() == 0


def test_a_device_that_goes_ends_its_connections(net, server):
    """The agent is stopped: its peers and its programs hear of it at once."""
    d, other = net.device("goer"), net.device("stayer")
    own = Server(d, echo)
    d.up("--proxy", "none", "--serve", f"7:{own.port}", "--forward", "8007:stayer:7")
    back = Server(other, echo)
    other.up("--serve", f"7:{back.port}")
    there, here = other.socks("goer", 7), d.connect(8007)
    for s in there, here:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
    began = time.monotonic()
    assert d.stop() == 0, d.log_text()
    for s in there, here:
        s.settimeout(5)
        with pytest.raises(ConnectionResetError):
            s.recv(1)
        s.close()
    assert time.monotonic() - began < 3
    assert other.socks("goer", 7) in (4, 6)
    assert time.monotonic() - began < 25
    other.stop()


def test_down_ends_connections_too(net, server):
    d = net.device("downer").up()
    s = d.socks("server", 7)
    s.sendall(b"x")
    assert s.recv(1) == b"x"
    p = d.agent("down")
    assert p.returncode == 0, p.stderr
    with pytest.raises(ConnectionResetError):
        s.recv(1)
    assert d.daemon.wait(10) == 0


def test_a_killed_peer_that_comes_back_resets_old_connections(net, laptop):
    """Its TCP has forgotten them: the first word is answered by a reset."""
    d = net.device("killed")
    own = Server(d, echo)
    d.up("--proxy", "none", "--serve", f"7:{own.port}")
    s = laptop.socks("killed", 7)
    s.sendall(b"x")
    assert s.recv(1) == b"x"
    d.stop(signal.SIGKILL)
    d.up("--proxy", "none", "--serve", f"7:{own.port}")
    s.settimeout(30)
    with pytest.raises(ConnectionResetError):
        s.sendall(b"x")
        s.recv(1)
    with laptop.socks("killed", 7) as s:
        s.sendall(b"y")
        assert s.recv(1) == b"y"
    d.stop()


def test_options_that_cannot_be(net, laptop):
    d = net.device("wrong")

    def fails(*args, code=2):
        p = d.agent("up", *args)
        assert p.returncode == code, p.stderr
        return p.stderr

    assert "about --userspace" in fails("--proxy", "1080")
    assert "about --userspace" in fails("--serve", "80")
    assert "no network device" in fails("--userspace", "--interface", "x0")
    assert "no network device" in fails("--userspace", "--dns", "none")
    assert "register-only" in fails("--userspace", "--register-only")
    assert "not a port" in fails("--userspace", "--proxy", "hello")
    assert "contradict" in fails("--userspace", "--proxy", "none", "--proxy", "99")
    assert "not [ADDR:]PORT:NAME:PORT" in fails("--userspace", "--forward", "80:server")
    assert "no device of me.signpost" in fails("--userspace", "--forward", "80:server.example:80")
    assert "given already" in fails("--userspace", "--forward", "1080:server:80", "--proxy", "1080")
    assert "served already" in fails("--userspace", "--serve", "80", "--serve", "80:81")
    assert "not PORT[:TARGET]" in fails("--userspace", "--serve", "80:nowhere")
    assert "--userspace" in fails(code=1)
    holder = in_space(d.space, lambda: socket.create_server(("127.0.0.1", 1080)))
    words = fails("--userspace", code=1)
    assert "127.0.0.1:1080" in words and "in use" in words, words
    holder.close()
    d.start("--userspace", "--proxy", f"{d.address}:1081")
    await_true(lambda: d.status().get("session", {}).get("state") == "up", d.log_text())
    assert "warning" in d.log_text() and f"{d.address}:1081" in d.log_text()
    assert d.stop() == 0


def test_state_of_an_ordinary_user_has_a_place_of_its_own(net):
    home = net.work / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for settings, place in ({"HOME": str(home)}, home / ".local/state"), ({"XDG_STATE_HOME": str(home / "x")}, home / "x"):
        p = subprocess.run([*ORDINARY, str(AGENT), "status"], env=settings, capture_output=True, text=True)
        assert p.returncode == 1 and str(place / "signpost-agent") in p.stderr, p.stderr
