"""Our own TCP against the kernel's: tcpd at one end of a TAP device, sockets at the other, in both roles."""
import errno
import os
import signal
import socket
import struct
import threading
import time
import zlib

import pytest

from tcp_rig import (CHECK, CLOSER, DISCARD, ECHO, HERE, IDLE, RESETTER, SLOW, SOURCE, US, Direct, Server, Space, Tcpd, Wire, await_true, crc,
                     echo, pattern, pieces, read_all, read_line, receive_pattern, send_pattern, sink, source, there_and_back)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="needs /dev/net/tun"),
]
MB = 10**6
families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module", params=["plain", "vnet"])
def both(request):
    """With plain frames; with checksums and segmentation left to the device."""
    d = Direct(*([] if request.param == "plain" else ["vnet"]))
    d.tcpd.six()
    yield d
    d.end()


@pytest.fixture(scope="module")
def plain():
    d = Direct()
    d.tcpd.six()
    yield d
    d.end()


@pytest.fixture
def start(request):
    """start(make) -> what make returned; it is ended with the test."""
    def one(thing):
        request.addfinalizer(thing.end)
        return thing
    return one


def quiet(tcpd):
    """Every connection has ended."""
    await_true(lambda: tcpd.counts()["connections"] == 0, "connections to end")


# ---- bytes both ways ----


@families
def test_the_kernel_sends(both, family):
    with both.space.connect(US[family], CHECK) as s:
        n = 30 * MB
        s.sendall(f"{n} {family}\n".encode())
        send_pattern(s, n, family)
        assert s.recv(100) == f"ok {n}\n".encode()
        assert s.recv(1) == b""


@families
def test_the_kernel_receives(both, family):
    with both.space.connect(US[family], SOURCE) as s:
        s.sendall(f"{30 * MB} {family}\n".encode())
        receive_pattern(s, 30 * MB, family)


@families
def test_we_send(both, family):
    with Server(both.space, sink, family) as server:
        got = both.tcpd.verb("send", server, family, n=30 * MB, seed=9)
        assert server.result() == (30 * MB, crc(9, 30 * MB))
        assert got["reply"] == f"{30 * MB} {crc(9, 30 * MB)}"


@families
def test_we_receive(both, family):
    with Server(both.space, source, family) as server:
        assert both.tcpd.verb("receive", server, family, n=30 * MB, seed=5)["in"] == 30 * MB


@families
def test_both_directions_at_once(both, family):
    with both.space.connect(US[family], ECHO) as s:
        there_and_back(s, 20 * MB, 11)
    with Server(both.space, echo, family) as server:
        both.tcpd.verb("both", server, family, n=20 * MB, seed=12)
    quiet(both.tcpd)


@families
def test_odd_sizes(both, family):
    """Every length around a segment's, each on a connection of its own, both ways."""
    for n in [1, 2, 1219, 1220, 1221, 1427, 1428, 1447, 1448, 1449, 2895, 2896, 2897, 65535, 65536, 65537]:
        with both.space.connect(US[family], ECHO) as s:
            send_pattern(s, n, n)
            s.shutdown(socket.SHUT_WR)
            receive_pattern(s, n, n)


# ---- short connections ----


