#include "proto/crypto/aead_openssl.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* A context for each direction: to turn one around costs more than to give it a key. Contexts keep the last key
 * until they are freed, which wipes them. */
struct engine {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *seal, *open;
};

static void nonce_of(uint64_t counter, uint8_t ret[12]) {
    for (unsigned i = 0; i < 12; i++)
        ret[i] = i < 4 ? 0 : (uint8_t)(counter >> 8 * (i - 4));
}

static void seal(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                 size_t len) {
    struct engine *e = ctx;
    uint8_t nonce[12];
    int n, rest;
    nonce_of(counter, nonce);
    bool good = EVP_EncryptInit_ex(e->seal, NULL, NULL, key, nonce) == 1;
    if (len > 0)
        good = good && EVP_EncryptUpdate(e->seal, out, &n, in, (int)len) == 1;
    good = good && EVP_EncryptFinal_ex(e->seal, out + len, &rest) == 1 &&
           EVP_CIPHER_CTX_ctrl(e->seal, EVP_CTRL_AEAD_GET_TAG, SP_AEAD_TAG, out + len) == 1;
    SP_ASSERT(good);
}

static bool open(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                 size_t len) {
    struct engine *e = ctx;
    uint8_t nonce[12], tag[SP_AEAD_TAG];
    int n, rest;
    if (len < SP_AEAD_TAG)
        return false;
    len -= SP_AEAD_TAG;
    for (unsigned i = 0; i < SP_AEAD_TAG; i++)
        tag[i] = in[len + i];
    nonce_of(counter, nonce);
    if (EVP_DecryptInit_ex(e->open, NULL, NULL, key, nonce) != 1 ||
        EVP_CIPHER_CTX_ctrl(e->open, EVP_CTRL_AEAD_SET_TAG, SP_AEAD_TAG, tag) != 1)
        return false;
    if (len > 0 && EVP_DecryptUpdate(e->open, out, &n, in, (int)len) != 1)
        return false;
    return EVP_DecryptFinal_ex(e->open, out + len, &rest) == 1;
}

static void engine_free(struct engine *e) {
    if (e == NULL)
        return;
    EVP_CIPHER_CTX_free(e->seal);
    EVP_CIPHER_CTX_free(e->open);
    EVP_CIPHER_free(e->cipher);
    OPENSSL_free(e);
}

sp_err sp_aead_openssl_new(struct sp_aead *ret) {
    struct engine *e = OPENSSL_zalloc(sizeof *e);
    if (e == NULL)
        return SP_ERR_UNSUP;
    e->cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    e->seal = EVP_CIPHER_CTX_new();
    e->open = EVP_CIPHER_CTX_new();
    if (e->cipher == NULL || e->seal == NULL || e->open == NULL ||
        EVP_EncryptInit_ex(e->seal, e->cipher, NULL, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex(e->open, e->cipher, NULL, NULL, NULL) != 1) {
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
