#include "proto/log/impl.h"

/* Magic, version and sum keep their places in every version, so that an older program can tell a newer device from
 * damage. The sum is unkeyed: the id is not known yet. */
static const uint8_t MAGIC[8] = {'S', 'I', 'G', 'N', 'P', 'O', 'S', 'T'};
static const uint8_t SUM_KEY[16];
enum { SUM = 0, MAGIC_AT = 8, VERSION = 16, FIELDS = 20 };

struct sp_log_layout sp_log_layout(uint64_t blocks) {
    struct sp_log_layout l;
    l.snap_blocks = (blocks - 2) / 8 * 3;
    l.snap[0] = 2;
    l.snap[1] = 2 + l.snap_blocks;
    l.journal = 2 + 2 * l.snap_blocks;
    l.journal_blocks = blocks - l.journal;
    return l;
}

void sp_log_super_encode(const struct sp_log_super *s, uint8_t *block) {
    memset(block, 0, SP_BLK_SIZE);
    memcpy(block + MAGIC_AT, MAGIC, sizeof MAGIC);
    struct sp_wr w = sp_wr_init(block + VERSION, SP_BLK_SIZE - VERSION);
    sp_wr_u32(&w, SP_LOG_VERSION);
    sp_wr_bytes(&w, s->id, sizeof s->id);
    sp_wr_u64(&w, s->generation);
    sp_wr_u64(&w, s->epoch);
    sp_wr_u64(&w, s->blocks);
    sp_wr_u64(&w, s->snap_number);
    sp_wr_u8(&w, s->snap_area);
    sp_wr_u64(&w, s->snap_blocks);
    sp_wr_u64(&w, s->snap_records);
    sp_wr_u64(&w, s->snap_epoch);
    sp_wr_u64(&w, s->seq);
    sp_wr_u64(&w, s->durable);
    sp_wr_u64(&w, s->start);
    sp_wr_u64(&w, s->start_epoch);
    sp_log_put_u64(block + SUM, sp_siphash(SUM_KEY, block + MAGIC_AT, SP_BLK_SIZE - MAGIC_AT));
}

/* Whether the fields make sense together; the sum is no defence against a program's fault. */
static bool sane(const struct sp_log_super *s) {
    if (s->blocks < SP_LOG_BLOCKS_MIN || s->blocks > UINT32_MAX || s->snap_area > 1 || s->generation == 0)
        return false;
    /* Positions and numbers never come near their end; below it no sum of them wraps. */
    uint64_t big = s->epoch | s->snap_number | s->seq | s->durable | s->start | s->generation;
    if (big >> 62 != 0 || s->start_epoch > s->epoch || s->snap_epoch > s->epoch)
        return false;
    if (s->snap_number == 0)
        return s->snap_blocks == 0 && s->snap_records == 0 && s->seq == 0 && s->start == 0;
    return s->snap_blocks <= sp_log_layout(s->blocks).snap_blocks;
}

sp_err sp_log_super_parse(const uint8_t *block, struct sp_log_super *ret) {
    if (memcmp(block + MAGIC_AT, MAGIC, sizeof MAGIC) != 0)
        return SP_ERR_NOENT;
    if (sp_log_get_u64(block + SUM) != sp_siphash(SUM_KEY, block + MAGIC_AT, SP_BLK_SIZE - MAGIC_AT))
        return SP_ERR_NOENT;
    if (sp_get_u32(block + VERSION) != SP_LOG_VERSION)
        return SP_ERR_UNSUP;
    struct sp_rd r = sp_rd_init(block + FIELDS, SP_BLK_SIZE - FIELDS);
    struct sp_log_super s = {0};
    sp_rd_copy(&r, s.id, sizeof s.id);
    s.generation = sp_rd_u64(&r);
    s.epoch = sp_rd_u64(&r);
    s.blocks = sp_rd_u64(&r);
    s.snap_number = sp_rd_u64(&r);
    s.snap_area = sp_rd_u8(&r);
    s.snap_blocks = sp_rd_u64(&r);
    s.snap_records = sp_rd_u64(&r);
    s.snap_epoch = sp_rd_u64(&r);
    s.seq = sp_rd_u64(&r);
    s.durable = sp_rd_u64(&r);
    s.start = sp_rd_u64(&r);
    s.start_epoch = sp_rd_u64(&r);
    if (!sane(&s))
        return SP_ERR_CORRUPT;
    *ret = s;
    return SP_OK;
}

sp_err sp_log_super_pick(struct sp_log *log, const uint8_t *buf) {
    struct sp_log_super s[2];
    sp_err err[2];
    for (int i = 0; i < 2; i++) {
        err[i] = sp_log_super_parse(buf + (size_t)i * SP_BLK_SIZE, &s[i]);
        /* A newer program was here: its device, even if one of ours survived beside it. */
        if (err[i] == SP_ERR_UNSUP || err[i] == SP_ERR_CORRUPT)
            return err[i];
    }
    if (err[0] != SP_OK && err[1] != SP_OK)
        return SP_ERR_NOENT;
    if (err[0] == SP_OK && err[1] == SP_OK && memcmp(s[0].id, s[1].id, sizeof s[0].id) != 0)
        return SP_ERR_CORRUPT;
    int pick = err[0] != SP_OK || (err[1] == SP_OK && s[1].generation > s[0].generation);
    if (s[pick].blocks > log->device_blocks)
        return SP_ERR_RANGE; /* the device has shrunk */
    log->super = s[pick];
    log->super_slot = (uint8_t)pick;
    return SP_OK;
}

void sp_log_super_write(struct sp_log *log) {
    log->super_next.generation = log->super.generation + 1;
    sp_log_super_encode(&log->super_next, log->super_buf);
    sp_log_queue(log, SP_LOG_OP_SUPER, SP_BLK_WRITE, log->super_slot ^ 1, 1, log->super_buf);
}
