/* From the PVH entry to spx_main: canary, hypercalls, console, traps, memory. */
#include "unikernel/boot/boot.h"
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
#define START_MAGIC 0x336ec578
#define MEMMAP_RAM 1

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, zero;
};
struct __attribute__((packed)) task_state {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, iomap;
};

extern uint8_t trap_stubs[], image_end[];
extern uint64_t gdt[];
void boot_main(const struct start_info *info);
void boot_trap(uint64_t vector, uint64_t code, uint64_t rip, uint64_t rsp, uint64_t cr2);

static struct gate idt[32];
static struct task_state tss;
static uint8_t trap_stack[8192] __attribute__((aligned(16)));
/* What FS points to: the compiler reads the stack canary at FS:0x28. */
static uint64_t thread_block[8];

void boot_trap(uint64_t vector, uint64_t code, uint64_t rip, uint64_t rsp, uint64_t cr2) {
    spx_print("trap %u, code 0x%x, rip 0x%x, rsp 0x%x, cr2 0x%x\n", vector, code, rip, rsp, cr2);
    spx_shutdown(SPX_CRASH);
}

static void set_traps(void) {
    uint64_t base = (uint64_t)&tss;
    tss.ist[0] = (uint64_t)(trap_stack + sizeof trap_stack);
    tss.iomap = sizeof tss;
    gdt[2] = (sizeof tss - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (base >> 24 & 0xff) << 56;
    gdt[3] = base >> 32;
    for (unsigned i = 0; i < 32; i++) {
        uint64_t at = (uint64_t)trap_stubs + i * 16;
        idt[i] = (struct gate){(uint16_t)at, 8, 1, 0x8e, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0};
    }
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } ptr = {sizeof idt - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" ::"m"(ptr));
    __asm__ volatile("ltr %w0" ::"r"(16));
}

static struct spx_memory find_memory(const struct start_info *info) {
    const struct memmap_entry *map = (const void *)info->memmap_paddr;
    uint64_t start = (uint64_t)image_end;
    for (uint32_t i = 0; i < info->memmap_entries; i++) {
        uint64_t end = map[i].addr + map[i].size;
        if (map[i].type == MEMMAP_RAM && map[i].addr <= start && start < end)
            return (struct spx_memory){image_end, (uint8_t *)end};
    }
    return (struct spx_memory){NULL, NULL};
}

/* The canary must be there before any function that checks one; this one does not. */
__attribute__((no_stack_protector)) void boot_main(const struct start_info *info) {
    spx_hypercalls_init();
    if (!spx_random_u64(&thread_block[5])) {
        spx_debug_port("signpost: this CPU offers no RDRAND or RDSEED: no randomness, so no keys. Not starting.\n");
        spx_shutdown(SPX_CRASH);
    }
    thread_block[5] &= ~UINT64_C(0xff); /* a zero byte stops string overflows */
    spx_wrmsr(0xc0000100, (uint64_t)thread_block);
    thread_block[0] = (uint64_t)thread_block;
    spx_console_init();
    set_traps();
    if (info->magic != START_MAGIC || info->version < 1) {
        spx_print("signpost: not started as a PVH guest\n");
        spx_shutdown(SPX_CRASH);
    }
    const char *command_line = info->cmdline_paddr != 0 ? (const char *)info->cmdline_paddr : "";
    spx_shutdown(spx_main(find_memory(info), command_line));
}
