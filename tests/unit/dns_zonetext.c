#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "proto/dns/zonetext.h"

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, strlen(text), NULL), SP_OK);
    return n;
}

/* Parses text and prints every record, one a line. */
static sp_err normalise(const char *text, const char *origin, char *ret, size_t cap, struct sp_zonetext_error *error) {
    static uint8_t buf[SP_RDATA_MAX];
    struct sp_zonetext z;
    struct sp_zonetext_rr rr;
    struct sp_name at = name_of(origin);
    struct sp_wr wr = sp_wr_init(ret, cap - 1);
    size_t len = strlen(text);
    char *exact = malloc(len + 1); /* for the sanitizer: nothing behind the text */
    memcpy(exact + 1, text, len);
    sp_zonetext_begin(&z, exact + 1, len, &at);
    sp_err err;
    while ((err = sp_zonetext_next(&z, &rr, buf, sizeof buf)) == SP_OK)
        sp_zonetext_write(&wr, &rr.owner, rr.type, rr.rclass, rr.ttl, rr.rdata, rr.rdata_len);
    assert_int_equal(sp_zonetext_next(&z, &rr, buf, sizeof buf), err);
    assert_int_equal(wr.err, SP_OK);
    *wr.pos = 0;
    *error = z.error;
    free(exact);
    return err;
}

static void expect(const char *text, const char *want) {
    static char out[8192], again[8192];
    struct sp_zonetext_error error = {0};
    sp_err err = normalise(text, "example.", out, sizeof out, &error);
    if (err != SP_ERR_NOENT)
        print_message("# %u:%u %s\n", error.line, error.column, error.what);
    assert_int_equal(err, SP_ERR_NOENT);
    assert_string_equal(out, want);
    assert_int_equal(normalise(out, "other.", again, sizeof again, &error), SP_ERR_NOENT);
    assert_string_equal(again, want);
}

/* RFC 1035 5.3, with the TTL that its SOA gives. */
static void rfc1035_example(void **state) {
    expect("@   IN  SOA     VENERA      Action\\.domains (\n"
           "                                 20     ; SERIAL\n"
           "                                 7200   ; REFRESH\n"
           "                                 600    ; RETRY\n"
           "                                 3600000; EXPIRE\n"
           "                                 60)    ; MINIMUM\n"
           "\n"
           "        NS      A.ISI.EDU.\n"
           "        NS      VENERA\n"
           "        MX      10      VENERA\n"
           "\n"
           "A       A       26.3.0.103\n"
           "VENERA  A       10.1.0.52\n"
           "        A       128.9.0.32\n",
           "example. 60 IN SOA VENERA.example. Action\\.domains.example. 20 7200 600 3600000 60\n"
           "example. 60 IN NS A.ISI.EDU.\n"
           "example. 60 IN NS VENERA.example.\n"
           "example. 60 IN MX 10 VENERA.example.\n"
           "A.example. 60 IN A 26.3.0.103\n"
           "VENERA.example. 60 IN A 10.1.0.52\n"
           "VENERA.example. 60 IN A 128.9.0.32\n");
}

static void rfc2308_ttl_and_class_order(void **state) {
    expect("$TTL 1h30m\n"
           "a A 192.0.2.1\n"
           "a IN A 192.0.2.1\n"
           "a 1d A 192.0.2.1\n"
           "a 1w2D IN A 192.0.2.1\n"
           "a IN 0 A 192.0.2.1\n"
           "a in 7 a 192.0.2.1\n"
           "a CLASS1 7 a 192.0.2.1\n"
           "c CH TXT x\n"
           "$TTL 5\n"
           "  A 192.0.2.2\n",
           "a.example. 5400 IN A 192.0.2.1\n"
           "a.example. 5400 IN A 192.0.2.1\n"
           "a.example. 86400 IN A 192.0.2.1\n"
           "a.example. 777600 IN A 192.0.2.1\n"
           "a.example. 0 IN A 192.0.2.1\n"
           "a.example. 7 IN A 192.0.2.1\n"
           "a.example. 7 IN A 192.0.2.1\n"
           "c.example. 5400 CH TXT \"x\"\n"
           "c.example. 5 IN A 192.0.2.2\n");
    /* RFC 1035 5.1: without $TTL, the last one given */
    expect("a 9 A 192.0.2.1\nb A 192.0.2.1\nc 2147483647 A 192.0.2.1",
           "a.example. 9 IN A 192.0.2.1\nb.example. 9 IN A 192.0.2.1\n"
           "c.example. 2147483647 IN A 192.0.2.1\n");
}

