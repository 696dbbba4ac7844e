"""How programs of a host come to the agent's resolver: libnss_signpost, systemd-resolved, resolvconf; and forwarding. The resolver itself
stands in resolver-host, without a session; hosts are network and mount namespaces."""
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import AGENT, BUILD
from devices import Net, await_true

HOST, MODULE = BUILD / "tests/interop/resolver-host", BUILD / "client/nss/libnss_signpost.so.2"
FAKEDNS = pathlib.Path(__file__).parent / "fakedns.py"
ZONE = "me.signpost"
numbers = itertools.count()

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
    pytest.mark.skipif(not MODULE.exists(), reason="a build with sanitizers has no NSS module"),
]


def start(*command, **options):
    """A process, and the first line that it says."""
    p = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    line = p.stdout.readline().strip()
    if not line:
        p.kill()
        raise AssertionError(f"{command}: {p.communicate()[1]}")
    return p, line


def stop(p, sig=signal.SIGTERM):
    if p.poll() is None:
        p.send_signal(signal.SIGCONT)
        p.send_signal(sig)
    try:
        p.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        raise
    return p.returncode


@pytest.fixture
def folder():
    """Where every user may look."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="signpost-resolver-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


# ---- libnss_signpost ----


class Nss:
    """A host whose nsswitch.conf has our module first, then its files."""

    def __init__(self, folder):
        self.folder, self.socket = folder, folder / "run/resolve"
        (folder / "nsswitch").write_text("hosts: signpost [!UNAVAIL=return] files\n")
        (folder / "hosts").write_text("127.0.0.1 localhost\n192.0.2.7 elsewhere.example laptop.me.signpost nothere.me.signpost\n")
        self.agent = None

    def start(self):
        self.agent, self.laptop = start(HOST, "serve", self.socket)

    def run(self, *command, env=None):
        binds = f"mount --bind {self.folder}/nsswitch /etc/nsswitch.conf && mount --bind {self.folder}/hosts /etc/hosts && exec \"$@\""
        environment = {**os.environ, "LD_LIBRARY_PATH": str(MODULE.parent), "SIGNPOST_RESOLVE": str(self.socket), **(env or {})}
        return subprocess.run(["unshare", "-m", "sh", "-c", binds, "sh", *map(str, command)], env=environment, capture_output=True, text=True,
                              timeout=60)

    def getent(self, *arguments):
        p = self.run("getent", *arguments)
        return p.stdout.split() if p.returncode == 0 else p.returncode

    def python(self, code):
        p = self.run(sys.executable, "-c", code)
        assert p.returncode == 0, p.stderr
        return p.stdout.strip()


@pytest.fixture
def nss(folder):
    n = Nss(folder)
    n.start()
    yield n
    assert stop(n.agent) == 0


def test_nss_names_of_the_zone(nss):
    assert nss.getent("ahosts", "laptop.me.signpost")[:2] == [nss.laptop, "STREAM"]
    assert nss.getent("ahosts", "laptop.me.signpost.")[0] == nss.laptop
    assert nss.getent("ahosts", "laptop")[0] == nss.laptop
    assert nss.getent("ahostsv6", "LAPTOP.me.signpost")[0] == nss.laptop
    assert nss.getent("hosts", "laptop.me.signpost") == [nss.laptop, "laptop.me.signpost"]


def test_nss_addresses_of_the_zone(nss):
    assert nss.getent("hosts", nss.laptop) == [nss.laptop, "laptop.me.signpost"]
    assert nss.getent("hosts", nss.laptop[:-1] + ("1" if nss.laptop[-1] != "1" else "2")) == 2
    assert nss.getent("hosts", "192.0.2.7")[1] == "elsewhere.example"


def test_nss_nothing_of_the_zone_is_asked_of_others(nss):
    """The next source of the line has these names, and must not be asked."""
    assert nss.getent("ahostsv4", "laptop.me.signpost") == 2
    assert nss.getent("ahosts", "nothere.me.signpost") == 2
    assert nss.getent("ahosts", "wpad.me.signpost") == 2


def test_nss_names_elsewhere_go_on_to_the_next(nss):
    assert nss.getent("ahosts", "elsewhere.example")[0] == "192.0.2.7"
    assert nss.getent("ahosts", "localhost")[0] == "127.0.0.1"


def test_nss_what_cannot_be_said_now_is_to_be_tried_again(nss):
    code = """import socket
