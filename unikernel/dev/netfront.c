#include "unikernel/dev/netfront.h"

#include <xen/io/netif.h>

void spx_netfront_init(struct spx_netfront *nf, struct spx_grants *grants, void *pages, uint16_t n_rx, uint16_t n_tx,
                       unsigned per_page) {
    SP_ASSERT(n_rx > 0 && n_rx <= SPX_NET_SLOTS && n_tx > 0 && n_tx <= SPX_NET_SLOTS);
    SP_ASSERT(per_page == 1 || per_page == 2);
    uint8_t *at = pages;
    memset(nf, 0, sizeof *nf);
    nf->grants = grants;
    nf->tx_page = at;
    nf->rx_page = at + SPX_PAGE;
    nf->rx_pages = at + 2 * SPX_PAGE;
    nf->tx_pages = nf->rx_pages + (size_t)n_rx * SPX_PAGE;
    nf->n_rx = n_rx;
    nf->n_tx = n_tx;
    nf->tx_room = (uint16_t)(SPX_PAGE / per_page);
    for (uint16_t i = 0; i < n_rx; i++)
        nf->rx_is[i] = SPX_BUF_OURS;
    for (uint16_t i = 0; i < n_tx; i++)
        nf->tx_is[i] = SPX_BUF_OURS;
    nf->fault = "not started";
}

/* ---- start and stop ---- */

static uint16_t tx_page_count(const struct spx_netfront *nf) {
    return (uint16_t)(((size_t)nf->n_tx * nf->tx_room + SPX_PAGE - 1) / SPX_PAGE);
}

static bool alloc_refs(struct spx_netfront *nf) {
    for (uint16_t i = 0; i < nf->n_rx; i++)
        if ((nf->rx_ref[i] = spx_grant_alloc(nf->grants)) == 0)
            return false;
    for (uint16_t i = 0; i < tx_page_count(nf); i++) {
        if ((nf->tx_ref[i] = spx_grant_alloc(nf->grants)) == 0)
            return false;
        spx_grant_permit(nf->grants, nf->tx_ref[i], nf->backend, nf->tx_pages + (size_t)i * SPX_PAGE, true);
    }
    return true;
}

static void post(struct spx_netfront *nf, uint16_t id) {
    netif_rx_request_t request = {.id = id, .gref = nf->rx_ref[id]};
    spx_grant_permit(nf->grants, nf->rx_ref[id], nf->backend, nf->rx_pages + (size_t)id * SPX_PAGE, false);
    spx_ring_put(&nf->rx, &request, sizeof request);
    nf->rx_is[id] = SPX_BUF_THEIRS;
}

static bool end_all(struct spx_netfront *nf, uint32_t *refs, size_t n) {
    bool all = true;
    for (size_t i = 0; i < n; i++)
        if (refs[i] != 0 && spx_grant_end(nf->grants, refs[i])) {
            spx_grant_free(nf->grants, refs[i]);
            refs[i] = 0;
        } else {
            all &= refs[i] == 0;
        }
    return all;
}

sp_err spx_netfront_stop(struct spx_netfront *nf) {
    if (nf->fault == NULL)
        nf->fault = "stopped";
    bool all = end_all(nf, nf->rx_ref, nf->n_rx);
    all &= end_all(nf, nf->tx_ref, tx_page_count(nf));
    return all ? SP_OK : SP_ERR_STATE;
}

void spx_netfront_forget(struct spx_netfront *nf) {
    nf->fault = "its domain has moved";
    memset(nf->rx_ref, 0, sizeof nf->rx_ref);
    memset(nf->tx_ref, 0, sizeof nf->tx_ref);
}

sp_err spx_netfront_start(struct spx_netfront *nf, uint16_t backend) {
    SP_TRY(spx_netfront_stop(nf));
    nf->backend = backend;
    if (!alloc_refs(nf))
        return SP_ERR_FULL;
    spx_ring_init(&nf->tx, nf->tx_page, sizeof(union netif_tx_sring_entry));
    spx_ring_init(&nf->rx, nf->rx_page, sizeof(union netif_rx_sring_entry));
    nf->fault = NULL;
    nf->skipping = false;
    nf->n_free = nf->extras = 0;
    for (uint16_t i = nf->n_tx; i-- > 0;)
        if (nf->tx_is[i] != SPX_BUF_LENT) {
            nf->tx_is[i] = SPX_BUF_OURS;
            nf->tx_free[nf->n_free++] = i;
        }
    for (uint16_t i = 0; i < nf->n_rx; i++)
        if (nf->rx_is[i] != SPX_BUF_LENT)
            post(nf, i);
    return SP_OK;
}