static void rfc1035_directives_and_tokens(void **state) {
    expect("$TTL 1\n"
           "$ORIGIN sub ; relative to the one before\n"
           "@ A 192.0.2.1 ; comment ( \" here\n"
           "x TXT \"a;b (c)\" d\\;e \\\"f \"g\\\"h\"i ()\n"
           "$origin .\r\n"
           "org. TXT ( \"a\"\n\t\n  b ) c\r\n"
           "\\$x A 192.0.2.1\n"
           "IN NS NS\n"
           "1.2 PTR @\n"
           "@ NS a\\.b.\n"
           "\\@ NS \\@\n"
           "*.w TYPE731 \\# 4 01 02\t( 03\n04 )\n"
           "w A \\# 4 c0000201\n"
           "\t\t; nothing\n"
           "s HTTPS 1 . alpn=\"h2,h3\" key9=\"a b;(c)\" port=1\n",
           "sub.example. 1 IN A 192.0.2.1\n"
           "x.sub.example. 1 IN TXT \"a;b (c)\" \"d;e\" \"\\\"f\" \"g\\\"h\" \"i\"\n"
           "org. 1 IN TXT \"a\" \"b\" \"c\"\n"
           "\\$x. 1 IN A 192.0.2.1\n"
           "IN. 1 IN NS NS.\n"
           "1.2. 1 IN PTR .\n"
           ". 1 IN NS a\\.b.\n"
           "\\@. 1 IN NS \\@.\n"
           "*.w. 1 IN TYPE731 \\# 4 01020304\n"
           "w. 1 IN A 192.0.2.1\n"
           "s. 1 IN HTTPS 1 . alpn=\"h2,h3\" port=1 key9=\"a b;(c)\"\n");
    expect("", "");
    expect("\n ; x\n\n", "");
    expect("; no newline at the end", "");
}

static void refuse(const char *text, unsigned line, unsigned column, const char *what) {
    static char out[8192];
    struct sp_zonetext_error error = {0};
    sp_err err = normalise(text, "example.", out, sizeof out, &error);
    assert_int_not_equal(err, SP_OK);
    assert_int_not_equal(err, SP_ERR_NOENT);
    assert_non_null(error.what);
    if (error.line != line || error.column != column || strstr(error.what, what) == NULL)
        print_message("# want %u:%u %s, got %u:%u %s\n", line, column, what, error.line, error.column, error.what);
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
    assert_non_null(strstr(error.what, what));
}

