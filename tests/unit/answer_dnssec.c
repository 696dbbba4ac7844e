/* Signed answers: RFC 4035 3.1, 8080 (Ed25519), 7344 (CDS); memoised signatures and the budget. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] =
    "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.1\n"
    "www A 192.0.2.3\nwww A 192.0.2.2\nmixed MX 10 MX.Example.\nmixed MX 10 mx.elsewhere.test.\n*.wild TXT \"wild\"\n"
    "chain CNAME www\ndangling CNAME nobody\nsecure NS ns.secure\nns.secure A 192.0.2.101\n"
    "secure DS 12345 15 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "child NS ns.child\nns.child A 192.0.2.101\n"
    "child DS 54321 15 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
static const char child[] = "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.101\n";

#define OPT "ar OPT 0 do 1232\n"

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static const char *ask_do(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type, .dnssec = true});
}

static void dnssec_rfc4035_answers_are_signed(void **state) {
    assert_string_equal(ask_do("www.example.", "A"),
                        "NOERROR aa\nan www.example. 300 A 192.0.2.2\nan www.example. 300 A 192.0.2.3\n"
                        "an www.example. 300 RRSIG A ok\n" OPT);
    assert_null(strstr(ask("www.example.", "A"), "RRSIG"));
    assert_non_null(strstr(ask_do("mixed.example.", "MX"), "RRSIG MX ok"));
    assert_string_equal(
        ask_do("chain.example.", "A"),
        "NOERROR aa\nan chain.example. 300 CNAME www.example.\nan chain.example. 300 RRSIG CNAME ok\n"
        "an www.example. 300 A 192.0.2.2\nan www.example. 300 A 192.0.2.3\nan www.example. 300 RRSIG A ok\n" OPT);
}

static void dnssec_rfc9824_wildcards_are_signed_as_what_they_stand_for(void **state) {
    assert_string_equal(
        ask_do("any.wild.example.", "TXT"),
        "NOERROR aa\nan any.wild.example. 300 TXT \"wild\"\nan any.wild.example. 300 RRSIG TXT ok\n" OPT);
    assert_string_equal(ask_do("*.wild.example.", "TXT"),
                        "NOERROR aa\nan *.wild.example. 300 TXT \"wild\"\nan *.wild.example. 300 RRSIG TXT ok\n" OPT);
}

static void dnssec_rfc7344_keys_at_the_apex(void **state) {
    assert_starts(ask_do("example.", "DNSKEY"), "NOERROR aa\nan example. 3600 DNSKEY 257 3 15 ");
    assert_non_null(strstr(w->text, "RRSIG DNSKEY ok"));
    assert_non_null(strstr(ask_do("example.", "CDNSKEY"), "RRSIG CDNSKEY ok"));
    assert_non_null(strstr(ask_do("example.", "CDS"), "RRSIG CDS ok"));
    struct sp_name apex = sp_test_name("example.");
    uint8_t ds[SP_DS_RDATA];
    sp_ds_rdata(sp_zone_key(sp_zones_get(w->zones, &apex)), ds);
    char text[40];
    snprintf(text, sizeof text, "an example. 3600 CDS %u 15 2 ", sp_get_u16(ds));
    assert_non_null(strstr(w->text, text));
}

static void dnssec_rfc4035_signed_delegation_has_its_ds(void **state) {
    assert_string_equal(
        ask_do("www.secure.example.", "A"),
        "NOERROR\nns secure.example. 300 NS ns.secure.example.\n"
        "ns secure.example. 300 DS 12345 15 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\n"
        "ns secure.example. 300 RRSIG DS ok\nar ns.secure.example. 300 A 192.0.2.101\n" OPT);
}

static void dnssec_rfc4035_ds_is_the_parents(void **state) {
    static const char *const names[] = {"secure.example.", "child.example."};
    for (unsigned i = 0; i < 2; i++) {
        const char *text = ask_do(names[i], "DS");
        assert_starts(text, "NOERROR aa\nan ");
        assert_non_null(strstr(text, "RRSIG DS ok"));
    }
    assert_starts(ask_do("example.", "DS"), "NOERROR aa\nns example. 60 SOA"); /* the parent is not ours */
    assert_starts(ask_do("child.example.", "DNSKEY"), "NOERROR aa\nan child.example.");
}

static void dnssec_signatures_are_kept(void **state) {
    struct sp_answer_counts *c = &w->scratch->counts;
    ask_do("www.example.", "A");
    uint64_t made = c->signatures_made, reused = c->signatures_reused;
    ask_do("wwW.example.", "A");
    assert_int_equal(c->signatures_made, made);
    assert_int_equal(c->signatures_reused, reused + 1);
    w->scratch->sign_left = 0; /* warm answers need no budget */
    assert_non_null(strstr(ask_do("www.example.", "A"), "RRSIG A ok"));
    w->scratch->sign_left = 1000;
}

