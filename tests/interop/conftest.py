"""Starts the real programs out of $SIGNPOST_BUILD (build/), each with a directory and a port of its own, and stops them by pid."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
os.environ["PATH"] += ":/usr/sbin:/sbin"

import rfc as rfc_module  # noqa: E402

BUILD = pathlib.Path(os.environ.get("SIGNPOST_BUILD", pathlib.Path(__file__).parents[2] / "build"))
SIGNPOSTD, SIGNPOSTCTL = BUILD / "signpostd/linux/signpostd", BUILD / "signpostd/ctl/signpostctl"
AGENT = BUILD / "client/cli/signpost-agent"


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out by tests/run --quick")


class Signpost:
    """A running signpostd."""

    def __init__(self, work, listen=None, config=None, netns=None, data=None, arguments=(), program=SIGNPOSTD,
                 environment=None):
        self.work, self.netns, self.program = pathlib.Path(work), netns, program
        self.environment = {**os.environ, **(environment or {})}
        self.data = pathlib.Path(data) if data else self.work / "data"
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.port = rfc_module.free_port()
        self.listen = [l.format(port=self.port) for l in listen or ["127.0.0.1:{port}", "[::1]:{port}"]]
        self.address = "127.0.0.1"
        self.arguments = [*arguments]
        if config is not None:
            (self.work / "conf").write_text(config)
            self.arguments += ["--config", str(self.work / "conf")]
        self.process = None
        self.start()

    def command(self):
        inside = ["ip", "netns", "exec", self.netns] if self.netns else []
        return [*inside, str(self.program), "--data", str(self.data), *sum((["--listen", l] for l in self.listen), []), *self.arguments]

    def start(self):
        self.log = open(self.work / "signpostd.log", "ab")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, env=self.environment)
        until = time.monotonic() + 20
        while True:
            p = subprocess.run([str(SIGNPOSTCTL), "--data", str(self.data), "--json", "status"], capture_output=True, text=True)
            if p.returncode == 0 and json.loads(p.stdout)["ready"]:
                return
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError("signpostd did not start:\n" + self.log_text() + p.stderr)
            time.sleep(0.05)

    def log_text(self):
        return (self.work / "signpostd.log").read_text(errors="replace")

    def ctl(self, *arguments, stdin=None, check=True):
        """Output of signpostctl; with check=False the finished process."""
        p = subprocess.run([str(SIGNPOSTCTL), "--data", str(self.data), *map(str, arguments)], input=stdin, capture_output=True, text=True,
                           timeout=30)
        if not check:
            return p
        assert p.returncode == 0, f"signpostctl {arguments}: {p.returncode}\n{p.stdout}{p.stderr}"
        return p.stdout

    def import_text(self, zone, text):
        return self.ctl("zone", "import", zone, "-", stdin=text)

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(20)
        self.log.close()
        return self.process.returncode


@pytest.fixture(scope="session")
def start_signpost(tmp_path_factory):
    """start_signpost(listen=[...], config="...", netns=...) -> Signpost; all are stopped at the end, and must stop cleanly."""
    running = []

    def start(**settings):
        running.append(Signpost(tmp_path_factory.mktemp("signpost"), **settings))
        return running[-1]

    yield start
    for s in running:
        if s.process.poll() is None:
            assert s.stop() == 0, s.log_text()


def with_rfc_zone(signpost, work):
    signpost.ctl("zone", "add", rfc_module.ZONE)
    signpost.import_text(rfc_module.ZONE, rfc_module.ZONE_TEXT)
    writer, narrow = rfc_module.write_keys(work)
    signpost.ctl("key", "add", writer, "--zone", rfc_module.ZONE, "--policy", "names=* axfr")
    signpost.ctl("key", "add", narrow, "--zone", rfc_module.ZONE, "--policy", "names=*.narrow types=A")
    return rfc_module.Rfc(signpost)


@pytest.fixture(scope="session")
def rfc(start_signpost, tmp_path_factory):
    return with_rfc_zone(start_signpost(), tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def rfc_any(start_signpost, tmp_path_factory):
    """On the wildcard addresses, with TCP connections that idle for a second at most."""
    signpost = start_signpost(listen=["0.0.0.0:{port}", "[::]:{port}"], config="tcp {\n  idle = 1\n}\n")
    return with_rfc_zone(signpost, tmp_path_factory.mktemp("keys"))
