#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/dns/rrset.h"
#include "proto/dns/rrtype.h"

static sp_err from_text(const char *type, const char *text, uint8_t *ret, size_t cap, size_t *ret_len) {
    uint16_t t;
    assert_int_equal(sp_type_from_text(type, strlen(type), &t), SP_OK);
    struct sp_wr wr = sp_wr_init(ret, cap);
    sp_err err = sp_rdata_from_text(t, text, strlen(text), NULL, &wr);
    *ret_len = sp_wr_len(&wr);
    return err;
}

static void to_text(uint16_t type, const uint8_t *rdata, size_t len, char *ret, size_t cap) {
    struct sp_wr wr = sp_wr_init(ret, cap - 1);
    sp_rdata_to_text(type, rdata, len, &wr);
    assert_int_equal(wr.err, SP_OK);
    *wr.pos = 0;
}

/* One line of tests/vectors/rdata.txt: text -> wire, wire -> text -> wire, reading, checking, every truncation. */
static void check_vector(const char *type, const char *text, const char *hex, const char *printed) {
    uint8_t want[1024], got[1024];
    char out[4096];
    size_t len, n = sp_test_hex(hex, want, sizeof want);
    uint16_t t;
    assert_int_equal(sp_type_from_text(type, strlen(type), &t), SP_OK);
    assert_int_equal(from_text(type, text, got, sizeof got, &len), SP_OK);
    assert_int_equal(len, n);
    assert_memory_equal(got, want, n);
    to_text(t, want, n, out, sizeof out);
    assert_string_equal(out, printed);
    assert_int_equal(from_text(type, out, got, sizeof got, &len), SP_OK);
    assert_int_equal(len, n);
    assert_memory_equal(got, want, n);
    assert_int_equal(sp_rdata_check(t, want, n), SP_OK);
    struct sp_rd rd = sp_rd_init(want, n);
    struct sp_wr wr = sp_wr_init(got, sizeof got);
    assert_int_equal(sp_rdata_read(t, &rd, &wr), SP_OK);
    assert_int_equal(sp_wr_len(&wr), n);
    assert_memory_equal(got, want, n);
    for (size_t cut = 0; cut < n; cut++) {
        /* Wherever it is cut, it is refused or is rdata of its own that prints and reads back. */
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact + 1, want, cut);
        to_text(t, exact + 1, cut, out, sizeof out);
        if (sp_rdata_check(t, exact + 1, cut) == SP_OK) {
            assert_int_equal(from_text(type, out, got, sizeof got, &len), SP_OK);
            assert_int_equal(len, cut);
            assert_memory_equal(got, want, cut);
        }
        struct sp_wr small = sp_wr_init(got, cut);
        assert_int_equal(sp_rdata_from_text(t, printed, strlen(printed), NULL, &small), SP_ERR_SPACE);
        rd = sp_rd_init(want, n);
        small = sp_wr_init(got, cut);
        assert_int_equal(sp_rdata_read(t, &rd, &small), SP_ERR_SPACE);
        free(exact);
    }
}

static void vectors(void **state) {
    char path[4096];
    snprintf(path, sizeof path, "%s/rdata.txt",
             getenv("SIGNPOST_VECTORS") ? getenv("SIGNPOST_VECTORS") : "tests/vectors");
    char *file = sp_test_read(path, NULL), *rest = file;
    assert_non_null(file);
    unsigned count = 0;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (line[0] == '#' || line[0] == 0)
            continue;
        char *type = strsep(&line, "\t"), *text = strsep(&line, "\t"), *hex = strsep(&line, "\t"), *printed = line;
        assert_non_null(printed);
        print_message("# %s %s\n", type, text);
        check_vector(type, text, hex, printed);
        count++;
    }
    assert_true(count >= 60);
    free(file);
}

static const char sha256_hex[] = "0000000000000000000000000000000000000000000000000000000000000000";