try: socket.getaddrinfo("slow.me.signpost", 80)
except socket.gaierror as e: print(e.errno == socket.EAI_AGAIN)"""
    assert nss.python(code) == "True"


def test_nss_without_an_agent_the_next_source_answers(nss):
    stop(nss.agent)
    assert not nss.socket.exists()
    assert nss.getent("ahosts", "elsewhere.example")[0] == "192.0.2.7"
    assert nss.getent("ahosts", "laptop.me.signpost")[0] == "192.0.2.7"
    nss.start()
    assert nss.getent("ahosts", "laptop.me.signpost")[0] == nss.laptop


@pytest.mark.slow
def test_nss_an_agent_that_hangs_is_given_up(nss):
    nss.agent.send_signal(signal.SIGSTOP)
    assert nss.getent("ahosts", "elsewhere.example")[0] == "192.0.2.7"


def test_nss_from_many_threads(nss):
    code = """import socket, threading
found = []
def ask():
    for i in range(20): found.append(socket.getaddrinfo("laptop.me.signpost", 80)[0][4][0])
threads = [threading.Thread(target=ask) for i in range(20)]
for t in threads: t.start()
for t in threads: t.join()
print(len(found), *set(found))"""
    assert nss.python(code) == f"400 {nss.laptop}"


def test_nss_small_buffers_are_said_to_be_small(nss):
    """glibc asks again with a larger one; the module itself must not write beyond it."""
    code = f"""import ctypes, errno
lib = ctypes.CDLL("{MODULE}")
class Host(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("aliases", ctypes.c_void_p), ("af", ctypes.c_int), ("len", ctypes.c_int), ("list", ctypes.c_void_p)]
statuses = []
for size in range(0, 200):
    buffer = ctypes.create_string_buffer(b"\\x5a" * 256, 256)
    err, herr, host, first = ctypes.c_int(), ctypes.c_int(), Host(), ctypes.c_void_p()
    a = lib._nss_signpost_gethostbyname2_r(b"laptop.me.signpost", 10, ctypes.byref(host), buffer, ctypes.c_size_t(size), ctypes.byref(err), ctypes.byref(herr))
    b = lib._nss_signpost_gethostbyname4_r(b"laptop.me.signpost", ctypes.byref(first), buffer, ctypes.c_size_t(size), ctypes.byref(err), ctypes.byref(herr), None)
    assert all(s == 1 or (s == -2 and err.value == errno.ERANGE) for s in (a, b)), (a, b, err.value)
    assert buffer.raw[size:] == b"\\x5a" * (256 - size), size
    statuses.append((a, b))
print(statuses[0], statuses[199], statuses == sorted(statuses))"""
    assert nss.python(code) == "(-2, -2) (1, 1) True"


# ---- its socket ----


def ask_as_nobody(path, n):
    """How many of n connections of one unprivileged user stay open."""
    code = f"""import os, select, socket
os.setgid(65534); os.setuid(65534)
socks = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for i in range({n})]
for s in socks: s.connect("{path}")
query = b"\\x12\\x34\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6laptop\\2me\\x08signpost\\0\\0\\x1c\\0\\1"
alive = 0
for s in socks:
    try: s.send(query); alive += len(s.recv(4096)) > 0
    except OSError: pass
