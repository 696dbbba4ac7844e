/* Inside the log. Who does what: block.c seals and checks blocks and frames bytes over them; superblock.c reads, writes
 * and lays out; journal.c gathers and writes groups; snapshot.c the other area; replay.c everything from new to READY;
 * log.c the rest.
 *
 * The device (version 1): two superblocks, two snapshot areas of 3/8 each, the journal ring in what is left (1/4 or a
 * bit more). Areas of their own rather than one log-structured space: a snapshot never competes with the journal for
 * blocks, so a full journal can always be freed, and no cleaner is needed. The price is that a small state cannot lend
 * its space to the journal.
 *
 * Blocks of the journal are numbered without end (pos; block pos % journal_blocks of the ring) and each is written once
 * a lap: a group of records starts in a block of its own, and a block that holds durable records is never written
 * again, so no later write can tear them. A lone small record thus takes 4 KiB, which is what the device writes anyway.
 *
 * What a block says of itself: pos (a block of an earlier lap has another one), the first pos of its group, the epoch,
 * and a SipHash of it all keyed by the device's random id (a block of another device or a torn one does not check). The
 * epoch counts openings and is made durable before the first append of each: what a cut tail leaves behind has an older
 * epoch than the block written before it, so it never replays.
 *
 * One group is under way at a time, and the next one is written after the flush of that one. So a block whose group
 * starts after P proves that everything up to P was durable once. Replay stops at the first block that does not check,
 * P. If any block of the ring proves P durable, or the superblock knows of durable records after it, there is damage:
 * ERR_CORRUPT, nothing is written. Else the rest is a torn tail and is cut. (Damage in the last group written since the
 * last opening or snapshot looks like a torn tail; nothing on the device could tell.) */
#ifndef SP_LOG_IMPL_H
#define SP_LOG_IMPL_H

#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/table.h"
#include "proto/log/log.h"

#define SP_LOG_VERSION        1
#define SP_LOG_BLOCKS_MIN     64
#define SP_LOG_HEAD           40 /* of a journal or snapshot block */
#define SP_LOG_PAYLOAD        (SP_BLK_SIZE - SP_LOG_HEAD)
#define SP_LOG_JOURNAL_MAGIC  0x53504a31u /* SPJ1 */
#define SP_LOG_SNAPSHOT_MAGIC 0x53505331u /* SPS1 */

#define SP_LOG_SNAP_BLOCKS 48 /* of one of the two snapshot buffers */
#define SP_LOG_READ_MAX    128

#define SP_LOG_SALT        16
#define SP_LOG_HASH        32
#define SP_LOG_RECORD      100 /* header: len, kind, flags, 0, seq, zone, salt, hash, chain */
#define SP_LOG_ENTRY       12  /* header in a snapshot: len, kind, flags, 0, zone */
#define SP_LOG_FLAG_ERASED 1
#define SP_LOG_FLAG_CHAIN  2 /* snapshot: the body is the zone's chain when the snapshot began */

/* Where the fields of a record's header stand. */
enum {
    SP_LOG_AT_LEN = 0,
    SP_LOG_AT_KIND = 4,
    SP_LOG_AT_FLAGS = 6,
    SP_LOG_AT_SEQ = 8,
    SP_LOG_AT_ZONE = 16,
    SP_LOG_AT_SALT = 20,
    SP_LOG_AT_HASH = 36,
    SP_LOG_AT_CHAIN = 68
};

/* A journal or snapshot block's header. */
struct sp_log_block {
    uint32_t magic;
    uint16_t used; /* bytes of payload */
    uint64_t epoch, pos, group;
};

/* Bytes framed over blocks, headers not yet filled in. */
struct sp_log_frame {
    uint8_t *buf;
    uint32_t cap, blocks; /* blocks: begun ones */
    uint32_t used;        /* payload bytes of the last one */
};

struct sp_log_layout {
    uint64_t snap[2], snap_blocks, journal, journal_blocks;
};

struct sp_log_super {
    uint8_t id[16];
    uint64_t generation, epoch, blocks;
    uint64_t snap_number; /* 0: no snapshot yet */
    uint8_t snap_area;
    uint64_t snap_blocks, snap_records, snap_epoch;
    uint64_t seq;         /* records up to this one are in the snapshot */
    uint64_t durable;     /* records up to this one were durable when this was written */
    uint64_t start;       /* pos where replay begins */
    uint64_t start_epoch; /* blocks from there on are of this epoch or a later one */
};

enum sp_log_op {
    SP_LOG_OP_READ,
    SP_LOG_OP_GROUP,
    SP_LOG_OP_GROUP_WRAP, /* the part of a group after the ring's end */
    SP_LOG_OP_GROUP_FLUSH,
    SP_LOG_OP_SNAP0,
    SP_LOG_OP_SNAP1,
    SP_LOG_OP_SNAP_FLUSH,
    SP_LOG_OP_SUPER,
    SP_LOG_OP_SUPER_FLUSH,
    SP_LOG_OPS
};

struct sp_log_slot {
    enum { SP_LOG_IDLE, SP_LOG_QUEUED, SP_LOG_ISSUED } state;
    struct sp_blk_req req;
};

struct sp_log_group {
    struct sp_log_frame frame;
    uint64_t records, last_seq;
};

struct sp_log_snapshot {
    enum {
        SP_LOG_SNAP_NONE,
        SP_LOG_SNAP_OPEN,    /* the owner puts */
        SP_LOG_SNAP_CLOSING, /* ended; its writes and the records appended before the end are on their way */
        SP_LOG_SNAP_FLUSH,
        SP_LOG_SNAP_SWITCH, /* the superblock is being written */
    } state;
    struct sp_log_frame half[2];
    uint8_t filling;
    uint8_t area;
    uint64_t number, written; /* blocks handed to the device */
    uint64_t records, end_seq;
    uint64_t seq, start; /* where the journal stood at begin */
};

