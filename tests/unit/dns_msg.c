#include "tests/unit/cm.h"

#include <string.h>

#include "proto/dns/msg.h"

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, strlen(text), NULL), SP_OK);
    return n;
}

static size_t hex(const char *text, uint8_t *ret) {
    return sp_test_hex(text, ret, 4096);
}

/* A query for www.example. A with an OPT of 1232, DO, and a client cookie. */
static const char query[] = "1234 0120 0001 0000 0000 0001  03 777777 07 6578616d706c65 00 0001 0001"
                            "00 0029 04d0 00 00 8000 000c  000a 0008 0102030405060708";

static void rfc6891_query(void **state) {
    uint8_t m[512];
    size_t len = hex(query, m);
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, m, len), SP_OK);
    assert_int_equal(msg.id, 0x1234);
    assert_int_equal(msg.flags, SP_FLAG_RD | SP_FLAG_AD);
    assert_int_equal(msg.count[0], 1);
    assert_int_equal(msg.count[3], 1);
    struct sp_name want = name_of("www.example.");
    assert_true(sp_name_equal(&msg.qname, &want));
    assert_int_equal(msg.qtype, SP_TYPE_A);
    assert_int_equal(msg.qclass, SP_CLASS_IN);
    assert_true(msg.edns.present);
    assert_int_equal(msg.edns.udp_size, 1232);
    assert_int_equal(msg.edns.flags, SP_EDNS_DO);
    assert_int_equal(msg.edns.version, 0);
    struct sp_rd value;
    assert_true(sp_edns_find(&msg.edns, SP_EDNS_COOKIE, &value));
    assert_int_equal(sp_rd_left(&value), 8);
    assert_false(sp_edns_find(&msg.edns, SP_EDNS_NSID, &value));
    assert_int_equal(msg.auth, SP_AUTH_NONE);
}

/* Every truncation of a good message fails, and never reads past its end (an exact allocation, for the sanitizer). */
static void truncations(void **state) {
    uint8_t m[512];
    size_t len = hex(query, m);
    for (size_t n = 0; n < len; n++) {
        uint8_t *exact = test_malloc(n + 1);
        memcpy(exact + 1, m, n);
        struct sp_msg msg;
        assert_int_equal(sp_msg_parse(&msg, exact + 1, n), SP_ERR_SHORT);
        assert_int_equal(msg.id, n >= 12 ? 0x1234 : 0);
        assert_int_equal(msg.count[0], n >= 29 ? 1 : 0);
        assert_int_equal(msg.count[3], 0);
        test_free(exact);
    }
    m[len] = 0;
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, m, len + 1), SP_ERR_FORM);
    assert_true(msg.edns.present);
}

static void expect(const char *text, sp_err want, enum sp_msg_auth auth) {
    uint8_t m[512];
    size_t len = hex(text, m);
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, m, len), want);
    assert_int_equal(msg.auth, auth);
    if (auth != SP_AUTH_NONE)
        assert_int_equal(sp_get_u16(m + msg.auth_offset + 1), auth == SP_AUTH_TSIG ? SP_TYPE_TSIG : SP_TYPE_SIG);
}

#define HEAD(an, ns, ar) "0001 0000 0001 " an " " ns " " ar " 00 0001 0001 "
#define OPT              "00 0029 04d0 00000000 0000 "
#define TSIG             "00 00fa 00ff 00000000 0000 "
#define SIG0             "00 0018 00ff 00000000 0004 0000 0f00 "
#define SIGA             "00 0018 00ff 00000000 0004 0001 0f00 "
#define A                "00 0001 0001 00000000 0004 7f000001 "

static void rfc6891_one_opt(void **state) {
    expect(HEAD("0000", "0000", "0001") OPT, SP_OK, SP_AUTH_NONE);
    expect(HEAD("0000", "0000", "0002") OPT OPT, SP_ERR_FORM, SP_AUTH_NONE);
    expect(HEAD("0001", "0000", "0000") OPT, SP_ERR_FORM, SP_AUTH_NONE);
    expect(HEAD("0000", "0000", "0001") "0161" OPT, SP_ERR_FORM, SP_AUTH_NONE);
    /* options that do not fill the rdata */
    expect(HEAD("0000", "0000", "0001") "00 0029 04d0 00000000 0005 000a 0002 00", SP_ERR_SHORT, SP_AUTH_NONE);
    expect(HEAD("0000", "0000", "0001") "00 0029 04d0 00000000 0003 000a 00", SP_ERR_SHORT, SP_AUTH_NONE);
}

