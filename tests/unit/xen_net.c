/* Netfront's data path, against a backend that is played in memory with Xen's own ring macros. */
#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/ring_backend.h"

static struct ring_memory m;
static struct spx_grants grants;
static struct spx_netfront nf;
static netif_tx_back_ring_t tx;
static netif_rx_back_ring_t rx;

static void start(void) {
    assert_int_equal(spx_netfront_start(&nf, RIG_BACKEND), SP_OK);
    BACK_RING_INIT(&tx, (netif_tx_sring_t *)nf.tx_page, SPX_PAGE);
    BACK_RING_INIT(&rx, (netif_rx_sring_t *)nf.rx_page, SPX_PAGE);
    (void)!spx_netfront_push(&nf);
}

static int setup(void **state) {
    memset(&m, 0, sizeof m);
    spx_grants_init(&grants, m.table, 1);
    spx_netfront_init(&nf, &grants, m.net, RIG_RX, RIG_TX, 2);
    start();
    return 0;
}

static int setup_long(void **state) {
    memset(&m, 0, sizeof m);
    spx_grants_init(&grants, m.table, 1);
    spx_netfront_init(&nf, &grants, m.net, RIG_RX, RIG_LONG_TX, 1);
    start();
    return 0;
}

/* ---- the backend ---- */

static unsigned rx_posted(void) {
    return ((netif_rx_sring_t *)nf.rx_page)->req_prod - rx.req_cons;
}

static netif_rx_request_t rx_take(void) {
    netif_rx_request_t req;
    assert_int_not_equal(rx_posted(), 0);
    RING_COPY_REQUEST(&rx, rx.req_cons, &req);
    rx.req_cons++;
    return req;
}

static bool rx_answer(uint16_t id, uint16_t offset, uint16_t flags, int16_t status) {
    bool notify;
    *RING_GET_RESPONSE(&rx, rx.rsp_prod_pvt) = (netif_rx_response_t){id, offset, flags, status};
    rx.rsp_prod_pvt++;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&rx, notify);
    return notify;
}

/* Fills the next buffer; true when the front end wants an event. */
static bool rx_fill(uint8_t byte, uint16_t offset, uint16_t len, uint16_t flags, uint16_t *ret_id) {
    netif_rx_request_t req = rx_take();
    uint8_t *page = ring_memory_page(&m, req.gref, true);
    assert_non_null(page);
    memset(page + offset, byte, len);
    *ret_id = req.id;
    return rx_answer(req.id, offset, flags, (int16_t)len);
}

static netif_tx_request_t tx_take(void) {
    netif_tx_request_t req;
    assert_true(RING_HAS_UNCONSUMED_REQUESTS(&tx));
    RING_COPY_REQUEST(&tx, tx.req_cons, &req);
    tx.req_cons++;
    return req;
}

static bool tx_answer(uint16_t id, int16_t status) {
    bool notify;
    *RING_GET_RESPONSE(&tx, tx.rsp_prod_pvt) = (netif_tx_response_t){id, status};
    tx.rsp_prod_pvt++;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&tx, notify);
    return notify;
}

/* ---- receiving ---- */

