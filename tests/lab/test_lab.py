"""The lab itself: its networks carry what they should, keep apart what they should, and leave nothing behind."""
import os
import subprocess

import pytest

from lab import Lab, run


def reaches(a, address):
    return a.run("ping", "-n", "-c1", "-W1", address, check=False).returncode == 0


@pytest.mark.quick
def test_public_and_behind_gateways(lab):
    anna, home, office = lab.device("anna"), lab.gateway("home", nat={}), lab.gateway("office", v6=True, nat={}, firewall=True)
    bert, cora = home.device("bert"), office.device("cora")
    assert reaches(bert, anna.address4) and reaches(cora, anna.address4) and reaches(cora, anna.address6)
    assert not reaches(anna, bert.address4) and not reaches(anna, cora.address6)
    assert not reaches(anna, home.address4)
    assert bert.address6 is None and not reaches(bert, anna.address6)


def test_a_carrier_with_a_home_behind_it(lab):
    carrier = lab.gateway("carrier", carrier=True, nat={})
    home = lab.gateway("home", behind=carrier, nat={})
    anna, bert = lab.device("anna"), home.device("bert")
    assert home.address4.startswith("100.64.") and reaches(bert, anna.address4)


def test_isolated_ports_share_a_nat_but_no_lan(lab):
    cafe = lab.gateway("cafe", nat={})
    a, b = cafe.device("a", isolated=True), cafe.device("b", isolated=True)
    c, d = cafe.device("c"), cafe.device("d")
    assert reaches(c, d.address4) and not reaches(a, b.address4) and reaches(a, cafe.address4)


def test_a_device_moves(lab):
    home, anna = lab.gateway("home", nat={}), lab.device("anna")
    bert = lab.device("bert")
    first = bert.address4
    bert.unplug()
    assert not reaches(bert, anna.address4)
    bert.plug(home)
    assert bert.address4 != first and reaches(bert, anna.address4)


def test_a_device_has_files_of_its_own(lab):
    a, b = lab.device("a"), lab.device("b")
    a.resolv_conf("nameserver 192.0.2.1\n")
    a.run("sh", "-c", "echo x >/run/own; mv /etc/hostname /etc/hostname.old; echo a >/etc/hostname")
    assert a.run("cat", "/etc/resolv.conf").stdout == "nameserver 192.0.2.1\n"
    assert b.run("cat", "/etc/resolv.conf").stdout.startswith("nameserver 127.0.0.53\n")
    assert b.run("test", "-e", "/run/own", check=False).returncode == 1 and not os.path.exists("/run/own")
    assert not os.path.exists("/etc/hostname.old")


def test_disturbances_come_and_go(lab):
    a, b = lab.device("a"), lab.device("b")
    assert reaches(a, b.address4)
    lab.internet.disturb(f"ip saddr {a.address4} ip daddr {b.address4} drop")
    assert not reaches(a, b.address4) and reaches(a, b.address6)
    lab.internet.disturb("")
    assert reaches(a, b.address4)


def test_nothing_is_left(tmp_path):
    with pytest.raises(ZeroDivisionError), Lab() as lab:
        lab.gateway("home", nat={}).device("a").popen("sleep", "100")
        work, prefix, pids = lab.work, lab.prefix, [p.pid for p in lab.processes]
        1 / 0
    assert not work.exists() and prefix not in run("ip", "netns", "list").stdout
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_nothing_is_left_after_a_failure_to_build():
    p = subprocess.run(["/usr/bin/python3", "-c", "from lab import Lab\nlab = Lab()\nprint(lab.prefix)\nlab.device('a')\nlab.device('a')"],
                       cwd=os.path.dirname(__file__), capture_output=True, text=True)
    assert p.returncode != 0 and p.stdout.strip() and p.stdout.strip() not in run("ip", "netns", "list").stdout
