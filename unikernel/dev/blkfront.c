#include "unikernel/dev/blkfront.h"

#define SECTORS (SP_BLK_SIZE / 512) /* of a block, which is a page */

void spx_blkfront_init(struct spx_blkfront *bf, struct spx_grants *grants, void *page) {
    memset(bf, 0, sizeof *bf);
    bf->grants = grants;
    bf->page = page;
    bf->fault = "not started";
}

static void fail(struct spx_blkfront *bf, const char *why) {
    if (bf->fault == NULL)
        bf->fault = why;
}

/* ---- start and stop ---- */

/* Ends the grants of a part; what the backend still holds stays with the part. */
static bool release(struct spx_blkfront *bf, struct spx_blk_part *part) {
    bool all = true;
    for (size_t i = 0; i < SPX_BLK_SEGMENTS; i++) {
        if (part->ref[i] == 0)
            continue;
        if (spx_grant_end(bf->grants, part->ref[i])) {
            spx_grant_free(bf->grants, part->ref[i]);
            part->ref[i] = 0;
        } else {
            all = false;
        }
    }
    return all;
}

sp_err spx_blkfront_stop(struct spx_blkfront *bf) {
    fail(bf, "stopped");
    bool all = true;
    for (size_t i = 0; i < SPX_BLK_RING; i++)
        all &= release(bf, &bf->parts[i]);
    return all ? SP_OK : SP_ERR_STATE;
}

void spx_blkfront_forget(struct spx_blkfront *bf) {
    bf->fault = "its domain has moved";
    for (size_t i = 0; i < SPX_BLK_RING; i++)
        memset(bf->parts[i].ref, 0, sizeof bf->parts[i].ref);
}

void spx_blkfront_abandon(struct spx_blkfront *bf) {
    fail(bf, "stopped");
    for (size_t i = 0; i < SPX_BLK_RING; i++) {
        bf->jobs[i].started = bf->jobs[i].ended = 0;
        bf->jobs[i].err = SP_ERR_IO;
    }
}

sp_err spx_blkfront_start(struct spx_blkfront *bf, uint16_t backend, uint16_t device) {
    SP_TRY(spx_blkfront_stop(bf));
    bf->backend = backend;
    bf->device = device;
    spx_ring_init(&bf->ring, bf->page, sizeof(blkif_request_t));
    SP_ASSERT(bf->ring.size == SPX_BLK_RING);
    for (size_t i = 0; i < SPX_BLK_RING; i++)
        bf->parts[i].used = false;
    return SP_OK;
}

void spx_blkfront_open(struct spx_blkfront *bf, const struct spx_blk_shape *shape) {
    bf->blocks = shape->sectors / SECTORS;
    bf->read_only = shape->read_only;
    bf->flush_op = shape->flush ? BLKIF_OP_FLUSH_DISKCACHE : shape->barrier ? BLKIF_OP_WRITE_BARRIER : 0;
    for (size_t i = 0; i < SPX_BLK_RING; i++) { /* what is done twice is the same as once */
        bf->jobs[i].started = bf->jobs[i].ended = 0;
        bf->jobs[i].err = SP_OK;
    }
    bf->fault = NULL;
}

/* ---- requests ---- */

static uint32_t length(const struct sp_blk_req *req) {
    return req->op == SP_BLK_FLUSH ? 1 : req->count;
}

sp_err spx_blkfront_submit(struct spx_blkfront *bf, const struct sp_blk_req *req) {
    bool flush = req->op == SP_BLK_FLUSH;
    if (flush != (req->count == 0) || (!flush && (req->count > bf->blocks || req->block > bf->blocks - req->count)))
        return SP_ERR_RANGE;
    SP_ASSERT(flush || (uintptr_t)req->buf % SPX_PAGE == 0);
    if (bf->read_only && req->op == SP_BLK_WRITE)
        return SP_ERR_DENIED;
    if (bf->fault != NULL)
        return SP_ERR_IO;
    for (size_t i = 0; i < SPX_BLK_RING; i++)
        if (!bf->jobs[i].used) {
            bf->jobs[i] = (struct spx_blk_job){.req = *req, .used = true};
            bf->n_jobs++;
            return SP_OK;
        }
    return SP_ERR_FULL;
}

static struct spx_blk_part *free_part(struct spx_blkfront *bf) {
    for (size_t i = 0; i < SPX_BLK_RING; i++)
        if (!bf->parts[i].used)
            return &bf->parts[i];
    return NULL;
}

