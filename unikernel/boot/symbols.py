#!/usr/bin/env python3
"""Writes the table that crash reports name functions from: symbols.py NM IMAGE OUTPUT.c. Its format is in unikernel/lib/symbols.c.

The image is linked twice: without the table, to make it, and with it. The table lies behind the text, which therefore stays
where it is."""
import collections
import re
import subprocess
import sys

KEEP_MAX = 255
TOKENS = range(128, 256)  # bytes that no name has: each stands for a pair of bytes or of tokens
MARKS = ("image_start", "rodata_start")  # of the linker script, where something else starts too


def distance(n):
    """Seven bits a byte, low ones first."""
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def functions(nm, image):
    """Addresses and names, one name an address: of several a global one."""
    best = {}
    start = end = None
    for line in subprocess.run([nm, image], check=True, capture_output=True, text=True).stdout.splitlines():
        address, kind, name = line.split() if line[0] != " " else (None, None, None)
        if name == "text_start":
            start = int(address, 16)
        elif name == "text_end":
            end = int(address, 16)
        elif kind in ("t", "T", "W") and name not in MARKS:
            name = re.sub(r"\.(part|isra|constprop|cold)\b.*", "", name)
            rank = (kind == "t", name)
            at = int(address, 16)
            best[at] = min(best.get(at, rank), rank)
    return start, [(at, best[at][1]) for at in sorted(best) if start <= at < end]


def endings(names):
    """How much of the name before each name keeps, and what follows."""
    before = b""
    for name in names:
        keep = 0
        while keep < min(len(name), len(before), KEEP_MAX) and name[keep] == before[keep]:
            keep += 1
        yield keep, name[keep:]
        before = name


def shorten(texts):
    """Replaces the pair that is most frequent by a token, over and over. The pairs, and the texts."""
    pairs = []
    for token in TOKENS:
        found = collections.Counter(text[i : i + 2] for text in texts for i in range(len(text) - 1))
        pair, n = min(found.items(), key=lambda item: (-item[1], item[0]), default=(b"", 0))
        if n < 4:
            break
        pairs.append(pair)
        texts = [text.replace(pair, bytes([token])) for text in texts]
    return pairs, texts


def main():
    nm, image, output = sys.argv[1:]
    start, rows = functions(nm, image)
    kept = list(endings([name.encode("ascii") for _, name in rows]))
    pairs, texts = shorten([text for _, text in kept])
    table, before = bytearray([len(pairs)]) + b"".join(pairs), start - 1
    for (at, _), (keep, _), text in zip(rows, kept, texts):
        table += distance(at - before) + bytes([keep]) + text + b"\0"
        before = at
    table.append(0)
    with open(output, "w", encoding="ascii") as out:
        out.write('/* Made by symbols.py. */\n#include <stdint.h>\nextern const uint8_t spx_symbols[];\n')
        out.write('__attribute__((section(".symbols"))) const uint8_t spx_symbols[] = {%s};\n' % ",".join(map(str, table)))


main()
