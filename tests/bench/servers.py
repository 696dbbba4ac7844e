"""The servers that the benchmarks compare: each with one worker, pinned to one CPU, on a loopback port of its own."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time

ADDRESS = "127.0.0.1"
SERVER_CPU, CLIENT_CPU = "0", "1"
TSIG_SECRET = "YmVuY2ggc2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXM="


def pick_port():
    """A port free for UDP and TCP."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.bind((ADDRESS, 0))
        return stream.getsockname()[1]


def processes(pid):
    """A process and all its descendants."""
    found, pending = [], [pid]
    while pending:
        p = pending.pop()
        found.append(p)
        for task in pathlib.Path(f"/proc/{p}/task").glob("*"):
            with contextlib.suppress(OSError):
                pending += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid):
    """CPU time of a process, its threads and its children so far, from the scheduler's nanosecond counters."""
    total = 0
    for p in processes(pid):
        for task in pathlib.Path(f"/proc/{p}/task").glob("*"):
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_mib(pid):
    """Memory of all the server's processes, shared pages divided among them."""
    total = 0
    for p in processes(pid):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{p}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


class Server:
    """A running server; subclasses write its configuration and name its command."""

    name = "?"

    def __init__(self, work, zone, zone_file, **settings):
        self.dir = pathlib.Path(work) / f"{self.name.replace(' ', '-')}-{time.monotonic_ns()}"
        self.dir.mkdir()
        self.port, self.zone, self.zone_file, self.settings = pick_port(), zone, zone_file, settings
        self.log = open(self.dir / "log", "wb")
        shutil.copy(zone_file, self.dir / "zone")
        command = self.configure()
        self.process = subprocess.Popen(["taskset", "-c", SERVER_CPU, *command], stdout=self.log, stderr=self.log, cwd=self.dir)
        try:
            self.await_answer()
            self.loaded()
        except BaseException:
            self.stop()
            raise

    def configure(self):
        raise NotImplementedError

    def loaded(self):
        """What is to be done once it answers."""

    def await_answer(self, seconds=60):
        labels = b"".join(struct.pack("B", len(l)) + l.encode() for l in self.zone.split(".")) + b"\0"
        query = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + labels + struct.pack(">2H", 6, 1)
        until = time.monotonic() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            while time.monotonic() < until:
                if self.process.poll() is not None:
                    break
                try:
                    s.sendto(query, (ADDRESS, self.port))
                    if self.is_up(s.recv(4096)):
                        return
                except OSError:
                    pass
                time.sleep(0.05)
        tail = (self.dir / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} does not answer:\n{tail}")

    def is_up(self, reply):
        return reply[3] & 15 == 0

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def resident(self):
        return resident_mib(self.process.pid)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Signpost(Server):
    name = "signpost"

    def configure(self):
        build = pathlib.Path(os.environ["SIGNPOST_BUILD"])
        self.ctl = [str(build / "signpostd/ctl/signpostctl"), "--data", str(self.dir / "data")]
        (self.dir / "data").mkdir(mode=0o700)
        (self.dir / "conf").write_text(self.settings.get("config", ""))
        return [str(build / "signpostd/linux/signpostd"), "--data", str(self.dir / "data"), "--listen", f"{ADDRESS}:{self.port}",
                "--config", str(self.dir / "conf")]

    def is_up(self, reply):
        return reply[3] & 15 == 5  # it has no zone yet: REFUSED, and no longer SERVFAIL

    def loaded(self):
        for verb in (["zone", "add", self.zone], ["zone", "import", self.zone, str(self.dir / "zone")]):
            subprocess.run([*self.ctl, *verb], check=True, stdout=self.log, stderr=self.log)


class Nsd(Server):
    name = "NSD"

    def configure(self):
        (self.dir / "conf").write_text(f"""
server:
  server-count: 1
  ip-address: {ADDRESS}@{self.port}
  username: ""
  chroot: ""
  zonesdir: "{self.dir}"
  database: ""
  pidfile: "{self.dir}/pid"
  xfrdfile: "{self.dir}/xfrd"
  zonelistfile: "{self.dir}/zonelist"
  xfrdir: "{self.dir}"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {self.zone}
  zonefile: zone
""")
        return ["nsd", "-d", "-c", str(self.dir / "conf")]


class Knot(Server):
    name = "Knot"

    def configure(self):
        online = self.settings.get("online")
        (self.dir / "conf").write_text(f"""
server:
  listen: {ADDRESS}@{self.port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  rundir: {self.dir}
database:
  storage: {self.dir}
log:
  - target: stderr
    any: warning
key:
  - id: bench
    algorithm: hmac-sha256
    secret: {TSIG_SECRET}
acl:
  - id: update
    key: bench
    action: update
policy:
  - id: ed
    algorithm: ed25519
    single-type-signing: on
mod-onlinesign:
  - id: ed
    policy: ed
zone:
  - domain: {self.zone}
    storage: {self.dir}
    file: zone
    acl: update
    {"module: mod-onlinesign/ed" if online else ""}
""")
        return ["knotd", "-c", str(self.dir / "conf")]


class Bind(Server):
    name = "BIND"

    def configure(self):
        (self.dir / "conf").write_text(f"""
options {{
  directory "{self.dir}";
  listen-on port {self.port} {{ {ADDRESS}; }};
  listen-on-v6 {{ none; }};
  pid-file "{self.dir}/pid";
  session-keyfile "{self.dir}/session";
  recursion no;
  notify no;
  minimal-responses yes;
}};
controls {{ }};
key bench {{ algorithm hmac-sha256; secret "{TSIG_SECRET}"; }};
zone "{self.zone}" {{ type primary; file "{self.dir}/zone"; allow-update {{ key bench; }}; }};
""")
        return ["named", "-n", "1", "-g", "-c", str(self.dir / "conf")]
