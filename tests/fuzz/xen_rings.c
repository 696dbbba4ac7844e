/* A hostile backend: the input is what it does, in turns with a front end that goes about its work. Whatever stands in
 * the shared pages, the front ends touch nothing but their own memory, lend no buffer twice, complete no request twice
 * and end every grant that they can. Input: the device, then operations of an opcode and four bytes. */
#include <string.h>

#include "proto/base/bytes.h"
#include "tests/support/ring_backend.h"
#include "tests/support/support.h"
#include "unikernel/dev/xenstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct ring_memory m;
static struct spx_grants grants;

/* Any bytes of a shared page, or a grant's flags, as the backend would like them. */
static void scribble(void *page, size_t size, struct sp_rd *in) {
    uint16_t at = sp_rd_u16(in), value = sp_rd_u16(in);
    memcpy((uint8_t *)page + at % (size - 1), &value, 2);
}

static void hold(struct sp_rd *in) {
    uint16_t ref = sp_rd_u16(in);
    bool yes = sp_rd_u16(in) % 2 == 1;
    grant_entry_v1_t *e = &m.table[ref % SPX_GRANTS_PER_FRAME];
    e->flags = (uint16_t)(yes && e->flags != 0 ? e->flags | GTF_writing : e->flags & ~GTF_writing);
}

static void let_go(void) {
    for (size_t i = 0; i < SPX_GRANTS_PER_FRAME; i++)
        m.table[i].flags &= (uint16_t) ~(GTF_writing | GTF_reading);
}

static void check_no_grants(void) {
    SP_ASSERT(grants.n_free == SPX_GRANTS_PER_FRAME - GNTTAB_NR_RESERVED_ENTRIES);
    for (size_t i = 0; i < SPX_GRANTS_PER_FRAME; i++)
        SP_ASSERT(m.table[i].flags == 0);
}

/* ---- network ---- */

static struct spx_netfront nf;
static struct spx_frame lent[RIG_RX], taken[RIG_TX];
static size_t n_lent, n_taken, tx_count;

static void net_receive(size_t want) {
    size_t n = spx_netfront_receive(&nf, lent + n_lent, want < RIG_RX - n_lent ? want : RIG_RX - n_lent);
    for (size_t i = 0; i < n; i++) {
        const struct spx_frame *f = &lent[n_lent + i];
        SP_ASSERT(f->id < RIG_RX && f->len >= SPX_NET_FRAME_MIN);
        SP_ASSERT(f->data >= m.net[2 + f->id] && f->data + f->len <= m.net[2 + f->id] + SPX_PAGE);
        SP_ASSERT(m.table[nf.rx_ref[f->id]].flags == 0);
        for (size_t j = 0; j < n_lent + i; j++)
            SP_ASSERT(lent[j].id != f->id);
    }
    n_lent += n;
}

static void net_send(uint16_t value) {
    if (value % 2 == 0) {
        if (n_taken < RIG_TX && spx_netfront_take(&nf, &taken[n_taken])) {
            for (size_t j = 0; j < n_taken; j++)
                SP_ASSERT(taken[j].id != taken[n_taken].id);
            memset(taken[n_taken].data, (int)value, SPX_NET_ROOM);
            n_taken++;
        }
    } else if (n_taken > 0) {
        taken[--n_taken].len = value % 5 == 0 ? 0 : SPX_NET_FRAME_MIN + value % 1500;
        spx_netfront_send(&nf, &taken[n_taken]);
    }
}

/* A frame in pieces, with an extra or without. */
static void net_send_long(uint16_t value) {
    static const uint8_t body[SPX_NET_LONGEST];
    size_t most = tx_count * nf.tx_room < sizeof body ? tx_count * nf.tx_room : sizeof body - 1;
    size_t len = SPX_NET_FRAME_MIN + (size_t)value * 3 % (most - SPX_NET_FRAME_MIN + 1);
    struct spx_net_piece pieces[] = {{body, SPX_NET_FRAME_MIN}, {body, len - SPX_NET_FRAME_MIN}};
    struct spx_net_work work = {value % 2 == 0, (uint8_t)(value % 3), 1400};
    if (spx_netfront_room(&nf, len))
        spx_netfront_send_pieces(&nf, pieces, 2, len, &work);
}

