"""What the machine itself does to a measurement: CPU time of all of it, and how steady it is while nothing of ours runs."""
import os
import pathlib
import statistics
import time


def busy():
    """Seconds that all CPUs were busy so far."""
    fields = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]))
    user, nice, system, _, _, irq, softirq = fields
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def user_seconds(pid):
    """CPU time of a process in user mode."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def kernel_memory():
    """Bytes of the kernel's slabs: what it keeps for sockets among them, and for files that others open meanwhile."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/meminfo has no Slab")


def resident(pid):
    """Bytes, shared pages divided among those that share them."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no Pss")


class Noise:
    """Looked at again before each round: others' share of the CPUs, and the time of a fixed piece of work."""

    def __init__(self):
        self.shares, self.works = [], []

    def look(self, seconds=0.5):
        """CPU seconds a second that others use now."""
        before, began = busy(), time.monotonic()
        time.sleep(seconds)
        rate = (busy() - before) / (time.monotonic() - began)
        self.shares.append(100 * rate / os.cpu_count())
        for _ in range(5):
            began = time.monotonic()
            sum(range(1000000))
            self.works.append((time.monotonic() - began) * 1000)
        return rate

    def rows(self, bench):
        def row(metric, values, unit):
            return {"bench": bench, "subject": "machine", "metric": metric, "value": round(statistics.median(values), 2), "unit": unit,
                    "runs": len(values), "low": round(min(values), 2), "high": round(max(values), 2)}

        return [row("machine: CPU that others use", self.shares, "%"), row("machine: a fixed piece of work", self.works, "ms")]
