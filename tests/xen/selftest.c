/* A guest that looks at its own machine: what is mapped how, what the CPU offers, memory and randomness; or, with the
 * name of a crime as its command line, commits it and must be ended with a report that says so. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "unikernel/boot/boot.h"
#include "unikernel/boot/image.h"
#include "unikernel/dev/xenstore.h"
#include "unikernel/lib/cpu.h"
#include "unikernel/lib/pages.h"
#include "unikernel/lib/random.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

#define PRESENT    1u
#define WRITABLE   2u
#define LARGE      0x80u
#define NO_EXECUTE (UINT64_C(1) << 63)
#define ADDRESS    UINT64_C(0x000ffffffffff000)

static bool failed;

static void check(const char *what, bool ok) {
    spx_print("selftest: %s: %s\n", ok ? "ok" : "NOT OK", what);
    failed |= !ok;
}

/* ---- page tables ---- */

static uint64_t read_cr3(void) {
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}

/* The entry that maps an address, or 0. */
static uint64_t entry_of(uint64_t at) {
    const uint64_t *table = (const uint64_t *)(read_cr3() & ADDRESS);
    for (unsigned shift = 39;; shift -= 9) {
        uint64_t e = table[at >> shift & 511];
        if ((e & PRESENT) == 0)
            return 0;
        if (shift == 12 || (shift < 39 && (e & LARGE) != 0))
            return e;
        table = (const uint64_t *)(e & ADDRESS);
    }
}

struct count {
    uint64_t text, constant, data, both, small, large;
};

static void count_pages(const uint64_t *table, unsigned shift, struct count *c) {
    for (unsigned i = 0; i < 512; i++) {
        uint64_t e = table[i];
        if ((e & PRESENT) == 0)
            continue;
        if (shift > 12 && (e & LARGE) == 0) {
            count_pages((const uint64_t *)(e & ADDRESS), shift - 9, c);
            continue;
        }
        bool writable = (e & WRITABLE) != 0, executable = (e & NO_EXECUTE) == 0;
        *(shift > 12 ? &c->large : &c->small) += 1;
        *(writable && executable ? &c->both : writable ? &c->data : executable ? &c->text : &c->constant) += 1;
    }
}

static bool all_are(const uint8_t *from, const uint8_t *to, uint64_t flags) {
    for (uint64_t at = (uint64_t)from; at < (uint64_t)to; at += SPX_PAGE_SIZE)
        if ((entry_of(at) & (PRESENT | WRITABLE | NO_EXECUTE)) != flags)
            return false;
    return true;
}

static void check_tables(void) {
    struct count c = {0};
    count_pages((const uint64_t *)(read_cr3() & ADDRESS), 39, &c);
    spx_print("selftest: pages: %u text, %u read-only, %u data; %u of them large, %u small\n", c.text, c.constant,
              c.data, c.large, c.small);
    check("nothing is both writable and executable", c.both == 0 && c.text > 0);
    check("text is executable and read-only", all_are(text_start, rodata_start, PRESENT));
    check("rodata is read-only", all_are(rodata_start, data_start, PRESENT | NO_EXECUTE));
    check("data is not executable", all_are(data_start, stack_guard, PRESENT | WRITABLE | NO_EXECUTE));
    check("only the image's text is executable", c.text == (uint64_t)(rodata_start - text_start) / SPX_PAGE_SIZE);
    check("page 0 and the guard pages are not mapped", entry_of(0) == 0 && entry_of((uint64_t)stack_guard) == 0 &&
                                                           entry_of((uint64_t)trap_guard) == 0 &&
                                                           entry_of((uint64_t)fault_guard) == 0);
    uint64_t cr0;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    check("write protection is on", (cr0 >> 16 & 1) != 0);
}

/* ---- CPU, memory, randomness ---- */

