"""RFC 9664: leases on updates."""
import struct
import time

import dns.edns
import dns.rcode
import dns.update
import pytest

import sig0
from rfc import ZONE, answer, await_true

NAME = "leased.rfc.example."


@pytest.fixture(scope="module")
def key(rfc):
    key = sig0.Key(NAME)
    rfc.signpost.import_text(ZONE, key.text() + "\n")
    return key


def send(rfc, key, option, text, inception=None):
    u = dns.update.UpdateMessage(ZONE)
    u.add(dns.name.from_text(NAME), 60, "TXT", text)
    u.use_edns(0, options=[dns.edns.GenericOption(2, option)])
    r = sig0.parse(rfc.raw(key.sign(u.to_wire(), inception=inception), timeout=3))
    assert r.rcode() == dns.rcode.NOERROR
    return [o.data for o in r.options if int(o.otype) == 2]


def test_rfc9664_granted_lease_is_echoed(rfc, key):
    assert send(rfc, key, struct.pack(">I", 3600), "short form") == [struct.pack(">I", 3600)]
    values = send(rfc, key, struct.pack(">II", 3600, 7200), "long form")
    assert len(values) == 1 and len(values[0]) == 8 and values[0][:4] == struct.pack(">I", 3600)


def test_rfc9664_unreasonable_lengths_are_bounded(rfc, key):
    for asked in (0, 1, 0xFFFFFFFF):
        granted = struct.unpack(">I", send(rfc, key, struct.pack(">I", asked), f"asked {asked}")[0])[0]
        assert 1 <= granted <= 7 * 86400


def test_rfc9664_a_refresh_that_changes_nothing_leaves_the_serial(rfc, key):
    send(rfc, key, struct.pack(">I", 3600), "steady")
    before = rfc.serial()
    send(rfc, key, struct.pack(">I", 3600), "steady")
    assert rfc.serial() == before


@pytest.mark.slow
def test_rfc9664_expiry_removes_and_raises_the_serial(rfc, key):
    granted = struct.unpack(">I", send(rfc, key, struct.pack(">I", 1), "brief")[0])[0]
    assert granted <= 60 and '"brief"' in answer(rfc.ask(NAME, "TXT"), "TXT")
    before = rfc.serial()
    time.sleep(granted - 1)
    assert await_true(lambda: '"brief"' not in answer(rfc.ask(NAME, "TXT"), "TXT"), 5)
    assert rfc.serial() != before and answer(rfc.ask(NAME, "KEY"), "KEY")


def test_rfc9664_malformed_option_is_formerr(rfc, key):
    u = dns.update.UpdateMessage(ZONE)
    u.add(dns.name.from_text(NAME), 60, "TXT", "malformed")
    u.use_edns(0, options=[dns.edns.GenericOption(2, b"\0\0\0")])
    r = sig0.parse(rfc.raw(key.sign(u.to_wire()), timeout=3))
    assert r.rcode() == dns.rcode.FORMERR and '"malformed"' not in answer(rfc.ask(NAME, "TXT"), "TXT")
