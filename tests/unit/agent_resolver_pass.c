/* Replies on their way through the resolver: what passes and what does not. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/resolver_rig.h"

static struct resolver_rig *r;
static uint8_t reply[16384];
static size_t reply_len;

static int setup(void **state) {
    static struct resolver_rig rig;
    r = &rig;
    resolver_rig_init(r);
    r->config.forward = true;
    return 0;
}

static int teardown(void **state) {
    resolver_rig_free(r);
    return 0;
}

struct record {
    unsigned section;
    const char *owner;
    uint16_t type;
    const char *rdata; /* text */
};

/* The reply to r->query with these records (up to one without owner). */
static void answer(uint16_t flags, const struct record *records) {
    struct sp_msgw w;
    struct sp_msg q;
    assert_int_equal(sp_msg_parse(&q, r->query, r->query_len), SP_OK);
    sp_msgw_begin(&w, reply, sizeof reply, q.id, SP_FLAG_QR | flags);
    sp_msgw_question(&w, &q.qname, q.qtype, q.qclass);
    for (; records->owner != NULL; records++) {
        uint8_t rdata[1024];
        struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
        struct sp_name owner = resolver_rig_name(records->owner);
        assert_int_equal(sp_rdata_from_text(records->type, records->rdata, strlen(records->rdata), NULL, &wr), SP_OK);
        assert_int_equal(
            sp_msgw_rr(&w, records->section, &owner, records->type, SP_CLASS_IN, 60, rdata, sp_wr_len(&wr)), SP_OK);
    }
    reply_len = sp_msgw_end(&w);
}

static const char *upstream(void) {
    r->out_len = sp_resolver_upstream(&r->config, r->query, r->query_len, reply, reply_len, r->out, sizeof r->out);
    return resolver_rig_reply(r);
}

static const char *relay(void) {
    r->out_len = sp_resolver_relay(&r->config, r->query, r->query_len, reply, reply_len, r->out, sizeof r->out);
    return resolver_rig_reply(r);
}

static void ordinary_answers_pass(void **state) {
    resolver_rig_query(r, "www.example.com.", SP_TYPE_A, 0, 0);
    answer(SP_FLAG_RD | SP_FLAG_RA | SP_FLAG_AA | SP_FLAG_AD,
           (struct record[]){{1, "www.example.com.", SP_TYPE_CNAME, "web.example.com."},
                             {1, "web.example.com.", SP_TYPE_A, "192.0.2.1"},
                             {1, "web.example.com.", SP_TYPE_A, "192.168.1.1"},
                             {2, "example.com.", SP_TYPE_NS, "ns.example.com."},
                             {3, "ns.example.com.", SP_TYPE_AAAA, "2001:db8::1"},
                             {0}});
    assert_string_equal(upstream(),
                        "0 RD RA; www.example.com. 60 CNAME web.example.com.; web.example.com. 60 A 192.0.2.1; "
                        "web.example.com. 60 A 192.168.1.1 | example.com. 60 NS ns.example.com. | "
                        "ns.example.com. 60 AAAA 2001:db8::1");
    /* NXDOMAIN with its SOA. */
    answer(SP_FLAG_RD | SP_RCODE_NXDOMAIN, (struct record[]){{2, "com.", SP_TYPE_SOA, "a. b. 1 2 3 4 5"}, {0}});
    assert_string_equal(upstream(), "3 RD RA | com. 60 SOA a. b. 1 2 3 4 5");
}

static const char *upstream_one(uint16_t type, const char *rdata) {
    resolver_rig_query(r, "x.example.", type, 0, 0);
    answer(SP_FLAG_RD, (struct record[]){{1, "x.example.", type, rdata}, {0}});
    return upstream();
}

static void overlay_text(const uint8_t prefix[8], char ret[64]) {
    snprintf(ret, 64, "%x:%x:%x:%x::5", sp_get_u16(prefix), sp_get_u16(prefix + 2), sp_get_u16(prefix + 4),
             sp_get_u16(prefix + 6));
}

