/* A name prepared for lookups: lower case, cut into labels, hashed from the root down.
 *
 * The hash of a suffix is SipHash-1-3 over the hash of the suffix above it and its first label, so that one pass gives
 * the hashes of a name, of every name above it and of a wildcard below any of them. Keyed, since strangers choose the
 * names. */
#ifndef SP_CORE_NAME_KEY_H
#define SP_CORE_NAME_KEY_H

#include "proto/dns/name.h"

struct sp_hash_key {
    uint64_t k0, k1;
};

struct sp_name_key {
    uint8_t len, labels;
    uint8_t off[128];       /* where the i-th label from the left starts; off[labels]: the root's zero byte */
    uint8_t wire[256 + 16]; /* lower case; what follows the name is never looked at */
    uint64_t hash[128];     /* hash[k]: of the last k labels; hash[0]: the root */
};

static inline struct sp_hash_key sp_hash_key_load(const uint8_t key[16]) {
    struct sp_hash_key k;
    memcpy(&k.k0, key, 8);
    memcpy(&k.k1, key + 8, 8);
    return k;
}

/* Lower case of eight bytes at once. Length bytes are below 'A' and stay what they are. */
static inline uint64_t sp_lower8(uint64_t v) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low7 = v & (0x7f * ones);
    uint64_t ge_a = low7 + (0x80 - 'A') * ones;
    uint64_t gt_z = low7 + (0x7f - 'Z') * ones;
    uint64_t upper = (ge_a ^ gt_z) & ~v & (0x80 * ones);
    return v | upper >> 2;
}

#define SP_SIP_ROUND(a, b, c, d)                                                                                       \
    do {                                                                                                               \
        a += b;                                                                                                        \
        c += d;                                                                                                        \
        b = (b << 13 | b >> 51) ^ a;                                                                                   \
        d = (d << 16 | d >> 48) ^ c;                                                                                   \
        a = a << 32 | a >> 32;                                                                                         \
        c += b;                                                                                                        \
        a += d;                                                                                                        \
        b = (b << 17 | b >> 47) ^ c;                                                                                   \
        d = (d << 21 | d >> 43) ^ a;                                                                                   \
        c = c << 32 | c >> 32;                                                                                         \
    } while (0)

/* Hash of the label at p (its length byte included, 7 readable bytes behind it) below a suffix with the hash `up`. */
static inline __attribute__((always_inline)) uint64_t sp_label_hash(struct sp_hash_key k, uint64_t up,
                                                                    const uint8_t *p) {
    uint64_t a = k.k0 ^ UINT64_C(0x736f6d6570736575), b = k.k1 ^ UINT64_C(0x646f72616e646f6d);
    uint64_t c = k.k0 ^ UINT64_C(0x6c7967656e657261), d = k.k1 ^ UINT64_C(0x7465646279746573);
    size_t len = (size_t)p[0] + 1, left = len;
    uint64_t m = up;
    d ^= m;
    SP_SIP_ROUND(a, b, c, d);
    a ^= m;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&m, p, 8);
        d ^= m;
        SP_SIP_ROUND(a, b, c, d);
        a ^= m;
    }
    memcpy(&m, p, 8);
    m = (left == 0 ? 0 : m & (~UINT64_C(0) >> (64 - 8 * left))) | (uint64_t)(len + 8) << 56;
    d ^= m;
    SP_SIP_ROUND(a, b, c, d);
    a ^= m;
    c ^= 0xff;
    SP_SIP_ROUND(a, b, c, d);
    SP_SIP_ROUND(a, b, c, d);
    SP_SIP_ROUND(a, b, c, d);
    return a ^ b ^ c ^ d;
}

/* Fills hash[] from len, labels, off and wire, below the last `known` labels, whose hash is given. */
static inline void sp_name_key_hash_from(struct sp_name_key *q, struct sp_hash_key k, unsigned known, uint64_t hash) {
    q->hash[known] = hash;
    for (unsigned i = known + 1; i <= q->labels; i++)
        q->hash[i] = hash = sp_label_hash(k, hash, q->wire + q->off[q->labels - i]);
}
static inline void sp_name_key_hash(struct sp_name_key *q, struct sp_hash_key k) {
    sp_name_key_hash_from(q, k, 0, k.k0);
}

/* The last k labels. */
static inline const uint8_t *sp_name_key_suffix(const struct sp_name_key *q, unsigned k, size_t *len) {
    uint8_t at = q->off[q->labels - k];
    *len = (size_t)(q->len - at);
    return q->wire + at;
}

/* Lower case of a checked wire name of len bytes, of which `room` bytes may be read. */
static inline void sp_name_key_lower(struct sp_name_key *q, const uint8_t *wire, size_t len, size_t room) {
    size_t i = 0, most = room >= ((len + 7) & ~(size_t)7) ? len + 7 : len;
    for (; i + 8 <= most; i += 8) {
        uint64_t v;
        memcpy(&v, wire + i, 8);
        v = sp_lower8(v);
        memcpy(q->wire + i, &v, 8);
    }
    for (; i < len; i++)
        q->wire[i] = (uint8_t)(wire[i] >= 'A' && wire[i] <= 'Z' ? wire[i] + 32 : wire[i]);
}

/* From a stored name: no byte behind it is read. */
static inline void sp_name_key_wire(struct sp_name_key *q, const uint8_t *wire, size_t len, struct sp_hash_key k) {
    sp_name_key_lower(q, wire, len, len);
    size_t at = 0;
    unsigned labels = 0;
    for (; q->wire[at] != 0; at += q->wire[at] + 1u)
        q->off[labels++] = (uint8_t)at;
    q->off[labels] = (uint8_t)at;
    q->len = (uint8_t)len;
    q->labels = (uint8_t)labels;
    sp_name_key_hash(q, k);
}

static inline void sp_name_key_init(struct sp_name_key *q, const struct sp_name *name, struct sp_hash_key k) {
    sp_name_key_wire(q, name->wire, name->len, k);
}

#endif
