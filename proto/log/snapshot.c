#include "proto/log/impl.h"

/* A snapshot is written to the area that the superblock does not name, through two buffers. The superblock names it
 * only after its blocks were flushed, and after every record appended before its end is durable: the owner's state, and
 * so the snapshot, may already show parts of records that are still on their way. */

bool sp_log_snapshot_due(const struct sp_log *log) {
    return log->state == SP_LOG_READY && log->snap.state == SP_LOG_SNAP_NONE &&
           log->next - log->super.start >= log->due_blocks;
}

static void send_half(struct sp_log *log) {
    struct sp_log_snapshot *s = &log->snap;
    struct sp_log_frame *f = &s->half[s->filling];
    sp_log_frame_seal(f, log->super.id, SP_LOG_SNAPSHOT_MAGIC, log->super.epoch, s->written, s->number);
    sp_log_queue(log, s->filling == 0 ? SP_LOG_OP_SNAP0 : SP_LOG_OP_SNAP1, SP_BLK_WRITE,
                 log->layout.snap[s->area] + s->written, f->blocks, f->buf);
    s->written += f->blocks;
    s->filling ^= 1;
    /* The other one is idle: put() makes sure of it before it fills a half, end() has nothing more to put. */
    sp_log_frame_reset(&s->half[s->filling]);
}

static void put_bytes(struct sp_log *log, const void *data, size_t len) {
    const uint8_t *from = data;
    while (len > 0) {
        struct sp_log_frame *f = &log->snap.half[log->snap.filling];
        size_t n = sp_log_frame_put(f, from, len);
        from += n;
        len -= n;
        if (len > 0)
            send_half(log);
    }
}

static void put_header(struct sp_log *log, uint32_t zone, uint16_t kind, uint8_t flags, size_t len) {
    uint8_t h[SP_LOG_ENTRY] = {0};
    sp_put_u32(h, (uint32_t)len);
    sp_put_u16(h + 4, kind);
    h[6] = flags;
    sp_put_u32(h + 8, zone);
    put_bytes(log, h, sizeof h);
    log->snap.records++;
}

static bool other_half_idle(const struct sp_log *log) {
    return sp_log_idle(log, log->snap.filling == 0 ? SP_LOG_OP_SNAP1 : SP_LOG_OP_SNAP0);
}

sp_err sp_log_snapshot_begin(struct sp_log *log) {
    struct sp_log_snapshot *s = &log->snap;
    static const uint8_t none[SP_LOG_CHAIN];
    if (log->state != SP_LOG_READY || s->state != SP_LOG_SNAP_NONE)
        return SP_ERR_STATE;
    /* Writes of one that was given up. */
    if (!sp_log_idle(log, SP_LOG_OP_SNAP0) || !sp_log_idle(log, SP_LOG_OP_SNAP1))
        return SP_ERR_AGAIN;
    s->state = SP_LOG_SNAP_OPEN;
    s->area = log->super.snap_number == 0 ? 0 : log->super.snap_area ^ 1;
    s->number++;
    s->written = s->records = 0;
    s->filling = 0;
    s->seq = log->seq;
    s->start = log->next;
    sp_log_frame_reset(&s->half[0]);
    sp_log_frame_reset(&s->half[1]);
    /* The chains as they are now, all at once: at most 45 blocks, less than a half holds. */
    for (uint32_t zone = 0; zone <= SP_LOG_ZONES_MAX; zone++)
        if (memcmp(log->chains[zone], none, SP_LOG_CHAIN) != 0) {
            put_header(log, zone, 0, SP_LOG_FLAG_CHAIN, SP_LOG_CHAIN);
            put_bytes(log, log->chains[zone], SP_LOG_CHAIN);
        }
    if (s->half[0].blocks > log->layout.snap_blocks) {
        sp_log_snapshot_abort(log);
        return SP_ERR_NOSPC;
    }
    return SP_OK;
}