static void bad_text(void **state) {
    static const struct {
        const char *type, *text;
    } rows[] = {
        {"A", ""},
        {"A", "1.2.3"},
        {"A", "1.2.3.256"},
        {"A", "1.2.3.4.5"},
        {"A", "1.2.3.04"},
        {"A", "1.2.3.4 5"},
        {"AAAA", "1::2::3"},
        {"AAAA", ":1:2:3:4:5:6:7"},
        {"AAAA", "1:2:3:4:5:6:7:8:9"},
        {"AAAA", "1:2:3:4:5:6:7"},
        {"AAAA", "12345::"},
        {"AAAA", "::1.2.3"},
        {"AAAA", "1:2:3:4:5:6:7:1.2.3.4"},
        {"AAAA", "1:2:3:4:5:6:7:8::"},
        {"AAAA", "1:"},
        {"MX", "65536 a."},
        {"MX", "-1 a."},
        {"MX", "10"},
        {"NS", "a..b."},
        {"TXT", ""},
        {"TXT", "\"open"},
        {"TXT", "\"\\256\""},
        {"TXT", "(\"a\""},
        {"TXT", "\"a\")"},
        {"DNSKEY", "257 3 15"},
        {"DNSKEY", "257 3 15 A"},
        {"DNSKEY", "257 3 15 AA"},
        {"DNSKEY", "257 3 15 AA=A"},
        {"DNSKEY", "257 3 15 AB=="}, /* bits left over */
        {"DNSKEY", "257 3 NOSUCH AA=="},
        {"DS", "1 15 2 00"}, /* SHA-256 has 32 bytes */
        {"DS", "1 15 2"},
        {"DS", "1 15 9 0"},
        {"DS", "1 15 9 0g"},
        {"RRSIG", "A 5 3 1 20030332000000 20030220173103 2642 a. AAAA"},
        {"RRSIG", "A 5 3 1 20030229000000 20030220173103 2642 a. AAAA"},
        {"RRSIG", "A 5 3 1 21070229000000 20030220173103 2642 a. AAAA"},
        {"RRSIG", "NOSUCH 5 3 1 20030220173103 20030220173103 2642 a. AAAA"},
        {"NSEC", "a. A NOSUCH"},
        {"NSEC", ""},
        {"NSEC3", "1 0 0 - - A"},
        {"NSEC3", "1 0 0 abc 2t7b4g4v A"},
        {"NSEC3", "1 0 0 - 2t7b4g4 A"},
        {"NSEC3", "1 0 0 - 2t7b4g4w A"},
        {"CAA", "0 is-sue \"x\""},
        {"CAA", "0 \"\" \"x\""},
        {"CAA", "256 issue \"x\""},
        {"OPT", "1"},
        {"TYPE731", "10.0.0.1"},
        {"TYPE731", "\\# 3 abcd"},
        {"TYPE731", "\\# 1 abcd"},
        {"TYPE731", "\\# 65536 00"},
        {"A", "\\# 3 0a0000"}, /* known types are checked in that form too */
        {"TSIG", "a. 1 300 4 AQIDBAU= 1 0 0"},
        {"TSIG", "a. 281474976710656 300 0 1 0 0"},
    };
    uint8_t out[400];
    size_t len;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sp_err err = from_text(rows[i].type, rows[i].text, out, sizeof out, &len);
        if (err == SP_OK)
            print_message("# accepted: %s %s\n", rows[i].type, rows[i].text);
        assert_int_not_equal(err, SP_OK);
        assert_int_equal(len, 0);
    }
    char ds[100];
    snprintf(ds, sizeof ds, "1 15 2 %s", sha256_hex);
    assert_int_equal(from_text("DS", ds, out, sizeof out, &len), SP_OK);
}

