/* Signatures made when first asked for, and kept with what they cover. RFC 4035 2.2. */
#include "signpostd/core/ask.h"
#include "signpostd/core/limits.h"

#define BEARABLE_S (5 * 86400) /* what a signature has left when the next window's takes over at the latest */

/* Serial arithmetic, as RRSIG times are (RFC 4034 3.1.5). */
static bool sig_current(const struct sp_rrsig *sig, uint32_t now_s) {
    return (int32_t)(now_s - sig->inception) >= 0 && (int32_t)(sig->renew - now_s) > 0;
}

/* Due for renewal, but good for a while yet: what is at hand when the budget is used up, as it is when a window turns.
 */
static bool sig_bearable(const struct sp_rrsig *sig, uint32_t now_s) {
    return (int32_t)(now_s - sig->inception) >= 0 && (int32_t)(sp_get_u32(sig->rdata + 8) - now_s) > BEARABLE_S;
}

/* The Original TTL field, and for a denial the types it was made for. */
static bool sig_matches(const struct sp_rrsig *sig, const struct sp_rrs *rrs, const uint8_t *bitmap,
                        size_t bitmap_len) {
    return sp_get_u32(sig->rdata + 4) == rrs->ttl && sig->extra == bitmap_len &&
           (bitmap_len == 0 || memcmp(sig->rdata + sig->len, bitmap, bitmap_len) == 0);
}

static const struct sp_rrsig *sig_keep(struct sp_ask *ask, const struct sp_zone *z, _Atomic(struct sp_rrsig *) *memo,
                                       const struct sp_rrsig *made, const uint8_t *bitmap, size_t bitmap_len) {
    struct sp_mem *mem = ask->scratch->mem;
    bool may = mem != NULL && sp_limits_left(mem, SP_LEFT_FOR_SIGNATURES);
    struct sp_rrsig *kept = !may ? NULL : sp_mem_alloc(mem, sizeof *kept + made->len + bitmap_len);
    if (kept == NULL)
        return made;
    kept->inception = made->inception;
    kept->renew = made->renew;
    kept->len = made->len;
    kept->extra = (uint16_t)bitmap_len;
    memcpy(kept->rdata, made->rdata, made->len);
    if (bitmap_len != 0)
        memcpy(kept->rdata + made->len, bitmap, bitmap_len);
    sp_rrsig_release(z->zones, atomic_exchange_explicit(memo, kept, memory_order_acq_rel));
    return kept;
}

enum sp_sign_result sp_ask_sign(struct sp_ask *ask, const struct sp_zone *z, const uint8_t *owner, size_t owner_len,
                                const struct sp_rrs *rrs, _Atomic(struct sp_rrsig *) *memo, const uint8_t *bitmap,
                                size_t bitmap_len, const struct sp_rrsig **ret) {
    struct sp_answer_counts *counts = &ask->scratch->counts;
    const struct sp_rrsig *have = memo == NULL ? NULL : atomic_load_explicit(memo, memory_order_acquire);
    if (have != NULL && sig_current(have, ask->now_s) && sig_matches(have, rrs, bitmap, bitmap_len)) {
        counts->signatures_reused++;
        *ret = have;
        return SP_SIGN_OK;
    }
    bool keeps = memo != NULL && ask->scratch->mem != NULL;
    uint32_t *left = keeps && ask->scratch->sign_kept > 0 ? &ask->scratch->sign_kept : &ask->scratch->sign_left;
    if (*left == 0) {
        if (have != NULL && sig_matches(have, rrs, bitmap, bitmap_len) && sig_bearable(have, ask->now_s)) {
            counts->signatures_reused++;
            *ret = have;
            return SP_SIGN_OK;
        }
        counts->signatures_refused++;
        return SP_SIGN_BUDGET;
    }
    --*left;
    counts->signatures_made++;
    struct sp_sig_window window = sp_sig_window_at(ask->now);
    struct sp_rrsig *made = (void *)ask->sig_room;
    struct sp_name name = {.len = (uint8_t)owner_len};
    memcpy(name.wire, owner, owner_len);
    for (size_t at = 0; owner[at] != 0; at += owner[at] + 1u)
        name.labels++;
    size_t len;
    if (sp_dnssec_sign(z->key, &name, rrs, window, ask->scratch->canonical, sizeof ask->scratch->canonical, made->rdata,
                       &len) != SP_OK)
        return SP_SIGN_FAIL;
    made->inception = window.inception;
    made->renew = window.renew;
    made->len = (uint16_t)len;
    made->extra = 0;
    *ret = memo == NULL ? made : sig_keep(ask, z, memo, made, bitmap, bitmap_len);
    return SP_SIGN_OK;
}
