#include "proto/base/csum.h"

#include <string.h>

#include "proto/base/bytes.h"

/* One's complement sums do not care for byte order (RFC 1071 2 B), so words are added as this machine holds them, many
 * bytes at a time, and the folded result alone is brought into network order. */

static inline uint64_t load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* 64-bit sums of 32-bit words carry nothing out below 2^32 words; two of them, so that one addition need not wait for
 * another. */
static uint64_t sum_words(const uint8_t *p, size_t len) {
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (; len >= 32; p += 32, len -= 32) {
        a += load32(p) + load32(p + 16);
        b += load32(p + 4) + load32(p + 20);
        c += load32(p + 8) + load32(p + 24);
        d += load32(p + 12) + load32(p + 28);
    }
    for (; len >= 4; p += 4, len -= 4)
        a += load32(p);
    if (len >= 2) {
        uint16_t v;
        memcpy(&v, p, sizeof v);
        b += v;
    }
    if (len % 2 != 0) { /* the first byte of a word whose second is zero */
        const uint8_t last[2] = {p[len - 1], 0};
        uint16_t v;
        memcpy(&v, last, sizeof v);
        c += v;
    }
    return (a + b) + (c + d);
}

static inline uint16_t fold64(uint64_t sum) {
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)sum;
}

uint32_t sp_csum_add(uint32_t sum, const uint8_t *data, size_t len) {
    if (len == 0)
        return sum;
    uint16_t part = fold64(sum_words(data, len));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    part = __builtin_bswap16(part);
#endif
    return sp_csum_fold(sum) + (uint32_t)part;
}

uint16_t sp_csum_fold(uint32_t sum) {
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)sum;
}

uint32_t sp_csum_pseudo(const uint8_t *src, const uint8_t *dst, size_t alen, uint8_t proto, size_t len) {
    uint32_t sum;
    if (alen == 4)
        sum = (uint32_t)sp_get_u16(src) + sp_get_u16(src + 2) + sp_get_u16(dst) + sp_get_u16(dst + 2);
    else
        sum = sp_csum_add(sp_csum_add(0, src, alen), dst, alen);
    return sum + proto + (uint32_t)(len >> 16) + (uint32_t)(len & UINT16_MAX);
}