static void frames_come_in(void **state) {
    struct spx_frame f[4];
    uint16_t id;
    assert_int_equal(rx_posted(), RIG_RX);
    assert_true(rx_fill(0x11, 0, 60, 0, &id)); /* the first one wakes */
    assert_int_equal(spx_netfront_receive(&nf, f, 4), 1);
    assert_int_equal(f[0].len, 60);
    assert_int_equal(f[0].id, id);
    assert_int_equal(f[0].data[59], 0x11);
    assert_false(f[0].blank || f[0].validated);
    assert_null(ring_memory_page(&m, nf.rx_ref[id], false)); /* the backend reaches it no more */
    assert_true(
        rx_fill(0x22, 100, 1514, NETRXF_csum_blank | NETRXF_data_validated, &id)); /* all was read: it wakes again */
    assert_false(rx_fill(0x33, 0, 60, NETRXF_data_validated, &id));                /* the first was not read yet */
    assert_int_equal(spx_netfront_receive(&nf, f + 1, 1), 1);
    assert_true(f[1].blank && f[1].validated);
    assert_int_equal(f[1].len, 1514);
    assert_int_equal(f[1].data[1513], 0x22);
    assert_int_equal(spx_netfront_receive(&nf, f + 2, 1), 1);
    assert_true(!f[2].blank && f[2].validated);
    assert_int_equal(spx_netfront_receive(&nf, f + 3, 1), 0);
    assert_int_equal(rx_posted(), RIG_RX - 3);
    for (int i = 0; i < 3; i++)
        spx_netfront_return(&nf, f[i].id);
    assert_int_equal(rx_posted(), RIG_RX - 3); /* not before the push */
    assert_int_equal(spx_netfront_push(&nf), 0);
    assert_int_equal(rx_posted(), RIG_RX);
    for (int i = 0; i < RIG_RX; i++)
        assert_non_null(ring_memory_page(&m, rx_take().gref, true));
    assert_int_equal(nf.received, 3);
    assert_int_equal(nf.dropped, 0);
    assert_null(nf.fault);
}

/* Indices wrap, buffers go round. */
static void a_long_run(void **state) {
    struct spx_frame f;
    uint16_t id;
    for (unsigned i = 0; i < 3000; i++) {
        rx_fill((uint8_t)i, 0, 64, 0, &id);
        assert_int_equal(spx_netfront_receive(&nf, &f, 1), 1);
        assert_int_equal(f.data[0], (uint8_t)i);
        spx_netfront_return(&nf, f.id);
        (void)!spx_netfront_push(&nf);
    }
    assert_null(nf.fault);
}

static void what_is_no_frame_is_dropped(void **state) {
    struct spx_frame f;
    uint16_t id;
    rx_answer(rx_take().id, 0, 0, NETIF_RSP_ERROR);
    rx_fill(1, 0, SPX_NET_FRAME_MIN - 1, 0, &id);
    rx_fill(2, 0, 1000, NETRXF_more_data, &id); /* a frame in three buffers */
    rx_fill(2, 0, 1000, NETRXF_more_data, &id);
    rx_fill(2, 0, 1000, 0, &id);
    rx_fill(3, 0, 99, 0, &id);
    assert_int_equal(spx_netfront_receive(&nf, &f, 1), 1);
    assert_int_equal(f.len, 99);
    assert_int_equal(nf.dropped, 3);
    assert_null(nf.fault);
    (void)!spx_netfront_push(&nf);
    assert_int_equal(rx_posted(), RIG_RX - 1); /* all buffers but the lent one are there again */
}

static void receive_faults(void **state) {
    struct spx_frame f;
    for (int i = 0; i < 6; i++) {
        setup(NULL);
        netif_rx_request_t req = rx_take();
        switch (i) {
        case 0:
            rx_answer(RIG_RX, 0, 0, 60);
            break; /* an id that is none */
        case 1:
            rx_answer(req.id, SPX_PAGE - 59, 0, 60);
            break; /* past the page */
        case 2:
            rx_answer(req.id, UINT16_MAX, 0, INT16_MAX);
            break;
        case 3:
            rx_answer(req.id, 0, NETRXF_extra_info, 60);
            break; /* never agreed to */
        case 4:
            m.table[req.gref].flags |= GTF_writing;
            rx_answer(req.id, 0, 0, 60);
            break; /* still in use */
        case 5:
            rx.sring->rsp_prod = RIG_RX + 1;
            break; /* more than was asked for */
        }
        assert_int_equal(spx_netfront_receive(&nf, &f, 1), 0);
        assert_non_null(nf.fault);
        assert_true(i != 5 || strstr(nf.fault, "more buffers than it has") != NULL);
        assert_false(spx_netfront_take(&nf, &f));
        assert_int_equal(spx_netfront_push(&nf), 0);
    }
}

/* A buffer that is lent is the caller's, whatever the backend says. */
static void a_lent_buffer_is_not_theirs(void **state) {
    struct spx_frame f[2];
    uint16_t id;
    rx_fill(7, 0, 60, 0, &id);
    assert_int_equal(spx_netfront_receive(&nf, f, 1), 1);
    rx_take();
    rx_answer(id, 0, 0, 60);
    assert_int_equal(spx_netfront_receive(&nf, f + 1, 1), 0);
    assert_non_null(nf.fault);
    spx_netfront_return(&nf, f[0].id);
}