/* RFC 9460 appendix D.3, and the rules of 2.2, 7 and 8. */
static void rfc9460_failures(void **state) {
    static const char *const bad[] = {
        "1 foo.example.com. key123=abc key123=def",
        "1 foo.example.com. mandatory",
        "1 foo.example.com. alpn",
        "1 foo.example.com. port",
        "1 foo.example.com. ipv4hint",
        "1 foo.example.com. ipv6hint",
        "1 foo.example.com. no-default-alpn=abc",
        "1 foo.example.com. mandatory=key123",
        "1 foo.example.com. mandatory=mandatory",
        "1 foo.example.com. mandatory=key123,key123 key123=abc",
        "1 . no-default-alpn",
        "1 . alpn=h2,",
        "1 . alpn=\"h2,,h3\"",
        "1 . alpn=\"\\\\x\"",
        "1 . port=65536",
        "1 . port=a",
        "1 . ipv4hint=1.2.3.4,",
        "1 . ech=A",
        "1 . key01=a",
        "1 . key65536=a",
        "1 . nosuch=a",
        "1 . key7x=a",
        "1 . alpn=\"h2",
        "1 . =x",
        "1",
    };
    uint8_t out[400];
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sp_err err = from_text("SVCB", bad[i], out, sizeof out, &len);
        if (err == SP_OK)
            print_message("# accepted: %s\n", bad[i]);
        assert_int_not_equal(err, SP_OK);
    }
    static const char *const wire[] = {
        "0001 00 0003 0002 0035 0001 0003 026832", /* not ascending */
        "0001 00 0003 0002 0035 0003 0002 0035",   /* repeated */
        "0001 00 0003 0001 35",                    /* port of one byte */
        "0001 00 0001 0003 036832",                /* alpn runs over */
        "0001 00 0001 0001 00",                    /* empty alpn */
        "0001 00 0004 0005 0102030405",            /* not a multiple of four */
        "0001 00 0000 0002 0003",                  /* mandatory key absent */
        "0001 00 0000 0004 00030003 0003 0002 0035",
        "0001 00 0000 0004 00040003 0003 0002 0035 0004 0004 01020304", /* mandatory not ascending */
        "0001 00 0002 0000",                                            /* no-default-alpn without alpn */
        "0001 00 0003 0003 0035",
        "0001 c000",
    };
    for (size_t i = 0; i < sizeof wire / sizeof wire[0]; i++) {
        uint8_t m[100];
        size_t n = sp_test_hex(wire[i], m, sizeof m);
        assert_int_not_equal(sp_rdata_check(SP_TYPE_SVCB, m, n), SP_OK);
    }
    /* The longest alpn there is, and one more. */
    char text[400] = "1 . alpn=";
    memset(text + 9, 'a', 256);
    text[9 + 255] = 0;
    assert_int_equal(from_text("SVCB", text, out, sizeof out, &len), SP_OK);
    text[9 + 255] = 'a';
    assert_int_not_equal(from_text("SVCB", text, out, sizeof out, &len), SP_OK);
}

static void bad_wire(void **state) {
    static const struct {
        uint16_t type;
        const char *hex;
    } rows[] = {
        {SP_TYPE_A, "010203"},
        {SP_TYPE_A, "0102030405"},
        {SP_TYPE_AAAA, "01020304"},
        {SP_TYPE_NS, ""},
        {SP_TYPE_NS, "016100ff"},
        {SP_TYPE_NS, "c000"},
        {SP_TYPE_MX, "000a"},
        {SP_TYPE_SOA, "00 00 0000000000000000000000000000000000000000ff"},
        {SP_TYPE_TXT, ""},
        {SP_TYPE_TXT, "0261"},
        {SP_TYPE_TXT, "016102"},
        {SP_TYPE_SRV, "000000000000"},
        {SP_TYPE_DS, "0001 0f 02 00"},
        {SP_TYPE_DS, "0001 0f 09"},
        {SP_TYPE_DNSKEY, "0101030f"},
        {SP_TYPE_NSEC, "00 00 01 00"},          /* zero byte at the window's end */
        {SP_TYPE_NSEC, "00 00 00"},             /* empty window */
        {SP_TYPE_NSEC, "00 01 01 40 00 01 40"}, /* windows descend */
        {SP_TYPE_NSEC, "00 00 01 40 00 01 40"}, /* window twice */
        {SP_TYPE_NSEC, "00 00 21 000000000000000000000000000000000000000000000000000000000000000001"},
        {SP_TYPE_NSEC3, "01 00 0000 00 00 00 01 40"}, /* no hash */
        {SP_TYPE_NSEC3PARAM, "01 00 0000 02 00"},
        {SP_TYPE_CAA, "00 00 61"},
        {SP_TYPE_CAA, "00 02 2d61"},
        {SP_TYPE_CAA, "00 09 6162"},
        {SP_TYPE_OPT, "000a 0002 00"},
        {SP_TYPE_OPT, "000a 00"},
        {SP_TYPE_TLSA, "030101"},
        {SP_TYPE_SSHFP, "0401"},
        {SP_TYPE_CSYNC, "00000042"},
        {SP_TYPE_RRSIG, "0001 05 03 00015180 3e7ca0e7 3e554b67 0a52 00"}, /* no signature */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t m[100], out[100];
        size_t n = sp_test_hex(rows[i].hex, m, sizeof m);
        if (sp_rdata_check(rows[i].type, m, n) == SP_OK)
            print_message("# accepted: %u %s\n", rows[i].type, rows[i].hex);
        assert_int_not_equal(sp_rdata_check(rows[i].type, m, n), SP_OK);
        struct sp_rd rd = sp_rd_init(m, n);
        struct sp_wr wr = sp_wr_init(out, sizeof out);
        assert_int_not_equal(sp_rdata_read(rows[i].type, &rd, &wr), SP_OK);
        assert_int_equal(sp_wr_len(&wr), 0);
        char text[400];
        to_text(rows[i].type, m, n, text, sizeof text);
        assert_memory_equal(text, "\\# ", 3);
    }
}

