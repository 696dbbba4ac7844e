#include "tests/unit/cm.h"

#include "proto/dns/name.h"

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, strlen(text), NULL), SP_OK);
    return n;
}

static void assert_text(const struct sp_name *n, const char *want) {
    char text[SP_NAME_TEXT_MAX];
    size_t len = sp_name_to_text(n, text);
    assert_string_equal(text, want);
    assert_int_equal(len, strlen(want));
}

static sp_err read_at(const uint8_t *msg, size_t len, size_t at, struct sp_name *ret, size_t *ret_after) {
    struct sp_rd rd = sp_rd_init(msg, len);
    rd.pos += at;
    sp_err err = sp_name_read(&rd, ret);
    *ret_after = sp_rd_offset(&rd);
    struct sp_rd again = sp_rd_init(msg, len);
    again.pos += at;
    assert_int_equal(sp_name_skip(&again), err);
    assert_int_equal(sp_rd_offset(&again), *ret_after);
    return err;
}

static void rfc1035_text(void **state) {
    const char *same[] = {".", "example.", "a.b.c.", "\\000\\255\\032.x.", "a\\.b.\\@.\\\\.\\\"\\(\\)\\;\\$.", "*.w."};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct sp_name n = name_of(same[i]);
        assert_text(&n, same[i]);
    }
    struct sp_name n = name_of("MiXed.\\065b");
    assert_text(&n, "MiXed.Ab.");
    assert_int_equal(n.labels, 2);
    assert_int_equal(n.len, 10);
    const char *bad[] = {"", "..", ".a", "a..b", "a\\", "a\\25", "a\\256", "a\\1x2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sp_name_from_text(&n, bad[i], strlen(bad[i]), NULL), SP_ERR_FORM);
}

static void rfc1035_text_origin(void **state) {
    struct sp_name origin = name_of("example.org."), n;
    assert_int_equal(sp_name_from_text(&n, "www", 3, &origin), SP_OK);
    assert_text(&n, "www.example.org.");
    assert_int_equal(sp_name_from_text(&n, "@", 1, &origin), SP_OK);
    assert_true(sp_name_equal(&n, &origin));
    assert_int_equal(sp_name_from_text(&n, "\\@", 2, &origin), SP_OK);
    assert_text(&n, "\\@.example.org.");
    assert_int_equal(sp_name_from_text(&n, "a.", 2, &origin), SP_OK);
    assert_text(&n, "a.");
    assert_int_equal(sp_name_from_text(&origin, "sub", 3, &origin), SP_OK);
    assert_text(&origin, "sub.example.org.");
}

/* RFC 1035 2.3.4: labels of 63, names of 255. */
static void rfc1035_limits(void **state) {
    char text[300];
    memset(text, 'a', sizeof text);
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, 63, NULL), SP_OK);
    assert_int_equal(sp_name_from_text(&n, text, 64, NULL), SP_ERR_RANGE);
    text[63] = text[127] = text[191] = '.';
    assert_int_equal(sp_name_from_text(&n, text, 192 + 61, NULL), SP_OK);
    assert_int_equal(n.len, 255);
    assert_int_equal(sp_name_from_text(&n, text, 192 + 62, NULL), SP_ERR_RANGE);
    assert_int_equal(sp_name_from_text(&n, text, 192 + 61, NULL), SP_OK);
    struct sp_name out;
    size_t after;
    assert_int_equal(read_at(n.wire, n.len, 0, &out, &after), SP_OK);
    assert_true(sp_name_equal(&n, &out));
    assert_int_equal(after, 255);
    uint8_t longer[256];
    memcpy(longer, n.wire, 192);
    longer[192] = 62;
    memset(longer + 193, 'b', 62);
    longer[255] = 0;
    assert_int_equal(read_at(longer, 256, 0, &out, &after), SP_ERR_FORM);
    for (int i = 0; i < 127; i++)
        memcpy(longer + 2 * i, "\001x", 2);
    longer[254] = 0;
    assert_int_equal(read_at(longer, 255, 0, &out, &after), SP_OK);
    assert_int_equal(out.labels, 127);
    char full[SP_NAME_TEXT_MAX];
    assert_int_equal(sp_name_to_text(&out, full), 254);
    for (int i = 1; i < 254; i += 2)
        longer[i] = 1;
    assert_int_equal(read_at(longer, 255, 0, &out, &after), SP_OK);
    assert_int_equal(sp_name_to_text(&out, full), 127 * 5);
}

