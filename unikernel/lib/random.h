/* Randomness from the CPU: RDSEED where there is one, else RDRAND. */
#ifndef SPX_RANDOM_H
#define SPX_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when the CPU has neither, or neither delivers. */
bool spx_random_u64(uint64_t *ret);
/* Stops the domain when the CPU fails. */
void spx_random_fill(void *buf, size_t len);

#endif
