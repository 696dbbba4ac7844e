"""The signpost's guest with its disk, two people behind NATs, and a client that keeps account of its updates."""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

from daemons import PYTHON, SIGNPOSTCTL, SIGNPOSTD, ZONE, Agent
from lab import await_true, run
from updates import name_of, refused
from xenhost import XENLAB

HERE = pathlib.Path(__file__).resolve().parent
UPDATES, FRAMES, STREAMS, ATTACK = HERE / "updates.py", HERE / "frames.py", HERE / "streams.py", HERE.parents[1] / "lab/attack.py"
BUILD = pathlib.Path(os.environ.get("SIGNPOST_BUILD", HERE.parents[2] / "build"))
CACHE = os.environ.get("XENLAB_CACHE") or f"{tempfile.gettempdir()}/xenlab-cache"
IMAGE = BUILD / "unikernel/signpost-xen"
DISK = 16 << 20
SECRETS = {"writer.keys.": "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcywgb2s=", "narrow.keys.": "YW5vdGhlciBzZWNyZXQsIG9mIDMyIGJ5dGVzIHRvbyE=",
           "reader.keys.": "YSB0aGlyZCBzZWNyZXQsIG9mIDMyIGJ5dGVzIHRvbyE="}
POLICIES = {"writer.keys.": "names=*", "narrow.keys.": "names=*.narrow types=A", "reader.keys.": "axfr"}
# A zone that is too long for one message, and its transfer for any buffer.
LARGE, LARGE_NAMES = "large.example", 2000
# EIM, the usual home router, and one that takes another port for every destination: between the two nothing goes but the relay.
HOME, STRICT = dict(mapping="eim", filter="apdf"), dict(mapping="apdm", filter="apdf", ports="random")


NOTHING = "NXDOMAIN", "-"
STARTING = "SERVFAIL the log is being replayed"


class Native:
    """signpostd on this machine, for a moment: what it leaves in its log is what the guest finds on its disk, and the other way round."""

    def __init__(self, lab, data, log=None):
        self.lab, self.data = lab, data
        data.mkdir(mode=0o700, exist_ok=True)
        if log:
            shutil.copy(log, data / "log")
        (data / "conf").write_text(f"log-size = {DISK >> 20}M\n")
        self.process = lab.internet.popen(SIGNPOSTD, "--data", data, "--config", data / "conf", "--listen", "127.0.0.1:53", log="native.log")
        await_true(self.ready, lambda: "signpostd:\n" + lab.log_tails())

    def ready(self):
        p = self.ctl("--json", "status", check=False)
        return p.returncode == 0 and json.loads(p.stdout)["ready"]

    def ctl(self, *words, check=True):
        return self.lab.internet.run(SIGNPOSTCTL, "--data", self.data, *words, check=check)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0


