/* What a log makes of a device that is torn, stale, damaged, foreign or failing. */
#include "tests/unit/log_help.h"

static uint8_t *journal_block(struct tl *t, uint64_t pos) {
    return tl_block(t, t->log->layout.journal + pos % t->log->layout.journal_blocks);
}

static void fails_with(struct tl *t, bool format, sp_err err) {
    assert_int_equal(tl_open(t, format), SP_LOG_FAILED);
    assert_int_equal(sp_log_error(t->log), err);
    uint64_t seq;
    assert_int_equal(sp_log_append(t->log, 1, 1, NULL, 0, &seq), SP_ERR_STATE);
}

/* The last group, written only up to byte n and else as it was before: it is there whole or not at all. */
static void torn_at_every_byte(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    tl_put(t, 1, 1, 500);
    uint8_t *base = malloc(64 * SP_BLK_SIZE), *old = malloc(2 * SP_BLK_SIZE), *new = malloc(2 * SP_BLK_SIZE);
    memcpy(base, t->disk, 64 * SP_BLK_SIZE);
    uint8_t *at = journal_block(t, 1);
    memcpy(old, at, 2 * SP_BLK_SIZE);
    tl_put(t, 1, 2, 4500);
    memcpy(new, at, 2 * SP_BLK_SIZE);
    size_t whole = SP_BLK_SIZE + SP_LOG_HEAD + SP_LOG_RECORD + 4500 - SP_LOG_PAYLOAD;
    for (size_t n = 0; n <= 2 * SP_BLK_SIZE; n += n > 2 && n < whole - 3 && n % 64 == 3 ? 58 : 1) {
        memcpy(t->disk, base, 64 * SP_BLK_SIZE);
        memcpy(at, new, n);
        memcpy(at + n, old + n, 2 * SP_BLK_SIZE - n);
        assert_int_equal(tl_open(t, false), SP_LOG_READY);
        bool there = memcmp(at, new, 2 * SP_BLK_SIZE) == 0;
        assert_int_equal(t->n, there ? 2 : 1);
        tl_expect(t, 0, 1, 1, 1, 500);
        if (there)
            tl_expect(t, 1, 2, 1, 2, 4500);
        if (n >= 1 && !there && memcmp(at, old, 2 * SP_BLK_SIZE) != 0)
            assert_true(tl_stats(t).torn > 0);
        if (n % 64 != 3)
            continue;
        /* And life goes on behind the cut. */
        tl_put(t, 2, 3, 30);
        assert_int_equal(tl_open(t, false), SP_LOG_READY);
        tl_expect(t, there ? 2 : 1, there ? 3 : 2, 2, 3, 30);
    }
    free(base);
    free(old);
    free(new);
    tl_free(t);
}

/* Of a group of five blocks one is lost: what comes before it may stay, the rest is cut, and never comes back. */
static void cut_blocks_never_replay(void **state) {
    struct tl *t = tl_new(64);
    for (uint64_t lost = 1; lost <= 5; lost++) {
        memset(t->disk, 0, 64 * SP_BLK_SIZE);
        tl_open(t, true);
        tl_put(t, 1, 1, 10);
        for (int i = 0; i < 20; i++)
            assert_int_equal(tl_append(t, 1, 2, (uint8_t[900]){9}, 900), SP_OK);
        sp_log_commit(t->log);
        tl_pump(t);
        assert_int_equal(t->log->next, 6);
        memset(journal_block(t, lost), 0, SP_BLK_SIZE);
        assert_int_equal(tl_open(t, false), SP_LOG_READY);
        size_t kept = t->n;
        assert_int_equal(kept, 1 + (lost - 1) * SP_LOG_PAYLOAD / 1000);
        assert_int_equal(tl_stats(t).torn > 0, true);
        /* One block at a time over what was cut: the stale ones behind it stay out. */
        for (uint16_t i = 0; i < 6; i++) {
            tl_put(t, 2, i, 40);
            assert_int_equal(tl_open(t, false), SP_LOG_READY);
            assert_int_equal(t->n, kept + i + 1);
            tl_expect(t, kept + i, kept + i + 1, 2, i, 40);
        }
    }
    tl_free(t);
}

/* The same, with the appends in one opening: only the epoch tells the stale block from a following one. */
static void stale_block_of_the_same_place(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tl_append(t, 1, 1, (uint8_t[3956]){0}, 3956), SP_OK); /* a block each */
    sp_log_commit(t->log);
    tl_pump(t);
    memset(journal_block(t, 1), 0xff, SP_BLK_SIZE);
    tl_open(t, false);
    assert_int_equal(t->n, 1);
    tl_put(t, 1, 2, 3956);
    tl_open(t, false);
    assert_int_equal(t->n, 2);
    tl_expect(t, 1, 2, 1, 2, 3956);
    tl_free(t);
}

