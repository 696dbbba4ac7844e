#include "proto/crypto/hash.h"

#include "proto/base/bytes.h"

/* SHA-1 (FIPS 180-4 6.1): for STUN's MESSAGE-INTEGRITY alone, never for new uses. */

static uint32_t rotl(uint32_t v, unsigned n) {
    return v << n | v >> (32 - n);
}

static void compress(uint32_t state[5], const uint8_t block[SP_SHA1_BLOCK]) {
    uint32_t w[80];
    for (unsigned i = 0; i < 16; i++)
        w[i] = sp_get_u32(block + 4 * i);
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (unsigned i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t t = rotl(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotl(b, 30);
        b = a;
        a = t;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    sp_wipe(w, sizeof w);
}

void sp_sha1_init(struct sp_sha1 *s) {
    *s = (struct sp_sha1){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
}

void sp_sha1_update(struct sp_sha1 *s, const uint8_t *data, size_t len) {
    while (len > 0) {
        size_t at = s->len % SP_SHA1_BLOCK, n = SP_SHA1_BLOCK - at;
        if (n > len)
            n = len;
        memcpy(s->block + at, data, n);
        s->len += n;
        data += n;
        len -= n;
        if (at + n == SP_SHA1_BLOCK)
            compress(s->state, s->block);
    }
}

void sp_sha1_final(struct sp_sha1 *s, uint8_t ret[20]) {
    static const uint8_t pad[SP_SHA1_BLOCK] = {0x80};
    uint8_t bits[8];
    sp_put_u32(bits, (uint32_t)(s->len >> 29));
    sp_put_u32(bits + 4, (uint32_t)(s->len << 3));
    sp_sha1_update(s, pad, 1 + (SP_SHA1_BLOCK + 55 - s->len % SP_SHA1_BLOCK) % SP_SHA1_BLOCK);
    sp_sha1_update(s, bits, sizeof bits);
    for (unsigned i = 0; i < 5; i++)
        sp_put_u32(ret + 4 * i, s->state[i]);
}
