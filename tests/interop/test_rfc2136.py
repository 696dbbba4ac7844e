"""RFC 2136 (UPDATE), RFC 3007 (who may), through dnspython and TSIG."""
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import pytest

from rfc import NARROW_NAME, NARROW_SECRET, TSIG_NAME, TSIG_SECRET, ZONE, answer, ede_of

RING = dns.tsigkeyring.from_text({TSIG_NAME: TSIG_SECRET})
NARROW = dns.tsigkeyring.from_text({NARROW_NAME: NARROW_SECRET})


def update(zone=ZONE, keyring=RING):
    return dns.update.UpdateMessage(zone, keyring=keyring)


@pytest.fixture(scope="module", autouse=True)
def base(rfc):
    u = update()
    u.add("base", 300, "A", "192.0.2.200")
    u.add("base", 300, "TXT", "one")
    assert rfc.send(u).rcode() == dns.rcode.NOERROR


PREREQUISITES = [
    (lambda u: u.present("base"), dns.rcode.NOERROR),
    (lambda u: u.present("nobody"), dns.rcode.NXDOMAIN),
    (lambda u: u.absent("nobody"), dns.rcode.NOERROR),
    (lambda u: u.absent("base"), dns.rcode.YXDOMAIN),
    (lambda u: u.present("base", "TXT"), dns.rcode.NOERROR),
    (lambda u: u.present("base", "MX"), dns.rcode.NXRRSET),
    (lambda u: u.absent("base", "MX"), dns.rcode.NOERROR),
    (lambda u: u.absent("base", "TXT"), dns.rcode.YXRRSET),
    (lambda u: u.present("base", "TXT", "one"), dns.rcode.NOERROR),
    (lambda u: u.present("base", "TXT", "two"), dns.rcode.NXRRSET),
]


@pytest.mark.parametrize("number", range(len(PREREQUISITES)))
def test_rfc2136_prerequisite(rfc, number):
    add, expected = PREREQUISITES[number]
    before = rfc.serial()
    u = update()
    add(u)
    u.replace("witness", 300, "TXT", f"case{number}")
    assert rfc.send(u).rcode() == expected
    there = answer(rfc.ask("witness", "TXT"), "TXT") == [f'"case{number}"']
    assert there == (expected == dns.rcode.NOERROR) and (rfc.serial() != before) == there


def test_rfc2136_prerequisite_out_of_zone_is_notzone(rfc):
    u = update()
    u.present(dns.name.from_text("x.elsewhere.test."))
    assert rfc.send(u).rcode() == dns.rcode.NOTZONE


def test_rfc2136_update_out_of_zone_is_notzone_and_atomic(rfc):
    u = update()
    u.add("atomic", 300, "A", "192.0.2.9")
    u.add(dns.name.from_text("x.elsewhere.test."), 300, "A", "192.0.2.9")
    assert rfc.send(u).rcode() == dns.rcode.NOTZONE
    assert rfc.ask("atomic").rcode() == dns.rcode.NXDOMAIN


def test_rfc2136_unknown_zone_is_notauth(rfc):
    u = update("elsewhere.test.")
    u.add("x", 300, "A", "192.0.2.9")
    assert rfc.send(u).rcode() == dns.rcode.NOTAUTH


def test_rfc2136_zone_section_must_be_an_soa(rfc):
    u = update(keyring=None)
    wire = bytearray(u.to_wire())
    wire[-4:-2] = b"\0\1"
    assert rfc.raw(bytes(wire))[3] & 15 == dns.rcode.FORMERR


def test_rfc2136_add_delete_rr_rrset_name(rfc):
    u = update()
    u.add("work", 300, "A", "192.0.2.10", "192.0.2.11")
    u.add("work", 300, "TXT", "t")
    assert rfc.send(u).rcode() == dns.rcode.NOERROR
    u = update()
    u.delete("work", "A", "192.0.2.10")
    assert rfc.send(u).rcode() == dns.rcode.NOERROR and answer(rfc.ask("work"), "A") == ["192.0.2.11"]
    u = update()
    u.delete("work", "A")
    assert rfc.send(u).rcode() == dns.rcode.NOERROR and not rfc.ask("work").answer and answer(rfc.ask("work", "TXT"), "TXT")
    u = update()
    u.delete("work")
    assert rfc.send(u).rcode() == dns.rcode.NOERROR and rfc.ask("work").rcode() == dns.rcode.NXDOMAIN


def test_rfc2136_serial_rises_by_changes_alone(rfc):
    before = rfc.serial()
    u = update()
    u.add("base", 300, "A", "192.0.2.200")
    assert rfc.send(u).rcode() == dns.rcode.NOERROR and rfc.serial() == before
    u.add("base", 300, "A", "192.0.2.201")
    assert rfc.send(u).rcode() == dns.rcode.NOERROR and rfc.serial() == before + 1


def test_rfc2136_soa_and_last_ns_stay(rfc):
    for rdtype in ("SOA", "NS"):
        u = update()
        u.delete("@", rdtype)
        rfc.send(u)
        assert rfc.ask(ZONE, rdtype).answer


def test_rfc2136_cname_and_other_data_exclude_each_other(rfc):
    u = update()
    u.add("base", 300, "CNAME", "www")
    u.add("alias", 300, "A", "192.0.2.1")
    rfc.send(u)
    assert not answer(rfc.ask("base", "CNAME"), "CNAME") and answer(rfc.ask("alias", "CNAME"), "CNAME") == ["www.rfc.example."]
    assert not any(s.rdtype == dns.rdatatype.A and s.name.to_text() == "alias.rfc.example." for s in rfc.ask("alias").answer)


@pytest.mark.parametrize("rdtype, text", [("DNSKEY", "257 3 15 " + "A" * 43 + "="), ("NSEC", "a.rfc.example. A"), ("CDS", "0 0 0 00")])
def test_rfc3007_what_the_signpost_makes_is_refused(rfc, rdtype, text):
    u = update()
    u.add("@", 300, rdtype, text)
    u.use_edns(0)
    r = rfc.send(u)
    assert r.rcode() == dns.rcode.REFUSED and ede_of(r)


def test_rfc3007_unsigned_is_refused_and_says_why(rfc):
    u = update(keyring=None)
    u.add("unsigned", 300, "A", "192.0.2.9")
    u.use_edns(0)
    r = rfc.send(u)
    assert r.rcode() == dns.rcode.REFUSED and ede_of(r)
    assert rfc.ask("unsigned").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("name, rdtype, data, allowed", [
    ("x.narrow", "A", "192.0.2.9", True), ("x.narrow", "TXT", "no", False), ("elsewhere", "A", "192.0.2.9", False),
    ("narrow", "A", "192.0.2.9", False)])
def test_rfc3007_a_keys_policy_holds(rfc, name, rdtype, data, allowed):
    """The narrow key may write names=*.narrow types=A."""
    u = update(keyring=NARROW)
    u.add(name, 300, rdtype, data)
    u.use_edns(0)
    r = rfc.send(u)
    assert (r.rcode() == dns.rcode.NOERROR) == allowed
    assert allowed or (r.rcode() == dns.rcode.REFUSED and ede_of(r))
    assert bool(answer(rfc.ask(name, rdtype), rdtype)) == allowed