/* A stranger's name must not lead into the overlay or to this machine. */
static void rebinding_addresses_are_dropped(void **state) {
    static const char *const bad6[] = {"::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"};
    char text[64];
    uint8_t prefix[8];
    for (unsigned i = 0; i < 4; i++)
        assert_string_equal(upstream_one(SP_TYPE_AAAA, bad6[i]), "0 RD RA");
    assert_string_equal(upstream_one(SP_TYPE_A, "127.0.0.1"), "0 RD RA");
    assert_string_equal(upstream_one(SP_TYPE_A, "127.8.9.1"), "0 RD RA");
    assert_string_equal(upstream_one(SP_TYPE_A, "0.0.0.0"), "0 RD RA");
    sp_overlay_prefix(r->config.root_hash, prefix);
    overlay_text(prefix, text);
    assert_string_equal(upstream_one(SP_TYPE_AAAA, text), "0 RD RA");
    prefix[7] ^= 1;
    overlay_text(prefix, text);
    assert_string_not_equal(upstream_one(SP_TYPE_AAAA, text), "0 RD RA");
    assert_string_equal(upstream_one(SP_TYPE_AAAA, "::ffff:192.0.2.1"), "0 RD RA; x.example. 60 AAAA ::ffff:c000:201");
    assert_string_equal(upstream_one(SP_TYPE_A, "126.0.0.1"), "0 RD RA; x.example. 60 A 126.0.0.1");
}

static void rfc9460_hints_are_looked_at(void **state) {
    static const char *const bad[] = {"1 . ipv4hint=127.0.0.1", "1 . alpn=h2 ipv4hint=192.0.2.1,127.0.0.1",
                                      "1 . ipv6hint=::1", "1 x.example. ipv6hint=2001:db8::1,::"};
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal(upstream_one(SP_TYPE_HTTPS, bad[i]), "0 RD RA");
        assert_string_equal(upstream_one(SP_TYPE_SVCB, bad[i]), "0 RD RA");
    }
    assert_string_equal(upstream_one(SP_TYPE_HTTPS, "1 . alpn=h2 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"),
                        "0 RD RA; x.example. 60 HTTPS 1 . alpn=\"h2\" ipv4hint=192.0.2.1 ipv6hint=2001:db8::1");
}

/* Nobody else speaks of our zone. */
static void strangers_records_of_the_zone_are_dropped(void **state) {
    resolver_rig_query(r, "x.example.", SP_TYPE_AAAA, 0, 0);
    answer(SP_FLAG_RD, (struct record[]){{1, "x.example.", SP_TYPE_CNAME, "laptop.me.signpost."},
                                         {1, "LAPTOP.me.signpost.", SP_TYPE_AAAA, "2001:db8::1"},
                                         {2, "me.signpost.", SP_TYPE_NS, "ns.x.example."},
                                         {3, "signpost.me.signpost.", SP_TYPE_A, "192.0.2.1"},
                                         {0}});
    assert_string_equal(upstream(), "0 RD RA; x.example. 60 CNAME laptop.me.signpost.");
}

static void only_the_answer_to_the_question_passes(void **state) {
    const char *const failed = "2 RD RA | OPT 1232 23 the answer is to something else";
    const struct record good[] = {{1, "x.example.", SP_TYPE_A, "192.0.2.1"}, {0}};
    resolver_rig_query(r, "x.example.", SP_TYPE_A, 1232, 0);
    answer(SP_FLAG_RD, good);
    assert_string_equal(upstream(), "0 RD RA; x.example. 60 A 192.0.2.1 | OPT 1232");
    reply[1] ^= 1; /* another id */
    assert_string_equal(upstream(), failed);
    reply[1] ^= 1;
    reply[2] &= 0x7f; /* a query */
    assert_string_equal(upstream(), failed);
    reply[2] |= 0x80;
    reply[13] ^= 1; /* another name */
    assert_string_equal(upstream(), failed);
    reply[13] ^= 0x21; /* the same name in capitals */
    assert_string_equal(upstream(), "0 RD RA; x.example. 60 A 192.0.2.1 | OPT 1232");
    reply[24] ^= 1; /* another type */
    assert_string_equal(upstream(), failed);
    reply[24] ^= 1;
    for (size_t n = reply_len; n-- > 0;) {
        reply_len = n;
        assert_string_equal(upstream(), failed);
    }
    r->out_len = sp_resolver_upstream(&r->config, r->query, r->query_len, NULL, 0, r->out, sizeof r->out);
    assert_string_equal(resolver_rig_reply(r), "2 RD RA | OPT 1232 23 no answer from the network's resolvers");
}