static bool fail(struct spx_netfront *nf, const char *why) {
    nf->fault = why;
    return false;
}

/* ---- receiving ---- */

/* A response of the backend's: true, and a frame, if there is one in it. */
static bool accept(struct spx_netfront *nf, const netif_rx_response_t *rsp, struct spx_frame *ret) {
    if (rsp->id >= nf->n_rx || nf->rx_is[rsp->id] != SPX_BUF_THEIRS)
        return fail(nf, "it filled a buffer that it did not have");
    if (!spx_grant_end(nf->grants, nf->rx_ref[rsp->id]))
        return fail(nf, "it keeps hold of a buffer that it has filled");
    nf->rx_is[rsp->id] = SPX_BUF_OURS;
    if ((rsp->flags & NETRXF_extra_info) != 0)
        return fail(nf, "it sends information that was not asked for");
    if (rsp->status > 0 && (uint32_t)rsp->offset + (uint32_t)rsp->status > SPX_PAGE)
        return fail(nf, "a frame ends past its buffer");
    /* We agreed to no frames in several buffers; such a one is left out as a whole. */
    bool part = nf->skipping || (rsp->flags & NETRXF_more_data) != 0;
    nf->skipping = (rsp->flags & NETRXF_more_data) != 0;
    if (part || rsp->status < SPX_NET_FRAME_MIN) {
        nf->dropped += !nf->skipping;
        post(nf, rsp->id);
        return false;
    }
    nf->rx_is[rsp->id] = SPX_BUF_LENT;
    nf->received++;
    *ret = (struct spx_frame){.data = nf->rx_pages + (size_t)rsp->id * SPX_PAGE + rsp->offset,
                              .len = (uint16_t)rsp->status,
                              .id = rsp->id,
                              .blank = (rsp->flags & NETRXF_csum_blank) != 0,
                              .validated = (rsp->flags & (NETRXF_csum_blank | NETRXF_data_validated)) != 0};
    return true;
}

size_t spx_netfront_receive(struct spx_netfront *nf, struct spx_frame *frames, size_t n) {
    size_t got = 0;
    unsigned looks = 0;
    while (got < n && nf->fault == NULL) {
        netif_rx_response_t rsp;
        enum spx_ring_next next = spx_ring_get(&nf->rx, &rsp, sizeof rsp);
        if (next == SPX_RING_BAD)
            fail(nf, "it claims to have filled more buffers than it has");
        else if (next == SPX_RING_GOT)
            got += accept(nf, &rsp, &frames[got]);
        else if (looks++ == 2 || !spx_ring_arm(&nf->rx, 1))
            break;
    }
    return got;
}

void spx_netfront_return(struct spx_netfront *nf, uint16_t id) {
    SP_ASSERT(id < nf->n_rx && nf->rx_is[id] == SPX_BUF_LENT);
    nf->rx_is[id] = SPX_BUF_OURS;
    if (nf->fault == NULL)
        post(nf, id);
}

/* ---- sending ---- */

/* Takes back the buffers that the backend has done with. */
static void reap(struct spx_netfront *nf) {
    while (nf->fault == NULL) {
        netif_tx_response_t rsp;
        enum spx_ring_next next = spx_ring_get(&nf->tx, &rsp, sizeof rsp);
        if (next == SPX_RING_EMPTY)
            return;
        bool extra = next == SPX_RING_GOT && rsp.status == NETIF_RSP_NULL;
        if (extra && nf->extras > 0) {
            nf->extras--;
            continue;
        }
        if (next == SPX_RING_BAD || extra || rsp.id >= nf->n_tx || nf->tx_is[rsp.id] != SPX_BUF_THEIRS) {
            fail(nf, "it claims to have sent what it did not have");
            return;
        }
        nf->tx_is[rsp.id] = SPX_BUF_OURS;
        nf->tx_free[nf->n_free++] = rsp.id;
        nf->refused += rsp.status != NETIF_RSP_OKAY;
    }
}

static unsigned buffers_for(const struct spx_netfront *nf, size_t len) {
    return (unsigned)((len + nf->tx_room - 1) / nf->tx_room);
}

/* Buffers, and slots of the ring, one more for what is said about the frame. */
static bool fits(const struct spx_netfront *nf, unsigned buffers) {
    return nf->n_free >= buffers && spx_ring_room(&nf->tx) > buffers;
}

bool spx_netfront_room(struct spx_netfront *nf, size_t len) {
    unsigned buffers = buffers_for(nf, len);
    SP_ASSERT(len <= SPX_NET_LONGEST);
    if (!fits(nf, buffers))
        reap(nf);
    if (!fits(nf, buffers) && nf->fault == NULL &&
        spx_ring_arm(&nf->tx, nf->n_free < buffers ? buffers - nf->n_free : 1))
        reap(nf);
    return fits(nf, buffers) && nf->fault == NULL;
}

