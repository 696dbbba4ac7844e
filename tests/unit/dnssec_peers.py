"""Has other people's validators judge the zone that unit-dnssec_zone signs: dnspython, ldns-verify-zone, BIND's dnssec-verify.

A validator that is not installed is left out; without any of them the test is skipped (exit 77)."""

import os
import shutil
import subprocess
import sys
import tempfile

SETS = 12


def by_dnspython(text):
    import cryptography  # noqa: F401 (dnspython needs it for Ed25519 and says so only by a failed validation)
    import dns.dnssec
    import dns.name
    import dns.rdata
    import dns.rdataclass
    import dns.rdataset
    import dns.rdatatype

    apex = dns.name.from_text("me.signpost.")
    sets = {}
    for line in text.splitlines():
        if line.startswith(";"):
            continue
        owner, ttl, _, rdtype, _, _, *data = line.split()
        wire = bytes.fromhex("".join(data))
        rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), wire, 0, len(wire))
        key = (dns.name.from_text(owner), rdata.rdtype, rdata.covers())
        sets.setdefault(key, dns.rdataset.Rdataset(rdata.rdclass, rdata.rdtype, rdata.covers())).add(rdata, int(ttl))
    dnskey = sets[apex, dns.rdatatype.DNSKEY, dns.rdatatype.NONE]
    ds = dns.dnssec.make_ds(apex, dnskey[0], "SHA256").to_wire().hex()
    assert "; DS " + ds in text, "the DS is not dnspython's: " + ds
    validated = 0
    for (name, rdtype, _), rdataset in sets.items():
        if rdtype == dns.rdatatype.RRSIG:
            continue
        rrsigs = sets[name, dns.rdatatype.RRSIG, rdtype]
        dns.dnssec.validate((name, rdataset), (name, rrsigs), {apex: dnskey})
        validated += 1
        # An altered signature must fail, or a validation says nothing.
        altered = rrsigs[0].replace(signature=rrsigs[0].signature[:-1] + b"\0")
        try:
            dns.dnssec.validate((name, rdataset), (name, dns.rdataset.from_rdata(300, altered)), {apex: dnskey})
        except dns.dnssec.ValidationFailure:
            continue
        raise AssertionError("altered, %s still validates" % name)
    # RFC 4035 5.3.2: the wildcard's signature covers what it expands to, as its count of labels says.
    wildcard = dns.name.from_text("*.me.signpost.")
    dns.dnssec.validate((dns.name.from_text("some.where.me.signpost."), sets[wildcard, dns.rdatatype.TXT, dns.rdatatype.NONE]),
                        (dns.name.from_text("some.where.me.signpost."), sets[wildcard, dns.rdatatype.RRSIG, dns.rdatatype.TXT]),
                        {apex: dnskey})
    assert validated == SETS, "%d RRsets validated" % validated


def by_program(text, name, *arguments):
    program = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin")
    if program is None:
        raise ImportError(name)
    with tempfile.NamedTemporaryFile("w", suffix=".zone") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([program, *arguments, file.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, "%s: %s" % (name, done.stdout)


def main():
    text = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, text=True, check=True).stdout
    judges = {
        "dnspython": lambda: by_dnspython(text),
        "ldns-verify-zone": lambda: by_program(text, "ldns-verify-zone"),
        "dnssec-verify": lambda: by_program(text, "dnssec-verify", "-q", "-z", "-o", "me.signpost"),
    }
    passed = failed = 0
    for name, judge in judges.items():
        try:
            judge()
        except ImportError as missing:
            print("%s: not installed (%s)" % (name, missing))
        except Exception as wrong:  # pylint: disable=broad-except
            print("%s: FAILED: %s" % (name, wrong))
            failed += 1
        else:
            print("%s: valid" % name)
            passed += 1
    return 1 if failed else 0 if passed else 77


sys.exit(main())
