/* One handshake and a message each way, byte by byte. The bytes were computed from the formulas of WireGuard's paper (5.4) by Python's
 * hashlib and cryptography. Every random byte is 0x42. */
#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/wg_pair.h"

static const char initiation[] =
    "01000000c2424242132c442be010fbd57e72603328aa76e71fccc1503aae219327d14d9c9993f472891cbe6771515af8f307fad2341df596"
    "eb82e0382c08d7444ffb6f527940cd288d23711463d25c9de1d88a36b2397509d7a27c51f93c9de7d82f2cb68b91b8452770fe0e9de51f12"
    "6901fae3edbab751df2d8b9efe867db9c2183a5d00000000000000000000000000000000";
static const char response[] =
    "02000000c2424242c2424242132c442be010fbd57e72603328aa76e71fccc1503aae219327d14d9c9993f4726b6c1e14b83d709798d6f390"
    "301a52148509e0ea257bfe9c00ca851143bbc35b00000000000000000000000000000000";
static const char data[] =
    "04000000c24242420000000000000000401938fad6e41fdccacd4340ae21400d306f3f47127907ace9ceae4446d9d601";
static const char keepalive[] =
    "04000000c242424200000000000000008347e5261365ee5e4db77c1a80a37d13";

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static void always_42(struct sp_rng *rng) {
    memset(rng->buf, 0x42, sizeof rng->buf);
    rng->used = 0;
}

static void same(const char *want, const uint8_t *got, size_t len) {
    uint8_t bytes[SP_WG_INITIATION];
    assert_int_equal(sp_test_hex(want, bytes, sizeof bytes), len);
    assert_memory_equal(got, bytes, len);
}

static void a_handshake_byte_by_byte(void **state) {
    struct sp_mem mem[2];
    struct sp_rng rng = {.refill = always_42, .used = sizeof rng.buf};
    struct sp_wg *wg[2];
    struct sp_wg_peer *peer[2];
    struct sp_wg_got got;
    uint8_t psk[32], msg[SP_WG_INITIATION], out[SP_WG_INITIATION];
    sp_wall wall = {1700000007 * SP_SEC + 5};
    size_t len;
    memset(psk, 0x33, sizeof psk);
    for (unsigned i = 0; i < 2; i++) {
        struct sp_wg_config c = {.mem = &mem[i], .rng = &rng, .peers = 1, .initiations_per_s = 9, .initiations_max = 9};
        memset(c.secret, i == 0 ? 0x11 : 0x22, sizeof c.secret);
        sp_mem_init(&mem[i], sp_test_grant(), SP_CHUNK);
        assert_int_equal(sp_wg_new(&wg[i], &c, SP_SEC), SP_OK);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(sp_wg_peer_add(wg[i], sp_wg_public(wg[!i]), psk, NULL, SP_SEC, &peer[i]), SP_OK);

    assert_int_equal(sp_wg_initiate(wg[0], peer[0], SP_SEC, wall, msg), SP_OK);
    same(initiation, msg, SP_WG_INITIATION);
    sp_wg_input(wg[1], SP_SEC, wall, psk, 4, msg, SP_WG_INITIATION, out, &got);
    assert_int_equal(got.kind, SP_WG_REPLY);
    same(response, got.reply, got.reply_len);
    sp_wg_input(wg[0], SP_SEC, wall, psk, 4, got.reply, got.reply_len, out, &got);
    assert_int_equal(got.kind, SP_WG_ANSWERED);

    memcpy(msg + SP_WG_HEAD, "hello", 5);
    assert_int_equal(sp_wg_seal(wg[0], peer[0], SP_SEC, msg, sizeof msg, 5, &len), SP_OK);
    same(data, msg, len);
    sp_wg_input(wg[1], SP_SEC, wall, psk, 4, msg, len, out, &got);
    assert_int_equal(got.kind, SP_WG_DATA);
    assert_int_equal(sp_wg_seal(wg[1], peer[1], SP_SEC, msg, sizeof msg, 0, &len), SP_OK);
    same(keepalive, msg, len);
    for (unsigned i = 0; i < 2; i++) {
        sp_wg_free(wg[i]);
        sp_mem_done(&mem[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_handshake_byte_by_byte)};
    return cmocka_run_group_tests_name("wg_vectors", tests, init, NULL);
}
