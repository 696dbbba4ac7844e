/* The page tables: everything at its physical address, and nothing both writable and executable.
 * Not mapped: page 0, the guard pages below the stacks, and what is neither RAM nor one of Xen's two pages. No page is
 * a user's, so SMEP and SMAP have nothing to forbid. */
#ifndef SPX_PAGING_H
#define SPX_PAGING_H

#include <stdbool.h>
#include <stddef.h>

#include "unikernel/lib/pages.h"

/* RAM, the image and the n pages that Xen shares with us at the addresses given. Takes pages for the tables; gives the
 * tables of start.S back. False when there is no memory for them. */
bool boot_paging_init(const struct spx_range *ram, size_t n_ram, const uint64_t *shared, size_t n_shared);

#endif