static uint8_t *tx_buffer(const struct spx_netfront *nf, uint16_t id) {
    return nf->tx_pages + (size_t)id * nf->tx_room;
}

bool spx_netfront_take(struct spx_netfront *nf, struct spx_frame *ret) {
    if (!spx_netfront_room(nf, 1))
        return false;
    uint16_t id = nf->tx_free[--nf->n_free];
    nf->tx_is[id] = SPX_BUF_LENT;
    *ret = (struct spx_frame){.data = tx_buffer(nf, id), .id = id};
    return true;
}

/* The request for a buffer, the backend's from now on. */
static void put_buffer(struct spx_netfront *nf, uint16_t id, size_t size, unsigned flags) {
    size_t at = (size_t)id * nf->tx_room;
    netif_tx_request_t request = {.gref = nf->tx_ref[at / SPX_PAGE],
                                  .offset = (uint16_t)(at % SPX_PAGE),
                                  .flags = (uint16_t)flags,
                                  .id = id,
                                  .size = (uint16_t)size};
    nf->tx_is[id] = SPX_BUF_THEIRS;
    spx_ring_put(&nf->tx, &request, sizeof request);
}

void spx_netfront_send(struct spx_netfront *nf, const struct spx_frame *frame) {
    SP_ASSERT(frame->id < nf->n_tx && nf->tx_is[frame->id] == SPX_BUF_LENT);
    SP_ASSERT(frame->len == 0 || (frame->len >= SPX_NET_FRAME_MIN && frame->len <= SPX_NET_ROOM));
    if (frame->len == 0 || nf->fault != NULL) {
        nf->tx_is[frame->id] = SPX_BUF_OURS;
        nf->tx_free[nf->n_free++] = frame->id;
        return;
    }
    put_buffer(nf, frame->id, frame->len, frame->blank ? NETTXF_csum_blank | NETTXF_data_validated : 0);
    nf->sent++;
}

/* The next len bytes of the pieces; *piece and *off: where they stand. */
static void copy_pieces(uint8_t *to, size_t len, const struct spx_net_piece **piece, size_t *off) {
    while (len > 0) {
        size_t left = (*piece)->len - *off, n = left < len ? left : len;
        memcpy(to, (*piece)->data + *off, n);
        to += n;
        len -= n;
        *off += n;
        if (*off == (*piece)->len) {
            ++*piece;
            *off = 0;
        }
    }
}

/* How the frame of the request before is to be cut; it is answered too, without an id. */
static void put_extra(struct spx_netfront *nf, const struct spx_net_work *work) {
    netif_extra_info_t extra = {.type = XEN_NETIF_EXTRA_TYPE_GSO};
    extra.u.gso.size = work->segment;
    extra.u.gso.type = work->cut == SPX_CUT_TCP6 ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4;
    nf->extras++;
    spx_ring_put(&nf->tx, &extra, sizeof extra);
}

/* The first request has the size of the whole frame, those after it the sizes of their parts. */
void spx_netfront_send_pieces(struct spx_netfront *nf, const struct spx_net_piece *pieces, unsigned n, size_t len,
                              const struct spx_net_work *work) {
    unsigned flags = work->blank ? NETTXF_csum_blank | NETTXF_data_validated : 0;
    size_t off = 0, left = len;
    bool first = true;
    if (nf->fault != NULL)
        return;
    SP_ASSERT(n > 0 && len >= SPX_NET_FRAME_MIN && len <= XEN_NETIF_MAX_TX_SIZE && fits(nf, buffers_for(nf, len)));
    while (left > 0) {
        uint16_t id = nf->tx_free[--nf->n_free];
        size_t part = left < nf->tx_room ? left : nf->tx_room;
        copy_pieces(tx_buffer(nf, id), part, &pieces, &off);
        left -= part;
        bool extra = first && work->cut != SPX_CUT_NOT;
        put_buffer(nf, id, first ? len : part,
                   flags | (left > 0 ? NETTXF_more_data : 0) | (extra ? NETTXF_extra_info : 0));
        if (extra)
            put_extra(nf, work);
        first = false;
        flags = 0;
    }
    nf->sent++;
}

unsigned spx_netfront_push(struct spx_netfront *nf) {
    if (nf->fault != NULL)
        return 0;
    return (spx_ring_push(&nf->tx) ? SPX_NET_TX : 0) | (spx_ring_push(&nf->rx) ? SPX_NET_RX : 0);
}
