#include "proto/base/rng.h"

#include "proto/base/err.h"

void sp_rng_fill(struct sp_rng *rng, void *out, size_t len) {
    uint8_t *to = out;
    SP_ASSERT(rng->refill != NULL);
    while (len > 0) {
        if (rng->used >= sizeof rng->buf)
            rng->refill(rng);
        size_t n = sizeof rng->buf - rng->used;
        if (n > len)
            n = len;
        memcpy(to, rng->buf + rng->used, n);
        memset(rng->buf + rng->used, 0, n); /* what was handed out cannot be read here later */
        rng->used += n;
        to += n;
        len -= n;
    }
}

uint32_t sp_rng_u32(struct sp_rng *rng) {
    uint32_t v;
    sp_rng_fill(rng, &v, sizeof v);
    return v;
}

uint64_t sp_rng_u64(struct sp_rng *rng) {
    uint64_t v;
    sp_rng_fill(rng, &v, sizeof v);
    return v;
}

uint64_t sp_rng_below(struct sp_rng *rng, uint64_t bound) {
    SP_ASSERT(bound > 0);
    /* The lowest 2^64 mod bound values would favour small results; draw again. */
    uint64_t unfair = -bound % bound, v;
    do
        v = sp_rng_u64(rng);
    while (v < unfair);
    return v % bound;
}
