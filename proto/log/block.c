#include "proto/log/impl.h"

/* The sum comes first, over everything after it. */
enum { SUM = 0, MAGIC = 8, USED = 12, ZERO = 14, EPOCH = 16, POS = 24, GROUP = 32 };

void sp_log_block_seal(const uint8_t id[16], uint8_t *block, const struct sp_log_block *h) {
    sp_put_u32(block + MAGIC, h->magic);
    sp_put_u16(block + USED, h->used);
    sp_put_u16(block + ZERO, 0);
    sp_log_put_u64(block + EPOCH, h->epoch);
    sp_log_put_u64(block + POS, h->pos);
    sp_log_put_u64(block + GROUP, h->group);
    sp_log_put_u64(block + SUM, sp_siphash(id, block + MAGIC, SP_BLK_SIZE - MAGIC));
}

bool sp_log_block_check(const uint8_t id[16], const uint8_t *block, struct sp_log_block *ret) {
    struct sp_log_block h = {
        .magic = sp_get_u32(block + MAGIC),
        .used = sp_get_u16(block + USED),
        .epoch = sp_log_get_u64(block + EPOCH),
        .pos = sp_log_get_u64(block + POS),
        .group = sp_log_get_u64(block + GROUP),
    };
    if (h.magic != SP_LOG_JOURNAL_MAGIC && h.magic != SP_LOG_SNAPSHOT_MAGIC)
        return false;
    if (h.used > SP_LOG_PAYLOAD || sp_log_get_u64(block + SUM) != sp_siphash(id, block + MAGIC, SP_BLK_SIZE - MAGIC))
        return false;
    *ret = h;
    return true;
}

bool sp_log_block_blank(const uint8_t *block) {
    return block[0] == 0 && memcmp(block, block + 1, SP_BLK_SIZE - 1) == 0;
}

void sp_log_frame_reset(struct sp_log_frame *f) {
    f->blocks = 0;
    f->used = 0;
}

size_t sp_log_frame_room(const struct sp_log_frame *f) {
    size_t room = (size_t)(f->cap - f->blocks) * SP_LOG_PAYLOAD;
    return f->blocks > 0 ? room + SP_LOG_PAYLOAD - f->used : room;
}

uint32_t sp_log_frame_blocks_with(const struct sp_log_frame *f, size_t len) {
    size_t here = f->blocks > 0 ? SP_LOG_PAYLOAD - f->used : 0;
    if (len <= here)
        return f->blocks;
    return f->blocks + (uint32_t)((len - here + SP_LOG_PAYLOAD - 1) / SP_LOG_PAYLOAD);
}

size_t sp_log_frame_put(struct sp_log_frame *f, const void *data, size_t len) {
    const uint8_t *from = data;
    size_t done = 0;
    while (done < len) {
        if (f->blocks == 0 || f->used == SP_LOG_PAYLOAD) {
            if (f->blocks == f->cap)
                break;
            f->blocks++;
            f->used = 0;
        }
        size_t n = SP_LOG_PAYLOAD - f->used < len - done ? SP_LOG_PAYLOAD - f->used : len - done;
        memcpy(f->buf + (size_t)(f->blocks - 1) * SP_BLK_SIZE + SP_LOG_HEAD + f->used, from + done, n);
        f->used += (uint32_t)n;
        done += n;
    }
    return done;
}

void sp_log_frame_seal(struct sp_log_frame *f, const uint8_t id[16], uint32_t magic, uint64_t epoch, uint64_t pos,
                       uint64_t group) {
    for (uint32_t i = 0; i < f->blocks; i++) {
        uint8_t *block = f->buf + (size_t)i * SP_BLK_SIZE;
        uint32_t used = i + 1 < f->blocks ? SP_LOG_PAYLOAD : f->used;
        /* What an earlier use left in the buffer stays off the disk. */
        memset(block + SP_LOG_HEAD + used, 0, SP_LOG_PAYLOAD - used);
        struct sp_log_block h = {magic, (uint16_t)used, epoch, pos + i, group};
        sp_log_block_seal(id, block, &h);
    }
}
