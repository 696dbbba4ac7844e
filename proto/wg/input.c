#include "proto/wg/impl.h"

#include <string.h>

/* One datagram, and whom it is from. */
struct arrival {
    sp_instant now;
    const uint8_t *from, *data;
    size_t from_len, len;
};

/* ---- data ---- */

static void count_data_drop(struct sp_wg *wg, sp_err err) {
    if (err == SP_ERR_BADSIG)
        wg->counts.dropped_auth++;
    else if (err == SP_ERR_REPLAY)
        wg->counts.dropped_replay++;
    else
        wg->counts.dropped_expired++;
}

static void input_data(struct sp_wg *wg, const struct arrival *a, uint8_t *out, struct sp_wg_got *ret) {
    struct wg_data m;
    if (wg_data_read(&m, a->data, a->len) != SP_OK) {
        wg->counts.dropped_shape++;
        return;
    }
    struct wg_entry *e = wg_index_find(wg, m.receiver);
    if (e == NULL || e->kind != WG_ENTRY_KEYPAIR) {
        wg->counts.dropped_index++;
        return;
    }
    struct sp_wg_keypair *k = SP_CONTAINER(e, struct sp_wg_keypair, entry);
    struct sp_wg_peer *p = e->peer;
    sp_err err = a->now >= k->born + REJECT_AFTER_TIME ? SP_ERR_STATE
                                                       : sp_wg_keypair_open(k, &wg->config.aead, a->data, a->len, out);
    if (err != SP_OK) {
        count_data_drop(wg, err);
        return;
    }
    ret->len = m.len - SP_AEAD_TAG;
    ret->data = out;
    ret->kind = ret->len > 0 ? SP_WG_DATA : SP_WG_KEEPALIVE;
    ret->peer = p;
    ret->fresh = k->heard_at == 0;
    k->heard_at = a->now + 1;
    k->seen_opened++;
    k->seen_opened_bytes += ret->len;
    if (k == p->next) {
        wg_slots_confirm(p);
        wg_completed(p, a->now);
    }
    wg_heard_message(p, k, ret->len > 0, a->now);
}

/* ---- load (P 5.3) ---- */

static void send_cookie(struct sp_wg *wg, const struct arrival *a, uint32_t receiver, struct sp_wg_got *ret) {
    uint64_t most = (uint64_t)wg->config.initiations_max * COOKIES;
    uint32_t per_s = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    if (!wg_rate_take(&wg->cookies, per_s, per_s, a->now)) {
        wg->counts.dropped_rate++;
        return;
    }
    wg_cookie_make(wg, a->now, a->from, a->from_len, a->data, a->len, receiver, ret->reply);
    ret->kind = SP_WG_REPLY;
    ret->reply_len = SP_WG_COOKIE;
    wg->counts.cookies_sent++;
}

/* Whether mac2 proves the source. Most that come under load have none. */
static bool proven(struct sp_wg *wg, const struct arrival *a) {
    static const uint8_t none[SP_WG_MAC];
    if (memcmp(a->data + a->len - SP_WG_MAC, none, SP_WG_MAC) == 0)
        return false;
    if (wg_mac2_good(wg, a->now, a->from, a->from_len, a->data, a->len))
        return true;
    wg->counts.dropped_mac2++;
    return false;
}

/* Whether an initiation is worth its work. Under load its source must prove itself, and gets a share only. */
static bool affordable(struct sp_wg *wg, const struct arrival *a, uint32_t sender, struct sp_wg_got *ret) {
    const struct sp_wg_config *c = &wg->config;
    if (!wg_rate_take(&wg->calm, c->initiations_per_s, c->initiations_per_s, a->now)) {
        if (!proven(wg, a)) {
            send_cookie(wg, a, sender, ret);
            return false;
        }
        if (!wg_source_take(wg, a->from, a->from_len, a->now)) {
            wg->counts.dropped_rate++;
            return false;
        }
    }
    if (!wg_rate_take(&wg->most, c->initiations_max, c->initiations_max, a->now)) {
        wg->counts.dropped_rate++;
        return false;
    }
    return true;
}

