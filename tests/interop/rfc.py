"""A running signpost with a zone that has something for every RFC, and the means to ask it with exact bytes."""
import base64
import pathlib
import socket
import struct
import time

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

ZONE = "rfc.example."
TSIG_NAME, TSIG_SECRET = "writer.keys.", base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
NARROW_NAME, NARROW_SECRET = "narrow.keys.", base64.b64encode(b"another secret, of 32 bytes too!").decode()

ZONE_TEXT = """\
$ORIGIN rfc.example.
$TTL 300
@ IN SOA ns hostmaster 1 3600 900 86400 60
@ IN NS ns
ns IN A 192.0.2.53
ns IN AAAA 2001:db8::53
www IN A 192.0.2.1
www 200 IN A 192.0.2.2
www IN AAAA 2001:db8::1
alias IN CNAME www
chain IN CNAME alias
loop1 IN CNAME loop2
loop2 IN CNAME loop1
out IN CNAME host.elsewhere.test.
mail IN MX 10 mx
mx IN A 192.0.2.25
_sip._udp IN SRV 1 2 5060 www
*.wild IN TXT "wild"
*.w IN A 192.0.2.42
x.y.w IN A 192.0.2.43
a.b.ent IN A 192.0.2.3
sub IN NS ns.sub
ns.sub IN A 192.0.2.100
secure IN NS ns.secure
secure IN DS 12345 15 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.secure IN A 192.0.2.101
d IN DNAME target
host.target IN A 192.0.2.4
dl1 IN DNAME dl2
dl2 IN DNAME dl1
long IN DNAME {long}
svc IN HTTPS 1 . alpn=h2,h3 port=8443
unknown IN TYPE65300 \\# 4 01020304
""".format(long=".".join("l" * 60 for _ in range(4))[:220]) + "".join(f'big IN TXT "{i:03} {"x" * 200}"\n' for i in range(20))


def free_port():
    """A port free for UDP and TCP on every loopback address."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as t, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
            t.bind(("127.0.0.1", 0))
            try:
                u.bind(("127.0.0.1", t.getsockname()[1]))
                return t.getsockname()[1]
            except OSError:
                pass


class Rfc:
    """Asks one signpost; `signpost` has address, port, ctl()."""

    def __init__(self, signpost):
        self.signpost, self.address, self.port = signpost, signpost.address, signpost.port

    def ask(self, name, rdtype="A", tcp=False, want_dnssec=False, use_edns=None, payload=1232, options=None, flags=0, ednsflags=0,
            where=None, **make):
        if not name.endswith("."):
            name += "." + ZONE
        if use_edns is None:
            use_edns = 0 if want_dnssec or options or ednsflags else -1
        q = dns.message.make_query(name, rdtype, use_edns=use_edns, want_dnssec=want_dnssec, payload=payload, options=options,
                                   ednsflags=ednsflags | (dns.flags.DO if want_dnssec else 0), flags=flags, **make)
        send = dns.query.tcp if tcp else dns.query.udp
        return send(q, where or self.address, port=self.port, timeout=3)

    def raw(self, data, timeout=1.0):
        """The reply to one datagram, or None."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(timeout)
            s.connect((self.address, self.port))
            s.send(data)
            try:
                return s.recv(65535)
            except TimeoutError:
                return None

    def stream(self):
        return Stream(self.address, self.port)

    def send(self, message, tcp=False, **kw):
        return (dns.query.tcp if tcp else dns.query.udp)(message, self.address, port=self.port, timeout=3, **kw)

    def serial(self):
        return self.ask("rfc.example.", "SOA").answer[0][0].serial


class Stream:
    """A TCP connection that speaks DNS's two-byte framing, byte by byte if need be."""

    def __init__(self, address, port):
        self.s = socket.create_connection((address, port), timeout=5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def write(self, data):
        self.s.sendall(data)

    def send(self, message):
        wire = message if isinstance(message, bytes) else message.to_wire()
        self.write(struct.pack(">H", len(wire)) + wire)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return data

    def receive_bytes(self):
        return self.exactly(struct.unpack(">H", self.exactly(2))[0])

    def receive(self):
        return dns.message.from_wire(self.receive_bytes())

    def closes_within(self, seconds):
        """Whether the server closes before the time is over; nothing may be unread."""
        self.s.settimeout(seconds)
        try:
            return self.s.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True


def ede_of(message):
    """Info codes of the extended errors of a reply."""
    return [struct.unpack(">H", o.data[:2])[0] if hasattr(o, "data") else int(o.code) for o in message.options if int(o.otype) == 15]


def answer(message, rdtype):
    """Texts of the records of a type in the answer section."""
    wanted = dns.rdatatype.from_text(rdtype)
    return sorted(r.to_text() for s in message.answer if s.rdtype == wanted for r in s)


def authority(message, rdtype):
    wanted = dns.rdatatype.from_text(rdtype)
    return [s for s in message.authority if s.rdtype == wanted]


def write_keys(directory):
    """Files of the two TSIG keys as tsig-keygen prints them."""
    paths = []
    for name, secret in ((TSIG_NAME, TSIG_SECRET), (NARROW_NAME, NARROW_SECRET)):
        path = pathlib.Path(directory) / (name + "key")
        path.write_text(f'key "{name}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
        path.chmod(0o600)
        paths.append(path)
    return paths


def await_true(check, seconds=5.0):
    until = time.monotonic() + seconds
    while not check():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
