/* Block 0 counts the boots; the blocks after it are filled by many requests at once, flushed, and read back; also over
 * and over. */
#include <string.h>

#include "unikernel/dev/blkfront_xs.h"
#include "unikernel/host/devices.h"
#include "unikernel/lib/pages.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/xen.h"

#define REQUESTS 40 /* more than the ring has entries */
#define BLOCKS   13 /* of each: more than one of the ring's requests carries */

static struct spx_blkdev disk;
static struct spx_devices *devices;
static bool ending;

/* What the toolstack wants, also with requests on their way: after a resume they go out again. */
static sp_err turn(void) {
    switch (devices_turn(devices)) {
    case DEVICES_RESUMED:
        return spx_blkdev_resume(&disk);
    case DEVICES_END:
        ending = true;
        return SP_OK;
    case DEVICES_GO_ON:
        spx_blkdev_watch(&disk);
        return SP_OK;
    }
    return SP_OK;
}

/* Runs n requests, as many at once as the device takes; the first error of theirs, or ERR_TIME. */
static sp_err run(const struct sp_blk_req *reqs, size_t n) {
    sp_err ret = SP_OK;
    sp_instant deadline = spx_now() + 20 * SP_SEC;
    for (size_t sent = 0, back = 0; back < n;) {
        struct spx_blk_done done[8];
        SP_TRY(turn());
        spx_event_take(disk.port);
        while (sent < n) {
            sp_err err = spx_blkfront_submit(&disk.disk, &reqs[sent]);
            if (err != SP_OK && err != SP_ERR_FULL)
                return err;
            if (err == SP_ERR_FULL)
                break;
            sent++;
        }
        spx_blkdev_push(&disk);
        size_t got = spx_blkfront_complete(&disk.disk, done, 8);
        for (size_t i = 0; i < got; i++)
            if (ret == SP_OK)
                ret = done[i].err;
        back += got;
        if (!disk.up || spx_now() >= deadline)
            return disk.up ? SP_ERR_TIME : SP_ERR_IO;
        const uint32_t ports[] = {disk.port, devices->store.port};
        if (got == 0)
            spx_event_wait(ports, 2, deadline);
    }
    return ret;
}

static sp_err run_one(enum sp_blk_op op, uint64_t block, uint32_t count, uint8_t *buf) {
    struct sp_blk_req req = {.id = 1, .op = op, .block = block, .count = count, .buf = buf};
    return run(&req, 1);
}

static sp_err count_boot(uint8_t *page) {
    static const char magic[] = "boots: ";
    SP_TRY(run_one(SP_BLK_READ, 0, 1, page));
    uint64_t boots = memcmp(page, magic, 7) == 0 ? (uint64_t)page[7] - '0' + 1 : 1;
    memset(page, 0, SP_BLK_SIZE);
    memcpy(page, magic, 7);
    page[7] = (uint8_t)('0' + boots % 10);
    SP_TRY(run_one(SP_BLK_WRITE, 0, 1, page));
    SP_TRY(run_one(SP_BLK_FLUSH, 0, 0, NULL));
    spx_print("devices: disk boots %u\n", boots);
    return SP_OK;
}

static sp_err fill(uint8_t *pages, enum sp_blk_op op) {
    struct sp_blk_req reqs[REQUESTS];
    for (size_t i = 0; i < REQUESTS; i++)
        reqs[i] = (struct sp_blk_req){
            .id = i, .op = op, .block = 1 + i * BLOCKS, .count = BLOCKS, .buf = pages + i * BLOCKS * SP_BLK_SIZE};
    return run(reqs, REQUESTS);
}

static bool pattern(uint8_t *pages, bool make) {
    uint64_t *words = (uint64_t *)pages;
    for (size_t i = 0; i < REQUESTS * BLOCKS * SP_BLK_SIZE / 8; i++) {
        uint64_t word = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        if (make)
            words[i] = word;
        else if (words[i] != word)
            return false;
    }
    return true;
}

/* Written, flushed, and read back as it was. */
static sp_err there_and_back(uint8_t *pages) {
    pattern(pages, true);
    SP_TRY(fill(pages, SP_BLK_WRITE));
    SP_TRY(run_one(SP_BLK_FLUSH, 0, 0, NULL));
    memset(pages, 0, (size_t)REQUESTS * BLOCKS * SP_BLK_SIZE);
    SP_TRY(fill(pages, SP_BLK_READ));
    return pattern(pages, false) ? SP_OK : SP_ERR_CORRUPT;
}

static sp_err try_disk(uint8_t *pages) {
    SP_TRY(count_boot(pages));
    sp_instant before = spx_now();
    SP_TRY(there_and_back(pages));
    spx_print("devices: disk wrote and read %u blocks in %u ms\n", (uint64_t)REQUESTS * BLOCKS,
              (spx_now() - before) / SP_MS);
    if (run_one(SP_BLK_READ, disk.disk.blocks, 1, pages) != SP_ERR_RANGE)
        return SP_ERR_STATE;
    return SP_OK;
}

/* Writes, flushes and checks over and over, until it is told to end. */
static sp_err churn(uint8_t *pages) {
    uint64_t rounds = 0;
    for (; !ending; rounds++) {
        SP_TRY(there_and_back(pages));
        if (rounds == 0)
            spx_print("devices: disk churns\n");
    }
    spx_print("devices: disk churned well\n");
    return SP_OK;
}

bool devices_disk(struct spx_devices *d, bool on_and_on) {
    devices = d;
    void *ring = spx_pages_alloc(1);
    uint8_t *pages = spx_pages_alloc(REQUESTS * BLOCKS);
    if (ring == NULL || pages == NULL)
        return devices_failed("disk", SP_ERR_FULL);
    spx_blkfront_init(&disk.disk, &d->grants, ring);
    sp_err err = spx_blkdev_open(&disk, &d->store, spx_blkdev_number("xvda"), TOKEN_DISK);
    if (err != SP_OK)
        return devices_failed("disk", err);
    spx_print("devices: disk has %u blocks%s, %s\n", disk.disk.blocks, disk.disk.read_only ? ", read-only" : "",
              disk.disk.flush_op != 0 ? "flushes" : "needs no flush");
    err = on_and_on ? churn(pages) : try_disk(pages);
    spx_blkdev_close(&disk);
    spx_print("devices: disk closed, %u grants free\n", (uint64_t)d->grants.n_free);
    return err == SP_OK || devices_failed("disk", err);
}
