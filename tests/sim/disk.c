#include "tests/sim/disk.h"

#include <stdlib.h>
#include <string.h>

struct sim_write {
    uint64_t block, completion;
    uint8_t bytes[SP_BLK_SIZE];
};

struct sim_disk_op {
    struct sp_blk_req req;
    uint64_t serial;
    uint64_t covers; /* FLUSH: writes whose completion has at most this number */
    bool fails;
};

void sim_disk_init(struct sim_disk *d, struct sim *sim, uint64_t blocks, sim_disk_done done, void *ctx) {
    *d = (struct sim_disk){.sim = sim, .blocks = blocks, .done = done, .ctx = ctx};
    d->data = calloc(blocks, SP_BLK_SIZE);
    d->safe = calloc(blocks, SP_BLK_SIZE);
    d->slow = 2 * SP_MS;
}

void sim_disk_free(struct sim_disk *d) {
    free(d->data);
    free(d->safe);
    free(d->writes);
    free(d->ops);
}

static void event(struct sim_disk *d) {
    d->events++;
    if (d->events == d->event_stop)
        d->stopped = true;
}

static struct sim_write *add_write(struct sim_disk *d, uint64_t block, const uint8_t *bytes) {
    if (d->n_writes == d->cap_writes) {
        d->cap_writes = d->cap_writes * 2 + 64;
        d->writes = realloc(d->writes, d->cap_writes * sizeof d->writes[0]);
    }
    struct sim_write *w = &d->writes[d->n_writes++];
    w->block = block;
    w->completion = ++d->completions;
    memcpy(w->bytes, bytes, SP_BLK_SIZE);
    return w;
}

/* A write's blocks become visible, and volatile. */
static void do_write(struct sim_disk *d, const struct sp_blk_req *r) {
    for (uint32_t i = 0; i < r->count; i++) {
        const uint8_t *from = r->buf + (size_t)i * SP_BLK_SIZE;
        add_write(d, r->block + i, from);
        memcpy(d->data + (r->block + i) * SP_BLK_SIZE, from, SP_BLK_SIZE);
    }
}

static void do_flush(struct sim_disk *d, uint64_t covers) {
    size_t kept = 0;
    for (size_t i = 0; i < d->n_writes; i++) {
        struct sim_write *w = &d->writes[i];
        if (w->completion <= covers)
            memcpy(d->safe + w->block * SP_BLK_SIZE, w->bytes, SP_BLK_SIZE);
        else
            d->writes[kept++] = *w;
    }
    d->n_writes = kept;
}

/* One block at a power cut: there, lost, or torn. */
static void survive(struct sim_disk *d, uint64_t block, const uint8_t *bytes, unsigned mood) {
    uint8_t *to = d->safe + block * SP_BLK_SIZE;
    uint64_t fate = mood == 0 ? 0 : mood == 1 ? 1 : sim_below(d->sim, 3);
    for (size_t at = 0; at < SP_BLK_SIZE; at += SIM_SECTOR) {
        uint64_t sector = fate == 2 ? sim_below(d->sim, 9) : fate == 1 ? 1 : 0;
        /* lost; there; or, rarely, only its beginning is */
        size_t n = sector == 8 ? sim_below(d->sim, SIM_SECTOR) : sector % 2 == 1 ? SIM_SECTOR : 0;
        memcpy(to + at, bytes + at, n);
    }
    sim_note(d->sim, "disk survive", block, fate);
}

static void complete(void *ctx, uint64_t serial) {
    struct sim_disk *d = ctx;
    size_t i = 0;
    while (i < d->n_ops && d->ops[i].serial != serial)
        i++;
    struct sim_disk_op op = d->ops[i];
    memmove(&d->ops[i], &d->ops[i + 1], (--d->n_ops - i) * sizeof d->ops[0]);
    const struct sp_blk_req *r = &op.req;
    if (op.fails && r->op == SP_BLK_WRITE) {
        /* Some of it may have got there all the same. */
        for (uint32_t b = 0; b < r->count; b++)
            if (sim_chance(d->sim, 50))
                do_write(d, &(struct sp_blk_req){
                                .block = r->block + b, .count = 1, .buf = r->buf + (size_t)b * SP_BLK_SIZE});
    } else if (!op.fails && r->op == SP_BLK_WRITE) {
        do_write(d, r);
    } else if (!op.fails && r->op == SP_BLK_FLUSH) {
        do_flush(d, op.covers);
    } else if (r->op == SP_BLK_READ) {
        memcpy(r->buf, d->data + r->block * SP_BLK_SIZE, (size_t)r->count * SP_BLK_SIZE);
    }
    event(d);
    sim_note(d->sim, "disk done", r->id, op.fails);
    d->done(d->ctx, r->id, op.fails ? SP_ERR_IO : SP_OK);
}

void sim_disk_submit(struct sim_disk *d, const struct sp_blk_req *req) {
    struct sim *s = d->sim;
    if (req->op != SP_BLK_FLUSH)
        sim_check(s, req->count > 0 && req->block < d->blocks && req->count <= d->blocks - req->block,
                  "a request outside the disk: block %llu", (unsigned long long)req->block);
    if (d->n_ops == d->cap_ops) {
        d->cap_ops = d->cap_ops * 2 + 16;
        d->ops = realloc(d->ops, d->cap_ops * sizeof d->ops[0]);
    }
    struct sim_disk_op *op = &d->ops[d->n_ops++];
    *op = (struct sim_disk_op){.req = *req, .serial = ++d->serial, .covers = d->completions};
    if (req->op != SP_BLK_READ && ++d->writes_seen == d->fail_at)
        op->fails = true;
    static const char *const names[] = {"disk read", "disk write", "disk flush"};
    sim_note(s, names[req->op], req->block, req->count);
    event(d);
    sim_after(s, sim_skewed(s, 20 * SP_US, d->slow), complete, d, op->serial);
}

void sim_disk_cut(struct sim_disk *d) {
    struct sim *s = d->sim;
    sim_forget(s, d);
    /* All, nothing, or each for itself (mostly). */
    unsigned mood = (unsigned)sim_below(s, 6);
    sim_note(s, "disk cut", d->n_writes, d->n_ops);
    for (size_t i = 0; i < d->n_writes; i++)
        survive(d, d->writes[i].block, d->writes[i].bytes, mood);
    for (size_t i = 0; i < d->n_ops; i++)
        for (uint32_t b = 0; d->ops[i].req.op == SP_BLK_WRITE && b < d->ops[i].req.count; b++)
            survive(d, d->ops[i].req.block + b, d->ops[i].req.buf + (size_t)b * SP_BLK_SIZE, mood);
    d->n_writes = d->n_ops = 0;
    memcpy(d->data, d->safe, d->blocks * SP_BLK_SIZE);
    d->stopped = false;
}

void sim_disk_orphan(struct sim_disk *d) {
    sim_forget(d->sim, d);
    sim_note(d->sim, "disk orphan", d->n_writes, d->n_ops);
    for (size_t i = 0; i < d->n_ops; i++)
        if (d->ops[i].req.op == SP_BLK_WRITE && sim_chance(d->sim, 50))
            do_write(d, &d->ops[i].req);
    d->n_ops = 0;
    d->stopped = false;
}

bool sim_disk_dirty(const struct sim_disk *d, uint64_t block) {
    for (size_t i = 0; i < d->n_writes; i++)
        if (d->writes[i].block == block)
            return true;
    return false;
}
