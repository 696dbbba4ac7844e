"""RFC 1034, 1035: authority, referrals, glue, aliases, compression, truncation."""
import struct

import dns.flags
import dns.message
import dns.rcode
import pytest

from rfc import answer, authority


def test_rfc1034_answer_is_authoritative(rfc):
    r = rfc.ask("www", flags=dns.flags.RD)
    assert r.flags & dns.flags.AA and not r.flags & dns.flags.RA and r.flags & dns.flags.RD
    assert answer(r, "A") == ["192.0.2.1", "192.0.2.2"]


def test_rfc1034_referral_is_not_authoritative_and_has_glue(rfc):
    r = rfc.ask("host.sub")
    assert not r.flags & dns.flags.AA and r.rcode() == dns.rcode.NOERROR and not r.answer
    assert authority(r, "NS")[0].name.to_text() == "sub.rfc.example."
    assert any(s.name.to_text() == "ns.sub.rfc.example." and s[0].address == "192.0.2.100" for s in r.additional)


def test_rfc1034_glue_itself_is_a_referral(rfc):
    r = rfc.ask("ns.sub")
    assert not r.answer and not r.flags & dns.flags.AA and authority(r, "NS")


def test_rfc1034_cname_chain(rfc):
    r = rfc.ask("chain")
    assert [s.name.to_text() for s in r.answer] == ["chain.rfc.example.", "alias.rfc.example.", "www.rfc.example."]
    assert answer(rfc.ask("chain", "CNAME"), "CNAME") == ["alias.rfc.example."]


def test_rfc1034_cname_loop_ends(rfc):
    r = rfc.ask("loop1")
    assert 1 <= len(r.answer) <= 16 and not answer(r, "A")


def test_rfc1034_cname_out_of_zone_is_left_to_the_resolver(rfc):
    r = rfc.ask("out")
    assert r.rcode() == dns.rcode.NOERROR and answer(r, "CNAME") == ["host.elsewhere.test."] and len(r.answer) == 1


def test_rfc1034_nodata_and_nxdomain_carry_the_soa(rfc):
    nodata, nxdomain = rfc.ask("www", "MX"), rfc.ask("nobody")
    assert nodata.rcode() == dns.rcode.NOERROR and nxdomain.rcode() == dns.rcode.NXDOMAIN
    for r in (nodata, nxdomain):
        soa = authority(r, "SOA")[0]
        assert r.flags & dns.flags.AA and not r.answer and soa.ttl == min(300, soa[0].minimum)


def test_rfc1034_other_zones_are_refused(rfc):
    r = rfc.ask("www.elsewhere.test.")
    assert r.rcode() == dns.rcode.REFUSED and not r.flags & dns.flags.AA


def test_rfc1035_case_is_kept_and_ignored(rfc):
    r = rfc.ask("wWw")
    assert r.question[0].name.to_text() == "wWw.rfc.example." and answer(r, "A")


@pytest.mark.parametrize("name", [b"\xc0\x0c", b"\x03www\xc0\x0c", b"\xc0\xff", b"\x40ab\0", b"\x80\0", b"\xc1"])
def test_rfc1035_compression_loops_and_bad_labels_are_formerr(rfc, name):
    reply = rfc.raw(struct.pack(">6H", 7, 0, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1))
    assert struct.unpack(">H", reply[:2])[0] == 7 and reply[2] & 0x80 and reply[3] & 15 == dns.rcode.FORMERR


def test_rfc1035_truncation_then_whole_over_tcp(rfc):
    short = rfc.ask("big", "TXT")
    assert short.flags & dns.flags.TC and len(short.to_wire()) <= 512
    whole = rfc.ask("big", "TXT", tcp=True)
    assert not whole.flags & dns.flags.TC and len(answer(whole, "TXT")) == 20


def test_rfc9715_udp_never_exceeds_the_limit(rfc):
    r = rfc.ask("big", "TXT", use_edns=0, payload=65535)
    assert r.flags & dns.flags.TC and len(r.to_wire()) <= 1232


def test_rfc1035_two_questions_are_formerr(rfc):
    q = dns.message.make_query("www.rfc.example.", "A")
    wire = q.to_wire()
    reply = rfc.raw(wire[:4] + b"\0\2" + wire[6:] + wire[12:])
    assert reply[3] & 15 == dns.rcode.FORMERR


def test_rfc1035_trailing_bytes_are_formerr(rfc):
    reply = rfc.raw(dns.message.make_query("www.rfc.example.", "A").to_wire() + b"junk")
    assert reply[3] & 15 == dns.rcode.FORMERR


@pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 11, b"\0\1\x80\0" + b"\0" * 8])
def test_rfc1035_stubs_and_responses_are_dropped(rfc, data):
    assert rfc.raw(data, timeout=0.2) is None
    assert answer(rfc.ask("www"), "A")
