#include "tests/unit/cm.h"

#include <string.h>

#include "proto/crypto/crypto.h"

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

/* RFC 8032 7.1, tests 1 to 3. */
static const struct {
    const char *seed, *pub, *msg, *sig;
} rfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "55141438e"
     "7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "00d291612"
     "bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "027beceea"
     "1ec40a"},
};

static void signs_as_rfc8032(void **state) {
    for (size_t i = 0; i < sizeof rfc8032 / sizeof rfc8032[0]; i++) {
        uint8_t seed[32], pub[32], sig[64], msg[8], got[64];
        struct sp_ed25519 key;
        sp_test_hex(rfc8032[i].seed, seed, sizeof seed);
        sp_test_hex(rfc8032[i].pub, pub, sizeof pub);
        assert_int_equal(sp_test_hex(rfc8032[i].sig, sig, sizeof sig), 64);
        size_t len = sp_test_hex(rfc8032[i].msg, msg, sizeof msg);
        sp_ed25519_from_seed(&key, seed);
        assert_memory_equal(key.pub, pub, 32);
        sp_ed25519_sign(&key, msg, len, got);
        assert_memory_equal(got, sig, 64);
        assert_true(sp_ed25519_verify(pub, msg, len, sig));
        msg[len] = 1;
        assert_false(sp_ed25519_verify(pub, msg, len + 1, sig));
        for (unsigned bit = 0; bit < 512; bit += 37) {
            memcpy(got, sig, 64);
            got[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(sp_ed25519_verify(pub, msg, len, got));
        }
    }
}

static void a_generated_key_signs(void **state) {
    struct sp_rng rng;
    struct sp_ed25519 a, b;
    uint8_t sig[64];
    sp_rng_init(&rng, (const uint8_t *)"0123456789abcdef0123456789abcdef");
    sp_ed25519_generate(&a, &rng);
    sp_ed25519_generate(&b, &rng);
    assert_memory_not_equal(a.pub, b.pub, 32);
    sp_ed25519_sign(&a, "hello", 5, sig);
    assert_true(sp_ed25519_verify(a.pub, "hello", 5, sig));
    assert_false(sp_ed25519_verify(b.pub, "hello", 5, sig));
}

/* The image is (1 + y) / (1 - y); a key and its twin with the other sign share it; a point of small order has none. */
static void x25519_image(void **state) {
    uint8_t pub[32], want[32], got[32], small[32] = {1};
    sp_test_hex(rfc8032[0].pub, pub, 32);
    sp_test_hex("d85e07ec22b0ad881537c2f44d662d1a143cf830c57aca4305d85c7a90f6b62e", want, 32);
    assert_int_equal(sp_ed25519_to_x25519(pub, got), SP_OK);
    assert_memory_equal(got, want, 32);
    memset(got, 7, sizeof got);
    assert_int_equal(sp_ed25519_to_x25519(small, got), SP_ERR_BADKEY);
    assert_int_equal(got[0], 7);
}

static void equality_and_wiping(void **state) {
    uint8_t a[5] = {1, 2, 3, 4, 5}, b[5] = {1, 2, 3, 4, 6};
    assert_true(sp_equal_ct(a, b, 4));
    assert_false(sp_equal_ct(a, b, 5));
    sp_wipe(a, 4);
    assert_memory_equal(a, "\0\0\0\0\5", 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_rfc8032),
        cmocka_unit_test(a_generated_key_signs),
        cmocka_unit_test(x25519_image),
        cmocka_unit_test(equality_and_wiping),
    };
    return cmocka_run_group_tests_name("crypto_ed25519", tests, init, NULL);
}
