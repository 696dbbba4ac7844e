/* Whole pages for the devices, taken once from the front of the free memory and never given back. */
#ifndef SPX_PAGES_H
#define SPX_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "unikernel/xen/abi.h"

struct spx_pages {
    uint8_t *from, *to;
};

/* n zeroed pages in a row, or NULL when the memory is used up. */
static inline void *spx_pages_take(struct spx_pages *p, size_t n) {
    uint8_t *at = (uint8_t *)(((uintptr_t)p->from + SPX_PAGE - 1) & ~(uintptr_t)(SPX_PAGE - 1));
    if (at > p->to || (size_t)(p->to - at) / SPX_PAGE < n)
        return NULL;
    p->from = at + n * SPX_PAGE;
    memset(at, 0, n * SPX_PAGE);
    return at;
}

#endif
