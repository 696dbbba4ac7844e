#include "unikernel/xen/console.h"

#include <stdarg.h>
#include <stdbool.h>

#include "unikernel/xen/xen.h"

#define PARAM_CONSOLE_PFN    17
#define PARAM_CONSOLE_EVTCHN 18
#define PATIENCE             3000 /* milliseconds before output is given up */

struct console_ring {
    char in[1024], out[2048];
    volatile uint32_t in_cons, in_prod, out_cons, out_prod;
};

static struct console_ring *ring;
static uint32_t port;
static bool mirror, stuck;
static void (*tapped)(void *ctx, const char *text, size_t len);
static void *tap_ctx;

static void debug_port(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        __asm__ volatile("outb %0, $0xe9" ::"a"(text[i]));
}

void spx_console_init(void) {
    ring = (struct console_ring *)(spx_hvm_param(PARAM_CONSOLE_PFN) << 12);
    port = (uint32_t)spx_hvm_param(PARAM_CONSOLE_EVTCHN);
}

void spx_console_mirror(void) {
    mirror = true;
}

void spx_console_tap(void (*tap)(void *ctx, const char *text, size_t len), void *ctx) {
    tapped = tap;
    tap_ctx = ctx;
}

void spx_console_write(const char *text, size_t len) {
    if (tapped != NULL)
        tapped(tap_ctx, text, len);
    if (mirror || ring == NULL)
        debug_port(text, len);
    if (ring == NULL)
        return;
    unsigned patience = stuck ? 0 : PATIENCE;
    for (size_t i = 0; i < len; i++) {
        while (ring->out_prod - ring->out_cons >= sizeof ring->out) {
            stuck = patience == 0;
            if (stuck)
                return;
            patience--;
            spx_notify(port);
            spx_sleep(SP_MS);
        }
        stuck = false;
        ring->out[ring->out_prod % sizeof ring->out] = text[i];
        __asm__ volatile("" ::: "memory"); /* x86 keeps stores in order; the compiler must too */
        ring->out_prod = ring->out_prod + 1;
    }
    if (len > 0 && text[len - 1] == '\n')
        spx_notify(port);
}

void spx_console_drain(void) {
    if (ring != NULL)
        spx_notify(port);
    for (unsigned i = 0; ring != NULL && ring->out_cons != ring->out_prod && i < PATIENCE; i++)
        spx_sleep(SP_MS);
}

void spx_debug_port(const char *text) {
    debug_port(text, __builtin_strlen(text));
}

static void print_number(uint64_t v, unsigned base) {
    char digits[20];
    size_t n = sizeof digits;
    do
        digits[--n] = "0123456789abcdef"[v % base];
    while ((v /= base) != 0);
    spx_console_write(digits + n, sizeof digits - n);
}

void spx_print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    for (const char *from = format; *from != 0;) {
        const char *to = from;
        while (*to != 0 && *to != '%')
            to++;
        spx_console_write(from, (size_t)(to - from));
        if (*to == 0)
            break;
        if (to[1] == 's') {
            const char *s = va_arg(args, const char *);
            spx_console_write(s, __builtin_strlen(s));
        } else {
            print_number(va_arg(args, uint64_t), to[1] == 'x' ? 16 : 10);
        }
        from = to + 2;
    }
    va_end(args);
}
