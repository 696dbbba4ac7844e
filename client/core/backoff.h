/* When to send again: retransmissions inside an attempt, backing off between attempts, refreshing a lease. */
#ifndef SP_AGENT_BACKOFF_H
#define SP_AGENT_BACKOFF_H

#include "proto/base/rng.h"
#include "proto/base/time.h"

#define SP_RESEND_FIRST    (800 * SP_MS)
#define SP_RESEND_CAP      (8 * SP_SEC)
#define SP_BACKOFF_FIRST   (5 * SP_SEC)
#define SP_BACKOFF_CAP     (10 * SP_MIN)
#define SP_BACKOFF_REFUSED SP_HOUR

/* How many transmissions an attempt has: every address gets at least two. 5..8. */
unsigned sp_resend_max(unsigned addrs);
/* How long to wait after transmission k (from 0): doubles when every address had its turn, capped, 25% jitter either
 * way. */
sp_duration sp_resend_delay(unsigned k, unsigned addrs, struct sp_rng *rng);
/* How long to wait after `failures` (from 1) attempts failed in a row: doubles, capped, then a random part of the upper
 * half. */
sp_duration sp_backoff_delay(unsigned failures, struct sp_rng *rng);
/* The slow retry after a refusal: 50..100% of SP_BACKOFF_REFUSED. */
sp_duration sp_backoff_refused(struct sp_rng *rng);
/* 80% of a lease and up to 5% more. RFC 9664 5.2. */
sp_duration sp_refresh_delay(uint32_t lease_s, struct sp_rng *rng);

#endif
