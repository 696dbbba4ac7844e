"""proto/wg (wgpeer) against Debian's wireguard-go, each in a network namespace of its own: handshakes in both roles, data, rekeying,
roaming, preshared keys, cookies."""
import itertools
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from conftest import BUILD
from devices import await_true

WGPEER = BUILD / "tests/interop/wgpeer"
THEIRS, OURS, OURS_TOO, PORT = "192.0.2.1", "192.0.2.2", "192.0.2.3", 51820
THEIR_INNER, OUR_INNER = "10.77.0.1", "10.77.0.2"
numbers = itertools.count()

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(shutil.which("wireguard-go") is None, reason="needs the package wireguard-go"),
    pytest.mark.skipif(shutil.which("wg") is None, reason="needs the package wireguard-tools"),
]


def run(*command, space=None, stdin=None, check=True):
    inside = ["ip", "netns", "exec", space] if space else []
    return subprocess.run([*inside, *map(str, command)], input=stdin, capture_output=True, text=True, check=check, timeout=60).stdout


class Pair:
    """wireguard-go in one namespace, wgpeer in the other."""

    def __init__(self, work):
        self.work, n = work, next(numbers)
        self.go = self.peer = None
        self.them, self.us = f"wg{os.getpid()}t{n}", f"wg{os.getpid()}o{n}"
        self.link = f"wg{os.getpid()}n{n}"  # names its control socket, which all namespaces share
        self.keys = {who: self.key(who) for who in ("them", "us")}
        self.psk = work / "psk"
        self.psk.write_text(run("wg", "genpsk"))

    def start(self, psk=False, endpoint="both", ours=()):
        for space in (self.them, self.us):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
            # No packets but the tests' own: IPv6 would look for routers through the tunnel.
            run("sysctl", "-q", "net.ipv6.conf.default.disable_ipv6=1", space=space)
        run("ip", "-n", self.them, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.us)
        for space, addresses in ((self.them, [THEIRS]), (self.us, [OURS, OURS_TOO])):
            for address in addresses:
                run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
        self.start_them(psk, endpoint)
        self.start_us(psk, endpoint, ours)

    def key(self, who):
        path = self.work / who
        path.write_text(run("wg", "genkey"))
        return path, run("wg", "pubkey", stdin=path.read_text()).strip()

    def start_them(self, psk, endpoint):
        self.log = open(self.work / "wireguard-go.log", "w", encoding="utf-8")
        self.go = subprocess.Popen(["ip", "netns", "exec", self.them, "wireguard-go", "-f", self.link], stdout=self.log, stderr=self.log,
                                   env={**os.environ, "LOG_LEVEL": "verbose"})
        await_true(lambda: self.link in run("ip", "-n", self.them, "link"), "wireguard-go's interface")
        await_true(lambda: run("wg", "show", self.link, "public-key", space=self.them, check=False), "wireguard-go's socket")
        self.wg("private-key", self.keys["them"][0], "listen-port", PORT)
        self.add_peer(psk, endpoint != "ours")
        run("ip", "-n", self.them, "addr", "add", f"{THEIR_INNER}/24", "dev", self.link)
        run("ip", "-n", self.them, "link", "set", self.link, "mtu", 1280, "up")

    def add_peer(self, psk=False, endpoint=True):
        self.wg("peer", self.keys["us"][1], "allowed-ips", f"{OUR_INNER}/32", *(["endpoint", f"{OURS}:{PORT}"] if endpoint else []),
                *(["preshared-key", self.psk] if psk else []))

    def wg(self, *arguments):
        run("wg", "set", self.link, *arguments, space=self.them)

    def show(self, what):
        """The peer's field of `wg show`."""
        out = run("wg", "show", self.link, what, space=self.them).split()
        return out[1] if len(out) > 1 else None

    def start_us(self, psk, endpoint, arguments):
        command = [WGPEER, "--key", self.keys["us"][0], "--peer", self.keys["them"][1], "--tun", "tun0", "--port", PORT,
                   *(["--psk", self.psk] if psk else []), *(["--endpoint", THEIRS, PORT] if endpoint != "theirs" else []), *arguments]
        self.peer = subprocess.Popen(["ip", "netns", "exec", self.us, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=open(self.work / "wgpeer.log", "w", encoding="utf-8"), text=True)
        self.peer.stdout.readline()
        run("ip", "-n", self.us, "addr", "add", f"{OUR_INNER}/24", "dev", "tun0")
        run("ip", "-n", self.us, "link", "set", "tun0", "mtu", 1280, "up")

    def do(self, command):
        """A command to wgpeer; its status afterwards."""
        self.peer.stdin.write(command + "\n")
        self.peer.stdin.flush()
        line = self.peer.stdout.readline()
        assert line, "wgpeer has ended:\n" + (self.work / "wgpeer.log").read_text()
        return json.loads(line)

    def status(self):
        return self.do("status")

    def ping(self, ours, count=5, size=1200, wait=3):
        """How many came back, from our side or from theirs."""
        space, to = (self.us, THEIR_INNER) if ours else (self.them, OUR_INNER)
        out = run("ping", "-c", count, "-i", "0.1", "-W", wait, "-s", size, to, space=space, check=False)
        return int(re.search(r"(\d+) received", out).group(1))

    def ping_in_background(self, ours, seconds):
        """50 a second. Counted, not ended by a deadline: the last of those would be under way when it passes, and seem lost."""
        space, to = (self.us, THEIR_INNER) if ours else (self.them, OUR_INNER)
        return subprocess.Popen(["ip", "netns", "exec", space, "ping", "-q", "-i", "0.02", "-c", str(50 * seconds), "-W", "3", to],
                                stdout=subprocess.PIPE, text=True)

    def end(self):
        code = 0
        if self.peer is not None:
            self.peer.stdin.close()
            code = self.peer.wait(10)
        if self.go is not None:
            self.go.terminate()
            self.go.wait(10)
            self.log.close()
        for space in (self.them, self.us):
            run("ip", "netns", "del", space, check=False)
        if self.peer is not None:
            assert code == 0 and (self.work / "wgpeer.log").read_text() == ""


@pytest.fixture
def pair(tmp_path):
    """pair(...) -> a Pair; those that a test starts are ended after it."""
    started = []

    def start(**settings):
        work = tmp_path / f"p{len(started)}"
        work.mkdir()
        started.append(Pair(work))
        started[-1].start(**settings)
        return started[-1]

    yield start
    for p in started:
        p.end()


def sent_and_lost(ping):
    out = ping.communicate(timeout=60)[0]
    sent, got = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", out).groups())
    return sent, sent - got


@pytest.mark.parametrize("psk", [False, True], ids=["plain", "psk"])
def test_we_initiate(pair, psk):
    p = pair(psk=psk, endpoint="ours")
    assert p.ping(ours=True) == 5
    assert p.ping(ours=False) == 5
    status = p.status()
    assert status["up"] and status["initiations"] == 1 and status["handshakes"] == 1 and status["responses"] == 0
    assert status["dropped_auth"] == status["dropped_replay"] == status["dropped_index"] == 0


@pytest.mark.parametrize("psk", [False, True], ids=["plain", "psk"])
def test_they_initiate(pair, psk):
    p = pair(psk=psk, endpoint="theirs")
    assert p.ping(ours=False) == 5
    assert p.ping(ours=True) == 5
    status = p.status()
    assert status["up"] and status["responses"] == 1 and status["handshakes"] == 1 and status["initiations"] == 0
    assert status["endpoint"] == f"{THEIRS}:{PORT}"


def test_every_length(pair):
    """Padding stops at their MTU: messages need not be a multiple of 16."""
    p = pair()
    for size in [*range(0, 40), *range(1230, 1253)]:
        for ours in (True, False):
            assert p.ping(ours, count=1, size=size) == 1, size


def test_we_rekey_without_loss(pair):
    p = pair()
    assert p.ping(ours=True) == 5
    for ours in (True, False):
        flow, before = p.ping_in_background(ours, 3), p.status()["handshakes"]
        for i in range(1, 6):
            p.do("initiate")
            await_true(lambda: p.status()["handshakes"] == before + i, "the new session")
            time.sleep(0.3)
        sent, lost = sent_and_lost(flow)
        assert sent > 100 and lost == 0


def test_our_timer_rekeys(pair):
    """Our clock runs 60 times faster: sessions that we initiated are renewed after 2 s of theirs, and nothing is lost."""
    p = pair(ours=["--speed", 60], endpoint="ours")
    assert p.ping(ours=True) == 5
    flow = p.ping_in_background(True, 5)
    sent, lost = sent_and_lost(flow)
    assert sent > 150 and lost == 0
    assert p.status()["handshakes"] >= 3


def test_they_rekey(pair):
    """They start anew; then we forget the session, and they notice that nothing comes back."""
    p = pair()
    assert p.ping(ours=True) == 5
    p.wg("peer", p.keys["us"][1], "remove")
    p.add_peer()
    assert p.ping(ours=False) == 5
    assert p.status()["responses"] == 1
    assert p.ping(ours=True) == 5


@pytest.mark.slow
def test_they_notice_that_we_forgot(pair):
    p = pair(endpoint="theirs")
    assert p.ping(ours=False) == 5
    p.do("reset")
    assert p.ping(ours=False, count=1, wait=1) == 0
    await_true(lambda: p.status()["responses"] == 2, "their new handshake", 20)
    assert p.ping(ours=False) == 5


def test_both_initiate_at_once(pair):
    for _ in range(3):
        p = pair()
        flow = p.ping_in_background(False, 2)
        p.do("initiate")
        sent, lost = sent_and_lost(flow)
        assert sent > 50 and lost <= 2
        assert p.ping(ours=True) == 5


def test_we_roam(pair):
    p = pair(endpoint="ours")
    assert p.ping(ours=True) == 5
    for address, port in ((OURS, 40001), (OURS_TOO, 40002), (OURS_TOO, PORT)):
        flow = p.ping_in_background(True, 1)
        p.do(f"rebind {address} {port}")
        sent, lost = sent_and_lost(flow)
        assert sent > 30 and lost <= 1
        assert p.show("endpoints") == f"{address}:{port}"
        assert p.ping(ours=False) == 5
    assert p.status()["handshakes"] == 1


def test_they_roam(pair):
    p = pair()
    assert p.ping(ours=True) == 5
    run("ip", "-n", p.them, "addr", "add", "192.0.2.9/24", "dev", "eth0")
    for port in (40001, 40002):
        p.wg("listen-port", port)
        assert p.ping(ours=False) == 5
        assert p.status()["endpoint"] == f"{THEIRS}:{port}"
        assert p.ping(ours=True) == 5
    assert p.status()["moves"] == 2 and p.status()["handshakes"] == 1


def test_we_ask_for_a_cookie(pair):
    """Always under load, by our measure: their first initiation is answered with a cookie, the next one carries it."""
    p = pair(endpoint="theirs", ours=["--calm", 0])
    assert p.ping(ours=False, count=1, wait=1) == 0
    await_true(lambda: p.status()["responses"] == 1, "an initiation with the cookie", 20)
    assert p.status()["cookies_sent"] == 1
    assert p.ping(ours=False) == 5


def test_they_ask_for_a_cookie(pair):
    """As many initiations as make wireguard-go ask for cookies; the last of them is ours to try again, with what it was given."""
    p = pair(endpoint="ours")
    for _ in range(5):
        p.do("flood 900")
        time.sleep(0.5)
        if p.status()["cookies_taken"] > 0:
            break
    assert p.status()["cookies_taken"] > 0
    before = p.status()["handshakes"]
    await_true(lambda: p.status()["handshakes"] > before, "an answer to the initiation with the cookie", 20)
    assert p.ping(ours=True) == 5
