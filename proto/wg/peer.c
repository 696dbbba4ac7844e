#include "proto/wg/impl.h"

#include <string.h>

static uint64_t hash_of(const struct sp_wg *wg, const uint8_t pub[32]) {
    return sp_siphash(wg->hash_key, pub, 32);
}

struct sp_wg_peer *sp_wg_peer_find(const struct sp_wg *wg, const uint8_t pub[SP_X25519]) {
    struct sp_link *link = sp_table_find(&wg->peers, hash_of(wg, pub));
    while (link != NULL && memcmp(SP_CONTAINER(link, struct sp_wg_peer, link)->pub, pub, 32) != 0)
        link = sp_table_find_next(link);
    return link != NULL ? SP_CONTAINER(link, struct sp_wg_peer, link) : NULL;
}

static void free_peer(struct sp_wg *wg, struct sp_wg_peer *p) {
    sp_wipe(p, sizeof *p);
    sp_mem_free(wg->config.mem, p, sizeof *p);
}

static void init(struct sp_wg *wg, struct sp_wg_peer *p, const uint8_t pub[32], const uint8_t *psk, void *user) {
    p->wg = wg;
    p->user = user;
    memcpy(p->pub, pub, 32);
    if (psk != NULL)
        memcpy(p->psk, psk, 32);
    wg_mac_keys(pub, p->mac1_key, p->cookie_key);
    p->sent.entry.kind = WG_ENTRY_HANDSHAKE;
    p->sent.entry.peer = p;
    p->taken_at = p->retry_until = SP_NEVER;
    p->stats.handshake_at = p->stats.heard_at = p->stats.sent_at = SP_NEVER;
    wg_timer_init(p);
}

sp_err sp_wg_peer_add(struct sp_wg *wg, const uint8_t pub[SP_X25519], const uint8_t psk[32], void *user, sp_instant now,
                      struct sp_wg_peer **ret) {
    if (memcmp(pub, wg->pub, 32) == 0)
        return SP_ERR_BADKEY;
    if (sp_wg_peer_find(wg, pub) != NULL)
        return SP_ERR_EXIST;
    struct sp_wg_peer *p = sp_mem_alloc(wg->config.mem, sizeof *p);
    if (p == NULL)
        return SP_ERR_FULL;
    init(wg, p, pub, psk, user);
    sp_err err = sp_x25519(wg->config.secret, pub, p->shared);
    if (err == SP_OK)
        err = sp_table_add(&wg->peers, &p->link, hash_of(wg, pub));
    if (err != SP_OK) {
        free_peer(wg, p);
        return err;
    }
    *ret = p;
    return SP_OK;
}

/* All but who the peer is, its preshared key and the stamp that guards against replays. */
static void forget(struct sp_wg_peer *p) {
    wg_forget_sent(p);
    wg_slots_clear(p);
    wg_ready_drop(p);
    sp_timer_cancel(&p->wg->timers, &p->timer);
    wg_timer_init(p);
    sp_wipe(p->cookie, sizeof p->cookie);
    p->mac1_sent = false;
    p->stats.attempts = 0;
}

void sp_wg_peer_remove(struct sp_wg *wg, struct sp_wg_peer *p) {
    forget(p);
    sp_table_remove(&wg->peers, &p->link);
    free_peer(wg, p);
}

void sp_wg_peer_reset(struct sp_wg *wg, struct sp_wg_peer *p) {
    forget(p);
}

void *sp_wg_peer_user(const struct sp_wg_peer *p) {
    return p->user;
}

const uint8_t *sp_wg_peer_pub(const struct sp_wg_peer *p) {
    return p->pub;
}

void sp_wg_peer_passive(struct sp_wg_peer *p, bool passive) {
    p->passive = passive;
}

void sp_wg_peer_keepalive(struct sp_wg *wg, struct sp_wg_peer *p, unsigned seconds, sp_instant now) {
    p->persistent = seconds * SP_SEC;
    if (seconds == 0)
        p->persistent_at = SP_NEVER;
    else if (p->traversal_at == SP_NEVER || p->traversal_at + p->persistent <= now)
        p->persistent_at = now;
    else
        p->persistent_at = p->traversal_at + p->persistent;
    wg_timer_arm(p);
}

void sp_wg_peer_handshake(struct sp_wg *wg, struct sp_wg_peer *p, bool force, sp_instant now) {
    bool recent = p->initiation_at != SP_NEVER && now < p->initiation_at + (force ? INITIATION_GAP : REKEY_TIMEOUT);
    if (recent)
        return;
    p->handshake_at = SP_NEVER;
    wg_ask(p, now);
}