static void check_cpu(void) {
    bool on = (spx_cpuid(1).c >> 27 & 1) != 0, offered = (spx_cpuid(1).c >> 28 & 1) != 0;
    uint32_t low = 0, high = 0;
    if (on)
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    bool avx = on && (low & 6) == 6;
    spx_print("selftest: AVX %s, AVX2 %s; %s\n", avx ? "on" : "off", sodium_runtime_has_avx2() != 0 ? "on" : "off",
              (spx_cpuid(7).b >> 18 & 1) != 0 ? "RDSEED" : "RDRAND");
    check("AVX is on where it is offered", avx == offered);
    check("libsodium sees AVX as it is", (sodium_runtime_has_avx() != 0) == avx && sodium_runtime_has_sse2() != 0);
    check("libsodium sees AVX2 as it is", (sodium_runtime_has_avx2() != 0) == (avx && (spx_cpuid(7).b >> 5 & 1) != 0));
    static const uint8_t in[3] = "abc",
                         want[8] = {0xba, 0x80, 0xa5, 0x3f, 0x98, 0x1c, 0x4d, 0x0d}; /* RFC 7693, appendix A */
    uint8_t out[64];
    crypto_generichash_blake2b(out, sizeof out, in, sizeof in, NULL, 0);
    check("libsodium's choice of BLAKE2b computes it", memcmp(out, want, sizeof want) == 0);
}

static void check_memory(void) {
    struct sp_grant grant = spx_pages_grant();
    size_t before = spx_pages_left(), n = 0;
    uint8_t *chunks[512];
    while (n < 512 && (chunks[n] = grant.grant(grant.ctx, SP_CHUNK)) != NULL) {
        chunks[n][0] = chunks[n][SP_CHUNK - 1] = 1;
        n++;
    }
    spx_print("selftest: %u KiB free, %u chunks of 2 MiB in it\n", (uint64_t)before * 4, (uint64_t)n);
    check("there are chunks", n > 0 && spx_pages_left() == before - n * (SP_CHUNK / SPX_PAGE_SIZE));
    size_t all = n;
    while (n > 0)
        grant.release(grant.ctx, chunks[--n], SP_CHUNK);
    uint8_t *again = all > 0 ? grant.grant(grant.ctx, SP_CHUNK) : NULL;
    check("a chunk comes back, zeroed", again == chunks[0] && again[0] == 0 && again[SP_CHUNK - 1] == 0);
    grant.release(grant.ctx, again, SP_CHUNK);
    uint64_t *page;
    size_t pages = 0;
    while ((page = spx_pages_alloc(1)) != NULL) {
        page[0] = page[511] = 1; /* every free page is mapped and writable */
        pages++;
    }
    check("every free page can be written", pages == before && spx_pages_left() == 0);
}

static void check_random(void) {
    uint8_t a[64], b[64];
    spx_random_fill(a, sizeof a);
    spx_random_reseed("host", 4);
    spx_random_fill(b, sizeof b);
    uint64_t same = 0;
    for (size_t i = 0; i < sizeof a; i++)
        same += a[i] == b[i];
    check("randomness differs", same < 8);
}

/* ---- crimes ---- */

static volatile unsigned deep = 1;
static volatile uint64_t variable = 17;

static void __attribute__((noinline)) overflow_stack(void) {
    volatile uint8_t piece[512];
    piece[0] = (uint8_t)++deep;
    if (deep != 0)
        overflow_stack();
    piece[1] = piece[0];
}

static void __attribute__((noinline)) write_to(uint64_t at) {
    *(volatile uint64_t *)at = 0;
}

static void __attribute__((noinline)) execute(uint64_t at) {
    *(volatile uint8_t *)at = 0xc3; /* ret */
    ((void (*)(void))at)();
    deep++;
}

static void __attribute__((noinline)) overrun_buffer(void) {
    char buf[32];
    size_t len = (size_t)((char *)__builtin_frame_address(0) - buf); /* the canary, and not who called us */
    __asm__ volatile("" : "+r"(len));
    memset(buf, 'A', len);
    __asm__ volatile("" ::"r"(buf) : "memory");
}

