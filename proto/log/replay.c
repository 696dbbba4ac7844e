#include "proto/log/impl.h"

/* From new to READY: superblocks, snapshot, journal up to the first block that does not check, a look at the rest of
 * the ring for proof that this is not the journal's end, a flush, and the superblock of the new epoch. */

static void read_next(struct sp_log *log) {
    struct sp_log_reader *r = &log->reader;
    uint64_t most = 2 * log->group_blocks < SP_LOG_READ_MAX ? 2 * log->group_blocks : SP_LOG_READ_MAX;
    uint64_t count = r->end - r->at < most ? r->end - r->at : most;
    uint64_t block;
    if (r->phase == SP_LOG_PH_SNAPSHOT) {
        block = log->layout.snap[log->super.snap_area] + r->at;
    } else {
        uint64_t ring = r->at % log->layout.journal_blocks;
        if (count > log->layout.journal_blocks - ring)
            count = log->layout.journal_blocks - ring;
        block = log->layout.journal + ring;
    }
    r->base = r->at;
    r->at += count;
    r->have = (uint32_t)count;
    r->next = r->have; /* until it has been read */
    sp_log_queue(log, SP_LOG_OP_READ, SP_BLK_READ, block, (uint32_t)count, log->read_buf);
}

void sp_log_open_start(struct sp_log *log) {
    log->reader.phase = SP_LOG_PH_SUPER;
    sp_log_queue(log, SP_LOG_OP_READ, SP_BLK_READ, 0, 2, log->read_buf);
}

static void begin_journal(struct sp_log *log) {
    struct sp_log_reader *r = &log->reader;
    r->phase = SP_LOG_PH_JOURNAL;
    r->at = log->super.start;
    r->end = log->super.start + log->layout.journal_blocks;
    r->epoch = log->super.start_epoch;
    r->group = UINT64_MAX;
    r->joined_len = 0;
    r->left = 0;
    log->seq = log->super.seq;
    read_next(log);
}

/* What was read may be volatile still, when not the power but only the program had gone. The superblock will say that
 * it is durable, and must not reach the disk before it. */
static void settle(struct sp_log *log) {
    log->reader.phase = SP_LOG_PH_SETTLE;
    sp_log_queue(log, SP_LOG_OP_SUPER_FLUSH, SP_BLK_FLUSH, 0, 0, NULL);
}

/* A new epoch, durable before anything is written under it. */
void sp_log_open_settled(struct sp_log *log) {
    log->reader.phase = SP_LOG_PH_FINISH;
    log->super_next = log->super;
    log->super_next.epoch = log->super.epoch + 1;
    log->super_next.durable = log->seq;
    sp_log_super_write(log);
}

static void format(struct sp_log *log) {
    log->super = (struct sp_log_super){.blocks = log->device_blocks};
    sp_rng_fill(log->rng, log->super.id, sizeof log->super.id);
    log->super_slot = 1; /* so that slot 0 is written; slot 1 stays blank until slot 0 is durable */
    log->reader.cut = 0;
    sp_log_open_settled(log);
}

static void supers_read(struct sp_log *log) {
    sp_err err = sp_log_super_pick(log, log->read_buf);
    if (err == SP_ERR_NOENT && log->format && sp_log_block_blank(log->read_buf + SP_BLK_SIZE)) {
        log->layout = sp_log_layout(log->device_blocks);
        log->reader.phase = SP_LOG_PH_BLANK;
        sp_log_queue(log, SP_LOG_OP_READ, SP_BLK_READ, log->layout.journal, 1, log->read_buf);
        return;
    }
    if (err != SP_OK) {
        sp_log_fail(log, err == SP_ERR_NOENT ? (log->format ? SP_ERR_EXIST : SP_ERR_CORRUPT) : err);
        return;
    }
    log->layout = sp_log_layout(log->super.blocks);
    if (log->super.snap_number == 0) {
        begin_journal(log);
        return;
    }
    log->reader.phase = SP_LOG_PH_SNAPSHOT;
    log->reader.at = 0;
    log->reader.end = log->super.snap_blocks;
    if (log->reader.end > 0)
        read_next(log);
    else if (log->super.snap_records == 0)
        begin_journal(log);
    else
        sp_log_fail(log, SP_ERR_CORRUPT);
}

void sp_log_open_read(struct sp_log *log) {
    switch (log->reader.phase) {
    case SP_LOG_PH_SUPER:
        supers_read(log);
        return;
    case SP_LOG_PH_BLANK:
        /* Slot 0 may hold what a power cut left of an earlier formatting; nothing else may. */
        if (sp_log_block_blank(log->read_buf))
            format(log);
        else
            sp_log_fail(log, SP_ERR_EXIST);
        return;
    case SP_LOG_PH_SNAPSHOT:
    case SP_LOG_PH_JOURNAL:
    case SP_LOG_PH_SCAN:
        log->reader.next = 0;
        return;
    case SP_LOG_PH_SETTLE:
    case SP_LOG_PH_FINISH:
        return;
    }
}

