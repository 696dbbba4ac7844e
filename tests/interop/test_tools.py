"""Stock tools, unchanged, against a signpost that a private root delegates to. Everything in one network namespace: the root is
Knot's on 127.0.0.1, the signpost on 127.0.0.53, the world's resolver (unbound) on 127.0.0.99, all on port 53."""
import base64
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

ROOT, SIGNPOST, RESOLVER = "127.0.0.1", "127.0.0.53", "127.0.0.99"
ZONE = "me.signpost"
ZONE_TEXT = """$ORIGIN me.signpost.
$TTL 300
www IN A 192.0.2.1
*.wild IN A 192.0.2.9
"""


class World:
    """A namespace with root, signpost and resolver."""

    def __init__(self, space, work, signpost):
        self.space, self.work, self.signpost = space, work, signpost

    def run(self, *command, stdin=None, check=True):
        p = subprocess.run(["ip", "netns", "exec", self.space, *map(str, command)], input=stdin, capture_output=True, text=True, timeout=60,
                           cwd=self.work)
        if check and p.returncode != 0:
            raise AssertionError(f"{command} failed ({p.returncode}):\n{p.stdout}\n{p.stderr}")
        return p.stdout + p.stderr

    def dig(self, *args):
        return self.run("dig", "+tries=1", "+time=3", *args)


@pytest.fixture(scope="module")
def world(tmp_path_factory, start_signpost):
    work = tmp_path_factory.mktemp("tools")
    space = f"spt{time.monotonic_ns() % 10**9}"
    subprocess.run(["ip", "netns", "add", space], check=True)
    started = []

    def background(name, *command):
        log = open(work / f"{name}.log", "wb")
        started.append(subprocess.Popen(["ip", "netns", "exec", space, *map(str, command)], stdout=log, stderr=log, cwd=work))

    try:
        subprocess.run(["ip", "-n", space, "link", "set", "lo", "up"], check=True)
        signpost = start_signpost(listen=[f"{SIGNPOST}:53"], netns=space)
        w = World(space, work, signpost)
        signpost.ctl("zone", "add", ZONE, "--address", SIGNPOST)
        signpost.import_text(ZONE, ZONE_TEXT)
        start_root(w, background, signpost.ctl("zone", "ds", ZONE))
        start_resolver(w, background)
        yield w
    finally:
        for p in started:
            p.send_signal(signal.SIGTERM)
        for p in started:
            p.wait(10)
        subprocess.run(["ip", "netns", "del", space], check=False)


def wait_for(check, what, seconds=20):
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.1)


def start_root(w, background, ds):
    """Knot serves a root of our own, signed, with the delegation."""
    (w.work / "knot").mkdir()
    (w.work / "knot/root.zone").write_text(f""". 300 IN SOA a.root. h. 1 3600 900 86400 60
. 300 IN NS a.root.
a.root. 300 IN A {ROOT}
{ZONE}. 300 IN NS ns.{ZONE}.
ns.{ZONE}. 300 IN A {SIGNPOST}
{ds}
""")
    (w.work / "knot.conf").write_text(f"""
server:
  listen: {ROOT}@53
  rundir: {w.work}/knot
database:
  storage: {w.work}/knot
log:
  - target: stderr
    any: info
policy:
  - id: ed
    algorithm: ed25519
    single-type-signing: on
zone:
  - domain: .
    storage: {w.work}/knot
    file: root.zone
    dnssec-signing: on
    dnssec-policy: ed
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
""")
    background("knot", "knotd", "-c", w.work / "knot.conf")
    wait_for(lambda: "RRSIG" in w.run("dig", "+tries=1", "+time=1", f"@{ROOT}", ".", "DNSKEY", "+dnssec", check=False), "the root")


def start_resolver(w, background):
    dnskey = re.search(r"DNSKEY\s+(257 .*)", w.dig(f"@{ROOT}", ".", "DNSKEY", "+noall", "+answer")).group(1)
    (w.work / "anchor").write_text(f". IN DNSKEY {dnskey}\n")
    flags, proto, alg, key = dnskey.split(None, 3)
    (w.work / "anchors.delv").write_text(f'trust-anchors {{ "." static-key {flags} {proto} {alg} "{key.replace(" ", "")}"; }};\n')
    (w.work / "hints").write_text(f". 3600 IN NS a.root.\na.root. 3600 IN A {ROOT}\n")
    (w.work / "unbound.conf").write_text(f"""
server:
  interface: {RESOLVER}
  do-not-query-localhost: no
  username: ""
  chroot: ""
  directory: "{w.work}"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  root-hints: "{w.work}/hints"
  trust-anchor-file: "{w.work}/anchor"
  access-control: 127.0.0.0/8 allow
  do-ip6: no
remote-control:
  control-enable: no
""")
    background("unbound", "unbound", "-d", "-c", w.work / "unbound.conf")
    wait_for(lambda: "192.0.2.1" in w.run("dig", "+tries=1", "+time=2", f"@{RESOLVER}", f"www.{ZONE}", "+short", check=False), "the resolver")


def test_dig_and_kdig(world):
    for tool in ("dig", "kdig"):
        assert "192.0.2.1" in world.run(tool, f"@{SIGNPOST}", f"www.{ZONE}", "A")
        assert "192.0.2.1" in world.run(tool, "+tcp", f"@{SIGNPOST}", f"www.{ZONE}", "A")
        assert "RRSIG" in world.run(tool, "+dnssec", f"@{SIGNPOST}", f"www.{ZONE}", "A")
    assert re.search("(?i)cookie: [0-9a-f]{48} \\(good\\)", world.dig("+cookie", f"@{SIGNPOST}", f"www.{ZONE}"))
    assert "status: NXDOMAIN" in world.dig(f"@{SIGNPOST}", f"nobody.{ZONE}")


