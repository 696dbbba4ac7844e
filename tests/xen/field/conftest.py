"""A signpost as a guest on the emulated Xen host, on the internet of a lab, with the real agents and clients out of $SIGNPOST_BUILD."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lab"), str(HERE.parents[1] / "interop")]

from lab import Lab  # noqa: E402
from scene import Scene  # noqa: E402
from xenhost import XenHost  # noqa: E402


@pytest.fixture(scope="session")
def built():
    with Lab() as lab:
        host = XenHost(lab)
        try:
            yield Scene(lab, host)
        finally:  # before the lab's own end: QEMU keeps the namespace
            host.stop()


@pytest.fixture
def scene(built, request):
    yield built
    if getattr(request.node, "failed_call", False):
        print(built.log_tails())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed_call = True