void sp_log_open_finish(struct sp_log *log, sp_instant now) {
    log->next = log->reader.cut;
    log->durable = log->seq;
    log->snap.number = log->super.snap_number;
    log->due_blocks = log->layout.journal_blocks / 2;
    for (int i = 0; i < 2; i++) {
        sp_log_frame_reset(&log->groups[i].frame);
        sp_log_frame_reset(&log->snap.half[i]);
    }
    log->state = SP_LOG_READY;
    sp_trace(log->trace, now, SP_TRACE_log_replayed, log->seq, log->reader.records);
}

/* ---- blocks ---- */

/* True when the block continues the snapshot. */
static bool take_snapshot_block(struct sp_log *log, const uint8_t *block, uint64_t index) {
    struct sp_log_reader *r = &log->reader;
    struct sp_log_block h;
    if (!sp_log_block_check(log->super.id, block, &h) || h.magic != SP_LOG_SNAPSHOT_MAGIC || h.pos != index ||
        h.group != log->super.snap_number || h.epoch != log->super.snap_epoch || r->short_block)
        return false;
    r->short_block = h.used < SP_LOG_PAYLOAD;
    r->pos = block + SP_LOG_HEAD;
    r->left = h.used;
    return true;
}

/* True when the block continues the journal. */
static bool take_journal_block(struct sp_log *log, const uint8_t *block, uint64_t pos) {
    struct sp_log_reader *r = &log->reader;
    struct sp_log_block h;
    if (!sp_log_block_check(log->super.id, block, &h) || h.magic != SP_LOG_JOURNAL_MAGIC || h.pos != pos ||
        h.epoch < r->epoch || h.epoch > log->super.epoch)
        return false;
    if (h.group == pos) {
        /* A record that was begun is left unfinished only by a cut, after which the epoch is another. */
        if (r->joined_len > 0 && h.epoch == r->epoch) {
            sp_log_fail(log, SP_ERR_CORRUPT);
            return false;
        }
        r->joined_len = 0;
    } else if (h.group != r->group || h.epoch != r->epoch) {
        return false;
    }
    r->epoch = h.epoch;
    r->group = h.group;
    r->pos = block + SP_LOG_HEAD;
    r->left = h.used;
    return true;
}

/* A block after the cut: proof of damage, or a remainder. */
static void scan_block(struct sp_log *log, const uint8_t *block, uint64_t pos) {
    struct sp_log_reader *r = &log->reader;
    struct sp_log_block h;
    if (!sp_log_block_check(log->super.id, block, &h)) {
        if (pos - r->cut < SP_LOG_GROUP_MAX && !sp_log_block_blank(block))
            log->stats.torn++;
        return;
    }
    if (h.magic == SP_LOG_JOURNAL_MAGIC && h.group > r->cut)
        sp_log_fail(log, SP_ERR_CORRUPT);
    else if (h.magic == SP_LOG_JOURNAL_MAGIC && h.pos == pos && h.epoch == log->super.epoch)
        log->stats.torn++;
}

/* Looks at the next block. False when there is none in the buffer. */
static bool next_block(struct sp_log *log) {
    struct sp_log_reader *r = &log->reader;
    if (r->next == r->have)
        return false;
    const uint8_t *block = log->read_buf + (size_t)r->next * SP_BLK_SIZE;
    uint64_t pos = r->base + r->next;
    if (r->phase == SP_LOG_PH_SNAPSHOT && !take_snapshot_block(log, block, pos)) {
        sp_log_fail(log, SP_ERR_CORRUPT);
        return false;
    }
    if (r->phase == SP_LOG_PH_JOURNAL && !take_journal_block(log, block, pos) && log->state == SP_LOG_OPENING) {
        r->phase = SP_LOG_PH_SCAN;
        r->cut = pos;
        log->stats.torn += r->joined_len > 0;
    }
    if (r->phase == SP_LOG_PH_SCAN)
        scan_block(log, block, pos);
    r->next++;
    return log->state == SP_LOG_OPENING;
}

/* The phase's last block has been used up. */
static void phase_end(struct sp_log *log) {
    struct sp_log_reader *r = &log->reader;
    if (r->phase == SP_LOG_PH_SNAPSHOT) {
        if (r->joined_len > 0 || r->snap_records != log->super.snap_records)
            sp_log_fail(log, SP_ERR_CORRUPT);
        else
            begin_journal(log);
        return;
    }
    if (r->phase == SP_LOG_PH_JOURNAL) {
        r->cut = r->end; /* full to the last block */
        log->stats.torn += r->joined_len > 0;
    }
    /* Records that were durable once, in the snapshot or not, must have been met. */
    if (log->seq < log->super.durable || (r->prev_seq != 0 && r->prev_seq < log->super.seq))
        sp_log_fail(log, SP_ERR_CORRUPT);
    else
        settle(log);
}

/* ---- records ---- */

