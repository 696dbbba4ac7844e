/* Compact denial. RFC 9824. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] =
    "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.1\n"
    "www A 192.0.2.2\nwww AAAA 2001:db8::1\nwww CAA 0 issue \"ca.test\"\n*.wild TXT \"wild\"\na.b.ent A 192.0.2.4\n"
    "broken CNAME nobody\nsub NS ns.sub\nns.sub A 192.0.2.100\nsub A 192.0.2.101\n";

#define SOA "ns example. 60 SOA ns.example. hostmaster.example. 1 3600 900 86400 60\nns example. 60 RRSIG SOA ok\n"
#define OPT "ar OPT 0 do 1232\n"

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static const char *ask_do(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type, .dnssec = true});
}

static void rfc9824_nonexistent_name(void **state) {
    assert_string_equal(ask_do("nobody.example.", "A"),
                        "NOERROR aa\n" SOA "ns nobody.example. 60 NSEC \\000.nobody.example. RRSIG NSEC NXNAME\n"
                        "ns nobody.example. 60 RRSIG NSEC ok\n" OPT);
    assert_string_equal(ask_do("x.www.example.", "A"),
                        "NOERROR aa\n" SOA "ns x.www.example. 60 NSEC \\000.x.www.example. RRSIG NSEC NXNAME\n"
                        "ns x.www.example. 60 RRSIG NSEC ok\n" OPT);
}

static void rfc9824_co_brings_nxdomain_back(void **state) {
    struct sp_test_q q = {.name = "nobody.example.", .type = "A", .dnssec = true, .compact_ok = true};
    assert_string_equal(sp_test_ask(w, q),
                        "NXDOMAIN aa\n" SOA "ns nobody.example. 60 NSEC \\000.nobody.example. RRSIG NSEC NXNAME\n"
                        "ns nobody.example. 60 RRSIG NSEC ok\nar OPT 0 do co 1232\n");
    q.name = "ent.example.";
    assert_starts(sp_test_ask(w, q), "NOERROR aa\n");
}

static void rfc9824_without_do_it_is_plain(void **state) {
    assert_string_equal(ask("nobody.example.", "A"),
                        "NXDOMAIN aa\nns example. 60 SOA ns.example. hostmaster.example. 1 3600 900 86400 60\n");
}

static void rfc9824_nodata(void **state) {
    assert_string_equal(ask_do("www.example.", "MX"),
                        "NOERROR aa\n" SOA "ns www.example. 60 NSEC \\000.www.example. A AAAA RRSIG NSEC CAA\n"
                        "ns www.example. 60 RRSIG NSEC ok\n" OPT);
    assert_string_equal(ask_do("example.", "MX"),
                        "NOERROR aa\n" SOA "ns example. 60 NSEC \\000.example. NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY\n"
                        "ns example. 60 RRSIG NSEC ok\n" OPT);
}

static void rfc9824_empty_non_terminal(void **state) {
    assert_string_equal(
        ask_do("ent.example.", "A"),
        "NOERROR aa\n" SOA
        "ns ent.example. 60 NSEC \\000.ent.example. RRSIG NSEC\nns ent.example. 60 RRSIG NSEC ok\n" OPT);
}

static void rfc9824_wildcard_nodata(void **state) {
    assert_string_equal(ask_do("any.wild.example.", "A"),
                        "NOERROR aa\n" SOA "ns any.wild.example. 60 NSEC \\000.any.wild.example. TXT RRSIG NSEC\n"
                        "ns any.wild.example. 60 RRSIG NSEC ok\n" OPT);
}

static void rfc9824_unsigned_delegation(void **state) {
    assert_string_equal(ask_do("x.sub.example.", "A"),
                        "NOERROR\nns sub.example. 300 NS ns.sub.example.\n"
                        "ns sub.example. 60 NSEC \\000.sub.example. NS RRSIG NSEC\nns sub.example. 60 RRSIG NSEC ok\n"
                        "ar ns.sub.example. 300 A 192.0.2.100\n" OPT);
    assert_string_equal(ask_do("sub.example.", "DS"),
                        "NOERROR aa\n" SOA "ns sub.example. 60 NSEC \\000.sub.example. NS RRSIG NSEC\n"
                        "ns sub.example. 60 RRSIG NSEC ok\n" OPT);
}

static void rfc9824_alias_to_nothing(void **state) {
    assert_string_equal(
        ask_do("broken.example.", "A"),
        "NOERROR aa\nan broken.example. 300 CNAME nobody.example.\nan broken.example. 300 RRSIG CNAME ok\n" SOA
        "ns nobody.example. 60 NSEC \\000.nobody.example. RRSIG NSEC NXNAME\nns nobody.example. 60 RRSIG NSEC "
        "ok\n" OPT);
}

static void rfc9824_nxname_is_no_question(void **state) {
    assert_string_equal(ask_do("www.example.", "TYPE128"), "FORMERR\nar OPT 0 do 1232 15:001e\n");
    assert_string_equal(ask("nobody.example.", "TYPE128"), "FORMERR\n");
}

static void rfc9824_nsec_asked_for_is_an_answer(void **state) {
    assert_string_equal(ask_do("www.example.", "NSEC"),
                        "NOERROR aa\nan www.example. 60 NSEC \\000.www.example. A AAAA RRSIG NSEC CAA\n"
                        "an www.example. 60 RRSIG NSEC ok\n" OPT);
    assert_string_equal(ask_do("nobody.example.", "NSEC"),
                        "NOERROR aa\nan nobody.example. 60 NSEC \\000.nobody.example. RRSIG NSEC NXNAME\n"
                        "an nobody.example. 60 RRSIG NSEC ok\n" OPT);
}

static void rfc9824_a_denial_does_not_deny_its_own_signature(void **state) {
    assert_string_equal(ask_do("nobody.example.", "RRSIG"),
                        "NOERROR aa\nan nobody.example. 60 RRSIG NSEC bad\n" OPT); /* alone it cannot verify */
    assert_string_equal(ask_do("ent.example.", "RRSIG"), "NOERROR aa\nan ent.example. 60 RRSIG NSEC bad\n" OPT);
}

