/* The free memory: pages for rings and tables, and for the cores. One bit a page says what is in use. The former are
 * taken from below, the cores' from above, so that small holes are used up first. */
#ifndef SPX_LIB_PAGES_H
#define SPX_LIB_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/host.h"

#define SPX_PAGE_SIZE ((size_t)4096)

/* From the first byte to the one after the last. */
struct spx_range {
    uint64_t from, to;
};

/* The whole pages of n ranges, which do not overlap. Keeps its bits in them, 32 bytes a MiB from the lowest address to
 * the highest. What lies between the ranges counts as in use. */
void spx_pages_init(const struct spx_range *ranges, size_t n);
/* n zeroed pages in a row, or NULL when there are none. Looks at every page in the worst case. */
void *spx_pages_alloc(size_t n);
void spx_pages_free(void *at, size_t n);
/* Pages that are free. */
size_t spx_pages_left(void);
/* Pages for a core: sp_grant as host.h has it, with chunks of a 128th of the memory or so, 64 KiB to SP_CHUNK. What is
 * released comes back. Looks at every page in the worst case. */
struct sp_grant spx_pages_grant(void);

#endif
