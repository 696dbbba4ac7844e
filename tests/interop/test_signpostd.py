"""The daemon and signpostctl as an operator meets them: start and stop, listening, configuration, refusals, zones, metrics, privileges."""
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import rfc as rfc_module
from conftest import SIGNPOSTCTL, SIGNPOSTD, Signpost

ZONE_TEXT = """$ORIGIN home.test.
$TTL 300
@ IN SOA ns hostmaster 7 3600 900 86400 300
@ IN NS ns
ns IN A 192.0.2.53
www IN A 192.0.2.80
big IN TXT ( "%s" "%s" "%s" "%s" "%s" "%s" "%s" "%s" )
""" % tuple(chr(97 + i) * 250 for i in range(8))


def run(*command, **settings):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=30, **settings)


def dig(server, *arguments, port=None):
    p = run("dig", f"@{server}", "-p", port, "+time=2", "+tries=1", *arguments)
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout


@pytest.fixture(scope="module")
def home(start_signpost):
    signpost = start_signpost()
    signpost.ctl("zone", "add", "home.test", "--address", "192.0.2.53")
    signpost.import_text("home.test", ZONE_TEXT)
    return signpost


@pytest.fixture
def one(tmp_path):
    """one(...) -> a Signpost for this test alone."""
    running = []

    def start(**settings):
        work = tmp_path / f"s{len(running)}"
        work.mkdir()
        running.append(Signpost(work, **settings))
        return running[-1]

    yield start
    for s in running:
        s.stop()


def refused(*arguments, status=1, **settings):
    """Runs a signpostd that must not start; its one line."""
    p = run(SIGNPOSTD, *arguments, **settings)
    assert p.returncode == status, p.stderr
    lines = [l for l in p.stderr.splitlines() if "listening on" not in l]
    assert len(lines) == 1 and lines[0].startswith("signpostd: "), p.stderr
    return lines[0]


# ---- serving ----


def test_answers_over_udp_and_tcp_on_both_families(home):
    for server in "127.0.0.1", "::1":
        for how in "+notcp", "+tcp":
            out = dig(server, how, "www.home.test", "A", port=home.port)
            assert "status: NOERROR" in out and re.search(r"www\.home\.test\.\s+300\s+IN\s+A\s+192\.0\.2\.80", out), out


def test_long_answer_comes_truncated_then_whole_over_tcp(home):
    assert " tc" in re.search(r"flags:[^;]*", dig("127.0.0.1", "+notcp", "+ignore", "big.home.test", "TXT", port=home.port)).group()
    out = dig("127.0.0.1", "+tcp", "big.home.test", "TXT", port=home.port)
    assert "h" * 250 in out and " tc" not in re.search(r"flags:[^;]*", out).group()


