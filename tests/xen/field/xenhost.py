"""The emulated Xen host (tests/xen/lab) as a machine on a lab's internet (tests/lab): its guests have public addresses of a network N,
45.10.N.0/24 and 2a0a:10:N::/64, whose router is .1, and packets reach them over a bridge, a TAP device and dom0's own bridge."""
import pathlib
import re
import shlex
import subprocess

from lab import await_true, nodad, run

XENLAB = pathlib.Path(__file__).resolve().parents[1] / "lab/xenlab"


class XenHost:
    def __init__(self, lab):
        self.lab, self.n, self.router = lab, lab.number(), lab.internet
        self.bridge, self.tap = f"n{self.n}", f"t{self.n}"
        self.gateway4, self.gateway6 = f"45.10.{self.n}.1", f"2a0a:10:{self.n}::1"
        self.state, self.boots = lab.work / "xen", 0
        self.router.ip("link", "add", self.bridge, "type", "bridge")
        for address, bits in ((self.gateway4, 24), (self.gateway6, 64)):
            self.router.ip("addr", "add", f"{address}/{bits}", "dev", self.bridge, *nodad(address))
        self.router.ip("tuntap", "add", self.tap, "mode", "tap")
        self.router.ip("link", "set", self.tap, "master", self.bridge, "up")
        self.router.ip("link", "set", self.bridge, "up")

    def start(self, *options, timeout):
        """Boots Xen and dom0 anew; options are xenlab's. Ends by itself after so many seconds."""
        self.boots += 1
        self.state = self.lab.work / f"xen{self.boots}"
        self.router.run(XENLAB, "start", self.state, "--tap", self.tap, "--timeout", timeout, *options, timeout=180)

    def stop(self):
        run(XENLAB, "stop", self.state)

    def power_cut(self):
        """QEMU is killed. What it had written is in this machine's page cache and survives; what its guests had not is lost."""
        subprocess.run(["kill", "-9", (self.state / "qemu.pid").read_text().strip()], check=True)
        await_true((self.state / "status").exists, "the lab to notice that QEMU is gone")

    def dom0(self, command, check=True, seconds=60):
        return run(XENLAB, "exec", self.state, "-t", seconds, "--", command, check=check, timeout=seconds + 30).stdout

    def monitor(self, command):
        return run(XENLAB, "qmp", self.state, command).stdout

    def console(self, guest):
        log = self.state / f"console/{guest}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def create(self, guest, says):
        """Starts a guest of that name, and waits until its console has said this once more than before."""
        before = len(re.findall(says, self.console(guest)))
        self.dom0(f"xl create /lab/{guest}.cfg")
        await_true(lambda: len(re.findall(says, self.console(guest))) > before, lambda: f"{guest} to say {says}:\n{self.console(guest)}", 60)

    def destroy(self, guest):
        self.dom0(f"xl destroy {guest}")

    def cpu_ns(self, guest):
        """CPU time of a guest so far, and the memory it has in KiB."""
        line = self.dom0(f"xencpu {shlex.quote(guest)}").split()
        return int(line[2]), int(line[3])

    def writes(self, disk):
        """Writes and flushes that QEMU has done for a disk."""
        line = next(row for row in self.monitor("info blockstats").splitlines() if row.startswith(f"{disk}:"))
        return [int(re.search(rf"{what}_operations=(\d+)", line)[1]) for what in ("wr", "flush")]
