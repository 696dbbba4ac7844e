#include "proto/wg/replay.h"

#define WORD(counter) ((counter) / 64 % SP_WG_REPLAY_WORDS)

/* Clears the words between the greatest counter's and the new one's. */
static void advance(struct sp_wg_replay *r, uint64_t counter) {
    uint64_t from = r->next == 0 ? 0 : (r->next - 1) / 64, words = counter / 64 - from;
    if (words > SP_WG_REPLAY_WORDS)
        words = SP_WG_REPLAY_WORDS;
    for (uint64_t i = 1; i <= words; i++)
        r->bits[(from + i) % SP_WG_REPLAY_WORDS] = 0;
    r->next = counter + 1;
}

static bool take(struct sp_wg_replay *r, uint64_t counter) {
    if (counter == UINT64_MAX)
        return false;
    if (counter >= r->next)
        advance(r, counter);
    else if (r->next - counter > SP_WG_REPLAY_WINDOW)
        return false;
    uint64_t bit = UINT64_C(1) << counter % 64;
    bool fresh = (r->bits[WORD(counter)] & bit) == 0;
    r->bits[WORD(counter)] |= bit;
    return fresh;
}

/* The lock is held for a few instructions, so whoever finds it taken spins. */
static void lock(struct sp_wg_replay *r) {
    while (atomic_flag_test_and_set_explicit(&r->lock, memory_order_acquire))
        ;
}

static void unlock(struct sp_wg_replay *r) {
    atomic_flag_clear_explicit(&r->lock, memory_order_release);
}

bool sp_wg_replay_take(struct sp_wg_replay *r, uint64_t counter, uint64_t bytes) {
    lock(r);
    bool fresh = take(r, counter);
    if (fresh) {
        r->opened++;
        r->opened_bytes += bytes;
    }
    unlock(r);
    return fresh;
}

uint64_t sp_wg_replay_opened(struct sp_wg_replay *r, uint64_t *ret_bytes) {
    lock(r);
    uint64_t opened = r->opened;
    if (ret_bytes != NULL)
        *ret_bytes = r->opened_bytes;
    unlock(r);
    return opened;
}
