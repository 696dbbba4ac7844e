/* The xenstore's client and the grant table, against a store that is played in memory. */
#include "tests/unit/cm.h"

#include "unikernel/dev/xenstore.h"
#include "unikernel/xen/grant.h"

struct rig {
    struct spx_xs xs;
    struct xenstore_domain_interface ring;
};

static struct rig fresh(void) {
    return (struct rig){0};
}
#define START(r)                                                                                                       \
    struct rig r = fresh();                                                                                            \
    spx_xs_init(&r.xs, &r.ring, 0)

/* What stands in the request ring, taken out of it. */
static size_t store_takes(struct rig *r, uint8_t *to, size_t room) {
    size_t n = 0;
    while (r->ring.req_cons != r->ring.req_prod && n < room)
        to[n++] = (uint8_t)r->ring.req[MASK_XENSTORE_IDX(r->ring.req_cons++)];
    return n;
}

static size_t store_gives(struct rig *r, const void *from, size_t len) {
    size_t n = 0;
    for (; n < len && r->ring.rsp_prod - r->ring.rsp_cons < XENSTORE_RING_SIZE; n++)
        r->ring.rsp[MASK_XENSTORE_IDX(r->ring.rsp_prod++)] = ((const char *)from)[n];
    return n;
}

static void store_replies(struct rig *r, uint32_t type, uint32_t id, const void *body, size_t len) {
    struct xsd_sockmsg header = {type, id, 0, (uint32_t)len};
    assert_int_equal(store_gives(r, &header, sizeof header), sizeof header);
    assert_int_equal(store_gives(r, body, len), len);
}

static bool poll_one(struct rig *r, struct spx_xs_reply *reply) {
    bool notify = false;
    return spx_xs_poll(&r->xs, reply, &notify);
}

static void request_and_reply(void **state) {
    START(r);
    const char *path = "name";
    struct spx_xs_reply reply;
    uint8_t bytes[64];
    bool notify = false;
    uint32_t id = spx_xs_send(&r.xs, XS_READ, 0, &path, 1, false);
    assert_int_not_equal(id, 0);
    assert_false(spx_xs_poll(&r.xs, &reply, &notify));
    assert_true(notify);
    assert_int_equal(store_takes(&r, bytes, sizeof bytes), 16 + 5);
    const struct xsd_sockmsg expected = {XS_READ, id, 0, 5};
    assert_memory_equal(bytes, &expected, 16);
    assert_memory_equal(bytes + 16, "name", 5);
    store_replies(&r, XS_READ, id, "signpost", 8);
    assert_true(poll_one(&r, &reply));
    assert_int_equal(reply.id, id);
    assert_int_equal(reply.err, SP_OK);
    assert_int_equal(reply.len, 8);
    assert_memory_equal(reply.data, "signpost", 8);
    assert_false(poll_one(&r, &reply));
    assert_null(r.xs.fault);
}

static void errors_have_names(void **state) {
    static const struct {
        const char *name;
        sp_err err;
    } cases[] = {{"ENOENT", SP_ERR_NOENT},
                 {"EAGAIN", SP_ERR_AGAIN},
                 {"EACCES", SP_ERR_DENIED},
                 {"EIO", SP_ERR_IO},
                 {"", SP_ERR_IO}};
    START(r);
    const char *path = "x";
    struct spx_xs_reply reply;
    for (size_t i = 0; i < 5; i++) {
        uint32_t id = spx_xs_send(&r.xs, XS_READ, 0, &path, 1, false);
        store_replies(&r, XS_ERROR, id, cases[i].name, strlen(cases[i].name) + 1);
        assert_true(poll_one(&r, &reply));
        assert_int_equal(reply.err, cases[i].err);
    }
}

/* A reply that is longer than the ring comes in pieces; the ring wraps. */
static void long_reply_wraps(void **state) {
    START(r);
    r.ring.rsp_cons = r.ring.rsp_prod = UINT32_MAX - 500;
    r.ring.req_cons = r.ring.req_prod = UINT32_MAX - 3;
    uint8_t body[XENSTORE_PAYLOAD_MAX], bytes[64];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7);
    const char *path = "device";
    struct spx_xs_reply reply;
    uint32_t id = spx_xs_send(&r.xs, XS_DIRECTORY, 0, &path, 1, false);
    assert_false(poll_one(&r, &reply));
    assert_int_equal(store_takes(&r, bytes, sizeof bytes), 16 + 7);
    assert_memory_equal(bytes + 16, "device", 7);
    struct xsd_sockmsg header = {XS_DIRECTORY, id, 0, sizeof body};
    store_gives(&r, &header, sizeof header);
    for (size_t given = 0; given < sizeof body;) {
        size_t n = store_gives(&r, body + given, sizeof body - given);
        assert_true(n > 0);
        given += n;
        if (given < sizeof body)
            assert_false(poll_one(&r, &reply));
    }
    assert_true(poll_one(&r, &reply));
    assert_int_equal(reply.len, sizeof body);
    assert_memory_equal(reply.data, body, sizeof body);
}