enum sp_log_phase {
    SP_LOG_PH_SUPER,
    SP_LOG_PH_BLANK,
    SP_LOG_PH_SNAPSHOT,
    SP_LOG_PH_JOURNAL,
    SP_LOG_PH_SCAN,
    SP_LOG_PH_SETTLE,
    SP_LOG_PH_FINISH
};

struct sp_log_reader {
    enum sp_log_phase phase;
    uint64_t at, end;    /* next block to read and the one after the last: index in the snapshot, or pos */
    uint64_t base;       /* index or pos of the first block in the buffer */
    uint32_t have, next; /* blocks in the buffer; next one to look at */
    const uint8_t *pos;  /* rest of the current block's payload */
    uint32_t left;
    uint8_t *joined; /* the record being put together */
    size_t joined_len;
    uint64_t epoch, group; /* of the last good journal block */
    uint64_t prev_seq;     /* 0: none yet */
    uint64_t snap_records, cut, records;
    bool short_block; /* a snapshot block that is not full was seen: it must be the last */
};

struct sp_log {
    struct sp_mem *mem;
    struct sp_rng *rng;
    const struct sp_trace *trace;
    uint64_t device_blocks;
    bool format;
    enum sp_log_state state;
    sp_err error;

    struct sp_log_super super; /* as it is durably */
    struct sp_log_super super_next;
    uint8_t super_slot; /* where `super` stands */
    struct sp_log_layout layout;

    struct sp_log_slot slots[SP_LOG_OPS];
    uint64_t serial; /* of requests */

    void *buffers; /* one piece, of which they are cut */
    uint32_t group_blocks;
    uint8_t *super_buf, *read_buf;

    struct sp_log_group groups[2];
    uint8_t gathering;
    bool flying, wanted; /* the other group is under way; the gathering one shall follow */
    uint64_t next;       /* pos of the gathering group's first block */
    uint64_t seq, durable;

    struct sp_log_snapshot snap;
    uint64_t due_blocks;
    bool over; /* the last snapshot had no room for the state */

    struct sp_log_reader reader;
    struct sp_log_stats stats;
    uint8_t chains[SP_LOG_ZONES_MAX + 1][SP_LOG_CHAIN]; /* all zero: the zone has no record */
};

/* block.c */
void sp_log_block_seal(const uint8_t id[16], uint8_t *block, const struct sp_log_block *h);
/* False when the block does not check: torn, blank or another device's. */
bool sp_log_block_check(const uint8_t id[16], const uint8_t *block, struct sp_log_block *ret);
bool sp_log_block_blank(const uint8_t *block);
void sp_log_frame_reset(struct sp_log_frame *f);
size_t sp_log_frame_room(const struct sp_log_frame *f);
uint32_t sp_log_frame_blocks_with(const struct sp_log_frame *f, size_t len);
/* Puts what fits, and says how much that was. */
size_t sp_log_frame_put(struct sp_log_frame *f, const void *data, size_t len);
/* Fills in all headers: positions from `pos` on. */
void sp_log_frame_seal(struct sp_log_frame *f, const uint8_t id[16], uint32_t magic, uint64_t epoch, uint64_t pos,
                       uint64_t group);

/* superblock.c */
struct sp_log_layout sp_log_layout(uint64_t blocks);
/* OK, ERR_NOENT when it is none, ERR_UNSUP for another version. */
sp_err sp_log_super_parse(const uint8_t *block, struct sp_log_super *ret);
/* Picks the newer of the two in buf. */
sp_err sp_log_super_pick(struct sp_log *log, const uint8_t *buf);
/* Writes log->super_next into the slot that does not hold log->super, then flushes; then log->super is it. */
void sp_log_super_write(struct sp_log *log);
void sp_log_super_encode(const struct sp_log_super *s, uint8_t *block);

/* journal.c */
void sp_log_group_start(struct sp_log *log);
void sp_log_group_written(struct sp_log *log);
void sp_log_group_flushed(struct sp_log *log, sp_instant now);
void sp_log_record_chain(const uint8_t prev[SP_LOG_CHAIN], const uint8_t header[SP_LOG_RECORD],
                         uint8_t ret[SP_LOG_CHAIN]);

/* snapshot.c */
void sp_log_snapshot_step(struct sp_log *log);
void sp_log_snapshot_switched(struct sp_log *log, sp_instant now);

/* replay.c */
void sp_log_open_start(struct sp_log *log);
void sp_log_open_read(struct sp_log *log);
void sp_log_open_settled(struct sp_log *log);
void sp_log_open_finish(struct sp_log *log, sp_instant now);

/* log.c */
void sp_log_queue(struct sp_log *log, enum sp_log_op op, enum sp_blk_op blk, uint64_t block, uint32_t count,
                  uint8_t *buf);
void sp_log_fail(struct sp_log *log, sp_err err);
static inline bool sp_log_idle(const struct sp_log *log, enum sp_log_op op) {
    return log->slots[op].state == SP_LOG_IDLE;
}
static inline void sp_log_put_u64(uint8_t *p, uint64_t v) {
    sp_put_u32(p, (uint32_t)(v >> 32));
    sp_put_u32(p + 4, (uint32_t)v);
}
static inline uint64_t sp_log_get_u64(const uint8_t *p) {
    return (uint64_t)sp_get_u32(p) << 32 | sp_get_u32(p + 4);
}

/* Blocks of the journal that are left for records which make the state smaller. */
static inline uint64_t sp_log_reserve(const struct sp_log *log) {
    return log->layout.journal_blocks / 8;
}

#endif
