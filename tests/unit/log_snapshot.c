/* Snapshots: sliced, fuzzy, and equal after replay. The owner here is a table of one value a (zone, key). */
#include "tests/unit/log_help.h"

#define KEYS 200

struct table {
    uint32_t value[4][KEYS];
    uint16_t size[4][KEYS];
};

static void set(struct table *m, const uint8_t *body, size_t len, uint32_t zone) {
    assert_true(len >= 6 && zone < 4);
    uint16_t key = sp_get_u16(body);
    m->value[zone][key] = sp_get_u32(body + 2);
    m->size[zone][key] = (uint16_t)len;
}

static size_t describe(uint8_t *body, uint16_t key, uint32_t value, uint16_t size) {
    memset(body, (int)value, size);
    sp_put_u16(body, key);
    sp_put_u32(body + 2, value);
    return size;
}

static void append(struct tl *t, struct table *m, uint32_t zone, uint16_t key, uint32_t value, uint16_t size) {
    uint8_t body[4000];
    size_t len = describe(body, key, value, size);
    assert_int_equal(tl_append(t, zone, 1, body, len), SP_OK);
    set(m, body, len, zone);
}

static sp_err put(struct tl *t, const struct table *m, uint32_t zone, uint16_t key) {
    uint8_t body[4000];
    if (m->size[zone][key] == 0)
        return SP_OK;
    size_t len = describe(body, key, m->value[zone][key], m->size[zone][key]);
    struct sp_piece p[] = {{body, 3}, {body + 3, len - 3}};
    return sp_log_snapshot_put(t->log, zone, 1, p, 2);
}

static void replayed(struct tl *t, struct table *m) {
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < t->n; i++)
        set(m, t->records[i].body, t->records[i].rec.len, t->records[i].rec.zone);
}

/* Appends go on between the slices of many snapshots, some not yet written when a snapshot begins or ends. */
static void replay_equals_state(void **state) {
    struct tl *t = tl_new(1024);
    struct table m = {0}, back;
    tl_open(t, true);
    uint32_t value = 0;
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < 60; i++) {
            value++;
            append(t, &m, value % 3, (uint16_t)(value * 71 % KEYS), value, (uint16_t)(6 + value * 13 % 700));
            if (i % 5 == 0) {
                sp_log_commit(t->log);
                tl_pump(t);
            }
        }
        assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
        assert_int_equal(sp_log_snapshot_begin(t->log), SP_ERR_STATE);
        for (uint32_t zone = 0; zone < 4; zone++)
            for (uint16_t key = 0; key < KEYS; key++) {
                assert_int_equal(put(t, &m, zone, key), SP_OK);
                if (key % 10 != 3)
                    continue;
                value++;
                append(t, &m, value % 3, (uint16_t)(value * 71 % KEYS), value, 50);
                if (key % 20 == 3) {
                    sp_log_commit(t->log);
                    tl_pump(t);
                }
            }
        append(t, &m, 1, 5, ++value, 60); /* the end commits it */
        assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
        tl_pump(t);
        assert_int_equal(sp_log_durable(t->log), t->log->seq);
        assert_int_equal(tl_stats(t).snapshots, 1);
        uint8_t heads[3][SP_LOG_CHAIN], head[SP_LOG_CHAIN];
        for (uint32_t z = 0; z < 3; z++)
            assert_true(sp_log_chain(t->log, z, heads[z]));
        assert_int_equal(tl_open(t, false), SP_LOG_READY);
        replayed(t, &back);
        assert_memory_equal(&m, &back, sizeof m);
        assert_int_equal(t->records[0].rec.seq, 0);
        for (uint32_t z = 0; z < 3; z++) {
            assert_true(sp_log_chain(t->log, z, head));
            assert_memory_equal(head, heads[z], SP_LOG_CHAIN);
        }
    }
    tl_free(t);
}

/* Counts requests of a kind until there are none; completes them. */
static void switch_comes_last(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    uint64_t seq;
    assert_int_equal(sp_log_append(t->log, 1, 1, NULL, 0, &seq), SP_OK);
    sp_log_commit(t->log);
    struct sp_blk_req group;
    assert_true(sp_log_request(t->log, &group));
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    assert_int_equal(sp_log_snapshot_put(t->log, 1, 1, NULL, 0), SP_OK);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t); /* the snapshot's blocks, but neither its flush nor the superblock: the record is not durable */
    assert_int_equal(t->writes, 1);
    assert_int_equal(t->flushes, 0);
    sp_log_complete(t->log, group.id, tl_do(t, &group), 0);
    assert_int_equal(tl_stats(t).snapshots, 0);
    assert_true(sp_log_request(t->log, &group)); /* the group's flush */
    assert_int_equal(group.op, SP_BLK_FLUSH);
    sp_log_complete(t->log, group.id, SP_OK, 0);
    struct sp_blk_req r;
    static const enum sp_blk_op order[] = {SP_BLK_FLUSH, SP_BLK_WRITE, SP_BLK_FLUSH};
    for (int i = 0; i < 3; i++) {
        assert_true(sp_log_request(t->log, &r));
        assert_int_equal(r.op, order[i]);
        if (r.op == SP_BLK_WRITE)
            assert_true(r.block < 2);
        assert_int_equal(tl_stats(t).snapshots, 0);
        struct sp_blk_req none;
        assert_false(sp_log_request(t->log, &none));
        sp_log_complete(t->log, r.id, tl_do(t, &r), 0);
    }
    assert_int_equal(tl_stats(t).snapshots, 1);
    tl_free(t);
}

