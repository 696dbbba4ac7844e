/* Primitives over libsodium; BLAKE2s, SHA-1, SHA-384 and HMAC-SHA384 where it has none. The only room that
 * includes crypto libraries. Nothing here allocates or keeps state. */
#ifndef SP_CRYPTO_CRYPTO_H
#define SP_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/rng.h"

/* Once a process, before anything else here; idempotent. */
SP_CHECK sp_err sp_crypto_init(void);

/* The refill for `rng`, and its start from a seed of SP_RNG_SEED bytes (the seed is wiped by the caller). */
void sp_rng_init(struct sp_rng *rng, const uint8_t seed[SP_RNG_SEED]);

void sp_wipe(void *p, size_t len);
/* Constant time. */
bool sp_equal_ct(const void *a, const void *b, size_t len);

/* ---- Ed25519 (RFC 8032) ---- */
#define SP_ED25519_PUB 32
#define SP_ED25519_SEED 32
#define SP_ED25519_SIG 64

struct sp_ed25519 {
    uint8_t pub[SP_ED25519_PUB];
    uint8_t secret[64]; /* libsodium's form: seed and public half */
};

void sp_ed25519_from_seed(struct sp_ed25519 *key, const uint8_t seed[SP_ED25519_SEED]);
void sp_ed25519_generate(struct sp_ed25519 *key, struct sp_rng *rng);
void sp_ed25519_sign(const struct sp_ed25519 *key, const void *msg, size_t len, uint8_t sig[SP_ED25519_SIG]);
bool sp_ed25519_verify(const uint8_t pub[SP_ED25519_PUB], const void *msg, size_t len, const uint8_t sig[SP_ED25519_SIG]);
/* ERR_BADKEY when the point has no X25519 image. */
SP_CHECK sp_err sp_ed25519_to_x25519(const uint8_t pub[SP_ED25519_PUB], uint8_t ret[32]);

/* ---- X25519 (RFC 7748) ---- */
#define SP_X25519 32

void sp_x25519_base(const uint8_t secret[SP_X25519], uint8_t ret_pub[SP_X25519]);
/* ERR_BADKEY when the shared secret would be zero: a point of small order. */
SP_CHECK sp_err sp_x25519(const uint8_t secret[SP_X25519], const uint8_t pub[SP_X25519], uint8_t ret[SP_X25519]);
/* The X25519 secret of a device's Ed25519 key; its public half is sp_ed25519_to_x25519 of the key's. */
void sp_ed25519_secret_to_x25519(const struct sp_ed25519 *key, uint8_t ret[SP_X25519]);
/* The y coordinate (top bit clear) of the Ed25519 keys that have this X25519 image: y = (u - 1) / (u + 1). It finds a listed
 * key without converting every listed key. Public data only: not constant time. ERR_BADKEY: there is none (u = -1). */
SP_CHECK sp_err sp_x25519_to_ed25519_y(const uint8_t pub[SP_X25519], uint8_t ret[SP_ED25519_PUB]);

/* ---- ChaCha20-Poly1305 (RFC 8439), with WireGuard's nonce: 32 zero bits and a little-endian counter ---- */
#define SP_AEAD_KEY 32
#define SP_AEAD_TAG 16

/* An engine. libsodium's has no state; a host may bring a faster one. An engine serves one thread at a time.
 * seal: out gets len + SP_AEAD_TAG bytes; open: len includes the tag, out gets len - SP_AEAD_TAG bytes, false when it does not
 * verify (out is then undefined). out may be in. No additional data: WireGuard's transport has none. */
struct sp_aead {
    void (*seal)(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in, size_t len);
    bool (*open)(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in, size_t len);
    void *ctx;
};
void sp_aead_sodium(struct sp_aead *ret);
/* With additional data, for handshakes. */
void sp_aead_seal_ad(uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in, size_t len,
                     const uint8_t *ad, size_t ad_len);
SP_CHECK bool sp_aead_open_ad(uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in, size_t len,
                              const uint8_t *ad, size_t ad_len);
/* XChaCha20-Poly1305, for WireGuard's cookies. */
#define SP_XAEAD_NONCE 24
void sp_xaead_seal(uint8_t *out, const uint8_t key[SP_AEAD_KEY], const uint8_t nonce[SP_XAEAD_NONCE], const uint8_t *in, size_t len,
                   const uint8_t *ad, size_t ad_len);
SP_CHECK bool sp_xaead_open(uint8_t *out, const uint8_t key[SP_AEAD_KEY], const uint8_t nonce[SP_XAEAD_NONCE], const uint8_t *in,
                            size_t len, const uint8_t *ad, size_t ad_len);

/* ---- hashes ---- */
/* Input in several pieces, hashed as if joined, without joining them. (Ed25519 reads its message twice and needs it whole.) */
struct sp_piece {
    const void *data;
    size_t len;
};
enum sp_hash { SP_SHA1, SP_SHA256, SP_SHA384, SP_SHA512 };
#define SP_HASH_MAX 64

size_t sp_hash_size(enum sp_hash h);
/* The hash of the pieces joined. */
void sp_hash_pieces(enum sp_hash h, const struct sp_piece *pieces, size_t n, uint8_t *ret);
void sp_sha256(const void *data, size_t len, uint8_t ret[32]);
/* HMAC of the pieces joined; ret gets sp_hash_size bytes. */
void sp_hmac(enum sp_hash h, const uint8_t *key, size_t key_len, const struct sp_piece *pieces, size_t n, uint8_t *ret);
/* BLAKE2s-256, keyed or not (key_len 0..32). RFC 7693. */
void sp_blake2s(const uint8_t *key, size_t key_len, const struct sp_piece *pieces, size_t n, uint8_t *ret, size_t ret_len);
/* HMAC-BLAKE2s, and WireGuard's KDFn: HKDF of `n` (1..3) keys of 32 bytes each from a chaining key. */
void sp_hmac_blake2s(const uint8_t *key, size_t key_len, const struct sp_piece *pieces, size_t n, uint8_t ret[32]);
void sp_kdf(const uint8_t chain[32], const void *in, size_t len, unsigned n, uint8_t ret[][32]);
/* BLAKE2b of 1..64 bytes under a label: the labelled hash that overlay prefixes, interface parts and root hashes use:
 * BLAKE2b(len(label) || label || data). */
void sp_labelled_hash(const char *label, const void *data, size_t len, uint8_t *ret, size_t ret_len);

/* ---- text forms ---- */
/* Base64 with padding, base64url, base32hex and hex without (RFC 4648); upper case where there is a choice. Each returns the
 * length written (no terminating zero), or 0 with nothing written when cap is too small. In constant time for a given length. */
size_t sp_base64_encode(const uint8_t *data, size_t len, char *ret, size_t cap);
size_t sp_base64url_encode(const uint8_t *data, size_t len, char *ret, size_t cap);
size_t sp_base32hex_encode(const uint8_t *data, size_t len, char *ret, size_t cap);
size_t sp_hex_encode(const uint8_t *data, size_t len, char *ret, size_t cap);
/* White space is skipped; base32hex and hex in either case. ERR_FORM on other bytes, wrong padding or stray bits, ERR_SPACE.
 * On an error ret may hold a part (wipe it when it is secret) and ret_len is untouched. */
SP_CHECK sp_err sp_base64_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len);
SP_CHECK sp_err sp_base64url_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len);
SP_CHECK sp_err sp_base32hex_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len);
SP_CHECK sp_err sp_hex_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len);

#endif
