#include "proto/log/impl.h"

/* The flags stay out of it: erasing a body leaves the chain whole. */
void sp_log_record_chain(const uint8_t prev[SP_LOG_CHAIN], const uint8_t header[SP_LOG_RECORD],
                         uint8_t ret[SP_LOG_CHAIN]) {
    const struct sp_piece pieces[] = {
        {prev, SP_LOG_CHAIN},
        {header, SP_LOG_AT_FLAGS},
        {header + SP_LOG_AT_SEQ, SP_LOG_AT_CHAIN - SP_LOG_AT_SEQ},
    };
    sp_hash_pieces(SP_SHA256, pieces, sizeof pieces / sizeof pieces[0], ret);
}

static sp_err room_for(struct sp_log *log, size_t len, uint64_t keep) {
    struct sp_log_frame *f = &log->groups[log->gathering].frame;
    if (sp_log_frame_room(f) < len) {
        if (log->flying)
            return SP_ERR_AGAIN;
        sp_log_group_start(log);
        f = &log->groups[log->gathering].frame;
    }
    /* Until a snapshot frees some, the ring ends where replay would begin. */
    if (log->next + sp_log_frame_blocks_with(f, len) - log->super.start > log->layout.journal_blocks - keep)
        return SP_ERR_NOSPC;
    return SP_OK;
}

static sp_err append(struct sp_log *log, uint32_t zone, uint16_t kind, const struct sp_piece *body, size_t n,
                     uint64_t keep, uint64_t *ret_seq) {
    if (log->state != SP_LOG_READY)
        return SP_ERR_STATE;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (body[i].len > SP_LOG_BODY_MAX - len)
            return SP_ERR_RANGE;
        len += body[i].len;
    }
    if (zone > SP_LOG_ZONES_MAX || n > SP_LOG_PIECES_MAX)
        return SP_ERR_RANGE;
    SP_TRY(room_for(log, SP_LOG_RECORD + len, keep));

    uint8_t h[SP_LOG_RECORD] = {0};
    sp_put_u32(h + SP_LOG_AT_LEN, (uint32_t)len);
    sp_put_u16(h + SP_LOG_AT_KIND, kind);
    sp_log_put_u64(h + SP_LOG_AT_SEQ, ++log->seq);
    sp_put_u32(h + SP_LOG_AT_ZONE, zone);
    sp_rng_fill(log->rng, h + SP_LOG_AT_SALT, SP_LOG_SALT);
    struct sp_piece pieces[SP_LOG_PIECES_MAX + 1] = {{h + SP_LOG_AT_SALT, SP_LOG_SALT}};
    if (n > 0)
        memcpy(pieces + 1, body, n * sizeof body[0]);
    sp_hash_pieces(SP_SHA256, pieces, n + 1, h + SP_LOG_AT_HASH);
    sp_log_record_chain(log->chains[zone], h, log->chains[zone]);
    memcpy(h + SP_LOG_AT_CHAIN, log->chains[zone], SP_LOG_CHAIN);

    struct sp_log_group *g = &log->groups[log->gathering];
    size_t put = sp_log_frame_put(&g->frame, h, sizeof h);
    for (size_t i = 0; i < n; i++)
        put += sp_log_frame_put(&g->frame, body[i].data, body[i].len);
    SP_ASSERT(put == sizeof h + len);
    g->records++;
    g->last_seq = log->seq;
    *ret_seq = log->seq;
    return SP_OK;
}

sp_err sp_log_append(struct sp_log *log, uint32_t zone, uint16_t kind, const struct sp_piece *body, size_t n,
                     uint64_t *ret_seq) {
    if (log->state == SP_LOG_READY && log->over)
        return SP_ERR_NOSPC;
    return append(log, zone, kind, body, n, sp_log_reserve(log), ret_seq);
}

sp_err sp_log_append_last(struct sp_log *log, uint32_t zone, uint16_t kind, const struct sp_piece *body, size_t n,
                          uint64_t *ret_seq) {
    return append(log, zone, kind, body, n, 0, ret_seq);
}

void sp_log_commit(struct sp_log *log) {
    if (log->state != SP_LOG_READY || log->groups[log->gathering].records == 0)
        return;
    if (log->flying)
        log->wanted = true;
    else
        sp_log_group_start(log);
}

/* Hands the gathering group to the device, in one write unless the ring ends within it. */
void sp_log_group_start(struct sp_log *log) {
    struct sp_log_group *g = &log->groups[log->gathering];
    const struct sp_log_layout *l = &log->layout;
    uint32_t blocks = g->frame.blocks;
    sp_log_frame_seal(&g->frame, log->super.id, SP_LOG_JOURNAL_MAGIC, log->super.epoch, log->next, log->next);
    uint64_t at = log->next % l->journal_blocks;
    uint32_t first = l->journal_blocks - at < blocks ? (uint32_t)(l->journal_blocks - at) : blocks;
    sp_log_queue(log, SP_LOG_OP_GROUP, SP_BLK_WRITE, l->journal + at, first, g->frame.buf);
    if (first < blocks)
        sp_log_queue(log, SP_LOG_OP_GROUP_WRAP, SP_BLK_WRITE, l->journal, blocks - first,
                     g->frame.buf + (size_t)first * SP_BLK_SIZE);
    log->next += blocks;
    log->flying = true;
    log->wanted = false;
    log->gathering ^= 1;
}

void sp_log_group_written(struct sp_log *log) {
    if (sp_log_idle(log, SP_LOG_OP_GROUP) && sp_log_idle(log, SP_LOG_OP_GROUP_WRAP))
        sp_log_queue(log, SP_LOG_OP_GROUP_FLUSH, SP_BLK_FLUSH, 0, 0, NULL);
}

void sp_log_group_flushed(struct sp_log *log, sp_instant now) {
    struct sp_log_group *g = &log->groups[log->gathering ^ 1];
    log->durable = g->last_seq;
    sp_trace(log->trace, now, SP_TRACE_log_flushed, g->last_seq, g->records);
    g->records = 0;
    sp_log_frame_reset(&g->frame);
    log->flying = false;
    if (log->wanted)
        sp_log_group_start(log);
    sp_log_snapshot_step(log);
}

uint64_t sp_log_durable(const struct sp_log *log) {
    return log->durable;
}

bool sp_log_chain(const struct sp_log *log, uint32_t zone, uint8_t ret[SP_LOG_CHAIN]) {
    static const uint8_t none[SP_LOG_CHAIN];
    if (zone > SP_LOG_ZONES_MAX || memcmp(log->chains[zone], none, SP_LOG_CHAIN) == 0)
        return false;
    memcpy(ret, log->chains[zone], SP_LOG_CHAIN);
    return true;
}
