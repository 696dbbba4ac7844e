#include "proto/base/mem.h"

#include <stdbool.h>
#include <string.h>

/* Classes: 16, 32, 48, 64, then four to each doubling (80, 96, 112, 128, 160, ...) up to half a chunk, so that a piece
 * of 64 bytes or more wastes less than a fifth of its class. */
#define SMALL_STEP  ((size_t)16)
#define SMALL_COUNT 4u
#define CLASSES     60u
_Static_assert(CLASSES <= SP_MEM_CLASSES, "free lists");

struct sp_mem_free {
    struct sp_mem_free *next;
};

/* Stands in the last 16 bytes of each chunk, so that the chunk's start keeps its alignment. */
struct sp_mem_chunk {
    struct sp_mem_chunk *next;
    uint64_t pad;
};

static unsigned class_of(size_t size) {
    if (size <= SMALL_COUNT * SMALL_STEP)
        return size == 0 ? 0 : (unsigned)((size - 1) / SMALL_STEP);
    unsigned log = 63u - (unsigned)__builtin_clzll(size - 1);
    unsigned quarter = (size - 1) >> (log - 2) & 3;
    return SMALL_COUNT + (log - 6) * 4 + quarter;
}

static size_t class_size(unsigned c) {
    if (c < SMALL_COUNT)
        return (c + 1) * SMALL_STEP;
    unsigned log = 6 + (c - SMALL_COUNT) / 4;
    return (size_t)(5 + (c - SMALL_COUNT) % 4) << (log - 2);
}

static size_t class_max(const struct sp_mem *mem) {
    return mem->host.chunk / 2;
}

static size_t whole_pages(const struct sp_mem *mem, size_t size) {
    return (size + mem->host.page - 1) & ~(mem->host.page - 1);
}

static void push(struct sp_mem *mem, void *p, unsigned c) {
    struct sp_mem_free *piece = p;
    piece->next = mem->free[c];
    mem->free[c] = piece;
}

/* Cuts what is left of the newest chunk into free pieces, the largest first: nothing of it is lost. */
static void retire_fresh(struct sp_mem *mem) {
    while (mem->fresh_left >= SMALL_STEP) {
        unsigned c = mem->fresh_left >= class_max(mem) ? class_of(class_max(mem)) : class_of(mem->fresh_left);
        if (class_size(c) > mem->fresh_left)
            c--;
        push(mem, mem->fresh, c);
        mem->fresh += class_size(c);
        mem->fresh_left -= class_size(c);
    }
}

static void *grant(struct sp_mem *mem, size_t bytes) {
    if (bytes > mem->limit - mem->granted)
        return NULL;
    void *p = mem->host.grant(mem->host.ctx, bytes);
    if (p != NULL)
        mem->granted += bytes;
    return p;
}

/* Makes `fresh` at least one piece of class c: from the largest free piece that is larger (a table's outgrown buckets,
 * the rest of an older chunk), else from a new chunk. */
static bool refresh(struct sp_mem *mem, unsigned c) {
    unsigned from = CLASSES - 1;
    while (from > c && mem->free[from] == NULL)
        from--;
    uint8_t *start;
    size_t bytes;
    if (from > c) {
        start = (uint8_t *)mem->free[from];
        bytes = class_size(from);
        mem->free[from] = mem->free[from]->next;
        memset(start, 0, bytes);
    } else {
        start = grant(mem, mem->host.chunk);
        if (start == NULL)
            return false;
        bytes = mem->host.chunk - sizeof(struct sp_mem_chunk);
        struct sp_mem_chunk *link = (void *)(start + bytes);
        link->next = mem->chunks;
        mem->chunks = link;
    }
    retire_fresh(mem);
    mem->fresh = start;
    mem->fresh_left = bytes;
    return true;
}

void sp_mem_init(struct sp_mem *mem, struct sp_grant host, size_t limit) {
    memset(mem, 0, sizeof *mem);
    mem->host = host;
    if (host.chunk == 0)
        mem->host.chunk = SP_CHUNK;
    if (host.page == 0)
        mem->host.page = SP_CHUNK;
    mem->limit = limit;
    size_t chunk = mem->host.chunk, page = mem->host.page;
    SP_ASSERT((chunk & (chunk - 1)) == 0 && (page & (page - 1)) == 0 && page <= chunk);
    SP_ASSERT(chunk >= SP_MEM_CHUNK_MIN && chunk <= SP_CHUNK);
}

void sp_mem_done(struct sp_mem *mem) {
    for (struct sp_mem_chunk *link = mem->chunks, *next; link != NULL; link = next) {
        next = link->next;
        mem->granted -= mem->host.chunk;
        mem->host.release(mem->host.ctx, (uint8_t *)(link + 1) - mem->host.chunk, mem->host.chunk);
    }
    sp_mem_init(mem, mem->host, mem->limit);
}

void *sp_mem_alloc(struct sp_mem *mem, size_t size) {
    if (size > class_max(mem)) {
        if (size > SIZE_MAX - mem->host.page)
            return NULL;
        void *p = grant(mem, whole_pages(mem, size));
        if (p != NULL)
            mem->used += whole_pages(mem, size);
        return p;
    }
    unsigned c = class_of(size);
    size_t bytes = class_size(c);
    void *p = mem->free[c];
    if (p != NULL) {
        mem->free[c] = mem->free[c]->next;
        memset(p, 0, bytes);
    } else {
        if (mem->fresh_left < bytes && !refresh(mem, c))
            return NULL;
        p = mem->fresh;
        mem->fresh += bytes;
        mem->fresh_left -= bytes;
    }
    mem->used += bytes;
    return p;
}

void sp_mem_free(struct sp_mem *mem, void *p, size_t size) {
    if (p == NULL)
        return;
    if (size > class_max(mem)) {
        mem->used -= whole_pages(mem, size);
        mem->granted -= whole_pages(mem, size);
        mem->host.release(mem->host.ctx, p, whole_pages(mem, size));
        return;
    }
    unsigned c = class_of(size);
    mem->used -= class_size(c);
    push(mem, p, c);
}
