/* Slabs: size classes in chunks that the host grants, for tables and zone data. Never called per query
 * or per packet. Single-threaded; freed memory is not returned to the host, but for large pieces. */
#ifndef SP_BASE_MEM_H
#define SP_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/host.h"

struct sp_mem_free; /* a free piece */
struct sp_mem_chunk;

#define SP_MEM_CLASSES   64
#define SP_MEM_CHUNK_MIN ((size_t)16 << 10)

struct sp_mem {
    struct sp_grant host; /* chunk and page are set */
    size_t limit;   /* bytes of grants, all together */
    size_t granted; /* bytes */
    size_t used;    /* bytes handed out, rounded to classes */
    uint8_t *fresh; /* rest of the newest chunk */
    size_t fresh_left;
    struct sp_mem_free *free[SP_MEM_CLASSES];
    struct sp_mem_chunk *chunks; /* all of them, linked */
};

/* host.chunk, unless 0, is at least SP_MEM_CHUNK_MIN and at most SP_CHUNK. */
void sp_mem_init(struct sp_mem *mem, struct sp_grant host, size_t limit);
/* Returns every chunk of pieces to the host, whether its pieces were freed or not; pieces over half a chunk must have been freed. */
void sp_mem_done(struct sp_mem *mem);
/* Zeroed memory aligned to 16, or NULL when the limit or the host says no. Any size; over half a chunk
 * it is granted on its own (in pages, aligned to one) and returned to the host when freed. */
void *sp_mem_alloc(struct sp_mem *mem, size_t size);
/* Bytes that may still be handed out, in pieces that fit. */
static inline size_t sp_mem_left(const struct sp_mem *mem) {
    return mem->limit - mem->used;
}
/* The caller knows the size; p may be NULL. */
void sp_mem_free(struct sp_mem *mem, void *p, size_t size);

#endif
