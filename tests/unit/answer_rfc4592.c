/* Wildcards. RFC 4592; the zone is that of its 2.2.1. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] = "$TTL 3600\n"
                           "@ SOA ns hostmaster 1 3600 900 86400 60\n"
                           "@ NS ns.example.com.\n"
                           "@ NS ns.example.net.\n"
                           "*.example. TXT \"this is a wildcard\"\n"
                           "*.example. MX 10 host1.example.\n"
                           "sub.*.example. TXT \"this is not a wildcard\"\n"
                           "host1.example. A 192.0.2.1\n"
                           "_ssh._tcp.host1.example. SRV 1 2 3 host1\n"
                           "_ssh._tcp.host2.example. SRV 1 2 3 host1\n"
                           "subdel.example. NS ns.example.com.\n"
                           "*.alias CNAME host1\n";

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static const char nodata[] = "NOERROR aa\nns example. 60 SOA ns.example. hostmaster.example. 1 3600 900 86400 60\n";

static void rfc4592_expands_under_the_asked_name(void **state) {
    assert_string_equal(
        ask("host3.example.", "MX"),
        "NOERROR aa\nan host3.example. 3600 MX 10 host1.example.\nar host1.example. 3600 A 192.0.2.1\n");
    assert_string_equal(ask("foo.bar.example.", "TXT"),
                        "NOERROR aa\nan foo.bar.example. 3600 TXT \"this is a wildcard\"\n");
    assert_string_equal(ask("ghost.*.nowhere.example.", "TXT"),
                        "NOERROR aa\nan ghost.*.nowhere.example. 3600 TXT \"this is a wildcard\"\n");
}

static void rfc4592_no_data_at_the_wildcard(void **state) {
    assert_string_equal(ask("host3.example.", "A"), nodata);
}

static void rfc4592_existing_names_and_what_lies_below_block_it(void **state) {
    assert_string_equal(ask("host1.example.", "MX"), nodata);
    assert_string_equal(ask("sub.*.example.", "MX"), nodata);
    assert_starts(ask("_telnet._tcp.host1.example.", "SRV"), "NXDOMAIN aa");
    assert_starts(ask("ghost.*.example.", "MX"), "NXDOMAIN aa");
    assert_string_equal(ask("_tcp.host2.example.", "TXT"), nodata); /* empty non-terminals */
    assert_string_equal(ask("host2.example.", "TXT"), nodata);
}

static void rfc4592_delegation_comes_first(void **state) {
    assert_string_equal(ask("host.subdel.example.", "A"), "NOERROR\nns subdel.example. 3600 NS ns.example.com.\n");
}

static void rfc4592_the_wildcard_itself_can_be_asked_for(void **state) {
    assert_string_equal(ask("*.example.", "TXT"), "NOERROR aa\nan *.example. 3600 TXT \"this is a wildcard\"\n");
}

static void rfc4592_an_alias_expands(void **state) {
    assert_string_equal(
        ask("x.alias.example.", "A"),
        "NOERROR aa\nan x.alias.example. 3600 CNAME host1.example.\nan host1.example. 3600 A 192.0.2.1\n");
}

static int setup(void **state) {
    w = sp_test_world_new();
    sp_test_zone(w, "example.", false, zone);
    return 0;
}

static int teardown(void **state) {
    sp_test_world_free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4592_expands_under_the_asked_name),
        cmocka_unit_test(rfc4592_no_data_at_the_wildcard),
        cmocka_unit_test(rfc4592_existing_names_and_what_lies_below_block_it),
        cmocka_unit_test(rfc4592_delegation_comes_first),
        cmocka_unit_test(rfc4592_the_wildcard_itself_can_be_asked_for),
        cmocka_unit_test(rfc4592_an_alias_expands),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
