"""What strangers, other users of the machine and failing disks may try. The daemon is the one built with sanitizers, where there is one."""
import json
import os
import pwd
import random
import shutil
import socket
import struct
import subprocess
import threading
import time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.tsigkeyring
import dns.update
import pytest

import rfc as rfc_module
import sig0
from conftest import BUILD, SIGNPOSTCTL, SIGNPOSTD, Signpost, with_rfc_zone
from rfc import TSIG_NAME, TSIG_SECRET, ZONE, Rfc, answer, await_true, ede_of

SANITIZED = BUILD.parent / "build-asan/signpostd/linux/signpostd"
RING = dns.tsigkeyring.from_text({TSIG_NAME: TSIG_SECRET})
ROOT = os.geteuid() == 0
COMPLAINTS = ("AddressSanitizer", "runtime error", "LeakSanitizer")


@pytest.fixture
def one(tmp_path):
    """one(...) -> a Signpost for this test alone, with sanitizers if possible."""
    running = []

    def start(**settings):
        work = tmp_path / f"s{len(running)}"
        work.mkdir()
        program = SANITIZED if SANITIZED.exists() else SIGNPOSTD
        # A process without capabilities cannot trace itself, as the search for leaks does.
        running.append(Signpost(work, **{"program": program, "environment": {"ASAN_OPTIONS": "detect_leaks=0"}, **settings}))
        return running[-1]

    yield start
    for s in running:
        s.stop()
        assert not any(c in s.log_text() for c in COMPLAINTS), s.log_text()


def make_rfc(signpost, tmp_path):
    keys = tmp_path / f"keys{signpost.port}"
    keys.mkdir()
    return with_rfc_zone(signpost, keys)


def device(rfc, name):
    key = sig0.Key(name)
    rfc.signpost.import_text(ZONE, key.text() + "\n")
    return key


def update(name, text, **kw):
    u = dns.update.UpdateMessage(ZONE, **kw)
    u.replace(dns.name.from_text(name), 60, "TXT", text)
    u.use_edns(0)
    return u


def from_address(rfc, source, wire, timeout=2):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        s.bind((source, 0))
        s.connect((rfc.address, rfc.port))
        s.send(wire)
        return s.recv(65535)


def serves(rfc):
    return answer(rfc.ask("www"), "A") == ["192.0.2.1", "192.0.2.2"]


# ---- datagrams ----


