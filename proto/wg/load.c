#include "proto/wg/impl.h"

/* What a source that proved itself may ask for while we are under load (P 5.3). */
#define SOURCE_PER_S 20
#define SOURCE_BURST 5
#define WAYS         4u

bool wg_bucket_take(struct wg_bucket *b, uint32_t per_s, uint32_t burst, sp_instant now) {
    if (per_s == 0 || burst == 0)
        return false;
    uint64_t cost = SP_SEC / per_s, full = cost * burst;
    if (now > b->at) {
        uint64_t gone = now - b->at;
        b->credit = b->credit >= full || gone >= full - b->credit ? full : b->credit + gone;
        b->at = now;
    }
    if (b->credit < cost)
        return false;
    b->credit -= cost;
    return true;
}

/* The source's bucket, or a full one in the place of the one of its set that was used longest ago. */
static struct wg_source *source_of(struct sp_wg *wg, uint64_t hash, sp_instant now) {
    struct wg_source *set = &wg->sources[hash % (SOURCES / WAYS) * WAYS], *oldest = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].hash == hash)
            return &set[i];
        if (set[i].bucket.at < oldest->bucket.at)
            oldest = &set[i];
    }
    *oldest = (struct wg_source){hash, {now, SP_SEC / SOURCE_PER_S * SOURCE_BURST}};
    return oldest;
}

bool wg_source_take(struct sp_wg *wg, const uint8_t *from, size_t from_len, sp_instant now) {
    uint64_t hash = sp_siphash(wg->hash_key, from, from_len);
    return wg_bucket_take(&source_of(wg, hash, now)->bucket, SOURCE_PER_S, SOURCE_BURST, now);
}
