/* Slabs: size classes in chunks that the host grants, for tables and zone data. Never called per query
 * or per packet. Single-threaded; freed memory is not returned to the host, but for large pieces. */
#ifndef SP_BASE_MEM_H
#define SP_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/host.h"

struct sp_mem_free; /* a free piece */

#define SP_MEM_CLASSES 64

struct sp_mem {
    struct sp_grant host;
    size_t limit;   /* bytes of grants, all together */
    size_t granted; /* bytes */
    size_t used;    /* bytes handed out, rounded to classes */
    uint8_t *fresh; /* rest of the newest chunk */
    size_t fresh_left;
    struct sp_mem_free *free[SP_MEM_CLASSES];
};

void sp_mem_init(struct sp_mem *mem, struct sp_grant host, size_t limit);
/* Zeroed memory aligned to 16, or NULL when the limit or the host says no. Any size; over half a chunk
 * it is granted on its own and returned to the host when freed. */
void *sp_mem_alloc(struct sp_mem *mem, size_t size);
/* The caller knows the size; p may be NULL. */
void sp_mem_free(struct sp_mem *mem, void *p, size_t size);

#endif
