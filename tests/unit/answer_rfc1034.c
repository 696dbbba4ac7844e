/* Authority, referrals, glue, aliases. RFC 1034 4.3.2. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] = "$TTL 300\n"
                           "@ IN SOA ns hostmaster 7 3600 900 86400 60\n"
                           "@ NS ns\n"
                           "@ NS ns.elsewhere.test.\n"
                           "ns A 192.0.2.53\n"
                           "www A 192.0.2.1\n"
                           "www A 192.0.2.2\n"
                           "www AAAA 2001:db8::1\n"
                           "alias CNAME www\n"
                           "chain CNAME alias\n"
                           "broken CNAME nobody\n"
                           "loop1 CNAME loop2\n"
                           "loop2 CNAME loop1\n"
                           "*.star CNAME star.star\n"
                           "c0 CNAME c1\n"
                           "c1 CNAME c2\n"
                           "c2 CNAME c3\n"
                           "c3 CNAME c4\n"
                           "c4 CNAME c5\n"
                           "c5 CNAME c6\n"
                           "c6 CNAME c7\n"
                           "c7 CNAME c8\n"
                           "c8 CNAME c9\n"
                           "c9 CNAME c10\n"
                           "c10 CNAME c11\n"
                           "c11 CNAME c12\n"
                           "c12 CNAME c13\n"
                           "c13 CNAME c14\n"
                           "c14 CNAME c15\n"
                           "c15 CNAME c16\n"
                           "c16 CNAME c17\n"
                           "c17 CNAME c18\n"
                           "c18 CNAME c19\n"
                           "c19 CNAME c20\n"
                           "out CNAME host.elsewhere.test.\n"
                           "into CNAME www.child\n"
                           "todeleg CNAME www.sub\n"
                           "keyed CNAME www\n"
                           "keyed KEY 512 3 15 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
                           "mail MX 10 mx\n"
                           "mail MX 20 mx.elsewhere.test.\n"
                           "mx A 192.0.2.25\n"
                           "mailsub MX 10 ns.sub\n"
                           "abcxyz AAAA 2001:db8::2\n"
                           "\\@\\[ AAAA 2001:db8::3\n"
                           "_sip._udp SRV 1 2 5060 www\n"
                           "svc HTTPS 0 www\n"
                           "sub NS ns.sub\n"
                           "sub NS ns\n"
                           "ns.sub A 192.0.2.100\n"
                           "ns.sub AAAA 2001:db8::100\n"
                           "child NS ns.child\n"
                           "ns.child A 192.0.2.101\n";
static const char child[] =
    "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.101\nwww A 192.0.2.200\n";

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static void rfc1034_answer(void **state) {
    assert_string_equal(ask("www.example.", "A"),
                        "NOERROR aa\nan www.example. 300 A 192.0.2.1\nan www.example. 300 A 192.0.2.2\n");
}

static void rfc1034_nodata_and_nxdomain_carry_the_soa(void **state) {
    const char *soa = "ns example. 60 SOA ns.example. hostmaster.example. 7 3600 900 86400 60\n";
    char expect[300];
    snprintf(expect, sizeof expect, "NOERROR aa\n%s", soa);
    assert_string_equal(ask("www.example.", "MX"), expect);
    snprintf(expect, sizeof expect, "NXDOMAIN aa\n%s", soa);
    assert_string_equal(ask("nobody.example.", "A"), expect);
    assert_string_equal(ask("a.b.c.nobody.example.", "A"), expect);
}

static void rfc1034_referral(void **state) {
    const char *expect = "NOERROR\n"
                         "ns sub.example. 300 NS ns.sub.example.\n"
                         "ns sub.example. 300 NS ns.example.\n"
                         "ar ns.sub.example. 300 A 192.0.2.100\n"
                         "ar ns.sub.example. 300 AAAA 2001:db8::100\n"
                         "ar ns.example. 300 A 192.0.2.53\n";
    assert_string_equal(ask("host.sub.example.", "A"), expect);
    assert_string_equal(ask("sub.example.", "NS"), expect);
    assert_string_equal(ask("ns.sub.example.", "A"), expect); /* glue is no answer */
}

