"""Clients of DNS over TCP that no tool is: they send all at once, or a byte at a time, close too soon, read slowly or not at all.

    streams.py pipeline SERVER NAME COUNT        so many queries in one write; the answers, in whatever order
    streams.py bytes SERVER NAME                 a query, each byte in a segment of its own, then the end of what it sends
    streams.py many SERVER NAME COUNT            so many connections at once, a query on each
    streams.py slow SERVER ZONE KEY SECRET       a transfer, read in small pieces with pauses, through a small window
    streams.py stuck SERVER ZONE KEY SECRET      a transfer that is asked for and not read, until the server has enough
    streams.py across SERVER NAME FILE           a query, and another once there is such a file

SERVER is an address, or ADDRESS#PORT. Each prints one object of JSON. An exception is a failure."""
import json
import os
import select
import socket
import struct
import sys
import time

import dns.flags
import dns.message
import dns.rdatatype
import dns.tsigkeyring

PATIENCE = 30


class Stream:
    def __init__(self, server, window=None):
        self.s = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_STREAM)
        if window:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.settimeout(PATIENCE)
        address, _, port = server.partition("#")
        self.s.connect((address, int(port or 53)))

    def read(self, n, pause=0.0, piece=65536):
        data = b""
        while len(data) < n:
            part = self.s.recv(min(n - len(data), piece))
            if not part:
                raise EOFError(f"after {len(data)} of {n} bytes")
            data += part
            time.sleep(pause)
        return data

    def message(self, **how):
        return self.read(struct.unpack(">H", self.read(2))[0], **how)

    def at_end(self):
        return self.s.recv(1) == b""


def framed(*messages):
    return b"".join(struct.pack(">H", len(m)) + m for m in messages)


def query(name, number=1):
    q = dns.message.make_query(name, "SOA")
    q.id = number
    return q.to_wire()


def is_answer(wire):
    m = dns.message.from_wire(wire)
    return bool(m.flags & dns.flags.QR) and m.rcode() == 0 and len(m.answer) > 0 and not m.flags & dns.flags.TC


def pipeline(server, name, count):
    count, s = int(count), Stream(server)
    s.s.sendall(framed(*(query(name, i) for i in range(count))))
    replies = [s.message() for _ in range(count)]
    good = {struct.unpack(">H", r[:2])[0] for r in replies if is_answer(r)}
    return {"answers": len(good)}


def by_bytes(server, name):
    s = Stream(server)
    for byte in framed(query(name)):
        s.s.send(bytes([byte]))
    s.s.shutdown(socket.SHUT_WR)
    answers = int(is_answer(s.message()))
    s.s.settimeout(PATIENCE / 3)  # less than a server waits for one who says nothing
    return {"answers": answers, "end": s.at_end()}


def many(server, name, count):
    streams = [Stream(server) for _ in range(int(count))]
    for s in streams:
        s.s.sendall(framed(query(name)))
    return {"answers": sum(is_answer(s.message()) for s in streams)}


def transfer(s, zone, key, secret):
    q = dns.message.make_query(zone, "AXFR")
    q.use_tsig(dns.tsigkeyring.from_text({key: secret}), key, algorithm="hmac-sha256")
    s.s.sendall(framed(q.to_wire()))
    return q


def slow(server, zone, key, secret):
    s, soas, records, signed, begun = Stream(server, window=4096), 0, 0, None, time.monotonic()
    q = transfer(s, zone, key, secret)
    while soas < 2:
        m = dns.message.from_wire(s.message(piece=3000, pause=0.02), keyring=q.keyring, request_mac=q.mac, xfr=True, multi=True, tsig_ctx=signed,
                                  one_rr_per_rrset=True)
        signed = m.tsig_ctx
        soas += sum(r.rdtype == dns.rdatatype.SOA for r in m.answer)
        records += len(m.answer)
    return {"records": records - 1, "seconds": time.monotonic() - begun}


def stuck(server, zone, key, secret):
    s = Stream(server, window=4096)
    transfer(s, zone, key, secret)
    poll, begun = select.poll(), time.monotonic()
    poll.register(s.s, 0)  # errors and hang-ups alone
    events = poll.poll(PATIENCE * 1000)
    return {"reset": bool(events and events[0][1] & select.POLLERR), "seconds": time.monotonic() - begun}


def across(server, name, file):
    s, until = Stream(server), time.monotonic() + 300
    s.s.sendall(framed(query(name)))
    answers = int(is_answer(s.message()))
    print(json.dumps({"answers": answers}), flush=True)
    while not os.path.exists(file) and time.monotonic() < until:
        time.sleep(0.1)
    try:
        s.s.sendall(framed(query(name)))
        answers += is_answer(s.message())
    except (EOFError, ConnectionResetError):
        return {"answers": answers, "end": True}
    return {"answers": answers, "end": False}


if __name__ == "__main__":
    verbs = {"pipeline": pipeline, "bytes": by_bytes, "many": many, "slow": slow, "stuck": stuck, "across": across}
    print(json.dumps(verbs[sys.argv[1]](*sys.argv[2:])))
