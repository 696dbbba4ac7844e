"""A signpost over our own network stack (tapd), on a TAP device with the kernel as its network: dig, nsupdate, ping, DHCP, SLAAC."""
import base64
import contextlib
import ctypes
import itertools
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time

import dns.message
import dns.query
import dns.tsigkeyring
import dns.update
import dns.zone
import pytest

import rfc as rfc_module
import test_rfc7766
from conftest import BUILD, SIGNPOSTCTL
from rfc import answer

TAPD = BUILD / "tests/interop/tapd"
MAC = "02:53:50:00:00:01"
MIDDLE = "".join(f'mid IN TXT "{i:03} {"x" * 200}"\n' for i in range(12))
numbers = itertools.count()

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="needs /dev/net/tun"),
]


def await_true(check, what, seconds=15):
    until = time.monotonic() + seconds
    while not (got := check()):
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.1)
    return got


class Tap:
    """A namespace whose only network is a TAP device with a signpost at its other end."""

    def __init__(self, work, addresses, arguments):
        self.work, self.space = work, f"tapd{os.getpid()}n{next(numbers)}"
        self.others, self.process = [], None
        self.ip("netns", "add", self.space, inside=False)
        self.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        self.ip("link", "set", "lo", "up")
        self.ip("tuntap", "add", "dev", "tap0", "mode", "tap")
        for a in addresses:
            self.ip("addr", "add", a, "dev", "tap0")
        self.ip("link", "set", "tap0", "up")
        self.start(arguments)

    def start(self, arguments):
        (self.work / "data").mkdir(mode=0o700, exist_ok=True)
        self.log = open(self.work / "tapd.log", "ab")
        self.process = subprocess.Popen(["ip", "netns", "exec", self.space, str(TAPD), f"data={self.work / 'data'}", "tap=tap0", *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        assert self.process.stdout.readline() == "ready\n", (self.work / "tapd.log").read_text()

    def ip(self, *arguments, inside=True):
        subprocess.run(["ip", *(["-n", self.space] if inside else []), *arguments], check=True)

    def run(self, *command, check=True, **settings):
        p = subprocess.run(["ip", "netns", "exec", self.space, *map(str, command)], capture_output=True, text=True, timeout=60, **settings)
        assert not check or p.returncode == 0, f"{command}: {p.returncode}\n{p.stdout}{p.stderr}"
        return p.stdout

    @contextlib.contextmanager
    def inside(self):
        """Sockets that are opened here are in the namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as outside, open(f"/run/netns/{self.space}") as space:
            assert libc.setns(space.fileno(), 0x40000000) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(outside.fileno(), 0x40000000) == 0

    def rfc(self, address):
        """To be asked as others are; its streams are opened inside."""
        return Inside(self, address)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def counts(self):
        return json.loads(self.tell("counts"))

    def addresses(self):
        return self.tell("addresses").split()

    def ctl(self, *arguments, stdin=None):
        p = subprocess.run([str(SIGNPOSTCTL), "--data", str(self.work / "data"), *map(str, arguments)], input=stdin, capture_output=True, text=True)
        assert p.returncode == 0, p.stdout + p.stderr
        return p.stdout

    def zone(self):
        self.ctl("zone", "add", rfc_module.ZONE)
        self.ctl("zone", "import", rfc_module.ZONE, "-", stdin=rfc_module.ZONE_TEXT + MIDDLE)

    def dig(self, server, *arguments):
        return self.run("dig", f"@{server}", "+tries=2", "+time=3", "+ignore", *arguments, check=False)

    def ping(self, address, size=56, count=2):
        return f"{count} received" in self.run("ping", "-n", "-c", count, "-i", "0.2", "-W", "2", "-s", size, address, check=False)

    def daemon(self, *command):
        log = open(self.work / f"{command[0]}.log", "ab")
        self.others.append(subprocess.Popen(["ip", "netns", "exec", self.space, *map(str, command)], stdout=log, stderr=log))

    def end(self):
        for p in self.others:
            p.terminate()
            p.wait(10)
        status = None
        if self.process is not None:
            self.process.stdin.close()
            status = self.process.wait(10)
        self.ip("netns", "del", self.space, inside=False)
        assert status == 0, (self.work / "tapd.log").read_text()


class Inside(rfc_module.Rfc):
    def __init__(self, tap, address, port=53):
        self.tap, self.address, self.port, self.signpost = tap, address, port, tap

    def stream(self):
        with self.tap.inside():
            return super().stream()

    def ask(self, *arguments, **settings):
        with self.tap.inside():
            return super().ask(*arguments, **settings)


@pytest.fixture
def start_tap(tmp_path):
    taps = []

    def start(addresses, *arguments):
        taps.append(Tap(tmp_path, addresses, arguments))
        return taps[-1]

    yield start
    for t in taps:
        t.end()


@pytest.fixture(scope="module")
def tap(tmp_path_factory):
    t = Tap(tmp_path_factory.mktemp("tap"), ["198.18.5.1/24", "2001:db8:5::1/64"],
            ["address=198.18.5.2/24", "gateway=198.18.5.1", "address=2001:db8:5::2/64", "gateway=2001:db8:5::1", "ipv6", "udp-size=4096"])
    try:
        t.zone()
        await_true(lambda: "2001:db8:5::2" in t.addresses(), "the IPv6 address")
        yield t
    finally:
        t.end()


SERVERS = ["198.18.5.2", "2001:db8:5::2"]


@pytest.mark.parametrize("server", SERVERS)
def test_dig(tap, server):
    out = tap.dig(server, "www.rfc.example", "A")
    assert "status: NOERROR" in out and "192.0.2.2" in out and " aa" in out


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("size", [0, 1, 1000, 4001, 8000])
def test_ping(tap, server, size):
    """Small, whole, and in fragments both ways."""
    before = tap.counts()
    assert tap.ping(server, size)
    after = tap.counts()
    assert after["echoes"] == before["echoes"] + 2
    assert after["reassembled"] - before["reassembled"] == (2 if size > 1500 else 0)


@pytest.mark.parametrize("server", SERVERS)
def test_big_answers_come_in_fragments(tap, server):
    before = tap.counts()["fragments_out"]
    out = tap.dig(server, "+bufsize=4096", "mid.rfc.example", "TXT")
    assert "status: NOERROR" in out and "ANSWER: 12" in out
    assert tap.counts()["fragments_out"] - before in (2, 3)


def test_ping_all_nodes(tap):
    assert "2001:db8:5::2" in tap.run("ip", "-6", "neigh", check=False) or tap.ping("2001:db8:5::2")
    out = tap.run("ping", "-n", "-6", "-c", "2", "-i", "0.2", "-W", "2", "-I", "tap0", "ff02::1", check=False)
    assert "bytes from fe80::" in out


def test_nsupdate(tap, tmp_path):
    secret = base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
    writer, _ = rfc_module.write_keys(tmp_path)
    tap.ctl("key", "add", writer, "--zone", rfc_module.ZONE, "--policy", "names=*")
    for n, server in enumerate(SERVERS):
        tap.run("nsupdate", "-y", f"hmac-sha256:{rfc_module.TSIG_NAME}:{secret}", "-t", "5",
                input=f"server {server}\nzone rfc.example\nupdate add new{n}.rfc.example 60 A 192.0.2.77\nsend\n")
        assert "192.0.2.77" in tap.dig(server, f"new{n}.rfc.example", "A")


def test_closed_ports_are_said(tap):
    """The kernel's socket gets the ICMP error."""
    for family, server in ((socket.AF_INET, SERVERS[0]), (socket.AF_INET6, SERVERS[1])):
        code = ("import socket,sys\n"
                f"s=socket.socket(socket.{family.name},socket.SOCK_DGRAM); s.settimeout(3); s.connect(({server!r},999)); s.send(b'x')\n"
                "try:\n s.recv(10)\nexcept ConnectionRefusedError: print('refused')\n")
        assert "refused" in tap.run("python3", "-c", code)


def neighbour(tap, address):
    return json.loads(tap.run("ip", "-j", "neigh", "show", address) or "[]")


@pytest.mark.parametrize("server", SERVERS)
def test_the_kernel_finds_us_again(tap, server):
    assert tap.ping(server)
    tap.ip("neigh", "flush", "dev", "tap0")
    assert tap.ping(server)
    assert neighbour(tap, server)[0]["lladdr"] == MAC


@pytest.mark.parametrize("server", SERVERS)
def test_a_neighbour_with_a_new_mac(tap, server):
    """We ask anew, or take it from its requests: answers go on."""
    assert tap.ping(server)
    before = tap.run("cat", "/sys/class/net/tap0/address").strip()
    try:
        tap.ip("link", "set", "tap0", "address", "02:00:00:00:77:01")
        tap.ip("neigh", "flush", "dev", "tap0")
        assert await_true(lambda: tap.ping(server), "an answer to the new MAC")
    finally:
        tap.ip("link", "set", "tap0", "address", before)
        tap.ip("neigh", "flush", "dev", "tap0")
    assert await_true(lambda: tap.ping(server), "an answer to the old MAC")


def test_link_flap(start_tap):
    tap = start_tap(["198.18.5.1/24", "2001:db8:5::1/64"], "address=198.18.5.2/24", "address=2001:db8:5::2/64", "ipv6")
    await_true(lambda: len(tap.addresses()) == 2, "addresses")
    for _ in range(3):
        assert tap.tell("down") == "ok"
        assert tap.addresses() == []
        assert not tap.ping("198.18.5.2", count=1)
        assert tap.tell("up") == "ok"
        assert tap.ping("198.18.5.2")
        await_true(lambda: "2001:db8:5::2" in tap.addresses(), "the IPv6 address")
        assert tap.ping("2001:db8:5::2")


def test_an_address_that_the_kernel_has(start_tap):
    """RFC 5227, RFC 4862: probed, found taken, not used."""
    tap = start_tap(["198.18.5.1/24", "2001:db8:5::1/64"], "address=198.18.5.1/24", "address=2001:db8:5::1/64", "ipv6", "probe")
    tap.tell("down")
    time.sleep(1)  # the kernel's side is up once there is somebody at ours
    before = tap.counts()["conflicts"]
    tap.tell("up")
    time.sleep(6)
    assert tap.addresses() == []
    assert tap.counts()["conflicts"] == before + 2


@pytest.mark.skipif(shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin") is None, reason="needs the package dnsmasq-base")
def test_dhcp(start_tap, tmp_path):
    tap = start_tap(["198.18.5.1/24"], "dhcp", "hostname=signpost")
    tap.daemon("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=tap0", "--bind-interfaces", "--user=root",
               "--dhcp-authoritative", f"--dhcp-leasefile={tmp_path / 'leases'}", f"--pid-file={tmp_path / 'pid'}", "--log-dhcp", "--no-ping",
               "--dhcp-range=198.18.5.50,198.18.5.60,255.255.255.0,1h", "--dhcp-option=6,198.18.5.3", "--dhcp-option=26,1400", "--log-facility=-")
    got = await_true(lambda: [a for a in tap.addresses() if a.startswith("198.18.5.5")], "a lease", 30)[0]
    assert "resolver=198.18.5.3" in tap.addresses()
    assert tap.ping(got)
    leases = (tmp_path / "leases").read_text()
    assert MAC in leases and got in leases and "signpost" in leases
    tap.zone()
    assert "192.0.2.2" in tap.dig(got, "www.rfc.example", "A")
    before = tap.counts()["fragments_out"]
    assert tap.ping(got, 1390)  # over the MTU that the server said
    assert tap.counts()["fragments_out"] > before
    tap.tell("down")
    assert tap.addresses() == [] or got not in tap.addresses()
    tap.tell("up")
    await_true(lambda: got in tap.addresses(), "the same address again", 30)
    assert "DHCPREQUEST" in (tmp_path / "dnsmasq.log").read_text()
    assert tap.counts()["leases"] == 2


RADVD = """interface tap0 {{
  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 10; AdvLinkMTU 1400;
  prefix 2001:db8:5::/64 {{ AdvOnLink on; AdvAutonomous on; AdvValidLifetime 7200; AdvPreferredLifetime 3600; }};
}};
"""


@pytest.mark.skipif(shutil.which("radvd", path=os.environ["PATH"] + ":/usr/sbin") is None, reason="needs the package radvd")
def test_slaac(start_tap, tmp_path):
    tap = start_tap(["2001:db8:5::1/64"], "slaac")
    tap.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    (tmp_path / "radvd.conf").write_text(RADVD.format())
    tap.daemon("radvd", "-n", "-C", str(tmp_path / "radvd.conf"), "-p", str(tmp_path / "radvd.pid"), "-m", "stderr", "-u", "root")
    got = await_true(lambda: [a for a in tap.addresses() if a.startswith("2001:db8:5:")], "an address", 30)[0]
    assert tap.ping(got)
    tap.zone()
    assert "192.0.2.2" in tap.dig(got, "www.rfc.example", "A")
    # Through the router, from behind it.
    tap.ip("addr", "add", "2001:db8:99::1/128", "dev", "lo")
    assert "192.0.2.2" in tap.dig(got, "-b", "2001:db8:99::1", "www.rfc.example", "A")
    tap.tell("down")
    tap.tell("up")
    await_true(lambda: got in tap.addresses(), "the same address again", 30)


# ---- TCP ----


@pytest.mark.parametrize("server", SERVERS)
def test_dns_over_tcp(tap, server):
    before = tap.counts()["tcp_accepted"]
    out = tap.dig(server, "+tcp", "www.rfc.example", "A")
    assert "status: NOERROR" in out and "192.0.2.2" in out and "(TCP)" in out
    assert tap.counts()["tcp_accepted"] == before + 1


def test_metrics_tell_what_the_stack_has_counted(tap):
    def sample(name):
        return int(re.search(rf"^signpost_{re.escape(name)} (\d+)", tap.ctl("metrics"), re.M)[1])

    accepted, closed = sample('tcp_connections_total{how="accepted"}'), sample('tcp_dropped_total{reason="closed"}')
    assert "status: NOERROR" in tap.dig(SERVERS[0], "+tcp", rfc_module.ZONE, "SOA")
    tap.run("dig", f"@{SERVERS[0]}", "+tcp", "+tries=1", "-p", "54", rfc_module.ZONE, check=False)
    assert sample('tcp_connections_total{how="accepted"}') == accepted + 1
    assert sample('tcp_dropped_total{reason="closed"}') > closed
    assert sample('network_frames_total{direction="in"}') > 10


@pytest.mark.parametrize("server", SERVERS)
def test_closed_ports_refuse_connections(tap, server):
    code = ("import socket\n"
            f"try:\n socket.create_connection(({server!r}, 999), timeout=3)\nexcept ConnectionRefusedError: print('refused')\n")
    assert "refused" in tap.run("python3", "-c", code)


CASES = [name for name in dir(test_rfc7766) if name.startswith("test_") and "idle" not in name]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("case", CASES)
def test_as_over_the_kernels_tcp(tap, case, server):
    getattr(test_rfc7766, case)(tap.rfc(server))


@pytest.fixture(scope="module", params=["copies", "vnet"])
def fat(tmp_path_factory, request):
    """With a zone of some megabytes, and a device that completes checksums and cuts segments, or not."""
    t = Tap(tmp_path_factory.mktemp("fat"), ["198.18.5.1/24", "2001:db8:5::1/64"],
            ["address=198.18.5.2/24", "address=2001:db8:5::2/64", "ipv6", *(["vnet"] if request.param == "vnet" else [])])
    try:
        t.vnet = request.param == "vnet"
        t.zone()
        writer, _ = rfc_module.write_keys(t.work)
        t.ctl("zone", "add", "fat.example.")
        t.ctl("zone", "import", "fat.example.", "-", stdin=FAT)
        t.ctl("key", "add", writer, "--zone", "fat.example.", "--policy", "names=* axfr")
        await_true(lambda: len(t.addresses()) == 2, "addresses")
        yield t
    finally:
        t.end()


FAT_NAMES = 4000
FAT = ("$ORIGIN fat.example.\n$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ IN NS ns\nns IN A 192.0.2.53\n"
       + "".join(f'n{i} IN TXT "{i:05} {"y" * 200}" "{"z" * 250}"\n' for i in range(FAT_NAMES)))


@pytest.mark.parametrize("server", SERVERS)
def test_a_zone_of_megabytes_is_transferred(fat, server):
    before = fat.counts()
    ring = dns.tsigkeyring.from_text({rfc_module.TSIG_NAME: ("hmac-sha256", rfc_module.TSIG_SECRET)})
    start = time.monotonic()
    with fat.inside():
        zone = dns.zone.from_xfr(dns.query.xfr(server, "fat.example.", keyring=ring, lifetime=50, relativize=False), relativize=False, check_origin=False)
    print(f"{time.monotonic() - start:.2f} s")
    texts = [r.to_text() for name, node in zone.items() for s in node if s.rdtype == 16 for r in s]
    assert sorted(t[1:6] for t in texts) == [f"{i:05}" for i in range(FAT_NAMES)]
    after = fat.counts()
    assert after["tcp_bytes_out"] - before["tcp_bytes_out"] > 1_800_000
    assert (after["frames_cut"] > before["frames_cut"]) == fat.vnet
    again = {k: after[k] - before[k] for k in ("tcp_retransmitted", "tcp_tail_probes")}
    assert again["tcp_retransmitted"] <= again["tcp_tail_probes"] + 2
    assert after.get("tcp_drop_checksum", 0) == 0


@pytest.mark.parametrize("server", SERVERS)
def test_requests_in_large_pieces(fat, server):
    """The kernel gives them in one frame where the device may join segments."""
    before = fat.counts()
    q = dns.message.make_query("www.rfc.example.", "A").to_wire()
    framed = struct.pack(">H", len(q)) + q
    with fat.rfc(server).stream() as s:
        for _ in range(5):
            s.write(framed * 800)
            for _ in range(800):
                assert answer(s.receive(), "A")
    after = fat.counts()
    assert (after["frames_joined"] > before["frames_joined"]) == fat.vnet
    assert after.get("tcp_drop_checksum", 0) == 0 and after.get("drop_checksum", 0) == 0


@pytest.mark.parametrize("server", SERVERS)
def test_half_closed_clients_get_their_answers(fat, server):
    """RFC 7766 6.2.4: they may shut their side once they have asked."""
    for name, count in (("www.rfc.example.", 1), ("www.rfc.example.", 50), ("big.rfc.example.", 20)):
        kind = "A" if name[0] == "w" else "TXT"
        wire = dns.message.make_query(name, kind).to_wire()
        with fat.rfc(server).stream() as s:
            s.write((struct.pack(">H", len(wire)) + wire) * count)
            s.s.shutdown(socket.SHUT_WR)
            for _ in range(count):
                assert answer(s.receive(), kind)
            assert s.closes_within(5)


# ---- strangers ----


@pytest.fixture
def strict(start_tap):
    """Small tables, and a core that soon loses patience."""
    t = start_tap(["198.18.5.1/24"], "address=198.18.5.2/24", "gateway=198.18.5.1", "connections=60", "half-open=16", "tcp-memory=1024",
                  "tcp-idle=2", "tcp-stall=1")
    t.zone()
    return t


def internet_sum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def segment(tap, source, port, seq, ack, flags, payload=b""):
    """A frame with one segment from anywhere to the signpost."""
    src, dst = socket.inet_aton(source), socket.inet_aton("198.18.5.2")
    tcp = struct.pack(">HHIIBBHHH", port, 53, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 1000, 0, 0) + payload
    pseudo = src + dst + struct.pack(">HH", 6, len(tcp))
    tcp = tcp[:16] + struct.pack(">H", internet_sum(pseudo + tcp + b"\0" * (len(tcp) % 2))) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0, 64, 6, 0) + src + dst
    ip = ip[:10] + struct.pack(">H", internet_sum(ip)) + ip[12:]
    return bytes.fromhex(MAC.replace(":", "")) + tap.mac + b"\x08\x00" + ip + tcp


@contextlib.contextmanager
def raw(tap):
    tap.mac = bytes.fromhex(tap.run("cat", "/sys/class/net/tap0/address").strip().replace(":", ""))
    with tap.inside():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        s.bind(("tap0", 0))
    with s:
        yield s


def test_a_flood_of_syns(strict):
    """RFC 4987: beyond the half-open ones cookies are given; who means it gets in meanwhile."""
    with raw(strict) as s:
        for i in range(3000):
            s.send(segment(strict, f"10.{i >> 8}.{i & 255}.9", 1024 + i, i, 0, 2))
            if i % 1000 == 999:
                assert "192.0.2.2" in strict.dig("198.18.5.2", "+tcp", "www.rfc.example", "A")
    counts = strict.counts()
    assert counts["tcp_cookies_sent"] > 2500 and counts["tcp_cookies_taken"] >= 3
    assert counts["tcp_connections"] <= 17
    assert counts["tcp_accepted"] == 3


def test_blind_segments(strict):
    """RFC 5961: who does not see a connection cannot end it, nor put bytes into it."""
    with strict.rfc("198.18.5.2").stream() as c, raw(strict) as s:
        port = c.s.getsockname()[1]
        c.send(dns.message.make_query("www.rfc.example.", "A"))
        assert answer(c.receive(), "A")
        for i in range(600):
            flags = (4, 2, 16, 20, 17)[i % 5]
            s.send(segment(strict, "198.18.5.1", port, i * 7654321, i * 1234567, flags, b"" if flags != 16 else b"x" * 100))
        c.send(dns.message.make_query("www.rfc.example.", "A"))
        assert answer(c.receive(), "A")
    counts = strict.counts()
    assert sum(counts.get("tcp_drop_" + why, 0) for why in ("window", "reset", "syn", "ack_range", "timestamp")) > 500


def test_who_does_not_read_is_cut_off(strict):
    big = dns.message.make_query("big.rfc.example.", "TXT").to_wire()
    framed = struct.pack(">H", len(big)) + big
    readers = []
    for _ in range(20):
        with strict.inside():
            s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("198.18.5.2", 53))
        s.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            s.send(framed * 500)
        readers.append(s)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert "192.0.2.2" in strict.dig("198.18.5.2", "+tcp", "www.rfc.example", "A")
        counts = strict.counts()
        assert counts["tcp_buffered"] <= 1 << 20
        time.sleep(0.2)
    await_true(lambda: strict.counts()["streams"] == 0, "the streams' end", 20)
    assert strict.counts()["streams_no_memory"] == 0
    for s in readers:
        s.close()


def test_more_connections_than_there_are_places(strict):
    kept = []
    with strict.inside():
        for i in range(400):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("198.18.5.2", 53))
            kept.append(s)
    assert strict.counts()["tcp_connections"] <= 60
    await_true(lambda: "192.0.2.2" in strict.dig("198.18.5.2", "+tcp", "www.rfc.example", "A"), "an answer among them", 30)
    for s in kept:
        s.close()
    await_true(lambda: strict.counts()["tcp_connections"] == 0, "an empty table", 30)


def test_idle_connections_are_closed(strict):
    with strict.rfc("198.18.5.2").stream() as s:
        s.send(dns.message.make_query("www.rfc.example.", "A"))
        assert answer(s.receive(), "A") and s.closes_within(6)


def test_without_tcp(start_tap):
    tap = start_tap(["198.18.5.1/24"], "address=198.18.5.2/24", "no-tcp")
    with tap.inside(), pytest.raises(OSError, match="Protocol not available|refused|unreachable"):
        socket.create_connection(("198.18.5.2", 53), timeout=3)
    assert tap.counts()["drop_tcp"] >= 1