static void rfc1034_cname_chain(void **state) {
    assert_string_equal(ask("chain.example.", "AAAA"), "NOERROR aa\nan chain.example. 300 CNAME alias.example.\n"
                                                       "an alias.example. 300 CNAME www.example.\n"
                                                       "an www.example. 300 AAAA 2001:db8::1\n");
    assert_string_equal(ask("chain.example.", "CNAME"), "NOERROR aa\nan chain.example. 300 CNAME alias.example.\n");
    assert_string_equal(ask("out.example.", "A"), "NOERROR aa\nan out.example. 300 CNAME host.elsewhere.test.\n");
    /* A name that another of our zones holds is left to who asks there. */
    assert_string_equal(ask("into.example.", "A"), "NOERROR aa\nan into.example. 300 CNAME www.child.example.\n");
}

static void rfc1034_cname_to_a_delegation_ends_in_its_referral(void **state) {
    const char *text = ask("todeleg.example.", "A");
    assert_starts(text, "NOERROR aa\nan todeleg.example. 300 CNAME www.sub.example.\nns sub.example. 300 NS");
}

static void rfc6604_rcode_is_that_of_the_last_name(void **state) {
    const char *expect = "NXDOMAIN aa\nan broken.example. 300 CNAME nobody.example.\nns example. 60 SOA";
    assert_starts(ask("broken.example.", "A"), expect);
}

static void rfc1034_cname_loop_ends(void **state) {
    assert_string_equal(
        ask("loop1.example.", "A"),
        "NOERROR aa\nan loop1.example. 300 CNAME loop2.example.\nan loop2.example. 300 CNAME loop1.example.\n");
    assert_string_equal(ask("q.star.example.", "A"), "NOERROR aa\nan q.star.example. 300 CNAME star.star.example.\n"
                                                     "an star.star.example. 300 CNAME star.star.example.\n");
}

static void rfc1034_long_chains_are_cut(void **state) {
    const char *text = ask("c0.example.", "A");
    assert_starts(text, "NOERROR aa\nan c0.example. 300 CNAME c1.example.\n");
    assert_non_null(strstr(text, "CNAME c16.example."));
    assert_null(strstr(text, "CNAME c17.example."));
}

static void rfc4035_key_beside_cname_is_found(void **state) {
    assert_non_null(strstr(ask("keyed.example.", "KEY"), "an keyed.example. 300 KEY 512 3 15"));
    assert_non_null(strstr(ask("keyed.example.", "A"), "an www.example. 300 A 192.0.2.1"));
}

static void rfc1034_additional_addresses(void **state) {
    assert_string_equal(ask("mail.example.", "MX"),
                        "NOERROR aa\nan mail.example. 300 MX 10 mx.example.\n"
                        "an mail.example. 300 MX 20 mx.elsewhere.test.\nar mx.example. 300 A 192.0.2.25\n");
    assert_string_equal(ask("example.", "NS"),
                        "NOERROR aa\nan example. 300 NS ns.example.\nan example. 300 NS ns.elsewhere.test.\n"
                        "ar ns.example. 300 A 192.0.2.53\n");
    assert_string_equal(ask("mailsub.example.", "MX"),
                        "NOERROR aa\nan mailsub.example. 300 MX 10 ns.sub.example.\n"); /* not ours to say */
    assert_non_null(strstr(ask("_sip._udp.example.", "SRV"), "ar www.example. 300 AAAA 2001:db8::1\n"));
    assert_non_null(strstr(ask("svc.example.", "HTTPS"), "ar www.example. 300 A 192.0.2.1\n"));
}

static void rfc1034_longest_zone_answers(void **state) {
    assert_string_equal(ask("www.child.example.", "A"), "NOERROR aa\nan www.child.example. 300 A 192.0.2.200\n");
    assert_starts(ask("nobody.child.example.", "A"), "NXDOMAIN aa\nns child.example. 60 SOA");
    assert_string_equal(ask("www.elsewhere.test.", "A"), "REFUSED\n");
    assert_string_equal(ask("test.", "A"), "REFUSED\n");
    assert_string_equal(ask(".", "NS"), "REFUSED\n");
}

