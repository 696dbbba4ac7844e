/* Appending and reading back: round trips, groups, the ring's end, a full disk, chains. */
#include "tests/unit/log_help.h"

static void round_trip(void **state) {
    static const size_t sizes[] = {0, 1, 3855, 3856, 3857, 3956, 3957, 4056, 9000, 65535, SP_LOG_BODY_MAX};
    struct tl *t = tl_new(512);
    assert_int_equal(tl_open(t, true), SP_LOG_READY);
    assert_int_equal(t->n, 0);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        tl_put(t, i % 3, (uint16_t)i, sizes[i]);
    assert_int_equal(sp_log_durable(t->log), sizeof sizes / sizeof sizes[0]);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(tl_open(t, false), SP_LOG_READY);
        assert_int_equal(t->n, sizeof sizes / sizeof sizes[0]);
        for (unsigned i = 0; i < t->n; i++)
            tl_expect(t, i, i + 1, i % 3, (uint16_t)i, sizes[i]);
        assert_int_equal(tl_stats(t).torn, 0);
        assert_int_equal(sp_log_durable(t->log), t->n);
    }
    tl_free(t);
}

static void pieces_are_joined(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    struct sp_piece p[SP_LOG_PIECES_MAX + 1];
    for (unsigned i = 0; i <= SP_LOG_PIECES_MAX; i++)
        p[i] = (struct sp_piece){"ab", i % 3};
    p[2] = (struct sp_piece){"ab", 2};
    uint64_t seq = 0;
    assert_int_equal(sp_log_append(t->log, 1, 9, p, SP_LOG_PIECES_MAX + 1, &seq), SP_ERR_RANGE);
    assert_int_equal(sp_log_append(t->log, SP_LOG_ZONES_MAX + 1, 9, p, 3, &seq), SP_ERR_RANGE);
    p[3].len = SP_LOG_BODY_MAX - 2;
    assert_int_equal(sp_log_append(t->log, 1, 9, p, 4, &seq), SP_ERR_RANGE);
    assert_int_equal(seq, 0);
    assert_int_equal(sp_log_append(t->log, 1, 9, p, 3, &seq), SP_OK);
    assert_int_equal(seq, 1);
    assert_int_equal(sp_log_append(t->log, 1, 9, NULL, 0, &seq), SP_OK);
    sp_log_commit(t->log);
    tl_pump(t);
    tl_open(t, false);
    assert_int_equal(t->n, 2);
    assert_int_equal(t->records[0].rec.len, 3);
    assert_memory_equal(t->records[0].body, "aab", 3);
    assert_int_equal(t->records[1].rec.len, 0);
    tl_free(t);
}

static void lone_append_is_one_write_and_one_flush(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    struct sp_blk_req w, f, none;
    assert_false(sp_log_request(t->log, &none));
    assert_int_equal(tl_append(t, 1, 1, "x", 1), SP_OK);
    assert_false(sp_log_request(t->log, &none)); /* not before the commit */
    sp_log_commit(t->log);
    assert_true(sp_log_request(t->log, &w));
    assert_int_equal(w.op, SP_BLK_WRITE);
    assert_int_equal(w.count, 1);
    assert_false(sp_log_request(t->log, &none));
    sp_log_complete(t->log, w.id, SP_OK, 0);
    assert_int_equal(sp_log_durable(t->log), 0); /* written is not durable */
    assert_true(sp_log_request(t->log, &f));
    assert_int_equal(f.op, SP_BLK_FLUSH);
    assert_int_equal(sp_log_durable(t->log), 0);
    sp_log_complete(t->log, f.id, SP_OK, 0);
    assert_int_equal(sp_log_durable(t->log), 1);
    assert_false(sp_log_request(t->log, &none));
    sp_log_complete(t->log, f.id, SP_ERR_IO, 0); /* a completion that nobody waits for */
    assert_int_equal(sp_log_state(t->log), SP_LOG_READY);
    tl_free(t);
}

/* While one group is under way 128 records gather; they follow in one write. */
static void records_gather_into_one_write(void **state) {
    struct tl *t = tl_new(4096);
    tl_open(t, true);
    struct sp_blk_req r;
    uint8_t body[1000] = {1};
    assert_int_equal(tl_append(t, 1, 1, body, 100), SP_OK);
    sp_log_commit(t->log);
    assert_true(sp_log_request(t->log, &r));
    for (unsigned i = 0; i < 128; i++) {
        assert_int_equal(tl_append(t, 1, 2, body, sizeof body), SP_OK);
        sp_log_commit(t->log);
        struct sp_blk_req none;
        assert_false(sp_log_request(t->log, &none));
    }
    sp_log_complete(t->log, r.id, tl_do(t, &r), 0);
    assert_true(sp_log_request(t->log, &r));
    sp_log_complete(t->log, r.id, tl_do(t, &r), 0);
    assert_int_equal(sp_log_durable(t->log), 1);
    t->writes = t->flushes = 0;
    tl_pump(t);
    assert_int_equal(t->writes, 1);
    assert_int_equal(t->flushes, 1);
    assert_int_equal(sp_log_durable(t->log), 129);
    tl_open(t, false);
    assert_int_equal(t->n, 129);
    tl_free(t);
}

