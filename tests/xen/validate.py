"""Validates the replies on a first-light console with dnspython: validate.py [--flip] CONSOLE.

The DS of the zone, as the guest printed it, must validate its DNSKEY RRset, and that key the answer's RRset. With --flip one bit
of the answer is changed first, and then it must not validate."""
import re
import sys

import dns.dnssec
import dns.message
import dns.name
import dns.rdata
import dns.rrset


def signed(message, rdtype):
    """The RRset of a type in the answer section, and its signatures."""
    rrset = next(r for r in message.answer if r.rdtype == rdtype)
    sigs = next(r for r in message.answer if r.rdtype == dns.rdatatype.RRSIG and r.covers == rdtype)
    return rrset, sigs


def main():
    flip = sys.argv[1] == "--flip"
    text = open(sys.argv[-1], encoding="utf-8", errors="replace").read()
    replies = [bytearray.fromhex(h) for h in re.findall(r"firstlight: reply ([0-9a-f]+)", text)]
    found = re.search(r"firstlight: ds ([0-9a-f]+)", text)
    if found is None:
        sys.exit("the console shows no DS")
    items = bytes.fromhex(found.group(1))
    ds_text = re.search(rb"IN\s+DS\s+(\d+ \d+ \d+ [0-9A-Fa-f]+)", items).group(1).decode()
    assert len(replies) == 2 and "firstlight: done" in text, "the console lacks a reply"

    zone = dns.name.from_text("me.signpost.")
    name = dns.name.from_text("laptop.me.signpost.")
    ds = dns.rdata.from_text("IN", "DS", ds_text)
    dnskey, key_sigs = signed(dns.message.from_wire(bytes(replies[1])), dns.rdatatype.DNSKEY)
    made = [dns.dnssec.make_ds(zone, key, "SHA256") for key in dnskey]
    assert ds in made, "the DS is of another key"
    dns.dnssec.validate(dnskey, key_sigs, {zone: dnskey})

    answer, answer_sigs = signed(dns.message.from_wire(bytes(replies[0])), dns.rdatatype.AAAA)
    assert answer.name == name and answer[0].address == "fd00::17", answer.to_text()
    if flip:
        answer = dns.rrset.from_text(name, answer.ttl, "IN", "AAAA", "fd00::16")
    try:
        dns.dnssec.validate(answer, answer_sigs, {zone: dnskey})
    except dns.dnssec.ValidationFailure:
        return 0 if flip else 1
    return 1 if flip else 0


sys.exit(main())