/* Requests wait in the queue while the ring is full, none is lost or cut. */
static void requests_wait_for_room(void **state) {
    START(r);
    char path[701];
    memset(path, 'p', 700);
    path[700] = 0;
    const char *part = path;
    struct spx_xs_reply reply;
    assert_int_not_equal(spx_xs_send(&r.xs, XS_READ, 0, &part, 1, false), 0);
    assert_int_not_equal(spx_xs_send(&r.xs, XS_READ, 0, &part, 1, false), 0);
    assert_int_equal(spx_xs_send(&r.xs, XS_READ, 0, &part, 1, false), 0);
    static uint8_t bytes[4096];
    size_t taken = 0;
    for (unsigned i = 0; i < 4; i++) {
        assert_false(poll_one(&r, &reply));
        taken += store_takes(&r, bytes + taken, sizeof bytes - taken);
    }
    assert_int_equal(taken, 2 * (16 + 701));
    assert_memory_equal(bytes + 717 + 16, path, 701);
    assert_int_not_equal(spx_xs_send(&r.xs, XS_READ, 0, &part, 1, false), 0);
}

static void watches_set_flags(void **state) {
    START(r);
    struct spx_xs_reply reply;
    store_replies(&r, XS_WATCH_EVENT, 0, "data/ping\0007", 12);
    store_replies(&r, XS_WATCH_EVENT, 0, "data/ping\0007", 12);
    assert_false(poll_one(&r, &reply));
    assert_null(r.xs.fault);
    assert_false(spx_xs_fired(&r.xs, 6));
    assert_true(spx_xs_fired(&r.xs, 7));
    assert_false(spx_xs_fired(&r.xs, 7));
}

static void broken_stores_are_given_up(void **state) {
    struct spx_xs_reply reply;
    const char *path = "x";
    {
        START(r);
        r.ring.rsp_prod = XENSTORE_RING_SIZE + 1;
        assert_false(poll_one(&r, &reply));
        assert_non_null(r.xs.fault);
        assert_int_equal(spx_xs_send(&r.xs, XS_READ, 0, &path, 1, false), 0);
    }
    {
        START(r);
        r.ring.req_cons = 1;
        assert_false(poll_one(&r, &reply));
        assert_non_null(r.xs.fault);
    }
    {
        START(r);
        struct xsd_sockmsg header = {XS_READ, 1, 0, XENSTORE_PAYLOAD_MAX + 1};
        store_gives(&r, &header, sizeof header);
        assert_false(poll_one(&r, &reply));
        assert_non_null(r.xs.fault);
    }
    static const uint32_t ids[] = {0, 5};
    for (size_t i = 0; i < 2; i++) { /* ids that are not in flight */
        START(r);
        store_replies(&r, XS_READ, ids[i], "a", 1);
        assert_false(poll_one(&r, &reply));
        assert_non_null(r.xs.fault);
    }
    static const char *const events[] = {"path", "path\0", "path\0x", "path\00032", "path\0-1"};
    static const size_t lengths[] = {5, 5, 7, 8, 8};
    for (size_t i = 0; i < 5; i++) {
        START(r);
        store_replies(&r, XS_WATCH_EVENT, 0, events[i], lengths[i]);
        assert_false(poll_one(&r, &reply));
        assert_non_null(r.xs.fault);
    }
}

static void a_reply_answers_once(void **state) {
    START(r);
    const char *path = "x";
    struct spx_xs_reply reply;
    uint32_t id = spx_xs_send(&r.xs, XS_READ, 0, &path, 1, false);
    store_replies(&r, XS_READ, id, "a", 1);
    store_replies(&r, XS_READ, id, "b", 1);
    assert_true(poll_one(&r, &reply));
    assert_false(poll_one(&r, &reply));
    assert_non_null(r.xs.fault);
}

static void grants_are_bounded_and_end(void **state) {
    static struct spx_grants g;
    static grant_entry_v1_t table[SPX_GRANTS_PER_FRAME] __attribute__((aligned(SPX_PAGE)));
    static uint8_t page[SPX_PAGE] __attribute__((aligned(SPX_PAGE)));
    spx_grants_init(&g, table, 1);
    uint32_t n = 0, ref, last = 0;
    while ((ref = spx_grant_alloc(&g)) != 0) {
        assert_true(ref >= GNTTAB_NR_RESERVED_ENTRIES && ref < SPX_GRANTS_PER_FRAME);
        last = ref;
        n++;
    }
    assert_int_equal(n, SPX_GRANTS_PER_FRAME - GNTTAB_NR_RESERVED_ENTRIES);
    spx_grant_permit(&g, last, 3, page, true);
    assert_int_equal(table[last].flags, GTF_permit_access | GTF_readonly);
    assert_int_equal(table[last].domid, 3);
    assert_int_equal(table[last].frame, spx_frame_of(page));
    table[last].flags |= GTF_reading;
    assert_false(spx_grant_end(&g, last));
    assert_int_not_equal(table[last].flags, 0);
    table[last].flags &= (uint16_t)~GTF_reading;
    assert_true(spx_grant_end(&g, last));
    assert_int_equal(table[last].flags, 0);
    spx_grant_free(&g, last);
    assert_int_equal(spx_grant_alloc(&g), last);
    assert_int_equal(spx_grant_alloc(&g), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_and_reply),    cmocka_unit_test(errors_have_names),
        cmocka_unit_test(long_reply_wraps),     cmocka_unit_test(requests_wait_for_room),
        cmocka_unit_test(watches_set_flags),    cmocka_unit_test(broken_stores_are_given_up),
        cmocka_unit_test(a_reply_answers_once), cmocka_unit_test(grants_are_bounded_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
