"""Daemons of a build with -Drecord=true are recorded, and sim-replay gets the same bytes out of the same core: signpostd with dig,
nsupdate, its operator, two agents that talk to each other, and a restart; the agents too."""
import os
import pathlib
import subprocess

import pytest

import rfc as rfc_module
from conftest import BUILD
from devices import SERVER, ZONE, Net

REPLAY = BUILD / "tests/sim/sim-replay"
records = subprocess.run(["meson", "introspect", "--buildoptions", str(BUILD)], capture_output=True, text=True).stdout
pytestmark = [pytest.mark.skipif('"record", "value": true' not in records, reason="needs a build with -Drecord=true"),
              pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")]


def replay(recording):
    p = subprocess.run([str(REPLAY), str(recording)], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout + p.stderr


def recorded(recording, least):
    assert oct(recording.stat().st_mode & 0o777) == "0o600"
    code, text = replay(recording)
    assert code == 0, text
    count = int(text.split(" outputs")[0].split()[-1])
    assert count >= least, text


@pytest.fixture(scope="module")
def session(tmp_path_factory, start_signpost):
    """A network with a recorded signpost and a recorded agent, both stopped by now: their recordings."""
    work = tmp_path_factory.mktemp("replay")
    net = Net(work, lambda **settings: start_signpost(arguments=["--record", str(work / "first")], **settings))
    try:
        writer, _ = rfc_module.write_keys(work)
        net.signpost.ctl("key", "add", writer, "--zone", ZONE, "--policy", "names=* axfr")
        d = net.device("laptop").joined().up("--record", str(work / "agent"))
        peer = net.device("phone").joined().up("--record", str(work / "peer"))
        p = d.agent("ping", f"phone.{ZONE}")
        assert p.returncode == 0, p.stdout + p.stderr
        subprocess.run(["ip", "netns", "exec", d.space, "ping", "-c", "3", "-i", "0.2", peer.overlay], check=True, capture_output=True)
        inside = ["ip", "netns", "exec", net.space]
        subprocess.run([*inside, "nsupdate", "-k", writer], text=True, check=True,
                       input=f"server {SERVER}\nzone {ZONE}\nupdate add printer.{ZONE} 300 A 192.0.2.7\nsend\n")
        for arguments in (["printer." + ZONE, "A", "+dnssec"], ["nobody." + ZONE, "AAAA", "+dnssec"], [ZONE, "AXFR", "-k", writer]):
            p = subprocess.run([*inside, "dig", f"@{SERVER}", *arguments], capture_output=True, text=True)
            assert p.returncode == 0, p.stdout
        net.signpost.ctl("device", "list", ZONE)
        assert d.stop() == 0 and peer.stop() == 0
        assert net.signpost.stop() == 0
        net.signpost.arguments = ["--record", str(work / "second")]
        net.signpost.start()  # out of its log
        assert d.dig("A") == [d.address]
        assert net.signpost.stop() == 0
    finally:
        net.end()
    return work


def test_signpostd_replays(session):
    recorded(session / "first", 8)


def test_signpostd_replays_from_its_disk(session):
    recorded(session / "second", 2)


@pytest.mark.parametrize("name", ("agent", "peer"))
def test_agents_replay(session, name):
    """Tunnels, the control session and packets of the host with them."""
    recorded(session / name, 20)


def test_another_byte_is_seen(session):
    data = bytearray((session / "first").read_bytes())
    at = data.rindex(bytes([192, 0, 2, 7]))  # in the last answer
    data[at] ^= 1
    changed = pathlib.Path(session / "changed")
    changed.write_bytes(data)
    code, text = replay(changed)
    assert code == 1 and "in the recording" in text


def test_half_a_recording_is_no_crash(session):
    data = (session / "first").read_bytes()
    half = pathlib.Path(session / "half")
    for n in (0, 10, 100, len(data) // 2):
        half.write_bytes(data[:n])
        code, text = replay(half)
        assert code in (0, 1) and text
