#!/usr/bin/env python3
"""Devices for a zone, as zone text: small_zone.py COUNT ZONE-TEXT. ZONE-TEXT is what the signpost exports: its own overlay address
says the zone's prefix. Device N has the key of the seed "device N", so that tests can sign for it."""
import base64
import hashlib
import ipaddress
import re
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def key(n):
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"device %d" % n).digest())


def address(prefix, pub):
    """As DESIGN has it: 64 bits of a labelled hash of the key."""
    label = b"signpost-address-v1"
    return ipaddress.IPv6Address(prefix + hashlib.blake2b(bytes([len(label)]) + label + pub, digest_size=8).digest())


def main():
    count, exported = int(sys.argv[1]), open(sys.argv[2], encoding="ascii").read()
    own = re.search(r"^signpost\S*\s.*\bAAAA\s+(fd\S+)", exported, re.M | re.I).group(1)
    prefix = ipaddress.IPv6Address(own).packed[:8]
    for n in range(count):
        pub = key(n).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        print(f"device{n:05} 300 IN KEY 512 3 15 {base64.b64encode(pub).decode()}")
        print(f"device{n:05} 300 IN AAAA {address(prefix, pub)}")


if __name__ == "__main__":
    main()
