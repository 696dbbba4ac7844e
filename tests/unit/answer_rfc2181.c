/* Whole RRsets or TC, one TTL. RFC 2181 5.2, 9; RFC 9471 (glue), 9715 (size over UDP). */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static char zone[40000];

static int setup(void **state) {
    char *p = zone;
    p += sprintf(p, "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.1\n");
    for (int i = 0; i < 20; i++)
        p += sprintf(p, "big TXT \"%03d %0200d\"\n", i, i);
    for (int i = 0; i < 6; i++)
        p += sprintf(p, "middle TXT \"%03d %0200d\"\n", i, i);
    for (int i = 0; i < 13; i++)
        p += sprintf(
            p,
            "sub NS server-number-%d.sub\nserver-number-%d.sub A 192.0.2.%d\nserver-number-%d.sub AAAA 2001:db8::%d\n",
            i, i, i + 1, i, i + 1);
    for (int i = 0; i < 30; i++)
        p += sprintf(p, "mail MX %d mx%d\nmx%d A 192.0.2.%d\n", i, i, i, i + 1);
    p += sprintf(p, "long CNAME big\nttl 100 A 192.0.2.1\nttl 50 A 192.0.2.2\nttl 70 A 192.0.2.3\n");
    w = sp_test_world_new();
    sp_test_zone(w, "example.", false, zone);
    return 0;
}

static int teardown(void **state) {
    sp_test_world_free(w);
    return 0;
}

static unsigned lines_with(const char *what) {
    unsigned n = 0;
    for (const char *p = w->text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

static void rfc2181_an_rrset_is_whole_or_absent(void **state) {
    assert_string_equal(ask("big.example.", "TXT"), "NOERROR aa tc\n");
    assert_true(w->reply_len <= 512);
    assert_string_equal(ask("long.example.", "TXT"), "NOERROR aa tc\nan long.example. 300 CNAME big.example.\n");
    sp_test_ask(w, (struct sp_test_q){.name = "big.example.", .type = "TXT", .via = SP_VIA_TCP});
    assert_starts(w->text, "NOERROR aa\n");
    assert_int_equal(lines_with("an big.example. 300 TXT"), 20);
}

static void rfc9715_udp_stays_within_both_limits(void **state) {
    static const uint16_t sizes[] = {0, 100, 512, 600, 1232, 1500, 65535};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        sp_test_ask(w, (struct sp_test_q){.name = "a.sub.example.", .type = "A", .edns = true, .udp_size = sizes[i]});
        size_t limit = sizes[i] < 512 && sizes[i] != 0 ? 512 : sizes[i] > 1232 || sizes[i] == 0 ? 1232 : sizes[i];
        assert_true(w->reply_len <= limit);
        assert_int_equal(lines_with("ar OPT 0 1232"), 1);
        sp_test_ask(w,
                    (struct sp_test_q){.name = "middle.example.", .type = "TXT", .edns = true, .udp_size = sizes[i]});
        assert_true(w->reply_len <= limit);
    }
}

static void rfc9471_referral_without_all_glue_says_tc(void **state) {
    ask("a.sub.example.", "A");
    assert_starts(w->text, "NOERROR tc\n");
    assert_int_equal(lines_with("ns sub.example."), 13);
    sp_test_ask(w, (struct sp_test_q){.name = "a.sub.example.", .type = "A", .edns = true});
    assert_starts(w->text, "NOERROR\n");
    assert_int_equal(lines_with("ar server-number-"), 26);
}

static void rfc2181_additional_records_may_be_missing_without_tc(void **state) {
    ask("mail.example.", "MX");
    assert_starts(w->text, "NOERROR aa tc\n");
    sp_test_ask(w, (struct sp_test_q){.name = "mail.example.", .type = "MX", .edns = true, .udp_size = 750});
    assert_starts(w->text, "NOERROR aa\n");
    assert_int_equal(lines_with("an mail.example."), 30);
    assert_true(lines_with("ar mx") < 13);
}

static void rfc2181_one_ttl_the_smallest(void **state) {
    ask("ttl.example.", "A");
    assert_int_equal(lines_with("an ttl.example. 50 A"), 3);
}

static void rfc2181_room_for_a_signature_is_kept(void **state) {
    for (size_t room = 0; room < 300; room += 7) {
        sp_test_query(w, &(struct sp_test_q){.name = "a.sub.example.", .type = "A", .edns = true});
        assert_int_equal(sp_answer(&w->view, w->scratch, w->query, w->query_len, SP_VIA_UDP, &w->client, w->now,
                                   w->reply, 700, room, &w->reply_len),
                         SP_ANSWERED);
        assert_true(w->reply_len <= 700 - room);
        sp_test_text(w);
        assert_int_equal(lines_with("ar OPT"), 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc2181_an_rrset_is_whole_or_absent),
        cmocka_unit_test(rfc9715_udp_stays_within_both_limits),
        cmocka_unit_test(rfc9471_referral_without_all_glue_says_tc),
        cmocka_unit_test(rfc2181_additional_records_may_be_missing_without_tc),
        cmocka_unit_test(rfc2181_one_ttl_the_smallest),
        cmocka_unit_test(rfc2181_room_for_a_signature_is_kept),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
