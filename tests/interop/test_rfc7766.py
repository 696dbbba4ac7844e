"""RFC 7766 (TCP), RFC 7828 (keepalive)."""
import struct

import dns.edns
import dns.message

from rfc import answer


def query(name="www.rfc.example.", rdtype="A", **kw):
    return dns.message.make_query(name, rdtype, **kw)


def test_rfc7766_pipelined_queries_are_all_answered(rfc):
    with rfc.stream() as s:
        sent = {q.id: q for q in (query(f"n{i}.wild.rfc.example.", "TXT", id=1000 + i) for i in range(200))}
        s.write(b"".join(struct.pack(">H", len(w)) + w for w in (q.to_wire() for q in sent.values())))
        for _ in range(200):
            r = s.receive()
            assert sent.pop(r.id).is_response(r) and answer(r, "TXT")


def test_rfc7766_split_bytes(rfc):
    with rfc.stream() as s:
        wire = query().to_wire()
        for b in struct.pack(">H", len(wire)) + wire:
            s.write(bytes([b]))
        assert answer(s.receive(), "A")


def test_rfc7766_many_connections(rfc):
    streams = [rfc.stream() for _ in range(50)]
    for s in streams:
        s.send(query())
    for s in streams:
        assert answer(s.receive(), "A")
        s.s.close()


def test_rfc7766_half_message_then_close_is_harmless(rfc):
    for _ in range(20):
        with rfc.stream() as s:
            s.write(b"\0\x40half")
    assert answer(rfc.ask("www"), "A")


def test_rfc7766_a_stub_of_a_message_is_dropped_or_ends_the_connection(rfc):
    with rfc.stream() as s:
        s.send(b"\0" * 5)
        s.send(query())
        try:
            assert answer(s.receive(), "A")
        except (EOFError, ConnectionResetError):
            pass
    assert answer(rfc.ask("www"), "A")


def test_rfc7766_idle_connections_are_closed(rfc_any):
    """This one is configured to close after a second."""
    with rfc_any.stream() as s:
        s.send(query())
        assert answer(s.receive(), "A") and s.closes_within(6)


def test_rfc7828_keepalive_on_tcp_alone(rfc):
    option = dns.edns.GenericOption(11, b"")
    over_tcp = rfc.ask("www", tcp=True, options=[option])
    values = [o.data for o in over_tcp.options if int(o.otype) == 11]
    assert len(values) == 1 and len(values[0]) == 2
    assert not [o for o in rfc.ask("www", options=[option]).options if int(o.otype) == 11]
    assert not [o for o in rfc.ask("www", tcp=True, use_edns=0).options if int(o.otype) == 11]
