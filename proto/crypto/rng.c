#include <sodium.h>
#include <string.h>

#include "proto/crypto/crypto.h"

/* ChaCha20 with fast key erasure: each key makes one run of bytes, whose start is the next key, so what was handed out
 * before cannot be computed from what is held now. The nonce is fixed, as no key is used twice. */
static void refill(struct sp_rng *rng) {
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    uint8_t run[SP_RNG_SEED + sizeof rng->buf];
    crypto_stream_chacha20(run, sizeof run, nonce, rng->key);
    memcpy(rng->key, run, SP_RNG_SEED);
    memcpy(rng->buf, run + SP_RNG_SEED, sizeof rng->buf);
    rng->used = 0;
    sp_wipe(run, sizeof run);
}

void sp_rng_init(struct sp_rng *rng, const uint8_t seed[SP_RNG_SEED]) {
    memset(rng, 0, sizeof *rng);
    memcpy(rng->key, seed, SP_RNG_SEED);
    rng->used = sizeof rng->buf;
    rng->refill = refill;
}