@pytest.mark.parametrize("name, rdtype, rcode, data", [
    ("www", "A", "NOERROR", "192.0.2.1"), ("x.wild", "A", "NOERROR", "192.0.2.9"), ("www", "MX", "NOERROR", None), ("nobody", "A", None, None)])
def test_unbound_validates(world, name, rdtype, rcode, data):
    """Positive, wildcard, NODATA, and a name that is not there (which compact denial shows a resolver as NOERROR)."""
    out = world.dig(f"@{RESOLVER}", f"{name}.{ZONE}", rdtype)
    assert re.search(r"flags:[^;]*\bad\b", out), out
    assert rcode is None or f"status: {rcode}" in out
    assert data is None or data in out


def test_delv_would_notice_a_forgery(world):
    """With another key as its anchor delv must not believe a word: the validation below is real."""
    key = base64.b64encode(bytes(32)).decode()
    (world.work / "wrong.delv").write_text(f'trust-anchors {{ "." static-key 257 3 15 "{key}"; }};\n')
    out = world.run("delv", f"@{RESOLVER}", "+cd", "-a", world.work / "wrong.delv", "+root=.", f"www.{ZONE}", "A", check=False)
    assert "fully validated" not in out


@pytest.mark.parametrize("name, rdtype, wanted", [
    ("www", "A", "; fully validated"), ("www", "MX", "; negative response, fully validated"), ("nobody", "A", "; negative response, fully validated")])
def test_delv_validates(world, name, rdtype, wanted):
    out = world.run("delv", f"@{RESOLVER}", "+cd", "-a", world.work / "anchors.delv", "+root=.", f"{name}.{ZONE}", rdtype)
    assert wanted in out, out


def make_key(world, name):
    base = world.run("dnssec-keygen", "-q", "-T", "KEY", "-n", "HOST", "-a", "ED25519", name).split()[-1]
    world.signpost.ctl("key", "add", world.work / f"{base}.key", "--zone", ZONE)
    return world.work / f"{base}.private"


@pytest.mark.parametrize("transport", [[], ["-v"]], ids=["udp", "tcp"])
def test_nsupdate_with_a_keygen_key(world, transport):
    name = f"host{len(transport)}.{ZONE}"
    private = make_key(world, name)
    for address in ("192.0.2.50", "192.0.2.51"):
        world.run("nsupdate", "-k", private, *transport, stdin=f"""server {SIGNPOST}
zone {ZONE}
update delete {name} A
update add {name} 300 A {address}
send
""")
        assert world.dig("+short", f"@{SIGNPOST}", name, "A").split() == [address]
        time.sleep(1)
    out = world.run("nsupdate", "-k", private, *transport, stdin=f"server {SIGNPOST}\nzone {ZONE}\nupdate add elsewhere.{ZONE} 300 A 192.0.2.52\nsend\n",
                    check=False)
    assert "REFUSED" in out


def test_nsupdate_finds_zone_and_server_itself(world):
    """Without `server` and `zone` lines nsupdate asks for the SOA, then for the MNAME's address."""
    name = f"finder.{ZONE}"
    private = make_key(world, name)
    resolv = pathlib.Path("/etc/netns") / world.space
    resolv.mkdir(parents=True)
    try:
        (resolv / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
        world.run("nsupdate", "-k", private, stdin=f"update add {name} 300 A 192.0.2.60\nsend\n")
        assert world.dig("+short", f"@{SIGNPOST}", name, "A").split() == ["192.0.2.60"]
    finally:
        shutil.rmtree(resolv)


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_nsupdate_knsupdate_and_axfr_with_tsig_keygen(world, algorithm):
    name = f"{algorithm}.key"
    file = world.work / name
    file.write_text(world.run("tsig-keygen", "-a", algorithm, name))
    file.chmod(0o600)
    world.signpost.ctl("key", "add", file, "--zone", ZONE, "--policy", f"names=*.{algorithm}.{ZONE} axfr")
    secret = re.search('secret "(.*)"', file.read_text()).group(1)
    knot_file = world.work / f"{name}.knot"
    knot_file.write_text(f"{algorithm}:{name}:{secret}\n")
    for i, (tool, key) in enumerate((("nsupdate", file), ("knsupdate", knot_file))):
        owner = f"{tool}.{algorithm}.{ZONE}"
        world.run(tool, "-k", key, stdin=f"server {SIGNPOST}\nzone {ZONE}.\nupdate add {owner}. 300 A 192.0.2.7{i}\nsend\n")
        assert world.dig("+short", f"@{SIGNPOST}", owner, "A").split() == [f"192.0.2.7{i}"]
        assert world.dig("+short", f"@{RESOLVER}", owner, "A").split() == [f"192.0.2.7{i}"]
    out = world.dig("-k", file, f"@{SIGNPOST}", ZONE, "AXFR", "+noall", "+answer")
    lines = [l for l in out.splitlines() if "IN" in l]
    assert "SOA" in lines[0] and "SOA" in lines[-1] and f"knsupdate.{algorithm}.{ZONE}." in out
    assert "Transfer failed" in world.run("dig", f"@{SIGNPOST}", ZONE, "AXFR", check=False)
