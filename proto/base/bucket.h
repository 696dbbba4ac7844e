/* A token bucket, as the instant at which it will be full again: one word, no timer. All zero it is full. A cost is the time that the
 * rate takes to earn it: SP_SEC / per_s for one token. */
#ifndef SP_BASE_BUCKET_H
#define SP_BASE_BUCKET_H

#include <stdbool.h>

#include "proto/base/time.h"

struct sp_bucket {
    sp_instant full_at;
};

/* Whether it can pay. depth: the cost of all that it holds when full; a full one pays any cost, and is in debt for what it lacks. */
static inline bool sp_bucket_has(const struct sp_bucket *b, sp_duration cost, sp_duration depth, sp_instant now) {
    return b->full_at <= now || sp_instant_add(b->full_at - now, cost) <= depth;
}
static inline void sp_bucket_take(struct sp_bucket *b, sp_duration cost, sp_instant now) {
    b->full_at = sp_instant_add(b->full_at > now ? b->full_at : now, cost);
}

#endif