static void rfc9824_denial_follows_the_types(void **state) {
    struct sp_name apex = sp_test_name("example."), owner = sp_test_name("www.example.");
    struct sp_zone *z = sp_zones_get(w->zones, &apex);
    struct sp_txn *t;
    uint8_t buf[100];
    struct sp_rrs txt = sp_test_rrs("TXT", 300, "\"new\"", buf, sizeof buf);
    ask_do("www.example.", "MX");
    uint64_t made = w->scratch->counts.signatures_made;
    ask_do("www.example.", "MX");
    assert_int_equal(w->scratch->counts.signatures_made, made); /* kept */
    assert_int_equal(sp_txn_begin(&t, z), SP_OK);
    assert_int_equal(sp_txn_put(t, &owner, &txt), SP_OK);
    assert_non_null(strstr(ask_do("www.example.", "MX"),
                           "NSEC \\000.www.example. A TXT AAAA RRSIG NSEC CAA\nns www.example. 60 RRSIG NSEC ok"));
    sp_txn_undo(t);
    bool changed;
    static const uint8_t soa[] = "\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x70"; /* denials live longer */
    ask_do("www.example.", "MX");
    assert_int_equal(sp_txn_begin(&t, z), SP_OK);
    assert_int_equal(sp_txn_add_rr(t, &apex, SP_TYPE_SOA, 300, soa, 22, &changed), SP_OK);
    assert_non_null(strstr(ask_do("www.example.", "MX"), "ns www.example. 112 RRSIG NSEC ok"));
    sp_txn_undo(t);
    assert_non_null(strstr(ask_do("www.example.", "MX"),
                           "NSEC \\000.www.example. A AAAA RRSIG NSEC CAA\nns www.example. 60 RRSIG NSEC ok"));
}

static int setup(void **state) {
    w = sp_test_world_new();
    sp_test_zone(w, "example.", true, zone);
    return 0;
}

static int teardown(void **state) {
    sp_test_world_free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9824_nonexistent_name),
        cmocka_unit_test(rfc9824_co_brings_nxdomain_back),
        cmocka_unit_test(rfc9824_without_do_it_is_plain),
        cmocka_unit_test(rfc9824_nodata),
        cmocka_unit_test(rfc9824_empty_non_terminal),
        cmocka_unit_test(rfc9824_wildcard_nodata),
        cmocka_unit_test(rfc9824_unsigned_delegation),
        cmocka_unit_test(rfc9824_alias_to_nothing),
        cmocka_unit_test(rfc9824_nxname_is_no_question),
        cmocka_unit_test(rfc9824_nsec_asked_for_is_an_answer),
        cmocka_unit_test(rfc9824_a_denial_does_not_deny_its_own_signature),
        cmocka_unit_test(rfc9824_denial_follows_the_types),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