/* RFC 1035 4.1.4: the example's F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA, root. */
static void rfc1035_compression(void **state) {
    uint8_t m[100] = {0};
    memcpy(m + 20, "\001F\003ISI\004ARPA", 12);
    memcpy(m + 40, "\003FOO\300\024", 6);
    memcpy(m + 64, "\300\032", 2);
    struct sp_name n;
    size_t after;
    assert_int_equal(read_at(m, sizeof m, 40, &n, &after), SP_OK);
    assert_text(&n, "FOO.F.ISI.ARPA.");
    assert_int_equal(after, 46);
    assert_int_equal(n.labels, 4);
    assert_int_equal(read_at(m, sizeof m, 64, &n, &after), SP_OK);
    assert_text(&n, "ARPA.");
    assert_int_equal(after, 66);
    assert_int_equal(read_at(m, sizeof m, 92, &n, &after), SP_OK);
    assert_text(&n, ".");
    struct sp_rd rd = sp_rd_init(m, sizeof m);
    rd.pos += 40;
    assert_int_equal(sp_name_read_plain(&rd, &n), SP_ERR_FORM);
    assert_int_equal(rd.err, SP_ERR_FORM);
}

static void rfc1035_compression_loops(void **state) {
    uint8_t m[400] = {0};
    struct sp_name n;
    size_t after;
    memcpy(m + 20, "\300\024", 2); /* at itself */
    assert_int_equal(read_at(m, 30, 20, &n, &after), SP_ERR_FORM);
    memcpy(m + 20, "\001a\300\024", 4); /* at its own start */
    assert_int_equal(read_at(m, 30, 20, &n, &after), SP_ERR_FORM);
    memcpy(m + 20, "\300\026", 2); /* ahead */
    assert_int_equal(read_at(m, 30, 20, &n, &after), SP_ERR_FORM);
    memcpy(m + 20, "\300\004", 2); /* into the header */
    assert_int_equal(read_at(m, 30, 20, &n, &after), SP_ERR_FORM);
    memcpy(m + 16, "\005abc\300\020\000\000\000", 9); /* into a label that runs over the pointer */
    assert_int_equal(read_at(m, 30, 20, &n, &after), SP_ERR_FORM);
    memcpy(m + 20, "\100a\000", 3); /* label types 01 and 10 */
    assert_int_equal(read_at(m, 30, 20, &n, &after), SP_ERR_FORM);
    memcpy(m + 20, "\200a\000", 3);
    assert_int_equal(read_at(m, 30, 20, &n, &after), SP_ERR_FORM);
    memcpy(m + 28, "\300", 1); /* cut short */
    assert_int_equal(read_at(m, 29, 28, &n, &after), SP_ERR_SHORT);
    memcpy(m + 26, "\003ab", 3);
    assert_int_equal(read_at(m, 29, 26, &n, &after), SP_ERR_SHORT);
    assert_int_equal(read_at(m, 29, 29, &n, &after), SP_ERR_SHORT);
    /* Falling pointers without labels are finite, but bounded: 128 pass, 129 do not. */
    m[12] = 0;
    for (size_t at = 14; at < 400; at += 2) {
        m[at] = (uint8_t)(0xC0 | (at - 2) >> 8);
        m[at + 1] = (uint8_t)(at == 14 ? 12 : at - 2);
    }
    assert_int_equal(read_at(m, 400, 12 + 2 * 128, &n, &after), SP_OK);
    assert_int_equal(read_at(m, 400, 12 + 2 * 129, &n, &after), SP_ERR_FORM);
}

static void rfc4343_case(void **state) {
    struct sp_name a = name_of("WWW.Example.ORG."), b = name_of("www.eXAMPLE.org."), c = name_of("www.example.orh.");
    assert_true(sp_name_equal(&a, &b));
    assert_int_equal(sp_name_cmp(&a, &b), 0);
    assert_false(sp_name_equal(&a, &c));
    sp_name_lower(&a);
    assert_text(&a, "www.example.org.");
    /* All bytes, in one name of four labels: only A-Z change. */
    for (unsigned v = 0; v < 256; v++) {
        struct sp_name n = name_of("aaaaaaa.bb."), up = n;
        for (unsigned i = 1; i < 8; i++)
            n.wire[i] = up.wire[i] = (uint8_t)v;
        sp_name_lower(&n);
        uint8_t want = v >= 'A' && v <= 'Z' ? (uint8_t)(v + 32) : (uint8_t)v;
        for (unsigned i = 1; i < 8; i++)
            assert_int_equal(n.wire[i], want);
        assert_true(sp_name_equal(&n, &up));
    }
}