static void both_buffers_full_is_again(void **state) {
    struct tl *t = tl_new(4096);
    tl_open(t, true);
    static uint8_t body[SP_LOG_BODY_MAX];
    unsigned taken = 0;
    sp_err err;
    while ((err = tl_append(t, 1, 1, body, sizeof body)) == SP_OK)
        taken++;
    assert_int_equal(err, SP_ERR_AGAIN); /* the first buffer went out by itself, the second filled up behind it */
    assert_int_equal(taken, 8);
    sp_log_commit(t->log);
    tl_pump(t);
    assert_int_equal(sp_log_durable(t->log), taken);
    assert_int_equal(tl_append(t, 1, 1, body, sizeof body), SP_OK);
    tl_open(t, false);
    assert_int_equal(t->n, taken);
    tl_free(t);
}

static void snapshot_of_nothing(struct tl *t) {
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t);
}

/* Many laps, groups of several blocks over the ring's end. */
static void ring_wraps(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    uint64_t seq = 0, split = 0;
    for (unsigned i = 0; i < 400; i++) {
        if (sp_log_snapshot_due(t->log))
            snapshot_of_nothing(t);
        t->writes = 0;
        tl_put(t, 2, (uint16_t)i, i * 37 % 12000);
        seq++;
        split += t->writes == 2;
        if (i % 7 != 0)
            continue;
        assert_int_equal(tl_open(t, false), SP_LOG_READY);
        assert_int_equal(tl_stats(t).torn, 0);
        assert_int_equal(sp_log_durable(t->log), seq);
        for (size_t j = 0; j < t->n; j++) {
            unsigned k = (unsigned)(seq - t->n + j);
            tl_expect(t, j, k + 1, 2, (uint16_t)k, k * 37 % 12000);
        }
    }
    assert_true(split > 10);
    tl_free(t);
}

static void full_disk_refuses_and_a_snapshot_frees(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    uint64_t ring = tl_stats(t).journal_blocks, seq;
    struct sp_piece p = {"x", 1};
    for (uint64_t i = 0; i < ring; i++)
        tl_put(t, 1, 1, 1);
    assert_int_equal(tl_stats(t).journal_blocks_used, ring);
    uint8_t before[SP_LOG_CHAIN], after[SP_LOG_CHAIN];
    assert_true(sp_log_chain(t->log, 1, before));
    seq = 77;
    assert_int_equal(sp_log_append(t->log, 1, 1, &p, 1, &seq), SP_ERR_NOSPC);
    assert_int_equal(seq, 77);
    assert_true(sp_log_chain(t->log, 1, after));
    assert_memory_equal(before, after, SP_LOG_CHAIN);
    assert_true(sp_log_snapshot_due(t->log));

    assert_int_equal(tl_open(t, false), SP_LOG_READY); /* full to the last block */
    assert_int_equal(t->n, ring);
    assert_int_equal(tl_stats(t).torn, 0);
    assert_int_equal(sp_log_append(t->log, 1, 1, &p, 1, &seq), SP_ERR_NOSPC);
    snapshot_of_nothing(t);
    assert_int_equal(tl_stats(t).journal_blocks_used, 0);
    for (uint64_t i = 0; i < ring; i++)
        tl_put(t, 1, 1, 1);
    assert_int_equal(tl_append(t, 1, 1, "x", 1), SP_ERR_NOSPC);
    /* What fits the buffers but not the ring is refused too. */
    tl_open(t, false);
    snapshot_of_nothing(t);
    static uint8_t large[SP_LOG_BODY_MAX];
    assert_int_equal(tl_append(t, 1, 1, large, sizeof large), SP_ERR_NOSPC);
    tl_free(t);
}

