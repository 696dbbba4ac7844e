"""RFC 4592 (wildcards), RFC 6672 (DNAME)."""
import dns.rcode

from rfc import answer


def test_rfc4592_wildcard_expands_under_the_asked_name(rfc):
    r = rfc.ask("any.thing.wild", "TXT")
    assert answer(r, "TXT") == ['"wild"'] and r.answer[0].name.to_text() == "any.thing.wild.rfc.example."
    r = rfc.ask("any.wild", "A")
    assert r.rcode() == dns.rcode.NOERROR and not r.answer


def test_rfc4592_empty_non_terminal_blocks_the_wildcard(rfc):
    assert answer(rfc.ask("q.w"), "A") == ["192.0.2.42"]
    assert rfc.ask("z.y.w").rcode() == dns.rcode.NXDOMAIN
    r = rfc.ask("y.w")
    assert r.rcode() == dns.rcode.NOERROR and not r.answer


def test_rfc4592_empty_non_terminal_exists(rfc):
    for name in ("ent", "b.ent"):
        r = rfc.ask(name)
        assert r.rcode() == dns.rcode.NOERROR and not r.answer


def test_rfc4592_the_wildcard_can_be_asked_for(rfc):
    assert answer(rfc.ask("*.wild", "TXT"), "TXT") == ['"wild"']


def test_rfc6672_dname_synthesises_a_cname(rfc):
    r = rfc.ask("host.d")
    assert answer(r, "DNAME") == ["target.rfc.example."] and answer(r, "CNAME") == ["host.target.rfc.example."]
    assert answer(r, "A") == ["192.0.2.4"]


def test_rfc6672_dname_owner_itself_is_not_redirected(rfc):
    r = rfc.ask("d", "A")
    assert r.rcode() == dns.rcode.NOERROR and not r.answer
    assert answer(rfc.ask("d", "DNAME"), "DNAME") == ["target.rfc.example."]


def test_rfc6672_dname_loop_ends(rfc):
    r = rfc.ask("x.dl1")
    assert len(r.answer) <= 40 and not answer(r, "A")


def test_rfc6672_overlong_result_is_yxdomain(rfc):
    r = rfc.ask("y" * 50 + ".long")
    assert r.rcode() == dns.rcode.YXDOMAIN and answer(r, "DNAME") and not answer(r, "CNAME")
