/* Randomness: a generator that the host seeds. Its refill lives in proto/crypto (ChaCha20 with fast key
 * erasure), so that base uses nothing. */
#ifndef SP_BASE_RNG_H
#define SP_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SP_RNG_SEED 32

struct sp_rng {
    uint8_t key[SP_RNG_SEED];
    uint8_t buf[480];
    size_t used;
    void (*refill)(struct sp_rng *rng); /* fills buf, replaces key, sets used to 0 */
};

/* Fills out with len random bytes; taken bytes are erased from the generator. */
void sp_rng_fill(struct sp_rng *rng, void *out, size_t len);
uint32_t sp_rng_u32(struct sp_rng *rng);
uint64_t sp_rng_u64(struct sp_rng *rng);
/* Uniform in [0, bound); bound > 0. */
uint64_t sp_rng_below(struct sp_rng *rng, uint64_t bound);

#endif
