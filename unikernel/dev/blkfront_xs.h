/* A disk as the host uses it: finds its backend, agrees with it, notices what becomes of it. Requests go through
 * blkfront.h's functions on `disk`. */
#ifndef SPX_BLKFRONT_XS_H
#define SPX_BLKFRONT_XS_H

#include "unikernel/dev/blkfront.h"
#include "unikernel/dev/bus.h"

struct spx_blkdev {
    struct spx_blkfront disk;
    struct spx_bus bus;
    uint64_t number; /* Xen's, of the name */
    uint32_t port, ring_ref;
    bool up;
};

/* The number of "xvda" to "xvdp", the only names there are here; 0 for others. */
uint64_t spx_blkdev_number(const char *name);
/* Connects the disk of that number, waiting for its backend. `disk` was initialised. Errors as spx_netdev_open. */
SP_CHECK sp_err spx_blkdev_open(struct spx_blkdev *dev, struct spx_xs *xs, uint64_t number, unsigned token);
/* Gives back channel and grants, and tells the backend; what was on its way is completed with ERR_IO. */
void spx_blkdev_close(struct spx_blkdev *dev);
/* After a resume: connects again, and sends what was on its way once more. */
SP_CHECK sp_err spx_blkdev_resume(struct spx_blkdev *dev);
/* Shows the backend what was submitted. Completions of flushes may be there right after it, so complete after a push.
 */
void spx_blkdev_push(struct spx_blkdev *dev);
/* When the xenstore has had an event: a backend that closes ends the device (`up` is false then). */
void spx_blkdev_watch(struct spx_blkdev *dev);

#endif
