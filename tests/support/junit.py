"""Prints a JUnit file as lines OUTCOME<tab>NAME<tab>REASON: junit.py FILE PREFIX. Fails when it holds no case."""
import sys
import xml.etree.ElementTree as ElementTree


def main():
    path, prefix = sys.argv[1:3]
    cases = list(ElementTree.parse(path).iter("testcase"))
    for case in cases:
        name = " ".join(filter(None, [prefix, case.get("classname"), case.get("name")]))
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            print("fail", name, "", sep="\t")
        elif skipped is not None:
            print("skip", name, (skipped.get("message") or "no reason given").replace("\n", " "), sep="\t")
        else:
            print("pass", name, "", sep="\t")
    return 0 if cases else 1


sys.exit(main())