static void rfc1034_zones_come_and_go_between_answers(void **state) {
    assert_starts(ask("www.late.example.", "A"), "NXDOMAIN aa\nns example. 60 SOA");
    struct sp_zone *late = sp_test_zone(w, "late.example.", false, child);
    assert_string_equal(ask("www.late.example.", "A"), "NOERROR aa\nan www.late.example. 300 A 192.0.2.200\n");
    assert_string_equal(ask("ns.example.", "A"), "NOERROR aa\nan ns.example. 300 A 192.0.2.53\n");
    assert_string_equal(ask("www.late.example.", "A"), "NOERROR aa\nan www.late.example. 300 A 192.0.2.200\n");
    sp_zone_remove(w->zones, late);
    assert_starts(ask("www.late.example.", "A"), "NXDOMAIN aa\nns example. 60 SOA");
    struct sp_zone *upper = sp_test_zone(w, "top.test.", false, child),
                   *lower = sp_test_zone(w, "low.top.test.", false, child);
    assert_starts(ask("www.top.test.", "A"), "NOERROR aa\nan www.top.test.");
    assert_starts(ask("www.low.top.test.", "A"), "NOERROR aa\nan www.low.top.test.");
    sp_zone_remove(w->zones, upper);
    assert_starts(ask("www.low.top.test.", "A"), "NOERROR aa\nan www.low.top.test.");
    assert_string_equal(ask("www.top.test.", "A"), "REFUSED\n");
    upper = sp_test_zone(w, "top.test.", false, child); /* above one that is there */
    assert_starts(ask("www.top.test.", "A"), "NOERROR aa\nan www.top.test.");
    assert_starts(ask("www.low.top.test.", "A"), "NOERROR aa\nan www.low.top.test.");
    sp_zone_remove(w->zones, lower);
    sp_zone_remove(w->zones, upper);
}

static void rfc4343_case_is_kept_and_ignored(void **state) {
    assert_string_equal(ask("WwW.eXample.", "AAAA"), "NOERROR aa\nan WwW.eXample. 300 AAAA 2001:db8::1\n");
    assert_memory_equal(w->reply + 12, "\3WwW\7eXample", 13);
    assert_non_null(strstr(ask("cHain.example.", "AAAA"), "an www.example. 300 AAAA"));
    assert_string_equal(ask("ABCXYZ.example.", "AAAA"), "NOERROR aa\nan ABCXYZ.example. 300 AAAA 2001:db8::2\n");
    assert_non_null(strstr(ask("\\@[.example.", "AAAA"), "AAAA 2001:db8::3"));
    assert_starts(ask("`[.example.", "AAAA"), "NXDOMAIN");
    assert_starts(ask("\\@{.example.", "AAAA"), "NXDOMAIN");
}

static int setup(void **state) {
    w = sp_test_world_new();
    sp_test_zone(w, "example.", false, zone);
    sp_test_zone(w, "child.example.", false, child);
    return 0;
}

static int teardown(void **state) {
    sp_test_world_free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1034_answer),
        cmocka_unit_test(rfc1034_nodata_and_nxdomain_carry_the_soa),
        cmocka_unit_test(rfc1034_referral),
        cmocka_unit_test(rfc1034_cname_chain),
        cmocka_unit_test(rfc1034_cname_to_a_delegation_ends_in_its_referral),
        cmocka_unit_test(rfc6604_rcode_is_that_of_the_last_name),
        cmocka_unit_test(rfc1034_cname_loop_ends),
        cmocka_unit_test(rfc1034_long_chains_are_cut),
        cmocka_unit_test(rfc4035_key_beside_cname_is_found),
        cmocka_unit_test(rfc1034_additional_addresses),
        cmocka_unit_test(rfc1034_longest_zone_answers),
        cmocka_unit_test(rfc1034_zones_come_and_go_between_answers),
        cmocka_unit_test(rfc4343_case_is_kept_and_ignored),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
