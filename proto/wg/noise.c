#include "proto/wg/impl.h"

#include <string.h>

/* Noise_IKpsk2 as P 5.4.2 and 5.4.3 write it. Nothing here changes a peer but wg_noise_initiate: whoever calls looks at the
 * outcome first. */

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

/* Hash := HASH(Hash || data) */
static void mix_hash(struct wg_noise *n, const void *data, size_t len) {
    struct sp_piece pieces[] = {{n->hash, sizeof n->hash}, {data, len}};
    sp_blake2s(NULL, 0, pieces, 2, n->hash, sizeof n->hash);
}

/* Chain := KDF1(Chain, data) */
static void mix_key(struct wg_noise *n, const uint8_t data[32]) {
    uint8_t out[1][32];
    sp_kdf(n->chain, data, 32, 1, out);
    memcpy(n->chain, out[0], 32);
    sp_wipe(out, sizeof out);
}

/* (Chain, key) := KDF2(Chain, data) */
static void mix_key_key(struct wg_noise *n, const uint8_t data[32], uint8_t key[32]) {
    uint8_t out[2][32];
    sp_kdf(n->chain, data, 32, 2, out);
    memcpy(n->chain, out[0], 32);
    memcpy(key, out[1], 32);
    sp_wipe(out, sizeof out);
}

static void mix_seal(struct wg_noise *n, const uint8_t key[32], const uint8_t *in, size_t len, uint8_t *out) {
    sp_aead_seal_ad(out, key, 0, in, len, n->hash, sizeof n->hash);
    mix_hash(n, out, len + SP_AEAD_TAG);
}

static bool mix_open(struct wg_noise *n, const uint8_t key[32], const uint8_t *in, size_t len, uint8_t *out) {
    if (!sp_aead_open_ad(out, key, 0, in, len, n->hash, sizeof n->hash))
        return false;
    mix_hash(n, in, len);
    return true;
}

void wg_noise_start(struct sp_wg *wg) {
    struct sp_piece piece = {construction, sizeof construction - 1};
    sp_blake2s(NULL, 0, &piece, 1, wg->start.chain, 32);
    memcpy(wg->start.hash, wg->start.chain, 32);
    mix_hash(&wg->start, identifier, sizeof identifier - 1);
}

static struct wg_noise begin(const struct sp_wg *wg, const uint8_t responder[32], const uint8_t ephemeral[32]) {
    struct wg_noise n = wg->start;
    mix_hash(&n, responder, 32);
    mix_key(&n, ephemeral);
    mix_hash(&n, ephemeral, 32);
    return n;
}

/* A fresh pair of keys. */
static void ephemeral_new(struct sp_wg *wg, uint8_t secret[32], uint8_t pub[32]) {
    sp_rng_fill(wg->config.rng, secret, 32);
    sp_x25519_base(secret, pub);
}

/* P 5.4.2, as initiator. */
void wg_noise_initiate(struct sp_wg *wg, struct sp_wg_peer *p, const uint8_t stamp[SP_WG_STAMP], uint8_t out[SP_WG_INITIATION]) {
    uint8_t dh[32], key[32], *ephemeral = out + 8, *pub = out + 40, *sealed_stamp = out + 88;
    struct wg_noise *n = &p->sent.noise;
    wg_put_head(out, SP_WG_TYPE_INITIATION, p->sent.entry.index);
    ephemeral_new(wg, p->sent.ephemeral, ephemeral);
    *n = begin(wg, p->pub, ephemeral);
    sp_err bad = sp_x25519(p->sent.ephemeral, p->pub, dh);
    SP_ASSERT(bad == SP_OK); /* sp_wg_peer_add takes no key of small order */
    mix_key_key(n, dh, key);
    mix_seal(n, key, wg->pub, 32, pub);
    mix_key_key(n, p->shared, key);
    mix_seal(n, key, stamp, SP_WG_STAMP, sealed_stamp);
    sp_wipe(dh, sizeof dh);
    sp_wipe(key, sizeof key);
}

/* The secret of both static keys: kept for a peer, made for a stranger. */
static sp_err static_secret(struct sp_wg *wg, struct wg_opened *o, uint8_t ret[32]) {
    o->peer = sp_wg_peer_find(wg, o->pub);
    if (o->peer == NULL)
        return sp_x25519(wg->config.secret, o->pub, ret);
    memcpy(ret, o->peer->shared, 32);
    return SP_OK;
}

