#include "unikernel/lib/random.h"

#include <string.h>

#include <sodium.h>

#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

#define TRIES 1000

static void features(uint32_t leaf, uint32_t *b, uint32_t *c) {
    uint32_t a, d;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(*b), "=c"(*c), "=d"(d) : "a"(leaf), "c"(0));
}

/* Runs before there is a stack canary: it makes one. */
__attribute__((no_stack_protector)) bool spx_random_u64(uint64_t *ret) {
    uint32_t b, c;
    uint8_t ok = 0;
    features(7, &b, &c);
    if ((b >> 18 & 1) != 0)
        for (unsigned i = 0; i < TRIES && !ok; i++)
            __asm__ volatile("rdseed %0; setc %1" : "=r"(*ret), "=qm"(ok)::"cc");
    features(1, &b, &c);
    if (!ok && (c >> 30 & 1) != 0)
        for (unsigned i = 0; i < TRIES && !ok; i++)
            __asm__ volatile("rdrand %0; setc %1" : "=r"(*ret), "=qm"(ok)::"cc");
    return ok;
}

void spx_random_fill(void *buf, size_t len) {
    uint8_t *p = buf;
    while (len > 0) {
        uint64_t v;
        if (!spx_random_u64(&v)) {
            spx_print("signpost: the CPU's random number generator has stopped\n");
            spx_console_drain();
            spx_shutdown(SPX_CRASH);
        }
        size_t n = len < sizeof v ? len : sizeof v;
        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
}

/* libsodium's default source of randomness, under the name it looks for: the archive's own, which opens devices and calls the
 * kernel, is then not linked. */
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
