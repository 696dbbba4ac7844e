"""Update load for a signpost, from a client that keeps account of it.

    updates.py write SERVER ZONE KEY SECRET FIRST WINDOW    sends updates, numbered from FIRST, until its standard input is closed
    updates.py read SERVER                                  asks for the TXT records of the names on its standard input

write: update I makes "I" the only TXT of u<I modulo NAMES>.ZONE; every seventh has a prerequisite that does not hold, and asks for a name
that begins with n. One line for each that was answered: "yes I" or "no I WHY", and "gone I" for each that was not within two seconds: it may have been done, or not.
read: one line for each name, as often asked for as it takes: NAME RCODE TEXT."""
import os
import selectors
import socket
import struct
import sys
import time

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.tsigkeyring
import dns.update

PATIENCE = 2.0
REFUSED_EVERY = 7
NAMES = 500


def refused(i):
    return i % REFUSED_EVERY == 0


def name_of(i, zone):
    return f"{'n' if refused(i) else 'u'}{i % NAMES}.{zone}"


def update(i, zone, ring):
    u = dns.update.Update(zone, keyring=ring, keyname=next(iter(ring)), keyalgorithm="hmac-sha256")
    u.id = i & 0xffff
    if refused(i):
        u.present(f"nobody.{zone}.")
    u.replace(f"{name_of(i, zone)}.", 60, "TXT", f'"{i}"')
    u.use_edns(0)
    return u


def verdict(reply, ring, asked):
    """What a signed reply says; whoever sent a wrong one said nothing."""
    try:
        m = dns.message.from_wire(reply, keyring=ring, request_mac=asked.mac)
    except dns.exception.DNSException:
        return None
    if m.rcode() == dns.rcode.NOERROR:
        return "yes", ""
    why = [o.text or f"EDE-{int(o.code)}" for o in m.options if int(o.otype) == 15]
    return "no", " ".join([dns.rcode.to_text(m.rcode()), *why])


def query(i, name):
    q = dns.message.make_query(name, "TXT", use_edns=0, payload=1232)
    q.id = i & 0xffff
    return q.to_wire()


def connected(server):
    s = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((server, 53))
    s.setblocking(False)
    return s


def receive(s):
    """What has come; errors that an unreachable server's network reports are not answers."""
    while True:
        try:
            yield s.recv(65535)
        except BlockingIOError:
            return
        except OSError:
            continue


def send(s, data):
    try:
        s.send(data)
    except OSError:
        pass


def say(*words):
    print(*words, flush=True)


def write(server, zone, key, secret, first, window):
    ring, s, out, i, closing = dns.tsigkeyring.from_text({key: secret}), connected(server), {}, int(first), False
    selector = selectors.DefaultSelector()
    selector.register(s, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while out or not closing:
        while len(out) < int(window) and not closing:
            u = update(i, zone, ring)
            send(s, u.to_wire())
            out[u.id] = (i, time.monotonic(), u)
            i += 1
        for event, _ in selector.select(0.1):
            if event.fileobj is sys.stdin and os.read(0, 100) == b"":
                closing = True
                selector.unregister(sys.stdin)
        for reply in receive(s):
            ident = struct.unpack(">H", reply[:2])[0]
            said = ident in out and verdict(reply, ring, out[ident][2])
            if said:
                say(said[0], out.pop(ident)[0], said[1])
        for ident in [k for k, (_, at, _) in out.items() if time.monotonic() > at + PATIENCE]:
            say("gone", out.pop(ident)[0])


def read(server):
    names = sys.stdin.read().split()
    waiting, s, out = list(enumerate(names)), connected(server), {}
    selector = selectors.DefaultSelector()
    selector.register(s, selectors.EVENT_READ)
    waiting.reverse()
    while waiting or out:
        while waiting and len(out) < 32:
            i, name = waiting.pop()
            out[i & 0xffff] = (i, name, time.monotonic())
            send(s, query(i, name))
        selector.select(0.1)
        for reply in receive(s):
            m = dns.message.from_wire(reply)
            if m.id in out and m.question and m.question[0].name == dns.name.from_text(out[m.id][1]):
                texts = [b"".join(r.strings).decode() for rrset in m.answer for r in rrset if hasattr(r, "strings")]
                say(out.pop(m.id)[1], dns.rcode.to_text(m.rcode()), ",".join(texts) or "-")
        for k in [k for k, (_, _, at) in out.items() if time.monotonic() > at + PATIENCE]:
            i, name, _ = out.pop(k)
            waiting.append((i, name))


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
