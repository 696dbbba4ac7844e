#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "proto/nat/stun.h"

/* RFC 5769 2.1: its sample request, with the blanks that it pads with. */
static const char REQUEST[] = "000100582112a442b7e7a701bc34d686fa87dfae"
                              "802200105354554e207465737420636c69656e74"
                              "002400046e0001ff80290008932ff9b151263b36"
                              "000600096576746a3a68367659202020"
                              "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
                              "80280004e57a3bcf";
/* RFC 5769 2.2 */
static const char RESPONSE4[] = "0101003c2112a442b7e7a701bc34d686fa87dfae"
                                "8022000b7465737420766563746f7220"
                                "002000080001a147e112a643"
                                "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
                                "80280004c07d4c96";
/* RFC 5769 2.3 */
static const char RESPONSE6[] = "010100482112a442b7e7a701bc34d686fa87dfae"
                                "8022000b7465737420766563746f7220"
                                "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
                                "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
                                "80280004c8fb0b4c";

static const struct sp_addr CLIENT = {{192, 0, 2, 1}, 0, 32853, 4, 0};
#define A1                                                                                                             \
    { 203, 0, 113, 1 }
#define A2                                                                                                             \
    { 203, 0, 113, 2 }
static const struct sp_addr GRID[] = {
    {A1, 0, 3478, 4, 0}, {A1, 0, 3479, 4, 0}, {A2, 0, 3478, 4, 0}, {A2, 0, 3479, 4, 0}};

static void same(const struct sp_addr *a, const struct sp_addr *b) {
    assert_memory_equal(a, b, sizeof *a);
}

static void rfc5769_vectors(void **state) {
    uint8_t msg[256];
    struct sp_stun m;
    size_t len = sp_test_hex(REQUEST, msg, sizeof msg);
    assert_true(sp_stun_is(msg, len));
    assert_int_equal(sp_stun_read(&m, msg, len), SP_OK);
    assert_int_equal(m.method, SP_STUN_BINDING);
    assert_int_equal(m.class, SP_STUN_REQUEST);
    assert_true(m.fingerprint);
    assert_int_equal(m.unknown_count, 1); /* PRIORITY: ICE's */
    assert_int_equal(m.unknown[0], 0x0024);

    len = sp_test_hex(RESPONSE4, msg, sizeof msg);
    assert_int_equal(sp_stun_read(&m, msg, len), SP_OK);
    assert_int_equal(m.class, SP_STUN_SUCCESS);
    same(&m.mapped, &CLIENT);

    len = sp_test_hex(RESPONSE6, msg, sizeof msg);
    assert_int_equal(sp_stun_read(&m, msg, len), SP_OK);
    struct sp_addr six = {.family = 6, .port = 32853};
    sp_test_hex("20010db8123456780011223344556677", six.ip, 16);
    same(&m.mapped, &six);
}

