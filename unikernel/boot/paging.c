#include "unikernel/boot/paging.h"

#include "unikernel/boot/image.h"
#include "unikernel/lib/cpu.h"

#define PRESENT    UINT64_C(1)
#define WRITABLE   UINT64_C(2)
#define USED       UINT64_C(0x60) /* accessed and dirty: the CPU need not write them */
#define LARGE      UINT64_C(0x80)
#define NO_EXECUTE (UINT64_C(1) << 63)
#define ADDRESS    UINT64_C(0x000ffffffffff000)

#define TEXT     (PRESENT | USED)
#define CONSTANT (PRESENT | USED | NO_EXECUTE)
#define DATA     (PRESENT | USED | NO_EXECUTE | WRITABLE)

extern uint8_t boot_tables[]; /* start.S */
#define BOOT_TABLES 3

static uint64_t *top;
static bool has_gib_pages;

/* The table below an entry, made when there is none. */
static uint64_t *below(uint64_t *entry) {
    if (*entry == 0) {
        uint64_t *table = spx_pages_alloc(1);
        if (table == NULL)
            return NULL;
        *entry = (uint64_t)table | PRESENT | WRITABLE | USED;
    }
    return (uint64_t *)(*entry & ADDRESS);
}

/* Maps the page at `at`, the largest that ends by `to`; its size, or 0 without memory. Levels: 12 bits of address to a
 * 4 KiB page, 21 to a 2 MiB one, 30 to a GiB. */
static uint64_t map_one(uint64_t at, uint64_t to, uint64_t flags) {
    uint64_t *table = top;
    for (unsigned shift = 39; table != NULL; shift -= 9) {
        uint64_t size = UINT64_C(1) << shift, *entry = &table[at >> shift & 511];
        bool can = shift == 12 || shift == 21 || (shift == 30 && has_gib_pages);
        if (can && at % size == 0 && to - at >= size && *entry == 0) {
            *entry = at | flags | (shift > 12 ? LARGE : 0);
            return size;
        }
        table = shift == 12 ? NULL : below(entry);
    }
    return 0;
}

static bool map(uint64_t from, uint64_t to, uint64_t flags) {
    for (uint64_t size; from < to; from += size)
        if ((size = map_one(from, to, flags)) == 0)
            return false;
    return true;
}

static bool map_image(void) {
    const struct {
        uint8_t *from, *to;
        uint64_t flags;
    } parts[] = {{text_start, rodata_start, TEXT}, {rodata_start, data_start, CONSTANT},
                 {data_start, stack_guard, DATA},  {stack_low, trap_guard, DATA},
                 {trap_low, fault_guard, DATA},    {fault_low, image_end, DATA}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!map((uint64_t)parts[i].from, (uint64_t)parts[i].to, parts[i].flags))
            return false;
    return true;
}

/* RAM but page 0 and the image. */
static bool map_ram(struct spx_range r) {
    uint64_t low = (uint64_t)image_start, high = (uint64_t)image_end;
    r.from = r.from < SPX_PAGE_SIZE ? SPX_PAGE_SIZE : r.from;
    if (r.to <= low || r.from >= high)
        return map(r.from, r.to, DATA);
    return (r.from >= low || map(r.from, low, DATA)) && (r.to <= high || map(high, r.to, DATA));
}

bool boot_paging_init(const struct spx_range *ram, size_t n_ram, const uint64_t *shared, size_t n_shared) {
    has_gib_pages = (spx_cpuid(0x80000001).d >> 26 & 1) != 0;
    top = spx_pages_alloc(1);
    if (top == NULL || !map_image())
        return false;
    for (size_t i = 0; i < n_ram; i++)
        if (!map_ram(ram[i]))
            return false;
    for (size_t i = 0; i < n_shared; i++)
        if (shared[i] != 0 && !map(shared[i], shared[i] + SPX_PAGE_SIZE, DATA))
            return false;
    __asm__ volatile("mov %0, %%cr3" ::"r"(top) : "memory");
    spx_pages_free(boot_tables, BOOT_TABLES);
    return true;
}
