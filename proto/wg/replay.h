/* A window over message counters: each is taken once, and none that is too far behind the greatest (P 5.4.6, RFC 6479). */
#ifndef SP_WG_REPLAY_H
#define SP_WG_REPLAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_WG_REPLAY_WORDS 128u
#define SP_WG_REPLAY_BITS  (64 * SP_WG_REPLAY_WORDS)
/* Counters so far behind the greatest are taken yet: a word less than the ring, which is the one being cleared. */
#define SP_WG_REPLAY_WINDOW (SP_WG_REPLAY_BITS - 64)

struct sp_wg_replay {
    atomic_flag lock;
    uint64_t next; /* the greatest counter taken, plus one */
    uint64_t opened, opened_bytes;
    uint64_t bits[SP_WG_REPLAY_WORDS]; /* a ring */
};

/* Whether this counter is new; it is marked, and bytes are counted. From any thread. */
bool sp_wg_replay_take(struct sp_wg_replay *r, uint64_t counter, uint64_t bytes);
/* How many were taken, and their bytes (ret_bytes may be NULL). From any thread. */
uint64_t sp_wg_replay_opened(struct sp_wg_replay *r, uint64_t *ret_bytes);

#endif