static void blocks_of_an_earlier_lap(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    uint64_t ring = t->log->layout.journal_blocks;
    uint8_t *old = malloc(SP_BLK_SIZE);
    for (uint64_t i = 0; i < ring; i++)
        tl_put(t, 1, 1, 10);
    memcpy(old, journal_block(t, 2), SP_BLK_SIZE);
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t);
    for (int i = 0; i < 3; i++)
        tl_put(t, 1, 2, 10);
    memcpy(journal_block(t, 2), old, SP_BLK_SIZE); /* the last write was lost */
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    assert_int_equal(t->n, 2);
    tl_expect(t, 1, ring + 2, 1, 2, 10);
    free(old);
    tl_free(t);
}

static void damage_is_not_a_torn_tail(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    for (uint16_t i = 0; i < 8; i++)
        tl_put(t, 1, i, 10);
    uint8_t *copy = malloc(64 * SP_BLK_SIZE);
    memcpy(copy, t->disk, 64 * SP_BLK_SIZE);
    for (uint64_t pos = 0; pos < 7; pos++)
        for (size_t at = 0; at < SP_BLK_SIZE; at += 97) {
            journal_block(t, pos)[at] ^= 0x10;
            fails_with(t, false, SP_ERR_CORRUPT);
            journal_block(t, pos)[at] ^= 0x10;
            assert_memory_equal(t->disk, copy, 64 * SP_BLK_SIZE); /* and nothing was written */
        }
    /* Several blocks, up to the last group. */
    memset(journal_block(t, 1), 0, 6 * SP_BLK_SIZE);
    fails_with(t, false, SP_ERR_CORRUPT);
    /* The last group: nothing tells it from a torn one yet. But once it was opened, it is known. */
    memcpy(t->disk, copy, 64 * SP_BLK_SIZE);
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    journal_block(t, 7)[100] ^= 1;
    fails_with(t, false, SP_ERR_CORRUPT);
    journal_block(t, 7)[100] ^= 1;
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    assert_int_equal(t->n, 8);
    free(copy);
    tl_free(t);
}

/* Sums that check do not make a record good: its hash, its chain and its number must. */
static void resealed_lies_are_found(void **state) {
    static const size_t lies[] = {SP_LOG_AT_LEN + 3, SP_LOG_AT_KIND + 1, SP_LOG_AT_SEQ + 7, SP_LOG_AT_ZONE + 3,
                                  SP_LOG_AT_SALT,    SP_LOG_AT_HASH,     SP_LOG_AT_CHAIN,   SP_LOG_RECORD};
    struct tl *t = tl_new(64);
    tl_open(t, true);
    for (uint16_t i = 0; i < 3; i++)
        tl_put(t, 1, i, 40);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct sp_log_block h;
        uint8_t *b = journal_block(t, 1);
        assert_true(sp_log_block_check(t->log->super.id, b, &h));
        b[SP_LOG_HEAD + lies[i]] ^= 1;
        sp_log_block_seal(t->log->super.id, b, &h);
        fails_with(t, false, SP_ERR_CORRUPT);
        b[SP_LOG_HEAD + lies[i]] ^= 1;
        sp_log_block_seal(t->log->super.id, b, &h);
    }
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    tl_free(t);
}

static void unformatted_is_never_overwritten(void **state) {
    struct tl *t = tl_new(64);
    fails_with(t, false, SP_ERR_CORRUPT); /* blank, but nobody said so */
    t->disk[1 * SP_BLK_SIZE + 5] = 1;
    fails_with(t, true, SP_ERR_EXIST);
    t->disk[1 * SP_BLK_SIZE + 5] = 0;
    uint8_t *j = tl_block(t, sp_log_layout(64).journal);
    j[4000] = 1;
    fails_with(t, true, SP_ERR_EXIST);
    j[4000] = 0;
    /* What a power cut left of an earlier formatting. */
    memset(t->disk, 0x77, 512);
    assert_int_equal(tl_open(t, true), SP_LOG_READY);
    tl_put(t, 1, 1, 10);
    assert_int_equal(tl_open(t, true), SP_LOG_READY); /* formatted: opens as ever */
    assert_int_equal(t->n, 1);
    tl_free(t);
}

static void superblocks(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    tl_put(t, 1, 1, 10);
    tl_open(t, false); /* now both slots are written */
    uint8_t both[2 * SP_BLK_SIZE];
    memcpy(both, t->disk, sizeof both);
    for (int slot = 0; slot < 2; slot++) {
        memcpy(t->disk, both, sizeof both);
        memset(tl_block(t, (uint64_t)slot), 0x55, 512); /* torn */
        assert_int_equal(tl_open(t, false), SP_LOG_READY);
        assert_int_equal(t->n, 1);
    }
    memset(t->disk, 0x55, 512);
    memset(tl_block(t, 1), 0x55, 512);
    fails_with(t, false, SP_ERR_CORRUPT);
    fails_with(t, true, SP_ERR_EXIST);

    for (int slot = 0; slot < 2; slot++) {
        memcpy(t->disk, both, sizeof both);
        uint8_t *b = tl_block(t, (uint64_t)slot);
        b[19] = SP_LOG_VERSION + 1;
        static const uint8_t key[16];
        sp_log_put_u64(b, sp_siphash(key, b + 8, SP_BLK_SIZE - 8));
        fails_with(t, false, SP_ERR_UNSUP);
    }
    memcpy(t->disk, both, sizeof both);
    t->blocks = 65; /* a device that grew is used as it was laid out */
    t->disk = realloc(t->disk, 65 * SP_BLK_SIZE);
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    assert_int_equal(t->n, 1);
    tl_free(t);

    t = tl_new(128);
    tl_open(t, true);
    t->blocks = 127; /* one that shrank is not */
    fails_with(t, false, SP_ERR_RANGE);
    struct sp_log *log;
    assert_int_equal(sp_log_new(&log, &t->mem, 63, true, SP_LOG_GROUP_MAX, &t->rng, NULL), SP_ERR_RANGE);
    tl_free(t);
}

