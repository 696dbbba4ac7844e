#!/usr/bin/python3
"""Damages a log's file, as disks and other programs do: damage.py FILE super|version|middle."""
import struct
import sys

BLOCK, MASK = 4096, (1 << 64) - 1


def rotate(x, b):
    return (x << b | x >> (64 - b)) & MASK


def siphash(data):
    """SipHash-2-4 with a key of zeros."""
    v = [0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[1], v[3] = rotate(v[1], 13) ^ v[0], rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & MASK
            v[0] = (v[0] + v[3]) & MASK
            v[1], v[3] = rotate(v[1], 17) ^ v[2], rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    tail = data[len(data) // 8 * 8:]
    words = [w for (w,) in struct.iter_unpack("<Q", data[:len(data) - len(tail)])]
    words.append(int.from_bytes(tail.ljust(7, b"\0") + bytes([len(data) & 255]), "little"))
    for w in words:
        v[3] ^= w
        rounds(2)
        v[0] ^= w
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def main(path, how):
    disk = bytearray(open(path, "rb").read())
    blocks = len(disk) // BLOCK
    if how == "super":
        for at in (0, BLOCK):
            disk[at + 100] ^= 1
    elif how == "version":
        for at in (0, BLOCK):
            body = disk[at + 8:at + BLOCK]
            if not any(body):
                continue  # the second one is written when the first is replaced
            assert struct.unpack(">Q", disk[at:at + 8])[0] == siphash(bytes(body))
            body[11] += 1
            disk[at + 8:at + BLOCK] = body
            disk[at:at + 8] = struct.pack(">Q", siphash(bytes(body)))
    elif how == "middle":
        journal = 2 + 2 * ((blocks - 2) // 8 * 3)
        disk[journal * BLOCK + 100] ^= 1
    open(path, "wb").write(disk)


main(*sys.argv[1:])
