/* Blkfront's data path, against a backend that is played in memory with Xen's own ring macros. */
#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/ring_backend.h"

DEFINE_RING_TYPES(rig_blk, struct blkif_request, struct blkif_response);

static struct ring_memory m;
static struct spx_grants grants;
static struct spx_blkfront bf;
static rig_blk_back_ring_t ring;

static void start(const struct spx_blk_shape *shape) {
    assert_int_equal(spx_blkfront_start(&bf, RIG_BACKEND, 51712 & 0xffff), SP_OK);
    BACK_RING_INIT(&ring, (rig_blk_sring_t *)bf.page, SPX_PAGE);
    spx_blkfront_open(&bf, shape);
}

static int setup(void **state) {
    memset(&m, 0, sizeof m);
    spx_grants_init(&grants, m.table, 1);
    spx_blkfront_init(&bf, &grants, m.disk_ring);
    start(&(struct spx_blk_shape){.sectors = 1000 * 8 + 7, .flush = true, .barrier = true});
    return 0;
}

static void submit(uint64_t id, enum sp_blk_op op, uint64_t block, uint32_t count) {
    struct sp_blk_req req = {.id = id, .op = op, .block = block, .count = count, .buf = count > 0 ? m.blocks[0] : NULL};
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_OK);
}

/* ---- the backend ---- */

static struct blkif_request take(void) {
    struct blkif_request req;
    assert_true(RING_HAS_UNCONSUMED_REQUESTS(&ring));
    RING_COPY_REQUEST(&ring, ring.req_cons, &req);
    ring.req_cons++;
    return req;
}

static bool answer(uint64_t id, uint8_t op, int16_t status) {
    bool notify;
    *RING_GET_RESPONSE(&ring, ring.rsp_prod_pvt) = (struct blkif_response){.id = id, .operation = op, .status = status};
    ring.rsp_prod_pvt++;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&ring, notify);
    return notify;
}

/* ---- requests ---- */

static void reads_and_writes(void **state) {
    struct spx_blk_done done[4];
    memset(m.blocks, 0x5a, sizeof m.blocks);
    submit(70, SP_BLK_WRITE, 5, 3);
    submit(71, SP_BLK_READ, 997, 3);
    assert_false(RING_HAS_UNCONSUMED_REQUESTS(&ring));
    assert_true(spx_blkfront_push(&bf));
    struct blkif_request w = take(), r = take();
    assert_int_equal(w.operation, BLKIF_OP_WRITE);
    assert_int_equal(w.sector_number, 40);
    assert_int_equal(w.nr_segments, 3);
    assert_int_equal(w.handle, 51712);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w.seg[i].first_sect, 0);
        assert_int_equal(w.seg[i].last_sect, 7);
        assert_ptr_equal(ring_memory_page(&m, w.seg[i].gref, false), m.blocks[i]);
        assert_null(ring_memory_page(&m, w.seg[i].gref, true)); /* what is written is only read by the backend */
        assert_ptr_equal(ring_memory_page(&m, r.seg[i].gref, true), m.blocks[i]);
    }
    assert_int_equal(r.operation, BLKIF_OP_READ);
    assert_int_equal(r.sector_number, 997 * 8);
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 0);
    assert_true(answer(r.id, r.operation, BLKIF_RSP_OKAY)); /* in any order, and we wait for it */
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 1);
    assert_int_equal(done[0].id, 71);
    assert_int_equal(done[0].err, SP_OK);
    assert_null(ring_memory_page(&m, r.seg[0].gref, false));
    assert_true(answer(w.id, w.operation, BLKIF_RSP_ERROR));
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 1);
    assert_int_equal(done[0].id, 70);
    assert_int_equal(done[0].err, SP_ERR_IO);
    assert_int_equal(grants.n_free, SPX_GRANTS_PER_FRAME - GNTTAB_NR_RESERVED_ENTRIES);
    assert_null(bf.fault);
}

static void long_requests_are_split(void **state) {
    struct spx_blk_done done[4];
    submit(1, SP_BLK_READ, 100, 25);
    assert_true(spx_blkfront_push(&bf));
    struct blkif_request part[3] = {take(), take(), take()};
    static const unsigned counts[] = {11, 11, 3};
    for (unsigned i = 0, at = 0; i < 3; at += counts[i++]) {
        assert_int_equal(part[i].nr_segments, counts[i]);
        assert_int_equal(part[i].sector_number, (100 + at) * 8);
        assert_ptr_equal(ring_memory_page(&m, part[i].seg[counts[i] - 1].gref, true), m.blocks[at + counts[i] - 1]);
    }
    assert_false(RING_HAS_UNCONSUMED_REQUESTS(&ring));
    answer(part[2].id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    answer(part[0].id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 0);
    answer(part[1].id, BLKIF_OP_READ, BLKIF_RSP_ERROR);
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 1);
    assert_int_equal(done[0].err, SP_ERR_IO);
}

