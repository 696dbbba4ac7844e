#!/usr/bin/python3
"""Queries and signed updates, on and on, for guests that are saved, destroyed or starved meanwhile.

load.py run PORT ZONE KEYFILE DIR     adds names until DIR/stop exists; DIR/acked has a name a line, as acknowledged;
                                      DIR/answers the number of queries answered
load.py check PORT ZONE DIR           every acknowledged name is there
load.py update PORT ZONE KEYFILE NAME one update, with EDNS: prints the rcode, and the extended error if there is one
load.py fill PORT ZONE KEYFILE        adds large records until they are refused, and prints as update does
load.py press PORT ZONE KEYFILE       adds names until one is refused, waiting for each as long as it takes
load.py gone PORT ZONE KEYFILE NAME   removes a name, and prints as update does
load.py cookies PORT ZONE EPOCH       server cookies for one client's, in the guest's two seconds from EPOCH on, which it waits for:
                                      second and hash of each; before that, "ready"
"""
import concurrent.futures
import os
import re
import sys
import threading
import time

import dns.edns
import dns.message
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update

HOST = "127.0.0.1"


def read_key(path):
    text = open(path).read()
    name, algorithm, secret = (re.search(p, text).group(1) for p in (r'key "([^"]+)"', r"algorithm ([^;]+);", r'secret "([^"]+)"'))
    return dns.tsigkeyring.from_text({name: (algorithm, secret)}), name, algorithm


def make(zone, key, name):
    ring, key_name, algorithm = key
    u = dns.update.Update(zone, keyring=ring, keyname=key_name, keyalgorithm=algorithm)
    u.add(name, 300, "A", "192.0.2.1")
    u.use_edns(0, payload=1232)
    return u


def ask(port, message, timeout=1.0):
    try:
        return dns.query.udp(message, HOST, port=port, timeout=timeout, ignore_unexpected=True)
    except Exception:  # lost, or of a guest that is not there; nothing of it counts
        return None


def until(stop):
    while not os.path.exists(stop):
        yield


def add_names(port, zone, key, folder, thread, file, lock):
    for i, _ in enumerate(until(f"{folder}/stop")):
        name = f"n{thread}-{i}"
        reply = ask(port, make(zone, key, name))
        if reply is not None and reply.rcode() == dns.rcode.NOERROR:
            with lock:
                file.write(name + "\n")
                file.flush()
        time.sleep(0.05)


def ask_on(port, zone, folder, count):
    for _ in until(f"{folder}/stop"):
        if ask(port, dns.message.make_query(zone, "SOA")) is None:
            continue
        count[0] += 1
        with open(f"{folder}/answers.new", "w") as f:
            f.write(str(count[0]))
        os.rename(f"{folder}/answers.new", f"{folder}/answers")
        time.sleep(0.02)


def run(port, zone, keyfile, folder):
    key, lock, count = read_key(keyfile), threading.Lock(), [0]
    with open(f"{folder}/acked", "a") as file:
        threads = [threading.Thread(target=add_names, args=(port, zone, key, folder, t, file, lock)) for t in range(4)]
        threads.append(threading.Thread(target=ask_on, args=(port, zone, folder, count)))
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def press(port, zone, keyfile):
    key = read_key(keyfile)
    for i in range(100000):
        reply = None
        while reply is None:
            reply = ask(port, make(zone, key, f"p{i}"), 2.0)
        print(dns.rcode.to_text(reply.rcode()), flush=True)
        if reply.rcode() != dns.rcode.NOERROR:
            return 0
    return 1


def has(port, name):
    for _ in range(10):
        reply = ask(port, dns.message.make_query(name, "A"), 2.0)
        if reply is not None and reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return len(reply.answer) == 1
    return False


def check(port, zone, folder):
    names = open(f"{folder}/acked").read().split()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        there = list(pool.map(lambda n: has(port, f"{n}.{zone}"), names))
    missing = [n for n, t in zip(names, there) if not t]
    print(f"{len(names)} acknowledged, missing: {missing}")
    return 0 if names and not missing else 1


def say(port, make_message):
    reply = None
    for _ in range(30):
        reply = reply or ask(port, make_message(), 2.0)
    if reply is None:
        print("no answer")
        return None
    text = [o.to_text() for o in reply.options if o.otype == dns.edns.OptionType.EDE]
    print(dns.rcode.to_text(reply.rcode()), *text, flush=True)
    return reply.rcode()


def update(port, zone, keyfile, name):
    key = read_key(keyfile)
    return 1 if say(port, lambda: make(zone, key, name)) is None else 0


def gone(port, zone, keyfile, name):
    def make_message():
        u = make(zone, key, name)
        u.update.clear()
        u.delete(name)
        return u

    key = read_key(keyfile)
    return 1 if say(port, make_message) is None else 0


def fill(port, zone, keyfile):
    def make_message():
        u = make(zone, key, f"f{i}")
        u.add(f"f{i}", 300, "TXT", " ".join(['"' + "x" * 250 + '"'] * 4))
        return u

    key = read_key(keyfile)
    for i in range(10000):
        if say(port, make_message) != dns.rcode.NOERROR:
            return 0
    return 1


def cookies(port, zone, epoch):
    epoch, seen, ready = int(epoch), set(), False
    end = time.monotonic() + 60
    while time.monotonic() < end:
        q = dns.message.make_query(zone, "SOA", use_edns=0, options=[dns.edns.GenericOption(10, bytes(range(8)))])
        reply = ask(port, q)
        found = [o.data for o in reply.options if o.otype == 10] if reply is not None else []
        second = int.from_bytes(found[0][12:16], "big") if found else 0
        if found and not ready:
            ready = True
            print("ready", flush=True)
        if epoch <= second < epoch + 2:
            seen.add(f"{second} {found[0][16:24].hex()}")
        elif seen and second >= epoch + 2:
            print(*sorted(seen), sep="\n")
            return 0
        time.sleep(0.1)
    return 1


if __name__ == "__main__":
    verb, port, *rest = sys.argv[1:]
    sys.exit({"run": run, "check": check, "update": update, "gone": gone, "fill": fill, "press": press, "cookies": cookies}[verb](int(port), *rest))