sp_err sp_log_snapshot_put(struct sp_log *log, uint32_t zone, uint16_t kind, const struct sp_piece *body, size_t n) {
    struct sp_log_snapshot *s = &log->snap;
    if (log->state != SP_LOG_READY || s->state != SP_LOG_SNAP_OPEN)
        return SP_ERR_STATE;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (body[i].len > SP_LOG_BODY_MAX - len)
            return SP_ERR_RANGE;
        len += body[i].len;
    }
    if (zone > SP_LOG_ZONES_MAX)
        return SP_ERR_RANGE;
    struct sp_log_frame *f = &s->half[s->filling];
    uint32_t blocks = sp_log_frame_blocks_with(f, SP_LOG_ENTRY + len);
    if (s->written + blocks > log->layout.snap_blocks) {
        /* From now on the journal is for what makes the state smaller, and each of that is a reason to try again. */
        log->over = true;
        log->due_blocks = log->next - log->super.start + 1;
        sp_log_snapshot_abort(log);
        return SP_ERR_NOSPC;
    }
    if (sp_log_frame_room(f) < SP_LOG_ENTRY + len && !other_half_idle(log))
        return SP_ERR_AGAIN;
    put_header(log, zone, kind, 0, len);
    for (size_t i = 0; i < n; i++)
        put_bytes(log, body[i].data, body[i].len);
    return SP_OK;
}

sp_err sp_log_snapshot_end(struct sp_log *log) {
    struct sp_log_snapshot *s = &log->snap;
    if (log->state != SP_LOG_READY || s->state != SP_LOG_SNAP_OPEN)
        return SP_ERR_STATE;
    s->state = SP_LOG_SNAP_CLOSING;
    s->end_seq = log->seq;
    sp_log_commit(log);
    sp_log_snapshot_step(log);
    return SP_OK;
}

void sp_log_snapshot_abort(struct sp_log *log) {
    if (log->snap.state == SP_LOG_SNAP_OPEN)
        log->snap.state = SP_LOG_SNAP_NONE;
}

/* Takes a snapshot that has ended onwards, after anything has completed. */
void sp_log_snapshot_step(struct sp_log *log) {
    struct sp_log_snapshot *s = &log->snap;
    switch (s->state) {
    case SP_LOG_SNAP_NONE:
    case SP_LOG_SNAP_OPEN:
    case SP_LOG_SNAP_SWITCH:
        return;
    case SP_LOG_SNAP_CLOSING:
        if (s->half[s->filling].blocks > 0 && other_half_idle(log))
            send_half(log);
        if (s->half[s->filling].blocks > 0 || !sp_log_idle(log, SP_LOG_OP_SNAP0) || !sp_log_idle(log, SP_LOG_OP_SNAP1))
            return;
        if (log->durable < s->end_seq)
            return;
        s->state = SP_LOG_SNAP_FLUSH;
        sp_log_queue(log, SP_LOG_OP_SNAP_FLUSH, SP_BLK_FLUSH, 0, 0, NULL);
        return;
    case SP_LOG_SNAP_FLUSH:
        if (!sp_log_idle(log, SP_LOG_OP_SNAP_FLUSH))
            return;
        s->state = SP_LOG_SNAP_SWITCH;
        log->super_next = log->super;
        log->super_next.snap_number = s->number;
        log->super_next.snap_area = s->area;
        log->super_next.snap_blocks = s->written;
        log->super_next.snap_records = s->records;
        log->super_next.snap_epoch = log->super.epoch;
        log->super_next.seq = s->seq;
        log->super_next.durable = log->durable;
        log->super_next.start = s->start;
        log->super_next.start_epoch = log->super.epoch;
        sp_log_super_write(log);
        return;
    }
}

void sp_log_snapshot_switched(struct sp_log *log, sp_instant now) {
    log->snap.state = SP_LOG_SNAP_NONE;
    log->over = false;
    log->due_blocks = log->layout.journal_blocks / 2;
    log->stats.snapshots++;
    sp_trace(log->trace, now, SP_TRACE_snapshot_taken, log->super.seq, log->super.snap_blocks);
}
