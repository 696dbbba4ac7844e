"""RFC 8945 (TSIG), RFC 5936 (AXFR)."""
import struct
import time

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
import dns.xfr
import dns.zone
import pytest

from rfc import NARROW_NAME, NARROW_SECRET, TSIG_NAME, TSIG_SECRET, ZONE, answer

RING = dns.tsigkeyring.from_text({TSIG_NAME: TSIG_SECRET})


def signed_query(ring=RING, name="www.rfc.example."):
    q = dns.message.make_query(name, "A")
    q.use_tsig(ring)
    return q


def tsig_of(reply):
    """(rcode, TSIG error, other data) of a reply's wire form."""
    at = reply.rindex(struct.pack(">HHI", 250, 255, 0))
    rdata = reply[at + 10:]
    end = rdata.index(b"\0") + 1
    mac = struct.unpack(">H", rdata[end + 8:end + 10])[0]
    error, other = struct.unpack(">HH", rdata[end + 12 + mac:end + 16 + mac])
    return reply[3] & 15, error, rdata[end + 16 + mac:end + 16 + mac + other]


@pytest.mark.parametrize("tcp", [False, True])
def test_rfc8945_a_signed_query_gets_a_signed_answer(rfc, tcp):
    r = rfc.send(signed_query(), tcp=tcp)
    assert r.had_tsig and answer(r, "A")


def test_rfc8945_badkey(rfc):
    ring = dns.tsigkeyring.from_text({"nobody.keys.": TSIG_SECRET})
    assert tsig_of(rfc.raw(signed_query(ring).to_wire()))[:2] == (dns.rcode.NOTAUTH, 17)


def test_rfc8945_badsig(rfc):
    wire = bytearray(signed_query().to_wire())
    wire[wire.index(b"\3www") + 1] = ord("x")
    assert tsig_of(rfc.raw(bytes(wire)))[:2] == (dns.rcode.NOTAUTH, 16)


def test_rfc8945_badtime_carries_the_servers_time(rfc):
    q = signed_query()
    old = time.time
    try:
        time.time = lambda: old() - 4000
        wire = q.to_wire()
    finally:
        time.time = old
    rcode, error, other = tsig_of(rfc.raw(wire))
    assert (rcode, error) == (dns.rcode.NOTAUTH, 18) and len(other) == 6
    assert abs(int.from_bytes(other, "big") - time.time()) < 5


def test_rfc8945_a_much_truncated_mac_is_refused(rfc):
    """5.2.2.1: not below 10 bytes, nor below half of the hash."""
    wire = signed_query().to_wire()
    at = wire.rindex(struct.pack(">HHI", 250, 255, 0))
    rdata = wire[at + 10:]
    end = rdata.index(b"\0") + 1
    cut = rdata[:end + 8] + struct.pack(">H", 8) + rdata[end + 10:end + 18] + rdata[end + 42:]
    reply = rfc.raw(wire[:at + 8] + struct.pack(">H", len(cut)) + cut)
    assert reply[3] & 15 in (dns.rcode.FORMERR, dns.rcode.NOTAUTH) and not dns.message.from_wire(reply, keyring=False, ignore_trailing=True).answer


def transfer(rfc, ring, name):
    q = dns.message.make_query(ZONE, "AXFR")
    if ring is not None:
        q.use_tsig(ring, name)
    zone = dns.zone.Zone(ZONE, relativize=False)
    dns.query.inbound_xfr(rfc.address, zone, q, port=rfc.port, timeout=10)
    return zone


def test_rfc5936_transfer_has_the_whole_zone_over_several_messages(rfc):
    u = dns.update.UpdateMessage(ZONE, keyring=RING)
    for i in range(60):
        u.add(f"many{i}", 300, "TXT", "y" * 200, "z" * 200)
    assert rfc.send(u, tcp=True).rcode() == dns.rcode.NOERROR
    for i in range(60, 200):
        u = dns.update.UpdateMessage(ZONE, keyring=RING)
        u.add(f"many{i}", 300, "TXT", "y" * 250, "z" * 250)
        assert rfc.send(u).rcode() == dns.rcode.NOERROR
    zone = transfer(rfc, RING, TSIG_NAME)
    names = {n.to_text() for n in zone.nodes}
    assert {f"many{i}.rfc.example." for i in range(200)} <= names and {"www.rfc.example.", "ns.sub.rfc.example."} <= names
    assert zone.get_rdataset(ZONE, "SOA")[0].serial == rfc.serial()
    assert len(zone.get_rdataset("big.rfc.example.", "TXT")) == 20


def test_rfc5936_without_the_right_it_is_refused(rfc):
    for ring, name in ((None, None), (dns.tsigkeyring.from_text({NARROW_NAME: NARROW_SECRET}), NARROW_NAME)):
        with pytest.raises(dns.xfr.TransferError) as error:
            transfer(rfc, ring, name)
        assert error.value.rcode == dns.rcode.REFUSED


def test_rfc5936_not_over_udp(rfc):
    q = dns.message.make_query(ZONE, "AXFR")
    q.use_tsig(RING)
    r = rfc.send(q)
    assert r.rcode() != dns.rcode.NOERROR and not r.answer


def test_rfc1995_ixfr_of_the_current_serial_is_one_soa(rfc):
    q = dns.message.make_query(ZONE, "IXFR")
    q.authority.append(dns.rrset.from_text(ZONE, 0, "IN", "SOA", f"ns.{ZONE} hostmaster.{ZONE} {rfc.serial()} 1 1 1 1"))
    q.use_tsig(RING)
    r = rfc.send(q, tcp=True)
    assert [s.rdtype for s in r.answer] == [dns.rdatatype.SOA] and len(r.answer[0]) == 1
