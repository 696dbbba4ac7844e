#include "unikernel/xen/abi.h"
#include "unikernel/xen/grant.h"
#include "unikernel/xen/xen.h"

#include <xen/memory.h>

sp_err spx_grants_map(struct spx_grants *g, void *table, size_t frames) {
    if (frames == 0 || frames > SPX_GRANT_FRAMES_MAX)
        return SP_ERR_RANGE;
    for (size_t i = frames; i-- > 0;) { /* the last first: the table grows once */
        struct xen_add_to_physmap map = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .idx = i};
        map.gpfn = spx_frame_of((uint8_t *)table + i * SPX_PAGE);
        if (SPX_HYPERCALL(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map, 0, 0) != 0)
            return SP_ERR_UNSUP;
    }
    spx_grants_init(g, table, frames);
    return SP_OK;
}