print(alive)"""
    p = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p.stderr
    return int(p.stdout)


def test_socket_is_everybodys_but_not_one_users_alone(nss):
    assert stat.S_IMODE(nss.socket.stat().st_mode) == 0o666
    assert stat.S_IMODE(nss.socket.parent.stat().st_mode) == 0o755
    assert ask_as_nobody(nss.socket, 8) == 8
    assert ask_as_nobody(nss.socket, 40) == 16
    assert nss.getent("ahosts", "laptop.me.signpost")[0] == nss.laptop


def test_socket_hangs_up_on_what_is_no_question(nss):
    for bad in (b"", b"x", b"\0" * 5000):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(str(nss.socket))
        s.send(bad)
        s.settimeout(10)
        try:
            assert s.recv(4096) == b"", bad
        except ConnectionResetError:
            pass
    assert nss.getent("ahosts", "laptop.me.signpost")[0] == nss.laptop


def test_socket_of_a_killed_agent_is_replaced_and_that_of_a_living_one_is_not(nss):
    second = subprocess.run([HOST, "serve", nss.socket], capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "another agent answers" in second.stderr
    stop(nss.agent, signal.SIGKILL)
    assert nss.socket.exists()
    assert nss.getent("ahosts", "elsewhere.example")[0] == "192.0.2.7"
    nss.start()
    assert nss.getent("ahosts", "laptop.me.signpost")[0] == nss.laptop


# ---- packages that must not be installed here: they would rewrite this machine's resolver ----


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """A Debian package's files in a folder; skips where they cannot be had."""
    made = {}

    def unpack(*packages):
        if packages in made:
            return made[packages]
        work = tmp_path_factory.mktemp("packages")
        root = work / "root"
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                pytest.skip(f"needs {tool}, to fetch {' '.join(packages)}")
        p = subprocess.run(["apt-get", "download", "-q", *packages], cwd=work, capture_output=True, text=True, timeout=120)
        if p.returncode != 0:
            pytest.skip(f"apt-get download {' '.join(packages)}: {p.stderr.strip().splitlines()[-1]}")
        for deb in work.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
        made[packages] = root
        return root

    return unpack


class Space:
    """A network namespace with a link to another one, in which name servers run."""

    def __init__(self, folder):
        n = next(numbers)
        self.folder, self.host, self.far = folder, f"rs{os.getpid()}h{n}", f"rs{os.getpid()}f{n}"
        self.processes = []
        self.records = folder / "records"
        for space in (self.host, self.far):
            self.sh("ip", "netns", "add", space)
            self.sh("ip", "-n", space, "link", "set", "lo", "up")

    def sh(self, *command, space=None, check=True, env=None):
        inside = ["ip", "netns", "exec", space] if space else []
        p = subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, timeout=60, env=env)
        assert not check or p.returncode == 0, f"{command}: {p.stderr}"
        return p.stdout

    def link(self, name, near, far):
        self.sh("ip", "-n", self.host, "link", "add", name, "type", "veth", "peer", "name", name, "netns", self.far)
        for space, addr in ((self.host, near), (self.far, far)):
            self.sh("ip", "-n", space, "addr", "add", f"{addr}/64", "dev", name, "nodad")
            self.sh("ip", "-n", space, "link", "set", name, "up")

    def start(self, *command, space=None, env=None):
        p, line = start("ip", "netns", "exec", space or self.host, *command, env={**os.environ, **(env or {})})
        self.processes.append(p)
        return p, line

    def dns(self, address, records, space=None):
        """A name server; returns what it was asked so far, when called."""
        log = self.folder / f"asked{next(numbers)}"
        log.touch()
        self.records.write_text(json.dumps(records))
        assert self.start(sys.executable, FAKEDNS, address, self.records, log, space=space)[1] == "ready"
        return lambda: log.read_text().splitlines()

    def close(self):
        for p in reversed(self.processes):
            stop(p, signal.SIGKILL)
        for space in (self.host, self.far):
            self.sh("ip", "netns", "del", space, check=False)


@pytest.fixture
def space(folder):
    s = Space(folder)
    yield s
    s.close()


# ---- systemd-resolved ----

OVERLAY, RESOLVER, LAPTOP = "fd42:1:2:3::1", "fd42:1:2:3::53", "fd42:1:2:3::5"
REVERSE = "5." + "0." * 15 + "3.0.0.0.2.0.0.0.1.0.0.0.2.4.d.f.ip6.arpa."
RECORDS = {f"laptop.{ZONE}. AAAA": [LAPTOP], f"{REVERSE} PTR": [f"laptop.{ZONE}."], "www.example. AAAA": ["2001:db8::80"]}

BUS = """<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>"""