/* Moves bytes of the current block to the record being joined; true when it is whole. */
static bool join(struct sp_log *log, size_t head) {
    struct sp_log_reader *r = &log->reader;
    for (;;) {
        size_t need = head;
        if (r->joined_len >= head) {
            size_t len = sp_get_u32(r->joined);
            if (len > SP_LOG_BODY_MAX) {
                sp_log_fail(log, SP_ERR_CORRUPT);
                return false;
            }
            need = head + len;
            if (r->joined_len == need)
                return true;
        }
        size_t n = need - r->joined_len < r->left ? need - r->joined_len : r->left;
        if (n == 0)
            return false;
        memcpy(r->joined + r->joined_len, r->pos, n);
        r->joined_len += n;
        r->pos += n;
        r->left -= (uint32_t)n;
    }
}

/* True when it is the owner's. */
static bool snapshot_entry(struct sp_log *log, struct sp_log_record *ret) {
    struct sp_log_reader *r = &log->reader;
    const uint8_t *h = r->joined;
    struct sp_log_record rec = {
        .zone = sp_get_u32(h + 8), .kind = sp_get_u16(h + 4), .body = h + SP_LOG_ENTRY, .len = sp_get_u32(h)};
    uint8_t flags = h[6];
    r->snap_records++;
    if (rec.zone > SP_LOG_ZONES_MAX || (flags & ~SP_LOG_FLAG_CHAIN) != 0 ||
        (flags == SP_LOG_FLAG_CHAIN && rec.len != SP_LOG_CHAIN)) {
        sp_log_fail(log, SP_ERR_CORRUPT);
        return false;
    }
    if (flags == SP_LOG_FLAG_CHAIN) {
        memcpy(log->chains[rec.zone], rec.body, SP_LOG_CHAIN);
        return false;
    }
    *ret = rec;
    return true;
}

/* Sequence, hash and chain of the record that was joined. */
static sp_err check_record(struct sp_log *log, const struct sp_log_record *rec) {
    struct sp_log_reader *r = &log->reader;
    const uint8_t *h = r->joined;
    uint8_t hash[SP_LOG_HASH];
    if (rec->zone > SP_LOG_ZONES_MAX || rec->seq == 0 ||
        (r->prev_seq != 0 ? rec->seq != r->prev_seq + 1 : rec->seq > log->super.seq + 1))
        return SP_ERR_CORRUPT;
    if (!rec->erased) {
        const struct sp_piece pieces[] = {{h + SP_LOG_AT_SALT, SP_LOG_SALT}, {rec->body, rec->len}};
        sp_hash_pieces(SP_SHA256, pieces, 2, hash);
        if (memcmp(hash, h + SP_LOG_AT_HASH, SP_LOG_HASH) != 0)
            return SP_ERR_CORRUPT;
    }
    if (rec->seq <= log->super.seq)
        return SP_OK; /* its chain came before what the snapshot holds */
    sp_log_record_chain(log->chains[rec->zone], h, log->chains[rec->zone]);
    return memcmp(log->chains[rec->zone], h + SP_LOG_AT_CHAIN, SP_LOG_CHAIN) == 0 ? SP_OK : SP_ERR_CORRUPT;
}

/* True when it is news to the owner. */
static bool journal_record(struct sp_log *log, struct sp_log_record *ret) {
    struct sp_log_reader *r = &log->reader;
    const uint8_t *h = r->joined;
    struct sp_log_record rec = {.seq = sp_log_get_u64(h + SP_LOG_AT_SEQ),
                                .zone = sp_get_u32(h + SP_LOG_AT_ZONE),
                                .kind = sp_get_u16(h + SP_LOG_AT_KIND),
                                .erased = (h[SP_LOG_AT_FLAGS] & SP_LOG_FLAG_ERASED) != 0,
                                .body = h + SP_LOG_RECORD,
                                .len = sp_get_u32(h)};
    sp_err err = check_record(log, &rec);
    if (err != SP_OK) {
        sp_log_fail(log, err);
        return false;
    }
    r->prev_seq = rec.seq;
    if (rec.seq <= log->super.seq)
        return false;
    log->seq = rec.seq;
    r->records++;
    if (rec.erased) {
        rec.body = NULL;
        rec.len = 0;
    }
    *ret = rec;
    return true;
}

bool sp_log_replay(struct sp_log *log, struct sp_log_record *ret) {
    struct sp_log_reader *r = &log->reader;
    while (log->state == SP_LOG_OPENING && r->phase >= SP_LOG_PH_SNAPSHOT && r->phase < SP_LOG_PH_SETTLE) {
        bool snapshot = r->phase == SP_LOG_PH_SNAPSHOT;
        if (r->phase != SP_LOG_PH_SCAN && join(log, snapshot ? SP_LOG_ENTRY : SP_LOG_RECORD)) {
            bool mine = snapshot ? snapshot_entry(log, ret) : journal_record(log, ret);
            r->joined_len = 0;
            if (mine)
                return true;
            continue;
        }
        if (log->state != SP_LOG_OPENING || next_block(log))
            continue;
        if (log->state != SP_LOG_OPENING || !sp_log_idle(log, SP_LOG_OP_READ))
            return false;
        if (r->at < r->end)
            read_next(log);
        else
            phase_end(log);
    }
    return false;
}
