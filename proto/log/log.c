#include "proto/log/impl.h"

static size_t buffer_blocks(const struct sp_log *log) {
    return (size_t)2 * log->group_blocks + 2 * SP_LOG_SNAP_BLOCKS + 1;
}

/* One block more, to begin at a whole one. */
static size_t buffer_size(const struct sp_log *log) {
    return (buffer_blocks(log) + 1) * SP_BLK_SIZE;
}

/* Cuts the buffers out of one piece. The group buffers also serve reading, the snapshot's the joining of records:
 * nothing is appended or put while the log opens. */
static void cut_buffers(struct sp_log *log) {
    uintptr_t at = ((uintptr_t)log->buffers + SP_BLK_SIZE - 1) / SP_BLK_SIZE * SP_BLK_SIZE;
    uint8_t *p = (uint8_t *)at;
    size_t group = (size_t)log->group_blocks * SP_BLK_SIZE, half = (size_t)SP_LOG_SNAP_BLOCKS * SP_BLK_SIZE;
    _Static_assert(SP_LOG_RECORD + SP_LOG_BODY_MAX <= 2 * SP_LOG_SNAP_BLOCKS * SP_BLK_SIZE, "joining fits");
    _Static_assert(SP_LOG_RECORD + SP_LOG_BODY_MAX <= SP_LOG_GROUP_MIN * SP_LOG_PAYLOAD, "a record fits a group");
    _Static_assert(SP_LOG_ENTRY + SP_LOG_BODY_MAX <= SP_LOG_SNAP_BLOCKS * SP_LOG_PAYLOAD, "an entry fits a half");
    _Static_assert((SP_LOG_ZONES_MAX + 1) * (SP_LOG_ENTRY + SP_LOG_CHAIN) <= SP_LOG_SNAP_BLOCKS * SP_LOG_PAYLOAD,
                   "all chains fit a half");
    for (size_t i = 0; i < 2; i++) {
        log->groups[i].frame = (struct sp_log_frame){.buf = p + i * group, .cap = log->group_blocks};
        log->snap.half[i] = (struct sp_log_frame){.buf = p + 2 * group + i * half, .cap = SP_LOG_SNAP_BLOCKS};
    }
    log->read_buf = p;
    log->reader.joined = log->snap.half[0].buf;
    log->super_buf = p + 2 * group + 2 * half;
}

sp_err sp_log_new(struct sp_log **ret, struct sp_mem *mem, uint64_t blocks, bool format, uint32_t group_blocks,
                  struct sp_rng *rng, const struct sp_trace *trace) {
    if (blocks < SP_LOG_BLOCKS_MIN || blocks > UINT32_MAX || group_blocks < SP_LOG_GROUP_MIN ||
        group_blocks > SP_LOG_GROUP_MAX)
        return SP_ERR_RANGE;
    struct sp_log *log = sp_mem_alloc(mem, sizeof *log);
    if (log == NULL)
        return SP_ERR_FULL;
    log->mem = mem;
    log->rng = rng;
    log->trace = trace;
    log->device_blocks = blocks;
    log->format = format;
    log->group_blocks = group_blocks;
    log->buffers = sp_mem_alloc(mem, buffer_size(log));
    if (log->buffers == NULL) {
        sp_mem_free(mem, log, sizeof *log);
        return SP_ERR_FULL;
    }
    cut_buffers(log);
    sp_log_open_start(log);
    *ret = log;
    return SP_OK;
}

void sp_log_free(struct sp_log *log) {
    if (log == NULL)
        return;
    struct sp_mem *mem = log->mem;
    /* Bodies may hold keys. */
    sp_wipe(log->buffers, buffer_size(log));
    sp_mem_free(mem, log->buffers, buffer_size(log));
    sp_mem_free(mem, log, sizeof *log);
}

enum sp_log_state sp_log_state(const struct sp_log *log) {
    return log->state;
}

sp_err sp_log_error(const struct sp_log *log) {
    return log->error;
}

void sp_log_fail(struct sp_log *log, sp_err err) {
    if (log->state == SP_LOG_FAILED)
        return;
    log->state = SP_LOG_FAILED;
    log->error = err;
    for (int i = 0; i < SP_LOG_OPS; i++)
        if (log->slots[i].state == SP_LOG_QUEUED)
            log->slots[i].state = SP_LOG_IDLE;
}

void sp_log_queue(struct sp_log *log, enum sp_log_op op, enum sp_blk_op blk, uint64_t block, uint32_t count,
                  uint8_t *buf) {
    struct sp_log_slot *s = &log->slots[op];
    SP_ASSERT(s->state == SP_LOG_IDLE);
    s->state = SP_LOG_QUEUED;
    s->req = (struct sp_blk_req){++log->serial * SP_LOG_OPS + op, blk, block, count, buf};
}

bool sp_log_request(struct sp_log *log, struct sp_blk_req *ret) {
    for (int i = 0; i < SP_LOG_OPS; i++) {
        struct sp_log_slot *s = &log->slots[i];
        if (s->state == SP_LOG_QUEUED) {
            s->state = SP_LOG_ISSUED;
            *ret = s->req;
            return true;
        }
    }
    return false;
}

static void super_flushed(struct sp_log *log, sp_instant now) {
    if (log->state == SP_LOG_OPENING && log->reader.phase == SP_LOG_PH_SETTLE) {
        sp_log_open_settled(log);
        return;
    }
    log->super = log->super_next;
    log->super_slot ^= 1;
    if (log->state == SP_LOG_OPENING)
        sp_log_open_finish(log, now);
    else
        sp_log_snapshot_switched(log, now);
}

void sp_log_complete(struct sp_log *log, uint64_t id, sp_err err, sp_instant now) {
    enum sp_log_op op = (enum sp_log_op)(id % SP_LOG_OPS);
    struct sp_log_slot *s = &log->slots[op];
    if (s->state != SP_LOG_ISSUED || s->req.id != id)
        return; /* of an earlier log on the same host */
    s->state = SP_LOG_IDLE;
    if (log->state == SP_LOG_FAILED)
        return;
    if (err != SP_OK) {
        sp_log_fail(log, err);
        return;
    }
    if (s->req.op == SP_BLK_FLUSH)
        log->stats.flushes++;
    switch (op) {
    case SP_LOG_OP_READ:
        sp_log_open_read(log);
        break;
    case SP_LOG_OP_GROUP:
    case SP_LOG_OP_GROUP_WRAP:
        sp_log_group_written(log);
        break;
    case SP_LOG_OP_GROUP_FLUSH:
        sp_log_group_flushed(log, now);
        break;
    case SP_LOG_OP_SNAP0:
    case SP_LOG_OP_SNAP1:
    case SP_LOG_OP_SNAP_FLUSH:
        sp_log_snapshot_step(log);
        break;
    case SP_LOG_OP_SUPER:
        sp_log_queue(log, SP_LOG_OP_SUPER_FLUSH, SP_BLK_FLUSH, 0, 0, NULL);
        break;
    case SP_LOG_OP_SUPER_FLUSH:
        super_flushed(log, now);
        break;
    case SP_LOG_OPS:
        break;
    }
}

void sp_log_stats(const struct sp_log *log, struct sp_log_stats *ret) {
    *ret = log->stats;
    ret->blocks = log->super.blocks != 0 ? log->super.blocks : log->device_blocks;
    ret->journal_blocks = log->layout.journal_blocks;
    ret->journal_blocks_used = log->next - log->super.start;
    ret->records = log->seq;
}
