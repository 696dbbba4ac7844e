/* Time: instants and durations are u64 nanoseconds; wall time is a type of its own. */
#ifndef SP_BASE_TIME_H
#define SP_BASE_TIME_H

#include <stdint.h>

typedef uint64_t sp_instant;  /* ns on the host's monotonic clock */
typedef uint64_t sp_duration; /* ns */

#define SP_NEVER UINT64_MAX
#define SP_US UINT64_C(1000)
#define SP_MS (1000 * SP_US)
#define SP_SEC (1000 * SP_MS)
#define SP_MIN (60 * SP_SEC)
#define SP_HOUR (60 * SP_MIN)
#define SP_DAY (24 * SP_HOUR)

/* Wall time, ns since 1970 UTC. For RRSIG, SIG(0), TSIG, invites and TAI64N alone. */
typedef struct {
    uint64_t ns;
} sp_wall;

static inline uint64_t sp_wall_sec(sp_wall w) { return w.ns / SP_SEC; }
static inline sp_wall sp_wall_from_sec(uint64_t s) { return (sp_wall){s * SP_SEC}; }

/* Sum that stays at SP_NEVER instead of wrapping. */
static inline sp_instant sp_instant_add(sp_instant t, sp_duration d) {
    return t > SP_NEVER - d ? SP_NEVER : t + d;
}
static inline sp_instant sp_instant_min(sp_instant a, sp_instant b) { return a < b ? a : b; }

#endif