static void rfc8945_rfc2931_last(void **state) {
    expect(HEAD("0000", "0000", "0002") OPT TSIG, SP_OK, SP_AUTH_TSIG);
    expect(HEAD("0000", "0000", "0002") OPT SIG0, SP_OK, SP_AUTH_SIG0);
    expect(HEAD("0000", "0000", "0002") TSIG OPT, SP_ERR_FORM, SP_AUTH_NONE);
    expect(HEAD("0000", "0000", "0002") TSIG TSIG, SP_ERR_FORM, SP_AUTH_NONE);
    expect(HEAD("0000", "0000", "0002") SIG0 TSIG, SP_ERR_FORM, SP_AUTH_NONE);
    expect(HEAD("0000", "0001", "0000") TSIG, SP_ERR_FORM, SP_AUTH_NONE);
    expect(HEAD("0001", "0000", "0000") SIG0, SP_ERR_FORM, SP_AUTH_NONE);
    /* a SIG over a type is an ordinary record */
    expect(HEAD("0001", "0000", "0001") SIGA A, SP_OK, SP_AUTH_NONE);
    expect(HEAD("0000", "0000", "0002") SIGA SIG0, SP_OK, SP_AUTH_SIG0);
}

static void rfc1035_bad_owner(void **state) {
    expect(HEAD("0001", "0000", "0000") "c011 0001 0001 00000000 0004 7f000001", SP_ERR_FORM, SP_AUTH_NONE);
    expect(HEAD("0001", "0000", "0000") A, SP_OK, SP_AUTH_NONE);
    expect(HEAD("0002", "0000", "0000") A, SP_ERR_SHORT, SP_AUTH_NONE);
    expect("0001 0000 0000 0000 0000 0000", SP_OK, SP_AUTH_NONE);
    expect("0001 0000 0002 0000 0000 0000 00 0001 0001 00 0001 0001", SP_OK, SP_AUTH_NONE);
    expect("0001 0000 0002 0000 0000 0000 00 0001 0001 00 0001 00", SP_ERR_SHORT, SP_AUTH_NONE);
}

static size_t add_names(struct sp_msgw *w, uint8_t *rdata, const char *a, const char *b) {
    struct sp_name x = name_of(a), y = name_of(b);
    memcpy(rdata, x.wire, x.len);
    memcpy(rdata + x.len, y.wire, y.len);
    memset(rdata + x.len + y.len, 7, 20);
    return (size_t)x.len + y.len + 20;
}

/* What the writer writes, the parser reads back; names are compressed as RFC 1035 4.1.4 says. */
static void rfc1035_write_compressed(void **state) {
    uint8_t buf[600], rdata[600], out[600];
    struct sp_msgw w;
    struct sp_name owner = name_of("www.Example.org."), apex = name_of("example.ORG.");
    sp_msgw_begin(&w, buf, sizeof buf, 7, SP_FLAG_QR | SP_FLAG_AA);
    sp_msgw_question(&w, &owner, SP_TYPE_A, SP_CLASS_IN);
    assert_int_equal(sp_wr_len(&w.wr), 12 + 17 + 4);
    static const uint8_t four[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
    assert_int_equal(sp_msgw_rr(&w, 1, &owner, SP_TYPE_A, 1, 60, four[0], 4), SP_OK);
    assert_int_equal(sp_wr_len(&w.wr), 33 + 16);
    assert_int_equal(sp_msgw_rr(&w, 1, &owner, SP_TYPE_A, 1, 60, four[1], 4), SP_OK);
    size_t len = add_names(&w, rdata, "ns.example.org.", "host.www.example.org.");
    assert_int_equal(sp_msgw_rr(&w, 2, &apex, SP_TYPE_SOA, 1, 60, rdata, len), SP_OK);
    /* owner 2, fixed 10, "ns" and a pointer 5, "host" and a pointer 7, numbers 20 */
    assert_int_equal(sp_wr_len(&w.wr), 33 + 32 + 2 + 10 + 5 + 7 + 20);
    /* SRV's target is not compressed (RFC 2782) */
    struct sp_name target = name_of("ns.example.org.");
    memset(rdata + 100, 0, 6);
    memcpy(rdata + 106, target.wire, target.len);
    assert_int_equal(sp_msgw_rr(&w, 3, &apex, SP_TYPE_SRV, 1, 60, rdata + 100, 6u + target.len), SP_OK);
    assert_int_equal(sp_wr_len(&w.wr), 109 + 2 + 10 + 6 + 16);
    struct sp_optw o;
    sp_msgw_opt_begin(&w, &o, 1232, SP_RCODE_BADVERS, 0, SP_EDNS_DO);
    sp_msgw_opt_add(&w, SP_EDNS_NSID, "ab", 2);
    sp_msgw_opt_end(&w, &o);
    size_t n = sp_msgw_end(&w);

    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, buf, n), SP_OK);
    assert_int_equal(msg.count[1], 2);
    assert_int_equal(msg.count[2], 1);
    assert_int_equal(msg.count[3], 2);
    assert_int_equal(msg.edns.ext_rcode, 1);
    struct sp_rd value;
    assert_true(sp_edns_find(&msg.edns, SP_EDNS_NSID, &value));
    assert_memory_equal(value.pos, "ab", 2);
    struct sp_rd rd = sp_msg_section(&msg, 1);
    struct sp_rr rr;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
        assert_true(sp_name_equal(&rr.owner, &owner));
        assert_int_equal(rr.ttl, 60);
        assert_memory_equal(rr.rdata.pos, four[i], 4);
    }
    assert_int_equal(sp_rd_left(&rd), 0);
    rd = sp_msg_section(&msg, 2);
    assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
    assert_true(sp_name_equal(&rr.owner, &apex));
    struct sp_wr wr = sp_wr_init(out, sizeof out);
    assert_int_equal(sp_rdata_read(SP_TYPE_SOA, &rr.rdata, &wr), SP_OK);
    assert_int_equal(sp_wr_len(&wr), len);
    struct sp_name a, b;
    struct sp_rd plain = sp_rd_init(out, len);
    assert_int_equal(sp_name_read_plain(&plain, &a), SP_OK);
    assert_int_equal(sp_name_read_plain(&plain, &b), SP_OK);
    assert_true(sp_name_equal(&a, &target));
    struct sp_name host = name_of("host.www.example.org.");
    assert_true(sp_name_equal(&b, &host));
}

