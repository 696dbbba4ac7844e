/* The front end of a ring of requests and responses in one shared page (Xen's io/ring.h says what stands where).
 *
 * The page is not trusted: the other side's index is read once and must lie within what was asked for, and a response
 * is copied before anyone looks at it. */
#ifndef SPX_RING_H
#define SPX_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "unikernel/xen/abi.h"

#include <xen/io/ring.h>

#define SPX_RING_HEADER 64

struct spx_ring {
    volatile struct spx_ring_page {
        uint32_t req_prod, req_event, rsp_prod, rsp_event;
        uint8_t pad[SPX_RING_HEADER - 16];
    } * page;
    uint8_t *entries;
    uint32_t entry; /* bytes of one */
    uint32_t size;  /* how many, a power of two */
    uint32_t prod, pushed, cons;
};

/* Makes an empty ring in a page. */
static inline void spx_ring_init(struct spx_ring *r, void *page, size_t entry) {
    memset(page, 0, SPX_PAGE);
    *r = (struct spx_ring){
        .page = page, .entries = (uint8_t *)page + SPX_RING_HEADER, .entry = (uint32_t)entry, .size = 1};
    while (2 * r->size * entry <= SPX_PAGE - SPX_RING_HEADER)
        r->size *= 2;
    r->page->req_event = r->page->rsp_event = 1;
}

static inline uint32_t spx_ring_room(const struct spx_ring *r) {
    return r->size - (r->prod - r->cons);
}

/* Writes the next request; there must be room. The other side sees it after spx_ring_push. */
static inline void spx_ring_put(struct spx_ring *r, const void *request, size_t len) {
    memcpy(r->entries + (size_t)(r->prod++ & (r->size - 1)) * r->entry, request, len);
}

/* Shows the other side what was put; true when it wants to be notified. */
static inline bool spx_ring_push(struct spx_ring *r) {
    uint32_t old = r->pushed, now = r->prod;
    if (old == now)
        return false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* requests before the index */
    r->page->req_prod = r->pushed = now;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index before we look whether anyone waits for it */
    return now - r->page->req_event < now - old;
}

enum spx_ring_next { SPX_RING_EMPTY, SPX_RING_GOT, SPX_RING_BAD };

/* Copies the next response of `len` bytes, if there is one. BAD: the other side claims more responses than there are
 * requests. */
static inline enum spx_ring_next spx_ring_get(struct spx_ring *r, void *response, size_t len) {
    uint32_t ready = r->page->rsp_prod - r->cons;
    if (ready > r->pushed - r->cons)
        return SPX_RING_BAD;
    if (ready == 0)
        return SPX_RING_EMPTY;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index before what it stands for */
    memcpy(response, r->entries + (size_t)(r->cons++ & (r->size - 1)) * r->entry, len);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* from here on the copy alone counts */
    return SPX_RING_GOT;
}

/* Asks for an event when `more` responses from here on have come; true when the first of them is there already, and no
 * event may come for it. */
static inline bool spx_ring_arm(struct spx_ring *r, uint32_t more) {
    r->page->rsp_event = r->cons + more;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* we look again after we have said so */
    return r->page->rsp_prod != r->cons;
}

#endif
