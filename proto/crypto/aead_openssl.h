/* OpenSSL's ChaCha20-Poly1305 for what is long: faster than libsodium's. Hosted only; the cores get it as a `struct sp_aead`. */
#ifndef SP_CRYPTO_AEAD_OPENSSL_H
#define SP_CRYPTO_AEAD_OPENSSL_H

#include "proto/crypto/crypto.h"

/* A new engine, for one thread. ERR_UNSUP: OpenSSL has none, or no memory. */
SP_CHECK sp_err sp_aead_openssl_new(struct sp_aead *ret);
void sp_aead_openssl_free(struct sp_aead *a);

#endif
