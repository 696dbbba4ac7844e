/* Every query gets an answer, and what is no query gets none. RFC 8906; RFC 1035 4.1. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] =
    "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n"
    "unknown TYPE65300 \\# 4 01020304\n";

static struct sp_test_world *w;

static const char *ask(const char *name, const char *type) {
    return sp_test_ask(w, (struct sp_test_q){.name = name, .type = type});
}

static const char *ask_bytes(const void *bytes, size_t len, enum sp_verdict expect) {
    memcpy(w->query, bytes, len);
    w->query_len = len;
    assert_int_equal(sp_test_send(w, SP_VIA_UDP), expect);
    return expect == SP_ANSWERED ? sp_test_text(w) : "";
}

static void rfc8906_unknown_opcodes_are_notimp(void **state) {
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        sp_test_query(w, &(struct sp_test_q){
                             .name = "www.example.", .type = "A", .flags = (uint16_t)(opcode << 11 | SP_FLAG_RD)});
        enum sp_verdict v = sp_test_send(w, SP_VIA_UDP);
        if (opcode == SP_OPCODE_UPDATE || opcode == SP_OPCODE_NOTIFY) {
            assert_int_equal(v, SP_FOR_WRITER);
            continue;
        }
        assert_int_equal(v, SP_ANSWERED);
        assert_int_equal(SP_OPCODE_OF(sp_get_u16(w->reply + 2)), opcode);
        sp_test_text(w);
        assert_starts(w->text, opcode == 0 ? "NOERROR aa rd\n" : "NOTIMP rd\n");
    }
    assert_string_equal(ask_bytes("\x12\x34\x30\0\0\0\0\0\0\0\0\0garbage", 19, SP_ANSWERED), "NOTIMP\n");
}

static void rfc8906_flags(void **state) {
    for (unsigned bit = 1; bit < 0x8000; bit <<= 1) {
        if ((bit & 0x7800) != 0)
            continue; /* opcodes */
        sp_test_ask(w, (struct sp_test_q){.name = "www.example.", .type = "A", .flags = (uint16_t)bit});
        const char *expect = bit == SP_FLAG_RD   ? "NOERROR aa rd\nan"
                             : bit == SP_FLAG_CD ? "NOERROR aa cd\nan"
                                                 : "NOERROR aa\nan";
        assert_starts(w->text, expect);
        assert_int_equal(sp_get_u16(w->reply + 2) & 0x40, 0);
    }
}

static void rfc8906_types(void **state) {
    static const char *const formerr[] = {"TYPE0", "TYPE41", "TYPE250"}, *const notimp[] = {"TYPE249", "TYPE253",
                                                                                            "TYPE254"};
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(ask("www.example.", formerr[i]), "FORMERR\n");
        assert_string_equal(ask("www.example.", notimp[i]), "NOTIMP\n");
    }
    assert_starts(ask("www.example.", "TYPE38"), "NOERROR aa\nns example. 60 SOA");
    assert_starts(ask("www.example.", "TYPE200"), "NOERROR aa\nns example. 60 SOA");
    assert_starts(ask("www.example.", "TYPE65280"), "NOERROR aa\nns example. 60 SOA");
    assert_string_equal(ask("unknown.example.", "TYPE65300"),
                        "NOERROR aa\nan unknown.example. 300 TYPE65300 \\# 4 01020304\n");
}

static void rfc8906_classes(void **state) {
    static const uint16_t classes[] = {SP_CLASS_CH, 4, 77, SP_CLASS_NONE, SP_CLASS_ANY};
    for (unsigned i = 0; i < sizeof classes / sizeof *classes; i++)
        assert_string_equal(
            sp_test_ask(w, (struct sp_test_q){.name = "version.bind.", .type = "TXT", .rclass = classes[i]}),
            "REFUSED\n");
}

static void rfc8906_transfers_and_signed_messages_are_the_writers(void **state) {
    static const char *const types[] = {"AXFR", "IXFR"};
    for (unsigned i = 0; i < 2; i++) {
        sp_test_query(w, &(struct sp_test_q){.name = "example.", .type = types[i]});
        assert_int_equal(sp_test_send(w, SP_VIA_TCP), SP_FOR_WRITER);
        assert_int_equal(w->scratch->msg.qtype, sp_test_type(types[i]));
        assert_int_equal(sp_answer_verified(&w->view, w->scratch, &w->scratch->msg, SP_VIA_TCP, &w->client, w->now,
                                            w->reply, 65535, 0, &w->reply_len),
                         SP_ANSWERED);
        assert_string_equal(sp_test_text(w), "REFUSED\n"); /* whoever sends it on as a plain question */
    }
    sp_test_query(w, &(struct sp_test_q){.name = "www.example.", .type = "A"});
    static const uint8_t tsig[] = "\1k\0\0\xfa\0\xff\0\0\0\0\0\0";
    memcpy(w->query + w->query_len, tsig, 13);
    w->query_len += 13;
    w->query[11] = 1;
    assert_int_equal(sp_test_send(w, SP_VIA_UDP), SP_FOR_WRITER);
    assert_int_equal(w->scratch->msg.auth, SP_AUTH_TSIG);
    assert_int_equal(sp_answer_verified(&w->view, w->scratch, &w->scratch->msg, SP_VIA_UDP, &w->client, w->now,
                                        w->reply, 65535, 100, &w->reply_len),
                     SP_ANSWERED);
    assert_string_equal(sp_test_text(w), "NOERROR aa\nan www.example. 300 A 192.0.2.2\n");
}

