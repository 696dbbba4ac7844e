#include "proto/wg/impl.h"

#include <string.h>

#define INDICES_A_PEER 6 /* four keypairs, a new one, a handshake */

sp_err sp_wg_new(struct sp_wg **ret, const struct sp_wg_config *config, sp_instant now) {
    SP_ASSERT((config->index_base & ~config->index_mask) == 0);
    SP_ASSERT((config->index_mask & 0x80) == 0 || (config->index_base & 0x80) != 0);
    struct sp_wg *wg = sp_mem_alloc(config->mem, sizeof *wg);
    if (wg == NULL)
        return SP_ERR_FULL;
    wg->config = *config;
    if (wg->config.aead.seal == NULL)
        sp_aead_sodium(&wg->config.aead);
    sp_x25519_base(config->secret, wg->pub);
    wg_mac_keys(wg->pub, wg->mac1_key, wg->cookie_key);
    wg_noise_start(wg);
    sp_rng_fill(config->rng, wg->hash_key, sizeof wg->hash_key);
    sp_table_init(&wg->peers, config->mem, config->peers);
    sp_table_init(&wg->indices, config->mem, (size_t)config->peers * INDICES_A_PEER);
    wg->secret_at = SP_NEVER;
    *ret = wg;
    return SP_OK;
}

void sp_wg_free(struct sp_wg *wg) {
    if (wg == NULL)
        return;
    struct sp_table_cursor cursor = {0};
    struct sp_link *link;
    while ((link = sp_table_each(&wg->peers, &cursor)) != NULL)
        sp_wg_peer_remove(wg, SP_CONTAINER(link, struct sp_wg_peer, link));
    wg_reap(wg);
    SP_ASSERT(wg->retired == NULL); /* keypairs that were held are released by now */
    sp_table_free(&wg->peers);
    sp_table_free(&wg->indices);
    struct sp_mem *mem = wg->config.mem;
    sp_wipe(wg, sizeof *wg);
    sp_mem_free(mem, wg, sizeof *wg);
}

const uint8_t *sp_wg_public(const struct sp_wg *wg) {
    return wg->pub;
}

const struct sp_wg_counts *sp_wg_counts(const struct sp_wg *wg) {
    return &wg->counts;
}

void sp_wg_expire(struct sp_wg *wg, sp_instant now) {
    struct sp_timer *t;
    while ((t = sp_timers_pop(&wg->timers, now)) != NULL)
        wg_timer_fired(SP_CONTAINER(t, struct sp_wg_peer, timer), now);
    wg_reap(wg);
}

sp_instant sp_wg_deadline(const struct sp_wg *wg) {
    return sp_timers_next(&wg->timers);
}