def mangled(wire, rng):
    """One of the ways to spoil a message."""
    wire = bytearray(wire)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(wire))
        what = rng.randrange(5)
        if what == 0:
            wire[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            wire[at] = rng.choice((0, 1, 0x3F, 0x40, 0x80, 0xC0, 0xFF))
        elif what == 2:
            del wire[at:at + rng.randrange(1, 20)]
        elif what == 3:
            wire[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            wire[4 + 2 * rng.randrange(4):6 + 2 * rng.randrange(4)] = rng.choice((b"\0\0", b"\0\1", b"\0\2", b"\xff\xff"))
        if len(wire) < 12:
            break
    return bytes(wire)


def test_flood_of_malformed_datagrams(one, tmp_path):
    """Three seconds of spoilt queries, updates and noise: each is answered with an error or dropped, and nothing changes."""
    rfc = make_rfc(one(), tmp_path)
    key = device(rfc, "device." + ZONE)
    signed = dns.message.make_query("www." + ZONE, "A", use_edns=0, want_dnssec=True)
    signed.use_tsig(RING)
    seeds = [dns.message.make_query(n + "." + ZONE, t, use_edns=0, want_dnssec=True).to_wire()
             for n, t in (("www", "A"), ("host.d", "A"), ("x.wild", "TXT"), ("nobody", "A"), ("svc", "HTTPS"))]
    seeds += [signed.to_wire(), key.sign(update(key.name.to_text(), "x").to_wire()), update("x." + ZONE, "y", keyring=RING).to_wire()]
    rng, before = random.Random(9481), rfc.serial()
    until, sent = time.monotonic() + 3, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        s.connect((rfc.address, rfc.port))
        while time.monotonic() < until:
            for _ in range(50):
                try:
                    s.send(rng.randbytes(rng.randrange(600)) if rng.random() < 0.1 else mangled(rng.choice(seeds), rng))
                except BlockingIOError:
                    break
                sent += 1
            try:
                while True:
                    reply = s.recv(65535)
                    assert reply[2] & 0x80
            except BlockingIOError:
                pass
            if sent % 1000 == 0:
                assert serves(rfc)
    assert sent > 2000 and serves(rfc)
    # Bytes that a signature does not cover (the id under SIG(0) is covered; TSIG covers the original id) may leave one whole.
    assert rfc.serial() - before <= 2 and rfc.signpost.process.poll() is None


def test_noise_over_tcp(one, tmp_path):
    rfc = make_rfc(one(), tmp_path)
    rng = random.Random(77)
    seed = dns.message.make_query("www." + ZONE, "A", use_edns=0).to_wire()
    for _ in range(150):
        with socket.create_connection((rfc.address, rfc.port), 5) as s:
            try:
                for _ in range(5):
                    wire = mangled(seed, rng)
                    s.sendall(struct.pack(">H", rng.choice((len(wire), len(wire), rng.randrange(65536)))) + wire)
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert serves(rfc) and rfc.signpost.process.poll() is None


# ---- signatures ----


def test_updates_beyond_the_budget_are_refused_plainly(one, tmp_path):
    """REFUSED with an EDE that says why: nsupdate would lose an update to TC, and fail on BADCOOKIE. A proven device goes on."""
    rfc = make_rfc(one(config="budgets {\n  verify-prefix-per-second = 5\n  verify-stranger-per-second = 50\n}\n"), tmp_path)
    key = device(rfc, "device." + ZONE)
    assert sig0.parse(rfc.raw(key.sign(update("device." + ZONE, "first").to_wire()))).rcode() == dns.rcode.NOERROR
    stranger = sig0.Key("device." + ZONE)
    wire = stranger.sign(update("device." + ZONE, "forged").to_wire(), tag=key.tag)
    seen = []
    for i in range(60):
        r = sig0.parse(from_address(rfc, f"127.0.9.{1 + i % 200}", wire))
        assert r.rcode() == dns.rcode.REFUSED and not r.flags & dns.flags.TC and ede_of(r) and not r.answer
        seen.append(ede_of(r)[0])
    assert seen[0] == 6 and seen.count(0) >= 30, seen  # first Bogus, then Other: the budget
    assert any("this network" in getattr(o, "text", "") for o in r.options)
    good = key.sign(update("device." + ZONE, "second").to_wire(), inception=int(time.time()))
    assert sig0.parse(rfc.raw(good)).rcode() == dns.rcode.NOERROR
    assert answer(rfc.ask("device", "TXT"), "TXT") == ['"second"']
    metrics = rfc.signpost.ctl("metrics")
    assert 'reason="budget_prefix"' in metrics and 'reason="sig0_badsig"' in metrics


def test_forged_signer_names(one, tmp_path):
    """A key signs for its own name alone, whatever the signer's name says."""
    rfc = make_rfc(one(), tmp_path)
    mine, other = device(rfc, "mine." + ZONE), device(rfc, "other." + ZONE)
    for signer in ("other." + ZONE, ZONE, "signpost." + ZONE, ".", "elsewhere.test.", "x.mine." + ZONE, "*.mine." + ZONE, "mine.rfc.exampl\\000."):
        for tag in (mine.tag, other.tag):
            for target in ("mine." + ZONE, "other." + ZONE):
                wire = mine.sign(update(target, "forged").to_wire(), signer=dns.name.from_text(signer), tag=tag)
                r = sig0.parse(rfc.raw(wire))
                assert r.rcode() == dns.rcode.REFUSED and ede_of(r), (signer, r)
    assert not rfc.ask("other", "TXT").answer and not rfc.ask("mine", "TXT").answer
    # The signer's case does not matter, and is not a hole.
    wire = mine.sign(update("mine." + ZONE, "mine").to_wire(), signer=dns.name.from_text("MINE." + ZONE))
    assert sig0.parse(rfc.raw(wire)).rcode() == dns.rcode.NOERROR


def colliding(name, n):
    by_tag = {}
    while True:
        key = sig0.Key(name)
        same = by_tag.setdefault(key.tag, [])
        same.append(key)
        if len(same) == n:
            return same


def test_key_tags_that_collide(one, tmp_path):
    """Two keys of one name with one tag both count; a third with that tag, which the zone does not list, does not."""
    rfc = make_rfc(one(), tmp_path)
    first, second, stranger = colliding("device." + ZONE, 3)
    rfc.signpost.import_text(ZONE, first.text() + "\n" + second.text() + "\n")
    for i, key in enumerate((first, second, first, second)):
        wire = key.sign(update("device." + ZONE, f"by-{i}").to_wire(), inception=int(time.time()))
        assert sig0.parse(rfc.raw(wire)).rcode() == dns.rcode.NOERROR
        assert answer(rfc.ask("device", "TXT"), "TXT") == [f'"by-{i}"']
    r = sig0.parse(rfc.raw(stranger.sign(update("device." + ZONE, "forged").to_wire())))
    assert r.rcode() == dns.rcode.REFUSED and ede_of(r) == [6]
    assert answer(rfc.ask("device", "TXT"), "TXT") == ['"by-3"']


# ---- streams ----

QUICK_TCP = "tcp {\n  idle = 1s\n  first = 1s\n  stall = 1s\n}\n"


def test_slow_readers_and_writers_are_cut_off(one, tmp_path):
    rfc = make_rfc(one(config=QUICK_TCP), tmp_path)
    big = dns.message.make_query("big." + ZONE, "TXT").to_wire()
    framed = struct.pack(">H", len(big)) + big
    readers, writers = [], []
    for _ in range(10):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((rfc.address, rfc.port))
        s.setblocking(False)
        try:
            s.send(framed * 2000)  # answers of 8 MB, never read
        except BlockingIOError:
            pass
        readers.append(s)
        writers.append(socket.create_connection((rfc.address, rfc.port), 5))
    start = time.monotonic()
    while time.monotonic() - start < 4:
        for s in writers:
            try:
                s.send(b"\0")  # the length, then a byte of the message at a time: never a whole one
            except OSError:
                pass
        assert serves(rfc) and answer(rfc.ask("www", tcp=True), "A")
        time.sleep(0.4)
    assert await_true(lambda: json.loads(rfc.signpost.ctl("--json", "status"))["streams"] == 0, 15)
    for s in readers + writers:
        s.close()


def test_thousands_of_connections_stay_within_limits(one, tmp_path):
    rfc = make_rfc(one(config="limits {\n  streams = 300\n  streams-per-prefix = 60\n}\n"), tmp_path)
    kept = []
    for i in range(2000):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setblocking(False)
        s.bind((f"127.1.{i % 40}.1", 0))
        s.connect_ex((rfc.address, rfc.port))
        kept.append(s)
        if len(kept) > 800:  # the test's own descriptors
            kept.pop(0).close()
        if i % 400 == 399:
            assert serves(rfc) and answer(rfc.ask("www", tcp=True), "A")
    assert json.loads(rfc.signpost.ctl("--json", "status"))["streams"] <= 300
    # One network alone holds no more than its share, and others get in.
    mine = [socket.create_connection((rfc.address, rfc.port), 5, source_address=("127.7.7.7", 0)) for _ in range(150)]
    assert answer(rfc.ask("www", tcp=True), "A")
    assert json.loads(rfc.signpost.ctl("--json", "status"))["streams"] <= 300
    for s in kept + mine:
        s.close()
    metrics = rfc.signpost.ctl("metrics")
    assert int(metrics.split('streams_ended_total{reason="evicted"} ')[1].split()[0]) > 500


# ---- the control socket ----


def control(signpost, data, shut=True):
    directory = os.open(signpost.data, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(f"/proc/self/fd/{directory}/control.sock")
            try:
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
                return s.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                return b""
    finally:
        os.close(directory)


def test_oversized_and_spoilt_control_requests(one, tmp_path):
    signpost = one()
    signpost.ctl("zone", "add", "home.test")
    assert control(signpost, struct.pack(">I", (16 << 20) + 1)) == b""
    assert control(signpost, struct.pack(">I", 0xFFFFFFFF) + b"x" * 100) == b""
    rng = random.Random(5)
    for verb in range(32):
        for arguments in ([], [b"home.test"], [b"a" * 70000], [b"home.test", b"\xff\0" * 500], [rng.randbytes(40)] * 20, [b""] * 300):
            body = bytes([1, verb]) + b"".join(struct.pack(">I", len(a)) + a for a in arguments)
            for data in body, bytes([1, verb]) + mangled(body[2:] + b"\0" * 12, rng):
                if verb != 16:  # stop
                    control(signpost, struct.pack(">I", len(data)) + data)
    assert signpost.process.poll() is None
    signpost.ctl("status")


def test_idle_control_connections_do_not_lock_the_operator_out(one):
    """They are root's or the server's own; still, a hanging script must not cost the operator the server."""
    signpost = one()
    directory = os.open(signpost.data, os.O_PATH)
    idle = []
    for _ in range(8):
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"/proc/self/fd/{directory}/control.sock")
        idle.append(s)
    signpost.ctl("status")
    for s in idle:
        s.close()
    os.close(directory)


# ---- the data directory ----


def refused(data, *arguments):
    """Runs a signpostd that must not start; its one line."""
    p = subprocess.run([str(SIGNPOSTD), "--data", str(data), "--listen", f"127.0.0.1:{rfc_module.free_port()}", *map(str, arguments)],
                       capture_output=True, text=True, timeout=20)
    assert p.returncode == 1, p.stderr
    lines = [l for l in p.stderr.splitlines() if "listening on" not in l]
    assert len(lines) == 1 and lines[0].startswith("signpostd: "), p.stderr
    return lines[0]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A data directory of a server that has stopped."""
    work = tmp_path_factory.mktemp("stopped")
    signpost = Signpost(work, config="log-size = 1M\n", arguments=["--zone", "kept.test"])
    assert await_true(lambda: "kept.test." in signpost.ctl("zone", "list"))
    assert signpost.stop() == 0
    again = Signpost(work, data=signpost.data)  # twice, so that both superblocks are in use
    assert again.stop() == 0
    return signpost.data


@pytest.fixture
def data(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "d")
    (tmp_path / "d").chmod(0o700)
    return tmp_path / "d"


def zeros(path):
    path.write_bytes(b"")


def shorter(path):
    os.truncate(path, 500_000)


def spoilt(path):
    with open(path, "r+b") as f:
        f.write(random.Random(1).randbytes(8192))


def blanked(path):
    with open(path, "r+b") as f:
        f.write(b"\0" * 8192)


def foreign(path):
    path.write_bytes(SIGNPOSTD.read_bytes())


def newer(path):
    """Both superblocks say version 99, with a sum that is right: what a later program would leave."""
    with open(path, "r+b") as f:
        for at in (0, 4096):
            f.seek(at)
            block = bytearray(f.read(4096))
            block[16:20] = struct.pack(">I", 99)
            block[0:8] = struct.pack(">Q", siphash(bytes(block[8:])))
            f.seek(at)
            f.write(block)


def siphash(data):
    """SipHash-2-4 with a zero key."""
    mask = (1 << 64) - 1
    v = [0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573]

    def rotate(x, n):
        return (x << n | x >> (64 - n)) & mask

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 255])
    for (m,) in struct.iter_unpack("<Q", padded):
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@pytest.mark.parametrize("harm, says", [(zeros, "empty"), (shorter, "smaller than the one that its log was made for"), (spoilt, "damaged"), (blanked, "damaged"),
                                        (foreign, "something else"), (newer, "another version")])
def test_a_harmed_log_is_refused_and_left_alone(data, harm, says):
    harm(data / "log")
    before = (data / "log").read_bytes()
    assert says in refused(data)
    assert (data / "log").read_bytes() == before


@pytest.mark.skipif(not ROOT, reason="root makes the links of somebody else")
@pytest.mark.parametrize("name", ["log", "lock"])
def test_links_are_not_followed(data, tmp_path, name):
    target = tmp_path / "target"
    target.write_bytes(b"untouched")
    (data / name).unlink()
    (data / name).symlink_to(target)
    refused(data)
    assert target.read_bytes() == b"untouched"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_log_that_is_no_file(data, make):
    (data / "log").unlink()
    make(data / "log")
    assert "log" in refused(data)


def test_a_read_only_log(data):
    (data / "log").chmod(0o400)
    if ROOT:  # who reads it anyway unless the capability is dropped first, as signpostd does
        assert "Permission denied" in refused(data)
    else:
        assert "cannot open log" in refused(data)


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_a_directory_of_somebody_else(data):
    nobody = pwd.getpwnam("nobody")
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    line = refused(data)
    assert f"belongs to user {nobody.pw_uid}" in line and "chown" in line


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_directory_that_others_may_write(data, mode):
    data.chmod(mode)
    assert "chmod 700" in refused(data)


def test_a_log_that_others_could_read_is_closed_to_them(one, data):
    """As a backup that was put back may be: it holds keys."""
    (data / "log").chmod(0o644)
    signpost = one(data=data)
    assert (data / "log").stat().st_mode & 0o777 == 0o600 and "kept.test." in signpost.ctl("zone", "list")


@pytest.mark.parametrize("what", ["file", "dangling", "gone"])
def test_a_control_socket_that_was_replaced(one, data, what):
    """Before the start it is made anew; while the server runs, signpostctl says what is wrong, and the server goes on."""
    for path in (data / "control.sock",):
        if what == "file":
            path.write_text("x")
        elif what == "dangling":
            path.symlink_to("/nonexistent")
    signpost = one(data=data)
    path = signpost.data / "control.sock"
    assert path.is_socket() and path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    if what == "file":
        path.write_text("x")
    elif what == "dangling":
        path.symlink_to("/nonexistent")
    p = signpost.ctl("status", check=False)
    assert p.returncode == 1 and p.stdout == "" and p.stderr.count("\n") == 1 and p.stderr.startswith("signpostctl: ")
    assert signpost.stop() == 0


def test_started_twice_on_the_same_data(one):
    signpost = one()
    line = refused(signpost.data)
    assert f"in use by process {signpost.process.pid}" in line
    signpost.ctl("status")


# ---- kills and full disks ----


def writer(rfc, acknowledged, stop, number):
    key = dns.tsigkeyring.from_text({TSIG_NAME: TSIG_SECRET})
    for i in range(100000):
        if stop.is_set():
            return
        u = dns.update.UpdateMessage(ZONE, keyring=key)
        u.add(f"w{number}-{i}", 300, "A", "192.0.2.99")
        try:
            if rfc.send(u).rcode() == dns.rcode.NOERROR:
                acknowledged.append(f"w{number}-{i}")
        except Exception:
            return


def test_kill_and_restart_keep_everything_acknowledged(one, tmp_path):
    """In the midst of updates, three times. (A kill says nothing about power cuts: those are the simulator's.)"""
    signpost = one(config="log-size = 8M\n")
    rfc = make_rfc(signpost, tmp_path)
    for turn in range(3):
        acknowledged, stop = [], threading.Event()
        threads = [threading.Thread(target=writer, args=(rfc, acknowledged, stop, f"{turn}{n}")) for n in range(3)]
        for t in threads:
            t.start()
        assert await_true(lambda: len(acknowledged) > 50 * (turn + 1), 20)
        signpost.process.kill()
        signpost.process.wait()
        stop.set()
        for t in threads:
            t.join()
        signpost.start()
        export = signpost.ctl("zone", "export", ZONE)
        missing = [n for n in acknowledged if f"{n}.{ZONE} 300 IN A 192.0.2.99" not in export]
        assert not missing, missing
        assert serves(rfc)


def fill(rfc, most):
    """Updates with distinct names until one fails; (how many were taken, that reply)."""
    for i in range(most):
        u = dns.update.UpdateMessage(ZONE, keyring=RING)
        u.add(f"fill{i}", 300, "TXT", *["z" * 250] * 4)
        u.use_edns(0)
        r = rfc.send(u)
        if r.rcode() != dns.rcode.NOERROR:
            return i, r
    return most, None


@pytest.mark.slow
def test_a_full_log_refuses_updates_and_goes_on_answering(one, tmp_path):
    signpost = one(config="log-size = 1M\n")
    rfc = make_rfc(signpost, tmp_path)
    taken, r = fill(rfc, 3000)
    assert r is not None and r.rcode() == dns.rcode.SERVFAIL and any("full" in getattr(o, "text", "") for o in r.options), r
    assert taken > 50 and serves(rfc)
    assert answer(rfc.ask(f"fill{taken - 1}", "TXT", tcp=True), "TXT") and rfc.ask(f"fill{taken}").rcode() == dns.rcode.NXDOMAIN
    assert "log is full" in signpost.ctl("status")
    # Removing works although adding does not, and then there is room again.
    for i in range(taken - 2):
        u = dns.update.UpdateMessage(ZONE, keyring=RING)
        u.delete(f"fill{i}")
        assert await_true(lambda: rfc.send(u).rcode() == dns.rcode.NOERROR, 10), i
    again = dns.update.UpdateMessage(ZONE, keyring=RING)
    again.add("again", 60, "TXT", "room")
    assert await_true(lambda: rfc.send(again).rcode() == dns.rcode.NOERROR, 10)
    assert "storage: durable" in signpost.ctl("status")
    assert signpost.stop() == 0
    signpost.start()
    assert answer(rfc.ask("again", "TXT"), "TXT") == ['"room"'] and rfc.ask("fill0").rcode() == dns.rcode.NXDOMAIN
    assert answer(rfc.ask(f"fill{taken - 1}", "TXT", tcp=True), "TXT") and serves(rfc)


def test_a_full_file_system(one, tmp_path):
    if not ROOT:
        pytest.skip("needs root for a file system of its own")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k,mode=700", "tmpfs", str(small)], capture_output=True).returncode != 0:
        pytest.skip("cannot mount a tmpfs")
    try:
        signpost = one(data=small, config="log-size = 16M\n")
        rfc = make_rfc(signpost, tmp_path)
        taken, r = fill(rfc, 3000)
        assert r is not None and r.rcode() == dns.rcode.SERVFAIL and ede_of(r), (taken, r)
        assert serves(rfc) and signpost.process.poll() is None
        assert answer(rfc.ask(f"fill{taken - 1}", "TXT", tcp=True), "TXT") and rfc.ask(f"fill{taken}").rcode() == dns.rcode.NXDOMAIN
        signpost.stop()
        assert subprocess.run(["mount", "-o", "remount,size=4m", str(small)]).returncode == 0
        signpost.start()
        assert answer(rfc.ask(f"fill{taken - 1}", "TXT", tcp=True), "TXT") and serves(rfc)
        time.sleep(1.1)  # after a restart what is signed must be younger than all that was stored
        assert rfc.send(update("again." + ZONE, "room", keyring=RING)).rcode() == dns.rcode.NOERROR
        assert signpost.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(small)])