static void rfc1035_question_counts(void **state) {
    sp_test_query(w, &(struct sp_test_q){.name = "www.example.", .type = "A"});
    uint8_t two[200];
    size_t len = w->query_len;
    memcpy(two, w->query, len);
    memcpy(two + len, w->query + 12, len - 12);
    two[5] = 2;
    assert_string_equal(ask_bytes(two, 2 * len - 12, SP_ANSWERED), "FORMERR\n");
    assert_string_equal(ask_bytes("\x12\x34\0\0\0\0\0\0\0\0\0\0", 12, SP_ANSWERED), "FORMERR\n");
}

static void rfc1035_malformed_is_formerr(void **state) {
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\xc0\x0c\0\1\0\1", 6},
        {"\3www\xc0\x0c\0\1\0\1", 10},
        {"\x40"
         "ab\0\0\1\0\1",
         8},
        {"\x80\0\0\1\0\1", 6},
        {"\x40"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0\0\1\0\1",
         70},
        {"\3www", 4},
        {"\3www\0\0\1\0", 8},
        {"\3www\0\0\1\0\1junk", 13},
        {"", 0},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t query[128] = "\x12\x34\0\0\0\1";
        memcpy(query + 12, bad[i].bytes, bad[i].len);
        assert_string_equal(ask_bytes(query, 12 + bad[i].len, SP_ANSWERED), "FORMERR\n");
    }
}

static void rfc1035_stubs_and_responses_are_dropped(void **state) {
    for (size_t len = 0; len < 12; len++)
        ask_bytes("\x12\x34\0\0\0\1\0\0\0\0\0\0", len, SP_DROPPED);
    assert_int_equal(w->scratch->counts.dropped_short, 12);
    ask_bytes("\x12\x34\x80\0\0\1\0\0\0\0\0\0", 12, SP_DROPPED);
    assert_int_equal(w->scratch->counts.dropped_response, 1);
}

static void rfc1035_longest_names(void **state) {
    char name[260] = "", *p = name;
    for (unsigned i = 0; i < 123; i++)
        p += sprintf(p, "a.");
    sprintf(p, "example."); /* 255 bytes of wire */
    assert_starts(ask(name, "A"), "NXDOMAIN aa\n");
    assert_int_equal(w->query[12 + 254], 0);
    uint8_t longer[300];
    memcpy(longer, w->query, 12);
    memcpy(longer + 12, "\1b", 2);
    memcpy(longer + 14, w->query + 12, w->query_len - 12);
    assert_string_equal(ask_bytes(longer, w->query_len + 2, SP_ANSWERED), "FORMERR\n");
}

static void rfc8906_queries_are_counted(void **state) {
    struct sp_answer_counts before = w->scratch->counts, *c = &w->scratch->counts;
    ask("www.example.", "A");
    sp_test_ask(w, (struct sp_test_q){.name = "nobody.example.", .type = "HTTPS", .via = SP_VIA_TCP, .dnssec = true});
    assert_int_equal(c->queries[SP_VIA_UDP], before.queries[SP_VIA_UDP] + 1);
    assert_int_equal(c->queries[SP_VIA_TCP], before.queries[SP_VIA_TCP] + 1);
    assert_int_equal(c->queries_edns, before.queries_edns + 1);
    assert_int_equal(c->queries_do, before.queries_do + 1);
    assert_int_equal(c->by_type[SP_TYPE_A], before.by_type[SP_TYPE_A] + 1);
    assert_int_equal(c->by_type[0], before.by_type[0] + 1);
    assert_int_equal(c->type_https, before.type_https + 1);
    assert_int_equal(c->by_rcode[0], before.by_rcode[0] + 1);
    assert_int_equal(c->by_rcode[3], before.by_rcode[3] + 1);
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
        cmocka_unit_test(rfc8906_unknown_opcodes_are_notimp),
        cmocka_unit_test(rfc8906_flags),
        cmocka_unit_test(rfc8906_types),
        cmocka_unit_test(rfc8906_classes),
        cmocka_unit_test(rfc8906_transfers_and_signed_messages_are_the_writers),
        cmocka_unit_test(rfc1035_question_counts),
        cmocka_unit_test(rfc1035_malformed_is_formerr),
        cmocka_unit_test(rfc1035_stubs_and_responses_are_dropped),
        cmocka_unit_test(rfc1035_longest_names),
        cmocka_unit_test(rfc8906_queries_are_counted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
