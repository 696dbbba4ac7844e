/* EDNS: RFC 6891, cookies (7873, 9018), NSID (5001), keepalive (7828), errors (8914). */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] =
    "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n";

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static const char *ask_options(const void *options, size_t len, enum sp_transport via) {
    return sp_test_ask(
        w, (struct sp_test_q){
               .name = "www.example.", .type = "A", .options = options, .options_len = len, .edns = true, .via = via});
}

#define ANSWER "NOERROR aa\nan www.example. 300 A 192.0.2.2\n"

static void rfc6891_opt_answers_opt(void **state) {
    assert_string_equal(ask("www.example.", "A"), ANSWER);
    assert_string_equal(ask_options(NULL, 0, SP_VIA_UDP), ANSWER "ar OPT 0 1232\n");
    assert_string_equal(sp_test_ask(w, (struct sp_test_q){.name = "www.example.", .type = "A", .dnssec = true}),
                        ANSWER "ar OPT 0 do 1232\n"); /* unsigned zone */
}

static void rfc6891_unknown_version_is_badvers(void **state) {
    sp_test_query(w, &(struct sp_test_q){.name = "www.example.", .type = "A", .edns = true});
    w->query[w->query_len - 5] = 1;
    assert_int_equal(sp_test_send(w, SP_VIA_UDP), SP_ANSWERED);
    assert_string_equal(sp_test_text(w), "RCODE16\nar OPT 0 1232\n");
    assert_int_equal(w->scratch->counts.badvers, 1);
}

static void rfc6891_unknown_options_and_flags_are_passed_over(void **state) {
    assert_string_equal(ask_options("\xfd\xe9\0\3abc\0\x0c\0\0", 11, SP_VIA_UDP), ANSWER "ar OPT 0 1232\n");
    sp_test_query(w, &(struct sp_test_q){.name = "www.example.", .type = "A", .edns = true});
    w->query[w->query_len - 3] = 0x81; /* a flag beside DO */
    sp_test_send(w, SP_VIA_UDP);
    sp_test_text(w);
    assert_string_equal(w->text, ANSWER "ar OPT 0 1232\n");
}

static void rfc6891_two_opts_are_formerr(void **state) {
    sp_test_query(w, &(struct sp_test_q){.name = "www.example.", .type = "A", .edns = true});
    memcpy(w->query + w->query_len, w->query + w->query_len - 11, 11);
    w->query_len += 11;
    w->query[11] = 2;
    assert_int_equal(sp_test_send(w, SP_VIA_UDP), SP_ANSWERED);
    assert_starts(sp_test_text(w), "FORMERR\n");
}

static void rfc6891_broken_options_are_formerr(void **state) {
    assert_starts(ask_options("\0\x0a\0\x20", 4, SP_VIA_UDP), "FORMERR\n");
    assert_starts(ask_options("\0\x0a\0", 3, SP_VIA_UDP), "FORMERR\n");
}

static void rfc9018_cookie(void **state) {
    assert_string_equal(ask_options(NULL, 0, SP_VIA_UDP), ANSWER "ar OPT 0 1232\n");
    const char *text = ask_options("\0\x0a\0\x08"
                                   "12345678",
                                   12, SP_VIA_UDP);
    assert_non_null(strstr(text, " 10:3132333435363738010000006b49d200"));
    uint8_t option[28] = "\0\x0a\0\x18";
    struct sp_rd value;
    assert_true(sp_edns_find(&w->msg.edns, SP_EDNS_COOKIE, &value));
    sp_rd_copy(&value, option + 4, 24);
    uint64_t good = w->scratch->counts.cookies_good, bad = w->scratch->counts.cookies_bad;
    assert_starts(ask_options(option, 28, SP_VIA_UDP), ANSWER);
    assert_int_equal(w->scratch->counts.cookies_good, good + 1);
    option[27] ^= 1; /* a bad one is as good as none: answered, with a fresh one */
    assert_starts(ask_options(option, 28, SP_VIA_UDP), ANSWER);
    assert_non_null(strstr(w->text, " 10:3132333435363738010000006b49d200"));
    assert_int_equal(w->scratch->counts.cookies_bad, bad + 1);
}

