#include "proto/wg/impl.h"

#include <string.h>

/* P 5.3, 5.4.4, 5.4.7: macs that prove knowledge of a public key, and cookies that prove a source. */

static void labelled_key(const char label[8], const uint8_t pub[32], uint8_t ret[32]) {
    struct sp_piece pieces[] = {{label, 8}, {pub, 32}};
    sp_blake2s(NULL, 0, pieces, 2, ret, 32);
}

void wg_mac_keys(const uint8_t pub[32], uint8_t mac1_key[32], uint8_t cookie_key[32]) {
    labelled_key("mac1----", pub, mac1_key);
    labelled_key("cookie--", pub, cookie_key);
}

static void mac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len, uint8_t ret[SP_WG_MAC]) {
    struct sp_piece piece = {data, len};
    sp_blake2s(key, key_len, &piece, 1, ret, SP_WG_MAC);
}

void wg_mac_put(struct sp_wg_peer *p, uint8_t *msg, size_t len, sp_instant now) {
    uint8_t *mac1 = msg + len - SP_WG_MACS, *mac2 = mac1 + SP_WG_MAC;
    mac(p->mac1_key, 32, msg, len - SP_WG_MACS, mac1);
    memcpy(p->mac1, mac1, SP_WG_MAC);
    p->mac1_sent = true;
    if (p->cookie_at != SP_NEVER && now < p->cookie_at + COOKIE_LIFE)
        mac(p->cookie, SP_WG_MAC, msg, len - SP_WG_MAC, mac2);
    else
        memset(mac2, 0, SP_WG_MAC);
}

bool wg_mac1_good(const struct sp_wg *wg, const uint8_t *msg, size_t len) {
    uint8_t want[SP_WG_MAC];
    mac(wg->mac1_key, 32, msg, len - SP_WG_MACS, want);
    return sp_equal_ct(want, msg + len - SP_WG_MACS, SP_WG_MAC);
}

/* Secrets live for two minutes, and the one before is still good: a cookie serves at least as long as its taker keeps it. */
static void roll(struct sp_wg *wg, sp_instant now) {
    if (wg->secret_at != SP_NEVER && now < wg->secret_at + COOKIE_LIFE)
        return;
    bool both = wg->secret_at == SP_NEVER || now >= wg->secret_at + 2 * COOKIE_LIFE;
    memcpy(wg->secrets[1], wg->secrets[0], 32);
    for (unsigned i = 0; i <= both; i++)
        sp_rng_fill(wg->config.rng, wg->secrets[i], 32);
    wg->secret_at = now;
}

bool wg_mac2_good(struct sp_wg *wg, sp_instant now, const uint8_t *from, size_t from_len, const uint8_t *msg, size_t len) {
    uint8_t cookie[SP_WG_MAC], want[SP_WG_MAC];
    bool good = false;
    roll(wg, now);
    for (unsigned i = 0; i < 2; i++) {
        mac(wg->secrets[i], 32, from, from_len, cookie);
        mac(cookie, SP_WG_MAC, msg, len - SP_WG_MAC, want);
        good |= sp_equal_ct(want, msg + len - SP_WG_MAC, SP_WG_MAC);
    }
    return good;
}

void wg_cookie_make(struct sp_wg *wg, sp_instant now, const uint8_t *from, size_t from_len, const uint8_t *msg, size_t len,
                    uint32_t receiver, uint8_t out[SP_WG_COOKIE]) {
    uint8_t cookie[SP_WG_MAC], *nonce = out + 8;
    roll(wg, now);
    mac(wg->secrets[0], 32, from, from_len, cookie);
    wg_put_head(out, SP_WG_TYPE_COOKIE, receiver);
    sp_rng_fill(wg->config.rng, nonce, SP_XAEAD_NONCE);
    sp_xaead_seal(out + 32, wg->cookie_key, nonce, cookie, sizeof cookie, msg + len - SP_WG_MACS, SP_WG_MAC);
}

bool wg_cookie_take(struct sp_wg_peer *p, const struct wg_cookie *m, sp_instant now) {
    uint8_t cookie[SP_WG_MAC];
    if (!p->mac1_sent ||
        !sp_xaead_open(cookie, p->cookie_key, m->nonce, m->cookie, SP_WG_MAC + SP_AEAD_TAG, p->mac1, SP_WG_MAC))
        return false;
    memcpy(p->cookie, cookie, SP_WG_MAC);
    p->cookie_at = now;
    p->mac1_sent = false; /* a second answer to the same message is a replay */
    return true;
}
