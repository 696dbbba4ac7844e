"""Labs of network namespaces with the real programs out of $SIGNPOST_BUILD (build/)."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lab import Lab  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "quick: what tests/run --quick runs of this")


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.fixture
def lab(request):
    with Lab() as built:
        yield built
        report = getattr(request.node, "failed_call", False)
        if report:
            print(built.log_tails())


tables = {}


@pytest.fixture
def table():
    """table(HEAD, LINE): lines that are printed under their head at the end of the run."""
    return lambda head, line: tables.setdefault(head, []).append(line)


def pytest_terminal_summary(terminalreporter):
    for head, lines in tables.items():
        terminalreporter.write_line("\n".join(["", head, *lines]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed_call = True
