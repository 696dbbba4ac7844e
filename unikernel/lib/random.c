#include "unikernel/lib/random.h"

#include <string.h>

#include <sodium.h>

#include "unikernel/lib/cpu.h"
#include "unikernel/lib/crash.h"
#include "unikernel/xen/xen.h"

#define TRIES 1000

static struct {
    uint8_t key[32];
    bool seeded;
} pool;

static enum { UNKNOWN = 0, LOOKED = 1, SEEDS = 2, DRAWS = 4 } offers; /* of this CPU: to ask it leaves the guest */

/* These two run before there is a stack canary: they make one. */
__attribute__((no_stack_protector)) static bool draw(bool seed, uint64_t *ret) {
    uint8_t ok = 0;
    for (unsigned i = 0; i < TRIES && !ok; i++)
        if (seed)
            __asm__ volatile("rdseed %0; setc %1" : "=r"(*ret), "=qm"(ok)::"cc");
        else
            __asm__ volatile("rdrand %0; setc %1" : "=r"(*ret), "=qm"(ok)::"cc");
    return ok && *ret != 0 && *ret != UINT64_MAX; /* what generators gave that had broken down */
}

__attribute__((no_stack_protector)) bool spx_random_u64(uint64_t *ret) {
    static uint64_t last;
    if (offers == UNKNOWN)
        offers = LOOKED | (spx_cpuid(0).a >= 7 && (spx_cpuid(7).b >> 18 & 1) != 0 ? SEEDS : 0) |
                 ((spx_cpuid(1).c >> 30 & 1) != 0 ? DRAWS : 0);
    uint64_t v = last;
    if (!((offers & SEEDS) != 0 && draw(true, &v)) && !((offers & DRAWS) != 0 && draw(false, &v)))
        return false;
    if (v == last)
        return false;
    *ret = last = v;
    return true;
}

static _Noreturn void stop(void) {
    spx_crash("the CPU's random number generator delivers nothing, or nothing random");
}

void spx_random_reseed(const void *bytes, size_t len) {
    struct {
        uint64_t draws[SPX_RANDOM_DRAWS], tsc, now, wall;
    } fresh;
    offers = UNKNOWN; /* after a resume it may be another one */
    for (size_t i = 0; i < SPX_RANDOM_DRAWS; i++)
        if (!spx_random_u64(&fresh.draws[i]))
            stop();
    if (!spx_random_is_healthy(fresh.draws, SPX_RANDOM_DRAWS))
        stop();
    fresh.tsc = spx_tsc();
    fresh.now = spx_now();
    fresh.wall = spx_wall().ns;
    crypto_generichash_blake2b_state hash;
    crypto_generichash_blake2b_init(&hash, pool.key, sizeof pool.key, sizeof pool.key);
    crypto_generichash_blake2b_update(&hash, (const uint8_t *)&fresh, sizeof fresh);
    crypto_generichash_blake2b_update(&hash, bytes, len);
    crypto_generichash_blake2b_final(&hash, pool.key, sizeof pool.key);
    sodium_memzero(&fresh, sizeof fresh);
    sodium_memzero(&hash, sizeof hash);
    pool.seeded = true;
}

void spx_random_fill(void *buf, size_t len) {
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    if (!pool.seeded)
        spx_random_reseed(NULL, 0);
    /* Block 0 of the stream is the next key, what follows is given out. */
    uint8_t next[64] = {0};
    crypto_stream_chacha20(next, sizeof next, nonce, pool.key);
    memset(buf, 0, len);
    crypto_stream_chacha20_xor_ic(buf, buf, len, nonce, 1, pool.key);
    memcpy(pool.key, next, sizeof pool.key);
    sodium_memzero(next, sizeof next);
}

/* libsodium's default source of randomness, under the name it looks for: the archive's own, which opens devices and
 * calls the kernel, is then not linked. */
static const char *name(void) {
    return "rdrand";
}
static uint32_t random_u32(void) {
    uint32_t v;
    spx_random_fill(&v, sizeof v);
    return v;
}
static void random_buf(void *const buf, const size_t size) {
    spx_random_fill(buf, size);
}
struct randombytes_implementation randombytes_sysrandom_implementation = {
    .implementation_name = name,
    .random = random_u32,
    .buf = random_buf,
};
