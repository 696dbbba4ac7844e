/* Budgets for verifying signatures: token buckets, global, per prefix, per key. See struct sp_budgets. */
#ifndef SP_CORE_BUDGET_H
#define SP_CORE_BUDGET_H

#include "proto/base/bucket.h"
#include "signpostd/core/update.h"

/* Buckets that hold two seconds' worth of a rate; of none a second they give nothing. */
#define SP_RATE_DEPTH (2 * SP_SEC)

bool sp_rate_has(const struct sp_bucket *b, uint32_t per_s, unsigned cost, sp_instant now);
void sp_rate_take(struct sp_bucket *b, uint32_t per_s, unsigned cost, sp_instant now);

#define SP_PREFIX_WAYS 8u

struct sp_prefix {
    uint64_t key; /* transport, family and prefix */
    struct sp_bucket bucket;
};
struct sp_budget {
    struct sp_bucket global[SP_VIA_COUNT], strangers[SP_VIA_COUNT];
    struct sp_prefix *prefixes; /* sets of ways; the one that has been full for longest gives way */
    uint32_t sets;
    uint8_t hash_key[16];
};

/* Draws from the bucket of src's prefix and this kind (below 8) alone; false: used up. */
bool sp_budget_draw_prefix(struct sp_budget *b, unsigned kind, const struct sp_addr *src, uint32_t per_s, unsigned cost,
                           sp_instant now);
/* prefixes: how many are told apart; a power of two, SP_PREFIX_WAYS or more. ERR_FULL. */
SP_CHECK sp_err sp_budget_init(struct sp_budget *b, struct sp_mem *mem, const uint8_t hash_key[16], uint32_t prefixes);
void sp_budget_free(struct sp_budget *b, struct sp_mem *mem);
/* Draws `cost` verifications from every bucket that applies, or from none. key: of a key that is proven from src, else
 * NULL. */
enum sp_refusal sp_budget_draw(struct sp_budget *b, const struct sp_budgets *rates, enum sp_transport via,
                               const struct sp_addr *src, struct sp_bucket *key, unsigned cost, sp_instant now);

#endif
