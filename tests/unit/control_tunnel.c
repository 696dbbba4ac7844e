#include "tests/unit/cm.h"

#include <string.h>

#include "proto/base/csum.h"
#include "proto/control/tunnel.h"

/* RFC 1071 as its words say: 16 bits at a time. */
static uint16_t slow_sum(const uint8_t *p, size_t len) {
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
        if (sum > 0xffff)
            sum -= 0xffff;
    }
    return (uint16_t)sum;
}

/* The pseudo header is put together as bytes here (RFC 8200 8.1). */
static uint16_t transport_sum(const uint8_t *packet, size_t len) {
    uint8_t whole[2048] = {0};
    memcpy(whole, packet + 8, 32);
    sp_put_u32(whole + 32, (uint32_t)(len - 40));
    whole[39] = packet[6];
    memcpy(whole + 40, packet + 40, len - 40);
    return slow_sum(whole, len);
}

static uint32_t next_random(uint32_t *seed) {
    return *seed = *seed * 1664525 + 1013904223;
}

static void rfc1071_sums(void **state) {
    uint8_t m[512];
    uint32_t seed = 1;
    for (unsigned round = 0; round < 400; round++) {
        size_t len = next_random(&seed) >> 8 & 255, at = round & 7;
        uint32_t fill = next_random(&seed) >> 16;
        for (size_t i = 0; i < len; i++)
            m[at + i] = fill & 1 ? 0xff : (uint8_t)(next_random(&seed) >> 24);
        uint16_t want = slow_sum(m + at, len);
        /* 0 and 0xffff are the same number; a sum of all zeros alone is 0. */
        assert_int_equal(sp_csum_fold(sp_csum_add(0, m + at, len)) % 0xffff, want % 0xffff);
        size_t half = len / 4 * 2;
        uint32_t sum = sp_csum_add(0, m + at, half);
        assert_int_equal(sp_csum_fold(sp_csum_add(sum, m + at + half, len - half)) % 0xffff, want % 0xffff);
    }
    /* RFC 1071 3: the example. */
    assert_int_equal(sp_csum_fold(sp_csum_add(0, (const uint8_t[]){0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}, 8)), 0xddf2);
    assert_int_equal(sp_csum_fold(sp_csum_add(0, m, 0)), 0);
}

