#include "unikernel/lib/crash.h"

#include <stdbool.h>

#include "unikernel/lib/symbols.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

#define LINES_MAX 32

extern const uint8_t stack_low[], stack_top[];

void spx_crash_begin(void) {
    static bool begun;
    if (begun) {
        spx_debug_port("signpost: crashed again while reporting a crash\n");
        spx_shutdown(SPX_CRASH);
    }
    begun = true;
    spx_console_mirror();
}

_Noreturn void spx_crash_end(void) {
    spx_console_drain();
    spx_shutdown(SPX_CRASH);
}

/* A call before it: E8 with four bytes, or FF /2 with two to seven in all. */
static bool is_return_address(uint64_t address) {
    if (!spx_symbol_is_text(address) || !spx_symbol_is_text(address - 8))
        return false;
    const uint8_t *at = (const uint8_t *)address;
    if (at[-5] == 0xe8)
        return true;
    for (int n = 2; n <= 7; n++)
        if (at[-n] == 0xff && (at[-n + 1] & 0x38) == 0x10)
            return true;
    return false;
}

void spx_print_address(const char *mark, uint64_t address) {
    struct spx_symbol symbol;
    /* A function whose last instruction is a call that does not return is named, not the one that comes after it. */
    uint64_t back = is_return_address(address) ? 1 : 0;
    if (spx_symbol_find(address - back, &symbol))
        spx_print("  0x%x %s+0x%x%s\n", address, symbol.name, symbol.offset + back, mark);
    else
        spx_print("  0x%x%s\n", address, mark);
}

/* Every word up the stack that may be a return address. */
static void scan(uint64_t sp, uint64_t high, unsigned lines) {
    for (; sp + 8 <= high && lines > 0; sp += 8) {
        uint64_t word = *(const uint64_t *)sp;
        if (is_return_address(word)) {
            spx_print_address(" ?", word);
            lines--;
        }
    }
}

void spx_backtrace(uint64_t pc, uint64_t sp, uint64_t fp, uint64_t low, uint64_t high) {
    spx_print("signpost: called from:\n");
    spx_print_address("", pc);
    sp = sp < low ? low : (sp + 7) & ~UINT64_C(7);
    if (sp + 8 <= high && is_return_address(*(const uint64_t *)sp)) { /* a function that has no frame, or not yet */
        spx_print_address("", *(const uint64_t *)sp);
        sp += 8;
    }
    uint64_t last = 0, again = 0;
    for (unsigned lines = 0; lines < LINES_MAX; fp = *(const uint64_t *)fp) {
        if (fp == 0 && lines > 0) /* the entry's */
            return;
        if (fp < sp || fp % 8 != 0 || fp + 16 > high) {
            scan(sp, high, LINES_MAX - lines);
            return;
        }
        uint64_t from = ((const uint64_t *)fp)[1];
        sp = fp + 16;
        again = from == last ? again + 1 : 0;
        if (again > 1) /* recursion */
            continue;
        if (!spx_symbol_is_text(from))
            return;
        spx_print_address(again == 1 ? " (recursion)" : "", from);
        last = from;
        lines++;
    }
}

_Noreturn void spx_crash(const char *why) {
    uint64_t fp = (uint64_t)__builtin_frame_address(0);
    spx_crash_begin();
    spx_print("signpost: stopped: %s\n", why);
    spx_backtrace((uint64_t)__builtin_return_address(0), fp + 16, *(uint64_t *)fp, (uint64_t)stack_low,
                  (uint64_t)stack_top);
    spx_crash_end();
}
