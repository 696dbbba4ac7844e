#include "tests/unit/cm.h"

#include <string.h>

#include "proto/crypto/crypto.h"

static struct sp_rng seeded(void) {
    struct sp_rng rng;
    uint8_t seed[SP_RNG_SEED];
    for (unsigned i = 0; i < SP_RNG_SEED; i++)
        seed[i] = (uint8_t)i;
    sp_rng_init(&rng, seed);
    return rng;
}

/* Three runs of 512 bytes of ChaCha20 (zero nonce), the first 32 of each being the next key; computed with OpenSSL. */
static void chacha20_with_key_erasure(void **state) {
    struct sp_rng rng = seeded();
    uint8_t out[3 * 480], hash[32], want[32], first[16];
    for (size_t at = 0; at < sizeof out; at += 45)
        sp_rng_fill(&rng, out + at, 45);
    sp_test_hex("2b23cce7a26023ab3f0eef693ac87f64", first, sizeof first);
    assert_memory_equal(out, first, sizeof first);
    sp_sha256(out, sizeof out, hash);
    sp_test_hex("13c998afc4ad8f776762f96e67ff70521b67f52e54a88f70cd89796d78813d9f", want, 32);
    assert_memory_equal(hash, want, 32);
}

static void what_was_handed_out_is_gone(void **state) {
    struct sp_rng rng = seeded();
    uint8_t out[16], key[SP_RNG_SEED];
    memcpy(key, rng.key, sizeof key);
    sp_rng_fill(&rng, out, sizeof out);
    assert_memory_not_equal(rng.key, key, sizeof key);
    for (size_t i = 0; i + 4 <= sizeof rng.buf; i++)
        assert_memory_not_equal(rng.buf + i, out, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chacha20_with_key_erasure),
        cmocka_unit_test(what_was_handed_out_is_gone),
    };
    return cmocka_run_group_tests_name("crypto_rng", tests, NULL, NULL);
}
