"""What the lab measures with measures right: over plain IPv6, without any agent."""
import json
import subprocess
import time

import pytest

from daemons import ECHO, PORT, PYTHON, Flow


@pytest.fixture
def pair(lab):
    a, b = lab.device("a"), lab.device("b")
    server = b.popen(PYTHON, ECHO, "serve", PORT, stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "listening\n"
    return a, b


def ask(a, *args):
    return json.loads(a.run(PYTHON, ECHO, *args).stdout)


def test_exchanges(pair):
    a, b = pair
    for verb in "udp", "tcp":
        r = ask(a, verb, b.address6, PORT)
        assert 0 <= r["resolved_s"] <= r["first_s"] < 30
    assert ask(a, "bulk", b.address6, PORT, 1 << 20)["whole"]
    assert ask(a, "chat", b.address6, PORT, 1, 50)["back"] > 40


def test_a_flow_sees_a_pause_and_goes_on(pair, lab):
    a, b = pair
    flow = Flow(a.popen(PYTHON, ECHO, "flow", b.address6, PORT, stdout=subprocess.PIPE))
    flow.moves()
    lab.internet.disturb("meta l4proto tcp drop")
    time.sleep(1)
    lab.internet.disturb("")
    flow.moves()
    assert flow.longest_pause > 0.5 and flow.finish() > 40000


def test_a_flow_notices_that_it_broke(pair):
    a, b = pair
    flow = Flow(a.popen(PYTHON, ECHO, "flow", b.address6, PORT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    flow.moves()
    a.run("ss", "-K", "dst", f"[{b.address6}]", check=False)
    b.unplug()
    a.run("ip", "addr", "flush", "dev", "eth0")
    with pytest.raises(AssertionError):
        flow.moves(seconds=3)
