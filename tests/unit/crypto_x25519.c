#include "tests/unit/cm.h"

#include <string.h>

#include "proto/crypto/crypto.h"

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static void hex(const char *text, uint8_t ret[32]) {
    assert_int_equal(sp_test_hex(text, ret, 32), 32);
}

static void rfc7748_5_2_multiplies(void **state) {
    uint8_t secret[32], u[32], want[32], got[32];
    hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", secret);
    hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", u);
    hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552", want);
    assert_int_equal(sp_x25519(secret, u, got), SP_OK);
    assert_memory_equal(got, want, 32);
}

static void rfc7748_6_1_agrees(void **state) {
    uint8_t a[32], b[32], pub_a[32], pub_b[32], want[32], got[32];
    hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", a);
    hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", b);
    hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", want);
    sp_x25519_base(a, pub_a);
    assert_memory_equal(pub_a, want, 32);
    hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", want);
    sp_x25519_base(b, pub_b);
    assert_memory_equal(pub_b, want, 32);
    hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", want);
    assert_int_equal(sp_x25519(a, pub_b, got), SP_OK);
    assert_memory_equal(got, want, 32);
    assert_int_equal(sp_x25519(b, pub_a, got), SP_OK);
    assert_memory_equal(got, want, 32);
}

static void small_orders_are_refused(void **state) {
    static const char *points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* -1 */
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", /* order 8 */
    };
    uint8_t secret[32], u[32], got[32] = {42};
    memset(secret, 0x55, 32);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        hex(points[i], u);
        assert_int_equal(sp_x25519(secret, u, got), SP_ERR_BADKEY);
        assert_int_equal(got[0], 42);
    }
}

static void device_key_gives_its_pair(void **state) {
    struct sp_ed25519 key;
    uint8_t seed[32], secret[32], pub[32], image[32], y[32];
    for (unsigned i = 0; i < 200; i++) {
        memset(seed, (int)i, sizeof seed);
        sp_ed25519_from_seed(&key, seed);
        sp_ed25519_secret_to_x25519(&key, secret);
        sp_x25519_base(secret, pub);
        assert_int_equal(sp_ed25519_to_x25519(key.pub, image), SP_OK);
        assert_memory_equal(pub, image, 32);
        assert_int_equal(sp_x25519_to_ed25519_y(pub, y), SP_OK);
        key.pub[31] &= 0x7f;
        assert_memory_equal(y, key.pub, 32);
    }
}

/* RFC 7748 4.1 names both base points. Then the ends of the field: 0, 1, -1, and values that are p or more, or have the top bit. */
static void rfc7748_4_1_maps_back(void **state) {
    uint8_t u[32] = {9}, y[32], want[32];
    hex("5866666666666666666666666666666666666666666666666666666666666666", want);
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_OK);
    assert_memory_equal(y, want, 32);
    u[31] = 0x80;
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_OK);
    assert_memory_equal(y, want, 32);
    hex("f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", u); /* p + 9 */
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_OK);
    assert_memory_equal(y, want, 32);
    hex("0000000000000000000000000000000000000000000000000000000000000000", u);
    hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", want);
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_OK);
    assert_memory_equal(y, want, 32);
    hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", u); /* p is 0 */
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_OK);
    assert_memory_equal(y, want, 32);
    memset(u, 0, 32);
    u[0] = 1;
    memset(want, 0, 32);
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_OK);
    assert_memory_equal(y, want, 32);
    hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", u);
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_ERR_BADKEY);
    hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", u);
    assert_int_equal(sp_x25519_to_ed25519_y(u, y), SP_ERR_BADKEY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc7748_5_2_multiplies),    cmocka_unit_test(rfc7748_6_1_agrees),
        cmocka_unit_test(small_orders_are_refused),  cmocka_unit_test(device_key_gives_its_pair),
        cmocka_unit_test(rfc7748_4_1_maps_back),
    };
    return cmocka_run_group_tests_name("crypto_x25519", tests, init, NULL);
}