static void the_last_eighth_is_for_what_removes(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    uint64_t ring = tl_stats(t).journal_blocks, seq;
    struct sp_piece p = {"x", 1};
    assert_true(ring >= 8);
    for (uint64_t i = 0; i < ring - ring / 8; i++) {
        assert_int_equal(sp_log_append(t->log, 1, 1, &p, 1, &seq), SP_OK);
        sp_log_commit(t->log);
        tl_pump(t);
    }
    assert_int_equal(sp_log_append(t->log, 1, 1, &p, 1, &seq), SP_ERR_NOSPC);
    for (uint64_t i = 0; i < ring / 8; i++)
        tl_put(t, 1, 1, 1);
    assert_int_equal(sp_log_append_last(t->log, 1, 1, &p, 1, &seq), SP_ERR_NOSPC);
    tl_free(t);
}

static void chains_are_per_zone_and_survive(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    uint8_t heads[4][SP_LOG_CHAIN], head[SP_LOG_CHAIN];
    assert_false(sp_log_chain(t->log, 1, head));
    for (unsigned i = 0; i < 9; i++)
        tl_put(t, i % 3, 1, 10);
    for (uint32_t z = 0; z < 3; z++)
        assert_true(sp_log_chain(t->log, z, heads[z]));
    assert_memory_not_equal(heads[0], heads[1], SP_LOG_CHAIN);
    for (int round = 0; round < 3; round++) {
        tl_open(t, false);
        for (uint32_t z = 0; z < 3; z++) {
            assert_true(sp_log_chain(t->log, z, head));
            assert_memory_equal(head, heads[z], SP_LOG_CHAIN);
        }
        assert_false(sp_log_chain(t->log, 3, head));
        if (round == 1)
            snapshot_of_nothing(t);
    }
    tl_put(t, 1, 1, 10);
    assert_true(sp_log_chain(t->log, 1, head));
    assert_memory_not_equal(head, heads[1], SP_LOG_CHAIN);
    assert_true(sp_log_chain(t->log, 2, head));
    assert_memory_equal(head, heads[2], SP_LOG_CHAIN);
    tl_free(t);
}

/* The chain by hand: SHA-256(previous || header without flags and chain), over what stands on the disk. */
static void chain_is_what_the_format_says(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    tl_put(t, 5, 3, 20);
    const uint8_t *h = tl_block(t, t->log->layout.journal) + SP_LOG_HEAD;
    uint8_t text[SP_LOG_CHAIN + 66] = {0}, hash[32];
    memcpy(text + 32, h, 6);
    memcpy(text + 38, h + 8, 60);
    sp_sha256(text, sizeof text, hash);
    /* 32 + 6 + 60 bytes */
    sp_sha256(text, 98, hash);
    assert_memory_equal(hash, h + 68, 32);
    uint8_t salted[36];
    memcpy(salted, h + 20, 16);
    memcpy(salted + 16, h + 100, 20);
    sp_sha256(salted, sizeof salted, hash);
    assert_memory_equal(hash, h + 36, 32);
    tl_free(t);
}

/* A body that was erased in place: the record stays, its chain holds. */
static void erased_body_keeps_the_chain(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    tl_put(t, 1, 1, 50);
    tl_put(t, 1, 2, 60);
    uint8_t *block = tl_block(t, t->log->layout.journal);
    struct sp_log_block h;
    assert_true(sp_log_block_check(t->log->super.id, block, &h));
    memset(block + SP_LOG_HEAD + SP_LOG_RECORD, 0, 50);
    sp_log_block_seal(t->log->super.id, block, &h);
    assert_int_equal(tl_open(t, false), SP_LOG_FAILED); /* gone without saying so */
    assert_int_equal(sp_log_error(t->log), SP_ERR_CORRUPT);
    block[SP_LOG_HEAD + SP_LOG_AT_FLAGS] = SP_LOG_FLAG_ERASED;
    sp_log_block_seal(t->log->super.id, block, &h);
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    assert_int_equal(t->n, 2);
    assert_true(t->records[0].rec.erased);
    assert_null(t->records[0].rec.body);
    assert_int_equal(t->records[0].rec.len, 0);
    tl_expect(t, 1, 2, 1, 2, 60);
    tl_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(pieces_are_joined),
        cmocka_unit_test(lone_append_is_one_write_and_one_flush),
        cmocka_unit_test(records_gather_into_one_write),
        cmocka_unit_test(both_buffers_full_is_again),
        cmocka_unit_test(ring_wraps),
        cmocka_unit_test(full_disk_refuses_and_a_snapshot_frees),
        cmocka_unit_test(the_last_eighth_is_for_what_removes),
        cmocka_unit_test(chains_are_per_zone_and_survive),
        cmocka_unit_test(chain_is_what_the_format_says),
        cmocka_unit_test(erased_body_keeps_the_chain),
    };
    return cmocka_run_group_tests_name("log_journal", tests, NULL, NULL);
}
