#include "tests/unit/cm.h"

#include <string.h>

#include "proto/crypto/aead_openssl.h"

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

/* The same bytes as libsodium's, one key after the other, both directions by turns, in place. */
static void agrees_with_libsodium(void **state) {
    struct sp_aead ours, sodium;
    uint8_t key[32], buf[1500], other[1500];
    sp_aead_sodium(&sodium);
    assert_int_equal(sp_aead_openssl_new(&ours), SP_OK);
    for (size_t len = 0; len <= 1424; len = len < 200 || (len > 480 && len < 560) ? len + 1 : len + 17) {
        uint64_t counter = len * UINT64_C(0x0123456789ab);
        memset(key, (int)(len / 3), sizeof key);
        for (size_t i = 0; i < len; i++)
            buf[i] = other[i] = (uint8_t)(i + len);
        ours.seal(ours.ctx, buf, key, counter, buf, len);
        sodium.seal(NULL, other, key, counter, other, len);
        assert_memory_equal(buf, other, len + SP_AEAD_TAG);
        other[len] ^= 1;
        assert_false(ours.open(ours.ctx, buf, key, counter, other, len + SP_AEAD_TAG));
        other[len] ^= 1;
        assert_false(ours.open(ours.ctx, buf, key, counter + 1, other, len + SP_AEAD_TAG));
        assert_true(ours.open(ours.ctx, other, key, counter, other, len + SP_AEAD_TAG));
        for (size_t i = 0; i < len; i++)
            assert_int_equal(other[i], (uint8_t)(i + len));
    }
    assert_false(ours.open(ours.ctx, buf, key, 0, other, SP_AEAD_TAG - 1));
    sp_aead_openssl_free(&ours);
    assert_null(ours.ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_libsodium)};
    return cmocka_run_group_tests_name("crypto_aead_openssl", tests, init, NULL);
}