/* What a backend would do that keeps to the protocol: answers come to be believed only so. */
static void net_answer(struct sp_rd *in) {
    netif_rx_sring_t *rx = nf.rx_page;
    uint16_t what = sp_rd_u16(in), more = sp_rd_u16(in);
    if (what % 2 == 0) {
        rx->ring[rx->rsp_prod % 256].rsp =
            (netif_rx_response_t){.id = what / 2 % 16, .flags = more >> 8 & 7, .status = more & 0x10 ? 1500 : 60};
        rx->ring[rx->rsp_prod % 256].rsp.offset =
            more % 16 < 12 ? more % 16 : SPX_PAGE - 1501 + (more & 0x10 ? 0 : 1440) + more % 4;
        rx->rsp_prod++;
    } else {
        netif_tx_sring_t *tx = nf.tx_page;
        tx->ring[tx->rsp_prod % 256].rsp = (netif_tx_response_t){.id = what / 2 % 32, .status = more % 3};
        tx->rsp_prod++;
    }
}

static void fuzz_net(struct sp_rd *in, bool pages) {
    n_lent = n_taken = 0;
    tx_count = pages ? RIG_LONG_TX : RIG_TX;
    spx_netfront_init(&nf, &grants, m.net, RIG_RX, (uint16_t)tx_count, pages ? 1 : 2);
    if (spx_netfront_start(&nf, RIG_BACKEND) != SP_OK)
        return;
    for (unsigned i = 0; i < 500 && sp_rd_left(in) >= 5; i++) {
        uint8_t op = sp_rd_u8(in);
        struct sp_rd args = sp_rd_sub(in, 4);
        switch (op % 8) {
        case 0:
            scribble(nf.tx_page, SPX_PAGE, &args);
            break;
        case 1:
            scribble(nf.rx_page, SPX_PAGE, &args);
            break;
        case 2:
            hold(&args);
            break;
        case 3:
            net_receive(op / 8 % 4);
            break;
        case 4:
            if (op >= 0x80)
                net_send_long(sp_rd_u16(&args));
            else
                net_send(sp_rd_u16(&args));
            break;
        case 5:
            (void)!spx_netfront_push(&nf);
            break;
        case 6:
            net_answer(&args);
            break;
        case 7:
            if (n_lent > 0)
                spx_netfront_return(&nf, lent[--n_lent].id);
            else if (op >= 0xf0)
                (void)!spx_netfront_start(&nf, RIG_BACKEND);
            break;
        }
    }
    let_go();
    SP_ASSERT(spx_netfront_stop(&nf) == SP_OK);
    check_no_grants();
}

/* ---- disk ---- */

static struct spx_blkfront bf;
static uint8_t asked[256]; /* how often each id is on its way */

static void disk_submit(struct sp_rd *in) {
    uint8_t id = sp_rd_u8(in), op = sp_rd_u8(in), block = sp_rd_u8(in), count = sp_rd_u8(in);
    struct sp_blk_req req = {.id = id,
                             .op = (enum sp_blk_op)(op % 3),
                             .block = block,
                             .count = count % (RIG_BLK_PAGES + 1),
                             .buf = m.blocks[0]};
    if (asked[id] == 0 && spx_blkfront_submit(&bf, &req) == SP_OK) {
        asked[id] = 1;
        SP_ASSERT(req.op == SP_BLK_FLUSH || req.block + req.count <= 200);
    }
}

static void disk_complete(void) {
    struct spx_blk_done done[4];
    size_t n = spx_blkfront_complete(&bf, done, 4);
    for (size_t i = 0; i < n; i++)
        SP_ASSERT(done[i].id < 256 && asked[done[i].id]-- == 1);
}

static void disk_answer(struct sp_rd *in) {
    struct rsp_page {
        uint32_t req_prod, req_event, rsp_prod, rsp_event;
    } *page = bf.page;
    uint8_t which = sp_rd_u8(in), status = sp_rd_u8(in);
    struct blkif_response rsp = {.id = (uint64_t)bf.parts[which % SPX_BLK_RING].stamp << 32 | which % SPX_BLK_RING,
                                 .status = (int16_t)(status % 3 == 2 ? -1 : 0)};
    memcpy((uint8_t *)bf.page + 64 + page->rsp_prod % SPX_BLK_RING * sizeof(blkif_request_t), &rsp, sizeof rsp);
    page->rsp_prod++;
}

