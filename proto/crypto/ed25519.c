#include <sodium.h>

#include "proto/crypto/crypto.h"

sp_err sp_crypto_init(void) {
    return sodium_init() >= 0 ? SP_OK : SP_ERR_STATE;
}

void sp_wipe(void *p, size_t len) {
    sodium_memzero(p, len);
}

bool sp_equal_ct(const void *a, const void *b, size_t len) {
    return sodium_memcmp(a, b, len) == 0;
}

void sp_ed25519_from_seed(struct sp_ed25519 *key, const uint8_t seed[SP_ED25519_SEED]) {
    int bad = crypto_sign_ed25519_seed_keypair(key->pub, key->secret, seed);
    SP_ASSERT(bad == 0);
}

void sp_ed25519_generate(struct sp_ed25519 *key, struct sp_rng *rng) {
    uint8_t seed[SP_ED25519_SEED];
    sp_rng_fill(rng, seed, sizeof seed);
    sp_ed25519_from_seed(key, seed);
    sp_wipe(seed, sizeof seed);
}

void sp_ed25519_sign(const struct sp_ed25519 *key, const void *msg, size_t len, uint8_t sig[SP_ED25519_SIG]) {
    int bad = crypto_sign_ed25519_detached(sig, NULL, msg, len, key->secret);
    SP_ASSERT(bad == 0);
}

bool sp_ed25519_verify(const uint8_t pub[SP_ED25519_PUB], const void *msg, size_t len,
                       const uint8_t sig[SP_ED25519_SIG]) {
    return crypto_sign_ed25519_verify_detached(sig, msg, len, pub) == 0;
}

sp_err sp_ed25519_to_x25519(const uint8_t pub[SP_ED25519_PUB], uint8_t ret[32]) {
    uint8_t image[32];
    if (crypto_sign_ed25519_pk_to_curve25519(image, pub) != 0)
        return SP_ERR_BADKEY;
    for (unsigned i = 0; i < sizeof image; i++)
        ret[i] = image[i];
    return SP_OK;
}