/* The newer superblock is lost and the older one names a journal that has moved on: refused, not cut. */
static void older_superblock_is_not_believed(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    uint64_t ring = t->log->layout.journal_blocks;
    for (uint64_t i = 0; i < ring; i++)
        tl_put(t, 1, 1, 10);
    assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
    assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
    tl_pump(t);
    for (int i = 0; i < 3; i++)
        tl_put(t, 1, 1, 10);
    memset(tl_block(t, t->log->super_slot), 0, SP_BLK_SIZE);
    fails_with(t, false, SP_ERR_CORRUPT);
    tl_free(t);
}

/* Only the program had gone, what it wrote is in a cache: a flush comes before the superblock that says it is durable.
 */
static void what_was_read_is_flushed_first(void **state) {
    struct tl *t = tl_new(64);
    tl_open(t, true);
    tl_put(t, 1, 1, 10);
    sp_log_free(t->log);
    assert_int_equal(sp_log_new(&t->log, &t->mem, t->blocks, false, SP_LOG_GROUP_MAX, &t->rng, NULL), SP_OK);
    struct sp_log_record rec;
    struct sp_blk_req r;
    /* superblocks; the ring; what was read; the superblock */
    static const enum sp_blk_op order[] = {SP_BLK_READ, SP_BLK_READ, SP_BLK_FLUSH, SP_BLK_WRITE, SP_BLK_FLUSH};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        while (sp_log_replay(t->log, &rec))
            ;
        assert_true(sp_log_request(t->log, &r));
        assert_int_equal(r.op, order[i]);
        assert_int_equal(sp_log_state(t->log), SP_LOG_OPENING);
        sp_log_complete(t->log, r.id, tl_do(t, &r), 0);
    }
    assert_int_equal(sp_log_state(t->log), SP_LOG_READY);
    tl_free(t);
}

/* Whichever write or flush fails: what was appended with it is never acknowledged, nor anything later. */
static void failing_device(void **state) {
    for (unsigned at = 1; at <= 14; at++) {
        struct tl *t = tl_new(64);
        tl_open(t, true);
        t->fail_after = at;
        uint64_t durable = 0;
        for (int i = 0; i < 5 && sp_log_state(t->log) == SP_LOG_READY; i++) {
            if (i == 2) {
                assert_int_equal(sp_log_snapshot_begin(t->log), SP_OK);
                assert_int_equal(sp_log_snapshot_put(t->log, 1, 1, NULL, 0), SP_OK);
                assert_int_equal(sp_log_snapshot_end(t->log), SP_OK);
            }
            durable = sp_log_durable(t->log);
            assert_int_equal(tl_append(t, 1, 1, "x", 1), SP_OK);
            sp_log_commit(t->log);
            tl_pump(t);
        }
        assert_int_equal(sp_log_state(t->log), SP_LOG_FAILED);
        assert_int_equal(sp_log_error(t->log), SP_ERR_IO);
        assert_in_range(sp_log_durable(t->log), durable, durable + 1);
        assert_int_equal(tl_append(t, 1, 1, "x", 1), SP_ERR_STATE);
        assert_int_equal(sp_log_snapshot_begin(t->log), SP_ERR_STATE);
        sp_log_commit(t->log);
        struct sp_blk_req r;
        assert_false(sp_log_request(t->log, &r));
        tl_free(t);
    }
    struct tl *t = tl_new(64);
    tl_open(t, true);
    for (unsigned at = 1; at <= 3; at++) { /* a flush, the superblock of the new epoch, a flush */
        t->fail_after = at;
        fails_with(t, false, SP_ERR_IO);
    }
    assert_int_equal(tl_open(t, false), SP_LOG_READY);
    tl_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torn_at_every_byte),
        cmocka_unit_test(cut_blocks_never_replay),
        cmocka_unit_test(stale_block_of_the_same_place),
        cmocka_unit_test(blocks_of_an_earlier_lap),
        cmocka_unit_test(damage_is_not_a_torn_tail),
        cmocka_unit_test(resealed_lies_are_found),
        cmocka_unit_test(unformatted_is_never_overwritten),
        cmocka_unit_test(superblocks),
        cmocka_unit_test(older_superblock_is_not_believed),
        cmocka_unit_test(what_was_read_is_flushed_first),
        cmocka_unit_test(failing_device),
    };
    return cmocka_run_group_tests_name("log_damage", tests, NULL, NULL);
}