static const struct sp_tunnel_udp sample = {
    .src = {0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    .dst = {0xfd, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0x53},
    .sport = 40000,
    .dport = SP_DNS_PORT,
    .len = 5,
};

static size_t make(uint8_t *out, const char *data) {
    struct sp_tunnel_udp u = sample;
    u.len = strlen(data);
    memcpy(out + SP_TUNNEL_HEAD, data, u.len);
    return sp_tunnel_udp_write(&u, out, 1400);
}

static void rfc768_written_is_read(void **state) {
    uint8_t m[1400];
    size_t len = make(m, "hello");
    assert_int_equal(len, 53);
    assert_int_equal(transport_sum(m, len), 0xffff);
    struct sp_tunnel_udp u;
    assert_int_equal(sp_tunnel_udp_read(&u, m, len, true), SP_OK);
    assert_memory_equal(u.src, sample.src, 16);
    assert_memory_equal(u.dst, sample.dst, 16);
    assert_int_equal(u.sport, 40000);
    assert_int_equal(u.dport, 53);
    assert_int_equal(u.len, 5);
    assert_memory_equal(u.data, "hello", 5);
    /* Padding to a multiple of 16 is left aside. */
    memset(m + len, 0, 11);
    assert_int_equal(sp_tunnel_udp_read(&u, m, len + 11, true), SP_OK);
    assert_int_equal(u.len, 5);
    struct sp_tunnel_udp none = sample;
    none.len = 0;
    assert_int_equal(sp_tunnel_udp_write(&none, m, sizeof m), 48);
    assert_int_equal(sp_tunnel_udp_read(&u, m, 48, true), SP_OK);
    assert_int_equal(u.len, 0);
}

static void room_is_needed(void **state) {
    uint8_t m[100];
    struct sp_tunnel_udp u = sample;
    assert_int_equal(sp_tunnel_udp_write(&u, m, 52), 0);
    memset(m, 0, sizeof m);
    assert_int_equal(sp_tunnel_udp_write(&u, m, 53), 53);
    u.len = 65528;
    assert_int_equal(sp_tunnel_udp_write(&u, m, SIZE_MAX), 0);
}

/* A checksum that comes out as zero is sent as its other form: zero means none. */
static void rfc768_no_zero_checksum(void **state) {
    uint8_t m[100] = {0};
    struct sp_tunnel_udp u = sample, back;
    u.len = 2;
    assert_int_equal(sp_tunnel_udp_write(&u, m, sizeof m), 50);
    memcpy(m + 48, m + 46, 2); /* the checksum's complement is what was missing */
    assert_int_equal(sp_tunnel_udp_write(&u, m, sizeof m), 50);
    assert_int_equal(sp_get_u16(m + 46), 0xffff);
    assert_int_equal(sp_tunnel_udp_read(&back, m, 50, true), SP_OK);
    sp_put_u16(m + 46, 0);
    assert_int_equal(sp_tunnel_udp_read(&back, m, 50, true), SP_ERR_FORM);
    assert_int_equal(sp_tunnel_udp_read(&back, m, 50, false), SP_OK);
}

static void every_altered_bit_is_seen(void **state) {
    uint8_t m[1400];
    struct sp_tunnel_udp u;
    size_t len = make(m, "hello");
    for (unsigned i = 4; i < len; i++) {
        if (i == 7)
            continue; /* the hop limit */
        for (unsigned bit = 0; bit < 8; bit++) {
            m[i] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(sp_tunnel_udp_read(&u, m, len, true), SP_OK);
            m[i] ^= (uint8_t)(1 << bit);
        }
    }
    m[48] ^= 1;
    assert_int_equal(sp_tunnel_udp_read(&u, m, len, true), SP_ERR_FORM);
    assert_int_equal(sp_tunnel_udp_read(&u, m, len, false), SP_OK);
}

static void rfc8200_others_are_not_taken(void **state) {
    uint8_t m[1400];
    struct sp_tunnel_udp u;
    size_t len = make(m, "hello");
    m[0] = 0x45;
    assert_int_equal(sp_tunnel_udp_read(&u, m, len, true), SP_ERR_UNSUP);
    m[0] = 0x60;
    m[6] = 0; /* hop-by-hop options */
    assert_int_equal(sp_tunnel_udp_read(&u, m, len, true), SP_ERR_UNSUP);
    m[6] = 17;
    for (size_t n = 4; n < len; n++)
        assert_int_equal(sp_tunnel_udp_read(&u, m, n, true), SP_ERR_FORM);
    assert_int_equal(sp_tunnel_udp_read(&u, m, 0, true), SP_ERR_UNSUP);
    /* UDP's length must be IPv6's. */
    m[45]--;
    assert_int_equal(sp_tunnel_udp_read(&u, m, len, false), SP_ERR_FORM);
    m[45] += 2;
    assert_int_equal(sp_tunnel_udp_read(&u, m, len + 1, false), SP_ERR_FORM);
    m[4] = m[5] = 0;
    assert_int_equal(sp_tunnel_udp_read(&u, m, len, false), SP_ERR_FORM);
}

static const uint8_t router[16] = {0xfd, 9};

static void rfc4443_unreachable(void **state) {
    uint8_t m[1400], out[1400];
    size_t len = make(m, "hello");
    size_t n = sp_tunnel_unreachable(router, m, len, 3, out, sizeof out);
    assert_int_equal(n, 40 + 8 + len);
    assert_int_equal(out[0], 0x60);
    assert_int_equal(sp_get_u16(out + 4), n - 40);
    assert_int_equal(out[6], 58);
    assert_memory_equal(out + 8, router, 16);
    assert_memory_equal(out + 24, m + 8, 16);
    assert_int_equal(out[40], 1);
    assert_int_equal(out[41], 3);
    assert_int_equal(sp_get_u32(out + 44), 0);
    assert_memory_equal(out + 48, m, len);
    assert_int_equal(transport_sum(out, n), 0xffff);
    assert_int_equal(sp_tunnel_unreachable(router, m, len, 3, out, n - 1), 0);
    n = sp_tunnel_too_big(router, m, len, 1280, out, sizeof out);
    assert_int_equal(out[40], 2);
    assert_int_equal(sp_get_u32(out + 44), 1280);
    assert_int_equal(transport_sum(out, n), 0xffff);
    /* 3.1: as much as fits in 1280 bytes. */
    assert_int_equal(sp_tunnel_unreachable(router, m, 1400, 0, out, sizeof out), 1280);
    assert_int_equal(transport_sum(out, 1280), 0xffff);
}

static void rfc4443_no_error_about_errors(void **state) {
    uint8_t m[1400], out[1400];
    size_t len = make(m, "hello");
    m[6] = 58;
    m[40] = 1;
    assert_int_equal(sp_tunnel_unreachable(router, m, len, 0, out, sizeof out), 0);
    m[40] = 137;
    assert_int_equal(sp_tunnel_too_big(router, m, len, 1280, out, sizeof out), 0);
    m[40] = 128; /* an echo request */
    assert_true(sp_tunnel_unreachable(router, m, len, 0, out, sizeof out) > 0);
    /* Behind destination options. */
    memset(m + 40, 0, 8);
    m[6] = 60;
    m[40] = 58;
    m[48] = 3;
    assert_int_equal(sp_tunnel_unreachable(router, m, 60, 0, out, sizeof out), 0);
    m[48] = 129;
    assert_true(sp_tunnel_unreachable(router, m, 60, 0, out, sizeof out) > 0);
    /* A later fragment may be one of an error. */
    m[6] = 44;
    m[43] = 8;
    assert_int_equal(sp_tunnel_unreachable(router, m, 60, 0, out, sizeof out), 0);
    m[43] = 1;
    assert_true(sp_tunnel_unreachable(router, m, 60, 0, out, sizeof out) > 0);
}

static void rfc4443_no_error_to_many(void **state) {
    uint8_t m[1400], out[1400];
    size_t len = make(m, "hello");
    m[24] = 0xff;
    assert_int_equal(sp_tunnel_unreachable(router, m, len, 0, out, sizeof out), 0);
    assert_true(sp_tunnel_too_big(router, m, len, 1280, out, sizeof out) > 0);
    m[24] = 0xfd;
    m[8] = 0xff;
    assert_int_equal(sp_tunnel_too_big(router, m, len, 1280, out, sizeof out), 0);
    memset(m + 8, 0, 16);
    assert_int_equal(sp_tunnel_unreachable(router, m, len, 0, out, sizeof out), 0);
    m[8] = 0xfd;
    assert_true(sp_tunnel_unreachable(router, m, len, 0, out, sizeof out) > 0);
    assert_int_equal(sp_tunnel_unreachable(router, m, 39, 0, out, sizeof out), 0);
    m[0] = 0x45;
    assert_int_equal(sp_tunnel_unreachable(router, m, len, 0, out, sizeof out), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1071_sums),
        cmocka_unit_test(rfc768_written_is_read),
        cmocka_unit_test(room_is_needed),
        cmocka_unit_test(rfc768_no_zero_checksum),
        cmocka_unit_test(every_altered_bit_is_seen),
        cmocka_unit_test(rfc8200_others_are_not_taken),
        cmocka_unit_test(rfc4443_unreachable),
        cmocka_unit_test(rfc4443_no_error_about_errors),
        cmocka_unit_test(rfc4443_no_error_to_many),
    };
    return cmocka_run_group_tests_name("control_tunnel", tests, NULL, NULL);
}