static void dnssec_signatures_are_renewed(void **state) {
    ask_do("www.example.", "A");
    struct sp_name owner = sp_test_name("www.example."), apex = sp_test_name("example.");
    const struct sp_rrset *set = sp_node_rrset(sp_zone_node(sp_zones_get(w->zones, &apex), &owner), SP_TYPE_A);
    const struct sp_rrsig *sig = atomic_load(&set->sig);
    uint32_t inception = sig->inception, renew = sig->renew;
    uint64_t made = w->scratch->counts.signatures_made;
    sp_wall before = w->now;
    w->now = sp_wall_from_sec(renew);
    w->scratch->sign_left = 0; /* the old one will do for now */
    assert_starts(ask_do("www.example.", "A"), "NOERROR aa\nan");
    assert_int_equal(w->scratch->counts.signatures_made, made);
    w->scratch->sign_left = 1000;
    ask_do("www.example.", "A");
    assert_int_equal(w->scratch->counts.signatures_made, made + 1);
    assert_true(atomic_load(&set->sig)->inception > inception);
    w->now = before; /* a clock set back */
    ask_do("www.example.", "A");
    assert_int_equal(w->scratch->counts.signatures_made, made + 2);
}

static void dnssec_without_memory_nothing_is_kept(void **state) {
    w->scratch->mem = NULL;
    uint64_t made = w->scratch->counts.signatures_made;
    for (unsigned i = 0; i < 2; i++)
        assert_non_null(strstr(ask_do("ns.example.", "A"), "RRSIG A ok"));
    assert_int_equal(w->scratch->counts.signatures_made, made + 2);
    w->scratch->mem = &w->mem;
}

static void dnssec_beyond_the_budget(void **state) {
    w->scratch->sign_left = 1; /* for the alias, but not for the denial of what it points to */
    assert_string_equal(ask_do("dangling.example.", "A"), "NOERROR tc\n" OPT);
    assert_int_equal(w->scratch->sign_left, 0);
    uint64_t refused = w->scratch->counts.signatures_refused;
    struct sp_test_q q = {.name = "beyond.example.", .type = "A", .dnssec = true, .via = SP_VIA_TCP};
    assert_starts(sp_test_ask(w, q), "SERVFAIL\nar OPT 0 do 1232 15:0000");
    assert_int_equal(w->scratch->counts.signatures_refused, refused + 1);
    assert_starts(ask("beyond.example.", "A"), "NXDOMAIN aa\n"); /* unsigned answers go on */
    w->scratch->sign_left = 1000;
}

static void dnssec_replaced_data_is_signed_anew(void **state) {
    struct sp_name apex = sp_test_name("example."), owner = sp_test_name("ns.example.");
    struct sp_txn *t;
    uint8_t buf[100];
    struct sp_rrs a = sp_test_rrs("A", 200, "192.0.2.77", buf, sizeof buf);
    ask_do("ns.example.", "A");
    assert_int_equal(sp_txn_begin(&t, sp_zones_get(w->zones, &apex)), SP_OK);
    assert_int_equal(sp_txn_put(t, &owner, &a), SP_OK);
    assert_string_equal(ask_do("ns.example.", "A"),
                        "NOERROR aa\nan ns.example. 200 A 192.0.2.77\nan ns.example. 200 RRSIG A ok\n" OPT);
    sp_txn_retire(t);
    assert_non_null(strstr(ask_do("ns.example.", "A"), "RRSIG A ok"));
}

static int setup(void **state) {
    w = sp_test_world_new();
    sp_test_zone(w, "example.", true, zone);
    sp_test_zone(w, "child.example.", true, child);
    return 0;
}

static int teardown(void **state) {
    sp_test_world_free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dnssec_rfc4035_answers_are_signed),
        cmocka_unit_test(dnssec_rfc9824_wildcards_are_signed_as_what_they_stand_for),
        cmocka_unit_test(dnssec_rfc7344_keys_at_the_apex),
        cmocka_unit_test(dnssec_rfc4035_signed_delegation_has_its_ds),
        cmocka_unit_test(dnssec_rfc4035_ds_is_the_parents),
        cmocka_unit_test(dnssec_signatures_are_kept),
        cmocka_unit_test(dnssec_signatures_are_renewed),
        cmocka_unit_test(dnssec_without_memory_nothing_is_kept),
        cmocka_unit_test(dnssec_beyond_the_budget),
        cmocka_unit_test(dnssec_replaced_data_is_signed_anew),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