static void error_positions(void **state) {
    refuse("$INCLUDE other.zone\n", 1, 1, "$INCLUDE is not supported");
    refuse("$TTL 1\n$GENERATE 1-9 a$ A 10.0.0.$\n", 2, 1, "$GENERATE is not supported");
    refuse("a 1 A 192.0.2.1\n $TTL 5\n", 2, 2, "not a record type");
    refuse("\"$TTL\" 5\n", 1, 1, "quotes");
    refuse("$FOO\n", 1, 1, "unknown directive");
    refuse("$TTL\n", 1, 5, "without its argument");
    refuse("$TTL x\n", 1, 6, "not a TTL");
    refuse("$TTL 1 2\n", 1, 8, "more text");
    refuse("$ORIGIN a..b\n", 1, 9, "not a domain name");
    refuse("a A 192.0.2.1\n", 1, 3, "no TTL");
    refuse("a 1 A 192.0.2.1\nb 1 A 192.0.2.999 ; x\n", 2, 7, "not an IPv4");
    refuse("a 1 AAAA 1.2.3.4\n", 1, 10, "not an IPv6");
    refuse("a 1 MX 10\n", 1, 10, "ends too early");
    refuse("a 1 MX 10 b c\n", 1, 13, "more text");
    refuse("a 1 MX x b\n", 1, 8, "not a number");
    refuse("a 1 MX 70000 b\n", 1, 8, "too large");
    refuse("a 1 IN\n", 1, 7, "without a type");
    refuse("a\n", 1, 2, "without a type");
    refuse("a", 1, 2, "without a type");
    refuse("a 1 NOPE x\n", 1, 5, "not a record type");
    refuse("a 1 1 A 192.0.2.1\n", 1, 5, "not a record type");
    refuse("a 1 IN IN A 192.0.2.1\n", 1, 8, "not a record type");
    refuse("a 1x A 192.0.2.1\n", 1, 3, "not a TTL");
    refuse("a 2147483648 A 192.0.2.1\n", 1, 3, "2147483647");
    refuse("a 1 \"A\" 192.0.2.1\n", 1, 6 - 1, "quoted");
    refuse("\"a\" 1 A 192.0.2.1\n", 1, 1, "quotes");
    refuse("a 1 ANY \\# 0\n", 1, 5, "cannot stand in a zone");
    refuse("a 1 TSIG \\# 0\n", 1, 5, "cannot stand in a zone");
    refuse(" 1 A 192.0.2.1\n", 1, 2, "no owner");
    refuse("a 1 TXT \"x\n\"\n", 1, 9, "quote is not closed");
    refuse("a 1 TXT x\\999\n", 1, 9, "escape");
    refuse("a 1 TXT ( x\n y\n", 1, 9, "parenthesis is not closed");
    refuse("a 1 TXT (\n x ) )\n", 2, 6, "closing parenthesis");
    refuse("\n\na 1 SOA a b (\n 1\n 2 3\n 4 )\n", 6, 5, "ends too early");
    refuse("a 1 TXT x\001y\n", 1, 10, "control character");
    refuse("a 1 DS 1 15 2 00\n", 1, 8, "not valid for its type");
    refuse("a 1 A \\# 3 000000\n", 1, 7, "not valid for its type");
    refuse("a 1 TYPE9 \\# 3 0000\n", 1, 20, "length does not match");
    refuse("a 1 TYPE9 1\n", 1, 11, "\\# LENGTH HEX");
    refuse("a 1 DNSKEY 257 3 15 @@@\n", 1, 21, "not base64");
    refuse("a 1 SVCB 1 . port=1 port=1\n", 1, 21, "repeated parameter");
    refuse("a 1 SVCB 1 . alpn\n", 1, 10, "not valid for its type");
    refuse("a 1 SVCB 1 . nosuch=1\n", 1, 14, "malformed service parameter");
    refuse("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 A 192.0.2.1\n", 1, 1, "over 63");
}

/* A record larger than rdata can be is refused, whatever the buffer. */
static void too_long(void **state) {
    enum { STRINGS = 300, EACH = 250 };
    char *text = malloc(STRINGS * (EACH + 1) + 100), *p = text;
    p += strlen(strcpy(p, "a 1 TXT"));
    for (int i = 0; i < STRINGS; i++) {
        *p++ = ' ';
        memset(p, 'x', EACH);
        p += EACH;
    }
    *p = 0;
    uint8_t *buf = malloc(SP_RDATA_MAX + 5000);
    struct sp_zonetext z;
    struct sp_zonetext_rr rr;
    sp_zonetext_begin(&z, text, (size_t)(p - text), NULL);
    assert_int_equal(sp_zonetext_next(&z, &rr, buf, SP_RDATA_MAX + 5000), SP_ERR_SPACE);
    assert_int_equal(z.error.column, 9);
    free(buf);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1035_example),
        cmocka_unit_test(rfc2308_ttl_and_class_order),
        cmocka_unit_test(rfc1035_directives_and_tokens),
        cmocka_unit_test(error_positions),
        cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests_name("dns_zonetext", tests, NULL, NULL);
}
