/* What the CPU offers, and its registers. */
#ifndef SPX_CPU_H
#define SPX_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct spx_cpuid {
    uint32_t a, b, c, d;
};

static inline struct spx_cpuid spx_cpuid(uint32_t leaf) {
    struct spx_cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
    return r;
}

static inline uint64_t spx_tsc(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Turns on AVX where CPU and Xen offer it (then also AVX2, which needs nothing more); else libsodium must not find it
 * either, and does not: OSXSAVE stays off. True when it is on. Before any cryptography: libsodium asks once. */
bool spx_cpu_init(void);

#endif