def test_wildcard_sockets_reply_from_the_queried_address(one):
    signpost = one(listen=["0.0.0.0:{port}", "[::]:{port}"])
    signpost.ctl("zone", "add", "any.test")
    query = bytes.fromhex("1234010000010000000000000361 6e7904746573740000060001".replace(" ", ""))
    for family, address in (socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.1.2.3"), (socket.AF_INET6, "::1"):
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.settimeout(3)
            s.sendto(query, (address, signpost.port))
            reply, source = s.recvfrom(4096)
            assert source[:2] == (address, signpost.port) and reply[:2] == query[:2]
    assert "status: NOERROR" in dig("127.0.0.9", "+tcp", "any.test", "SOA", port=signpost.port)


def test_many_datagrams_at_once_are_all_answered(home):
    """Replies that the kernel segments out of one message: each must be whole."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        name = b"\x03www\x04home\x04test\0"
        other = b"\x03big\x04home\x04test\0"
        for i in range(200):
            s.sendto(i.to_bytes(2, "big") + b"\1\0\0\1" + bytes(6) + (other if i % 7 == 0 else name) + b"\0\1\0\1", ("127.0.0.1", home.port))
        seen = {}
        while len(seen) < 200:
            reply = s.recv(4096)
            seen[int.from_bytes(reply[:2], "big")] = reply
    for i, reply in seen.items():
        assert reply[3] & 15 == 0 and reply[7] == (0 if i % 7 == 0 else 1), (i, reply)
        assert i % 7 == 0 or reply.endswith(bytes([192, 0, 2, 80]))


def test_pipelined_tcp_and_a_peer_that_closes_its_side(home):
    query = b"\0\x25" + b"\x12\x34\1\0\0\1" + bytes(6) + b"\x03www\x04home\x04test\0" + b"\0\1\0\1"
    query = (len(query) - 2).to_bytes(2, "big") + query[2:]
    with socket.create_connection(("127.0.0.1", home.port), 3) as s:
        s.sendall(query * 50)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
    count = 0
    while got:
        n = int.from_bytes(got[:2], "big")
        assert got[2 + n - 4:2 + n] == bytes([192, 0, 2, 80])
        got = got[2 + n:]
        count += 1
    assert count == 50


# ---- start and stop ----


def test_zone_of_the_command_line_is_made_once_and_survives(one, tmp_path):
    signpost = one(arguments=["--zone", "made.test"])
    until = time.monotonic() + 5
    while "made.test." not in signpost.ctl("zone", "list") and time.monotonic() < until:
        time.sleep(0.05)
    ds = signpost.ctl("zone", "ds", "made.test")
    assert re.match(r"made\.test\.\s.*\sDS\s+\d+ 15 2 [0-9A-Fa-f ]+\n$", ds), ds
    assert signpost.stop() == 0
    again = one(data=signpost.data, arguments=["--zone", "MADE.test."])
    assert again.ctl("zone", "ds", "made.test") == ds
    assert again.ctl("zone", "list").count("made.test.") == 1


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stops_on_a_signal(one, sig):
    signpost = one()
    assert signpost.stop(sig) == 0
    assert signpost.log_text().splitlines()[-1] == "signpostd: stopped"
    assert not (signpost.data / "control.sock").exists()


def test_sighup_is_noted_and_ignored(one):
    signpost = one()
    signpost.process.send_signal(signal.SIGHUP)
    signpost.ctl("status")
    until = time.monotonic() + 5
    while "SIGHUP" not in signpost.log_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert "SIGHUP ignored" in signpost.log_text() and signpost.process.poll() is None


def test_stop_verb_ends_it_and_waits(one):
    signpost = one()
    signpost.ctl("stop")
    assert signpost.process.wait(5) == 0
    p = signpost.ctl("status", check=False)
    assert p.returncode == 1 and "no signpostd runs on" in p.stderr and "start it with" in p.stderr


def test_what_was_acknowledged_is_there_after_a_kill(one):
    signpost = one()
    signpost.ctl("zone", "add", "home.test")
    signpost.import_text("home.test", ZONE_TEXT)
    signpost.process.kill()
    signpost.process.wait(5)
    again = one(data=signpost.data)
    assert "192.0.2.80" in dig("127.0.0.1", "www.home.test", "A", port=again.port)


def test_quiet_log(one):
    signpost = one()
    dig("127.0.0.1", "www.home.test", "A", port=signpost.port)
    signpost.stop()
    words = [l.split(": ", 1)[1] for l in signpost.log_text().splitlines()]
    assert [w for w in words if not w.startswith("listening on")] == ["ready", "stopped"]


def test_readiness_is_told_to_the_service_manager(tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(10)
        p = subprocess.Popen([str(SIGNPOSTD), "--data", str(tmp_path / "d"), "--listen", f"127.0.0.1:{rfc_module.free_port()}"],
                             env={**os.environ, "NOTIFY_SOCKET": str(path)}, stderr=subprocess.DEVNULL)
        try:
            assert s.recv(100) == b"READY=1"
            p.terminate()
            assert s.recv(100) == b"STOPPING=1"
        finally:
            p.terminate()
            assert p.wait(10) == 0


# ---- refusals: one clear line, exit 1 ----


def test_second_daemon_on_the_same_data(home):
    line = refused("--data", home.data, "--listen", f"127.0.0.1:{rfc_module.free_port()}")
    assert f"in use by process {home.process.pid}" in line and "stop that one first" in line


def test_taken_port(home, tmp_path):
    line = refused("--data", tmp_path / "d", "--listen", f"127.0.0.1:{home.port}")
    assert f"127.0.0.1:{home.port}" in line and "Address already in use" in line and "--listen" in line


def test_directories_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused("--data", tmp_path / "file")
    assert "No such file" in refused("--data", tmp_path / "no" / "such")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert "chmod 700" in refused("--data", shared)
    assert refused("--data", "/proc/self").count("cannot") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as somebody else")
def test_unwritable_directory_and_low_port_as_nobody(tmp_path):
    nobody = pwd.getpwnam("nobody")
    outside = "/tmp/signpost-test-%d" % os.getpid()
    os.mkdir(outside, 0o755)
    try:
        shutil.copy(SIGNPOSTD, outside + "/signpostd")
        as_nobody = dict(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
        p = run(outside + "/signpostd", "--data", outside, "--listen", "127.0.0.1:5399", **as_nobody)
        assert p.returncode == 1 and p.stderr.count("\n") == 1 and "Permission denied" in p.stderr
        os.mkdir(outside + "/d", 0o700)
        os.chown(outside + "/d", nobody.pw_uid, nobody.pw_gid)
        p = run(outside + "/signpostd", "--data", outside + "/d", "--listen", "127.0.0.1:53", **as_nobody)
        assert p.returncode == 1 and p.stderr.count("\n") == 1 and "CAP_NET_BIND_SERVICE" in p.stderr
    finally:
        shutil.rmtree(outside)


def test_damaged_log_is_never_overwritten(tmp_path):
    data = tmp_path / "d"
    data.mkdir(mode=0o700)
    (data / "log").write_bytes(b"not a log" * 100000)
    before = (data / "log").read_bytes()
    line = refused("--data", data, "--listen", f"127.0.0.1:{rfc_module.free_port()}")
    assert "log" in line or "disk" in line
    assert (data / "log").read_bytes() == before


@pytest.mark.parametrize("text, expect", [
    ("listen = {\"here\"}\n", ":1: listen: 'here' is not an address"),
    ("\n\nno-such-option = 1\n", ":3: "),
    ("tcp {\n  idle = soon\n}\n", ":2: idle: 'soon' is not a time"),
    ("limits {\n  memory = 1K\n}\n", ":2: memory: '1K' is out of range"),
    ("user = nobody-of-this-name\n", "there is no user 'nobody-of-this-name'"),
])
def test_bad_configuration(tmp_path, text, expect):
    conf = tmp_path / "conf"
    conf.write_text(text)
    line = refused("--data", tmp_path / "d", "--config", conf, "--listen", "127.0.0.1:0")
    assert expect in line
    if expect.startswith(":"):
        assert f"{conf}{expect}" in line
        p = run(SIGNPOSTCTL, "conf-check", conf)
        assert p.returncode == 1 and f"{conf}{expect}" in p.stderr and p.stdout == ""


def test_good_configuration(tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("listen = {127.0.0.1}\nlimits {\n  memory = 64M\n}\n")
    p = run(SIGNPOSTCTL, "conf-check", conf)
    assert p.returncode == 0 and "valid: yes" in p.stdout
    p = run(SIGNPOSTCTL, "--json", "conf-check", conf)
    assert json.loads(p.stdout) == {"schema": "conf-check/1", "file": str(conf), "valid": True}


@pytest.mark.parametrize("program, arguments", [
    (SIGNPOSTD, []),
    (SIGNPOSTD, ["--data"]),
    (SIGNPOSTD, ["--data", "x", "--listen", "nowhere"]),
    (SIGNPOSTD, ["--data", "x", "--zone", "a..b"]),
    (SIGNPOSTD, ["--data", "x", "surplus"]),
    (SIGNPOSTD, ["--no-such-option"]),
    (SIGNPOSTCTL, []),
    (SIGNPOSTCTL, ["status"]),
    (SIGNPOSTCTL, ["--data", "x", "no-such-verb"]),
    (SIGNPOSTCTL, ["--data", "x", "zone"]),
    (SIGNPOSTCTL, ["--data", "x", "zone", "ds"]),
    (SIGNPOSTCTL, ["--data", "x", "zone", "ds", "a", "b"]),
    (SIGNPOSTCTL, ["--data", "x", "status", "--ttl", "1d"]),
    (SIGNPOSTCTL, ["--data", "x", "invite", "z", "n", "--ttl", "soon"]),
])
def test_usage_errors_exit_2(tmp_path, program, arguments):
    p = run(program, *arguments, cwd=tmp_path)
    assert p.returncode == 2 and p.stdout == "" and p.stderr != ""
    assert not (tmp_path / "x").exists()


def test_help_and_version():
    for program, words in (SIGNPOSTD, []), (SIGNPOSTCTL, []), (SIGNPOSTCTL, ["zone"]), (SIGNPOSTCTL, ["zone", "add"]):
        p = run(program, *words, "--help")
        assert p.returncode == 0 and p.stderr == "" and p.stdout.startswith("Usage: "), p
    assert "device list" not in run(SIGNPOSTCTL, "zone", "--help").stdout
    for program in SIGNPOSTD, SIGNPOSTCTL:
        assert re.match(r"signpost(d|ctl) \d+\.\d+", run(program, "--version").stdout)


# ---- zones, keys, counters ----


def test_import_of_a_bad_file_names_line_and_column(home, tmp_path):
    before = home.ctl("zone", "export", "home.test")
    bad = tmp_path / "bad.zone"
    bad.write_text(ZONE_TEXT + "x IN A 192.0.2.999\n")
    p = home.ctl("zone", "import", "home.test", bad, check=False)
    assert p.returncode == 1 and p.stdout == ""
    assert str(bad) in p.stderr and re.search(r"line 8\b.*column \d+|:8:\d+", p.stderr), p.stderr
    assert home.ctl("zone", "export", "home.test") == before
    p = home.ctl("zone", "import", "home.test", tmp_path / "missing", check=False)
    assert p.returncode == 1 and "No such file" in p.stderr


def test_export_reads_back(home, one):
    text = home.ctl("zone", "export", "home.test")
    assert re.search(r"^www\.home\.test\.\s+300\s+IN\s+A\s+192\.0\.2\.80$", text, re.M), text
    other = one()
    other.ctl("zone", "add", "home.test")
    other.import_text("home.test", text)
    assert "192.0.2.80" in other.ctl("zone", "export", "home.test")


def test_large_zone_round_trip(one):
    signpost = one()
    signpost.ctl("zone", "add", "large.test")
    signpost.import_text("large.test", "$ORIGIN large.test.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n" +
                         "".join(f"n{i:05} A 10.0.{i >> 8}.{i & 255}\n" for i in range(20000)))
    text = signpost.ctl("zone", "export", "large.test")
    assert len(re.findall(r"^n\d{5}\.large\.test\.", text, re.M)) == 20000
    as_json = json.loads(signpost.ctl("zone", "export", "large.test", "--json"))
    assert as_json["schema"] == "zone-export/1" and as_json["text"].count("\n") == text.count("\n")


def test_json_on_every_verb_that_prints(home):
    for words in (["status"], ["zone", "list"], ["zone", "ds", "home.test"], ["zone", "export", "home.test"],
                  ["device", "list", "home.test"], ["key", "list", "home.test"], ["log", "home.test"], ["metrics"]):
        out = json.loads(home.ctl(*words, "--json"))
        name = "-".join(words[:2] if words[0] in ("zone", "device", "key") else words[:1])
        assert out["schema"] == f"{name}/1", words
    assert [z["zone"] for z in json.loads(home.ctl("--json", "zone", "list"))["zones"]] == ["home.test."]


def test_key_files(home, tmp_path):
    tsig = tmp_path / "router.key"
    tsig.write_text(run("tsig-keygen", "router.home.test").stdout)
    home.ctl("key", "add", tsig, "--policy", "names=*.dyn")
    base = run("dnssec-keygen", "-q", "-K", tmp_path, "-T", "KEY", "-n", "HOST", "-a", "ED25519", "printer.home.test").stdout.strip()
    home.ctl("key", "add", tmp_path / f"{base}.key")
    listed = home.ctl("key", "list")
    assert "router.home.test." in listed and "hmac-sha256" in listed
    p = home.ctl("key", "add", tmp_path / f"{base}.private", check=False)
    assert p.returncode == 1 and "private half" in p.stderr
    secret = re.search(r'secret "([^"]+)"', tsig.read_text()).group(1)
    assert secret not in listed + home.log_text() + home.ctl("log", "home.test") + home.ctl("status")
    home.ctl("key", "remove", tsig)
    assert "router.home.test." not in home.ctl("key", "list", "home.test")


def test_failures_say_what_and_exit_1(home):
    for words in (["zone", "ds", "absent.test"], ["zone", "add", "home.test"], ["device", "revoke", "home.test", "nobody"],
                  ["key", "remove", "absent.", "--zone", "home.test"]):
        p = home.ctl(*words, check=False)
        assert p.returncode == 1 and p.stdout == "" and p.stderr.startswith("signpostctl: "), (words, p)


def test_invite_prints_a_token_and_nothing_else(home):
    out = home.ctl("invite", "home.test", "laptop", "--ttl", "1h", "--address", "192.0.2.53")
    assert re.match(r"signpost1-[A-Za-z0-9_-]+\n$", out), out
    assert "laptop.home.test." in home.ctl("key", "list", "home.test")


def test_metrics_over_http(one):
    port = rfc_module.free_port()
    signpost = one(config=f"metrics = 127.0.0.1:{port}\n")
    dig("127.0.0.1", "x.test", "AAAA", port=signpost.port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as r:
        assert r.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = r.read().decode()
    assert re.search(r'^signpost_queries_by_type_total\{type="AAAA"\} [1-9]', text, re.M), text
    assert "# TYPE signpost_queries_by_type_total counter" in text
    assert "# TYPE signpost_update_latency_us histogram" in text
    assert re.search(r"^signpost_host_datagrams_received_total [1-9]", text, re.M) and "host_dropped_too_long_total 0" in text
    assert text.split() [0:2] == ["#", "TYPE"] and re.search(r"^signpost_leases 0$", signpost.ctl("metrics"), re.M)
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=5)
    assert e.value.code == 404


# ---- privileges ----


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give privileges up")
def test_drops_privileges(one):
    nobody = pwd.getpwnam("nobody")
    signpost = one(config="user = nobody\n")
    status = dict(l.split(":\t", 1) for l in open(f"/proc/{signpost.process.pid}/status").read().splitlines() if ":\t" in l)
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4 and status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert set(status["Groups"].split()) <= {str(nobody.pw_gid)}
    assert status["NoNewPrivs"] == "1"
    for task in os.listdir(f"/proc/{signpost.process.pid}/task"):
        text = open(f"/proc/{signpost.process.pid}/task/{task}/status").read()
        assert re.findall(r"Cap(?:Inh|Prm|Eff|Amb):\t0+\n", text + "\n").__len__() == 4, text
    signpost.ctl("zone", "add", "home.test")
    for name in "log", "lock", "control.sock":
        st = (signpost.data / name).stat()
        assert st.st_uid == nobody.pw_uid and st.st_mode & 0o077 == 0, name
    assert signpost.stop() == 0
    assert "home.test." in one(data=signpost.data, config="user = nobody\n").ctl("zone", "list")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to ask as")
def test_control_socket_is_for_root_and_its_own_user(one, tmp_path):
    nobody = pwd.getpwnam("nobody")
    signpost = one()
    directory = os.open(signpost.data, os.O_PATH)  # past the directory's own permissions, which would stop it already
    os.chmod(signpost.data / "control.sock", 0o666)
    os.chmod(signpost.data, 0o711)
    script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect('/proc/self/fd/%d/control.sock')\n"
              "try:\n s.sendall(bytes([0,0,0,2,1,1]))\n sys.exit(len(s.recv(1)))\nexcept OSError:\n sys.exit(0)\n" % directory)
    for user, expect in (nobody.pw_uid, 0), (0, 1):
        p = subprocess.run(["/usr/bin/python3", "-c", script], user=user, pass_fds=[directory], timeout=10)
        assert p.returncode == expect
    os.close(directory)


def test_control_socket_bears_rubbish(home):
    path = f"/proc/self/fd/{os.open(home.data, os.O_PATH)}/control.sock"
    for data in b"", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1\x63", b"\0\0\0\2\1\xff", b"\0\0\0\2\7\1", b"\0\0\0\6\1\2\xff\xff\xff\xff":
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(5)
            s.recv(100)
    assert home.process.poll() is None
    home.ctl("status")
