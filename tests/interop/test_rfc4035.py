"""RFC 4033 to 4035, 8080 (DNSSEC with Ed25519) and 9824 (compact denial), validated by dnspython."""
import dns.dnssec
import dns.flags
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest

from rfc import ZONE, answer, authority, ede_of

APEX = dns.name.from_text(ZONE)


@pytest.fixture(scope="module")
def keys(rfc):
    """The zone's DNSKEYs, validated from the DS that the operator is shown."""
    r = rfc.ask(ZONE, "DNSKEY", want_dnssec=True)
    dnskey = next(s for s in r.answer if s.rdtype == dns.rdatatype.DNSKEY)
    ds = dns.rdata.from_text("IN", "DS", rfc.signpost.ctl("zone", "ds", ZONE).split(" DS ")[-1].split("\tDS\t")[-1].strip().splitlines()[0])
    assert ds in [dns.dnssec.make_ds(APEX, k, "SHA256") for k in dnskey]
    trusted = {APEX: dnskey}
    validate(r.answer, trusted)
    return trusted


def validate(section, keys):
    """Validates every RRset of a section that is not glue; returns how many."""
    n = 0
    for rrset in section:
        if rrset.rdtype == dns.rdatatype.RRSIG:
            continue
        sigs = next(s for s in section if s.rdtype == dns.rdatatype.RRSIG and s.covers == rrset.rdtype and s.name == rrset.name)
        dns.dnssec.validate(rrset, sigs, keys)
        n += 1
    return n


def nsec_types(rrset):
    windows = rrset[0].windows
    return {w * 256 + i * 8 + b for w, bits in windows for i, byte in enumerate(bits) for b in range(8) if byte & (0x80 >> b)}


@pytest.mark.parametrize("name, rdtype", [("www", "A"), ("www", "AAAA"), ("", "SOA"), ("", "NS"), ("chain", "A"), ("any.wild", "TXT"),
                                         ("host.d", "A"), ("svc", "HTTPS"), ("unknown", "TYPE65300"), ("", "CDS"), ("", "CDNSKEY")])
def test_rfc4035_positive_answers_validate(rfc, keys, name, rdtype):
    r = rfc.ask(f"{name}.{ZONE}".lstrip("."), rdtype, want_dnssec=True, tcp=True)
    unsigned = [s for s in r.answer if s.rdtype == dns.rdatatype.CNAME and name == "host.d"]
    assert validate([s for s in r.answer if s not in unsigned], keys) >= 1


def test_rfc4035_without_do_no_signatures(rfc):
    for name, rdtype in (("www", "A"), ("nobody", "A"), ("www", "MX")):
        r = rfc.ask(name, rdtype, use_edns=0)
        assert not [s for s in r.answer + r.authority if s.rdtype in (dns.rdatatype.RRSIG, dns.rdatatype.NSEC)]


def test_rfc4035_signed_delegation_has_its_ds(rfc, keys):
    r = rfc.ask("host.secure", want_dnssec=True)
    assert not r.flags & dns.flags.AA
    ds = authority(r, "DS")[0]
    assert validate([s for s in r.authority if s.name == ds.name and dns.rdatatype.NS not in (s.rdtype, s.covers)], keys) == 1
    assert answer(rfc.ask("secure", "DS"), "DS")


def test_rfc4035_unsigned_delegation_is_proven(rfc, keys):
    r = rfc.ask("host.sub", want_dnssec=True)
    nsec = authority(r, "NSEC")[0]
    types = nsec_types(nsec)
    assert nsec.name.to_text() == "sub.rfc.example." and dns.rdatatype.NS in types and dns.rdatatype.DS not in types
    assert validate([s for s in r.authority if dns.rdatatype.NSEC in (s.rdtype, s.covers)], keys) == 1


def test_rfc9824_nonexistent_name_has_one_nsec_with_nxname(rfc, keys):
    r = rfc.ask("nobody", want_dnssec=True)
    assert r.rcode() == dns.rcode.NOERROR and not r.answer and validate(r.authority, keys) == 2
    nsec = authority(r, "NSEC")
    assert len(nsec) == 1 and nsec[0].name.to_text() == "nobody.rfc.example."
    assert nsec[0][0].next == dns.name.Name((b"\0",) + nsec[0].name.labels)
    assert nsec_types(nsec[0]) == {46, 47, 128}


def test_rfc9824_co_flag_gives_nxdomain(rfc, keys):
    r = rfc.ask("nobody", want_dnssec=True, ednsflags=0x4000)
    assert r.rcode() == dns.rcode.NXDOMAIN and r.ednsflags & 0x4000 and validate(r.authority, keys) == 2
    assert rfc.ask("nobody").rcode() == dns.rcode.NXDOMAIN


def test_rfc9824_nodata(rfc, keys):
    r = rfc.ask("www", "MX", want_dnssec=True)
    types = nsec_types(authority(r, "NSEC")[0])
    assert r.rcode() == dns.rcode.NOERROR and validate(r.authority, keys) == 2
    assert {1, 28, 46, 47} <= types and 15 not in types and 128 not in types


def test_rfc9824_empty_non_terminal(rfc, keys):
    r = rfc.ask("ent", want_dnssec=True)
    assert r.rcode() == dns.rcode.NOERROR and validate(r.authority, keys) == 2
    assert nsec_types(authority(r, "NSEC")[0]) == {46, 47}


def test_rfc9824_query_for_nxname_is_formerr(rfc):
    r = rfc.ask("www", "TYPE128", want_dnssec=True)
    assert r.rcode() == dns.rcode.FORMERR and ede_of(r) == [30]
