#include "unikernel/lib/symbols.h"

#include <stddef.h>

#define TOKEN 0x80

/* A byte n, and n pairs: what the bytes from TOKEN on stand for in names; a pair can hold lower ones of them. Then
 * entries by rising address: the distance from the one before (7 bits a byte, low first, the last without bit 7; from
 * text_start - 1 at first), how many bytes of the name before are kept, the bytes that follow them, 0. A distance of 0
 * ends the table. There is none in the link that the table is made from. */
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

/* Adds what a byte of a name stands for to the n bytes of the name; how many there are then. */
static size_t expand(uint8_t byte, char name[SPX_SYMBOL_MAX], size_t n) {
    if (byte >= TOKEN) {
        const uint8_t *pair = spx_symbols + 1 + 2 * (byte - TOKEN);
        return expand(pair[1], name, expand(pair[0], name, n));
    }
    if (n < SPX_SYMBOL_MAX - 1)
        name[n++] = (char)byte;
    return n;
}

bool spx_symbol_find(uint64_t address, struct spx_symbol *ret) {
    const uint8_t *p = spx_symbols;
    uint64_t start = (uint64_t)text_start - 1, distance;
    if (p == NULL || !spx_symbol_is_text(address))
        return false;
    ret->name[0] = 0;
    p += 1 + 2 * (size_t)*p;
    for (;;) {
        const uint8_t *next = read_distance(p, &distance);
        if (distance == 0 || start + distance > address)
            break;
        start += distance;
        size_t n = *next < SPX_SYMBOL_MAX ? *next : SPX_SYMBOL_MAX - 1; /* of a longer name there is no more */
        next++;
        for (; *next != 0; next++)
            n = expand(*next, ret->name, n);
        ret->name[n] = 0;
        p = next + 1;
    }
    ret->offset = address - start;
    return ret->name[0] != 0;
}
