/* Going on from a saved state: elsewhere, later, perhaps for the second time from the same save. */
#include "signpostd/core/overlay.h"

/* The host's seed, and what this state's own generator would have given: neither alone is relied upon. */
static void reseed(struct sp_server *s, const uint8_t seed[SP_RNG_SEED]) {
    uint8_t mixed[SP_RNG_SEED];
    sp_rng_fill(&s->rng, mixed, sizeof mixed);
    for (size_t i = 0; i < sizeof mixed; i++)
        mixed[i] ^= seed[i];
    sp_rng_init(&s->rng, mixed);
    sp_wipe(mixed, sizeof mixed);
}

void sp_server_resumed(struct sp_server *s, sp_instant now, sp_wall wall, const uint8_t seed[SP_RNG_SEED]) {
    s->now = now;
    s->wall = wall;
    reseed(s, seed);
    sp_cookies_new(s);
    sp_overlay_resumed(s);
    sp_updater_resumed(s->updater, now);
}

void sp_server_storage(const struct sp_server *s, struct sp_storage_state *ret) {
    *ret = (struct sp_storage_state){.storage = s->storage, .full = s->disk_full};
    if (s->log == NULL)
        return;
    struct sp_log_stats stats;
    sp_log_stats(s->log, &stats);
    ret->blocks = stats.blocks;
    ret->written = sp_log_durable(s->log);
    ret->unwritten = s->last_seq > ret->written ? s->last_seq - ret->written : 0;
}
