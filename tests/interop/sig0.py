"""SIG(0) with Ed25519 (RFC 2931, 8080), written apart from the server's, over the cryptography package."""
import base64
import struct
import time

import dns.message
import dns.name
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class Key:
    def __init__(self, name):
        self.name, self.private = dns.name.from_text(name), Ed25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes(*RAW)
        self.rdata = struct.pack(">HBB", 512, 3, 15) + self.public
        total = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(self.rdata))
        self.tag = (total + (total >> 16)) & 0xFFFF

    def text(self):
        return f"{self.name} 300 IN KEY 512 3 15 {base64.b64encode(self.public).decode()}"

    def sign(self, wire, inception=None, expiration=None, tag=None, signer=None, private=None):
        """The message with a SIG(0) record appended."""
        inception = int(time.time()) - 1 if inception is None else inception
        expiration = inception + 300 if expiration is None else expiration
        head = struct.pack(">HBBIIIH", 0, 15, 0, 0, expiration, inception, self.tag if tag is None else tag)
        head += (signer or self.name).canonicalize().to_wire()
        rdata = head + (private or self.private).sign(head + wire)
        record = b"\0" + struct.pack(">HHIH", 24, 255, 0, len(rdata)) + rdata
        arcount = struct.unpack(">H", wire[10:12])[0] + 1
        return wire[:10] + struct.pack(">H", arcount) + wire[12:] + record


def split(wire):
    """(message without its last record SIG(0), rdata of that record)."""
    at = wire.rindex(b"\0" + struct.pack(">HHI", 24, 255, 0))
    arcount = struct.unpack(">H", wire[10:12])[0] - 1
    return wire[:10] + struct.pack(">H", arcount) + wire[12:at], wire[at + 11:]


def parse(wire):
    """A message; dnspython does not read SIG records, so they are taken off first."""
    return dns.message.from_wire(split(wire)[0] if b"\0" + struct.pack(">HHI", 24, 255, 0) in wire else wire)


def reply_is_signed(reply, request, public):
    """Whether the reply carries a SIG(0) by the public key that covers the request."""
    body, rdata = split(reply)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(rdata[-64:], rdata[:-64] + request + body)
        return True
    except InvalidSignature:
        return False