/* The list of RFC 4034 6.1, in its order. */
static void rfc4034_order(void **state) {
    const char *list[] = {"example.",   "a.example.",       "yljkjljk.a.example.", "Z.a.example.",    "zABC.a.EXAMPLE.",
                          "z.example.", "\\001.z.example.", "*.z.example.",        "\\200.z.example."};
    size_t n = sizeof list / sizeof list[0];
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            struct sp_name a = name_of(list[i]), b = name_of(list[j]);
            int d = sp_name_cmp(&a, &b);
            assert_int_equal((d > 0) - (d < 0), (i > j) - (i < j));
        }
    }
}

static void under_strip_prepend(void **state) {
    struct sp_name n = name_of("a.b.Example."), top = name_of("b.example."), root = name_of("."), out;
    struct sp_name fake = name_of("ab.example.");
    assert_true(sp_name_under(&n, &top));
    assert_true(sp_name_under(&n, &n));
    assert_true(sp_name_under(&n, &root));
    assert_false(sp_name_under(&top, &n));
    assert_false(sp_name_under(&fake, &top));
    sp_name_strip(&n, 1, &out);
    assert_true(sp_name_equal(&out, &top));
    sp_name_strip(&n, 3, &n);
    assert_true(sp_name_equal(&n, &root));
    assert_int_equal(sp_name_prepend(&out, "*", 1, &top), SP_OK);
    assert_text(&out, "*.b.example.");
    assert_true(sp_name_is_wildcard(&out));
    assert_false(sp_name_is_wildcard(&top));
    assert_int_equal(sp_name_prepend(&out, "", 0, &top), SP_ERR_RANGE);
    char label[64];
    memset(label, 'x', sizeof label);
    assert_int_equal(sp_name_prepend(&out, label, 64, &top), SP_ERR_RANGE);
    out = root;
    for (int i = 0; i < 3; i++)
        assert_int_equal(sp_name_prepend(&out, label, 63, &out), SP_OK);
    assert_int_equal(sp_name_prepend(&n, label, 62, &out), SP_ERR_RANGE);
    assert_int_equal(sp_name_prepend(&n, label, 61, &out), SP_OK);
    assert_int_equal(n.len, 255);
}

/* The table of RFC 6672 2.2. */
static void rfc6672_resuffix(void **state) {
    static const struct {
        const char *name, *from, *to, *want;
    } rows[] = {
        {"a.example.com.", "example.com.", "example.net.", "a.example.net."},
        {"a.b.example.com.", "example.com.", "example.net.", "a.b.example.net."},
        {"ab.example.com.", "b.example.com.", "example.net.", NULL},
        {"foo.example.com.", "example.com.", "example.net.", "foo.example.net."},
        {"a.x.example.com.", "x.example.com.", "example.net.", "a.example.net."},
        {"a.example.com.", "example.com.", "y.example.net.", "a.y.example.net."},
        {"cyc.example.com.", "example.com.", "example.com.", "cyc.example.com."},
        {"cyc.example.com.", "example.com.", "c.example.com.", "cyc.c.example.com."},
        {"shortloop.x.x.", "x.", ".", "shortloop.x."},
        {"shortloop.x.", "x.", ".", "shortloop."},
    };
    struct sp_name out;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_name n = name_of(rows[i].name), from = name_of(rows[i].from), to = name_of(rows[i].to);
        sp_err err = sp_name_resuffix(&out, &n, &from, &to);
        assert_int_equal(err, rows[i].want != NULL ? SP_OK : SP_ERR_NOENT);
        if (rows[i].want == NULL)
            continue;
        struct sp_name want = name_of(rows[i].want);
        assert_true(sp_name_equal(&out, &want));
    }
    char label[63];
    memset(label, 'x', sizeof label);
    struct sp_name big = name_of("."), from = name_of("b."),
                   n = name_of("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b.");
    for (int i = 0; i < 3; i++)
        assert_int_equal(sp_name_prepend(&big, label, 63, &big), SP_OK);
    assert_int_equal(sp_name_resuffix(&out, &n, &from, &big), SP_ERR_RANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1035_text),
        cmocka_unit_test(rfc1035_text_origin),
        cmocka_unit_test(rfc1035_limits),
        cmocka_unit_test(rfc1035_compression),
        cmocka_unit_test(rfc1035_compression_loops),
        cmocka_unit_test(rfc4343_case),
        cmocka_unit_test(rfc4034_order),
        cmocka_unit_test(under_strip_prepend),
        cmocka_unit_test(rfc6672_resuffix),
    };
    return cmocka_run_group_tests_name("dns_name", tests, NULL, NULL);
}