/* A request that is longer than the whole ring, and a table full of others behind it. */
static void more_than_the_ring_holds(void **state) {
    struct spx_blk_done done[SPX_BLK_RING];
    uint8_t seen[SPX_BLK_RING] = {0};
    struct sp_blk_req req = {.id = 99, .op = SP_BLK_READ, .count = 1, .buf = m.blocks[0]};
    submit(0, SP_BLK_READ, 0, RIG_BLK_PAGES);
    for (uint64_t i = 1; i < SPX_BLK_RING; i++)
        submit(i, SP_BLK_WRITE, i * 10, 2);
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_FULL);
    size_t back = 0, blocks = 0;
    for (unsigned turns = 0; back < SPX_BLK_RING && turns < 1000; turns++) {
        (void)!spx_blkfront_push(&bf);
        struct blkif_request r = take();
        blocks += r.nr_segments;
        answer(r.id, r.operation, BLKIF_RSP_OKAY);
        size_t n = spx_blkfront_complete(&bf, done, SPX_BLK_RING);
        for (size_t i = 0; i < n; i++)
            seen[done[i].id]++;
        back += n;
    }
    for (size_t i = 0; i < SPX_BLK_RING; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(blocks, RIG_BLK_PAGES + 2 * (SPX_BLK_RING - 1));
    assert_false(RING_HAS_UNCONSUMED_REQUESTS(&ring));
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_OK);
}

static void few_grants_make_it_slow_not_wrong(void **state) {
    struct spx_blk_done done[4];
    while (grants.n_free > 12)
        assert_int_not_equal(spx_grant_alloc(&grants), 0);
    submit(1, SP_BLK_READ, 0, 20);
    size_t got = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(got, 0);
        (void)!spx_blkfront_push(&bf);
        struct blkif_request r = take();
        assert_false(RING_HAS_UNCONSUMED_REQUESTS(&ring));
        answer(r.id, r.operation, BLKIF_RSP_OKAY);
        got = spx_blkfront_complete(&bf, done, 4);
    }
    assert_int_equal(got, 1);
    assert_int_equal(grants.n_free, 12);
}

static void flushes(void **state) {
    static const struct {
        bool flush, barrier;
        uint8_t op;
    } kinds[] = {{true, true, BLKIF_OP_FLUSH_DISKCACHE}, {false, true, BLKIF_OP_WRITE_BARRIER}, {false, false, 0}};
    struct spx_blk_done done;
    for (int i = 0; i < 3; i++) {
        start(&(struct spx_blk_shape){.sectors = 80, .flush = kinds[i].flush, .barrier = kinds[i].barrier});
        submit(5, SP_BLK_FLUSH, 0, 0);
        (void)!spx_blkfront_push(&bf);
        if (kinds[i].op != 0) {
            assert_int_equal(spx_blkfront_complete(&bf, &done, 1), 0);
            struct blkif_request r = take();
            assert_int_equal(r.operation, kinds[i].op);
            assert_int_equal(r.nr_segments, 0);
            answer(r.id, r.operation, i == 0 ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP);
        }
        assert_false(RING_HAS_UNCONSUMED_REQUESTS(&ring));
        assert_int_equal(spx_blkfront_complete(&bf, &done, 1), 1);
        assert_int_equal(done.err, i == 1 ? SP_ERR_UNSUP : SP_OK);
    }
}

static void what_is_refused(void **state) {
    struct sp_blk_req req = {.op = SP_BLK_READ, .block = 999, .count = 2, .buf = m.blocks[0]};
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_RANGE);
    req.block = UINT64_MAX;
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_RANGE);
    req = (struct sp_blk_req){.op = SP_BLK_READ, .count = UINT32_MAX, .buf = m.blocks[0]};
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_RANGE);
    req.count = 0;
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_RANGE);
    req = (struct sp_blk_req){.op = SP_BLK_FLUSH, .count = 1};
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_RANGE);
    start(&(struct spx_blk_shape){.sectors = 8, .read_only = true});
    req = (struct sp_blk_req){.op = SP_BLK_WRITE, .count = 1, .buf = m.blocks[0]};
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_DENIED);
    req.op = SP_BLK_READ;
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_OK);
}

/* ---- faults, and another backend ---- */