/* RFC 4034 6.2 with RFC 6840 5.1: which types' names are lowered. */
static void rfc4034_canonical(void **state) {
    static const struct {
        const char *type, *text, *want;
    } rows[] = {
        {"NS", "A.Example.", "a.example."},
        {"CNAME", "A.Example.", "a.example."},
        {"PTR", "A.Example.", "a.example."},
        {"DNAME", "A.Example.", "a.example."},
        {"MX", "10 A.Example.", "10 a.example."},
        {"SRV", "0 0 1 A.Example.", "0 0 1 a.example."},
        {"SOA", "A.B. C.D. 1 2 3 4 5", "a.b. c.d. 1 2 3 4 5"},
        {"RRSIG", "A 5 3 1 20030220173103 20030220173103 1 A.B. QUJD",
         "A 5 3 1 20030220173103 20030220173103 1 a.b. QUJD"},
        {"SIG", "A 5 3 1 20030220173103 20030220173103 1 A.B. QUJD",
         "A 5 3 1 20030220173103 20030220173103 1 a.b. QUJD"},
        {"NSEC", "A.B. A", "A.B. A"},
        {"SVCB", "1 A.B. alpn=\"AB\"", "1 A.B. alpn=\"AB\""},
        {"TXT", "\"ABC\"", "\"ABC\""},
        {"CAA", "0 ISSUE \"ABC\"", "0 ISSUE \"ABC\""},
        {"TYPE731", "\\# 3 014100", "\\# 3 014100"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t m[200];
        size_t len;
        uint16_t t;
        char text[400];
        assert_int_equal(sp_type_from_text(rows[i].type, strlen(rows[i].type), &t), SP_OK);
        assert_int_equal(from_text(rows[i].type, rows[i].text, m, sizeof m, &len), SP_OK);
        sp_rdata_canonical(t, m, len);
        to_text(t, m, len, text, sizeof text);
        assert_string_equal(text, rows[i].want);
    }
    assert_true(sp_rdata_cmp((const uint8_t *)"ab", 2, (const uint8_t *)"abc", 3) < 0);
    assert_true(sp_rdata_cmp((const uint8_t *)"b", 1, (const uint8_t *)"abc", 3) > 0);
    assert_true(sp_rdata_cmp((const uint8_t *)"\377", 1, (const uint8_t *)"\001", 1) > 0);
    assert_int_equal(sp_rdata_cmp(NULL, 0, NULL, 0), 0);
}

/* RFC 3597 4: receivers expand names of types that may be compressed, and refuse pointers elsewhere. */
static void rfc3597_expand(void **state) {
    static const struct {
        uint16_t type;
        const char *hex, *want;
    } rows[] = {
        {SP_TYPE_NS, "026e73c00c", "ns.example."},
        {SP_TYPE_MX, "000a c00c", "10 example."},
        {SP_TYPE_SOA, "c00c 0161c00c 00000001 00000002 00000003 00000004 00000005", "example. a.example. 1 2 3 4 5"},
        {SP_TYPE_SRV, "0000 0000 0001 c00c", "0 0 1 example."},
        {SP_TYPE_SIG, "0001 05 02 00000001 00000000 00000000 0001 c00c 41",
         "A 5 2 1 19700101000000 19700101000000 1 example. QQ=="},
        {SP_TYPE_DNAME, "c00c", NULL},
        {SP_TYPE_NSEC, "c00c 00 01 40", NULL},
        {SP_TYPE_RRSIG, "0001 05 02 00000001 00000000 00000000 0001 c00c 41", NULL},
        {SP_TYPE_SVCB, "0001 c00c", NULL},
        {SP_TYPE_TSIG, "c00c 000000000001 012c 0000 0001 0000 0000", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t m[200] = {0}, out[200];
        char text[200];
        memcpy(m + 12, "\007example", 9);
        size_t n = sp_test_hex(rows[i].hex, m + 30, sizeof m - 30);
        struct sp_rd all = sp_rd_init(m, sizeof m);
        all.pos += 30;
        struct sp_rd rd = sp_rd_sub(&all, n);
        struct sp_wr wr = sp_wr_init(out, sizeof out);
        sp_err err = sp_rdata_read(rows[i].type, &rd, &wr);
        assert_int_equal(err, rows[i].want != NULL ? SP_OK : SP_ERR_FORM);
        if (err != SP_OK)
            continue;
        to_text(rows[i].type, out, sp_wr_len(&wr), text, sizeof text);
        assert_string_equal(text, rows[i].want);
    }
}

static void names_inside(void **state) {
    uint8_t m[200];
    size_t len;
    struct sp_name found[3];
    char text[SP_NAME_TEXT_MAX];
    assert_int_equal(from_text("SOA", "a. b.c. 1 1h30m 1w2d 3 4", m, sizeof m, &len), SP_OK);
    assert_int_equal(sp_get_u32(m + len - 16), 5400);
    assert_int_equal(sp_get_u32(m + len - 12), 9 * 86400);
    assert_int_equal(sp_rdata_names(SP_TYPE_SOA, m, len, found, 3), 2);
    (void)sp_name_to_text(&found[1], text);
    assert_string_equal(text, "b.c.");
    assert_int_equal(sp_rdata_names(SP_TYPE_SOA, m, len, found, 1), 1);
    assert_int_equal(from_text("SRV", "1 2 3 t.", m, sizeof m, &len), SP_OK);
    assert_int_equal(sp_rdata_names(SP_TYPE_SRV, m, len, found, 3), 1);
    assert_int_equal(sp_rdata_names(SP_TYPE_A, m, 4, found, 3), 0);
    assert_int_equal(sp_rdata_names(9999, m, 4, found, 3), 0);
    struct sp_name origin;
    assert_int_equal(sp_name_from_text(&origin, "example.", 8, NULL), SP_OK);
    struct sp_wr wr = sp_wr_init(m, sizeof m);
    assert_int_equal(sp_rdata_from_text(SP_TYPE_MX, "10 mail", 7, &origin, &wr), SP_OK);
    assert_int_equal(sp_rdata_names(SP_TYPE_MX, m, sp_wr_len(&wr), found, 3), 1);
    (void)sp_name_to_text(&found[0], text);
    assert_string_equal(text, "mail.example.");
}

static void types(void **state) {
    char text[16];
    uint16_t t;
    for (unsigned v = 0; v <= 65535; v++) {
        sp_type_to_text((uint16_t)v, text);
        assert_int_equal(sp_type_from_text(text, strlen(text), &t), SP_OK);
        assert_int_equal(t, v);
    }
    assert_int_equal(sp_type_from_text("aaaa", 4, &t), SP_OK);
    assert_int_equal(t, SP_TYPE_AAAA);
    assert_int_equal(sp_type_from_text("type028", 7, &t), SP_OK);
    assert_int_equal(t, SP_TYPE_AAAA);
    assert_int_equal(sp_type_from_text("TYPE65536", 9, &t), SP_ERR_NOENT);
    assert_int_equal(sp_type_from_text("TYPE", 4, &t), SP_ERR_NOENT);
    assert_int_equal(sp_type_from_text("AAA", 3, &t), SP_ERR_NOENT);
    assert_int_equal(sp_type_from_text("", 0, &t), SP_ERR_NOENT);
    static const uint16_t meta[] = {0, 41, 128, 249, 250, 251, 252, 255, 65281};
    for (size_t i = 0; i < sizeof meta / sizeof meta[0]; i++)
        assert_true(sp_type_is_meta(meta[i]));
    static const uint16_t plain[] = {1, 2, 6, 24, 25, 46, 47, 64, 127, 256, 257, 65280, 65535};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        assert_false(sp_type_is_meta(plain[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),           cmocka_unit_test(bad_text),
        cmocka_unit_test(rfc9460_failures),  cmocka_unit_test(bad_wire),
        cmocka_unit_test(rfc4034_canonical), cmocka_unit_test(rfc3597_expand),
        cmocka_unit_test(names_inside),      cmocka_unit_test(types),
    };
    return cmocka_run_group_tests_name("dns_rrtype", tests, NULL, NULL);
}
