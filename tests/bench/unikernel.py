"""Our guest beside Debian's NSD in a Linux guest, on one Xen that is itself emulated (tests/xen/lab): every row says "emulated".

Both serve example.com with 1,000 A records, ours from a log disk that signpostd has made here, on Linux: the file is the disk. Rounds
alternate between the two. CPU time is the domain's, as Xen accounts it: with an emulated CPU that is wall time in which it ran."""
import contextlib
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import servers

TOP = pathlib.Path(__file__).resolve().parents[2]
XEN = TOP / "tests/xen/lab"
ZONE, NAMES = "example.com", 1000
PORT = int(os.environ.get("XENLAB_PORT", 5353))
OURS, NSD, SIGNED = "signpost-xen", "NSD, Linux guest", "NSD, Linux guest, signed zone"
WINDOWS = 1, 16, 64
LIMIT = 150  # seconds for a guest to answer, of which an idle machine needs 7
MEMORY_LIMIT = 60  # the same, where too little memory is a reason not to; a guest that has died is not waited for


def run(*command, timeout=120, **more):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, timeout=timeout, **more).stdout


# ---- what the guests serve ----


def write_zone(path, devices=0):
    with open(path, "w", encoding="ascii") as f:
        f.write(f"$ORIGIN {ZONE}.\n$TTL 3600\n@ IN SOA ns hostmaster 1 3600 900 604800 300\n@ IN NS ns\nns IN A 10.0.2.20\n")
        if devices:
            f.write(run(pathlib.Path(os.environ["SIGNPOST_BUILD"]) / "tests/bench/spload", "keys", "--zone", ZONE, "--count", devices))
            f.writelines(f"d{i} IN A 10.0.{i >> 8 & 255}.{i & 255}\n" for i in range(devices))
        else:
            f.writelines(f"h{i} IN A 192.0.2.{i % 254 + 1}\n" for i in range(NAMES))
    return path


def make_disk(work, name, zone, size="16M"):
    """A log with the zone in it. What signpostd calls a log is a disk to the guest, byte by byte."""
    server = servers.Signpost(work, ZONE, zone, config=f"log-size = {size}\n")
    server.stop()
    disk = pathlib.Path(work) / f"{name}.disk"
    shutil.copy(server.dir / "data/log", disk)
    return disk


def sign_zone(work, zone):
    """One key of algorithm 15, as ours has."""
    key = run("dnssec-keygen", "-q", "-K", work, "-a", "ED25519", "-f", "KSK", ZONE).split()
    run("dnssec-signzone", "-q", "-S", "-K", work, "-d", work, "-z", "-o", ZONE, "-f", str(zone) + ".signed", zone, *key)
    return pathlib.Path(str(zone) + ".signed")


# ---- the emulated host ----


class Guest:
    def __init__(self, name, subject, host, settings, memory):
        self.name, self.subject, self.address, self.port = name, subject, f"10.0.2.{host}", PORT + host - 20
        self.memory, self.settings = memory, f"name={name},{settings},memory={memory},ip={self.address},udp={self.port}:53,start=0"


class Host:
    """Xen and its dom0 under QEMU; guests are created when they are wanted."""

    def __init__(self, work, guests, disks):
        self.dir, self.guests = pathlib.Path(work) / "lab", guests
        options = [o for g in guests for o in ("--guest", g.settings)] + [o for n, f in disks.items() for o in ("--disk", f"{n}={f}")]
        try:
            run(XEN / "xenlab", "start", self.dir, "--timeout", 1500, "--spare", 256, "--dom0-ip", "10.0.2.15/24", *options, timeout=180)
        except subprocess.CalledProcessError as e:
            sys.exit(f"tests/bench/run: the emulated host does not start:\n{e.stderr[-2000:]}")

    def stop(self):
        subprocess.run([str(XEN / "xenlab"), "stop", str(self.dir)], check=False)

    def dom0(self, script, seconds=LIMIT + 30):
        """Output and status of a script in dom0."""
        p = subprocess.run([str(XEN / "xenlab"), "exec", str(self.dir), "-t", str(seconds), "--", script], capture_output=True, text=True,
                           check=False, timeout=seconds + 60)
        return p.stdout, p.returncode

    def cpu(self, guest):
        """Seconds of CPU time that the domain has had."""
        out, _ = self.dom0(f"xencpu {guest.name}")
        return int(out.split()[2]) / 1e9

    def destroy(self, guest):
        # Without its ARP entry deleted, packets for a guest that is gone would be taken by QEMU's user network.
        self.dom0(f"arp -d {guest.address}; xl destroy {guest.name}; for i in $(seq 100); do xl domid {guest.name} || break; sleep 0.1; done; "
                  f"arp -d {guest.address}; true")

    def console(self, guest):
        return (self.dir / "console" / f"{guest.name}.log").read_text(errors="replace")

    def first(self, guest, name):
        """Seconds from xl create to the first answer, and the guest's CPU time then."""
        out, _ = self.dom0(f"dnsq first {guest.address} {name}.{ZONE} {LIMIT} xl create -q /lab/{guest.name}.cfg; xencpu {guest.name}")
        wall = re.search(r"first answer after ([\d.]+) s, rcode 0, answers 1", out)
        if not wall:
            sys.exit(f"tests/bench/run: {guest.subject} does not answer: {out}\n{self.console(guest)[-1500:]}")
        return float(wall[1]), int(out.split()[-2]) / 1e9

    def serves(self, guest, memory, pattern):
        """Whether it answers with so little memory, and goes on to answer a load."""
        out, status = self.dom0(f"""
            xl create -q /lab/{guest.name}.cfg memory={memory} maxmem={memory} || exit 1
            dnsq first {guest.address} {pattern.replace('%d', '1')} {MEMORY_LIMIT} true >/tmp/first & p=$!
            while kill -0 $p 2>/dev/null; do xl domid {guest.name} >/dev/null 2>&1 || {{ kill $p; exit 1; }}; sleep 0.3; done
            wait $p && dnsq load {guest.address} 90 2 16 {pattern}""", MEMORY_LIMIT + 60)
        self.destroy(guest)
        return status == 0 and re.search(r"[1-9]\d* answers, .* 0 not NOERROR", out) is not None

    def smallest(self, guest, low, pattern):
        """MiB, by halving; `low` is taken not to be enough. None: not even what it has is."""
        if not self.serves(guest, guest.memory, pattern):
            return None
        high = guest.memory
        while high - low > 1:
            middle = (high + low) // 2
            if self.serves(guest, middle, pattern):
                high = middle
            else:
                low = middle
        return high


