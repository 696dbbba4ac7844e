"""RFC 6891 (EDNS), 7873 and 9018 (cookies), 8482 (ANY), 8906 (every query is answered)."""
import struct
import time

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from rfc import ZONE, answer


def test_rfc6891_version_1_is_badvers(rfc):
    wire = bytearray(dns.message.make_query("www.rfc.example.", "A", use_edns=0).to_wire())
    wire[-5] = 1
    r = dns.message.from_wire(rfc.raw(bytes(wire)))
    assert r.rcode() == dns.rcode.BADVERS and r.edns == 0 and not r.answer


def test_rfc6891_unknown_options_and_flags_are_ignored(rfc):
    r = rfc.ask("www", options=[dns.edns.GenericOption(65001, b"what")], ednsflags=0x0080)
    assert answer(r, "A") and r.edns == 0 and not r.ednsflags & 0x0080
    assert not [o for o in r.options if int(o.otype) == 65001]


def test_rfc6891_no_opt_without_opt(rfc):
    assert rfc.ask("www").edns == -1


def test_rfc6891_two_opts_are_formerr(rfc):
    wire = dns.message.make_query("www.rfc.example.", "A", use_edns=0).to_wire()
    opt = wire[-11:]
    reply = rfc.raw(wire[:10] + b"\0\2" + wire[12:] + opt)
    assert reply[3] & 15 == dns.rcode.FORMERR


def test_rfc6891_do_is_echoed(rfc):
    assert rfc.ask("www", want_dnssec=True).ednsflags & dns.flags.DO
    assert not rfc.ask("www", use_edns=0).ednsflags & dns.flags.DO


def cookie_of(message):
    return next((o.data if hasattr(o, "data") else o.to_wire() for o in message.options if int(o.otype) == 10), None)


def with_cookie(rfc, data):
    return rfc.ask("www", options=[dns.edns.GenericOption(10, data)])


def test_rfc9018_cookie_is_16_bytes_and_accepted(rfc):
    first = cookie_of(with_cookie(rfc, b"12345678"))
    assert len(first) == 24 and first[:8] == b"12345678" and first[8] == 1 and first[9:12] == b"\0\0\0"
    assert abs(struct.unpack(">I", first[12:16])[0] - time.time()) < 5
    again = with_cookie(rfc, first)
    assert answer(again, "A") and cookie_of(again) == first


def test_rfc9018_a_foreign_cookie_is_replaced(rfc):
    """That old ones are too takes the server's secret to show: the unit test dns_cookie has it."""
    good = cookie_of(with_cookie(rfc, b"12345678"))
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:8] + b"\0" * 16):
        r = with_cookie(rfc, bad)
        assert r.rcode() in (dns.rcode.NOERROR, dns.rcode.BADCOOKIE) and cookie_of(r) != bad and len(cookie_of(r)) == 24


@pytest.mark.parametrize("length", [1, 7, 9, 15, 41])
def test_rfc7873_malformed_cookie_is_formerr(rfc, length):
    assert with_cookie(rfc, b"x" * length).rcode() == dns.rcode.FORMERR


def test_rfc8482_any_is_small_over_udp(rfc):
    r = rfc.ask("www", "ANY")
    assert r.rcode() == dns.rcode.NOERROR and len(r.answer) == 1 and not r.flags & dns.flags.TC


@pytest.mark.parametrize("opcode", [1, 2, 3, 4, 6, 7, 9, 15])
def test_rfc8906_unknown_opcodes_are_answered(rfc, opcode):
    q = dns.message.make_query("www.rfc.example.", "A").to_wire()
    reply = rfc.raw(q[:2] + bytes([opcode << 3, 0]) + q[4:])
    assert reply is not None and (reply[2] >> 3) & 15 == opcode and reply[3] & 15 in (dns.rcode.NOTIMP, dns.rcode.REFUSED, dns.rcode.NOTAUTH)


@pytest.mark.parametrize("rdtype", [0, 38, 64999, 1000, 128, 249, 254])
def test_rfc8906_unknown_types_are_answered(rfc, rdtype):
    wire = dns.message.make_query("www.rfc.example.", "A").to_wire()
    reply = rfc.raw(wire[:-4] + struct.pack(">2H", rdtype, 1))
    assert reply is not None and reply[3] & 15 in (dns.rcode.NOERROR, dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.REFUSED)


@pytest.mark.parametrize("bit", [0x40, 0x20, 0x10])
def test_rfc8906_header_flags_are_answered(rfc, bit):
    wire = dns.message.make_query("www.rfc.example.", "A").to_wire()
    reply = rfc.raw(wire[:3] + bytes([bit]) + wire[4:])
    assert reply is not None and reply[3] & 15 == dns.rcode.NOERROR and not reply[3] & 0x60


def test_rfc8906_unknown_class_is_answered(rfc):
    wire = dns.message.make_query("www.rfc.example.", "A").to_wire()
    assert rfc.raw(wire[:-2] + struct.pack(">H", 77)) is not None


def test_rfc3597_unknown_type_is_served(rfc):
    assert answer(rfc.ask("unknown", "TYPE65300"), "TYPE65300") == [r"\# 4 01020304"]


def test_rfc9460_https_is_served(rfc):
    assert answer(rfc.ask("svc", "HTTPS"), "HTTPS") == ['1 . alpn="h2,h3" port="8443"']


def test_rfc1035_zone_is_the_one_named(rfc):
    assert rfc.ask(ZONE, "SOA").answer[0].name.to_text() == ZONE
