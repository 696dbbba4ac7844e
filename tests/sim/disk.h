/* A disk that keeps no promise it did not make: a WRITE is volatile until a FLUSH that was issued after its completion
 * has completed. Requests complete in any order. At a power cut each block that was not flushed, and of torn ones each
 * sector, survives or not, whatever the others do. */
#ifndef SP_TESTS_SIM_DISK_H
#define SP_TESTS_SIM_DISK_H

#include "tests/sim/sim.h"

#define SIM_SECTOR 512

struct sim_write; /* one block that was written and not flushed */
struct sim_disk_op;

/* Tells the machine that a request has completed. */
typedef void (*sim_disk_done)(void *ctx, uint64_t id, sp_err err);

struct sim_disk {
    struct sim *sim;
    uint64_t blocks;
    uint8_t *data; /* as reads see it */
    uint8_t *safe; /* as it is surely kept */
    sim_disk_done done;
    void *ctx;
    struct sim_write *writes;
    size_t n_writes, cap_writes;
    struct sim_disk_op *ops; /* issued, not completed */
    size_t n_ops, cap_ops;
    uint64_t completions; /* so far: what a flush covers */
    uint64_t serial;
    sp_duration slow;            /* the longest a request takes */
    uint64_t events, event_stop; /* requests issued or completed; at event_stop `stopped` is set */
    uint64_t fail_at;            /* the write or flush with this number (1..) fails; 0: none */
    uint64_t writes_seen;
    bool stopped;
};

void sim_disk_init(struct sim_disk *d, struct sim *sim, uint64_t blocks, sim_disk_done done, void *ctx);
void sim_disk_free(struct sim_disk *d);
void sim_disk_submit(struct sim_disk *d, const struct sp_blk_req *req);
/* Power is lost: nothing completes any more, and what was not flushed is decided. */
void sim_disk_cut(struct sim_disk *d);
/* The machine alone dies: writes under way may or may not happen, but what completed stays readable, and volatile. */
void sim_disk_orphan(struct sim_disk *d);
/* Whether a block has been written since it was last flushed. */
bool sim_disk_dirty(const struct sim_disk *d, uint64_t block);

#endif
