/* Lines of the console as syslog messages: RFC 5424, and one message a datagram as RFC 5426 3.1 has it. */
#include "tests/unit/cm.h"

#include <string.h>

#include "unikernel/host/syslog.h"

static struct spx_syslog s;

static void put(const char *text) {
    spx_syslog_put(&s, sp_wall_from_sec(0), text, strlen(text));
}

static void assert_first(const char *text) {
    const struct spx_syslog_line *line = spx_syslog_first(&s);
    assert_non_null(line);
    assert_int_equal(line->len, strlen(text));
    assert_memory_equal(line->text, text, line->len);
}

static const char *message(uint64_t ns, const char *host, const char *text) {
    static uint8_t buf[SPX_SYSLOG_MESSAGE + 1];
    struct spx_syslog_line line = {.wall = {ns}, .len = (uint16_t)strlen(text)};
    memcpy(line.text, text, line.len);
    size_t len = spx_syslog_format(&line, host, buf, SPX_SYSLOG_MESSAGE);
    buf[len] = 0;
    return (const char *)buf;
}

/* RFC 5424 6, 6.2: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG */
static void test_format(void **state) {
    const uint64_t at = UINT64_C(1779544143) * SP_SEC; /* date -u -d @1779544143 */
    assert_string_equal(message(at + 7 * SP_US, "ns.me.signpost", "signpost: serving me.signpost"),
                        "<30>1 2026-05-23T13:49:03.000007Z ns.me.signpost signpost - - - serving me.signpost");
    assert_string_equal(message(at + 999999999, "ns.me.signpost.", "signpost: x"),
                        "<30>1 2026-05-23T13:49:03.999999Z ns.me.signpost signpost - - - x");
}

/* RFC 5424 6.2.3, 6.2.4: what is not known is nil; nothing but printable ASCII in the header */
static void test_nil(void **state) {
    assert_string_equal(message(0, NULL, "signpost: x"), "<30>1 - - signpost - - - x");
    assert_string_equal(message(0, "", "signpost: x"), "<30>1 - - signpost - - - x");
    assert_string_equal(message(0, "a b\n\xff", "signpost: x"), "<30>1 - a?b?? signpost - - - x");
    assert_string_equal(message(0, "a", "signpost: x\x1b\r"), "<30>1 - a signpost - - - x??");
}

/* RFC 5424 6.2.4: a hostname of at most 255 bytes. The longest of everything still fits. */
static void test_longest(void **state) {
    char host[400], text[SPX_SYSLOG_LINE + 1] = "signpost: ";
    memset(host, 'h', sizeof host);
    host[sizeof host - 1] = 0;
    memset(text + 10, 't', sizeof text - 11);
    text[SPX_SYSLOG_LINE] = 0;
    const char *m = message(UINT64_C(1779544143) * SP_SEC, host, text);
    assert_true(strlen(m) < SPX_SYSLOG_MESSAGE);
    assert_int_equal(strspn(strchr(m, 'h'), "h"), 255);
    assert_int_equal(strspn(strchr(m, 't') != NULL ? strstr(m, "ttt") : "", "t"), SPX_SYSLOG_LINE - 10);
    struct spx_syslog_line line = {.len = SPX_SYSLOG_LINE};
    uint8_t small[64];
    memcpy(line.text, text, SPX_SYSLOG_LINE);
    assert_int_equal(spx_syslog_format(&line, "h", small, sizeof small), sizeof small);
}

/* Only whole lines, and only ours. */
static void test_lines(void **state) {
    s = (struct spx_syslog){0};
    put("signpost: one\nsomebody else\n\nsignpost: \nsign");
    put("post: t");
    put("wo");
    assert_int_equal(s.count, 1);
    put("\nSIGNPOST: no\nsignpost: three\n");
    assert_int_equal(s.count, 3);
    assert_first("signpost: one");
    spx_syslog_next(&s);
    assert_first("signpost: two");
    spx_syslog_next(&s);
    assert_first("signpost: three");
    spx_syslog_next(&s);
    assert_null(spx_syslog_first(&s));
    assert_int_equal(s.lost, 0);
}

/* What has no room is counted; what waits stays whole, in its order. */
static void test_full(void **state) {
    char line[] = "signpost: a\n";
    s = (struct spx_syslog){.first = SPX_SYSLOG_LINES - 3};
    for (unsigned i = 0; i < SPX_SYSLOG_LINES + 5; i++) {
        line[10] = (char)('A' + i);
        put(line);
    }
    assert_int_equal(s.count, SPX_SYSLOG_LINES);
    assert_int_equal(s.lost, 5);
    for (unsigned i = 0; i < SPX_SYSLOG_LINES; i++, spx_syslog_next(&s))
        assert_int_equal(spx_syslog_first(&s)->text[10], 'A' + i);
    assert_null(spx_syslog_first(&s));
}

static void test_long_line(void **state) {
    char text[1000] = "signpost: ";
    memset(text + 10, 'x', sizeof text - 12);
    text[998] = '\n';
    s = (struct spx_syslog){0};
    put(text);
    put("signpost: next\n");
    assert_int_equal(spx_syslog_first(&s)->len, SPX_SYSLOG_LINE);
    spx_syslog_next(&s);
    assert_first("signpost: next");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format), cmocka_unit_test(test_nil),  cmocka_unit_test(test_longest),
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_full), cmocka_unit_test(test_long_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
