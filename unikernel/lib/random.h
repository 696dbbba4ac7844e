/* Randomness: a pool of the CPU's (RDSEED where there is one, else RDRAND), of time, and of what the host gives. */
#ifndef SPX_RANDOM_H
#define SPX_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPX_RANDOM_DRAWS 64

/* One word of the CPU's. False when it has neither instruction, or neither delivers, or what it delivers is stuck. Runs
 * before there is a stack canary. */
bool spx_random_u64(uint64_t *ret);
/* Whether n draws may come from a generator that works: no word twice, none of the words broken ones are known to give,
 * no bit that is the same in all (with SPX_RANDOM_DRAWS of them a good generator fails this once in 2^57 times). */
bool spx_random_is_healthy(const uint64_t *draws, size_t n);

/* Mixes new draws, the time and the host's bytes (may be none) into the pool. Stops the domain when the CPU's draws are
 * not healthy. At the start, and before anything is sent after a resume: a saved domain may be resumed twice. */
void spx_random_reseed(const void *bytes, size_t len);
/* Seeds the pool when nobody has. What was given out cannot be computed from the pool afterwards. */
void spx_random_fill(void *buf, size_t len);

#endif
