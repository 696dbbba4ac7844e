"""The README's first command, as a newcomer runs it."""
import pathlib
import subprocess

TOP = pathlib.Path(__file__).parents[2]


def test_quickstart_checks_itself():
    p = subprocess.run([TOP / "deploy/quickstart", "--check"], capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    assert p.returncode == 0, p.stdout[-3000:] + p.stderr[-3000:]
    assert p.stdout.rstrip().endswith("checks passed")


def test_quickstart_refuses_what_it_does_not_know():
    p = subprocess.run([TOP / "deploy/quickstart", "--nonsense"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 2 and "unknown argument" in p.stderr
