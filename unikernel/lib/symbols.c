#include "unikernel/lib/symbols.h"

#include <stddef.h>

/* Entries by rising address: the distance from the one before (7 bits a byte, low first, the last without bit 7; from
 * text_start
 * - 1 at first), how many bytes of the name before are kept, the bytes that follow them, 0. A distance of 0 ends the
 * table. There is none in the link that the table is made from. */
extern const uint8_t spx_symbols[] __attribute__((weak));
extern const uint8_t text_start[], text_end[];

bool spx_symbol_is_text(uint64_t address) {
    return address >= (uint64_t)text_start && address < (uint64_t)text_end;
}

static const uint8_t *read_distance(const uint8_t *p, uint64_t *ret) {
    *ret = 0;
    for (unsigned shift = 0;; shift += 7) {
        *ret |= (uint64_t)(*p & 0x7f) << shift;
        if ((*p++ & 0x80) == 0)
            return p;
    }
}

bool spx_symbol_find(uint64_t address, struct spx_symbol *ret) {
    const uint8_t *p = spx_symbols;
    uint64_t start = (uint64_t)text_start - 1, distance;
    if (p == NULL || !spx_symbol_is_text(address))
        return false;
    ret->name[0] = 0;
    for (;;) {
        const uint8_t *next = read_distance(p, &distance);
        if (distance == 0 || start + distance > address)
            break;
        start += distance;
        size_t n = *next++;
        for (; *next != 0; next++)
            if (n < SPX_SYMBOL_MAX - 1)
                ret->name[n++] = (char)*next;
        ret->name[n] = 0;
        p = next + 1;
    }
    ret->offset = address - start;
    return ret->name[0] != 0;
}