/* ---- sending ---- */

static void frames_go_out(void **state) {
    struct spx_frame f[RIG_TX + 1];
    for (int i = 0; i < RIG_TX; i++) {
        assert_true(spx_netfront_take(&nf, &f[i]));
        memset(f[i].data, 0x40 + i, SPX_NET_ROOM);
        f[i].len = (uint16_t)(60 + i);
        f[i].blank = i == 1;
    }
    assert_false(spx_netfront_take(&nf, &f[RIG_TX]));
    for (int i = 0; i < RIG_TX; i++)
        spx_netfront_send(&nf, &f[i]);
    assert_false(RING_HAS_UNCONSUMED_REQUESTS(&tx)); /* not before the push */
    assert_int_equal(spx_netfront_push(&nf), SPX_NET_TX);
    uint16_t ids[RIG_TX];
    for (int i = 0; i < RIG_TX; i++) {
        netif_tx_request_t req = tx_take();
        const uint8_t *page = ring_memory_page(&m, req.gref, false);
        assert_non_null(page);
        assert_null(ring_memory_page(&m, req.gref, true)); /* only to be read */
        assert_int_equal(req.size, 60 + i);
        assert_true(req.offset + req.size <= SPX_PAGE);
        assert_int_equal(page[req.offset], 0x40 + i);
        assert_int_equal(page[req.offset + req.size - 1], 0x40 + i);
        assert_int_equal(req.flags, i == 1 ? NETTXF_csum_blank | NETTXF_data_validated : 0);
        ids[i] = req.id;
    }
    assert_false(spx_netfront_take(&nf, &f[0]));
    assert_true(tx_answer(ids[3], NETIF_RSP_OKAY)); /* in any order; someone waits for it */
    assert_false(tx_answer(ids[0], NETIF_RSP_DROPPED));
    assert_true(spx_netfront_take(&nf, &f[0]));
    assert_true(spx_netfront_take(&nf, &f[1]));
    assert_false(spx_netfront_take(&nf, &f[2]));
    assert_int_equal(nf.refused, 1);
    f[0].len = 0;
    spx_netfront_send(&nf, &f[0]); /* unsent after all */
    assert_true(spx_netfront_take(&nf, &f[2]));
    assert_int_equal(f[2].id, f[0].id);
    assert_false(spx_netfront_take(&nf, &f[3]));
    assert_true(tx_answer(ids[1], NETIF_RSP_OKAY)); /* waited for again */
    assert_null(nf.fault);
}

static void send_faults(void **state) {
    for (int i = 0; i < 3; i++) {
        setup(NULL);
        struct spx_frame f;
        for (int j = 0; j < RIG_TX; j++) {
            assert_true(spx_netfront_take(&nf, &f));
            f.len = 60;
            spx_netfront_send(&nf, &f);
        }
        (void)!spx_netfront_push(&nf);
        uint16_t id = tx_take().id;
        switch (i) {
        case 0:
            tx_answer(RIG_TX, 0);
            break;
        case 1:
            tx_answer(id, 0), tx_answer(id, 0);
            break;
        case 2:
            tx.sring->rsp_prod = RIG_TX + 1;
            break;
        }
        assert_false(spx_netfront_take(&nf, &f));
        assert_non_null(nf.fault);
    }
}

/* ---- frames in several buffers ---- */

static uint8_t body[SPX_NET_LONGEST];

static void send_long(size_t len, uint8_t cut, bool blank) {
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(i * 31 >> 3);
    /* pieces that end within buffers, at their ends, and one that is empty */
    struct spx_net_piece pieces[] = {
        {body, 66}, {body + 66, 0}, {body + 66, SPX_PAGE - 66}, {body + SPX_PAGE, len - SPX_PAGE}};
    struct spx_net_work work = {blank, cut, cut != SPX_CUT_NOT ? 1448 : 0};
    assert_true(spx_netfront_room(&nf, len));
    spx_netfront_send_pieces(&nf, pieces, 4, len, &work);
}

