#include "unikernel/xen/grant.h"

void spx_grants_init(struct spx_grants *g, void *table, size_t frames) {
    SP_ASSERT(frames > 0 && frames <= SPX_GRANT_FRAMES_MAX);
    g->entries = table;
    g->count = (uint32_t)frames * SPX_GRANTS_PER_FRAME;
    g->free = GNTTAB_NR_RESERVED_ENTRIES;
    g->n_free = g->count - GNTTAB_NR_RESERVED_ENTRIES;
    for (uint32_t i = g->free; i < g->count; i++)
        g->next[i] = i + 1 < g->count ? i + 1 : 0;
}

uint32_t spx_grant_alloc(struct spx_grants *g) {
    uint32_t ref = g->free;
    if (ref == 0)
        return 0;
    g->free = g->next[ref];
    g->n_free--;
    return ref;
}

void spx_grant_permit(struct spx_grants *g, uint32_t ref, uint16_t domain, const void *page, bool read_only) {
    SP_ASSERT(ref >= GNTTAB_NR_RESERVED_ENTRIES && ref < g->count);
    uint16_t flags = (uint16_t)(GTF_permit_access | (read_only ? GTF_readonly : 0));
    g->entries[ref].frame = spx_frame_of(page);
    g->entries[ref].domid = domain;
    /* The flags go last: Xen looks at nothing else while they are zero. */
    __atomic_store_n(&g->entries[ref].flags, flags, __ATOMIC_SEQ_CST);
}

bool spx_grant_end(struct spx_grants *g, uint32_t ref) {
    SP_ASSERT(ref >= GNTTAB_NR_RESERVED_ENTRIES && ref < g->count);
    volatile uint16_t *flags = &g->entries[ref].flags;
    uint16_t old = *flags;
    do {
        if ((old & (GTF_reading | GTF_writing)) != 0)
            return false;
    } while (!__atomic_compare_exchange_n(flags, &old, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return true;
}

void spx_grant_free(struct spx_grants *g, uint32_t ref) {
    SP_ASSERT(ref >= GNTTAB_NR_RESERVED_ENTRIES && ref < g->count);
    SP_ASSERT(g->entries[ref].flags == 0);
    g->next[ref] = g->free;
    g->free = ref;
    g->n_free++;
}
