"""RFC 2181: RRsets, and where replies come from."""
import socket

import dns.message

from rfc import answer


def test_rfc2181_one_ttl_for_an_rrset(rfc):
    """5.2: www's addresses were given as 300 and 200 seconds."""
    assert rfc.ask("www").answer[0].ttl == 200


def test_rfc2181_reply_comes_from_the_queried_address(rfc_any):
    """4.1: a server on the wildcard address answers from the address that was asked."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.7"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.settimeout(3)
            s.sendto(dns.message.make_query("www.rfc.example.", "A").to_wire(), (address, rfc_any.port))
            data, source = s.recvfrom(4096)
            assert source[:2] == (address, rfc_any.port)
            assert answer(dns.message.from_wire(data), "A")
