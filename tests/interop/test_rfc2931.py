"""RFC 2931, 8080: SIG(0) with Ed25519, against an implementation of its own."""
import time

import dns.message
import dns.rcode
import dns.update
import pytest

import sig0
from rfc import ZONE, answer, ede_of

NAME = "device.rfc.example."


@pytest.fixture(scope="module")
def key(rfc):
    key = sig0.Key(NAME)
    rfc.signpost.import_text(ZONE, key.text() + "\n")
    return key


def message(text, name=NAME, edns=True):
    u = dns.update.UpdateMessage(ZONE)
    u.replace(dns.name.from_text(name), 60, "TXT", text)
    if edns:
        u.use_edns(0)
    return u.to_wire()


def verdict(rfc, wire):
    reply = rfc.raw(wire, timeout=3)
    return sig0.parse(reply), reply


def there(rfc, text, name=NAME):
    return answer(rfc.ask(name, "TXT"), "TXT") == [f'"{text}"']


def refused(rfc, wire, text, name=NAME):
    r, _ = verdict(rfc, wire)
    return r.rcode() in (dns.rcode.REFUSED, dns.rcode.NOTAUTH) and bool(ede_of(r)) and not there(rfc, text, name)


def test_rfc2931_accepted_and_the_answer_is_signed(rfc, key):
    request = key.sign(message("good"))
    r, reply = verdict(rfc, request)
    assert r.rcode() == dns.rcode.NOERROR and there(rfc, "good")
    signpost = rfc.ask("signpost", "KEY").answer[0][0].to_digestable()[4:]
    assert sig0.reply_is_signed(reply, request, signpost)
    assert not sig0.reply_is_signed(reply, request[:-1] + bytes([request[-1] ^ 1]), signpost)


def test_rfc2931_over_tcp(rfc, key):
    with rfc.stream() as s:
        s.send(key.sign(message("over-tcp")))
        assert sig0.parse(s.receive_bytes()).rcode() == dns.rcode.NOERROR
    assert there(rfc, "over-tcp")


def test_rfc3007_a_device_writes_below_its_name_and_nowhere_else(rfc, key):
    below = "printer." + NAME
    assert verdict(rfc, key.sign(message("below", below)))[0].rcode() == dns.rcode.NOERROR and there(rfc, "below", below)
    for name in ("other.rfc.example.", ZONE, "xdevice.rfc.example."):
        assert refused(rfc, key.sign(message("aside", name)), "aside", name)


def test_rfc2931_altered_byte(rfc, key):
    wire = bytearray(key.sign(message("altered")))
    wire[wire.index(b"altered")] ^= 1
    assert refused(rfc, bytes(wire), "\x60ltered")


def test_rfc2931_wrong_key(rfc, key):
    stranger = sig0.Key(NAME)
    assert refused(rfc, stranger.sign(message("wrong-tag")), "wrong-tag")
    assert refused(rfc, stranger.sign(message("wrong-key"), tag=key.tag), "wrong-key")


def test_rfc2931_time_window(rfc, key):
    now = int(time.time())
    assert refused(rfc, key.sign(message("expired"), inception=now - 1000, expiration=now - 500), "expired")
    assert refused(rfc, key.sign(message("future"), inception=now + 1000, expiration=now + 2000), "future")


def test_rfc2931_replay(rfc, key):
    first = key.sign(message("first"))
    assert verdict(rfc, first)[0].rcode() == dns.rcode.NOERROR
    second = key.sign(message("second"), inception=int(time.time()))
    assert verdict(rfc, second)[0].rcode() == dns.rcode.NOERROR and there(rfc, "second")
    verdict(rfc, first)
    assert there(rfc, "second"), "an old message must not take effect again"


def test_rfc2931_sig_must_be_last(rfc, key):
    """A record behind the signature is not covered by it."""
    wire = key.sign(message("last"))
    extra = b"\0" + b"\0\x10\0\x01\0\0\0\0\0\2\1x"
    wire = wire[:10] + bytes([wire[10], wire[11] + 1]) + wire[12:] + extra
    r, _ = verdict(rfc, wire)
    assert r.rcode() in (dns.rcode.FORMERR, dns.rcode.REFUSED) and not there(rfc, "last")


def test_rfc2931_identity_cannot_be_written(rfc, key):
    u = dns.update.UpdateMessage(ZONE)
    other = sig0.Key(NAME).rdata
    u.add(dns.name.from_text(NAME), 60, "KEY", rf"\# {len(other)} {other.hex()}")
    u.use_edns(0)
    assert verdict(rfc, key.sign(u.to_wire()))[0].rcode() == dns.rcode.REFUSED
    assert len(answer(rfc.ask(NAME, "KEY"), "KEY")) == 1
