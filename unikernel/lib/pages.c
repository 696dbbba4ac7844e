#include "unikernel/lib/pages.h"

#include <stdbool.h>
#include <string.h>

#include "proto/base/err.h"

#define CHUNK_MIN ((size_t)64 << 10)
#define CHUNKS    128

/* Page i of the bits is number first + i of the memory. */
static struct {
    uint64_t first;
    size_t count, left;
    uint64_t *used;
} pages;

static bool is_used(size_t i) {
    return (pages.used[i / 64] >> i % 64 & 1) != 0;
}

/* Changes n pages, all of which must be in the other state. */
static void set_used(size_t i, size_t n, bool used) {
    SP_ASSERT(i <= pages.count && n <= pages.count - i);
    pages.left += used ? -n : n;
    for (; n > 0; i++, n--) {
        SP_ASSERT(is_used(i) != used);
        pages.used[i / 64] ^= UINT64_C(1) << i % 64;
    }
}

static void *address(size_t i) {
    return (void *)((pages.first + i) * SPX_PAGE_SIZE);
}

static size_t page_index(const void *at) {
    uint64_t page = (uint64_t)at / SPX_PAGE_SIZE;
    SP_ASSERT((uint64_t)at % SPX_PAGE_SIZE == 0 && page >= pages.first);
    return page - pages.first;
}

static struct spx_range whole_pages(struct spx_range r) {
    return (struct spx_range){(r.from + SPX_PAGE_SIZE - 1) / SPX_PAGE_SIZE, r.to / SPX_PAGE_SIZE};
}

void spx_pages_init(const struct spx_range *ranges, size_t n) {
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (size_t i = 0; i < n; i++) {
        struct spx_range r = whole_pages(ranges[i]);
        if (r.from >= r.to)
            continue;
        lowest = r.from < lowest ? r.from : lowest;
        highest = r.to > highest ? r.to : highest;
    }
    pages.used = NULL;
    pages.left = pages.count = 0;
    if (highest == 0)
        return;
    pages.first = lowest;
    size_t count = (highest - pages.first + 63) / 64 * 64, room = (count / 8 + SPX_PAGE_SIZE - 1) / SPX_PAGE_SIZE;
    for (size_t i = 0; i < n && pages.used == NULL; i++) {
        struct spx_range r = whole_pages(ranges[i]);
        if (r.from < r.to && r.to - r.from >= room)
            pages.used = (uint64_t *)(r.from * SPX_PAGE_SIZE);
    }
    if (pages.used == NULL)
        return;
    pages.count = count;
    memset(pages.used, 0xff, count / 8);
    for (size_t i = 0; i < n; i++) {
        struct spx_range r = whole_pages(ranges[i]);
        if (r.from < r.to)
            set_used(r.from - pages.first, r.to - r.from, false);
    }
    set_used(page_index(pages.used), room, true);
}

void *spx_pages_alloc(size_t n) {
    if (n == 0 || n > pages.left)
        return NULL;
    size_t run = 0;
    for (size_t i = 0; i < pages.count; i++) {
        if (i % 64 == 0 && pages.used[i / 64] == UINT64_MAX) {
            run = 0;
            i += 63;
            continue;
        }
        run = is_used(i) ? 0 : run + 1;
        if (run < n)
            continue;
        set_used(i + 1 - n, n, true);
        return memset(address(i + 1 - n), 0, n * SPX_PAGE_SIZE);
    }
    return NULL;
}

void spx_pages_free(void *at, size_t n) {
    set_used(page_index(at), n, false);
}

size_t spx_pages_left(void) {
    return pages.left;
}

/* ---- for the cores ---- */

static void *grant(void *ctx, size_t bytes) {
    size_t n = bytes / SPX_PAGE_SIZE;
    SP_ASSERT(bytes % SPX_PAGE_SIZE == 0);
    if (n == 0 || n > pages.left)
        return NULL;
    size_t run = 0;
    for (size_t i = pages.count; i-- > 0;) {
        if (i % 64 == 63 && pages.used[i / 64] == UINT64_MAX) {
            run = 0;
            i -= 63;
            continue;
        }
        run = is_used(i) ? 0 : run + 1;
        if (run < n)
            continue;
        set_used(i, n, true);
        return memset(address(i), 0, bytes);
    }
    return NULL;
}

static void release(void *ctx, void *at, size_t bytes) {
    if (at != NULL)
        spx_pages_free(at, bytes / SPX_PAGE_SIZE);
}

/* So many chunks that what is left of the last one is little, so few that looking for one is rare. */
static size_t chunk_size(void) {
    size_t size = CHUNK_MIN;
    while (size < SP_CHUNK && size * CHUNKS < pages.count * SPX_PAGE_SIZE)
        size *= 2;
    return size;
}

struct sp_grant spx_pages_grant(void) {
    return (struct sp_grant){NULL, grant, release, chunk_size(), SPX_PAGE_SIZE};
}
