#include <sodium.h>

#include "proto/crypto/crypto.h"

#include <string.h>

#define NONCE crypto_aead_chacha20poly1305_ietf_NPUBBYTES

/* WireGuard 5.4.6: 32 zero bits, then the counter, little endian. */
static void nonce_of(uint64_t counter, uint8_t ret[NONCE]) {
    memset(ret, 0, 4);
    for (unsigned i = 0; i < 8; i++)
        ret[4 + i] = (uint8_t)(counter >> 8 * i);
}

void sp_aead_seal_ad(uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in, size_t len,
                     const uint8_t *ad, size_t ad_len) {
    uint8_t nonce[NONCE];
    nonce_of(counter, nonce);
    int bad = crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key);
    SP_ASSERT(bad == 0);
}

bool sp_aead_open_ad(uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in, size_t len,
                     const uint8_t *ad, size_t ad_len) {
    uint8_t nonce[NONCE];
    nonce_of(counter, nonce);
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce, key) == 0;
}

static void seal(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                 size_t len) {
    sp_aead_seal_ad(out, key, counter, in, len, NULL, 0);
}

static bool open(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                 size_t len) {
    return sp_aead_open_ad(out, key, counter, in, len, NULL, 0);
}

void sp_aead_sodium(struct sp_aead *ret) {
    *ret = (struct sp_aead){seal, open, NULL};
}

void sp_xaead_seal(uint8_t *out, const uint8_t key[SP_AEAD_KEY], const uint8_t nonce[SP_XAEAD_NONCE], const uint8_t *in,
                   size_t len, const uint8_t *ad, size_t ad_len) {
    int bad = crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key);
    SP_ASSERT(bad == 0);
}

bool sp_xaead_open(uint8_t *out, const uint8_t key[SP_AEAD_KEY], const uint8_t nonce[SP_XAEAD_NONCE], const uint8_t *in,
                   size_t len, const uint8_t *ad, size_t ad_len) {
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce, key) == 0;
}