/* What the backend makes of a frame: its bytes are those that were sent. Answers as netback does, extras without id. */
static size_t receive_long(unsigned want_flags, const netif_extra_info_t *want) {
    netif_tx_request_t req = tx_take();
    size_t total = req.size, at = 0, rest = 0;
    uint16_t ids[20], sizes[20], offsets[20], n = 0;
    uint32_t refs[20];
    assert_int_equal(req.flags & ~NETTXF_more_data, want_flags);
    if ((req.flags & NETTXF_extra_info) != 0) {
        netif_extra_info_t extra;
        memcpy(&extra, RING_GET_REQUEST(&tx, tx.req_cons), sizeof extra);
        tx.req_cons++;
        assert_memory_equal(&extra, want, sizeof extra);
    }
    for (;; req = tx_take()) {
        ids[n] = req.id;
        sizes[n] = req.size;
        offsets[n] = req.offset;
        refs[n++] = req.gref;
        rest += n > 1 ? req.size : 0;
        assert_true(n == 1 || (req.flags & ~NETTXF_more_data) == 0);
        if ((req.flags & NETTXF_more_data) == 0)
            break;
    }
    assert_true(n <= XEN_NETIF_NR_SLOTS_MIN);
    sizes[0] = (uint16_t)(total - rest);
    for (unsigned i = 0; i < n; at += sizes[i++]) {
        const uint8_t *page = ring_memory_page(&m, refs[i], false);
        assert_non_null(page);
        assert_true(offsets[i] + sizes[i] <= SPX_PAGE);
        assert_memory_equal(page + offsets[i], body + at, sizes[i]);
    }
    assert_int_equal(at, total);
    for (unsigned i = n; i-- > 0;) { /* in any order */
        tx_answer(ids[i], NETIF_RSP_OKAY);
        if (i == 0 && want != NULL)
            tx_answer(0xeeee, NETIF_RSP_NULL);
    }
    return total;
}

static void long_frames_go_out(void **state) {
    static const netif_extra_info_t four = {.type = XEN_NETIF_EXTRA_TYPE_GSO,
                                            .u.gso = {.size = 1448, .type = XEN_NETIF_GSO_TYPE_TCPV4}},
                                    six = {.type = XEN_NETIF_EXTRA_TYPE_GSO,
                                           .u.gso = {.size = 1448, .type = XEN_NETIF_GSO_TYPE_TCPV6}};
    unsigned sums = NETTXF_csum_blank | NETTXF_data_validated;
    static const size_t lengths[] = {5000, 2 * SPX_PAGE, 2 * SPX_PAGE + 1, 64134, XEN_NETIF_MAX_TX_SIZE};
    for (unsigned round = 0; round < 200; round++) { /* indices wrap */
        size_t len = lengths[round % 5];
        send_long(len, SPX_CUT_TCP4, true);
        (void)!spx_netfront_push(&nf);
        assert_int_equal(receive_long(sums | NETTXF_extra_info, &four), len);
        if (len > 3 * SPX_PAGE)
            continue;
        send_long(len, SPX_CUT_TCP6, true);
        send_long(len, SPX_CUT_NOT, false);
        (void)!spx_netfront_push(&nf);
        assert_int_equal(receive_long(sums | NETTXF_extra_info, &six), len);
        assert_int_equal(receive_long(0, NULL), len);
    }
    struct spx_frame f;
    for (int i = 0; i < RIG_LONG_TX; i++) /* all buffers are back */
        assert_true(spx_netfront_take(&nf, &f));
    assert_null(nf.fault);
    assert_int_equal(nf.extras, 0);
}

