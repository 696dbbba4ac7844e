#include "unikernel/dev/blkfront_xs.h"

#include "unikernel/dev/netfront_xs.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/xen.h"

#define XVD_MAJOR      202
#define INFO_READ_ONLY 4 /* VDISK_READONLY of "info" */

uint64_t spx_blkdev_number(const char *name) {
    if (strlen(name) != 4 || memcmp(name, "xvd", 3) != 0 || name[3] < 'a' || name[3] > 'p')
        return 0;
    return (XVD_MAJOR << 8) + (uint64_t)(name[3] - 'a') * 16;
}

static sp_err read_shape(struct spx_blkdev *dev, struct spx_blk_shape *ret) {
    uint64_t info, flush, barrier;
    SP_TRY(spx_bus_offer(&dev->bus, "sectors", 0, &ret->sectors));
    SP_TRY(spx_bus_offer(&dev->bus, "info", 0, &info));
    SP_TRY(spx_bus_offer(&dev->bus, "feature-flush-cache", 0, &flush));
    SP_TRY(spx_bus_offer(&dev->bus, "feature-barrier", 0, &barrier));
    ret->read_only = (info & INFO_READ_ONLY) != 0;
    ret->flush = flush != 0;
    ret->barrier = barrier != 0;
    return SP_OK;
}

static sp_err announce(struct spx_blkdev *dev) {
    struct spx_bus_key keys[] = {{"ring-ref", 0}, {"event-channel", 0}, {"state", XenbusStateInitialised}};
    dev->ring_ref = spx_grant_alloc(dev->disk.grants);
    dev->port = spx_event_alloc(dev->bus.backend);
    if (dev->ring_ref == 0 || dev->port == 0)
        return SP_ERR_FULL;
    spx_grant_permit(dev->disk.grants, dev->ring_ref, dev->bus.backend, dev->disk.page, false);
    keys[0].value = dev->ring_ref;
    keys[1].value = dev->port;
    struct spx_text path = dev->bus.front;
    spx_text_add(&path, "/protocol");
    SP_TRY(spx_xs_write(dev->bus.xs, path.s, "x86_64-abi"));
    return spx_bus_say(&dev->bus, keys, 3);
}

/* The disk's size stands in the store only once the backend is connected; until then the ring stays empty. */
static sp_err connect(struct spx_blkdev *dev) {
    static const struct spx_bus_key connected = {"state", XenbusStateConnected};
    sp_instant deadline = sp_instant_add(spx_now(), SPX_DEVICE_PATIENCE);
    struct spx_blk_shape shape;
    unsigned state;
    SP_TRY(spx_bus_await(&dev->bus, 1 << XenbusStateInitWait, deadline, &state));
    SP_TRY(spx_blkfront_start(&dev->disk, dev->bus.backend, (uint16_t)dev->number));
    SP_TRY(announce(dev));
    SP_TRY(spx_bus_await(&dev->bus, 1 << XenbusStateConnected, deadline, &state));
    SP_TRY(read_shape(dev, &shape));
    SP_TRY(spx_bus_say(&dev->bus, &connected, 1));
    spx_blkfront_open(&dev->disk, &shape);
    dev->up = true;
    spx_blkdev_push(dev);
    return SP_OK;
}

sp_err spx_blkdev_open(struct spx_blkdev *dev, struct spx_xs *xs, uint64_t number, unsigned token) {
    dev->number = number;
    dev->up = false;
    sp_err err = spx_bus_find(&dev->bus, xs, "vbd", number, token);
    if (err == SP_OK)
        err = connect(dev);
    if (err != SP_OK && err != SP_ERR_NOENT)
        spx_blkdev_close(dev);
    return err;
}

void spx_blkdev_close(struct spx_blkdev *dev) {
    static const struct spx_bus_key closed = {"state", XenbusStateClosed};
    unsigned state;
    dev->up = false;
    if (spx_bus_say(&dev->bus, &closed, 1) == SP_OK && dev->ring_ref != 0)
        (void)!spx_bus_await(&dev->bus, 1 << XenbusStateClosed | 1 << XenbusStateInitWait | 1 << XenbusStateUnknown,
                             sp_instant_add(spx_now(), SP_SEC), &state);
    spx_event_close(dev->port);
    dev->port = 0;
    if (dev->ring_ref != 0 && spx_grant_end(dev->disk.grants, dev->ring_ref)) {
        spx_grant_free(dev->disk.grants, dev->ring_ref);
        dev->ring_ref = 0;
    }
    if (spx_blkfront_stop(&dev->disk) != SP_OK || dev->ring_ref != 0)
        spx_print("disk %u: its backend keeps hold of pages\n", dev->number);
    spx_blkfront_abandon(&dev->disk);
    spx_bus_leave(&dev->bus);
}

sp_err spx_blkdev_resume(struct spx_blkdev *dev) {
    spx_blkfront_forget(&dev->disk);
    dev->ring_ref = dev->port = 0;
    sp_err err = spx_blkdev_open(dev, dev->bus.xs, dev->number, dev->bus.token);
    if (err != SP_OK)
        spx_blkfront_abandon(&dev->disk);
    return err;
}

void spx_blkdev_push(struct spx_blkdev *dev) {
    if (dev->up && dev->disk.fault != NULL) {
        spx_print("disk %u stopped: its backend broke the rules: %s\n", dev->number, dev->disk.fault);
        spx_blkdev_close(dev);
    } else if (spx_blkfront_push(&dev->disk)) {
        spx_notify(dev->port);
    }
}

void spx_blkdev_watch(struct spx_blkdev *dev) {
    unsigned state;
    if (!dev->up || !spx_xs_fired(dev->bus.xs, dev->bus.token) || spx_bus_state(&dev->bus, &state) != SP_OK)
        return;
    if (state == XenbusStateClosing || state == XenbusStateClosed || state == XenbusStateUnknown) {
        spx_print("disk %u: its backend closes\n", dev->number);
        spx_blkdev_close(dev);
    }
}