@families
def test_thousands_of_connections_to_us(plain, family):
    before, failures = plain.tcpd.counts()["accepted"], []

    def some(seed):
        try:
            for i in range(250):
                with plain.space.connect(US[family], ECHO) as s:
                    s.sendall(pattern(seed)[i:i + 100])
                    got = b""
                    while len(got) < 100:
                        got += s.recv(100)
                    assert got == pattern(seed)[i:i + 100]
        except BaseException as e:
            failures.append(e)
    pattern(1)
    threads = [threading.Thread(target=some, args=(1,)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert plain.tcpd.counts()["accepted"] == before + 2000
    quiet(plain.tcpd)


@families
def test_thousands_of_connections_from_us(plain, family):
    with Server(plain.space, echo, family) as server:
        got = plain.tcpd.verb("short", server, family, n=2000, parallel=50, size=100)
    assert got["connections"] == 2000 and got["in"] == 200000
    quiet(plain.tcpd)


def test_many_at_once(plain):
    """A thousand that idle, while others work; then they end, all."""
    with Server(plain.space, echo) as server:
        assert plain.tcpd.verb("hold", server, n=1000)["connections"] == 1000
        plain.tcpd.verb("both", server, n=MB)
        assert plain.tcpd.counts()["connections"] == 1000
        assert plain.tcpd.tell("release")["ok"]
    quiet(plain.tcpd)


@families
def test_requests_and_responses(plain, family):
    with Server(plain.space, echo, family) as server:
        got = plain.tcpd.verb("rounds", server, family, n=500)
    assert got["latency_us"]["median"] < 20000  # not a delayed acknowledgement each
    with plain.space.connect(US[family], ECHO) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.monotonic()
        for i in range(500):
            s.sendall(bytes([i % 256]))
            assert s.recv(10) == bytes([i % 256])
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("settings", [[], ["buffers=600000"]], ids=["", "little-memory"])
def test_many_transfers_at_once(start, settings):
    """Thirty, both ways and both roles; also where the buffers of all together are smaller than those of a few."""
    d = start(Direct(*settings))
    n, failures = 500000, []

    def one(seed):
        try:
            with d.space.connect(US[4], ECHO) as s:
                there_and_back(s, n, seed)
        except BaseException as e:
            failures.append(e)
    pattern(0), pattern(1), pattern(2)
    threads = [threading.Thread(target=one, args=(i % 3,)) for i in range(10)]
    with Server(d.space, echo) as there, Server(d.space, source) as giver:
        for t in threads:
            t.start()
        d.tcpd.verbs([Tcpd.line("both", there, n=n, seed=i % 3) for i in range(10)] + [Tcpd.line("receive", giver, n=n, seed=i % 3) for i in range(10)])
        for t in threads:
            t.join()
    assert not failures, failures
    assert bool(settings) == (d.tcpd.counts()["drop_memory_full"] > 0)
    quiet(d.tcpd)


# ---- ends ----


@families
def test_the_kernel_ends_first_and_reads_on(both, family):
    n = 5 * MB
    with both.space.connect(US[family], DISCARD) as s:
        send_pattern(s, n, 3)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == f"{n} {crc(3, n)}\n".encode()
    with both.space.connect(US[family], SOURCE) as s:  # all of it after the END
        s.sendall(f"{n} 4\n".encode())
        s.shutdown(socket.SHUT_WR)
        receive_pattern(s, n, 4)
    quiet(both.tcpd)


@families
def test_we_end_first_and_read_on(both, family):
    with Server(both.space, echo, family) as server:
        both.tcpd.verb("half", server, family, n=5 * MB, seed=6)
    before, n = both.tcpd.counts()["late_bytes"], 200000
    with both.space.connect(US[family], SOURCE) as s:
        s.sendall(b"1000 7\n")
        receive_pattern(s, 1000, 7)  # our END is here
        send_pattern(s, n, 8)
        s.shutdown(socket.SHUT_WR)
        await_true(lambda: both.tcpd.counts()["late_bytes"] == before + n, "what the kernel sent after our end")
    quiet(both.tcpd)


@families
def test_we_write_after_the_end_of_the_kernel(both, family):
    def end_at_once(s):
        s.shutdown(socket.SHUT_WR)
        return len(read_all(s))
    with Server(both.space, end_at_once, family) as server:
        both.tcpd.verb("send", server, family, n=5 * MB)
        assert server.result() == 5 * MB
    quiet(both.tcpd)


@families
def test_we_close_at_once(plain, family):
    for _ in range(20):
        with plain.space.connect(US[family], CLOSER) as s:
            assert s.recv(10) == b""
    quiet(plain.tcpd)


def test_time_wait_gives_way_to_a_newer_connection(plain):
    """RFC 6191: the kernel comes again from the same port, though we had ended first and are in TIME-WAIT."""
    with plain.space.socket() as s:
        s.bind((HERE[4], 0))
        port = s.getsockname()[1]
    for i in range(30):
        with plain.space.socket(SO_REUSEADDR=1) as s:
            s.bind((HERE[4], port))
            await_true(lambda: s.connect_ex((US[4], SOURCE)) != errno.EADDRNOTAVAIL, "the end of the kernel's last connection")
            s.sendall(f"100 {i % 2}\n".encode())
            receive_pattern(s, 100, i % 2)
    assert plain.tcpd.counts()["connections"] == 0


# ---- resets ----

LINGER = struct.pack("ii", 1, 0)


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    s.close()


@families
def test_the_kernel_resets(both, family):
    before = both.tcpd.counts()["resets_in"]
    s = both.space.connect(US[family], SOURCE)
    s.sendall(b"100000000 1\n")
    got = 0
    while got < MB:
        got += len(s.recv(100000))
    reset(s)
    await_true(lambda: both.tcpd.counts()["resets_in"] > before, "the reset")
    quiet(both.tcpd)
    s = both.space.connect(US[family], CHECK)
    s.sendall(b"100000000 1\n")
    send_pattern(s, MB, 1)
    reset(s)
    quiet(both.tcpd)


@families
def test_we_reset(both, family):
    for verb, handle in (("reset", echo), ("cut", source)):
        with Server(both.space, handle, family) as server:
            got = both.tcpd.verb(verb, server, family, n=2 * MB)
            assert got["in"] > 0
            assert isinstance(server.result(), ConnectionResetError)
    with pytest.raises(ConnectionResetError):
        with both.space.connect(US[family], RESETTER) as s:
            s.recv(1)
    assert both.tcpd.counts()["connections"] == 0


@families
def test_closed_ports(both, family):
    with pytest.raises(ConnectionRefusedError):
        both.space.connect(US[family], 99)
    assert both.tcpd.tell(Tcpd.line("connect", 99, family))["error"] == "not allowed"


def test_the_kernel_leaves_bytes_unread(plain):
    """And so it resets, and ours is told."""
    def leave(s):
        s.recv(1)
        time.sleep(0.1)
    with Server(plain.space, leave) as server:
        got = plain.tcpd.tell(Tcpd.line("send", server, n=MB))
        assert got["failed"] == 1 and got["error"] == "not allowed", got
    quiet(plain.tcpd)


def test_bytes_for_a_service_that_has_closed(plain):
    """RFC 1122 4.2.2.13: they are answered by a reset."""
    with plain.space.connect(US[4], CLOSER) as s:
        assert s.recv(10) == b""
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(100):
                s.sendall(b"x" * 1000)
                time.sleep(0.01)
    quiet(plain.tcpd)


# ---- readers that are slow, or gone for a while ----


@families
def test_a_slow_reader_of_the_kernel(both, family):
    """The window shuts, for longer than it takes us to ask how things are."""
    n = 3 * MB
    with both.space.socket(family, SO_RCVBUF=16384) as s:
        s.connect((US[family], SOURCE))
        s.sendall(f"{n} 5\n".encode())
        time.sleep(0.2)
        before = both.tcpd.counts()["segments_out"]
        time.sleep(1.5)
        assert both.tcpd.counts()["segments_out"] - before in range(2, 8), "probes of the window: RFC 9293 3.8.6.1"
        receive_pattern(s, n, 5, lambda at: time.sleep(0.001))
    quiet(both.tcpd)


@pytest.mark.parametrize("scaling", [1, 0])
def test_a_slow_reader_of_ours(start, scaling):
    d = start(Direct("slow=2000000", tcp_window_scaling=scaling))
    n, begun = 3 * MB, time.monotonic()
    with d.space.connect(US[4], SLOW) as s:
        send_pattern(s, n, 6)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == f"{n} {crc(6, n)}\n".encode()
    assert 1 < time.monotonic() - begun < 4, "it is the reader that says how fast"


def test_one_that_never_reads(plain):
    """The idle holder: what the kernel sends stays in its buffer; both live on, and end."""
    with plain.space.connect(US[4], IDLE) as s:
        s.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                s.send(bytes(100000))
        time.sleep(1)
        assert plain.tcpd.counts()["connections"] == 1
        s.setblocking(True)
        reset(s)
    quiet(plain.tcpd)


# ---- silence ----


def test_our_keepalive(start):
    """RFC 9293 3.8.4: probes are answered, and so the connection lives."""
    d = start(Direct("idle-ms=600"))
    with Server(d.space, echo) as server:
        d.tcpd.verb("hold", server, n=3)
        before = d.tcpd.counts()
        time.sleep(2)
        after = d.tcpd.counts()
        assert after["connections"] == 3 and after["segments_out"] - before["segments_out"] in range(9, 16)
        assert d.tcpd.tell("release")["ok"]


@families
def test_keepalive_of_the_kernel(plain, family):
    with plain.space.connect(US[family], IDLE) as s:
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
            s.setsockopt(socket.IPPROTO_TCP, option, value)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        time.sleep(3.5)
        s.sendall(b"x")
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""


def test_urgent_bytes_are_bytes(plain):
    """RFC 6093: the pointer means nothing to us."""
    with plain.space.connect(US[4], DISCARD) as s:
        s.sendall(b"one")
        s.send(b"!", socket.MSG_OOB)
        s.sendall(b"two")
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == f"7 {zlib.crc32(b'one!two')}\n".encode()


# ---- other kernels: what may be switched off, or is done in another way ----


@pytest.mark.parametrize("sysctls", [
    {"tcp_timestamps": 0}, {"tcp_sack": 0}, {"tcp_window_scaling": 0}, {"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0},
    {"tcp_syncookies": 2}, {"tcp_syncookies": 2, "tcp_timestamps": 0}, {"tcp_ecn": 1}, {"tcp_rmem": "4096 6000000 16000000", "tcp_wmem": "4096 6000000 16000000"}, {"tcp_rmem": "4096 4096 4096"},
    {"tcp_base_mss": 512, "tcp_mtu_probing": 2}, {"tcp_autocorking": 0, "tcp_slow_start_after_idle": 0},
], ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items()).replace(" ", "-"))
def test_other_settings_of_the_kernel(start, sysctls):
    d = start(Direct(**sysctls))
    d.tcpd.six()
    for family in (4, 6):
        n = 2 * MB + family
        with d.space.connect(US[family], ECHO) as s:
            there_and_back(s, n, 1)
        with Server(d.space, echo, family) as server:
            d.tcpd.verb("both", server, family, n=n)
            d.tcpd.verb("short", server, family, n=50, parallel=5, size=2000)
    quiet(d.tcpd)


@pytest.mark.parametrize("congestion", ["reno", "cubic", "bbr"])
def test_congestion_controls_of_the_kernel(start, congestion):
    """Also where something is lost."""
    if congestion not in open("/proc/sys/net/ipv4/tcp_available_congestion_control").read().split():
        pytest.skip(f"this kernel has no {congestion}")
    w = start(Wire(["seed=3", "drop=10", "late=10", "by-us=500"]))
    w.space.congestion = congestion
    n = 5 * MB
    with w.space.connect(US[4], ECHO) as s:
        assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode() == congestion
        there_and_back(s, n, 1)


def test_a_smaller_segment_size_of_the_kernel(plain):
    n = 500000
    with plain.space.socket() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 300)
        s.connect((US[4], SOURCE))
        s.sendall(f"{n} 5\n".encode())
        before = plain.tcpd.counts()["segments_out"]
        receive_pattern(s, n, 5)
        assert plain.tcpd.counts()["segments_out"] - before > n / 301 * 0.9


def test_cookies_of_ours(start):
    """RFC 4987: with room for two half-open connections, all of two hundred at once still come about."""
    d = start(Direct("half-open=2"))
    sockets = [d.space.socket() for _ in range(200)]
    d.tcpd.process.send_signal(signal.SIGSTOP)
    for s in sockets:
        s.setblocking(False)
        assert s.connect_ex((US[4], ECHO)) == errno.EINPROGRESS
    d.tcpd.process.send_signal(signal.SIGCONT)
    for i, s in enumerate(sockets):
        s.settimeout(20)
        s.sendall(b"%d" % i)
        s.shutdown(socket.SHUT_WR)
    for i, s in enumerate(sockets):
        assert read_all(s) == b"%d" % i
        s.close()
    counts = d.tcpd.counts()
    assert counts["accepted"] == 200 and counts["cookies_taken"] > 50
    quiet(d.tcpd)


# ---- the path ----


class Path:
    """kernel (hosts' namespace) - veth - router - TAP - tcpd."""

    def __init__(self, *settings):
        self.space, self.router, self.tcpd = Space(), Space(), None
        self.router.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.space.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns", self.router.name)
        for space, dev, addresses in ((self.space, "eth0", [f"{HERE[4]}/25", f"{HERE[6]}/64"]),
                                      (self.router, "eth1", ["198.18.7.126/25", "2001:db8:7::9/64"])):
            for a in addresses:
                space.ip("addr", "add", a, "dev", dev)
            space.ip("link", "set", dev, "up")
        self.router.tap("tap0", "198.18.7.254/25", "2001:db8:8::9/64")
        self.space.ip("route", "add", "default", "via", "198.18.7.126")
        self.space.ip("-6", "route", "add", "default", "via", "2001:db8:7::9")
        self.us = {4: "198.18.7.130", 6: "2001:db8:8::2"}
        self.tcpd = Tcpd(self.router, *settings, addresses=[f"address={self.us[4]}/25", "gateway=198.18.7.254",
                                                             f"address={self.us[6]}/64", "gateway=2001:db8:8::9"])

    def mtu(self, dev, mtu):
        """What the router can send on there."""
        self.router.ip("link", "set", dev, "mtu", mtu)

    def mute(self):
        """The router's complaints do not leave it."""
        self.router.run("nft", "-f", "-", input="table inet f { chain o { type filter hook output priority 0; "
                        "icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }\n")

    def end(self):
        try:
            if self.tcpd:
                self.tcpd.end()
        finally:
            self.space.end()
            self.router.end()


@pytest.fixture(params=["plain", "vnet"])
def path(request, start):
    return start(Path(*([] if request.param == "plain" else ["vnet"])))


def receive_while(path, family, n, change, at):
    """Reads from our source; after `at` bytes something changes."""
    todo = [change]
    path.tcpd.six()
    with path.space.connect(path.us[family], SOURCE) as s:
        s.sendall(f"{n} 8\n".encode())
        receive_pattern(s, n, 8, lambda got: todo.pop()() if todo and got >= at else None)


@families
def test_the_path_becomes_narrower(path, family):
    for mtu in (1400, 1280):
        receive_while(path, family, 30 * MB, lambda: path.mtu("eth1", mtu), 2 * MB)
    counts = path.tcpd.counts()
    assert counts["retransmitted"] > 0 and counts["black_holes"] == 0 and counts["timeouts"] <= 2


@families
def test_the_path_to_us_becomes_narrower(path, family):
    n = 15 * MB
    path.tcpd.six()
    with path.space.connect(path.us[family], CHECK) as s:
        s.sendall(f"{n} 8\n".encode())
        for i, piece in enumerate(pieces(8, n, MB)):
            if i == 3:
                path.mtu("tap0", 1300)
            s.sendall(piece)
        assert s.recv(100) == f"ok {n}\n".encode()


@families
def test_a_black_hole(path, family):
    """Nobody says that the packets are too big: RFC 4821."""
    path.mute()
    receive_while(path, family, 40 * MB, lambda: path.mtu("eth1", 1300), MB)
    assert path.tcpd.counts()["black_holes"] == 1


# ---- a bad wire ----


@pytest.mark.slow
@pytest.mark.parametrize("settings", [[], ["vnet"]], ids=["plain", "vnet"])
def test_fifty_megabytes_over_a_bad_wire(start, settings):
    """5% are lost, 5% late by more than a round trip, 1% come twice, both ways; every byte is compared."""
    n = 50 * MB
    w = start(Wire(["seed=7", "drop=50", "late=50", "by-us=1000", "twice=10"], *settings))
    with w.space.connect(US[4], SOURCE) as s:
        s.sendall(f"{n} 1\n".encode())
        receive_pattern(s, n, 1)
    with w.space.connect(US[6], CHECK) as s:
        s.sendall(f"{n} 2\n".encode())
        send_pattern(s, n, 2)
        assert s.recv(100) == f"ok {n}\n".encode()
    counts = w.tcpd.counts()
    assert counts["retransmitted"] > 1000 and counts["early"] > 1000


def test_a_kernel_without_sack_on_a_bad_wire(start):
    """RFC 6582 is what is left, and no timestamps tell copies apart."""
    w = start(Wire(["seed=5", "drop=10", "late=10", "by-us=500", "twice=10"], tcp_sack=0, tcp_timestamps=0))
    n = 2 * MB
    with w.space.connect(US[4], SOURCE) as s:
        s.sendall(f"{n} 1\n".encode())
        receive_pattern(s, n, 1)
    with w.space.connect(US[6], CHECK) as s:
        s.sendall(f"{n} 2\n".encode())
        send_pattern(s, n, 2)
        assert s.recv(100) == f"ok {n}\n".encode()


@pytest.mark.slow
def test_short_connections_on_a_bad_wire(start):
    """Handshakes and ends are lost, too."""
    w = start(Wire(["seed=11", "drop=50", "late=50", "by-us=1000", "twice=20"]))
    with Server(w.space, echo) as server:
        assert w.tcpd.verb("short", server, n=300, parallel=100, size=3000)["connections"] == 300
    failures = []

    def some(k):
        try:
            for i in range(3):
                with w.space.connect(US[4], ECHO) as s:
                    there_and_back(s, 3000, 1)
        except BaseException as e:
            failures.append(e)
    threads = [threading.Thread(target=some, args=(k,)) for k in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures
    quiet(w.tcpd)


# ---- a long wire ----

LONG = ["late=1000", "by-us=20000", "least=0"]  # 20 ms each way


def test_a_long_wire_is_filled(start):
    """Windows of 4 MB: far more than 64 KB or the default's 256 KB go in 40 ms."""
    w = start(Wire(LONG, "receive-max=4000000", "send-max=4000000", tcp_rmem="4096 131072 16000000", tcp_wmem="4096 131072 16000000"))
    n = 40 * MB
    for port in (SOURCE, CHECK):
        begun = time.monotonic()
        with w.space.connect(US[4], port) as s:
            s.sendall(f"{n} 1\n".encode())
            if port == SOURCE:
                receive_pattern(s, n, 1)
            else:
                send_pattern(s, n, 1)
                assert s.recv(100) == f"ok {n}\n".encode()
        assert n / (time.monotonic() - begun) > 1.5 * 262144 / 0.04


def test_both_end_at_once(start):
    """Each END crosses the other's: RFC 9293 3.6, figure 13."""
    w = start(Wire(LONG))
    opened = []

    def wait(s):
        opened.append(s)
        s.recv(1)
    with Server(w.space, wait) as server:
        w.tcpd.verb("hold", server, n=20)
        await_true(lambda: len(opened) == 20, "connections")
        w.tcpd.say("release")
        for s in opened:
            s.shutdown(socket.SHUT_WR)
        got = w.tcpd.hear()
        assert got["ok"] and got["failed"] == 0, got
    quiet(w.tcpd)
    assert w.tcpd.counts()["resets_out"] == w.tcpd.counts()["resets_in"] == 0