/* Every bit of a message that the fingerprint covers matters. */
static void rfc8489_fingerprint(void **state) {
    uint8_t msg[256];
    struct sp_stun m;
    size_t len = sp_test_hex(RESPONSE4, msg, sizeof msg);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sp_err err = sp_stun_read(&m, msg, len);
        /* A changed type makes it another attribute: then there is no fingerprint. */
        bool head = bit / 8 == len - 8 || bit / 8 == len - 7;
        assert_true(head ? err != SP_OK || !m.fingerprint : err != SP_OK);
        msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void rfc8489_what_is_stun(void **state) {
    uint8_t msg[256], copy[256];
    struct sp_stun m;
    size_t len = sp_test_hex(RESPONSE4, msg, sizeof msg);
    for (size_t n = 0; n < len; n++) {
        assert_false(sp_stun_is(msg, n));
        assert_int_not_equal(sp_stun_read(&m, msg, n), SP_OK);
    }
    assert_false(sp_stun_is(msg, len + 4));
    for (unsigned byte = 0; byte < 8; byte++) {
        memcpy(copy, msg, len);
        copy[byte] ^= 0x80;
        assert_true(sp_stun_is(copy, len) == (byte == 1));
    }
    memcpy(copy, msg, len);
    sp_put_u16(copy + 2, (uint16_t)(len + 2 - SP_STUN_HEAD)); /* no multiple of four */
    assert_false(sp_stun_is(copy, len + 2));
    memcpy(copy, msg, len);
    copy[0] |= 0x40; /* WireGuard and DNS may have these bits, STUN never */
    assert_false(sp_stun_is(copy, len));
}

static void written_and_read(const struct sp_stun *m) {
    uint8_t msg[SP_STUN_MAX];
    struct sp_stun got;
    size_t len = sp_stun_write(m, msg, sizeof msg);
    assert_int_not_equal(len, 0);
    assert_true(sp_stun_is(msg, len));
    assert_int_equal(sp_stun_read(&got, msg, len), SP_OK);
    assert_memory_equal(&got, m, sizeof got);
    for (size_t cap = 0; cap < len; cap++)
        assert_int_equal(sp_stun_write(m, msg, cap), 0);
}

static void all_attributes(void **state) {
    struct sp_stun m;
    memset(&m, 0, sizeof m);
    m.method = SP_STUN_BINDING;
    memcpy(m.id, "transactions", 12);
    written_and_read(&m);
    m.method = 0xabc; /* every bit of the type */
    for (m.class = 0; m.class < 4; m.class ++)
        written_and_read(&m);
    m.class = SP_STUN_REQUEST;
    m.fingerprint = true;
    m.has_change = m.change_port = true;
    m.response_port = 4711;
    m.padding = 300;
    written_and_read(&m);
    m.change_ip = true;
    m.change_port = false;
    written_and_read(&m);
    m.class = SP_STUN_ERROR;
    m.error = 420;
    m.unknown[0] = 0x0024;
    m.unknown[1] = 0x7fff;
    m.unknown[2] = 0x0002;
    m.unknown_count = 3;
    written_and_read(&m);
    memset(&m, 0, sizeof m);
    m.class = SP_STUN_SUCCESS;
    m.mapped = CLIENT;
    m.response_origin = (struct sp_addr){.family = 6, .port = 443, .ip = {0x20, 1, 0x0d, 0xb8}};
    m.other_address = GRID[3];
    written_and_read(&m);
}

static void rfc8489_malformed(void **state) {
    static const char *const bad[] = {
        "000100042112a442000102030405060708090a0b"
        "00030000", /* CHANGE-REQUEST without value */
        "000100082112a442000102030405060708090a0b"
        "0003000500000000", /* longer than the message */
        "0001000c2112a442000102030405060708090a0b"
        "0020000800030000"
        "00000000", /* family 3 */
        "0001000c2112a442000102030405060708090a0b"
        "0020000800020000"
        "00000000", /* IPv6 in four bytes */
        "000100102112a442000102030405060708090a0b"
        "0020000c00010000"
        "0000000000000000", /* IPv4 in eight */
        "000100082112a442000102030405060708090a0b"
        "0009000400000700", /* error class 7 */
        "000100082112a442000102030405060708090a0b"
        "000a000100000000", /* half an attribute's type */
        "0001000c2112a442000102030405060708090a0b"
        "8028000400000000"
        "00030000", /* fingerprint in the middle */
        "000100022112a442000102030405060708090a0b"
        "0000", /* no multiple of four */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t msg[64], answer[256];
        struct sp_stun m;
        struct sp_addr from, to;
        size_t len = sp_test_hex(bad[i], msg, sizeof msg);
        assert_int_not_equal(sp_stun_read(&m, msg, len), SP_OK);
        assert_int_equal(sp_stun_serve(msg, len, &CLIENT, &GRID[0], GRID, 4, answer, sizeof answer, &from, &to), 0);
    }
}

/* RFC 8489 14.2: XOR-MAPPED-ADDRESS is believed before MAPPED-ADDRESS; of two, the first (14). */
static void rfc8489_which_mapped_address(void **state) {
    static const char PLAIN1[] = "0001000800011267c6336401", XORED[] = "002000080001a147e112a643",
                      XORED2[] = "002000080001a147e112a644";
    const char *orders[][3] = {
        {PLAIN1, XORED, ""}, {XORED, PLAIN1, ""}, {XORED, XORED2, ""}, {PLAIN1, XORED, XORED2}, {XORED, "", ""}};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        char hex[200];
        uint8_t msg[100];
        struct sp_stun m;
        size_t n = strlen(orders[i][0]) + strlen(orders[i][1]) + strlen(orders[i][2]);
        snprintf(hex, sizeof hex, "010100%02x2112a442b7e7a701bc34d686fa87dfae%s%s%s", (unsigned)n / 2, orders[i][0],
                 orders[i][1], orders[i][2]);
        size_t len = sp_test_hex(hex, msg, sizeof msg);
        assert_int_equal(sp_stun_read(&m, msg, len), SP_OK);
        same(&m.mapped, &CLIENT);
    }
}

