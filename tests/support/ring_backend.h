/* The other side of the devices' rings, in memory, made with Xen's own macros: grants are looked up in the table as Xen
 * would. */
#ifndef SP_TESTS_RING_BACKEND_H
#define SP_TESTS_RING_BACKEND_H

#include <stdbool.h>

#include "unikernel/dev/blkfront.h"
#include "unikernel/dev/netfront.h"

#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() xen_mb()
#define xen_wmb() xen_mb()
#include <xen/io/netif.h>

#define RIG_BACKEND   3 /* domain */
#define RIG_RX        8
#define RIG_TX        6
#define RIG_LONG_TX   20 /* buffers that are whole pages */
#define RIG_BLK_PAGES 64
#define RIG_NET_PAGES SPX_NETFRONT_PAGES(RIG_RX, RIG_LONG_TX, 1)

/* All that both sides share. */
struct ring_memory {
    grant_entry_v1_t table[SPX_GRANTS_PER_FRAME];
    uint8_t net[RIG_NET_PAGES][SPX_PAGE];
    uint8_t disk_ring[SPX_PAGE];
    uint8_t blocks[RIG_BLK_PAGES][SPX_PAGE];
} __attribute__((aligned(SPX_PAGE)));

/* The page that a grant lets the backend use (to write when `write`), or NULL. */
static inline uint8_t *ring_memory_page(struct ring_memory *m, uint32_t ref, bool write) {
    if (ref >= SPX_GRANTS_PER_FRAME)
        return NULL;
    const grant_entry_v1_t *e = &m->table[ref];
    uint32_t at = e->frame - spx_frame_of(m);
    if ((e->flags & GTF_type_mask) != GTF_permit_access || e->domid != RIG_BACKEND ||
        (write && (e->flags & GTF_readonly) != 0) || at >= sizeof *m / SPX_PAGE)
        return NULL;
    return (uint8_t *)m + (size_t)at * SPX_PAGE;
}

#endif