static void fuzz_disk(struct sp_rd *in) {
    struct spx_blk_shape shape = {.sectors = 1600, .flush = true};
    memset(asked, 0, sizeof asked);
    spx_blkfront_init(&bf, &grants, m.disk_ring);
    if (spx_blkfront_start(&bf, RIG_BACKEND, 1) != SP_OK)
        return;
    spx_blkfront_open(&bf, &shape);
    for (unsigned i = 0; i < 500 && sp_rd_left(in) >= 5; i++) {
        uint8_t op = sp_rd_u8(in);
        struct sp_rd args = sp_rd_sub(in, 4);
        switch (op % 8) {
        case 0:
            scribble(bf.page, SPX_PAGE, &args);
            break;
        case 1:
            hold(&args);
            break;
        case 2:
        case 3:
            disk_submit(&args);
            break;
        case 4:
            disk_complete();
            break;
        case 5:
            (void)!spx_blkfront_push(&bf);
            break;
        case 6:
            disk_answer(&args);
            break;
        case 7:
            if (op >= 0xf0 && spx_blkfront_start(&bf, RIG_BACKEND, 1) == SP_OK)
                spx_blkfront_open(&bf, &shape);
            break;
        }
    }
    let_go();
    SP_ASSERT(spx_blkfront_stop(&bf) == SP_OK);
    check_no_grants();
}

/* ---- xenstore ---- */

/* A reply of about the greatest length, in pieces. */
static void store_long(struct spx_xs *xs, struct xenstore_domain_interface *ring, uint32_t id, uint8_t more) {
    struct xsd_sockmsg header = {XS_READ, id, 0, XENSTORE_PAYLOAD_MAX - 8 + more % 32};
    for (size_t i = 0; i < sizeof header + header.len; i++) {
        if (i % 512 == 0) {
            struct spx_xs_reply reply;
            bool notify = false;
            SP_ASSERT(!spx_xs_poll(xs, &reply, &notify) || reply.len <= XENSTORE_PAYLOAD_MAX);
        }
        ring->rsp[MASK_XENSTORE_IDX(ring->rsp_prod++)] = i < sizeof header ? ((const char *)&header)[i] : 'x';
    }
}

static void fuzz_store(struct sp_rd *in) {
    static struct spx_xs xs;
    static struct xenstore_domain_interface ring;
    static const char *const parts[] = {"device/vif/0/state", "4"};
    memset(&ring, 0, sizeof ring);
    spx_xs_init(&xs, &ring, 0);
    uint32_t last = 0;
    for (unsigned i = 0; i < 500 && sp_rd_left(in) >= 5; i++) {
        uint8_t op = sp_rd_u8(in);
        struct sp_rd args = sp_rd_sub(in, 4);
        struct spx_xs_reply reply;
        bool notify = false;
        switch (op % 4) {
        case 0:
            scribble(&ring, sizeof ring, &args);
            break;
        case 1:
            last = spx_xs_send(&xs, XS_WRITE, 0, parts, 2, true);
            break;
        case 2:
            if (spx_xs_poll(&xs, &reply, &notify))
                SP_ASSERT(reply.len <= XENSTORE_PAYLOAD_MAX && reply.data == xs.body);
            break;
        case 3: { /* a message with the bytes that follow, or a long one */
            if (op >= 0xf0) {
                store_long(&xs, &ring, last, sp_rd_u8(&args));
                break;
            }
            struct xsd_sockmsg header = {op / 4 % 16, op >= 0x80 ? last : 0, 0, sp_rd_u8(&args)};
            const uint8_t *body = sp_rd_bytes(in, header.len < sp_rd_left(in) ? header.len : sp_rd_left(in));
            for (size_t j = 0; j < sizeof header; j++)
                ring.rsp[MASK_XENSTORE_IDX(ring.rsp_prod++)] = ((const char *)&header)[j];
            for (size_t j = 0; body != NULL && body + j < in->pos; j++)
                ring.rsp[MASK_XENSTORE_IDX(ring.rsp_prod++)] = (char)body[j];
            break;
        }
        }
        SP_ASSERT(xs.out_len <= SPX_XS_OUT && xs.out_at <= xs.out_len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_rd in = sp_rd_init(data, len);
    uint8_t device = sp_rd_u8(&in);
    memset(m.table, 0, sizeof m.table);
    spx_grants_init(&grants, m.table, 1);
    if (device % 3 == 0)
        fuzz_net(&in, device / 3 % 2 == 1);
    else if (device % 3 == 1)
        fuzz_disk(&in);
    else
        fuzz_store(&in);
    return 0;
}