/* RFC 6891 6.2.3, 2181 9: what does not fit is said to be missing. */
static void long_answers_are_cut_at_the_clients_size(void **state) {
    struct record records[40];
    static char texts[40][64];
    for (unsigned i = 0; i < 39; i++) {
        snprintf(texts[i], sizeof texts[i], "\"%040u\"", i);
        records[i] = (struct record){1, "x.example.", SP_TYPE_TXT, texts[i]};
    }
    records[39] = (struct record){0};
    resolver_rig_query(r, "x.example.", SP_TYPE_TXT, 0, 0);
    answer(SP_FLAG_RD, records);
    assert_memory_equal(upstream(), "0 TC RD RA;", 11);
    assert_true(r->out_len <= 512);
    resolver_rig_query(r, "x.example.", SP_TYPE_TXT, 1000, 0);
    answer(SP_FLAG_RD, records);
    assert_memory_equal(upstream(), "0 TC RD RA;", 11);
    assert_true(r->out_len > 512 && r->out_len <= 1000);
    assert_non_null(strstr(r->text, "| OPT 1232"));
    records[15] = (struct record){0};
    answer(SP_FLAG_RD, records);
    assert_memory_equal(upstream(), "0 RD RA;", 8);
}

static void malformed_rdata_is_left_out(void **state) {
    resolver_rig_query(r, "x.example.", SP_TYPE_MX, 0, 0);
    answer(SP_FLAG_RD, (struct record[]){{1, "x.example.", SP_TYPE_MX, "10 mail.example."}, {0}});
    assert_string_equal(upstream(), "0 RD RA; x.example. 60 MX 10 mail.example.");
    reply[reply_len - 2] = 0xff; /* a pointer to what follows */
    assert_string_equal(upstream(), "0 RD RA");
}

/* ---- from the signpost ---- */

static void the_signposts_answers_pass(void **state) {
    resolver_rig_query(r, "laptop.me.signpost.", SP_TYPE_SSHFP, 1232, 0);
    answer(SP_FLAG_AA, (struct record[]){{1, "laptop.me.signpost.", SP_TYPE_SSHFP, "4 2 00"}, {0}});
    reply[0] ^= 0xff; /* the session's id is another */
    assert_string_equal(relay(), "0 AA RD RA; laptop.me.signpost. 60 SSHFP 4 2 00 | OPT 1232");
    r->out_len = sp_resolver_relay(&r->config, r->query, r->query_len, NULL, 0, r->out, sizeof r->out);
    assert_string_equal(resolver_rig_reply(r), "2 RD RA | OPT 1232 22 no answer from the signpost");
    reply[13] ^= 1;
    assert_string_equal(relay(), "2 RD RA | OPT 1232 22 the signpost's answer is to something else");
}

/* RFC 6724 would prefer a published IPv4 address, and go around the tunnel. */
static void published_addresses_do_not_pass(void **state) {
    char text[64], want[200];
    uint8_t prefix[8];
    sp_overlay_prefix(r->config.root_hash, prefix);
    overlay_text(prefix, text);
    resolver_rig_query(r, "www.laptop.me.signpost.", SP_TYPE_AAAA, 0, 0);
    answer(SP_FLAG_AA, (struct record[]){{1, "www.laptop.me.signpost.", SP_TYPE_AAAA, "2001:db8::1"},
                                         {1, "www.laptop.me.signpost.", SP_TYPE_AAAA, text},
                                         {3, "laptop.me.signpost.", SP_TYPE_A, "192.0.2.1"},
                                         {0}});
    snprintf(want, sizeof want, "0 AA RD RA; www.laptop.me.signpost. 60 AAAA %s", text);
    assert_string_equal(relay(), want);
    resolver_rig_query(r, "laptop.me.signpost.", SP_TYPE_HTTPS, 0, 0);
    answer(SP_FLAG_AA, (struct record[]){{1, "laptop.me.signpost.", SP_TYPE_HTTPS, "1 . ipv4hint=192.0.2.1"}, {0}});
    assert_string_equal(relay(), "0 AA RD RA");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ordinary_answers_pass),
        TEST(rebinding_addresses_are_dropped),
        TEST(rfc9460_hints_are_looked_at),
        TEST(strangers_records_of_the_zone_are_dropped),
        TEST(only_the_answer_to_the_question_passes),
        TEST(long_answers_are_cut_at_the_clients_size),
        TEST(malformed_rdata_is_left_out),
        TEST(the_signposts_answers_pass),
        TEST(published_addresses_do_not_pass),
    };
    return cmocka_run_group_tests_name("agent_resolver_pass", tests, NULL, NULL);
}