/* ---- initiations ---- */

/* The keypair of an initiation that is as it should be, and the response. Nothing of the peer changes before all has worked. */
static sp_err respond(struct sp_wg_peer *p, struct wg_opened *o, sp_instant now, uint8_t out[SP_WG_RESPONSE]) {
    struct sp_wg *wg = p->wg;
    struct sp_wg_keypair *k;
    struct wg_keys keys;
    SP_TRY(wg_keypair_new(p, now, &k));
    sp_err err = wg_index_new(wg, &k->entry);
    if (err != SP_OK) {
        wg_keypair_discard(k);
        return err;
    }
    err = wg_noise_respond(wg, p, o, k->entry.index, out, &keys);
    if (err != SP_OK) {
        wg_index_drop(wg, &k->entry);
        wg_keypair_discard(k);
        return err;
    }
    memcpy(k->send_key, keys.send, 32);
    memcpy(k->recv_key, keys.recv, 32);
    sp_wipe(&keys, sizeof keys);
    k->remote_index = o->sender;
    wg_mac_put(p, out, SP_WG_RESPONSE, now);
    memcpy(p->newest, o->stamp, SP_WG_STAMP);
    p->taken_at = now;
    wg_slots_responded(p, k);
    wg_heard_handshake(p, now);
    wg_sent_response(p, now);
    return SP_OK;
}

static void answer(struct sp_wg *wg, const struct arrival *a, struct wg_opened *o, struct sp_wg_got *ret) {
    struct sp_wg_peer *p = o->peer;
    if (p == NULL) {
        wg->counts.dropped_unknown++;
        ret->kind = SP_WG_UNKNOWN;
        memcpy(ret->pub, o->pub, 32);
        return;
    }
    if (memcmp(o->stamp, p->newest, SP_WG_STAMP) <= 0) {
        wg->counts.dropped_timestamp++;
        return;
    }
    if (p->taken_at != SP_NEVER && a->now < p->taken_at + INITIATION_GAP) {
        wg->counts.dropped_rate++;
        return;
    }
    sp_err err = respond(p, o, a->now, ret->reply);
    if (err == SP_ERR_BADKEY)
        wg->counts.dropped_auth++;
    else if (err != SP_OK)
        wg->counts.dropped_full++;
    else {
        ret->kind = SP_WG_REPLY;
        ret->peer = p;
        ret->reply_len = SP_WG_RESPONSE;
    }
}

static void input_initiation(struct sp_wg *wg, const struct arrival *a, struct sp_wg_got *ret) {
    struct wg_initiation m;
    struct wg_opened o;
    if (wg_initiation_read(&m, a->data, a->len) != SP_OK) {
        wg->counts.dropped_shape++;
        return;
    }
    if (!wg_mac1_good(wg, a->data, a->len)) {
        wg->counts.dropped_mac1++;
        return;
    }
    if (!affordable(wg, a, m.sender, ret))
        return;
    if (wg_noise_open(wg, &m, &o) != SP_OK) {
        wg->counts.dropped_auth++;
        return;
    }
    answer(wg, a, &o, ret);
    sp_wipe(&o, sizeof o);
}

/* ---- responses ---- */

/* The index of the handshake goes on as that of its keypair. */
static sp_err establish(struct sp_wg_peer *p, const struct wg_response *m, const struct wg_keys *keys, sp_instant now) {
    struct sp_wg_keypair *k;
    SP_TRY(wg_keypair_new(p, now, &k));
    uint32_t index = p->sent.entry.index;
    wg_forget_sent(p);
    sp_err err = wg_index_put(p->wg, &k->entry, index);
    if (err != SP_OK) {
        wg_keypair_discard(k);
        return err;
    }
    memcpy(k->send_key, keys->send, 32);
    memcpy(k->recv_key, keys->recv, 32);
    k->remote_index = m->sender;
    k->initiator = true;
    wg_slots_initiated(p, k);
    wg_heard_handshake(p, now);
    wg_completed(p, now);
    wg_want_keepalive(p); /* the first message confirms: data of the caller's, or this */
    return SP_OK;
}

