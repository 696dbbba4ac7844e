"""Traffic for the lab, run inside its devices: an echo server, and clients that name it.

    echo.py serve PORT                       echoes UDP and TCP
    echo.py udp|tcp NAME PORT                one exchange, timed from asking for the name
    echo.py bulk NAME PORT BYTES             sends so many through TCP and checks what comes back
    echo.py chat NAME PORT SECONDS RATE      UDP, RATE a second; how many came back
    echo.py flow NAME PORT [RATE]            TCP until SIGINT, RATE bytes a second, progress as lines
Results are JSON."""
import hashlib
import json
import random
import selectors
import signal
import socket
import sys
import threading
import time


def serve(port):
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.bind(("::", port))
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=64)
    threading.Thread(target=serve_datagrams, args=(datagrams,), daemon=True).start()
    print("listening", flush=True)
    while True:
        threading.Thread(target=serve_stream, args=listener.accept()[:1], daemon=True).start()


def serve_datagrams(s):
    while True:
        try:
            data, peer = s.recvfrom(65536)
            s.sendto(data, peer)
        except OSError:
            pass


def serve_stream(s):
    try:
        while data := s.recv(65536):
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    s.close()


def resolve(name, port, kind):
    """The address that the device's own resolver gives."""
    return socket.getaddrinfo(name, port, socket.AF_INET6, kind)[0][4]


def first_udp(name, port):
    asked = time.monotonic()
    address = resolve(name, port, socket.SOCK_DGRAM)
    resolved = time.monotonic()
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.settimeout(1)
    for sent in range(1, 31):
        s.sendto(b"first", address)
        try:
            s.recv(100)
        except socket.timeout:
            continue
        return {"asked": asked, "resolved_s": resolved - asked, "first_s": time.monotonic() - asked, "sent": sent}
    sys.exit("no echo")


def first_tcp(name, port):
    asked = time.monotonic()
    address = resolve(name, port, socket.SOCK_STREAM)
    resolved = time.monotonic()
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.settimeout(30)
    s.connect(address)
    s.sendall(b"f")
    if s.recv(1) != b"f":
        sys.exit("no echo")
    first = time.monotonic()
    s.shutdown(socket.SHUT_WR)
    s.recv(1)  # closed from both sides: nothing is sent again later
    return {"asked": asked, "resolved_s": resolved - asked, "first_s": first - asked, "sent": 1}


def bulk(name, port, size):
    data = random.Random(size).randbytes(size)
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.settimeout(45)
    s.connect(resolve(name, port, socket.SOCK_STREAM))
    begun = time.monotonic()
    sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    sender.start()
    digest, got = hashlib.sha256(), 0
    while part := s.recv(65536):
        digest.update(part)
        got += len(part)
    sender.join()
    whole = digest.digest() == hashlib.sha256(data).digest()
    return {"bytes": got, "whole": whole, "seconds": time.monotonic() - begun}


def chat(name, port, seconds, rate):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    address = resolve(name, port, socket.SOCK_DGRAM)
    s.setblocking(False)
    begun, sent, back, longest, last = time.monotonic(), 0, set(), 0.0, time.monotonic()
    while (now := time.monotonic()) < begun + seconds + 1:
        if now < begun + seconds and now >= begun + sent / rate:
            try:
                s.sendto(str(sent).encode(), address)
            except OSError:
                pass
            sent += 1
        try:
            back.add(int(s.recv(100)))
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        except OSError:
            time.sleep(0.002)
    return {"sent": sent, "back": len(back), "longest_pause_s": longest}


def flow(name, port, rate=200000):
    """Sends numbered bytes at a rate, checks that they come back in order, and says every 0.1 s how many did."""
    ending = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ending.set())
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.connect(resolve(name, port, socket.SOCK_STREAM))
    s.setblocking(False)
    pattern = bytes(range(251)) * 300  # a period that no power of two divides
    begun = said = last = time.monotonic()
    sent = got = 0
    pause, closing = 0.0, False
    watch = selectors.DefaultSelector()
    watch.register(s, selectors.EVENT_READ)
    while True:
        now = time.monotonic()
        if ending.is_set() and not closing:
            s.shutdown(socket.SHUT_WR)
            closing = True
        due = min(int((now - begun) * rate) - sent, 16384, 65536 - (sent - got))
        if due > 0 and not closing:
            try:
                sent += s.send(pattern[sent % 251:sent % 251 + due])
            except BlockingIOError:
                pass
        if watch.select(0.01):
            part = s.recv(65536)
            now = time.monotonic()
            pause, last = max(pause, now - last), now
            if part != pattern[got % 251:got % 251 + len(part)]:
                sys.exit(f"other bytes came back after {got}")
            got += len(part)
            if not part:
                break
        if now - said >= 0.1:
            print(json.dumps({"bytes": got, "pause": max(pause, now - last)}), flush=True)
            said, pause = now, 0.0
    print(json.dumps({"bytes": got, "pause": pause}), flush=True)
    sys.exit(0 if got == sent else f"{sent} bytes were sent, {got} came back")


VERBS = {"serve": (serve, int), "udp": (first_udp, str, int), "tcp": (first_tcp, str, int), "bulk": (bulk, str, int, int),
         "chat": (chat, str, int, float, float), "flow": (flow, str, int, int)}

if __name__ == "__main__":
    verb, *kinds = VERBS[sys.argv[1]]
    result = verb(*(kind(arg) for kind, arg in zip(kinds, sys.argv[2:])))
    if result:
        print(json.dumps(result))
