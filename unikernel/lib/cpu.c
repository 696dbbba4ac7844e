#include "unikernel/lib/cpu.h"

#define CPUID1_XSAVE     (1u << 26)
#define CPUID1_AVX       (1u << 28)
#define CR4_OSXSAVE      (1u << 18)
#define XCR0_X87_SSE_AVX 7u

bool spx_cpu_init(void) {
    const uint32_t wanted = CPUID1_XSAVE | CPUID1_AVX;
    if (spx_cpuid(0).a < 0xd || (spx_cpuid(1).c & wanted) != wanted ||
        (spx_cpuid(0xd).a & XCR0_X87_SSE_AVX) != XCR0_X87_SSE_AVX)
        return false;
    uint64_t cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | CR4_OSXSAVE));
    __asm__ volatile("xsetbv" ::"c"(0), "a"(XCR0_X87_SSE_AVX), "d"(0));
    return true;
}
