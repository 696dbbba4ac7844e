/* What a program says to the local proxy, and what it hears. */
#include "tests/unit/cm.h"

#include <string.h>

#include "client/core/proxy.h"

#define SOCKS_HELLO "\5\1\0"

struct row {
    const char *said;
    size_t len;
    const char *host; /* NULL: an address */
    uint8_t family;
    uint8_t ip[4]; /* its first bytes */
    uint16_t port;
    size_t rest; /* bytes behind the request */
};
#define SAID(text) text, sizeof text - 1

static const struct row good[] = {
    {SAID(SOCKS_HELLO "\5\1\0\3\6laptop\0\26"), "laptop", 0, {0}, 22, 0},
    {SAID("\5\3\2\1\0" "\5\1\0\3\6laptop\0\26abc"), "laptop", 0, {0}, 22, 3},
    {SAID(SOCKS_HELLO "\5\1\0\1\12\1\2\3\1\2"), NULL, 4, {10, 1, 2, 3}, 258, 0},
    {SAID(SOCKS_HELLO "\5\1\0\4\375\1\2\3abcdefghijkl\0\120"), NULL, 6, {0xfd, 1, 2, 3}, 80, 0},
    {SAID(SOCKS_HELLO "\5\1\0\3\11" "127.0.0.1\0\120"), NULL, 4, {127, 0, 0, 1}, 80, 0},
    {SAID(SOCKS_HELLO "\5\1\0\3\10fd00::12\0\120"), NULL, 6, {0xfd, 0, 0, 0}, 80, 0},
    {SAID("CONNECT laptop.me.signpost:443 HTTP/1.1\r\nHost: x\r\n\r\n"), "laptop.me.signpost", 0, {0}, 443, 0},
    {SAID("CONNECT laptop:1 HTTP/1.0\n\nrest"), "laptop", 0, {0}, 1, 4},
    {SAID("CONNECT laptop:65535 HTTP/1.1\r\n\r\n"), "laptop", 0, {0}, 65535, 0},
    {SAID("CONNECT [fd01::1]:80 HTTP/1.1\r\nA: b\n\r\n"), NULL, 6, {0xfd, 1, 0, 0}, 80, 0},
    {SAID("CONNECT 10.1.2.3:80 HTTP/1.1\r\n\r\n"), NULL, 4, {10, 1, 2, 3}, 80, 0},
    {SAID("CONNECT [10.1.2.3]:80 HTTP/1.1\r\n\r\n"), "[10.1.2.3]", 0, {0}, 80, 0}, /* no name either: refused later */
};

static void requests_are_read(void **state) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct row *g = &good[i];
        struct sp_proxy_ask ask;
        enum sp_proxy_result why = SP_PROXY_OK;
        assert_int_equal(sp_proxy_read(&ask, (const uint8_t *)g->said, g->len, &why), SP_OK);
        assert_int_equal(ask.kind, g->said[0] == 5 ? SP_PROXY_SOCKS : SP_PROXY_HTTP);
        assert_int_equal(ask.port, g->port);
        assert_int_equal(ask.used, g->len - g->rest);
        assert_int_equal(ask.family, g->family);
        assert_int_equal(ask.host == NULL, g->host == NULL);
        if (g->host != NULL) {
            assert_int_equal(ask.host_len, strlen(g->host));
            assert_memory_equal(ask.host, g->host, ask.host_len);
        } else {
            assert_memory_equal(ask.ip, g->ip, 4);
        }
    }
}

/* In however small pieces it comes: nothing is decided before it is there, and the greeting is answered as soon as it is. */
static void pieces_wait_for_the_rest(void **state) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t whole = good[i].len - good[i].rest;
        for (size_t n = 0; n < whole; n++) {
            struct sp_proxy_ask ask;
            enum sp_proxy_result why = SP_PROXY_OK;
            assert_int_equal(sp_proxy_read(&ask, (const uint8_t *)good[i].said, n, &why), SP_ERR_SHORT);
            if (good[i].said[0] == 5)
                assert_int_equal(ask.greeted, n >= 2u + (uint8_t)good[i].said[1]);
        }
    }
}