static void aborted_snapshot_leaves_all(void **state) {
    struct tl *t = tl_new(256);
    struct table m = {0}, back;
    tl_open(t, true);
    for (uint16_t k = 0; k < 40; k++)
        append(t, &m, 1, k, k + 1u, 3000);
    sp_log_commit(t->log);
    tl_pump(t);
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    for (uint16_t k = 0; k < 40; k++)
        assert_int_equal(put(t, &m, 1, k), SP_OK);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t);
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    for (int i = 0; i < 3; i++) /* over a half, so that one is being written */
        for (uint16_t k = 0; k < 40; k++)
            (void)!put(t, &m, 1, k);
    sp_log_snapshot_abort(t->log);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_ERR_STATE);
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_ERR_AGAIN); /* its write is still under way */
    tl_pump(t);
    assert_int_equal(tl_stats(t).snapshots, 1);
    tl_open(t, false);
    replayed(t, &back);
    assert_memory_equal(&m, &back, sizeof m);
    tl_free(t);
}

/* Both buffers are on their way: the same put again later. */
static void busy_buffers_are_again(void **state) {
    struct tl *t = tl_new(2048);
    tl_open(t, true);
    static uint8_t body[60000];
    struct sp_piece p = {body, sizeof body};
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    unsigned puts = 0, again = 0;
    while (puts < 40) {
        sp_err err = sp_log_snapshot_put(t->log, 1, 7, &p, 1);
        if (err == SP_ERR_AGAIN) {
            again++;
            assert_true(tl_step(t));
            continue;
        }
        assert_int_equal(err, SP_OK);
        puts++;
    }
    assert_true(again > 4);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t);
    tl_open(t, false);
    assert_int_equal(t->n, 40);
    assert_int_equal(t->records[39].rec.kind, 7);
    assert_int_equal(t->records[39].rec.len, sizeof body);
    tl_free(t);
}

static void too_large_a_state_is_nospc(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    for (int i = 0; i < 10; i++)
        tl_put(t, 1, 1, 10);
    assert_true(sp_log_snapshot_due(t->log));
    static uint8_t body[3000];
    struct sp_piece p = {body, sizeof body};
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    sp_err err;
    size_t total = 0;
    while ((err = sp_log_snapshot_put(t->log, 1, 1, &p, 1)) == SP_OK)
        total += sizeof body;
    assert_int_equal(err, SP_ERR_NOSPC);
    assert_true(total > 20 * 3000 && total <= 21 * SP_BLK_SIZE);
    assert_int_equal(sp_log_snapshot_put(t->log, 1, 1, &p, 1), SP_ERR_STATE); /* given up */
    assert_false(sp_log_snapshot_due(t->log));                                /* not again at once */
    uint64_t seq;
    assert_int_equal(sp_log_append(t->log, 1, 1, &p, 1, &seq), SP_ERR_NOSPC); /* the state may only shrink */
    assert_int_equal(sp_log_append_last(t->log, 1, 1, NULL, 0, &seq), SP_OK);
    sp_log_commit(t->log);
    tl_pump(t);
    assert_true(sp_log_snapshot_due(t->log));
    tl_pump(t);
    for (int i = 0; i < 3; i++)
        tl_put(t, 1, 1, 10);
    assert_true(sp_log_snapshot_due(t->log));
    tl_open(t, false);
    assert_int_equal(t->n, 14);
    tl_free(t);
}

static void many_zones(void **state) {
    struct tl *t = tl_new(2048);
    tl_open(t, true);
    uint64_t seq;
    for (uint32_t z = 0; z <= SP_LOG_ZONES_MAX; z++) {
        assert_int_equal(sp_log_append(t->log, z, 1, NULL, 0, &seq), SP_OK);
        if (z % 1000 == 0) {
            sp_log_commit(t->log);
            tl_pump(t);
        }
    }
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t);
    uint8_t before[SP_LOG_CHAIN], after[SP_LOG_CHAIN];
    uint8_t(*heads)[SP_LOG_CHAIN] = malloc(sizeof t->log->chains);
    memcpy(heads, t->log->chains, sizeof t->log->chains);
    tl_open(t, false);
    assert_int_equal(t->n, 0);
    assert_memory_equal(heads, t->log->chains, sizeof t->log->chains);
    free(heads);
    assert_true(sp_log_chain(t->log, 4096, before));
    tl_put(t, 4096, 1, 1);
    tl_open(t, false);
    assert_true(sp_log_chain(t->log, 4096, after));
    assert_memory_not_equal(before, after, SP_LOG_CHAIN);
    tl_free(t);
}

static void damaged_snapshot_is_refused(void **state) {
    struct tl *t = tl_new(64);
    struct table m = {0};
    tl_open(t, true);
    for (uint16_t k = 0; k < 10; k++)
        append(t, &m, 1, k, k + 1u, 900);
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    for (uint16_t k = 0; k < 10; k++)
        assert_int_equal(put(t, &m, 1, k), SP_OK);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t);
    assert_int_equal(t->log->super.snap_blocks, 3);
    for (uint64_t b = 0; b < 3; b++)
        for (size_t at = 0; at < SP_BLK_SIZE; at += 51) {
            tl_block(t, 2 + b)[at] ^= 4;
            assert_int_equal(tl_open(t, false), SP_LOG_FAILED);
            assert_int_equal(sp_log_error(t->log), SP_ERR_CORRUPT);
            tl_block(t, 2 + b)[at] ^= 4;
        }
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    assert_int_equal(t->n, 10);
    tl_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_equals_state),         cmocka_unit_test(switch_comes_last),
        cmocka_unit_test(aborted_snapshot_leaves_all), cmocka_unit_test(busy_buffers_are_again),
        cmocka_unit_test(too_large_a_state_is_nospc),  cmocka_unit_test(many_zones),
        cmocka_unit_test(damaged_snapshot_is_refused),
    };
    return cmocka_run_group_tests_name("log_snapshot", tests, NULL, NULL);
}