static void input_response(struct sp_wg *wg, const struct arrival *a, struct sp_wg_got *ret) {
    struct wg_response m;
    struct wg_keys keys;
    if (wg_response_read(&m, a->data, a->len) != SP_OK) {
        wg->counts.dropped_shape++;
        return;
    }
    if (!wg_mac1_good(wg, a->data, a->len)) {
        wg->counts.dropped_mac1++;
        return;
    }
    struct wg_entry *e = wg_index_find(wg, m.receiver);
    if (e == NULL || e->kind != WG_ENTRY_HANDSHAKE) {
        wg->counts.dropped_index++;
        return;
    }
    struct sp_wg_peer *p = e->peer;
    if (p->sent.forged >= FORGED_MAX && !proven(wg, a)) {
        send_cookie(wg, a, m.sender, ret);
        return;
    }
    if (wg_noise_finish(wg, p, &m, &keys) != SP_OK) {
        p->sent.forged++;
        wg->counts.dropped_auth++;
        return;
    }
    if (establish(p, &m, &keys, a->now) == SP_OK) {
        ret->kind = SP_WG_ANSWERED;
        ret->peer = p;
    } else {
        wg->counts.dropped_full++;
    }
    sp_wipe(&keys, sizeof keys);
}

/* ---- cookies ---- */

static void input_cookie(struct sp_wg *wg, const struct arrival *a) {
    struct wg_cookie m;
    if (wg_cookie_read(&m, a->data, a->len) != SP_OK) {
        wg->counts.dropped_shape++;
        return;
    }
    struct wg_entry *e = wg_index_find(wg, m.receiver);
    if (e == NULL)
        wg->counts.dropped_index++;
    else if (!wg_cookie_take(e->peer, &m, a->now))
        wg->counts.dropped_auth++;
    else
        wg->counts.cookies_taken++;
}

void sp_wg_input(struct sp_wg *wg, sp_instant now, sp_wall wall, const uint8_t *from, size_t from_len, const uint8_t *data,
                 size_t len, uint8_t *out, struct sp_wg_got *ret) {
    struct arrival a = {now, from, data, from_len, len};
    SP_ASSERT(from_len <= SP_WG_FROM_MAX);
    ret->kind = SP_WG_DROPPED;
    ret->peer = NULL;
    ret->fresh = false;
    ret->data = NULL;
    ret->len = ret->reply_len = 0;
    switch ((enum sp_wg_type)(len > 0 ? data[0] : 0)) {
    case SP_WG_TYPE_INITIATION:
        input_initiation(wg, &a, ret);
        return;
    case SP_WG_TYPE_RESPONSE:
        input_response(wg, &a, ret);
        return;
    case SP_WG_TYPE_COOKIE:
        input_cookie(wg, &a);
        return;
    case SP_WG_TYPE_DATA:
        input_data(wg, &a, out, ret);
        return;
    }
    wg->counts.dropped_shape++;
}

/* ---- whose a message is ---- */

bool sp_wg_mine(const struct sp_wg *wg, const uint8_t *data, size_t len) {
    struct wg_initiation initiation;
    struct wg_response response;
    return (wg_initiation_read(&initiation, data, len) == SP_OK || wg_response_read(&response, data, len) == SP_OK) &&
           wg_mac1_good(wg, data, len);
}

bool sp_wg_index_lives(const struct sp_wg *wg, const uint8_t *data, size_t len) {
    struct wg_response response;
    struct wg_cookie cookie;
    struct wg_data message;
    const struct wg_entry *e;
    if (wg_data_read(&message, data, len) == SP_OK)
        return (e = wg_index_find(wg, message.receiver)) != NULL && e->kind == WG_ENTRY_KEYPAIR;
    if (wg_response_read(&response, data, len) == SP_OK)
        return (e = wg_index_find(wg, response.receiver)) != NULL && e->kind == WG_ENTRY_HANDSHAKE;
    return wg_cookie_read(&cookie, data, len) == SP_OK && wg_index_find(wg, cookie.receiver) != NULL;
}