static const struct {
    const char *said;
    size_t len;
    enum sp_proxy_result why;
    bool greeted;
} bad[] = {
    {SAID("\5\1\2"), SP_PROXY_METHOD, false},              /* a password alone is offered */
    {SAID("\5\0"), SP_PROXY_METHOD, false},
    {SAID(SOCKS_HELLO "\4\1\0\1"), SP_PROXY_FORM, true},
    {SAID(SOCKS_HELLO "\5\1\1\1"), SP_PROXY_FORM, true},
    {SAID(SOCKS_HELLO "\5\2\0\1"), SP_PROXY_METHOD, true}, /* BIND */
    {SAID(SOCKS_HELLO "\5\3\0\1"), SP_PROXY_METHOD, true}, /* UDP ASSOCIATE */
    {SAID(SOCKS_HELLO "\5\1\0\2"), SP_PROXY_TYPE, true},
    {SAID(SOCKS_HELLO "\5\1\0\3\1a\0\0"), SP_PROXY_FORM, true},
    {SAID("\4\1\0\120"), SP_PROXY_FORM, false},            /* SOCKS 4 */
    {SAID("\26\3\1"), SP_PROXY_FORM, false},               /* TLS */
    {SAID("GET http://laptop/ HTTP/1.1\r\n"), SP_PROXY_METHOD, false},
    {SAID("CONNECTING laptop:1 HTTP/1.1\r\n\r\n"), SP_PROXY_METHOD, false},
    {SAID("CONNECT laptop:1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT laptop HTTP/1.1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT :80 HTTP/1.1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT laptop: HTTP/1.1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT laptop:0 HTTP/1.1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT laptop:65536 HTTP/1.1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT laptop:000001 HTTP/1.1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT laptop:8x HTTP/1.1\r\n\r\n"), SP_PROXY_FORM, false},
    {SAID("CONNECT laptop:80 SPDY/1.1\r\n\r\n"), SP_PROXY_FORM, false},
};

static void others_are_refused_for_a_reason(void **state) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sp_proxy_ask ask;
        enum sp_proxy_result why = SP_PROXY_OK;
        assert_int_equal(sp_proxy_read(&ask, (const uint8_t *)bad[i].said, bad[i].len, &why), SP_ERR_DENIED);
        assert_int_equal(why, bad[i].why);
        assert_int_equal(ask.greeted, bad[i].greeted);
    }
}

static void no_request_is_endless(void **state) {
    uint8_t said[SP_PROXY_ASK_MAX];
    struct sp_proxy_ask ask;
    enum sp_proxy_result why = SP_PROXY_OK;
    memset(said, 'A', sizeof said);
    assert_int_equal(sp_proxy_read(&ask, said, sizeof said, &why), SP_ERR_DENIED);
    memcpy(said, "CONNECT laptop:80 HTTP/1.1\r\n", 28);
    assert_int_equal(sp_proxy_read(&ask, said, sizeof said - 1, &why), SP_ERR_SHORT);
    assert_int_equal(sp_proxy_read(&ask, said, sizeof said, &why), SP_ERR_DENIED);
}

/* RFC 1928 6: version, reply, reserved, an address of zeros. */
static void rfc1928_replies(void **state) {
    uint8_t out[SP_PROXY_ANSWER_MAX];
    for (unsigned i = 0; i < SP_PROXY_RESULTS; i++) {
        assert_int_equal(sp_proxy_answer(SP_PROXY_SOCKS, true, i, out, sizeof out), 10);
        assert_int_equal(out[0], 5);
        assert_int_equal(out[1] == 0, i == SP_PROXY_OK);
        assert_true(out[1] <= 8);
        assert_memory_equal(out + 2, "\0\1\0\0\0\0\0\0", 8);
    }
    assert_int_equal(sp_proxy_answer(SP_PROXY_SOCKS, false, SP_PROXY_METHOD, out, sizeof out), 2);
    assert_memory_equal(out, "\5\xff", 2);
    assert_int_equal(sp_proxy_answer(SP_PROXY_UNKNOWN, false, SP_PROXY_FORM, out, sizeof out), 0);
}

static void http_answers_are_whole(void **state) {
    for (unsigned i = 0; i < SP_PROXY_RESULTS; i++) {
        uint8_t out[SP_PROXY_ANSWER_MAX + 1];
        size_t len = sp_proxy_answer(SP_PROXY_HTTP, false, i, out, SP_PROXY_ANSWER_MAX);
        out[len] = 0;
        const char *text = (const char *)out, *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        assert_non_null(end);
        assert_memory_equal(text, "HTTP/1.1 ", 9);
        assert_int_equal(text[9] == '2', i == SP_PROXY_OK);
        assert_int_equal(length == NULL, i == SP_PROXY_OK);
        size_t body = 0;
        for (const char *p = length != NULL ? length + 16 : ""; *p >= '0' && *p <= '9'; p++)
            body = body * 10 + (size_t)(*p - '0');
        assert_int_equal(strlen(end + 4), body);
        assert_int_equal(strstr(text, "Allow: CONNECT\r\n") != NULL, i == SP_PROXY_METHOD);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(pieces_wait_for_the_rest),
        cmocka_unit_test(others_are_refused_for_a_reason),
        cmocka_unit_test(no_request_is_endless),
        cmocka_unit_test(rfc1928_replies),
        cmocka_unit_test(http_answers_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
