#include "proto/crypto/crypto.h"

#include <string.h>

/* BLAKE2s (RFC 7693): WireGuard's hash and MAC, which libsodium lacks. Words are little endian. */

#define BLOCK 64

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Message word order of each round (2.7). */
static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

struct blake2s {
    uint32_t h[8];
    uint64_t len;
    uint8_t block[BLOCK];
    size_t fill;
};

static inline uint32_t rotr(uint32_t v, unsigned n) {
    return v >> n | v << (32 - n);
}

/* Inlined with constant places, so that the state stays in registers: three times as fast. */
static inline __attribute__((always_inline)) void mix(uint32_t v[16], unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x,
                                                      uint32_t y) {
    v[a] += v[b] + x;
    v[d] = rotr(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotr(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = rotr(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotr(v[b] ^ v[c], 7);
}

static void compress(struct blake2s *s, const uint8_t *block, bool last) {
    uint32_t v[16], m[16];
    for (unsigned i = 0; i < 16; i++, block += 4)
        m[i] = (uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16 | (uint32_t)block[3] << 24;
    memcpy(v, s->h, sizeof s->h);
    memcpy(v + 8, iv, sizeof iv);
    v[12] ^= (uint32_t)s->len;
    v[13] ^= (uint32_t)(s->len >> 32);
    if (last)
        v[14] = ~v[14];
    for (unsigned r = 0; r < 10; r++) {
        const uint8_t *o = sigma[r];
        mix(v, 0, 4, 8, 12, m[o[0]], m[o[1]]); /* columns */
        mix(v, 1, 5, 9, 13, m[o[2]], m[o[3]]);
        mix(v, 2, 6, 10, 14, m[o[4]], m[o[5]]);
        mix(v, 3, 7, 11, 15, m[o[6]], m[o[7]]);
        mix(v, 0, 5, 10, 15, m[o[8]], m[o[9]]); /* diagonals */
        mix(v, 1, 6, 11, 12, m[o[10]], m[o[11]]);
        mix(v, 2, 7, 8, 13, m[o[12]], m[o[13]]);
        mix(v, 3, 4, 9, 14, m[o[14]], m[o[15]]);
    }
    for (unsigned i = 0; i < 8; i++)
        s->h[i] ^= v[i] ^ v[i + 8];
    sp_wipe(v, sizeof v);
    sp_wipe(m, sizeof m);
}

/* A full block is held back until more comes, as the last one is compressed differently. */
static void update(struct blake2s *s, const uint8_t *data, size_t len) {
    while (len > 0) {
        if (s->fill == BLOCK) {
            s->len += BLOCK;
            compress(s, s->block, false);
            s->fill = 0;
        }
        size_t n = BLOCK - s->fill;
        if (n > len)
            n = len;
        memcpy(s->block + s->fill, data, n);
        s->fill += n;
        data += n;
        len -= n;
    }
}

void sp_blake2s(const uint8_t *key, size_t key_len, const struct sp_piece *pieces, size_t n, uint8_t *ret,
                size_t ret_len) {
    SP_ASSERT(key_len <= 32 && ret_len >= 1 && ret_len <= 32);
    struct blake2s s = {.fill = 0};
    memcpy(s.h, iv, sizeof iv);
    s.h[0] ^= 0x01010000 ^ (uint32_t)key_len << 8 ^ (uint32_t)ret_len;
    if (key_len > 0) {
        memcpy(s.block, key, key_len);
        s.fill = BLOCK;
    }
    for (size_t i = 0; i < n; i++)
        update(&s, pieces[i].data, pieces[i].len);
    s.len += s.fill;
    memset(s.block + s.fill, 0, BLOCK - s.fill);
    compress(&s, s.block, true);
    for (size_t i = 0; i < ret_len; i++)
        ret[i] = (uint8_t)(s.h[i / 4] >> 8 * (i % 4));
    sp_wipe(&s, sizeof s);
}
