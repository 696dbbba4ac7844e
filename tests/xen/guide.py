"""The operator's guide as steps to run: guide.py steps GUIDE DIR, guide.py value GUIDE WORDS, guide.py match EXPECTED ACTUAL;
and guide.py away FILE ADDRESS ZONE, which asks for ZONE's SOA until FILE, which it makes at the first answer, is gone, and prints the
longest time in seconds without an answer.

A step is a line of a fenced block that begins with "host# " or "desk$ ", with the lines that its here-document or a backslash at its
end adds; the lines below it are what it prints. In those, "..." stands for any text, alone on a line for any number of lines. A fenced
block that is none of this is refused: nothing in the guide is left unrun."""
import pathlib
import re
import socket
import sys
import time

PROMPT = re.compile(r"(host|desk)[#$] (.*)")


def blocks(text):
    """(heading, line number, lines) of each fenced block."""
    heading, block, start = "", None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            if block is None:
                block, start = [], number
            else:
                yield heading, start, block
                block = None
        elif block is not None:
            block.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    if block is not None:
        sys.exit(f"line {start}: this block has no end")


def steps(text):
    """(heading, line number, where, command, expected lines) of each step."""
    found = []
    for heading, number, block in blocks(text):
        end = None  # of the here-document
        begun = len(found)
        for offset, line in enumerate(block, 1):
            prompt = PROMPT.match(line)
            if end is not None:
                found[-1][3].append(line)
                end = None if line == end else end
            elif prompt:
                found.append((heading, number + offset, prompt[1], [prompt[2]], []))
                here = re.search(r"<<'?(\w+)'?", prompt[2])
                end = here[1] if here else None
            elif len(found) == begun:
                sys.exit(f"line {number + offset}: a block that begins with neither host# nor desk$: {line}")
            elif not found[-1][4] and found[-1][3][-1].endswith("\\"):
                found[-1][3].append(line)
            else:
                found[-1][4].append(line)
        if end is not None:
            sys.exit(f"line {number}: the here-document up to {end} has no end")
    return found


def squeezed(line):
    return re.sub(r"\s+", " ", line).strip()


def pattern(expected):
    """A regular expression for the whole output, a line for each line."""
    parts = []
    for line in map(squeezed, expected):
        parts.append("(?:.*\n)*?" if line == "..." else ".*".join(re.escape(part) for part in line.split("...")) + "\n")
    return re.compile("".join(parts))


def away(file, address, zone):
    question = bytes([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + b"".join(bytes([len(label)]) + label.encode() for label in zone.split("."))
    question += bytes([0, 0, 6, 0, 1])
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(0.05)
    last, longest = None, 0.0
    while last is None or file.exists():
        asker.sendto(question, (address, 53))
        try:
            if asker.recv(2000)[3] & 15 != 0:
                continue  # it is not so far yet
        except OSError:
            continue
        if last is None:
            file.touch()
        else:
            longest = max(longest, time.monotonic() - last)
        last = time.monotonic()
        time.sleep(0.02)
    print(f"{longest:.2f}")


def main(verb, guide, *args):
    if verb == "away":
        return away(pathlib.Path(guide), *args)
    text = pathlib.Path(guide).read_text()
    if verb == "steps":
        out = pathlib.Path(args[0])
        for n, (heading, line, where, command, expected) in enumerate(steps(text)):
            (out / f"{n}.command").write_text("\n".join(command) + "\n")
            (out / f"{n}.expected").write_text("".join(f"{e}\n" for e in expected))
            print(n, line, where, heading, sep="\t")
    elif verb == "value":
        found = re.search(rf"^\| `([^`]+)` \| {re.escape(args[0])}", text, re.M)
        print(found[1] if found else sys.exit(f"no value for: {args[0]}"))
    elif verb == "match":
        actual = pathlib.Path(args[0]).read_text(errors="replace")
        actual = "".join(squeezed(line) + "\n" for line in actual.splitlines())
        expected = text.splitlines()
        while expected and not expected[-1].strip():
            expected.pop()
        sys.exit(0 if not expected or pattern(expected).fullmatch(actual) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
