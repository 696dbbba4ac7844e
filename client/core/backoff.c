#include "client/core/backoff.h"

/* first * 2^n, at most cap. */
static sp_duration doubled(sp_duration first, unsigned n, sp_duration cap) {
    while (n-- > 0 && first < cap)
        first *= 2;
    return first < cap ? first : cap;
}

unsigned sp_resend_max(unsigned addrs) {
    unsigned max = 4 + (addrs > 0 ? addrs : 1);
    return max < 8 ? max : 8;
}

sp_duration sp_resend_delay(unsigned k, unsigned addrs, struct sp_rng *rng) {
    sp_duration d = doubled(SP_RESEND_FIRST, k / (addrs > 0 ? addrs : 1), SP_RESEND_CAP);
    return d - d / 4 + sp_rng_below(rng, d / 2 + 1);
}

/* Many devices lose the same signpost at the same moment: the random half spreads their return. */
sp_duration sp_backoff_delay(unsigned failures, struct sp_rng *rng) {
    sp_duration d = doubled(SP_BACKOFF_FIRST, failures > 0 ? failures - 1 : 0, SP_BACKOFF_CAP);
    return d / 2 + sp_rng_below(rng, d / 2 + 1);
}

sp_duration sp_backoff_refused(struct sp_rng *rng) {
    return SP_BACKOFF_REFUSED / 2 + sp_rng_below(rng, SP_BACKOFF_REFUSED / 2 + 1);
}

sp_duration sp_refresh_delay(uint32_t lease_s, struct sp_rng *rng) {
    sp_duration percent = (sp_duration)lease_s * (SP_SEC / 100);
    return 80 * percent + sp_rng_below(rng, 5 * percent + 1);
}
