/* A log over a device in memory whose requests complete at once, unless held; what log tests share. */
#ifndef SP_TESTS_LOG_HELP_H
#define SP_TESTS_LOG_HELP_H

#include <stdlib.h>
#include <string.h>

#include "tests/unit/cm.h"

#include "proto/log/impl.h"

#define TL_RECORDS 4096

struct tl_record {
    struct sp_log_record rec;
    uint8_t *body;
};

struct tl {
    uint8_t *disk;
    uint64_t blocks;
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_log *log;
    void *spare; /* one chunk kept: thousands of openings would spend their time in the kernel */
    unsigned reads, writes, flushes, blocks_written;
    unsigned fail_after;                  /* the so-manieth write or flush from now on fails; 0: none */
    struct tl_record records[TL_RECORDS]; /* of the last open */
    size_t n;
};

static inline void *tl_grant(void *ctx, size_t bytes) {
    struct tl *t = ctx;
    void *p = t->spare;
    if (bytes != SP_CHUNK || p == NULL)
        return sp_test_grant().grant(NULL, bytes);
    t->spare = NULL;
    memset(p, 0, bytes);
    return p;
}

static inline void tl_release(void *ctx, void *chunk, size_t bytes) {
    struct tl *t = ctx;
    if (bytes == SP_CHUNK && t->spare == NULL)
        t->spare = chunk;
    else
        sp_test_grant().release(NULL, chunk, bytes);
}

static inline struct tl *tl_new(uint64_t blocks) {
    struct tl *t = calloc(1, sizeof *t);
    t->blocks = blocks;
    t->disk = calloc(blocks, SP_BLK_SIZE);
    uint8_t seed[SP_RNG_SEED] = {7};
    assert_int_equal(sp_crypto_init(), SP_OK);
    sp_rng_init(&t->rng, seed);
    sp_mem_init(&t->mem, (struct sp_grant){t, tl_grant, tl_release}, 16 * SP_CHUNK);
    return t;
}

static inline void tl_forget(struct tl *t) {
    for (size_t i = 0; i < t->n; i++)
        free(t->records[i].body);
    t->n = 0;
}

static inline uint8_t *tl_block(struct tl *t, uint64_t block) {
    return t->disk + block * SP_BLK_SIZE;
}

static inline sp_err tl_do(struct tl *t, const struct sp_blk_req *r) {
    if (r->op != SP_BLK_FLUSH) {
        assert_true(r->count > 0 && r->block < t->blocks && r->count <= t->blocks - r->block);
        assert_int_equal((uintptr_t)r->buf % SP_BLK_SIZE, 0);
    }
    if (r->op != SP_BLK_READ && t->fail_after > 0 && --t->fail_after == 0)
        return SP_ERR_IO;
    switch (r->op) {
    case SP_BLK_READ:
        t->reads++;
        memcpy(r->buf, tl_block(t, r->block), (size_t)r->count * SP_BLK_SIZE);
        break;
    case SP_BLK_WRITE:
        t->writes++;
        t->blocks_written += r->count;
        memcpy(tl_block(t, r->block), r->buf, (size_t)r->count * SP_BLK_SIZE);
        break;
    case SP_BLK_FLUSH:
        t->flushes++;
        break;
    }
    return SP_OK;
}

/* Does one request; false when there is none. */
static inline bool tl_step(struct tl *t) {
    struct sp_blk_req r;
    if (!sp_log_request(t->log, &r))
        return false;
    sp_log_complete(t->log, r.id, tl_do(t, &r), 0);
    return true;
}

static inline void tl_pump(struct tl *t) {
    while (tl_step(t))
        ;
}

static inline void tl_keep(struct tl *t, const struct sp_log_record *rec) {
    assert_true(t->n < TL_RECORDS);
    struct tl_record *k = &t->records[t->n++];
    k->rec = *rec;
    k->body = malloc(rec->len + 1);
    if (rec->len > 0)
        memcpy(k->body, rec->body, rec->len);
}

/* Opens what is on the disk, keeps the records; the log's state says how it went. */
static inline enum sp_log_state tl_open(struct tl *t, bool format) {
    tl_forget(t);
    sp_log_free(t->log);
    assert_int_equal(sp_log_new(&t->log, &t->mem, t->blocks, format, SP_LOG_GROUP_MAX, &t->rng, NULL), SP_OK);
    struct sp_log_record rec;
    do {
        while (sp_log_replay(t->log, &rec))
            tl_keep(t, &rec);
    } while (tl_step(t));
    assert_int_not_equal(sp_log_state(t->log), SP_LOG_OPENING);
    t->writes = t->flushes = t->blocks_written = t->reads = 0;
    return sp_log_state(t->log);
}

static inline void tl_free(struct tl *t) {
    tl_forget(t);
    sp_log_free(t->log);
    assert_int_equal(t->mem.used, 0);
    sp_mem_done(&t->mem);
    assert_int_equal(t->mem.granted, 0);
    free(t->spare);
    free(t->disk);
    free(t);
}

static inline sp_err tl_append(struct tl *t, uint32_t zone, uint16_t kind, const void *body, size_t len) {
    uint64_t seq;
    struct sp_piece p = {body, len};
    return sp_log_append_last(t->log, zone, kind, &p, 1, &seq);
}

/* Appends `len` bytes that tell of (zone, tag), commits and completes. */
static inline void tl_put(struct tl *t, uint32_t zone, uint16_t tag, size_t len) {
    uint8_t *body = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(tag * 31 + i * 7);
    assert_int_equal(tl_append(t, zone, tag, body, len), SP_OK);
    free(body);
    sp_log_commit(t->log);
    tl_pump(t);
    assert_int_equal(sp_log_state(t->log), SP_LOG_READY);
}

static inline void tl_expect(struct tl *t, size_t i, uint64_t seq, uint32_t zone, uint16_t tag, size_t len) {
    assert_true(i < t->n);
    struct tl_record *k = &t->records[i];
    assert_int_equal(k->rec.seq, seq);
    assert_int_equal(k->rec.zone, zone);
    assert_int_equal(k->rec.kind, tag);
    assert_int_equal(k->rec.len, len);
    for (size_t j = 0; j < len; j++)
        assert_int_equal(k->body[j], (uint8_t)(tag * 31 + j * 7));
}

static inline struct sp_log_stats tl_stats(const struct tl *t) {
    struct sp_log_stats s;
    sp_log_stats(t->log, &s);
    return s;
}

#endif