class Resolved:
    """systemd-resolved with a bus, a user and a /run of its own."""

    def __init__(self, space, root):
        self.space, self.root, folder = space, root, space.folder
        (folder / "bus.conf").write_text(BUS.format(folder=folder))
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus", "LD_LIBRARY_PATH": f"{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu/systemd:{root}/lib/x86_64-linux-gnu/systemd"}
        for file, line in (("passwd", "systemd-resolve:x:990:990::/:/usr/sbin/nologin\n"), ("group", "systemd-resolve:x:990:\n")):
            (folder / file).write_text(pathlib.Path("/etc", file).read_text() + line)
        (folder / "none").write_text("")
        # The bus looks its users up too.
        self.users = f"mount --bind {folder}/passwd /etc/passwd && mount --bind {folder}/group /etc/group"
        space.start("unshare", "-m", "sh", "-c", f"{self.users} && exec dbus-daemon --nofork --print-address --config-file={folder}/bus.conf")
        self.process = None

    def start(self):
        binary = next(self.root.glob("**/systemd/systemd-resolved"))
        setup = f"""mount -t tmpfs none /run && mkdir -p /run/systemd/resolve && chown 990:990 /run/systemd/resolve &&
{self.users} && mount --bind {self.space.folder}/none /etc/resolv.conf && echo ready && exec {binary} 2>>{self.space.folder}/resolved.log"""
        self.process = self.space.start("unshare", "-m", "sh", "-c", setup, env=self.env)[0]
        await_true(lambda: "Global" in self.ctl("status"), "systemd-resolved")

    def stop(self):
        stop(self.process, signal.SIGKILL)

    def ctl(self, *arguments):
        tool = self.root / "usr/bin/resolvectl"
        return self.space.sh(tool, "--no-pager", *arguments, space=self.space.host, check=False, env={**os.environ, **self.env})

    def ask(self, name, kind):
        return self.space.sh("dig", "@127.0.0.53", "+short", "+tries=1", "+time=3", name, kind, space=self.space.host, check=False).strip()

    def hook(self, mode="auto"):
        return self.space.start(HOST, "hook", mode, "tun0", RESOLVER, ZONE, env=self.env)


@pytest.fixture
def resolved(space, unpacked):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs the package dbus-daemon")
    root = unpacked("systemd-resolved", "libsystemd-shared")
    space.link("tun0", OVERLAY, RESOLVER)
    r = Resolved(space, root)
    r.start()
    return r


def test_resolved_asks_us_for_the_zone_and_for_nothing_else(space, resolved):
    asked = space.dns(RESOLVER, RECORDS, space=space.far)
    p, mode = resolved.hook()
    assert mode == "resolved"
    assert resolved.ask(f"laptop.{ZONE}", "AAAA") == LAPTOP
    assert resolved.ask(REVERSE, "PTR") == f"laptop.{ZONE}."
    assert resolved.ask("www.example", "AAAA") == ""
    assert LAPTOP in resolved.ctl("query", "laptop")  # the search domain
    assert asked() and all(line.split()[1].endswith((f".{ZONE}.", "3.0.0.0.2.0.0.0.1.0.0.0.2.4.d.f.ip6.arpa.", f" {ZONE}.")) or
                           line.split()[1] == f"{ZONE}." for line in asked()), asked()
    status = resolved.ctl("status", "tun0")
    assert "-DefaultRoute" in status and "-LLMNR" in status and "-mDNS" in status and "DNSSEC=no" in status
    stop(p)
    assert resolved.ask(f"laptop.{ZONE}", "AAAA") == ""
    assert ZONE not in resolved.ctl("domain")


def said(p):
    """What a process has said on stderr, once it is stopped."""
    p.send_signal(signal.SIGTERM)
    return p.communicate(timeout=20)[1]


def with_hosts_line(folder, sources):
    (folder / "nsswitch").write_text(f"passwd: files\nhosts: {sources} # comment signpost resolve\n")
    return ["unshare", "-m", "sh", "-c", f"mount --bind {folder}/nsswitch /etc/nsswitch.conf && exec \"$@\"", "sh"]


@pytest.mark.parametrize("sources, advice", [("files dns", True), ("files resolve [!UNAVAIL=return] dns", False)])
def test_resolved_that_nobody_asks_is_said(space, resolved, sources, advice):
    """Its /etc/resolv.conf is not its own here."""
    p, _ = space.start(*with_hosts_line(space.folder, sources), HOST, "hook", "resolved", "tun0", RESOLVER, ZONE, env=resolved.env)
    assert ("programs of this host do not ask it" in said(p)) == advice


@pytest.mark.parametrize("sources, advice", [("files dns", True), ("files signpost [!UNAVAIL=return] dns", False)])
def test_nss_that_nobody_asks_is_said(folder, sources, advice):
    p, _ = start(*with_hosts_line(folder, sources), HOST, "hook", "nss", "lo", RESOLVER, ZONE)
    assert ('put "signpost [!UNAVAIL=return]" before "dns"' in said(p)) == advice


def test_resolved_forgets_us_with_the_device(space, resolved):
    """Nothing is undone by a killed agent, and nothing needs to be."""
    space.dns(RESOLVER, RECORDS, space=space.far)
    p, _ = resolved.hook("resolved")
    assert resolved.ask(f"laptop.{ZONE}", "AAAA") == LAPTOP
    stop(p, signal.SIGKILL)
    space.sh("ip", "-n", space.host, "link", "del", "tun0")
    await_true(lambda: ZONE not in resolved.ctl("domain"), "the link's settings to go")


def test_resolved_that_starts_anew_is_told_again(space, resolved):
    space.dns(RESOLVER, RECORDS, space=space.far)
    resolved.hook("resolved")
    resolved.stop()
    resolved.start()  # with an empty /run
    await_true(lambda: resolved.ask(f"laptop.{ZONE}", "AAAA") == LAPTOP, "the setting to come back")


def test_resolved_that_does_not_run_is_not_chosen(space, resolved):
    resolved.stop()
    p = subprocess.run(["ip", "netns", "exec", space.host, HOST, "hook", "resolved", "tun0", RESOLVER, ZONE], capture_output=True, text=True,
                       env={**os.environ, **resolved.env}, timeout=30)
    assert p.returncode == 1 and "systemd-resolved does not run" in p.stderr


# ---- resolvconf ----

# A host with the package's files laid over its own, an empty /run, and a network that has given its resolver.
RESOLVCONF_HOST = """
mkdir -p $ROOT/usr $ROOT/etc; for d in sbin lib; do [ ! -d $ROOT/$d ] || [ -L $ROOT/$d ] || { cp -a $ROOT/$d $ROOT/usr/ && rm -r $ROOT/$d; }; done
mount -t tmpfs none $WORK && mkdir $WORK/up $WORK/w && mount -t tmpfs none /run
mount -t overlay none -o lowerdir=$ROOT/usr:/usr /usr
mount -t overlay none -o lowerdir=$ROOT/etc:/etc,upperdir=$WORK/up,workdir=$WORK/w /etc
rm -f /etc/resolv.conf; [ ! -d /etc/resolvconf/update.d ] || find /etc/resolvconf/update.d -type f ! -name libc -delete # of this machine
if [ "$KIND" = resolvconf ]; then mkdir -p /run/resolvconf/interface; ln -s /run/resolvconf/resolv.conf /etc/resolv.conf; resolvconf --enable-updates; fi
echo "nameserver 192.0.2.53" | resolvconf -a eth0.dhcp
"""


@pytest.fixture(params=["resolvconf", "openresolv"])
def resolvconf(request, unpacked, folder):
    """Runs a script on such a host: its output."""
    root = unpacked(request.param)
    (folder / "work").mkdir()

    def run(script):
        env = {**os.environ, "ROOT": str(root), "WORK": str(folder / "work"), "KIND": request.param, "HOST": str(HOST)}
        p = subprocess.run(["unshare", "-m", "-n", "bash", "-ec", RESOLVCONF_HOST + script], env=env, capture_output=True, text=True, timeout=60)
        assert p.returncode == 0, p.stdout + p.stderr
        return p.stdout

    return run


def servers(text):
    return [line.split()[1] for line in text.splitlines() if line.startswith("nameserver")]


def test_resolvconf_has_us_first_and_is_as_before_at_the_end(resolvconf):
    out = resolvconf(f"""
before=$(cat /etc/resolv.conf); umask 077
coproc $HOST hook auto tun0 {RESOLVER} {ZONE}
read -r mode <&${{COPROC[0]}}; echo "mode $mode"; stat -L -c "may be read: %A" /etc/resolv.conf; cat /etc/resolv.conf; pid=$COPROC_PID; kill $pid; wait $pid
[ "$before" = "$(cat /etc/resolv.conf)" ] && echo as before""")
    assert out.startswith("mode resolvconf\n") and out.endswith("as before\n"), out
    assert "may be read: -rw-r--r--" in out, out
    assert servers(out) == [RESOLVER, "192.0.2.53"]
    assert ZONE in next(line for line in out.splitlines() if line.startswith("search")).split()


def test_resolvconf_heals_at_the_next_start(resolvconf):
    out = resolvconf(f"""
before=$(cat /etc/resolv.conf)
coproc $HOST hook resolvconf tun0 {RESOLVER} {ZONE}
read -r mode <&${{COPROC[0]}}; pid=$COPROC_PID; kill -9 $pid; wait $pid || true
grep -q {RESOLVER} /etc/resolv.conf && echo left behind; $HOST heal tun0
[ "$before" = "$(cat /etc/resolv.conf)" ] && echo as before; $HOST heal tun0""")
    assert out == "left behind\nas before\n"


def test_resolvconf_whose_scripts_fail_serves_still(resolvconf):
    """What a host has installed beside it is called by it, and may fail."""
    out = resolvconf(f"""
for d in /etc/resolvconf/update.d /usr/lib/resolvconf; do [ ! -d $d ] || touch $d/broken || true; done
[ ! -f /etc/resolvconf/update.d/broken ] || {{ printf '#!/bin/sh\\nexit 1\\n' > /etc/resolvconf/update.d/broken; chmod 755 /etc/resolvconf/update.d/broken; }}
coproc $HOST hook resolvconf tun0 {RESOLVER} {ZONE}
read -r mode <&${{COPROC[0]}}; echo "mode $mode"; cat /etc/resolv.conf; kill $COPROC_PID""")
    assert servers(out) == [RESOLVER, "192.0.2.53"]


def test_nss_and_none_touch_nothing(folder):
    for mode in ("nss", "none"):
        before = pathlib.Path("/etc/resolv.conf").read_bytes()
        p, chosen = start("unshare", "-n", HOST, "hook", mode, "lo", RESOLVER, ZONE)
        assert chosen == mode and pathlib.Path("/etc/resolv.conf").read_bytes() == before
        assert stop(p) == 0 and pathlib.Path("/etc/resolv.conf").read_bytes() == before


# ---- forwarding ----


class Forwarder:
    """The agent's resolver with forwarding on, asked over its socket."""

    def __init__(self, space):
        self.space, self.socket, self.conf = space, space.folder / "run/resolve", space.folder / "resolv.conf"

    def start(self, *nameservers):
        self.conf.write_text("".join(f"nameserver {s}\n" for s in nameservers))
        self.process = self.space.start(HOST, "serve", self.socket, self.conf)[0]

    def ask(self, name, kind, size=1232):
        import dns.message
        query = dns.message.make_query(name, kind, use_edns=0, payload=size)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(30)
            s.connect(str(self.socket))
            s.send(query.to_wire())
            reply = dns.message.from_wire(s.recv(65535))
        assert reply.id == query.id
        return reply

    def texts(self, name, kind):
        reply = self.ask(name, kind)
        return sorted(r.to_text() for rrset in reply.answer for r in rrset)


@pytest.fixture
def forwarder(space):
    f = Forwarder(space)
    yield f
    assert stop(f.process) == 0


OWN = "fd42:5da4:ba70:929e::53"  # of resolver-host's zone
BIG = ['"' + "x" * 100 + f'{i}"' for i in range(9)]


def test_forwarding_answers_what_is_not_ours(space, forwarder):
    asked = space.dns("127.0.0.2", {"www.example. A": ["192.0.2.80"], "evil.example. A": ["127.0.0.1", "192.0.2.81"],
                                    "evil.example. AAAA": ["::1", "fd42:5da4:ba70:929e::1", "2001:db8::81"], "big.example. TXT": BIG, "cut.example. TXT": BIG})
    forwarder.start(OWN, "127.0.0.2")
    assert forwarder.texts("www.example.", "A") == ["192.0.2.80"]
    assert forwarder.texts("evil.example.", "A") == ["192.0.2.81"]
    assert forwarder.texts("evil.example.", "AAAA") == ["2001:db8::81"]
    assert forwarder.ask("nothing.example.", "A").rcode() == 3
    assert len(forwarder.texts("big.example.", "TXT")) == 9
    assert "tcp big.example. TXT" in asked()
    cut = forwarder.ask("cut.example.", "TXT")
    assert cut.rcode() == 0 and cut.flags & 0x0200 and "tcp cut.example. TXT" in asked()
    assert len(forwarder.texts(f"laptop.{ZONE}.", "AAAA")) == 1
    forwarder.ask(f"nobody.{ZONE}.", "AAAA")
    forwarder.ask(f"{ZONE}.", "SOA")
    assert not [line for line in asked() if ZONE in line]


def test_forwarding_never_asks_ourselves(space, forwarder):
    asked = space.dns("127.0.0.2", {"www.example. A": ["192.0.2.80"]})
    forwarder.start(OWN)
    assert forwarder.ask("www.example.", "A").rcode() == 2
    # A forwarder of this host stands before us; it would ask us again.
    forwarder.conf.write_text("nameserver 127.0.0.2\n")
    os.utime(forwarder.conf, (1, 1))
    assert forwarder.ask("www.example.", "A").rcode() == 2
    assert asked() == []


def test_forwarding_follows_the_network(space, forwarder):
    space.dns("127.0.0.2", {"www.example. A": ["192.0.2.80"]})
    forwarder.start(OWN, "127.0.0.99")
    assert forwarder.ask("www.example.", "A").rcode() == 2  # nobody is there
    forwarder.conf.write_text(f"nameserver {OWN}\nnameserver 127.0.0.2\n")
    os.utime(forwarder.conf, (1, 1))
    assert forwarder.texts("www.example.", "A") == ["192.0.2.80"]


# ---- the real agent, with a session ----


class Host(Space):
    """The namespace of a device."""

    def __init__(self, folder, device):
        self.folder, self.device, self.host, self.processes = folder, device, device.space, []

    def up(self, *arguments, env=None, setup="mount -t tmpfs none /run"):
        """`up` with a /run of its own: its process."""
        command = f"{setup}\nexec {AGENT} --state {self.device.state} up " + " ".join(arguments)
        self.agent = subprocess.Popen(["ip", "netns", "exec", self.host, "unshare", "-m", "sh", "-ec", command], env={**os.environ, **(env or {})},
                                      stderr=open(self.folder / "agent.log", "ab"))
        self.processes.append(self.agent)
        await_true(lambda: self.device.status().get("session", {}).get("state") == "up", f"a session: {(self.folder / 'agent.log').read_text()}", 30)

    def getent(self, sources, *arguments):
        """Among the agent's files, with these sources of hosts."""
        (self.folder / "nsswitch").write_text(f"hosts: {sources}\n")
        inside = ["nsenter", "-t", str(self.agent.pid), "-m", "-n", "unshare", "-m", "sh", "-c",
                  f"mount --bind {self.folder}/nsswitch /etc/nsswitch.conf && exec \"$@\"", "sh"]
        p = subprocess.run([*inside, "getent", *arguments], env={**os.environ, "LD_LIBRARY_PATH": str(MODULE.parent)}, capture_output=True,
                           text=True, timeout=60)
        return p.stdout.split() if p.returncode == 0 else p.returncode

    def close(self):
        for p in reversed(self.processes):
            stop(p, signal.SIGKILL)


@pytest.fixture(scope="module")
def overlay(tmp_path_factory, start_signpost):
    net = Net(tmp_path_factory.mktemp("overlay"), start_signpost)
    yield net
    net.end()


@pytest.fixture
def phone(overlay, folder):
    host = Host(folder, overlay.device(f"phone{next(numbers)}").joined())
    yield host
    host.close()


@pytest.fixture(scope="module")
def laptop(overlay):
    return overlay.device("laptop").joined()


def test_agent_with_systemd_resolved(phone, laptop, unpacked):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs the package dbus-daemon")
    resolved = Resolved(phone, unpacked("systemd-resolved", "libsystemd-shared"))
    resolved.start()
    phone.up("--dns", "auto", env=resolved.env)
    assert resolved.ask(laptop.name, "AAAA") == laptop.overlay
    assert resolved.ask(phone.device.name, "AAAA") == phone.device.overlay
    assert resolved.ask(f"nobody.{ZONE}", "AAAA") == ""
    assert resolved.ask(laptop.name, "KEY").startswith("512 3 15 ")  # asked of the signpost
    assert resolved.ctl("query", laptop.overlay).split()[1].strip() == laptop.name
    phone.agent.send_signal(signal.SIGKILL)
    await_true(lambda: ZONE not in resolved.ctl("domain"), "the link's settings to go")


def test_agent_with_nss(phone, laptop):
    phone.up("--dns", "nss")

    def getent(*arguments):
        return phone.getent("signpost [!UNAVAIL=return] files", *arguments)

    assert getent("ahosts", laptop.name)[0] == laptop.overlay
    assert getent("ahosts", "laptop")[0] == laptop.overlay
    assert getent("hosts", laptop.overlay) == [laptop.overlay, laptop.name]
    assert getent("ahosts", f"nobody.{ZONE}") == 2
    assert getent("ahosts", phone.device.name)[0] == phone.device.overlay
    assert getent("ahosts", "localhost")[0] in ("127.0.0.1", "::1")
    assert stop(phone.agent) == 0


def test_agent_with_resolvconf(phone, laptop, overlay, unpacked):
    """The host asks the agent for everything, the agent its network for what is not the zone's."""
    network = "198.51.100.250"
    overlay_address("add", overlay.space, network)
    (phone.folder / "work").mkdir()
    far = Host(phone.folder, overlay)
    far.records = phone.folder / "records"
    try:
        asked = far.dns(network, {"www.example. A": ["192.0.2.80"], "evil.example. AAAA": [laptop.overlay]}, space=overlay.space)
        env = {"ROOT": str(unpacked("resolvconf")), "WORK": str(phone.folder / "work"), "KIND": "resolvconf",
               "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={phone.folder}/none"}
        phone.up("--dns", "auto", env=env, setup=RESOLVCONF_HOST.replace("192.0.2.53", network))
        assert phone.getent("dns", "ahosts", laptop.name)[0] == laptop.overlay
        assert phone.getent("dns", "ahosts", "laptop")[0] == laptop.overlay  # the search domain
        assert phone.getent("dns", "hosts", laptop.overlay) == [laptop.overlay, laptop.name]
        assert phone.getent("dns", "ahosts", "www.example")[0] == "192.0.2.80"
        assert phone.getent("dns", "ahostsv6", "evil.example") == 2
        assert phone.getent("dns", "ahosts", f"nobody.{ZONE}") == 2
        assert any("www.example" in line for line in asked()) and not any(ZONE in line for line in asked()), asked()
    finally:
        far.close()
        overlay_address("del", overlay.space, network)


def test_agent_that_was_killed_heals_at_its_next_start(phone, unpacked):
    """Also with another way to be asked, since then."""
    (phone.folder / "work").mkdir()
    env = {"ROOT": str(unpacked("resolvconf")), "WORK": str(phone.folder / "work"), "KIND": "resolvconf",
           "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={phone.folder}/none"}
    phone.up("--dns", "resolvconf", env=env, setup=RESOLVCONF_HOST)
    inside = ["nsenter", "-t", str(phone.agent.pid), "-m", "-n"]
    keeper = subprocess.Popen([*inside, "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)  # of its files
    keeper.stdout.read(1)
    phone.processes.append(keeper)
    inside[2] = str(keeper.pid)

    def asked_servers():
        return servers(subprocess.run([*inside, "cat", "/etc/resolv.conf"], capture_output=True, text=True, check=True).stdout)

    await_true(lambda: len(asked_servers()) == 2, "the agent to be asked first")
    stop(phone.agent, signal.SIGKILL)
    assert len(asked_servers()) == 2
    again = subprocess.Popen([*inside, AGENT, "--state", phone.device.state, "up", "--dns", "none"], stderr=open(phone.folder / "agent.log", "ab"))
    phone.processes.append(again)
    await_true(lambda: asked_servers() == ["192.0.2.53"], "the host's resolver to be as before")


def overlay_address(verb, space, address):
    subprocess.run(["ip", "-n", space, "addr", verb, f"{address}/24", "dev", "bridge"], check=True, capture_output=True)
