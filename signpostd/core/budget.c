#include "signpostd/core/budget.h"

bool sp_rate_has(const struct sp_bucket *b, uint32_t per_s, unsigned cost, sp_instant now) {
    return per_s != 0 && sp_bucket_has(b, cost * (SP_SEC / per_s), SP_RATE_DEPTH, now);
}

void sp_rate_take(struct sp_bucket *b, uint32_t per_s, unsigned cost, sp_instant now) {
    if (per_s != 0)
        sp_bucket_take(b, cost * (SP_SEC / per_s), now);
}

sp_err sp_budget_init(struct sp_budget *b, struct sp_mem *mem, const uint8_t hash_key[16], uint32_t prefixes) {
    SP_ASSERT(prefixes >= SP_PREFIX_WAYS && (prefixes & (prefixes - 1)) == 0);
    memset(b, 0, sizeof *b);
    memcpy(b->hash_key, hash_key, sizeof b->hash_key);
    b->sets = prefixes / SP_PREFIX_WAYS;
    b->prefixes = sp_mem_alloc(mem, prefixes * sizeof *b->prefixes);
    return b->prefixes == NULL ? SP_ERR_FULL : SP_OK;
}

void sp_budget_free(struct sp_budget *b, struct sp_mem *mem) {
    sp_mem_free(mem, b->prefixes, (size_t)b->sets * SP_PREFIX_WAYS * sizeof *b->prefixes);
    b->prefixes = NULL;
}

/* /24 or /56, never zero. UDP and TCP apart: a flood under forged addresses must not close TCP to their owners. */
static uint64_t prefix_key(unsigned via, const struct sp_addr *src) {
    unsigned bytes = src->family == 4 ? 3 : 7;
    uint64_t key = (uint64_t)via << 7 | src->family;
    for (unsigned i = 0; i < bytes; i++)
        key = key << 8 | src->ip[i];
    return key;
}

static struct sp_prefix *prefix_get(struct sp_budget *b, unsigned via, const struct sp_addr *src) {
    uint64_t key = prefix_key(via, src);
    uint64_t hash = sp_siphash(b->hash_key, &key, sizeof key);
    struct sp_prefix *set = &b->prefixes[(hash & (b->sets - 1)) * SP_PREFIX_WAYS], *oldest = set;
    for (unsigned i = 0; i < SP_PREFIX_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].bucket.full_at < oldest->bucket.full_at)
            oldest = &set[i];
    }
    *oldest = (struct sp_prefix){.key = key};
    return oldest;
}

bool sp_budget_draw_prefix(struct sp_budget *b, unsigned kind, const struct sp_addr *src, uint32_t per_s, unsigned cost,
                           sp_instant now) {
    struct sp_prefix *p = prefix_get(b, kind, src);
    if (!sp_rate_has(&p->bucket, per_s, cost, now))
        return false;
    sp_rate_take(&p->bucket, per_s, cost, now);
    return true;
}

enum sp_refusal sp_budget_draw(struct sp_budget *b, const struct sp_budgets *rates, enum sp_transport via,
                               const struct sp_addr *src, struct sp_bucket *key, unsigned cost, sp_instant now) {
    uint32_t global_per_s = via == SP_VIA_UDP ? rates->verify_per_s : rates->verify_tcp_per_s;
    if (key != NULL) {
        if (!sp_rate_has(key, rates->verify_key_per_s, cost, now))
            return SP_REFUSED_budget_key;
    } else if (!sp_rate_has(&b->strangers[via], rates->verify_stranger_per_s, cost, now)) {
        return SP_REFUSED_budget_global;
    }
    if (!sp_rate_has(&b->global[via], global_per_s, cost, now))
        return SP_REFUSED_budget_global;
    if (key != NULL) {
        sp_rate_take(key, rates->verify_key_per_s, cost, now);
    } else {
        struct sp_prefix *p = prefix_get(b, via, src);
        if (!sp_rate_has(&p->bucket, rates->verify_prefix_per_s, cost, now))
            return SP_REFUSED_budget_prefix;
        sp_rate_take(&p->bucket, rates->verify_prefix_per_s, cost, now);
        sp_rate_take(&b->strangers[via], rates->verify_stranger_per_s, cost, now);
    }
    sp_rate_take(&b->global[via], global_per_s, cost, now);
    return SP_REFUSED_none;
}
