"""signpostctl from afar: every verb over UDP, through networks that lose and duplicate, and all the ways in which it is refused."""
import json
import random
import re
import select
import socket
import subprocess
import threading
import time

import pytest

from conftest import SIGNPOSTCTL, SIGNPOSTD

ZONE = "me.example"


def ctl(*arguments, stdin=None, environment=None, timeout=120):
    return subprocess.run([str(SIGNPOSTCTL), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout,
                          env=environment)


class Proxy:
    """Between a client and 127.0.0.1:port: drops, doubles and delays datagrams, in the way of a seed; what it sees it keeps."""

    def __init__(self, port, loss=0.0, twice=0.0, late=0.0, seed=1, delay=0.0):
        self.random, self.loss, self.twice, self.late, self.delay = random.Random(seed), loss, twice, late, delay
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.front.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.port = self.front.getsockname()[1]
        self.target = ("127.0.0.1", port)
        self.backs, self.waiting, self.seen, self.lost = {}, [], 0, 0
        self.on = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def pass_on(self, send, data):
        self.seen += 1
        for _ in range(2 if self.random.random() < self.twice else 1):
            if self.random.random() < self.loss:
                self.lost += 1
                continue
            late = self.delay + (self.random.uniform(0, 0.2) if self.random.random() < self.late else 0)
            self.waiting.append((time.monotonic() + late, send, data))

    def run(self):
        while self.on:
            due = min((w[0] for w in self.waiting), default=time.monotonic() + 0.1)
            ready, _, _ = select.select([self.front, *self.backs.values()], [], [], max(0, due - time.monotonic()))
            for s in ready:
                try:
                    data, peer = s.recvfrom(4096)
                except OSError:
                    continue
                if s is self.front:
                    if peer not in self.backs:
                        self.backs[peer] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                        self.backs[peer].connect(self.target)
                    self.pass_on(self.backs[peer].send, data)
                else:
                    client = next(p for p, b in self.backs.items() if b is s)
                    self.pass_on(lambda d, c=client: self.front.sendto(d, c), data)
            now = time.monotonic()
            for w in [w for w in self.waiting if w[0] <= now]:
                self.waiting.remove(w)
                try:
                    w[1](w[2])
                except OSError:
                    pass

    def close(self):
        self.on = False
        self.thread.join()
        for s in (self.front, *self.backs.values()):
            s.close()


class Operated:
    """A signpost with two operators, and the first one's ways to reach it."""

    def __init__(self, start_signpost, work):
        self.work = work
        self.pubs = [ctl("operator-key", work / f"key{i}").stdout.strip() for i in range(2)]
        self.signpost = start_signpost(config=f'operators = {{"{self.pubs[1]}"}}\nlimits {{\n  operator-request = 2M\n}}\n',
                                       arguments=["--zone", ZONE, "--operator", self.pubs[0]])
        until = time.monotonic() + 20
        while ZONE not in self.signpost.ctl("zone", "list") and time.monotonic() < until:
            time.sleep(0.05)
        self.key = json.loads(self.signpost.ctl("--json", "status"))["signpost_key"]
        self.remote = self.place("remote", self.signpost.port)

    def place(self, name, port, key="key0", signpost=None):
        path = self.work / name
        path.write_text(f"# how to reach it\nat = 127.0.0.1:{port}\nkey = {key}\nsignpost = {signpost or self.key}\n")
        return path

    def afar(self, *arguments, stdin=None, remote=None):
        p = ctl("--remote", remote or self.remote, "--patience", "60s", *arguments, stdin=stdin)
        assert p.returncode == 0, f"{arguments}: {p.returncode}\n{p.stdout}{p.stderr}"
        return p.stdout


@pytest.fixture(scope="module")
def operated(start_signpost, tmp_path_factory):
    return Operated(start_signpost, tmp_path_factory.mktemp("operator"))


@pytest.fixture
def proxies(operated):
    made = []

    def make(**settings):
        made.append(Proxy(operated.signpost.port, **settings))
        return made[-1], operated.place("proxied", made[-1].port)

    yield make
    for p in made:
        p.close()


# ---- keys ----

def test_a_key_is_made_once_and_private(tmp_path):
    path = tmp_path / "key"
    p = ctl("operator-key", path)
    assert p.returncode == 0 and re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", p.stdout)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    assert p.stdout.strip() in before
    again = ctl("operator-key", path)
    assert again.returncode == 1 and "is there already" in again.stderr and path.read_text() == before
    out = json.loads(ctl("--json", "operator-key", tmp_path / "other").stdout)
    assert out["schema"] == "operator-key/1" and len(out["operator"]) == 44


def test_a_key_that_others_may_read_is_not_used(operated):
    path = operated.work / "open"
    path.write_text((operated.work / "key0").read_text())
    path.chmod(0o644)
    p = ctl("--remote", operated.remote, "--key", path, "status")
    assert p.returncode == 1 and "chmod 600" in p.stderr


# ---- verbs ----

def test_every_verb_from_afar(operated, tmp_path):
    far, near = operated.afar, operated.signpost.ctl
    assert "ready: yes" in far("status")
    assert "new.example." in far("zone", "add", "new.example", "--address", "192.0.2.53")
    assert near("zone", "list") == far("zone", "list")
    assert near("zone", "ds", "new.example") == far("zone", "ds", "new.example")
    assert "changed" in far("zone", "import", "new.example", "-", stdin="www 300 IN A 192.0.2.1\n")
    assert near("zone", "export", "new.example") == far("zone", "export", "new.example")
    assert len(far("invite", "new.example", "laptop", "--address", "192.0.2.53", "--ttl", "1h").strip()) > 100
    assert near("device", "list", "new.example") == far("device", "list", "new.example")
    secret = subprocess.run(["tsig-keygen", "writer.new.example"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "tsig").write_text(secret)
    far("key", "add", tmp_path / "tsig", "--policy", "names=*")
    assert "writer.new.example." in far("key", "list", "new.example")
    update = f"server 127.0.0.1 {operated.signpost.port}\nzone new.example.\nupdate add x.new.example. 60 A 192.0.2.9\nsend\n"
    subprocess.run(["nsupdate", "-k", str(tmp_path / "tsig")], input=update, text=True, check=True, timeout=60)
    assert "x.new.example." in far("zone", "export", "new.example")
    far("key", "remove", "writer.new.example")
    assert "recent" in far("log", "new.example")
    assert "signpost_operator_requests_total" in far("metrics")
    assert "new.example." in far("zone", "remove", "new.example")
    # Who did what is in the log of the signpost; not what it was about.
    log = operated.signpost.log_text()
    prefix = operated.pubs[0][:8]
    for verb in ("status", "zone add", "zone import", "key add", "invite", "metrics"):
        assert f"operator {prefix}, from afar: {verb}\n" in log
    assert re.search('secret "(.*)"', secret)[1] not in log and "new.example" not in log


def test_json_is_the_same_from_afar(operated):
    for verb in (["zone", "list"], ["device", "list", ZONE], ["key", "list", ZONE], ["zone", "ds", ZONE]):
        assert json.loads(operated.afar("--json", *verb)) == json.loads(operated.signpost.ctl("--json", *verb))
    status = json.loads(operated.afar("--json", "status"))
    assert status["schema"] == "status/1" and status["operators"] == 2 and status["signpost_key"] == operated.key
    assert json.loads(operated.afar("--json", "metrics"))["schema"] == "metrics/1"


def test_errors_of_the_signpost_are_the_same(operated):
    far, near = ctl("--remote", operated.remote, "zone", "ds", "no.example"), operated.signpost.ctl("zone", "ds", "no.example", check=False)
    assert (far.returncode, far.stderr) == (near.returncode, near.stderr) and far.returncode == 1
    p = ctl("--remote", operated.remote, "zone", "remove", ZONE)
    assert p.returncode == 1 and "by whose key you reach" in p.stderr


def test_the_ways_to_say_which_signpost(operated):
    environment = {"PATH": "/usr/bin:/bin", "SIGNPOST_REMOTE": str(operated.remote)}
    assert ctl("status", environment=environment).returncode == 0
    assert ctl("--data", operated.signpost.data, "status", environment={**environment, "SIGNPOST_REMOTE": "/none"}).returncode == 0
    p = ctl("--at", f"127.0.0.1:{operated.signpost.port}", "--key", operated.work / "key1", "--signpost", operated.key, "status")
    assert p.returncode == 0, p.stderr
    p = ctl("--at", f"[::1]:{operated.signpost.port}", "--remote", operated.remote, "status")
    assert p.returncode == 0, p.stderr
    p = ctl("--at", f"localhost:{operated.signpost.port}", "--remote", operated.remote, "status")
    assert p.returncode == 0, p.stderr
    for arguments, text in ((["status"], "--remote FILE"), (["--at", "127.0.0.1", "status"], "all of --at, --key and --signpost"),
                            (["--data", "x", "--remote", operated.remote, "status"], "on this machine (--data) or afar"),
                            (["--patience", "soon", "status"], "--patience must be a time")):
        p = ctl(*arguments)
        assert p.returncode == 2 and text in p.stderr, p.stderr
    (operated.work / "odd").write_text("at = 127.0.0.1\nwhere = there\n")
    p = ctl("--remote", operated.work / "odd", "status")
    assert p.returncode == 1 and "odd:2: " in p.stderr
    p = ctl("--remote", operated.remote, "--signpost", "c2hvcnQ=", "status")
    assert p.returncode == 1 and "32 bytes in base64" in p.stderr


# ---- bad networks ----

def big_zone(n):
    return "".join(f"host{i} 300 IN A 192.0.{i // 256 % 256}.{i % 256}\n" for i in range(n))


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_over_networks_that_lose(operated, proxies, loss):
    proxy, remote = proxies(loss=loss, twice=loss, late=loss, seed=int(loss * 10) + 3)
    name = f"lossy{int(loss * 10)}.example"
    operated.afar("zone", "add", name, remote=remote)
    said = json.loads(operated.afar("--json", "zone", "import", name, "-", stdin=big_zone(5000), remote=remote))
    assert said["changed"] >= 5000  # done once: a second time nothing would have changed
    text = operated.afar("zone", "export", name, remote=remote)
    assert text.count("\nhost") == 5000
    assert text == operated.signpost.ctl("zone", "export", name)
    assert "signpost_operator_requests_total" in operated.afar("metrics", remote=remote)
    assert proxy.seen > 300 and (proxy.lost > 0) == (loss > 0)


def test_few_round_trips(operated, proxies):
    """A network of 100 ms there and back: what is sent and awaited in turn would take hundreds of them."""
    proxy, remote = proxies(delay=0.05)
    operated.signpost.ctl("zone", "add", "far.example")
    operated.signpost.import_text("far.example", big_zone(5000))
    began, seen = time.monotonic(), proxy.seen
    operated.afar("zone", "export", "far.example", remote=remote)
    print(f"export of 5,000 names at 100 ms: {time.monotonic() - began:.2f} s, {proxy.seen - seen} datagrams")
    began = time.monotonic()
    operated.afar("metrics", remote=remote)
    print(f"metrics at 100 ms: {time.monotonic() - began:.2f} s")


# ---- refusals ----

def test_nobody_there(operated, tmp_path):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    p = ctl("--remote", operated.place("silent", port), "--patience", "2s", "status")
    assert p.returncode == 1 and f"no answer from 127.0.0.1:{port} within 2 s" in p.stderr
    silent.close()
    p = ctl("--remote", operated.place("closed", port), "status")
    assert p.returncode == 1 and f"nothing listens at 127.0.0.1:{port}" in p.stderr


def test_the_key_of_another_signpost(operated):
    wrong = operated.pubs[1]
    p = ctl("--remote", operated.place("wrong", operated.signpost.port, signpost=wrong), "status")
    assert p.returncode == 1 and f"is no signpost with the key {wrong}" in p.stderr


def test_an_unknown_operator(operated):
    pub = ctl("operator-key", operated.work / "stranger").stdout.strip()
    p = ctl("--remote", operated.place("unknown", operated.signpost.port, key="stranger"), "--patience", "5s", "status")
    assert p.returncode == 1 and f"it does not know the key {pub}" in p.stderr
    assert int(re.search(r'overlay_dropped_total{reason="stranger"} (\d+)', operated.signpost.ctl("metrics"))[1]) > 0


def test_a_request_that_is_too_big(operated):
    p = ctl("--remote", operated.remote, "zone", "import", ZONE, "-", stdin="; nothing but a comment\n" * 100000)
    assert p.returncode == 1 and "takes 2097152 at most" in p.stderr


def test_a_second_use_of_the_key_takes_the_session(operated, proxies):
    """The first one is told so; no request is executed by half."""
    proxy, remote = proxies(delay=0.6)
    first = subprocess.Popen([str(SIGNPOSTCTL), "--remote", str(remote), "--patience", "20s", "zone", "import", ZONE, "-"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first.stdin.write(big_zone(40000))
    first.stdin.close()
    until = time.monotonic() + 30
    while proxy.seen < 10 and time.monotonic() < until:
        time.sleep(0.02)
    assert "ready: yes" in operated.afar("status")
    error = first.stderr.read()
    assert first.wait(60) == 1 and "ended the session" in error
    assert "host39999" not in operated.signpost.ctl("zone", "export", ZONE)


def test_the_signpost_restarts(start_signpost, tmp_path):
    """Its key is the same afterwards; what was under way is not executed by it."""
    o = Operated(start_signpost, tmp_path)
    assert "ready: yes" in o.afar("status")
    assert o.signpost.stop() == 0
    o.signpost.start()
    assert "ready: yes" in o.afar("status")
    assert "stopping" in o.afar("stop")
    assert o.signpost.process.wait(20) == 0


def test_bad_operators_of_the_server(tmp_path):
    for text in ("short", "A" * 43 + "=="):
        p = subprocess.run([str(SIGNPOSTD), "--data", str(tmp_path / "d"), "--operator", text], capture_output=True, text=True, timeout=20)
        assert p.returncode == 2 and "is not an operator's public key" in p.stderr
