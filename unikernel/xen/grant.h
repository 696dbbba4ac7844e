/* Grant tables, version 1: pages of ours that another domain may read or write. */
#ifndef SPX_GRANT_H
#define SPX_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "unikernel/xen/abi.h"

#include <xen/grant_table.h>

#define SPX_GRANT_FRAMES_MAX 8
#define SPX_GRANTS_PER_FRAME 512

/* The table and its free entries. Entry 0 is never given out: it ends the list of free ones. */
struct spx_grants {
    volatile grant_entry_v1_t *entries;
    uint32_t count, free, n_free;
    uint32_t next[SPX_GRANT_FRAMES_MAX * SPX_GRANTS_PER_FRAME];
};

/* Takes over a table of `frames` zeroed pages. For tests too: the table may be any memory. */
void spx_grants_init(struct spx_grants *g, void *table, size_t frames);
/* Has Xen put the first `frames` pages of the domain's table at `table` (page aligned; what was there is lost), and
 * takes them over. Also after a resume: then the table is a new, empty one. ERR_UNSUP when Xen refuses. */
SP_CHECK sp_err spx_grants_map(struct spx_grants *g, void *table, size_t frames);

/* An entry that grants nothing yet, or 0 when all are in use. */
SP_CHECK uint32_t spx_grant_alloc(struct spx_grants *g);
/* Lets `domain` use the page, to read only or to write too. */
void spx_grant_permit(struct spx_grants *g, uint32_t ref, uint16_t domain, const void *page, bool read_only);
/* Ends what an entry grants; false when the domain has the page mapped still: then entry and page must stay what they
 * are. */
SP_CHECK bool spx_grant_end(struct spx_grants *g, uint32_t ref);
/* Gives back an entry that grants nothing. */
void spx_grant_free(struct spx_grants *g, uint32_t ref);

#endif