static void rfc7873_malformed_cookie_is_formerr(void **state) {
    static const uint8_t lengths[] = {0, 1, 7, 9, 15, 41};
    for (unsigned i = 0; i < sizeof lengths; i++) {
        uint8_t option[64] = {0, 10, 0, lengths[i]};
        assert_starts(ask_options(option, 4u + lengths[i], SP_VIA_UDP), "FORMERR\n");
    }
}

static void rfc7873_cookie_without_question(void **state) {
    ask_options("\0\x0a\0\x08"
                "12345678",
                12, SP_VIA_UDP);
    size_t name = 13 + 4;
    memmove(w->query + 12, w->query + 12 + name, w->query_len - 12 - name);
    w->query_len -= name;
    w->query[5] = 0;
    assert_int_equal(sp_test_send(w, SP_VIA_UDP), SP_ANSWERED);
    assert_starts(sp_test_text(w), "NOERROR\nar OPT 0 1232 10:3132");
}

static void rfc5001_nsid(void **state) {
    assert_string_equal(ask_options("\0\3\0\0", 4, SP_VIA_UDP), ANSWER "ar OPT 0 1232 3:73706f74\n");
}

static void rfc7828_keepalive_over_tcp_alone(void **state) {
    assert_string_equal(ask_options("\0\x0b\0\0", 4, SP_VIA_UDP), ANSWER "ar OPT 0 1232\n");
    assert_string_equal(ask_options("\0\x0b\0\0", 4, SP_VIA_TCP), ANSWER "ar OPT 0 1232 11:0064\n");
}

static void rfc8914_refusal_says_why(void **state) {
    struct sp_test_q q = {.name = "www.elsewhere.test.", .type = "A", .edns = true};
    assert_string_equal(sp_test_ask(w, q), "REFUSED\nar OPT 0 1232 15:0014\n");
    q.edns = false;
    assert_string_equal(sp_test_ask(w, q), "REFUSED\n");
}

static void rfc8914_empty_reply_carries_code_and_text(void **state) {
    sp_test_query(w, &(struct sp_test_q){.name = "WWW.example.", .type = "A", .edns = true});
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, w->query, w->query_len), SP_OK);
    w->reply_len = sp_reply_empty(&w->view, &msg, SP_RCODE_REFUSED, 18, "no", w->reply, 512);
    assert_string_equal(sp_test_text(w), "REFUSED\nar OPT 0 1232 15:00126e6f\n");
    assert_memory_equal(w->reply + 12, "\3WWW", 4);
    assert_int_equal(sp_reply_empty(&w->view, &msg, SP_RCODE_REFUSED, 18, "no", w->reply, 11), 0);
    for (size_t cap = 12; cap < 80; cap++)
        assert_true(sp_reply_empty(&w->view, &msg, SP_RCODE_REFUSED, 18, "no", w->reply, cap) <= cap);
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
        cmocka_unit_test(rfc6891_opt_answers_opt),
        cmocka_unit_test(rfc6891_unknown_version_is_badvers),
        cmocka_unit_test(rfc6891_unknown_options_and_flags_are_passed_over),
        cmocka_unit_test(rfc6891_two_opts_are_formerr),
        cmocka_unit_test(rfc6891_broken_options_are_formerr),
        cmocka_unit_test(rfc9018_cookie),
        cmocka_unit_test(rfc7873_malformed_cookie_is_formerr),
        cmocka_unit_test(rfc7873_cookie_without_question),
        cmocka_unit_test(rfc5001_nsid),
        cmocka_unit_test(rfc7828_keepalive_over_tcp_alone),
        cmocka_unit_test(rfc8914_refusal_says_why),
        cmocka_unit_test(rfc8914_empty_reply_carries_code_and_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
