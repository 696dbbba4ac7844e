/* ANY in small. RFC 8482. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] = "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.1\n"
                           "www A 192.0.2.2\nwww AAAA 2001:db8::1\nwww TXT \"a long text that need not be sent to "
                           "those who ask for all there is\"\n"
                           "alias CNAME www\n*.wild TXT \"wild\"\n*.wild A 192.0.2.3\na.ent A 192.0.2.4\n";

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static const char *ask_do(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type, .dnssec = true});
}

static void rfc8482_one_rrset_stands_for_all(void **state) {
    assert_string_equal(ask("www.example.", "ANY"), "NOERROR aa\nan www.example. 300 A 192.0.2.2\n");
    assert_string_equal(ask("alias.example.", "ANY"), "NOERROR aa\nan alias.example. 300 CNAME www.example.\n");
    assert_string_equal(ask("x.wild.example.", "ANY"), "NOERROR aa\nan x.wild.example. 300 A 192.0.2.3\n");
}

static void rfc8482_signed(void **state) {
    assert_string_equal(
        ask_do("www.example.", "ANY"),
        "NOERROR aa\nan www.example. 300 A 192.0.2.2\nan www.example. 300 RRSIG A ok\nar OPT 0 do 1232\n");
}

static void rfc8482_nothing_there(void **state) {
    assert_starts(ask("ent.example.", "ANY"), "NOERROR aa\nns example. 60 SOA");
    assert_starts(ask("nobody.example.", "ANY"), "NXDOMAIN aa\n");
}

static void rfc8482_rrsig_alike(void **state) {
    assert_string_equal(sp_test_ask(w, (struct sp_test_q){.name = "www.example.", .type = "RRSIG"}),
                        "NOERROR aa\nan www.example. 300 RRSIG A bad\n"); /* nothing beside it to verify */
    assert_starts(ask("ent.example.", "RRSIG"), "NOERROR aa\nns example. 60 SOA");
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
        cmocka_unit_test(rfc8482_one_rrset_stands_for_all),
        cmocka_unit_test(rfc8482_signed),
        cmocka_unit_test(rfc8482_nothing_there),
        cmocka_unit_test(rfc8482_rrsig_alike),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