/* Without a gate for the page fault, delivering one is a second fault. */
static void __attribute__((noinline)) fault_twice(void) {
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } table;
    __asm__ volatile("sidt %0" : "=m"(table));
    table.limit = 14 * 16 - 1;
    __asm__ volatile("lidt %0" ::"m"(table));
    write_to(0);
}

static bool is(const char *a, const char *b) {
    return strlen(a) == strlen(b) && memcmp(a, b, strlen(b)) == 0;
}

static void commit(const char *crime) {
    if (is(crime, "text"))
        write_to((uint64_t)text_start);
    else if (is(crime, "rodata"))
        write_to((uint64_t)rodata_start);
    else if (is(crime, "data"))
        execute((uint64_t)&variable);
    else if (is(crime, "heap"))
        execute((uint64_t)spx_pages_alloc(1));
    else if (is(crime, "guard"))
        overflow_stack();
    else if (is(crime, "trapguard"))
        write_to((uint64_t)trap_low - 8);
    else if (is(crime, "null"))
        write_to(8);
    else if (is(crime, "double"))
        fault_twice();
    else if (is(crime, "canary"))
        overrun_buffer();
    else if (is(crime, "sodium")) /* a fault within a function that keeps no frame pointer */
        crypto_generichash_blake2b(text_start, 32, (const uint8_t *)"abc", 3, NULL, 0);
    else if (is(crime, "assert"))
        SP_ASSERT(deep == 2);
}

/* ---- what the toolstack asks for ---- */

static struct spx_xs store;

static bool open_store(void) {
    spx_xs_open(&store);
    return spx_xs_watch(&store, "control/shutdown", 0) == SP_OK;
}

static bool suspend(void) {
    uint8_t before[32], after[32];
    spx_random_fill(before, sizeof before);
    sp_wall wall = spx_wall();
    sp_instant now = spx_now();
    bool cancelled = spx_suspend();
    spx_print("selftest: %s\n", cancelled ? "suspend was cancelled" : "resumed");
    spx_random_fill(after, sizeof after);
    check("the clock goes on", spx_now() > now && spx_now() < now + 60 * SP_SEC);
    check("time goes on", spx_wall().ns > wall.ns && spx_wall().ns < wall.ns + 60 * SP_SEC);
    check("randomness goes on", memcmp(before, after, sizeof after) != 0);
    return cancelled || open_store();
}

/* As a host does it: obeys control/shutdown until the end. */
static unsigned obey(void) {
    bool ok = open_store();
    spx_print("selftest: listening\n");
    while (ok) {
        struct spx_xs_reply asked;
        if (spx_xs_await(&store, 0, SP_NEVER) != SP_OK || spx_xs_read(&store, "control/shutdown", &asked) != SP_OK)
            continue;
        char word[16] = "";
        memcpy(word, asked.data, asked.len < sizeof word ? asked.len : sizeof word - 1);
        if (word[0] == 0)
            continue;
        ok = spx_xs_write(&store, "control/shutdown", "") == SP_OK;
        spx_print("selftest: asked to %s\n", word);
        if (is(word, "suspend"))
            ok = ok && suspend();
        else
            return is(word, "reboot") ? SPX_REBOOT : failed ? SPX_CRASH : SPX_POWEROFF;
    }
    return SPX_CRASH;
}

unsigned spx_main(const char *command_line) {
    if (is(command_line, "obey"))
        return obey();
    if (command_line[0] != 0) {
        spx_print("selftest: %s\n", command_line);
        commit(command_line);
        spx_print("selftest: got away with it\n");
        spx_console_drain();
        return SPX_POWEROFF;
    }
    if (sodium_init() != 0)
        return SPX_CRASH;
    check_tables();
    check_cpu();
    check_random();
    check_memory();
    spx_print("selftest: %s\n", failed ? "failed" : "done");
    spx_console_drain();
    return failed ? SPX_CRASH : SPX_POWEROFF;
}