static bool grant_pages(struct spx_blkfront *bf, struct spx_blk_part *part, const struct spx_blk_job *job,
                        blkif_request_t *request) {
    for (uint8_t i = 0; i < part->n; i++) {
        uint32_t ref = spx_grant_alloc(bf->grants);
        if (ref == 0)
            return false;
        spx_grant_permit(bf->grants, ref, bf->backend, job->req.buf + (size_t)(part->at + i) * SP_BLK_SIZE,
                         job->req.op == SP_BLK_WRITE);
        part->ref[i] = ref;
        request->seg[i] = (struct blkif_request_segment){.gref = ref, .first_sect = 0, .last_sect = SECTORS - 1};
    }
    return true;
}

/* The next part of a job goes into the ring; false when there is no room for it, or too few grants. */
static bool put_part(struct spx_blkfront *bf, uint8_t at) {
    struct spx_blk_job *job = &bf->jobs[at];
    struct spx_blk_part *part = spx_ring_room(&bf->ring) > 0 ? free_part(bf) : NULL;
    if (part == NULL)
        return false;
    uint32_t left = length(&job->req) - job->started;
    blkif_request_t request = {.handle = bf->device};
    *part = (struct spx_blk_part){.job = at, .at = job->started, .stamp = ++bf->stamp};
    if (job->req.op == SP_BLK_FLUSH) {
        request.operation = bf->flush_op;
    } else {
        request.operation = job->req.op == SP_BLK_READ ? BLKIF_OP_READ : BLKIF_OP_WRITE;
        request.sector_number = (job->req.block + job->started) * SECTORS;
        part->n = (uint8_t)(left < SPX_BLK_SEGMENTS ? left : SPX_BLK_SEGMENTS);
        request.nr_segments = part->n;
        if (!grant_pages(bf, part, job, &request)) {
            if (!release(bf, part))
                fail(bf, "it took hold of a page that it was not told of");
            return false;
        }
    }
    request.id = (uint64_t)part->stamp << 32 | (uint64_t)(part - bf->parts);
    part->used = true;
    job->started += part->n > 0 ? part->n : 1;
    spx_ring_put(&bf->ring, &request, sizeof request);
    return true;
}

/* Nothing to flush: the backend keeps no cache. */
static bool done_already(const struct spx_blkfront *bf, const struct spx_blk_job *job) {
    return job->req.op == SP_BLK_FLUSH && bf->flush_op == 0;
}

bool spx_blkfront_push(struct spx_blkfront *bf) {
    if (bf->n_jobs == 0)
        return false;
    for (uint8_t i = 0; i < SPX_BLK_RING && bf->fault == NULL; i++) {
        struct spx_blk_job *job = &bf->jobs[i];
        if (!job->used)
            continue;
        if (done_already(bf, job))
            job->started = job->ended = 1;
        while (job->started < length(&job->req) && job->err == SP_OK)
            if (!put_part(bf, i))
                break;
    }
    return bf->fault == NULL && spx_ring_push(&bf->ring);
}

/* ---- completions ---- */

static void accept(struct spx_blkfront *bf, const blkif_response_t *rsp) {
    uint32_t at = (uint32_t)rsp->id;
    if (at >= SPX_BLK_RING || !bf->parts[at].used || bf->parts[at].stamp != rsp->id >> 32) {
        fail(bf, "it answered what was not asked");
        return;
    }
    struct spx_blk_part *part = &bf->parts[at];
    struct spx_blk_job *job = &bf->jobs[part->job];
    if (!release(bf, part)) {
        fail(bf, "it keeps hold of pages that it has done with");
        return;
    }
    part->used = false;
    job->ended += part->n > 0 ? part->n : 1;
    if (rsp->status != BLKIF_RSP_OKAY) {
        bf->errors++;
        job->err = rsp->status == BLKIF_RSP_EOPNOTSUPP ? SP_ERR_UNSUP : SP_ERR_IO;
    }
}

/* Completed: all of its parts are back, and after an error no more go out. */
static bool finish(struct spx_blkfront *bf, struct spx_blk_job *job, struct spx_blk_done *ret) {
    if (!job->used || job->ended != job->started || (job->err == SP_OK && job->ended != length(&job->req)))
        return false;
    *ret = (struct spx_blk_done){job->req.id, job->err};
    job->used = false;
    bf->n_jobs--;
    return true;
}

size_t spx_blkfront_complete(struct spx_blkfront *bf, struct spx_blk_done *done, size_t n) {
    size_t got = 0;
    for (unsigned looks = 0; bf->fault == NULL;) {
        blkif_response_t rsp;
        enum spx_ring_next next = spx_ring_get(&bf->ring, &rsp, sizeof rsp);
        if (next == SPX_RING_BAD)
            fail(bf, "it claims more answers than there were requests");
        else if (next == SPX_RING_GOT)
            accept(bf, &rsp);
        else if (looks++ == 2 || !spx_ring_arm(&bf->ring, 1))
            break;
    }
    for (size_t i = 0; bf->n_jobs > 0 && i < SPX_BLK_RING && got < n; i++)
        got += finish(bf, &bf->jobs[i], &done[got]);
    return got;
}
