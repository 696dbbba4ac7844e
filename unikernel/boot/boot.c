/* From the PVH entry to spx_main: hypercalls, canary, traps, memory, page tables, console, clocks, CPU. */
#include "unikernel/boot/boot.h"

#include <stddef.h>
#include <stdint.h>

#include "unikernel/boot/image.h"
#include "unikernel/boot/paging.h"
#include "unikernel/boot/traps.h"
#include "unikernel/lib/cpu.h"
#include "unikernel/lib/pages.h"
#include "unikernel/lib/random.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

/* PVH's start structure (xen/include/public/arch-x86/hvm/start_info.h). */
struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
    uint64_t memmap_paddr; /* version >= 1 */
    uint32_t memmap_entries, reserved;
};
struct memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};
#define START_MAGIC       0x336ec578
#define MEMMAP_RAM        1
#define RANGES_MAX        8
#define PARAM_STORE_PFN   1
#define PARAM_CONSOLE_PFN 17

_Noreturn void boot_main(const struct start_info *info);

/* What FS points to: the compiler reads the stack canary at FS:0x28. */
static uint64_t thread_block[8];
static char command_line[1024];

static _Noreturn void refuse(const char *why) {
    spx_debug_port("signpost: not starting: ");
    spx_debug_port(why);
    spx_debug_port("\n");
    spx_shutdown(SPX_CRASH);
}

/* RAM by the start structure's map; what does not fit in the list is left unused. */
static size_t find_ram(const struct start_info *info, struct spx_range *ret) {
    const struct memmap_entry *map = (const void *)info->memmap_paddr;
    size_t n = 0;
    for (uint32_t i = 0; i < info->memmap_entries && n < RANGES_MAX; i++)
        if (map[i].type == MEMMAP_RAM && map[i].size >= SPX_PAGE_SIZE)
            ret[n++] = (struct spx_range){(map[i].addr + SPX_PAGE_SIZE - 1) & -SPX_PAGE_SIZE,
                                          (map[i].addr + map[i].size) & -SPX_PAGE_SIZE};
    return n;
}

/* RAM without page 0 and the image; both ends of the image can leave a range. */
static size_t find_free(const struct spx_range *ram, size_t n_ram, struct spx_range *ret) {
    uint64_t low = (uint64_t)image_start, high = (uint64_t)image_end;
    size_t n = 0;
    for (size_t i = 0; i < n_ram; i++) {
        struct spx_range r = {ram[i].from < SPX_PAGE_SIZE ? SPX_PAGE_SIZE : ram[i].from, ram[i].to};
        if (r.from < low)
            ret[n++] = (struct spx_range){r.from, r.to < low ? r.to : low};
        if (r.to > high)
            ret[n++] = (struct spx_range){r.from > high ? r.from : high, r.to};
    }
    return n;
}

/* Everything that is kept of the start structure, which lies in memory that is free from now on. */
static void take_memory(const struct start_info *info) {
    struct spx_range ram[RANGES_MAX], unused[2 * RANGES_MAX];
    size_t n_ram = find_ram(info, ram), n_unused = find_free(ram, n_ram, unused);
    const char *from = (const char *)info->cmdline_paddr;
    for (size_t i = 0; from != NULL && i < sizeof command_line - 1 && from[i] != 0; i++)
        command_line[i] = from[i];
    spx_pages_init(unused, n_unused);
    uint64_t shared[] = {spx_hvm_param(PARAM_CONSOLE_PFN) << 12, spx_hvm_param(PARAM_STORE_PFN) << 12};
    if (!boot_paging_init(ram, n_ram, shared, sizeof shared / sizeof shared[0]))
        refuse("too little memory for the page tables");
}

/* The canary must be there before any function that checks one; this one does not. */
__attribute__((no_stack_protector)) _Noreturn void boot_main(const struct start_info *info) {
    spx_hypercalls_init();
    if (!spx_random_u64(&thread_block[5]))
        refuse("this CPU offers no RDRAND or RDSEED, or a broken one: no randomness, so no keys");
    thread_block[5] &= ~UINT64_C(0xff); /* a zero byte stops string overflows */
    spx_wrmsr(0xc0000100, (uint64_t)thread_block);
    thread_block[0] = (uint64_t)thread_block;
    boot_traps_init();
    if (info->magic != START_MAGIC || info->version < 1)
        refuse("not started as a PVH guest");
    if ((spx_cpuid(0x80000001).d >> 20 & 1) == 0)
        refuse("this CPU cannot keep data from being executed (NX)");
    take_memory(info);
    spx_console_init();
    spx_clock_init();
    spx_callback_init();
    spx_cpu_init();
    spx_random_reseed(NULL, 0);
    spx_shutdown(spx_main(command_line));
}

size_t spx_stack_used(void) {
    const uint8_t *at = stack_low;
    while (at < stack_top && *at == 0)
        at++;
    return (size_t)(stack_top - at);
}

bool spx_suspend(void) {
    spx_console_drain();
    sp_instant before = spx_now();
    if (spx_stop_for_suspend())
        return true;
    spx_hypercalls_init();
    spx_clock_init();
    spx_clock_go_on(before);
    spx_callback_init();
    spx_console_init();
    spx_random_reseed(NULL, 0);
    return false;
}
