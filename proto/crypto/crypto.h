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
