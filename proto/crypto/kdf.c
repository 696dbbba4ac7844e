#include "proto/crypto/crypto.h"

#include <string.h>

#define BLOCK  64
#define PIECES 7

/* RFC 2104 2 with BLAKE2s; at most PIECES pieces, and a key of a block at most. */
void sp_hmac_blake2s(const uint8_t *key, size_t key_len, const struct sp_piece *pieces, size_t n, uint8_t ret[32]) {
    uint8_t pad[BLOCK] = {0}, inner[32];
    struct sp_piece all[PIECES + 1] = {{pad, sizeof pad}};
    SP_ASSERT(key_len <= BLOCK && n <= PIECES);
    if (key_len > 0)
        memcpy(pad, key, key_len);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    for (size_t i = 0; i < n; i++)
        all[1 + i] = pieces[i];
    sp_blake2s(NULL, 0, all, n + 1, inner, sizeof inner);

    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    all[1] = (struct sp_piece){inner, sizeof inner};
    sp_blake2s(NULL, 0, all, 2, ret, 32);
    sp_wipe(pad, sizeof pad);
    sp_wipe(inner, sizeof inner);
}

/* HKDF (RFC 5869) as WireGuard 5.4 writes it: extract, then T(i) = HMAC(secret, T(i - 1) || i). */
void sp_kdf(const uint8_t chain[32], const void *in, size_t len, unsigned n, uint8_t ret[][32]) {
    uint8_t secret[32], last[32];
    struct sp_piece input = {in, len};
    SP_ASSERT(n >= 1 && n <= 3);
    sp_hmac_blake2s(chain, 32, &input, 1, secret);
    for (uint8_t i = 1; i <= n; i++) {
        struct sp_piece pieces[] = {{last, i > 1 ? sizeof last : 0}, {&i, 1}};
        sp_hmac_blake2s(secret, sizeof secret, pieces, 2, last);
        memcpy(ret[i - 1], last, sizeof last);
    }
    sp_wipe(secret, sizeof secret);
    sp_wipe(last, sizeof last);
}
