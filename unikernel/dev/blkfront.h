/* A disk: blocks through a ring that a backend in another domain serves (Xen's io/blkif.h). The data path, as
 * netfront.h is for frames: it talks to no one, and trusts the backend with nothing but the blocks themselves.
 *
 * Requests are the host contract's: the caller's pages are granted while a request is on its way, and are the backend's
 * until its completion. Requests complete in any order; long ones go as several of the ring's. */
#ifndef SPX_BLKFRONT_H
#define SPX_BLKFRONT_H

#include "proto/base/host.h"
#include "unikernel/dev/ring.h"
#include "unikernel/xen/grant.h"

#include <xen/io/blkif.h>

#define SPX_BLK_RING     32 /* entries of a ring of one page, and the most requests at once */
#define SPX_BLK_SEGMENTS BLKIF_MAX_SEGMENTS_PER_REQUEST

struct spx_blk_done {
    uint64_t id;
    sp_err err; /* ERR_IO: the backend says so; ERR_UNSUP: it cannot do this */
};

struct spx_blkfront {
    struct spx_grants *grants;
    uint16_t backend, device; /* domain; the number that the requests carry */
    const char *fault;
    void *page;
    struct spx_ring ring;
    uint64_t blocks;
    bool read_only;
    uint8_t flush_op; /* BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_WRITE_BARRIER, or 0: what is written is safe as it is */
    struct spx_blk_job {
        struct sp_blk_req req;
        bool used;
        sp_err err;
        uint32_t started, ended; /* blocks; a flush counts as one */
    } jobs[SPX_BLK_RING];
    unsigned n_jobs; /* in use */
    struct spx_blk_part { /* what one of the ring's requests is of */
        bool used;
        uint8_t job, n;
        uint32_t at; /* first of its blocks, from the job's */
        uint32_t stamp;
        uint32_t ref[SPX_BLK_SEGMENTS];
    } parts[SPX_BLK_RING];
    uint32_t stamp;
    uint64_t errors;
};

/* `page` is the device's from now on. */
void spx_blkfront_init(struct spx_blkfront *bf, struct spx_grants *grants, void *page);
/* An empty ring to that backend. ERR_STATE: an earlier backend keeps hold of pages. */
SP_CHECK sp_err spx_blkfront_start(struct spx_blkfront *bf, uint16_t backend, uint16_t device);
/* What the backend says of the disk. Requests go from here on; those that were not completed before go out again,
 * whole. */
struct spx_blk_shape {
    uint64_t sectors; /* of 512 bytes */
    bool read_only, flush, barrier;
};
void spx_blkfront_open(struct spx_blkfront *bf, const struct spx_blk_shape *shape);
/* Ends all grants; requests stay, and go out again at the next start. ERR_STATE: the backend keeps hold of pages. */
SP_CHECK sp_err spx_blkfront_stop(struct spx_blkfront *bf);
/* The grants are gone, with the whole table, after a resume. */
void spx_blkfront_forget(struct spx_blkfront *bf);
/* The device is gone for good: requests that were not completed are now, with ERR_IO. (The backend may have hold of
 * their pages still, as spx_blkfront_stop says.) */
void spx_blkfront_abandon(struct spx_blkfront *bf);

/* Takes a request; its buffer is borrowed until its completion. ERR_FULL: SPX_BLK_RING of them are on their way;
 * ERR_RANGE: past the disk's end, or count and operation do not fit; ERR_DENIED: the disk is read-only; ERR_IO: the
 * device has stopped. */
SP_CHECK sp_err spx_blkfront_submit(struct spx_blkfront *bf, const struct sp_blk_req *req);
/* Takes up to n completions, also from a device that has stopped. Fewer than n: there are no more, and an event comes
 * with the next. */
size_t spx_blkfront_complete(struct spx_blkfront *bf, struct spx_blk_done *done, size_t n);
/* Puts what fits into the ring and shows it the backend; true when it wants an event. To be called after requests and
 * after completions, as these make room. A flush of a disk that needs none is complete after this, without an event. */
SP_CHECK bool spx_blkfront_push(struct spx_blkfront *bf);

#endif
