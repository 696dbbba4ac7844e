#include "tests/unit/cm.h"

#include <string.h>

#include "proto/crypto/crypto.h"

/* RFC 8439 A.5: its nonce begins with 32 zero bits, as WireGuard's do. */
static const char rfc8439_key[] = "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0";
static const uint64_t rfc8439_counter = UINT64_C(0x0807060504030201);
static const char rfc8439_ad[] = "f33388860000000000004e91";
static const char rfc8439_text[] =
    "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted by "
    "other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them other "
    "than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
static const char rfc8439_sealed[] =
    "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100"
    "d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b350638"
    "3606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa115"
    "5b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
    "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f"
    "38";

/* draft-irtf-cfrg-xchacha-03 A.3.1. */
static const char xchacha_text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                                   "sunscreen would be it.";
static const char xchacha_sealed[] =
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216"
    "cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13"
    "b52ec0875924c1c7987947deafd8780acf49";

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static void seals_as_rfc8439(void **state) {
    uint8_t key[32], ad[12], want[320], got[320], back[320];
    size_t len = sizeof rfc8439_text - 1;
    sp_test_hex(rfc8439_key, key, sizeof key);
    sp_test_hex(rfc8439_ad, ad, sizeof ad);
    assert_int_equal(sp_test_hex(rfc8439_sealed, want, sizeof want), len + SP_AEAD_TAG);
    sp_aead_seal_ad(got, key, rfc8439_counter, (const uint8_t *)rfc8439_text, len, ad, sizeof ad);
    assert_memory_equal(got, want, len + SP_AEAD_TAG);
    assert_true(sp_aead_open_ad(back, key, rfc8439_counter, got, len + SP_AEAD_TAG, ad, sizeof ad));
    assert_memory_equal(back, rfc8439_text, len);
    ad[0] ^= 1;
    assert_false(sp_aead_open_ad(back, key, rfc8439_counter, got, len + SP_AEAD_TAG, ad, sizeof ad));
}

static void seals_as_the_xchacha_draft(void **state) {
    uint8_t key[32], nonce[24], ad[12], want[160], got[160];
    size_t len = sizeof xchacha_text - 1;
    sp_test_hex("50515253c0c1c2c3c4c5c6c7", ad, sizeof ad);
    for (unsigned i = 0; i < 32; i++)
        key[i] = (uint8_t)(0x80 + i);
    for (unsigned i = 0; i < 24; i++)
        nonce[i] = (uint8_t)(0x40 + i);
    assert_int_equal(sp_test_hex(xchacha_sealed, want, sizeof want), len + SP_AEAD_TAG);
    sp_xaead_seal(got, key, nonce, (const uint8_t *)xchacha_text, len, ad, sizeof ad);
    assert_memory_equal(got, want, len + SP_AEAD_TAG);
    assert_true(sp_xaead_open(got, key, nonce, got, len + SP_AEAD_TAG, ad, sizeof ad));
    assert_memory_equal(got, xchacha_text, len);
    assert_false(sp_xaead_open(got, key, nonce, want, len + SP_AEAD_TAG, ad, sizeof ad - 1));
}

/* The engine, in place and at every length up to a few blocks; one flipped bit anywhere is noticed. */
static void engine_round_trips_in_place(void **state) {
    struct sp_aead a;
    uint8_t key[32], buf[400], plain[384], same[400];
    sp_aead_sodium(&a);
    memset(key, 7, sizeof key);
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 31);
    for (size_t len = 0; len <= sizeof plain; len++) {
        memcpy(buf, plain, len);
        a.seal(a.ctx, buf, key, len, buf, len);
        sp_aead_seal_ad(same, key, len, plain, len, NULL, 0);
        assert_memory_equal(buf, same, len + SP_AEAD_TAG);
        buf[len / 2] ^= 4;
        assert_false(a.open(a.ctx, same, key, len, buf, len + SP_AEAD_TAG));
        buf[len / 2] ^= 4;
        assert_false(a.open(a.ctx, same, key, len + 1, buf, len + SP_AEAD_TAG));
        assert_true(a.open(a.ctx, buf, key, len, buf, len + SP_AEAD_TAG));
        assert_memory_equal(buf, plain, len);
    }
    assert_false(a.open(a.ctx, same, key, 1, buf, SP_AEAD_TAG - 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_as_rfc8439),
        cmocka_unit_test(seals_as_the_xchacha_draft),
        cmocka_unit_test(engine_round_trips_in_place),
    };
    return cmocka_run_group_tests_name("crypto_aead", tests, init, NULL);
}