def dnsperf(guest, names, *options):
    """Answers, answers a second, and what went wrong."""
    out = run("timeout", 120, "dnsperf", "-s", "127.0.0.1", "-p", guest.port, "-d", names, "-T", 1, "-c", 1, *options)
    value = lambda label: float(re.search(label + r":\s+([\d.]+)", out)[1])
    answered, good = value("Queries completed"), re.search(r"NOERROR (\d+)", out)
    lost, wrong = value("Queries lost"), value("Queries completed") - (int(good[1]) if good else 0)
    if lost or wrong:
        print(f"{guest.subject}: {lost:.0f} questions lost, {wrong:.0f} answers without success of {answered:.0f}", file=sys.stderr)
    return answered, value("Queries per second")


def has_signature(guest):
    out = run("dig", "@127.0.0.1", "-p", guest.port, "+dnssec", "+noall", "+answer", "+tries=5", f"h7.{ZONE}", "A")
    return re.search(r"RRSIG\s+A 15 ", out) is not None


# ---- the bench ----


class Samples:
    def __init__(self):
        self.values = {}

    def add(self, guest, metric, value, unit):
        if value is not None:
            self.values.setdefault((metric, unit), {}).setdefault(guest.subject, []).append(value)

    def rows(self):
        found = []
        for (metric, unit), subjects in self.values.items():
            for subject, values in subjects.items():
                digits = 3 if unit == "s" else 1
                row = {"bench": "unikernel", "label": "emulated", "subject": subject, "metric": f"{metric} (emulated)",
                       "value": round(statistics.median(values), digits), "unit": unit, "runs": len(values), "low": round(min(values), digits),
                       "high": round(max(values), digits)}
                peer = next((p for p in (NSD, SIGNED) if p in subjects), None)
                if subject == OURS and peer:
                    row["ratio_to"] = {"subject": peer, "ratio": round(statistics.median(values) / statistics.median(subjects[peer]), 4)}
                found.append(row)
        return found


def measured(samples, host, guest, metric, names, *options):
    before = host.cpu(guest)
    answered, rate = dnsperf(guest, names, *options)
    spent = host.cpu(guest) - before
    samples.add(guest, f"{metric}, answers per second", rate, "1/s")
    samples.add(guest, f"{metric}, answers per CPU-second", answered / spent, "1/s")


def from_guest(samples, host, guest, client, seconds):
    """A load from another guest."""
    before = host.cpu(guest)
    out = run(XEN / "probe.py", "tcp", PORT + 9, f"run dnsq load {guest.address} {NAMES} {seconds} 64 h%d.{ZONE}", 60, 30)
    spent = host.cpu(guest) - before
    got = re.search(r"(\d+) answers/s, (\d+) answers, (\d+) lost, 0 not NOERROR", out)
    if not got:
        sys.exit(f"tests/bench/run: no load from {client.name}: {out}")
    samples.add(guest, "UDP from a second guest, 64 in flight, answers per second", int(got[1]), "1/s")
    samples.add(guest, "UDP from a second guest, 64 in flight, answers per CPU-second", int(got[2]) / spent, "1/s")


def starts(samples, host, subjects, rounds):
    for _ in range(rounds):
        for guest in subjects:
            wall, cpu = host.first(guest, "h1")
            samples.add(guest, "xl create to the first answer", wall, "s")
            samples.add(guest, "CPU time of the guest until its first answer", cpu, "s")
            host.destroy(guest)


