"""A name server for tests of resolvers: fakedns.py ADDRESS RECORDS LOG. RECORDS is a JSON object from "name type" to texts of rdata; what
is not in it does not exist. Names that begin with "big." are cut short over UDP; with "cut." too, and over TCP there is no answer. Each question is a line "udp|tcp name type" of LOG."""
import json
import pathlib
import socket
import struct
import sys
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


def reply(wire, records, log, over):
    query = dns.message.from_wire(wire)
    name, kind = str(query.question[0].name).lower(), dns.rdatatype.to_text(query.question[0].rdtype)
    with open(log, "a") as f:
        f.write(f"{over} {name} {kind}\n")
    answer = dns.message.make_response(query, recursion_available=True)
    texts = json.loads(pathlib.Path(records).read_text()).get(f"{name} {kind}")
    if texts is None:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    elif over == "udp" and name.startswith(("big.", "cut.")):
        answer.flags |= dns.flags.TC
    else:
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, *texts))
    return answer.to_wire()


def serve_udp(s, records, log):
    while True:
        wire, peer = s.recvfrom(4096)
        s.sendto(reply(wire, records, log, "udp"), peer)


def serve_tcp(s, records, log):
    while True:
        c, _ = s.accept()
        with c:
            head = c.recv(2, socket.MSG_WAITALL)
            if len(head) == 2:
                wire = reply(c.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL), records, log, "tcp")
                if b"\3cut" not in wire:
                    c.sendall(struct.pack(">H", len(wire)) + wire)


def main(address, records, log):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp.bind((address, 53))
    tcp.bind((address, 53))
    tcp.listen()
    threading.Thread(target=serve_tcp, args=(tcp, records, log), daemon=True).start()
    print("ready", flush=True)
    serve_udp(udp, records, log)


if __name__ == "__main__":
    main(*sys.argv[1:])