/* There is room when enough buffers are back, and the event comes with the last of these. */
static void long_frames_wait_for_room(void **state) {
    struct spx_frame f[8];
    for (int i = 0; i < 8; i++) {
        assert_true(spx_netfront_take(&nf, &f[i]));
        f[i].len = 60;
        spx_netfront_send(&nf, &f[i]);
    }
    (void)!spx_netfront_push(&nf);
    assert_true(spx_netfront_room(&nf, 12 * SPX_PAGE));
    assert_false(spx_netfront_room(&nf, 15 * SPX_PAGE));
    assert_false(tx_answer(f[0].id, NETIF_RSP_OKAY));
    assert_false(tx_answer(f[1].id, NETIF_RSP_OKAY));
    assert_false(spx_netfront_room(&nf, 15 * SPX_PAGE));
    assert_true(tx_answer(f[2].id, NETIF_RSP_OKAY));
    assert_true(spx_netfront_room(&nf, 15 * SPX_PAGE));
    assert_null(nf.fault);
}

static void an_extra_that_nobody_sent(void **state) {
    struct spx_frame f;
    send_long(5000, SPX_CUT_TCP4, true);
    (void)!spx_netfront_push(&nf);
    tx_answer(0, NETIF_RSP_NULL);
    tx_answer(0, NETIF_RSP_NULL);
    for (int i = 0; i < RIG_LONG_TX - 2; i++)
        assert_true(spx_netfront_take(&nf, &f));
    assert_false(spx_netfront_take(&nf, &f));
    assert_non_null(nf.fault);
}

/* ---- stop and start ---- */

static void starts_again(void **state) {
    struct spx_frame in, out, lost;
    uint16_t id;
    rx_fill(5, 0, 60, 0, &id);
    assert_int_equal(spx_netfront_receive(&nf, &in, 1), 1);
    assert_true(spx_netfront_take(&nf, &lost));
    lost.len = 60;
    spx_netfront_send(&nf, &lost);
    assert_true(spx_netfront_take(&nf, &out));
    assert_int_equal(spx_netfront_stop(&nf), SP_OK);
    assert_int_equal(grants.n_free, SPX_GRANTS_PER_FRAME - GNTTAB_NR_RESERVED_ENTRIES);
    start();
    assert_int_equal(rx_posted(), RIG_RX - 1); /* the lent one comes when it is returned */
    assert_int_equal(in.data[0], 5);
    spx_netfront_return(&nf, in.id);
    out.len = 60;
    spx_netfront_send(&nf, &out);
    (void)!spx_netfront_push(&nf);
    assert_int_equal(rx_posted(), RIG_RX);
    assert_int_equal(tx_take().id, out.id);
    assert_false(RING_HAS_UNCONSUMED_REQUESTS(&tx));
    for (int i = 0; i < RIG_TX - 1; i++)
        assert_true(spx_netfront_take(&nf, &out));
}

static void a_backend_that_holds_on(void **state) {
    m.table[nf.rx_ref[2]].flags |= GTF_reading;
    assert_int_equal(spx_netfront_stop(&nf), SP_ERR_STATE);
    assert_int_equal(spx_netfront_start(&nf, RIG_BACKEND), SP_ERR_STATE);
    m.table[nf.rx_ref[2]].flags &= (uint16_t)~GTF_reading;
    start();
    assert_int_equal(rx_posted(), RIG_RX);
}

static void too_few_grants(void **state) {
    assert_int_equal(spx_netfront_stop(&nf), SP_OK);
    while (grants.n_free > 5)
        assert_int_not_equal(spx_grant_alloc(&grants), 0);
    assert_int_equal(spx_netfront_start(&nf, RIG_BACKEND), SP_ERR_FULL);
    assert_non_null(nf.fault);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(frames_come_in, setup),
        cmocka_unit_test_setup(a_long_run, setup),
        cmocka_unit_test_setup(what_is_no_frame_is_dropped, setup),
        cmocka_unit_test_setup(receive_faults, setup),
        cmocka_unit_test_setup(a_lent_buffer_is_not_theirs, setup),
        cmocka_unit_test_setup(frames_go_out, setup),
        cmocka_unit_test_setup(send_faults, setup),
        cmocka_unit_test_setup(long_frames_go_out, setup_long),
        cmocka_unit_test_setup(long_frames_wait_for_room, setup_long),
        cmocka_unit_test_setup(an_extra_that_nobody_sent, setup_long),
        cmocka_unit_test_setup(starts_again, setup),
        cmocka_unit_test_setup(a_backend_that_holds_on, setup),
        cmocka_unit_test_setup(too_few_grants, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
