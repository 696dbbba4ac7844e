#include "proto/crypto/aead_openssl.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

/* Shorter texts libsodium seals faster, as it has less to set up. */
#define SHORT 512

/* One direction. To turn a context around, or to give it a key, costs about as much as half a packet: so each direction has one,
 * and the key is given when it changes. */
struct half {
    EVP_CIPHER_CTX *ctx;
    uint8_t key[SP_AEAD_KEY];
    bool keyed;
};

struct engine {
    EVP_CIPHER *cipher;
    struct half seal, open;
};

/* In constant time, as sp_equal_ct, but word by word: it is asked for every packet. */
static bool same_key(const uint8_t a[SP_AEAD_KEY], const uint8_t b[SP_AEAD_KEY]) {
    uint64_t x[SP_AEAD_KEY / 8], y[SP_AEAD_KEY / 8], differ = 0;
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    for (unsigned i = 0; i < SP_AEAD_KEY / 8; i++)
        differ |= x[i] ^ y[i];
    return differ == 0;
}

/* A new message: its nonce, for opening its tag. */
static bool begin(struct half *h, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const OSSL_PARAM *params, int sealing) {
    uint8_t nonce[12] = {0};
    bool same = h->keyed && same_key(h->key, key);
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> 8 * i);
    if (!same)
        memcpy(h->key, key, SP_AEAD_KEY);
    h->keyed = (sealing ? EVP_EncryptInit_ex2 : EVP_DecryptInit_ex2)(h->ctx, NULL, same ? NULL : key, nonce, params) == 1;
    return h->keyed;
}

/* The text, then its tag: made, or compared with the one that `begin` was given. */
static bool run(struct half *h, uint8_t *out, const uint8_t *in, size_t len) {
    int rest;
    return EVP_Cipher(h->ctx, out, in, (unsigned)len) == (int)len && EVP_CipherFinal_ex(h->ctx, out + len, &rest) == 1;
}

static void seal(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                 size_t len) {
    struct engine *e = ctx;
    if (len < SHORT) {
        sp_aead_seal_ad(out, key, counter, in, len, NULL, 0);
        return;
    }
    OSSL_PARAM tag[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, out + len, SP_AEAD_TAG),
                        OSSL_PARAM_construct_end()};
    bool good = begin(&e->seal, key, counter, NULL, 1) && run(&e->seal, out, in, len) &&
                EVP_CIPHER_CTX_get_params(e->seal.ctx, tag) == 1;
    SP_ASSERT(good);
}

static bool open(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                 size_t len) {
    struct engine *e = ctx;
    uint8_t want[SP_AEAD_TAG];
    if (len < SHORT + SP_AEAD_TAG)
        return sp_aead_open_ad(out, key, counter, in, len, NULL, 0);
    len -= SP_AEAD_TAG;
    memcpy(want, in + len, SP_AEAD_TAG);
    OSSL_PARAM tag[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, want, SP_AEAD_TAG),
                        OSSL_PARAM_construct_end()};
    return begin(&e->open, key, counter, tag, 0) && run(&e->open, out, in, len);
}

static void engine_free(struct engine *e) {
    if (e == NULL)
        return;
    EVP_CIPHER_CTX_free(e->seal.ctx);
    EVP_CIPHER_CTX_free(e->open.ctx);
    EVP_CIPHER_free(e->cipher);
    OPENSSL_clear_free(e, sizeof *e);
}

sp_err sp_aead_openssl_new(struct sp_aead *ret) {
    struct engine *e = OPENSSL_zalloc(sizeof *e);
    if (e == NULL)
        return SP_ERR_UNSUP;
    e->cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    e->seal.ctx = EVP_CIPHER_CTX_new();
    e->open.ctx = EVP_CIPHER_CTX_new();
    if (e->cipher == NULL || e->seal.ctx == NULL || e->open.ctx == NULL ||
        EVP_EncryptInit_ex(e->seal.ctx, e->cipher, NULL, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex(e->open.ctx, e->cipher, NULL, NULL, NULL) != 1) {
        engine_free(e);
        return SP_ERR_UNSUP;
    }
    *ret = (struct sp_aead){seal, open, e};
    return SP_OK;
}

void sp_aead_openssl_free(struct sp_aead *a) {
    engine_free(a->ctx);
    *a = (struct sp_aead){0};
}