static void faults(void **state) {
    for (int i = 0; i < 6; i++) {
        setup(NULL);
        struct spx_blk_done done;
        submit(1, SP_BLK_READ, 0, 1);
        submit(2, SP_BLK_READ, 0, 1);
        (void)!spx_blkfront_push(&bf);
        struct blkif_request r = take();
        switch (i) {
        case 0:
            answer(SPX_BLK_RING, 0, 0);
            break; /* an id that is none */
        case 1:
            answer(r.id + 5, 0, 0);
            break; /* one that is not in use */
        case 2:
            answer(r.id ^ UINT64_C(1) << 40, 0, 0);
            break; /* of an earlier request */
        case 3:
            answer(r.id, 0, 0), answer(r.id, 0, 0);
            break; /* twice */
        case 4:
            m.table[r.seg[0].gref].flags |= GTF_writing, answer(r.id, 0, 0);
            break; /* still in use */
        case 5:
            ring.sring->rsp_prod = 3;
            break; /* more than were asked */
        }
        size_t n = spx_blkfront_complete(&bf, &done, 1);
        assert_int_equal(n, i == 3);
        assert_non_null(bf.fault);
        struct sp_blk_req req = {.op = SP_BLK_READ, .count = 1, .buf = m.blocks[0]};
        assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_IO);
        assert_false(spx_blkfront_push(&bf));
    }
}

/* After a resume the grants are gone; what was on its way goes out again, as a whole. */
static void goes_on_after_a_resume(void **state) {
    struct spx_blk_done done[4];
    submit(1, SP_BLK_WRITE, 10, 13);
    submit(2, SP_BLK_READ, 20, 1);
    (void)!spx_blkfront_push(&bf);
    struct blkif_request r = take();
    answer(r.id, r.operation, BLKIF_RSP_ERROR); /* the first part of 1; the error goes with the old backend */
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 0);
    uint64_t old = take().id;
    spx_blkfront_forget(&bf);
    assert_false(spx_blkfront_push(&bf));
    memset(m.table, 0, sizeof m.table);
    spx_grants_init(&grants, m.table, 1);
    start(&(struct spx_blk_shape){.sectors = 8000, .flush = true});
    (void)!spx_blkfront_push(&bf);
    struct blkif_request again[3] = {take(), take(), take()};
    assert_int_equal(again[0].nr_segments + again[1].nr_segments, 13);
    assert_int_equal(again[0].sector_number, 80);
    assert_int_equal(again[2].sector_number, 160);
    for (int i = 0; i < 3; i++) {
        assert_true(again[i].id != old);
        answer(again[i].id, again[i].operation, BLKIF_RSP_OKAY);
    }
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 2);
    assert_int_equal(done[0].err, SP_OK);
    assert_int_equal(done[1].err, SP_OK);
    assert_int_equal(grants.n_free, SPX_GRANTS_PER_FRAME - GNTTAB_NR_RESERVED_ENTRIES);
}

/* A disk that goes away leaves nobody waiting: what was on its way has failed, however far it had got. */
static void what_a_lost_disk_owes_has_failed(void **state) {
    struct spx_blk_done done[4];
    submit(1, SP_BLK_WRITE, 10, 13);
    submit(2, SP_BLK_FLUSH, 0, 0);
    (void)!spx_blkfront_push(&bf);
    struct blkif_request r = take();
    answer(r.id, r.operation, BLKIF_RSP_OKAY);
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 0);
    submit(3, SP_BLK_READ, 20, 1); /* not even in the ring */
    assert_int_equal(spx_blkfront_stop(&bf), SP_OK);
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 0);
    spx_blkfront_abandon(&bf);
    assert_int_equal(spx_blkfront_complete(&bf, done, 2), 2);
    assert_int_equal(spx_blkfront_complete(&bf, done + 2, 2), 1);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(done[i].id, i + 1);
        assert_int_equal(done[i].err, SP_ERR_IO);
    }
    assert_int_equal(spx_blkfront_complete(&bf, done, 4), 0);
    struct sp_blk_req req = {.op = SP_BLK_READ, .count = 1, .buf = m.blocks[0]};
    assert_int_equal(spx_blkfront_submit(&bf, &req), SP_ERR_IO);
}

static void a_backend_that_holds_on(void **state) {
    submit(1, SP_BLK_READ, 0, 1);
    (void)!spx_blkfront_push(&bf);
    uint32_t ref = take().seg[0].gref;
    m.table[ref].flags |= GTF_writing;
    assert_int_equal(spx_blkfront_stop(&bf), SP_ERR_STATE);
    assert_int_equal(spx_blkfront_start(&bf, RIG_BACKEND, 0), SP_ERR_STATE);
    m.table[ref].flags &= (uint16_t)~GTF_writing;
    assert_int_equal(spx_blkfront_start(&bf, RIG_BACKEND, 0), SP_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reads_and_writes, setup),
        cmocka_unit_test_setup(long_requests_are_split, setup),
        cmocka_unit_test_setup(more_than_the_ring_holds, setup),
        cmocka_unit_test_setup(few_grants_make_it_slow_not_wrong, setup),
        cmocka_unit_test_setup(flushes, setup),
        cmocka_unit_test_setup(what_is_refused, setup),
        cmocka_unit_test_setup(faults, setup),
        cmocka_unit_test_setup(goes_on_after_a_resume, setup),
        cmocka_unit_test_setup(what_a_lost_disk_owes_has_failed, setup),
        cmocka_unit_test_setup(a_backend_that_holds_on, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
