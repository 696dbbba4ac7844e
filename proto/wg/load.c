#include "proto/wg/impl.h"

/* What a source that proved itself may ask for while we are under load (P 5.3). */
#define SOURCE_PER_S 20
#define SOURCE_BURST 5
#define WAYS         4u

bool wg_rate_take(struct sp_bucket *b, uint32_t per_s, uint32_t burst, sp_instant now) {
    if (per_s == 0 || burst == 0)
        return false;
    sp_duration cost = SP_SEC / per_s;
    if (!sp_bucket_has(b, cost, cost * burst, now))
        return false;
    sp_bucket_take(b, cost, now);
    return true;
}

/* The source's bucket, or a full one in the place of the one of its set that has been full for longest. */
static struct wg_source *source_of(struct sp_wg *wg, uint64_t hash) {
    struct wg_source *set = &wg->sources[hash % (SOURCES / WAYS) * WAYS], *oldest = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].hash == hash)
            return &set[i];
        if (set[i].bucket.full_at < oldest->bucket.full_at)
            oldest = &set[i];
    }
    *oldest = (struct wg_source){.hash = hash};
    return oldest;
}

bool wg_source_take(struct sp_wg *wg, const uint8_t *from, size_t from_len, sp_instant now) {
    uint64_t hash = sp_siphash(wg->hash_key, from, from_len);
    return wg_rate_take(&source_of(wg, hash)->bucket, SOURCE_PER_S, SOURCE_BURST, now);
}
