#include "unikernel/boot/traps.h"

#include <stddef.h>
#include <stdint.h>

#include "unikernel/boot/image.h"
#include "unikernel/lib/crash.h"
#include "unikernel/xen/console.h"

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
/* As start.S and the CPU push it. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, code;
    uint64_t rip, cs, rflags, rsp, ss;
};
enum { VECTORS = 32, NMI = 2, DOUBLE_FAULT = 8, PAGE_FAULT = 14, MACHINE_CHECK = 18 };
enum { FAULT_PRESENT = 1, FAULT_WRITE = 2, FAULT_FETCH = 16 }; /* a page fault's error code */

extern uint8_t trap_stubs[];
extern uint64_t gdt[];
_Noreturn void boot_trap(const struct trap_frame *f);

static struct gate idt[VECTORS];
static struct task_state tss;

static const char *const names[VECTORS] = {"divide error",
                                           "debug",
                                           "NMI",
                                           "breakpoint",
                                           "overflow",
                                           "bound",
                                           "invalid instruction",
                                           "no FPU",
                                           "double fault",
                                           "9",
                                           "invalid TSS",
                                           "segment not present",
                                           "stack segment",
                                           "general protection",
                                           "page fault",
                                           "15",
                                           "x87 error",
                                           "misaligned",
                                           "machine check",
                                           "SIMD error",
                                           "virtualisation",
                                           "control protection"};

static const char *place(uint64_t address) {
    if (address < 4096)
        return ", a null pointer";
    if (in_range(address, stack_guard, stack_low))
        return ", the guard page of the stack: it has overflowed";
    if (in_range(address, trap_guard, trap_low) || in_range(address, fault_guard, fault_low))
        return ", the guard page of a trap stack";
    if (in_range(address, text_start, rodata_start))
        return ", the program's text";
    if (in_range(address, rodata_start, data_start))
        return ", read-only data";
    if (in_range(address, data_start, image_end))
        return ", data";
    return "";
}

static void print_what(const struct trap_frame *f, uint64_t cr2) {
    const char *name = f->vector < VECTORS && names[f->vector] != NULL ? names[f->vector] : "unknown trap";
    spx_print("signpost: crashed: %s (trap %u, code 0x%x)", name, f->vector, f->code);
    if (f->vector == PAGE_FAULT || f->vector == DOUBLE_FAULT) {
        const char *verb = (f->code & FAULT_FETCH) != 0   ? "executing"
                           : (f->code & FAULT_WRITE) != 0 ? "writing"
                                                          : "reading";
        const char *how = (f->code & FAULT_PRESENT) != 0 ? "that is not allowed at" : "nothing is mapped at";
        spx_print(": %s, %s 0x%x%s", f->vector == PAGE_FAULT ? verb : "perhaps", f->vector == PAGE_FAULT ? how : "at",
                  cr2, place(cr2));
    }
    spx_print("\n");
}

static void print_registers(const struct trap_frame *f, uint64_t cr2) {
    spx_print("rip 0x%x rsp 0x%x rbp 0x%x flags 0x%x cr2 0x%x\n", f->rip, f->rsp, f->rbp, f->rflags, cr2);
    spx_print("rax 0x%x rbx 0x%x rcx 0x%x rdx 0x%x rsi 0x%x rdi 0x%x\n", f->rax, f->rbx, f->rcx, f->rdx, f->rsi,
              f->rdi);
    spx_print("r8 0x%x r9 0x%x r10 0x%x r11 0x%x r12 0x%x r13 0x%x r14 0x%x r15 0x%x\n", f->r8, f->r9, f->r10, f->r11,
              f->r12, f->r13, f->r14, f->r15);
}

_Noreturn void boot_trap(const struct trap_frame *f) {
    uint64_t cr2, pc = f->rip, sp = f->rsp;
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    spx_crash_begin();
    print_what(f, cr2);
    print_registers(f, cr2);
    bool in_trap = in_range(f->rsp, trap_guard, trap_top);
    uint64_t low = (uint64_t)(in_trap ? trap_low : stack_low), high = (uint64_t)(in_trap ? trap_top : stack_top);
    /* A call through a bad pointer: what called it is on top of the stack. */
    if (!in_range(pc, text_start, text_end) && sp >= low && sp + 8 <= high) {
        pc = *(const uint64_t *)sp;
        sp += 8;
    }
    spx_backtrace(pc, sp, f->rbp, low, high);
    spx_crash_end();
}

void boot_traps_init(void) {
    uint64_t base = (uint64_t)&tss;
    tss.ist[0] = (uint64_t)trap_top;
    tss.ist[1] = (uint64_t)fault_top;
    tss.iomap = sizeof tss;
    gdt[2] = (sizeof tss - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (base >> 24 & 0xff) << 56;
    gdt[3] = base >> 32;
    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t at = (uint64_t)trap_stubs + i * 16;
        uint8_t ist = i == NMI || i == DOUBLE_FAULT || i == MACHINE_CHECK ? 2 : 1;
        idt[i] = (struct gate){(uint16_t)at, 8, ist, 0x8e, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0};
    }
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } ptr = {sizeof idt - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" ::"m"(ptr));
    __asm__ volatile("ltr %w0" ::"r"(16));
}