/* A fingerprint that is right, but has something behind it. */
static void rfc8489_fingerprint_is_last(void **state) {
    uint8_t msg[64];
    struct sp_stun m;
    size_t len = sp_test_hex("000100102112a442000102030405060708090a0b8028000400000000"
                             "0003000400000000",
                             msg, sizeof msg);
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 20; i++) {
        crc ^= msg[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    sp_put_u32(msg + 24, ~crc ^ 0x5354554eu);
    assert_int_equal(sp_stun_read(&m, msg, len), SP_ERR_FORM);
}

/* RFC 8489 14.5: attributes behind MESSAGE-INTEGRITY do not count. */
static void rfc8489_after_integrity(void **state) {
    uint8_t msg[128];
    struct sp_stun m;
    size_t len = sp_test_hex("000100282112a442000102030405060708090a0b"
                             "000800140000000000000000000000000000000000000000"
                             "0003000400000006"
                             "7ffe000400000000",
                             msg, sizeof msg);
    assert_int_equal(sp_stun_read(&m, msg, len), SP_OK);
    assert_false(m.has_change);
    assert_int_equal(m.unknown_count, 0);
}

/* ---- the server ---- */

struct answer {
    size_t len;
    struct sp_addr from, to;
    struct sp_stun m;
};

static struct answer ask(const struct sp_stun *req, const struct sp_addr *dst, const struct sp_addr *addrs, size_t n) {
    uint8_t msg[1500], out[1500];
    struct answer a;
    size_t len = sp_stun_write(req, msg, sizeof msg);
    assert_int_not_equal(len, 0);
    a.len = sp_stun_serve(msg, len, &CLIENT, dst, addrs, n, out, sizeof out, &a.from, &a.to);
    assert_true(a.len <= 2 * len + 16);
    if (a.len > 0)
        assert_int_equal(sp_stun_read(&a.m, out, a.len), SP_OK);
    assert_memory_equal(a.m.id, req->id, 12);
    return a;
}

static const struct sp_stun PLAIN = {.method = SP_STUN_BINDING, .class = SP_STUN_REQUEST, .id = "abcdefghijk"};

static void rfc8489_binding(void **state) {
    struct answer a = ask(&PLAIN, &GRID[0], GRID, 4);
    assert_int_equal(a.m.class, SP_STUN_SUCCESS);
    same(&a.m.mapped, &CLIENT);
    same(&a.m.response_origin, &GRID[0]);
    same(&a.m.other_address, &GRID[3]);
    same(&a.from, &GRID[0]);
    same(&a.to, &CLIENT);
    assert_false(a.m.fingerprint);
    struct sp_stun req = PLAIN;
    req.fingerprint = true;
    assert_true(ask(&req, &GRID[0], GRID, 4).m.fingerprint);
}

static void rfc8489_only_requests_are_answered(void **state) {
    uint8_t msg[64], out[256];
    struct sp_addr from, to;
    struct sp_stun m = PLAIN;
    for (m.class = SP_STUN_INDICATION; m.class <= SP_STUN_ERROR; m.class ++) {
        size_t len = sp_stun_write(&m, msg, sizeof msg);
        assert_int_equal(sp_stun_serve(msg, len, &CLIENT, &GRID[0], GRID, 4, out, sizeof out, &from, &to), 0);
    }
    m.class = SP_STUN_REQUEST;
    m.method = 3; /* TURN's Allocate */
    size_t len = sp_stun_write(&m, msg, sizeof msg);
    assert_int_equal(sp_stun_serve(msg, len, &CLIENT, &GRID[0], GRID, 4, out, sizeof out, &from, &to), 0);
}

static void rfc8489_unknown_attributes_are_420(void **state) {
    uint8_t msg[64], out[256];
    struct sp_addr from, to;
    struct sp_stun m;
    size_t len = sp_test_hex("000100102112a442000102030405060708090a0b"
                             "0024000400000000"
                             "c001000400000000",
                             msg, sizeof msg);
    size_t n = sp_stun_serve(msg, len, &CLIENT, &GRID[0], GRID, 4, out, sizeof out, &from, &to);
    assert_int_equal(sp_stun_read(&m, out, n), SP_OK);
    assert_int_equal(m.class, SP_STUN_ERROR);
    assert_int_equal(m.error, 420);
    assert_int_equal(m.unknown_count, 1); /* 0xc001 is optional */
    assert_int_equal(m.unknown[0], 0x0024);
}

static void rfc5780_change_request(void **state) {
    for (unsigned at = 0; at < 4; at++)
        for (unsigned change = 0; change < 4; change++) {
            struct sp_stun req = PLAIN;
            req.has_change = true;
            req.change_ip = (change & 2) != 0;
            req.change_port = (change & 1) != 0;
            struct answer a = ask(&req, &GRID[at], GRID, 4);
            assert_int_equal(a.m.class, SP_STUN_SUCCESS);
            same(&a.from, &GRID[at ^ change]);
            same(&a.m.response_origin, &GRID[at ^ change]);
            same(&a.m.other_address, &GRID[at ^ 3]);
        }
}

/* One address with two ports: nothing differs in both, so no OTHER-ADDRESS; a change of port is possible, of address
 * not. */
static void rfc5780_one_address(void **state) {
    static const struct sp_addr any[] = {{{0}, 0, 3478, 4, 0}, {{0}, 0, 3479, 4, 0}, {{0}, 0, 3478, 6, 0}};
    for (unsigned wild = 0; wild < 2; wild++) {
        const struct sp_addr *addrs = wild ? any : GRID;
        struct sp_stun req = PLAIN;
        assert_int_equal(ask(&req, &GRID[0], addrs, 2).m.other_address.family, 0);
        req.has_change = req.change_port = true;
        struct answer a = ask(&req, &GRID[0], addrs, 2);
        assert_int_equal(a.m.class, SP_STUN_SUCCESS);
        same(&a.from, &GRID[1]);
        req.change_ip = true;
        a = ask(&req, &GRID[0], addrs, 2);
        assert_int_equal(a.m.error, 420);
        assert_int_equal(a.m.unknown[0], 0x0003);
        same(&a.from, &GRID[0]);
        req.change_port = false;
        assert_int_equal(ask(&req, &GRID[0], addrs, 2).m.error, 420);
    }
}

static void rfc5780_response_port(void **state) {
    struct sp_stun req = PLAIN;
    req.response_port = 4711;
    struct answer a = ask(&req, &GRID[0], GRID, 4);
    assert_int_equal(a.to.port, 4711);
    assert_memory_equal(a.to.ip, CLIENT.ip, 16);
    same(&a.m.mapped, &CLIENT);
    req.padding = 64;
    a = ask(&req, &GRID[0], GRID, 4);
    assert_int_equal(a.m.error, 400);
    assert_int_equal(a.to.port, CLIENT.port);
}

static void rfc5780_padding(void **state) {
    struct sp_stun req = PLAIN;
    for (req.padding = 4; req.padding < 1400; req.padding = (uint16_t)(req.padding + 100)) {
        struct answer a = ask(&req, &GRID[0], GRID, 4);
        assert_int_equal(a.m.padding, req.padding);
        assert_int_equal(a.m.other_address.family, 4);
    }
}

/* Padding is cut to what the answer's buffer holds. */
static void rfc5780_padding_is_cut(void **state) {
    uint8_t msg[1500], out[SP_STUN_MAX];
    struct sp_addr from, to;
    struct sp_stun req = PLAIN, m;
    req.padding = 1200;
    size_t len = sp_stun_write(&req, msg, sizeof msg), full = 0;
    for (size_t cap = 0; cap <= sizeof out; cap++) {
        size_t n = sp_stun_serve(msg, len, &CLIENT, &GRID[0], GRID, 4, out, cap, &from, &to);
        assert_true(n <= cap);
        assert_true(n > 0 || cap < 56);
        if (n == 0)
            continue;
        assert_int_equal(sp_stun_read(&m, out, n), SP_OK);
        full = full == 0 ? n : full;
        assert_int_equal(m.padding, cap - full < 8 ? 0 : (cap - full - 4) / 4 * 4);
    }
    assert_int_equal(full, 56);
}

/* A stranger gets no more than twice of what it paid for, whatever it asks: RFC 5780 9 leaves the bound to us. */
static void answers_are_small(void **state) {
    struct sp_addr six = {.family = 6, .port = 1, .ip = {0x20, 1}};
    struct sp_addr addrs[4];
    for (unsigned i = 0; i < 4; i++)
        addrs[i] = (struct sp_addr){.family = 6, .port = (uint16_t)(3478 + i % 2), .ip = {0x20, 1, (uint8_t)(i / 2)}};
    uint8_t msg[1500], out[4000];
    struct sp_addr from, to;
    struct sp_stun req = PLAIN, m;
    for (unsigned finger = 0; finger < 2; finger++)
        for (req.padding = 0; req.padding < 600; req.padding++) {
            req.fingerprint = finger != 0;
            size_t len = sp_stun_write(&req, msg, sizeof msg);
            size_t n = sp_stun_serve(msg, len, &six, &addrs[0], addrs, 4, out, sizeof out, &from, &to);
            assert_int_not_equal(n, 0);
            assert_true(n + 48 <= 2 * (len + 48) + 4);
            assert_int_equal(sp_stun_read(&m, out, n), SP_OK);
            same(&m.mapped, &six);
            same(&m.other_address, &addrs[3]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc5769_vectors),
        cmocka_unit_test(rfc8489_fingerprint),
        cmocka_unit_test(rfc8489_what_is_stun),
        cmocka_unit_test(all_attributes),
        cmocka_unit_test(rfc8489_malformed),
        cmocka_unit_test(rfc8489_after_integrity),
        cmocka_unit_test(rfc8489_binding),
        cmocka_unit_test(rfc8489_only_requests_are_answered),
        cmocka_unit_test(rfc8489_unknown_attributes_are_420),
        cmocka_unit_test(rfc5780_change_request),
        cmocka_unit_test(rfc5780_one_address),
        cmocka_unit_test(rfc5780_response_port),
        cmocka_unit_test(rfc5780_padding),
        cmocka_unit_test(rfc5780_padding_is_cut),
        cmocka_unit_test(rfc8489_which_mapped_address),
        cmocka_unit_test(rfc8489_fingerprint_is_last),
        cmocka_unit_test(answers_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