/* P 5.4.2, as responder: the stamp opens only to whoever has the secret of the key that the message names. */
sp_err wg_noise_open(struct sp_wg *wg, const struct wg_initiation *m, struct wg_opened *ret) {
    uint8_t dh[32], key[32];
    struct wg_opened o = {.noise = begin(wg, wg->pub, m->ephemeral), .sender = m->sender};
    memcpy(o.ephemeral, m->ephemeral, 32);
    sp_err err = sp_x25519(wg->config.secret, m->ephemeral, dh);
    if (err == SP_OK) {
        mix_key_key(&o.noise, dh, key);
        err = mix_open(&o.noise, key, m->pub, 32 + SP_AEAD_TAG, o.pub) ? static_secret(wg, &o, dh) : SP_ERR_BADSIG;
    }
    if (err == SP_OK) {
        mix_key_key(&o.noise, dh, key);
        if (!mix_open(&o.noise, key, m->stamp, SP_WG_STAMP + SP_AEAD_TAG, o.stamp))
            err = SP_ERR_BADSIG;
    }
    if (err == SP_OK)
        *ret = o;
    sp_wipe(dh, sizeof dh);
    sp_wipe(key, sizeof key);
    sp_wipe(&o, sizeof o);
    return err;
}

/* P 5.4.3, what both sides do once the three secrets are in: the preshared key, then whether the empty text is sealed by it. */
static void mix_psk(struct wg_noise *n, const uint8_t psk[32], uint8_t key[32]) {
    uint8_t out[3][32];
    sp_kdf(n->chain, psk, 32, 3, out);
    memcpy(n->chain, out[0], 32);
    mix_hash(n, out[1], 32);
    memcpy(key, out[2], 32);
    sp_wipe(out, sizeof out);
}

/* P 5.4.5 */
static void transport_keys(const struct wg_noise *n, uint8_t of_initiator[32], uint8_t of_responder[32]) {
    uint8_t out[2][32];
    sp_kdf(n->chain, NULL, 0, 2, out);
    memcpy(of_initiator, out[0], 32);
    memcpy(of_responder, out[1], 32);
    sp_wipe(out, sizeof out);
}

sp_err wg_noise_respond(struct sp_wg *wg, struct sp_wg_peer *p, struct wg_opened *o, uint32_t index,
                        uint8_t out[SP_WG_RESPONSE], struct wg_keys *ret) {
    uint8_t secret[32], dh[2][32], key[32], *ephemeral = out + 12;
    struct wg_noise *n = &o->noise;
    wg_put_head(out, SP_WG_TYPE_RESPONSE, index);
    wg_put_u32(out + 8, o->sender);
    ephemeral_new(wg, secret, ephemeral);
    sp_err err = sp_x25519(secret, o->ephemeral, dh[0]);
    if (err == SP_OK)
        err = sp_x25519(secret, o->pub, dh[1]);
    if (err == SP_OK) {
        mix_key(n, ephemeral);
        mix_hash(n, ephemeral, 32);
        mix_key(n, dh[0]);
        mix_key(n, dh[1]);
        mix_psk(n, p->psk, key);
        mix_seal(n, key, NULL, 0, out + 44);
        transport_keys(n, ret->recv, ret->send);
    }
    sp_wipe(secret, sizeof secret);
    sp_wipe(dh, sizeof dh);
    sp_wipe(key, sizeof key);
    return err;
}

/* P 5.4.3, as initiator; on a copy of our state, which a forged response must not touch. */
sp_err wg_noise_finish(struct sp_wg *wg, struct sp_wg_peer *p, const struct wg_response *m, struct wg_keys *ret) {
    uint8_t dh[2][32], key[32], nothing[1];
    struct wg_noise n = p->sent.noise;
    sp_err err = sp_x25519(p->sent.ephemeral, m->ephemeral, dh[0]);
    if (err == SP_OK)
        err = sp_x25519(wg->config.secret, m->ephemeral, dh[1]);
    if (err == SP_OK) {
        mix_key(&n, m->ephemeral);
        mix_hash(&n, m->ephemeral, 32);
        mix_key(&n, dh[0]);
        mix_key(&n, dh[1]);
        mix_psk(&n, p->psk, key);
        err = mix_open(&n, key, m->nothing, SP_AEAD_TAG, nothing) ? SP_OK : SP_ERR_BADSIG;
    }
    if (err == SP_OK)
        transport_keys(&n, ret->send, ret->recv);
    sp_wipe(&n, sizeof n);
    sp_wipe(dh, sizeof dh);
    sp_wipe(key, sizeof key);
    return err;
}
