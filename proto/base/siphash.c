#include "proto/base/table.h"

#include <string.h>

/* SipHash-2-4 (Aumasson, Bernstein 2012): 64-bit words little endian. */

static uint64_t rotl(uint64_t v, unsigned n) {
    return v << n | v >> (64 - n);
}

static uint64_t load_le(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint64_t load_word(const uint8_t *p) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
#else
    return load_le(p, 8);
#endif
}

/* In registers: it is done with every packet that is relayed, and with every block of the log. */
struct state {
    uint64_t a, b, c, d;
};

static inline struct state mix(struct state s) {
    s.a += s.b;
    s.c += s.d;
    s.b = rotl(s.b, 13) ^ s.a;
    s.d = rotl(s.d, 16) ^ s.c;
    s.a = rotl(s.a, 32);
    s.c += s.b;
    s.a += s.d;
    s.b = rotl(s.b, 17) ^ s.c;
    s.d = rotl(s.d, 21) ^ s.a;
    s.c = rotl(s.c, 32);
    return s;
}

static inline struct state add(struct state s, uint64_t word) {
    s.d ^= word;
    s = mix(mix(s));
    s.a ^= word;
    return s;
}

uint64_t sp_siphash(const uint8_t key[16], const void *data, size_t len) {
    const uint8_t *p = data;
    uint64_t k0 = load_word(key), k1 = load_word(key + 8), last = (uint64_t)len << 56;
    struct state s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                      k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    for (; len >= 8; p += 8, len -= 8)
        s = add(s, load_word(p));
    s = add(s, last | load_le(p, len));
    s.c ^= 0xff;
    s = mix(mix(mix(mix(s))));
    return s.a ^ s.b ^ s.c ^ s.d;
}
