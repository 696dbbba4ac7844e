/* The log: a zone's history. One journal over a block device; records hash-chained per zone; group commit; snapshots
 * bound replay; torn tails are cut, a full disk refuses. Sans-I/O: block requests are pulled and completed by the owner
 * of the log.
 *
 * A record is (zone, kind, body). On disk its header carries sequence number, zone, a random salt, SHA-256(salt ||
 * body) and the zone's chain: SHA-256(previous chain || header), so that a body can be erased and the chain still
 * checks. Records must be idempotent (they say what is, not what changed by how much): a snapshot is taken in slices
 * while appends go on, and replay runs every record since the snapshot *began* over the snapshot's contents. */
#ifndef SP_LOG_LOG_H
#define SP_LOG_LOG_H

#include "proto/base/host.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "proto/base/trace.h"
#include "proto/crypto/crypto.h"

#define SP_LOG_BODY_MAX   (SP_CHUNK / 16) /* 128 KiB */
#define SP_LOG_GROUP_MIN  40              /* blocks: a record of the largest body fits */
#define SP_LOG_GROUP_MAX  160
#define SP_LOG_ZONES_MAX  4096
#define SP_LOG_CHAIN      32
#define SP_LOG_PIECES_MAX 15

enum sp_log_state {
    SP_LOG_OPENING, /* reading superblock, snapshot, journal; sp_log_replay yields records */
    SP_LOG_READY,   /* appends are taken */
    SP_LOG_FAILED,  /* a device error or damage beyond the torn tail; see sp_log_error */
};

struct sp_log_record {
    uint64_t seq;  /* 0 for records out of the snapshot */
    uint32_t zone; /* the owner's number for the zone; 0: records of no zone */
    uint16_t kind; /* the owner's */
    bool erased;   /* the body is gone, its hash still in the chain */
    const uint8_t *body;
    size_t len;
};

struct sp_log;

/* A log over a device of `blocks` blocks (at least 64, below 2^32: ERR_RANGE). format: a blank device (zeroes) may be
 * formatted; a formatted one opens as ever, and one that is neither fails with ERR_EXIST. So after a power cut during
 * the first start format may be passed again. Without it a device without superblock fails with ERR_CORRUPT. Nothing
 * that might be data is ever overwritten. group_blocks, SP_LOG_GROUP_MIN to SP_LOG_GROUP_MAX, are written at once at
 * most: two such groups of mem are owned until freed, and 0.6 MiB more. Borrows mem, rng and trace. ERR_FULL. */
SP_CHECK sp_err sp_log_new(struct sp_log **ret, struct sp_mem *mem, uint64_t blocks, bool format, uint32_t group_blocks,
                           struct sp_rng *rng, const struct sp_trace *trace);
/* No request may be under way. */
void sp_log_free(struct sp_log *log);
enum sp_log_state sp_log_state(const struct sp_log *log);
/* Why it FAILED: ERR_CORRUPT (damage, or no log), ERR_UNSUP (another version's device), ERR_EXIST (see new), ERR_RANGE (the
 * device is smaller than when it was formatted), or the error that a request completed with. Nothing is acknowledged after a failure. */
sp_err sp_log_error(const struct sp_log *log);

/* The next block request; false when there is none now. Its buffer belongs to the log until completed. */
bool sp_log_request(struct sp_log *log, struct sp_blk_req *ret);
void sp_log_complete(struct sp_log *log, uint64_t id, sp_err err, sp_instant now);

/* While opening: the next record, its body borrowed until the next call on the log. False: none now (more may follow,
 * or READY, or FAILED). To be called until false after each completion; opening goes on only by it. */
bool sp_log_replay(struct sp_log *log, struct sp_log_record *ret);

/* Takes a record (at most SP_LOG_PIECES_MAX pieces, joined its body) and gives its sequence number. It reaches the disk
 * after sp_log_commit, or earlier when the buffer is full. When it could not be taken nothing has changed: ERR_NOSPC,
 * the journal is full (until a snapshot frees some) or the state too large (until a snapshot holds it); ERR_AGAIN, both
 * buffers are (until the write under way ends); ERR_RANGE, body, pieces or zone are too large; ERR_STATE unless READY.
 * Never blocks. */
SP_CHECK sp_err sp_log_append(struct sp_log *log, uint32_t zone, uint16_t kind, const struct sp_piece *body, size_t n,
                              uint64_t *ret_seq);
/* The same for a record that makes the owner's state smaller. It is taken, too, when a snapshot has had no room for the
 * state, and may use the last eighth of the journal. Else a state which outgrew the snapshots could never shrink again.
 */
SP_CHECK sp_err sp_log_append_last(struct sp_log *log, uint32_t zone, uint16_t kind, const struct sp_piece *body,
                                   size_t n, uint64_t *ret_seq);
/* Starts writing what was appended, unless a write is under way: then it follows as one group when that ends. */
void sp_log_commit(struct sp_log *log);
/* Every record up to and with this number is on stable storage. */
uint64_t sp_log_durable(const struct sp_log *log);
/* The chain's head of a zone, after all appended records; false if the zone has no record. */
bool sp_log_chain(const struct sp_log *log, uint32_t zone, uint8_t ret[SP_LOG_CHAIN]);

/* Snapshots. due: enough journal has been used since the last one. Between begin and end the owner puts records that
 * together describe its whole state, in as many calls over as long a time as it likes; ERR_AGAIN: buffers are busy, put
 * the same again later. ERR_NOSPC: the state is larger than 3/8 of the device; the snapshot is given up (abort is
 * implied). begin: ERR_AGAIN while writes of an aborted one are under way, ERR_STATE while a snapshot is. end needs no
 * commit: it makes sure itself that everything appended before it is durable before the snapshot counts. abort: nothing
 * unless begun and not ended. */
bool sp_log_snapshot_due(const struct sp_log *log);
SP_CHECK sp_err sp_log_snapshot_begin(struct sp_log *log);
SP_CHECK sp_err sp_log_snapshot_put(struct sp_log *log, uint32_t zone, uint16_t kind, const struct sp_piece *body,
                                    size_t n);
SP_CHECK sp_err sp_log_snapshot_end(struct sp_log *log); /* the journal before `begin` is reused once this is durable */
void sp_log_snapshot_abort(struct sp_log *log);

struct sp_log_stats {
    uint64_t blocks; /* that the log was laid out for; before it is known, of the device */
    uint64_t journal_blocks, journal_blocks_used;
    uint64_t records;            /* ever appended to this device */
    uint64_t flushes, snapshots; /* since opened */
    uint64_t torn; /* pieces (blocks, a record's beginning) of an unfinished last group found and cut when opened */
};
void sp_log_stats(const struct sp_log *log, struct sp_log_stats *ret);

#endif