def loads(samples, host, subjects, client, names, options):
    seconds = max(1, int(options.seconds))
    for guest in subjects:
        host.first(guest, "h1")
        dnsperf(guest, names, "-q", 16, "-l", 1)
    for _ in range(options.rounds):
        for window in WINDOWS:
            for guest in subjects:
                measured(samples, host, guest, f"UDP from the host, {window} in flight", names, "-q", window, "-l", seconds)
    host.dom0(f"xl create -q /lab/{client.name}.cfg")
    run(XEN / "xenlab", "await", host.dir, client.name, "serving", 90)
    for _ in range(options.rounds):
        for guest in subjects:
            from_guest(samples, host, guest, client, seconds)
    host.destroy(client)


def signed_loads(samples, host, ours, signed, names, options):
    """Signed answers. Ours makes its signatures when they are asked for and remembers them; NSD has a zone signed beforehand."""
    seconds = max(1, int(options.seconds))
    host.first(signed, "h1")
    for guest in (ours, signed):
        if not has_signature(guest):
            sys.exit(f"tests/bench/run: {guest.subject} gives no signature of algorithm 15")
        dnsperf(guest, names, "-D", "-q", 16, "-n", 1)
        dnsperf(guest, names, "-D", "-q", 16, "-n", 1)
    for _ in range(options.rounds):
        for window in WINDOWS[1:]:
            for guest in (ours, signed):
                measured(samples, host, guest, f"DNSSEC from the host, {window} in flight", names, "-D", "-q", window, "-l", seconds)
    host.destroy(signed)


def memory(samples, host, ours, nsd, populations):
    for guest, low in ((ours, 1), (nsd, 79)):
        samples.add(guest, f"smallest memory that serves {NAMES:,} records", host.smallest(guest, low, f"h%d.{ZONE}"), "MiB")
    for guest, devices in populations:
        least = host.smallest(guest, 1, f"d%d.{ZONE}")
        if least is None:
            print(f"{guest.subject}: {devices} devices are not served within {guest.memory} MiB; its console ends:\n{host.console(guest)[-400:]}",
                  file=sys.stderr)
        samples.add(guest, f"smallest memory that serves {devices:,} devices", least, "MiB")


def image_sizes(samples, guests, files):
    for guest in guests:
        samples.add(guest, "image, all files that xl create needs", sum(f.stat().st_size for f in files[guest]) / 1000, "kB")


def bench(options):
    image = pathlib.Path(os.environ["SIGNPOST_BUILD"]) / "unikernel/signpost-xen"
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="signpost-bench-") as work, contextlib.ExitStack() as stack:
        work = pathlib.Path(work)
        zone, started = write_zone(work / "zone"), time.monotonic()
        say = lambda what: print(f"{time.monotonic() - started:6.1f} s: {what}", file=sys.stderr, flush=True)
        say("zones, disks and guests")
        disks = {"zone": make_disk(work, "zone", zone)}
        counts = 100, 10000
        for count in counts:
            disks[f"d{count}"] = make_disk(work, f"d{count}", write_zone(work / f"zone{count}", count), "32M")
        for name, file in (("nsd", zone), ("signed", sign_zone(work, zone))):
            run(XEN / "nsd-guest/build.sh", work / name, "10.0.2.21", NAMES, file, timeout=600)
        run(XEN / "linux-guest/build.sh", work / "client", timeout=600)
        options_of = lambda disk, host: f"kernel={image},cmdline=ip=10.0.2.{host}/24 gw=10.0.2.2 zone={ZONE} disk=xvda,vbd={disk}:xvda:w"
        linux = lambda name, host: f"kernel={work / name}/kernel,ramdisk={work / name}/ramdisk,cmdline=console=hvc0 quiet panic=-1 LAB_IP=10.0.2.{host}"
        ours, nsd = Guest("ours", OURS, 20, options_of("zone", 20), 16), Guest("nsd", NSD, 21, linux("nsd", 21), 112)
        signed = Guest("signed", SIGNED, 22, linux("signed", 22), 128)
        populations = [(Guest(f"d{count}", OURS, 23 + i, options_of(f"d{count}", 23 + i), 32), count) for i, count in enumerate(counts)]
        cache = pathlib.Path(os.environ.get("XENLAB_CACHE", pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / "xenlab-cache"))
        client = Guest("client", "client", 28, f"kernel={cache}/vmlinux,ramdisk={work}/client,tcp={PORT + 9}:53,cmdline=console=hvc0 quiet "
                       "panic=-1 LAB_IP=10.0.2.28", 128)
        names = work / "names"
        names.write_text("".join(f"h{i}.{ZONE} A\n" for i in range(NAMES)), encoding="ascii")
        image_sizes(samples, (ours, nsd), {ours: [image], nsd: [work / "nsd/kernel", work / "nsd/ramdisk"]})
        host = Host(work, [ours, nsd, signed, client, *(g for g, _ in populations)], disks)
        stack.callback(host.stop)
        say("starts")
        starts(samples, host, (ours, nsd), options.rounds)
        say("loads")
        loads(samples, host, (ours, nsd), client, names, options)
        host.destroy(nsd)
        say("signed loads")
        signed_loads(samples, host, ours, signed, names, options)
        host.destroy(ours)
        say("memory")
        memory(samples, host, ours, nsd, populations)
        say("done")
    return samples.rows()