class Writer:
    """updates.py at work, and the account of what it was told."""
    first, all = 1, []

    def __init__(self, scene, window=16):
        self.scene, self.yes, self.no, self.gone = scene, set(), {}, set()
        self.process = scene.client.popen(PYTHON, UPDATES, "write", scene.address, ZONE, "writer.keys.", SECRETS["writer.keys."], Writer.first, window,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        Writer.all.append(self)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        for line in self.process.stdout:
            what, i, *why = line.split()
            if what == "no":
                self.no[int(i)] = " ".join(why)
            else:
                (self.yes if what == "yes" else self.gone).add(int(i))

    def more(self, n, seconds=90):
        """Waits until so many more were acknowledged."""
        goal = len(self.yes) + n
        await_true(lambda: len(self.yes) >= goal, lambda: f"{n} more updates: {self.account()}", seconds)

    def end(self):
        """Stops, once all is answered or lost."""
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.thread.join()
        Writer.first = max(self.yes | self.gone | set(self.no)) + 1
        return self

    def account(self):
        return f"{len(self.yes)} updates acknowledged, {len(self.gone)} without an answer, refused: {dict(collections.Counter(self.no.values()))}"

    @staticmethod
    def expected():
        """Each name that was asked for, by whichever writer, and what may stand there: the last text that was acknowledged, or a later one
        that nobody answered for; where none was, perhaps nothing; and nothing where all was refused."""
        told = sorted((i, what) for w in Writer.all for what, those in (("yes", w.yes), ("no", w.no), ("gone", w.gone)) for i in those)
        may = {}
        for i, what in told:
            before = may.setdefault(name_of(i, ZONE), {NOTHING})
            if what == "yes":
                may[name_of(i, ZONE)] = {("NOERROR", str(i))}
            elif what == "gone" and not refused(i):
                before.add(("NOERROR", str(i)))
        return may

    def check(self):
        """All that was acknowledged is there, and nothing that was refused."""
        odd = [row for row in self.no.items() if not (row[1] == STARTING or refused(row[0]) and row[1].startswith("NXDOMAIN"))]
        assert not odd and not any(map(refused, self.yes)), self.account()
        may = self.expected()
        found = self.scene.texts(may)
        wrong = {name: (found[name], right) for name, right in may.items() if found[name] not in right}
        assert not wrong, wrong


class Knot:
    """Debian's Knot beside the client, a secondary of one zone by transfers with a TSIG key."""
    PORT = 5301

    def __init__(self, scene, zone, key):
        self.scene, self.folder = scene, scene.lab.work / "knot"
        self.folder.mkdir()
        (self.folder / "conf").write_text(f"""
server:
    listen: 127.0.0.1@{self.PORT}
    rundir: {self.folder}
database:
    storage: {self.folder}
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {SECRETS[key]}
remote:
  - id: guest
    address: {scene.address}@53
    key: {key}
zone:
  - domain: {zone}
    storage: {self.folder}
    master: guest
""")
        self.process = scene.client.popen("knotd", "-c", self.folder / "conf", log="knot.log")

    def dig(self, *words):
        return self.scene.client.run("dig", "@127.0.0.1", "-p", self.PORT, "+tries=1", "+time=2", *words, check=False).stdout

    def log(self):
        return "the secondary:\n" + (self.scene.lab.work / "knot.log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Scene:
    def __init__(self, lab, host):
        self.lab, self.host = lab, host
        self.address6 = f"2a0a:10:{self.host.n}::2"
        self.address, self.noise = f"45.10.{self.host.n}.2", f"45.10.{self.host.n}.3"
        self.client, self.stranger = lab.host("client"), lab.host("stranger", v6=False)
        self.operator = run(SIGNPOSTCTL, "operator-key", lab.work / "operator.key").stdout.strip()
        self.prepare_disk()
        self.boot()
        self.agents = None

    def prepare_disk(self):
        """The zone, a key for updates and invites, on Linux: the log is the disk."""
        self.disk, self.keys = self.lab.work / "disk", {}
        native = Native(self.lab, self.lab.work / "prepared")
        native.ctl("zone", "add", ZONE, "--address", self.address)
        for name, secret in SECRETS.items():
            path = self.keys[name] = self.lab.work / f"{name}key"
            path.write_text(f'key "{name}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
            path.chmod(0o600)
            if name == "writer.keys.":
                native.ctl("key", "add", path, "--zone", ZONE, "--policy", POLICIES[name])
        self.tokens = {n: native.ctl("invite", ZONE, n, "--address", self.address).stdout.strip() for n in ("alice", "bob", "carol", "dora")}
        self.prepare_large(native)
        native.stop()
        shutil.copy(native.data / "log", self.disk)

    def prepare_large(self, native):
        native.ctl("zone", "add", LARGE, "--address", self.address)
        native.ctl("key", "add", self.keys["reader.keys."], "--zone", LARGE, "--policy", POLICIES["reader.keys."])
        text = self.lab.work / "large.text"
        text.write_text("".join(f'h{i} 300 IN A 192.0.2.{i % 256}\nh{i} 300 IN TXT "{i:040}"\n' for i in range(LARGE_NAMES)))
        native.ctl("zone", "import", LARGE, text)
        self.large = native.ctl("zone", "export", LARGE).stdout

    def boot(self, *more, timeout=600):
        guest = f"name=signpost,kernel={IMAGE},memory=16,net=1,vbd=log,start=0"
        options = f"ip={self.address}/24 gw={self.host.gateway4} ip6={self.address6}/64 gw6={self.host.gateway6} zone={ZONE} disk=xvda operator={self.operator}"
        self.host.start("--disk", f"log={self.disk}", "--guest", f"{guest},cmdline={options}", *more, timeout=timeout)
        self.create()
        key = re.findall(r"operators reach it by the key (\S+)", self.host.console("signpost"))[-1]
        (self.lab.work / "remote").write_text(f"at = {self.address}:53\nkey = operator.key\nsignpost = {key}\n")

    def create(self):
        self.host.create("signpost", f"signpost: serving {ZONE}")

    def metrics(self):
        """The guest's counters, by the operator's session."""
        rows = [line.rsplit(" ", 1) for line in self.operate("metrics").splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in rows}

    def drops(self):
        """All that it counts as dropped, refused, told to come with a cookie, or no sound DNS."""
        words = "drop", "refused", "cookies", "FORMERR", "NOTIMP"
        return sum(v for k, v in self.metrics().items() if any(w in k for w in words))

    def operate(self, *words):
        return self.client.run(SIGNPOSTCTL, "--remote", self.lab.work / "remote", "--patience", "60s", *words, timeout=120).stdout

    def invite(self, name):  # as daemons.Signpost, for Agent
        return self.tokens[name]

    def dig(self, *words, address=None, check=True):
        return self.client.run("dig", f"@{address or self.address}", "+tries=4", "+time=3", *words, check=check).stdout

    def nsupdate(self, *lines, key="writer.keys.", address=None, check=True, options=()):
        text = "\n".join([f"server {address or self.address}", f"zone {ZONE}", *lines, "send", ""])
        return self.client.run("nsupdate", "-t", "20", "-u", "3", "-r", "5", *options, "-k", self.keys[key], check=check, stdin=text)

    def stream(self, verb, *words, address=None):
        """One of streams.py's clients, and what it has found."""
        return json.loads(self.client.run(PYTHON, STREAMS, verb, address or self.address, *words).stdout)

    def texts(self, names):
        """RCODE and TXT of each name, as the guest has them now."""
        out = self.client.run(PYTHON, UPDATES, "read", self.address, stdin="\n".join(names), timeout=120).stdout
        return {name: (rcode, text) for name, rcode, text in map(str.split, out.splitlines())}

    def answers(self, n, *words):
        """So many questions are answered, each asked at most four times."""
        for i in range(n):
            assert f"ns.{ZONE}." in self.dig("+short", *words, ZONE, "SOA"), f"question {i}"

    def person(self, name, nat, *arguments):
        """An agent of that name, joined and up behind a NAT of its own, with a server for echo.py."""
        agent = Agent(self, self.lab.gateway(f"{name}-nat", nat=nat).device(name), arguments=arguments)
        agent.serve()
        return agent

    def people(self):
        """alice and bob."""
        if self.agents is None:
            self.agents = self.person("alice", HOME), self.person("bob", STRICT)
        return self.agents

    def neighbour(self):
        """Options of xenlab for a Linux guest with a disk of its own, not started."""
        ramdisk, scratch = self.lab.work / "ramdisk", self.lab.work / "scratch"
        run(XENLAB.with_name("linux-guest") / "build.sh", ramdisk)
        with open(scratch, "wb") as f:
            f.truncate(16 << 20)
        guest = f"name=noise,kernel={CACHE}/vmlinux,ramdisk={ramdisk},memory=128,net=1,vbd=scratch,start=0"
        words = f"console=hvc0 quiet panic=-1 LAB_IP={self.noise} LAB_GW={self.host.gateway4}"
        return "--disk", f"scratch={scratch}", "--guest", f"{guest},cmdline={words}"

    def make_noise(self):
        self.host.create("noise", "linux-domU: serving")
        for command in ("while :; do :; done", f"while :; do dnsq load {self.address} 1000 9 32 x%d.{ZONE}; done",
                        "while :; do dd if=/dev/zero of=/dev/xvda bs=64k count=128 conv=fsync; done"):
            self.client.run(PYTHON, XENLAB.with_name("probe.py"), "udp", f"{self.noise}:53", f"run ({command}) >/dev/null 2>&1 &", 60, 20)

    def log_tails(self):
        return self.lab.log_tails() + "\n--- the guest's console\n" + "\n".join(self.host.console("signpost").splitlines()[-20:])
