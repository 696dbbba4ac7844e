"""The README's first command, as a newcomer runs it."""
import contextlib
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).parents[2]


def ours():
    """Processes that run a program of the build, or serve a quickstart's directory."""
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((process / "exe").readlink()).startswith(str(TOP / "build")) or b"signpost-quickstart." in (process / "cmdline").read_bytes():
                found.add(process.name)
    return found


def spaces():
    return set(re.findall(r"^sp\d+-\w+", subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout, re.M))


@pytest.mark.parametrize("mode", [[], ["--userspace"]], ids=["tunnel", "userspace"])
def test_quickstart_checks_itself_and_leaves_nothing(mode):
    before = ours() | spaces()
    p = subprocess.run([TOP / "deploy/quickstart", *mode, "--check"], capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    assert p.returncode == 0, p.stdout[-3000:] + p.stderr[-3000:]
    assert p.stdout.rstrip().endswith("checks passed")
    assert not (ours() | spaces()) - before


def test_quickstart_refuses_what_it_does_not_know():
    p = subprocess.run([TOP / "deploy/quickstart", "--nonsense"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 2 and "unknown argument" in p.stderr
