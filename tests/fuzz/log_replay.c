/* Opens a device made of the input. First byte: bit 0, start from a valid device instead of a blank one; bit 1, seal
 * what was changed again, so that the parsers behind the sums are met; bit 2, allow formatting. Then changes: block,
 * offset (16 bits each), length (8 bits) and so many bytes. A device that opens takes a record, and has it when opened
 * again. */
#include <stdlib.h>
#include <string.h>

#include "proto/log/impl.h"
#include "tests/support/support.h"

#define BLOCKS 64

static const uint8_t SEED[SP_RNG_SEED] = {1};
static const uint8_t NO_KEY[16];

struct device {
    uint8_t *disk;
    struct sp_mem mem;
    struct sp_rng rng;
    size_t records;
};

/* Chunks are kept from one input to the next: granting them anew would take most of the time. */
static void *spare[2];

static void *grant(void *ctx, size_t bytes) {
    for (int i = 0; i < 2; i++)
        if (spare[i] != NULL && bytes == SP_CHUNK) {
            void *p = spare[i];
            spare[i] = NULL;
            return memset(p, 0, bytes);
        }
    return sp_test_grant().grant(NULL, bytes);
}

static void release(void *ctx, void *chunk, size_t bytes) {
    for (int i = 0; i < 2; i++)
        if (spare[i] == NULL && bytes == SP_CHUNK) {
            spare[i] = chunk;
            return;
        }
    sp_test_grant().release(NULL, chunk, bytes);
}

static void fail_if(bool wrong) {
    if (wrong)
        abort();
}

static void pump(struct device *d, struct sp_log *log) {
    struct sp_log_record rec;
    struct sp_blk_req r;
    for (;;) {
        while (sp_log_replay(log, &rec)) {
            uint8_t copy[64];
            for (size_t i = 0; i < rec.len; i += sizeof copy)
                memcpy(copy, rec.body + i, rec.len - i < sizeof copy ? rec.len - i : sizeof copy);
            d->records++;
        }
        if (!sp_log_request(log, &r))
            return;
        if (r.op != SP_BLK_FLUSH) {
            fail_if(r.block >= BLOCKS || r.count > BLOCKS - r.block);
            uint8_t *at = d->disk + r.block * SP_BLK_SIZE;
            size_t len = (size_t)r.count * SP_BLK_SIZE;
            r.op == SP_BLK_READ ? memcpy(r.buf, at, len) : memcpy(at, r.buf, len);
        }
        sp_log_complete(log, r.id, SP_OK, 0);
    }
}

static struct sp_log *open_log(struct device *d, bool format) {
    struct sp_log *log;
    fail_if(sp_log_new(&log, &d->mem, BLOCKS, format, SP_LOG_GROUP_MAX, &d->rng, NULL) != SP_OK);
    d->records = 0;
    pump(d, log);
    fail_if(sp_log_state(log) == SP_LOG_OPENING);
    return log;
}

static void append(struct device *d, struct sp_log *log, uint32_t zone, size_t len) {
    static uint8_t body[20000];
    struct sp_piece p = {body, len};
    uint64_t seq;
    fail_if(sp_log_append(log, zone, 1, &p, 1, &seq) != SP_OK);
    sp_log_commit(log);
    pump(d, log);
}

/* A device with a snapshot, groups of one and several blocks, and a few records behind the snapshot. */
static void make_valid(struct device *d) {
    struct sp_log *log = open_log(d, true);
    for (uint32_t i = 0; i < 6; i++)
        append(d, log, i % 3, i * 900);
    struct sp_piece p = {"state", 5};
    fail_if(sp_log_snapshot_begin(log) != SP_OK);
    append(d, log, 1, 30);
    for (uint32_t i = 0; i < 9; i++)
        fail_if(sp_log_snapshot_put(log, i, 2, &p, 1) != SP_OK);
    fail_if(sp_log_snapshot_end(log) != SP_OK);
    pump(d, log);
    append(d, log, 2, 5000);
    append(d, log, 1, 40);
    sp_log_free(log);
}

static void seal(uint8_t *disk, uint64_t block) {
    uint8_t *b = disk + block * SP_BLK_SIZE;
    if (block < 2) {
        sp_log_put_u64(b, sp_siphash(NO_KEY, b + 8, SP_BLK_SIZE - 8));
        return;
    }
    /* The id as either superblock has it, behind sum, magic and version. */
    sp_log_put_u64(b, sp_siphash(disk + 20, b + 8, SP_BLK_SIZE - 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len == 0 || sp_crypto_init() != SP_OK)
        return 0;
    struct device d = {.disk = calloc(BLOCKS, SP_BLK_SIZE)};
    sp_rng_init(&d.rng, SEED);
    sp_mem_init(&d.mem, (struct sp_grant){NULL, grant, release}, 8 * SP_CHUNK);
    static uint8_t *valid;
    if (valid == NULL) {
        make_valid(&d);
        valid = d.disk;
        d.disk = calloc(BLOCKS, SP_BLK_SIZE);
    }
    if (data[0] & 1)
        memcpy(d.disk, valid, BLOCKS * SP_BLK_SIZE);
    struct sp_rd r = sp_rd_init(data + 1, len - 1);
    while (sp_rd_left(&r) > 5) {
        uint64_t block = sp_rd_u16(&r) % BLOCKS;
        size_t offset = sp_rd_u16(&r) % SP_BLK_SIZE, n = sp_rd_u8(&r);
        n = n < sp_rd_left(&r) ? n : sp_rd_left(&r);
        n = n < SP_BLK_SIZE - offset ? n : SP_BLK_SIZE - offset;
        sp_rd_copy(&r, d.disk + block * SP_BLK_SIZE + offset, n);
        if (data[0] & 2)
            seal(d.disk, block);
    }
    struct sp_log *log = open_log(&d, (data[0] & 4) != 0);
    if (sp_log_state(log) == SP_LOG_READY) {
        size_t records = d.records;
        struct sp_log_stats s;
        sp_log_stats(log, &s);
        bool room = s.journal_blocks_used < s.journal_blocks;
        if (room)
            append(&d, log, 7, 100);
        sp_log_free(log);
        log = open_log(&d, false);
        fail_if(sp_log_state(log) != SP_LOG_READY || d.records != records + room);
    }
    sp_log_free(log);
    sp_mem_done(&d.mem);
    free(d.disk);
    return 0;
}
