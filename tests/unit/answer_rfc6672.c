/* DNAME. RFC 6672. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] =
    "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.1\n"
    "d 77 DNAME target\nd A 192.0.2.9\nhost.target A 192.0.2.4\n"
    "dl1 DNAME dl2\ndl2 DNAME dl1\nself DNAME self\ndeeper DNAME y.deeper\nout DNAME elsewhere.test.\n"
    "long DNAME llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll.llllllllllllllllllllllllllllllllllllllllll"
    "llllllllllllllllll.llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll\n";

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static const char *ask_do(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type, .dnssec = true});
}

static void rfc6672_synthesises_a_cname_with_its_ttl(void **state) {
    assert_string_equal(ask("host.d.example.", "A"),
                        "NOERROR aa\nan d.example. 77 DNAME target.example.\n"
                        "an host.d.example. 77 CNAME host.target.example.\nan host.target.example. 300 A 192.0.2.4\n");
    assert_string_equal(
        ask("x.Y.out.example.", "A"),
        "NOERROR aa\nan out.example. 300 DNAME elsewhere.test.\nan x.Y.out.example. 300 CNAME x.y.elsewhere.test.\n");
}

static void rfc6672_the_cname_is_not_signed(void **state) {
    assert_string_equal(ask_do("host.d.example.", "A"),
                        "NOERROR aa\nan d.example. 77 DNAME target.example.\nan d.example. 77 RRSIG DNAME ok\n"
                        "an host.d.example. 77 CNAME host.target.example.\nan host.target.example. 300 A 192.0.2.4\n"
                        "an host.target.example. 300 RRSIG A ok\nar OPT 0 do 1232\n");
}

static void rfc6672_the_owner_itself_is_not_redirected(void **state) {
    assert_string_equal(ask("d.example.", "A"), "NOERROR aa\nan d.example. 300 A 192.0.2.9\n");
    assert_string_equal(ask("d.example.", "DNAME"), "NOERROR aa\nan d.example. 77 DNAME target.example.\n");
    assert_starts(ask("d.example.", "MX"), "NOERROR aa\nns example.");
}

static void rfc6672_loops_end(void **state) {
    assert_string_equal(
        ask("x.dl1.example.", "A"),
        "NOERROR aa\nan dl1.example. 300 DNAME dl2.example.\nan x.dl1.example. 300 CNAME x.dl2.example.\n"
        "an dl2.example. 300 DNAME dl1.example.\nan x.dl2.example. 300 CNAME x.dl1.example.\n");
    assert_string_equal(
        ask("x.self.example.", "A"),
        "NOERROR aa\nan self.example. 300 DNAME self.example.\nan x.self.example. 300 CNAME x.self.example.\n");
    const char *text = ask_do("x.deeper.example.", "A");
    assert_non_null(strstr(text, "an deeper.example. 300 RRSIG DNAME ok\n"));
    assert_null(strstr(strstr(text, " DNAME y.") + 1, " DNAME y.")); /* once, however deep it leads */
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, " CNAME ")) != NULL; p++)
        n++;
    assert_int_equal(n, 16);
}

static void rfc6672_overlong_is_yxdomain(void **state) {
    const char *text =
        ask("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy.yyyyyyyyyyyy.long.example.", "A");
    assert_starts(text, "YXDOMAIN aa\nan long.example. 300 DNAME");
    assert_null(strstr(text, "CNAME"));
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
        cmocka_unit_test(rfc6672_synthesises_a_cname_with_its_ttl),
        cmocka_unit_test(rfc6672_the_cname_is_not_signed),
        cmocka_unit_test(rfc6672_the_owner_itself_is_not_redirected),
        cmocka_unit_test(rfc6672_loops_end),
        cmocka_unit_test(rfc6672_overlong_is_yxdomain),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