/* No room: the record or the RRset is taken back whole, and what comes after still reads well. */
static void no_room(void **state) {
    struct sp_name owner = name_of("a-name.example."), other = name_of("b.a-name.example.");
    uint8_t full[512], buf[512];
    static const uint8_t rdata[] = {0, 4, 1, 2, 3, 4, 0, 4, 1, 2, 3, 5, 0, 4, 1, 2, 3, 6};
    struct sp_rrs rrs = {SP_TYPE_A, SP_CLASS_IN, 300, 3, rdata, sizeof rdata};
    struct sp_msgw w;
    sp_msgw_begin(&w, full, sizeof full, 1, 0);
    assert_int_equal(sp_msgw_rrs(&w, 1, &owner, &rrs), SP_OK);
    size_t need = sp_msgw_end(&w);
    assert_int_equal(need, 12 + 16 + 14 + 16 + 16);
    for (size_t cap = 12; cap < need; cap++) {
        sp_msgw_begin(&w, buf, cap, 1, 0);
        assert_int_equal(sp_msgw_rrs(&w, 1, &owner, &rrs), SP_ERR_SPACE);
        assert_int_equal(sp_wr_len(&w.wr), 12);
        sp_err err = sp_msgw_rr(&w, 1, &other, SP_TYPE_A, 1, 1, rdata + 2, 4);
        size_t len = sp_msgw_end(&w);
        assert_int_equal(len, err == SP_OK ? 12 + 18 + 14 : 12);
        struct sp_msg msg;
        struct sp_rr rr;
        assert_int_equal(sp_msg_parse(&msg, buf, len), SP_OK);
        assert_int_equal(msg.count[1], err == SP_OK ? 1 : 0);
        struct sp_rd rd = sp_msg_section(&msg, 1);
        if (err == SP_OK) {
            assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
            assert_true(sp_name_equal(&rr.owner, &other));
        }
    }
    sp_msgw_begin(&w, buf, 11, 1, 0);
    assert_int_equal(sp_msgw_end(&w), 0);
    sp_msgw_begin(&w, buf, sizeof buf, 1, 0);
    assert_int_equal(sp_msgw_rr(&w, 1, &owner, SP_TYPE_NS, 1, 1, (const uint8_t *)"\005ab", 3), SP_ERR_FORM);
    assert_int_equal(sp_msgw_end(&w), 12);
}

/* Beyond offset 0x3FFF nothing can be pointed at (RFC 1035 4.1.4). */
static void rfc1035_far_names(void **state) {
    static uint8_t buf[SP_MSG_MAX], rdata[400];
    struct sp_msgw w;
    sp_msgw_begin(&w, buf, sizeof buf, 1, 0);
    unsigned n = 0;
    for (; n < 2000; n++) {
        char text[40];
        size_t at = 40;
        text[--at] = '.';
        for (unsigned v = n; v > 0 || at == 39; v /= 10)
            text[--at] = (char)('0' + v % 10);
        struct sp_name owner;
        assert_int_equal(sp_name_from_text(&owner, text + at, 40 - at, NULL), SP_OK);
        static const uint8_t one[4] = {1};
        assert_int_equal(sp_msgw_rr(&w, 1, &owner, SP_TYPE_A, 1, n, one, 4), SP_OK);
        if (n % 3 == 0 && sp_msgw_rr(&w, 1, &owner, SP_TYPE_TXT, 1, n, rdata, 1) != SP_OK)
            break;
    }
    size_t len = sp_msgw_end(&w);
    assert_true(len > 0x8000);
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, buf, len), SP_OK);
    struct sp_rd rd = sp_msg_section(&msg, 1);
    struct sp_rr rr;
    while (sp_rd_left(&rd) > 0) {
        assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
        uint32_t v = 0;
        for (unsigned i = 1; i <= rr.owner.wire[0]; i++)
            v = v * 10 + (rr.owner.wire[i] - '0');
        assert_int_equal(v, rr.ttl);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc6891_query),     cmocka_unit_test(truncations),
        cmocka_unit_test(rfc6891_one_opt),   cmocka_unit_test(rfc8945_rfc2931_last),
        cmocka_unit_test(rfc1035_bad_owner), cmocka_unit_test(rfc1035_write_compressed),
        cmocka_unit_test(no_room),           cmocka_unit_test(rfc1035_far_names),
    };
    return cmocka_run_group_tests_name("dns_msg", tests, NULL, NULL);
}
